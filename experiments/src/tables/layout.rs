//! Arranges a comparison as titled tables of finished text, once for every format.
//!
//! The exporters decide how a table looks, never what it says: titles,
//! captions, definitions, footnotes and the text of each cell are made here.
//! It computes no statistic but quotients with the noise ceiling, and means over tasks
//! of what has no interval.

use crate::comparison::{
    ArmFigures, Comparison, ConstantAnswer, Contrast, Measure, Scope, Verdict,
};
use crate::manifest::Role;

use super::format::{self, Quantity};
use footnotes::Footnotes;

mod allocation;
mod among;
mod answers;
mod arms;
mod columns;
mod contrasts;
mod fairness;
mod footnotes;
mod inflation;
mod matched;
mod on_the_way;
pub mod plan;
mod predictors;
mod published;
mod similarity;
mod table;
mod tasks;

pub use answers::is_told;
pub use predictors::predictor_means;
pub use table::{Cell, Column, Document, Row, Table};
pub(super) use tasks::{elasticity_over_ceiling, unlimited_over_ceiling};

use table::{ARM, detail, name_column, number_column};

/// The tables of a comparison; a table without rows is left out.
pub fn document(comparison: &Comparison) -> Document {
    let tables = [
        arms::measures(comparison),
        answers::questions(comparison),
        contrasts::contrasts(comparison),
        fairness::fairness(comparison),
        tasks::alignment(comparison),
        predictors::predictors(comparison),
        tasks::answers(comparison),
        among::between(comparison),
        contrasts::by_task(comparison),
        tasks::constant_answers(comparison),
        matched::recipes(comparison),
        arms::budgets(comparison),
        matched::matched(comparison),
        on_the_way::at_budgets(comparison),
        on_the_way::points(comparison),
        inflation::inflation(comparison),
        inflation::surface(comparison),
        similarity::similarity(comparison),
        allocation::allocation(comparison),
        published::arms(comparison),
        published::inflation(comparison),
    ];
    let document = Document {
        title: comparison.title.clone(),
        hypothesis: comparison.hypothesis.clone(),
        method: method(comparison),
        answers: answers::answers(comparison),
        notes: comparison.notes.clone(),
        tables: tables.into_iter().filter(|t| !t.rows.is_empty()).collect(),
    };
    document.plain()
}

/// Task names in the order in which the arms have them.
pub fn task_names(comparison: &Comparison) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for task in comparison.arms.iter().flat_map(|arm| &arm.tasks) {
        if !names.contains(&task.task.as_str()) {
            names.push(&task.task);
        }
    }
    names
}

/// What the best constant answer of each task scores, mean over tasks; `None`
/// for a measure that constant answers have not, or where a task lacks them.
pub fn best_constant(comparison: &Comparison, measure: Measure) -> Option<f64> {
    let score = |c: &ConstantAnswer| match measure {
        Measure::Accuracy => Some(c.accuracy),
        Measure::BalancedAccuracy => Some(c.balanced_accuracy),
        _ => None,
    };
    let best: Option<Vec<f64>> = task_names(comparison)
        .iter()
        .map(|task| {
            let of_task = comparison
                .constant_answers
                .iter()
                .filter(|c| c.task == *task);
            of_task.filter_map(score).reduce(f64::max)
        })
        .collect();
    best.filter(|b| !b.is_empty())
        .map(|b| b.iter().sum::<f64>() / b.len() as f64)
}

/// A measure's name in running text.
pub fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::Elasticity => "elasticity",
        Measure::AlignmentUnlimited => "r at unlimited samples",
        Measure::Alignment => "observed r",
        Measure::Accuracy => "accuracy",
        Measure::BalancedAccuracy => "balanced accuracy",
        Measure::Tokens => "reasoning tokens",
    }
}

/// A role's name.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Base => "base",
        Role::Teacher => "teacher",
        Role::Student => "student",
        Role::Rl => "rl",
        Role::Other => "other",
    }
}

/// What a contrast's intervals say against the smallest effect of interest: `above 0`, or of one
/// that has a name `negative transfer: no (opposite)`.
pub fn verdict(contrast: &Contrast) -> String {
    let said = verdict_word(contrast);
    match &contrast.question {
        Some(question) => format!("{question}: {said}"),
        None => said.to_owned(),
    }
}

/// The same without its name. What has a name is said to lie below 0, so that it is yes, one of
/// the two kinds of no, or unresolved.
pub fn verdict_word(contrast: &Contrast) -> &'static str {
    match (contrast.question.is_some(), contrast.verdict) {
        (false, Verdict::Below) => "below 0",
        (false, Verdict::Above) => "above 0",
        (false, Verdict::Equivalent) => "equivalent",
        (true, Verdict::Below) => "yes",
        (true, Verdict::Above) => "no (opposite)",
        (true, Verdict::Equivalent) => "no (equivalent)",
        (_, Verdict::Unresolved) => "unresolved",
        (_, Verdict::Undefined) => format::UNDEFINED,
    }
}

/// Whether a question asks of a contrast, or of the same the other way round.
pub fn is_asked(comparison: &Comparison, contrast: &Contrast) -> bool {
    answers::asked_of(comparison, contrast).next().is_some()
}

/// What a contrast can be said of, where that is not trainings like these: `for this training
/// alone`, `over 3 teachers`.
pub fn scope(contrast: &Contrast) -> Option<String> {
    match contrast.scope {
        Scope::Trainings => None,
        Scope::Teachers => Some(format!("over {} teachers", contrast.trainings)),
        Scope::ThisAgainst => Some(format!("for this {} alone", contrast.against)),
        Scope::ThisTraining => Some("for this training alone".to_owned()),
    }
}

fn method(comparison: &Comparison) -> Vec<String> {
    let card = &comparison.evaluation;
    let decoding = if card.temperature == 0.0 {
        "greedy decoding".to_owned()
    } else {
        format!("temperature {}", card.temperature)
    };
    let plural = if card.samples == 1 { "" } else { "s" };
    let mut lines = vec![if card.max_new_tokens == 0 {
        format!(
            "Up to {} sample{plural} an item, recorded elsewhere.",
            card.samples
        )
    } else {
        format!(
            "{} sample{plural} an item, {decoding}, at most {} new tokens.",
            card.samples,
            format::count(u64::from(card.max_new_tokens)),
        )
    }];
    let jackknife = if several_trainings(comparison) {
        "a two-way jackknife"
    } else {
        "a jackknife"
    };
    lines.push(format!(
        "Intervals are 95 % intervals {}: {jackknife} with Student's t, without a correction for their number.{}",
        interval_over(comparison),
        if has_teachers(comparison) {
            " Trainings that share a teacher are averaged first."
        } else {
            ""
        }
    ));
    if !card.norms.is_empty() && comparison.has_times() {
        lines.push(format!(
            "Human times: {}.",
            card.norms.trim_end_matches('.')
        ));
    }
    lines
}

fn several_trainings(comparison: &Comparison) -> bool {
    comparison.arms.iter().any(|arm| arm.seeds.len() > 1)
}

/// Whether any arm learned from several teachers.
fn has_teachers(comparison: &Comparison) -> bool {
    comparison.arms.iter().any(|arm| !arm.teachers.is_empty())
}

/// What intervals are over: a single training says nothing of others.
fn interval_over(comparison: &Comparison) -> &'static str {
    if has_teachers(comparison) {
        "over teachers, trainings and items"
    } else if several_trainings(comparison) {
        "over trainings and items"
    } else {
        "over items, for these trainings alone"
    }
}

/// The text with a capital at its start.
pub fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

fn seeds(arm: &ArmFigures) -> String {
    if arm.seeds.is_empty() {
        return "none".to_owned();
    }
    let listed = |seeds: &[u64]| {
        let seeds: Vec<String> = seeds.iter().map(u64::to_string).collect();
        seeds.join(", ")
    };
    match arm.teachers.as_slice() {
        [] => listed(&arm.seeds),
        teachers => format!(
            "{}, of the teachers {}",
            listed(&arm.seeds),
            listed(teachers)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn every_row_fills_its_columns_and_every_mark_is_explained() {
        for table in document(&fixture::comparison()).tables {
            for row in &table.rows {
                assert_eq!(row.cells.len(), table.columns.len(), "{}", table.id);
                assert_eq!(row.group.is_some(), table.grouped_by.is_some());
                for mark in row.cells.iter().filter_map(|c| c.mark.as_ref()) {
                    assert!(table.footnotes.iter().any(|(letter, _)| letter == mark));
                }
            }
        }
    }

    #[test]
    fn an_undefined_alignment_shows_as_undefined_with_its_reason() {
        let tables = document(&fixture::comparison()).tables;
        let alignment = tables.iter().find(|t| t.id == "task-alignment").unwrap();
        let cell = &alignment.rows[0].cells[4];
        assert_eq!(cell.text, "undefined");
        assert_eq!(
            alignment.footnotes[0],
            ("a".to_owned(), "no variance in model cost".to_owned())
        );
        assert_eq!(cell.mark.as_deref(), Some("a"));
    }

    #[test]
    fn ceilings_have_columns_only_where_a_task_has_one() {
        let headers = |comparison: &Comparison| -> Vec<String> {
            let tables = document(comparison).tables;
            let table = tables.into_iter().find(|t| t.id == "task-alignment");
            let columns = table.unwrap().columns;
            columns.into_iter().map(|c| c.header.into()).collect()
        };
        let mut comparison = fixture::comparison();
        assert_eq!(
            headers(&comparison)[8..12],
            [
                "r(64)",
                "r / ceiling",
                "elasticity / ceiling\u{b2}",
                "ceiling"
            ]
        );
        for task in comparison.arms.iter_mut().flat_map(|arm| &mut arm.tasks) {
            task.ceiling = None;
        }
        assert_eq!(headers(&comparison)[8..10], ["r(64)", "Spearman"]);
    }

    #[test]
    fn what_stands_beside_the_table_comes_last_and_is_absent_without_figures() {
        let mut comparison = fixture::comparison();
        let ids = |comparison: &Comparison| -> Vec<&str> {
            let tables = document(comparison).tables;
            tables.iter().map(|table| table.id).collect()
        };
        assert_eq!(
            ids(&comparison)[13..],
            [
                "inflation",
                "surface",
                "similarity",
                "allocation",
                "published",
                "inflation-published"
            ]
        );
        comparison.further = crate::comparison::Further::default();
        assert_eq!(ids(&comparison).last(), Some(&"matched"));
        let tables = document(&comparison).tables;
        let of_tasks = tables.iter().find(|table| table.id == "task-answers");
        assert!(
            of_tasks
                .unwrap()
                .columns
                .iter()
                .all(|c| c.header != "tokens / accuracy")
        );
    }

    #[test]
    fn a_figure_over_few_tasks_is_marked_as_a_demonstration() {
        let mut comparison = fixture::comparison();
        let marked = |comparison: &Comparison| {
            let tables = document(comparison).tables;
            let across = tables.into_iter().find(|t| t.id == "published").unwrap();
            let mark = across.rows[3].cells[4].mark.clone()?;
            across
                .footnotes
                .into_iter()
                .find(|(letter, _)| *letter == mark)
        };
        let (_, why) = marked(&comparison).unwrap();
        assert_eq!(why, "fewer than four tasks: a demonstration");
        comparison.further.arms[3].demonstrative = false;
        assert_eq!(marked(&comparison), None);
    }

    #[test]
    fn the_best_constants_are_averaged_over_tasks() {
        let mut comparison = fixture::comparison();
        let at = best_constant(&comparison, Measure::Accuracy).unwrap();
        assert!((at - 0.575).abs() < 1e-12);
        assert!(best_constant(&comparison, Measure::Alignment).is_none());
        comparison.constant_answers.pop();
        assert!(best_constant(&comparison, Measure::Accuracy).is_none());
    }

    #[test]
    fn without_times_no_table_has_room_for_alignment() {
        let mut comparison = fixture::comparison();
        let untime = |comparison: &mut Comparison, task: usize| {
            for arm in &mut comparison.arms {
                arm.tasks[task].timed = 0;
            }
            comparison.further.trivial.remove(0);
        };
        untime(&mut comparison, 0);
        let found = document(&comparison);
        let table = |id: &str| found.tables.iter().find(|table| table.id == id);
        // One task has times: what is over tasks stays, and of the other there is nothing.
        assert!(table("arms").unwrap().columns[3].header == "elasticity");
        for id in ["task-alignment", "predictors"] {
            let groups = table(id).unwrap().rows.iter();
            let mut groups = groups.filter_map(|row| row.group.as_deref());
            assert!(groups.all(|task| task == "mental_addition"), "{id}");
        }
        untime(&mut comparison, 1);
        comparison.answers.clear();
        let found = document(&comparison);
        for table in &found.tables {
            assert!(
                !["task-alignment", "predictors", "published"].contains(&table.id),
                "{}",
                table.id
            );
            for column in &table.columns {
                for word in [
                    "elasticity",
                    "r at",
                    "reliability",
                    "observed r",
                    "heterogeneity",
                ] {
                    assert!(
                        !column.header.contains(word),
                        "{}: {}",
                        table.id,
                        column.header
                    );
                }
            }
            let alignment = ["elasticity", "observed r", "r at unlimited samples"];
            let cells = table.rows.iter().flat_map(|row| &row.cells);
            for cell in cells {
                assert!(!alignment.contains(&cell.text.as_str()), "{}", table.id);
            }
        }
        assert!(!found.method.join(" ").contains("Human times"));
    }

    #[test]
    fn a_column_says_which_arms_learned_from_a_task_where_any_run_does() {
        let mut comparison = fixture::comparison();
        let cells = |comparison: &Comparison| -> Vec<String> {
            let tables = document(comparison).tables;
            let table = tables.into_iter().find(|t| t.id == "task-answers").unwrap();
            let at = table.columns.iter().position(|c| c.header == "trained on");
            let texts = table.rows.into_iter();
            at.map_or_else(Vec::new, |at| {
                texts.map(|row| row.cells[at].text.clone()).collect()
            })
        };
        assert!(cells(&comparison).is_empty());
        comparison.arms[3].trained_on = vec!["mental_addition".to_owned()];
        let unknown = "not recorded";
        assert_eq!(
            cells(&comparison),
            [
                unknown, unknown, unknown, "no", unknown, unknown, unknown, "yes"
            ]
        );
    }

    #[test]
    fn one_training_has_intervals_over_items_alone() {
        let mut comparison = fixture::comparison();
        let said = |comparison: &Comparison| document(comparison).method.join(" ");
        assert!(said(&comparison).contains("over trainings and items: a two-way jackknife"));
        for arm in &mut comparison.arms {
            arm.seeds.truncate(1);
        }
        assert!(said(&comparison).contains("over items, for these trainings alone: a jackknife"));
    }

    #[test]
    fn an_empty_comparison_has_no_tables() {
        let mut empty = fixture::comparison();
        empty.arms.clear();
        empty.answers.clear();
        empty.contrasts.clear();
        empty.task_contrasts.clear();
        empty.fairness.clear();
        empty.matched.clear();
        empty.recipes.clear();
        empty.constant_answers.clear();
        empty.further = crate::comparison::Further::default();
        assert!(document(&empty).tables.is_empty());
    }
}
