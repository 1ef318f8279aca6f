//! Reinforcement with guidance: demonstrations stand in the groups beside own samples.
//!
//! Source: Yan et al. 2025 (LUFFY, arXiv 2504.14945). Each group has `off_policy`
//! demonstrations of its problem beside its own completions, rewarded and compared like them.
//! Own completions are learned from as in GRPO. A token of a demonstration, of probability `p`
//! under the policy, gains `A p / (p + gamma)`: its ratio, taken against 1 since nobody knows
//! how likely it was where it comes from, is shaped so that what is unlikely still pulls, and
//! never clipped. In the paper nothing is divided by lengths or deviations, which is
//! `grpo.loss_type = "dr_grpo"` and `grpo.scale_rewards = "none"`; the defaults are those of
//! `grpo`.

use tch::Tensor;

use crate::entropy::EntropyBonus;
use crate::phase::{Group, OldLogprobs, Phase, counted};
use crate::policy_loss::LossError;
use crate::reinforcement::{Counts, Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Batch, Grpo, Lab, LabError, Metrics, Prompt, Rollout, TokenBatch};

settings! {
    /// Settings of `luffy`.
    ///
    /// Worked example: `off_policy = 1, grpo.num_generations = 7` makes groups of 8.
    Luffy {
        /// Demonstrations in each group.
        off_policy: usize = 1,
        /// `gamma` in `p / (p + gamma)`.
        shaping_gamma: f64 = 0.1,
        /// How own completions are sampled and learned from, and what all are worth.
        grpo: Grpo = Grpo::default(),
    }
}

impl Reinforcement for Luffy {
    fn title(&self) -> &'static str {
        "luffy"
    }

    fn phase(&self) -> Phase {
        self.grpo.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        if !(1..=100).contains(&self.off_policy) {
            return Err(format!(
                "off_policy = {}: a group holds 1 to 100 demonstrations; without one it is grpo",
                self.off_policy
            ));
        }
        if !(self.shaping_gamma.is_finite() && self.shaping_gamma > 0.0) {
            return Err(format!(
                "shaping_gamma = {}: it is above 0",
                self.shaping_gamma
            ));
        }
        if self.grpo.beta != 0.0 {
            return Err(format!(
                "grpo.beta = {}: luffy has no reference model; leave it at 0",
                self.grpo.beta
            ));
        }
        self.grpo.check().map_err(|error| format!("grpo.{error}"))
    }

    fn refills(&self) -> usize {
        self.grpo.refills()
    }

    fn takes_part(&self, rollout: &Rollout) -> bool {
        self.grpo.takes_part(rollout)
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        Some(self.grpo.old_logprobs)
    }

    fn entropy_bonus(&self) -> Option<EntropyBonus> {
        self.grpo.entropy_bonus()
    }

    fn joins_demonstrations(&self) -> bool {
        true
    }

    fn join(&self, groups: &mut [Group], lab: &mut dyn Lab) -> Result<(), LabError> {
        let prompts: Vec<Prompt> = groups.iter().map(|group| group.prompt.clone()).collect();
        let shown = lab.demonstrated(&prompts, self.off_policy)?;
        counted(
            "demonstrations",
            groups.len() * self.off_policy,
            shown.len(),
        )?;
        let mut shown = shown.into_iter();
        for group in groups {
            let own = shown.by_ref().take(self.off_policy);
            group.rollouts.extend(own.map(|rollout| Rollout {
                demonstrated: true,
                // What they are taken against: a probability of 1.
                logprobs: vec![0.0; rollout.completion.len()],
                ..rollout
            }));
        }
        Ok(())
    }

    fn credit(
        &self,
        groups: &[Group],
        samples: &[Sample],
        metrics: &mut Metrics,
    ) -> Result<Credit, LabError> {
        let shown = || {
            groups
                .iter()
                .flat_map(|group| &group.rollouts)
                .filter(|r| r.demonstrated)
        };
        let rewards: Vec<f64> = shown().filter_map(|rollout| rollout.reward).collect();
        if !rewards.is_empty() {
            let mean = rewards.iter().sum::<f64>() / rewards.len() as f64;
            metrics.insert("luffy/demonstration_reward".to_owned(), mean);
        }
        self.grpo.credit(groups, samples, metrics)
    }

    fn normaliser(&self, counts: Counts) -> Result<f64, LabError> {
        self.grpo.normaliser(counts)
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        let (own, metrics) = self.grpo.policy_loss(&tokens.part(false), batch)?;
        let shown = tokens.part(true);
        let p_N = shown.logprobs_N.exp();
        let gain_N = &p_N / (&p_N + self.shaping_gamma) * &shown.weights_N;
        let gain = self.grpo.loss_type.average().sum(&shown.rows(), &gain_N);
        Ok((own - gain / batch.normaliser, metrics))
    }
}

#[cfg(test)]
mod tests;
