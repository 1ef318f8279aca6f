//! The files that a run reads from outside, as they were when it began.
//!
//! Their hashes are written into the run directory before the first stage, with
//! copies of what rewards are made of. Every stage reads the files where the
//! definition names them, as a program's neighbours lie there too, and is
//! refused where they have changed: arms and seeds of a run learn from the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::outside::OutsideFile;
use crate::error::{UserError, as_user_error};
use crate::files;
use crate::hub::Commits;

/// The file that a run's pins are in.
pub(crate) const PINS: &str = "inputs.json";

/// The folder of the copies, each in one of its hash's name.
pub(crate) const COPIES: &str = "inputs";

/// `inputs.json`.
///
/// Worked example: `{"definition": "7d31…", "files": {"rewards.py": "09ab…"}, "hub":
/// {"Qwen/Qwen3-0.6B": "c1899d…"}}`, of which `inputs/09ab…/rewards.py` is a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pins {
    /// Hash of the definition's text.
    pub(crate) definition: String,
    /// Hashes of the files, by their paths as the definition has them.
    pub(crate) files: BTreeMap<String, String>,
    /// Commits of models and data files on the hub, by their names as the definition
    /// has them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) hub: Commits,
}

impl Pins {
    /// What is there now.
    pub(super) fn of(definition: &str, files: &[OutsideFile], hub: Commits) -> Result<Self> {
        let pin = |file: &OutsideFile| Ok((file.name.clone(), files::hash_file(&file.path)?));
        Ok(Self {
            definition: files::hash(definition.as_bytes()),
            files: files.iter().map(pin).collect::<Result<_>>()?,
            hub,
        })
    }

    /// The same files, of a definition of that text.
    pub(crate) fn of_definition(self, text: &str) -> Self {
        Self {
            definition: files::hash(text.as_bytes()),
            ..self
        }
    }

    /// The pins of a run directory; `None` where there are none.
    pub(crate) fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join(PINS);
        if !path.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let pins = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is damaged: it holds the hashes of the files that the run began with; put it back as it was",
                path.display()
            )
        });
        as_user_error(pins).map(Some)
    }

    /// Writes them into a run directory.
    pub(crate) fn write(&self, run: &Path) -> Result<()> {
        files::write_whole(&run.join(PINS), &serde_json::to_vec_pretty(self)?)
    }

    /// Copies what is to be copied, unless it is there.
    pub(super) fn copy(&self, files: &[OutsideFile], run: &Path) -> Result<()> {
        for file in files.iter().filter(|file| file.copied) {
            let Some(copy) = self.copy_of(&file.name).map(|copy| run.join(copy)) else {
                continue;
            };
            if !copy.exists() {
                let bytes = std::fs::read(&file.path)
                    .with_context(|| format!("reading {}", file.path.display()))?;
                files::write_whole(&copy, &bytes)?;
            }
        }
        Ok(())
    }

    /// Where in a run directory the copy of a file lies, if there is one.
    fn copy_of(&self, name: &str) -> Option<PathBuf> {
        let hash = self.files.get(name)?;
        Some(
            Path::new(COPIES)
                .join(hash)
                .join(Path::new(name).file_name()?),
        )
    }

    /// The copies that a run directory has, by their paths in it.
    pub(super) fn copies(&self, run: &Path) -> Vec<PathBuf> {
        let copies = self.files.keys().filter_map(|name| self.copy_of(name));
        copies.filter(|copy| run.join(copy).is_file()).collect()
    }

    /// Refuses files that are others than when the run began.
    pub(super) fn check(&self, files: &[OutsideFile], run: &Path) -> Result<()> {
        for file in files {
            let pinned = self.files.get(&file.name);
            if pinned.is_some() && pinned == files::hash_file(&file.path).ok().as_ref() {
                continue;
            }
            let name = &file.name;
            let copy = self.copy_of(name).map(|copy| run.join(copy));
            let copy = copy.filter(|copy| copy.is_file());
            let copy = copy.map_or_else(String::new, |copy| {
                format!(" ({} is a copy)", copy.display())
            });
            let run = run.display();
            let what = if pinned.is_some() {
                format!(
                    "has changed or gone since the run in {run} began, which would learn from both; put it back{copy}"
                )
            } else {
                format!("was not there when the run in {run} began; take it away")
            };
            bail!(UserError(format!(
                "{name} {what} and go on with --resume, or begin another run with --out"
            )));
        }
        Ok(())
    }

    /// Refuses a definition that is another than when the run began.
    pub(super) fn check_definition(&self, text: &str, run: &Path) -> Result<()> {
        if self.definition != files::hash(text.as_bytes()) {
            bail!(UserError(format!(
                "{} was edited after the run began; put it back, or begin another run with --out",
                run.join(super::DEFINITION_FILE).display()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &Path, name: &str, text: &str) -> OutsideFile {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        OutsideFile {
            name: name.to_owned(),
            path,
            copied: true,
        }
    }

    #[test]
    fn a_file_that_changes_is_refused_by_name_with_its_copy() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let files = [file(folder.path(), "f.py", "one")];
        let pins = Pins::of("text", &files, Commits::new()).unwrap();
        pins.copy(&files, &run).unwrap();
        pins.write(&run).unwrap();
        let pins = Pins::read(&run).unwrap().unwrap();
        pins.check(&files, &run).unwrap();
        let [copy] = pins.copies(&run).try_into().unwrap();
        let changed = [file(folder.path(), "f.py", "two")];
        let error = pins.check(&changed, &run).unwrap_err();
        assert!(error.is::<UserError>());
        let error = error.to_string();
        let way_out = format!("{}/{} is a copy", run.display(), copy.display());
        for words in [
            "f.py has changed or gone",
            way_out.as_str(),
            "--resume",
            "--out",
        ] {
            assert!(error.contains(words), "{words}: {error}");
        }
        std::fs::copy(run.join(copy), folder.path().join("f.py")).unwrap();
        pins.check(&changed, &run).unwrap();
        let later = [file(folder.path(), "g.py", "new")];
        let error = pins.check(&later, &run).unwrap_err().to_string();
        assert!(error.contains("g.py was not there"), "{error}");
    }

    #[test]
    fn an_edited_definition_is_refused() {
        let pins = Pins::of("text", &[], Commits::new()).unwrap();
        pins.check_definition("text", Path::new("run")).unwrap();
        let error = pins.check_definition("texts", Path::new("run"));
        let error = error.unwrap_err().to_string();
        assert!(error.contains("run/definition.toml was edited"), "{error}");
    }
}
