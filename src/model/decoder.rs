//! The decoder as training runs it: RMSNorm, rotary positions, grouped-query
//! attention, a gated SiLU feed-forward layer, and a head that may share the
//! embedding, over whole right-padded rows and with gradients.
//!
//! Source of the architecture: Touvron et al. 2023 (arXiv 2302.13971) as
//! transformers implements it, so that what is saved here loads there. How
//! Llama, Qwen2 and Qwen3 differ is said by [`ModelConfig`]: biases and the
//! norms of query and key heads are present or absent, the rest is one code.
//! How generation runs the same network is [`crate::generation`]'s matter.

use tch::{Device, Tensor};

use super::adapter::Adapter;
use super::rope::Rotary;
use super::{ModelConfig, Weights};

/// The network with its weights.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    weights: Weights,
    adapter: Option<Adapter>,
    embedding_VD: Tensor,
    layers: Vec<Layer>,
    norm_D: Tensor,
    head_VD: Tensor,
}

/// A product by a weight `[out, in]`, with a bias and adapters where there are.
#[derive(Debug)]
struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    /// Name of the leaf: `model.layers.0.self_attn.qkv`.
    name: String,
}

/// One layer's parameters.
#[derive(Debug)]
struct Layer {
    input_norm_D: Tensor,
    qkv: Linear,
    query_norm_E: Option<Tensor>,
    key_norm_E: Option<Tensor>,
    output: Linear,
    post_norm_D: Tensor,
    gate_up: Linear,
    down: Linear,
}

impl Layer {
    fn new(weights: &Weights, index: usize) -> Self {
        let at = |name: &str| format!("model.layers.{index}.{name}");
        let linear = |name: &str| Linear {
            weight: leaf(weights, &at(&format!("{name}.weight"))),
            bias: optional(weights, &at(&format!("{name}.bias"))),
            name: at(name),
        };
        Self {
            input_norm_D: leaf(weights, &at("input_layernorm.weight")),
            qkv: linear("self_attn.qkv"),
            query_norm_E: optional(weights, &at("self_attn.q_norm.weight")),
            key_norm_E: optional(weights, &at("self_attn.k_norm.weight")),
            output: linear("self_attn.o_proj"),
            post_norm_D: leaf(weights, &at("post_attention_layernorm.weight")),
            gate_up: linear("mlp.gate_up"),
            down: linear("mlp.down_proj"),
        }
    }
}

fn optional(weights: &Weights, name: &str) -> Option<Tensor> {
    weights.leaf(name).map(Tensor::shallow_clone)
}

fn leaf(weights: &Weights, name: &str) -> Tensor {
    optional(weights, name).expect("the layout of a configuration has every leaf the decoder reads")
}

impl Decoder {
    /// A decoder over weights whose layout is the configuration's.
    pub fn new(config: ModelConfig, weights: Weights) -> Self {
        let embedding_VD = leaf(&weights, "model.embed_tokens.weight");
        let head_VD = if config.tie_word_embeddings {
            embedding_VD.shallow_clone()
        } else {
            leaf(&weights, "lm_head.weight")
        };
        Self {
            embedding_VD,
            layers: (0..config.num_hidden_layers)
                .map(|index| Layer::new(&weights, index))
                .collect(),
            norm_D: leaf(&weights, "model.norm.weight"),
            head_VD,
            adapter: None,
            config,
            weights,
        }
    }

    /// The same network with its weights frozen and an adapter to train.
    #[must_use]
    pub fn with_adapter(self, adapter: Adapter) -> Self {
        let frozen = Self::new(self.config, self.weights.frozen());
        Self {
            adapter: Some(adapter),
            ..frozen
        }
    }

    /// The network without its adapter, over the same memory: what a policy
    /// with an adapter is held to as its reference model.
    #[must_use]
    pub fn without_adapter(&self) -> Self {
        Self::new(self.config.clone(), self.weights.frozen())
    }

    /// Shape and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Parameters of the network, without those of an adapter.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The adapter, where there is one.
    pub fn adapter(&self) -> Option<&Adapter> {
        self.adapter.as_ref()
    }

    /// What training changes: the adapter where there is one, else everything.
    pub fn trainable(&self) -> &Weights {
        self.adapter
            .as_ref()
            .map_or(&self.weights, |adapter| adapter.weights())
    }

    /// A parameter as the network applies it: an adapter's change included.
    pub fn merged(&self, name: &str) -> Tensor {
        let plain = self.weights.get(name);
        self.adapter
            .as_ref()
            .and_then(|adapter| adapter.change(name))
            .map_or_else(|| plain.shallow_clone(), |change| plain + change)
    }

    /// Where the parameters live.
    pub fn device(&self) -> Device {
        self.weights.flat().device()
    }

    /// Logits `[N, V]` of the selected positions of right-padded rows.
    ///
    /// `ids_BT` are token ids; `positions_N` index the rows laid end to end
    /// (`b * T + t`). Padding needs no mask: it lies behind every real token,
    /// and attention only looks back.
    pub fn logits_at(&self, ids_BT: &Tensor, positions_N: &Tensor) -> Tensor {
        let rotary = Rotary::of_sequence(&self.config, ids_BT.size()[1], self.device());
        let groups = self.config.num_attention_heads / self.config.num_key_value_heads;
        // As in transformers, reading the padding token teaches it nothing,
        // even where it is the end token too.
        let padding = self.config.pad_token_id.unwrap_or(-1);
        let mut x_BTD = Tensor::embedding(&self.embedding_VD, ids_BT, padding, false, false);
        for layer in &self.layers {
            let normed_BTD = self.norm(&x_BTD, &layer.input_norm_D);
            let (q, k, v) = self.project(layer, &normed_BTD, &rotary);
            let mixed_BHTE = Tensor::scaled_dot_product_attention(
                &q,
                &k,
                &v,
                None::<Tensor>,
                0.0,
                true,
                None,
                groups > 1,
            );
            x_BTD = self.finish_layer(layer, &x_BTD, &mixed_BHTE);
        }
        let x_ND = x_BTD
            .reshape([-1, self.config.hidden_size])
            .index_select(0, positions_N);
        self.norm(&x_ND, &self.norm_D)
            .linear(&self.head_VD, None::<Tensor>)
    }

    fn norm(&self, x: &Tensor, weight: &Tensor) -> Tensor {
        let width = weight.size()[0];
        x.rms_norm(width, Some(weight), self.config.rms_norm_eps)
    }

    fn linear(&self, x: &Tensor, linear: &Linear) -> Tensor {
        let plain = x.linear(&linear.weight, linear.bias.as_ref());
        match &self.adapter {
            Some(adapter) => adapter.add(plain, x, &linear.name),
            None => plain,
        }
    }

    /// Rotated queries `[B, H, T, E]`, rotated keys and plain values
    /// `[B, K, T, E]`: one product for all three, one rotation for two.
    fn project(&self, layer: &Layer, x_BTD: &Tensor, rotary: &Rotary) -> (Tensor, Tensor, Tensor) {
        let (rows, time) = (x_BTD.size()[0], x_BTD.size()[1]);
        let (heads, kv) = (
            self.config.num_attention_heads,
            self.config.num_key_value_heads,
        );
        let all = self
            .linear(x_BTD, &layer.qkv)
            .view([rows, time, heads + 2 * kv, self.config.head_dim])
            .transpose(1, 2);
        let own = Tensor::shallow_clone;
        if let (Some(query_norm_E), Some(key_norm_E)) = (&layer.query_norm_E, &layer.key_norm_E) {
            let parts = all.split_with_sizes([heads, kv, kv], 1);
            let turned = |part: &Tensor, weight| rotate(&self.norm(part, weight), rotary);
            let (q, k) = (
                turned(&parts[0], query_norm_E),
                turned(&parts[1], key_norm_E),
            );
            return (q, k, own(&parts[2]));
        }
        let parts = all.split_with_sizes([heads + kv, kv], 1);
        let rotated = rotate(&parts[0], rotary).split_with_sizes([heads, kv], 1);
        (own(&rotated[0]), own(&rotated[1]), own(&parts[1]))
    }

    /// Adds the attention's output and the feed-forward layer to the residual stream.
    fn finish_layer(&self, layer: &Layer, x_BTD: &Tensor, mixed_BHTE: &Tensor) -> Tensor {
        let (rows, time) = (x_BTD.size()[0], x_BTD.size()[1]);
        let merged = mixed_BHTE.transpose(1, 2).reshape([rows, time, -1]);
        let x_BTD = x_BTD + self.linear(&merged, &layer.output);
        let normed_BTD = self.norm(&x_BTD, &layer.post_norm_D);
        let gate_up = self.linear(&normed_BTD, &layer.gate_up).chunk(2, -1);
        let (gate, up) = (gate_up[0].silu(), &gate_up[1]);
        &x_BTD + self.linear(&(gate * up), &layer.down)
    }
}

/// Rotates each head's first half against its second; `x` is `[B, H, T, E]`.
fn rotate(x: &Tensor, rotary: &Rotary) -> Tensor {
    let both = |half_TE: &Tensor| Tensor::cat(&[half_TE, half_TE], 1);
    let halves = x.chunk(2, -1);
    let turned = Tensor::cat(&[&-&halves[1], &halves[0]], -1);
    x * both(&rotary.cos_TE) + turned * both(&rotary.sin_TE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Architecture, ModelShape};

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn padding_does_not_disturb_a_row_in_any_family() {
        for architecture in [
            Architecture::Llama,
            Architecture::Qwen2,
            Architecture::Qwen3,
        ] {
            let mut config = ModelShape::tiny().config(20, 1, 2, 0);
            config.architecture = architecture;
            let weights = Weights::random(&config, 5, Device::Cpu);
            let decoder = Decoder::new(config, weights);
            let _guard = tch::no_grad_guard();
            let short = Tensor::from_slice(&[3i64, 7]).view([1, 2]);
            let alone = decoder.logits_at(&short, &Tensor::from_slice(&[1i64]));
            let padded = Tensor::from_slice(&[3i64, 7, 0, 0, 9, 8, 6, 5]).view([2, 4]);
            let together = decoder.logits_at(&padded, &Tensor::from_slice(&[1i64]));
            assert!(largest_difference(&alone, &together) < 1e-5);
        }
    }

    #[test]
    fn every_parameter_of_every_family_moves_the_logits() {
        for architecture in [
            Architecture::Llama,
            Architecture::Qwen2,
            Architecture::Qwen3,
        ] {
            let mut config = ModelShape::tiny().config(20, 1, 2, 0);
            config.architecture = architecture;
            config.attention_bias = architecture != Architecture::Qwen2;
            config.mlp_bias = architecture == Architecture::Llama;
            config.tie_word_embeddings = false;
            let decoder = Decoder::new(config.clone(), Weights::random(&config, 5, Device::Cpu));
            let ids = Tensor::from_slice(&[3i64, 7, 11, 5]).view([1, 4]);
            let logits = decoder.logits_at(&ids, &Tensor::from_slice(&[1i64, 2, 3]));
            let loss = logits
                .log_softmax(-1, tch::Kind::Float)
                .select(1, 4)
                .sum(tch::Kind::Float);
            let gradients =
                Tensor::run_backward(&[loss], &decoder.weights().leaves(), false, false);
            for (name, gradient) in decoder.weights().leaf_names().zip(gradients) {
                let size = gradient.abs().max().double_value(&[]);
                assert!(size > 0.0, "{name} has no effect");
            }
        }
    }
}
