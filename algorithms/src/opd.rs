//! On-policy distillation: between mimicry and mastery, one's own samples
//! judged by a teacher, token by token.
//!
//! What is minimised is the reverse divergence from the teacher where the
//! student itself goes, `KL(student || teacher)`. Its estimate at a sampled
//! token is `log p_student - log p_teacher` of that token; minus that is the
//! token's advantage, and the loss is minus the mean over the update's tokens of
//! advantage times importance ratio, the ratio taken against the sampler. The
//! expectation of its gradient is that of each token's divergence given what
//! came before; a token is not charged for what follows it (a discount of 0).
//! No reward takes part; where the arm has some, they are metrics.
//!
//! Source: Thinking Machines Lab 2025, "On-Policy Distillation", with the
//! estimator and the loss of their tinker-cookbook. The objective is that of
//! GKD with samples of the student alone and the reverse divergence (Agarwal et
//! al. 2024, arXiv 2306.13649), which sums over the vocabulary instead, and the
//! single-step part of `MiniLLM` (Gu et al. 2024, arXiv 2306.08543), which adds
//! what follows. Departures: the mean over tokens, where theirs is a sum, so
//! that the learning rate does not depend on the length.
//!
//! Both sides are read at the temperature of sampling, and both read the
//! student's own tokens: the teacher has to have the student's vocabulary.
//! A completion that the token cap cut off is judged like any other.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::batch::total;
use crate::policy_loss::LossError;
use crate::rollouts::{Plan, divergences};
use crate::{Algorithm, Batch, Collected, Lab, LabError, Metrics, Scorer, TokenBatch};

/// Settings of `opd`.
///
/// Worked example: the default samples 8 problems 4 times and makes one update
/// of the 32 completions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Opd {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the problems.
    pub steps_per_generation: usize,
    /// How often a rollout phase is gone through before the next.
    pub num_iterations: usize,
}

impl Default for Opd {
    fn default() -> Self {
        Self {
            prompts_per_generation: 8,
            num_generations: 4,
            steps_per_generation: 1,
            num_iterations: 1,
        }
    }
}

impl Opd {
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
        self.plan().check()
    }
}

impl Algorithm for Opd {
    fn name(&self) -> &'static str {
        "opd"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let plan = self.plan();
        let (groups, mut metrics) = plan.sample(step, lab, 0)?;
        let (places, mut examples): (Vec<_>, Vec<_>) =
            Plan::examples(&groups, false).into_iter().unzip();
        let named = ("opd/reverse_kl", &mut metrics);
        let divergences = divergences(&examples, lab, Scorer::Teacher, named)?;
        for (example, divergences) in examples.iter_mut().zip(divergences) {
            example.weights = divergences.into_iter().map(|d| -d as f32).collect();
        }
        let rollouts = groups.len() * self.num_generations;
        let examples = places.into_iter().zip(examples).collect();
        let batches = plan.cut(rollouts, examples, |_, tokens| tokens as f64);
        Ok(plan.collected(&batches, metrics))
    }

    fn problems_met(&self, updates: u64) -> u64 {
        self.plan().problems_met(updates)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let weights_N = &tokens.weights_N;
        // Replaced before it is made: it may be infinite where nothing is pushed.
        let log_ratio_N =
            (&tokens.logprobs_N - tokens.old_logprobs_N()).masked_fill(&weights_N.eq(0.0), 0.0);
        let loss = -total(&(log_ratio_N.exp() * weights_N)) / batch.normaliser;
        Ok((loss, Metrics::new()))
    }

    fn needs_teacher(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
