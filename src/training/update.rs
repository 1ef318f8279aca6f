//! One optimizer update: forward and backward micro-batch by micro-batch,
//! clip, update.
//!
//! What it deliberately does not do: collect, log, or decide what becomes of a
//! run whose updates are skipped.

use std::cell::Cell;

use algorithms::{Algorithm, Batch, Example, Metrics};
use anyhow::Result;
use tch::{Kind, Tensor};

use super::forward;
use super::network::{Keep, Network, Packed, Scored, Workspace};
use super::optimizer::State;
use super::settings::Training;
use crate::model::Decoder;

/// A policy that learns: what every update needs besides its batch.
pub struct Learner<'a> {
    /// The policy; its weights are updated in place.
    pub(super) decoder: &'a Decoder,
    /// What to train on, and towards what.
    pub(super) algorithm: &'a dyn Algorithm,
    /// Settings of the loop.
    pub(super) training: &'a Training,
    /// Temperature at which rollouts are sampled and scored; 1 for imitation.
    temperature: f64,
    /// Memory that one update leaves to the next.
    workspace: Cell<Workspace>,
}

/// What one update did.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its metrics: `loss`, `grad_norm`, `learning_rate`, and the algorithm's own.
    pub metrics: Metrics,
    /// Whether a loss or gradient that was not finite left the weights as they were.
    pub skipped: bool,
}

/// What an update adds up over its micro-batches.
#[derive(Default)]
struct Sums {
    loss: f64,
    entropy: f64,
    tokens: f64,
    right: f64,
    weighed: f64,
    metrics: Metrics,
}

impl<'a> Learner<'a> {
    /// A policy before its first update.
    pub fn new(
        decoder: &'a Decoder,
        algorithm: &'a dyn Algorithm,
        training: &'a Training,
        temperature: f64,
    ) -> Self {
        Self {
            decoder,
            algorithm,
            training,
            temperature,
            workspace: Cell::default(),
        }
    }

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
        let (gradient_P, sums) = self.gradient(batch)?;
        metrics.extend(sums.metrics);
        metrics.insert("loss".to_owned(), sums.loss);
        metrics.insert("entropy".to_owned(), sums.entropy / sums.tokens);
        metrics.insert("mean_token_accuracy".to_owned(), sums.right / sums.weighed);
        let norm = norm(&gradient_P);
        metrics.insert("grad_norm".to_owned(), norm);
        let skipped = !(norm.is_finite() && sums.loss.is_finite());
        if !skipped {
            // PyTorch's clip_grad_norm_ adds the same 1e-6.
            let scale = (self.training.max_grad_norm / (norm + 1e-6)).min(1.0);
            let weights = self.decoder.trainable();
            optimizer.update(weights, &gradient_P, scale, self.training, rate);
        }
        Ok(Outcome { metrics, skipped })
    }

    /// The gradient `[P]` of the batch's loss, micro-batch by micro-batch.
    fn gradient(&self, batch: &Batch) -> Result<(Tensor, Sums)> {
        let keep = if self.training.gradient_checkpointing {
            Keep::Inputs
        } else {
            Keep::Everything
        };
        let precision = self.training.dtype.resolve(self.decoder.device());
        let workspace = self.workspace.take();
        let network = Network::learning(self.decoder, precision, keep, workspace);
        let mut sums = Sums::default();
        for rows in forward::micro_batches(&batch.examples, self.training.micro_batch_tokens) {
            let packed = Packed::new(&rows, self.decoder.device());
            let pass = network.read(&packed);
            let scored = network.score(&pass, self.temperature);
            let (to_logprobs_N, to_entropies_N) = self.loss(&rows, &scored, batch, &mut sums)?;
            network.backward(pass, &scored, &to_logprobs_N, to_entropies_N.as_ref());
        }
        let (gradient_P, workspace) = network.into_gradient();
        self.workspace.set(workspace);
        Ok((gradient_P, sums))
    }

    /// Adds the micro-batch's loss to the sums; the gradients of its scores,
    /// `[N]` each.
    fn loss(
        &self,
        rows: &[&Example],
        scored: &Scored,
        batch: &Batch,
        sums: &mut Sums,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let tokens = forward::token_batch(rows, scored, self.algorithm.needs_entropies());
        let (loss, metrics) = self.algorithm.loss(&tokens, batch)?;
        let total = |values_N: &Tensor| values_N.sum(Kind::Double).double_value(&[]);
        sums.loss += loss.double_value(&[]);
        sums.entropy += total(&scored.entropies_N);
        let weighed_N = tokens.weights_N.ne(0.0);
        sums.right += total(&scored.best_N.logical_and(&weighed_N));
        sums.weighed += total(&weighed_N);
        sums.tokens += scored.logprobs_N.size()[0] as f64;
        algorithms::add_metrics(&mut sums.metrics, metrics);
        let leaves: Vec<&Tensor> = std::iter::once(&tokens.logprobs_N)
            .chain(&tokens.entropies_N)
            .collect();
        let mut gradients = Tensor::run_backward(&[loss], &leaves, false, false);
        let to_entropies_N = tokens.entropies_N.is_some().then(|| gradients.remove(1));
        Ok((gradients.remove(0), to_entropies_N))
    }
}

/// Euclidean norm, summed in double precision a part at a time, so that no
/// second vector of the length is in memory.
fn norm(gradient_P: &Tensor) -> f64 {
    const PART: i64 = 1 << 20;
    let count = gradient_P.numel() as i64;
    let squares = |first: i64| {
        let part = gradient_P.narrow(0, first, PART.min(count - first));
        part.square().sum(Kind::Double).double_value(&[])
    };
    (0..count)
        .step_by(PART as usize)
        .map(squares)
        .sum::<f64>()
        .sqrt()
}
