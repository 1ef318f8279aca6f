//! The last norm and the head: logits of the tokens that are scored, and of no
//! others, some rows at a time, so that all of them are never in memory.
//!
//! On the way back logits are computed a second time: that costs a quarter of
//! the head, and keeping them would cost more memory than the rest of the
//! network. Their gradients are collected for more rows at a time, because each
//! product that makes the weight's gradient of them is added to a sum as large
//! as the weight.

use std::cell::OnceCell;

use tch::{Kind, Tensor};
use torch_ext::cpu::{self, PackedLinear, training};

use super::layer::Norm;
use super::linear::add_product;
use super::{Parameters, has_kernels, portable, present};
use crate::model::ModelConfig;

/// Logits in memory at a time: 2^23 numbers are 32 MiB in float32.
const LOGITS: i64 = 1 << 23;

/// Gradients of logits in memory at a time: of so many times the rows.
const CHUNK: i64 = 4;

/// Memory that every micro-batch needs anew, kept from one to the next: the
/// system clears each page that it gives out.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    logits: OnceCell<Tensor>,
    logit_gradients: OnceCell<Tensor>,
    weight_gradient: OnceCell<Tensor>,
}

/// What the targets of a batch score, `[N]` each, without graph.
#[derive(Debug)]
pub struct Scored {
    /// Log-probability of each target.
    pub logprobs_N: Tensor,
    /// Entropy of the distribution each target is drawn from, in nats.
    pub entropies_N: Tensor,
    /// Whether no other token is likelier.
    pub best_N: Tensor,
    x_ND: Tensor,
    chunks: Vec<Chunk>,
    temperature: f64,
}

/// The scores of a few rows as what computed them gave them.
#[derive(Debug)]
enum Chunk {
    Kernel(training::Scores),
    Portable(portable::Scores),
}

/// The head and the norm before it.
pub(super) struct Head {
    norm: Norm,
    weight_VD: Tensor,
    gradient_VD: Option<Tensor>,
    /// For float32 logits of bfloat16 operands on the CPU.
    packed: Option<PackedLinear>,
    pub(super) buffers: Buffers,
}

impl Head {
    pub(super) fn new(config: &ModelConfig, parameters: &Parameters<'_>, buffers: Buffers) -> Self {
        let name = if config.tie_word_embeddings {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        };
        let weight_VD = present(parameters.operand(name));
        let on_cpu = has_kernels(weight_VD.device());
        let packed = (on_cpu && parameters.kind == Kind::BFloat16 && cpu::has_bf16())
            .then(|| PackedLinear::new(&weight_VD, None, Kind::BFloat16));
        Self {
            norm: Norm::new(config, parameters, "model.norm.weight"),
            gradient_VD: parameters.gradient(name),
            weight_VD,
            packed,
            buffers,
        }
    }

    /// Logits of normed rows, float32; they hold until the next are computed.
    fn logits_of(&self, normed_ND: &Tensor) -> Tensor {
        if !has_kernels(normed_ND.device()) {
            return normed_ND
                .linear(&self.weight_VD, None::<Tensor>)
                .to_kind(Kind::Float);
        }
        let rows = normed_ND.size()[0];
        let logits = self.buffers.logits.get_or_init(|| {
            let size = [self.rows(), self.weight_VD.size()[0]];
            Tensor::empty(size, (Kind::Float, normed_ND.device()))
        });
        let mut logits_NV = logits.narrow(0, 0, rows);
        match &self.packed {
            Some(packed) => packed.forward_into(normed_ND, &mut logits_NV),
            None if normed_ND.kind() == Kind::Float => {
                let _ = normed_ND.mm_out(&logits_NV, &self.weight_VD.transpose(0, 1));
            }
            None => logits_NV.copy_(&normed_ND.linear(&self.weight_VD, None::<Tensor>)),
        }
        logits_NV
    }

    /// Logits of rows of the residual stream.
    pub(super) fn logits(&self, x_SD: &Tensor) -> Tensor {
        let (normed_SD, _) = self.norm.forward(x_SD);
        let parts: Vec<Tensor> = parts(x_SD.size()[0], self.rows())
            .map(|(first, count)| self.logits_of(&normed_SD.narrow(0, first, count)).copy())
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// Rows whose logits are in memory at a time.
    fn rows(&self) -> i64 {
        (LOGITS / self.weight_VD.size()[0]).max(1)
    }

    pub(super) fn score(&self, x_ND: Tensor, targets_N: &Tensor, temperature: f64) -> Scored {
        let (normed_ND, _) = self.norm.forward(&x_ND);
        let on_cpu = has_kernels(x_ND.device());
        let chunks: Vec<Chunk> = parts(x_ND.size()[0], self.rows())
            .map(|(first, count)| {
                let logits_NV = self.logits_of(&normed_ND.narrow(0, first, count));
                let targets_N = targets_N.narrow(0, first, count);
                if on_cpu {
                    Chunk::Kernel(training::score(&logits_NV, &targets_N, temperature))
                } else {
                    Chunk::Portable(portable::score(&logits_NV, &targets_N, temperature))
                }
            })
            .collect();
        let all =
            |of: fn(&Chunk) -> &Tensor| Tensor::cat(&chunks.iter().map(of).collect::<Vec<_>>(), 0);
        Scored {
            logprobs_N: all(|chunk| match chunk {
                Chunk::Kernel(scores) => &scores.logprobs_N,
                Chunk::Portable(scores) => &scores.logprobs_N,
            }),
            entropies_N: all(|chunk| match chunk {
                Chunk::Kernel(scores) => &scores.entropies_N,
                Chunk::Portable(scores) => &scores.entropies_N,
            }),
            best_N: all(|chunk| match chunk {
                Chunk::Kernel(scores) => &scores.best_N,
                Chunk::Portable(scores) => &scores.best_N,
            }),
            x_ND,
            chunks,
            temperature,
        }
    }

    /// KL divergence of another head's distributions from these, in nats, `[N]`: the
    /// sum over the vocabulary of p (ln p - ln q), p of this head's rows and q of the
    /// other's, at temperature 1. Never all logits at once.
    pub(super) fn divergence(&self, x_ND: &Tensor, other: &Self, other_x_ND: &Tensor) -> Tensor {
        let (normed_ND, _) = self.norm.forward(x_ND);
        let (other_normed_ND, _) = other.norm.forward(other_x_ND);
        let divergences: Vec<Tensor> = parts(x_ND.size()[0], self.rows())
            .map(|(first, count)| {
                let logprobs = |head: &Self, normed_ND: &Tensor| {
                    let logits_NV = head.logits_of(&normed_ND.narrow(0, first, count));
                    logits_NV.log_softmax(-1, Kind::Float)
                };
                let own_NV = logprobs(self, &normed_ND);
                let apart_NV = &own_NV - logprobs(other, &other_normed_ND);
                (own_NV.exp() * apart_NV).sum_dim_intlist(-1, false, Kind::Float)
            })
            .collect();
        Tensor::cat(&divergences, 0)
    }

    /// The gradient of the rows that were scored, float32; sums the parameters' own.
    pub(super) fn backward(
        &self,
        scored: &Scored,
        targets_N: &Tensor,
        logprob_gradient_N: &Tensor,
        entropy_gradient_N: Option<&Tensor>,
    ) -> Tensor {
        let x_ND = &scored.x_ND;
        let (normed_ND, factors_N) = self.norm.forward(x_ND);
        let normed_gradient_ND = normed_ND.empty_like();
        let (rows, kind) = (self.rows(), normed_ND.kind());
        let logit_gradients = self.buffers.logit_gradients.get_or_init(|| {
            let size = [CHUNK * rows, self.weight_VD.size()[0]];
            Tensor::empty(size, (kind, x_ND.device()))
        });
        let mut chunks = scored.chunks.iter();
        for (start, length) in parts(x_ND.size()[0], CHUNK * rows) {
            for ((first, count), chunk) in parts(length, rows).zip(chunks.by_ref()) {
                let part = |tensor: &Tensor| tensor.narrow(0, start + first, count);
                let logits_NV = self.logits_of(&part(&normed_ND));
                chunk.backward(
                    &logits_NV,
                    &part(targets_N),
                    scored.temperature,
                    &part(logprob_gradient_N),
                    entropy_gradient_N.map(part).as_ref(),
                    &logit_gradients.narrow(0, first, count),
                );
            }
            let logit_gradient_NV = logit_gradients.narrow(0, 0, length);
            let part = |tensor: &Tensor| tensor.narrow(0, start, length);
            part(&normed_gradient_ND).copy_(&logit_gradient_NV.matmul(&self.weight_VD));
            self.add_weight_gradient(&logit_gradient_NV, &part(&normed_ND));
        }
        let x_gradient_ND = x_ND.zeros_like();
        self.norm
            .backward(x_ND, &factors_N, &normed_gradient_ND, &x_gradient_ND);
        x_gradient_ND
    }

    fn add_weight_gradient(&self, logit_gradient_NV: &Tensor, normed_ND: &Tensor) {
        let Some(sum) = &self.gradient_VD else { return };
        let product = (normed_ND.kind() != Kind::Float).then(|| {
            let buffer = &self.buffers.weight_gradient;
            buffer.get_or_init(|| self.weight_VD.empty_like())
        });
        add_product(sum, logit_gradient_NV, normed_ND, product);
    }
}

impl Chunk {
    /// Writes the gradient of a chunk's logits.
    fn backward(
        &self,
        logits_NV: &Tensor,
        targets_N: &Tensor,
        temperature: f64,
        logprob_gradient_N: &Tensor,
        entropy_gradient_N: Option<&Tensor>,
        gradient_NV: &Tensor,
    ) {
        match self {
            Self::Kernel(scores) => training::score_backward(
                logits_NV,
                targets_N,
                temperature,
                scores,
                logprob_gradient_N,
                entropy_gradient_N,
                gradient_NV,
            ),
            Self::Portable(scores) => gradient_NV.shallow_clone().copy_(&portable::score_backward(
                logits_NV,
                targets_N,
                temperature,
                scores,
                logprob_gradient_N,
                entropy_gradient_N,
            )),
        }
    }
}

/// Where parts of at most `most` of `count` rows begin, and their lengths.
fn parts(count: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..count)
        .step_by(most as usize)
        .map(move |first| (first, most.min(count - first)))
}
