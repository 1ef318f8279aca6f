//! The decoder: one forward pass, which generation runs over a cache and training over packed
//! rows, and the backward pass beside it, in float32 or in bfloat16 beside float32 weights.
//!
//! Architecture: Touvron et al. 2023 (arXiv 2302.13971) as transformers
//! implements it, so that what is saved loads there. How others differ is said by
//! [`ModelConfig`]: norms, biases, windows and the like are present or absent, the
//! rest is one code.
//!
//! The backward pass is written out layer by layer, not recorded by autograd. So
//! what is kept for it is what it needs and nothing else, gradients are summed
//! into one float32 vector where they fall, and a layer can be kept as its
//! input alone and computed again.
//!
//! In bfloat16 the operands of matrix products are rounded, and what lies
//! between the products of one layer; weights, gradients, the residual stream,
//! norms, softmaxes and scores stay float32.
//!
//! Axes: S tokens laid end to end, D width of the residual stream, C channels
//! of queries, keys and values, X channels of queries, F width of the feed-forward layer, N tokens
//! that are scored, L tokens whose logits are sampled from, V vocabulary, P all parameters.

pub(crate) mod attention;
mod block;
mod dropout;
mod head;
mod linear;
mod low_rank;
mod norm;
mod packed;
mod parameters;
mod precision;

pub use head::Scored;
pub(crate) use linear::Linear;
pub use packed::Packed;
pub(crate) use packed::tokens_of;
pub(crate) use parameters::Parameters;
pub use parameters::Source;
pub use precision::{Precision, PrecisionChoice};

use std::rc::Rc;

use algorithms::Divergence;
use anyhow::Result;
use tch::{Device, Kind, Tensor};
use torch_ext::attention::Attended;
use torch_ext::cpu::gather_rows;

use crate::model::{Adapter, Decoder, ModelConfig, Weights};
use attention::{Attention, PackedAttention};
use block::{Block, Saved};
use dropout::Dropout;
use head::{Head, Other};
use parameters::{Memory, Place, needed};

/// The embedding, by its name in a checkpoint.
const EMBEDDING: &str = "model.embed_tokens.weight";

/// What is kept of each layer for the backward pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: there is no backward pass.
    Nothing,
    /// Its input; the rest is computed a second time (activation checkpointing).
    Inputs,
    /// All that its gradient needs.
    Everything,
}

/// A decoder made ready to compute in one precision. In bfloat16 it holds a
/// rounded copy of the weights as they were when it was made.
pub struct Network {
    config: ModelConfig,
    embedding_VD: Tensor,
    /// Where reading a token adds its gradient; absent where it is frozen.
    embedding_gradient_VD: Option<Tensor>,
    blocks: Vec<Block>,
    head: Head,
    keep: Keep,
    /// What the adapter drops of its inputs; absent where it never does.
    dropout: Option<Rc<Dropout>>,
    operands_P: Option<Tensor>,
    gradient_P: Option<Tensor>,
    /// Where each layer's gradients begin, and where what follows them does.
    starts: Vec<i64>,
}

/// Where in the vector of what is trained each layer begins, and where what
/// follows the last does. What has no parameters begins where the next does.
pub(crate) fn starts(trained: &Weights, layers: usize) -> Vec<i64> {
    let entries = trained.entries();
    let ends = entries
        .iter()
        .filter(|entry| entry.name.contains(".layers."));
    let end = ends.map(|entry| entry.offset + entry.len()).max();
    let mut starts = vec![end.unwrap_or(0)];
    for layer in (0..layers).rev() {
        let own = format!(".layers.{layer}.");
        let first = entries.iter().find(|entry| entry.name.contains(&own));
        let next = starts.last().copied().unwrap_or(0);
        starts.push(first.map_or(next, |entry| entry.offset));
    }
    starts.reverse();
    starts
}

/// Memory that one update leaves to the next: the rounded weights, and what the
/// head takes. The gradient is not in it, to be out of the way of rollouts.
#[derive(Debug, Default)]
pub struct Workspace {
    operands_P: Option<Tensor>,
    head: head::Buffers,
}

/// A model that judges a batch: its rows before its head, after the same tokens as the
/// policy's.
pub struct Judged<'a>(Other<'a>);

/// A forward pass over one batch: what the head reads, and what was kept.
pub struct Pass<'a> {
    packed: &'a Packed,
    attention: PackedAttention<'a>,
    x_SD: Tensor,
    saved: Vec<Saved<Attended>>,
}

impl Network {
    /// A network to score with.
    pub fn reading(decoder: &Decoder, precision: Precision) -> Self {
        let workspace = Workspace::default();
        Self::of_decoder(decoder, precision, Keep::Nothing, workspace, None)
    }

    /// A network that also goes back, with gradients that begin at 0, in the
    /// memory of an earlier one of the same decoder. The vector of gradients
    /// has `length` numbers, those beyond the parameters' stay 0.
    pub fn learning(
        decoder: &Decoder,
        precision: Precision,
        keep: Keep,
        workspace: Workspace,
        length: i64,
    ) -> Self {
        let options = (Kind::Float, decoder.device());
        let gradient_P = Tensor::zeros([length], options);
        Self::of_decoder(decoder, precision, keep, workspace, Some(gradient_P))
    }

    /// A network to sample with.
    pub(crate) fn sampling(parameters: &Parameters<'_>) -> Result<Self> {
        let _guard = tch::no_grad_guard();
        Self::new(parameters, Keep::Nothing, head::Buffers::default())
    }

    fn of_decoder(
        decoder: &Decoder,
        precision: Precision,
        keep: Keep,
        workspace: Workspace,
        gradient_P: Option<Tensor>,
    ) -> Self {
        let (config, weights) = (decoder.config(), decoder.weights());
        let kind = precision.kind();
        let operands_P = match workspace.operands_P {
            Some(mut operands_P) if kind != Kind::Float => {
                operands_P.copy_(weights.flat());
                operands_P
            }
            _ => weights.flat().to_kind(kind),
        };
        let parameters = Parameters {
            config,
            kind,
            place: Place::Memory(Memory {
                weights,
                operands_P,
                gradient_P,
                adapter: decoder.adapter(),
                dropout: decoder
                    .adapter()
                    .and_then(Adapter::dropout)
                    .map(|(share, seed)| Rc::new(Dropout::new(share, seed))),
            }),
        };
        let network = Self::new(&parameters, keep, workspace.head);
        let network = network.expect("a decoder has every parameter of its configuration");
        let Place::Memory(memory) = parameters.place else {
            unreachable!("it was made so above")
        };
        Self {
            dropout: memory.dropout,
            operands_P: Some(memory.operands_P),
            gradient_P: memory.gradient_P,
            starts: starts(decoder.trainable(), config.num_hidden_layers),
            ..network
        }
    }

    fn new(parameters: &Parameters<'_>, keep: Keep, buffers: head::Buffers) -> Result<Self> {
        let config = parameters.config;
        let read_VD = needed(parameters.master(EMBEDDING)?, EMBEDDING)?;
        let head = if config.tie_word_embeddings {
            EMBEDDING
        } else {
            "lm_head.weight"
        };
        let (embedding_VD, head_VD) = match &parameters.place {
            Place::Memory(_) => (read_VD, needed(parameters.operand(head)?, head)?),
            Place::Named { device, .. } => {
                let embedding_VD = read_VD.to_device(*device).to_kind(parameters.kind);
                let head_VD = if config.tie_word_embeddings {
                    read_VD
                } else {
                    needed(parameters.master(head)?, head)?
                };
                (embedding_VD, head_VD)
            }
        };
        Ok(Self {
            embedding_VD,
            embedding_gradient_VD: parameters.gradient(EMBEDDING),
            blocks: (0..config.num_hidden_layers)
                .map(|index| Block::new(parameters, index))
                .collect::<Result<_>>()?,
            head: Head::new(parameters, head, head_VD, buffers)?,
            dropout: None,
            operands_P: None,
            gradient_P: None,
            starts: Vec::new(),
            config: config.clone(),
            keep,
        })
    }

    /// What it computes.
    pub(crate) fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Rows of the embedding as the residual stream begins, `[S, D]`, float32.
    pub(crate) fn embed(&self, ids_S: &Tensor) -> Tensor {
        let x_SD = self
            .embedding_VD
            .index_select(0, ids_S)
            .to_kind(Kind::Float);
        self.scale_embedded(x_SD)
    }

    /// The same by the kernels of the CPU, which wait for nobody's threads.
    pub(crate) fn embed_on_cpu(&self, ids: &[i64]) -> Tensor {
        self.scale_embedded(gather_rows(&self.embedding_VD, ids))
    }

    fn scale_embedded(&self, mut x_SD: Tensor) -> Tensor {
        if (self.config.embedding_scale - 1.0).abs() > f64::EPSILON {
            x_SD = x_SD.g_mul_scalar_(self.config.embedding_scale);
        }
        x_SD
    }

    /// The forward pass: the residual stream behind the last layer, and what was kept of each.
    pub(crate) fn forward<A: Attention>(
        &self,
        mut x_SD: Tensor,
        attention: &mut A,
    ) -> (Tensor, Vec<Saved<A::Kept>>) {
        let mut saved = Vec::new();
        for block in &self.blocks {
            let (next_SD, kept) = block.forward(x_SD, attention, self.keep);
            saved.extend(kept);
            x_SD = next_SD;
        }
        (x_SD, saved)
    }

    /// Logits `[L, V]`, float32, behind rows of the residual stream, to sample from.
    pub(crate) fn sampled_logits(&self, x_LD: &Tensor) -> Tensor {
        self.head.sampled(x_LD)
    }

    /// The same, with what the adapter's dropout drops in that update; without
    /// this nothing is dropped.
    #[must_use]
    pub fn in_update(self, update: u64) -> Self {
        if let Some(dropout) = &self.dropout {
            dropout.of_update(update);
        }
        self
    }

    /// The gradient so far of everything that is trained, `[P]`, float32, and
    /// the memory for the next update.
    ///
    /// # Panics
    /// If the network was made to read only.
    pub fn into_gradient(self) -> (Tensor, Workspace) {
        let gradient_P = self.gradient_P;
        let gradient_P = gradient_P.expect("a network that learns has a gradient");
        let workspace = Workspace {
            operands_P: self
                .operands_P
                .filter(|operands_P| operands_P.kind() != Kind::Float),
            head: self.head.buffers,
        };
        (gradient_P, workspace)
    }

    /// Reads a batch.
    pub fn read<'b>(&self, packed: &'b Packed) -> Pass<'b> {
        let _guard = tch::no_grad_guard();
        self.drop_of(packed);
        let mut attention = PackedAttention::new(&self.config, packed);
        let (x_SD, saved) = self.forward(self.embed(&packed.ids_S), &mut attention);
        Pass {
            packed,
            attention,
            x_SD,
            saved,
        }
    }

    /// Another batch may have been read since this one was.
    fn drop_of(&self, packed: &Packed) {
        if let Some(dropout) = &self.dropout {
            dropout.over(&packed.histories);
        }
    }

    /// What the batch's targets score under the logits divided by `temperature`, and where
    /// another model judges, the divergence from it.
    pub fn score(&self, pass: &Pass<'_>, temperature: f64, judged: Option<&Judged<'_>>) -> Scored {
        let _guard = tch::no_grad_guard();
        let x_ND = pass.x_SD.index_select(0, &pass.packed.sources_N);
        let (targets_N, other) = (&pass.packed.targets_N, judged.map(|judged| &judged.0));
        self.head.score(x_ND, targets_N, temperature, other)
    }

    /// This network as the judge of a batch that it has read: of the same completions in the
    /// same order, though their prompts may be others.
    pub fn judge(&self, pass: &Pass<'_>, divergence: Divergence) -> Judged<'_> {
        let _guard = tch::no_grad_guard();
        Judged(Other {
            head: &self.head,
            x_ND: pass.x_SD.index_select(0, &pass.packed.sources_N),
            divergence,
        })
    }

    /// KL divergence of another network's distributions from this one's, in nats,
    /// `[N]`: after the tokens that precede the batch's targets, whichever these are.
    /// Both passes are over the same batch.
    pub fn divergence(&self, pass: &Pass<'_>, other: &Self, other_pass: &Pass<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        let rows = |pass: &Pass<'_>| pass.x_SD.index_select(0, &pass.packed.sources_N);
        self.head
            .divergence(&rows(pass), &other.head, &rows(other_pass))
    }

    /// Logits `[S, V]` after every token, float32.
    pub fn logits(&self, pass: &Pass<'_>) -> Tensor {
        let _guard = tch::no_grad_guard();
        self.head.logits(&pass.x_SD)
    }

    /// Where it computes.
    pub fn device(&self) -> Device {
        self.embedding_VD.device()
    }

    /// The gradient so far, `[P]`; `None` of a network that only reads.
    pub(crate) fn gradient(&self) -> Option<&Tensor> {
        self.gradient_P.as_ref()
    }

    /// Adds to the gradients what comes back from those of the scores, `[N]`
    /// each, without graph; entropies and divergences may have none. `reached` is told, as the
    /// pass goes down, from which place of the gradient on it adds nothing more.
    pub fn backward(
        &self,
        pass: Pass<'_>,
        scored: &Scored,
        logprob_gradient_N: &Tensor,
        entropy_gradient_N: Option<&Tensor>,
        judged: Option<(&Judged<'_>, &Tensor)>,
        reached: &mut dyn FnMut(i64),
    ) {
        let _guard = tch::no_grad_guard();
        self.drop_of(pass.packed);
        let x_gradient_ND = self.head.backward(
            scored,
            &pass.packed.targets_N,
            logprob_gradient_N,
            entropy_gradient_N,
            judged.map(|(judged, to_N)| (&judged.0, to_N)),
        );
        let mut gradient_SD = pass.x_SD.zeros_like();
        let _ = gradient_SD.index_add_(0, &pass.packed.sources_N, &x_gradient_ND);
        drop(pass.x_SD);
        if let Some(&end) = self.starts.last() {
            reached(end);
        }
        let mut attention = pass.attention;
        let blocks = self.blocks.iter().zip(pass.saved).zip(&self.starts);
        for ((block, saved), &start) in blocks.rev() {
            block.backward(saved, &mut attention, &gradient_SD);
            reached(start);
        }
        if let Some(embedding_gradient_VD) = &self.embedding_gradient_VD {
            let mut gradient_SD = self.scale_embedded(gradient_SD);
            // As in transformers, reading the padding token teaches it nothing,
            // even where it is the end token too.
            if let Some(padding) = self.config.pad_token_id {
                let read_S1 = pass.packed.ids_S.ne(padding).unsqueeze(1);
                let _ = gradient_SD.g_mul_(&read_S1);
            }
            let mut sum = embedding_gradient_VD.shallow_clone();
            let _ = sum.index_add_(0, &pass.packed.ids_S, &gradient_SD);
        }
    }
}

/// Gradient `[P]` of the mean log-probability of one sequence's tokens but the first.
#[cfg(test)]
pub(crate) fn gradient(decoder: &Decoder, ids: &[i64]) -> Tensor {
    let network = Network::learning(
        decoder,
        Precision::Float32,
        Keep::Everything,
        Workspace::default(),
        decoder.trainable().count(),
    );
    let packed = Packed::sequence(ids, decoder.device());
    let pass = network.read(&packed);
    let scored = network.score(&pass, 1.0, None);
    let share = scored.logprobs_N.full_like(1.0 / (ids.len() - 1) as f64);
    network.backward(pass, &scored, &share, None, None, &mut |_| ());
    network.into_gradient().0
}

/// Logits `[T, V]` of one sequence, float32.
#[cfg(test)]
pub(crate) fn logits(decoder: &Decoder, ids: &[i64]) -> Tensor {
    let network = Network::reading(decoder, Precision::Float32);
    let packed = Packed::sequence(ids, decoder.device());
    network.logits(&network.read(&packed))
}

#[cfg(test)]
mod tests;
