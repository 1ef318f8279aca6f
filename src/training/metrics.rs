//! The metrics of a training: `metrics.jsonl`, one JSON object an optimizer
//! update, names as TRL has them, and beside it the same for `TensorBoard`.
//!
//! A value that is not finite is left out of the line rather than written as a
//! number that nobody measured; what a name means is in `docs/metrics.md`.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use algorithms::Metrics;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::events::{Event, EventFile, seconds_since_1970};

/// An open `metrics.jsonl` and the event file beside it.
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    path: PathBuf,
    written: u64,
    hasher: blake3::Hasher,
    events: EventFile,
}

/// The beginning of a log: what a checkpoint keeps of it, so that the log it is
/// continued with is the log it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    bytes: u64,
    hash: String,
}

impl MetricsLog {
    /// Opens the log of a run that has made `updates` updates, as `logged` has
    /// it. Lines of later updates, left by a run that was killed after its last
    /// checkpoint, are dropped: those updates will be made again. So is a line
    /// that was not finished. A log that is not the one of the updates made is
    /// refused.
    pub fn open(path: &Path, updates: u64, logged: Option<&Logged>) -> Result<Self> {
        let kept = kept(path, updates, logged)?;
        crate::files::write_whole(path, kept.as_bytes())?;
        let lines = kept.lines().map(serde_json::from_str);
        let lines = lines
            .collect::<Result<Vec<Map<String, Value>>, _>>()
            .with_context(|| format!("reading {}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let lines: Vec<_> = lines.iter().collect();
        let events = EventFile::begin(folder, &dated(&lines, seconds_since_1970()))?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        let mut hasher = blake3::Hasher::new();
        hasher.update(kept.as_bytes());
        Ok(Self {
            file,
            path: path.to_owned(),
            written: kept.len() as u64,
            hasher,
            events,
        })
    }

    /// What it holds, which lasts through a crash from now on.
    pub fn sync(&self) -> Result<Logged> {
        self.file
            .sync_all()
            .with_context(|| format!("syncing {}", self.path.display()))?;
        self.check_there()?;
        Ok(Logged {
            bytes: self.written,
            hash: self.hasher.finalize().to_hex().to_string(),
        })
    }

    /// Refuses to go on where the log was removed: nobody would find what is
    /// written to it.
    fn check_there(&self) -> Result<()> {
        ensure!(
            self.path.exists(),
            "{} was removed while it was written to",
            self.path.display()
        );
        Ok(())
    }

    /// Appends one line.
    pub fn write(&mut self, step: u64, metrics: &Metrics) -> Result<()> {
        let mut object = Map::new();
        object.insert("step".to_owned(), step.into());
        for (name, value) in metrics {
            if let Some(number) = serde_json::Number::from_f64(*value) {
                object.insert(name.clone(), number.into());
            }
        }
        let mut line = Value::Object(object).to_string();
        line.push('\n');
        self.check_there()?;
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))?;
        self.written += line.len() as u64;
        self.hasher.update(line.as_bytes());
        self.events.write(&Event {
            wall_time: seconds_since_1970(),
            step,
            values: metrics.iter().map(|(name, v)| (&**name, *v)).collect(),
        })
    }
}

/// The lines of the updates that were made, as a log has them.
pub(super) fn kept(path: &Path, updates: u64, logged: Option<&Logged>) -> Result<String> {
    if updates == 0 {
        return Ok(String::new());
    }
    let bytes = if path.exists() {
        std::fs::read(path).with_context(|| format!("reading {}", path.display()))?
    } else {
        Vec::new()
    };
    let way_out = || {
        format!(
            "put it back as it was, or remove {} to train again",
            path.parent().unwrap_or(path).display()
        )
    };
    if let Some(logged) = logged {
        let beginning = bytes.get(..logged.bytes as usize);
        let known = |beginning: &&[u8]| blake3::hash(beginning).to_hex().as_str() == logged.hash;
        let beginning = beginning.filter(known).with_context(|| {
            format!(
                "{} is not what was logged of the {updates} updates that were made; {}",
                path.display(),
                way_out()
            )
        })?;
        return Ok(String::from_utf8_lossy(beginning).into_owned());
    }
    // A checkpoint of an earlier version knows how many updates there were.
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter_map(|line| {
        let step = step_of(&serde_json::from_str(line).ok()?)?;
        (step <= updates).then_some((step, line))
    });
    let lines: Vec<(u64, &str)> = lines.collect();
    let steps: BTreeSet<u64> = lines.iter().map(|(step, _)| *step).collect();
    let told = steps.range(1..).count() as u64;
    // Counts over all updates are made from it.
    ensure!(
        told == updates,
        "{} tells of {told} of the {updates} updates that were made; {}",
        path.display(),
        way_out()
    );
    Ok(lines.iter().flat_map(|(_, line)| [line, "\n"]).collect())
}

fn step_of(line: &Map<String, Value>) -> Option<u64> {
    line.get("step")?.as_u64()
}

/// Lines of the log as events of a training that was never interrupted and has
/// come as far as it has `now`: what was waited in between shows nowhere.
fn dated<'a>(lines: &[&'a Map<String, Value>], now: f64) -> Vec<Event<'a>> {
    let seconds = |line: &Map<String, Value>| -> f64 {
        let seconds = line.get("seconds").and_then(Value::as_f64);
        seconds.unwrap_or(0.0)
    };
    let spent = lines.last().map_or(0.0, |line| seconds(line));
    lines
        .iter()
        .map(|line| Event {
            wall_time: now - (spent - seconds(line)),
            step: step_of(line).unwrap_or(0),
            values: line
                .iter()
                .filter(|(name, _)| *name != "step")
                .filter_map(|(name, value)| Some((&**name, value.as_f64()?)))
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resumed_log_forgets_what_will_be_done_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsLog::open(&path, 0, None).unwrap();
        for step in 1..=5 {
            log.write(step, &Metrics::from([("loss".to_owned(), step as f64)]))
                .unwrap();
        }
        drop(log);
        // A line that a crash cut off within a letter.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"step\":2,\"rewards/\xc3").unwrap();
        let mut log = MetricsLog::open(&path, 3, None).unwrap();
        log.write(4, &Metrics::from([("loss".to_owned(), f64::NAN)]))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert_eq!(text.lines().last(), Some("{\"step\":4}"));
    }

    #[test]
    fn a_log_that_is_not_the_one_of_the_updates_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let write = |log: &mut MetricsLog, steps: std::ops::RangeInclusive<u64>| {
            for step in steps {
                let metrics = Metrics::from([("loss".to_owned(), step as f64)]);
                log.write(step, &metrics).unwrap();
            }
        };
        let mut log = MetricsLog::open(&path, 0, None).unwrap();
        write(&mut log, 0..=3);
        let logged = log.sync().unwrap();
        let known = std::fs::read_to_string(&path).unwrap();
        write(&mut log, 4..=5);
        // One that was gone on with from there says the same of the same lines.
        let mut log = MetricsLog::open(&path, 3, Some(&logged)).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), known);
        assert_eq!(log.sync().unwrap(), logged);
        write(&mut log, 4..=4);
        let whole = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = whole.lines().collect();
        let again = [lines[0], lines[1], lines[1], lines[2], lines[3]].join("\n");
        for changed in [
            lines[1..].join("\n"),
            again,
            whole.replacen("2.0", "2.5", 1),
            whole[..20].to_owned(),
        ] {
            std::fs::write(&path, &changed).unwrap();
            let refused = MetricsLog::open(&path, 3, Some(&logged)).unwrap_err();
            let refused = refused.to_string();
            assert!(refused.contains("metrics.jsonl is not what"), "{refused}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), changed);
        }
        std::fs::remove_file(&path).unwrap();
        assert!(log.write(5, &Metrics::new()).is_err());
        assert!(log.sync().is_err());
    }

    #[test]
    fn earlier_updates_are_dated_by_the_seconds_of_training() {
        let line = |text: &str| serde_json::from_str(text).unwrap();
        let lines: [Map<String, Value>; 3] = [
            line("{\"step\":0,\"validation/loss\":3.5}"),
            line("{\"step\":1,\"seconds\":10.0,\"loss\":2.5}"),
            line("{\"step\":2,\"seconds\":25.0}"),
        ];
        let events = dated(&lines.iter().collect::<Vec<_>>(), 1000.0);
        let times: Vec<(u64, f64)> = events.iter().map(|e| (e.step, e.wall_time)).collect();
        assert_eq!(times, [(0, 975.0), (1, 985.0), (2, 1000.0)]);
        assert_eq!(events[1].values, [("seconds", 10.0), ("loss", 2.5)]);
    }

    #[test]
    fn a_log_that_lacks_an_update_that_was_made_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        std::fs::write(&path, "{\"step\":0}\n{\"step\":1}\n{\"step\":3}\n").unwrap();
        let refused = MetricsLog::open(&path, 3, None).unwrap_err().to_string();
        assert!(refused.contains("2 of the 3 updates"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        assert!(MetricsLog::open(&path, 3, None).is_err());
        assert!(MetricsLog::open(&path, 0, None).is_ok());
    }
}
