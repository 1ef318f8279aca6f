//! Each arm across tasks, and within its items.

use crate::comparison::Comparison;

use super::{ARM, Footnotes, Quantity, Row, Table, format, number_column};

/// Cross-task alignment and allocation of each arm.
pub(super) fn across(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .further
        .arms
        .iter()
        .map(|arm| {
            let mut drawn = notes.estimate(&arm.cross_task, Quantity::Signed);
            if arm.demonstrative && drawn.mark.is_none() {
                drawn.mark = Some(notes.mark(Some("fewer than four tasks: a demonstration")));
            }
            Row {
                group: None,
                cells: vec![
                    arm.name.as_str().into(),
                    drawn,
                    format::count(arm.cross_task.n as u64).into(),
                    notes.estimate(&arm.allocation, Quantity::Signed),
                    format::count(arm.allocation.n as u64).into(),
                ],
            }
        })
        .collect();
    Table {
        id: "across",
        title: "Across tasks, and within items",
        caption: "Whether an arm thinks longer on the tasks that take people longer, and whether its wrong answers are \
                  the longer ones."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            ARM,
            number_column(
                "cross-task r",
                "Mean over 1,000 draws of one item a task of the Pearson correlation of model cost and human cost across \
                 tasks, with the central 95 % of the draws.",
            ),
            number_column("tasks", "Tasks behind the cross-task r."),
            number_column(
                "allocation d",
                "Mean within-item difference in mean ln(1 + tokens), wrong minus right samples, over its sample standard \
                 deviation over items (Cohen's d); undefined below three such items.",
            ),
            number_column("items", "Items with both right and wrong samples."),
        ],
        rows,
        footnotes: notes.0,
        aside: true,
    }
}
