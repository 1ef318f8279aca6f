//! Attention as a block asks for it, whoever answers: the rows of a packed batch here, caches in
//! [`crate::generation`].

use anyhow::Result;
use tch::{Kind, Tensor};
use torch_ext::Look;
use torch_ext::attention::{Attended, Heads, Rows, Tables};
use torch_ext::cpu;

use super::Packed;
use super::parameters::Parameters;
use crate::model::ModelConfig;
use crate::model::config;
use crate::model::rotary::Rotary;

/// How the tokens of a pass attend: to each other, or to a cache.
pub(crate) trait Attention {
    /// What its backward pass needs of one layer.
    type Kept;

    /// Normalises and rotates the queries and keys of one layer and mixes its
    /// values by them: `[N, (H + 2 K) E]`, heads of queries, then keys, then
    /// values, gives `[N, H E]`. `returns` says whether a backward pass follows.
    fn attend(
        &mut self,
        layer: &LayerAttention,
        qkv_NC: &Tensor,
        returns: bool,
    ) -> (Tensor, Self::Kept);
}

/// What attention has to know of a layer.
pub(crate) struct LayerAttention {
    /// Which layer it is.
    pub(crate) index: usize,
    /// Heads and their width.
    pub(crate) heads: Heads,
    /// Norms of queries and keys, where the architecture has them.
    pub(crate) norms: Option<HeadNorms>,
    /// Which of the configuration's rotary positions it has.
    pub(crate) rope: usize,
    /// How its queries look at keys.
    pub(crate) look: Look,
}

impl LayerAttention {
    pub(super) fn new(parameters: &Parameters<'_>, index: usize) -> Result<Self> {
        let config = parameters.config;
        let kind = config.layers[index];
        Ok(Self {
            index,
            heads: heads(config),
            norms: HeadNorms::new(parameters, index)?,
            rope: kind.rope,
            look: Look {
                scale: config.attention_scale,
                window: kind.window,
                cap: config.attention_cap,
            },
        })
    }

    /// Queries, keys and values as attention takes them, in the kind of `raw_SC`.
    pub(crate) fn normed(&self, raw_SC: &Tensor) -> Tensor {
        match &self.norms {
            Some(norms) => norms.forward(raw_SC),
            None => raw_SC.shallow_clone(),
        }
    }
}

fn heads(config: &ModelConfig) -> Heads {
    Heads {
        query: config.num_attention_heads,
        key: config.num_key_value_heads,
        width: config.head_dim,
    }
}

/// `RMSNorm` of queries and keys before they are rotated, by libtorch's own operators on every
/// device.
pub(crate) struct HeadNorms {
    /// The weights as they multiply, float32: `[E]` each, or one for all heads
    /// of queries and one for all of keys.
    pub(crate) weights: cpu::HeadNorms,
    /// Whether each head is normalised on its own.
    pub(crate) each: bool,
    query_gradient: Option<Tensor>,
    key_gradient: Option<Tensor>,
    heads: Heads,
}

impl HeadNorms {
    fn new(parameters: &Parameters<'_>, layer: usize) -> Result<Option<Self>> {
        let config = parameters.config;
        let Some(kind) = config.head_norms else {
            return Ok(None);
        };
        let at = |name: &str| format!("model.layers.{layer}.self_attn.{name}.weight");
        let (query, key) = (at("q_norm"), at("k_norm"));
        Ok(Some(Self {
            weights: cpu::HeadNorms {
                query: parameters.norm(&query)?,
                key: parameters.norm(&key)?,
                eps: config.rms_norm_eps,
            },
            each: kind == config::HeadNorms::Each,
            query_gradient: parameters.gradient(&query),
            key_gradient: parameters.gradient(&key),
            heads: heads(config),
        }))
    }

    fn forward(&self, raw_SC: &Tensor) -> Tensor {
        self.apply(raw_SC, &self.weights.query, &self.weights.key)
    }

    fn apply(&self, raw_SC: &Tensor, query: &Tensor, key: &Tensor) -> Tensor {
        let heads = self.heads;
        let widths = [heads.query, heads.key, heads.key].map(|count| count * heads.width);
        let parts = raw_SC.split_with_sizes(widths, 1);
        let norm = |part: &Tensor, width: i64, weight: &Tensor| {
            let normed = if self.each { heads.width } else { width };
            part.reshape([-1, width / normed, normed])
                .to_kind(Kind::Float)
                .rms_norm(normed, Some(weight), self.weights.eps)
                .to_kind(raw_SC.kind())
                .reshape([-1, width])
        };
        let (queries, keys) = (
            norm(&parts[0], widths[0], query),
            norm(&parts[1], widths[1], key),
        );
        Tensor::cat(&[&queries, &keys, &parts[2]], 1)
    }

    /// The gradient before the norms; sums the parameters' own.
    fn backward(&self, raw_SC: &Tensor, gradient_SC: &Tensor) -> Tensor {
        let gradients = tch::with_grad(|| {
            let leaf = |tensor: &Tensor| tensor.detach().set_requires_grad(true);
            let (raw_SC, query, key) = (
                leaf(raw_SC),
                leaf(&self.weights.query),
                leaf(&self.weights.key),
            );
            let normed_SC = self.apply(&raw_SC, &query, &key);
            let loss = (normed_SC * gradient_SC).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[&raw_SC, &query, &key], false, false)
        });
        for (sum, gradient) in [&self.query_gradient, &self.key_gradient]
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

/// Attention among the rows of one packed batch; the only one that goes back.
pub(crate) struct PackedAttention<'a> {
    rows: Rows<'a>,
    /// For each of the configuration's rotary positions.
    tables: Vec<Tables>,
}

impl<'a> PackedAttention<'a> {
    pub(super) fn new(config: &ModelConfig, packed: &'a Packed) -> Self {
        let rows = Rows::new(&packed.sequences, heads(config), packed.device);
        let rotaries = Rotary::of_sequence(config, packed.sequences.longest(), packed.device);
        let tables = rotaries
            .iter()
            .map(|rotary| rows.tables(&rotary.cos_TE, &rotary.sin_TE));
        Self {
            tables: tables.collect(),
            rows,
        }
    }

    /// The gradient of queries, keys and values as they came, `[S, (H + 2 K) E]`.
    pub(super) fn backward(
        &self,
        layer: &LayerAttention,
        raw_SC: &Tensor,
        attended: Attended,
        mixed_gradient_SX: &Tensor,
    ) -> Tensor {
        let tables = &self.tables[layer.rope];
        let qkv_SC = layer.normed(raw_SC);
        let gradient_SC =
            self.rows
                .backward(&qkv_SC, tables, layer.look, attended, mixed_gradient_SX);
        match &layer.norms {
            Some(norms) => norms.backward(raw_SC, &gradient_SC),
            None => gradient_SC,
        }
    }
}

impl Attention for PackedAttention<'_> {
    type Kept = Attended;

    fn attend(
        &mut self,
        layer: &LayerAttention,
        qkv_NC: &Tensor,
        returns: bool,
    ) -> (Tensor, Attended) {
        let qkv_NC = layer.normed(qkv_NC);
        let tables = &self.tables[layer.rope];
        let attended = self.rows.attend(&qkv_NC, tables, layer.look, returns);
        (attended.mixed_SD.shallow_clone(), attended)
    }
}
