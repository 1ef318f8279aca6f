//! The losses of reinforcement as functions of log-probabilities.
//!
//! A token's term is what the policy gains by it, made of the importance ratio `r` and the
//! token's weight `A` (its advantage); the loss is minus the gains, summed and divided, plus
//! `beta` times the divergence from the reference. [`PolicyLoss`] says what a gain is,
//! [`Ratio`] of what `r` is taken, [`Average`] how gains are summed.
//!
//! All counts are of the whole optimizer update, so that cutting it into micro-batches
//! changes nothing. That is a departure for `bnpo`, whose tokens TRL counts in each
//! micro-batch alone; with one micro-batch the two agree.
//!
//! Sources: Shao et al. 2024 (arXiv 2402.03300), Liu et al. 2025 (Dr. GRPO, 2503.20783),
//! Yu et al. 2025 (DAPO, 2503.14476), Zheng et al. 2025 (GSPO, 2507.18071), Chen et al. 2025
//! (CISPO, 2506.13585), Gao et al. 2025 (SAPO, 2511.20347), Zhao et al. 2025 (GMPO,
//! 2507.20673), DPPO (2602.04879), DeepSeek-AI 2025 (V3.2, 2512.02556) for
//! the off-policy mask, LUSPO (2602.05261), VESPO (2602.10693), and Schulman's note on
//! estimating a KL divergence. Where they leave a choice, the numbers of TRL 1.16, and of
//! verl 0.9.1 for DPPO and GMPO, which [`crate::conformance`] compares with.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::batch::{Rows, total};
use crate::{Batch, Metrics, TokenBatch};

/// What a token gains, with the settings of that gain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PolicyLoss {
    /// `min(r A, clip(r, low, high) A)`: leaving the range in the direction of the weight
    /// gains nothing more. `delta` bounds the unclipped ratio, which otherwise has no bound
    /// where the weight is negative.
    Clip {
        /// Lower end of the range.
        low: f64,
        /// Upper end.
        high: f64,
        /// Upper bound of the unclipped ratio.
        delta: Option<f64>,
    },
    /// CISPO: `min(r, cap) A log p`, the ratio without gradient.
    ClipRatio {
        /// Largest ratio.
        cap: f64,
    },
    /// SAPO: `4 / t sigmoid(t (r - 1)) A`, whose slope at ratio 1 is that of the plain ratio
    /// and which flattens out away from it; the temperature goes by the sign of the weight.
    Gate {
        /// Temperature where the weight is positive.
        positive: f64,
        /// Temperature elsewhere.
        negative: f64,
    },
    /// VESPO: `phi(w) A log p`, with `w` the product of the completion's ratios and
    /// `phi(w) = exp(lambda) w^k exp(-lambda w)`, without gradient and 1 where `w` is 1.
    Gamma {
        /// `k` and `lambda` where the weight is not negative.
        positive: [f64; 2],
        /// `k` and `lambda` elsewhere.
        negative: [f64; 2],
    },
    /// DPPO: `min(r, cap) A log p`, the ratio without gradient, as long as the probability of
    /// the token has moved in the direction of the weight by no more than a threshold.
    Trust {
        /// How the distance is measured.
        distance: TrustDistance,
        /// Threshold where the weight is not positive.
        low: f64,
        /// Threshold where it is.
        high: f64,
        /// Largest ratio.
        cap: f64,
    },
    /// GMPO: the geometric mean of the completion's ratios times its weight, the logarithm of
    /// each token's ratio clipped as [`PolicyLoss::Clip`] clips.
    GeometricMean {
        /// How far the logarithm may fall.
        low: f64,
        /// How far it may rise.
        high: f64,
    },
}

/// Distance between the old and the new distribution of one token, whether it is drawn or
/// not, as [`PolicyLoss::Trust`] takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustDistance {
    /// Difference of the two probabilities (total variation).
    TotalVariation,
    /// KL divergence of the new from the old.
    Kl,
}

/// Of what an importance ratio is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ratio {
    /// Each token.
    Token,
    /// Each completion: the geometric mean of its tokens' ratios (GSPO).
    GeometricMean,
    /// Each completion: their product, the completion being one action (RLOO).
    Product,
}

/// How the terms of an update become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Average {
    /// The mean over completions of the means over their tokens.
    Completions,
    /// The mean over completions of the sums over their tokens (LUSPO).
    Sums,
    /// The mean over tokens.
    Tokens,
    /// The sum, over the completions times the longest there may be (Dr. GRPO).
    Cap,
}

impl Average {
    /// What the terms of an update of `rollouts` completions and `tokens` tokens are divided
    /// by; `cap` is the longest completion there may be.
    pub fn normaliser(self, tokens: f64, rollouts: f64, cap: f64) -> f64 {
        match self {
            Self::Tokens => tokens,
            Self::Completions | Self::Sums => rollouts,
            Self::Cap => rollouts * cap,
        }
        .max(1.0)
    }

    /// The terms of a micro-batch added up, to be divided by the normaliser.
    pub(crate) fn sum(self, rows: &Rows, terms_N: &Tensor) -> Tensor {
        match self {
            Self::Completions => total(&rows.means_B(terms_N)),
            Self::Sums | Self::Tokens | Self::Cap => total(terms_N),
        }
    }
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

/// What holds the policy to a reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlPenalty {
    /// Weight of the divergence.
    pub beta: f64,
    /// How it is estimated.
    pub estimator: KlEstimator,
    /// Whether the divergence of a token is multiplied by the importance ratio.
    pub bias_corrected: bool,
}

/// Why a loss cannot be computed from the tokens given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LossError {
    /// The loss holds the policy to a reference.
    #[error("beta is not 0, but the batch has no log-probabilities of a reference model")]
    NoReference,
    /// The loss rewards entropy.
    #[error("entropy is rewarded, but the batch has no entropies")]
    NoEntropies,
    /// The loss is a divergence over the whole vocabulary.
    #[error("the loss is a divergence from a model that judges, but the batch has none")]
    NoDivergences,
}

/// A loss with everything it depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Objective {
    /// What a token gains.
    pub loss: PolicyLoss,
    /// Of what the ratio is taken.
    pub ratio: Ratio,
    /// How gains are summed.
    pub average: Average,
    /// Completions of negative weight whose mean log-probability has fallen by more than this
    /// since they were sampled gain nothing.
    pub off_policy_mask_threshold: Option<f64>,
    /// What holds the policy to a reference.
    pub kl: Option<KlPenalty>,
}

impl Objective {
    /// PPO's clip of each token's ratio, averaged over tokens.
    pub(crate) fn clip(epsilon: f64, epsilon_high: Option<f64>) -> Self {
        Self {
            loss: PolicyLoss::Clip {
                low: 1.0 - epsilon,
                high: 1.0 + epsilon_high.unwrap_or(epsilon),
                delta: None,
            },
            ratio: Ratio::Token,
            average: Average::Tokens,
            off_policy_mask_threshold: None,
            kl: None,
        }
    }

    /// The loss of one micro-batch of an update, and its metrics.
    ///
    /// The ratio of a token of weight 0 is replaced before it is made: it may
    /// be infinite, and infinity times 0 is not a number.
    pub fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let rows = tokens.rows();
        let token_count = batch.tokens as f64;
        let share = |mask: &Tensor| mask.sum(Kind::Double).double_value(&[]) / token_count;
        let weights_N = &tokens.weights_N;
        let idle_N = weights_N.eq(0.0);
        let log_ratio_N = &tokens.logprobs_N - tokens.old_logprobs_N();
        let log_ratio_N = match self.ratio {
            Ratio::Token => log_ratio_N,
            Ratio::GeometricMean => rows.spread_N(&rows.means_B(&log_ratio_N)),
            Ratio::Product => rows.spread_N(&rows.sums_B(&log_ratio_N)),
        };
        let ratio_N = log_ratio_N.masked_fill(&idle_N, 0.0).exp();
        let mut gain_N = self.gain_N(tokens, &rows, &ratio_N);
        let mut metrics = self.bites(tokens, batch, &rows, &ratio_N);
        if let Some(threshold) = self.off_policy_mask_threshold {
            let fallen_N =
                (tokens.old_logprobs_N() - tokens.logprobs_N.detach()).masked_fill(&idle_N, 0.0);
            let far_N = rows.spread_N(&rows.means_B(&fallen_N)).gt(threshold);
            let masked_N = far_N.logical_and(&weights_N.lt(0.0));
            metrics.insert("off_policy_mask_ratio".to_owned(), share(&masked_N));
            gain_N = gain_N.masked_fill(&masked_N, 0.0);
        }
        let mut loss_N = -gain_N;
        if let Some(penalty) = self.kl {
            let reference_N = tokens.reference_logprobs_N.as_ref();
            let reference_N = reference_N.ok_or(LossError::NoReference)?;
            let plain_N = kl_N(&tokens.logprobs_N, reference_N, penalty.estimator);
            let kl_N = if penalty.bias_corrected {
                plain_N * log_ratio_N.exp()
            } else {
                plain_N
            };
            metrics.insert("kl".to_owned(), share(&kl_N));
            loss_N += kl_N * penalty.beta;
        }
        let mut loss = self.average.sum(&rows, &loss_N) / batch.normaliser;
        if let Some(entropy_weights_N) = &tokens.entropy_weights_N {
            let entropies_N = tokens.entropies_N.as_ref();
            let mean = total(&(entropies_N.ok_or(LossError::NoEntropies)? * entropy_weights_N));
            metrics.insert("policy_loss".to_owned(), loss.double_value(&[]));
            metrics.insert("rewarded_entropy".to_owned(), mean.double_value(&[]));
            loss -= mean * batch.entropy_coef;
        }
        Ok((loss, metrics))
    }

    /// What each token gains. `ratio_N` is 1 where a token has no weight.
    fn gain_N(&self, tokens: &TokenBatch, rows: &Rows, ratio_N: &Tensor) -> Tensor {
        let weights_N = &tokens.weights_N;
        let idle_N = weights_N.eq(0.0);
        let logprobs_N = tokens.logprobs_N.masked_fill(&idle_N, 0.0);
        let old_N = tokens.old_logprobs_N().masked_fill(&idle_N, 0.0);
        let by_sign = |not_negative: f64, negative: f64| {
            let values_N = weights_N.full_like(negative);
            values_N.masked_fill(&weights_N.ge(0.0), not_negative)
        };
        match self.loss {
            PolicyLoss::Clip { low, high, delta } => {
                clipped_gain_N(ratio_N, weights_N, low, high, delta)
            }
            PolicyLoss::ClipRatio { cap } => {
                ratio_N.clamp_max(cap).detach() * weights_N * logprobs_N
            }
            PolicyLoss::Gate { positive, negative } => {
                let temperature_N = by_sign(positive, negative);
                let gate_N = ((ratio_N - 1.0) * &temperature_N).sigmoid() * 4.0 / temperature_N;
                gate_N * weights_N
            }
            PolicyLoss::Gamma { positive, negative } => {
                // The bounds of the authors' code and TRL's.
                let log_ratio_N = (&logprobs_N - old_N).detach().clamp(-20.0, 20.0);
                let log_w_N = rows.spread_N(&rows.sums_B(&log_ratio_N).clamp(1e-8f64.ln(), 20.0));
                let k_N = by_sign(positive[0], negative[0]);
                let lambda_N = by_sign(positive[1], negative[1]).clamp_min(1e-4);
                let log_phi_N = &lambda_N + k_N * &log_w_N - &lambda_N * log_w_N.exp();
                log_phi_N.exp().nan_to_num(0.0, 0.0, 0.0) * weights_N * logprobs_N
            }
            PolicyLoss::Trust {
                distance,
                low,
                high,
                cap,
            } => {
                let near_N = within(distance, (low, high), &logprobs_N, &old_N, weights_N);
                let ratio_N = ratio_N.clamp(-20f64.exp(), 20f64.exp().min(cap)).detach();
                ratio_N * weights_N * logprobs_N * near_N
            }
            PolicyLoss::GeometricMean { low, high } => {
                let sign_N = weights_N.sign();
                let log_ratio_N = logprobs_N - old_N;
                let clamped_N = log_ratio_N.clamp(-low, high) * &sign_N;
                let log_ratio_N = (log_ratio_N * &sign_N).minimum(&clamped_N) * sign_N;
                // verl's 1e-8 beside the length, in the means of ratios and of weights.
                let lengths_B = rows.lengths_B() + 1e-8;
                let means_B = rows.sums_B(&log_ratio_N) / &lengths_B;
                let shares_N = rows.spread_N(&(rows.lengths_B() / lengths_B));
                rows.spread_N(&means_B).exp() * weights_N * shares_N
            }
        }
    }

    /// How often the bound of a ratio bites.
    fn bites(&self, tokens: &TokenBatch, batch: &Batch, rows: &Rows, ratio_N: &Tensor) -> Metrics {
        let weights_N = &tokens.weights_N;
        let of_tokens = |mask_N: &Tensor| mask_N.sum(Kind::Double) / batch.tokens as f64;
        let of_completions =
            |mask_N: &Tensor| rows.means_B(mask_N).sum(Kind::Double) / batch.normaliser;
        match self.loss {
            PolicyLoss::Clip { low, high, .. } if self.ratio == Ratio::Product => {
                // A completion is one action, so shares are of completions.
                clip_metrics(ratio_N, weights_N, (low, high), rows, of_completions)
            }
            PolicyLoss::Clip { low, high, .. } => {
                clip_metrics(ratio_N, weights_N, (low, high), rows, of_tokens)
            }
            PolicyLoss::GeometricMean { low, high } => {
                let range = ((-low).exp(), high.exp());
                clip_metrics(ratio_N, weights_N, range, rows, of_tokens)
            }
            PolicyLoss::ClipRatio { cap } => {
                let clipped_N = ratio_N.gt(cap).logical_and(&weights_N.gt(0.0));
                let clipped = of_tokens(&clipped_N).double_value(&[]);
                Metrics::from([("cispo_clip_ratio".to_owned(), clipped)])
            }
            PolicyLoss::Trust {
                distance,
                low,
                high,
                ..
            } => {
                let old_N = tokens.old_logprobs_N();
                let near_N = within(distance, (low, high), &tokens.logprobs_N, &old_N, weights_N);
                let far_N: Tensor = 1.0 - near_N;
                let far_N = far_N.masked_fill(&weights_N.eq(0.0), 0.0);
                let masked = of_tokens(&far_N).double_value(&[]);
                Metrics::from([("dppo_mask_ratio".to_owned(), masked)])
            }
            PolicyLoss::Gate { .. } | PolicyLoss::Gamma { .. } => Metrics::new(),
        }
    }
}

/// 1 where a token's probability has not moved too far in the direction of its weight, else
/// 0, without gradient.
fn within(
    distance: TrustDistance,
    (low, high): (f64, f64),
    logprobs_N: &Tensor,
    old_N: &Tensor,
    weights_N: &Tensor,
) -> Tensor {
    let (new_N, before_N) = (logprobs_N.detach().exp(), old_N.exp());
    let rises_N = &new_N - &before_N;
    let (up_N, down_N) = match distance {
        TrustDistance::TotalVariation => (rises_N.le(high), rises_N.ge(-low)),
        TrustDistance::Kl => {
            // verl's 1e-8, so that a probability of 1 has a distance.
            let others = |of_N: &Tensor| -> Tensor { 1.0 - of_N };
            let fall_N = (others(&before_N) + 1e-8) / (others(&new_N) + 1e-8);
            let apart_N =
                &before_N * (old_N - logprobs_N.detach()) + others(&before_N) * fall_N.log();
            (
                apart_N.le(high).logical_or(&rises_N.le(0.0)),
                apart_N.le(low).logical_or(&rises_N.ge(0.0)),
            )
        }
    };
    let near_N = up_N.where_self(&weights_N.gt(0.0), &down_N);
    near_N.to_kind(weights_N.kind())
}

/// The smaller of ratio times weight and clipped ratio times weight.
///
/// Worked example: ratio 1.65, weight 1, range 0.8 to 1.2: 1.2, without gradient.
fn clipped_gain_N(
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
fn clip_metrics(
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
