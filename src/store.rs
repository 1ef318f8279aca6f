//! The store: what trainings, evaluations and teachers left, each under the hash of
//! everything that determines it, for whichever run asks for it next.
//!
//! An entry is a folder of the user's cache that is whole or absent: it is written under
//! another name and renamed, and taken only where every file has the hash it had. One
//! that was changed is made again, as everything here can be, and that is said. Who makes
//! an entry holds its lock; others do something else meanwhile, or wait.
//!
//! Files of 16 MiB and more are links to the same bytes wherever the file system has
//! such links, so that large weights lie on the disk once; smaller ones are copies.

mod inventory;

use std::fs::{File, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::files::{self, Hashes};

pub(crate) use inventory::Listed;

/// Version of an entry's form.
const FORMAT: u32 = 1;

/// What an entry says of itself, beside its files.
const ENTRY: &str = "entry.json";

/// The run that made an entry and those that took it, a path a line.
const USES: &str = "uses";

/// The folder of the locks.
const LOCKS: &str = "locks";

/// Files of so many bytes and more are linked rather than copied.
const LINKED: u64 = 16 << 20;

/// Where the cache lies: `$XDG_CACHE_HOME/qinglan`, else `~/.cache/qinglan`.
pub(crate) fn cache_folder() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(home)
        .map(|cache| cache.join("qinglan"))
        .context("neither XDG_CACHE_HOME nor HOME is set: say with XDG_CACHE_HOME where the store and models are kept")
}

/// Folder of models that were brought from elsewhere.
pub(crate) fn models_folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("models"))
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A model and the log of its training.
    Model,
    /// A model's answers to an evaluation.
    Evaluation,
    /// Traces of a model that others imitate.
    Traces,
    /// Number formats as they were measured.
    Formats,
}

impl Kind {
    /// The kind in a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Evaluation => "evaluation",
            Self::Traces => "traces",
            Self::Formats => "formats",
        }
    }
}

/// What is kept, and for whom.
pub(crate) struct Label<'a> {
    /// What it is.
    pub(crate) kind: Kind,
    /// What people call it, such as `sft seed 1 of quickstart`.
    pub(crate) what: String,
    /// The run directory that makes or takes it.
    pub(crate) run: &'a Path,
}

/// `entry.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sealed {
    format: u32,
    kind: Kind,
    what: String,
    /// Seconds since 1970 when it was made.
    made: u64,
    /// What whoever made it says of it.
    facts: Value,
    files: Hashes,
    /// Hash of all of the above.
    seal: String,
}

impl Sealed {
    fn hash(&self) -> Result<String> {
        let unsealed = Self {
            seal: String::new(),
            ..self.clone()
        };
        Ok(files::hash(&serde_json::to_vec(&unsealed)?))
    }

    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(ENTRY);
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let sealed: Self = serde_json::from_slice(&bytes)
            .with_context(|| format!("{} is damaged", path.display()))?;
        ensure!(
            sealed.format == FORMAT && sealed.seal == sealed.hash()?,
            "{} is not as it was written",
            path.display()
        );
        Ok(sealed)
    }

    /// The same, and that all files are as they were written.
    fn check(folder: &Path) -> Result<Self> {
        let sealed = Self::read(folder)?;
        files::check_hashes(folder, &sealed.files)?;
        Ok(sealed)
    }
}

/// The user's store.
pub(crate) struct Store {
    folder: PathBuf,
}

/// The right to make an entry, for as long as it is there.
pub(crate) struct Claim {
    _lock: File,
}

impl Store {
    /// That of the cache.
    pub(crate) fn of_user() -> Result<Self> {
        Ok(Self {
            folder: cache_folder()?.join("store"),
        })
    }

    fn at(&self, address: &str) -> PathBuf {
        self.folder.join(address)
    }

    /// Puts the files of an entry into a folder and gives what was said of it, and whether
    /// another run made it; `None` where there is no whole one.
    pub(crate) fn take<T: DeserializeOwned>(
        &self,
        address: &str,
        to: &Path,
        run: &Path,
    ) -> Result<Option<(T, bool)>> {
        let from = self.at(address);
        if !from.exists() {
            return Ok(None);
        }
        // What is wrong with it is said by whoever makes it again.
        let Ok(sealed) = Sealed::check(&from) else {
            return Ok(None);
        };
        for name in sealed.files.keys() {
            place(&from, to, name)?;
        }
        let of_another = note_use(&from, run);
        let facts = serde_json::from_value(sealed.facts);
        let facts = facts.with_context(|| self.way_out(address))?;
        Ok(Some((facts, of_another)))
    }

    /// Claims an entry that is to be made; `None` where another process, or another job
    /// of this one, is making it. What is there and is not as it was written is removed.
    pub(crate) fn claim(&self, address: &str) -> Result<Option<Claim>> {
        let claimed = || {
            let path = self.folder.join(LOCKS).join(address);
            files::create_folder(&self.folder.join(LOCKS))?;
            let lock =
                File::create(&path).with_context(|| format!("creating {}", path.display()))?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => {
                    return Err(error).with_context(|| format!("locking {}", path.display()));
                }
                Ok(()) => {}
            }
            files::remove_leftovers_of(&self.folder, address)?;
            let at = self.at(address);
            if at.exists()
                && let Err(why) = Sealed::check(&at)
            {
                tracing::warn!("an entry of the store was changed ({why:#}); it is made again");
                std::fs::remove_dir_all(&at)
                    .with_context(|| format!("removing {}", at.display()))?;
            }
            Ok(Some(Claim { _lock: lock }))
        };
        claimed().with_context(|| self.way_out(address))
    }

    /// Whether somebody is making an entry.
    pub(crate) fn is_claimed(&self, address: &str) -> bool {
        files::is_file_locked(&self.folder.join(LOCKS).join(address))
    }

    /// Keeps those of the files and folders of these names that are in a folder, under an
    /// address that this process has claimed.
    pub(crate) fn keep(
        &self,
        address: &str,
        label: &Label<'_>,
        facts: &impl Serialize,
        (from, names): (&Path, &[&str]),
    ) -> Result<()> {
        let kept = || -> Result<()> {
            let aside = format!(".{address}.{}.partial", std::process::id());
            let aside = self.folder.join(aside);
            let files = files::hash_all(from, names)?;
            files::create_folder(&aside)?;
            for name in files.keys() {
                place(from, &aside, name)?;
            }
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let mut sealed = Sealed {
                format: FORMAT,
                kind: label.kind,
                what: label.what.clone(),
                made: since.map_or(0, |since| since.as_secs()),
                facts: serde_json::to_value(facts)?,
                files,
                seal: String::new(),
            };
            sealed.seal = sealed.hash()?;
            files::write_whole(&aside.join(ENTRY), &serde_json::to_vec_pretty(&sealed)?)?;
            note_use(&aside, label.run);
            let to = self.at(address);
            std::fs::rename(&aside, &to).with_context(|| format!("writing {}", to.display()))?;
            files::sync_folder(&self.folder)?;
            Ok(())
        };
        kept().with_context(|| self.way_out(address))
    }

    /// What helps where the file system refuses something of an entry.
    fn way_out(&self, address: &str) -> String {
        format!(
            "the entry {address} of the store {}: what lies there may be removed, it is made again; \
             XDG_CACHE_HOME chooses another folder",
            self.folder.display()
        )
    }
}

/// Puts a file below one folder under its name below another, in the place of what may be
/// there. The other folder is not made: where it was removed meanwhile, so it stays.
fn place(from: &Path, to: &Path, name: &str) -> Result<()> {
    let (source, target) = (from.join(name), to.join(name));
    let placing = || format!("copying {} to {}", source.display(), target.display());
    let mut folder = to.to_owned();
    for part in Path::new(name).parent().into_iter().flat_map(Path::iter) {
        folder.push(part);
        files::create_last_folder(&folder)?;
    }
    if target.exists() {
        std::fs::remove_file(&target).with_context(placing)?;
    }
    let large = source.metadata().with_context(placing)?.len() >= LINKED;
    if large && std::fs::hard_link(&source, &target).is_ok() {
        return Ok(());
    }
    let file = target.file_name().unwrap_or_default().to_string_lossy();
    let aside = target.with_file_name(format!(".{file}.{}.partial", std::process::id()));
    std::fs::copy(&source, &aside).with_context(placing)?;
    files::sync_file(&aside)?;
    std::fs::rename(&aside, &target).with_context(placing)?;
    files::sync_folder(&folder).with_context(placing)
}

/// Notes that a run has an entry; whether another run made it. Where it cannot be noted, as
/// in a cache that may only be read, the entry is taken all the same.
fn note_use(entry: &Path, run: &Path) -> bool {
    let Ok(run) = std::path::absolute(run) else {
        return true;
    };
    let path = entry.join(USES);
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    let run = run.display().to_string();
    if known.lines().all(|line| line != run) {
        let file = File::options().append(true).create(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{run}"));
    }
    // Who made it noted that first.
    known.lines().next() != Some(run.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store {
            folder: folder.path().join("store"),
        };
        (folder, store)
    }

    fn keep(store: &Store, folder: &Path) {
        let from = folder.join("from");
        std::fs::create_dir_all(from.join("model")).unwrap();
        std::fs::write(from.join("model/weights"), "0123").unwrap();
        std::fs::write(from.join("other"), "").unwrap();
        let label = Label {
            kind: Kind::Model,
            what: "sft seed 1".to_owned(),
            run: folder,
        };
        let files = ["model", "absent"];
        store
            .keep("a1", &label, &7, (&from, files.as_slice()))
            .unwrap();
    }

    #[test]
    fn what_is_kept_can_be_taken_and_claimed_by_one_alone() {
        let (folder, store) = store();
        let to = folder.path().join("to");
        std::fs::create_dir(&to).unwrap();
        assert_eq!(store.take::<u8>("a1", &to, folder.path()).unwrap(), None);
        let claim = store.claim("a1").unwrap();
        assert!(claim.is_some() && store.claim("a1").unwrap().is_none());
        assert!(store.is_claimed("a1") && !store.is_claimed("a2"));
        keep(&store, folder.path());
        drop(claim);
        assert!(store.claim("a1").unwrap().is_some());
        let own = store.take("a1", &to, folder.path()).unwrap();
        assert_eq!(own, Some((7u8, false)));
        let other = store.take("a1", &to, &folder.path().join("other")).unwrap();
        assert_eq!(other, Some((7u8, true)));
        assert_eq!(std::fs::read(to.join("model/weights")).unwrap(), b"0123");
        assert!(!to.join("other").exists());
        let gone = folder.path().join("gone");
        assert!(store.take::<u8>("a1", &gone, folder.path()).is_err());
        assert!(!gone.exists());
    }

    #[test]
    fn a_changed_entry_is_not_taken_and_goes_once_it_is_claimed() {
        for name in ["model/weights", ENTRY] {
            let (folder, store) = store();
            drop(store.claim("a1").unwrap());
            keep(&store, folder.path());
            let path = store.at("a1").join(name);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            let to = folder.path().join("to");
            assert_eq!(store.take::<u8>("a1", &to, folder.path()).unwrap(), None);
            assert!(!to.exists());
            assert!(store.claim("a1").unwrap().is_some());
            assert!(!store.at("a1").exists());
        }
    }
}
