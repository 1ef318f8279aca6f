//! Import of norms from a folder: `items.csv`, and `trials.csv` where there is one.
//!
//! A parent folder is taken as well: then each of its folders that holds an
//! `items.csv` is read and the others are passed over. Every row is checked;
//! the first thing wrong is one error that names file, line and column.

mod sheet;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use sheet::Sheet;

use super::{NormItem, Norms, NormsError, Trial};

fn read_items(
    path: &Path,
    seen: &mut HashMap<(String, String), String>,
) -> Result<Vec<NormItem>, NormsError> {
    let sheet = Sheet::open(path)?;
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
    ] = [
        "task",
        "item_id",
        "prompt",
        "answer",
        "condition",
        "n",
        "mean_rt_ms",
        "mean_log_rt",
        "accuracy",
    ]
    .map(|name| sheet.column(name));
    let (task, item_id, prompt, answer) = (task?, item_id?, prompt?, answer?);
    let (condition, n, mean_rt, mean_log, accuracy) =
        (condition?, n?, mean_rt?, mean_log?, accuracy?);
    (0..sheet.height())
        .map(|row| {
            let item = NormItem {
                task: task.name_at(row)?,
                item_id: item_id.name_at(row)?,
                prompt: prompt.text_at(row).unwrap_or_default(),
                answer: answer.text_at(row).unwrap_or_default(),
                condition: condition.text_at(row),
                n: n.number_at(row, "a count", |v| v >= 0.0)?,
                mean_rt_ms: mean_rt
                    .number_at(row, "a time above 0 in milliseconds", |v| v > 0.0)?,
                mean_log_rt: mean_log.number_at(row, "a mean logarithm", |_| true)?,
                accuracy: accuracy
                    .number_at(row, "a share from 0 to 1", |v| (0.0..=1.0).contains(&v))?,
            };
            let here = format!("{}, line {}", path.display(), row + 2);
            match seen.insert((item.task.clone(), item.item_id.clone()), here) {
                None => Ok(item),
                Some(first) => Err(NormsError::DuplicateItem {
                    path: path.into(),
                    line: row + 2,
                    task: item.task,
                    item_id: item.item_id,
                    first,
                }),
            }
        })
        .collect()
}

fn read_trials(
    path: &Path,
    items: &[NormItem],
) -> Result<BTreeMap<String, Vec<Trial>>, NormsError> {
    let sheet = Sheet::open(path)?;
    let [task, item_id, subject, rt, correct, repeat] =
        ["task", "item_id", "subject", "rt_ms", "correct", "repeat"].map(|name| sheet.column(name));
    let (task, item_id, subject, rt, correct, repeat) =
        (task?, item_id?, subject?, rt?, correct?, repeat?);
    let known: BTreeSet<(&str, &str)> = items
        .iter()
        .map(|i| (i.task.as_str(), i.item_id.as_str()))
        .collect();
    let mut trials: BTreeMap<String, Vec<Trial>> = BTreeMap::new();
    for row in 0..sheet.height() {
        let (task, item_id) = (task.name_at(row)?, item_id.name_at(row)?);
        if !known.contains(&(task.as_str(), item_id.as_str())) {
            return Err(NormsError::UnknownItem {
                path: path.into(),
                line: row + 2,
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
            correct: match correct.texts[row] {
                Some("1" | "true") => true,
                Some("0" | "false") => false,
                _ => return Err(correct.bad(row, "1 or 0", "")),
            },
            repeat: match repeat.texts[row].map(str::trim).map(str::parse) {
                Some(Ok(count)) => count,
                _ => return Err(repeat.bad(row, "a count", "")),
            },
        };
        trials.entry(task).or_default().push(trial);
    }
    Ok(trials)
}

/// The folders with an `items.csv`: this one, or else those directly below, by name.
fn folders(folder: &Path) -> Result<Vec<PathBuf>, NormsError> {
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

/// Where imported times come from; the folders' own descriptions name source and licence.
fn source(folders: &[String]) -> String {
    match folders {
        [] => "item means from the given folder".into(),
        names => format!("item means from {}", names.join(", ")),
    }
}

impl Norms {
    /// Reads the norms of `tasks` (of all tasks, where none is named) from a folder
    /// holding an `items.csv`, or from one holding several such folders.
    ///
    /// A task that is asked for and not there is left out where others are there:
    /// a comparison says which of its tasks have no norms.
    pub fn read(folder: &Path, tasks: &[String]) -> Result<Self, NormsError> {
        let wanted = |task: &str| tasks.is_empty() || tasks.iter().any(|t| t == task);
        let (mut items, mut trials) = (Vec::new(), BTreeMap::<String, Vec<Trial>>::new());
        let (mut seen, mut present, mut names) = (HashMap::new(), BTreeSet::new(), Vec::new());
        for folder in folders(folder)? {
            let of_folder = read_items(&folder.join("items.csv"), &mut seen)?;
            present.extend(of_folder.iter().map(|item| item.task.clone()));
            if !of_folder.iter().any(|item| wanted(&item.task)) {
                continue;
            }
            let path = folder.join("trials.csv");
            if path.is_file() {
                for (task, list) in read_trials(&path, &of_folder)? {
                    if wanted(&task) {
                        trials.entry(task).or_default().extend(list);
                    }
                }
            }
            names.extend(
                folder
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
            );
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
}

#[cfg(test)]
mod tests;
