//! What is asked: the items of the tasks, in the words of their instructions,
//! with the norms that their answers are compared with.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use experiments::norms::{Norms, NormsError};

use crate::tasks::{BUILTIN_NORMS, PROBLEM};

/// The norms of `tasks` (of all there are, where none is named) from several
/// folders; `None` where the built-in ones are meant.
pub(crate) fn norms(folders: &[PathBuf], tasks: &[String]) -> Result<Option<Norms>> {
    if folders.is_empty() || folders == [PathBuf::from(BUILTIN_NORMS)] {
        return Ok(None);
    }
    let mut norms = Norms::default();
    let mut owner: BTreeMap<String, &Path> = BTreeMap::new();
    let mut without = None;
    for folder in folders {
        let more = match Norms::read(folder, tasks) {
            Ok(more) => more,
            // Another folder may hold them.
            Err(error @ NormsError::NoSuchTask { .. }) => {
                without = Some(error);
                continue;
            }
            Err(error) => return Err(error).context("--norms"),
        };
        for task in more.tasks() {
            if let Some(first) = owner.insert(task.to_owned(), folder) {
                bail!(
                    "--norms: {} and {} both hold {task}; give one of them",
                    first.display(),
                    folder.display()
                );
            }
        }
        norms = norms.and(more);
    }
    match without.filter(|_| owner.is_empty()) {
        Some(error) => Err(error).context("--norms"),
        None => Ok(Some(norms)),
    }
}

/// How each task's problems are asked, from a TOML file: `task = "text"`, in
/// which `{problem}` stands for the problem.
pub(crate) fn instructions(path: &Path, names: &[String]) -> Result<BTreeMap<String, String>> {
    let place = || format!("--instructions {}", path.display());
    let text = experiments::text::string(path).with_context(place)?;
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
