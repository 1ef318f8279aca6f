//! The table of paired differences.

use crate::comparison::Comparison;

use super::{
    Cell, Footnotes, Row, Table, detail, format, measure_name, name_column, number_column,
};
use super::{Quantity, verdict};

/// Contrasts: difference, interval, p and verdict.
pub(super) fn contrasts(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .contrasts
        .iter()
        .map(|contrast| {
            let quantity = Quantity::of_difference(contrast.measure);
            let mut p = Cell::from(format::p_value(contrast.p));
            if contrast.p.is_none() {
                let why = contrast.difference.why_undefined.as_deref();
                p.mark = Some(notes.mark(Some(why.unwrap_or("no permutation p is defined"))));
            }
            Row {
                group: None,
                cells: vec![
                    format!("{} - {}", contrast.arm, contrast.against).into(),
                    measure_name(contrast.measure).into(),
                    notes.estimate(&contrast.difference, quantity),
                    p,
                    verdict(contrast).into(),
                    format::count(contrast.difference.n as u64).into(),
                ],
            }
        })
        .collect();
    Table {
        id: "contrasts",
        title: "Contrasts",
        caption: "Paired differences between arms over the same items. A verdict is taken from the unrounded interval; \
                  one that holds 0 is inconclusive."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            name_column("contrast", "First arm minus second arm."),
            name_column("measure", "What is compared, a mean over tasks."),
            number_column(
                "difference",
                "Difference with its 95 % interval, from a bootstrap that resamples items within task jointly for both \
                 arms, training seeds as the outer level.",
            ),
            number_column(
                "p",
                "Paired permutation p: the arms' labels swapped within item.",
            ),
            name_column(
                "verdict",
                "Where the interval lies. Negative transfer (an arm against its base) and functional alignment collapse \
                 (a student against its teacher) are yes when it lies below 0, no when above, else inconclusive.",
            ),
            detail(number_column("n", "Items behind the difference.")),
        ],
        rows,
        footnotes: notes.0,
        aside: false,
    }
}
