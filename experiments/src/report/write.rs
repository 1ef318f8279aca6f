//! Writes every file that shows a comparison.
//!
//! Each file is written under a temporary name, synced and renamed, so that a
//! reader finds the old file or the new one and never half of either.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::comparison::{Comparison, ItemCompletions};
use crate::{figures, tables};

/// Why a file of the report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("cannot write {}; make room, or check that its folder may be written", path.display())]
    File {
        /// The file or folder that was to be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The comparison holds a value that JSON cannot, such as NaN.
    #[error("the comparison cannot be written as JSON and read back")]
    Json(#[from] serde_json::Error),
}

/// Writes `comparison.{md,csv,tex,json}`, `report.html` and `figures/*.svg`
/// into `dir`, which is made if need be, and returns the paths in that order.
///
/// Other files in `dir` are left as they are.
pub fn write_all(
    comparison: &Comparison,
    items: &[ItemCompletions],
    dir: &Path,
) -> Result<Vec<PathBuf>, WriteError> {
    let mut files = vec![
        (
            "comparison.md".to_owned(),
            tables::markdown::render(comparison),
        ),
        ("comparison.csv".to_owned(), tables::csv::render(comparison)),
        (
            "comparison.tex".to_owned(),
            tables::latex::render(comparison),
        ),
        (
            "comparison.json".to_owned(),
            tables::json::render(comparison)?,
        ),
        ("report.html".to_owned(), super::html(comparison, items)),
    ];
    files.extend(
        figures::all(comparison)
            .into_iter()
            .map(|figure| (format!("figures/{}.svg", figure.stem), figure.svg)),
    );
    let figures = dir.join("figures");
    fs::create_dir_all(&figures).map_err(|source| WriteError::File {
        path: figures.clone(),
        source,
    })?;
    let mut paths = Vec::with_capacity(files.len());
    for (name, content) in files {
        let path = dir.join(name);
        replace(&path, content.as_bytes()).map_err(|source| WriteError::File {
            path: path.clone(),
            source,
        })?;
        paths.push(path);
    }
    for folder in [dir, &figures] {
        sync_folder(folder).map_err(|source| WriteError::File {
            path: folder.to_owned(),
            source,
        })?;
    }
    Ok(paths)
}

fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    let written = (|| {
        let mut file = File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // The first error is the one to report; a leftover is only untidy.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// A rename is on disk only once its folder is. Windows cannot sync a folder.
fn sync_folder(folder: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn writes_everything_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("run");
        let paths = write_all(&fixture::comparison(), &fixture::items(), &out).unwrap();
        let drawn = figures::all(&fixture::comparison()).len();
        assert_eq!(paths.len(), 5 + drawn);
        assert!(paths.iter().all(|p| fs::metadata(p).unwrap().len() > 100));
        let count = |p: &Path| fs::read_dir(p).unwrap().count();
        assert_eq!(count(&out), 6);
        assert_eq!(count(&out.join("figures")), drawn);
        // Again over the old files: same paths, same bytes.
        let first = fs::read(out.join("report.html")).unwrap();
        assert_eq!(
            write_all(&fixture::comparison(), &fixture::items(), &out).unwrap(),
            paths
        );
        assert_eq!(fs::read(out.join("report.html")).unwrap(), first);
    }

    #[test]
    fn a_failure_names_the_file_and_keeps_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        // A folder of that name cannot be replaced by a file.
        fs::create_dir_all(dir.path().join("report.html")).unwrap();
        let error = write_all(&fixture::comparison(), &[], dir.path()).unwrap_err();
        assert!(error.to_string().contains("report.html"), "{error}");
        let leftover = fs::read_dir(dir.path()).unwrap().any(|e| {
            e.unwrap()
                .file_name()
                .to_string_lossy()
                .ends_with(".partial")
        });
        assert!(!leftover);
    }

    #[test]
    fn a_nan_stops_before_anything_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut comparison = fixture::comparison();
        comparison.curves[0].points[0].1 = f64::NAN;
        let error = write_all(&comparison, &[], dir.path()).unwrap_err();
        assert!(matches!(error, WriteError::Json(_)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
