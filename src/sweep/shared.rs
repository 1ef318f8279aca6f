//! What jobs would make alike, made once and handed on: the teacher with its
//! traces, a seed's base with its evaluation, and the number formats that were
//! measured.
//!
//! The first two are whole folders of a run directory with a marker written last, and
//! `qinglan run` does not do again what has its marker. So a job is given the
//! folder of another that finished it, where everything that determines it is
//! the same: the tables of the definition below, as they were resolved. That is
//! more than what really determines it, so nothing is shared that might differ.
//!
//! Teachers are waited for: they are the longest part of a run, and students of
//! one teacher on machines that round differently must not have two. So are
//! formats, for the moment that they take: jobs in unlike formats would differ by
//! more than their settings. Bases are taken where they are there: they come from
//! the cache of bases otherwise.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{Job, Sweep};
use crate::config::{Definition, TeacherSettings};
use crate::files;
use crate::runner::formats::{FORMATS_FILE, are_open};
use crate::runner::{OUTCOME, Outcome};

/// What the teacher of a definition is determined by, where it is a model.
pub(super) fn teacher(definition: &Definition) -> Result<Option<String>> {
    let is_model = |teacher: &&TeacherSettings| teacher.is_model();
    let teacher = definition.teacher.as_ref().filter(is_model);
    teacher
        .map(|teacher| determined(definition, &(teacher, &definition.training)))
        .transpose()
}

/// What a seed's base is determined by.
pub(super) fn base(definition: &Definition, seed: u64) -> Result<String> {
    determined(definition, &(&definition.base, seed))
}

/// What the number formats that a definition leaves open are measured on: the
/// models. What else is in the grid must not make them differ.
pub(super) fn formats(definition: &Definition) -> Result<Option<String>> {
    if !are_open(definition) {
        return Ok(None);
    }
    let teacher = definition.teacher.as_ref();
    let models = (
        definition.experiment.threads,
        &definition.base,
        teacher.map(|teacher| &teacher.base),
    );
    Ok(Some(files::hash(&serde_json::to_vec(&models)?)))
}

fn determined(definition: &Definition, own: &impl Serialize) -> Result<String> {
    let common = (
        definition.experiment.threads,
        definition.experiment.log_completions,
        &definition.tasks,
        &definition.rollout,
        &definition.evaluation,
    );
    Ok(files::hash(&serde_json::to_vec(&(common, own))?))
}

const TEACHER: &str = "teacher";

impl Sweep {
    /// Whether a job can start now, others of these places being under way: not
    /// while one of them makes the teacher or measures the formats that it needs.
    pub(super) fn may_start(&self, job: &Job, under_way: &BTreeSet<usize>) -> bool {
        let others = || {
            let places = under_way.iter();
            places.filter_map(|&index| self.plan.jobs.get(index))
        };
        let is_made = |alike: &dyn Fn(&Job) -> bool, is_there: &dyn Fn(&Job) -> bool| {
            let mut jobs = self.plan.jobs.iter();
            jobs.any(|job| alike(job) && is_there(job)) || !others().any(alike)
        };
        let teacher = job.teacher.is_none()
            || is_made(&|other| other.teacher == job.teacher, &|other| {
                self.has(other, TEACHER)
            });
        let formats = job.formats.is_none()
            || is_made(&|other| other.formats == job.formats, &|other| {
                self.run_folder(other).join(FORMATS_FILE).exists()
            });
        teacher && formats
    }

    fn has(&self, job: &Job, part: &str) -> bool {
        self.run_folder(job).join(part).join(OUTCOME).exists()
    }

    /// Gives a job that is about to start what others have made for it.
    pub(super) fn hand_on(&self, job: &Job) -> Result<()> {
        if job.teacher.is_some() {
            self.hand_part_on(job, TEACHER, |other| other.teacher == job.teacher)?;
        }
        if job.formats.is_some() {
            self.hand_formats_on(job)?;
        }
        let base = format!("arms/base/seed-{}", job.seed);
        self.hand_part_on(job, &base, |other| other.base == job.base)
    }

    fn hand_formats_on(&self, job: &Job) -> Result<()> {
        let file = |job: &Job| self.run_folder(job).join(FORMATS_FILE);
        let mut jobs = self.plan.jobs.iter();
        let other = jobs.find(|other| other.formats == job.formats && file(other).exists());
        let (Some(from), to) = (other.map(file), file(job)) else {
            return Ok(());
        };
        if to.exists() {
            return Ok(());
        }
        let bytes = std::fs::read(&from).with_context(|| format!("reading {}", from.display()))?;
        files::write_whole(&to, &bytes)
    }

    fn hand_part_on(&self, job: &Job, part: &str, alike: impl Fn(&Job) -> bool) -> Result<()> {
        let to = self.run_folder(job).join(part);
        // One that it has begun itself it goes on with: the bits are the same.
        if to.exists() {
            return Ok(());
        }
        let mut jobs = self.plan.jobs.iter();
        let Some(other) = jobs.find(|other| alike(other) && self.has(other, part)) else {
            return Ok(());
        };
        let from = self.run_folder(other).join(part);
        if let Some(outcome) = Outcome::read(&from)? {
            outcome.check(&from)?;
        }
        let name = to.file_name().map(|name| name.to_string_lossy());
        let name = name.with_context(|| format!("{} has no name", to.display()))?;
        let aside = to.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        // A file that is there already would be copied onto itself.
        if aside.exists() {
            std::fs::remove_dir_all(&aside)
                .with_context(|| format!("removing {}", aside.display()))?;
        }
        let place = || format!("handing {} on to {}", from.display(), to.display());
        take_over(&from, &aside).with_context(place)?;
        std::fs::rename(&aside, &to).with_context(place)
    }
}

/// The files of a folder under other names: links to the same bytes, which are
/// never written again, or copies where the file system has no such links.
fn take_over(from: &Path, to: &Path) -> Result<()> {
    files::create_folder(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let known = name.to_string_lossy();
        // Its owner may be clearing these away just now.
        if known.starts_with('.') || known.starts_with("checkpoint-") {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            take_over(&from, &to)?;
        } else if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).with_context(|| format!("copying {}", from.display()))?;
            files::sync_file(&to)?;
        }
    }
    Ok(())
}
