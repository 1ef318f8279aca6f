//! Imitation and reinforcement in one loss: `(1 - mu) GRPO + mu SFT` at every update.
//!
//! Source: Zhang et al. 2025 (CHORD, arXiv 2508.11408). `mu` is constant or goes from one
//! value to another (CHORD-mu); with `loss_type = "phi"` a demonstration's token counts by
//! `p (1 - p)`, `p` its probability under the policy without gradient, so that neither what is
//! known nor what is far off pulls (CHORD-phi). The defaults are CHORD-phi's with `mu = 0.1`.
//!
//! Departure: the two terms have normalisers of their own, each over its part of the update.

use tch::Tensor;

use crate::alternation::Ramp;
use crate::batch::Imitation;
use crate::entropy::EntropyBonus;
use crate::phase::Phase;
use crate::policy_loss::LossError;
use crate::settings::settings;
use crate::{
    Algorithm, Batch, Collected, Grpo, Lab, LabError, Metrics, ReferenceSync, Sft, SftLoss,
    TokenBatch, sft,
};

settings! {
    /// Settings of `chord`.
    ///
    /// Worked example: `mu = 0.9, mu_final = 0.05, mu_steps = 100` leads from imitation to
    /// reinforcement over 100 updates.
    Chord {
        /// Weight of imitation.
        mu: f64 = 0.1,
        /// The weight that it goes to, where it does not stay.
        mu_final: Option<f64> = None,
        /// Updates on the way to it.
        mu_steps: u64 = 0,
        /// Demonstrations an optimizer update.
        batch_size: usize = 32,
        /// How strongly a demonstration's token pulls.
        loss_type: SftLoss = SftLoss::Phi,
        /// What is reinforced, and how.
        grpo: Grpo = Grpo::default(),
    }
}

impl Chord {
    fn sft(&self) -> Sft {
        Sft {
            batch_size: self.batch_size,
            loss_type: self.loss_type,
        }
    }

    fn weight(&self) -> Ramp {
        Ramp {
            from: self.mu,
            to: self.mu_final.unwrap_or(self.mu),
            steps: self.mu_steps,
        }
    }
}

impl Algorithm for Chord {
    fn name(&self) -> &'static str {
        "chord"
    }

    fn check(&self) -> Result<(), String> {
        self.weight().check(["mu", "mu_final"])?;
        if self.mu_final.is_some() != (self.mu_steps > 0) {
            return Err(format!(
                "mu_steps = {}: it goes with mu_final, the weight that is reached after so many updates",
                self.mu_steps
            ));
        }
        self.sft().check()?;
        self.grpo.check().map_err(|error| format!("grpo.{error}"))
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let mut collected = self.grpo.collect(step, lab)?;
        for (batch, step) in collected.batches.iter_mut().zip(step..) {
            let shown = sft::demonstrated_batch(step, self.batch_size, lab)?;
            for shown in shown.batches {
                batch.imitation = Some(Imitation {
                    weight: self.weight().at(step),
                    normaliser: shown.normaliser,
                });
                batch.examples.extend(shown.examples);
            }
        }
        Ok(collected)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let imitation = batch.imitation.unwrap_or_default();
        let (reinforced, mut metrics) = self.grpo.loss(&tokens.part(false), batch)?;
        let shown = tokens.part(true);
        let imitated = self.sft().loss_of(&shown) / imitation.normaliser.max(1.0);
        metrics.insert("chord/sft_loss".to_owned(), imitated.double_value(&[]));
        metrics.insert("chord/grpo_loss".to_owned(), reinforced.double_value(&[]));
        let loss = reinforced * (1.0 - imitation.weight) + imitated * imitation.weight;
        Ok((loss, metrics))
    }

    fn samples(&self) -> Option<Phase> {
        Some(self.grpo.sizes())
    }

    fn imitates(&self) -> bool {
        true
    }

    fn learns_from_reward(&self) -> bool {
        true
    }

    fn needs_reference(&self) -> bool {
        self.grpo.needs_reference()
    }

    fn entropy(&self) -> Option<EntropyBonus> {
        self.grpo.entropy()
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        self.grpo.reference_sync()
    }
}

#[cfg(test)]
mod tests;
