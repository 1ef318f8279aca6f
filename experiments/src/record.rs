//! Trace records: one row for each sampled answer, read from and written to
//! JSONL and Parquet.
//!
//! A file is written to a temporary name beside its own and renamed when whole,
//! so a record file is complete or absent. Reading checks every row; nothing is
//! repaired on the way in. A number in a Parquet column is read whatever its type.

mod groups;
mod lines;
pub mod recording;
mod table;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use recording::Recording;
pub use table::Writer;
pub(crate) use table::{table_error, write_table};

/// One sampled answer of one model to one item.
///
/// Worked example, as a line of JSONL:
///
/// ```json
/// {"model":"grpo","seed":1,"task":"alphabet_arithmetic","item_id":"A+3=D","sample":0,
///  "prompt_tokens":6,"reasoning_tokens":14,"completion_tokens":18,"correct":true,
///  "truncated":false,"answer":"true","completion":"<think> A 1 B 2 C 3 D </think> true"}
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Name of the model or arm.
    pub model: String,
    /// Training seed; absent for a model that was trained once, elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Training seed of the teacher that this training learned from, the same in
    /// all records of a training; absent where there was none or it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<u64>,
    /// Task name.
    pub task: String,
    /// Item name, unique within its task.
    pub item_id: String,
    /// Index of this sample among those of the same model, seed and item.
    pub sample: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens between the think tags; 0 where the model answered directly.
    pub reasoning_tokens: u32,
    /// All sampled tokens, the end token included.
    pub completion_tokens: u32,
    /// The task's grade; `None` where the task could not grade.
    pub correct: Option<bool>,
    /// Whether the token cap cut the completion off.
    pub truncated: bool,
    /// The answer as extracted; `None` where none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// The completion's text, where it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion: Option<String>,
}

/// The fields of a [`Trace`], as keys and as columns.
const FIELDS: [&str; 13] = [
    "model",
    "seed",
    "teacher",
    "task",
    "item_id",
    "sample",
    "prompt_tokens",
    "reasoning_tokens",
    "completion_tokens",
    "correct",
    "truncated",
    "answer",
    "completion",
];

/// What can be wrong with a file of records.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file cannot be read or written.
    #[error(
        "{path}: check that the file exists, may be read or written, and that the disk is not full"
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A name that is neither JSONL nor Parquet.
    #[error("{path}: records are read from .jsonl and .parquet files; rename or convert it")]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A row that is no record.
    #[error("{path}, {row}: {detail}; correct or remove the row")]
    BadRow {
        /// The file.
        path: PathBuf,
        /// "line 3" of JSONL, "row 3" of Parquet, both from 1.
        row: String,
        /// What is wrong, the field named.
        detail: String,
    },
    /// The same sample twice.
    #[error("{path}, {row}: {record} again, first in {first}; keep one of the two")]
    Duplicate {
        /// The file.
        path: PathBuf,
        /// The later row.
        row: String,
        /// The earlier row.
        first: String,
        /// Its model, seed, task, item and sample.
        record: String,
    },
    /// Two records of one training name different teachers.
    #[error(
        "{path}, {row}: {detail}: a training has one teacher; \
         correct the rows, or give each training a seed of its own"
    )]
    Teachers {
        /// The file.
        path: PathBuf,
        /// The later row.
        row: String,
        /// The training, and the teachers that the two name.
        detail: String,
    },
    /// Not one row of a file is a record.
    #[error("{path}: none of its {rows} rows is a record; the first: {first}")]
    NoRecords {
        /// The file.
        path: PathBuf,
        /// Its rows.
        rows: usize,
        /// What is wrong with the first.
        first: String,
    },
    /// A column has the name of another, or that of a field but for its case.
    #[error("{path}: {detail}")]
    Column {
        /// The file.
        path: PathBuf,
        /// Which it is, and what to do.
        detail: String,
    },
    /// The file is no Parquet table, or not one of records.
    #[error("{path}: {detail}; write the file again, or give another")]
    BadTable {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Reads a file of records, JSONL or Parquet by its name.
pub fn read(path: &Path) -> Result<Vec<Trace>, RecordError> {
    let unit = unit(path)?;
    let mut traces = Vec::new();
    each(path, &mut |number, trace| {
        let trace = trace.map_err(|detail| RecordError::BadRow {
            path: path.into(),
            row: format!("{unit} {number}"),
            detail,
        })?;
        traces.push((number, trace));
        Ok(())
    })?;
    refuse_duplicates(path, unit, &traces)?;
    refuse_teachers(path, unit, &traces)?;
    Ok(traces.into_iter().map(|(_, trace)| trace).collect())
}

/// What a row of the file is called, by the file's name.
fn unit(path: &Path) -> Result<&'static str, RecordError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => Ok("line"),
        Some("parquet") => Ok("row"),
        _ => Err(RecordError::UnknownFormat { path: path.into() }),
    }
}

/// Hands every row of a file over, in the file's order, with its number from 1:
/// the record, or what is wrong with it. Nothing that was read is kept.
pub(crate) fn each(
    path: &Path,
    row: &mut dyn FnMut(usize, Result<Trace, String>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let mut sound = |number, trace: Result<Trace, String>| {
        row(
            number,
            trace.and_then(|trace| contradiction(&trace).map_or(Ok(trace), Err)),
        )
    };
    match unit(path)? {
        "line" => lines::each(path, &mut sound),
        _ => groups::each(path, &mut sound),
    }
}

/// What in a record cannot be.
fn contradiction(trace: &Trace) -> Option<String> {
    if trace.reasoning_tokens > trace.completion_tokens {
        return Some(format!(
            "reasoning_tokens {} of completion_tokens {}: a completion holds its reasoning",
            trace.reasoning_tokens, trace.completion_tokens
        ));
    }
    // It would rewrite the terminal and the tables that show it.
    let name = &trace.model;
    (name.is_empty() || name.chars().any(char::is_control))
        .then(|| format!("{name:?} is no name of a model: give one without control characters"))
}

/// Writes a file of records, JSONL or Parquet by its name, whole or not at all.
pub fn write(path: &Path, traces: &[Trace]) -> Result<(), RecordError> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => whole(path, |file| lines::write(path, file, traces)),
        Some("parquet") => whole(path, |file| table::write(path, file, traces)),
        _ => Err(RecordError::UnknownFormat { path: path.into() }),
    }
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> RecordError + '_ {
    move |source| match source.kind() {
        io::ErrorKind::InvalidData => RecordError::BadTable {
            path: path.into(),
            detail: source.to_string(),
        },
        _ => RecordError::Io {
            path: path.into(),
            source,
        },
    }
}

/// Fills a temporary file in the same folder, then gives it its name.
pub(crate) fn whole(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let temporary = temporary(path);
    let written = fill_and_rename(path, &temporary, fill);
    if written.is_err() {
        // The first error is the one to tell; what is left here is read by nobody.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn fill_and_rename(
    path: &Path,
    temporary: &Path,
    fill: impl FnOnce(&mut BufWriter<File>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let mut file = BufWriter::new(File::create(temporary).map_err(io_error(temporary))?);
    fill(&mut file)?;
    file.flush().map_err(io_error(path))?;
    place(path, temporary)
}

/// The name that a file has while it is written.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}.partial", std::process::id()))
}

/// Gives a file that is whole its name, so that it lasts through a crash.
fn place(path: &Path, temporary: &Path) -> Result<(), RecordError> {
    File::open(temporary)
        .and_then(|file| file.sync_all())
        .map_err(io_error(path))?;
    fs::rename(temporary, path).map_err(io_error(path))?;
    // The new name lives in the folder, which has its own way to the disk.
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error(folder))
}

/// Refuses the second record of the same model, seed, task, item and sample; `unit` is "line" or "row".
fn refuse_duplicates(
    path: &Path,
    unit: &str,
    traces: &[(usize, Trace)],
) -> Result<(), RecordError> {
    let mut seen = HashMap::with_capacity(traces.len());
    for (number, trace) in traces {
        let key = (
            trace.model.as_str(),
            trace.seed,
            trace.task.as_str(),
            trace.item_id.as_str(),
            trace.sample,
        );
        if let Some(first) = seen.insert(key, number) {
            return Err(RecordError::Duplicate {
                path: path.into(),
                row: format!("{unit} {number}"),
                first: format!("{unit} {first}"),
                record: format!(
                    "model `{}`, seed {}, task `{}`, item `{}`, sample {}",
                    trace.model,
                    or_none(trace.seed),
                    trace.task,
                    trace.item_id,
                    trace.sample
                ),
            });
        }
    }
    Ok(())
}

/// A seed in words.
fn or_none(seed: Option<u64>) -> String {
    seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string())
}

/// The error of a record that names another teacher than one of its training before.
fn other_teacher(
    path: &Path,
    row: String,
    (model, seed): (&str, Option<u64>),
    [first, teacher]: [Option<u64>; 2],
) -> RecordError {
    RecordError::Teachers {
        path: path.into(),
        row,
        detail: format!(
            "model `{model}`, seed {}, names the teacher {}, and {} before",
            or_none(seed),
            or_none(teacher),
            or_none(first)
        ),
    }
}

/// Refuses a training whose records name several teachers; `unit` is "line" or "row".
fn refuse_teachers(path: &Path, unit: &str, traces: &[(usize, Trace)]) -> Result<(), RecordError> {
    let mut teachers = HashMap::new();
    for (number, trace) in traces {
        let training = (trace.model.as_str(), trace.seed);
        let first = *teachers.entry(training).or_insert(trace.teacher);
        if first != trace.teacher {
            return Err(other_teacher(
                path,
                format!("{unit} {number}"),
                training,
                [first, trace.teacher],
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
