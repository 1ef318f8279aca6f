//! The tables of paired differences, over tasks and by task.

use crate::comparison::{Comparison, Contrast, Measure};

use super::{
    Cell, Column, Footnotes, Row, Table, detail, fairness, format, measure_name, name_column,
    number_column,
};
use super::{Quantity, task_names, verdict};

/// How the size of a difference is written: without a sign.
fn size_of(measure: Measure) -> Quantity {
    match measure {
        Measure::Tokens => Quantity::Amount,
        Measure::Alignment | Measure::Accuracy | Measure::BalancedAccuracy => Quantity::Share,
    }
}

/// Contrasts over tasks.
pub(super) fn contrasts(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .contrasts
        .iter()
        .map(|contrast| Row {
            group: None,
            cells: cells(comparison, contrast, &mut notes),
        })
        .collect();
    Table {
        id: "contrasts",
        title: "Contrasts",
        caption: "Paired differences between arms over the same items. A verdict is taken from the unrounded interval; \
                  one that holds 0 is inconclusive. The interval allows for other items and other seeds, p for other \
                  items alone: with few seeds, a small p can stand beside an interval that holds 0."
            .to_owned(),
        grouped_by: None,
        columns: columns(),
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

/// The same on each task alone.
pub(super) fn by_task(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let of_task = |task: &str| {
        let found = comparison.task_contrasts.iter();
        let found = found.filter(|found| found.task == task);
        found.map(|found| &found.contrast).collect::<Vec<_>>()
    };
    let mut rows = Vec::new();
    for task in task_names(comparison) {
        for contrast in of_task(task) {
            rows.push(Row {
                group: Some(task.to_owned()),
                cells: cells(comparison, contrast, &mut notes),
            });
        }
    }
    Table {
        id: "task-contrasts",
        title: "Contrasts by task",
        caption: "The same differences on each task alone. Holm's correction is for all tasks and contrasts of a measure; \
                  no question is answered by one task."
            .to_owned(),
        grouped_by: Some("task"),
        columns: columns(),
        rows,
        footnotes: notes.0,
        aside: true,
    }
}

/// One contrast: difference, interval, p, sizes and verdict.
fn cells(comparison: &Comparison, contrast: &Contrast, notes: &mut Footnotes) -> Vec<Cell> {
    let quantity = Quantity::of_difference(contrast.measure);
    let names = [contrast.arm.as_str(), contrast.against.as_str()];
    let name = fairness::named(
        &format!("{} - {}", contrast.arm, contrast.against),
        fairness::of_contrast(comparison, names),
        notes,
    );
    let difference = notes.estimate(&contrast.difference, quantity);
    let why = contrast.difference.why_undefined.as_deref();
    let mut or_why = |text: String, defined: bool, otherwise: &str| Cell {
        mark: (!defined).then(|| notes.mark(Some(why.unwrap_or(otherwise)))),
        ..text.into()
    };
    let no_p = "no permutation p is defined";
    let p = or_why(format::p_value(contrast.p), contrast.p.is_some(), no_p);
    let holm = contrast.p_holm;
    let holm = or_why(format::p_value(holm), holm.is_some(), no_p);
    let effect = or_why(
        format::number(contrast.effect, Quantity::Signed),
        contrast.effect.is_some(),
        "a value lies at the end of its scale",
    );
    let smallest = or_why(
        format::number(contrast.smallest, size_of(contrast.measure)),
        contrast.smallest.is_some(),
        "no standard error is defined",
    );
    vec![
        name,
        measure_name(contrast.measure).into(),
        difference,
        p,
        holm,
        effect,
        smallest,
        verdict(contrast).into(),
        format::count(contrast.difference.n as u64).into(),
    ]
}

fn columns() -> Vec<Column> {
    vec![
        name_column("contrast", "First arm minus second arm."),
        name_column("measure", "What is compared."),
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
            "effect size",
            "The difference without a unit, mean over tasks: Cohen's q (difference of Fisher's z) for alignment, Cohen's h \
             (difference of 2 arcsin of the root) for accuracies, the natural logarithm of the ratio for tokens.",
        )),
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
    ]
}
