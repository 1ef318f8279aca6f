//! A whole training held to the same training by TRL's trainers: same starting
//! weights, same samples, same settings; then loss, gradient norm and learning
//! rate of every update, and the weights after the last.
//!
//! A case is a folder with `case.json` and `final.safetensors`, in the form
//! that `make_lockstep.py` and `scripts/lockstep-gkd.py` write, and with a model
//! `teacher` where one is distilled; `case.rs` reads it. The training is the lab's
//! own: the algorithm collects over a lab that hands out the given samples,
//! and [`Learner`] updates. What is not compared: how samples are drawn, since
//! they are given, and the metrics beside those three.
//!
//! Weights at rest are told apart. AdamW divides a gradient by its own size, so
//! a gradient that is nothing but rounding moves its weight like any other; the
//! slow dimensions of a key's bias are such weights, which the softmax all but
//! ignores. There TRL's own run in float32 is further than [`WEIGHT`] from the
//! same run in float64. What they come to is shown and not held to: a weight is
//! at rest where the root mean square of its gradients is below float32's
//! rounding of that of the whole gradient, [`AT_REST`] of its norm.

mod case;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use algorithms::{
    Demonstration, Example, Lab, LabError, Prompt, ReferenceSync, Rollout, Scorer, TokenScores,
};
use anyhow::{Context, Result, bail, ensure};
use tch::{Device, Kind, Tensor};

use crate::generation::Precision;
use crate::model::tensor_files::TensorFiles;
use crate::model::{Decoder, Stored};
use crate::training::optimizer::State;
use crate::training::{Learner, forward, trainer};

use case::Case;

/// Largest deviation of a loss or gradient norm, unless [`RELATIVE`] allows more.
pub const ABSOLUTE: f64 = 1e-4;
/// The same as a share of the expected value.
pub const RELATIVE: f64 = 2e-3;
/// Largest deviation of a learning rate.
pub const LEARNING_RATE: f64 = 1e-9;
/// Largest deviation of a weight after the last update.
pub const WEIGHT: f64 = 1e-3;

/// Share of the whole gradient's norm below which a gradient is rounding.
pub const AT_REST: f64 = f32::EPSILON as f64;

const CASE: &str = "case.json";
const FINAL: &str = "final.safetensors";
const TEACHER: &str = "teacher";

/// The largest deviation of one kind over a case.
///
/// Worked example: `{compared: 4, largest: 2.1e-6, first: None}`; a value
/// beyond its tolerance is in `first`, with what was expected.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Worst {
    /// How many numbers were compared.
    pub compared: usize,
    /// Largest absolute difference; infinite where one is not a number.
    pub largest: f64,
    /// The first that is beyond what is allowed.
    pub first: Option<String>,
}

impl Worst {
    fn add(&mut self, got: f64, expected: f64, allowed: f64, place: impl Fn() -> String) {
        self.compared += 1;
        let difference = (got - expected).abs();
        let difference = if difference.is_nan() {
            f64::INFINITY
        } else {
            difference
        };
        self.largest = self.largest.max(difference);
        if difference > allowed && self.first.is_none() {
            self.first = Some(format!("{}: {got:.6e}, not {expected:.6e}", place()));
        }
    }
}

/// One case beside its reference.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Held {
    /// Loss of each update.
    pub loss: Worst,
    /// Gradient norm of each update, before clipping.
    pub grad_norm: Worst,
    /// Learning rate of each update.
    pub learning_rate: Worst,
    /// Weights after the last update, but for those at rest.
    pub weights: Worst,
    /// The weights at rest, which nothing is beyond.
    pub at_rest: Worst,
}

impl Held {
    /// What was compared, each kind with its name.
    pub fn kinds(&self) -> [(&'static str, &Worst); 5] {
        [
            ("loss", &self.loss),
            ("gradient norm", &self.grad_norm),
            ("learning rate", &self.learning_rate),
            ("weights", &self.weights),
            ("at rest", &self.at_rest),
        ]
    }

    /// Whether nothing deviates more than is allowed.
    pub fn holds(&self) -> bool {
        self.kinds().iter().all(|(_, worst)| worst.first.is_none())
    }
}

/// The cases of a folder in the order of their names: itself, or the folders in it.
pub fn cases(at: &Path) -> Result<Vec<PathBuf>> {
    if at.join(CASE).is_file() {
        return Ok(vec![at.to_owned()]);
    }
    let entries = std::fs::read_dir(at).with_context(|| format!("reading {}", at.display()))?;
    let mut cases: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.join(CASE).is_file())
        .collect();
    cases.sort();
    ensure!(
        !cases.is_empty(),
        "{} holds no {CASE}, and no folder in it does",
        at.display()
    );
    Ok(cases)
}

/// The model that the cases start from: the one given, `qwen2` in the folder
/// given, `qwen2` among the cases, or `models/qwen2` beside their folder.
pub fn model(at: &Path, given: Option<&Path>) -> Result<PathBuf> {
    let model = match given {
        Some(given) if given.join("config.json").is_file() => given.to_owned(),
        Some(given) => given.join("qwen2"),
        None => {
            let cases = if at.join(CASE).is_file() {
                at.join("..")
            } else {
                at.to_owned()
            };
            let among = cases.join("qwen2");
            if among.is_dir() {
                among
            } else {
                cases.join("../models/qwen2")
            }
        }
    };
    ensure!(
        model.join("config.json").is_file(),
        "{} holds no model to start from; name it with --models",
        model.display()
    );
    Ok(model)
}

/// Trains as a case says, from the weights of a model folder, and compares.
pub fn hold(at: &Path, model: &Path) -> Result<Held> {
    let path = at.join(CASE);
    let model = Stored::open(model)?.load(Device::Cpu)?;
    let text =
        experiments::text::string(&path).with_context(|| format!("reading {}", path.display()))?;
    let case = Case::read(&text, model.decoder.config())
        .with_context(|| format!("{} cannot be followed", path.display()))?;
    let teacher = case
        .algorithm
        .needs_teacher()
        .then(|| teacher(&at.join(TEACHER), &model.decoder))
        .transpose()?;
    let mut held = Held::default();
    let optimizer = train(&case, &model.decoder, teacher.as_ref(), &mut held)
        .with_context(|| format!("{} cannot be followed", path.display()))?;
    compare_weights(&at.join(FINAL), &model.decoder, &optimizer, &mut held)?;
    Ok(held)
}

/// The teacher of a case, which has the student's vocabulary.
fn teacher(at: &Path, student: &Decoder) -> Result<Decoder> {
    let teacher = Stored::open(at)?.load(Device::Cpu)?.decoder;
    let (taught, known) = (student.config().vocab_size, teacher.config().vocab_size);
    ensure!(
        taught == known,
        "{}: the teacher has a vocabulary of {known} tokens, the student one of {taught}; give the model of the case with --models",
        at.display()
    );
    Ok(teacher)
}

/// Makes every update of a case, in place, and compares each.
fn train(
    case: &Case,
    decoder: &Decoder,
    teacher: Option<&Decoder>,
    held: &mut Held,
) -> Result<State> {
    let learner = Learner::new(
        decoder,
        case.algorithm.as_ref(),
        &case.training,
        case.temperature,
    )
    .judged_by(teacher);
    let mut lab = Given {
        case,
        decoder,
        reference: case
            .algorithm
            .needs_reference()
            .then(|| Decoder::new(decoder.config().clone(), decoder.weights().duplicate())),
    };
    let mut optimizer = State::new(decoder.weights());
    let mut pending = Vec::new().into_iter();
    for (step, expected) in (0u64..).zip(&case.steps) {
        if pending.len() == 0 {
            pending = case.algorithm.collect(step, &mut lab)?.batches.into_iter();
        }
        let batch = pending
            .next()
            .context("the algorithm collected no batch at all")?;
        ensure!(
            !batch.examples.is_empty(),
            "update {}: nothing is trained, since no completion has an advantage or no token a label. The lab \
             then leaves the weights as they are, where TRL moves them by what is left of earlier gradients: \
             give a case where every update trains",
            step + 1
        );
        let outcome = learner.update(&batch, &mut optimizer, step)?;
        let value = |name: &str| outcome.metrics.get(name).copied().unwrap_or(f64::NAN);
        let place = || format!("update {}", step + 1);
        let near = |expected: f64| ABSOLUTE.max(RELATIVE * expected.abs());
        held.loss
            .add(value("loss"), expected.loss, near(expected.loss), place);
        held.grad_norm.add(
            value("grad_norm"),
            expected.grad_norm,
            near(expected.grad_norm),
            place,
        );
        held.learning_rate.add(
            value("learning_rate"),
            expected.learning_rate,
            LEARNING_RATE,
            place,
        );
        if let Some(sync) = case.algorithm.reference_sync() {
            lab.sync_reference(sync, step + 1);
        }
    }
    Ok(optimizer)
}

/// Compares every weight; a parameter that only one side has is a refusal.
fn compare_weights(
    path: &Path,
    decoder: &Decoder,
    optimizer: &State,
    held: &mut Held,
) -> Result<()> {
    let stored = TensorFiles::open_file(path)?;
    let weights = decoder.weights();
    let ours: BTreeSet<&str> = weights.entries().iter().map(|e| e.name.as_str()).collect();
    let theirs: BTreeSet<&str> = stored.names().collect();
    if let Some(name) = ours.symmetric_difference(&theirs).next() {
        let (has, lacks) = if ours.contains(name) {
            ("the model", FINAL)
        } else {
            (FINAL, "the model")
        };
        bail!(
            "{}: {has} has the tensor {name}, {lacks} has not; give the model of the case with --models",
            path.display()
        );
    }
    let whole = optimizer
        .second_P
        .sum(Kind::Double)
        .double_value(&[])
        .sqrt();
    let resting_P = optimizer.second_P.sqrt().le(AT_REST * whole);
    for entry in weights.entries() {
        let mut expected = vec![0.0f32; entry.len() as usize];
        stored.read_f32(&entry.name, &mut expected)?;
        let got_P = weights.get(&entry.name).reshape([-1]);
        let difference_P = (got_P - Tensor::from_slice(&expected)).abs();
        let resting_P = resting_P.narrow(0, entry.offset, entry.len());
        // Of a tensor the largest difference is told, against none.
        let add = |worst: &mut Worst, of_P: &Tensor, allowed: f64| {
            let chosen_P = difference_P.masked_select(of_P);
            if chosen_P.numel() > 0 {
                let largest = chosen_P.max().double_value(&[]);
                worst.add(largest, 0.0, allowed, || entry.name.clone());
                worst.compared += chosen_P.numel() - 1;
            }
        };
        add(&mut held.weights, &resting_P.logical_not(), WEIGHT);
        add(&mut held.at_rest, &resting_P, f64::INFINITY);
    }
    Ok(())
}

/// A lab whose samples and demonstrations are those of a case.
struct Given<'a> {
    case: &'a Case,
    decoder: &'a Decoder,
    reference: Option<Decoder>,
}

impl Given<'_> {
    /// Moves the reference towards the policy where `updates` updates ask for it.
    fn sync_reference(&self, sync: ReferenceSync, updates: u64) {
        let Some(reference) = &self.reference else {
            return;
        };
        if !updates.is_multiple_of(sync.steps.max(1)) {
            return;
        }
        trainer::follow(
            reference.weights(),
            self.decoder.weights(),
            sync.mixup_alpha,
        );
    }
}

impl Lab for Given<'_> {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        let first = phase * count as u64;
        Ok((first..)
            .zip(self.case.prompts(phase))
            .map(|(problem, tokens)| Prompt { problem, tokens })
            .collect())
    }

    fn rollouts(
        &mut self,
        _: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        Ok(prompts
            .iter()
            .flat_map(|prompt| self.case.rollouts(prompt.problem as usize * group, group))
            .collect())
    }

    fn demonstrations(&mut self, step: u64, _: usize) -> Result<Vec<Demonstration>, LabError> {
        Ok(self.case.demonstrations(step).to_vec())
    }

    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        let decoder = match scorer {
            Scorer::Policy => self.decoder,
            Scorer::Reference => self.reference.as_ref().ok_or(LabError::NoScores(scorer))?,
            Scorer::Teacher => return Err(LabError::NoScores(scorer)),
        };
        let budget = self.case.training.micro_batch_tokens;
        Ok(forward::scores(
            decoder,
            Precision::Float32,
            examples,
            self.case.temperature,
            budget,
        ))
    }

    fn max_completion_length(&self) -> Option<usize> {
        Some(self.case.max_completion_length)
    }
}

#[cfg(test)]
mod tests;
