//! Self-distillation: the policy with a demonstration in its prompt is the teacher of the
//! policy without it.
//!
//! Source: Shenfeld et al. 2026 (SDFT), with the settings of TRL 1.16's experimental trainer
//! and prime-rl's `opsd` as references: own samples of the plain prompt, the divergence over
//! the vocabulary ([`Divergence`]) from the reference model that reads the same tokens behind
//! the prompt with the demonstration. `teacher_update_rate` says what the reference is: 0 the
//! model as it began, 1 the policy itself, between an average that follows it.
//!
//! Departures from TRL: the divergence is over the whole vocabulary (its
//! `distillation_mode = "full_logits"`), there is no ratio to correct for an old policy, and
//! the policy alone writes samples.

use tch::Tensor;

use crate::divergence::{self, Divergence};
use crate::phase::{Group, OldLogprobs, Phase};
use crate::policy_loss::LossError;
use crate::reinforcement::{Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Batch, LabError, Metrics, ReferenceSync, Scorer, TokenBatch};

settings! {
    /// Settings of `sdft`.
    Sdft samples (8, 1) {
        /// 0 is the forward divergence, 1 the reverse, between lies Jensen and Shannon's.
        beta: f64 = 0.5,
        /// Logits of both are divided by it.
        temperature: f64 = 1.0,
        /// Share of the policy in the teacher at each step of following.
        teacher_update_rate: f64 = 0.05,
        /// Updates between steps of following.
        teacher_sync_steps: u64 = 1,
        /// The teacher's prompt: `{prompt}` and `{demonstration}` stand for the two texts.
        teacher_prompt_template: String = "{prompt}\n\n{demonstration}".to_owned(),
    }
}

impl Reinforcement for Sdft {
    fn title(&self) -> &'static str {
        "sdft"
    }

    fn phase(&self) -> Phase {
        self.sizes()
    }

    fn check_settings(&self) -> Result<(), String> {
        self.sizes().check()?;
        divergence::check(self.beta, self.temperature)?;
        if !(0.0..=1.0).contains(&self.teacher_update_rate) {
            return Err(format!(
                "teacher_update_rate = {}: it is a share, between 0 (the model as it began) and 1 (the policy itself)",
                self.teacher_update_rate
            ));
        }
        if self.teacher_sync_steps == 0 {
            return Err("teacher_sync_steps = 0: at least one update lies between".to_owned());
        }
        for part in ["{prompt}", "{demonstration}"] {
            if !self.teacher_prompt_template.contains(part) {
                return Err(format!(
                    "teacher_prompt_template = {:?}: it has to hold {part}",
                    self.teacher_prompt_template
                ));
            }
        }
        Ok(())
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        None
    }

    fn learns_from_reward(&self) -> bool {
        false
    }

    fn demonstration_template(&self) -> Option<&str> {
        Some(&self.teacher_prompt_template)
    }

    fn divergence(&self) -> Option<Divergence> {
        Some(Divergence {
            judge: Scorer::Reference,
            beta: self.beta,
            temperature: self.temperature,
        })
    }

    fn sync(&self) -> Option<ReferenceSync> {
        (self.teacher_update_rate > 0.0).then_some(ReferenceSync {
            mixup_alpha: self.teacher_update_rate,
            steps: self.teacher_sync_steps,
        })
    }

    fn credit(&self, _: &[Group], samples: &[Sample], _: &mut Metrics) -> Result<Credit, LabError> {
        Ok(Credit::alike(samples))
    }

    fn policy_loss(
        &self,
        tokens: &TokenBatch,
        batch: &Batch,
    ) -> Result<(Tensor, Metrics), LossError> {
        divergence::loss(tokens, batch)
    }
}

#[cfg(test)]
mod tests;
