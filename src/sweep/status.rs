//! How a sweep stands and how it ended: the table of its jobs, what went wrong
//! with those that failed, and the runs that are there to be compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{Plan, Sweep, is_sweep, quoted, run_folder, state};
use crate::error::UserError;
use crate::files;
use crate::runner::survey::State;

/// How the jobs of a sweep ended.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Whether the user asked to stop.
    pub(crate) interrupted: bool,
    /// What became of jobs that go on without this process, by their place in the
    /// plan.
    pub(super) left: BTreeMap<usize, String>,
    /// Jobs that failed, by their place in the plan: how, in a few words.
    pub(super) failed: BTreeMap<usize, String>,
}

/// A table of jobs, `state` being each one's last column.
pub(crate) fn table(plan: &Plan, state: impl Fn(usize) -> String) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["job", "run", "seed", "settings", "state"]);
    for index in [0, 2] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for (index, job) in plan.jobs.iter().enumerate() {
        let settings: Vec<String> = job
            .point
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        table.add_row([
            job.number.to_string(),
            job.name.clone(),
            job.seed.to_string(),
            settings.join("\n"),
            state(index),
        ]);
    }
    table.trim_fmt()
}

/// The state of a job in a directory that may not be there yet.
pub(crate) fn word(folder: &Path, plan: &Plan, index: usize) -> String {
    let job = plan.jobs.get(index);
    let state = job.and_then(|job| state(folder, job));
    state.map_or("not begun", State::word).to_owned()
}

impl Sweep {
    /// The table of jobs after an outcome.
    pub(crate) fn summary(&self, outcome: &Outcome) -> String {
        table(&self.plan, |index| {
            if outcome.failed.contains_key(&index) {
                return "failed".to_owned();
            }
            if let Some(state) = outcome.left.get(&index) {
                return state.clone();
            }
            word(&self.folder, &self.plan, index)
        })
    }

    /// What is to be said of the jobs that failed; `None` where none did.
    pub(crate) fn failures(&self, outcome: &Outcome, device: &str) -> Result<Option<String>> {
        if outcome.failed.is_empty() {
            return Ok(None);
        }
        let (failed, all) = (outcome.failed.len(), self.plan.jobs.len());
        let mut lines = vec![format!("{failed} of {all} jobs failed")];
        for (index, how) in &outcome.failed {
            let Some(job) = self.plan.jobs.get(*index) else {
                continue;
            };
            let log = self.log(job);
            let said = last_line(&log).unwrap_or_else(|| "it said nothing".to_owned());
            let again: Vec<String> = self
                .arguments(job, device)?
                .iter()
                .map(|word| quoted(word))
                .collect();
            lines.push(format!(
                "job {}, {} ({how}): {said}\n    log: {}\n    again: qinglan {}",
                job.number,
                job.name,
                log.display(),
                again.join(" ")
            ));
        }
        lines.push(
            "do them again with the same command and --resume; the others are kept".to_owned(),
        );
        Ok(Some(lines.join("\n")))
    }
}

/// Letters of a log's line that are shown.
const SHOWN: usize = 400;

/// The last line of a log that says something, for a terminal.
fn last_line(log: &Path) -> Option<String> {
    let text = files::tail(log)?;
    let said = |line: &&str| !line.trim().is_empty();
    // Slurm ends a log with what it did itself; the program's own error says more.
    let last = text
        .lines()
        .rev()
        .find(|line| line.starts_with("error: "))
        .or_else(|| text.lines().rev().find(said))?;
    let shown = last.chars().filter(|c| !c.is_control()).take(SHOWN);
    Some(shown.collect())
}

/// Run directories for a comparison: a sweep directory stands for its finished
/// runs, those that are not finished are named, and anything else stays as it is.
pub(crate) fn finished_runs(given: Vec<PathBuf>) -> Result<Vec<PathBuf>> {
    let mut runs = Vec::new();
    for folder in given {
        if !is_sweep(&folder) {
            runs.push(folder);
            continue;
        }
        let plan = Plan::read(&folder)?;
        let (whole, left): (Vec<_>, Vec<_>) = plan
            .jobs
            .iter()
            .partition(|job| state(&folder, job) == Some(State::Finished));
        let names: Vec<&str> = left.iter().map(|job| job.name.as_str()).collect();
        let place = folder.display();
        if whole.is_empty() {
            bail!(UserError(format!(
                "no run of the sweep in {place} is finished; go on with it with --resume"
            )));
        }
        if !names.is_empty() {
            let (left, all) = (names.len(), plan.jobs.len());
            tracing::warn!(
                "{left} of {all} runs of the sweep in {place} are not finished and left out: {}",
                names.join(", ")
            );
        }
        runs.extend(whole.iter().map(|job| run_folder(&folder, job)));
    }
    Ok(runs)
}

/// The point of the grid that a run belongs to, where it is a sweep's: the name of
/// its runs without their seeds.
pub(crate) fn point_of(run: &Path) -> Option<String> {
    let plan = Plan::read(run.parent()?.parent()?).ok()?;
    let name = run.file_name()?.to_str()?;
    let job = plan.jobs.iter().find(|job| job.name == name)?;
    let point = name.strip_suffix(&format!("-seed-{}", job.seed))?;
    Some(point.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_told_by_its_error_else_by_its_last_line() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("1.log");
        assert_eq!(last_line(&log), None);
        let last = |text: &str| {
            std::fs::write(&log, text).expect("a file");
            last_line(&log)
        };
        assert_eq!(last("\n \n"), None);
        assert_eq!(last("one\ntwo\n\n").as_deref(), Some("two"));
        let slurm = "error: no room\nsrun: error: node1: task 0: Exited with exit code 1\n";
        assert_eq!(last(slurm).as_deref(), Some("error: no room"));
        assert_eq!(last("\u{1b}[31mred\n").as_deref(), Some("[31mred"));
        let long = "x".repeat(100_000);
        assert_eq!(last(&long).map(|line| line.len()), Some(SHOWN));
    }
}
