//! `metrics.jsonl`: one JSON object an optimizer update, names as TRL has them.
//!
//! A value that is not finite is left out of the line rather than written as a
//! number that nobody measured; what a name means is in `docs/metrics.md`.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use algorithms::Metrics;
use anyhow::{Context, Result};

/// An open `metrics.jsonl`.
#[derive(Debug)]
pub struct MetricsLog {
    file: File,
    path: PathBuf,
}

impl MetricsLog {
    /// Opens the log of a run that has made `updates` updates. Lines of later
    /// updates, left by a run that was killed after its last checkpoint, are
    /// dropped: those updates will be made again.
    pub fn open(path: &Path, updates: u64) -> Result<Self> {
        let mut kept = String::new();
        if updates > 0 && path.exists() {
            let file = File::open(path).with_context(|| format!("reading {}", path.display()))?;
            for line in BufReader::new(file).lines() {
                let line = line.with_context(|| format!("reading {}", path.display()))?;
                let step = serde_json::from_str::<serde_json::Value>(&line)
                    .ok()
                    .and_then(|value| value.get("step")?.as_u64());
                if step.is_some_and(|step| step <= updates) {
                    kept.push_str(&line);
                    kept.push('\n');
                }
            }
        }
        crate::files::write_whole(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .with_context(|| format!("opening {}", path.display()))?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Appends one line.
    pub fn write(&mut self, step: u64, metrics: &Metrics) -> Result<()> {
        let mut object = serde_json::Map::new();
        object.insert("step".to_owned(), step.into());
        for (name, value) in metrics {
            if let Some(number) = serde_json::Number::from_f64(*value) {
                object.insert(name.clone(), number.into());
            }
        }
        let mut line = serde_json::Value::Object(object).to_string();
        line.push('\n');
        self.file
            .write_all(line.as_bytes())
            .with_context(|| format!("writing {}", self.path.display()))
    }
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
        let mut log = MetricsLog::open(&path, 3).unwrap();
        log.write(4, &Metrics::from([("loss".to_owned(), f64::NAN)]))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 4);
        assert_eq!(text.lines().last(), Some("{\"step\":4}"));
    }
}
