//! `extends = "FILE"`: a definition that writes only what differs from another.
//!
//! Tables are merged key by key, and the extending file wins; values and arrays are
//! replaced whole. `remove = ["arm.grpo"]` takes inherited keys away before that.
//! What is read, checked, kept in the run directory and hashed is the merged whole.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use toml::{Table, Value};

use super::folder_of;
use super::inherited::rebase;
use super::overrides::apply_overrides;
use super::sources::{KeyPath, Source, Sources, commented, key_at, leading_key};

/// What a definition says of itself; it is not inherited, as a hypothesis that
/// nobody wrote for these arms would be.
const OWN: [&str; 3] = ["name", "title", "hypothesis"];

/// A definition's text with all that it inherits and all overrides in it.
pub(crate) struct Whole {
    /// The text: the file's own, byte for byte, where it extends nothing and nothing
    /// is overridden.
    pub(super) text: String,
    path: PathBuf,
    sources: Sources,
    is_as_written: bool,
}

/// A file with what it extends.
struct Merged {
    table: Table,
    sources: Sources,
    /// Its text, where it extends nothing.
    text: Option<String>,
}

impl Whole {
    /// Reads a definition file and those that it extends; `overrides` are `key=value`.
    pub(crate) fn read(path: &Path, overrides: &[String]) -> Result<Self> {
        let mut merged = read(path, &mut Vec::new())?;
        let is_as_written = merged.text.is_some() && overrides.is_empty();
        let text = match merged.text {
            Some(text) => text,
            None => toml::to_string(&merged.table)?,
        };
        let text = apply_overrides(&text, overrides).with_context(|| path.display().to_string())?;
        for entry in overrides {
            let key = entry.split_once('=').map_or("", |(key, _)| key);
            let key: KeyPath = key.trim().split('.').map(str::to_owned).collect();
            merged.sources.set(&key, &Source::Override(entry.clone()));
        }
        Ok(Self {
            text,
            path: path.to_owned(),
            sources: merged.sources,
            is_as_written,
        })
    }

    /// The text with a comment behind each value that comes from elsewhere than the
    /// file itself, another file or `--set`.
    pub(crate) fn commented(&self) -> String {
        commented(&self.text, |key| match self.sources.of(key)? {
            Source::File(path, _) if *path == self.path => None,
            Source::File(path, line) => {
                let folder = folder_of(&self.path);
                let path = path.strip_prefix(folder).unwrap_or(path);
                Some(Source::File(path.to_owned(), *line).to_string())
            }
            Source::Override(_) => Some("--set".to_owned()),
        })
    }

    /// Says of an error of reading or checking the text where the key that it is
    /// about was written.
    pub(super) fn locate(&self, error: anyhow::Error) -> anyhow::Error {
        let of_toml = error.downcast_ref::<toml::de::Error>();
        let key = match of_toml {
            // TOML's own message quotes the line.
            Some(_) if self.is_as_written => None,
            // What the whole lacks has an empty span.
            Some(error) => error
                .span()
                .filter(|span| !span.is_empty())
                .and_then(|span| key_at(&self.text, span.start)),
            None => Some(leading_key(&format!("{error:#}"))),
        };
        let source = key.as_ref().and_then(|key| self.sources.of(key));
        let place = match source {
            Some(source @ Source::File(..)) => source.to_string(),
            Some(source) => format!("{} with {source}", self.path.display()),
            None => self.path.display().to_string(),
        };
        let mixed = key.as_ref().and_then(|key| self.mixed(key));
        let error = match (of_toml, key) {
            (Some(_), _) if self.is_as_written => error,
            (Some(toml), Some(key)) => anyhow!("{}: {}", key.join("."), toml.message()),
            (Some(toml), None) => anyhow!("{}", toml.message()),
            (None, _) => error,
        };
        match mixed {
            Some(mixed) => anyhow!("{error:#} ({mixed})").context(place),
            None => error.context(place),
        }
    }

    /// What is to be known of a table whose keys come from several files.
    fn mixed(&self, table: &[String]) -> Option<String> {
        let files = self.sources.files_below(table);
        let files: Vec<String> = files
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        let table = table.join(".");
        (files.len() > 1).then(|| {
            format!(
                "the keys of {table} come from {}; remove = [\"{table}.KEY\"] takes an inherited one away",
                files.join(" and ")
            )
        })
    }
}

/// Reads a file that those in `below` extend, the outermost first.
fn read(path: &Path, below: &mut Vec<PathBuf>) -> Result<Merged> {
    let text = experiments::text::string(path).with_context(|| {
        format!(
            "reading {}: a definition is a TOML file such as experiments/definitions/quickstart.toml",
            path.display()
        )
    })?;
    let place = || path.display().to_string();
    let mut own: Table = toml::from_str(&text).with_context(place)?;
    let mut own_sources = Sources::of_file(&text, path);
    let mut take = |key: &str| {
        let value = own.remove(key);
        let path = [key.to_owned()];
        let place = own_sources.of(&path).map_or_else(place, Source::to_string);
        own_sources.remove(&path);
        (value, place)
    };
    let (extends, extends_place) = take("extends");
    let (remove, remove_place) = take("remove");
    let Some(extends) = extends else {
        ensure!(
            remove.is_none(),
            "{remove_place}: remove takes away what a definition inherits, and this one inherits nothing; add extends = \"FILE\", or remove the key"
        );
        return Ok(Merged {
            table: own,
            sources: own_sources,
            text: Some(text),
        });
    };
    let Value::String(extends) = extends else {
        bail!(
            "{extends_place}: extends = {extends}: write the path of one definition, such as extends = \"quickstart.toml\""
        );
    };
    for key in OWN {
        let experiment = own.get("experiment");
        ensure!(
            experiment.is_some_and(|experiment| experiment.get(key).is_some()),
            "{extends_place}: experiment.{key} is not inherited: write it under [experiment] in this file"
        );
    }
    let is_at = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    below.push(is_at);
    let parent = folder_of(path).join(&extends);
    let in_circle = std::fs::canonicalize(&parent).is_ok_and(|parent| below.contains(&parent));
    ensure!(
        !in_circle,
        "{extends_place}: extends = {extends:?}: definitions extend each other in a circle; let one of them extend nothing"
    );
    let merged =
        read(&parent, below).with_context(|| format!("{extends_place}: extends = {extends:?}"))?;
    let Merged {
        mut table,
        mut sources,
        ..
    } = merged;
    rebase(
        &mut table,
        folder_of(&parent),
        folder_of(Path::new(&extends)),
    );
    for key in removals(remove).with_context(|| remove_place.clone())? {
        take_away(&mut table, &key)
            .with_context(|| format!("{remove_place}: remove {:?}", key.join(".")))?;
        sources.remove(&key);
    }
    merge(&mut table, own, &mut Vec::new(), &mut sources);
    sources.extend(own_sources);
    Ok(Merged {
        table,
        sources,
        text: None,
    })
}

/// The keys that `remove` names.
fn removals(remove: Option<Value>) -> Result<Vec<KeyPath>> {
    let wrong = "remove: write a list of dotted keys, such as [\"arm.grpo\", \"question\"]";
    let listed = match remove {
        None => return Ok(Vec::new()),
        Some(Value::Array(listed)) => listed,
        Some(_) => bail!(wrong),
    };
    let mut keys = Vec::new();
    for key in listed {
        let key = key.as_str().context(wrong)?;
        let parsed = toml_edit::Key::parse(key);
        let parsed = parsed.with_context(|| format!("remove {key:?} is no key"))?;
        keys.push(parsed.iter().map(|part| part.get().to_owned()).collect());
    }
    Ok(keys)
}

fn take_away(table: &mut Table, key: &[String]) -> Result<()> {
    let nothing = "the definition that is extended has no such key";
    let (last, tables) = key.split_last().context(nothing)?;
    let mut at = table;
    for part in tables {
        let inner = at.get_mut(part).and_then(Value::as_table_mut);
        at = inner.context(nothing)?;
    }
    at.remove(last).context(nothing).map(drop)
}

/// Merges a file's own keys into what it inherits, and forgets the sources of what
/// they replace.
fn merge(inherited: &mut Table, own: Table, above: &mut KeyPath, sources: &mut Sources) {
    for (key, value) in own {
        above.push(key.clone());
        match (inherited.get_mut(&key), value) {
            (Some(Value::Table(inherited)), Value::Table(own)) => {
                merge(inherited, own, above, sources);
            }
            (_, value) => {
                sources.remove(above);
                inherited.insert(key, value);
            }
        }
        above.pop();
    }
}

#[cfg(test)]
mod tests;
