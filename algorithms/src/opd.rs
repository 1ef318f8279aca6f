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
//! `gkd` with `lmbda = 1` and `beta = 1`, samples of the student alone and the reverse
//! divergence (Agarwal et al. 2024, arXiv 2306.13649), which sums over the vocabulary
//! where this one samples a token, and the single-step part of `MiniLLM` (Gu et al. 2024, arXiv 2306.08543), which adds
//! what follows. Departures: the mean over tokens, where theirs is a sum, so
//! that the learning rate does not depend on the length.
//!
//! Both sides are read at the temperature of sampling, and both read the
//! student's own tokens: the teacher has to have the student's vocabulary.
//! A completion that the token cap cut off is judged like any other.

use tch::Tensor;

use crate::batch::total;
use crate::phase::{Group, OldLogprobs, Phase};
use crate::policy_loss::LossError;
use crate::reinforcement::{Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Batch, LabError, Metrics, Scorer, TokenBatch};

settings! {
    /// Settings of `opd`.
    ///
    /// Worked example: the default samples 8 problems 4 times and makes one update
    /// of the 32 completions.
    Opd samples (8, 4) {}
}

impl Reinforcement for Opd {
    fn title(&self) -> &'static str {
        "opd"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.sizes().check()
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        Some(OldLogprobs::Sampled)
    }

    fn learns_from_reward(&self) -> bool {
        false
    }

    fn judge(&self) -> Option<(Scorer, &'static str)> {
        Some((Scorer::Teacher, "opd/reverse_kl"))
    }

    fn credit(&self, _: &[Group], samples: &[Sample], _: &mut Metrics) -> Result<Credit, LabError> {
        let advantages = |sample: &Sample| sample.divergences.iter().map(|d| -d).collect();
        Ok(Credit::Tokens(samples.iter().map(advantages).collect()))
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        let weights_N = &tokens.weights_N;
        // Replaced before it is made: it may be infinite where nothing is pushed.
        let log_ratio_N =
            (&tokens.logprobs_N - tokens.old_logprobs_N()).masked_fill(&weights_N.eq(0.0), 0.0);
        let loss = -total(&(log_ratio_N.exp() * weights_N)) / batch.normaliser;
        Ok((loss, Metrics::new()))
    }
}

#[cfg(test)]
mod tests;
