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
//! less. `phi` (Zhang et al. 2025, CHORD, arXiv 2508.11408) multiplies by `p (1 - p)`: what
//! it knows pulls less too.

use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::batch::total;
use crate::policy_loss::LossError;
use crate::settings::settings;
use crate::{Algorithm, Batch, Collected, Example, Lab, LabError, Metrics, TokenBatch};

/// How strongly a token pulls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SftLoss {
    /// Negative log-likelihood.
    Nll,
    /// Dynamic fine-tuning: times the token's probability `p`.
    Dft,
    /// Times `p (1 - p)`.
    Phi,
}

settings! {
    /// Settings of `sft`.
    Sft {
        /// Demonstrations an optimizer update.
        batch_size: usize = 32,
        /// How strongly a token pulls.
        loss_type: SftLoss = SftLoss::Nll,
    }
}

impl Sft {
    /// The sum over tokens, not yet divided.
    pub(crate) fn loss_of(&self, tokens: &TokenBatch) -> Tensor {
        let logprobs_N = &tokens.logprobs_N;
        let p_N = || logprobs_N.detach().exp();
        let weights_N = match self.loss_type {
            SftLoss::Nll => tokens.weights_N.shallow_clone(),
            SftLoss::Dft => p_N() * &tokens.weights_N,
            SftLoss::Phi => p_N() * (1.0 - p_N()) * &tokens.weights_N,
        };
        negative_log_likelihood(logprobs_N, &weights_N, 1.0)
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

/// One update's demonstrations, divided by the sum of their tokens' weights.
pub(crate) fn demonstrated_batch(
    step: u64,
    count: usize,
    lab: &mut dyn Lab,
) -> Result<Collected, LabError> {
    let demonstrations = lab.demonstrations(step, count)?;
    let weights = demonstrations.iter().flat_map(|d| &d.weights);
    let normaliser = weights.map(|&weight| f64::from(weight)).sum();
    let tokens = demonstrations.iter().map(|d| d.completion.len()).sum();
    let examples = demonstrations
        .into_iter()
        .filter(|d| d.weights.iter().any(|&weight| weight != 0.0))
        .map(|d| Example {
            prompt: d.prompt,
            completion: d.completion,
            weights: d.weights,
            demonstrated: true,
            ..Example::default()
        })
        .collect();
    Ok(Collected {
        batches: vec![Batch {
            examples,
            normaliser,
            tokens,
            entropy_coef: 0.0,
            imitation: None,
        }],
        metrics: Metrics::new(),
    })
}

impl Algorithm for Sft {
    fn name(&self) -> &'static str {
        "sft"
    }

    fn check(&self) -> Result<(), String> {
        if self.batch_size == 0 {
            return Err("batch_size = 0: an update needs at least one demonstration".to_owned());
        }
        Ok(())
    }

    fn collect(&self, step: u64, lab: &mut dyn Lab) -> Result<Collected, LabError> {
        demonstrated_batch(step, self.batch_size, lab)
    }

    fn loss(&self, tokens: &TokenBatch, batch: &Batch) -> Result<(Tensor, Metrics), LossError> {
        Ok((self.loss_of(tokens) / batch.normaliser, Metrics::new()))
    }

    fn imitates(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
