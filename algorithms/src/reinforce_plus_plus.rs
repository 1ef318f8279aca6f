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

use crate::advantages::{AdvantageScale, Deviation, group_advantages, some_differ};
use crate::checks::{check_beta, check_epsilon, check_epsilon_high};
use crate::lab::scores;
use crate::policy_loss::{ImportanceSamplingLevel, KlEstimator, LossError, LossType, Objective};
use crate::rollouts::{
    OldLogprobs, Plan, divergences, forget_old_logprobs, recompute_old_logprobs, rewards_of,
};
use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, Scorer, TokenBatch};

/// The smallest deviation advantages are divided by.
const SMALLEST_DEVIATION: f64 = 1e-4;

/// What a reward is taken against before all are normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// Nothing: one completion a problem is enough.
    None,
    /// The mean of the problem's completions.
    Group,
}

/// Settings of `reinforce++`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReinforcePlusPlus {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the problems.
    pub steps_per_generation: usize,
    /// How often a rollout phase is gone through before the next.
    pub num_iterations: usize,
    /// Whether completions that the token cap cut off are left out of the loss.
    pub mask_truncated_completions: bool,
    /// What the importance ratio and the divergence are taken from.
    pub old_logprobs: OldLogprobs,
    /// What a reward is taken against.
    pub baseline: Baseline,
    /// Lower and upper clip range of the importance ratio.
    pub epsilon: f64,
    /// Upper clip range, where it differs from `epsilon`.
    pub epsilon_high: Option<f64>,
    /// Weight of the divergence from the reference; 0 needs none.
    pub beta: f64,
}

impl Default for ReinforcePlusPlus {
    fn default() -> Self {
        Self {
            prompts_per_generation: 64,
            num_generations: 1,
            steps_per_generation: 1,
            num_iterations: 1,
            mask_truncated_completions: false,
            old_logprobs: OldLogprobs::Recomputed,
            baseline: Baseline::None,
            epsilon: 0.2,
            epsilon_high: None,
            beta: 0.01,
        }
    }
}

impl ReinforcePlusPlus {
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
        self.plan().check()?;
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

    /// What each rollout is worth before all are normalised.
    fn outcomes(&self, rewards: &[Option<f64>]) -> Vec<f64> {
        match self.baseline {
            Baseline::None => rewards.iter().map(|reward| reward.unwrap_or(0.0)).collect(),
            Baseline::Group => {
                let unscaled = Deviation {
                    ddof: 1,
                    epsilon: 0.0,
                };
                group_advantages(
                    rewards,
                    self.num_generations,
                    AdvantageScale::None,
                    unscaled,
                )
            }
        }
    }
}

/// What is still to come at each token: the outcome less the penalties from
/// there on.
///
/// Worked example: outcome 1, penalties `[0.1, 0.2]`: `[0.7, 0.8]`.
fn returns(outcome: f64, penalties: &[f64]) -> Vec<f64> {
    let mut returns: Vec<f64> = penalties
        .iter()
        .rev()
        .scan(outcome, |to_come, penalty| {
            *to_come -= penalty;
            Some(*to_come)
        })
        .collect();
    returns.reverse();
    returns
}

/// Brings all tokens' returns to mean 0 and deviation 1; returns that are all
/// alike become 0.
fn whiten(returns: &mut [Vec<f64>]) {
    let all: Vec<f64> = returns.iter().flatten().copied().collect();
    let count = all.len().max(1) as f64;
    let mean = all.iter().sum::<f64>() / count;
    let variance = all.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let divisor = variance.sqrt().max(SMALLEST_DEVIATION);
    let differ = some_differ(&all);
    for value in returns.iter_mut().flatten() {
        *value = if differ {
            (*value - mean) / divisor
        } else {
            0.0
        };
    }
}

impl Algorithm for ReinforcePlusPlus {
    fn name(&self) -> &'static str {
        "reinforce++"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let plan = self.plan();
        let (groups, mut metrics) = plan.sample(step, lab, 0)?;
        let rewards = rewards_of(&groups);
        let outcomes = self.outcomes(&rewards);
        let (places, mut examples): (Vec<usize>, Vec<Example>) =
            Plan::examples(&groups, self.mask_truncated_completions)
                .into_iter()
                .filter(|(place, _)| rewards.get(*place).copied().flatten().is_some())
                .unzip();
        let penalises = self.beta != 0.0 && self.baseline == Baseline::None;
        let recomputed = self.old_logprobs == OldLogprobs::Recomputed;
        if recomputed && (penalises || !plan.is_on_policy()) {
            recompute_old_logprobs(&mut examples, lab)?;
        }
        let penalties: Vec<Vec<f64>> = if penalises {
            divergences(&examples, lab, Scorer::Reference, ("kl", &mut metrics))?
                .into_iter()
                .map(|row| row.into_iter().map(|d| d * self.beta).collect())
                .collect()
        } else {
            let none = |example: &Example| vec![0.0; example.completion.len()];
            examples.iter().map(none).collect()
        };
        if recomputed && plan.is_on_policy() {
            forget_old_logprobs(&mut examples);
        }
        let mut returns: Vec<Vec<f64>> = places
            .iter()
            .zip(&penalties)
            .map(|(&place, penalties)| {
                returns(outcomes.get(place).copied().unwrap_or(0.0), penalties)
            })
            .collect();
        whiten(&mut returns);
        for (example, returns) in examples.iter_mut().zip(returns) {
            example.weights = returns.into_iter().map(|value| value as f32).collect();
        }
        if self.beta != 0.0 && !penalises && !examples.is_empty() {
            let scores = scores(lab, Scorer::Reference, &examples)?;
            for (example, scores) in examples.iter_mut().zip(scores) {
                example.reference_logprobs = Some(scores.logprobs);
            }
        }
        let examples = places.into_iter().zip(examples).collect();
        let batches = plan.cut(rewards.len(), examples, |_, tokens| tokens as f64);
        Ok(plan.collected(&batches, metrics))
    }

    fn problems_met(&self, updates: u64) -> u64 {
        self.plan().problems_met(updates)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let objective = Objective {
            loss_type: LossType::Dapo,
            importance_sampling_level: ImportanceSamplingLevel::Token,
            epsilon: self.epsilon,
            epsilon_high: self.epsilon_high.unwrap_or(self.epsilon),
            delta: None,
            sapo_temperature_pos: 1.0,
            sapo_temperature_neg: 1.0,
            beta: match self.baseline {
                Baseline::None => 0.0,
                Baseline::Group => self.beta,
            },
            kl_estimator: KlEstimator::K2,
            use_bias_correction_kl: false,
        };
        objective.loss(tokens, batch.normaliser, batch.tokens as f64)
    }

    fn needs_reference(&self) -> bool {
        self.beta != 0.0
    }
}

#[cfg(test)]
mod tests;
