//! The lab held to what others' code computes: logits, gradients, greedy
//! continuations, tokenizers and chat templates of reference models.
//!
//! Figures of alignment are held to theirs in the `experiments` crate.

pub mod logits;
