//! Everything that is wrong or odd with a folder of norms, by file and line.
//!
//! An error is what [`super::Norms::read`] refuses; a remark is what it takes
//! and a reader of the results should know: an item without an answer is not
//! graded, a task whose times are all alike has no alignment. `conditions.csv`
//! is held to the other two files, though nothing is read from it.
//!
//! Nothing is mended here, and what a task makes of an item (whether a puzzle
//! can be solved) is not asked.

mod clusters;
mod covariates;
mod remarks;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::columns;
use super::import::sheet::{Sheet, line};
use super::import::{ITEM_COLUMNS, Rows, TRIAL_COLUMNS, folders, read_items, read_trials};
use super::{NormItem, NormsError, Trial, data_set};

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The norms are refused until it is mended.
    Error,
    /// The norms are read all the same.
    Remark,
}

/// One thing wrong or odd.
///
/// Worked example, as it is written:
///
/// ```text
/// remark: items.csv, lines 4, 9: 2 items of task `t` without a time: they count for accuracy and for no alignment
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// File, line, what it is, and what to do.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.severity {
            Severity::Error => "error",
            Severity::Remark => "remark",
        };
        write!(f, "{name}: {}", self.text)
    }
}

/// What was found in norms.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// In the order of the folders and files.
    pub list: Vec<Finding>,
    /// Items that were read.
    pub items: usize,
    /// Trials that were read.
    pub trials: usize,
}

impl Findings {
    /// How many findings are errors.
    pub fn errors(&self) -> usize {
        let errors = self.list.iter().filter(|f| f.severity == Severity::Error);
        errors.count()
    }

    fn error(&mut self, error: &NormsError) {
        self.list.push(Finding {
            severity: Severity::Error,
            text: error.to_string(),
        });
    }

    fn remark(&mut self, path: &Path, lines: &[usize], text: impl fmt::Display) {
        let place = match lines {
            [] => String::new(),
            lines => format!(", {}", lines_in_words(lines)),
        };
        self.list.push(Finding {
            severity: Severity::Remark,
            text: format!("{}{place}: {text}", path.display()),
        });
    }
}

/// Lines named one by one before the rest is counted.
const NAMED_LINES: usize = 8;

fn lines_in_words(lines: &[usize]) -> String {
    if let [line] = lines {
        return format!("line {line}");
    }
    let named: Vec<String> = lines
        .iter()
        .take(NAMED_LINES)
        .map(usize::to_string)
        .collect();
    let named = named.join(", ");
    match lines.len().saturating_sub(NAMED_LINES) {
        0 => format!("lines {named}"),
        more => format!("lines {named} and {more} more"),
    }
}

/// The items of one folder by task, each with its line, and its trials.
struct Content {
    items: BTreeMap<String, Vec<(usize, NormItem)>>,
    trials: Option<BTreeMap<String, Vec<(usize, Trial)>>>,
    items_path: PathBuf,
    trials_path: PathBuf,
}

/// Checks a folder of norms, a folder of such folders, or a data set.
pub fn check(folder: &Path) -> Result<Findings, NormsError> {
    let mut findings = Findings::default();
    if folder.is_file() {
        let task = data_set::task_of(folder);
        match data_set::read(folder, &task) {
            Err(error) => findings.error(&error),
            Ok(items) => {
                findings.items = items.len();
                let content = Content {
                    items: [(task, (1..).zip(items).collect())].into(),
                    trials: None,
                    items_path: folder.into(),
                    trials_path: PathBuf::new(),
                };
                of_content(&content, &mut findings);
                clusters::across(std::slice::from_ref(&content), &mut findings);
            }
        }
        return Ok(findings);
    }
    let mut seen = HashMap::new();
    let mut all = Vec::new();
    for folder in folders(folder)? {
        let items_path = folder.join("items.csv");
        let items = match read_items(&items_path, &mut seen) {
            Ok(mut items) => {
                items.columns.retain(|name| !columns::is_optional(name));
                let known = [&ITEM_COLUMNS[..], &columns::OPTIONAL].concat();
                taken(&items_path, items, &known, &mut findings)
            }
            Err(error) => {
                findings.error(&error);
                continue;
            }
        };
        findings.items += items.len();
        let trials_path = folder.join("trials.csv");
        let mut trials = None;
        if trials_path.is_file() {
            match read_trials(&trials_path, items.iter().map(|(_, item)| item)) {
                Err(error) => findings.error(&error),
                Ok(rows) => {
                    let rows = taken(&trials_path, rows, &TRIAL_COLUMNS, &mut findings);
                    findings.trials += rows.len();
                    let mut by_task: BTreeMap<_, Vec<_>> = BTreeMap::new();
                    for (line, (task, trial)) in rows {
                        by_task.entry(task).or_default().push((line, trial));
                    }
                    trials = Some(by_task);
                }
            }
        }
        let mut by_task: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (line, item) in items {
            by_task
                .entry(item.task.clone())
                .or_default()
                .push((line, item));
        }
        let content = Content {
            items: by_task,
            trials,
            items_path,
            trials_path,
        };
        of_content(&content, &mut findings);
        conditions(&folder, std::slice::from_ref(&content), &mut findings);
        all.push(content);
    }
    if !folder.join("items.csv").is_file() {
        conditions(folder, &all, &mut findings);
    }
    clusters::across(&all, &mut findings);
    Ok(findings)
}

/// The remarks on one folder or file.
fn of_content(content: &Content, findings: &mut Findings) {
    remarks::of(content, findings);
    covariates::of(content, findings);
    clusters::condition_means(content, findings);
}

/// The good rows; the bad ones and columns that nobody reads become findings.
fn taken<T>(
    path: &Path,
    rows: Rows<T>,
    known: &[&str],
    findings: &mut Findings,
) -> Vec<(usize, T)> {
    for column in &rows.columns {
        if !known.contains(&column.as_str()) {
            findings.remark(
                path,
                &[1],
                format!(
                    "column `{column}` is not read; the columns are {}",
                    known.join(", ")
                ),
            );
        }
    }
    for error in &rows.errors {
        findings.error(error);
    }
    rows.good
}

/// How far a mean in milliseconds may be from that of the trials: one is
/// rounded to whole milliseconds.
const MEAN_TOLERANCE_MS: f64 = 1.0;

/// Holds the `conditions.csv` of a folder, where there is one, to its trials.
fn conditions(folder: &Path, contents: &[Content], findings: &mut Findings) {
    let path = folder.join("conditions.csv");
    if !path.is_file() {
        return;
    }
    let sheet = match Sheet::open(&path) {
        Ok(sheet) => sheet,
        Err(error) => return findings.error(&error),
    };
    let columns = ["task", "condition", "mean_rt_ms"].map(|name| sheet.column(name));
    let [task, condition, mean] = match columns {
        [Ok(task), Ok(condition), Ok(mean)] => [task, condition, mean],
        columns => {
            let missing = columns.into_iter().filter_map(Result::err);
            return missing.for_each(|error| findings.error(&error));
        }
    };
    let mut seen: HashMap<(String, String), usize> = HashMap::new();
    for row in 0..sheet.height() {
        let read = || {
            let time = "a time above 0 in milliseconds";
            let mean = mean.number_at(row, time, |v| v > 0.0)?;
            Ok((task.name_at(row)?, condition.name_at(row)?, mean))
        };
        let (task, condition, mean) = match read() {
            Ok(row) => row,
            Err(error) => {
                findings.error(&error);
                continue;
            }
        };
        if let Some(first) = seen.insert((task.clone(), condition.clone()), line(row)) {
            findings.remark(
                &path,
                &[line(row)],
                format!("condition `{condition}` of task `{task}` again, first in line {first}"),
            );
        }
        if !contents
            .iter()
            .any(|content| content.has(&task, &condition))
        {
            findings.remark(
                &path,
                &[line(row)],
                format!("no item of task `{task}` has the condition `{condition}`"),
            );
        } else if let Some((given, found)) = mean.zip(pooled(contents, &task, &condition))
            && (given - found).abs() > MEAN_TOLERANCE_MS
        {
            findings.remark(
                &path,
                &[line(row)],
                format!(
                    "the mean of `{condition}` of task `{task}` is {given}, that of its trials {found:.1}"
                ),
            );
        }
    }
}

impl Content {
    /// Names of a condition's items.
    fn of_condition<'a>(&'a self, task: &str, condition: &str) -> HashSet<&'a str> {
        let items = self.items.get(task).into_iter().flatten();
        items
            .filter(|(_, item)| item.condition.as_deref() == Some(condition))
            .map(|(_, item)| item.item_id.as_str())
            .collect()
    }

    fn has(&self, task: &str, condition: &str) -> bool {
        !self.of_condition(task, condition).is_empty()
    }
}

/// Mean over the trials of a condition that count; `None` without trials.
fn pooled(contents: &[Content], task: &str, condition: &str) -> Option<f64> {
    let window = super::Window::of(task);
    let mut times = Vec::new();
    for content in contents {
        let names = content.of_condition(task, condition);
        let trials = content.trials.as_ref().and_then(|trials| trials.get(task));
        let kept = trials.into_iter().flatten().map(|(_, trial)| trial);
        times.extend(
            kept.filter(|trial| names.contains(trial.item_id.as_str()) && window.keeps(trial))
                .map(|trial| trial.rt_ms),
        );
    }
    crate::statistics::mean(&times)
}

#[cfg(test)]
mod tests;
