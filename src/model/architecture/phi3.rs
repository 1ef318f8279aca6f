//! Phi-3 (Abdin et al. 2024, arXiv 2404.14219): queries, keys and values are one matrix in a
//! checkpoint, gate and up projection another; one window for all layers where the file has one.
//! Refused: `longrope`, by which its long contexts are rotated.

use torch_ext::Activation;

use super::{Architecture, activation};
use crate::model::config::{Keys, ModelConfig};
use crate::model::rope::{self, RopeScaling};

/// Phi-3.
pub static PHI3: Architecture = Architecture {
    model_type: "phi3",
    class: "Phi3ForCausalLM",
    keys: &["sliding_window", "original_max_position_embeddings"],
    activation_key: "hidden_act",
    peft_targets: None,
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.rms_norm_eps = keys.number("rms_norm_eps", 1e-5)?;
    config.packed = true;
    let rope = rope::flat(keys, 10_000.0)?;
    if rope.scaling != RopeScaling::None {
        return Err(
            "rope_parameters: transformers scales no rotary positions of phi3 but by longrope, \
             which is not supported"
                .to_owned(),
        );
    }
    config.ropes = vec![rope];
    let window = keys.size("sliding_window")?;
    for layer in &mut config.layers {
        layer.window = window;
    }
    Ok(())
}
