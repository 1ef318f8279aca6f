//! Import of norms from a folder: `items.csv`, and `trials.csv` where there is one.
//!
//! A parent folder is taken as well: then each of its folders that holds an
//! `items.csv` is read and the others are passed over. So is a file: a data set
//! of prompts and answers, see [`super::data_set`]. Every row is checked; the
//! first thing wrong is one error that names file, line and column, and
//! [`super::check`] names all of them.

pub(super) mod sheet;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use sheet::{Sheet, line};

use super::columns::{self, Optional};
use super::{NormItem, Norms, NormsError, Trial, data_set};
use crate::text;

/// The columns that every `items.csv` has; those of [`columns`] may stand beside them.
pub(super) const ITEM_COLUMNS: [&str; 9] = [
    "task",
    "item_id",
    "prompt",
    "answer",
    "condition",
    "n",
    "mean_rt_ms",
    "mean_log_rt",
    "accuracy",
];
/// The columns of `trials.csv`.
pub(super) const TRIAL_COLUMNS: [&str; 6] =
    ["task", "item_id", "subject", "rt_ms", "correct", "repeat"];

/// What a file holds and what is wrong with it, row by row.
pub(super) struct Rows<T> {
    /// The columns of its header.
    pub(super) columns: Vec<String>,
    /// Its good rows, each with its line.
    pub(super) good: Vec<(usize, T)>,
    /// Everything wrong, in the order of the file.
    pub(super) errors: Vec<NormsError>,
}

impl<T> Rows<T> {
    /// Reads every row of a sheet that has the `wanted` columns.
    fn read<'s, const N: usize>(
        sheet: &'s Sheet,
        wanted: [&'s str; N],
        mut of: impl FnMut(&[sheet::Column<'s>; N], usize) -> Result<T, NormsError>,
    ) -> Self {
        let mut rows = Self {
            columns: sheet.names().into_iter().map(str::to_owned).collect(),
            good: Vec::new(),
            errors: Vec::new(),
        };
        let columns: Vec<sheet::Column> = wanted
            .into_iter()
            .filter_map(|name| rows.keep(sheet.column(name)))
            .collect();
        // An absent column is told once, not in every row.
        if let Ok(columns) = <[sheet::Column; N]>::try_from(columns) {
            for row in 0..sheet.height() {
                if let Some(value) = rows.keep(of(&columns, row)) {
                    rows.good.push((line(row), value));
                }
            }
        }
        rows
    }

    fn keep<U>(&mut self, result: Result<U, NormsError>) -> Option<U> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// The rows, or the first thing wrong.
    fn all(self) -> Result<Vec<T>, NormsError> {
        match self.errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(self.good.into_iter().map(|(_, row)| row).collect()),
        }
    }
}

/// Where each item stands that was read so far, by task and name.
pub(super) type Seen = HashMap<(String, String), String>;

pub(super) fn read_items(path: &Path, seen: &mut Seen) -> Result<Rows<NormItem>, NormsError> {
    let sheet = Sheet::open(path)?;
    let known = columns::spellings(&ITEM_COLUMNS, sheet.names().into_iter());
    sheet.spelt(&known.iter().map(String::as_str).collect::<Vec<_>>())?;
    let optional = Optional::of(&sheet)?;
    Ok(Rows::read(&sheet, ITEM_COLUMNS, |columns, row| {
        let [
            task,
            item_id,
            prompt,
            answer,
            condition,
            n,
            mean_rt,
            mean_log,
            accuracy,
        ] = columns;
        let mut item = NormItem {
            task: task.name_at(row)?,
            item_id: item_id.name_at(row)?,
            prompt: prompt.text_at(row).unwrap_or_default(),
            answer: answer.text_at(row).unwrap_or_default(),
            condition: condition.text_at(row),
            n: n.number_at(row, "a count", |v| v >= 0.0)?,
            mean_rt_ms: mean_rt.number_at(row, "a time above 0 in milliseconds", |v| v > 0.0)?,
            mean_log_rt: mean_log.number_at(row, "a mean logarithm", |_| true)?,
            accuracy: accuracy
                .number_at(row, "a share from 0 to 1", |v| (0.0..=1.0).contains(&v))?,
            ..NormItem::default()
        };
        (item.cluster, item.covariates) = optional.at(row, |_| true)?;
        first_of_its_name(path, row, item, seen)
    }))
}

/// Refuses an item that was there before.
pub(super) fn first_of_its_name(
    path: &Path,
    row: usize,
    item: NormItem,
    seen: &mut Seen,
) -> Result<NormItem, NormsError> {
    let name = (item.task.clone(), item.item_id.clone());
    if let Some(first) = seen.get(&name) {
        return Err(NormsError::DuplicateItem {
            path: path.into(),
            line: line(row),
            task: item.task,
            item_id: item.item_id,
            first: first.clone(),
        });
    }
    seen.insert(name, format!("{}, line {}", path.display(), line(row)));
    Ok(item)
}

pub(super) fn read_trials<'i>(
    path: &Path,
    items: impl Iterator<Item = &'i NormItem>,
) -> Result<Rows<(String, Trial)>, NormsError> {
    let sheet = Sheet::open(path)?;
    sheet.spelt(&TRIAL_COLUMNS)?;
    let known: BTreeSet<(&str, &str)> = items
        .map(|i| (i.task.as_str(), i.item_id.as_str()))
        .collect();
    Ok(Rows::read(&sheet, TRIAL_COLUMNS, |columns, row| {
        let [task, item_id, subject, rt, correct, repeat] = columns;
        let (task, item_id) = (task.name_at(row)?, item_id.name_at(row)?);
        if !known.contains(&(task.as_str(), item_id.as_str())) {
            return Err(NormsError::UnknownItem {
                path: path.into(),
                line: line(row),
                task,
                item_id,
            });
        }
        let time = "a time in milliseconds";
        let trial = Trial {
            item_id,
            subject: subject.name_at(row)?,
            rt_ms: rt
                .number_at(row, time, |v| v >= 0.0)?
                .ok_or_else(|| rt.bad(row, time, ""))?,
            correct: match correct.field(row) {
                Some("1" | "true") => true,
                Some("0" | "false") => false,
                _ => return Err(correct.bad(row, "1 or 0", "")),
            },
            repeat: match repeat.field(row).map(str::parse) {
                Some(Ok(count)) => count,
                _ => return Err(repeat.bad(row, "a count", "")),
            },
        };
        Ok((task, trial))
    }))
}

/// The folders with an `items.csv`: this one, or else those directly below, by name.
pub(super) fn folders(folder: &Path) -> Result<Vec<PathBuf>, NormsError> {
    if folder.join("items.csv").is_file() {
        return Ok(vec![folder.into()]);
    }
    let entries = std::fs::read_dir(folder).map_err(|error| NormsError::Unreadable {
        path: folder.into(),
        detail: error.to_string(),
    })?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join("items.csv").is_file())
        .collect();
    found.sort();
    if found.is_empty() {
        return Err(NormsError::NoItems {
            folder: folder.into(),
        });
    }
    Ok(found)
}

/// What [`Norms::read`] reads in a folder.
const READ: [&str; 3] = ["items.csv", "trials.csv", "source.txt"];

/// Where imported times come from: the folders, each with what its `source.txt` says.
fn source(places: &[String]) -> String {
    match places {
        [] => "item means from the given folder".into(),
        names => format!("item means from {}", names.join(", ")),
    }
}

/// A folder's name, with its source where it says so.
fn place(folder: &Path) -> Option<String> {
    let name = folder.file_name()?.to_string_lossy();
    let said = text::string(&folder.join("source.txt")).unwrap_or_default();
    Some(
        match said.split_whitespace().collect::<Vec<_>>().join(" ") {
            said if said.is_empty() => name.into_owned(),
            said => format!("{name} ({said})"),
        },
    )
}

impl Norms {
    /// Reads the norms of `tasks` (of all tasks, where none is named) from a folder
    /// holding an `items.csv`, or from one holding several such folders.
    ///
    /// `folder` may also be a data set, a `.jsonl` or `.parquet` file with a row an item.
    ///
    /// A task that is asked for and not there is left out where others are there:
    /// a comparison says which of its tasks have no norms.
    pub fn read(folder: &Path, tasks: &[String]) -> Result<Self, NormsError> {
        let wanted = |task: &str| tasks.is_empty() || tasks.iter().any(|t| t == task);
        let (mut items, mut trials) = (Vec::new(), BTreeMap::<String, Vec<Trial>>::new());
        let (mut seen, mut present, mut names) = (HashMap::new(), BTreeSet::new(), Vec::new());
        if folder.is_file() {
            let task = data_set::task_of(folder);
            present.insert(task.clone());
            if wanted(&task) {
                items = data_set::read(folder, &task)?;
                names.extend(place(folder));
            }
        }
        let folders = if folder.is_file() {
            Vec::new()
        } else {
            folders(folder)?
        };
        for folder in folders {
            let of_folder = read_items(&folder.join("items.csv"), &mut seen)?.all()?;
            present.extend(of_folder.iter().map(|item| item.task.clone()));
            if !of_folder.iter().any(|item| wanted(&item.task)) {
                continue;
            }
            let path = folder.join("trials.csv");
            if path.is_file() {
                for (task, trial) in read_trials(&path, of_folder.iter())?.all()? {
                    if wanted(&task) {
                        trials.entry(task).or_default().push(trial);
                    }
                }
            }
            names.extend(place(&folder));
            items.extend(of_folder.into_iter().filter(|item| wanted(&item.task)));
        }
        if items.is_empty() {
            return Err(NormsError::NoSuchTask {
                folder: folder.into(),
                wanted: tasks.join(", "),
                present: present.into_iter().collect::<Vec<_>>().join(", "),
            });
        }
        let norms = Self::new(items, source(&names));
        Ok(trials
            .into_iter()
            .fold(norms, |norms, (task, list)| norms.with_trials(&task, list)))
    }

    /// The files that [`Norms::read`] reads of that path.
    pub fn files(folder: &Path) -> Result<Vec<PathBuf>, NormsError> {
        if folder.is_file() {
            return Ok(vec![folder.into()]);
        }
        let files = |folder: PathBuf| READ.map(|name| folder.join(name));
        let files = folders(folder)?.into_iter().flat_map(files);
        Ok(files.filter(|path| path.is_file()).collect())
    }
}

#[cfg(test)]
mod tests;
