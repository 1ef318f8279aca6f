//! What the trainer trains on: examples, and their tokens laid end to end.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::Metrics;

/// A prompt, a completion, and how strongly each completion token is pushed.
///
/// Worked examples. A demonstration of four tokens, each imitated equally:
/// `{prompt: [1, 5, 9], completion: [3, 7, 4, 2], weights: [1, 1, 1, 1], sampled_logprobs: None}`.
/// A rollout that did better than its group, with the log-probabilities under
/// which it was sampled:
/// `{…, weights: [0.8, 0.8, 0.8, 0.8], sampled_logprobs: Some([-0.1, -1.2, -0.3, -0.01])}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Token ids of the prompt; never trained on.
    pub prompt: Vec<i64>,
    /// Token ids of the completion, its end token included.
    pub completion: Vec<i64>,
    /// One number a completion token: 1 in SFT, the advantage in GRPO. A token
    /// of weight 0 is not pushed, whatever its log-probabilities are.
    pub weights: Vec<f32>,
    /// Log-probability of each completion token when it was sampled: what an
    /// importance ratio is taken against. Absent where the policy is still the
    /// one that sampled, so that the ratio is 1.
    pub sampled_logprobs: Option<Vec<f32>>,
    /// Log-probability of each completion token under the reference model;
    /// present where the loss holds the policy to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference_logprobs: Option<Vec<f32>>,
    /// How strongly the entropy at each completion token is rewarded: the batch's
    /// coefficient is multiplied by 1 over the number of such tokens in the update, or by 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy_weights: Option<Vec<f32>>,
    /// Whether it is a demonstration, where a loss treats these otherwise than rollouts.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub demonstrated: bool,
    /// The prompt before which the model that judges reads the completion, where that is not
    /// the prompt before which it was sampled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged_prompt: Option<Vec<i64>>,
}

/// The examples of one optimizer update.
///
/// Worked example: two groups of two rollouts of 3, 5, 2 and 4 tokens, of which
/// the first group was all alike: `{examples: [2 tokens, 4 tokens],
/// normaliser: 14, tokens: 14, entropy_coef: 0}` where the mean is over tokens, and
/// `normaliser: 4` where it is over rollouts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// What to train on. Examples that carry no gradient may be left out.
    pub examples: Vec<Example>,
    /// What the summed terms are divided by, counted over the whole update
    /// and including examples that were left out.
    pub normaliser: f64,
    /// Tokens of the update, counted in the same way: what shares of tokens
    /// in the metrics are of.
    pub tokens: usize,
    /// Weight of the mean entropy in the loss.
    #[serde(default)]
    pub entropy_coef: f64,
    /// What the demonstrations count, where the update has both them and rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imitation: Option<Imitation>,
}

/// What demonstrations count beside rollouts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Imitation {
    /// Weight of their loss.
    pub weight: f64,
    /// What their summed terms are divided by.
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

/// The trained tokens of one micro-batch, after the forward pass: its rows
/// one after the other, each whole.
///
/// Worked example, rows of two and three tokens: `lengths: [2, 3]`,
/// `logprobs_N: [-0.1, -1.2, -0.3, -0.7, -0.2]`.
#[derive(Debug)]
pub struct TokenBatch {
    /// Log-probability of each token under the policy, `[N]`, with gradient.
    pub logprobs_N: Tensor,
    /// The examples' weights, `[N]`.
    pub weights_N: Tensor,
    /// Tokens of each row; they sum to `N`.
    pub lengths: Vec<i64>,
    /// Log-probabilities at sampling time, `[N]`; absent for demonstrations.
    pub sampled_logprobs_N: Option<Tensor>,
    /// The examples' reference log-probabilities, `[N]`, where they have them.
    pub reference_logprobs_N: Option<Tensor>,
    /// Entropy at each token in nats, `[N]`, with gradient; given where
    /// [`crate::Algorithm::entropy`] asks for it.
    pub entropies_N: Option<Tensor>,
    /// The examples' entropy weights, `[N]`, where they have them.
    pub entropy_weights_N: Option<Tensor>,
    /// Divergence of the policy from the model that judges, over the whole vocabulary, in
    /// nats, `[N]`, with gradient; given where [`crate::Algorithm::divergence`] asks for it.
    pub divergences_N: Option<Tensor>,
    /// Whether each row is a demonstration.
    pub demonstrated: Vec<bool>,
}

impl TokenBatch {
    /// What a ratio of probabilities is taken against, `[N]`, without gradient.
    pub(crate) fn old_logprobs_N(&self) -> Tensor {
        match &self.sampled_logprobs_N {
            Some(sampled_N) => sampled_N.shallow_clone(),
            None => self.logprobs_N.detach(),
        }
    }

    /// The rows that are demonstrations, or those that are not.
    pub(crate) fn part(&self, demonstrated: bool) -> Self {
        let rows = || self.lengths.iter().zip(&self.demonstrated);
        let of_tokens: Vec<bool> = rows()
            .flat_map(|(&length, &row)| std::iter::repeat_n(row == demonstrated, length as usize))
            .collect();
        let device = self.logprobs_N.device();
        let places_N = Tensor::from_slice(&of_tokens).nonzero().squeeze_dim(1);
        let places_N = places_N.to_device(device);
        let select = |values_N: &Tensor| values_N.index_select(0, &places_N);
        Self {
            logprobs_N: select(&self.logprobs_N),
            weights_N: select(&self.weights_N),
            lengths: rows()
                .filter(|(_, row)| **row == demonstrated)
                .map(|(&length, _)| length)
                .collect(),
            sampled_logprobs_N: self.sampled_logprobs_N.as_ref().map(select),
            reference_logprobs_N: self.reference_logprobs_N.as_ref().map(select),
            entropies_N: self.entropies_N.as_ref().map(select),
            entropy_weights_N: self.entropy_weights_N.as_ref().map(select),
            divergences_N: self.divergences_N.as_ref().map(select),
            demonstrated: rows()
                .map(|(_, &row)| row)
                .filter(|row| *row == demonstrated)
                .collect(),
        }
    }

    /// Which row each token belongs to.
    pub(crate) fn rows(&self) -> Rows {
        let row_of_token: Vec<i64> = (0i64..)
            .zip(&self.lengths)
            .flat_map(|(row, &length)| std::iter::repeat_n(row, length.max(0) as usize))
            .collect();
        let device = self.logprobs_N.device();
        // A row without tokens has a sum of 0 and no mean; dividing by 1 gives it 0.
        let divisors: Vec<i64> = self.lengths.iter().map(|&length| length.max(1)).collect();
        Rows {
            row_N: Tensor::from_slice(&row_of_token).to_device(device),
            divisors_B: Tensor::from_slice(&divisors)
                .to_device(device)
                .to_kind(self.logprobs_N.kind()),
        }
    }
}

/// The rows of a [`TokenBatch`], for sums and means over each.
pub(crate) struct Rows {
    row_N: Tensor,
    divisors_B: Tensor,
}

impl Rows {
    /// The tokens of each row, at least 1.
    pub(crate) fn lengths_B(&self) -> &Tensor {
        &self.divisors_B
    }

    /// The sum of each row's values.
    pub(crate) fn sums_B(&self, values_N: &Tensor) -> Tensor {
        self.divisors_B
            .zeros_like()
            .index_add(0, &self.row_N, values_N)
    }

    /// The mean of each row's values.
    pub(crate) fn means_B(&self, values_N: &Tensor) -> Tensor {
        self.sums_B(values_N) / &self.divisors_B
    }

    /// Each row's value at each of its tokens.
    pub(crate) fn spread_N(&self, values_B: &Tensor) -> Tensor {
        values_B.index_select(0, &self.row_N)
    }
}

/// Sum of all values, in their own precision.
pub(crate) fn total(values: &Tensor) -> Tensor {
    let kind = match values.kind() {
        Kind::Double => Kind::Double,
        _ => Kind::Float,
    };
    values.sum(kind)
}
