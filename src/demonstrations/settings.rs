//! `[teacher.traces]` and `[arm.NAME.demonstrations]`: what is imitated, and what of it
//! is trained.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

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
    /// sampling. A relative path starts at the definition's folder; a file on the
    /// Hugging Face Hub is `hf://datasets/ORG/NAME[@REVISION]/PATH`.
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

impl TraceSettings {
    /// Whether they are there before a run begins.
    pub fn are_there(&self) -> bool {
        self.file.is_some() || self.worked
    }

    /// Refuses what cannot be imitated; `place` names the table.
    pub(crate) fn check(&self, place: &str) -> Result<()> {
        let shown = self.problems.max(self.held_out);
        let shown = shown.saturating_mul(self.samples as u64);
        ensure!(
            shown <= 10_000_000,
            "{place} asks for {shown} samples, at most 10,000,000 are taken"
        );
        ensure!(
            !(self.file.is_some() && self.worked),
            "{place} has both a recording (file) and worked solutions: keep one of them"
        );
        ensure!(
            self.max_length.is_none_or(|length| length >= 2),
            "{place}.max_length = {}: a prompt and a completion have two tokens at least",
            self.max_length.unwrap_or_default()
        );
        ensure!(
            !self.assistant_only_loss || self.file.is_some(),
            "{place}.assistant_only_loss = true needs conversations: name them with {place}.file"
        );
        ensure!(
            self.file.is_some() || self.samples > 0,
            "{place}.samples = 0: there would be nothing to imitate"
        );
        ensure!(
            !self.worked || self.problems > 0,
            "{place}.problems = 0: there would be nothing to imitate"
        );
        Ok(())
    }
}

fn one() -> usize {
    1
}

/// What a stage imitates, as its definition has it.
pub(crate) struct Shown<'a> {
    /// The table that says so.
    pub(crate) place: String,
    /// What is shown, and what of it is trained.
    pub(crate) traces: &'a TraceSettings,
    /// The tasks that it is of; all where none are named.
    pub(crate) tasks: Option<&'a [String]>,
    /// The seed of problems that the lab draws.
    pub(crate) seed: u64,
}
