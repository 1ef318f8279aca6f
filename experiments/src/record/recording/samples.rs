//! Every record that a recording kept, one after another, with its names.

use super::Recording;

/// One sampled answer as a recording keeps it: without its text.
///
/// Worked example: `{model: "grpo", seed: Some(1), teacher: None, task: "alphabet_arithmetic",
/// item_id: "A+3=D", sample: 0, prompt_tokens: 6, reasoning_tokens: 14, correct: Some(true),
/// truncated: false}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample<'a> {
    /// Name of the model or arm.
    pub model: &'a str,
    /// Training seed; `None` for a model that was trained once, elsewhere.
    pub seed: Option<u64>,
    /// Training seed of the teacher that this training learned from, where the record names it.
    pub teacher: Option<u64>,
    /// Task name.
    pub task: &'a str,
    /// Item name, unique within its task.
    pub item_id: &'a str,
    /// Index of this sample among those of the same model, seed and item.
    pub sample: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens between the think tags.
    pub reasoning_tokens: u32,
    /// The task's grade; `None` where the task could not grade.
    pub correct: Option<bool>,
    /// Whether the token cap cut the completion off.
    pub truncated: bool,
}

impl Recording {
    /// The records in the order of their cells (model, seed, task and item, as they were first
    /// met), and within a cell by sample. Nothing is copied.
    pub fn each_sample(&self) -> impl Iterator<Item = Sample<'_>> {
        self.rows.iter().filter_map(|row| {
            let cell = self.cells.get(row.cell() as usize)?;
            let sampled = row.sampled();
            Some(Sample {
                model: self.models.of(cell.model),
                seed: cell.seed,
                teacher: self.teacher(cell.model, cell.seed),
                task: self.tasks.of(cell.task),
                item_id: self.item_ids.of(cell.item),
                sample: sampled.sample,
                prompt_tokens: sampled.prompt_tokens,
                reasoning_tokens: sampled.reasoning_tokens,
                correct: sampled.correct,
                truncated: sampled.truncated,
            })
        })
    }
}
