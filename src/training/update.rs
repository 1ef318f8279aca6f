//! One optimizer update: forward and backward micro-batch by micro-batch,
//! clip, update.
//!
//! With several ranks each goes through its share of the batch, with the whole
//! batch's normalisers, so that the gradients of the ranks add up to that of
//! the batch. What follows is done alike on every rank, or with the optimizer
//! sharded (`ZeRO` stage 1, Rajbhandari et al. 2020, arXiv 1910.02054) by each
//! rank for its part of the weights, which are then exchanged.
//!
//! What it deliberately does not do: collect, log, or decide what becomes of a
//! run whose updates are skipped.

use std::cell::Cell;

use algorithms::{Algorithm, Batch, Divergence, Example, Metrics};
use anyhow::Result;
use serde::{Deserialize, Serialize};
use tch::{Kind, Tensor};

use super::forward;
use super::optimizer::State;
use super::reduction::{Buckets, Parts};
use super::settings::{Optimizer, Training};
use crate::distributed::Ranks;
use crate::model::Decoder;
use crate::network::{Judged, Keep, Network, Packed, Scored, Workspace, starts};

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
    /// What the policy diverges from, where its loss is a divergence.
    judge: Option<&'a Decoder>,
    /// Who shares the work.
    ranks: &'a Ranks,
    /// Whether each rank keeps the optimizer's memory of its part alone.
    shards_optimizer: bool,
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

/// What an update adds up over its micro-batches, and over ranks.
#[derive(Default, Serialize, Deserialize)]
struct Sums {
    loss: f64,
    entropy: f64,
    tokens: f64,
    right: f64,
    weighed: f64,
    /// Squares of the gradient's elements that this rank answers for.
    squares: f64,
    metrics: Metrics,
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.loss += other.loss;
        self.entropy += other.entropy;
        self.tokens += other.tokens;
        self.right += other.right;
        self.weighed += other.weighed;
        self.squares += other.squares;
        algorithms::add_metrics(&mut self.metrics, other.metrics);
    }
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
            judge: None,
            ranks: Ranks::alone(),
            shards_optimizer: false,
            workspace: Cell::default(),
        }
    }

    /// The same, with a model that judges, for a loss that is a divergence from it.
    #[must_use]
    pub fn judged_by(self, judge: Option<&'a Decoder>) -> Self {
        Self { judge, ..self }
    }

    /// The same, with the work shared by the ranks. With `shard_optimizer` each
    /// keeps the moments of its part of the weights; not so Muon's momentum,
    /// which is of whole matrices.
    #[must_use]
    pub fn among(self, ranks: &'a Ranks, shard_optimizer: bool) -> Self {
        let adamw = self.training.optimizer == Optimizer::Adamw;
        Self {
            ranks,
            shards_optimizer: shard_optimizer && adamw && ranks.are_several(),
            ..self
        }
    }

    /// Who shares the work.
    pub(super) fn ranks(&self) -> &'a Ranks {
        self.ranks
    }

    /// The parts of the weights whose moments the ranks keep; `None` where each
    /// keeps all.
    fn parts(&self) -> Option<Parts> {
        self.shards_optimizer
            .then(|| Parts::new(self.decoder.trainable().count(), self.ranks))
    }

    /// The optimizer's memory of this rank, before the first update.
    pub fn state(&self) -> State {
        let weights = self.decoder.trainable();
        match self.parts() {
            None => State::new(weights),
            Some(parts) => State::for_part(weights, parts.own()),
        }
    }

    /// This rank's memory out of all of it.
    pub(super) fn part_of(&self, whole: State) -> State {
        match self.parts() {
            None => whole,
            Some(parts) => whole.part(parts.own()),
        }
    }

    /// All of the optimizer's memory, of which this rank has a part; `None`
    /// where it has all.
    pub(super) fn whole_of(&self, own: &State) -> Result<Option<State>> {
        let Some(parts) = self.parts() else {
            return Ok(None);
        };
        Ok(Some(State {
            updates: own.updates,
            first: 0,
            first_P: parts.gather(&own.first_P, self.ranks)?,
            second_P: parts.gather(&own.second_P, self.ranks)?,
        }))
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
        let (gradient_P, sums) = self.gradient(batch, step)?;
        metrics.extend(sums.metrics);
        metrics.insert("loss".to_owned(), sums.loss);
        metrics.insert("entropy".to_owned(), sums.entropy / sums.tokens);
        metrics.insert("mean_token_accuracy".to_owned(), sums.right / sums.weighed);
        let norm = sums.squares.sqrt();
        metrics.insert("grad_norm".to_owned(), norm);
        let skipped = !(norm.is_finite() && sums.loss.is_finite());
        if !skipped {
            // PyTorch's clip_grad_norm_ adds the same 1e-6.
            let scale = (self.training.max_grad_norm / (norm + 1e-6)).min(1.0);
            let weights = self.decoder.trainable();
            optimizer.update(weights, &gradient_P, scale, self.training, rate);
            if let Some(parts) = self.parts() {
                parts.exchange(weights.flat(), self.ranks)?;
            }
        }
        Ok(Outcome { metrics, skipped })
    }

    /// The gradient of the batch's loss, `[P]` or this rank's part of it, and
    /// the sums over all ranks.
    fn gradient(&self, batch: &Batch, step: u64) -> Result<(Tensor, Sums)> {
        let keep = if self.training.gradient_checkpointing {
            Keep::Inputs
        } else {
            Keep::Everything
        };
        let precision = self.training.dtype.resolve(self.decoder.device());
        let workspace = self.workspace.take();
        let parts = self.parts();
        let trained = self.decoder.trainable();
        let length = parts.as_ref().map_or(trained.count(), Parts::padded);
        let network =
            Network::learning(self.decoder, precision, keep, workspace, length).in_update(step);
        let judge = self.algorithm.divergence();
        let judge = judge.and_then(|divergence| Some((divergence, self.judge?)));
        let judge = judge.map(|(divergence, decoder)| Judge {
            network: Network::reading(decoder, precision),
            divergence,
        });
        let mut buckets = match &parts {
            None => Buckets::new(
                &starts(trained, self.decoder.config().num_hidden_layers),
                network.gradient(),
                self.ranks,
            ),
            // Each rank gets its part of the sum when all is there.
            Some(_) => Buckets::none(),
        };
        let mut sums = Sums::default();
        let share = forward::share(&batch.examples, self.ranks.rank(), self.ranks.world());
        let all = forward::micro_batches(share, self.training.micro_batch_tokens);
        let last = all.len().saturating_sub(1);
        for (index, rows) in all.into_iter().enumerate() {
            let packed = Packed::new(&rows, self.decoder.device());
            let pass = network.read(&packed);
            let judged = judge.as_ref().map(|judge| judge.read(&rows));
            let scored = network.score(&pass, self.temperature, judged.as_ref());
            let gradients = self.loss(&rows, &scored, batch, &mut sums)?;
            network.backward(
                pass,
                &scored,
                &gradients.logprobs_N,
                gradients.entropies_N.as_ref(),
                judged.as_ref().zip(gradients.divergences_N.as_ref()),
                &mut |from| {
                    if index == last {
                        buckets.begin(from);
                    }
                },
            );
        }
        buckets.finish()?;
        let (mut gradient_P, workspace) = network.into_gradient();
        self.workspace.set(workspace);
        if let Some(parts) = &parts {
            gradient_P = parts.sum(&gradient_P, self.ranks)?;
        }
        // Of a gradient that all ranks have, one answers for the squares: so
        // all take one norm for it.
        if parts.is_some() || self.ranks.is_first() {
            sums.squares = squares(&gradient_P);
        }
        let mut all = self.ranks.gather(Ok(sums))?.into_iter();
        let mut sums = all.next().unwrap_or_default();
        all.for_each(|other| sums.add(other));
        Ok((gradient_P, sums))
    }

    /// Adds the micro-batch's loss to the sums; the gradients of its scores.
    fn loss(
        &self,
        rows: &[&Example],
        scored: &Scored,
        batch: &Batch,
        sums: &mut Sums,
    ) -> Result<Gradients> {
        let tokens = forward::token_batch(rows, scored, self.algorithm.entropy().is_some());
        let (loss, metrics) = self.algorithm.loss(&tokens, batch)?;
        let total = |values_N: &Tensor| values_N.sum(Kind::Double).double_value(&[]);
        sums.loss += loss.double_value(&[]);
        sums.entropy += total(&scored.entropies_N);
        let weighed_N = tokens.weights_N.ne(0.0);
        sums.right += total(&scored.best_N.logical_and(&weighed_N));
        sums.weighed += total(&weighed_N);
        sums.tokens += scored.logprobs_N.size()[0] as f64;
        algorithms::add_metrics(&mut sums.metrics, metrics);
        loss.backward();
        // What a loss does not depend on has no gradient.
        let gradient = |leaf_N: &Tensor| {
            let gradient_N = leaf_N.grad();
            gradient_N.defined().then_some(gradient_N)
        };
        Ok(Gradients {
            logprobs_N: gradient(&tokens.logprobs_N)
                .unwrap_or_else(|| tokens.logprobs_N.zeros_like()),
            entropies_N: tokens.entropies_N.as_ref().and_then(gradient),
            divergences_N: tokens.divergences_N.as_ref().and_then(gradient),
        })
    }
}

/// The gradients of a micro-batch's scores, `[N]` each.
#[expect(clippy::struct_field_names, reason = "the postfix is their axis")]
struct Gradients {
    logprobs_N: Tensor,
    entropies_N: Option<Tensor>,
    divergences_N: Option<Tensor>,
}

/// A model that the policy diverges from, made ready for one update.
struct Judge {
    network: Network,
    divergence: Divergence,
}

impl Judge {
    /// Reads the completions of the rows, each behind the prompt before which it is judged.
    fn read(&self, rows: &[&Example]) -> Judged<'_> {
        let behind: Vec<Example> = rows
            .iter()
            .map(|row| Example {
                prompt: row.judged_prompt.as_ref().unwrap_or(&row.prompt).clone(),
                completion: row.completion.clone(),
                ..Example::default()
            })
            .collect();
        let packed = Packed::new(&behind.iter().collect::<Vec<_>>(), self.network.device());
        self.network
            .judge(&self.network.read(&packed), self.divergence)
    }
}

/// Square of the Euclidean norm, summed in double precision a part at a time,
/// so that no second vector of the length is in memory.
fn squares(gradient_P: &Tensor) -> f64 {
    const PART: i64 = 1 << 20;
    let count = gradient_P.numel() as i64;
    let squares = |first: i64| {
        let part = gradient_P.narrow(0, first, PART.min(count - first));
        part.square().sum(Kind::Double).double_value(&[])
    };
    (0..count).step_by(PART as usize).map(squares).sum()
}
