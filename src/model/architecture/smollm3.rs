//! `SmolLM3`: Llama with layers that have no rotary positions (Yang et al. 2025, arXiv 2501.18795),
//! every fourth unless the file says which.

use serde_json::Value;
use torch_ext::Activation;

use super::{Architecture, activation, slide, switched_window};
use crate::model::config::{Keys, ModelConfig};
use crate::model::rope::{self, Rope};

/// `SmolLM3`.
pub static SMOLLM3: Architecture = Architecture {
    model_type: "smollm3",
    class: "SmolLM3ForCausalLM",
    keys: &[
        "attention_bias",
        "mlp_bias",
        "no_rope_layers",
        "no_rope_layer_interval",
        "use_sliding_window",
        "sliding_window",
        "layer_types",
    ],
    activation_key: "hidden_act",
    peft_targets: None,
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.biases.qkv = keys.flag("attention_bias", false)?;
    config.biases.output = config.biases.qkv;
    config.biases.mlp = keys.flag("mlp_bias", false)?;
    config.tie_word_embeddings = keys.flag("tie_word_embeddings", true)?;
    config.ropes = vec![rope::flat(keys, 2_000_000.0)?, Rope::ABSENT];
    let rotated = rotated(keys, config.layers.len())?;
    for (layer, &rotated) in config.layers.iter_mut().zip(&rotated) {
        layer.rope = usize::from(!rotated);
    }
    slide(keys, config, switched_window(keys)?, |layer| {
        !rotated[layer]
    })
}

/// Which layers have rotary positions: a 1 in `no_rope_layers`.
fn rotated(keys: &Keys<'_>, layers: usize) -> Result<Vec<bool>, String> {
    let interval = keys.size("no_rope_layer_interval")?.unwrap_or(4) as usize;
    let Some(value) = keys.present("no_rope_layers") else {
        return Ok((1..=layers).map(|layer| layer % interval != 0).collect());
    };
    let wrong = || {
        format!("no_rope_layers = {value} is not a list of a 0 or 1 for each of {layers} layers")
    };
    let Value::Array(list) = value else {
        return Err(wrong());
    };
    let read: Option<Vec<bool>> = list
        .iter()
        .map(|entry| match entry.as_i64() {
            Some(flag @ (0 | 1)) => Some(flag == 1),
            _ => None,
        })
        .collect();
    read.filter(|read| read.len() >= layers).ok_or_else(wrong)
}
