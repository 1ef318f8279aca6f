//! The end of a run: its manifest, then from what lies in the directory the
//! comparison, the tables, the figures and the report.
//!
//! `compare` and `report` come here too, so a table made later is the table
//! made at the end of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::alignment::ceiling::Ceiling;
use experiments::comparison::build::{DEFAULT_DRAWS, Input, compare_items};
use experiments::comparison::items::item_completions;
use experiments::comparison::{
    Comparison, Condition, Curve, Flaw, ItemCompletions, Recipe, TrainingLog,
};
use experiments::manifest::{ArmCard, ArmRun, EvaluationCard, Manifest, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::RecordError;
use experiments::record::recording::{self, Recording};
use experiments::report;
use serde::{Deserialize, Serialize};

use super::outcome::{again, folders};
use super::pins::{PINS, Pins};
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
    let items = items(&run.definition().tasks.names, &run.norms)?;
    let before = read_json::<Manifest>(&run.out().join(MANIFEST)).ok();
    let before = before.and_then(|mut manifest| manifest.files.remove(ITEMS));
    ensure!(
        before.is_none_or(|before| before == files::hash(&items)),
        UserError(format!(
            "people's times of the tasks are not those that {} was finished with; \
             put them back, or begin again with another --out",
            run.out().display()
        ))
    );
    files::write_whole(&run.out().join(ITEMS), &items)?;
    write_last(run.out(), &manifest(run)?)?;
    Ok(())
}

/// The evaluation's items as their file has them.
fn items(tasks: &[String], norms: &Norms) -> Result<Vec<u8>> {
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
    Ok(serde_json::to_vec(&items)?)
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
    files::write_whole(&out.join(ITEMS), &items(&manifest.tasks, norms)?)?;
    manifest.format = FORMAT;
    for name in [ITEMS, TRACES] {
        let hash = files::hash_file(&out.join(name))?;
        manifest.files.insert(name.to_owned(), hash);
    }
    write_last(out, &manifest)
}

fn manifest(run: &Run) -> Result<Manifest> {
    let definition = run.definition();
    let roles = arm::roles(definition);
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
    let mut arm_runs: Vec<ArmRun> = Vec::new();
    let mut hashes = BTreeMap::new();
    for name in folders(definition) {
        let folder = run.out().join(&name);
        let Outcome { arm_run, files, .. } = Outcome::read(&folder)?
            .with_context(|| format!("{} is not finished", folder.display()))?;
        let wanted = [TRACES, "metrics.jsonl", "traces.jsonl"];
        // A stage of an earlier version kept no hashes.
        let files = if files.is_empty() {
            files::hash_all(&folder, &wanted)?
        } else {
            files
        };
        let files = files.into_iter();
        let files = files.filter(|(file, _)| wanted.contains(&file.as_str()));
        hashes.extend(files.map(|(file, hash)| (format!("{name}/{file}"), hash)));
        arm_runs.push(arm_run);
    }
    let own = run.pins.copies(run.out()).into_iter();
    for path in own.chain([PathBuf::from(ITEMS), PathBuf::from(PINS)]) {
        let hash = files::hash_file(&run.out().join(&path))?;
        hashes.insert(path.display().to_string(), hash);
    }
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
        environment: environment(run),
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

/// The environment of a run, and its ranks where they are several.
fn environment(run: &Run) -> BTreeMap<String, String> {
    let (_, threads) = run.request.workers();
    let mut facts = provenance::environment(run.request.device, threads);
    if run.ranks().are_several() {
        facts.insert("ranks".to_owned(), run.ranks().world().to_string());
    }
    let formats = run.formats.told();
    facts.extend(formats.map(|(name, choice)| (format!("number format of {name}"), choice)));
    facts
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
    /// How each arm was trained.
    pub(super) recipes: Vec<Recipe>,
    /// What is known to be wrong with the pairing.
    pub(super) flaws: Vec<Flaw>,
    /// Hashes of what it read from outside, by the names that its definition has
    /// for the files.
    pub(super) inputs: BTreeMap<String, String>,
}

impl Loaded {
    /// Reads a run directory and checks its files against its manifest.
    pub fn read(at: &Path) -> Result<Self> {
        if let Some(why) = unreadable(at)? {
            bail!(UserError(why));
        }
        Self::of(at, read_json(&at.join(MANIFEST))?)
    }

    /// The same, but that an arm of a seed whose records were lost or changed is
    /// left out and said to be, as long as any is left.
    pub(super) fn read_what_is_whole(at: &Path) -> Result<Self> {
        if let Some(why) = unreadable(at)? {
            bail!(UserError(why));
        }
        let whole: Manifest = read_json(&at.join(MANIFEST))?;
        let mut manifest = whole.clone();
        let flaws = leave_out_changed(at, &mut manifest);
        if manifest.arms.is_empty() {
            return Self::of(at, whole);
        }
        let mut loaded = Self::of(at, manifest)?;
        loaded.flaws = flaws;
        Ok(loaded)
    }

    /// The files that a manifest names, checked against it.
    fn of(at: &Path, manifest: Manifest) -> Result<Self> {
        for (name, expected) in &manifest.files {
            let path = at.join(name);
            let way_out = || match path.parent() {
                Some(folder) if folder != at => again(folder),
                _ => "put it back as it was".to_owned(),
            };
            let found = files::hash_file(&path).with_context(way_out)?;
            ensure!(
                found == *expected,
                "{} does not match the hash in the manifest: it was changed after the run; {}",
                path.display(),
                way_out()
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
            // What helps with a file that somebody gave is no help here.
            let own = |error| match error {
                RecordError::BadTable { path, detail } => {
                    anyhow!("{}: {detail}; {}", path.display(), again(&folder))
                }
                other => other.into(),
            };
            read(&folder.join(TRACES)).map_err(own)?;
            let metrics = folder.join("metrics.jsonl");
            let log = format!("{}/metrics.jsonl", arm_run.folder);
            if manifest.files.contains_key(&log) {
                let (drawn, log) = learning::read(&metrics, &arm_run.arm, arm_run.seed)?;
                curves.extend(drawn);
                training.push(log);
            }
        }
        let pins = if manifest.files.contains_key(PINS) {
            Pins::read(at)?
        } else {
            None
        };
        Ok(Self {
            recipes: recipes(&manifest),
            flaws: Vec::new(),
            inputs: pins.unwrap_or_default().files,
            manifest,
            norms,
            recording,
            curves,
            training,
        })
    }

    /// The comparison of the run's arms.
    pub fn compare(&self) -> Result<Comparison> {
        self.compare_with(None)
    }

    /// The same with every arm held against a baseline too.
    pub fn compare_with(&self, baseline: Option<&str>) -> Result<Comparison> {
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
            baseline,
            flaws: &self.flaws,
            recipes: self.recipes.clone(),
        };
        let mut comparison = compare_items(input, &items)?;
        notes.append(&mut comparison.notes);
        notes.append(&mut last);
        comparison.notes = notes;
        Ok(comparison)
    }

    /// Items with the completions that were kept.
    pub fn shown(&self) -> Vec<ItemCompletions> {
        item_completions(self.recording.shown(), &self.norms, &self.manifest.tasks)
    }

    /// Writes tables, figures and report of its comparison into a folder, and
    /// says which files.
    pub fn write(&self, comparison: &Comparison, to: &Path) -> Result<Vec<PathBuf>> {
        Ok(report::write_all(comparison, &self.shown(), to)?)
    }
}

/// Why a folder cannot be compared whatever else it holds; `None` where it can be.
pub(super) fn unreadable(at: &Path) -> Result<Option<String>> {
    let path = at.join(MANIFEST);
    if !path.exists() {
        let what = if !at.exists() {
            "there is no such folder"
        } else if at.join(super::DEFINITION_FILE).exists() {
            "the run is not finished; go on with it with qinglan run DEFINITION --out DIR --resume"
        } else {
            "it is not a run directory"
        };
        return Ok(Some(format!("{} has no {MANIFEST}: {what}", at.display())));
    }
    // Another version's may lack what this one's has.
    let manifest: serde_json::Value = read_json(&path)?;
    let format = manifest.get("format").and_then(serde_json::Value::as_u64);
    Ok((format != Some(u64::from(FORMAT))).then(|| {
        let found = format.map_or("it names no format".to_owned(), |format| {
            format!("format {format} was written by another version")
        });
        let path = path.display();
        format!("{path}: {found}; this version reads format {FORMAT}")
    }))
}

/// Takes out of a manifest the arms of a seed whose records are not those it
/// names, and the other files that are not; says which.
fn leave_out_changed(at: &Path, manifest: &mut Manifest) -> Vec<Flaw> {
    let sound = |name: &String, expected: &String| {
        files::hash_file(&at.join(name)).is_ok_and(|found| found == *expected)
    };
    let files = &manifest.files;
    let changed: Vec<String> = files
        .iter()
        .filter(|(name, expected)| *name != ITEMS && *name != TRACES && !sound(name, expected))
        .map(|(name, _)| name.clone())
        .collect();
    let mut flaws = Vec::new();
    for name in &changed {
        let of_file = |run: &&ArmRun| {
            name.strip_prefix(&run.folder)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        let run = manifest.arm_runs.iter().find(of_file);
        let left_out = if name.ends_with(TRACES) {
            run.map(|run| format!("{} of seed {} is left out", run.arm, run.seed))
        } else {
            run.map(|run| format!("what {} of seed {} logged is left out", run.arm, run.seed))
        };
        let arms = run.map(|run| vec![run.arm.clone()]).unwrap_or_default();
        let left_out = left_out.unwrap_or_else(|| "it is left out".to_owned());
        let file = at.join(name);
        let file = file.display();
        let found = format!("{file} is missing or was changed after the run: {left_out}");
        flaws.push(Flaw::of(Condition::Complete, arms, found));
    }
    let lost = |run: &ArmRun| changed.contains(&format!("{}/{TRACES}", run.folder));
    manifest.arm_runs.retain(|run| !lost(run));
    let there: Vec<(String, u64)> = manifest
        .arm_runs
        .iter()
        .map(|run| (run.arm.clone(), run.seed))
        .collect();
    for run in &mut manifest.arm_runs {
        // Whether the link fits cannot be told any more.
        let seed = run.seed;
        let lost = |init: &mut String| there.contains(&(init.clone(), seed));
        run.init = run.init.take_if(lost);
    }
    manifest.files.retain(|name, _| !changed.contains(name));
    manifest
        .notes
        .extend(flaws.iter().map(|flaw| format!("{}.", flaw.found)));
    let left: Vec<String> = manifest
        .arm_runs
        .iter()
        .map(|run| run.arm.clone())
        .collect();
    let evaluation = left.is_empty() && changed.is_empty();
    manifest
        .arms
        .retain(|card| evaluation || left.contains(&card.name));
    let known: Vec<String> = manifest.arms.iter().map(|card| card.name.clone()).collect();
    for card in &mut manifest.arms {
        for relation in [&mut card.base, &mut card.init, &mut card.teacher] {
            if relation.as_ref().is_some_and(|name| !known.contains(name)) {
                *relation = None;
            }
        }
    }
    flaws
}

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}
