//! Llama 2 and 3, SmolLM2, R1-Distill-Llama (Touvron et al. 2023, arXiv 2302.13971): the plain
//! decoder, with biases where the file says so.

use torch_ext::Activation;

use super::{Architecture, activation};
use crate::model::config::{Keys, ModelConfig};
use crate::model::gguf::Form;

/// Llama.
pub static LLAMA: Architecture = Architecture {
    model_type: "llama",
    class: "LlamaForCausalLM",
    keys: &["attention_bias", "mlp_bias"],
    activation_key: "hidden_act",
    peft_targets: Some(&["q_proj", "v_proj"]),
    read,
    gguf: Some(Form {
        name: "llama",
        parts: &[],
        biases: &[
            "attn_q",
            "attn_k",
            "attn_v",
            "attn_output",
            "ffn_gate",
            "ffn_up",
            "ffn_down",
        ],
        interleaved: true,
        norm_offset: 0.0,
        merges_by_place: false,
        keys: &[],
        config: |_, _| Ok(()),
    }),
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.biases.qkv = keys.flag("attention_bias", false)?;
    config.biases.output = config.biases.qkv;
    config.biases.mlp = keys.flag("mlp_bias", false)?;
    Ok(())
}
