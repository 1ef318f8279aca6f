//! What follows people's times without any model, and what arms have in common with people
//! beyond it.

use crate::comparison::further::Trivial;
use crate::comparison::{Comparison, TaskFigures};

use super::{Cell, Footnotes, Quantity, Row, Table, name_column, number_column, task_names};

/// What the fitted covariates are called.
const FITTED: &str = "all covariates, fitted";

/// Each predictor of each task, and each arm beside it.
pub(super) fn predictors(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let found = comparison.further.trivial.iter();
    let rows = found.flat_map(|found| of_task(comparison, found, &mut notes));
    Table {
        rows: rows.collect(),
        id: "predictors",
        title: "Trivial predictors",
        caption: "How far people's times follow from what an item looks like, without any model, and each arm beside \
                  that. An arm whose r does not lie above that of prompt length has shown nothing that length does not; \
                  one whose r beyond the covariates is 0 has nothing in common with people but them."
            .to_owned(),
        grouped_by: Some("task"),
        columns: vec![
            name_column(
                "predictor or arm",
                "A covariate of the items, the length of the prompt, or an arm.",
            ),
            number_column(
                "observed r",
                "Pearson correlation with human mean ln(RT) over items; of all covariates the multiple correlation, \
                 which is fitted to these items and so cannot lie below that of any one of them.",
            ),
            number_column(
                "r at unlimited samples",
                "The same of an arm as it would be without sampling noise, which a predictor has not.",
            ),
            number_column(
                "r beyond covariates",
                "Partial correlation of an arm's cost and human mean ln(RT) given all covariates.",
            ),
        ],
        footnotes: notes.0,
        aside: false,
    }
}

fn of_task(comparison: &Comparison, found: &Trivial, notes: &mut Footnotes) -> Vec<Row> {
    let row = |name: &str, cells: [Cell; 3]| {
        let [r, unlimited, beyond] = cells;
        Row {
            group: Some(found.task.clone()),
            cells: vec![name.into(), r, unlimited, beyond],
        }
    };
    let mut rows = Vec::new();
    for predictor in &found.predictors {
        let r = notes.estimate(&predictor.value, Quantity::Signed);
        rows.push(row(&predictor.name, [r, Cell::default(), Cell::default()]));
    }
    // One covariate has nothing to be fitted together with.
    if found.predictors.len() > 2 {
        let r = notes.estimate(&found.fitted, Quantity::Signed);
        rows.push(row(FITTED, [r, Cell::default(), Cell::default()]));
    }
    for (name, task) in on_task(comparison, &found.task) {
        let beyond = found.beyond.iter().find(|beyond| beyond.name == name);
        rows.push(row(
            name,
            [
                notes.estimate(&task.alignment, Quantity::Signed),
                notes.estimate(&task.alignment_unlimited, Quantity::Signed),
                beyond.map_or_else(Cell::default, |found| {
                    notes.estimate(&found.value, Quantity::Signed)
                }),
            ],
        ));
    }
    rows
}

fn on_task<'c>(
    comparison: &'c Comparison,
    name: &'c str,
) -> impl Iterator<Item = (&'c str, &'c TaskFigures)> {
    comparison.arms.iter().filter_map(move |arm| {
        let task = arm.tasks.iter().find(|task| task.task == name)?;
        Some((arm.name.as_str(), task))
    })
}

/// r of each predictor that every task has, mean over tasks, for the marks in a figure.
///
/// Worked example: prompt length with .40 on one task and .50 on the other gives ("ln prompt
/// tokens", .45); a covariate of one task alone is left out, as is what is undefined on one.
pub fn predictor_means(comparison: &Comparison) -> Vec<(String, f64)> {
    let found = &comparison.further.trivial;
    let (Some(first), true) = (found.first(), task_names(comparison).len() == found.len()) else {
        return Vec::new();
    };
    let over_tasks = |of: &dyn Fn(&Trivial) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = found
            .iter()
            .map(|task| of(task).filter(|r| r.is_finite()))
            .collect();
        values.map(|values| values.iter().sum::<f64>() / values.len() as f64)
    };
    let mut means: Vec<(String, f64)> = first
        .predictors
        .iter()
        .filter_map(|predictor| {
            let name = &predictor.name;
            let of = |task: &Trivial| {
                task.predictors
                    .iter()
                    .find(|p| p.name == *name)?
                    .value
                    .value
            };
            Some((name.clone(), over_tasks(&of)?))
        })
        .collect();
    let several = found.iter().any(|task| task.predictors.len() > 2);
    if let Some(r) = over_tasks(&|task| task.fitted.value).filter(|_| several) {
        means.push((FITTED.to_owned(), r));
    }
    means
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::format;

    #[test]
    fn arms_stand_beside_the_predictors_of_their_task() {
        let comparison = fixture::comparison();
        let table = predictors(&comparison);
        let names: Vec<&str> = table
            .rows
            .iter()
            .map(|row| row.cells[0].text.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "addend",
                "ln prompt tokens",
                "base",
                "teacher",
                "sft",
                "grpo",
                "size",
                "ties",
                "ln prompt tokens",
                FITTED,
                "base",
                "teacher",
                "sft",
                "grpo"
            ]
        );
        let grpo = &table.rows[5];
        let task = &comparison.arms[3].tasks[0];
        assert_eq!(
            grpo.cells[1].text,
            format::estimate(&task.alignment, Quantity::Signed)
        );
        assert_eq!(grpo.cells[3].text, "+0.19 [-0.12, 0.47]");
        assert!(table.rows[0].cells[2].text.is_empty());
    }

    #[test]
    fn means_are_of_what_every_task_has() {
        let mut comparison = fixture::comparison();
        let names = |comparison: &Comparison| -> Vec<String> {
            predictor_means(comparison)
                .into_iter()
                .map(|(name, _)| name)
                .collect()
        };
        // Prompt length does not vary on the first task.
        assert_eq!(names(&comparison), [FITTED]);
        comparison.further.trivial[0].predictors[1].value.value = Some(0.5);
        assert_eq!(names(&comparison), ["ln prompt tokens", FITTED]);
        let r = predictor_means(&comparison)[0].1;
        assert!((r - 0.48).abs() < 1e-12, "{r}");
        comparison.further.trivial.pop();
        assert!(names(&comparison).is_empty());
    }
}
