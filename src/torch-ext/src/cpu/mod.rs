//! Kernels for sampling from a decoder on the CPU: linear layers over packed
//! weights, RMSNorm, rotary embedding, a paged key/value cache with attention,
//! and the draw of a token.
//!
//! Tokens are laid end to end, `[N, ...]`: new rows' prompts and old rows'
//! single tokens go through one call, without padding. Every output row is
//! summed in an order that its own token decides, never N, the other rows, the
//! page numbers or the number of threads. So decoding token by token or a
//! prompt at once, with or without shared pages, gives the same bits, on
//! machines of one instruction set. AVX-512 with BF16 has kernels of its own;
//! other machines run loops compiled for theirs, whose rounding differs. A
//! process can be told to run those of a lesser machine; see [`Level`].
//!
//! Deliberately absent: gradients, other devices, quantised weights.

mod cache;
pub(crate) mod ffi;
mod level;
mod linear;
mod memory;
pub(crate) mod norm;
mod sampling;

pub use cache::{Batch, HeadNorms, KvCache, PAGE, Rotary};
pub use level::{Level, VARIABLE};
pub use linear::{PackedGateUp, PackedLinear};
pub use memory::keep_memory;
pub use norm::{gather_rows, rms_norm};
pub use sampling::{Draw, Drawn, SampleError, sample};

use tch::{Device, Kind, Tensor};

/// Whether this process multiplies bfloat16 by instructions for it (AVX-512
/// BF16). Elsewhere it is widened to float32 first.
pub fn has_bf16() -> bool {
    Level::of_process() == Level::Avx512Bf16
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Float, Kind::BFloat16];

/// Panics unless the tensor is what a kernel may read or write as plain memory.
pub(crate) fn expect(tensor: &Tensor, what: &str, kinds: &[Kind], shape: &[i64]) {
    let (kind, device, size) = (tensor.kind(), tensor.device(), tensor.size());
    assert!(
        device == Device::Cpu && kinds.contains(&kind) && size == shape && tensor.is_contiguous(),
        "{what} must be a contiguous CPU tensor {shape:?} of {kinds:?}; it is {size:?} of {kind:?} on {device:?}{}",
        if tensor.is_contiguous() {
            ""
        } else {
            ", not contiguous"
        },
    );
}

/// The two lengths of a matrix.
pub(crate) fn matrix(tensor: &Tensor, what: &str) -> (i64, i64) {
    match tensor.size()[..] {
        [rows, columns] => (rows, columns),
        ref size => panic!("{what} must have two axes, not {size:?}"),
    }
}

pub(crate) fn expect_kind(kind: Kind) {
    assert!(
        KINDS.contains(&kind),
        "kernels compute in Float or BFloat16, not {kind:?}"
    );
}

/// An uninitialised tensor that a kernel fills.
pub(crate) fn empty(shape: [i64; 2], kind: Kind) -> Tensor {
    Tensor::empty(shape, (kind, Device::Cpu))
}

#[cfg(test)]
mod tests;
