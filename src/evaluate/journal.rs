//! The answers of an evaluation while it goes on: a file that only grows, a
//! line an answer, each on the disk before the next question counts as asked.
//!
//! A process that is killed leaves at most half a line, which is cut off when
//! the evaluation is taken up again; what is in a whole line is not asked again.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use experiments::record::Trace;
use serde::{Deserialize, Serialize};

use super::reply::Counted;
use crate::error::{UserError, with_room};
use crate::files;

/// One line: a trace record, and who counted its reasoning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    #[serde(flatten)]
    pub(crate) trace: Trace,
    /// Absent for a model of the lab's own, whose tokens are its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) counted: Option<Counted>,
}

/// What names an answer: model, task, item, sample.
type Place = (String, String, String, u32);

/// An open journal; no other process has it.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    done: HashSet<Place>,
    counted: BTreeMap<Counted, usize>,
}

impl Journal {
    /// Opens or begins the journal of that name.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let place = || format!("the journal {}", path.display());
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .with_context(place)?;
        lock(&file, path)?;
        let mut journal = Self {
            path: path.to_owned(),
            file,
            done: HashSet::new(),
            counted: BTreeMap::new(),
        };
        let whole = journal.read().with_context(place)?;
        journal.file.set_len(whole).with_context(place)?;
        journal
            .file
            .seek(SeekFrom::Start(whole))
            .with_context(place)?;
        if let Some(folder) = path.parent() {
            files::sync_folder(folder).with_context(place)?;
        }
        Ok(journal)
    }

    /// Reads what is there; the length of its whole lines.
    fn read(&mut self) -> Result<u64> {
        let mut whole = 0;
        let mut lines = BufReader::new(&self.file);
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let length = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let Line { trace, counted } = serde_json::from_slice(&line).with_context(|| {
                format!("line {number} is damaged; remove it, and its answer is asked for again")
            })?;
            whole += length as u64;
            if let Some(counted) = counted {
                *self.counted.entry(counted).or_default() += 1;
            }
            let place = (trace.model, trace.task, trace.item_id, trace.sample);
            if let Some((model, task, item, sample)) = self.done.replace(place) {
                bail!(
                    "line {number} repeats {model}, {task}/{item}, sample {sample}; remove one of the two"
                );
            }
        }
        Ok(whole)
    }

    /// Whether an answer is there.
    pub(crate) fn has(&self, model: &str, task: &str, item_id: &str, sample: u32) -> bool {
        let place = (
            model.to_owned(),
            task.to_owned(),
            item_id.to_owned(),
            sample,
        );
        self.done.contains(&place)
    }

    /// Answers that are there.
    pub(crate) fn len(&self) -> usize {
        self.done.len()
    }

    /// Who counted how many of them.
    pub(crate) fn counted(&self) -> &BTreeMap<Counted, usize> {
        &self.counted
    }

    /// Adds answers, in one write, and waits until they are on the disk. Those
    /// that are there already are passed over.
    pub(crate) fn append(&mut self, lines: Vec<Line>) -> Result<()> {
        let mut text = Vec::new();
        for line in lines {
            let trace = &line.trace;
            let place = (
                trace.model.clone(),
                trace.task.clone(),
                trace.item_id.clone(),
                trace.sample,
            );
            if !self.done.insert(place) {
                continue;
            }
            if let Some(counted) = line.counted {
                *self.counted.entry(counted).or_default() += 1;
            }
            serde_json::to_writer(&mut text, &line)?;
            text.push(b'\n');
        }
        self.file
            .write_all(&text)
            .and_then(|()| self.file.sync_data())
            .with_context(|| format!("writing {}", self.path.display()))
            .map_err(|error| with_room(error, &self.path))
    }
}

/// Whether a folder's journal holds an answer; refused while another process
/// writes it.
pub(crate) fn has_answers(path: &Path) -> Result<bool> {
    let reading = || format!("reading {}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error).with_context(reading),
    };
    lock(&file, path)?;
    let mut line = Vec::new();
    let read = BufReader::new(&file).read_until(b'\n', &mut line);
    read.with_context(reading)?;
    Ok(line.last() == Some(&b'\n'))
}

/// Keeps other processes out. Some file systems know no locks; there nobody is
/// kept out.
fn lock(file: &File, path: &Path) -> Result<()> {
    // A program that this process starts holds its locks until it has become another program.
    for _ in 0..TRIES {
        if !matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Ok(());
        }
        std::thread::sleep(BETWEEN_TRIES);
    }
    bail!(UserError(format!(
        "another process is writing {}; wait for it, or give another folder with --out",
        path.display()
    )));
}

/// How often a lock is tried, and how long is waited after each.
const TRIES: u32 = 10;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn line(sample: u32) -> Line {
        Line {
            trace: Trace {
                model: "m".into(),
                seed: None,
                teacher: None,
                task: "t".into(),
                item_id: "i".into(),
                sample,
                prompt_tokens: 1,
                reasoning_tokens: 2,
                completion_tokens: 3,
                correct: Some(true),
                truncated: false,
                answer: None,
                completion: Some("two\nlines".into()),
            },
            counted: Some(Counted::Server),
        }
    }

    #[test]
    fn half_a_line_is_cut_off_and_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        let mut journal = Journal::open(&path).unwrap();
        journal.append(vec![line(0), line(1)]).unwrap();
        drop(journal);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut journal = Journal::open(&path).unwrap();
            let there = journal.len();
            assert_eq!(there, whole[..cut].split(|b| *b == b'\n').count() - 1);
            // Of what is asked again, nothing is doubled.
            journal.append(vec![line(0), line(1)]).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_damaged_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        Journal::open(&path).unwrap().append(vec![line(0)]).unwrap();
        let good = std::fs::read_to_string(&path).unwrap();
        let refused = |text: String| {
            std::fs::write(&path, text).unwrap();
            format!("{:#}", Journal::open(&path).err().unwrap())
        };
        let error = refused(format!("{good}no line\n"));
        assert!(error.contains("traces.jsonl: line 2 is damaged"), "{error}");
        let error = refused(format!("{good}{good}"));
        assert!(error.contains("line 2 repeats m, t/i, sample 0"), "{error}");
    }
}
