//! REINFORCE with a leave-one-out baseline.
//!
//! Source: Ahmadian et al. 2024 (arXiv 2402.14740), with the settings, defaults
//! and numbers of TRL 1.16: a completion is one action, whose ratio is the
//! product of its tokens' ratios; its baseline is the mean reward of the
//! others of its group; the divergence from the reference, summed over the
//! completion, is taken from the reward and is in no loss.
//!
//! Departures from TRL: the advantages are normalised over the rollout phase;
//! clip shares are of tokens; there is no synchronised reference.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::advantages::{Deviation, leave_one_out_advantages, normalised};
use crate::batch::total;
use crate::checks::{check_advantage_epsilon, check_beta, check_epsilon, check_epsilon_high};
use crate::policy_loss::{LossError, clip_metrics, clipped_gain_N};
use crate::rollouts::{
    OldLogprobs, Plan, divergences, forget_old_logprobs, recompute_old_logprobs, rewards_of,
    tell_advantages,
};
use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, Scorer, TokenBatch};

/// Settings of `rloo`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rloo {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the groups.
    pub steps_per_generation: usize,
    /// How often a rollout phase is gone through before the next.
    pub num_iterations: usize,
    /// Whether completions that the token cap cut off are left out of the loss.
    pub mask_truncated_completions: bool,
    /// What the importance ratio and the divergence are taken from.
    pub old_logprobs: OldLogprobs,
    /// Lower and upper clip range of the importance ratio.
    pub epsilon: f64,
    /// Upper clip range, where it differs from `epsilon`.
    pub epsilon_high: Option<f64>,
    /// What a nat of divergence from the reference costs in reward; 0 needs no reference.
    pub beta: f64,
    /// Lowest and highest reward; what lies beyond is brought back.
    pub reward_clip_range: Option<[f64; 2]>,
    /// Whether advantages are brought to mean 0 and deviation 1.
    pub normalize_advantages: bool,
    /// Added to that deviation.
    pub advantage_epsilon: f64,
}

impl Default for Rloo {
    fn default() -> Self {
        Self {
            prompts_per_generation: 8,
            num_generations: 2,
            steps_per_generation: 1,
            num_iterations: 1,
            mask_truncated_completions: false,
            old_logprobs: OldLogprobs::Recomputed,
            epsilon: 0.2,
            epsilon_high: None,
            beta: 0.05,
            reward_clip_range: None,
            normalize_advantages: false,
            advantage_epsilon: 1e-4,
        }
    }
}

impl Rloo {
    fn plan(&self) -> Plan {
        Plan {
            prompts: self.prompts_per_generation,
            group: self.num_generations,
            updates: self.steps_per_generation,
            iterations: self.num_iterations,
        }
    }

    /// What contradicts itself in the settings, as one sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.num_generations < 2 {
            return Err(format!(
                "num_generations = {}: leaving one out needs at least 2 completions",
                self.num_generations
            ));
        }
        self.plan().check()?;
        check_epsilon(self.epsilon)?;
        self.epsilon_high.map_or(Ok(()), check_epsilon_high)?;
        check_beta(self.beta)?;
        if let Some([low, high]) = self.reward_clip_range
            && low.partial_cmp(&high) != Some(Ordering::Less)
        {
            return Err(format!(
                "reward_clip_range = [{low}, {high}]: the lower bound comes first"
            ));
        }
        check_advantage_epsilon(self.advantage_epsilon)
    }

    /// One advantage a rollout. `penalties` are taken from the rewards.
    fn advantages(&self, rewards: &[Option<f64>], penalties: &[f64]) -> Vec<f64> {
        let rewards: Vec<Option<f64>> = rewards
            .iter()
            .zip(penalties)
            .map(|(reward, penalty)| {
                let reward = (*reward)?;
                let clipped = match self.reward_clip_range {
                    Some([low, high]) => reward.max(low).min(high),
                    None => reward,
                };
                Some(clipped - penalty)
            })
            .collect();
        let advantages = leave_one_out_advantages(&rewards, self.num_generations);
        if !self.normalize_advantages {
            return advantages;
        }
        let known: Vec<Option<f64>> = advantages
            .iter()
            .zip(&rewards)
            .map(|(advantage, reward)| reward.map(|_| *advantage))
            .collect();
        normalised(
            &known,
            Deviation {
                ddof: 1,
                epsilon: self.advantage_epsilon,
            },
        )
    }
}

impl Algorithm for Rloo {
    fn name(&self) -> &'static str {
        "rloo"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let plan = self.plan();
        let (groups, mut metrics) = plan.sample(step, lab, 0)?;
        let rewards = rewards_of(&groups);
        let (places, mut examples): (Vec<usize>, Vec<Example>) =
            Plan::examples(&groups, self.mask_truncated_completions)
                .into_iter()
                .unzip();
        let recomputed = self.old_logprobs == OldLogprobs::Recomputed;
        if recomputed && (self.beta != 0.0 || !plan.is_on_policy()) {
            recompute_old_logprobs(&mut examples, lab)?;
        }
        let mut penalties = vec![0.0; rewards.len()];
        if self.beta != 0.0 {
            let divergences = divergences(&examples, lab, Scorer::Reference, ("kl", &mut metrics))?;
            for (&place, divergences) in places.iter().zip(divergences) {
                if let Some(penalty) = penalties.get_mut(place) {
                    *penalty = self.beta * divergences.iter().sum::<f64>();
                }
            }
        }
        if recomputed && plan.is_on_policy() {
            forget_old_logprobs(&mut examples);
        }
        let advantages = self.advantages(&rewards, &penalties);
        tell_advantages(&groups, &advantages, lab);
        for (&place, example) in places.iter().zip(&mut examples) {
            let advantage = advantages.get(place).copied().unwrap_or(0.0);
            example.weights.fill(advantage as f32);
        }
        let examples = places.into_iter().zip(examples).collect();
        let batches = plan.cut(rewards.len(), examples, |rows, _| rows as f64);
        Ok(plan.collected(&batches, metrics))
    }

    fn problems_met(&self, updates: u64) -> u64 {
        self.plan().problems_met(updates)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let (low, high) = (
            1.0 - self.epsilon,
            1.0 + self.epsilon_high.unwrap_or(self.epsilon),
        );
        let rows = tokens.rows();
        let log_ratio_N = &tokens.logprobs_N - tokens.old_logprobs_N();
        let ratio_N = rows
            .spread_N(&rows.sums_B(&log_ratio_N))
            .masked_fill(&tokens.weights_N.eq(0.0), 0.0)
            .exp();
        let gain_N = clipped_gain_N(&ratio_N, &tokens.weights_N, low, high, None);
        // The tokens of a completion gain alike, so their mean is the completion's gain.
        let loss = -total(&rows.means_B(&gain_N)) / batch.normaliser;
        // A completion is one action, so shares are of completions.
        let share = |mask_N: &Tensor| rows.means_B(mask_N).sum(Kind::Double) / batch.normaliser;
        let metrics = clip_metrics(&ratio_N, &tokens.weights_N, (low, high), &rows, share);
        Ok((loss, metrics))
    }

    fn needs_reference(&self) -> bool {
        self.beta != 0.0
    }
}

#[cfg(test)]
mod tests;
