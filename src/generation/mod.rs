//! Sampling completions: each prompt is read once and shared by its group,
//! rows that finish leave the batch and waiting ones take their place, and
//! every draw is named.
//!
//! A completion depends on the weights, the prompt, the settings and its key,
//! and on nothing else in the batch beyond floating-point noise: the uniform
//! number of position t is draw t of the stream that the key names.
//! Deliberately absent: beams, and any form of search.

pub mod engine;
pub mod network;
pub mod sampling;
mod stops;

pub use crate::network::{Precision, PrecisionChoice};
pub use engine::{Ended, Engine, generate, generate_telling};
pub use sampling::Sampling;

/// Names the draws of one completion.
///
/// Worked example: the third sample of problem 40 in the rollout of step 12 of
/// seed 1: `{seed: 1, purpose: "rollout", indices: [12, 40, 2]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// What the completion is for.
    pub purpose: &'static str,
    /// Which one it is.
    pub indices: Vec<u64>,
}

/// A prompt and the completions wanted of it.
///
/// Worked example: `{tokens: [1, 14, 7], keys: [key of sample 0, key of sample 1],
/// max_new_tokens: None}` asks for two completions of one prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt {
    /// Token ids.
    pub tokens: Vec<i64>,
    /// One a completion.
    pub keys: Vec<Key>,
    /// A cap for this prompt alone, in place of the sampling's.
    pub max_new_tokens: Option<usize>,
}

/// Why a completion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Finish {
    /// An end token was drawn; it is the last token.
    End,
    /// A stop string was written; it is part of the text.
    Stop,
    /// The cap, or the end of the context, cut it off.
    Length,
}

/// One sampled completion.
///
/// Worked example: tokens `[3, 17, 4, 9, 2]` for `<think> A </think> true <eos>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Token ids, the end token included where it was reached.
    pub tokens: Vec<i64>,
    /// Log-probability of each token at the sampling's temperature, before
    /// anything was filtered: what a trainer computes again. At temperature 0,
    /// that of temperature 1.
    pub logprobs: Vec<f32>,
    /// Why it ended.
    pub finish: Finish,
}

impl Completion {
    /// Whether it was cut off.
    pub fn truncated(&self) -> bool {
        self.finish == Finish::Length
    }
}

/// What cannot be sampled from.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// A prompt fills the context.
    #[error(
        "prompt {index} has {tokens} tokens, and the model's context holds {context}: \
         nothing could follow; shorten the prompt or use a model with a longer context"
    )]
    PromptTooLong {
        /// Which prompt.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// The model's context.
        context: usize,
    },
    /// A prompt without tokens.
    #[error("prompt {index} is empty: it must have at least one token")]
    EmptyPrompt {
        /// Which prompt.
        index: usize,
    },
    /// A token that the model does not have.
    #[error(
        "prompt {index} holds the token id {token}, and the vocabulary has {vocabulary} tokens"
    )]
    UnknownToken {
        /// Which prompt.
        index: usize,
        /// The id.
        token: i64,
        /// Size of the vocabulary.
        vocabulary: i64,
    },
}

#[cfg(test)]
mod tests;
