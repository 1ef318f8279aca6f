//! Brings a table of another layout into the schema of the norms.
//!
//! A map in TOML says which column holds what. It names a table of trials
//! (a row a trial, or a row an action with a time stamp) where `columns.subject`
//! is given, and a table of item means where it is not. Three layouts, for
//! tables such as those of de Varda et al. (2025) and H-ARC (arXiv 2409.01374):
//!
//! ```toml
//! # A row an item, mean times in seconds.
//! task = "relational"
//! source = "de Varda et al. 2025, PNAS 122(47)"
//! unit = "s"
//! [columns]
//! item = "problem_id"
//! prompt = "question"
//! answer = "correct_answer"
//! rt = "mean_rt"
//! ```
//!
//! ```toml
//! # A row a trial; the task is told by a column, practice is left out, and the
//! # problems' texts stand in a table of their own.
//! source = "de Varda et al. 2025, PNAS 122(47)"
//! unit = "s"
//! right = ["TRUE"]
//! filter.phase = ["main"]
//! window = { low_ms = 200, high_ms = 120000 }
//! texts = { file = "problems.csv", item = "id", prompt = "text", answer = "solution" }
//! [columns]
//! task = "domain"
//! item = "problem_id"
//! subject = "participant"
//! rt = "rt"
//! correct = "is_correct"
//! ```
//!
//! ```toml
//! # H-ARC's clean_data.csv: a row an action, so a trial is all rows of a
//! # participant and a task, and takes from the first stamp to the last.
//! task = "h_arc"
//! source = "H-ARC, arXiv 2409.01374"
//! right = ["True", "true"]
//! filter.task_type = ["evaluation"]
//! [columns]
//! item = "task_name"
//! subject = "hashed_id"
//! stamp = "time"
//! correct = "solved"
//! condition = "task_type"
//! ```
//!
//! Items may have a `cluster` and covariates too (see [`super::NormItem`]):
//! `columns.cluster = "pair"` and `columns.covariates = { size = "operand_sum" }`
//! name their columns, in the table or, under `texts`, in that of the texts.
//!
//! A field that is no number where one is mapped is an error, with its line. A
//! row that the map leaves out, or that has no time or one of zero or less, is
//! counted and named in the outcome. Nothing is imputed, no outlier is sought.

mod read;
mod stamp;
mod texts;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::columns::MARK;
use super::{NormItem, NormsError, Trial};
use crate::text;

/// Which column holds what; see the file's head for examples.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Map {
    /// The task of all rows, where no column tells it.
    #[serde(default)]
    pub task: Option<String>,
    /// Where the times come from, with the citation.
    pub source: String,
    /// Unit of `columns.rt`, and of `columns.stamp` where stamps are numbers.
    #[serde(default)]
    pub unit: Unit,
    /// Names of the columns.
    pub columns: Columns,
    /// What `columns.correct` holds for a right answer.
    #[serde(default = "right")]
    pub right: Vec<String>,
    /// By column: rows with another value than these are left out.
    #[serde(default)]
    pub filter: BTreeMap<String, Vec<String>>,
    /// Trials outside of it are left out.
    #[serde(default)]
    pub window: Option<Bounds>,
    /// A table of the items' texts.
    #[serde(default)]
    pub texts: Option<Texts>,
}

fn right() -> Vec<String> {
    ["1", "true", "True", "TRUE"].map(String::from).into()
}

/// The unit of a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Unit {
    /// Milliseconds.
    #[default]
    #[serde(rename = "ms")]
    Milliseconds,
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
}

impl Unit {
    fn in_ms(self) -> f64 {
        match self {
            Self::Milliseconds => 1.0,
            Self::Seconds => 1000.0,
        }
    }
}

/// Names of the columns of a table.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Columns {
    /// The item's name.
    pub item: String,
    /// The task's name.
    #[serde(default)]
    pub task: Option<String>,
    /// Who answered; without it a row is an item.
    #[serde(default)]
    pub subject: Option<String>,
    /// The response time, or the item's mean.
    #[serde(default)]
    pub rt: Option<String>,
    /// The time of an action: a number, or `2024-08-06 17:40:34.5`, with `T`
    /// and an offset as in ISO 8601 where there is one.
    #[serde(default)]
    pub stamp: Option<String>,
    /// Whether the answer was right; without it all answers count as right and
    /// people's accuracy stays unknown.
    #[serde(default)]
    pub correct: Option<String>,
    /// How often the subject had met the item before; counted where absent.
    #[serde(default)]
    pub repeat: Option<String>,
    /// The item's prompt.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Its right answer.
    #[serde(default)]
    pub answer: Option<String>,
    /// Its condition.
    #[serde(default)]
    pub condition: Option<String>,
    /// The cluster it belongs to.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Its covariates: by the name of each, `size` and not `x_size`, the column.
    #[serde(default)]
    pub covariates: BTreeMap<String, String>,
    /// Of an item: trials behind its mean.
    #[serde(default)]
    pub n: Option<String>,
    /// Of an item: mean of ln(milliseconds).
    #[serde(default)]
    pub mean_log_rt: Option<String>,
    /// Of an item: share of right answers.
    #[serde(default)]
    pub accuracy: Option<String>,
}

/// A range of times.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// Shortest time in milliseconds.
    pub low_ms: f64,
    /// Longest time in milliseconds.
    pub high_ms: f64,
}

/// A CSV table of the items' texts, from the map's folder on.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Texts {
    /// The file.
    pub file: PathBuf,
    /// Its column of items' names.
    pub item: String,
    /// Its column of prompts.
    #[serde(default)]
    pub prompt: Option<String>,
    /// Its column of answers.
    #[serde(default)]
    pub answer: Option<String>,
    /// Its column of conditions.
    #[serde(default)]
    pub condition: Option<String>,
    /// Its column of clusters.
    #[serde(default)]
    pub cluster: Option<String>,
    /// By the name of each covariate its column.
    #[serde(default)]
    pub covariates: BTreeMap<String, String>,
}

impl Map {
    /// Reads a map; `table` is what it will be used on, for its file of texts
    /// stands beside the map.
    pub fn read(path: &Path) -> Result<Self, NormsError> {
        let bad = |detail: String| NormsError::UnreadableData {
            path: path.into(),
            detail,
        };
        let text = text::string(path).map_err(|error| bad(error.to_string()))?;
        let mut map: Self = toml::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if let (Some(texts), Some(folder)) = (&mut map.texts, path.parent()) {
            texts.file = folder.join(&texts.file);
        }
        map.check().map_err(bad)?;
        Ok(map)
    }

    fn check(&self) -> Result<(), String> {
        let columns = &self.columns;
        if self.source.trim().is_empty() {
            return Err("source is empty: say where the times come from".into());
        }
        if self.task.is_some() == columns.task.is_some() {
            return Err("give either task, or columns.task where a column tells it".into());
        }
        if self
            .task
            .as_deref()
            .is_some_and(|task| task.trim().is_empty())
        {
            return Err("task is empty: name the task of these items".into());
        }
        let of_texts = self.texts.iter().flat_map(|texts| texts.covariates.keys());
        for name in columns.covariates.keys().chain(of_texts) {
            if name.is_empty() || name.starts_with(MARK) {
                return Err(format!(
                    "a covariate is called {name:?}; give it a name that does not begin with {MARK}, which is put before it: covariates = {{ size = \"COLUMN\" }}"
                ));
            }
        }
        if columns.rt.is_some() && columns.stamp.is_some() {
            return Err("give columns.rt or columns.stamp, not both".into());
        }
        if columns.subject.is_some() {
            if columns.rt.is_none() && columns.stamp.is_none() {
                return Err("a table of trials needs columns.rt or columns.stamp".into());
            }
            for (name, column) in [
                ("n", &columns.n),
                ("mean_log_rt", &columns.mean_log_rt),
                ("accuracy", &columns.accuracy),
            ] {
                if column.is_some() {
                    return Err(format!(
                        "columns.{name} is of a table of items, but columns.subject makes it one of trials; remove one of the two"
                    ));
                }
            }
        } else {
            for (name, column) in [
                ("stamp", &columns.stamp),
                ("correct", &columns.correct),
                ("repeat", &columns.repeat),
            ] {
                if column.is_some() {
                    return Err(format!(
                        "columns.{name} is of a table of trials: name the column of subjects with columns.subject"
                    ));
                }
            }
        }
        if let Some(window) = self.window
            && !(window.low_ms >= 0.0 && window.high_ms > window.low_ms)
        {
            return Err(format!(
                "window of {} to {} ms: it must rise, from 0 or above",
                window.low_ms, window.high_ms
            ));
        }
        Ok(())
    }
}

/// Norms made of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Items, in the order of their first row.
    pub items: Vec<NormItem>,
    /// Trials that were kept, with their task; none of a table of items.
    pub trials: Vec<(String, Trial)>,
    /// Rows, trials and items that were left out or lack something: how many, and why.
    pub notes: Vec<(usize, String)>,
    /// Where the times come from.
    pub source: String,
}

impl Imported {
    /// Reads a CSV table by a map.
    pub fn read(table: &Path, map: &Map) -> Result<Self, NormsError> {
        read::read(table, map)
    }

    /// Writes `items.csv`, `trials.csv` where there are trials, and `source.txt`
    /// into a folder that has no norms yet.
    pub fn write(&self, folder: &Path) -> Result<(), NormsError> {
        write::write(self, folder)
    }
}

#[cfg(test)]
mod tests;
