//! Settings of `grpo`, and the loss that they describe.

use serde::{Deserialize, Serialize};

use crate::advantages::AdvantageScale;
use crate::entropy::{AdaptiveEntropy, EntropyBonus};
use crate::phase::OldLogprobs;
use crate::policy_loss::{
    Average, KlEstimator, KlPenalty, Objective, PolicyLoss, Ratio, TrustDistance,
};
use crate::settings::settings;

/// A loss of the family by its name: what tokens gain and what the sum is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossType {
    /// Clipped gains; mean over the completions of their own means.
    Grpo,
    /// Clipped gains, divided by a constant, so that length has no say.
    DrGrpo,
    /// Clipped gains; mean over the tokens of the update.
    Dapo,
    /// Clipped gains; mean over the tokens of the batch, which here is the update.
    Bnpo,
    /// The ratio is clipped, not the gain: every token keeps its gradient.
    Cispo,
    /// A soft gate in place of the clip.
    Sapo,
    /// Clipped gains; mean over the completions of their sums.
    Luspo,
    /// A gamma weighting of the completion's ratio in place of the clip.
    Vespo,
    /// A bound of each token's change of probability in place of the clip.
    DppoTv,
    /// A bound of each token's KL divergence in place of the clip.
    DppoKl,
    /// Geometric means of clipped ratios (GMPO).
    GeoMean,
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
            Self::Luspo => "luspo",
            Self::Vespo => "vespo",
            Self::DppoTv => "dppo_tv",
            Self::DppoKl => "dppo_kl",
            Self::GeoMean => "geo_mean",
        }
    }

    /// How the terms of an update are summed.
    pub fn average(self) -> Average {
        match self {
            Self::Grpo | Self::Sapo | Self::GeoMean => Average::Completions,
            Self::Luspo => Average::Sums,
            Self::DrGrpo => Average::Cap,
            Self::Dapo | Self::Bnpo | Self::Cispo | Self::Vespo | Self::DppoTv | Self::DppoKl => {
                Average::Tokens
            }
        }
    }

    /// Whether `min(r A, clip(r) A)` is the gain.
    pub(super) fn clips(self) -> bool {
        matches!(
            self,
            Self::Grpo | Self::DrGrpo | Self::Dapo | Self::Bnpo | Self::Luspo
        )
    }

    /// Whether a token's probability is held near its old one.
    pub(super) fn trusts(self) -> bool {
        matches!(self, Self::DppoTv | Self::DppoKl)
    }
}

/// What has an importance ratio of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportanceSamplingLevel {
    /// Each token.
    Token,
    /// Each completion: the geometric mean of its tokens' ratios (GSPO).
    Sequence,
}

/// How several rewards become one advantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MultiObjectiveAggregation {
    /// Their weighted sum is a reward like any other.
    SumThenNormalize,
    /// Each is normalised within its group, their weighted sum over the batch (GDPO).
    NormalizeThenSum,
}

settings! {
    /// Settings of `grpo`.
    ///
    /// Worked examples: the default is TRL's default. Dr. GRPO: `loss_type =
    /// "dr_grpo", scale_rewards = "none"`. GSPO: `loss_type = "grpo",
    /// importance_sampling_level = "sequence", epsilon = 3e-4, epsilon_high = 4e-4`.
    /// DAPO: `epsilon_high = 0.28, dynamic_sampling_rounds = 3,
    /// mask_truncated_completions = true`. `MaxRL`: `scale_rewards = "mean"`.
    Grpo samples (8, 8) {
        /// Rounds in which zero-variance groups are replaced by new problems
        /// (DAPO's dynamic sampling), at most 100; 0 replaces none. Only what is missing is
        /// sampled, from problems no phase comes to otherwise; what is missing
        /// after the last round is made up by groups without variance.
        dynamic_sampling_rounds: usize = 0,
        /// Whether completions that the token cap cut off are left out of the loss.
        /// Their rewards stay in their group's mean.
        mask_truncated_completions: bool = false,
        /// How tokens gain and what their sum is divided by.
        loss_type: LossType = LossType::Dapo,
        /// Whether each token or each completion has an importance ratio. `vespo` and
        /// `geo_mean` take completions, `dppo_tv` and `dppo_kl` tokens, whatever it says.
        importance_sampling_level: ImportanceSamplingLevel = ImportanceSamplingLevel::Token,
        /// What the importance ratio is taken against; TRL's is `recomputed`, which
        /// it is wherever the lab corrects for another engine's sampling.
        old_logprobs: OldLogprobs = OldLogprobs::Sampled,
        /// Lower and upper clip range of the importance ratio; in `geo_mean` of its
        /// logarithm, in `dppo_tv` and `dppo_kl` the threshold of the distance.
        epsilon: f64 = 0.2,
        /// Upper clip range, where it differs from `epsilon`; in `cispo` the
        /// largest ratio itself, to be given (5.0 is usual).
        epsilon_high: Option<f64> = None,
        /// Upper bound of the ratio where the clip does not bite, which is where
        /// the advantage is negative; at least `1 + epsilon_high`. In `dppo_tv` and
        /// `dppo_kl` the largest ratio, 20 where it is not given.
        delta: Option<f64> = None,
        /// Temperature of `sapo` where the advantage is positive.
        sapo_temperature_pos: f64 = 1.0,
        /// Temperature of `sapo` elsewhere.
        sapo_temperature_neg: f64 = 1.05,
        /// `k` of `vespo` where the advantage is not negative.
        vespo_k_pos: f64 = 2.0,
        /// `lambda` of `vespo` there.
        vespo_lambda_pos: f64 = 3.0,
        /// `k` of `vespo` elsewhere.
        vespo_k_neg: f64 = 3.0,
        /// `lambda` of `vespo` there.
        vespo_lambda_neg: f64 = 2.0,
        /// Completions of negative advantage are left out once their mean log-probability
        /// has fallen by more than this (DeepSeek-V3.2).
        off_policy_mask_threshold: Option<f64> = None,
        /// Weight of the divergence from the reference model; 0 needs none.
        beta: f64 = 0.0,
        /// How the divergence is estimated; TRL has `k3` alone.
        kl_estimator: KlEstimator = KlEstimator::K3,
        /// Whether a token's divergence is multiplied by its importance ratio,
        /// which makes its gradient that of the reverse divergence.
        use_bias_correction_kl: bool = true,
        /// Whether the reference follows the policy.
        sync_ref_model: bool = false,
        /// Share of the policy in the reference at each step of following.
        ref_model_mixup_alpha: f64 = 0.6,
        /// Updates between steps of following.
        ref_model_sync_steps: u64 = 512,
        /// Scale of the advantages.
        scale_rewards: AdvantageScale = AdvantageScale::Group,
        /// How several rewards become one.
        multi_objective_aggregation: MultiObjectiveAggregation =
            MultiObjectiveAggregation::SumThenNormalize,
        /// Subtracted from the number of rewards in a standard deviation: 1 in TRL
        /// and verl, 0 elsewhere.
        advantage_ddof: usize = 1,
        /// Added to the standard deviation. TRL adds 1e-4; small models with few
        /// reward levels want more, or a single odd sample dominates its group.
        advantage_epsilon: f64 = 1e-4,
        /// Share of the tokens, those of the highest entropy, that are pushed.
        top_entropy_quantile: f64 = 1.0,
        /// Weight of the mean entropy over the tokens that are pushed.
        entropy_coef: f64 = 0.0,
        /// Whether that weight adapts, so that the entropy keeps to a target.
        use_adaptive_entropy: bool = false,
        /// The entropy that it keeps to, in nats a token.
        entropy_target: f64 = 0.2,
        /// Change of the weight after each update.
        entropy_coef_delta: f64 = 0.005,
        /// Smallest weight.
        entropy_coef_min: f64 = 0.0,
        /// Largest weight.
        entropy_coef_max: f64 = 1.0,
    }
}

impl Grpo {
    /// The loss these settings describe.
    pub fn objective(&self) -> Objective {
        let (low, high) = (self.epsilon, self.epsilon_high.unwrap_or(self.epsilon));
        let trust = |distance| PolicyLoss::Trust {
            distance,
            low,
            high,
            cap: self.delta.unwrap_or(20.0),
        };
        let loss = match self.loss_type {
            LossType::Cispo => PolicyLoss::ClipRatio { cap: high },
            LossType::Sapo => PolicyLoss::Gate {
                positive: self.sapo_temperature_pos,
                negative: self.sapo_temperature_neg,
            },
            LossType::Vespo => PolicyLoss::Gamma {
                positive: [self.vespo_k_pos, self.vespo_lambda_pos],
                negative: [self.vespo_k_neg, self.vespo_lambda_neg],
            },
            LossType::DppoTv => trust(TrustDistance::TotalVariation),
            LossType::DppoKl => trust(TrustDistance::Kl),
            LossType::GeoMean => PolicyLoss::GeometricMean { low, high },
            _ => PolicyLoss::Clip {
                low: 1.0 - low,
                high: 1.0 + high,
                delta: self.delta,
            },
        };
        let ratio = match self.importance_sampling_level {
            ImportanceSamplingLevel::Sequence => Ratio::GeometricMean,
            ImportanceSamplingLevel::Token => Ratio::Token,
        };
        Objective {
            loss,
            ratio,
            average: self.loss_type.average(),
            off_policy_mask_threshold: self.off_policy_mask_threshold,
            kl: (self.beta != 0.0).then_some(KlPenalty {
                beta: self.beta,
                estimator: self.kl_estimator,
                bias_corrected: self.use_bias_correction_kl,
            }),
        }
    }

    /// What of the entropy is rewarded.
    pub(super) fn bonus(&self) -> Option<EntropyBonus> {
        let bonus = EntropyBonus {
            quantile: self.top_entropy_quantile,
            coef: self.entropy_coef,
            adaptive: self.use_adaptive_entropy.then_some(AdaptiveEntropy {
                target: self.entropy_target,
                delta: self.entropy_coef_delta,
                min: self.entropy_coef_min,
                max: self.entropy_coef_max,
            }),
        };
        (bonus.quantile < 1.0 || bonus.is_rewarded()).then_some(bonus)
    }
}
