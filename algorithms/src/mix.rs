//! Any imitating and any reinforcing algorithm in turn, so that the fraction of updates that
//! are on-policy is one number between two poles.
//!
//! At `share = 0` every update is the imitating algorithm's, at 1 the reinforcing one's, each
//! as it would be alone: each meets its demonstrations and problems in the order in which it
//! would meet them by itself. The turns are a fixed alternation that keeps to the share; where
//! a collection of samples serves several updates, these follow each other. One optimizer,
//! with one memory, serves both.

use tch::Tensor;

use crate::alternation::{Ramp, turn};
use crate::entropy::EntropyBonus;
use crate::phase::Phase;
use crate::policy_loss::LossError;
use crate::settings::settings;
use crate::{
    Algorithm, AlgorithmSettings, Batch, Collected, Lab, LabError, Metrics, ReferenceSync, Sft,
    TokenBatch,
};

settings! {
    /// Settings of `mix`.
    ///
    /// Worked example: `share = 0, share_final = 1, share_steps = 100` with `imitate.sft` and
    /// `reinforce.grpo` leads from mimicry to mastery over 100 updates.
    Mix {
        /// Share of the updates that reinforce.
        share: f64 = 0.5,
        /// The share that it goes to, where it does not stay.
        share_final: Option<f64> = None,
        /// Updates on the way to it.
        share_steps: u64 = 0,
        /// The algorithm that imitates, with its settings.
        imitate: Box<AlgorithmSettings> = Box::new(AlgorithmSettings::Sft(Sft::default())),
        /// The algorithm that reinforces, with its settings.
        reinforce: Box<AlgorithmSettings> = Box::new(AlgorithmSettings::Grpo(Box::default())),
    }
}

impl Mix {
    fn ramp(&self) -> Ramp {
        Ramp {
            from: self.share,
            to: self.share_final.unwrap_or(self.share),
            steps: self.share_steps,
        }
    }

    fn both(&self) -> (&dyn Algorithm, &dyn Algorithm) {
        (self.imitate.algorithm(), self.reinforce.algorithm())
    }
}

impl Algorithm for Mix {
    fn name(&self) -> &'static str {
        "mix"
    }

    fn check(&self) -> Result<(), String> {
        let (imitate, reinforce) = self.both();
        self.ramp().check(["share", "share_final"])?;
        if self.share_final.is_some() != (self.share_steps > 0) {
            return Err(format!(
                "share_steps = {}: it goes with share_final, the share that is reached after so many updates",
                self.share_steps
            ));
        }
        if !imitate.imitates() || imitate.samples().is_some() {
            return Err(format!(
                "imitate.{}: it has to learn from demonstrations alone; use sft",
                imitate.name()
            ));
        }
        if reinforce.imitates() || reinforce.samples().is_none() || reinforce.divergence().is_some()
        {
            return Err(format!(
                "reinforce.{}: it has to learn from own samples alone; use grpo, rloo, reinforce++, rft or opd",
                reinforce.name()
            ));
        }
        let place =
            |part: &str, of: &dyn Algorithm, error: String| format!("{part}.{}.{error}", of.name());
        imitate
            .check()
            .map_err(|error| place("imitate", imitate, error))?;
        reinforce
            .check()
            .map_err(|error| place("reinforce", reinforce, error))
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let (imitate, reinforce) = self.both();
        let updates = reinforce
            .samples()
            .map_or(1, |phase| phase.updates_a_phase());
        let turn = turn(step, self.ramp(), updates);
        let whose = if turn.is_sampled { reinforce } else { imitate };
        let mut collected = whose.collect(turn.before, lab)?;
        for batch in &mut collected.batches {
            for example in &mut batch.examples {
                example.demonstrated = !turn.is_sampled;
            }
        }
        let reinforced = f64::from(u8::from(turn.is_sampled));
        let told = ("mix/reinforced".to_owned(), reinforced);
        collected.metrics.extend([told]);
        Ok(collected)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let (imitate, reinforce) = self.both();
        if tokens.demonstrated.contains(&true) {
            imitate.loss(tokens, batch)
        } else {
            reinforce.loss(tokens, batch)
        }
    }

    fn samples(&self) -> Option<Phase> {
        self.reinforce.algorithm().samples()
    }

    fn imitates(&self) -> bool {
        true
    }

    fn learns_from_reward(&self) -> bool {
        self.reinforce.algorithm().learns_from_reward()
    }

    fn needs_reference(&self) -> bool {
        self.reinforce.algorithm().needs_reference()
    }

    fn needs_teacher(&self) -> bool {
        self.reinforce.algorithm().needs_teacher()
    }

    fn entropy(&self) -> Option<EntropyBonus> {
        self.reinforce.algorithm().entropy()
    }

    fn reference_sync(&self) -> Option<ReferenceSync> {
        self.reinforce.algorithm().reference_sync()
    }
}

#[cfg(test)]
mod tests;
