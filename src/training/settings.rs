//! Settings of the shared step loop. A definition states them once under
//! `[training]`; an arm states what differs.

use serde::{Deserialize, Serialize};

use crate::generation::PrecisionChoice;

/// How the learning rate falls after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Schedule {
    /// It stays.
    Constant,
    /// In a straight line to `final_ratio` of its peak.
    Linear,
    /// Along half a cosine to `final_ratio` of its peak.
    Cosine,
}

/// Which rule turns gradients into updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// Loshchilov & Hutter 2019 (arXiv 1711.05101).
    Adamw,
    /// Orthogonalised momentum (Jordan et al. 2024) for the matrices inside
    /// layers, AdamW for everything else.
    Muon,
}

/// Settings as a definition states them; what is absent is inherited. Where TRL has
/// another name for a setting, either may stand, but not both.
///
/// Worked example: `[arm.sft.training] steps = 120, learning_rate = 1e-3`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingSettings {
    /// Optimizer updates; `max_steps` in TRL.
    #[serde(alias = "max_steps")]
    pub steps: Option<u64>,
    /// Update rule.
    pub optimizer: Option<Optimizer>,
    /// Peak learning rate of AdamW. By default 1e-6, and 2e-5 for an arm or teacher
    /// that imitates and is rewarded for nothing, as TRL's trainers have it.
    pub learning_rate: Option<f64>,
    /// Peak learning rate of Muon's matrices; used with `optimizer = "muon"`.
    pub muon_learning_rate: Option<f64>,
    /// Shape of the learning rate's fall; `lr_scheduler_type` in TRL.
    #[serde(alias = "lr_scheduler_type")]
    pub schedule: Option<Schedule>,
    /// Share of the peak that is left at the end.
    pub final_ratio: Option<f64>,
    /// Updates over which the learning rate rises from 0; the first of them is
    /// made at 0.
    pub warmup_steps: Option<u64>,
    /// Decoupled weight decay on matrices; never on norms.
    pub weight_decay: Option<f64>,
    /// Share of AdamW's old first moment that stays at an update.
    pub adam_beta1: Option<f64>,
    /// Share of AdamW's old second moment that stays.
    pub adam_beta2: Option<f64>,
    /// Added to the root of AdamW's second moment.
    pub adam_epsilon: Option<f64>,
    /// Gradients of a larger norm are scaled down to it.
    pub max_grad_norm: Option<f64>,
    /// Tokens of one forward and backward pass; a shared prompt counts once.
    pub micro_batch_tokens: Option<usize>,
    /// Number format of matrix products; weights, gradients and sums stay float32.
    pub dtype: Option<PrecisionChoice>,
    /// Whether a layer's inside is computed a second time rather than kept.
    pub gradient_checkpointing: Option<bool>,
    /// Updates between checkpoints.
    pub save_steps: Option<u64>,
    /// Checkpoints that are kept, newest first; 2 leave one to fall back on.
    /// `save_total_limit` in TRL.
    #[serde(alias = "save_total_limit")]
    pub keep_last: Option<u64>,
    /// Whether the policy of the best validation is kept as a model in `best/`:
    /// the one with the lowest held-out loss where that is measured, else with
    /// the highest accuracy, the earliest of equals. Evaluation items are never
    /// looked at, and what is evaluated stays the last update's policy.
    pub keep_best: Option<bool>,
    /// Updates in a row that may be skipped because a loss or gradient was not
    /// finite; one more stops the run. 0: the first one stops it.
    pub max_skipped_updates: Option<u64>,
    /// Updates between validations; `eval_steps` in TRL.
    #[serde(alias = "eval_steps")]
    pub validation_steps: Option<u64>,
}

/// Settings with nothing left open. Defaults are TRL's where TRL has the
/// setting, except `steps`, which has none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each field is documented in TrainingSettings")]
pub struct Training {
    pub steps: u64,
    pub optimizer: Optimizer,
    pub learning_rate: f64,
    pub muon_learning_rate: f64,
    pub schedule: Schedule,
    pub final_ratio: f64,
    pub warmup_steps: u64,
    pub weight_decay: f64,
    pub adam_beta1: f64,
    pub adam_beta2: f64,
    pub adam_epsilon: f64,
    pub max_grad_norm: f64,
    pub micro_batch_tokens: usize,
    pub dtype: PrecisionChoice,
    pub gradient_checkpointing: bool,
    pub save_steps: u64,
    pub keep_last: u64,
    pub keep_best: bool,
    pub max_skipped_updates: u64,
    pub validation_steps: u64,
}

impl TrainingSettings {
    /// Fills what is absent here from `inherited`, then from the defaults.
    /// `place` names the table in messages.
    pub fn resolve(&self, inherited: &Self, place: &str) -> Result<Training, String> {
        let a = self;
        let b = inherited;
        let steps = a.steps.or(b.steps).ok_or_else(|| {
            format!("{place}.steps is missing: say how many optimizer updates to make")
        })?;
        let training = Training {
            steps,
            optimizer: a.optimizer.or(b.optimizer).unwrap_or(Optimizer::Adamw),
            learning_rate: a.learning_rate.or(b.learning_rate).unwrap_or(1e-6),
            muon_learning_rate: a
                .muon_learning_rate
                .or(b.muon_learning_rate)
                .unwrap_or(0.02),
            schedule: a.schedule.or(b.schedule).unwrap_or(Schedule::Linear),
            final_ratio: a.final_ratio.or(b.final_ratio).unwrap_or(0.0),
            warmup_steps: a.warmup_steps.or(b.warmup_steps).unwrap_or(0),
            weight_decay: a.weight_decay.or(b.weight_decay).unwrap_or(0.0),
            adam_beta1: a.adam_beta1.or(b.adam_beta1).unwrap_or(0.9),
            adam_beta2: a.adam_beta2.or(b.adam_beta2).unwrap_or(0.999),
            adam_epsilon: a.adam_epsilon.or(b.adam_epsilon).unwrap_or(1e-8),
            max_grad_norm: a.max_grad_norm.or(b.max_grad_norm).unwrap_or(1.0),
            micro_batch_tokens: a
                .micro_batch_tokens
                .or(b.micro_batch_tokens)
                .unwrap_or(8192),
            dtype: a.dtype.or(b.dtype).unwrap_or_default(),
            gradient_checkpointing: a
                .gradient_checkpointing
                .or(b.gradient_checkpointing)
                .unwrap_or(false),
            save_steps: a.save_steps.or(b.save_steps).unwrap_or(500),
            keep_last: a.keep_last.or(b.keep_last).unwrap_or(2),
            keep_best: a.keep_best.or(b.keep_best).unwrap_or(false),
            max_skipped_updates: a
                .max_skipped_updates
                .or(b.max_skipped_updates)
                .unwrap_or(10),
            validation_steps: a.validation_steps.or(b.validation_steps).unwrap_or(50),
        };
        training.check(place)?;
        Ok(training)
    }
}

impl Training {
    fn check(&self, place: &str) -> Result<(), String> {
        let positive = [
            ("steps", self.steps as f64),
            ("learning_rate", self.learning_rate),
            ("muon_learning_rate", self.muon_learning_rate),
            ("adam_epsilon", self.adam_epsilon),
            ("max_grad_norm", self.max_grad_norm),
            ("micro_batch_tokens", self.micro_batch_tokens as f64),
            ("save_steps", self.save_steps as f64),
            ("keep_last", self.keep_last as f64),
            ("validation_steps", self.validation_steps as f64),
        ];
        for (name, value) in positive {
            if !(value.is_finite() && value > 0.0) {
                return Err(format!("{place}.{name} = {value}: it must be above 0"));
            }
        }
        if self.warmup_steps > self.steps {
            return Err(format!(
                "{place}.warmup_steps = {}, but {place}.steps = {}: the learning rate would never reach its peak; warm up over fewer updates",
                self.warmup_steps, self.steps
            ));
        }
        if !(0.0..=1.0).contains(&self.final_ratio) {
            return Err(format!(
                "{place}.final_ratio = {}: it is a share between 0 and 1",
                self.final_ratio
            ));
        }
        for (name, value) in [
            ("adam_beta1", self.adam_beta1),
            ("adam_beta2", self.adam_beta2),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(format!(
                    "{place}.{name} = {value}: it is a share of the old moment, at least 0 and below 1"
                ));
            }
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return Err(format!(
                "{place}.weight_decay = {}: it cannot be negative",
                self.weight_decay
            ));
        }
        Ok(())
    }

    /// Share of the peak learning rate at update `step`, counted from 0, by the
    /// formulas of transformers' schedules: a warm-up of `w` updates begins at
    /// 0, goes up by `1/w` an update, and the peak is first reached at update `w`.
    pub fn rate(&self, step: u64) -> f64 {
        if step < self.warmup_steps {
            return step as f64 / self.warmup_steps as f64;
        }
        let span = self.steps.saturating_sub(self.warmup_steps).max(1) as f64;
        let progress = ((step - self.warmup_steps) as f64 / span).min(1.0);
        let left = match self.schedule {
            Schedule::Constant => return 1.0,
            Schedule::Linear => 1.0 - progress,
            Schedule::Cosine => 0.5 * (1.0 + (std::f64::consts::PI * progress).cos()),
        };
        self.final_ratio + (1.0 - self.final_ratio) * left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> TrainingSettings {
        TrainingSettings {
            steps: Some(10),
            ..TrainingSettings::default()
        }
    }

    #[test]
    fn an_arm_states_only_what_differs() {
        let shared = TrainingSettings {
            learning_rate: Some(1e-3),
            weight_decay: Some(0.1),
            ..settings()
        };
        let arm = TrainingSettings {
            learning_rate: Some(5e-4),
            ..TrainingSettings::default()
        };
        let resolved = arm.resolve(&shared, "arm.x.training").unwrap();
        assert_eq!(resolved.steps, 10);
        assert!((resolved.learning_rate - 5e-4).abs() < f64::EPSILON);
        assert!((resolved.weight_decay - 0.1).abs() < f64::EPSILON);
    }

    #[test]
    fn the_schedule_rises_then_falls_to_its_share() {
        let training = TrainingSettings {
            warmup_steps: Some(2),
            final_ratio: Some(0.1),
            ..settings()
        }
        .resolve(&TrainingSettings::default(), "training")
        .unwrap();
        assert!(training.rate(0).abs() < 1e-12);
        assert!((training.rate(1) - 0.5).abs() < 1e-12);
        assert!((training.rate(2) - 1.0).abs() < 1e-12);
        assert!((training.rate(10) - 0.1).abs() < 1e-12);
        assert!((training.rate(6) - 0.55).abs() < 1e-12);
    }

    #[test]
    fn what_is_missing_or_impossible_is_named_with_its_table() {
        let nothing = TrainingSettings::default();
        let missing = nothing.resolve(&nothing, "arm.sft.training").unwrap_err();
        assert!(missing.starts_with("arm.sft.training.steps"));
        let infinite = TrainingSettings {
            learning_rate: Some(f64::INFINITY),
            ..settings()
        };
        let refused = infinite.resolve(&nothing, "training").unwrap_err();
        assert!(refused.contains("learning_rate"));
        let forgetless = TrainingSettings {
            adam_beta2: Some(1.0),
            ..settings()
        };
        let refused = forgetless.resolve(&nothing, "training").unwrap_err();
        assert!(refused.starts_with("training.adam_beta2 = 1:"), "{refused}");
        let shared = TrainingSettings {
            warmup_steps: Some(11),
            ..TrainingSettings::default()
        };
        let refused = settings().resolve(&shared, "arm.x.training").unwrap_err();
        assert!(
            refused.starts_with("arm.x.training.warmup_steps = 11, but arm.x.training.steps = 10"),
            "{refused}"
        );
        let shared = TrainingSettings {
            warmup_steps: Some(10),
            ..TrainingSettings::default()
        };
        assert!(settings().resolve(&shared, "training").is_ok());
    }
}
