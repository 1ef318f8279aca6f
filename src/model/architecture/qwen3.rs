//! Qwen3 (Yang et al. 2025, arXiv 2505.09388): a norm over each head of queries and keys, biases
//! where the file says so, windows as Qwen2 has them.

use torch_ext::Activation;

use super::{Architecture, activation, switched_windows};
use crate::model::config::{HeadNorms, Keys, ModelConfig};
use crate::model::gguf::Form;

/// Qwen3.
pub static QWEN3: Architecture = Architecture {
    model_type: "qwen3",
    class: "Qwen3ForCausalLM",
    keys: &[
        "attention_bias",
        "use_sliding_window",
        "sliding_window",
        "max_window_layers",
        "layer_types",
    ],
    activation_key: "hidden_act",
    peft_targets: Some(&["q_proj", "v_proj"]),
    read,
    gguf: Some(Form {
        name: "qwen3",
        parts: &[
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
        ],
        biases: &["attn_q", "attn_k", "attn_v", "attn_output"],
        interleaved: false,
        norm_offset: 0.0,
        merges_by_place: false,
        keys: &[],
        config: |_, _| Ok(()),
    }),
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.head_dim = keys.size("head_dim")?.unwrap_or(128);
    config.head_norms = Some(HeadNorms::Each);
    config.biases.qkv = keys.flag("attention_bias", false)?;
    config.biases.output = config.biases.qkv;
    switched_windows(keys, config)
}
