//! Where mimicry and mastery differ, and nothing else: how a batch is
//! collected, and what its loss is.
//!
//! An [`Algorithm`] never sees a model, an optimizer or a file. It asks a
//! [`Lab`] for demonstrations or rollouts, says how strongly each token shall
//! be pushed, and turns log-probabilities into a loss. Forward pass, optimizer,
//! schedule, clipping, checkpoints and evaluation are the lab's and the same
//! for every arm; that is the fairness argument of the comparison.
//!
//! Axes in tensor names: `B` rows of a micro-batch, `T` time, `V` vocabulary,
//! `N` the trained tokens of a micro-batch laid end to end. Only tokens that
//! are trained are ever in an `N` tensor, so there is no masked position that
//! could turn into a NaN.

mod batch;
mod grpo;
mod lab;
mod sft;

pub use batch::{Batch, Collected, Example, TokenBatch};
pub use grpo::{AdvantageScale, Grpo, group_advantages};
pub use lab::{Demonstration, Lab, LabError, Prompt, Rollout};
pub use sft::Sft;

use std::collections::BTreeMap;

use tch::Tensor;

/// A way to train: what to train on, and towards what.
pub trait Algorithm: Send {
    /// Name as in a definition (`sft`, `grpo`).
    fn name(&self) -> &'static str;

    /// Gathers what the next optimizer updates train on, one [`Batch`] an
    /// update. `step` counts optimizer updates from 0 and keys every draw, so
    /// that a resumed run collects what an uninterrupted one would have.
    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError>;

    /// The loss of one micro-batch, a scalar that carries gradient, and what
    /// is worth logging about it.
    ///
    /// `normaliser` belongs to the whole optimizer update: the losses of its
    /// micro-batches add up to the loss of the batch, however it is cut.
    fn loss(&self, tokens: &TokenBatch, normaliser: f64) -> (Tensor, Metrics);
}

/// Sums for logging, by metric name: the trainer adds them over micro-batches.
pub type Metrics = BTreeMap<String, f64>;
