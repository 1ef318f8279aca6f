//! Tensors as numbers: blocks are dequantised, and rows put back in the order
//! of a checkpoint.
//!
//! The order concerns queries and keys of Llama models. A checkpoint
//! rotates number `i` of a head with number `i + width / 2`; llama.cpp rotates
//! neighbours, and its converter therefore lays the two halves of each head
//! into each other. To the norms of Gemma it adds the 1 that the model adds.

use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use super::{Gguf, Stored, blocks};

/// Numbers that are dequantised at once, by one thread: whole blocks of every
/// format.
const CHUNK: usize = 1 << 16;

impl Gguf<'_> {
    /// All numbers of a tensor, by its name in a checkpoint.
    pub fn read(&self, name: &str) -> Result<Vec<f32>> {
        let mut numbers = vec![0.0; self.stored(name)?.len()];
        self.read_into(name, &mut numbers)?;
        Ok(numbers)
    }

    /// Writes all numbers of a tensor into a slice of its length.
    pub fn read_into(&self, name: &str, numbers: &mut [f32]) -> Result<()> {
        let stored = self.stored(name)?;
        ensure!(
            numbers.len() == stored.len(),
            "tensor {name} has {} numbers, {} are asked for",
            stored.len(),
            numbers.len()
        );
        match self.interleaved_heads(name)? {
            Some(heads) => {
                untangle(stored, heads, numbers).with_context(|| format!("tensor {name}"))?;
            }
            None => dequantise(stored, numbers),
        }
        if self.form.norm_offset != 0.0 && name.ends_with("norm.weight") {
            for number in numbers {
                *number -= self.form.norm_offset;
            }
        }
        Ok(())
    }

    /// The tensor of that name in a checkpoint.
    pub(super) fn stored(&self, name: &str) -> Result<&Stored<'_>> {
        self.tensors
            .get(name)
            .with_context(|| format!("the file has no tensor {name}"))
    }

    /// The number of heads whose halves are laid into each other, if they are.
    fn interleaved_heads(&self, name: &str) -> Result<Option<usize>> {
        let of = |projection: &str| self.form.interleaved && name.contains(projection);
        if of(".self_attn.q_proj.") {
            return Ok(Some(self.heads()?.0));
        }
        if of(".self_attn.k_proj.") {
            return Ok(Some(self.heads()?.1));
        }
        Ok(None)
    }
}

/// The numbers of a tensor in the order of the file.
pub(super) fn dequantise(stored: &Stored<'_>, numbers: &mut [f32]) {
    let chunk_bytes = CHUNK / stored.kind.block_numbers() * stored.kind.block_bytes();
    numbers
        .par_chunks_mut(CHUNK)
        .zip(stored.bytes.par_chunks(chunk_bytes))
        .for_each(|(numbers, bytes)| blocks::dequantise(stored.kind, bytes, numbers));
}

/// The numbers of a tensor whose rows come in `heads` equal groups, each with
/// its two halves laid into each other.
fn untangle(stored: &Stored<'_>, heads: usize, numbers: &mut [f32]) -> Result<()> {
    // The header allows no tensor without rows.
    let rows = stored.shape[0];
    let width = stored.len() / rows;
    ensure!(
        rows.is_multiple_of(2 * heads),
        "its {rows} rows are not {heads} heads of even width"
    );
    ensure!(
        width.is_multiple_of(stored.kind.block_numbers()),
        "a bias stored as {} is not read",
        stored.kind.name()
    );
    let row_bytes = width / stored.kind.block_numbers() * stored.kind.block_bytes();
    let half = rows / heads / 2;
    let source = |row: usize| {
        let (head, within) = (row / (2 * half), row % (2 * half));
        2 * half * head + 2 * (within % half) + within / half
    };
    numbers
        .par_chunks_mut(width)
        .enumerate()
        .for_each(|(row, numbers)| {
            let from = source(row) * row_bytes;
            let bytes = &stored.bytes[from..from + row_bytes];
            blocks::dequantise(stored.kind, bytes, numbers);
        });
    Ok(())
}
