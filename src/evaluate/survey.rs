//! The evaluations that lie in a folder, looked at from outside. It never
//! writes.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use super::directory::{IDENTITY, JOURNAL};
use crate::files;
use crate::runner::finish::MANIFEST;
use crate::runner::survey::State;

/// An evaluation as it stands.
///
/// Worked example: an evaluation of the server's model `m` that was stopped is `Stopped`, and its title
/// "Evaluation of m".
pub(crate) struct Evaluated {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Title for people.
    pub(crate) title: String,
    /// How far it is.
    pub(crate) state: State,
}

impl Evaluated {
    /// The evaluations among `folder` itself and the folders in it, by path. What
    /// is none is passed over; one that cannot be read has that as its title.
    pub(crate) fn all(folder: &Path) -> Result<Vec<Self>> {
        let reading = || format!("reading {}", folder.display());
        let mut places = vec![folder.to_owned()];
        for entry in std::fs::read_dir(folder).with_context(reading)? {
            places.push(entry.with_context(reading)?.path());
        }
        places.retain(|place| place.join(IDENTITY).is_file());
        places.sort();
        Ok(places.into_iter().map(Self::of).collect())
    }

    fn of(folder: PathBuf) -> Self {
        let manifest = folder.join(MANIFEST);
        let (state, title) = if manifest.exists() {
            let title = read(&manifest).map(|manifest| match manifest["title"].as_str() {
                Some(title) => title.to_owned(),
                None => "Evaluation".to_owned(),
            });
            (State::Finished, title)
        } else {
            let state = if files::is_file_locked(&folder.join(JOURNAL)) {
                State::GoingOn
            } else {
                State::Stopped
            };
            (
                state,
                read(&folder.join(IDENTITY)).map(|identity| title(&identity)),
            )
        };
        Self {
            folder,
            title: title.unwrap_or_else(|error| format!("{error:#}")),
            state,
        }
    }
}

fn read(path: &Path) -> Result<Value> {
    let reading = || format!("reading {}", path.display());
    let bytes = std::fs::read(path).with_context(reading)?;
    serde_json::from_slice(&bytes).with_context(reading)
}

/// What an evaluation is of, by its identity.
fn title(identity: &Value) -> String {
    let source = &identity["source"];
    let lists = [&source["models"], &identity["recordings"]];
    let listed = lists.into_iter().filter_map(Value::as_array).flatten();
    let names: Vec<&str> = listed
        .map(|one| &one["name"])
        .chain([&source["served_model"]])
        .filter_map(Value::as_str)
        .collect();
    format!("Evaluation of {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;

    #[test]
    fn evaluations_are_found_with_their_state_and_what_they_are_of() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("a/evaluation.json", r#"{"source": {"served_model": "m"}}"#);
        write("a/traces.jsonl", "");
        write(
            "b/evaluation.json",
            r#"{"recordings": [{"name": "r.jsonl"}]}"#,
        );
        write("b/manifest.json", r#"{"title": "Three models"}"#);
        write("c/evaluation.json", "{");
        write("run/definition.toml", "");
        let seen = || {
            let all = Evaluated::all(folder.path()).unwrap();
            let all = all.into_iter().map(|one| (one.state, one.title));
            all.collect::<Vec<_>>()
        };
        let [a, b, c] = seen().try_into().unwrap();
        assert_eq!(a, (State::Stopped, "Evaluation of m".to_owned()));
        assert_eq!(b, (State::Finished, "Three models".to_owned()));
        assert!(c.1.starts_with("reading") && c.1.contains("EOF"), "{}", c.1);
        let held = File::open(folder.path().join("a/traces.jsonl")).unwrap();
        held.lock().unwrap();
        assert_eq!(seen()[0].0, State::GoingOn);
        drop(held);
        write(
            "a/evaluation.json",
            r#"{"source": {"models": [{"name": "x"}, {"name": "y"}]}}"#,
        );
        assert_eq!(seen()[0].1, "Evaluation of x, y");
    }
}
