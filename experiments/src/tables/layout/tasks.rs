//! Tables with one row a task and arm, and the constant answers of each task.

use crate::comparison::{ArmFigures, Comparison, Estimate, Measure, TaskFigures};

use super::among;
use super::{ARM, Cell, Column, Footnotes, Row, Table, detail, format, name_column, number_column};
use super::{Quantity, task_names};

/// Accuracy and tokens of each arm on each task.
pub(super) fn answers(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let indexed = by_task(comparison).any(|(arm, task)| index(comparison, arm, task).is_some());
    let trained = comparison.arms.iter().any(|arm| !arm.trained_on.is_empty());
    let shown = among::shown(comparison);
    let balanced = comparison.shows(Measure::BalancedAccuracy);
    let rows = by_task(comparison)
        .map(|(arm, task)| {
            let mut cells: Vec<Cell> = vec![arm.name.as_str().into()];
            if trained {
                cells.push(trained_on(arm, task).into());
            }
            cells.push(format::count(task.items as u64).into());
            cells.push(notes.estimate(&task.accuracy, Quantity::Share));
            cells.extend(shown.iter().map(|of| of.cell(&task.among, &mut notes)));
            if balanced {
                cells.push(notes.estimate(&task.balanced_accuracy, Quantity::Share));
            }
            cells.extend([
                notes.estimate(&task.tokens, Quantity::Amount),
                notes.estimate(&task.cut_off, Quantity::Share),
                notes.estimate(&task.accuracy_truncated_wrong, Quantity::Share),
            ]);
            if indexed {
                cells.push(match index(comparison, arm, task) {
                    Some(value) => notes.estimate(value, Quantity::Amount),
                    None => Cell {
                        mark: Some(notes.mark(None)),
                        ..format::UNDEFINED.into()
                    },
                });
            }
            Row {
                group: Some(task.task.clone()),
                cells,
            }
        })
        .collect();
    let mut columns = vec![ARM];
    if trained {
        columns.push(name_column(
            "trained on",
            "Whether the arm, or one that it started from, learned from this task.",
        ));
    }
    columns.push(number_column("items", "Evaluated items."));
    columns.push(number_column(
        "accuracy",
        "Share of right samples among those that came to an end.",
    ));
    columns.extend(shown.iter().map(among::Shown::column));
    if balanced {
        columns.push(number_column(
            "balanced accuracy",
            "Mean over the expected answers of the accuracy on each.",
        ));
    }
    columns.extend(answer_columns());
    if indexed {
        columns.push(detail(number_column(
            "tokens / accuracy",
            "Inverse efficiency index: mean reasoning tokens over accuracy.",
        )));
    }
    Table {
        id: "task-answers",
        title: "Answers by task",
        caption: "How often each arm was right on each task, and how long it thought.".to_owned(),
        grouped_by: Some("task"),
        columns,
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

/// Whether an arm learned from a task, as far as its run says.
fn trained_on(arm: &ArmFigures, task: &TaskFigures) -> &'static str {
    if arm.trained_on.is_empty() {
        "not recorded"
    } else if arm.trained_on.contains(&task.task) {
        "yes"
    } else {
        "no"
    }
}

fn answer_columns() -> [Column; 3] {
    [
        number_column(
            "reasoning tokens",
            "Mean over items of the items' mean reasoning tokens.",
        ),
        number_column("cut off", "Share of samples that the token cap cut off."),
        detail(number_column(
            "cut off as wrong",
            "Accuracy with samples that the token cap cut off counted as wrong.",
        )),
    ]
}

/// Numbers of samples whose r a table shows.
const SAMPLES: [u32; 4] = [1, 4, 16, 64];

/// Alignment of each arm with people on each task that they have times for.
///
/// The columns of the ceiling stand there only where some task has one; a note says where none has.
pub(super) fn alignment(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let ceilings = by_task(comparison).any(|(_, task)| task.ceiling.is_some());
    let rows = by_task(comparison)
        .filter(|(_, task)| comparison.is_timed(&task.task))
        .map(|(arm, task)| {
            let mut cells = vec![
                arm.name.as_str().into(),
                notes.estimate(&task.elasticity, Quantity::Signed),
                notes.estimate(&task.alignment_unlimited, Quantity::Signed),
                notes.estimate(&task.reliability, Quantity::Share),
                notes.estimate(&task.alignment, Quantity::Signed),
            ];
            cells.extend(SAMPLES.map(|k| at_samples(task, k, &mut notes)));
            if ceilings {
                cells.extend(over_ceiling(task, &mut notes));
            }
            cells.push(notes.estimate(&task.spearman, Quantity::Signed));
            cells.push(notes.estimate(&task.partial, Quantity::Signed));
            Row {
                group: Some(task.task.clone()),
                cells,
            }
        })
        .collect();
    Table {
        id: "task-alignment",
        title: "Alignment by task",
        caption: "How far each arm's reasoning length follows human time over the items of a task: the elasticity, what r \
                  would be with unlimited samples, and the r observed with its reliability. r(k) is what would be observed \
                  with k samples an item; two arms are alike in it only at like noise."
            .to_owned(),
        grouped_by: Some("task"),
        columns: alignment_columns(ceilings),
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

/// r(k), or why there is none.
fn at_samples(task: &TaskFigures, k: u32, notes: &mut Footnotes) -> Cell {
    let value = task.curve.iter().find(|(at, _)| *at == k).map(|(_, r)| *r);
    let why = task.alignment.why_undefined.as_deref();
    let why = why.or(task.reliability.why_undefined.as_deref());
    Cell {
        mark: value.is_none().then(|| {
            notes.mark(Some(
                why.unwrap_or("the reliability of one training is not above 0"),
            ))
        }),
        ..format::number(value, Quantity::Signed).into()
    }
}

fn alignment_columns(ceilings: bool) -> Vec<Column> {
    let at = |header, definition| number_column(header, definition);
    let mut columns = vec![
        ARM,
        number_column(
            "elasticity",
            "By how many per cent spending rises where people take one per cent longer: Cov(c, h) / Var(h) of c, the mean \
             ln(1 + reasoning tokens), and h, the human mean ln(RT), over items.",
        ),
        number_column(
            "r at unlimited samples",
            "Observed r over the square root of its reliability; undefined below a reliability of 0.10.",
        ),
        number_column(
            "reliability",
            "Share of the variance of the items' mean costs that is not sampling noise.",
        ),
        number_column(
            "observed r",
            "Pearson correlation of c and h over items, as observed with these samples.",
        ),
        at(
            "r(1)",
            "r as it would be observed with one sample an item; mean over trainings.",
        ),
        at("r(4)", "The same with 4."),
        at("r(16)", "The same with 16."),
        at("r(64)", "The same with 64."),
    ];
    if ceilings {
        columns.push(number_column(
            "r / ceiling",
            "r at unlimited samples over the noise ceiling: what r would be without people's noise either.",
        ));
        columns.push(number_column(
            "elasticity / ceiling\u{b2}",
            "The elasticity over the square of the noise ceiling, which is how far people's noise pulls it towards 0.",
        ));
        columns.push(number_column(
            "ceiling",
            "Noise ceiling: the square root of the Spearman-Brown corrected split-half correlation of the human times \
             over subjects.",
        ));
    }
    columns.push(detail(number_column(
        "Spearman",
        "Rank correlation of c and h, as observed.",
    )));
    columns.push(detail(number_column(
        "partial r",
        "Pearson correlation of c and h with ln(prompt tokens) held constant, as observed.",
    )));
    columns
}

/// r over the ceiling, elasticity over its square, and the ceiling itself; where one is missing, why.
fn over_ceiling(task: &TaskFigures, notes: &mut Footnotes) -> [Cell; 3] {
    let mut ceiling = Cell::from(format::number(task.ceiling, Quantity::Share));
    if task.ceiling.is_none() {
        ceiling.mark = Some(notes.mark(Some(
            "the noise ceiling is not computable without the human trials",
        )));
    }
    if task.ceiling.is_some_and(|c| c <= 0.0) {
        ceiling.mark = Some(notes.mark(Some("nothing can be divided by a noise ceiling of 0")));
    }
    let mut over = |value: Option<f64>, of: &Estimate| {
        let mut cell = Cell::from(format::number(value, Quantity::Signed));
        if cell.text == format::UNDEFINED {
            let why = of
                .value
                .is_none()
                .then(|| notes.mark(of.why_undefined.as_deref()));
            cell.mark = why.or_else(|| ceiling.mark.clone());
        }
        cell
    };
    [
        over(unlimited_over_ceiling(task), &task.alignment_unlimited),
        over(elasticity_over_ceiling(task), &task.elasticity),
        ceiling,
    ]
}

/// What answering always the same scores.
pub(super) fn constant_answers(comparison: &Comparison) -> Table {
    let rows = comparison
        .constant_answers
        .iter()
        .map(|constant| Row {
            group: None,
            cells: vec![
                constant.task.as_str().into(),
                constant.answer.as_str().into(),
                format::number(Some(constant.accuracy), Quantity::Share).into(),
                format::number(Some(constant.balanced_accuracy), Quantity::Share).into(),
            ],
        })
        .collect();
    Table {
        id: "constant-answers",
        title: "Constant answers",
        caption: "What giving the same answer to every item scores, without any model: read accuracies against these."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            name_column("task", "Task."),
            name_column("answer", "The answer given to every item."),
            number_column("accuracy", "Plain accuracy over the evaluation items."),
            number_column(
                "balanced accuracy",
                "Mean over the expected answers of the accuracy on each.",
            ),
        ],
        rows,
        footnotes: Vec::new(),
        aside: false,
    }
}

/// r at unlimited samples over the ceiling, where both are defined.
pub(in crate::tables) fn unlimited_over_ceiling(task: &TaskFigures) -> Option<f64> {
    let ceiling = task.ceiling.filter(|c| *c > 0.0)?;
    Some(task.alignment_unlimited.value? / ceiling)
}

/// Elasticity over the square of the ceiling, where both are defined.
pub(in crate::tables) fn elasticity_over_ceiling(task: &TaskFigures) -> Option<f64> {
    let ceiling = task.ceiling.filter(|c| *c > 0.0)?;
    Some(task.elasticity.value? / ceiling.powi(2))
}

/// The inverse efficiency index of an arm on a task.
fn index<'a>(
    comparison: &'a Comparison,
    arm: &ArmFigures,
    task: &TaskFigures,
) -> Option<&'a Estimate> {
    let arms = &comparison.further.arms;
    let of_arm = arms.iter().find(|found| found.name == arm.name)?;
    let found = of_arm.iei.iter().find(|found| found.task == task.task)?;
    Some(&found.value)
}

/// Every task, and within it every arm that has it.
pub(super) fn by_task(
    comparison: &Comparison,
) -> impl Iterator<Item = (&ArmFigures, &TaskFigures)> {
    task_names(comparison).into_iter().flat_map(move |name| {
        comparison.arms.iter().filter_map(move |arm| {
            let task = arm.tasks.iter().find(|t| t.task == name)?;
            Some((arm, task))
        })
    })
}
