//! The shape that a definition chooses for a model that the lab pre-trains.
//!
//! Such a model is a small Llama; what a checkpoint from elsewhere is, its own
//! `config.json` says.

use serde::{Deserialize, Serialize};
use torch_ext::Look;

use super::architecture::LLAMA;
use super::config::ModelConfig;
use super::rope::{Rope, RopeScaling};

/// The part of a shape that a definition chooses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelShape {
    /// Width of the residual stream.
    pub width: i64,
    /// Number of layers.
    pub layers: usize,
    /// Query heads; divides the width.
    pub heads: i64,
    /// Key/value heads; divides the heads.
    pub kv_heads: i64,
    /// Width of the gated feed-forward layer.
    pub feed_forward: i64,
    /// Longest sequence, in tokens.
    pub context: i64,
}

/// Beyond it products of two sizes leave what a parameter count can hold.
const LARGEST: i64 = 1 << 20;

impl ModelShape {
    /// What contradicts itself in the shape, as one sentence.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("width", self.width),
            ("heads", self.heads),
            ("kv_heads", self.kv_heads),
            ("feed_forward", self.feed_forward),
            ("layers", self.layers as i64),
        ] {
            if value < 1 {
                return Err(format!("{name} = {value}: it must be at least 1"));
            }
        }
        for (name, value) in [
            ("width", self.width),
            ("heads", self.heads),
            ("feed_forward", self.feed_forward),
            ("layers", self.layers as i64),
            ("context", self.context),
        ] {
            if value > LARGEST {
                return Err(format!("{name} = {value}: it can be at most {LARGEST}"));
            }
        }
        if self.width % self.heads != 0 || (self.width / self.heads) % 2 != 0 {
            return Err(format!(
                "width = {} does not split into {} heads of even width, which rotary embeddings need",
                self.width, self.heads
            ));
        }
        if self.heads % self.kv_heads != 0 {
            return Err(format!(
                "heads = {} is not a multiple of kv_heads = {}",
                self.heads, self.kv_heads
            ));
        }
        if self.context < 16 {
            return Err(format!(
                "context = {}: fewer than 16 tokens hold no problem with its answer",
                self.context
            ));
        }
        Ok(())
    }

    /// The full configuration over a vocabulary.
    pub fn config(&self, vocab_size: i64, bos: i64, eos: i64, pad: i64) -> ModelConfig {
        ModelConfig {
            vocab_size,
            hidden_size: self.width,
            intermediate_size: self.feed_forward,
            num_hidden_layers: self.layers,
            num_attention_heads: self.heads,
            num_key_value_heads: self.kv_heads,
            head_dim: self.width / self.heads,
            rms_norm_eps: 1e-5,
            ropes: vec![Rope {
                theta: 10_000.0,
                scaling: RopeScaling::None,
            }],
            attention_scale: Look::all(self.width / self.heads).scale,
            max_position_embeddings: self.context,
            tie_word_embeddings: true,
            bos_token_id: Some(bos),
            eos_token_ids: vec![eos],
            pad_token_id: Some(pad),
            ..ModelConfig::plain(&LLAMA, self.layers)
        }
    }
}

#[cfg(test)]
impl ModelShape {
    /// The smallest shape that has everything: what unit tests build models of.
    pub(crate) fn tiny() -> Self {
        Self {
            width: 16,
            layers: 2,
            heads: 4,
            kv_heads: 2,
            feed_forward: 32,
            context: 32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_that_cannot_be_built_says_which_number() {
        let shape = ModelShape {
            width: 96,
            layers: 3,
            heads: 4,
            kv_heads: 2,
            feed_forward: 256,
            context: 160,
        };
        assert_eq!(shape.check(), Ok(()));
        let uneven = ModelShape {
            heads: 5,
            ..shape.clone()
        };
        assert!(uneven.check().unwrap_err().contains("width"));
        let ungrouped = ModelShape {
            kv_heads: 3,
            ..shape
        };
        assert!(ungrouped.check().unwrap_err().contains("kv_heads"));
    }
}
