//! The tables of paired differences, over tasks and by task.

use crate::comparison::{Comparison, Contrast};

use super::{
    Cell, Column, Footnotes, Row, Table, detail, fairness, format, measure_name, name_column,
    number_column,
};
use super::{Quantity, is_asked, scope, task_names, verdict};

/// Questions that are named in a caption; of more it says how many.
const NAMES: usize = 6;

/// How a verdict is come by.
const RULE: &str = "A difference lies below or above 0 where its 95 % interval leaves 0 out, else is equivalent where its \
     90 % interval lies within the smallest effect of interest, else is unresolved. Interval, p and verdict are of one \
     test, and none is corrected for the number of contrasts.";

/// What stands in the table.
const OTHERS: &str = "Every other difference stands here and is exploratory.";

/// Which differences are questions, and so not exploratory.
fn asked_before(comparison: &Comparison) -> String {
    let names: Vec<&str> = (comparison.answers.iter())
        .map(|answer| answer.asked.question.name.as_str())
        .collect();
    match names.as_slice() {
        [] => "No question was asked, so every difference between arms is exploratory.".to_owned(),
        [only] => format!("The question, {only}, is answered above. {OTHERS}"),
        [first @ .., last] if names.len() <= NAMES => format!(
            "The questions ({} and {last}) are answered above. {OTHERS}",
            first.join(", ")
        ),
        _ => format!("The {} questions are answered above. {OTHERS}", names.len()),
    }
}

/// Contrasts over tasks, but for those that a question asks of.
pub(super) fn contrasts(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let contrasts = comparison.contrasts.iter();
    let rows = contrasts
        .filter(|contrast| !is_asked(comparison, contrast))
        .filter(|contrast| comparison.shows(contrast.measure))
        .map(|contrast| Row {
            group: None,
            cells: cells(comparison, contrast, &mut notes),
        })
        .collect();
    Table {
        id: "contrasts",
        title: "Contrasts, exploratory",
        caption: format!("{} {RULE}", asked_before(comparison)),
        grouped_by: None,
        columns: columns(comparison.has_times()),
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
        let found = found.filter(|found| comparison.shows_on(task, found.contrast.measure));
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
        title: "Contrasts by task, exploratory",
        caption: "The same differences on each task alone, those in what was asked among them: exploratory, since no \
                  question is answered by one task."
            .to_owned(),
        grouped_by: Some("task"),
        columns: columns(comparison.has_times()),
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
    let no_p = "no interval is defined";
    let p = or_why(format::p_value(contrast.p), contrast.p.is_some(), no_p);
    let equal = contrast.p_equivalence;
    let equal = or_why(format::p_value(equal), equal.is_some(), no_p);
    let effect = or_why(
        format::number(contrast.effect, Quantity::Signed),
        contrast.effect.is_some(),
        "a value lies at the end of its scale",
    );
    let smallest = or_why(
        format::number(contrast.smallest_effect, quantity.unsigned()),
        contrast.smallest_effect.is_some(),
        "the other arm has no tokens",
    );
    let said = match scope(contrast) {
        Some(scope) if contrast.difference.value.is_some() => {
            format!("{}, {scope}", verdict(contrast))
        }
        _ => verdict(contrast),
    };
    vec![
        name,
        measure_name(contrast.measure).into(),
        difference,
        p,
        equal,
        effect,
        smallest,
        said.into(),
        format::count(contrast.trainings as u64).into(),
        format::count(contrast.difference.n as u64).into(),
    ]
}

fn columns(timed: bool) -> Vec<Column> {
    let (smallest, verdict) = if timed {
        (
            "The smallest effect of interest: 0.10 in elasticity and r, 0.05 in accuracies, 10 % of the second arm's \
             tokens.",
            "What the intervals say. Negative transfer (an arm against its base) and functional alignment collapse \
             (a student against its teacher) are yes below 0, no (opposite) above 0, no (equivalent) where the \
             difference is too small to matter.",
        )
    } else {
        (
            "The smallest effect of interest: 0.05 in accuracies, 10 % of the second arm's tokens.",
            "What the intervals say.",
        )
    };
    vec![
        name_column("contrast", "First arm minus second arm."),
        name_column("measure", "What is compared."),
        number_column(
            "difference",
            "Difference with its 95 % interval over trainings and items.",
        ),
        number_column("p", "Two-sided p against 0, of the same Student's t."),
        detail(number_column(
            "p (equivalence)",
            "p of the two one-sided tests that the difference lies within the smallest effect of interest.",
        )),
        detail(number_column(
            "effect size",
            "The difference without a unit, mean over tasks: Cohen's q (difference of Fisher's z) for correlations, \
             Cohen's h (difference of 2 arcsin of the root) for accuracies, the natural logarithm of the ratio for \
             tokens.",
        )),
        detail(number_column("smallest effect", smallest)),
        name_column("verdict", verdict),
        detail(number_column(
            "trainings",
            "Trainings behind the difference; teachers, where it is over these.",
        )),
        detail(number_column("n", "Items behind the difference.")),
    ]
}
