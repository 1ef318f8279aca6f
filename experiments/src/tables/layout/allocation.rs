//! Whether arms, and people, take longer over their wrong answers.

use crate::comparison::{Comparison, Estimate};

use super::{Footnotes, Quantity, Row, Table, format, name_column, number_column};

/// Allocation of each arm over all tasks, and of people on each task that has their trials.
pub(super) fn allocation(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let mut row = |name: String, found: &Estimate| Row {
        group: None,
        cells: vec![
            name.into(),
            notes.estimate(found, Quantity::Signed),
            format::count(found.n as u64).into(),
        ],
    };
    let arms = comparison.further.arms.iter();
    let mut rows: Vec<Row> = arms
        .map(|arm| row(arm.name.clone(), &arm.allocation))
        .collect();
    let people = comparison.further.people.iter();
    rows.extend(people.map(|found| row(format!("people, {}", found.task), &found.value)));
    Table {
        id: "allocation",
        title: "Right and wrong answers to one item",
        caption: "Whether an arm thinks longer before its wrong answers than before its right ones to the same item, \
                  and whether people do."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            name_column(
                "arm or people",
                "An arm over all tasks, or people on a task whose single trials are at hand.",
            ),
            number_column(
                "allocation d",
                "Mean within-item difference, wrong minus right, over its sample standard deviation over items (Cohen's d): \
                 of mean ln(1 + reasoning tokens) over samples, of people's mean ln(RT) over trials. Undefined below \
                 three such items.",
            ),
            number_column("items", "Items with both right and wrong answers."),
        ],
        rows,
        footnotes: notes.0,
        aside: true,
    }
}
