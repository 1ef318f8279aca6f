//! The decoder as generation runs it: without gradients, over a cache, in the
//! number format that samples fastest.
//!
//! Two implementations of one contract: [`Kernels`] on the CPU, over the
//! kernels of `torch-ext`, and [`Operators`] wherever libtorch runs, CUDA above
//! all. Both read their weights by checkpoint name, so that they serve a
//! policy in training as well as a file that is only sampled from.

mod attention;
mod kernels;
mod operators;

use anyhow::Result;
use tch::{Device, Tensor};

pub use kernels::Kernels;
pub use operators::{Operators, Switches};

use super::precision::Precision;
use crate::model::ModelConfig;

/// A sequence that has a place in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowId(pub usize);

/// Parameters by checkpoint name, float32.
pub type Source<'a> = &'a dyn Fn(&str) -> Result<Tensor>;

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

/// What the engine asks of a network.
pub trait Network {
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
) -> Result<Box<dyn Network>> {
    Ok(match device {
        Device::Cpu => Box::new(Kernels::new(config, source, precision)?),
        _ => Box::new(Operators::new(config, source, device, precision, switches)?),
    })
}

/// Names of one layer's parameters in a checkpoint.
struct Names {
    layer: usize,
}

impl Names {
    fn at(&self, name: &str) -> String {
        format!("model.layers.{}.{name}", self.layer)
    }

    /// Parameters of one kind of several parts, their rows laid end to end.
    fn joined(&self, source: Source<'_>, parts: &[&str], kind: &str) -> Result<Tensor> {
        let parts = parts
            .iter()
            .map(|part| source(&self.at(&format!("{part}.{kind}"))))
            .collect::<Result<Vec<_>>>()?;
        Ok(Tensor::cat(&parts, 0))
    }
}

const QKV: [&str; 3] = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"];
const GATE_UP: [&str; 2] = ["mlp.gate_proj", "mlp.up_proj"];

/// The parameter where the configuration has it.
fn when(present: bool, read: impl FnOnce() -> Result<Tensor>) -> Result<Option<Tensor>> {
    present.then(read).transpose()
}
