//! A base's place in the lab's own cache: the model, the log of its
//! pre-training, the workshop it is made in, and the hashes of the first two,
//! written last.
//!
//! An entry is taken only as it was written. One that was changed is made
//! again, as everything here can be, and that is said. An entry of an earlier
//! version has no hashes: where its model can be read it is taken as it is.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tch::Device;

use super::Base;
use crate::files::{self, Hashes};
use crate::model::Stored;
use crate::training;

/// One base of a folder of them.
pub(super) struct Entry {
    /// The folder of all bases.
    pub bases: PathBuf,
    /// Hash of everything that determines this one; its name.
    pub identity: String,
}

/// What an entry holds.
enum Found {
    Nothing,
    Whole,
    /// A model that can be read and no hashes.
    WithoutHashes,
    /// Something that is not as it was written, and what.
    Changed(anyhow::Error),
}

impl Entry {
    fn at(&self, ending: &str) -> PathBuf {
        self.bases.join(format!("{}{ending}", self.identity))
    }

    /// The model's folder.
    pub(super) fn model(&self) -> PathBuf {
        self.at("")
    }

    /// The log of the pre-training.
    pub(super) fn metrics(&self) -> PathBuf {
        self.at(".metrics.jsonl")
    }

    /// The folder of a pre-training that has not ended.
    pub(super) fn workshop(&self) -> PathBuf {
        self.at(".training")
    }

    /// What whoever makes this base locks.
    pub(super) fn lock(&self) -> PathBuf {
        self.at(".lock")
    }

    fn hashes(&self) -> PathBuf {
        self.at(".hashes.json")
    }

    /// The base, where it is there.
    pub(super) fn base(&self) -> Base {
        Base {
            path: self.model(),
            metrics: Some(self.metrics()),
        }
    }

    fn look(&self) -> Found {
        let checked = match std::fs::read(self.hashes()) {
            Ok(bytes) => serde_json::from_slice::<Hashes>(&bytes)
                .with_context(|| format!("reading {}", self.hashes().display()))
                .and_then(|hashes| {
                    ensure!(!hashes.is_empty(), "{} is empty", self.hashes().display());
                    files::check_hashes(&self.bases, &hashes)
                })
                .map(|()| Found::Whole),
            Err(_) if !self.model().exists() || self.workshop().exists() => Ok(Found::Nothing),
            Err(_) => Stored::open(&self.model())
                .and_then(|stored| stored.load(Device::Cpu))
                .and_then(|_| files::hash_file(&self.metrics()))
                .map(|_| Found::WithoutHashes),
        };
        checked.unwrap_or_else(Found::Changed)
    }

    /// Whether the base can be taken without anything being written, as from a
    /// cache that may only be read.
    pub(super) fn can_be_taken(&self) -> bool {
        if self.workshop().exists() {
            return false;
        }
        match self.look() {
            Found::Whole => true,
            Found::WithoutHashes => {
                tracing::warn!(
                    "the base model {} is of a version that kept no hashes; it is taken as it is",
                    self.model().display()
                );
                // Where they cannot be written the next run says the same again.
                let _ = self.seal();
                true
            }
            Found::Nothing | Found::Changed(_) => false,
        }
    }

    /// Whether the base is there, asked by whoever holds the lock. What is not
    /// as it was written is removed, to be made again.
    pub(super) fn is_there(&self) -> Result<bool> {
        files::remove_leftovers_of(&self.bases, &self.identity)?;
        match self.look() {
            Found::Whole | Found::WithoutHashes => return Ok(true),
            Found::Nothing => {}
            Found::Changed(why) => {
                tracing::warn!(
                    "a base model of the lab's own cache was changed ({why:#}); it is made again"
                );
                // The hashes last: until then what is left counts as changed.
                for path in [self.model(), self.metrics(), self.hashes()] {
                    remove(&path)?;
                }
            }
        }
        let workshop = self.workshop();
        if workshop.exists()
            && let Err(why) = training::check_stopped(&workshop, &self.identity)
        {
            tracing::warn!(
                "what was made of a base model of the lab's own cache was changed ({why:#}); \
                 it is made again from its beginning"
            );
            remove(&workshop)?;
        }
        Ok(false)
    }

    /// Writes down the hashes of a base that is all there.
    pub(super) fn seal(&self) -> Result<()> {
        let metrics = self.metrics();
        let metrics = metrics.file_name().unwrap_or_default().to_string_lossy();
        let hashes = files::hash_all(&self.bases, &[&self.identity, &metrics])?;
        files::write_whole(&self.hashes(), &serde_json::to_vec_pretty(&hashes)?)
    }

    /// Removes what only the making needed.
    pub(super) fn tidy(&self) -> Result<()> {
        remove(&self.workshop())
    }

    /// What helps where the file system refuses something of the entry.
    pub(super) fn way_out(&self) -> String {
        format!(
            "the base model {} of the lab's own cache, {}: what lies there may be removed, it is made again; \
             XDG_CACHE_HOME chooses another folder",
            self.identity,
            self.bases.display()
        )
    }
}

/// Removes a file or a folder, where it is there.
fn remove(path: &Path) -> Result<()> {
    let removed = match path.symlink_metadata() {
        Err(_) => return Ok(()),
        Ok(kind) if kind.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
    };
    removed.with_context(|| format!("removing {}", path.display()))
}
