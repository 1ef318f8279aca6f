//! The end of a run: its manifest, then from what lies in the directory the
//! comparison, the tables, the figures and the report.
//!
//! `compare` and `report` come here too, so a table made later is the table
//! made at the end of the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::alignment::ceiling::Ceiling;
use experiments::alignment::cost::{Counting, CutOff};
use experiments::comparison::build::{Input, compare_items};
use experiments::comparison::items::item_completions;
use experiments::comparison::question;
use experiments::comparison::{
    Comparison, Curve, Flaw, ItemCompletions, OnTheWay, Recipe, TrainingLog,
};
use experiments::manifest::{ArmCard, ArmRun, EvaluationCard, Manifest, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::RecordError;
use experiments::record::recording::{self, Recording};
use experiments::report;
use serde::{Deserialize, Serialize};

use super::learning::EvaluatedAt;
use super::outcome::again;
use super::pins::{PINS, Pins};
use super::preregistered::{Preregistered, QUESTIONS};
use super::{Outcome, Run, learning, names, partial, provenance};
use crate::config::{Definition, Graph};
use crate::error::UserError;
use crate::files;

/// Name of the file that makes a run directory whole.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Version of the manifest's format.
const FORMAT: u32 = 1;

/// The evaluation's items with their human times, beside the manifest, so that
/// a comparison needs nothing but the run directory.
pub(super) const ITEMS: &str = "items.json";

/// Name of the records of an arm, or of all models of an evaluation.
pub(crate) const TRACES: &str = "traces.parquet";

/// What `items.json` holds: item means, ceilings and people's allocation, never a trial, and how the
/// models are asked them.
#[derive(Serialize, Deserialize)]
struct Evaluated {
    items: Vec<NormItem>,
    ceilings: BTreeMap<String, Ceiling>,
    /// People's wrong minus right trials by task and item, where trials were given.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    wrong_minus_right: BTreeMap<String, BTreeMap<String, f64>>,
    /// `None` where a run of an earlier version wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    evaluation: Option<EvaluationCard>,
}

/// Writes what every comparison of the run needs, before any arm is there; refuses
/// people's times that are not those that the run was finished with.
pub(super) fn begin(run: &Run) -> Result<()> {
    let tasks = &run.definition().tasks.names;
    let evaluation = run.definition().evaluation.of_the_end();
    let card = EvaluationCard {
        samples: evaluation.samples,
        temperature: evaluation.temperature,
        max_new_tokens: evaluation.max_new_tokens as u32,
        items: files::hash(&serde_json::to_vec(&(&run.items, &evaluation))?),
        norms: run.norms.source().to_owned(),
    };
    // A run of an earlier version was finished without the card.
    let earlier = items(tasks, &run.norms, None)?;
    let items = items(tasks, &run.norms, Some(card))?;
    let before = read_json::<Manifest>(&run.out().join(MANIFEST)).ok();
    let before = before.and_then(|mut manifest| manifest.files.remove(ITEMS));
    ensure!(
        before.is_none_or(|before| [&items, &earlier]
            .map(|items| files::hash(items))
            .contains(&before)),
        UserError(format!(
            "people's times of the tasks, or how models are asked them (formats.json holds the formats that \
             were measured), are not those that {} was finished with; put them back, or begin again with another --out",
            run.out().display()
        ))
    );
    files::write_whole(&run.out().join(ITEMS), &items)
}

/// Writes tables and report, then the manifest.
pub(super) fn finish(run: &Run) -> Result<()> {
    write_last(run.out(), &manifest(run)?)?;
    Ok(())
}

/// The evaluation's items as their file has them.
fn items(tasks: &[String], norms: &Norms, evaluation: Option<EvaluationCard>) -> Result<Vec<u8>> {
    let items = Evaluated {
        evaluation,
        items: tasks
            .iter()
            .flat_map(|task| norms.items(task))
            .cloned()
            .collect(),
        ceilings: tasks
            .iter()
            .filter_map(|task| Some((task.clone(), *norms.ceiling(task)?)))
            .collect(),
        wrong_minus_right: tasks
            .iter()
            .filter_map(|task| Some((task.clone(), norms.wrong_minus_right(task)?.clone())))
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
    let items = items(&manifest.tasks, norms, Some(manifest.evaluation.clone()))?;
    files::write_whole(&out.join(ITEMS), &items)?;
    manifest.format = FORMAT;
    for name in [ITEMS, TRACES] {
        let hash = files::hash_file(&out.join(name))?;
        manifest.files.insert(name.to_owned(), hash);
    }
    write_last(out, &manifest)
}

fn manifest(run: &Run) -> Result<Manifest> {
    let written = names::as_written(run.definition().clone(), &run.request.commits);
    let (mut manifest, missing) = so_far(run.out(), &written)?;
    if let Some(missing) = missing.first() {
        bail!("{missing} is not finished");
    }
    let notes = run.notes.iter().map(|note| format!("{note}."));
    manifest.notes.splice(0..0, notes);
    manifest.environment = environment(run);
    Ok(manifest)
}

/// The manifest of a run with the arms that are finished, and which are not; its
/// environment is not known.
pub(super) fn so_far(out: &Path, definition: &Definition) -> Result<(Manifest, Vec<String>)> {
    let mut arm_runs: Vec<ArmRun> = Vec::new();
    let mut missing = Vec::new();
    let mut hashes = BTreeMap::new();
    for name in evaluated(definition)? {
        let folder = out.join(&name);
        let Some(Outcome { arm_run, files, .. }) = Outcome::read(&folder)? else {
            missing.push(name);
            continue;
        };
        let wanted = [TRACES, "metrics.jsonl", "traces.jsonl"];
        // A stage of an earlier version kept no hashes.
        let files = if files.is_empty() {
            files::hash_all(&folder, &wanted)?
        } else {
            files
        };
        let files = files.into_iter();
        let files = files
            .filter(|(file, _)| wanted.contains(&file.as_str()) || file.starts_with("evaluations"));
        hashes.extend(files.map(|(file, hash)| (format!("{name}/{file}"), hash)));
        arm_runs.push(arm_run);
    }
    let pins = Pins::read(out)?;
    let mut own = vec![PathBuf::from(ITEMS)];
    if let Some(pins) = pins {
        own.extend(pins.copies(out));
        own.push(PathBuf::from(PINS));
    }
    let before = Preregistered::read(out)?;
    if before.is_some() {
        own.push(PathBuf::from(QUESTIONS));
    }
    let before = before.map_or_else(Vec::new, |before| before.questions);
    for path in own {
        let hash = files::hash_file(&out.join(&path))?;
        hashes.insert(path.display().to_string(), hash);
    }
    let path = out.join(ITEMS);
    let items: Evaluated = read_json(&path)?;
    let evaluation = items.evaluation.with_context(|| {
        format!(
            "{} does not say how the models were asked: an earlier version wrote it",
            path.display()
        )
    })?;
    let manifest = Manifest {
        format: FORMAT,
        name: definition.experiment.name.clone(),
        title: definition.experiment.title.clone(),
        hypothesis: definition.experiment.hypothesis.trim().to_owned(),
        seeds: definition.experiment.seeds.clone(),
        tasks: definition.tasks.names.clone(),
        arms: definition.cards(),
        arm_runs,
        evaluation,
        definition: serde_json::to_value(definition)?,
        only_correct: false,
        cut_off: CutOff::Cap,
        questions: question::asked(&before, &definition.question),
        notes: definition
            .trained()
            .filter_map(|(name, stage)| Some(stage.sampler.as_ref()?.note(name)))
            .collect(),
        environment: BTreeMap::new(),
        files: hashes,
    };
    Ok((manifest, missing))
}

/// The folders of the stages that are evaluated, in the order in which their arms are shown.
fn evaluated(definition: &Definition) -> Result<Vec<String>> {
    let stages = Graph::of(definition)?.0;
    let of_arm = |card: ArmCard| {
        let stages = stages.iter();
        let own = stages.filter(move |stage| stage.is_evaluated && stage.name == card.name);
        own.map(|stage| stage.folder.clone()).collect::<Vec<_>>()
    };
    Ok(definition.cards().into_iter().flat_map(of_arm).collect())
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
    let commits = run.request.commits.iter();
    facts.extend(commits.map(|(name, commit)| (format!("commit of {name}"), commit.clone())));
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
    /// Evaluations of the trainings on their way.
    pub(super) on_the_way: Vec<EvaluatedAt>,
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
    /// left out and said to be, as long as any is left, and so is what a run that
    /// goes on has not made yet.
    pub(super) fn read_what_is_whole(at: &Path) -> Result<Self> {
        if let Some(why) = unreadable(at)? {
            return match partial::unfinished(at)? {
                Some((manifest, flaw)) => {
                    let mut loaded = Self::of(at, manifest)?;
                    loaded.flaws.push(flaw);
                    Ok(loaded)
                }
                None => bail!(UserError(why)),
            };
        }
        let whole: Manifest = read_json(&at.join(MANIFEST))?;
        let mut manifest = whole.clone();
        let flaws = partial::leave_out_changed(at, &mut manifest);
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
        let stored: Evaluated = read_json(&at.join(ITEMS))?;
        let norms = stored.ceilings.into_iter().fold(
            Norms::new(stored.items, manifest.evaluation.norms.clone()),
            |norms, (task, ceiling)| norms.with_ceiling(&task, ceiling),
        );
        let norms = (stored.wrong_minus_right.into_iter())
            .fold(norms, |norms, (task, of_items)| {
                norms.with_wrong_minus_right(&task, of_items)
            });
        let mut recording = Recording::default();
        let mut read = |path: &Path| recording.read(path, |_| Ok(()));
        if manifest.arm_runs.is_empty() {
            read(&at.join(TRACES))?;
        }
        let mut curves = Vec::new();
        let mut training = Vec::new();
        let mut on_the_way = Vec::new();
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
            on_the_way.extend(learning::evaluations(at, arm_run, &manifest.files)?);
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
            on_the_way,
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
        let counting = Counting {
            only_correct: manifest.only_correct,
            cut_off: manifest.cut_off,
        };
        let items = self.recording.items(&arms, &manifest.tasks, counting);
        let mut notes = manifest.notes.clone();
        notes.extend(self.recording.notes());
        let mut last = recording::peculiarities(&items, &manifest.tasks);
        last.extend(self.recording.others(&arms, &manifest.tasks));
        last.extend(self.unanswered());
        let on_the_way = self.on_the_way.iter();
        let on_the_way = on_the_way.filter_map(|at| at.items(&manifest.tasks, counting));
        let on_the_way: Vec<OnTheWay> = on_the_way.collect();
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
            on_the_way: &on_the_way,
            training: &self.training,
            environment: manifest.environment.clone(),
            seed: 0,
            counting,
            baseline,
            flaws: &self.flaws,
            recipes: self.recipes.clone(),
            questions: manifest.questions.clone(),
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

pub(super) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is damaged", path.display()))
}
