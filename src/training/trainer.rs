//! The step loop.
//!
//! Order of one update: collect where nothing is pending, update, log,
//! validate, checkpoint. An update itself is [`Learner`]'s; a loss
//! or gradient that is not finite skips the update and is counted.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use algorithms::{Batch, Lab, Metrics};
use anyhow::{Context, Result, bail};
use experiments::manifest::Budget;
use indicatif::ProgressBar;

use super::checkpoint::{self, Progress};
use super::metrics::MetricsLog;
use super::optimizer::State;
use super::update::Learner;
use crate::model::Decoder;

/// Updates skipped in a row after which a run stops.
const SKIPS_ALLOWED: u64 = 10;

/// A lab that also validates and says what it spent.
pub trait Source: Lab {
    /// Metrics on problems that are neither trained on nor evaluated.
    fn validate(&mut self) -> Result<Metrics>;

    /// Ends a collection: metrics of its rollouts beyond those of the algorithm,
    /// and a place to keep what was written.
    fn take_metrics(&mut self) -> Result<Metrics>;

    /// Tokens sampled for training, and prompt tokens prefilled for it, since the last call.
    fn take_generated(&mut self) -> (u64, u64);
}

/// One training: a policy, an algorithm, and where to keep what comes of it.
pub struct Job<'a> {
    /// The policy, its algorithm, and the settings of the loop.
    pub learner: Learner<'a>,
    /// Folder for `metrics.jsonl` and checkpoints.
    pub folder: &'a Path,
    /// Hash of everything that determines the training.
    pub identity: &'a str,
    /// Set when the user asks to stop.
    pub stop: &'a AtomicBool,
    /// Shows how far it is.
    pub progress: &'a ProgressBar,
}

/// How a training ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// All updates were made.
    Finished(Budget),
    /// The user asked to stop; a checkpoint holds everything.
    Interrupted,
}

/// Runs a training to its end, or to a checkpoint when the user asks to stop.
/// Goes on from the folder's newest whole checkpoint where there is one.
pub fn train(job: &Job<'_>, source: &mut dyn Source) -> Result<Ending> {
    std::fs::create_dir_all(job.folder)
        .with_context(|| format!("creating {}", job.folder.display()))?;
    let weights = job.learner.decoder.trainable();
    let (mut at, mut optimizer) = match checkpoint::load(job.folder, job.identity, weights)? {
        Some(stored) => stored,
        None => (
            Progress {
                identity: job.identity.to_owned(),
                step: 0,
                pending: Vec::new(),
                collection: Metrics::new(),
                budget: Budget::default(),
                skipped: 0,
            },
            State::new(weights),
        ),
    };
    let mut log = MetricsLog::open(&job.folder.join("metrics.jsonl"), at.step)?;
    job.progress.set_length(job.learner.training.steps);
    job.progress.set_position(at.step);
    if at.step == 0 {
        log.write(0, &source.validate()?)?;
    }
    let mut skipped_in_a_row = 0;
    while at.step < job.learner.training.steps {
        let started = Instant::now();
        if at.pending.is_empty() {
            let collected = job.learner.algorithm.collect(at.step, source)?;
            at.pending = collected.batches;
            at.collection = collected.metrics;
            at.collection.extend(source.take_metrics()?);
        }
        if at.pending.is_empty() {
            bail!(
                "{} collected no batch at update {}",
                job.learner.algorithm.name(),
                at.step
            );
        }
        let batch = at.pending.remove(0);
        let outcome = job.learner.update(&batch, &mut optimizer, at.step)?;
        let mut metrics = at.collection.clone();
        metrics.extend(outcome.metrics);
        if outcome.skipped {
            at.skipped += 1;
            skipped_in_a_row += 1;
            if skipped_in_a_row >= SKIPS_ALLOWED {
                bail!(
                    "{SKIPS_ALLOWED} updates in a row had a loss or gradient that was not finite, \
                     the last at update {} over {} examples; lower the learning rate. \
                     The last checkpoint is in {}",
                    at.step,
                    batch.examples.len(),
                    job.folder.display()
                );
            }
        } else {
            skipped_in_a_row = 0;
        }
        at.step += 1;
        spend(
            &mut at.budget,
            &batch,
            source.take_generated(),
            job.learner.decoder,
        );
        at.budget.optimizer_steps = at.step;
        at.budget.seconds += started.elapsed().as_secs_f64();
        let tokens = at.budget.trained_tokens + at.budget.generated_tokens;
        let seconds = at.budget.seconds;
        metrics.insert("skipped_updates".to_owned(), at.skipped as f64);
        metrics.insert("num_tokens".to_owned(), tokens as f64);
        metrics.insert("step_time".to_owned(), started.elapsed().as_secs_f64());
        metrics.insert("seconds".to_owned(), seconds);
        job.progress.set_position(at.step);
        job.progress
            .set_message(format!("{:.0} tok/s", tokens as f64 / seconds.max(1e-9)));
        let last = at.step == job.learner.training.steps;
        if last
            || at
                .step
                .is_multiple_of(job.learner.training.validation_steps)
        {
            metrics.extend(source.validate()?);
        }
        log.write(at.step, &metrics)?;
        let asked_to_stop = job.stop.load(Ordering::SeqCst) && !last;
        if asked_to_stop || at.step.is_multiple_of(job.learner.training.save_steps) {
            checkpoint::save(job.folder, &at, weights, &optimizer)?;
        }
        if asked_to_stop {
            return Ok(Ending::Interrupted);
        }
    }
    Ok(Ending::Finished(at.budget))
}

/// Adds one update to the budget.
///
/// Operations of dense products: 2 for each parameter and token forward, twice
/// that backward; half of it where the weights are frozen and only their
/// input's gradient is needed.
fn spend(budget: &mut Budget, batch: &Batch, generated: (u64, u64), decoder: &Decoder) {
    let parameters = decoder.weights().count();
    let trained_cost = if decoder.adapter().is_some() {
        4.0
    } else {
        6.0
    };
    let (mut read, mut trained) = (0u64, 0u64);
    for example in &batch.examples {
        read += (example.prompt.len() + example.completion.len()) as u64;
        trained += example.completion.len() as u64;
    }
    let (sampled, prefilled) = generated;
    budget.trained_tokens += trained;
    budget.generated_tokens += sampled;
    budget.flops +=
        parameters as f64 * (trained_cost * read as f64 + 2.0 * (sampled + prefilled) as f64);
}
