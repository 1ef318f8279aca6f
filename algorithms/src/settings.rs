//! How settings are declared, and which algorithms there are.

use serde::{Deserialize, Serialize};

use crate::{
    Algorithm, Chord, Gkd, Grpo, Luffy, Mix, Opd, ReinforcePlusPlus, Rft, Rloo, Sdft, Sft,
};

/// Declares the settings of an algorithm, each with its default. With `samples (P, G)` they
/// begin with the sizes of a rollout phase, by default `P` problems with `G` completions.
macro_rules! settings {
    (@declare $(#[$meta:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
    ($(#[$meta:meta])* $name:ident samples ($prompts:expr, $completions:expr) {
        $($(#[$doc:meta])* $field:ident: $type:ty = $default:expr,)*
    }) => {
        $crate::settings::settings! { @declare $(#[$meta])* $name {
            /// Problems of one rollout phase.
            prompts_per_generation: usize = $prompts,
            /// Completions a problem.
            num_generations: usize = $completions,
            /// Optimizer updates that share one rollout phase; each takes its share of the
            /// problems. TRL's setting of that name counts micro-batches.
            steps_per_generation: usize = 1,
            /// How often a rollout phase is gone through before the next.
            num_iterations: usize = 1,
            $($(#[$doc])* $field: $type = $default,)*
        } }

        impl $name {
            pub(crate) fn sizes(&self) -> $crate::phase::Phase {
                $crate::phase::Phase {
                    prompts: self.prompts_per_generation,
                    group: self.num_generations,
                    updates: self.steps_per_generation,
                    iterations: self.num_iterations,
                }
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($fields:tt)* }) => {
        $crate::settings::settings! { @declare $(#[$meta])* $name { $($fields)* } }
    };
}
pub(crate) use settings;

/// Which algorithm, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlgorithmSettings {
    /// Supervised fine-tuning on the teacher's traces.
    Sft(Sft),
    /// Group relative policy optimization and its family.
    Grpo(Box<Grpo>),
    /// REINFORCE with a leave-one-out baseline.
    Rloo(Rloo),
    /// REINFORCE with batch-normalised advantages.
    #[serde(rename = "reinforce++", alias = "reinforce_plus_plus")]
    ReinforcePlusPlus(ReinforcePlusPlus),
    /// Rejection sampling: imitation of one's own best samples.
    Rft(Rft),
    /// On-policy distillation by sampled tokens.
    Opd(Opd),
    /// Generalized knowledge distillation over the whole vocabulary.
    Gkd(Gkd),
    /// Self-distillation from a prompt that has a demonstration in it.
    Sdft(Sdft),
    /// SFT and GRPO in one loss.
    Chord(Box<Chord>),
    /// GRPO with demonstrations in its groups.
    Luffy(Box<Luffy>),
    /// An imitating and a reinforcing algorithm in turn.
    Mix(Mix),
}

impl AlgorithmSettings {
    /// The algorithm itself.
    pub fn algorithm(&self) -> &dyn Algorithm {
        match self {
            Self::Sft(own) => own,
            Self::Grpo(own) => own.as_ref(),
            Self::Rloo(own) => own,
            Self::ReinforcePlusPlus(own) => own,
            Self::Rft(own) => own,
            Self::Opd(own) => own,
            Self::Gkd(own) => own,
            Self::Sdft(own) => own,
            Self::Chord(own) => own.as_ref(),
            Self::Luffy(own) => own.as_ref(),
            Self::Mix(own) => own,
        }
    }
}
