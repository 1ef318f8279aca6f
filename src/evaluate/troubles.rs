//! The tries of a server that failed: a file that only grows, a line a try, and
//! what a reader is told of them.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::tasks::Item;

/// Kinds of trouble that a note names.
const NAMED: usize = 12;

/// A failed try, a line of the file.
#[derive(Serialize, Deserialize)]
struct Trouble {
    task: String,
    item_id: String,
    sample: u32,
    number: u32,
    what: String,
}

/// The file while an evaluation goes on.
pub(crate) struct Log {
    file: Mutex<File>,
}

impl Log {
    /// Opens or begins the file of that name.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.with_context(|| format!("writing {}", path.display()))?;
        Ok(Self {
            file: Mutex::new(file),
        })
    }

    /// Notes a failed try. A note that cannot be written costs no answer.
    pub(crate) fn note(&self, item: &Item, sample: u32, number: u32, what: &str) {
        tracing::info!(
            "{}/{}, sample {sample}, try {number}: {what}",
            item.task,
            item.item_id
        );
        let trouble = Trouble {
            task: item.task.clone(),
            item_id: item.item_id.clone(),
            sample,
            number,
            what: what.to_owned(),
        };
        let written = serde_json::to_vec(&trouble).map(|mut line| {
            line.push(b'\n');
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&line)
        });
        if !matches!(written, Ok(Ok(()))) {
            tracing::warn!("a failed try could not be noted: {what}");
        }
    }
}

/// What the file says.
#[derive(Default)]
pub(crate) struct Troubles {
    counts: BTreeMap<String, usize>,
    /// Of each task, item and sample.
    last: HashMap<(String, String, u32), String>,
}

impl Troubles {
    /// Reads the file; there are none where there is no file.
    pub(crate) fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let mut troubles = Self::default();
        // A line that a killed process left half written says nothing.
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok());
        for trouble in lines {
            let Trouble {
                task,
                item_id,
                sample,
                what,
                ..
            } = trouble;
            *troubles.counts.entry(what.clone()).or_default() += 1;
            troubles.last.insert((task, item_id, sample), what);
        }
        troubles
    }

    /// Why the last try of a question failed.
    pub(crate) fn last(&self, item: &Item, sample: u32) -> Option<&str> {
        let place = (item.task.clone(), item.item_id.clone(), sample);
        self.last.get(&place).map(String::as_str)
    }

    /// How often each was met, in words; `None` where there was none.
    pub(crate) fn note(&self) -> Option<String> {
        let mut counts: Vec<(&String, &usize)> = self.counts.iter().collect();
        // Stable, so that those met equally often stand by name.
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let mut named: Vec<String> = counts
            .iter()
            .take(NAMED)
            .map(|(what, count)| format!("{what} ({count})"))
            .collect();
        if counts.len() > NAMED {
            let more = counts.len() - NAMED;
            named.push(format!("and {more} more kinds, in troubles.jsonl"));
        }
        (!named.is_empty()).then(|| {
            format!(
                "Tries that failed and were made again, or given up: {}.",
                named.join(", ")
            )
        })
    }
}
