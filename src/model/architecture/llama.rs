//! Llama 2 and 3, SmolLM2, R1-Distill-Llama (Touvron et al. 2023, arXiv 2302.13971): the plain
//! decoder, with biases where the file says so.

use torch_ext::Activation;

use super::{Architecture, activation};
use crate::model::config::{Keys, ModelConfig};

/// Llama.
pub static LLAMA: Architecture = Architecture {
    model_type: "llama",
    class: "LlamaForCausalLM",
    keys: &["attention_bias", "mlp_bias"],
    activation_key: "hidden_act",
    read,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.qkv_bias = keys.flag("attention_bias", false)?;
    config.output_bias = config.qkv_bias;
    config.mlp_bias = keys.flag("mlp_bias", false)?;
    Ok(())
}
