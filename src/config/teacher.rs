//! `[teacher]`: where the demonstrations of the imitating arms come from, and
//! what of them is trained.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{AlgorithmSettings, BaseSettings, one};
use crate::training::TrainingSettings;

/// `[teacher]`: a base of its own trained by reinforcement, or a recording.
///
/// Worked examples: `[teacher.traces] file = "traces.jsonl"` alone; or
/// `[teacher.traces] worked = true, problems = 1500`, the tasks' own worked
/// solutions; or `[teacher.base.shape]`, `[teacher.base.pretraining]`,
/// `[teacher.algorithm.grpo]`, `[teacher.reward.correct]`, and
/// `[teacher.traces] problems = 1500, samples = 2, only_correct = true`; or
/// `[teacher.base] model = "…"` and no algorithm, a reasoner as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherSettings {
    /// The base it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseSettings>,
    /// How it is trained; a model that is there may be shown as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmSettings>,
    /// The tasks that it learns from and shows; all of `tasks.names` that models can
    /// be trained on where it says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
    /// What it is rewarded for.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub reward: toml::Table,
    /// What differs from `[training]`.
    #[serde(default)]
    pub training: TrainingSettings,
    /// One teacher serves all seeds of the arms; this is its own.
    #[serde(default)]
    pub seed: u64,
    /// What the students are shown of it.
    pub traces: TraceSettings,
}

impl TeacherSettings {
    /// Whether the teacher is a model of the experiment, evaluated like others.
    pub fn is_model(&self) -> bool {
        self.base.is_some()
    }
}

/// `[teacher.traces]`: what is shown, and what of it is trained.
///
/// Worked example, of conversations of which only what the assistant wrote is
/// trained: `file = "conversations.parquet", held_out = 100, max_length = 1024,
/// assistant_only_loss = true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of the definition"
)]
pub struct TraceSettings {
    /// A data set in one of TRL's formats, JSONL or Parquet, in place of
    /// sampling. A relative path starts at the definition's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The tasks' own correct work, as a rule writes it, in place of sampling.
    #[serde(default)]
    pub worked: bool,
    /// Training problems that are shown.
    #[serde(default)]
    pub problems: u64,
    /// Samples of each.
    #[serde(default = "one")]
    pub samples: usize,
    /// Whether wrong and truncated ones are left out.
    #[serde(default)]
    pub only_correct: bool,
    /// Whether only the sample with the highest reward of each problem is kept.
    #[serde(default)]
    pub best_only: bool,
    /// Validation problems whose traces make the held-out loss. Of a recording,
    /// the last so many lines.
    #[serde(default)]
    pub held_out: u64,
    /// Tokens of the longest demonstration; longer ones are left out, counted and
    /// named. Without it the model's context bounds them, and a longer one is an
    /// error. TRL's default is 1024, and TRL cuts the end off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<usize>,
    /// Whether the prompt is left untrained; as a rule it is, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_only_loss: Option<bool>,
    /// Whether only what the assistant wrote is trained, as the chat template's
    /// `{% generation %}` blocks mark it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub assistant_only_loss: bool,
}
