//! Files that are whole or absent: written to a temporary name beside their
//! place, synced, then renamed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result};

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
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
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
        file.into_inner()?.sync_all()?;
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
            "writing {}: nothing was left under that name; make room or give another folder with --out",
            path.display()
        )
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
