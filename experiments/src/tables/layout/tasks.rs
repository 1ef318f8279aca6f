//! Tables with one row a task and arm, and the constant answers of each task.

use crate::comparison::{ArmFigures, Comparison, Estimate, TaskFigures};

use super::{ARM, Cell, Column, Footnotes, Row, Table, detail, format, name_column, number_column};
use super::{Quantity, task_names};

/// Accuracy and tokens of each arm on each task.
pub(super) fn answers(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let indexed = by_task(comparison).any(|(arm, task)| index(comparison, arm, task).is_some());
    let rows = by_task(comparison)
        .map(|(arm, task)| {
            let mut cells = vec![
                arm.name.as_str().into(),
                format::count(task.items as u64).into(),
                notes.estimate(&task.accuracy, Quantity::Share),
                notes.estimate(&task.accuracy_truncated_wrong, Quantity::Share),
                notes.estimate(&task.balanced_accuracy, Quantity::Share),
                notes.estimate(&task.tokens, Quantity::Amount),
            ];
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
    let mut columns = answer_columns();
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

fn answer_columns() -> Vec<Column> {
    vec![
        ARM,
        number_column("items", "Evaluated items that have a human time."),
        number_column(
            "accuracy",
            "Share of samples that are right, truncated ones left out.",
        ),
        number_column(
            "truncated as wrong",
            "Accuracy with truncated samples counted as wrong.",
        ),
        number_column(
            "balanced accuracy",
            "Mean over the expected answers of the accuracy on each.",
        ),
        number_column(
            "reasoning tokens",
            "Mean over items of the items' mean reasoning tokens.",
        ),
    ]
}

/// Alignment of each arm with people on each task.
///
/// The two columns of the ceiling stand there only where some task has one; a note says where none has.
pub(super) fn alignment(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let ceilings = by_task(comparison).any(|(_, task)| task.ceiling.is_some());
    let rows = by_task(comparison)
        .map(|(arm, task)| {
            let r = notes.estimate(&task.alignment, Quantity::Signed);
            let mut cells = vec![arm.name.as_str().into(), r];
            if ceilings {
                let of = over_ceiling(task, cells[1].mark.clone(), &mut notes);
                cells.extend(of);
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
        caption: "How far each arm's reasoning length follows human time over the items of a task."
            .to_owned(),
        grouped_by: Some("task"),
        columns: alignment_columns(ceilings),
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

fn alignment_columns(ceilings: bool) -> Vec<Column> {
    let mut columns = vec![
        ARM,
        number_column(
            "alignment r",
            "Pearson correlation of the model's mean ln(1 + reasoning tokens) and the human mean ln(RT) over items.",
        ),
    ];
    if ceilings {
        columns.push(number_column(
            "r / ceiling",
            "Alignment divided by the noise ceiling.",
        ));
        columns.push(number_column(
            "ceiling",
            "Noise ceiling: the square root of the Spearman-Brown corrected split-half correlation of the human times \
             over subjects.",
        ));
    }
    columns.push(number_column(
        "Spearman",
        "Rank correlation of the same two costs.",
    ));
    columns.push(number_column(
        "partial r",
        "Pearson correlation of the same two costs with ln(prompt tokens) held constant.",
    ));
    columns
}

/// r over the ceiling, and the ceiling itself; where one is missing, why.
fn over_ceiling(task: &TaskFigures, mark_of_r: Option<String>, notes: &mut Footnotes) -> [Cell; 2] {
    let mut ceiling = Cell::from(format::number(task.ceiling, Quantity::Share));
    if task.ceiling.is_none() {
        ceiling.mark = Some(notes.mark(Some(
            "the noise ceiling is not computable without the human trials",
        )));
    }
    if task.ceiling.is_some_and(|c| c <= 0.0) {
        ceiling.mark = Some(notes.mark(Some("nothing can be divided by a noise ceiling of 0")));
    }
    let mut over = Cell::from(format::number(share_of_ceiling(task), Quantity::Signed));
    if over.text == format::UNDEFINED {
        let missing = task
            .alignment
            .value
            .is_none()
            .then_some(mark_of_r)
            .flatten();
        over.mark = missing.or_else(|| ceiling.mark.clone());
    }
    [over, ceiling]
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

/// r over the ceiling, where both are defined.
pub(in crate::tables) fn share_of_ceiling(task: &TaskFigures) -> Option<f64> {
    let ceiling = task.ceiling.filter(|c| *c > 0.0)?;
    Some(task.alignment.value? / ceiling)
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
fn by_task(comparison: &Comparison) -> impl Iterator<Item = (&ArmFigures, &TaskFigures)> {
    task_names(comparison).into_iter().flat_map(move |name| {
        comparison.arms.iter().filter_map(move |arm| {
            let task = arm.tasks.iter().find(|t| t.task == name)?;
            Some((arm, task))
        })
    })
}
