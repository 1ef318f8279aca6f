//! The end of a run: its manifest, then from what lies in the directory the
//! comparison, the tables, the figures and the report.
//!
//! `compare` and `report` come here too, so a table made later is the table
//! made at the end of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use experiments::alignment::ceiling::Ceiling;
use experiments::comparison::build::{DEFAULT_DRAWS, Input, compare_items};
use experiments::comparison::items::item_completions;
use experiments::comparison::{Comparison, Curve, ItemCompletions, Recipe, TrainingLog};
use experiments::manifest::{ArmCard, ArmRun, EvaluationCard, Manifest, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::recording::{self, Recording};
use experiments::report;
use serde::{Deserialize, Serialize};

use super::{Outcome, Run, UserError, arm, learning, provenance};
use crate::files;

/// Name of the file that makes a run directory whole.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Version of the manifest's format.
const FORMAT: u32 = 1;

/// The evaluation's items with their human times, beside the manifest, so that
/// a comparison needs nothing but the run directory.
const ITEMS: &str = "items.json";

/// Name of the records of an arm, or of all models of an evaluation.
pub(crate) const TRACES: &str = "traces.parquet";

/// What `items.json` holds: item means and ceilings, never a trial.
#[derive(Serialize, Deserialize)]
struct Items {
    items: Vec<NormItem>,
    ceilings: BTreeMap<String, Ceiling>,
}

/// Writes tables and report, then the manifest.
pub(super) fn finish(run: &Run) -> Result<()> {
    let tasks = &run.definition().tasks.names;
    write_items(run.out(), tasks, &run.norms)?;
    write_last(run.out(), &manifest(run)?)?;
    Ok(())
}

/// Writes the evaluation's items.
fn write_items(out: &Path, tasks: &[String], norms: &Norms) -> Result<()> {
    let items = Items {
        items: tasks
            .iter()
            .flat_map(|task| norms.items(task))
            .cloned()
            .collect(),
        ceilings: tasks
            .iter()
            .filter_map(|task| Some((task.clone(), *norms.ceiling(task)?)))
            .collect(),
    };
    files::write_whole(&out.join(ITEMS), &serde_json::to_vec(&items)?)
}

/// Writes tables and report, then the manifest; gives what they show.
fn write_last(out: &Path, manifest: &Manifest) -> Result<Comparison> {
    let manifest = serde_json::to_vec_pretty(manifest)?;
    // Read back before it is written, so that a table made later starts from
    // the same bytes.
    let loaded = Loaded::of(out, serde_json::from_slice(&manifest)?)?;
    let comparison = loaded.compare()?;
    report::write_all(&comparison, &loaded.shown(), out)?;
    // Last of all files: a directory without it is not complete.
    files::write_whole(&out.join(MANIFEST), &manifest)?;
    Ok(comparison)
}

/// Ends an evaluation whose `traces.parquet` is written: adds format and hashes
/// to what it says of itself, then writes what a run writes at its end.
pub(crate) fn finish_evaluation(
    out: &Path,
    norms: &Norms,
    mut manifest: Manifest,
) -> Result<Comparison> {
    write_items(out, &manifest.tasks, norms)?;
    manifest.format = FORMAT;
    for name in [ITEMS, TRACES] {
        let hash = files::hash_file(&out.join(name))?;
        manifest.files.insert(name.to_owned(), hash);
    }
    write_last(out, &manifest)
}

fn manifest(run: &Run) -> Result<Manifest> {
    let definition = run.definition();
    let roles = arm::roles(run);
    let has = |name: &str| roles.iter().any(|(known, _)| known == name);
    let arms = roles
        .iter()
        .map(|(name, role)| ArmCard {
            name: name.clone(),
            role: *role,
            init: definition
                .arm
                .get(name)
                .and_then(|arm| Some(arm.init.as_ref()?.arm.clone())),
            base: matches!(role, Role::Student | Role::Rl).then(|| "base".to_owned()),
            teacher: (*role == Role::Student && has("teacher")).then(|| "teacher".to_owned()),
        })
        .collect();
    let mut folders: Vec<PathBuf> = Vec::new();
    for (name, role) in &roles {
        if *role == Role::Teacher {
            folders.push(run.teacher_folder());
            continue;
        }
        for &seed in &definition.experiment.seeds {
            folders.push(run.arm_folder(name, seed));
        }
    }
    let mut arm_runs: Vec<ArmRun> = Vec::new();
    let mut hashes = BTreeMap::new();
    for folder in folders {
        let outcome = Outcome::read(&folder)?
            .with_context(|| format!("{} is not finished", folder.display()))?;
        for name in [TRACES, "metrics.jsonl", "traces.jsonl"] {
            let path = folder.join(name);
            if path.exists() {
                let relative = format!("{}/{name}", outcome.arm_run.folder);
                hashes.insert(relative, files::hash_file(&path)?);
            }
        }
        arm_runs.push(outcome.arm_run);
    }
    hashes.insert(ITEMS.to_owned(), files::hash_file(&run.out().join(ITEMS))?);
    let evaluation = &definition.evaluation;
    Ok(Manifest {
        format: FORMAT,
        name: definition.experiment.name.clone(),
        title: definition.experiment.title.clone(),
        hypothesis: definition.experiment.hypothesis.trim().to_owned(),
        seeds: definition.experiment.seeds.clone(),
        tasks: definition.tasks.names.clone(),
        arms,
        arm_runs,
        evaluation: EvaluationCard {
            samples: evaluation.samples,
            temperature: evaluation.temperature,
            max_new_tokens: evaluation.max_new_tokens as u32,
            items: files::hash(&serde_json::to_vec(&(&run.items, evaluation))?),
            norms: run.norms.source().to_owned(),
        },
        definition: serde_json::to_value(definition)?,
        only_correct: false,
        notes: definition
            .arm
            .iter()
            .filter_map(|(name, arm)| Some(arm.sampler.as_ref()?.note(name)))
            .collect(),
        environment: provenance::environment(run.request.device, definition.experiment.threads),
        files: hashes,
    })
}

/// How each arm was trained, from the resolved definition. The base and a model
/// that was recorded elsewhere have no recipe.
fn recipes(manifest: &Manifest) -> Vec<Recipe> {
    let definition = &manifest.definition;
    let of = |arm: &ArmCard| {
        let table = match arm.role {
            Role::Teacher => definition.get("teacher"),
            _ => definition.get("arm").and_then(|arms| arms.get(&arm.name)),
        };
        Recipe::of(&arm.name, table?)
    };
    manifest.arms.iter().filter_map(of).collect()
}

/// A complete run directory, read back.
pub struct Loaded {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Human times of the evaluated items.
    pub norms: Norms,
    /// Every trace record.
    pub recording: Recording,
    /// Learning curves.
    pub curves: Vec<Curve>,
    /// What the logs say of trainings that taught nothing.
    pub training: Vec<TrainingLog>,
}

impl Loaded {
    /// Reads a run directory and checks its files against its manifest.
    pub fn read(at: &Path) -> Result<Self> {
        let path = at.join(MANIFEST);
        if !path.exists() {
            let what = if at.join(super::DEFINITION_FILE).exists() {
                "the run is not finished; go on with it with qinglan run DEFINITION --out DIR --resume"
            } else {
                "it is not a run directory"
            };
            bail!(UserError(format!(
                "{} has no {MANIFEST}: {what}",
                at.display()
            )));
        }
        let manifest: Manifest = read_json(&path)?;
        ensure!(
            manifest.format == FORMAT,
            "{}: format {} was written by another version; this one reads format {FORMAT}",
            path.display(),
            manifest.format
        );
        Self::of(at, manifest)
    }

    /// The files that a manifest names, checked against it.
    fn of(at: &Path, manifest: Manifest) -> Result<Self> {
        for (name, expected) in &manifest.files {
            let found = files::hash_file(&at.join(name))?;
            ensure!(
                found == *expected,
                "{} does not match the hash in the manifest: it was changed after the run",
                at.join(name).display()
            );
        }
        let stored: Items = read_json(&at.join(ITEMS))?;
        let norms = stored.ceilings.into_iter().fold(
            Norms::new(stored.items, manifest.evaluation.norms.clone()),
            |norms, (task, ceiling)| norms.with_ceiling(&task, ceiling),
        );
        let mut recording = Recording::default();
        let mut read = |path: &Path| recording.read(path, |_| Ok(()));
        if manifest.arm_runs.is_empty() {
            read(&at.join(TRACES))?;
        }
        let mut curves = Vec::new();
        let mut training = Vec::new();
        for arm_run in &manifest.arm_runs {
            let folder = at.join(&arm_run.folder);
            read(&folder.join(TRACES))?;
            let metrics = folder.join("metrics.jsonl");
            if metrics.exists() {
                let (drawn, log) = learning::read(&metrics, &arm_run.arm, arm_run.seed)?;
                curves.extend(drawn);
                training.push(log);
            }
        }
        Ok(Self {
            manifest,
            norms,
            recording,
            curves,
            training,
        })
    }

    /// Puts a run's name before the names of its arms.
    pub fn prefix(&mut self, label: &str) {
        let rename = |name: &mut String| *name = format!("{label}/{name}");
        for card in &mut self.manifest.arms {
            rename(&mut card.name);
            card.base.iter_mut().for_each(rename);
            card.init.iter_mut().for_each(rename);
            card.teacher.iter_mut().for_each(rename);
        }
        for arm_run in &mut self.manifest.arm_runs {
            rename(&mut arm_run.arm);
            arm_run.init.iter_mut().for_each(rename);
        }
        self.recording.prefix(label);
        for curve in &mut self.curves {
            rename(&mut curve.arm);
        }
        for log in &mut self.training {
            rename(&mut log.arm);
        }
    }

    /// Takes in another run's arms, which must have other names and the same evaluation.
    pub fn absorb(&mut self, other: Self) -> Result<()> {
        self.manifest.title = format!("{}; {}", self.manifest.title, other.manifest.title);
        self.manifest.hypothesis = format!(
            "{}\n\n{}",
            self.manifest.hypothesis, other.manifest.hypothesis
        );
        for seed in other.manifest.seeds {
            if !self.manifest.seeds.contains(&seed) {
                self.manifest.seeds.push(seed);
            }
        }
        self.manifest.arms.extend(other.manifest.arms);
        self.manifest.arm_runs.extend(other.manifest.arm_runs);
        self.manifest.notes.extend(other.manifest.notes);
        self.recording.absorb(other.recording)?;
        self.curves.extend(other.curves);
        self.training.extend(other.training);
        Ok(())
    }

    /// The comparison of the run's arms.
    pub fn compare(&self) -> Result<Comparison> {
        let manifest = &self.manifest;
        let arms: Vec<&str> = manifest.arms.iter().map(|arm| arm.name.as_str()).collect();
        let items = self
            .recording
            .items(&arms, &manifest.tasks, manifest.only_correct);
        let mut notes = manifest.notes.clone();
        notes.extend(self.recording.notes());
        let mut last = recording::peculiarities(&items, &manifest.tasks);
        last.extend(self.recording.others(&arms, &manifest.tasks));
        let input = Input {
            title: manifest.title.clone(),
            hypothesis: manifest.hypothesis.clone(),
            arms: &manifest.arms,
            seeds: &manifest.seeds,
            tasks: &manifest.tasks,
            norms: &self.norms,
            traces: &[],
            evaluation: manifest.evaluation.clone(),
            arm_runs: &manifest.arm_runs,
            curves: self.curves.clone(),
            training: &self.training,
            environment: manifest.environment.clone(),
            draws: DEFAULT_DRAWS,
            seed: 0,
            only_correct: manifest.only_correct,
            baseline: None,
            flaws: &[],
            recipes: recipes(manifest),
        };
        let mut comparison = compare_items(input, &items)?;
        notes.append(&mut comparison.notes);
        notes.append(&mut last);
        comparison.notes = notes;
        Ok(comparison)
    }

    /// Items with the completions that were kept.
    fn shown(&self) -> Vec<ItemCompletions> {
        item_completions(self.recording.shown(), &self.norms, &self.manifest.tasks)
    }

    /// Writes tables, figures and report into a folder, and says which files.
    pub fn write_tables(&self, to: &Path) -> Result<Vec<PathBuf>> {
        Ok(report::write_all(&self.compare()?, &self.shown(), to)?)
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}
