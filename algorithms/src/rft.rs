//! Rejection sampling fine-tuning: between mimicry and mastery, imitating one's
//! own samples that were worth it.
//!
//! Source: Yuan et al. 2023 (arXiv 2308.01825), on-policy: samples are drawn
//! anew in every rollout phase. The loss is that of `sft`. Departures: the
//! policy samples, not the base; samples that are alike are all kept, so that a
//! problem counts by how often it is solved, unless `best_only` keeps one.
//! Completions that the token cap cut off are never imitated.

use tch::Tensor;

use crate::phase::{Group, OldLogprobs, Phase};
use crate::policy_loss::LossError;
use crate::reinforcement::{Counts, Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::sft::negative_log_likelihood;
use crate::{Batch, LabError, Metrics, TokenBatch};

settings! {
    /// Settings of `rft`.
    ///
    /// Worked example: rewards 1 for a correct answer and 0.1 for its format want
    /// `reward_above = 0.5`, or answers in form alone are imitated too.
    Rft samples (8, 8) {
        /// Completions of a higher reward than this are imitated.
        reward_above: f64 = 0.0,
        /// Whether only the best of them is, the first where several are best.
        best_only: bool = false,
    }
}

impl Rft {
    /// Which rollouts of a group are imitated.
    fn chosen(&self, group: &Group) -> Vec<bool> {
        let chosen = group.rollouts.iter().map(|rollout| {
            let whole = !rollout.truncated && !rollout.completion.is_empty();
            let reward = rollout.reward.filter(|_| whole)?;
            (reward > self.reward_above).then_some(reward)
        });
        let chosen: Vec<Option<f64>> = chosen.collect();
        let best = chosen.iter().flatten().copied().reduce(f64::max);
        let first = chosen.iter().position(|reward| *reward == best);
        let keeps = |(place, reward): (usize, &Option<f64>)| {
            reward.is_some() && (!self.best_only || Some(place) == first)
        };
        chosen.iter().enumerate().map(keeps).collect()
    }
}

impl Reinforcement for Rft {
    fn title(&self) -> &'static str {
        "rft"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.sizes().check()?;
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

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        None
    }

    fn credit(
        &self,
        groups: &[Group],
        samples: &[Sample],
        metrics: &mut Metrics,
    ) -> Result<Credit, LabError> {
        let chosen: Vec<bool> = groups.iter().flat_map(|group| self.chosen(group)).collect();
        let imitated = chosen.iter().filter(|&&chosen| chosen).count();
        metrics.insert(
            "rft/imitated_ratio".to_owned(),
            imitated as f64 / chosen.len().max(1) as f64,
        );
        let weights = |sample: &Sample| {
            let chosen = chosen.get(sample.place).is_some_and(|&chosen| chosen);
            vec![f64::from(u8::from(chosen)); sample.example.completion.len()]
        };
        Ok(Credit::Tokens(samples.iter().map(weights).collect()))
    }

    fn normaliser(&self, counts: Counts) -> Result<f64, LabError> {
        Ok(counts.weighed as f64)
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        let loss = negative_log_likelihood(&tokens.logprobs_N, &tokens.weights_N, batch.normaliser);
        Ok((loss, Metrics::new()))
    }
}

#[cfg(test)]
mod tests;
