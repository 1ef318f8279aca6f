//! The decoder: RMSNorm, rotary positions, grouped-query attention, a gated
//! SiLU feed-forward layer, and a head that may share the embedding.
//!
//! Source of the architecture: Touvron et al. 2023 (arXiv 2302.13971) as
//! transformers implements it (half-rotation rotary layout), so that what is
//! saved here loads there. One network, two ways through it:
//! [`Decoder::logits_at`] over whole right-padded rows, for training, and
//! [`Decoder::extend`] over a key/value cache, for generation.

use tch::{Device, Kind, Tensor};

use super::{ModelConfig, Weights};

/// The network with its weights.
#[derive(Debug)]
pub struct Decoder {
    config: ModelConfig,
    weights: Weights,
    cos_TE: Tensor,
    sin_TE: Tensor,
}

/// Keys and values of positions already seen, one row a sequence.
///
/// Each row has its own length: position `lengths[b]` of row `b` is the next
/// one to be written. Tensors are `[B, K, S, E]`, one pair a layer.
#[derive(Debug)]
pub struct Cache {
    keys: Vec<Tensor>,
    values: Vec<Tensor>,
}

impl Cache {
    /// Room for `capacity` positions in each of `rows` rows.
    pub fn new(config: &ModelConfig, rows: i64, capacity: i64, device: Device) -> Self {
        let shape = [rows, config.num_key_value_heads, capacity, config.head_dim];
        let zeros = || {
            (0..config.num_hidden_layers)
                .map(|_| Tensor::zeros(shape, (Kind::Float, device)))
                .collect()
        };
        Self {
            keys: zeros(),
            values: zeros(),
        }
    }

    /// Where the tensors live.
    pub fn device(&self) -> Device {
        self.keys[0].device()
    }

    /// A cache of the given rows, in the given order; a row may be named often.
    #[must_use]
    pub fn select(&self, rows_B: &Tensor) -> Self {
        let pick = |tensors: &[Tensor]| tensors.iter().map(|t| t.index_select(0, rows_B)).collect();
        Self {
            keys: pick(&self.keys),
            values: pick(&self.values),
        }
    }
}

impl Decoder {
    /// A decoder over weights whose layout is the configuration's.
    pub fn new(config: ModelConfig, weights: Weights) -> Self {
        let device = weights.flat().device();
        let (cos_TE, sin_TE) = rotary_tables(&config, device);
        Self {
            config,
            weights,
            cos_TE,
            sin_TE,
        }
    }

    /// Shape and constants.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Parameters.
    pub fn weights(&self) -> &Weights {
        &self.weights
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
        let time = ids_BT.size()[1];
        let cos_TE = self.cos_TE.narrow(0, 0, time);
        let sin_TE = self.sin_TE.narrow(0, 0, time);
        let groups = self.config.num_attention_heads / self.config.num_key_value_heads;
        let mut x_BTD = self.embed(ids_BT);
        for layer in 0..self.config.num_hidden_layers {
            let normed = self.norm(&x_BTD, &format!("model.layers.{layer}.input_layernorm"));
            let (q, k, v) = self.project(layer, &normed, &cos_TE, &sin_TE);
            let mixed = Tensor::scaled_dot_product_attention(
                &q,
                &k,
                &v,
                None::<Tensor>,
                0.0,
                true,
                None,
                groups > 1,
            );
            x_BTD = self.finish_layer(layer, &x_BTD, &mixed);
        }
        let x_ND = x_BTD
            .reshape([-1, self.config.hidden_size])
            .index_select(0, positions_N);
        self.head(&x_ND)
    }

    /// Runs new tokens through the cache and returns the logits `[B, V]` at
    /// `last_B`, the index of each row's last real token among the new ones.
    ///
    /// `ids_BT` are right-padded; row `b` continues at position `lengths_B[b]`.
    /// What padding writes into the cache lies behind the row's real tokens
    /// and is overwritten before it is ever attended to.
    pub fn extend(
        &self,
        ids_BT: &Tensor,
        lengths_B: &Tensor,
        last_B: &Tensor,
        longest: i64,
        cache: &mut Cache,
    ) -> Tensor {
        let (rows, time) = (ids_BT.size()[0], ids_BT.size()[1]);
        let device = ids_BT.device();
        let seen = longest + time;
        let positions_BT =
            lengths_B.unsqueeze(1) + Tensor::arange(time, (Kind::Int64, device)).unsqueeze(0);
        let gather = |table: &Tensor| {
            table.index_select(0, &positions_BT.reshape([-1])).view([
                rows,
                1,
                time,
                self.config.head_dim,
            ])
        };
        let (cos_B1TE, sin_B1TE) = (gather(&self.cos_TE), gather(&self.sin_TE));
        // Position s may be attended from t when s does not lie behind it.
        let blocked_BTS = Tensor::arange(seen, (Kind::Int64, device))
            .view([1, 1, -1])
            .gt_tensor(&positions_BT.unsqueeze(-1));
        let rows_B1 = Tensor::arange(rows, (Kind::Int64, device)).unsqueeze(1);
        let kv = self.config.num_key_value_heads;
        let groups = self.config.num_attention_heads / kv;
        let scale = (self.config.head_dim as f64).sqrt().recip();

        let mut x_BTD = self.embed(ids_BT);
        for layer in 0..self.config.num_hidden_layers {
            let normed = self.norm(&x_BTD, &format!("model.layers.{layer}.input_layernorm"));
            let (q, k, v) = self.project(layer, &normed, &cos_B1TE, &sin_B1TE);
            // Advanced indices on both sides of a slice put the indexed axes
            // first, hence [B, T, K, E].
            let place = [Some(&rows_B1), None, Some(&positions_BT)];
            let _ = cache.keys[layer].index_put_(&place, &k.transpose(1, 2), false);
            let _ = cache.values[layer].index_put_(&place, &v.transpose(1, 2), false);
            let keys_BKSE = cache.keys[layer].narrow(2, 0, seen);
            let values_BKSE = cache.values[layer].narrow(2, 0, seen);
            // Query heads that share a key head are laid along time, so keys
            // are read once for all of them and never repeated in memory.
            let q_BKGTE = q.reshape([rows, kv, groups * time, self.config.head_dim]) * scale;
            let scores = q_BKGTE
                .matmul(&keys_BKSE.transpose(2, 3))
                .view([rows, kv, groups, time, seen])
                .masked_fill(
                    &blocked_BTS.view([rows, 1, 1, time, seen]),
                    f64::NEG_INFINITY,
                )
                .softmax(-1, Kind::Float)
                .view([rows, kv, groups * time, seen]);
            let mixed = scores.matmul(&values_BKSE).view([
                rows,
                self.config.num_attention_heads,
                time,
                self.config.head_dim,
            ]);
            x_BTD = self.finish_layer(layer, &x_BTD, &mixed);
        }
        let places_B = Tensor::arange(rows, (Kind::Int64, device)) * time + last_B;
        let x_BD = x_BTD
            .reshape([-1, self.config.hidden_size])
            .index_select(0, &places_B);
        self.head(&x_BD)
    }

    fn embed(&self, ids_BT: &Tensor) -> Tensor {
        Tensor::embedding(
            self.weights.leaf("model.embed_tokens.weight"),
            ids_BT,
            -1,
            false,
            false,
        )
    }

    fn norm(&self, x: &Tensor, name: &str) -> Tensor {
        x.rms_norm(
            self.config.hidden_size,
            Some(self.weights.leaf(&format!("{name}.weight"))),
            self.config.rms_norm_eps,
        )
    }

    fn linear(&self, x: &Tensor, layer: usize, name: &str) -> Tensor {
        let weight = self
            .weights
            .leaf(&format!("model.layers.{layer}.{name}.weight"));
        x.linear(weight, None::<Tensor>)
    }

    /// Rotated queries `[B, H, T, E]`, rotated keys and plain values
    /// `[B, K, T, E]`: one product for all three, one rotation for two.
    fn project(
        &self,
        layer: usize,
        x_BTD: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
    ) -> (Tensor, Tensor, Tensor) {
        let (rows, time) = (x_BTD.size()[0], x_BTD.size()[1]);
        let (heads, kv) = (
            self.config.num_attention_heads,
            self.config.num_key_value_heads,
        );
        let all = self
            .linear(x_BTD, layer, "self_attn.qkv")
            .view([rows, time, heads + 2 * kv, self.config.head_dim])
            .transpose(1, 2);
        let parts = all.split_with_sizes([heads + kv, kv], 1);
        let rotated = rotate(&parts[0], cos, sin).split_with_sizes([heads, kv], 1);
        let own = Tensor::shallow_clone;
        (own(&rotated[0]), own(&rotated[1]), own(&parts[1]))
    }

    /// Adds the attention's output and the feed-forward layer to the residual stream.
    fn finish_layer(&self, layer: usize, x_BTD: &Tensor, mixed_BHTE: &Tensor) -> Tensor {
        let (rows, time) = (x_BTD.size()[0], x_BTD.size()[1]);
        let merged = mixed_BHTE.transpose(1, 2).reshape([rows, time, -1]);
        let x_BTD = x_BTD + self.linear(&merged, layer, "self_attn.o_proj");
        let normed = self.norm(
            &x_BTD,
            &format!("model.layers.{layer}.post_attention_layernorm"),
        );
        let gate_up = self.linear(&normed, layer, "mlp.gate_up").chunk(2, -1);
        let (gate, up) = (gate_up[0].silu(), &gate_up[1]);
        &x_BTD + self.linear(&(gate * up), layer, "mlp.down_proj")
    }

    fn head(&self, x: &Tensor) -> Tensor {
        let name = if self.config.tie_word_embeddings {
            "model.embed_tokens.weight"
        } else {
            "lm_head.weight"
        };
        self.norm(x, "model.norm")
            .linear(self.weights.leaf(name), None::<Tensor>)
    }
}

/// Cosines and sines `[T, E]` for every position of the context.
fn rotary_tables(config: &ModelConfig, device: Device) -> (Tensor, Tensor) {
    let half = config.head_dim / 2;
    let exponents = Tensor::arange(half, (Kind::Double, device)) * (-1.0 / half as f64);
    let frequencies = (exponents * config.rope_theta.ln()).exp();
    let positions = Tensor::arange(config.max_position_embeddings, (Kind::Double, device));
    let angles = positions.unsqueeze(1) * frequencies.unsqueeze(0);
    let angles_TE = Tensor::cat(&[&angles, &angles], 1);
    (
        angles_TE.cos().to_kind(Kind::Float),
        angles_TE.sin().to_kind(Kind::Float),
    )
}

/// Rotates each head's first half against its second.
fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let turned = Tensor::cat(&[&-&halves[1], &halves[0]], -1);
    x * cos + turned * sin
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::config::ModelShape;

    fn decoder() -> Decoder {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        let weights = Weights::random(&config, 5, Device::Cpu);
        Decoder::new(config, weights)
    }

    fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
        (a - b).abs().max().double_value(&[])
    }

    #[test]
    fn the_cache_changes_nothing() {
        let decoder = decoder();
        let _guard = tch::no_grad_guard();
        let ids = Tensor::from_slice(&[3i64, 7, 11, 5, 9, 4]).view([1, 6]);
        let plain = decoder.logits_at(&ids, &Tensor::from_slice(&[3i64, 4, 5]));
        let mut cache = Cache::new(decoder.config(), 1, 6, Device::Cpu);
        let at = |value: i64| Tensor::from_slice(&[value]);
        let third = decoder.extend(&ids.narrow(1, 0, 4), &at(0), &at(3), 0, &mut cache);
        let fourth = decoder.extend(&ids.narrow(1, 4, 1), &at(4), &at(0), 4, &mut cache);
        let fifth = decoder.extend(&ids.narrow(1, 5, 1), &at(5), &at(0), 5, &mut cache);
        let cached = Tensor::cat(&[third, fourth, fifth], 0);
        assert!(largest_difference(&plain, &cached) < 1e-5);
    }

    #[test]
    fn rows_of_unlike_length_do_not_disturb_each_other() {
        let decoder = decoder();
        let _guard = tch::no_grad_guard();
        let short = Tensor::from_slice(&[3i64, 7]).view([1, 2]);
        let alone = decoder.logits_at(&short, &Tensor::from_slice(&[1i64]));
        let padded = Tensor::from_slice(&[3i64, 7, 0, 0, 9, 8, 6, 5]).view([2, 4]);
        let together = decoder.logits_at(&padded, &Tensor::from_slice(&[1i64]));
        assert!(largest_difference(&alone, &together) < 1e-5);
        let mut cache = Cache::new(decoder.config(), 2, 8, Device::Cpu);
        let zeros = Tensor::from_slice(&[0i64, 0]);
        let last = Tensor::from_slice(&[1i64, 3]);
        let cached = decoder.extend(&padded, &zeros, &last, 0, &mut cache);
        assert!(largest_difference(&alone, &cached.narrow(0, 0, 1)) < 1e-5);
        // The short row continues at 2, over what its padding had written.
        let next = Tensor::from_slice(&[4i64, 4]).view([2, 1]);
        let lengths = Tensor::from_slice(&[2i64, 4]);
        let cached = decoder.extend(&next, &lengths, &zeros, 4, &mut cache);
        let whole = Tensor::from_slice(&[3i64, 7, 4]).view([1, 3]);
        let alone = decoder.logits_at(&whole, &Tensor::from_slice(&[2i64]));
        assert!(largest_difference(&alone, &cached.narrow(0, 0, 1)) < 1e-5);
    }
}
