//! Writes every file that shows a comparison.
//!
//! Each file is written under a temporary name, synced and renamed, so that a
//! reader finds the old file or the new one and never half of either.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::comparison::{Comparison, ItemCompletions};
use crate::{figures, tables};

/// The folder of completions that the page has no room for.
const COMPLETIONS: &str = "completions";

/// The folder of the figures.
const FIGURES: &str = "figures";

/// Names the files beside the page that the report made, so that the next one can
/// take away what it does not make again, and nothing else.
const BESIDE: &str = ".report.json";

/// Why a file of the report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file system refused.
    #[error("cannot write {}; check that its folder is there, may be written and has room", path.display())]
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

/// Writes `comparison.{md,csv,tex,json}`, `report.html` and
/// `figures/*.{svg,csv}` into `dir`, which is made if need be, and returns the
/// paths in that order. Completions that the page has no room for lie in
/// `completions/`, a file an item, and are not among these paths.
///
/// What a report that was written there before made in these two folders, and this
/// one does not, is removed. Other files in `dir` are left as they are.
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
    ];
    let (page, beside) = super::page_with_files(comparison, items, true);
    files.push(("report.html".to_owned(), page));
    for figure in figures::all(comparison) {
        files.push((format!("figures/{}.svg", figure.stem), figure.svg));
        files.push((format!("figures/{}.csv", figure.stem), figure.csv));
    }
    // What the page links to is there before the page is.
    let mut folders = vec![dir.join(FIGURES)];
    if beside.iter().any(|file| file.path.starts_with(COMPLETIONS)) {
        folders.push(dir.join(COMPLETIONS));
    }
    for folder in &folders {
        fs::create_dir_all(folder).map_err(refused(folder))?;
    }
    let in_folders = files
        .iter()
        .map(|(name, _)| name)
        .filter(|n| n.contains('/'));
    let made: BTreeSet<String> = in_folders
        .chain(beside.iter().map(|file| &file.path))
        .cloned()
        .collect();
    let before = made_before(dir);
    // Both, until the old files are gone: a report that is cut short loses sight
    // of none.
    write_made(dir, &before.union(&made).cloned().collect())?;
    beside.par_iter().try_for_each(|file| {
        let path = dir.join(&file.path);
        replace(&path, file.content.as_bytes()).map_err(refused(&path))
    })?;
    let linked: BTreeSet<&str> = beside.iter().map(|file| file.path.as_str()).collect();
    let mut paths = Vec::with_capacity(files.len());
    for (name, content) in files {
        let path = dir.join(&name);
        if !linked.contains(name.as_str()) {
            replace(&path, content.as_bytes()).map_err(refused(&path))?;
        }
        paths.push(path);
    }
    for stale in before.difference(&made) {
        let path = dir.join(stale);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(refused(&path)(error));
            }
            _ => {}
        }
    }
    if !folders.contains(&dir.join(COMPLETIONS)) {
        // One that holds something else stays, and so does one that never was.
        let _ = fs::remove_dir(dir.join(COMPLETIONS));
    }
    write_made(dir, &made)?;
    for folder in folders.iter().map(PathBuf::as_path).chain([dir]) {
        sync_folder(folder).map_err(refused(folder))?;
    }
    Ok(paths)
}

/// The files that the report before made in its folders; none where it left no
/// word of them. A directory comes from strangers, and what is named is removed:
/// a name that no report gives is passed over.
fn made_before(dir: &Path) -> BTreeSet<String> {
    let text = fs::read(dir.join(BESIDE)).unwrap_or_default();
    let names: BTreeSet<String> = serde_json::from_slice(&text).unwrap_or_default();
    let ours = |name: &String| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let (folder, file) = name.split_once('/').unwrap_or_default();
        let (stem, ending) = file.split_once('.').unwrap_or_default();
        let known = match folder {
            FIGURES => matches!(ending, "svg" | "csv"),
            COMPLETIONS => ending == "txt",
            _ => false,
        };
        known && !stem.is_empty() && stem.chars().all(plain)
    };
    names.into_iter().filter(ours).collect()
}

fn write_made(dir: &Path, made: &BTreeSet<String>) -> Result<(), WriteError> {
    let path = dir.join(BESIDE);
    let text = serde_json::to_string_pretty(made)?;
    replace(&path, text.as_bytes()).map_err(refused(&path))
}

fn refused(path: &Path) -> impl Fn(io::Error) -> WriteError {
    move |source| WriteError::File {
        path: path.to_owned(),
        source,
    }
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
        assert_eq!(paths.len(), 5 + 2 * drawn);
        assert!(paths.iter().all(|p| fs::metadata(p).unwrap().len() > 50));
        let count = |p: &Path| fs::read_dir(p).unwrap().count();
        assert_eq!(count(&out), 7);
        assert_eq!(count(&out.join("figures")), 2 * drawn);
        // Again over the old files: same paths, same bytes.
        let first = fs::read(out.join("report.html")).unwrap();
        assert_eq!(
            write_all(&fixture::comparison(), &fixture::items(), &out).unwrap(),
            paths
        );
        assert_eq!(fs::read(out.join("report.html")).unwrap(), first);
    }

    #[test]
    fn what_the_report_before_made_goes_and_what_it_did_not_stays() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let whole = fixture::comparison();
        write_all(&whole, &fixture::items(), dir.path()).unwrap();
        let drawn = |comparison: &Comparison| -> BTreeSet<String> {
            let figures = figures::all(comparison);
            figures.iter().map(|figure| figure.stem.clone()).collect()
        };
        let mut fewer = whole.clone();
        fewer.curves.clear();
        let (before, after) = (drawn(&whole), drawn(&fewer));
        let gone: Vec<&String> = before.difference(&after).collect();
        assert!(!gone.is_empty());
        // A file of an item that the page before had no room for, others' files,
        // and names of others that a stranger wrote into the list.
        fs::create_dir_all(at("completions")).unwrap();
        let others = [
            "figures/mine.svg",
            "completions/notes.txt",
            "secret.txt",
            "completions/a.b.txt",
        ];
        for name in others.into_iter().chain(["completions/0001-task-item.txt"]) {
            fs::write(at(name), "words").unwrap();
        }
        let mut made = made_before(dir.path());
        assert_eq!(made.len(), 2 * before.len());
        made.insert("completions/0001-task-item.txt".to_owned());
        let listed = [
            "secret.txt",
            "completions/../secret.txt",
            "completions/a.b.txt",
            "../figures/x.svg",
            "completions/gone.txt",
        ];
        made.extend(listed.map(str::to_owned));
        write_made(dir.path(), &made).unwrap();
        write_all(&fewer, &fixture::items(), dir.path()).unwrap();
        for stem in &gone {
            assert!(!at(&format!("figures/{stem}.svg")).exists(), "{stem}");
            assert!(!at(&format!("figures/{stem}.csv")).exists(), "{stem}");
        }
        for stem in &after {
            assert!(at(&format!("figures/{stem}.svg")).exists(), "{stem}");
        }
        assert!(!at("completions/0001-task-item.txt").exists());
        assert!(others.iter().all(|name| at(name).exists()));
        // Its own folder goes with the last file in it.
        fs::remove_file(at("completions/notes.txt")).unwrap();
        fs::remove_file(at("completions/a.b.txt")).unwrap();
        write_all(&fewer, &fixture::items(), dir.path()).unwrap();
        assert!(!at("completions").exists());
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
