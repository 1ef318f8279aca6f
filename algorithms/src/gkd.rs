//! Generalized knowledge distillation: between mimicry and mastery, the teacher's whole
//! distribution at each token, on the student's samples and on demonstrations.
//!
//! Source: Agarwal et al. 2024 (arXiv 2306.13649). A share `lmbda` of the updates learns from
//! the student's own samples, the others from demonstrations; the loss is the mean over their
//! tokens of the divergence between teacher and student over the vocabulary
//! ([`Divergence`]), which no gradient of the sampling joins. Settings and numbers are those
//! of TRL 1.16, whose loss leaves the temperature at 1.
//!
//! Departures from TRL: which updates are on-policy is a fixed alternation that keeps to the
//! share, not a draw; the mean is over the update; the teacher writes no samples (`seq_kd`).
//! The teacher has to have the student's vocabulary. Logits of both are in memory some rows
//! at a time.

use tch::Tensor;

use crate::alternation::{Ramp, Turn, turn};
use crate::divergence::{self, Divergence};
use crate::phase::{Group, OldLogprobs, Phase};
use crate::policy_loss::LossError;
use crate::reinforcement::{Credit, Reinforcement, Sample};
use crate::settings::settings;
use crate::{Algorithm, Batch, Collected, Lab, LabError, Metrics, Scorer, TokenBatch, sft};

settings! {
    /// Settings of `gkd`.
    ///
    /// Worked examples: `lmbda = 0, beta = 0` is SFT towards the teacher's whole distribution;
    /// `lmbda = 1, beta = 1` is on-policy distillation, of which `opd` samples a token.
    Gkd samples (32, 1) {
        /// Share of the updates that learn from the student's own samples.
        lmbda: f64 = 0.5,
        /// 0 is the forward divergence, 1 the reverse, between lies Jensen and Shannon's.
        beta: f64 = 0.5,
        /// Logits of both are divided by it. Samples are drawn at the rollouts' own.
        temperature: f64 = 1.0,
    }
}

impl Gkd {
    fn turn(&self, step: u64) -> Turn {
        turn(
            step,
            Ramp::constant(self.lmbda),
            self.sizes().updates_a_phase(),
        )
    }
}

impl Algorithm for Gkd {
    fn name(&self) -> &'static str {
        "gkd"
    }

    fn check(&self) -> Result<(), String> {
        self.sizes().check()?;
        if !(0.0..=1.0).contains(&self.lmbda) {
            return Err(format!(
                "lmbda = {}: it is a share of the updates, between 0 and 1",
                self.lmbda
            ));
        }
        divergence::check(self.beta, self.temperature)
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let turn = self.turn(step);
        if turn.is_sampled {
            return OwnSamples(self.sizes()).collect(turn.before, lab);
        }
        let phase = self.sizes();
        let count = (phase.prompts * phase.group / phase.updates).max(1);
        sft::demonstrated_batch(turn.before, count, lab)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        divergence::loss(tokens, batch)
    }

    fn samples(&self) -> Option<Phase> {
        (self.lmbda > 0.0).then(|| self.sizes())
    }

    fn imitates(&self) -> bool {
        self.lmbda < 1.0
    }

    fn needs_teacher(&self) -> bool {
        true
    }

    fn divergence(&self) -> Option<Divergence> {
        Some(Divergence {
            judge: Scorer::Teacher,
            beta: self.beta,
            temperature: self.temperature,
        })
    }
}

/// The student's own samples, each token of which counts alike.
struct OwnSamples(Phase);

impl Reinforcement for OwnSamples {
    fn title(&self) -> &'static str {
        "gkd"
    }

    fn phase(&self) -> Phase {
        self.0
    }

    fn check_settings(&self) -> Result<(), String> {
        self.0.check()
    }

    fn old_logprobs(&self) -> Option<OldLogprobs> {
        None
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
