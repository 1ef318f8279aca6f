//! Tables with one row a task and arm, and the constant answers of each task.

use crate::comparison::{ArmFigures, Comparison, Estimate, TaskFigures};

use super::{ARM, Cell, Footnotes, Row, Table, format, name_column, number_column};
use super::{Quantity, task_names};

/// Accuracy and tokens of each arm on each task.
pub(super) fn answers(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = by_task(comparison)
        .map(|(arm, task)| Row {
            group: Some(task.task.clone()),
            cells: vec![
                arm.name.as_str().into(),
                format::count(task.items as u64).into(),
                notes.estimate(&task.accuracy, Quantity::Share),
                notes.estimate(&task.accuracy_truncated_wrong, Quantity::Share),
                notes.estimate(&task.balanced_accuracy, Quantity::Share),
                notes.estimate(&task.tokens, Quantity::Amount),
            ],
        })
        .collect();
    Table {
        id: "task-answers",
        title: "Answers by task",
        caption: "How often each arm was right on each task, and how long it thought.".to_owned(),
        grouped_by: Some("task"),
        columns: vec![
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
        ],
        rows,
        footnotes: notes.0,
    }
}

/// Alignment of each arm with people on each task.
pub(super) fn alignment(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = by_task(comparison)
        .map(|(arm, task)| {
            let r = notes.estimate(&task.alignment, Quantity::Signed);
            let mut ceiling = Cell::from(format::number(task.ceiling, Quantity::Share));
            if task.ceiling.is_none() {
                ceiling.mark = Some(notes.mark(Some(
                    "the noise ceiling is not computable without the human trials",
                )));
            }
            let mut over = Cell::from(format::number(over_ceiling(task), Quantity::Signed));
            if over.text == format::UNDEFINED {
                over.mark = r.mark.clone().or_else(|| ceiling.mark.clone());
            }
            Row {
                group: Some(task.task.clone()),
                cells: vec![
                    arm.name.as_str().into(),
                    r,
                    ceiling,
                    over,
                    notes.estimate(&task.spearman, Quantity::Signed),
                    notes.estimate(&task.partial, Quantity::Signed),
                ],
            }
        })
        .collect();
    Table {
        id: "task-alignment",
        title: "Alignment by task",
        caption: "How far each arm's reasoning length follows human time over the items of a task."
            .to_owned(),
        grouped_by: Some("task"),
        columns: vec![
            ARM,
            number_column(
                "alignment r",
                "Pearson correlation of the model's mean ln(1 + reasoning tokens) and the human mean ln(RT) over items.",
            ),
            number_column(
                "ceiling",
                "Noise ceiling: the square root of the Spearman-Brown corrected split-half correlation of the human \
                 times over subjects.",
            ),
            number_column("r / ceiling", "Alignment divided by the noise ceiling."),
            number_column("Spearman", "Rank correlation of the same two costs."),
            number_column(
                "partial r",
                "Pearson correlation of the same two costs with ln(prompt tokens) held constant.",
            ),
        ],
        rows,
        footnotes: notes.0,
    }
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
    }
}

/// r over the ceiling, where both are defined.
fn over_ceiling(task: &TaskFigures) -> Option<f64> {
    let Estimate { value, .. } = task.alignment;
    let ceiling = task.ceiling.filter(|c| *c > 0.0)?;
    Some(value? / ceiling)
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
