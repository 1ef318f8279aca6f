//! Architectures, and what their tensors are called in a checkpoint.

use anyhow::{Result, bail};

/// The tensor that holds what rotary frequencies are divided by. It is no
/// parameter: a checkpoint says the same in `rope_scaling`.
pub(super) const ROPE_DIVISORS: &str = "rope_freqs.weight";

/// The kinds of model that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama, and what shares its shape, such as `SmolLM`.
    Llama,
    /// Qwen 2 and 2.5: biases on queries, keys and values.
    Qwen2,
    /// Qwen 3: norms on queries and keys.
    Qwen3,
}

/// Tensors outside the layers.
const OUTSIDE: [(&str, &str); 3] = [
    ("token_embd.weight", "model.embed_tokens.weight"),
    ("output_norm.weight", "model.norm.weight"),
    ("output.weight", "lm_head.weight"),
];

/// Parts of a layer.
const PARTS: [(&str, &str); 11] = [
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_norm", "input_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

impl Architecture {
    pub(super) fn from_name(name: &str) -> Result<Self> {
        match name {
            "llama" => Ok(Self::Llama),
            "qwen2" => Ok(Self::Qwen2),
            "qwen3" => Ok(Self::Qwen3),
            _ => bail!("general.architecture is {name:?}; read are llama, qwen2 and qwen3"),
        }
    }

    /// What GGUF and `model_type` call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
            Self::Qwen3 => "qwen3",
        }
    }

    /// What transformers calls its language model.
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }

    /// The name in a checkpoint of a tensor that such a model has, whether or
    /// not every one has it.
    pub(super) fn checkpoint_name(self, name: &str) -> Option<String> {
        if let Some((_, own)) = OUTSIDE.iter().find(|(outside, _)| *outside == name) {
            return Some((*own).to_owned());
        }
        let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
        let (part, suffix) = rest.split_once('.')?;
        let (_, own) = PARTS.iter().find(|(known, _)| *known == part)?;
        // Spelled as ggml spells it: "01" or "+1" would be a second name for 1.
        let number: u32 = layer.parse().ok()?;
        (number.to_string() == layer && self.has(part, suffix))
            .then(|| format!("model.layers.{layer}.{own}.{suffix}"))
    }

    fn has(self, part: &str, suffix: &str) -> bool {
        match (part, suffix) {
            ("attn_q_norm" | "attn_k_norm", "weight") => self == Self::Qwen3,
            (_, "weight") | ("attn_q" | "attn_k" | "attn_v", "bias") => true,
            ("attn_output", "bias") => self != Self::Qwen2,
            ("ffn_gate" | "ffn_up" | "ffn_down", "bias") => self == Self::Llama,
            _ => false,
        }
    }
}
