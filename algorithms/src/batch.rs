//! What the trainer trains on: examples, and their tokens laid end to end.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::Metrics;

/// A prompt, a completion, and how strongly each completion token is pushed.
///
/// Worked examples. A demonstration of four tokens, each imitated equally:
/// `{prompt: [1, 5, 9], completion: [3, 7, 4, 2], weights: [1, 1, 1, 1], sampled_logprobs: None}`.
/// A rollout that did better than its group, with the log-probabilities under
/// which it was sampled:
/// `{…, weights: [0.8, 0.8, 0.8, 0.8], sampled_logprobs: Some([-0.1, -1.2, -0.3, -0.01])}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Token ids of the prompt; never trained on.
    pub prompt: Vec<i64>,
    /// Token ids of the completion, its end token included.
    pub completion: Vec<i64>,
    /// One number a completion token: 1 in SFT, the advantage in GRPO.
    pub weights: Vec<f32>,
    /// Log-probability of each completion token when it was sampled.
    pub sampled_logprobs: Option<Vec<f32>>,
}

/// The examples of one optimizer update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// What to train on. Examples that carry no gradient may be left out.
    pub examples: Vec<Example>,
    /// What the summed token terms are divided by, counted over the whole
    /// update and including examples that were left out.
    pub normaliser: f64,
}

/// The outcome of collecting: one batch an update, and what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// Batches of the next updates, in order.
    pub batches: Vec<Batch>,
    /// Metrics of the collection (reward, advantage-free groups, lengths).
    pub metrics: Metrics,
}

/// The trained tokens of one micro-batch, after the forward pass.
#[derive(Debug)]
pub struct TokenBatch {
    /// Log-probability of each token under the policy, `[N]`, with gradient.
    pub logprobs_N: Tensor,
    /// The examples' weights, `[N]`.
    pub weights_N: Tensor,
    /// Log-probabilities at sampling time, `[N]`; absent for demonstrations.
    pub sampled_logprobs_N: Option<Tensor>,
}
