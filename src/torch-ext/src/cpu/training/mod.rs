//! What a decoder's training on the CPU takes beside matrix products, each
//! forward and backward: attention over sequences laid end to end, RMSNorm, the
//! gated SiLU, scores of tokens, and sums of bfloat16 gradients in float32.
//!
//! libtorch makes each of these of many operators, and each operator reads and
//! writes all of its numbers. Here every number is read and written once, and
//! only what the gradient needs is kept.
//!
//! Deliberately absent: the products themselves, which libtorch does at the
//! speed of the machine, and a graph of what was computed; the caller goes
//! back through its layers by itself. No sum depends on the number of threads.
//!
//! Axes: S tokens laid end to end, D width of the residual stream, C channels
//! of queries, keys and values together, H query heads, E width of a head,
//! F width of the feed-forward layer, N tokens that are scored, V vocabulary.

mod attention;
mod layers;
mod scores;

pub use attention::{Attended, Heads, Sequences, attention, attention_backward};
pub use layers::{accumulate, gate, gate_backward, norm, norm_backward};
pub use scores::{Scores, score, score_backward};

#[cfg(test)]
mod tests;
