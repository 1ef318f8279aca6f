//! Supervised fine-tuning: mimicry.
//!
//! Loss: minus the weighted mean log-probability of the demonstration's
//! completion tokens, the end token included (an untrained end token is a
//! classic silent defect: the model then never learns to stop). The prompt is
//! never trained on. The mean is over the tokens of the whole update, so
//! accumulation does not change it.

use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, TokenBatch};

/// Settings of `sft`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sft {
    /// Demonstrations an optimizer update.
    pub batch_size: usize,
}

impl Default for Sft {
    fn default() -> Self {
        Self { batch_size: 32 }
    }
}

impl Algorithm for Sft {
    fn name(&self) -> &'static str {
        "sft"
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        let demonstrations = lab.demonstrations(step, self.batch_size)?;
        let normaliser = demonstrations
            .iter()
            .flat_map(|d| &d.weights)
            .map(|&weight| f64::from(weight))
            .sum();
        let examples = demonstrations
            .into_iter()
            .map(|d| Example {
                prompt: d.prompt,
                completion: d.completion,
                weights: d.weights,
                sampled_logprobs: None,
            })
            .collect();
        Ok(Collected {
            batches: vec![Batch {
                examples,
                normaliser,
            }],
            metrics: Metrics::new(),
        })
    }

    fn loss(&self, tokens: &TokenBatch, normaliser: f64) -> (Tensor, Metrics) {
        let loss = -(&tokens.logprobs_N * &tokens.weights_N).sum(Kind::Float) / normaliser;
        (loss, Metrics::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loss_is_the_weighted_mean_negative_log_probability() {
        let tokens = TokenBatch {
            logprobs_N: Tensor::from_slice(&[-1.0f32, -2.0, -3.0]),
            weights_N: Tensor::from_slice(&[1.0f32, 1.0, 2.0]),
            sampled_logprobs_N: None,
        };
        let (loss, _) = Sft::default().loss(&tokens, 4.0);
        assert!((loss.double_value(&[]) - 9.0 / 4.0).abs() < 1e-6);
    }

    #[test]
    fn micro_batches_add_up_to_the_loss_of_the_whole() {
        let cut = |from: i64, to: i64| TokenBatch {
            logprobs_N: Tensor::from_slice(&[-1.0f32, -2.0, -3.0, -0.5]).slice(0, from, to, 1),
            weights_N: Tensor::from_slice(&[1.0f32; 4]).slice(0, from, to, 1),
            sampled_logprobs_N: None,
        };
        let loss = |batch: &TokenBatch| Sft::default().loss(batch, 4.0).0.double_value(&[]);
        assert!((loss(&cut(0, 4)) - loss(&cut(0, 1)) - loss(&cut(1, 4))).abs() < 1e-6);
    }
}
