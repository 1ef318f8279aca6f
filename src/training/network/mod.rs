//! The decoder as training runs it: over sequences laid end to end, forward and
//! backward, in float32 or in bfloat16 beside float32 weights.
//!
//! Architecture: Touvron et al. 2023 (arXiv 2302.13971) as transformers
//! implements it, so that what is saved loads there. How Llama, Qwen2 and Qwen3
//! differ is said by [`ModelConfig`]: biases and the norms of query and key
//! heads are present or absent, the rest is one code.
//!
//! The way back is written out layer by layer, not recorded by autograd. So
//! what is kept for it is what it needs and nothing else, gradients are summed
//! into one float32 vector where they fall, and a layer can be kept as its
//! input alone and computed again.
//!
//! In bfloat16 the operands of matrix products are rounded, and what lies
//! between the products of one layer; weights, gradients, the residual stream,
//! norms, softmaxes and scores stay float32. How generation runs the same
//! network is [`crate::generation`]'s matter.
//!
//! Axes: S tokens laid end to end, D width of the residual stream, C channels
//! of queries, keys and values, F width of the feed-forward layer, N tokens
//! that are scored, V vocabulary, P all parameters.

mod attention;
mod head;
mod layer;
mod linear;
mod low_rank;
mod packed;
mod portable;

pub use head::Scored;
pub(crate) use linear::Linear;
pub use packed::Packed;
pub(crate) use packed::tokens_of;

use tch::{Device, Kind, Tensor};

use crate::generation::Precision;
use crate::model::{Decoder, ModelConfig, Weights};
use attention::Batch;
use head::Head;
use layer::{Layer, Saved};

/// What is kept of each layer for the way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing: there is no way back.
    Nothing,
    /// Its input; the rest is computed a second time (activation checkpointing).
    Inputs,
    /// All that its gradient needs.
    Everything,
}

/// A decoder made ready to compute in one precision. In bfloat16 it holds a
/// rounded copy of the weights as they were when it was made, so it lives no
/// longer than one update.
pub struct Network<'a> {
    config: &'a ModelConfig,
    embedding_VD: Tensor,
    /// Where reading a token adds its gradient; absent where it is frozen.
    embedding_gradient_VD: Option<Tensor>,
    layers: Vec<Layer>,
    head: Head,
    keep: Keep,
    operands_P: Tensor,
    gradient_P: Option<Tensor>,
    /// Where each layer's gradients begin, and where what follows them does.
    starts: Vec<i64>,
}

/// Where in the vector of what is trained each layer begins, and where what
/// follows the last does. What has no parameters begins where the next does.
pub(super) fn starts(trained: &Weights, layers: usize) -> Vec<i64> {
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

/// A forward pass over one batch: what the head reads, and what was kept.
pub struct Pass<'a> {
    packed: &'a Packed,
    batch: Batch<'a>,
    x_SD: Tensor,
    saved: Vec<Saved>,
}

/// Where the parameters of a network are found, and their gradients.
struct Parameters<'a> {
    weights: &'a Weights,
    /// The weights as products take them, in the layout of the weights.
    operands_P: Tensor,
    /// In the layout of what is trained; absent where nothing is.
    gradient_P: Option<Tensor>,
    adapter: Option<&'a crate::model::Adapter>,
    kind: Kind,
}

impl Parameters<'_> {
    /// A leaf in float32, as it is trained.
    fn master(&self, leaf: &str) -> Option<Tensor> {
        self.weights.view(self.weights.flat(), leaf)
    }

    /// A leaf as products take it.
    fn operand(&self, leaf: &str) -> Option<Tensor> {
        self.weights.view(&self.operands_P, leaf)
    }

    /// Where a leaf's gradient is summed; absent where it is frozen.
    fn gradient(&self, leaf: &str) -> Option<Tensor> {
        let trained = self
            .gradient_P
            .as_ref()
            .filter(|_| self.adapter.is_none())?;
        self.weights.view(trained, leaf)
    }
}

/// The layout of a configuration has every leaf that the network reads.
fn present(tensor: Option<Tensor>) -> Tensor {
    tensor.expect("the layout of a configuration has every leaf the network reads")
}

impl<'a> Network<'a> {
    /// A network to read with.
    pub fn reading(decoder: &'a Decoder, precision: Precision) -> Self {
        let workspace = Workspace::default();
        Self::new(decoder, precision, Keep::Nothing, workspace, None)
    }

    /// A network that also goes back, with gradients that begin at 0, in the
    /// memory of an earlier one of the same decoder. The vector of gradients
    /// has `length` numbers, those beyond the parameters' stay 0.
    pub fn learning(
        decoder: &'a Decoder,
        precision: Precision,
        keep: Keep,
        workspace: Workspace,
        length: i64,
    ) -> Self {
        let options = (Kind::Float, decoder.device());
        let gradient_P = Tensor::zeros([length], options);
        Self::new(decoder, precision, keep, workspace, Some(gradient_P))
    }

    fn new(
        decoder: &'a Decoder,
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
            weights,
            operands_P,
            gradient_P,
            adapter: decoder.adapter(),
            kind,
        };
        let embedding = "model.embed_tokens.weight";
        Self {
            embedding_VD: present(parameters.master(embedding)),
            embedding_gradient_VD: parameters.gradient(embedding),
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(config, &parameters, index))
                .collect(),
            head: Head::new(config, &parameters, workspace.head),
            operands_P: parameters.operands_P,
            gradient_P: parameters.gradient_P,
            starts: starts(decoder.trainable(), config.num_hidden_layers),
            config,
            keep,
        }
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
            operands_P: (self.operands_P.kind() != Kind::Float).then_some(self.operands_P),
            head: self.head.buffers,
        };
        (gradient_P, workspace)
    }

    /// Reads a batch.
    pub fn read<'b>(&self, packed: &'b Packed) -> Pass<'b> {
        let _guard = tch::no_grad_guard();
        let batch = Batch::new(self.config, packed);
        let mut x_SD = self.embedding_VD.index_select(0, &packed.ids_S);
        let mut saved = Vec::new();
        for layer in &self.layers {
            let (next_SD, kept) = layer.forward(x_SD, &batch, self.keep);
            saved.extend(kept);
            x_SD = next_SD;
        }
        Pass {
            packed,
            batch,
            x_SD,
            saved,
        }
    }

    /// What the batch's targets score under the logits divided by `temperature`.
    pub fn score(&self, pass: &Pass<'_>, temperature: f64) -> Scored {
        let _guard = tch::no_grad_guard();
        let x_ND = pass.x_SD.index_select(0, &pass.packed.sources_N);
        self.head.score(x_ND, &pass.packed.targets_N, temperature)
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

    /// The gradient so far, `[P]`; `None` of a network that only reads.
    pub(super) fn gradient(&self) -> Option<&Tensor> {
        self.gradient_P.as_ref()
    }

    /// Adds to the gradients what comes back from those of the scores, `[N]`
    /// each, without graph; entropies may have none. `reached` is told, as the
    /// pass goes down, from which place of the gradient on it adds nothing more.
    pub fn backward(
        &self,
        pass: Pass<'_>,
        scored: &Scored,
        logprob_gradient_N: &Tensor,
        entropy_gradient_N: Option<&Tensor>,
        reached: &mut dyn FnMut(i64),
    ) {
        let _guard = tch::no_grad_guard();
        let x_gradient_ND = self.head.backward(
            scored,
            &pass.packed.targets_N,
            logprob_gradient_N,
            entropy_gradient_N,
        );
        let mut gradient_SD = pass.x_SD.zeros_like();
        let _ = gradient_SD.index_add_(0, &pass.packed.sources_N, &x_gradient_ND);
        drop(pass.x_SD);
        if let Some(&end) = self.starts.last() {
            reached(end);
        }
        let layers = self.layers.iter().zip(pass.saved).zip(&self.starts);
        for ((layer, saved), &start) in layers.rev() {
            layer.backward(saved, &pass.batch, &gradient_SD);
            reached(start);
        }
        if let Some(embedding_gradient_VD) = &self.embedding_gradient_VD {
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
    let scored = network.score(&pass, 1.0);
    let share = scored.logprobs_N.full_like(1.0 / (ids.len() - 1) as f64);
    network.backward(pass, &scored, &share, None, &mut |_| ());
    network.into_gradient().0
}

/// Logits `[T, V]` of one sequence, float32.
#[cfg(test)]
pub(crate) fn logits(decoder: &Decoder, ids: &[i64]) -> Tensor {
    let network = Network::reading(decoder, Precision::Float32);
    let packed = Packed::sequence(ids, decoder.device());
    network.logits(&network.read(&packed))
}

/// Whether the kernels serve a tensor's device; elsewhere libtorch's operators do.
fn has_kernels(device: Device) -> bool {
    #[cfg(test)]
    if PORTABLE.with(std::cell::Cell::get) {
        return false;
    }
    device == Device::Cpu
}

#[cfg(test)]
thread_local! {
    /// Set by the test that holds libtorch's operators to the kernels.
    static PORTABLE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

#[cfg(test)]
mod tests;
