//! The files of a data set: which split each holds, and their rows one after the
//! other or by their place.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::dataset::{Groups, media_in};
use experiments::text;

use super::form::Row;
use crate::tasks::Split;

/// What names of files begin with, by the split that they hold.
const SPLITS: [(Split, &[&str]); 3] = [
    (Split::Train, &["train"]),
    (Split::Validation, &["val", "dev"]),
    (Split::Evaluation, &["test", "eval"]),
];

/// Rows that are looked at together: by several threads, and in bounded memory.
const BATCH: usize = 8192;

/// Groups of rows of a Parquet file that are kept in memory.
const KEPT_GROUPS: usize = 2;

/// Bytes that a line is read by; most have fewer.
const LINE: usize = 4096;

fn is_parquet(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("parquet"))
}

fn is_data(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str());
    let ending = ending.map(str::to_ascii_lowercase);
    matches!(ending.as_deref(), Some("jsonl" | "ndjson" | "parquet"))
}

/// The files at `path`, each with the split that its name says; `None` of a file that
/// is given by itself, which holds all splits.
pub(super) fn found(path: &Path) -> Result<Vec<(PathBuf, Option<Split>)>> {
    let reading = || format!("reading {}", path.display());
    if !path.is_dir() {
        ensure!(
            path.exists(),
            "{} does not exist; give a JSONL or Parquet file, or a folder of them, from the definition's folder on",
            path.display()
        );
        return Ok(vec![one(path)?]);
    }
    let mut paths = Vec::new();
    for entry in path.read_dir().with_context(reading)? {
        let at = entry.with_context(reading)?.path();
        let name = at.file_name().unwrap_or_default();
        if at.is_file() && is_data(&at) && !name.as_encoded_bytes().starts_with(b".") {
            paths.push(at);
        }
    }
    ensure!(
        !paths.is_empty(),
        "{} holds no .jsonl and no .parquet file; name them train*, validation* and test*",
        path.display()
    );
    paths.sort();
    let split = |at: PathBuf| {
        let name = at
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let begins =
            |(_, words): &&(Split, &[&str])| words.iter().any(|word| name.starts_with(word));
        let Some((split, _)) = SPLITS.iter().find(begins) else {
            bail!(
                "{}: its name says no split; let it begin with train, validation (val, dev) or test (evaluation), or take it out of the folder",
                at.display()
            );
        };
        Ok((at, Some(*split)))
    };
    paths.into_iter().map(split).collect()
}

/// A file that is given by itself, whether or not it is there.
pub(super) fn one(path: &Path) -> Result<(PathBuf, Option<Split>)> {
    ensure!(
        is_data(path),
        "{}: a data set is a file that ends in .jsonl or .parquet, or a folder of them",
        path.display()
    );
    Ok((path.to_owned(), None))
}

/// A row as it was read, not yet parsed.
pub(super) enum Raw {
    Line(Vec<u8>),
    Row(Row),
}

impl Raw {
    /// The row; an error says what is wrong with it.
    pub(super) fn row(self) -> Result<Row> {
        let row = match self {
            Self::Row(row) => row,
            Self::Line(line) => text::object(&line)
                .map_err(|error| anyhow!("no JSON object: {error}; correct or remove the line"))?,
        };
        match media_in(&row) {
            Some(wrong) => bail!(wrong),
            None => Ok(row),
        }
    }
}

/// A row with its place in its file, and its number there from 1 on.
pub(super) struct Placed {
    /// Its first byte in a file of lines, its index in a Parquet file.
    pub(super) place: u64,
    /// Its line, or its row in a Parquet file.
    pub(super) number: usize,
    pub(super) raw: Raw,
}

/// One file of a data set.
pub(super) struct Shard {
    path: PathBuf,
    /// The path as whoever gave it would have it.
    given: PathBuf,
    rows: Rows,
}

enum Rows {
    Lines(File),
    Groups {
        groups: Groups,
        /// The index of the first row of each group.
        firsts: Vec<u64>,
        /// The groups that were read last, the latest at the end.
        kept: Mutex<Vec<(usize, Arc<Vec<Row>>)>>,
    },
}

impl Shard {
    pub(super) fn open(path: &Path, given: PathBuf) -> Result<Self> {
        let reading = || format!("reading {}", path.display());
        let rows = if is_parquet(path) {
            let groups = Groups::open(path)?;
            let mut end = 0;
            let first = |count: usize| {
                let first = end;
                end += count as u64;
                first
            };
            Rows::Groups {
                firsts: groups.counts().map(first).collect(),
                groups,
                kept: Mutex::default(),
            }
        } else {
            Rows::Lines(File::open(path).with_context(reading)?)
        };
        Ok(Self {
            path: path.to_owned(),
            given,
            rows,
        })
    }

    /// The name of a row, for errors.
    pub(super) fn named(&self, number: usize) -> String {
        let unit = match self.rows {
            Rows::Lines(_) => "line",
            Rows::Groups { .. } => "row",
        };
        format!("{}, {unit} {number}", self.given.display())
    }

    /// The first row with its number; `None` where there is none.
    pub(super) fn first(&self) -> Result<Option<(usize, Row)>> {
        let first = match &self.rows {
            Rows::Lines(_) => {
                let reading = || format!("reading {}", self.path.display());
                let line = text::lines(&self.path).with_context(reading)?.next();
                let line = line.transpose().with_context(reading)?;
                ensure!(
                    line.as_ref()
                        .is_none_or(|(_, line)| !line.starts_with(b"PAR1")),
                    "{} is a Parquet file: let its name end in .parquet",
                    self.path.display()
                );
                line.map(|(number, line)| (number, Raw::Line(line)))
            }
            Rows::Groups { groups, .. } => {
                // The first groups may have no rows.
                let index = groups.counts().position(|count| count > 0);
                let rows = index.map(|index| groups.rows(index)).transpose()?;
                let row = rows.and_then(|rows| rows.into_iter().next());
                row.map(|row| (1, Raw::Row(row)))
            }
        };
        let row = |(number, raw): (usize, Raw)| {
            Ok((number, raw.row().with_context(|| self.named(number))?))
        };
        first.map(row).transpose()
    }

    /// Hands all rows over in their order, many at a time.
    pub(super) fn each(&self, work: &mut dyn FnMut(Vec<Placed>) -> Result<()>) -> Result<()> {
        let reading = || format!("reading {}", self.path.display());
        match &self.rows {
            Rows::Lines(_) => {
                let mut lines = text::lines(&self.path).with_context(reading)?;
                let mut batch = Vec::new();
                while let Some(line) = lines.next() {
                    let (number, line) = line.with_context(reading)?;
                    batch.push(Placed {
                        place: lines.offset(),
                        number,
                        raw: Raw::Line(line),
                    });
                    if batch.len() == BATCH {
                        work(std::mem::take(&mut batch))?;
                    }
                }
                work(batch)
            }
            Rows::Groups { groups, firsts, .. } => {
                for (index, first) in firsts.iter().enumerate() {
                    let rows = groups.rows(index)?.into_iter().zip(*first..);
                    let placed = |(row, place): (Row, u64)| Placed {
                        place,
                        number: place as usize + 1,
                        raw: Raw::Row(row),
                    };
                    work(rows.map(placed).collect())?;
                }
                Ok(())
            }
        }
    }

    /// The row at a place that [`Shard::each`] has given.
    pub(super) fn at(&self, place: u64) -> Result<Row> {
        match &self.rows {
            Rows::Lines(file) => {
                let line = line_at(file, place)
                    .with_context(|| format!("reading {}", self.path.display()))?;
                Raw::Line(line).row().with_context(|| {
                    format!(
                        "{}: the line at byte {place}, which has changed since it was read",
                        self.path.display()
                    )
                })
            }
            Rows::Groups { firsts, .. } => {
                let index = firsts.partition_point(|first| *first <= place);
                let index = index.checked_sub(1).context("a data set without rows")?;
                let rows = self.group(index)?;
                let row = rows.get((place - firsts[index]) as usize).cloned();
                row.with_context(|| {
                    format!("{}: it has changed since it was read", self.path.display())
                })
            }
        }
    }

    fn group(&self, index: usize) -> Result<Arc<Vec<Row>>> {
        let Rows::Groups { groups, kept, .. } = &self.rows else {
            bail!("{} has no groups of rows", self.path.display());
        };
        let locked = || {
            kept.lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
        };
        if let Some((_, rows)) = locked().iter().find(|(known, _)| *known == index) {
            return Ok(Arc::clone(rows));
        }
        let rows = Arc::new(groups.rows(index)?);
        let mut kept = locked();
        if kept.len() == KEPT_GROUPS {
            kept.remove(0);
        }
        kept.push((index, Arc::clone(&rows)));
        Ok(rows)
    }
}

/// The line that begins at a byte, without a byte order mark and white space around.
fn line_at(file: &File, place: u64) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut chunk = [0; LINE];
    loop {
        let read = file.read_at(&mut chunk, place + line.len() as u64)?;
        let read = &chunk[..read];
        let end = read.iter().position(|byte| *byte == b'\n');
        line.extend_from_slice(&read[..end.unwrap_or(read.len())]);
        if end.is_some() || read.is_empty() {
            return Ok(text::unmarked(&line).trim_ascii().to_vec());
        }
    }
}
