//! `[….algorithm.NAME]`: which algorithm, with its settings.

use algorithms::{Algorithm, Grpo, LossType, Opd, ReinforcePlusPlus, Rft, Rloo, Sft};
use serde::{Deserialize, Serialize};

/// Which algorithm, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlgorithmSettings {
    /// Supervised fine-tuning on the teacher's traces.
    Sft(Sft),
    /// Group relative policy optimization and its family.
    Grpo(Grpo),
    /// REINFORCE with a leave-one-out baseline.
    Rloo(Rloo),
    /// REINFORCE with batch-normalised advantages.
    #[serde(rename = "reinforce++", alias = "reinforce_plus_plus")]
    ReinforcePlusPlus(ReinforcePlusPlus),
    /// Rejection sampling: imitation of one's own best samples.
    Rft(Rft),
    /// On-policy distillation: a teacher judges one's own samples.
    Opd(Opd),
}

impl AlgorithmSettings {
    /// The algorithm.
    pub fn build(&self) -> Box<dyn Algorithm> {
        match self {
            Self::Sft(sft) => Box::new(sft.clone()),
            Self::Grpo(grpo) => Box::new(grpo.clone()),
            Self::Rloo(rloo) => Box::new(rloo.clone()),
            Self::ReinforcePlusPlus(reinforce) => Box::new(reinforce.clone()),
            Self::Rft(rft) => Box::new(rft.clone()),
            Self::Opd(opd) => Box::new(opd.clone()),
        }
    }

    /// Whether it learns from demonstrations; otherwise from its own samples.
    pub fn imitates(&self) -> bool {
        matches!(self, Self::Sft(_))
    }

    /// Whether the teacher's model judges its samples.
    pub fn distils(&self) -> bool {
        matches!(self, Self::Opd(_))
    }

    /// Its name among the algorithms, and what it samples at a time: prompts, and completions
    /// of each; `None` where it samples nothing.
    pub(crate) fn samples(&self) -> (&'static str, Option<(usize, usize)>) {
        let (name, prompts, samples) = match self {
            Self::Sft(_) => return ("sft", None),
            Self::Grpo(own) => ("grpo", own.prompts_per_generation, own.num_generations),
            Self::Rloo(own) => ("rloo", own.prompts_per_generation, own.num_generations),
            Self::ReinforcePlusPlus(own) => (
                "reinforce++",
                own.prompts_per_generation,
                own.num_generations,
            ),
            Self::Rft(own) => ("rft", own.prompts_per_generation, own.num_generations),
            Self::Opd(own) => ("opd", own.prompts_per_generation, own.num_generations),
        };
        (name, Some((prompts, samples)))
    }

    /// Whether its loss is near 0 by construction as long as every rollout
    /// phase serves one update: ratios of 1 times weights that sum to 0.
    pub fn loss_is_near_zero(&self) -> bool {
        match self {
            Self::Grpo(grpo) => grpo.loss_type != LossType::Cispo,
            Self::Rloo(_) | Self::ReinforcePlusPlus(_) => true,
            _ => false,
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self {
            Self::Sft(sft) => sft.check(),
            Self::Grpo(grpo) => grpo.check(),
            Self::Rloo(rloo) => rloo.check(),
            Self::ReinforcePlusPlus(reinforce) => reinforce.check(),
            Self::Rft(rft) => rft.check(),
            Self::Opd(opd) => opd.check(),
        }
    }
}
