//! Group relative policy optimization: mastery.
//!
//! Source: Shao et al. 2024 (arXiv 2402.03300) and its family; the loss is
//! [`Objective`], where each is named. Settings have TRL 1.16's names and, but
//! for those said below, its defaults.
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
//! - the entropy bonus is a mean over the tokens of the update.
//!
//! On-policy the ratio is 1 and advantages sum to zero within a group, so the
//! loss sits near 0 by construction. Its gradient does not.

mod check;

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::advantages::{AdvantageScale, Deviation, decoupled_advantages, group_advantages};
use crate::correction::Mismatch;
use crate::lab::scores;
use crate::policy_loss::{ImportanceSamplingLevel, KlEstimator, LossError, LossType, Objective};
use crate::rollouts::{
    Group, OldLogprobs, Plan, forget_old_logprobs, recompute_old_logprobs, rewards_of,
    tell_advantages, token_count,
};
use crate::{
    Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, ReferenceSync, RewardPart,
    Scorer, TokenBatch,
};

/// How several rewards become one advantage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MultiObjectiveAggregation {
    /// Their weighted sum is a reward like any other.
    SumThenNormalize,
    /// Each is normalised within its group, their weighted sum over the batch (GDPO).
    NormalizeThenSum,
}

/// Settings of `grpo`.
///
/// Worked examples: the default is TRL's default. Dr. GRPO: `loss_type =
/// "dr_grpo", scale_rewards = "none"`. GSPO: `loss_type = "grpo",
/// importance_sampling_level = "sequence", epsilon = 3e-4, epsilon_high = 4e-4`.
/// DAPO: `epsilon_high = 0.28, dynamic_sampling_rounds = 3,
/// mask_truncated_completions = true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grpo {
    /// Problems of one rollout phase.
    pub prompts_per_generation: usize,
    /// Completions a problem.
    pub num_generations: usize,
    /// Optimizer updates that share one rollout phase; each takes its share of the groups.
    pub steps_per_generation: usize,
    /// How often a rollout phase is gone through before the next.
    pub num_iterations: usize,
    /// Rounds in which groups that are all alike are replaced by new problems
    /// (DAPO's dynamic sampling), at most 100; 0 replaces none. Only what is missing is
    /// sampled, from problems no phase comes to otherwise; what is missing
    /// after the last round is made up by groups that are alike.
    pub dynamic_sampling_rounds: usize,
    /// Whether completions that the token cap cut off are left out of the loss.
    /// Their rewards stay in their group's mean.
    pub mask_truncated_completions: bool,
    /// How tokens gain and what their sum is divided by.
    pub loss_type: LossType,
    /// Whether each token or each completion has an importance ratio.
    pub importance_sampling_level: ImportanceSamplingLevel,
    /// What the importance ratio is taken against; TRL's is `recomputed`, which
    /// it is wherever the lab corrects for another engine's sampling.
    pub old_logprobs: OldLogprobs,
    /// Lower and upper clip range of the importance ratio.
    pub epsilon: f64,
    /// Upper clip range, where it differs from `epsilon`; in `cispo` the
    /// largest ratio itself, to be given (5.0 is usual).
    pub epsilon_high: Option<f64>,
    /// Upper bound of the ratio where the clip does not bite, which is where
    /// the advantage is negative; at least `1 + epsilon_high`.
    pub delta: Option<f64>,
    /// Temperature of `sapo` where the advantage is positive.
    pub sapo_temperature_pos: f64,
    /// Temperature of `sapo` elsewhere.
    pub sapo_temperature_neg: f64,
    /// Weight of the divergence from the reference model; 0 needs none.
    pub beta: f64,
    /// How the divergence is estimated; TRL has `k3` alone.
    pub kl_estimator: KlEstimator,
    /// Whether a token's divergence is multiplied by its importance ratio,
    /// which makes its gradient that of the reverse divergence.
    pub use_bias_correction_kl: bool,
    /// Whether the reference follows the policy.
    pub sync_ref_model: bool,
    /// Share of the policy in the reference at each step of following.
    pub ref_model_mixup_alpha: f64,
    /// Updates between steps of following.
    pub ref_model_sync_steps: u64,
    /// Scale of the advantages.
    pub scale_rewards: AdvantageScale,
    /// How several rewards become one.
    pub multi_objective_aggregation: MultiObjectiveAggregation,
    /// Subtracted from the number of rewards in a standard deviation: 1 in TRL
    /// and verl, 0 elsewhere.
    pub advantage_ddof: usize,
    /// Added to the standard deviation. TRL adds 1e-4; small models with few
    /// reward levels want more, or a single odd sample dominates its group.
    pub advantage_epsilon: f64,
    /// Share of the tokens, those of the highest entropy, that are pushed.
    pub top_entropy_quantile: f64,
    /// Weight of the mean entropy over the tokens that are pushed.
    pub entropy_coef: f64,
}

impl Default for Grpo {
    fn default() -> Self {
        Self {
            prompts_per_generation: 8,
            num_generations: 8,
            steps_per_generation: 1,
            num_iterations: 1,
            dynamic_sampling_rounds: 0,
            mask_truncated_completions: false,
            loss_type: LossType::Dapo,
            importance_sampling_level: ImportanceSamplingLevel::Token,
            old_logprobs: OldLogprobs::Sampled,
            epsilon: 0.2,
            epsilon_high: None,
            delta: None,
            sapo_temperature_pos: 1.0,
            sapo_temperature_neg: 1.05,
            beta: 0.0,
            kl_estimator: KlEstimator::K3,
            use_bias_correction_kl: true,
            sync_ref_model: false,
            ref_model_mixup_alpha: 0.6,
            ref_model_sync_steps: 512,
            scale_rewards: AdvantageScale::Group,
            multi_objective_aggregation: MultiObjectiveAggregation::SumThenNormalize,
            advantage_ddof: 1,
            advantage_epsilon: 1e-4,
            top_entropy_quantile: 1.0,
            entropy_coef: 0.0,
        }
    }
}

impl Grpo {
    fn plan(&self) -> Plan {
        Plan {
            prompts: self.prompts_per_generation,
            group: self.num_generations,
            updates: self.steps_per_generation,
            iterations: self.num_iterations,
        }
    }

    /// The loss these settings describe.
    pub fn objective(&self) -> Objective {
        Objective {
            loss_type: self.loss_type,
            importance_sampling_level: self.importance_sampling_level,
            epsilon: self.epsilon,
            epsilon_high: self.epsilon_high.unwrap_or(self.epsilon),
            delta: self.delta,
            sapo_temperature_pos: self.sapo_temperature_pos,
            sapo_temperature_neg: self.sapo_temperature_neg,
            beta: self.beta,
            kl_estimator: self.kl_estimator,
            use_bias_correction_kl: self.use_bias_correction_kl,
        }
    }

    /// One advantage a rollout, in the order of the groups.
    fn advantages(&self, groups: &[Group]) -> Result<Vec<f64>, LabError> {
        let deviation = Deviation {
            ddof: self.advantage_ddof,
            epsilon: self.advantage_epsilon,
        };
        match self.multi_objective_aggregation {
            MultiObjectiveAggregation::SumThenNormalize => Ok(group_advantages(
                &rewards_of(groups),
                self.num_generations,
                self.scale_rewards,
                deviation,
            )),
            MultiObjectiveAggregation::NormalizeThenSum => {
                let rollouts = || groups.iter().flat_map(|group| &group.rollouts);
                let functions = rollouts().next().map_or(0, |rollout| rollout.parts.len());
                if functions == 0 || rollouts().any(|rollout| rollout.parts.len() != functions) {
                    return Err(LabError::NoParts);
                }
                let parts: Vec<Option<&[RewardPart]>> = rollouts()
                    .map(|rollout| rollout.reward.map(|_| rollout.parts.as_slice()))
                    .collect();
                Ok(decoupled_advantages(
                    &parts,
                    self.num_generations,
                    deviation,
                ))
            }
        }
    }

    /// The batch of one update. `advantages` goes on from update to update.
    fn batch(
        &self,
        groups: &[Group],
        advantages: &mut impl Iterator<Item = f64>,
        lab: &mut dyn Lab,
        mismatch: &mut Mismatch,
    ) -> Result<Batch, LabError> {
        let mut examples = Vec::new();
        let mut rows = 0usize;
        for group in groups {
            for (rollout, advantage) in group.rollouts.iter().zip(advantages.by_ref()) {
                rows += 1;
                let masked = self.mask_truncated_completions && rollout.truncated;
                if !masked && !rollout.completion.is_empty() {
                    examples.push(group.example(rollout, advantage));
                }
            }
        }
        let cap = match lab.max_completion_length() {
            None if self.loss_type == LossType::DrGrpo => return Err(LabError::NoLengthCap),
            cap => cap.unwrap_or(0) as f64,
        };
        let tokens = token_count(&examples);
        let normaliser = self.loss_type.normaliser(tokens as f64, rows as f64, cap);
        self.weigh_entropy(&mut examples, lab)?;
        if self.beta == 0.0 && self.entropy_coef == 0.0 {
            examples.retain(|example| example.weights.iter().any(|&weight| weight != 0.0));
        }
        let correction = lab.correction();
        if let Some(correction) = correction {
            correction.apply(&mut examples, lab, mismatch)?;
        }
        let recomputed = correction.is_some();
        if recomputed || self.old_logprobs == OldLogprobs::Recomputed {
            if self.plan().is_on_policy() {
                forget_old_logprobs(&mut examples);
            } else if !recomputed {
                recompute_old_logprobs(&mut examples, lab)?;
            }
        }
        if self.beta != 0.0 && !examples.is_empty() {
            let scores = scores(lab, Scorer::Reference, &examples)?;
            for (example, scores) in examples.iter_mut().zip(scores) {
                example.reference_logprobs = Some(scores.logprobs);
            }
        }
        Ok(Batch {
            examples,
            normaliser,
            tokens,
        })
    }

    /// Takes the weight from tokens below the entropy quantile, and gives the
    /// others their share of the entropy bonus.
    fn weigh_entropy(&self, examples: &mut [Example], lab: &mut dyn Lab) -> Result<(), LabError> {
        let selects = self.top_entropy_quantile < 1.0;
        if examples.is_empty() || !(selects || self.entropy_coef != 0.0) {
            return Ok(());
        }
        let kept: Vec<Vec<bool>> = if selects {
            let scores = scores(lab, Scorer::Policy, examples)?;
            let all: Vec<f32> = scores.iter().flat_map(|s| &s.entropies).copied().collect();
            let threshold = quantile(all, 1.0 - self.top_entropy_quantile);
            let keeps = |&entropy: &f32| f64::from(entropy) >= threshold;
            scores
                .iter()
                .map(|scores| scores.entropies.iter().map(keeps).collect())
                .collect()
        } else {
            let all = |example: &Example| vec![true; example.completion.len()];
            examples.iter().map(all).collect()
        };
        let count = kept.iter().flatten().filter(|&&kept| kept).count().max(1);
        let bonus = (self.entropy_coef / count as f64) as f32;
        for (example, kept) in examples.iter_mut().zip(kept) {
            for (weight, &kept) in example.weights.iter_mut().zip(&kept) {
                if !kept {
                    *weight = 0.0;
                }
            }
            if self.entropy_coef != 0.0 {
                let weights = kept.iter().map(|&kept| if kept { bonus } else { 0.0 });
                example.entropy_weights = Some(weights.collect());
            }
        }
        Ok(())
    }
}

/// The value below which the share `q` of the values lies, interpolated
/// linearly between the two nearest.
fn quantile(mut values: Vec<f32>, q: f64) -> f64 {
    values.sort_by(f32::total_cmp);
    let place = q * (values.len().max(1) - 1) as f64;
    let at = |place: f64| values.get(place as usize).map_or(0.0, |&v| f64::from(v));
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

impl Algorithm for Grpo {
    fn name(&self) -> &'static str {
        "grpo"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let plan = self.plan();
        let (groups, mut metrics) = plan.sample(step, lab, self.dynamic_sampling_rounds)?;
        let advantages = self.advantages(&groups)?;
        tell_advantages(&groups, &advantages, lab);
        let mut advantages = advantages.into_iter();
        let mut mismatch = Mismatch::default();
        let batches = plan
            .updates_of(&groups)
            .map(|groups| self.batch(groups, &mut advantages, lab, &mut mismatch))
            .collect::<Result<Vec<_>, _>>()?;
        metrics.extend(mismatch.metrics());
        Ok(plan.collected(&batches, metrics))
    }

    fn problems_met(&self, updates: u64) -> u64 {
        self.plan().problems_met(updates)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        self.objective()
            .loss(tokens, batch.normaliser, batch.tokens as f64)
    }

    fn needs_reference(&self) -> bool {
        self.beta != 0.0
    }

    fn needs_entropies(&self) -> bool {
        self.entropy_coef != 0.0
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        self.sync_ref_model.then_some(ReferenceSync {
            mixup_alpha: self.ref_model_mixup_alpha,
            steps: self.ref_model_sync_steps,
        })
    }
}

#[cfg(test)]
mod tests;
