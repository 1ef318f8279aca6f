//! REINFORCE with a leave-one-out baseline.
//!
//! Source: Ahmadian et al. 2024 (arXiv 2402.14740), with the settings, defaults
//! and numbers of TRL 1.16: a completion is one action, whose ratio is the
//! product of its tokens' ratios; its baseline is the mean reward of the
//! others of its group; the divergence from the reference, summed over the
//! completion, is taken from the reward and is in no loss.
//!
//! Departures from TRL: advantages are normalised over the phase; no synchronised reference.

use tch::Tensor;

use crate::advantages::{Deviation, leave_one_out_advantages, normalised};
use crate::checks::{
    check_advantage_epsilon, check_beta, check_epsilon, check_epsilon_high, check_reward_range,
};
use crate::phase::{Group, OldLogprobs, Phase, rewards_of};
use crate::policy_loss::{Average, LossError, Objective, Ratio};
use crate::reinforcement::{Counts, Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Batch, LabError, Metrics, Rollout, Scorer, TokenBatch};

settings! {
    /// Settings of `rloo`.
    Rloo samples (8, 2) {
        /// Whether completions that the token cap cut off are left out of the loss.
        mask_truncated_completions: bool = false,
        /// What the importance ratio and the divergence are taken from.
        old_logprobs: OldLogprobs = OldLogprobs::Recomputed,
        /// Lower and upper clip range of the importance ratio.
        epsilon: f64 = 0.2,
        /// Upper clip range, where it differs from `epsilon`.
        epsilon_high: Option<f64> = None,
        /// What a nat of divergence from the reference costs in reward; 0 needs no reference.
        beta: f64 = 0.05,
        /// Lowest and highest reward; what lies beyond is brought back.
        reward_clip_range: Option<[f64; 2]> = None,
        /// Whether advantages are brought to mean 0 and deviation 1.
        normalize_advantages: bool = false,
        /// Added to that deviation.
        advantage_epsilon: f64 = 1e-4,
    }
}

impl Rloo {
    /// One advantage a rollout; each reward pays for its divergence.
    fn advantages(&self, rewards: &[Option<f64>], divergences: &[f64]) -> Vec<f64> {
        let [low, high] = self
            .reward_clip_range
            .unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
        let net: Vec<Option<f64>> = rewards
            .iter()
            .zip(divergences)
            .map(|(reward, apart)| Some(reward.as_ref()?.max(low).min(high) - self.beta * apart))
            .collect();
        let advantages = leave_one_out_advantages(&net, self.num_generations);
        if !self.normalize_advantages {
            return advantages;
        }
        let known: Vec<Option<f64>> = advantages
            .iter()
            .zip(&net)
            .map(|(advantage, reward)| reward.map(|_| *advantage))
            .collect();
        let deviation = Deviation {
            ddof: 1,
            epsilon: self.advantage_epsilon,
        };
        normalised(&known, deviation)
    }
}

impl Reinforcement for Rloo {
    fn title(&self) -> &'static str {
        "rloo"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        if self.num_generations < 2 {
            return Err(format!(
                "num_generations = {}: leaving one out needs at least 2 completions",
                self.num_generations
            ));
        }
        self.sizes().check()?;
        check_epsilon(self.epsilon)?;
        self.epsilon_high.map_or(Ok(()), check_epsilon_high)?;
        check_beta(self.beta)?;
        self.reward_clip_range.map_or(Ok(()), check_reward_range)?;
        check_advantage_epsilon(self.advantage_epsilon)
    }

    fn takes_part(&self, rollout: &Rollout) -> bool {
        !(self.mask_truncated_completions && rollout.truncated)
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        Some(self.old_logprobs)
    }

    fn judge(&self) -> Option<(Scorer, &'static str)> {
        (self.beta != 0.0).then_some((Scorer::Reference, "kl"))
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
        let mut divergences = vec![0.0; rewards.len()];
        for sample in samples {
            if let Some(divergence) = divergences.get_mut(sample.place) {
                *divergence = sample.divergences.iter().sum();
            }
        }
        Ok(Credit::Rollouts(self.advantages(&rewards, &divergences)))
    }

    fn normaliser(&self, counts: Counts) -> Result<f64, LabError> {
        Ok(counts.rollouts as f64)
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        let objective = Objective {
            ratio: Ratio::Product,
            // The tokens of a completion gain alike, so their mean is the completion's gain.
            average: Average::Completions,
            ..Objective::clip(self.epsilon, self.epsilon_high)
        };
        objective.loss(tokens, batch)
    }
}

#[cfg(test)]
mod tests;
