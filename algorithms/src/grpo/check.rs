//! What contradicts itself in the settings of `grpo`.

use super::{Grpo, LossType, MultiObjectiveAggregation};
use crate::advantages::AdvantageScale;
use crate::checks::{check_advantage_epsilon, check_beta, check_epsilon, check_epsilon_high};
use crate::policy_loss::KlEstimator;

/// Problems that are all alike after so many rounds will not get better.
const MOST_ROUNDS: usize = 100;

impl Grpo {
    /// What contradicts itself in the settings, as one sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.num_generations < 2 {
            return Err(format!(
                "num_generations = {}: a group needs at least 2 completions to have an advantage",
                self.num_generations
            ));
        }
        self.sizes().check()?;
        if self.dynamic_sampling_rounds > MOST_ROUNDS {
            return Err(format!(
                "dynamic_sampling_rounds = {}: at most {MOST_ROUNDS}, so that a phase comes to an end",
                self.dynamic_sampling_rounds
            ));
        }
        self.check_clipping()?;
        self.check_reference()?;
        self.check_advantages()?;
        if !(0.0..=1.0).contains(&self.top_entropy_quantile) {
            return Err(format!(
                "top_entropy_quantile = {}: it is a share of the tokens, between 0 and 1",
                self.top_entropy_quantile
            ));
        }
        self.check_entropy()
    }

    fn check_entropy(&self) -> Result<(), String> {
        for (key, value) in [
            ("entropy_coef", self.entropy_coef),
            ("entropy_target", self.entropy_target),
            ("entropy_coef_delta", self.entropy_coef_delta),
            ("entropy_coef_min", self.entropy_coef_min),
            ("entropy_coef_max", self.entropy_coef_max),
        ] {
            if !value.is_finite() {
                return Err(format!("{key} = {value}: it has to be a finite number"));
            }
        }
        let (least, most) = (self.entropy_coef_min, self.entropy_coef_max);
        if self.use_adaptive_entropy && !(least..=most).contains(&self.entropy_coef) {
            return Err(format!(
                "entropy_coef = {}: with use_adaptive_entropy = true it begins between entropy_coef_min = {least} and entropy_coef_max = {most}",
                self.entropy_coef
            ));
        }
        Ok(())
    }

    fn check_clipping(&self) -> Result<(), String> {
        check_epsilon(self.epsilon)?;
        let loss_type = self.loss_type.name();
        if let Some(high) = self.epsilon_high {
            check_epsilon_high(high)?;
            if matches!(self.loss_type, LossType::Sapo | LossType::Vespo) {
                return Err(format!(
                    "epsilon_high = {high}: loss_type = \"{loss_type}\" clips nothing; leave it out"
                ));
            }
        } else if self.loss_type == LossType::Cispo {
            return Err(
                "epsilon_high: loss_type = \"cispo\" takes it as the largest ratio itself and has to be told; 5.0 is usual".to_owned(),
            );
        }
        if let Some(delta) = self.delta {
            if !(self.loss_type.clips() || self.loss_type.trusts()) {
                return Err(format!(
                    "delta = {delta}: loss_type = \"{loss_type}\" has no unclipped ratio to bound; leave it out"
                ));
            }
            let high = if self.loss_type.clips() {
                1.0 + self.epsilon_high.unwrap_or(self.epsilon)
            } else {
                1.0
            };
            if !(delta.is_finite() && delta >= high) {
                return Err(format!(
                    "delta = {delta}: it lies below {high}, which the clip reaches to, and would do the clip's work"
                ));
            }
        }
        for (key, temperature) in [
            ("sapo_temperature_pos", self.sapo_temperature_pos),
            ("sapo_temperature_neg", self.sapo_temperature_neg),
        ] {
            if !(temperature.is_finite() && temperature > 0.0) {
                return Err(format!("{key} = {temperature}: a temperature is above 0"));
            }
        }
        for (key, value) in [
            ("vespo_k_pos", self.vespo_k_pos),
            ("vespo_lambda_pos", self.vespo_lambda_pos),
            ("vespo_k_neg", self.vespo_k_neg),
            ("vespo_lambda_neg", self.vespo_lambda_neg),
            (
                "off_policy_mask_threshold",
                self.off_policy_mask_threshold.unwrap_or_default(),
            ),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(format!("{key} = {value}: it is not negative"));
            }
        }
        Ok(())
    }

    fn check_reference(&self) -> Result<(), String> {
        check_beta(self.beta)?;
        if self.beta > 0.0 && self.kl_estimator == KlEstimator::K1 && !self.use_bias_correction_kl {
            return Err(
                "kl_estimator = \"k1\" with use_bias_correction_kl = false: its gradient is 0 on average and holds the policy to nothing; use k2 or k3, or the correction".to_owned(),
            );
        }
        if !self.sync_ref_model {
            return Ok(());
        }
        if self.beta == 0.0 {
            return Err(
                "sync_ref_model = true with beta = 0: there is no reference model".to_owned(),
            );
        }
        if !(self.ref_model_mixup_alpha > 0.0 && self.ref_model_mixup_alpha <= 1.0) {
            return Err(format!(
                "ref_model_mixup_alpha = {}: it is a share, above 0 and at most 1",
                self.ref_model_mixup_alpha
            ));
        }
        if self.ref_model_sync_steps == 0 {
            return Err("ref_model_sync_steps = 0: at least one update lies between".to_owned());
        }
        Ok(())
    }

    fn check_advantages(&self) -> Result<(), String> {
        if self.advantage_ddof > 1 {
            return Err(format!(
                "advantage_ddof = {}: it is 1 (sample) or 0 (population)",
                self.advantage_ddof
            ));
        }
        check_advantage_epsilon(self.advantage_epsilon)?;
        if self.multi_objective_aggregation == MultiObjectiveAggregation::NormalizeThenSum
            && self.scale_rewards != AdvantageScale::Group
        {
            return Err(
                "multi_objective_aggregation = \"normalize_then_sum\" scales every reward within its group; scale_rewards has to stay \"group\"".to_owned(),
            );
        }
        Ok(())
    }
}
