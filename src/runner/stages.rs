//! A stage of a run: how its weights come about, what others are shown of it, and its
//! answers to the evaluation. Base, teacher and arm are the same to this room; the
//! graph of the definition says what each starts from.
//!
//! Each of the three is taken from the store where somebody made it before, else made
//! here and kept there.

mod address;
mod base;
mod traces;
mod training;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use experiments::manifest::{ArmRun, Budget};
use experiments::record;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::schedule::Done;
use super::{Outcome, Run};
use crate::config::{BaseSettings, BaseSource, Stage, StageSettings, Start};
use crate::demonstrations::Source;
use crate::evaluator;
use crate::files;
use crate::messages;
use crate::model::{Model, Stored};
use crate::store::{Kind, Label, Store, models_folder};
use crate::training::checkpoint;

pub(super) use traces::check_vocabulary;

/// Name of the records in a stage's folder.
const RECORDS: &str = "traces.parquet";

/// What a stage leaves of its making, and what was written in the course of it.
const MADE: [&str; 9] = [
    "adapter",
    "best",
    "best.json",
    COMPLETIONS,
    "evaluations",
    "evaluations.jsonl",
    "metrics.jsonl",
    "model",
    "pretraining.jsonl",
];

/// Folder of what a policy wrote in training.
const COMPLETIONS: &str = "completions";

/// What is said of weights that were made.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Facts {
    /// Hash of the weights that they started from.
    initial_weights: String,
    /// Hash of what they became.
    final_weights: String,
    /// What the training spent; `None` where there was none.
    budget: Option<Budget>,
    /// Seconds of the pre-training.
    pretraining_seconds: Option<f64>,
}

/// What came of asking for a part of a stage.
enum Got<T> {
    /// It is in the stage's folder, and whether another run made it.
    There(T, bool),
    /// The user asked to stop.
    Interrupted,
    /// Another process, or another job of this one, is making it.
    Busy,
}

/// Gives what is there, or ends the job for now.
macro_rules! there {
    ($got:expr) => {
        match $got {
            Got::There(facts, taken) => (facts, taken),
            Got::Interrupted => return Ok(Done::Interrupted),
            Got::Busy => return Ok(Done::Waits),
        }
    };
}

/// A part of a stage that the store may have.
struct Part<'a> {
    kind: Kind,
    /// Hash of everything that determines it; `None` where something does that the lab
    /// cannot hash, and nothing is shared.
    address: Option<String>,
    stage: &'a Stage,
    /// The files and folders that it is.
    names: &'a [&'a str],
}

/// The job of a stage.
pub(super) fn make(run: &Run, number: usize) -> Result<Done> {
    let stage = run.stage(number)?;
    let folder = run.folder(stage);
    if run.done(&folder)? {
        run.write(|| tidy(&folder))?;
        return Ok(Done::Finished);
    }
    if run.still_waits(stage)? {
        return Ok(Done::Waits);
    }
    run.write(|| files::create_folder(&folder))?;
    // The model is kept from one part to the next where it was made here.
    let mut model = None;
    let got = match run.settings(stage) {
        None => base::obtain(run, stage, &mut model)?,
        Some(settings) => training::obtain(run, number, settings, &mut model)?,
    };
    let (facts, taken_over) = there!(got);
    let mut taken: Vec<Kind> = taken_over.then_some(Kind::Model).into_iter().collect();
    if run.is_shown(stage) {
        let (_, taken_over) = there!(traces::obtain(run, number, &facts, &mut model)?);
        taken.extend(taken_over.then_some(Kind::Traces));
    }
    let mut seconds = None;
    if stage.is_evaluated {
        let got = evaluate(run, number, &facts, &mut model)?;
        let (took, taken_over) = there!(got);
        seconds = Some(took);
        taken.extend(taken_over.then_some(Kind::Evaluation));
    }
    let arm_run = ArmRun {
        arm: stage.name.clone(),
        seed: stage.seed,
        folder: stage.folder.clone(),
        init: run
            .settings(stage)
            .and_then(|settings| Some(settings.init.as_ref()?.arm.clone())),
        teacher: run.teacher_of(stage)?.map(|teacher| teacher.seed),
        initial_weights: facts.initial_weights,
        final_weights: facts.final_weights,
        problem_order: training::problem_order(run, stage)?,
        trained_on: training::trained_on(run, stage)?,
        budget: facts.budget,
        pretraining_seconds: match facts.pretraining_seconds {
            None => run.pretraining_before(stage)?,
            own => own,
        },
        evaluation_seconds: seconds,
    };
    run.write(|| {
        Outcome::write(&folder, arm_run, taken)?;
        // After the outcome: until that is there, they are all there is.
        tidy(&folder)
    })?;
    Ok(Done::Finished)
}

/// Lets a model answer the evaluation; the seconds that the answers took.
fn evaluate(
    run: &Run,
    number: usize,
    facts: &Facts,
    model: &mut Option<Model>,
) -> Result<Got<f64>> {
    let stage = run.stage(number)?;
    let folder = run.folder(stage);
    let part = Part {
        kind: Kind::Evaluation,
        address: Some(run.address_of_evaluation(number, facts)?),
        stage,
        names: &[RECORDS],
    };
    run.obtain(&part, || {
        let model = run.model(number, model)?;
        let started = Instant::now();
        let mut records = evaluator::evaluate(
            model,
            &run.items,
            &run.definition().evaluation,
            &stage.name,
            run.seed_of_records(stage),
            stage.seed,
            run.ranks(),
        )?;
        let teacher = run.teacher_of(stage)?.map(|teacher| teacher.seed);
        for record in &mut records {
            record.teacher = teacher;
        }
        let seconds = started.elapsed().as_secs_f64();
        run.write(|| Ok(record::write(&folder.join(RECORDS), &records)?))?;
        Ok(Some(seconds))
    })
}

impl Run {
    /// A stage by its number.
    fn stage(&self, number: usize) -> Result<&Stage> {
        let stage = self.graph.0.get(number);
        stage.with_context(|| format!("the definition has no stage {number}"))
    }

    /// The settings of a training; `None` of a base.
    fn settings(&self, stage: &Stage) -> Option<&StageSettings> {
        self.definition().settings(stage)
    }

    fn folder(&self, stage: &Stage) -> PathBuf {
        self.out().join(&stage.folder)
    }

    fn teacher_of(&self, stage: &Stage) -> Result<Option<&Stage>> {
        stage.teacher.map(|teacher| self.stage(teacher)).transpose()
    }

    /// The seed in a stage's records. One teacher alone has none: it serves all seeds.
    fn seed_of_records(&self, stage: &Stage) -> Option<u64> {
        let teacher = self.definition().teacher.as_ref();
        let alone = teacher.is_none_or(|teacher| teacher.seeds.is_empty());
        let is_teacher = self
            .settings(stage)
            .is_some_and(|settings| settings.traces.is_some());
        (!(is_teacher && alone)).then_some(stage.seed)
    }

    /// Whether others imitate what a stage writes.
    fn is_shown(&self, stage: &Stage) -> bool {
        let traces = self
            .settings(stage)
            .and_then(|settings| settings.traces.as_ref());
        traces.is_some()
    }

    /// A part of a stage: taken from the store, or made and kept there. Of several ranks
    /// the first works at the store.
    fn obtain<T: Serialize + DeserializeOwned>(
        &self,
        part: &Part<'_>,
        make: impl FnOnce() -> Result<Option<T>>,
    ) -> Result<Got<T>> {
        let Some(address) = &part.address else {
            let made = make()?;
            return Ok(made.map_or(Got::Interrupted, |facts| Got::There(facts, false)));
        };
        let store = Store::of_user()?;
        let folder = self.folder(part.stage);
        let take = || -> Result<Option<Got<T>>> {
            let found = self.write(|| store.take(address, &folder, self.out()))?;
            Ok(found.map(|(facts, of_another)| {
                if of_another {
                    self.tell_taken(part);
                }
                Got::There(facts, of_another)
            }))
        };
        if let Some(got) = take()? {
            return Ok(got);
        }
        let mut claim = None;
        let claimed = self.write(|| {
            claim = store.claim(address)?;
            Ok(claim.is_some())
        })?;
        if !claimed {
            self.wait_for(part, address);
            return Ok(Got::Busy);
        }
        // It may have been made between the look and the claim.
        if let Some(got) = take()? {
            return Ok(got);
        }
        let Some(facts) = make()? else {
            return Ok(Got::Interrupted);
        };
        let experiment = &self.definition().experiment.name;
        let label = Label {
            kind: part.kind,
            what: format!("{} of {experiment}", part.stage.title()),
            run: self.out(),
        };
        self.write(|| {
            let logs = match part.kind {
                Kind::Model => event_files(&folder)?,
                _ => Vec::new(),
            };
            let logs = logs.iter().map(String::as_str);
            let names: Vec<&str> = part.names.iter().copied().chain(logs).collect();
            store.keep(address, &label, &facts, (&folder, &names))
        })?;
        Ok(Got::There(facts, false))
    }

    /// Notes that a stage waits for what somebody else is making, and says so once.
    fn wait_for(&self, part: &Part<'_>, address: &str) {
        let mut waits = self.waits();
        let before = waits.insert(part.stage.folder.clone(), address.to_owned());
        if self.ranks().is_first() && before.as_deref() != Some(address) {
            let (title, kind) = (part.stage.title(), part.kind.word());
            messages::above(
                &self.bars,
                format_args!(
                    "{title}: {kind} is being made by another job or run; it is waited for, and all else done meanwhile"
                ),
            );
        }
    }

    fn waits(&self) -> MutexGuard<'_, BTreeMap<String, String>> {
        self.waited_for
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what a stage was found waiting for is still being made: told by a lock,
    /// while a new try of the stage reads all that determines it.
    fn still_waits(&self, stage: &Stage) -> Result<bool> {
        let address = self.waits().get(&stage.folder).cloned();
        address.map_or(Ok(false), |address| {
            self.write(|| Ok(Store::of_user()?.is_claimed(&address)))
        })
    }

    fn tell_taken(&self, part: &Part<'_>) {
        if self.ranks().is_first() {
            let (title, kind) = (part.stage.title(), part.kind.word());
            messages::above(
                &self.bars,
                format_args!("{title}: {kind} taken from the store"),
            );
        }
    }

    /// What a stage has left, its weights not yet read; an adapter lies upon what the
    /// stage started from.
    fn stored(&self, number: usize) -> Result<Stored> {
        let stage = self.stage(number)?;
        let (Some(settings), Start::Stage(start)) = (self.settings(stage), stage.start) else {
            return self.stored_base(stage);
        };
        if settings.algorithm.is_none() {
            return self.stored(start);
        }
        let folder = self.folder(stage);
        match settings.lora {
            Some(_) => self.stored(start)?.with_adapter(&folder.join("adapter")),
            None => self.open(&folder.join("model")),
        }
    }

    fn stored_base(&self, stage: &Stage) -> Result<Stored> {
        let path = match self.base_settings(stage)?.source(&stage.place())? {
            BaseSource::Model(name) => {
                Stored::find(name, &self.request.definition_folder, &models_folder()?)?
            }
            BaseSource::Pretrained(..) => self.folder(stage).join("model"),
        };
        self.open(&path)
    }

    fn base_settings(&self, stage: &Stage) -> Result<&BaseSettings> {
        let definition = self.definition();
        match stage.start {
            Start::TeachersBase => {
                let teacher = definition.teacher.as_ref();
                let base = teacher.and_then(|teacher| teacher.base.as_ref());
                base.context("the definition's teacher has no base")
            }
            _ => Ok(&definition.base),
        }
    }

    /// What a finished stage left.
    fn outcome(&self, number: usize) -> Result<ArmRun> {
        let folder = self.folder(self.stage(number)?);
        let outcome = Outcome::read(&folder)?;
        let outcome =
            outcome.with_context(|| format!("{} holds no finished stage", folder.display()))?;
        Ok(outcome.arm_run)
    }

    /// Hash of the weights that a finished stage ended with.
    fn final_weights(&self, number: usize) -> Result<String> {
        Ok(self.outcome(number)?.final_weights)
    }

    /// Seconds of the pre-training of what a stage starts from, where that is in no table
    /// of its own.
    fn pretraining_before(&self, stage: &Stage) -> Result<Option<f64>> {
        let Start::Stage(start) = stage.start else {
            return Ok(None);
        };
        if self.stage(start)?.is_evaluated {
            return Ok(None);
        }
        Ok(self.outcome(start)?.pretraining_seconds)
    }

    /// The model that a finished stage left.
    fn load(&self, number: usize) -> Result<Model> {
        let stored = self.stored(number)?;
        let path = stored.path.clone();
        let model = stored.load(self.request.device)?;
        let settings = self.settings(self.stage(number)?);
        // An adapter's hash is its own, not that of the weights it is merged into.
        let adapted = settings.is_some_and(|settings| settings.lora.is_some());
        ensure!(
            adapted || model.decoder.weights().hash() == self.final_weights(number)?,
            "{} has other weights than its stage ended with; put it back, or remove the stage's folder and go on with --resume to make it again",
            path.display()
        );
        Ok(model)
    }

    /// The model of a stage whose weights are in its folder, read once.
    fn model<'a>(&self, number: usize, model: &'a mut Option<Model>) -> Result<&'a Model> {
        if model.is_none() {
            *model = Some(self.stored(number)?.load(self.request.device)?);
        }
        model.as_ref().context("the model was read")
    }

    /// What a stage imitates: the traces that its teacher left, or what is there.
    fn demonstrations(&self, stage: &Stage, settings: &StageSettings) -> Result<Source> {
        let place = stage.place();
        let shown = self.definition().shown_to(&place, stage.seed, settings)?;
        let folder = &self.request.definition_folder;
        let source = match self.teacher_of(stage)? {
            Some(teacher) if settings.has_teacher() => {
                Source::traces(&self.folder(teacher).join(traces::TRACES))?
            }
            _ => Source::ready(&shown, &self.mix, folder)?
                .with_context(|| format!("{} names no traces", shown.place))?,
        };
        source.shown_to(settings.tasks.as_deref(), settings.altered, shown.seed)
    }
}

/// Removes what only the making needed.
fn tidy(folder: &Path) -> Result<()> {
    checkpoint::clear(folder)?;
    base::remove_workshop(folder)
}

/// The files of a folder that a stage may have left, for its marker.
pub(super) fn left() -> Vec<&'static str> {
    let mut names = MADE.to_vec();
    // No result rests on completions and event files, and they may be removed.
    names.retain(|name| *name != COMPLETIONS);
    names.extend([traces::TRACES, RECORDS]);
    names
}

/// The names of the event files in a folder.
fn event_files(folder: &Path) -> Result<Vec<String>> {
    let reading = || format!("reading {}", folder.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("events.out.tfevents") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Seconds that the last line of a log tells.
fn last_seconds(log: &Path) -> Result<Option<f64>> {
    let text =
        std::fs::read_to_string(log).with_context(|| format!("reading {}", log.display()))?;
    let last = text.lines().next_back().unwrap_or_default();
    let line = serde_json::from_str::<serde_json::Value>(last);
    Ok(line.ok().and_then(|line| line.get("seconds")?.as_f64()))
}
