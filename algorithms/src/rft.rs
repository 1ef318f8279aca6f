//! Rejection sampling fine-tuning: between mimicry and mastery, imitating one's
//! own samples that were worth it.
//!
//! Source: Yuan et al. 2023 (arXiv 2308.01825), on-policy: samples are drawn
//! anew in every rollout phase. The loss is that of `sft`. Departures: the
//! policy samples, not the base; samples that are alike are all kept, so that a
//! problem counts by how often it is solved, unless `best_only` keeps one.
//! Completions that the token cap cut off are never imitated.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::policy_loss::LossError;
use crate::rollouts::{Group, Plan};
use crate::sft::negative_log_likelihood;
use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, Rollout, TokenBatch};

/// Settings of `rft`.
///
/// Worked example: rewards 1 for a correct answer and 0.1 for its format want
/// `reward_above = 0.5`, or answers in form alone are imitated too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rft {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the problems.
    pub steps_per_generation: usize,
    /// How often a rollout phase is gone through before the next.
    pub num_iterations: usize,
    /// Completions of a higher reward than this are imitated.
    pub reward_above: f64,
    /// Whether only the best of them is, the first where several are best.
    pub best_only: bool,
}

impl Default for Rft {
    fn default() -> Self {
        Self {
            prompts_per_generation: 8,
            num_generations: 8,
            steps_per_generation: 1,
            num_iterations: 1,
            reward_above: 0.0,
            best_only: false,
        }
    }
}

impl Rft {
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
        if self.best_only && self.num_generations < 2 {
            return Err(format!(
                "best_only = true with num_generations = {}: the best is chosen from at least 2 completions",
                self.num_generations
            ));
        }
        if self.reward_above.is_nan() {
            return Err("reward_above = nan: it is compared with rewards".to_owned());
        }
        Ok(())
    }

    /// The rollouts of a group that are imitated.
    fn chosen<'a>(&self, group: &'a Group) -> Vec<&'a Rollout> {
        let mut chosen: Vec<(&Rollout, f64)> = group
            .rollouts
            .iter()
            .filter(|rollout| !rollout.truncated && !rollout.completion.is_empty())
            .filter_map(|rollout| Some((rollout, rollout.reward?)))
            .filter(|(_, reward)| *reward > self.reward_above)
            .collect();
        if self.best_only {
            // Stable, so of equals the first stays first.
            chosen.sort_by(|(_, left), (_, right)| right.total_cmp(left));
            chosen.truncate(1);
        }
        chosen.into_iter().map(|(rollout, _)| rollout).collect()
    }
}

impl Algorithm for Rft {
    fn name(&self) -> &'static str {
        "rft"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let plan = self.plan();
        let (groups, mut metrics) = plan.sample(step, lab, 0)?;
        let mut examples = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            for rollout in self.chosen(group) {
                let example = Example {
                    sampled_logprobs: None,
                    ..group.example(rollout, 1.0)
                };
                examples.push((index * self.num_generations, example));
            }
        }
        let rollouts = groups.len() * self.num_generations;
        metrics.insert(
            "rft/imitated_ratio".to_owned(),
            examples.len() as f64 / rollouts.max(1) as f64,
        );
        let batches = plan.cut(rollouts, examples, |_, tokens| tokens as f64);
        Ok(plan.collected(&batches, metrics))
    }

    fn problems_met(&self, updates: u64) -> u64 {
        self.plan().problems_met(updates)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let loss = negative_log_likelihood(&tokens.logprobs_N, &tokens.weights_N, batch.normaliser);
        Ok((loss, Metrics::new()))
    }
}

#[cfg(test)]
mod tests;
