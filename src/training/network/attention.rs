//! Attention of a packed batch: by the kernels on the CPU, by libtorch's
//! operators elsewhere.

use tch::{Kind, Tensor};
use torch_ext::cpu::Rotary as Tables;
use torch_ext::cpu::training::{self, Heads, Sequences};

use super::packed::Packed;
use super::{Parameters, has_kernels, portable};
use crate::model::ModelConfig;
use crate::model::rope::Rotary;

/// What all layers share of one batch.
pub(super) struct Batch<'a> {
    sequences: &'a Sequences,
    heads: Heads,
    way: Way,
}

enum Way {
    Kernel(Tables),
    Portable(portable::Layout),
}

/// What attention gave, and what its gradient needs of it.
pub(super) enum Attended {
    Kernel(training::Attended),
    Portable(portable::Attended),
}

impl Attended {
    /// `[S, H * E]`.
    pub(super) fn mixed_SD(&self) -> &Tensor {
        match self {
            Self::Kernel(attended) => &attended.mixed_SD,
            Self::Portable(attended) => &attended.mixed_SD,
        }
    }
}

impl<'a> Batch<'a> {
    pub(super) fn new(config: &ModelConfig, packed: &'a Packed) -> Self {
        let sequences = &packed.sequences;
        let heads = Heads {
            query: config.num_attention_heads,
            key: config.num_key_value_heads,
            width: config.head_dim,
        };
        let rotary = Rotary::of_sequence(config, sequences.longest(), packed.device).remove(0);
        let way = if has_kernels(packed.device) {
            Way::Kernel(Tables::new(&rotary.cos_TE, &rotary.sin_TE))
        } else {
            Way::Portable(portable::Layout::new(
                sequences,
                heads,
                &rotary,
                packed.device,
            ))
        };
        Self {
            sequences,
            heads,
            way,
        }
    }

    /// Mixes values; `returns` says whether there will be a way back.
    pub(super) fn attend(&self, qkv_SC: &Tensor, returns: bool) -> Attended {
        match &self.way {
            Way::Kernel(tables) => Attended::Kernel(training::attention(
                qkv_SC,
                self.sequences,
                self.heads,
                tables,
            )),
            Way::Portable(layout) => Attended::Portable(layout.attend(qkv_SC, returns)),
        }
    }

    /// The gradient of queries, keys and values.
    pub(super) fn backward(
        &self,
        qkv_SC: &Tensor,
        attended: Attended,
        mixed_gradient_SD: &Tensor,
    ) -> Tensor {
        match (&self.way, attended) {
            (Way::Kernel(tables), Attended::Kernel(attended)) => training::attention_backward(
                qkv_SC,
                self.sequences,
                self.heads,
                tables,
                &attended,
                mixed_gradient_SD,
            ),
            (_, Attended::Portable(attended)) => attended.backward(mixed_gradient_SD),
            (Way::Portable(_), Attended::Kernel(_)) => {
                unreachable!("a batch goes back the way it came")
            }
        }
    }
}

/// RMSNorm over each query and key head, as Qwen3 has it, by libtorch's own
/// operators on every device.
pub(super) struct HeadNorms {
    query_E: Tensor,
    key_E: Tensor,
    query_gradient_E: Option<Tensor>,
    key_gradient_E: Option<Tensor>,
    heads: Heads,
    eps: f64,
}

impl HeadNorms {
    /// The norms under a name such as `model.layers.0.self_attn`, where the
    /// architecture has them.
    pub(super) fn new(
        config: &ModelConfig,
        parameters: &Parameters<'_>,
        name: &str,
    ) -> Option<Self> {
        let (query, key) = (
            format!("{name}.q_norm.weight"),
            format!("{name}.k_norm.weight"),
        );
        Some(Self {
            query_E: parameters.master(&query)?,
            key_E: parameters.master(&key)?,
            query_gradient_E: parameters.gradient(&query),
            key_gradient_E: parameters.gradient(&key),
            heads: Heads {
                query: config.num_attention_heads,
                key: config.num_key_value_heads,
                width: config.head_dim,
            },
            eps: config.rms_norm_eps,
        })
    }

    pub(super) fn forward(&self, raw_SC: &Tensor) -> Tensor {
        self.normed(raw_SC, &self.query_E, &self.key_E)
    }

    fn normed(&self, raw_SC: &Tensor, query_E: &Tensor, key_E: &Tensor) -> Tensor {
        let Heads { query, key, width } = self.heads;
        let parts = raw_SC.split_with_sizes([query * width, key * width, key * width], 1);
        let norm = |part: &Tensor, heads: i64, weight: &Tensor| {
            part.reshape([-1, heads, width])
                .to_kind(Kind::Float)
                .rms_norm(width, Some(weight), self.eps)
                .to_kind(raw_SC.kind())
                .reshape([-1, heads * width])
        };
        let (queries, keys) = (norm(&parts[0], query, query_E), norm(&parts[1], key, key_E));
        Tensor::cat(&[&queries, &keys, &parts[2]], 1)
    }

    /// The gradient before the norms; sums the parameters' own.
    pub(super) fn backward(&self, raw_SC: &Tensor, gradient_SC: &Tensor) -> Tensor {
        let gradients = tch::with_grad(|| {
            let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
            let (raw_SC, query_E, key_E) = (leaf(raw_SC), leaf(&self.query_E), leaf(&self.key_E));
            let normed_SC = self.normed(&raw_SC, &query_E, &key_E);
            let loss = (normed_SC * gradient_SC).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[&raw_SC, &query_E, &key_E], false, false)
        });
        for (sum, gradient) in [&self.query_gradient_E, &self.key_gradient_E]
            .into_iter()
            .zip(&gradients[1..])
        {
            if let Some(sum) = sum {
                let _ = sum.shallow_clone().g_add_(gradient);
            }
        }
        gradients[0].shallow_clone()
    }
}
