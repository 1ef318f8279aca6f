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
use serde_json::{Map, Value};

use super::events::{Event, EventFile, seconds_since_1970};

/// An open `metrics.jsonl` and the event file beside it.
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    path: PathBuf,
    events: EventFile,
}

impl MetricsLog {
    /// Opens the log of a run that has made `updates` updates. Lines of later
    /// updates, left by a run that was killed after its last checkpoint, are
    /// dropped: those updates will be made again. So is a line that was not
    /// finished. A log that lacks one of the updates made is refused.
    pub fn open(path: &Path, updates: u64) -> Result<Self> {
        let mut kept = Vec::new();
        if updates > 0 && path.exists() {
            let bytes =
                std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            kept = String::from_utf8_lossy(&bytes)
                .lines()
                .filter_map(|line| Some((line.to_owned(), serde_json::from_str(line).ok()?)))
                .filter(|(_, line)| step_of(line).is_some_and(|step| step <= updates))
                .collect::<Vec<(String, Map<String, Value>)>>();
        }
        let told = kept.iter().filter_map(|(_, line)| step_of(line));
        let told = told.filter(|&step| step > 0).collect::<BTreeSet<u64>>();
        // Counts over all updates are made from it.
        ensure!(
            told.len() as u64 == updates,
            "{} tells of {} of the {updates} updates that were made; put it back as it was, or remove {} to train again",
            path.display(),
            told.len(),
            path.parent().unwrap_or(path).display()
        );
        let text: String = kept
            .iter()
            .flat_map(|(text, _)| [text.as_str(), "\n"])
            .collect();
        crate::files::write_whole(path, text.as_bytes())?;
        let lines: Vec<&Map<String, Value>> = kept.iter().map(|(_, line)| line).collect();
        let folder = path.parent().unwrap_or(Path::new("."));
        let events = EventFile::begin(folder, &dated(&lines, seconds_since_1970()))?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            events,
        })
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
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))?;
        self.events.write(&Event {
            wall_time: seconds_since_1970(),
            step,
            values: metrics.iter().map(|(name, v)| (&**name, *v)).collect(),
        })
    }
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
        let mut log = MetricsLog::open(&path, 0).unwrap();
        for step in 1..=5 {
            log.write(step, &Metrics::from([("loss".to_owned(), step as f64)]))
                .unwrap();
        }
        drop(log);
        // A line that a crash cut off within a letter.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"step\":2,\"rewards/\xc3").unwrap();
        let mut log = MetricsLog::open(&path, 3).unwrap();
        log.write(4, &Metrics::from([("loss".to_owned(), f64::NAN)]))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert_eq!(text.lines().last(), Some("{\"step\":4}"));
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
        let refused = MetricsLog::open(&path, 3).unwrap_err().to_string();
        assert!(refused.contains("2 of the 3 updates"), "{refused}");
        std::fs::remove_file(&path).unwrap();
        assert!(MetricsLog::open(&path, 3).is_err());
        assert!(MetricsLog::open(&path, 0).is_ok());
    }
}
