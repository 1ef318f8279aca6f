//! The step loop.
//!
//! Order of one update: evaluate where a point is reached, collect where nothing
//! is pending, update, let the reference model follow, validate, log, checkpoint.
//! What is evaluated after an update comes after its checkpoint, so that it can
//! be interrupted without making updates again. An update itself is
//! [`Learner`]'s; a loss or gradient that is not finite skips the update and is
//! counted.
//!
//! With several ranks the loop runs on each of them in step; rank 0 writes.
//! A rank that is asked to stop stops all of them after the same update.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use algorithms::{Algorithm, Batch, EntropyState, Lab, Metrics, ReferenceSync};
use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::manifest::Budget;
use indicatif::ProgressBar;
use tch::Tensor;

use super::checkpoint::{self, Progress, Snapshot};
use super::forward;
use super::metrics::{self, MetricsLog};
use super::on_the_way::OnTheWay;
use super::optimizer::State;
use super::update::{Learner, Outcome};
use super::{best, guards, on_the_way};
use crate::files;
use crate::memory;
use crate::model::{Decoder, Weights};

/// A lab that also validates and says what it spent.
pub trait Source: Lab {
    /// Metrics on problems that are neither trained on nor evaluated.
    fn validate(&mut self) -> Result<Metrics>;

    /// Ends a collection: metrics of its rollouts beyond those of the algorithm,
    /// and a place to keep what was written.
    fn take_metrics(&mut self) -> Result<Metrics>;

    /// Tokens sampled for training, and prompt tokens prefilled for it, since the last call.
    fn take_generated(&mut self) -> (u64, u64);

    /// The model that the policy is held to, where there is one.
    fn reference(&self) -> Option<&Decoder> {
        None
    }
}

/// One training: a policy, an algorithm, and where to keep what comes of it.
pub struct Job<'a> {
    /// The policy, its algorithm, and the settings of the loop.
    pub learner: Learner<'a>,
    /// Folder for `metrics.jsonl`, checkpoints, and the best policy.
    pub folder: &'a Path,
    /// Writes the policy as it is as a folder of that name, whole or not at all.
    pub save_policy: &'a dyn Fn(&Path) -> Result<()>,
    /// Hash of everything that determines the training.
    pub identity: &'a str,
    /// What is evaluated between updates, where something is.
    pub on_the_way: Option<OnTheWay<'a>>,
    /// Set when the user asks to stop.
    pub stop: &'a AtomicBool,
    /// Shows how far it is.
    pub progress: &'a ProgressBar,
}

/// Name of the log in the folder.
const METRICS: &str = "metrics.jsonl";

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All updates were made.
    Finished(Budget),
    /// The user asked to stop; a checkpoint holds everything.
    Interrupted,
}

/// Runs a training to its end, or to a checkpoint when the user asks to stop.
/// Goes on from the folder's newest whole checkpoint where there is one. The
/// last update leaves a checkpoint too, so that what comes after the training
/// can be interrupted without making updates again.
pub fn train(job: &Job<'_>, source: &mut dyn Source) -> Result<Ending> {
    let ranks = job.learner.ranks();
    ranks.lead(|| {
        files::create_last_folder(job.folder)?;
        files::remove_leftovers(job.folder)
    })?;
    let Learner {
        decoder,
        algorithm,
        training,
        ..
    } = &job.learner;
    let weights = decoder.trainable();
    let (mut at, mut optimizer) = begin(job, source)?;
    let mut log = None;
    ranks.lead(|| {
        let path = job.folder.join(METRICS);
        log = Some(MetricsLog::open(&path, at.step, at.log.as_ref())?);
        Ok(())
    })?;
    on_the_way::begin(job, &at)?;
    job.progress.set_length(training.steps);
    job.progress.set_position(at.step);
    if at.step == 0 {
        write(&mut log, 0, &source.validate()?)?;
    }
    while at.step < training.steps {
        on_the_way::evaluate(job, &mut at)?;
        let started = Instant::now();
        if at.pending.is_empty() {
            let collected = algorithm.collect(at.step, source)?;
            at.pending = collected.batches;
            at.collection = collected.metrics;
            at.collection.extend(source.take_metrics()?);
        }
        if at.pending.is_empty() {
            bail!(
                "{} collected no batch at update {}",
                algorithm.name(),
                at.step
            );
        }
        let (batch, outcome) = next_update(job, &mut at, &mut optimizer)?;
        at.step += 1;
        let mut metrics = at.collection.clone();
        metrics.extend(outcome.metrics);
        count(&mut at, outcome.skipped, &metrics, job.folder);
        if let Some((sync, reference)) = followed(*algorithm, source)?
            && at.step.is_multiple_of(sync.steps)
        {
            follow(reference, weights, sync.mixup_alpha);
        }
        spend(&mut at.budget, &batch, source.take_generated(), decoder);
        tell_spent(&mut at, started, decoder, &mut metrics);
        let tokens = at.budget.trained_tokens + at.budget.generated_tokens;
        let seconds = at.budget.seconds;
        job.progress.set_position(at.step);
        job.progress
            .set_message(format!("{:.0} tok/s", tokens as f64 / seconds.max(1e-9)));
        if at.skipped_in_a_row > training.max_skipped_updates {
            write(&mut log, at.step, &metrics)?;
            ensure!(
                ranks.is_first(),
                "update {} was skipped once too often; rank 0 says more",
                at.step
            );
            let in_a_row = at.skipped_in_a_row;
            return Err(guards::stop(
                job.folder, at.step, in_a_row, &metrics, &batch,
            ));
        }
        let last = at.step == training.steps;
        if last || at.step.is_multiple_of(training.validation_steps) {
            let validation = source.validate()?;
            if training.keep_best {
                keep_best(job, &mut at, &validation)?;
            }
            metrics.extend(validation);
        }
        let written = write(&mut log, at.step, &metrics);
        let asked = ranks.any(written.map(|()| job.stop.load(Ordering::SeqCst)))?;
        let asked_to_stop = asked && !last;
        if last || asked_to_stop || at.step.is_multiple_of(training.save_steps) {
            let reference = followed(*algorithm, source)?.map(|(_, reference)| reference);
            save(job, &mut at, &optimizer, reference, log.as_ref())?;
        }
        if asked_to_stop {
            return Ok(Ending::Interrupted);
        }
    }
    on_the_way::evaluate(job, &mut at)?;
    if at.idle + at.skipped == at.step {
        guards::warn_unmoved(job.folder, at.step, at.idle);
    }
    Ok(Ending::Finished(at.budget))
}

/// Makes the next update of what was collected. Where the weight of the entropy adapts, it is
/// that which the update before left, and follows what this one measures.
fn next_update(
    job: &Job<'_>,
    at: &mut Progress,
    optimizer: &mut State,
) -> Result<(Batch, Outcome)> {
    let mut batch = at.pending.remove(0);
    let bonus = job.learner.algorithm.entropy();
    let adaptive = bonus.and_then(|bonus| Some((bonus, bonus.adaptive?)));
    if let Some((bonus, adaptive)) = adaptive {
        let state = at.entropy.get_or_insert_with(|| EntropyState::new(bonus));
        batch.entropy_coef = state.coef(adaptive);
    }
    let outcome = job.learner.update(&batch, optimizer, at.step)?;
    if let Some(&entropy) = outcome.metrics.get("rewarded_entropy") {
        let told = ("entropy_coef".to_owned(), batch.entropy_coef);
        at.collection.extend([told]);
        if let (Some((_, adaptive)), Some(state)) = (adaptive, &mut at.entropy) {
            state.follow(adaptive, entropy);
        }
    }
    Ok((batch, outcome))
}

/// Takes an update's time and memory into the budget, and says what was spent so far.
fn tell_spent(at: &mut Progress, started: Instant, decoder: &Decoder, metrics: &mut Metrics) {
    let budget = &mut at.budget;
    let took = started.elapsed().as_secs_f64();
    budget.optimizer_steps = at.step;
    budget.seconds += took;
    let held = budget.peak_memory.into_iter();
    budget.peak_memory = held.chain(memory::held(decoder.device())).reduce(f64::max);
    let tokens = budget.trained_tokens + budget.generated_tokens;
    metrics.insert("skipped_updates".to_owned(), at.skipped as f64);
    metrics.insert("num_tokens".to_owned(), tokens as f64);
    metrics.insert("step_time".to_owned(), took);
    metrics.insert("seconds".to_owned(), budget.seconds);
}

/// Keeps the policy where its validation is the best so far.
fn keep_best(job: &Job<'_>, at: &mut Progress, validation: &Metrics) -> Result<()> {
    let mut best = at.best.take();
    at.best = job.learner.ranks().lead(|| {
        best::keep(job.folder, &mut best, at.step, validation, job.save_policy)?;
        Ok(best)
    })?;
    Ok(())
}

/// Writes a checkpoint.
fn save(
    job: &Job<'_>,
    at: &mut Progress,
    optimizer: &State,
    reference: Option<&Weights>,
    log: Option<&MetricsLog>,
) -> Result<()> {
    let whole = job.learner.whole_of(optimizer)?;
    let ranks = job.learner.ranks();
    // The log first: a checkpoint never knows of updates that it lacks.
    at.log = ranks.lead(|| log.map(MetricsLog::sync).transpose())?;
    let snapshot = Snapshot {
        progress: at,
        weights: job.learner.decoder.trainable(),
        optimizer: whole.as_ref().unwrap_or(optimizer),
        reference,
    };
    ranks.lead(|| checkpoint::save(job.folder, &snapshot, job.learner.training.keep_last))
}

/// Writes a line of the log, on the rank that has it.
fn write(log: &mut Option<MetricsLog>, step: u64, metrics: &Metrics) -> Result<()> {
    match log {
        Some(log) => log.write(step, metrics),
        None => Ok(()),
    }
}

/// Refuses a folder whose training, one without a reference model that
/// follows, was stopped and cannot be gone on with: no checkpoint is whole, or
/// the log is not the one it was made with.
pub fn check_stopped(folder: &Path, identity: &str) -> Result<()> {
    let progress = checkpoint::newest_progress(folder, identity)?.unwrap_or_default();
    metrics::kept(&folder.join(METRICS), progress.step, progress.log.as_ref()).map(drop)
}

/// Where a training stands before its next update.
fn begin(job: &Job<'_>, source: &dyn Source) -> Result<(Progress, State)> {
    let Learner {
        decoder, algorithm, ..
    } = &job.learner;
    let weights = decoder.trainable();
    let ranks = job.learner.ranks();
    let reference = followed(*algorithm, source)?.map(|(_, reference)| reference);
    let stored = checkpoint::load(job.folder, job.identity, weights, reference);
    if ranks.are_several() {
        let step = stored.as_ref().map(|stored| {
            let step = stored.as_ref().map(|(at, _)| at.step);
            format!("{} {step:?} {}", job.identity, weights.hash())
        });
        // The error itself is told below.
        let step = step.map_err(|error| anyhow!("{error:#}"));
        ranks.agree("what its training begins with", step)?;
    }
    if let Some((mut progress, whole)) = stored? {
        let mut best = progress.best.take();
        progress.best = ranks.lead(|| {
            best::confirm(job.folder, &mut best)?;
            Ok(best)
        })?;
        return Ok((progress, job.learner.part_of(whole)));
    }
    let progress = Progress {
        identity: job.identity.to_owned(),
        ..Progress::default()
    };
    Ok((progress, job.learner.state()))
}

/// Counts an update that changed nothing, and says so where it is the first of
/// its kind.
fn count(at: &mut Progress, skipped: bool, metrics: &Metrics, folder: &Path) {
    if skipped {
        if at.skipped == 0 {
            guards::warn_skipped(folder, at.step);
        }
        at.skipped += 1;
        at.skipped_in_a_row += 1;
    } else {
        at.skipped_in_a_row = 0;
    }
    if metrics.contains_key("nothing_to_train") {
        if at.idle == 0 {
            guards::warn_idle(folder, at.step, &at.collection);
        }
        at.idle += 1;
    }
}

/// How the reference model follows the policy, and its weights; `None` where
/// it stays as it is.
fn followed<'a>(
    algorithm: &dyn Algorithm,
    source: &'a dyn Source,
) -> Result<Option<(ReferenceSync, &'a Weights)>> {
    let Some(sync) = algorithm.reference_sync() else {
        return Ok(None);
    };
    let reference = source.reference().with_context(|| {
        format!(
            "{} wants a reference model that follows the policy (sync_ref_model), and there is none",
            algorithm.name()
        )
    })?;
    Ok(Some((sync, reference.weights())))
}

/// Moves a reference towards the policy: `(1 - alpha) reference + alpha policy`,
/// in TRL's order: the reference is scaled, then the policy's share added.
pub(crate) fn follow(reference: &Weights, policy: &Weights, alpha: f64) {
    let _guard = tch::no_grad_guard();
    let mut flat_P = reference.flat().shallow_clone();
    let share = Tensor::from(alpha as f32).to_device(flat_P.device());
    let _ = flat_P.g_mul_scalar_(1.0 - alpha);
    let _ = flat_P.addcmul_(policy.flat(), &share);
}

/// Adds one update to the budget.
///
/// Operations of dense products: 2 for each parameter and token that is read
/// forward, a shared prompt's once, and twice that backward; half of it where the
/// weights are frozen and only their input's gradient is needed.
fn spend(budget: &mut Budget, batch: &Batch, generated: (u64, u64), decoder: &Decoder) {
    let parameters = decoder.weights().count();
    let trained_cost = if decoder.adapter().is_some() {
        4.0
    } else {
        6.0
    };
    let read = forward::read_tokens(&batch.examples);
    let completions = batch.examples.iter().map(|row| row.completion.len() as u64);
    let trained: u64 = completions.sum();
    let (sampled, prefilled) = generated;
    budget.trained_tokens += trained;
    budget.generated_tokens += sampled;
    budget.flops +=
        parameters as f64 * (trained_cost * read as f64 + 2.0 * (sampled + prefilled) as f64);
}

#[cfg(test)]
mod tests;
