//! Group relative policy optimization: mastery.
//!
//! Source: Shao et al. 2024 (arXiv 2402.03300), with the token-level
//! normalisation of DAPO (Yu et al. 2025, arXiv 2503.14476), which is TRL's
//! default. Departures from the paper: no KL term and no reference model
//! (TRL's default, `beta = 0`); the importance ratio's denominator is the
//! sampler's own log-probability; groups whose rewards are all equal are not
//! sent through the model at all, though their tokens stay in the normaliser.
//!
//! On-policy the ratio is 1 and advantages sum to zero within a group, so the
//! loss sits near 0 by construction. Its gradient does not.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, Rollout, TokenBatch};

/// What the centred rewards of a group are divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AdvantageScale {
    /// The group's standard deviation (ddof 1).
    Group,
    /// The standard deviation over all groups of the rollout (ddof 1).
    Batch,
    /// Nothing (Dr. GRPO).
    None,
}

/// Settings of `grpo`; names and defaults follow TRL where it has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpo {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the groups.
    pub steps_per_generation: usize,
    /// Lower and upper clip range of the importance ratio.
    pub epsilon: f64,
    /// Upper clip range, where it differs from `epsilon`.
    pub epsilon_high: Option<f64>,
    /// Scale of the advantages.
    pub scale_rewards: AdvantageScale,
    /// Added to the standard deviation. TRL adds 1e-4; small models with few
    /// reward levels want more, or a single odd sample dominates its group.
    pub advantage_epsilon: f64,
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            prompts_per_generation: 8,
            num_generations: 8,
            steps_per_generation: 1,
            epsilon: 0.2,
            epsilon_high: None,
            scale_rewards: AdvantageScale::Group,
            advantage_epsilon: 1e-4,
        }
    }
}

impl Grpo {
    /// What contradicts itself in the settings, as one sentence.
    pub fn check(&self) -> Result<(), String> {
        if self.num_generations < 2 {
            return Err(format!(
                "num_generations = {}: a group needs at least 2 completions to have an advantage",
                self.num_generations
            ));
        }
        if self.steps_per_generation == 0
            || self.prompts_per_generation == 0
            || !self
                .prompts_per_generation
                .is_multiple_of(self.steps_per_generation)
        {
            return Err(format!(
                "prompts_per_generation = {} does not divide into steps_per_generation = {} equal parts",
                self.prompts_per_generation, self.steps_per_generation
            ));
        }
        if !(self.epsilon > 0.0 && self.epsilon < 1.0) {
            return Err(format!(
                "epsilon = {}: the clip range lies between 0 and 1",
                self.epsilon
            ));
        }
        if self.advantage_epsilon < 0.0 {
            return Err(format!(
                "advantage_epsilon = {}: it is added to a standard deviation and cannot be negative",
                self.advantage_epsilon
            ));
        }
        Ok(())
    }
}

/// Advantages of groups of `group` rewards: each reward minus its group's mean,
/// divided as `scale` says. A reward of `None` takes no part and gets 0.
///
/// Worked example: rewards `[1, 0, 0, 1]`, one group, scale `None`:
/// `[0.5, -0.5, -0.5, 0.5]`.
pub fn group_advantages(
    rewards: &[Option<f64>],
    group: usize,
    scale: AdvantageScale,
    epsilon: f64,
) -> Vec<f64> {
    let known: Vec<f64> = rewards.iter().copied().flatten().collect();
    let over_batch = standard_deviation(&known);
    rewards
        .chunks(group)
        .flat_map(|chunk| {
            let known: Vec<f64> = chunk.iter().copied().flatten().collect();
            let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
            let divisor = match scale {
                AdvantageScale::Group => standard_deviation(&known) + epsilon,
                AdvantageScale::Batch => over_batch + epsilon,
                AdvantageScale::None => 1.0,
            };
            let some_differ = known.iter().any(|reward| (reward - known[0]).abs() > 0.0);
            chunk
                .iter()
                .map(move |reward| match reward {
                    Some(reward) if some_differ => (reward - mean) / divisor,
                    _ => 0.0,
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Standard deviation with ddof 1; 0 for fewer than two values.
fn standard_deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

impl Algorithm for Grpo {
    fn name(&self) -> &'static str {
        "grpo"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let group = self.num_generations;
        let phase = step / self.steps_per_generation as u64;
        let prompts = lab.prompts(phase, self.prompts_per_generation)?;
        let rollouts = lab.rollouts(step, &prompts, group)?;
        let rewards: Vec<Option<f64>> = rollouts.iter().map(|rollout| rollout.reward).collect();
        let advantages =
            group_advantages(&rewards, group, self.scale_rewards, self.advantage_epsilon);
        let metrics = rollout_metrics(&rollouts, &rewards, group);

        let groups_per_update = prompts.len() / self.steps_per_generation;
        let rollouts_per_update = groups_per_update * group;
        let batches = rollouts
            .chunks(rollouts_per_update)
            .zip(advantages.chunks(rollouts_per_update))
            .enumerate()
            .map(|(update, (rollouts, advantages))| {
                let first_prompt = update * groups_per_update;
                let examples = rollouts
                    .iter()
                    .zip(advantages)
                    .enumerate()
                    .filter(|(_, (_, advantage))| **advantage != 0.0)
                    .map(|(i, (rollout, advantage))| Example {
                        prompt: prompts[first_prompt + i / group].tokens.clone(),
                        completion: rollout.completion.clone(),
                        weights: vec![*advantage as f32; rollout.completion.len()],
                        sampled_logprobs: Some(rollout.logprobs.clone()),
                    })
                    .collect();
                Batch {
                    examples,
                    normaliser: rollouts.iter().map(|r| r.completion.len()).sum::<usize>() as f64,
                }
            })
            .collect();
        Ok(Collected { batches, metrics })
    }

    fn loss(&self, tokens: &TokenBatch, normaliser: f64) -> (Tensor, Metrics) {
        let on_policy_N;
        let sampled_N = if let Some(sampled_N) = &tokens.sampled_logprobs_N {
            sampled_N
        } else {
            on_policy_N = tokens.logprobs_N.detach();
            &on_policy_N
        };
        let low = 1.0 - self.epsilon;
        let high = 1.0 + self.epsilon_high.unwrap_or(self.epsilon);
        let ratio_N = (&tokens.logprobs_N - sampled_N).exp();
        let plain_N = &ratio_N * &tokens.weights_N;
        let clipped_N = ratio_N.clamp(low, high) * &tokens.weights_N;
        let loss = -plain_N.minimum(&clipped_N).sum(Kind::Float) / normaliser;

        let low_clipped = ratio_N.lt(low).logical_and(&tokens.weights_N.lt(0.0));
        let high_clipped = ratio_N.gt(high).logical_and(&tokens.weights_N.gt(0.0));
        let share = |mask: &Tensor| mask.sum(Kind::Double).double_value(&[]) / normaliser;
        let metrics = Metrics::from([
            ("clip_ratio/low_mean".to_owned(), share(&low_clipped)),
            ("clip_ratio/high_mean".to_owned(), share(&high_clipped)),
        ]);
        (loss, metrics)
    }
}

/// Metrics of a rollout phase under TRL's names.
fn rollout_metrics(rollouts: &[Rollout], rewards: &[Option<f64>], group: usize) -> Metrics {
    let known: Vec<f64> = rewards.iter().copied().flatten().collect();
    let groups = rewards.chunks(group);
    let group_count = groups.len().max(1) as f64;
    let mut deviations = 0.0;
    let mut alike = 0usize;
    for group in groups {
        let known: Vec<f64> = group.iter().copied().flatten().collect();
        let deviation = standard_deviation(&known);
        deviations += deviation;
        alike += usize::from(deviation == 0.0);
    }
    let lengths = || rollouts.iter().map(|rollout| rollout.completion.len());
    let count = rollouts.len().max(1) as f64;
    let truncated = rollouts.iter().filter(|rollout| rollout.truncated).count();
    let mut metrics = Metrics::from([
        ("reward_std".to_owned(), deviations / group_count),
        (
            "frac_reward_zero_std".to_owned(),
            alike as f64 / group_count,
        ),
        (
            "completions/mean_length".to_owned(),
            lengths().sum::<usize>() as f64 / count,
        ),
        (
            "completions/max_length".to_owned(),
            lengths().max().unwrap_or(0) as f64,
        ),
        (
            "completions/clipped_ratio".to_owned(),
            truncated as f64 / count,
        ),
    ]);
    if !known.is_empty() {
        metrics.insert(
            "reward".to_owned(),
            known.iter().sum::<f64>() / known.len() as f64,
        );
    }
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Demonstration, Prompt};

    /// A lab whose rollouts are given beforehand.
    struct Scripted(Vec<Rollout>);

    impl Lab for Scripted {
        fn prompts(&mut self, _: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
            Ok((0..count as u64)
                .map(|problem| Prompt {
                    problem,
                    tokens: vec![problem as i64],
                })
                .collect())
        }
        fn rollouts(&mut self, _: u64, _: &[Prompt], _: usize) -> Result<Vec<Rollout>, LabError> {
            Ok(self.0.clone())
        }
        fn demonstrations(&mut self, _: u64, _: usize) -> Result<Vec<Demonstration>, LabError> {
            Err(LabError::NoDemonstrations)
        }
    }

    fn rollout(length: usize, reward: f64) -> Rollout {
        Rollout {
            completion: vec![7; length],
            logprobs: vec![-0.5; length],
            truncated: false,
            reward: Some(reward),
        }
    }

    #[test]
    fn advantages_follow_trl() {
        let rewards = [Some(1.0), Some(0.0), Some(0.0), Some(1.0)];
        let scaled = group_advantages(&rewards, 4, AdvantageScale::Group, 1e-4);
        // std with ddof 1 of [1, 0, 0, 1] is sqrt(1/3).
        let expected = 0.5 / ((1.0f64 / 3.0).sqrt() + 1e-4);
        assert!((scaled[0] - expected).abs() < 1e-12 && (scaled[1] + expected).abs() < 1e-12);
        let centred = group_advantages(&rewards, 2, AdvantageScale::None, 1e-4);
        assert_eq!(centred, [0.5, -0.5, -0.5, 0.5]);
    }

    #[test]
    fn an_inapplicable_reward_takes_no_part() {
        let rewards = [Some(1.0), None, Some(0.0)];
        let advantages = group_advantages(&rewards, 3, AdvantageScale::None, 0.0);
        assert_eq!(advantages, [0.5, 0.0, -0.5]);
        let nothing = group_advantages(&[None, None], 2, AdvantageScale::Group, 1e-4);
        assert_eq!(nothing, [0.0, 0.0]);
    }

    #[test]
    fn a_group_without_advantage_is_not_trained_but_counted() {
        let grpo = Grpo {
            prompts_per_generation: 2,
            num_generations: 2,
            ..Grpo::default()
        };
        let mut lab = Scripted(vec![
            rollout(3, 1.0),
            rollout(5, 1.0),
            rollout(2, 0.0),
            rollout(4, 1.0),
        ]);
        let collected = grpo.collect(0, &mut lab).unwrap();
        assert_eq!(collected.batches.len(), 1);
        assert_eq!(collected.batches[0].examples.len(), 2);
        assert_eq!(collected.batches[0].examples[0].prompt, [1]);
        assert!((collected.batches[0].normaliser - 14.0).abs() < 1e-12);
        assert!((collected.metrics["frac_reward_zero_std"] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn one_rollout_phase_serves_several_updates() {
        let grpo = Grpo {
            prompts_per_generation: 2,
            num_generations: 2,
            steps_per_generation: 2,
            ..Grpo::default()
        };
        let mut lab = Scripted(vec![
            rollout(1, 1.0),
            rollout(1, 0.0),
            rollout(1, 0.0),
            rollout(1, 1.0),
        ]);
        let batches = grpo.collect(0, &mut lab).unwrap().batches;
        assert_eq!(batches.len(), 2);
        assert_eq!(batches[1].examples[0].prompt, [1]);
        assert!(batches[1].examples[0].weights[0] < 0.0);
    }

    #[test]
    fn the_clip_stops_the_gradient_of_a_ratio_out_of_range() {
        let logprobs_N = Tensor::from_slice(&[0.0f32, 0.0]).set_requires_grad(true);
        let tokens = TokenBatch {
            // exp(0 + 0.5) = 1.65 lies above 1.2, exp(0) = 1 within.
            sampled_logprobs_N: Some(Tensor::from_slice(&[-0.5f32, 0.0])),
            weights_N: Tensor::from_slice(&[1.0f32, 1.0]),
            logprobs_N: logprobs_N.shallow_clone(),
        };
        let (loss, metrics) = Grpo::default().loss(&tokens, 2.0);
        assert!((loss.double_value(&[]) + f64::midpoint(1.2, 1.0)).abs() < 1e-6);
        let gradient = Tensor::run_backward(&[loss], &[logprobs_N], false, false);
        assert!(gradient[0].double_value(&[0]).abs() < 1e-9);
        assert!((gradient[0].double_value(&[1]) + 0.5).abs() < 1e-6);
        assert!((metrics["clip_ratio/high_mean"] - 0.5).abs() < 1e-9);
    }

    #[test]
    fn contradictory_settings_are_named() {
        let grpo = Grpo {
            prompts_per_generation: 3,
            steps_per_generation: 2,
            ..Grpo::default()
        };
        assert!(grpo.check().unwrap_err().contains("steps_per_generation"));
    }
}
