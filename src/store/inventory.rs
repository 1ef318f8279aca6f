//! What is in the store, for who looks after it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::{Kind, LOCKS, Sealed, Store, USES};
use crate::files;

/// An entry as it lies there.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// Its name.
    pub(crate) address: String,
    /// What it is; `None` where it cannot be read.
    pub(crate) what: Option<(Kind, String)>,
    /// Seconds since 1970 when it was made.
    pub(crate) made: u64,
    /// Bytes of its files.
    pub(crate) bytes: u64,
    /// The run directories that are still there and have it.
    pub(crate) runs: Vec<PathBuf>,
}

impl Store {
    /// Where it lies.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every entry, by what it is.
    pub(crate) fn list(&self) -> Result<Vec<Listed>> {
        let mut found = Vec::new();
        for address in self.addresses()? {
            let at = self.at(&address);
            let sealed = Sealed::read(&at).ok();
            let uses = std::fs::read_to_string(at.join(USES)).unwrap_or_default();
            let runs = uses.lines().map(PathBuf::from);
            found.push(Listed {
                made: sealed.as_ref().map_or(0, |sealed| sealed.made),
                what: sealed.map(|sealed| (sealed.kind, sealed.what)),
                bytes: files::bytes(&at)?,
                runs: runs.filter(|run| run.exists()).collect(),
                address,
            });
        }
        found.sort_by(|one, other| one.what.cmp(&other.what));
        Ok(found)
    }

    /// What of an entry is not as it was written; `None` of one that is whole.
    pub(crate) fn damage(&self, address: &str) -> Option<anyhow::Error> {
        Sealed::check(&self.at(address)).err()
    }

    /// Removes an entry that nobody is making; false where somebody is.
    pub(crate) fn remove(&self, address: &str) -> Result<bool> {
        let Some(_claim) = self.claim(address)? else {
            return Ok(false);
        };
        let at = self.at(address);
        if at.exists() {
            std::fs::remove_dir_all(&at).with_context(|| format!("removing {}", at.display()))?;
        }
        Ok(true)
    }

    /// The names of all entries.
    fn addresses(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        if !self.folder.exists() {
            return Ok(names);
        }
        let reading = || format!("reading {}", self.folder.display());
        for entry in std::fs::read_dir(&self.folder).with_context(reading)? {
            let name = entry.with_context(reading)?.file_name();
            let name = name.to_string_lossy().into_owned();
            if name != LOCKS && !files::is_temporary(&name) {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }
}
