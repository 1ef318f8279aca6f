//! Sweeps: one definition with several seeds and a grid of settings, as many runs.
//!
//! A job is one `qinglan run`: one point of the grid, one seed, all arms. It is
//! not cut finer, because what a comparison pairs (base weights by hash, the
//! order of problems, the evaluation's draws) is then inside one run directory,
//! where the run itself vouches for it. What jobs would make alike one of them makes
//! and the others take from the store. A job is a process, so that it has a device and
//! cores of its own and its end is nobody else's.
//!
//! A sweep directory holds `sweep.json`, the plan, and by job `jobs/NAME`, an
//! ordinary run directory, and `logs/NUMBER.log`. Nothing says that a sweep is
//! finished but the manifests of its runs: there is no second truth that a kill
//! could leave behind, and resuming is to do what has no manifest.
//!
//! The grid has the keys of `--set`, from options or from a file of its own, and
//! no table in the definition: a definition stays what one run is, and one
//! definition serves many grids.

mod bars;
mod grid;
mod local;
mod plan;
mod slurm;
mod status;

pub(crate) use grid::Wanted;
pub(crate) use local::{Devices, Local};
pub(crate) use plan::{Job, Plan};
pub(crate) use slurm::Slurm;
pub(crate) use status::{Outcome, finished_runs, point_of, table, word};

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::error::{UserError, as_user_error};
use crate::files;
use crate::runner::finish::MANIFEST;
use crate::runner::survey::{State, Survey};

/// Name of the plan, which makes a directory a sweep's.
pub(crate) const PLAN: &str = "sweep.json";

/// Folder of a sweep directory that holds the run directories.
pub(crate) const JOBS: &str = "jobs";

/// A sweep directory that is this process's alone.
pub(crate) struct Sweep {
    /// The directory.
    pub(crate) folder: PathBuf,
    /// The definition file, for the command lines of the jobs.
    pub(crate) definition: PathBuf,
    /// What is to be run.
    pub(crate) plan: Plan,
    _alone: File,
}

impl Sweep {
    /// Makes the directory this plan's, or refuses.
    pub(crate) fn begin(
        folder: &Path,
        definition: &Path,
        plan: Plan,
        resume: bool,
    ) -> Result<Self> {
        check_directory(folder, &plan, resume)?;
        let Some(alone) = as_user_error(files::lock(folder))? else {
            bail!(UserError(format!(
                "another process is working on the sweep in {}; wait for it, or give another folder with --out",
                folder.display()
            )));
        };
        // Another may have begun, and ended, since the first look.
        check_directory(folder, &plan, resume)?;
        let path = folder.join(PLAN);
        if !path.exists() {
            let written = files::write_whole(&path, &serde_json::to_vec_pretty(&plan)?);
            as_user_error(written)?;
        }
        files::create_folder(&folder.join("logs"))?;
        Ok(Self {
            folder: folder.to_owned(),
            definition: definition.to_owned(),
            plan,
            _alone: alone,
        })
    }

    /// The run directory of a job.
    pub(crate) fn run_folder(&self, job: &Job) -> PathBuf {
        run_folder(&self.folder, job)
    }

    /// The log of a job.
    fn log(&self, job: &Job) -> PathBuf {
        self.folder.join(format!("logs/{}.log", job.number))
    }

    /// Whether a job's run is whole. The manifest alone is looked for: it is asked
    /// again and again.
    fn is_finished(&self, job: &Job) -> bool {
        self.run_folder(job).join(MANIFEST).exists()
    }

    /// How many jobs are finished.
    fn finished(&self) -> usize {
        let jobs = self.plan.jobs.iter();
        jobs.filter(|job| self.is_finished(job)).count()
    }

    /// How far a job is; `None` where it was not begun.
    fn state(&self, job: &Job) -> Option<State> {
        state(&self.folder, job)
    }

    /// Parts that a job has finished, and updates that its trainings have made.
    fn progress(&self, job: &Job) -> (usize, u64) {
        Survey::of(&self.run_folder(job)).map_or((0, 0), |survey| {
            let updates = survey.parts.iter().filter_map(|part| part.updates).sum();
            (survey.done(), updates)
        })
    }

    /// Numbers of the jobs that have no manifest yet, as places in the plan. A run
    /// that a process outside this sweep works on is refused.
    pub(crate) fn unfinished(&self) -> Result<Vec<usize>> {
        let mut left = Vec::new();
        for (index, job) in self.plan.jobs.iter().enumerate() {
            match self.state(job) {
                Some(State::Finished) => {}
                Some(State::GoingOn) => bail!(UserError(format!(
                    "a process is still working on {}, left by a sweep that was killed; wait for it or end it, then go on with --resume",
                    self.run_folder(job).display()
                ))),
                Some(State::Stopped) | None => left.push(index),
            }
        }
        Ok(left)
    }

    /// Makes a job's run directory the job's: a run that finds its definition and
    /// the hashes of its files there refuses any other, so that a file edited in
    /// the middle of a sweep cannot make its jobs differ.
    fn claim(&self, job: &Job) -> Result<()> {
        let path = self.run_folder(job).join(crate::runner::DEFINITION_FILE);
        if path.exists() {
            return Ok(());
        }
        // The definition last: where it is, the run is claimed.
        job.pins.write(&self.run_folder(job))?;
        files::write_whole(&path, job.text.as_bytes())
    }

    /// The arguments of the binary that run a job, or go on with it.
    fn arguments(&self, job: &Job, device: &str) -> Result<Vec<String>> {
        let word = |path: &Path| -> Result<String> {
            let path = std::path::absolute(path)?;
            let text = path.to_str();
            Ok(text
                .with_context(|| format!("{}: the path is not UTF-8", path.display()))?
                .to_owned())
        };
        let mut words = vec!["run".to_owned(), word(&self.definition)?];
        for entry in &job.overrides {
            words.extend(["--set".to_owned(), entry.clone()]);
        }
        words.extend(["--seeds".to_owned(), job.seed.to_string()]);
        words.extend(["--device".to_owned(), device.to_owned()]);
        words.extend(["--out".to_owned(), word(&self.run_folder(job))?]);
        words.push("--resume".to_owned());
        Ok(words)
    }
}

/// Whether a directory is a sweep's.
pub(crate) fn is_sweep(folder: &Path) -> bool {
    folder.join(PLAN).exists()
}

fn run_folder(sweep: &Path, job: &Job) -> PathBuf {
    sweep.join(JOBS).join(&job.name)
}

fn state(sweep: &Path, job: &Job) -> Option<State> {
    Some(Survey::of(&run_folder(sweep, job)).ok()?.state)
}

/// Refuses a directory that holds anything but this sweep. Nothing is written.
pub(crate) fn check_directory(folder: &Path, plan: &Plan, resume: bool) -> Result<()> {
    let place = folder.display();
    if folder.join(PLAN).exists() {
        let there = as_user_error(Plan::read(folder))?;
        if let Some(difference) = there.difference(plan) {
            bail!(UserError(format!(
                "{place} holds another sweep ({difference}); give another folder with --out, or what it was started with"
            )));
        }
        if !resume {
            bail!(UserError(format!(
                "{place} holds this sweep already; go on with it with --resume, or give another folder with --out"
            )));
        }
        return Ok(());
    }
    ensure!(
        files::is_empty(folder),
        UserError(format!(
            "{place} is not empty and holds no sweep; give another folder with --out"
        ))
    );
    Ok(())
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_come_back_from_a_shell_as_they_were() {
        for word in ["plain", "", "a b", "it's", "$HOME `x` \"y\" \\", "é\n"] {
            let script = format!("printf %s {}", quoted(word));
            let said = std::process::Command::new("sh")
                .args(["-c", &script])
                .output()
                .expect("a shell");
            assert_eq!(String::from_utf8_lossy(&said.stdout), word, "{script}");
        }
    }
}
