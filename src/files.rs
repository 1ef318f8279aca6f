//! Files that are whole or absent: written to a temporary name beside their
//! place, synced, then renamed.
//!
//! Temporary names start with a dot and end in `.partial`. Nobody reads them; a
//! process that was killed leaves them, and [`remove_leftovers`] removes them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, IntoInnerError, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Bytes at the end of a log that hold its last lines.
const TAIL: u64 = 1 << 16;

/// The file that a process locks for as long as it works on a folder. It is made
/// in place and neither replaced nor removed, as each of two files of that name
/// could be locked by a process of its own.
const LOCK: &str = ".lock";

/// Readers take a shared lock for the duration of one look; how long, and how
/// often, whoever wants the folder alone waits for them.
const LOCK_WAIT: Duration = Duration::from_millis(20);
const LOCK_TRIES: u32 = 10;

/// Keeps other processes out of a folder for as long as the file is open; `None`
/// where one is in it. The folder is made if need be. Some file systems know no
/// locks; there nobody is kept out.
pub(crate) fn lock(folder: &Path) -> Result<Option<File>> {
    create_folder(folder)?;
    let path = folder.join(LOCK);
    let place = || format!("locking {}", path.display());
    for _ in 0..LOCK_TRIES {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&path).with_context(place)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            std::thread::sleep(LOCK_WAIT);
            continue;
        }
        // Where the folder was removed meanwhile, this is the lock of nothing.
        let held = file.metadata().with_context(place)?;
        let there = std::fs::metadata(&path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (held.dev(), held.ino())) {
            return Ok(Some(file));
        }
    }
    Ok(None)
}

/// Whether another process has locked a folder.
pub(crate) fn is_locked(folder: &Path) -> bool {
    is_file_locked(&folder.join(LOCK))
}

/// Whether another process has locked a file.
pub(crate) fn is_file_locked(file: &Path) -> bool {
    File::open(file)
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Whether there is nothing in a folder but, at most, its lock; also where there
/// is no folder.
pub(crate) fn is_empty(folder: &Path) -> bool {
    let is_lock = |entry: &io::Result<std::fs::DirEntry>| {
        entry.as_ref().is_ok_and(|entry| entry.file_name() == LOCK)
    };
    folder
        .read_dir()
        .map_or(true, |mut entries| entries.all(|entry| is_lock(&entry)))
}

/// The end of a log, without what came long before; `None` where it cannot be
/// read. The first line may have lost its beginning.
pub(crate) fn tail(log: &Path) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))
        .ok()?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail).ok()?;
    Some(String::from_utf8_lossy(&tail).into_owned())
}

/// Writes a file so that a reader sees all of it or none of it.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole_with(path, |file| Ok(file.write_all(bytes)?))
}

/// The same for a content too large to be held as a whole: `write` streams it.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> Result<()>,
) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    create_folder(folder)?;
    let name = path
        .file_name()
        .with_context(|| format!("{} is not the name of a file", path.display()))?;
    let aside = folder.join(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = (|| -> Result<()> {
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&aside)?);
        write(&mut file)?;
        // The cause itself, so that a full disk can be told from other errors.
        let file = file.into_inner().map_err(IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        sync_folder(folder)?;
        Ok(())
    })();
    if written.is_err() {
        // The error below is what matters; a leftover that cannot be removed is only untidy.
        let _ = std::fs::remove_file(&aside);
    }
    written.with_context(|| {
        format!(
            "writing {}: nothing was left under that name",
            path.display()
        )
    })
}

/// Why a file system takes no more, and what helps; `None` of any other error.
pub(crate) fn no_room(error: &anyhow::Error) -> Option<&'static str> {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let causes = error.chain();
    let mut kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    kinds.find_map(|kind| match kind {
        StorageFull => Some("there is no room left on the disk; make room"),
        QuotaExceeded => Some("the quota of the disk is used up; make room or have it raised"),
        FileTooLarge => Some(
            "a file would be larger than this process or the file system may have it; \
             raise the limit (ulimit -f) or take another file system",
        ),
        _ => None,
    })
}

/// Makes a rename in the folder last through a crash.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    File::open(folder)?.sync_all()
}

/// Makes what was written to a file last through a crash.
pub fn sync_file(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .with_context(|| format!("syncing {}", path.display()))
}

/// Makes a folder and those above it, so that they last through a crash.
pub fn create_folder(path: &Path) -> Result<()> {
    let missing: Vec<&Path> = path
        .ancestors()
        .take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists())
        .collect();
    let created = std::fs::create_dir_all(path).and_then(|()| {
        missing
            .iter()
            .filter_map(|folder| folder.parent())
            .try_for_each(sync_folder)
    });
    created.with_context(|| format!("creating {}", path.display()))
}

/// Makes one folder where it is not there, so that it lasts through a crash,
/// and none above it: where those have gone, so has what it would belong to.
pub fn create_last_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    std::fs::create_dir(path)
        .and_then(|()| path.parent().map_or(Ok(()), sync_folder))
        .with_context(|| format!("creating {}", path.display()))
}

/// Whether a name is one that a file or folder has while it is written.
pub(crate) fn is_temporary(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(".partial")
}

/// Removes what a killed process left half written in a folder and below it.
/// Nobody else may be writing there.
pub fn remove_leftovers(folder: &Path) -> Result<()> {
    sweep(folder, "", true)
}

/// Removes what a killed process left half written of the file or folder of
/// that name, in a folder where others may be writing other names.
pub fn remove_leftovers_of(folder: &Path, name: &str) -> Result<()> {
    sweep(folder, &format!(".{name}."), false)
}

fn sweep(folder: &Path, prefix: &str, deep: bool) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {}", folder.display()))?;
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        // The entry's own kind: a link is never followed out of the folder.
        let is_folder = entry
            .file_type()
            .with_context(|| format!("reading {}", path.display()))?
            .is_dir();
        if is_temporary(&name) && name.starts_with(prefix) {
            let removed = if is_folder {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.with_context(|| format!("removing {}", path.display()))?;
        } else if is_folder && deep {
            sweep(&path, prefix, deep)?;
        }
    }
    Ok(())
}

/// First 16 hex digits of the blake3 hash of some bytes.
pub fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}

/// Hash of a file's content.
pub fn hash_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    File::open(path)
        .and_then(|file| Ok(hasher.update_reader(file)?.count()))
        .with_context(|| format!("reading {}", path.display()))?;
    Ok(hasher.finalize().to_hex()[..16].to_owned())
}

/// Hashes of files by their paths below a folder, `/` between folders.
pub(crate) type Hashes = BTreeMap<String, String>;

/// Hashes of those of the names that are there, of a folder all files below it.
/// What is only half written has no name yet and is left out.
pub(crate) fn hash_all(folder: &Path, names: &[&str]) -> Result<Hashes> {
    let mut hashes = Hashes::new();
    let mut open: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    while let Some(name) = open.pop() {
        let path = folder.join(&name);
        if !path.is_dir() {
            if path.exists() {
                hashes.insert(name, hash_file(&path)?);
            }
            continue;
        }
        let reading = || format!("reading {}", path.display());
        for entry in std::fs::read_dir(&path).with_context(reading)? {
            let below = entry.with_context(reading)?.file_name();
            let below = below
                .to_str()
                .with_context(|| format!("{}: a name is no Unicode", path.display()))?;
            if !is_temporary(below) {
                open.push(format!("{name}/{below}"));
            }
        }
    }
    Ok(hashes)
}

/// Bytes of all files below a folder; links are not followed.
pub(crate) fn bytes(folder: &Path) -> Result<u64> {
    let reading = || format!("reading {}", folder.display());
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let kind = entry.file_type().with_context(reading)?;
        sum += if kind.is_dir() {
            bytes(&entry.path())?
        } else {
            entry.metadata().with_context(reading)?.len()
        };
    }
    Ok(sum)
}

/// Refuses, by its name, a file below the folder that has not the hash it had.
pub(crate) fn check_hashes(folder: &Path, hashes: &Hashes) -> Result<()> {
    for (name, hash) in hashes {
        let path = folder.join(name);
        if !path.exists() {
            bail!("{} is missing", path.display());
        }
        if hash_file(&path)? != *hash {
            bail!("{} is not as it was written", path.display());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_passes_and_what_is_changed_or_lost_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_folder(&at("model")).unwrap();
        for name in ["log", "model/weights", "model/.w.1.partial", "other"] {
            std::fs::write(at(name), name).unwrap();
        }
        let hashes = hash_all(folder.path(), &["log", "model", "absent"]).unwrap();
        assert_eq!(hashes.keys().collect::<Vec<_>>(), ["log", "model/weights"]);
        std::fs::write(at("other"), "changed").unwrap();
        check_hashes(folder.path(), &hashes).unwrap();
        std::fs::write(at("model/weights"), "model/weightt").unwrap();
        let told = check_hashes(folder.path(), &hashes)
            .unwrap_err()
            .to_string();
        assert!(told.contains("model/weights is not as"), "{told}");
        std::fs::remove_file(at("log")).unwrap();
        let told = check_hashes(folder.path(), &hashes)
            .unwrap_err()
            .to_string();
        assert!(told.contains("log is missing"), "{told}");
    }

    #[test]
    fn room_is_spoken_of_where_it_is_what_lacks() {
        use io::ErrorKind::{FileTooLarge, InvalidFilename, NotFound, StorageFull};
        let of = |kind: io::ErrorKind| {
            let error = anyhow::Error::from(io::Error::from(kind)).context("writing a file");
            no_room(&error)
        };
        assert!(of(StorageFull).unwrap().contains("make room"));
        assert!(of(FileTooLarge).unwrap().contains("ulimit -f"));
        assert_eq!((of(NotFound), of(InvalidFilename)), (None, None));
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kept");
        write_whole(&path, b"old").unwrap();
        let blocked = folder.path().join("kept").join("below-a-file");
        assert!(write_whole(&blocked, b"new").is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_that_start_at_once_one_has_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("new/run");
        let started = std::sync::Barrier::new(16);
        let held: Vec<File> = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..16)
                .map(|_| {
                    scope.spawn(|| {
                        started.wait();
                        lock(&at).unwrap()
                    })
                })
                .collect();
            let ended = starts.into_iter().map(|start| start.join().unwrap());
            ended.flatten().collect()
        });
        assert_eq!(held.len(), 1);
        assert!(is_locked(&at) && is_empty(&at));
        drop(held);
        assert!(!is_locked(&at));
        assert!(lock(&at).unwrap().is_some());
        write_whole(&at.join("kept"), b"").unwrap();
        assert!(!is_empty(&at));
    }

    #[test]
    fn the_lock_of_a_removed_folder_keeps_nobody_out_of_a_new_one() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("run");
        let old = lock(&at).unwrap().unwrap();
        std::fs::remove_dir_all(&at).unwrap();
        let new = lock(&at).unwrap().unwrap();
        assert!(lock(&at).unwrap().is_none());
        drop(old);
        assert!(lock(&at).unwrap().is_none());
        drop(new);
        assert!(lock(&at).unwrap().is_some());
    }

    #[test]
    fn one_folder_is_made_and_none_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a");
        assert!(create_last_folder(&at.join("b")).is_err());
        assert!(!at.exists());
        for _ in ["made", "there"] {
            create_last_folder(&at).unwrap();
        }
    }

    #[test]
    fn leftovers_go_and_everything_else_stays() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_folder(&at("a/.b.12.partial/c")).unwrap();
        for name in [
            "a/.kept",
            "a/kept.partial",
            ".d.12.partial",
            ".dd.12.partial",
        ] {
            std::fs::write(at(name), b"").unwrap();
        }
        remove_leftovers_of(folder.path(), "d").unwrap();
        remove_leftovers_of(folder.path(), "b").unwrap();
        assert!(at("a/.b.12.partial/c").exists() && at(".dd.12.partial").exists());
        assert!(!at(".d.12.partial").exists());
        remove_leftovers(folder.path()).unwrap();
        assert!(!at("a/.b.12.partial").exists() && !at(".dd.12.partial").exists());
        assert!(at("a/.kept").exists() && at("a/kept.partial").exists());
    }
}
