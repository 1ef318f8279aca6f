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
//! `N` the trained tokens of a micro-batch laid end to end. Padding is never in
//! an `N` tensor, and a token without weight is replaced before anything is
//! made of it, so there is no masked position that could turn into a NaN.

mod advantages;
mod alternation;
mod batch;
mod checks;
mod chord;
pub mod conformance;
mod correction;
mod divergence;
mod entropy;
mod gkd;
mod grpo;
mod lab;
mod luffy;
mod metrics;
mod mix;
mod opd;
mod phase;
mod policy_loss;
mod reinforce_plus_plus;
mod reinforcement;
mod rft;
mod rloo;
mod sdft;
mod settings;
mod sft;
#[cfg(test)]
mod testing;

pub use advantages::{
    AdvantageScale, Deviation, decoupled_advantages, group_advantages, leave_one_out_advantages,
};
pub use batch::{Batch, Collected, Example, Imitation, TokenBatch};
pub use chord::Chord;
pub use correction::{Correction, CorrectionMode};
pub use divergence::Divergence;
pub use entropy::{AdaptiveEntropy, EntropyBonus, EntropyState};
pub use gkd::Gkd;
pub use grpo::{Grpo, ImportanceSamplingLevel, LossType, MultiObjectiveAggregation};
pub use lab::{Demonstration, Lab, LabError, Prompt, RewardPart, Rollout, Scorer, TokenScores};
pub use luffy::Luffy;
pub use mix::Mix;
pub use opd::Opd;
pub use phase::{OldLogprobs, Phase};
pub use policy_loss::{
    Average, KlEstimator, KlPenalty, LossError, Objective, PolicyLoss, Ratio, TrustDistance, kl_N,
};
pub use reinforce_plus_plus::{Baseline, ReinforcePlusPlus};
pub use rft::Rft;
pub use rloo::Rloo;
pub use sdft::Sdft;
pub use settings::AlgorithmSettings;
pub use sft::{Sft, SftLoss};

use std::collections::BTreeMap;

use tch::Tensor;

/// A way to train: what to train on, and towards what.
pub trait Algorithm: Send {
    /// Name as in a definition (`sft`, `grpo`).
    fn name(&self) -> &'static str;

    /// What contradicts itself in the settings, as one sentence that begins with the key.
    fn check(&self) -> Result<(), String>;

    /// Gathers what the next optimizer updates train on, one [`Batch`] an
    /// update. `step` counts optimizer updates from 0 and keys every draw, so
    /// that a resumed run collects what an uninterrupted one would have.
    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError>;

    /// The loss of one micro-batch of `batch`, a scalar that carries gradient,
    /// and what is worth logging about it.
    ///
    /// Everything it is divided by belongs to the whole optimizer update: the
    /// losses of its micro-batches add up to the loss of the batch, however it
    /// is cut between rows.
    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError>;

    /// The sizes of a rollout phase; `None` where the policy samples nothing.
    fn samples(&self) -> Option<Phase> {
        None
    }

    /// Whether demonstrations are learned from.
    fn imitates(&self) -> bool {
        false
    }

    /// Whether only problems are met of which there are demonstrations.
    fn meets_demonstrated(&self) -> bool {
        false
    }

    /// Whether rewards decide what is learned.
    fn learns_from_reward(&self) -> bool {
        false
    }

    /// Whether the policy is held to a reference model, which the lab then has
    /// to score with.
    fn needs_reference(&self) -> bool {
        false
    }

    /// Whether a teacher judges the policy's own samples token by token, which
    /// the lab then has to score with.
    fn needs_teacher(&self) -> bool {
        false
    }

    /// The divergence over the vocabulary that the loss is made of, so that
    /// [`TokenBatch::divergences_N`] has to be given with gradient.
    fn divergence(&self) -> Option<Divergence> {
        None
    }

    /// What of the entropy is rewarded, so that [`TokenBatch::entropies_N`]
    /// has to be given with gradient.
    fn entropy(&self) -> Option<EntropyBonus> {
        None
    }

    /// How the reference follows the policy; `None` where it stays as it is.
    fn reference_sync(&self) -> Option<ReferenceSync> {
        None
    }

    /// Whether the loss is near 0 by construction as long as every rollout phase serves one
    /// update: ratios of 1 times weights that sum to 0.
    fn loss_is_near_zero(&self) -> bool {
        false
    }

    /// How many problems of the seed's order the first `updates` updates meet, if all of them
    /// sample and nothing is refilled; 0 where they meet demonstrations.
    fn problems_met(&self, updates: u64) -> u64 {
        self.samples()
            .map_or(0, |phase| phase.problems_met(updates))
    }
}

/// How a reference model follows the policy (TR-DPO, arXiv 2404.09656).
///
/// Worked example: `{mixup_alpha: 0.6, steps: 512}`: after updates 512, 1024, …
/// each weight of the reference becomes 0.6 of the policy's and 0.4 of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceSync {
    /// Share of the policy.
    pub mixup_alpha: f64,
    /// Updates between.
    pub steps: u64,
}

/// Numbers for logging, by metric name: the trainer adds them up over
/// micro-batches with [`add_metrics`].
pub type Metrics = BTreeMap<String, f64>;

/// Takes the metrics of one more micro-batch in: their sum, but of a name that
/// ends in `_min` or `_max` the smaller or the larger.
///
/// Worked example: `{loss: 1, x_max: 3}` and `{loss: 2, x_max: 2}` are together
/// `{loss: 3, x_max: 3}`.
pub fn add_metrics(metrics: &mut Metrics, more: Metrics) {
    for (name, value) in more {
        match metrics.get_mut(&name) {
            None => {
                metrics.insert(name, value);
            }
            Some(known) if name.ends_with("_min") => *known = known.min(value),
            Some(known) if name.ends_with("_max") => *known = known.max(value),
            Some(known) => *known += value,
        }
    }
}
