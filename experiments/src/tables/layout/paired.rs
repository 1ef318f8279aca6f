//! Accuracy as paired answers: the clustered difference and `McNemar`'s test.

use crate::comparison::Comparison;

use super::{Cell, Footnotes, Quantity, Row, Table, format, name_column, number_column};

/// Each contrast's answers to the same items.
pub(super) fn paired(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .further
        .paired
        .iter()
        .map(|found| {
            let count = |n: usize| Cell::from(format::count(n as u64));
            let mut p = Cell::from(format::p_value(found.mcnemar_p));
            if found.mcnemar_p.is_none() {
                p.mark = Some(notes.mark(Some("no pair of graded answers")));
            }
            Row {
                group: None,
                cells: vec![
                    format!("{} - {}", found.arm, found.against).into(),
                    notes.estimate(&found.clustered, Quantity::Signed),
                    count(found.clustered.n),
                    count(found.only_arm),
                    count(found.only_against),
                    count(found.pairs),
                    p,
                ],
            }
        })
        .collect();
    Table {
        id: "paired",
        title: "Paired answers",
        caption: "The difference in accuracy once more, from answers paired by seed, item and sample. McNemar's test \
                  takes pairs as independent, which samples of one item are not; the clustered difference does not."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            name_column("contrast", "First arm minus second arm."),
            number_column(
                "clustered difference",
                "Mean over items of the difference in accuracy, 1.96 standard errors to either side, items as clusters.",
            ),
            number_column("items", "Items that both arms have graded samples of."),
            number_column("only first right", "Pairs that the first arm alone got right."),
            number_column("only second right", "Pairs that the second arm alone got right."),
            number_column("pairs", "All graded pairs (seed, item, sample)."),
            number_column("McNemar p", "Exact two-sided p of McNemar's test over the pairs."),
        ],
        rows,
        footnotes: notes.0,
        aside: true,
    }
}
