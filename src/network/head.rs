//! The last norm and the head: logits of the tokens that are scored, and of no
//! others, some rows at a time, so that all of them are never in memory.
//!
//! In the backward pass logits are computed a second time: that costs a quarter of
//! the head, and keeping them would cost more memory than the rest of the
//! network. Their gradients are collected for more rows at a time, because each
//! product that makes the weight's gradient of them is added to a sum as large
//! as the weight.

use std::cell::OnceCell;

use algorithms::Divergence;
use anyhow::Result;
use tch::{Device, Kind, Tensor};
use torch_ext::cpu::{self, PackedLinear};
use torch_ext::{has_kernels, scores};

use super::linear::add_product;
use super::norm::Norm;
use super::parameters::{Parameters, Place};

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
    /// Divergence from the model that judges, in nats, where there is one.
    pub divergences_N: Option<Tensor>,
    x_ND: Tensor,
    chunks: Vec<scores::Scores>,
    temperature: f64,
}

/// What another model says after the same tokens: its head, and its rows before it.
pub(super) struct Other<'a> {
    pub(super) head: &'a Head,
    pub(super) x_ND: Tensor,
    pub(super) divergence: Divergence,
}

/// The head and the norm before it.
pub(super) struct Head {
    norm: Norm,
    /// Absent where the head only samples and is packed.
    weight_VD: Option<Tensor>,
    gradient_VD: Option<Tensor>,
    /// For float32 logits of bfloat16 operands on the CPU, and to sample with.
    packed: Option<PackedLinear>,
    vocabulary: i64,
    scale: f64,
    cap: Option<f64>,
    pub(super) buffers: Buffers,
}

impl Head {
    /// A head whose weight, of that name, is `weight_VD`: as products take it where
    /// it is in memory, else as it was read.
    pub(super) fn new(
        parameters: &Parameters<'_>,
        name: &str,
        weight_VD: Tensor,
        buffers: Buffers,
    ) -> Result<Self> {
        let (config, kind) = (parameters.config, parameters.kind);
        let pack = |weight_VD: &Tensor| PackedLinear::new(weight_VD, None, kind);
        let (weight_VD, packed) = match &parameters.place {
            Place::Named { packs: true, .. } => (None, Some(pack(&weight_VD))),
            Place::Named { device, .. } => (Some(weight_VD.to_device(*device).to_kind(kind)), None),
            Place::Memory(_) => {
                let on_cpu = has_kernels(weight_VD.device());
                let packs = on_cpu && kind == Kind::BFloat16 && cpu::has_bf16();
                let packed = packs.then(|| pack(&weight_VD));
                (Some(weight_VD), packed)
            }
        };
        Ok(Self {
            norm: Norm::new(parameters, "model.norm.weight", kind)?,
            gradient_VD: parameters.gradient(name),
            weight_VD,
            packed,
            vocabulary: config.vocab_size,
            scale: config.logit_scale,
            cap: config.logit_cap,
            buffers,
        })
    }

    /// The weight as products take it.
    ///
    /// # Panics
    /// If the head only samples and is packed.
    fn weight_VD(&self) -> &Tensor {
        let weight_VD = self.weight_VD.as_ref();
        weight_VD.expect("a head that scores has its weight unpacked")
    }

    /// Logits of normed rows, float32, in memory of their own.
    fn fresh(&self, normed_ND: &Tensor) -> Tensor {
        let logits_NV = if let Some(packed) = &self.packed {
            packed.forward(normed_ND, Kind::Float)
        } else if normed_ND.kind() == Kind::BFloat16 && normed_ND.device().is_cuda() {
            // Sums are float32 anyway: rounding them to bfloat16 would cost a
            // logit of 20 two digits.
            normed_ND.mm_dtype(&self.weight_VD().transpose(0, 1), Kind::Float)
        } else {
            let logits_NV = normed_ND.linear(self.weight_VD(), None::<Tensor>);
            logits_NV.to_kind(Kind::Float)
        };
        self.shaped(logits_NV)
    }

    /// Logits of normed rows, float32; they hold until the next are computed.
    fn logits_of(&self, normed_ND: &Tensor) -> Tensor {
        if normed_ND.device() != Device::Cpu {
            return self.fresh(normed_ND);
        }
        let rows = normed_ND.size()[0];
        let logits = self.buffers.logits.get_or_init(|| {
            let size = [self.rows(), self.vocabulary];
            Tensor::empty(size, (Kind::Float, normed_ND.device()))
        });
        let mut logits_NV = logits.narrow(0, 0, rows);
        match &self.packed {
            Some(packed) => packed.forward_into(normed_ND, &mut logits_NV),
            None if normed_ND.kind() == Kind::Float => {
                let _ = normed_ND.mm_out(&logits_NV, &self.weight_VD().transpose(0, 1));
            }
            None => logits_NV.copy_(&normed_ND.linear(self.weight_VD(), None::<Tensor>)),
        }
        self.shaped(logits_NV)
    }

    /// Logits scaled and capped, `c tanh(l / c)`, in place.
    fn shaped(&self, mut logits_NV: Tensor) -> Tensor {
        let factor = self.scale / self.cap.unwrap_or(1.0);
        if (factor - 1.0).abs() > f64::EPSILON {
            logits_NV = logits_NV.g_mul_scalar_(factor);
        }
        match self.cap {
            Some(cap) => logits_NV.tanh_().g_mul_scalar_(cap),
            None => logits_NV,
        }
    }

    /// Makes of the gradient of shaped logits that of the product's.
    fn shaped_backward(&self, logits_NV: &Tensor, gradient_NV: &Tensor) {
        let mut gradient_NV = gradient_NV.shallow_clone();
        if let Some(cap) = self.cap {
            let slope_NV = 1.0 - (logits_NV / cap).square();
            gradient_NV = gradient_NV.g_mul_(&slope_NV);
        }
        if (self.scale - 1.0).abs() > f64::EPSILON {
            let _ = gradient_NV.g_mul_scalar_(self.scale);
        }
    }

    /// Logits of a few rows of the residual stream, to sample from.
    pub(super) fn sampled(&self, x_LD: &Tensor) -> Tensor {
        self.fresh(&self.norm.rows(x_LD))
    }

    /// Logits of rows of the residual stream.
    pub(super) fn logits(&self, x_SD: &Tensor) -> Tensor {
        let normed_SD = self.norm.rows(x_SD);
        let parts: Vec<Tensor> = parts(x_SD.size()[0], self.rows())
            .map(|(first, count)| self.logits_of(&normed_SD.narrow(0, first, count)).copy())
            .collect();
        Tensor::cat(&parts, 0)
    }

    /// Rows whose logits are in memory at a time.
    fn rows(&self) -> i64 {
        (LOGITS / self.vocabulary).max(1)
    }

    pub(super) fn score(
        &self,
        x_ND: Tensor,
        targets_N: &Tensor,
        temperature: f64,
        other: Option<&Other<'_>>,
    ) -> Scored {
        let normed_ND = self.norm.rows(&x_ND);
        let other = other.map(|other| (other, other.head.norm.rows(&other.x_ND)));
        let mut divergences = Vec::new();
        let chunks: Vec<scores::Scores> = parts(x_ND.size()[0], self.rows())
            .map(|(first, count)| {
                let logits_NV = self.logits_of(&normed_ND.narrow(0, first, count));
                if let Some((other, normed_ND)) = &other {
                    let others_NV = other.logits(&normed_ND.narrow(0, first, count), &logits_NV);
                    divergences.push(other.divergence.of_logits(&logits_NV, &others_NV));
                }
                scores::score(&logits_NV, &targets_N.narrow(0, first, count), temperature)
            })
            .collect();
        let all = |of: fn(&scores::Scores) -> &Tensor| {
            Tensor::cat(&chunks.iter().map(of).collect::<Vec<_>>(), 0)
        };
        Scored {
            logprobs_N: all(|scores| &scores.logprobs_N),
            entropies_N: all(|scores| &scores.entropies_N),
            best_N: all(|scores| &scores.best_N),
            divergences_N: other.map(|_| Tensor::cat(&divergences, 0)),
            x_ND,
            chunks,
            temperature,
        }
    }

    /// KL divergence of another head's distributions from these, in nats, `[N]`: the
    /// sum over the vocabulary of p (ln p - ln q), p of this head's rows and q of the
    /// other's, at temperature 1. Never all logits at once.
    pub(super) fn divergence(&self, x_ND: &Tensor, other: &Self, other_x_ND: &Tensor) -> Tensor {
        let normed_ND = self.norm.rows(x_ND);
        let other_normed_ND = other.norm.rows(other_x_ND);
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
    /// `judged` has the gradient of the divergences from the other.
    pub(super) fn backward(
        &self,
        scored: &Scored,
        targets_N: &Tensor,
        logprob_gradient_N: &Tensor,
        entropy_gradient_N: Option<&Tensor>,
        judged: Option<(&Other<'_>, &Tensor)>,
    ) -> Tensor {
        let x_ND = &scored.x_ND;
        let (normed_ND, factors_N) = self.norm.forward(x_ND);
        let judged = judged.map(|(other, to_N)| (other, other.head.norm.rows(&other.x_ND), to_N));
        let normed_gradient_ND = normed_ND.empty_like();
        let (rows, kind) = (self.rows(), normed_ND.kind());
        let logit_gradients = self.buffers.logit_gradients.get_or_init(|| {
            let size = [CHUNK * rows, self.vocabulary];
            Tensor::empty(size, (kind, x_ND.device()))
        });
        let mut chunks = scored.chunks.iter();
        for (start, length) in parts(x_ND.size()[0], CHUNK * rows) {
            for ((first, count), chunk) in parts(length, rows).zip(chunks.by_ref()) {
                let part = |tensor: &Tensor| tensor.narrow(0, start + first, count);
                let logits_NV = self.logits_of(&part(&normed_ND));
                let logit_gradient_NV = logit_gradients.narrow(0, first, count);
                scores::score_backward(
                    &logits_NV,
                    &part(targets_N),
                    scored.temperature,
                    chunk,
                    &part(logprob_gradient_N),
                    entropy_gradient_N.map(part).as_ref(),
                    &logit_gradient_NV,
                );
                if let Some((other, normed_ND, to_N)) = &judged {
                    let others_NV = other.logits(&part(normed_ND), &logits_NV);
                    let of_NV = other.gradient(&logits_NV, &others_NV, &part(to_N));
                    let _ = logit_gradient_NV
                        .shallow_clone()
                        .g_add_(&of_NV.to_kind(kind));
                }
                self.shaped_backward(&logits_NV, &logit_gradient_NV);
            }
            let logit_gradient_NV = logit_gradients.narrow(0, 0, length);
            let part = |tensor: &Tensor| tensor.narrow(0, start, length);
            part(&normed_gradient_ND).copy_(&logit_gradient_NV.matmul(self.weight_VD()));
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
            buffer.get_or_init(|| self.weight_VD().empty_like())
        });
        add_product(sum, logit_gradient_NV, normed_ND, product);
    }
}

impl Other<'_> {
    /// Its logits of the tokens that a policy with those logits has: beyond them is padding,
    /// of which models of one family have more or less.
    fn logits(&self, normed_ND: &Tensor, logits_NV: &Tensor) -> Tensor {
        let others_NV = self.head.logits_of(normed_ND);
        others_NV.narrow(1, 0, logits_NV.size()[1])
    }

    /// Gradient of the logits that comes from that of the divergences.
    fn gradient(&self, logits_NV: &Tensor, others_NV: &Tensor, to_N: &Tensor) -> Tensor {
        tch::with_grad(|| {
            let leaf_NV = logits_NV.detach().set_requires_grad(true);
            let of_N = self.divergence.of_logits(&leaf_NV, others_NV);
            let sum = (of_N * to_N).sum(Kind::Float);
            Tensor::run_backward(&[sum], &[leaf_NV], false, false).remove(0)
        })
    }
}

/// Where parts of at most `most` of `count` rows begin, and their lengths.
fn parts(count: i64, most: i64) -> impl Iterator<Item = (i64, i64)> {
    (0..count)
        .step_by(most as usize)
        .map(move |first| (first, most.min(count - first)))
}
