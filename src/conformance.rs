//! The lab held to what others' code computes: logits, gradients, greedy
//! continuations, tokenizers and chat templates of reference models, and whole
//! trainings step by step.
//!
//! Figures of alignment are held to theirs in the `experiments` crate.

pub mod lockstep;
pub mod logits;
