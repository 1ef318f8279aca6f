//! What is asked: the items of the tasks, in the words of their instructions,
//! with the norms that their answers are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use experiments::norms::{NormItem, Norms, NormsError, conditions};

use crate::config::BUILTIN_NORMS;
use crate::tasks::{self, EvaluationItem, PROBLEM, grading};

/// The norms of `tasks` (of all there are, where none is named) from several
/// folders; `None` where the built-in ones are meant.
pub(crate) fn norms(folders: &[PathBuf], tasks: &[String]) -> Result<Option<Norms>> {
    if folders.is_empty() || folders == [PathBuf::from(BUILTIN_NORMS)] {
        return Ok(None);
    }
    let mut items: Vec<NormItem> = Vec::new();
    let mut trials = Vec::new();
    let mut sources = Vec::new();
    let mut owner: BTreeMap<String, &Path> = BTreeMap::new();
    let mut without = None;
    for folder in folders {
        let all = match Norms::read(folder, tasks) {
            Ok(norms) => norms,
            // Another folder may hold them.
            Err(error @ NormsError::NoSuchTask { .. }) => {
                without = Some(error);
                continue;
            }
            Err(error) => return Err(error).context("--norms"),
        };
        for task in all.tasks() {
            if let Some(first) = owner.insert(task.to_owned(), folder) {
                bail!(
                    "--norms: {} and {} both hold {task}; give one of them",
                    first.display(),
                    folder.display()
                );
            }
            items.extend(all.items(task).iter().cloned());
            trials.push((task.to_owned(), all.trials(task).to_vec()));
        }
        sources.push(all.source().to_owned());
    }
    if let Some(error) = without.filter(|_| items.is_empty()) {
        return Err(error).context("--norms");
    }
    let norms = Norms::new(items, sources.join("; "));
    Ok(Some(
        trials
            .into_iter()
            .filter(|(_, trials)| !trials.is_empty())
            .fold(norms, |norms, (task, trials)| {
                norms.with_trials(&task, trials)
            }),
    ))
}

/// The items of the tasks and their norms: those of `given`, or the built-in ones.
pub(crate) fn items(
    names: &[String],
    given: Option<Norms>,
) -> Result<(Vec<EvaluationItem>, Norms)> {
    if let Some(norms) = given {
        let mut items = Vec::new();
        for name in names {
            ensure!(
                !norms.items(name).is_empty(),
                "--norms: there are no items of the task {name}; there are: {}",
                norms.tasks().into_iter().collect::<Vec<_>>().join(", ")
            );
            items.extend(norms.items(name).iter().map(|item| EvaluationItem {
                task: item.task.clone(),
                item_id: item.item_id.clone(),
                prompt: item.prompt.clone(),
                answer: item.answer.clone(),
                condition: item.condition.clone().unwrap_or_default(),
            }));
        }
        return Ok((items, norms));
    }
    let mut items = Vec::new();
    for name in names {
        items.extend(tasks::by_name(name)?.evaluation_items());
    }
    let norms = items
        .iter()
        .map(|item| {
            let condition = conditions::lookup(&item.task, &item.condition);
            NormItem {
                task: item.task.clone(),
                item_id: item.item_id.clone(),
                prompt: item.prompt.clone(),
                answer: item.answer.clone(),
                condition: Some(item.condition.clone()),
                n: condition.map(|c| f64::from(c.trials)),
                mean_rt_ms: condition.map(|c| c.mean_rt_ms),
                mean_log_rt: condition.map(|c| c.mean_log_rt),
                accuracy: condition.map(|c| c.accuracy),
            }
        })
        .collect();
    Ok((items, Norms::new(norms, conditions::CITATION.to_owned())))
}

/// The grade of a completion; `None` where the item has no right answer.
pub(crate) fn grade(item: &EvaluationItem, completion: &str) -> Option<bool> {
    (!item.answer.is_empty()).then(|| grading::grade(&item.answer, completion))
}

/// How each task's problems are asked, from a TOML file: `task = "text"`, in
/// which `{problem}` stands for the problem.
pub(crate) fn instructions(path: &Path, names: &[String]) -> Result<BTreeMap<String, String>> {
    let place = || format!("--instructions {}", path.display());
    let text = std::fs::read_to_string(path).with_context(place)?;
    let instructions: BTreeMap<String, String> = toml::from_str(&text).with_context(place)?;
    for (task, instruction) in &instructions {
        ensure!(
            names.contains(task),
            "{}: {task} is not evaluated; the tasks are {}",
            place(),
            names.join(", ")
        );
        ensure!(
            instruction.contains(PROBLEM),
            "{}: the text for {task} does not hold {PROBLEM}, which stands for the problem",
            place()
        );
    }
    Ok(instructions)
}
