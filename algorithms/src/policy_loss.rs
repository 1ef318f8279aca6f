//! The losses of the GRPO family as pure functions of log-probabilities.
//!
//! A token's term is what the policy gains by it, made of the importance ratio
//! and the token's weight (its advantage); the loss is minus the gains, summed,
//! plus `beta` times the divergence from the reference.
//!
//! | `loss_type` | gain of a token | terms are summed and divided by |
//! |---|---|---|
//! | `grpo` | clipped | row by row by the row's tokens, then by the rows |
//! | `bnpo` | clipped | the tokens |
//! | `dapo` | clipped | the tokens |
//! | `dr_grpo` | clipped | the rows times the longest completion there may be |
//! | `cispo` | clipped ratio, no gradient, times the log-probability | the tokens |
//! | `sapo` | a sigmoid of the ratio | as `grpo` |
//!
//! All counts are of the whole optimizer update, so that cutting it into
//! micro-batches changes nothing. That is a departure for `bnpo`, whose tokens
//! TRL counts in each micro-batch alone; with one micro-batch the two agree.
//!
//! Sources: Shao et al. 2024 (arXiv 2402.03300), Liu et al. 2025 (Dr. GRPO,
//! 2503.20783), Yu et al. 2025 (DAPO, 2503.14476), Zheng et al. 2025 (GSPO,
//! 2507.18071), Chen et al. 2025 (CISPO, 2506.13585), Gao et al. 2025 (SAPO,
//! 2511.20347), and Schulman's note on estimating a KL divergence; where they
//! leave a choice, the numbers of TRL 1.16, to which [`crate::conformance`]
//! holds them.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::batch::{Rows, total};
use crate::{Metrics, TokenBatch};

/// How tokens gain and what the sum is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// Mean over the rollouts of their own means.
    Grpo,
    /// Divided by a constant, so that length has no say.
    DrGrpo,
    /// Mean over the tokens of the update.
    Dapo,
    /// Mean over the tokens of the batch, which here is the update.
    Bnpo,
    /// The ratio is clipped, not the gain: every token keeps its gradient.
    Cispo,
    /// A soft gate in place of the clip.
    Sapo,
}

impl LossType {
    /// The name in a definition.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grpo => "grpo",
            Self::DrGrpo => "dr_grpo",
            Self::Dapo => "dapo",
            Self::Bnpo => "bnpo",
            Self::Cispo => "cispo",
            Self::Sapo => "sapo",
        }
    }

    /// What the terms of an update of `rows` rollouts and `tokens` tokens are
    /// divided by; `cap` is the longest completion there may be.
    pub fn normaliser(self, tokens: f64, rows: f64, cap: f64) -> f64 {
        match self {
            Self::Dapo | Self::Bnpo | Self::Cispo => tokens,
            Self::Grpo | Self::Sapo => rows,
            Self::DrGrpo => rows * cap,
        }
        .max(1.0)
    }

    /// Whether rows are averaged before they are summed.
    fn averages_rows(self) -> bool {
        matches!(self, Self::Grpo | Self::Sapo)
    }

    /// Whether a gain is clipped, so that `delta` and the clip metrics apply.
    pub(crate) fn clips(self) -> bool {
        !matches!(self, Self::Cispo | Self::Sapo)
    }
}

/// What has an importance ratio of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportanceSamplingLevel {
    /// Each token.
    Token,
    /// Each rollout: the geometric mean of its tokens' ratios (GSPO).
    Sequence,
}

/// How the divergence from the reference is estimated from one sample, with
/// `d` the log-probability under the policy less that under the reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KlEstimator {
    /// `d`: unbiased, may be negative.
    K1,
    /// `d² / 2`: biased, never negative.
    K2,
    /// `exp(-d) + d - 1`: unbiased, never negative.
    K3,
}

/// Why a loss cannot be computed from the tokens given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossError {
    /// The loss holds the policy to a reference.
    #[error("beta is not 0, but the batch has no log-probabilities of a reference model")]
    NoReference,
    /// The loss rewards entropy.
    #[error("entropy_coef is not 0, but the batch has no entropies")]
    NoEntropies,
}

/// A loss of the family, with everything it depends on.
#[derive(Debug, Clone, PartialEq)]
pub struct Objective {
    /// How tokens gain and what the sum is divided by.
    pub loss_type: LossType,
    /// What has an importance ratio of its own.
    pub importance_sampling_level: ImportanceSamplingLevel,
    /// The ratio is clipped below `1 - epsilon`.
    pub epsilon: f64,
    /// The ratio is clipped above `1 + epsilon_high`; in `cispo` above `epsilon_high`.
    pub epsilon_high: f64,
    /// Upper bound of the ratio where the clip does not bite.
    pub delta: Option<f64>,
    /// Temperature of `sapo` where the weight is positive.
    pub sapo_temperature_pos: f64,
    /// Temperature of `sapo` elsewhere.
    pub sapo_temperature_neg: f64,
    /// Weight of the divergence from the reference.
    pub beta: f64,
    /// How the divergence is estimated.
    pub kl_estimator: KlEstimator,
    /// Whether the divergence of a token is multiplied by the importance ratio.
    pub use_bias_correction_kl: bool,
}

impl Objective {
    /// The loss of one micro-batch of an update that is divided by
    /// `normaliser` and has `token_count` tokens, and its metrics.
    ///
    /// The ratio of a token of weight 0 is replaced before it is made: it may
    /// be infinite, and infinity times 0 is not a number.
    pub fn loss(
        &self,
        tokens: &TokenBatch,
        normaliser: f64,
        token_count: f64,
    ) -> Result<(Tensor, Metrics), LossError> {
        let mut metrics = Metrics::new();
        let share = |mask: &Tensor| mask.sum(Kind::Double).double_value(&[]) / token_count;
        let weights_N = &tokens.weights_N;
        let log_ratio_N = self.log_ratio_N(tokens);
        let idle_N = weights_N.eq(0.0);
        let ratio_N = log_ratio_N.masked_fill(&idle_N, 0.0).exp();
        let gain_N = match self.loss_type {
            LossType::Cispo => {
                let clipped_N = ratio_N
                    .gt(self.epsilon_high)
                    .logical_and(&weights_N.gt(0.0));
                metrics.insert("cispo_clip_ratio".to_owned(), share(&clipped_N));
                let logprobs_N = tokens.logprobs_N.masked_fill(&idle_N, 0.0);
                cispo_gain_N(&logprobs_N, &ratio_N, weights_N, self.epsilon_high)
            }
            LossType::Sapo => sapo_gain_N(
                &ratio_N,
                weights_N,
                self.sapo_temperature_pos,
                self.sapo_temperature_neg,
            ),
            _ => {
                let (low, high) = (1.0 - self.epsilon, 1.0 + self.epsilon_high);
                let share = |mask_N: &Tensor| mask_N.sum(Kind::Double) / token_count;
                metrics = clip_metrics(&ratio_N, weights_N, (low, high), &tokens.rows(), share);
                clipped_gain_N(&ratio_N, weights_N, low, high, self.delta)
            }
        };
        let mut loss_N = -gain_N;
        if self.beta != 0.0 {
            let reference_N = tokens.reference_logprobs_N.as_ref();
            let reference_N = reference_N.ok_or(LossError::NoReference)?;
            let plain_N = kl_N(&tokens.logprobs_N, reference_N, self.kl_estimator);
            let kl_N = if self.use_bias_correction_kl {
                plain_N * log_ratio_N.exp()
            } else {
                plain_N
            };
            metrics.insert("kl".to_owned(), share(&kl_N));
            loss_N += kl_N * self.beta;
        }
        let mut loss = if self.loss_type.averages_rows() {
            total(&tokens.rows().means_B(&loss_N))
        } else {
            total(&loss_N)
        } / normaliser;
        if let Some(entropy_weights_N) = &tokens.entropy_weights_N {
            let entropies_N = tokens.entropies_N.as_ref();
            let entropies_N = entropies_N.ok_or(LossError::NoEntropies)?;
            metrics.insert("policy_loss".to_owned(), loss.double_value(&[]));
            loss -= total(&(entropies_N * entropy_weights_N));
        }
        Ok((loss, metrics))
    }

    /// Logarithm of each token's importance ratio, `[N]`.
    fn log_ratio_N(&self, tokens: &TokenBatch) -> Tensor {
        let log_ratio_N = &tokens.logprobs_N - tokens.old_logprobs_N();
        match self.importance_sampling_level {
            ImportanceSamplingLevel::Token => log_ratio_N,
            ImportanceSamplingLevel::Sequence => {
                let rows = tokens.rows();
                rows.spread_N(&rows.means_B(&log_ratio_N))
            }
        }
    }
}

/// The smaller of ratio times weight and clipped ratio times weight: leaving
/// `low..high` in the direction of the weight gains nothing more. `delta`
/// bounds the unclipped ratio, which otherwise has no bound where the weight
/// is negative.
///
/// Worked example: ratio 1.65, weight 1, range 0.8 to 1.2: 1.2, without gradient.
pub fn clipped_gain_N(
    ratio_N: &Tensor,
    weights_N: &Tensor,
    low: f64,
    high: f64,
    delta: Option<f64>,
) -> Tensor {
    let clipped_N = ratio_N.clamp(low, high) * weights_N;
    let plain_N = match delta {
        Some(delta) => ratio_N.clamp_max(delta) * weights_N,
        None => ratio_N * weights_N,
    };
    plain_N.minimum(&clipped_N)
}

/// Log-probability times weight times the ratio, the latter at most `cap` and
/// without gradient.
pub fn cispo_gain_N(logprobs_N: &Tensor, ratio_N: &Tensor, weights_N: &Tensor, cap: f64) -> Tensor {
    ratio_N.clamp_max(cap).detach() * weights_N * logprobs_N
}

/// Weight times `4 / t * sigmoid(t * (ratio - 1))`, whose slope at ratio 1 is
/// that of the plain ratio and which flattens out away from it; the
/// temperature `t` depends on the sign of the weight.
pub fn sapo_gain_N(
    ratio_N: &Tensor,
    weights_N: &Tensor,
    temperature_pos: f64,
    temperature_neg: f64,
) -> Tensor {
    let temperature_N = weights_N
        .full_like(temperature_neg)
        .masked_fill(&weights_N.gt(0.0), temperature_pos);
    let gate_N = ((ratio_N - 1.0) * &temperature_N).sigmoid() * 4.0 / temperature_N;
    gate_N * weights_N
}

/// Divergence of the policy from the reference at each token.
pub fn kl_N(logprobs_N: &Tensor, reference_logprobs_N: &Tensor, estimator: KlEstimator) -> Tensor {
    let difference_N = logprobs_N - reference_logprobs_N;
    match estimator {
        KlEstimator::K1 => difference_N,
        KlEstimator::K2 => difference_N.square() / 2.0,
        KlEstimator::K3 => (-&difference_N).exp() + difference_N - 1.0,
    }
}

/// How often the clip bites: where it bounds a token's gain, so above the range
/// for a positive weight and below it for a negative one. `share` makes a share
/// of the update of a mask; the smallest and the largest share of a completion
/// are over the rows given.
pub(crate) fn clip_metrics(
    ratio_N: &Tensor,
    weights_N: &Tensor,
    (low, high): (f64, f64),
    rows: &Rows,
    share: impl Fn(&Tensor) -> Tensor,
) -> Metrics {
    let kind = ratio_N.kind();
    let bites = |mask_N: Tensor, side_N: Tensor| mask_N.logical_and(&side_N).to_kind(kind);
    let low_N = bites(ratio_N.lt(low), weights_N.lt(0.0));
    let high_N = bites(ratio_N.gt(high), weights_N.gt(0.0));
    let number = |value: Tensor| value.double_value(&[]);
    let (low_share, high_share) = (number(share(&low_N)), number(share(&high_N)));
    let mut metrics = Metrics::from([
        ("clip_ratio/low_mean".to_owned(), low_share),
        ("clip_ratio/high_mean".to_owned(), high_share),
        ("clip_ratio/region_mean".to_owned(), low_share + high_share),
    ]);
    if ratio_N.numel() > 0 {
        let (low_min, high_max) = (rows.means_B(&low_N).min(), rows.means_B(&high_N).max());
        metrics.insert("clip_ratio/low_min".to_owned(), number(low_min));
        metrics.insert("clip_ratio/high_max".to_owned(), number(high_max));
    }
    metrics
}

#[cfg(test)]
mod tests;
