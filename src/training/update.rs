//! One optimizer update: forward and backward micro-batch by micro-batch,
//! clip, update.
//!
//! What it deliberately does not do: collect, log, or decide what becomes of a
//! run whose updates are skipped.

use algorithms::{Algorithm, Batch, Metrics};
use anyhow::Result;
use tch::{Kind, Tensor};

use super::forward;
use super::optimizer::State;
use super::settings::Training;
use crate::model::Decoder;

/// A policy that learns: what every update needs besides its batch.
#[derive(Clone, Copy)]
pub struct Learner<'a> {
    /// The policy; its weights are updated in place.
    pub decoder: &'a Decoder,
    /// What to train on, and towards what.
    pub algorithm: &'a dyn Algorithm,
    /// Settings of the loop.
    pub training: &'a Training,
    /// Temperature at which rollouts are sampled and scored; 1 for imitation.
    pub temperature: f64,
}

/// What one update did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its metrics: `loss`, `grad_norm`, `learning_rate`, and the algorithm's own.
    pub metrics: Metrics,
    /// Whether a loss or gradient that was not finite left the weights as they were.
    pub skipped: bool,
}

impl Learner<'_> {
    /// Forward, backward, clip and update over one batch; `step` counts
    /// updates from 0 and places the learning rate.
    pub fn update(&self, batch: &Batch, optimizer: &mut State, step: u64) -> Result<Outcome> {
        let rate = self.training.rate(step);
        let mut metrics = Metrics::from([(
            "learning_rate".to_owned(),
            self.training.learning_rate * rate,
        )]);
        if batch.examples.is_empty() {
            // Every group of the update was all alike: there is nothing to learn
            // from, and moving the weights by old momentum would not be learning.
            metrics.insert("nothing_to_train".to_owned(), 1.0);
            return Ok(Outcome {
                metrics,
                skipped: false,
            });
        }
        let weights = self.decoder.trainable();
        let leaves = weights.leaves();
        let mut gradient_P: Option<Tensor> = None;
        let mut loss_sum = 0.0;
        let mut entropy_sum = 0.0;
        let mut token_sum = 0.0;
        for rows in forward::micro_batches(&batch.examples, self.training.micro_batch_tokens) {
            let (tokens, entropy) = forward::score(
                self.decoder,
                &rows,
                self.temperature,
                self.algorithm.needs_entropies(),
            );
            let (loss, sums) = self.algorithm.loss(&tokens, batch)?;
            let count = tokens.logprobs_N.size()[0] as f64;
            entropy_sum += entropy * count;
            token_sum += count;
            loss_sum += loss.double_value(&[]);
            algorithms::add_metrics(&mut metrics, sums);
            let parts: Vec<Tensor> = Tensor::run_backward(&[loss], &leaves, false, false)
                .iter()
                .map(|gradient| gradient.reshape([-1]))
                .collect();
            let flat_P = Tensor::cat(&parts, 0);
            gradient_P = Some(match gradient_P {
                Some(sum) => sum + flat_P,
                None => flat_P,
            });
        }
        metrics.insert("loss".to_owned(), loss_sum);
        metrics.insert("entropy".to_owned(), entropy_sum / token_sum);
        let Some(gradient_P) = gradient_P else {
            return Ok(Outcome {
                metrics,
                skipped: false,
            });
        };
        let norm = gradient_P
            .square()
            .sum(Kind::Double)
            .sqrt()
            .double_value(&[]);
        metrics.insert("grad_norm".to_owned(), norm);
        let skipped = !(norm.is_finite() && loss_sum.is_finite());
        if !skipped {
            // PyTorch's clip_grad_norm_ adds the same 1e-6.
            let scale = (self.training.max_grad_norm / (norm + 1e-6)).min(1.0);
            optimizer.update(weights, &(gradient_P * scale), self.training, rate);
        }
        Ok(Outcome { metrics, skipped })
    }
}
