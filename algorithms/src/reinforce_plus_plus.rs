//! REINFORCE++: no groups, no critic; advantages normalised over all tokens of
//! the rollout phase.
//!
//! Source: Hu et al. 2025 (arXiv 2501.03262), and its authors' `OpenRLHF` where
//! the paper leaves a choice. The reward stands at the last token, the
//! divergence from the reference (`k1`) is taken from it token by token, and a
//! token's advantage is what is still to come, without discount, less the mean
//! over all tokens and divided by their standard deviation (ddof 0, at least
//! 1e-4). With `baseline = "group"` (the paper's REINFORCE++-baseline) the
//! reward is taken against its group's mean and the divergence (`k2`) is a term
//! of the loss. The loss is PPO's clip, averaged over the tokens of the update.
//!
//! Departure: a completion to which no reward applied takes no part.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::advantages::{AdvantageScale, Deviation, group_advantages, returns, whiten};
use crate::checks::{check_beta, check_epsilon, check_epsilon_high};
use crate::phase::{Group, OldLogprobs, Phase, rewards_of};
use crate::policy_loss::{KlEstimator, KlPenalty, LossError, Objective};
use crate::reinforcement::{Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Batch, LabError, Metrics, Rollout, Scorer, TokenBatch};

/// What a reward is taken against before all are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// Nothing: one completion a problem is enough.
    None,
    /// The mean of the problem's completions.
    Group,
}

settings! {
    /// Settings of `reinforce++`.
    ReinforcePlusPlus samples (64, 1) {
        /// Whether completions that the token cap cut off are left out of the loss.
        mask_truncated_completions: bool = false,
        /// What the importance ratio and the divergence are taken from.
        old_logprobs: OldLogprobs = OldLogprobs::Recomputed,
        /// What a reward is taken against.
        baseline: Baseline = Baseline::None,
        /// Lower and upper clip range of the importance ratio.
        epsilon: f64 = 0.2,
        /// Upper clip range, where it differs from `epsilon`.
        epsilon_high: Option<f64> = None,
        /// Weight of the divergence from the reference; 0 needs none.
        beta: f64 = 0.01,
    }
}

impl Reinforcement for ReinforcePlusPlus {
    fn title(&self) -> &'static str {
        "reinforce++"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.sizes().check()?;
        if self.baseline == Baseline::Group && self.num_generations < 2 {
            return Err(format!(
                "baseline = \"group\" with num_generations = {}: a reward is then its own mean; at least 2 completions are needed",
                self.num_generations
            ));
        }
        if self.prompts_per_generation * self.num_generations < 2 {
            return Err(
                "prompts_per_generation = 1 with num_generations = 1: advantages are normalised over the phase, which needs at least 2 completions".to_owned(),
            );
        }
        check_epsilon(self.epsilon)?;
        self.epsilon_high.map_or(Ok(()), check_epsilon_high)?;
        check_beta(self.beta)
    }

    fn takes_part(&self, rollout: &Rollout) -> bool {
        rollout.reward.is_some() && !(self.mask_truncated_completions && rollout.truncated)
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        Some(self.old_logprobs)
    }

    fn judge(&self) -> Option<(Scorer, &'static str)> {
        let penalises = self.beta != 0.0 && self.baseline == Baseline::None;
        penalises.then_some((Scorer::Reference, "kl"))
    }

    fn holds_to_reference(&self) -> bool {
        self.beta != 0.0 && self.baseline == Baseline::Group
    }

    fn is_near_zero(&self) -> bool {
        true
    }

    fn credit(
        &self,
        groups: &[Group],
        samples: &[Sample],
        _: &mut Metrics,
    ) -> Result<Credit, LabError> {
        let rewards = rewards_of(groups);
        let outcomes = match self.baseline {
            Baseline::None => rewards.iter().map(|reward| reward.unwrap_or(0.0)).collect(),
            Baseline::Group => {
                let (group, unused) = (self.num_generations, Deviation::UNUSED);
                group_advantages(&rewards, group, AdvantageScale::None, unused)
            }
        };
        let of_sample = |sample: &Sample| {
            let outcome = outcomes.get(sample.place).copied().unwrap_or(0.0);
            let mut penalties: Vec<f64> =
                sample.divergences.iter().map(|d| d * self.beta).collect();
            penalties.resize(sample.example.completion.len(), 0.0);
            returns(outcome, &penalties)
        };
        let mut returns: Vec<Vec<f64>> = samples.iter().map(of_sample).collect();
        whiten(&mut returns);
        Ok(Credit::Tokens(returns))
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        let objective = Objective {
            kl: self.holds_to_reference().then_some(KlPenalty {
                beta: self.beta,
                estimator: KlEstimator::K2,
                bias_corrected: false,
            }),
            ..Objective::clip(self.epsilon, self.epsilon_high)
        };
        objective.loss(tokens, batch)
    }
}

#[cfg(test)]
mod tests;
