//! The last norm and the head: logits of the tokens that are scored, and of no
//! others, some rows at a time, so that all of them are never in memory.
//!
//! On the way back the logits of a chunk are computed a second time: that costs
//! a third of the head, and keeping them would cost more memory than the rest
//! of the network.

use tch::{Kind, Tensor};
use torch_ext::cpu::{self, PackedLinear, training};

use super::layer::Norm;
use super::linear::add_product;
use super::{Parameters, has_kernels, portable, present};
use crate::model::ModelConfig;

/// Logits in memory at a time: 2^25 numbers are 128 MiB in float32.
const LOGITS: i64 = 1 << 25;

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
}

impl Head {
    pub(super) fn new(config: &ModelConfig, parameters: &Parameters<'_>) -> Self {
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
        }
    }

    /// Logits of normed rows, float32.
    fn logits_of(&self, normed_ND: &Tensor) -> Tensor {
        match &self.packed {
            Some(packed) => packed.forward(normed_ND, Kind::Float),
            None => normed_ND
                .linear(&self.weight_VD, None::<Tensor>)
                .to_kind(Kind::Float),
        }
    }

    /// Logits of rows of the residual stream.
    pub(super) fn logits(&self, x_SD: &Tensor) -> Tensor {
        self.logits_of(&self.norm.forward(x_SD).0)
    }

    fn rows(&self) -> i64 {
        (LOGITS / self.weight_VD.size()[0]).max(1)
    }

    /// Where chunks of `count` rows begin, and their lengths.
    fn chunks(&self, count: i64) -> impl Iterator<Item = (i64, i64)> + use<> {
        let rows = self.rows();
        (0..count)
            .step_by(rows as usize)
            .map(move |first| (first, rows.min(count - first)))
    }

    pub(super) fn score(&self, x_ND: Tensor, targets_N: &Tensor, temperature: f64) -> Scored {
        let (normed_ND, _) = self.norm.forward(&x_ND);
        let on_cpu = has_kernels(x_ND.device());
        let chunks: Vec<Chunk> = self
            .chunks(x_ND.size()[0])
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
        for ((first, count), chunk) in self.chunks(x_ND.size()[0]).zip(&scored.chunks) {
            let part = |tensor: &Tensor| tensor.narrow(0, first, count);
            let rows_ND = part(&normed_ND);
            let logits_NV = self.logits_of(&rows_ND);
            let targets_N = part(targets_N);
            let to_logprobs_N = part(logprob_gradient_N);
            let to_entropies_N = entropy_gradient_N.map(part);
            let logit_gradient_NV = match chunk {
                Chunk::Kernel(scores) => training::score_backward(
                    &logits_NV,
                    &targets_N,
                    scored.temperature,
                    scores,
                    &to_logprobs_N,
                    to_entropies_N.as_ref(),
                    normed_ND.kind(),
                ),
                Chunk::Portable(scores) => portable::score_backward(
                    &logits_NV,
                    &targets_N,
                    scored.temperature,
                    scores,
                    &to_logprobs_N,
                    to_entropies_N.as_ref(),
                )
                .to_kind(normed_ND.kind()),
            };
            drop(logits_NV);
            part(&normed_gradient_ND).copy_(&logit_gradient_NV.matmul(&self.weight_VD));
            add_product(self.gradient_VD.as_ref(), &logit_gradient_NV, &rows_ND);
        }
        let x_gradient_ND = x_ND.zeros_like();
        self.norm
            .backward(x_ND, &factors_N, &normed_gradient_ND, &x_gradient_ND);
        x_gradient_ND
    }
}
