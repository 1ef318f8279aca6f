//! Supervised fine-tuning: mimicry.
//!
//! Loss: minus the weighted mean log-probability of the demonstration's
//! completion tokens, the end token included (an untrained end token is a
//! classic silent defect: the model then never learns to stop). The prompt is
//! never trained on. The mean is over the tokens of the whole update, so
//! accumulation does not change it.
//!
//! `dft` (Wu et al. 2025, arXiv 2508.05629) multiplies each token's term by the
//! token's probability, without gradient: what the model finds unlikely pulls
//! less.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::batch::total;
use crate::policy_loss::LossError;
use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, TokenBatch};

/// How strongly an unlikely token pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SftLoss {
    /// Negative log-likelihood.
    Nll,
    /// Dynamic fine-tuning: times the token's probability.
    Dft,
}

/// Settings of `sft`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sft {
    /// Demonstrations an optimizer update.
    pub batch_size: usize,
    /// How strongly an unlikely token pulls.
    pub loss_type: SftLoss,
}

impl Default for Sft {
    fn default() -> Self {
        Self {
            batch_size: 32,
            loss_type: SftLoss::Nll,
        }
    }
}

impl Sft {
    /// What contradicts itself in the settings, as one sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if self.batch_size == 0 {
            return Err("batch_size = 0: an update needs at least one demonstration".to_owned());
        }
        Ok(())
    }
}

/// Minus the weighted sum of log-probabilities over the normaliser. The
/// log-probability of a token of weight 0 may be infinite and has no say.
pub(crate) fn negative_log_likelihood(
    logprobs_N: &Tensor,
    weights_N: &Tensor,
    normaliser: f64,
) -> Tensor {
    let finite_N = logprobs_N.masked_fill(&weights_N.eq(0.0), 0.0);
    -total(&(finite_N * weights_N)) / normaliser
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
        let tokens = demonstrations.iter().map(|d| d.completion.len()).sum();
        let examples = demonstrations
            .into_iter()
            .filter(|d| d.weights.iter().any(|&weight| weight != 0.0))
            .map(|d| Example {
                prompt: d.prompt,
                completion: d.completion,
                weights: d.weights,
                ..Example::default()
            })
            .collect();
        Ok(Collected {
            batches: vec![Batch {
                examples,
                normaliser,
                tokens,
            }],
            metrics: Metrics::new(),
        })
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        let logprobs_N = &tokens.logprobs_N;
        let probabilities_N;
        let weights_N = match self.loss_type {
            SftLoss::Nll => &tokens.weights_N,
            SftLoss::Dft => {
                probabilities_N = logprobs_N.detach().exp() * &tokens.weights_N;
                &probabilities_N
            }
        };
        let loss = negative_log_likelihood(logprobs_N, weights_N, batch.normaliser);
        Ok((loss, Metrics::new()))
    }
}

#[cfg(test)]
mod tests;
