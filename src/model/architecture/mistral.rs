//! Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama with one window for all layers.

use torch_ext::Activation;

use super::{Architecture, activation};
use crate::model::config::{Keys, ModelConfig};

/// Mistral.
pub static MISTRAL: Architecture = Architecture {
    model_type: "mistral",
    class: "MistralForCausalLM",
    keys: &["sliding_window"],
    activation_key: "hidden_act",
    peft_targets: Some(&["q_proj", "v_proj"]),
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    // Absent, it is 4096; without a window it is null.
    let window = match keys.0.get("sliding_window") {
        None => Some(4096),
        Some(_) => keys.size("sliding_window")?,
    };
    for layer in &mut config.layers {
        layer.window = window;
    }
    Ok(())
}
