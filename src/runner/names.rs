//! The models and data files of a run that are named as the hub names them. What each
//! name stands for is settled when the run begins and recorded with its other inputs:
//! everything after that reads the definition with commits in place of the names'
//! revisions, and a run that goes on has what it began with.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, ensure};

use crate::config::{Definition, TEACHER, table_of};
use crate::hub::{self, Commits, Hub, Looked, Name};

/// What is done about a name that the cache has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is downloaded.
    Fetched,
    /// It is said what would be.
    Reported,
}

/// What the names of a definition stand for.
#[derive(Default)]
pub(crate) struct Settled {
    /// Commits by the names as the definition has them.
    pub(crate) commits: Commits,
    /// What would have to be downloaded.
    pub(crate) absent: Vec<Absent>,
    /// Names that the cache has at other commits than the run began with, a sentence each.
    pub(crate) moved: Vec<String>,
}

/// A name that the cache has not.
pub(crate) struct Absent {
    /// The table of a base, or the key of a data file.
    pub(crate) place: String,
    /// Whether it is a data file.
    pub(crate) is_data: bool,
    /// What would be done, in a line.
    pub(crate) line: String,
}

/// A place of a definition that may hold a name.
enum Named<'a> {
    Model(&'a mut String),
    Data(&'a mut PathBuf),
}

impl Named<'_> {
    /// The name that it holds; `None` where it is a path, or a name of the lab's own.
    fn name(&self, folder: &Path) -> Result<Option<Name>> {
        match self {
            Self::Model(model) => hub::model_name(model, folder),
            Self::Data(path) => Name::data(path),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Model(model) => (*model).clone(),
            Self::Data(path) => path.display().to_string(),
        }
    }

    fn set(&mut self, text: String) {
        match self {
            Self::Model(model) => **model = text,
            Self::Data(path) => **path = text.into(),
        }
    }
}

/// The places of a definition that may hold names: of a base its table, of a data file
/// its key.
fn places(definition: &mut Definition) -> Vec<(String, Named<'_>)> {
    let mut places = Vec::new();
    let model = definition.base.model.as_mut();
    places.extend(model.map(|model| ("base".to_owned(), Named::Model(model))));
    for (name, settings) in &mut definition.tasks.data {
        places.push((
            format!("tasks.data.{name}"),
            Named::Data(&mut settings.path),
        ));
    }
    let teacher = definition.teacher.iter_mut();
    let teacher = teacher.map(|teacher| (TEACHER, teacher));
    let arms = definition.arm.iter_mut();
    for (name, stage) in teacher.chain(arms.map(|(name, arm)| (name.as_str(), arm))) {
        let place = table_of(name);
        let base = stage.base.as_mut().and_then(|base| base.model.as_mut());
        places.extend(base.map(|model| (format!("{place}.base"), Named::Model(model))));
        for (key, shown) in [
            ("traces", &mut stage.traces),
            ("demonstrations", &mut stage.demonstrations),
        ] {
            let file = shown.as_mut().and_then(|shown| shown.file.as_mut());
            places.extend(file.map(|file| (format!("{place}.{key}.file"), Named::Data(file))));
        }
    }
    places
}

/// Puts commits into the names of a definition: those of `known` by their names, else
/// what the cache has, else what the hub says. `None` where the user wants to stop.
pub(crate) fn settle(
    definition: &mut Definition,
    folder: &Path,
    known: &Commits,
    missing: Missing,
    stop: &AtomicBool,
) -> Result<Option<Settled>> {
    let mut settled = Settled::default();
    for (place, mut named) in places(definition) {
        let key = if let Named::Model(_) = named {
            format!("{place}.model")
        } else {
            place.clone()
        };
        let Some(name) = named.name(folder).with_context(|| key.clone())? else {
            let text = named.text();
            ensure!(
                !known.contains_key(&text),
                "{key} = {text:?} was a name on the hub when the run began, and now a file or folder has it; move that away, or begin another run with --out"
            );
            continue;
        };
        let hub = Hub::of_user()?;
        let begun = known.get(&name.to_string());
        let commit = begun.or(settled.commits.get(&name.to_string()));
        let wanted = commit.map_or_else(|| name.clone(), |commit| name.at(commit));
        let is_data = matches!(named, Named::Data(_));
        let context = || {
            let what = format!("{key} = {:?}", named.text());
            match begun {
                Some(commit) => format!(
                    "{what}: the run began with commit {commit}; another run, with --out, begins with what the name stands for now"
                ),
                None if is_data => what,
                None => format!("{what}: {}", hub::no_path(&named.text())),
            }
        };
        let found = match missing {
            Missing::Fetched => {
                let Some(found) = hub.fetch(&wanted, stop).with_context(context)? else {
                    return Ok(None);
                };
                found
            }
            Missing::Reported => match hub.look(&wanted).with_context(context)? {
                Looked::There(found, _) => found,
                Looked::Lacks(why) => {
                    let line = hub.would_download(&why).with_context(context)?;
                    settled.absent.push(Absent {
                        line: format!("{key} = {:?}: {line}", named.text()),
                        place,
                        is_data,
                    });
                    continue;
                }
            },
        };
        if let (Some(begun), Ok(Looked::There(now, _))) = (begun, hub.look(&name))
            && now.commit != *begun
        {
            settled.moved.push(format!(
                "{key} = {:?} is {} by now; the run goes on with {begun}, with which it began",
                named.text(),
                now.commit
            ));
        }
        named.set(name.at(&found.commit).to_string());
        settled.commits.insert(name.to_string(), found.commit);
    }
    Ok(Some(settled))
}

/// Takes the commits out of the names again: the definition as it was written.
pub(crate) fn as_written(mut definition: Definition, commits: &Commits) -> Definition {
    for (_, mut named) in places(&mut definition) {
        let text = named.text();
        let of_name = |(name, commit): &(&String, &String)| match &named {
            Named::Model(_) => Name::model(name).map(|name| name.at(commit).to_string()),
            Named::Data(_) => {
                let name = Name::data(Path::new(name)).ok().flatten();
                name.map(|name| name.at(commit).to_string())
            }
        } == Some(text.clone());
        if let Some((written, _)) = commits.iter().find(of_name) {
            named.set(written.clone());
        }
    }
    definition
}

#[cfg(test)]
mod tests {
    use rewards::Registry;

    use super::*;

    const QUICKSTART: &str = include_str!("../../experiments/definitions/quickstart.toml");
    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn names_with_commits_become_what_was_written() {
        let registry = Registry::builtin();
        let mut written = Definition::parse(QUICKSTART, &registry, Path::new("")).unwrap();
        let file = "hf://datasets/org/data@v1/rows.parquet";
        written.base.model = Some("org/name".to_owned());
        let teacher = written.teacher.as_mut().unwrap();
        teacher.traces.as_mut().unwrap().file = Some(file.into());
        let mut pinned = written.clone();
        for (_, mut named) in places(&mut pinned) {
            if let Some(name) = named.name(Path::new("")).unwrap() {
                named.set(name.at(COMMIT).to_string());
            }
        }
        let expected = format!("org/name@{COMMIT}");
        assert_eq!(pinned.base.model.as_deref(), Some(expected.as_str()));
        let commits = ["org/name", file].map(|name| (name.to_owned(), COMMIT.to_owned()));
        let again = as_written(pinned, &commits.into());
        assert_eq!(again, written);
    }
}
