//! A run that is followed while it goes on: its parts as [`Survey`] has them,
//! their metrics so far, and what was sampled last.
//!
//! Each look reads only what was appended to a log since the last one. A log
//! that was put in the place of another, as when a run is taken up again, is
//! read from its beginning. What is damaged is told in words and passed over.
//! Nothing here writes, and nothing is kept that no view shows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use experiments::dataset;
use serde_json::{Map, Value};

use super::survey::{Part, State, Survey};

/// The metrics that are kept, by their names in `docs/metrics.md`.
const KEPT: [&str; 8] = [
    "reward",
    "validation/accuracy",
    "loss",
    "completions/mean_length",
    "entropy",
    "completions/clipped_ratio",
    SECONDS,
    TOKENS,
];
const SECONDS: &str = "seconds";
const TOKENS: &str = "num_tokens";

/// The name under which tokens a second go; it is no metric of the log's.
pub const SPEED: &str = "tokens/s";

/// Updates over which speed and time left are measured: longer than a rollout
/// phase, whose first update bears its sampling.
const WINDOW: usize = 32;

/// Longest line that is read; the longest ones of a training have a few kB.
const LONGEST: usize = 1 << 20;

/// Largest file of completions that is read: 1024 of 16 kB each have half of it.
const LARGEST: u64 = 1 << 25;

/// A metric over the updates of one training: (update, value), in their order.
pub type Series = Vec<(f64, f64)>;

/// A run and how far each part of it is, as of the last look.
#[derive(Debug)]
pub struct Live {
    survey: Survey,
    logs: BTreeMap<PathBuf, Log>,
}

impl Live {
    /// A first look at a run directory.
    pub fn of(folder: &Path) -> Result<Self> {
        let mut live = Self {
            survey: Survey::without_logs(folder)?,
            logs: BTreeMap::new(),
        };
        live.follow();
        Ok(live)
    }

    /// Looks again. Where the directory cannot be read any more, what was seen
    /// last stays.
    pub fn look(&mut self) -> Result<()> {
        self.survey = Survey::without_logs(&self.survey.folder)?;
        self.follow();
        Ok(())
    }

    fn follow(&mut self) {
        let (survey, logs) = (&mut self.survey, &mut self.logs);
        logs.retain(|path, _| survey.parts.iter().any(|part| part.log == *path));
        for part in &mut survey.parts {
            let log = logs.entry(part.log.clone()).or_default();
            if let Err(error) = log.follow(&part.log) {
                log.unreadable = Some(error.to_string());
            }
            part.updates = log.step;
        }
    }

    /// The run and its parts.
    pub fn survey(&self) -> &Survey {
        &self.survey
    }

    /// Where the report is, once it is written.
    pub fn report(&self) -> Option<PathBuf> {
        let report = self.survey.folder.join("report.html");
        (self.survey.state == State::Finished && report.is_file()).then_some(report)
    }

    /// A metric of a part so far; empty where it has none. [`SPEED`] is one.
    pub fn series(&self, part: &Part, metric: &str) -> Series {
        let Some(log) = self.logs.get(&part.log) else {
            return Series::new();
        };
        if metric == SPEED {
            return log.speed();
        }
        log.series.get(metric).cloned().unwrap_or_default()
    }

    /// The last value of a metric of a part.
    pub fn last(&self, part: &Part, metric: &str) -> Option<f64> {
        if metric == SPEED {
            let log = self.logs.get(&part.log)?;
            return log.speed_at(log.series.get(TOKENS)?.len());
        }
        Some(self.logs.get(&part.log)?.series.get(metric)?.last()?.1)
    }

    /// Seconds of training that a part will still take at its present pace,
    /// validation left out; `None` for one that is not in training.
    pub fn left(&self, part: &Part) -> Option<f64> {
        if part.done || self.survey.state != State::GoingOn {
            return None;
        }
        let left = part.of?.checked_sub(part.updates?)?;
        let seconds = self.logs.get(&part.log)?.series.get(SECONDS)?;
        let (step, now) = seconds.last()?;
        let (first, then) = seconds.get(seconds.len().saturating_sub(WINDOW + 1))?;
        let pace = (now - then) / (step - first);
        pace.is_finite().then_some(left as f64 * pace)
    }

    /// How far a part is, in a word or two.
    pub fn word(&self, part: &Part) -> &'static str {
        match (part.done, part.updates, self.survey.state) {
            (true, ..) => "done",
            (false, None, _) => "not begun",
            (false, updates, _) if updates == part.of => "trained",
            (false, Some(_), State::GoingOn) => "going on",
            (false, Some(_), _) => "stopped",
        }
    }

    /// What could not be read, a sentence each.
    pub fn faults(&self) -> Vec<String> {
        let told = |(path, log): (&PathBuf, &Log)| {
            let path = path.strip_prefix(&self.survey.folder).unwrap_or(path);
            let told = match (&log.unreadable, log.damaged, log.damages) {
                (Some(error), ..) => format!("cannot be read: {error}"),
                (None, Some(line), 1) => format!("line {line} is damaged"),
                (None, Some(line), damages) => {
                    format!("{damages} lines are damaged, the first is line {line}")
                }
                (None, None, _) => return None,
            };
            Some(format!("{}: {told}", path.display()))
        };
        self.logs.iter().filter_map(told).collect()
    }
}

/// What is known of one log.
#[derive(Debug, Default)]
struct Log {
    /// Device and inode of the file that was read.
    file: Option<(u64, u64)>,
    /// Bytes of it that were read.
    read: u64,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    lines: u64,
    step: Option<u64>,
    series: BTreeMap<&'static str, Series>,
    damaged: Option<u64>,
    damages: u64,
    unreadable: Option<String>,
}

impl Log {
    /// Reads on from where the last look ended.
    fn follow(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                *self = Self::default();
                return Ok(());
            }
            file => file?,
        };
        let metadata = file.metadata()?;
        let identity = Some((metadata.dev(), metadata.ino()));
        if self.file != identity || metadata.len() < self.read {
            *self = Self {
                file: identity,
                ..Self::default()
            };
        }
        file.seek(SeekFrom::Start(self.read))?;
        let mut chunk = vec![0; 1 << 16];
        loop {
            let count = file.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            self.read += count as u64;
            let new = chunk.get(..count).unwrap_or_default();
            for piece in new.split_inclusive(|b| *b == b'\n') {
                // One byte beyond the longest is enough to know that it is no line.
                let room = (LONGEST + 1).saturating_sub(self.begun.len());
                self.begun.extend(piece.iter().take(room));
                if piece.ends_with(b"\n") {
                    let line = std::mem::take(&mut self.begun);
                    self.take_in(&line);
                }
            }
        }
        self.unreadable = None;
        Ok(())
    }

    fn take_in(&mut self, line: &[u8]) {
        self.lines += 1;
        let parsed = serde_json::from_slice::<Map<String, Value>>(line).ok();
        let step = parsed.as_ref().and_then(|line| line.get("step")?.as_u64());
        let (Some(line), Some(step)) = (parsed, step) else {
            self.damaged.get_or_insert(self.lines);
            self.damages += 1;
            return;
        };
        self.step = Some(step);
        for name in KEPT {
            if let Some(value) = line.get(name).and_then(Value::as_f64) {
                let series = self.series.entry(name).or_default();
                series.push((step as f64, value));
            }
        }
    }

    /// Tokens a second over the updates that end before the `end`th.
    fn speed_at(&self, end: usize) -> Option<f64> {
        let (tokens, seconds) = (self.series.get(TOKENS)?, self.series.get(SECONDS)?);
        let last = end.checked_sub(1)?;
        let first = last.saturating_sub(WINDOW);
        let over = |series: &Series| Some(series.get(last)?.1 - series.get(first)?.1);
        let speed = if first == last {
            tokens.get(last)?.1 / seconds.get(last)?.1
        } else {
            over(tokens)? / over(seconds)?
        };
        speed.is_finite().then_some(speed)
    }

    fn speed(&self) -> Series {
        let tokens = self.series.get(TOKENS).map_or(&[][..], Vec::as_slice);
        let at =
            |(index, (step, _)): (usize, &(f64, f64))| Some((*step, self.speed_at(index + 1)?));
        tokens.iter().enumerate().filter_map(at).collect()
    }
}

/// A completion of a rollout phase, as it was logged.
///
/// Worked example: `{step: 13, task: "addition_digit", prompt: "3 + 4 = ?",
/// completion: "<think> 3 4 </think> 7", reward: Some(1.1), tokens: Some(8),
/// truncated: false}`. The texts are a model's: whoever shows them escapes them.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The first update that it served.
    pub step: u64,
    /// Task name.
    pub task: String,
    /// What was asked.
    pub prompt: String,
    /// What was written.
    pub completion: String,
    /// The weighted sum of the rewards.
    pub reward: Option<f64>,
    /// Its tokens.
    pub tokens: Option<u64>,
    /// Whether the token cap cut it off.
    pub truncated: bool,
}

/// The file of the last rollout phase of a part.
pub fn newest_phase(part: &Part) -> Option<PathBuf> {
    let entries = std::fs::read_dir(part.folder.join("completions")).ok()?;
    let step = |path: PathBuf| {
        let name = path.file_name()?.to_str()?;
        let step: u64 = name
            .strip_prefix("step-")?
            .strip_suffix(".parquet")?
            .parse()
            .ok()?;
        Some((step, path))
    };
    let phases = entries.flatten().filter_map(|entry| step(entry.path()));
    phases.max().map(|(_, path)| path)
}

/// The first completion of each prompt: what to show where there is little room.
pub fn one_a_prompt(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    let mut seen = BTreeSet::new();
    samples
        .iter()
        .filter(move |sample| seen.insert(&sample.prompt))
}

/// The completions of a phase.
pub fn samples(path: &Path) -> Result<Vec<Sample>> {
    let size = std::fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
    ensure!(
        size.len() <= LARGEST,
        "{} is larger than the completions of a phase are; it is not shown",
        path.display()
    );
    let columns = [
        "step",
        "task",
        "prompt",
        "completion",
        "reward",
        "completion_tokens",
        "truncated",
    ];
    let rows = dataset::read(path, &columns)?.rows;
    let sample = |row: Map<String, Value>| {
        let text = |name: &str| {
            row.get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let count = |name: &str| row.get(name).and_then(Value::as_u64);
        Sample {
            step: count("step").unwrap_or_default(),
            task: text("task"),
            prompt: text("prompt"),
            completion: text("completion"),
            reward: row.get("reward").and_then(Value::as_f64),
            tokens: count("completion_tokens"),
            truncated: row
                .get("truncated")
                .and_then(Value::as_bool)
                .unwrap_or(false),
        }
    };
    Ok(rows.into_iter().map(sample).collect())
}

#[cfg(test)]
mod tests;
