//! Group relative policy optimization: mastery.
//!
//! Source: Shao et al. 2024 (arXiv 2402.03300) and its family; the loss is
//! [`Objective`](crate::Objective), where each is named. Settings have TRL 1.16's names and,
//! but for those said below, its defaults.
//!
//! Departures from the paper: by default no KL term and no reference model
//! (TRL's `beta = 0`); rollouts without any gradient are not sent through the
//! model at all, though they stay in the normaliser. Departures from TRL:
//! - the importance ratio is taken against the sampler's own log-probabilities
//!   (`old_logprobs = "recomputed"` is TRL's way, and the only one where another
//!   engine samples and [`crate::Correction`] weighs its rollouts);
//! - with `steps_per_generation` above 1, each update takes whole groups, and
//!   `dapo` divides by the tokens of that update, where TRL shuffles rollouts
//!   and divides by the phase's tokens an update;
//! - `bnpo` counts the tokens of the update, not of each micro-batch;
//! - `top_entropy_quantile` picks tokens once, over the update, by the policy
//!   at the phase's beginning, where TRL picks in each micro-batch by the
//!   policy of the moment; the two agree at a phase's first update in one
//!   micro-batch;
//! - the entropy bonus is a mean over the tokens of the update;
//! - `off_policy_mask_threshold` goes by what the ratio is taken against, also where
//!   another engine samples.
//!
//! On-policy the ratio is 1 and advantages sum to zero within a group, so the
//! loss sits near 0 by construction. Its gradient does not.

mod check;
mod settings;

use tch::Tensor;

pub use settings::{Grpo, ImportanceSamplingLevel, LossType, MultiObjectiveAggregation};

use crate::advantages::{Deviation, decoupled_advantages, group_advantages};
use crate::entropy::EntropyBonus;
use crate::phase::{Group, OldLogprobs, Phase, rewards_of};
use crate::policy_loss::{Average, LossError};
use crate::reinforcement::{Counts, Credit, Reinforcement, Sample};
use crate::{Batch, LabError, Metrics, ReferenceSync, RewardPart, Rollout, TokenBatch};

impl Grpo {
    /// One advantage a rollout, in the order of the groups.
    pub(crate) fn advantages(&self, groups: &[Group]) -> Result<Vec<f64>, LabError> {
        let deviation = Deviation {
            ddof: self.advantage_ddof,
            epsilon: self.advantage_epsilon,
        };
        let group = groups.first().map_or(1, |group| group.rollouts.len());
        if self.multi_objective_aggregation == MultiObjectiveAggregation::SumThenNormalize {
            let rewards = rewards_of(groups);
            return Ok(group_advantages(
                &rewards,
                group,
                self.scale_rewards,
                deviation,
            ));
        }
        let rollouts = || groups.iter().flat_map(|group| &group.rollouts);
        let functions = rollouts().next().map_or(0, |rollout| rollout.parts.len());
        if functions == 0 || rollouts().any(|rollout| rollout.parts.len() != functions) {
            return Err(LabError::NoParts);
        }
        let parts: Vec<Option<&[RewardPart]>> = rollouts()
            .map(|rollout| rollout.reward.map(|_| rollout.parts.as_slice()))
            .collect();
        Ok(decoupled_advantages(&parts, group, deviation))
    }
}

impl Reinforcement for Grpo {
    fn title(&self) -> &'static str {
        "grpo"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.check()
    }

    fn refills(&self) -> usize {
        self.dynamic_sampling_rounds
    }

    fn takes_part(&self, rollout: &Rollout) -> bool {
        !(self.mask_truncated_completions && rollout.truncated)
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        Some(self.old_logprobs)
    }

    fn holds_to_reference(&self) -> bool {
        self.beta != 0.0
    }

    fn entropy_bonus(&self) -> Option<EntropyBonus> {
        self.bonus()
    }

    fn sync(&self) -> Option<ReferenceSync> {
        self.sync_ref_model.then_some(ReferenceSync {
            mixup_alpha: self.ref_model_mixup_alpha,
            steps: self.ref_model_sync_steps,
        })
    }

    fn is_near_zero(&self) -> bool {
        // The others' gains are ratios of 1 times weights that sum to 0.
        self.loss_type.clips() || matches!(self.loss_type, LossType::Sapo | LossType::GeoMean)
    }

    fn credit(&self, groups: &[Group], _: &[Sample], _: &mut Metrics) -> Result<Credit, LabError> {
        self.advantages(groups).map(Credit::Rollouts)
    }

    fn normaliser(&self, counts: Counts) -> Result<f64, LabError> {
        let average = self.loss_type.average();
        if counts.cap.is_none() && average == Average::Cap {
            return Err(LabError::NoLengthCap);
        }
        let (tokens, rollouts) = (counts.tokens as f64, counts.rollouts as f64);
        Ok(average.normaliser(tokens, rollouts, counts.cap.unwrap_or(0) as f64))
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        self.objective().loss(tokens, batch)
    }
}

#[cfg(test)]
mod tests;
