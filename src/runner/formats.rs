//! The number formats of a run: what each `dtype = "auto"` of its definition
//! stands for. They are measured before the first stage, once for each engine,
//! and kept in the run's folder, so that all arms, processes and resumptions
//! compute in the same.
//!
//! What it deliberately does not do: touch a format that the definition names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{Request, provenance};
use crate::config::{BaseSettings, BaseSource, Definition};
use crate::error::{UserError, as_user_error};
use crate::files;
use crate::formats::{Choice, Engine, generation_rows};
use crate::generation::PrecisionChoice;
use crate::messages::say;
use crate::model::{ModelConfig, Stored, vocabulary};
use crate::store::{Kind, Label, Store, models_folder};

/// Holds the choices, by what they are for.
pub(crate) const FORMATS_FILE: &str = "formats.json";

/// Time between two looks at what another run is measuring.
const PATIENCE: Duration = Duration::from_millis(50);

/// What a choice is for.
const TRAINING: &str = "training";
const TEACHER: &str = "the teacher's training";
const PRETRAINING: &str = "pre-training";
const TEACHER_PRETRAINING: &str = "the teacher's pre-training";
const ROLLOUT: &str = "rollouts";
const EVALUATION: &str = "evaluation";

/// The choices of a run, by what they are for; none for what the definition says.
///
/// Worked example: `{"training": {"format": "float32", "reason": {…}}}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Formats(BTreeMap<String, Choice>);

impl Formats {
    /// Reads those of a folder; none where nothing was measured for it.
    fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FORMATS_FILE);
        if !path.exists() {
            return Ok(Self::default());
        }
        let bytes = std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        as_user_error(serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is damaged: it holds the number formats that the run began with; put it back as it was",
                path.display()
            )
        }))
    }

    /// What was chosen for what, in the words of [`Choice`].
    pub(crate) fn told(&self) -> impl Iterator<Item = (&str, String)> {
        let choices = self.0.iter();
        choices.map(|(name, choice)| (name.as_str(), choice.to_string()))
    }
}

/// The places of a definition whose format is open, each with what it is for.
fn slots(definition: &mut Definition) -> Vec<(&'static str, &mut PrecisionChoice)> {
    let Definition {
        training,
        arm,
        teacher,
        base,
        rollout,
        evaluation,
        ..
    } = definition;
    let shared = training.dtype.get_or_insert_default();
    let is_open = *shared == PrecisionChoice::Auto;
    let mut slots = vec![
        (ROLLOUT, &mut rollout.dtype),
        (EVALUATION, &mut evaluation.dtype),
        (TRAINING, shared),
    ];
    for arm in arm.values_mut() {
        slots.extend(arm.training.dtype.as_mut().map(|own| (TRAINING, own)));
    }
    // A base is pre-trained in float32 where nothing is said.
    slots.extend(pretraining(base).map(|own| (PRETRAINING, own)));
    if let Some(teacher) = teacher {
        let own = &mut teacher.training.dtype;
        if teacher.algorithm.is_some() && teacher.base.is_some() {
            // It may be another model than the arms', and then has other shapes.
            if is_open {
                own.get_or_insert_default();
            }
            slots.extend(own.as_mut().map(|own| (TEACHER, own)));
        } else {
            // It starts from an arm, so it has the arms' shapes.
            slots.extend(own.as_mut().map(|own| (TRAINING, own)));
        }
        let own = teacher.base.as_mut().and_then(pretraining);
        slots.extend(own.map(|own| (TEACHER_PRETRAINING, own)));
    }
    slots.retain(|(_, dtype)| **dtype == PrecisionChoice::Auto);
    slots
}

/// The format that a base's pre-training names.
fn pretraining(base: &mut BaseSettings) -> Option<&mut PrecisionChoice> {
    base.pretraining.as_mut()?.training.dtype.as_mut()
}

impl Request {
    /// Puts a format in every place of the definition that leaves it open: what
    /// the run began with, or what is measured now and written down. Rank 0 does
    /// it for all. `items` are evaluated.
    pub(super) fn settle_formats(&mut self, items: usize) -> Result<Formats> {
        let formats = self.ranks.lead(|| {
            let mut formats = Formats::read(&self.out)?;
            let mut open = self.definition.clone();
            let names: BTreeSet<&str> = slots(&mut open).iter().map(|(name, _)| *name).collect();
            let known = formats.0.len();
            ensure!(
                names.is_empty() || known > 0 || !has_arms(&self.out),
                UserError(format!(
                    "{} is not there any more: it holds the number formats that the run began with; \
                     put it back, or begin again with another --out",
                    self.out.join(FORMATS_FILE).display()
                ))
            );
            for &name in &names {
                if !formats.0.contains_key(name) {
                    formats.0.insert(name.to_owned(), self.choose(name, items)?);
                }
            }
            if formats.0.len() > known {
                let path = self.out.join(FORMATS_FILE);
                files::write_whole(&path, &serde_json::to_vec_pretty(&formats)?)?;
            }
            formats.0.retain(|name, _| names.contains(name.as_str()));
            Ok(formats)
        })?;
        for (name, dtype) in slots(&mut self.definition) {
            let choice = formats.0.get(name);
            let choice = choice.with_context(|| format!("nothing was chosen for {name}"))?;
            *dtype = choice.settled();
        }
        if self.ranks.is_first() {
            for (name, choice) in formats.told() {
                say!("{name} in {choice}");
            }
        }
        Ok(formats)
    }

    /// What another run on the same models chose, else what is measured now: runs that
    /// differ in other settings are to compute in the same formats.
    fn choose(&self, name: &str, items: usize) -> Result<Choice> {
        let definition = &self.definition;
        let teacher = definition.teacher.as_ref();
        let on = (
            (name, definition.experiment.threads, self.ranks.world()),
            (&definition.base, teacher.map(|teacher| &teacher.base)),
            torch_ext::cpu::Level::of_process().to_string(),
            format!("{:?} {}", self.device, provenance::LIBTORCH),
            provenance::processor(),
        );
        let address = format!("formats-{}", files::hash(&serde_json::to_vec(&on)?));
        let store = Store::of_user()?;
        let label = Label {
            kind: Kind::Formats,
            what: format!("{name} of {}", definition.experiment.name),
            run: &self.out,
        };
        loop {
            if let Some((choice, _)) = store.take(&address, &self.out, &self.out)? {
                return Ok(choice);
            }
            // Jobs of a sweep begin together; one of them measures.
            let Some(_claim) = store.claim(&address)? else {
                std::thread::sleep(PATIENCE);
                continue;
            };
            if let Some((choice, _)) = store.take(&address, &self.out, &self.out)? {
                return Ok(choice);
            }
            let choice = self.measure(name, items)?;
            store.keep(&address, &label, &choice, (&self.out, &[]))?;
            return Ok(choice);
        }
    }

    /// Measures what a choice is for, as it will be computed.
    fn measure(&self, name: &str, items: usize) -> Result<Choice> {
        let definition = &self.definition;
        let teacher = definition.teacher.as_ref();
        let teachers_base = || {
            let base = teacher.and_then(|teacher| teacher.base.as_ref());
            base.context("the definition has no teacher that is a model")
        };
        let base = match name {
            TEACHER | TEACHER_PRETRAINING => teachers_base()?,
            _ => &definition.base,
        };
        let words = definition.tasks.words(&self.definition_folder)?;
        let config = config_of(base, &words, &self.definition_folder)?;
        let pretraining = base.pretraining.as_ref();
        let shared = definition.training.micro_batch_tokens;
        let tokens = match name {
            TEACHER => teacher
                .and_then(|teacher| teacher.training.micro_batch_tokens)
                .or(shared),
            PRETRAINING | TEACHER_PRETRAINING => {
                pretraining.and_then(|pretraining| pretraining.training.micro_batch_tokens)
            }
            _ => shared,
        };
        let world = self.ranks.world();
        let share = |completions: usize| generation_rows(completions.div_ceil(world));
        let (engine, rows) = match name {
            ROLLOUT => (Engine::Generation, share(batch(definition))),
            EVALUATION => {
                let samples = definition.evaluation.samples as usize;
                (Engine::Generation, share(items.saturating_mul(samples)))
            }
            _ => (Engine::Training, tokens.unwrap_or(usize::MAX)),
        };
        let (_, threads) = self.workers();
        Ok(on_threads(threads, || {
            Choice::measure(engine, &config, rows, self.device)
        }))
    }
}

/// Whether the training of an arm has begun in a run directory. Its base and its
/// teacher may come from another job of a sweep.
pub(super) fn has_arms(out: &Path) -> bool {
    let arms = out.join("arms").read_dir().into_iter().flatten().flatten();
    arms.into_iter().any(|arm| arm.file_name() != "base")
}

/// Completions that the arms sample at a time, the most of any arm; as many as
/// there can be where no arm samples.
fn batch(definition: &Definition) -> usize {
    let sampled = definition.arm.values().filter_map(|arm| {
        let phase = arm.algorithm.as_ref()?.algorithm().samples()?;
        let (prompts, samples) = (phase.prompts(), phase.group());
        Some(prompts.saturating_mul(samples))
    });
    sampled.max().unwrap_or(usize::MAX)
}

/// The shapes of a base.
fn config_of(
    base: &BaseSettings,
    words: &[String],
    definition_folder: &Path,
) -> Result<ModelConfig> {
    match base.source("base")? {
        BaseSource::Pretrained(shape, _) => vocabulary::config(shape, words),
        BaseSource::Model(name) => {
            let path = Stored::find(name, definition_folder, &models_folder()?)?;
            Ok(Stored::open(&path)?.config)
        }
    }
}

/// Does work on a thread on which libtorch uses so many: it counts them for each
/// thread of ours.
fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            tch::set_num_threads(threads as i32);
            work()
        });
        worker
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
