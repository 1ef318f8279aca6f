//! Qwen2, Qwen2.5, R1-Distill-Qwen (Yang et al. 2024, arXiv 2407.10671): biases on queries, keys
//! and values, and windows in the upper layers where a flag says so.

use torch_ext::Activation;

use super::{Architecture, activation, switched_windows};
use crate::model::config::{Keys, ModelConfig};
use crate::model::gguf::Form;

/// Qwen2.
pub static QWEN2: Architecture = Architecture {
    model_type: "qwen2",
    class: "Qwen2ForCausalLM",
    keys: &[
        "use_sliding_window",
        "sliding_window",
        "max_window_layers",
        "layer_types",
    ],
    activation_key: "hidden_act",
    peft_targets: Some(&["q_proj", "v_proj"]),
    read,
    gguf: Some(Form {
        name: "qwen2",
        parts: &[],
        biases: &["attn_q", "attn_k", "attn_v"],
        interleaved: false,
        norm_offset: 0.0,
        merges_by_place: false,
        keys: &[],
        config: |_, _| Ok(()),
    }),
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.biases.qkv = true;
    switched_windows(keys, config)
}
