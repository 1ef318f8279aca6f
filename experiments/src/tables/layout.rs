//! Arranges a comparison as titled tables of finished text, once for every format.
//!
//! The exporters decide how a table looks, never what it says: titles,
//! captions, definitions, footnotes and the text of each cell are made here.
//! Deliberately computes no statistic; the one quotient it shows is r over the
//! noise ceiling.

use crate::comparison::{ArmFigures, Comparison, ConstantAnswer, Contrast, Direction, Measure};
use crate::manifest::Role;

use super::format::{self, Quantity};
use footnotes::Footnotes;

mod arms;
mod contrasts;
mod footnotes;
mod tasks;

/// Everything the tables say.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Title for people.
    pub title: String,
    /// The hypothesis as written before the run.
    pub hypothesis: String,
    /// How the figures were obtained, a sentence each.
    pub method: Vec<String>,
    /// What a reader must know before believing the tables.
    pub notes: Vec<String>,
    /// The tables, in reading order.
    pub tables: Vec<Table>,
}

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Short name, usable as an anchor or a label.
    pub id: &'static str,
    /// Title.
    pub title: &'static str,
    /// What the table shows, in a sentence or two.
    pub caption: String,
    /// Name of what the rows are grouped by, where they are.
    pub grouped_by: Option<&'static str>,
    /// Columns, the row's name first.
    pub columns: Vec<Column>,
    /// Rows.
    pub rows: Vec<Row>,
    /// Letter and reason of each marked cell.
    pub footnotes: Vec<(String, String)>,
}

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub header: &'static str,
    /// Exact definition of what stands in it.
    pub definition: &'static str,
    /// Whether it holds numbers, which are set flush right.
    pub numeric: bool,
    /// Whether it may be left out where 80 columns are all there is.
    pub detail: bool,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The group it belongs to, where the table is grouped.
    pub group: Option<String>,
    /// Cells, one a column.
    pub cells: Vec<Cell>,
}

/// One cell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Letter of its footnote.
    pub mark: Option<String>,
    /// Items (or samples) behind an estimate.
    pub n: Option<usize>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            mark: None,
            n: None,
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// The tables of a comparison; a table without rows is left out.
pub fn document(comparison: &Comparison) -> Document {
    let tables = [
        arms::measures(comparison),
        contrasts::contrasts(comparison),
        tasks::answers(comparison),
        tasks::alignment(comparison),
        tasks::constant_answers(comparison),
        arms::budgets(comparison),
    ];
    Document {
        title: comparison.title.clone(),
        hypothesis: comparison.hypothesis.clone(),
        method: method(comparison),
        notes: comparison.notes.clone(),
        tables: tables.into_iter().filter(|t| !t.rows.is_empty()).collect(),
    }
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
        Measure::Alignment | Measure::Tokens => None,
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
        Measure::Alignment => "alignment",
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

/// What a contrast's interval says, by the written rule.
pub fn verdict(contrast: &Contrast) -> String {
    let direction = match contrast.direction {
        Direction::Below => "below 0",
        Direction::Above => "above 0",
        Direction::Across => "inconclusive",
        Direction::Undefined => format::UNDEFINED,
    };
    match (&contrast.question, &contrast.verdict) {
        (Some(question), Some(verdict)) => format!("{question}: {verdict}"),
        (Some(question), None) => format!("{question}: {direction}"),
        (None, _) => direction.to_owned(),
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
    let mut lines = vec![format!(
        "{} sample{plural} an item, {decoding}, at most {} new tokens.",
        card.samples,
        format::count(u64::from(card.max_new_tokens)),
    )];
    if comparison.draws > 0 {
        lines.push(format!(
            "Intervals are 95 % intervals; those of differences, and the p values, come from {} draws. \
             Neither is corrected for the number of contrasts.",
            format::count(u64::from(comparison.draws)),
        ));
    }
    if !card.norms.is_empty() {
        lines.push(format!(
            "Human times: {}.",
            card.norms.trim_end_matches('.')
        ));
    }
    lines
}

const fn name_column(header: &'static str, definition: &'static str) -> Column {
    Column {
        header,
        definition,
        numeric: false,
        detail: false,
    }
}

const fn number_column(header: &'static str, definition: &'static str) -> Column {
    Column {
        header,
        definition,
        numeric: true,
        detail: false,
    }
}

const fn detail(column: Column) -> Column {
    Column {
        detail: true,
        ..column
    }
}

const ARM: Column = name_column("arm", "Name of the model in the trace records.");

fn seeds(arm: &ArmFigures) -> String {
    if arm.seeds.is_empty() {
        return "none".to_owned();
    }
    let seeds: Vec<String> = arm.seeds.iter().map(u64::to_string).collect();
    seeds.join(", ")
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
        let cell = &alignment.rows[0].cells[1];
        assert_eq!(cell.text, "undefined");
        assert_eq!(
            alignment.footnotes[0],
            ("a".to_owned(), "no variance in model cost".to_owned())
        );
        assert_eq!(cell.mark.as_deref(), Some("a"));
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
    fn an_empty_comparison_has_no_tables() {
        let mut empty = fixture::comparison();
        empty.arms.clear();
        empty.contrasts.clear();
        empty.constant_answers.clear();
        assert!(document(&empty).tables.is_empty());
    }
}
