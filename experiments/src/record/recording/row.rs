//! One record in 24 bytes.

use std::num::NonZeroU64;

use crate::alignment::cost::Sampled;

/// Bits of a row's place that hold its cell; the others hold its grade.
const CELL_BITS: u32 = 29;

/// Largest number of a cell.
pub(super) const MOST_CELLS: u32 = (1 << CELL_BITS) - 1;

const TRUNCATED: u32 = 1 << 29;
const GRADED: u32 = 1 << 30;
const RIGHT: u32 = 1 << 31;

/// One record without its names: 24 bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Number of its cell, and its grade.
    place: u32,
    pub(super) sample: u32,
    prompt: u32,
    reasoning: u32,
    /// What tells its answer from others ([`crate::alignment::cost::answer_key`]).
    answer: Option<NonZeroU64>,
}

impl Row {
    pub(super) fn cell(self) -> u32 {
        self.place & MOST_CELLS
    }

    /// The same record in the cell of that number.
    pub(super) fn of_cell(self, number: u32) -> Self {
        Self {
            place: number | (self.place & !MOST_CELLS),
            ..self
        }
    }

    /// The record again, without its names.
    pub(super) fn sampled(self) -> Sampled {
        Sampled {
            sample: self.sample,
            prompt_tokens: self.prompt,
            reasoning_tokens: self.reasoning,
            correct: (self.place & GRADED != 0).then_some(self.place & RIGHT != 0),
            truncated: self.place & TRUNCATED != 0,
            answer: self.answer,
        }
    }
}

impl From<Sampled> for Row {
    /// Of no cell yet.
    fn from(sample: Sampled) -> Self {
        let flag = |set: bool, flag: u32| if set { flag } else { 0 };
        Self {
            place: flag(sample.truncated, TRUNCATED)
                | flag(sample.correct.is_some(), GRADED)
                | flag(sample.correct == Some(true), RIGHT),
            sample: sample.sample,
            prompt: sample.prompt_tokens,
            reasoning: sample.reasoning_tokens,
            answer: sample.answer,
        }
    }
}
