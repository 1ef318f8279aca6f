//! The table of paired differences.

use crate::comparison::{Comparison, Measure};

use super::{
    Cell, Footnotes, Row, Table, detail, format, measure_name, name_column, number_column,
};
use super::{Quantity, verdict};

/// How the size of a difference is written: without a sign.
fn size_of(measure: Measure) -> Quantity {
    match measure {
        Measure::Tokens => Quantity::Amount,
        Measure::Alignment | Measure::Accuracy | Measure::BalancedAccuracy => Quantity::Share,
    }
}

/// Contrasts: difference, interval, p, the smallest effect and verdict.
pub(super) fn contrasts(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .contrasts
        .iter()
        .map(|contrast| {
            let quantity = Quantity::of_difference(contrast.measure);
            let why = contrast.difference.why_undefined.as_deref();
            let mut or_why = |text: String, defined: bool, otherwise: &str| {
                let mut cell = Cell::from(text);
                if !defined {
                    cell.mark = Some(notes.mark(Some(why.unwrap_or(otherwise))));
                }
                cell
            };
            let p = |p: Option<f64>| {
                (
                    format::p_value(p),
                    p.is_some(),
                    "no permutation p is defined",
                )
            };
            let (plain, holm) = (p(contrast.p), p(contrast.p_holm));
            let plain = or_why(plain.0, plain.1, plain.2);
            let holm = or_why(holm.0, holm.1, holm.2);
            let smallest = or_why(
                format::number(contrast.smallest, size_of(contrast.measure)),
                contrast.smallest.is_some(),
                "no standard error is defined",
            );
            Row {
                group: None,
                cells: vec![
                    format!("{} - {}", contrast.arm, contrast.against).into(),
                    measure_name(contrast.measure).into(),
                    notes.estimate(&contrast.difference, quantity),
                    plain,
                    holm,
                    smallest,
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
            number_column(
                "p (Holm)",
                "The same p corrected by Holm's method for the number of contrasts in this measure.",
            ),
            detail(number_column(
                "smallest effect",
                "The smallest true difference that these items would have shown, found at 5 %, two-sided, with a chance \
                 of 80 %: 2.80 standard errors of the bootstrap. An inconclusive difference says little about a smaller one.",
            )),
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
