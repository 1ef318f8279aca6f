//! The decoder as generation runs it: without gradients, over a cache, in the
//! number format that samples fastest.
//!
//! Both run the decoder of [`crate::network`] and differ in the cache that its layers attend to:
//! [`Paged`] on the CPU, over the kernels of `torch-ext`, and [`Slots`] wherever libtorch runs,
//! CUDA above all. Both read their weights by checkpoint name, so that they serve a
//! policy in training as well as a file that is only sampled from.

mod paged;
mod slots;

use anyhow::Result;
use tch::{Device, Tensor};

pub use paged::Paged;
pub use slots::{Slots, Switches};

use crate::model::ModelConfig;
use crate::network::Precision;
pub use crate::network::Source;

/// A sequence that has a place in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub usize);

/// Room for sequences: how many at once, and how long.
///
/// Worked example: 64 completions of at most 64 tokens of prompts of at most
/// 40, eight prompts at a time: `{rows: 64, length: 104, prompts: 8}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Completions that grow at the same time.
    pub rows: usize,
    /// Longest sequence, prompt and completion together.
    pub length: usize,
    /// Prompts whose cache is held at the same time.
    pub prompts: usize,
}

/// What the engine asks of a network and its cache.
pub trait Cached {
    /// Makes an empty cache. Ids below `room.rows` are for completions, the
    /// `room.prompts` ids behind them for prompts.
    fn make_room(&mut self, room: Room);

    /// Reads prompts, each once, and holds their caches under the given ids;
    /// returns the logits `[P, V]`, float32, behind their last tokens.
    fn read(&mut self, prompts: &[(RowId, &[i64])]) -> Result<Tensor>;

    /// Gives `row` the cache of a prompt that is held, to grow on its own.
    fn fork(&mut self, prompt: RowId, row: RowId) -> Result<()>;

    /// Frees a row or a held prompt.
    fn leave(&mut self, row: RowId);

    /// Appends a token to each of the rows and returns the logits `[B, V]`,
    /// float32, behind them, in the order given.
    fn step(&mut self, rows: &[(RowId, i64)]) -> Result<Tensor>;
}

/// The network for a device, without room yet.
pub fn build(
    config: &ModelConfig,
    source: Source<'_>,
    device: Device,
    precision: Precision,
    switches: Switches,
) -> Result<Box<dyn Cached>> {
    Ok(match device {
        Device::Cpu => Box::new(Paged::new(config, source, precision)?),
        _ => Box::new(Slots::new(config, source, device, precision, switches)?),
    })
}
