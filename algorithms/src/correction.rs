//! Importance sampling for rollouts that another engine drew.
//!
//! An inference engine and the trainer give one token of one policy different
//! log-probabilities: other kernels, another number format. What was drawn from
//! the one and is learned from as if it were the other's is off-policy, even
//! before the first update. The correction multiplies what a token is pushed by
//! with the ratio of the two probabilities, bounded.
//!
//! Sources: Yao et al. 2025, "Your Efficient RL Framework Secretly Brings You
//! Off-Policy RL Training" (truncation), and TRL 1.16, whose
//! `vllm_importance_sampling_mode` and `vllm_importance_sampling_clip_max` the
//! settings are. Departure from TRL: the default is `token_truncate`, the
//! source's, where TRL's is `sequence_mask`; the bound, 3, is TRL's.

use serde::{Deserialize, Serialize};

use crate::phase::counted;
use crate::{Example, LabError, Metrics};

/// What becomes of the ratio of the policy's probability to the sampler's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CorrectionMode {
    /// Each token counts by its ratio, at most the bound.
    #[default]
    TokenTruncate,
    /// Each token counts by its ratio, and not at all beyond the bound.
    TokenMask,
    /// Each token counts by the ratio of its whole completion, at most the bound.
    SequenceTruncate,
    /// The same, and not at all beyond the bound.
    SequenceMask,
}

/// How rollouts of another engine are weighed.
///
/// Worked example, `{mode: TokenTruncate, clip_max: 3}`: a token at -1.0 under
/// the policy and -1.2 under the sampler counts exp(0.2) = 1.22 times, one at
/// -1.0 and -3.0 counts 3 times in place of exp(2) = 7.39.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    /// What becomes of a ratio.
    pub mode: CorrectionMode,
    /// The bound of the ratio.
    pub clip_max: f64,
}

/// How far sampler and trainer are apart, over the tokens of a rollout phase
/// that are trained.
#[derive(Debug, Default)]
pub(crate) struct Mismatch {
    tokens: f64,
    apart: f64,
    most_apart: f64,
    divergence: f64,
    ratios: f64,
    ratio_sum: f64,
    ratio_min: Option<f64>,
    ratio_max: Option<f64>,
    beyond: f64,
}

impl Correction {
    /// Weighs an example by the policy's probabilities over the sampler's.
    pub(crate) fn weigh_example(
        self,
        example: &mut Example,
        policy: &[f32],
        mismatch: &mut Mismatch,
    ) -> Result<(), LabError> {
        let sampled = example.sampled_logprobs.as_deref().unwrap_or_default();
        counted(
            "log-probabilities of a sampled completion",
            policy.len(),
            sampled.len(),
        )?;
        let apart: Vec<f64> = policy
            .iter()
            .zip(sampled)
            .map(|(&policy, &sampled)| f64::from(policy) - f64::from(sampled))
            .collect();
        mismatch.see(&apart);
        self.weigh(&mut example.weights, &apart, mismatch);
        Ok(())
    }

    /// Multiplies the weights of one completion, whose log-probabilities under
    /// the policy less those under the sampler are `apart`.
    fn weigh(self, weights: &mut [f32], apart: &[f64], mismatch: &mut Mismatch) {
        match self.mode {
            CorrectionMode::TokenTruncate | CorrectionMode::TokenMask => {
                for (weight, apart) in weights.iter_mut().zip(apart) {
                    *weight *= self.factor(*apart, mismatch) as f32;
                }
            }
            CorrectionMode::SequenceTruncate | CorrectionMode::SequenceMask => {
                let factor = self.factor(apart.iter().sum(), mismatch) as f32;
                for weight in weights {
                    *weight *= factor;
                }
            }
        }
    }

    /// The ratio that belongs to a difference of log-probabilities, bounded.
    fn factor(self, apart: f64, mismatch: &mut Mismatch) -> f64 {
        let ratio = apart.exp();
        let beyond = ratio > self.clip_max;
        let masks = matches!(
            self.mode,
            CorrectionMode::TokenMask | CorrectionMode::SequenceMask
        );
        let factor = match (beyond, masks) {
            (false, _) => ratio,
            (true, false) => self.clip_max,
            (true, true) => 0.0,
        };
        mismatch.count(factor, beyond);
        factor
    }
}

impl Mismatch {
    fn see(&mut self, apart: &[f64]) {
        for &apart in apart {
            self.tokens += 1.0;
            self.apart += apart.abs();
            self.most_apart = self.most_apart.max(apart.abs());
            self.divergence += apart.exp() - apart - 1.0;
        }
    }

    fn count(&mut self, factor: f64, beyond: bool) {
        self.ratios += 1.0;
        self.ratio_sum += factor;
        self.ratio_min = Some(self.ratio_min.map_or(factor, |least| least.min(factor)));
        self.ratio_max = Some(self.ratio_max.map_or(factor, |most| most.max(factor)));
        self.beyond += f64::from(u8::from(beyond));
    }

    /// As metrics, by TRL's names where it has them; none where nothing was seen.
    pub(crate) fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        let mut insert = |name: &str, value: f64| {
            metrics.insert(format!("sampling/{name}"), value);
        };
        if self.tokens > 0.0 {
            insert("sampling_logp_difference/mean", self.apart / self.tokens);
            insert("sampling_logp_difference/max", self.most_apart);
            insert("kl", self.divergence / self.tokens);
        }
        if let (Some(least), Some(most)) = (self.ratio_min, self.ratio_max) {
            insert("importance_sampling_ratio/min", least);
            insert(
                "importance_sampling_ratio/mean",
                self.ratio_sum / self.ratios,
            );
            insert("importance_sampling_ratio/max", most);
            insert(
                "importance_sampling_ratio/clipped",
                self.beyond / self.ratios,
            );
        }
        metrics
    }
}

#[cfg(test)]
mod tests;
