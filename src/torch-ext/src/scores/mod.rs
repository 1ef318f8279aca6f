//! From logits to log-probabilities and entropies of tokens, and back.
//!
//! Axes: N tokens that are scored, V vocabulary.

mod kernels;
mod portable;

use tch::Tensor;

use crate::has_kernels;

/// What a row of logits says of its token, at the temperature: `[N]` each.
#[derive(Debug)]
pub struct Scores {
    /// Log-probability of the token.
    pub logprobs_N: Tensor,
    /// Entropy of the distribution, in nats.
    pub entropies_N: Tensor,
    /// Whether no other token is likelier.
    pub best_N: Tensor,
    /// Logarithm of the sum under the softmax, where the kernels keep it for
    /// the backward pass.
    normalisers_N: Option<Tensor>,
}

/// Scores of `targets_N` (int64) under float32 logits `[N, V]` divided by
/// `temperature`.
pub fn score(logits_NV: &Tensor, targets_N: &Tensor, temperature: f64) -> Scores {
    if has_kernels(logits_NV.device()) {
        kernels::score(logits_NV, targets_N, temperature)
    } else {
        portable::score(logits_NV, targets_N, temperature)
    }
}

/// Writes the gradient of the logits into `gradient_NV`, float32 or bfloat16,
/// from those of the log-probabilities and, where they have one, of the
/// entropies, `[N]` each. `scores` are what [`score`] gave of the same logits.
pub fn score_backward(
    logits_NV: &Tensor,
    targets_N: &Tensor,
    temperature: f64,
    scores: &Scores,
    logprob_gradient_N: &Tensor,
    entropy_gradient_N: Option<&Tensor>,
    gradient_NV: &Tensor,
) {
    let backward = match scores.normalisers_N {
        Some(_) => kernels::score_backward,
        None => portable::score_backward,
    };
    backward(
        logits_NV,
        targets_N,
        temperature,
        scores,
        logprob_gradient_N,
        entropy_gradient_N,
        gradient_NV,
    );
}

#[cfg(test)]
mod tests;
