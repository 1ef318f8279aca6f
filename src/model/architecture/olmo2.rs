//! `OLMo` 2 (Walsh et al. 2024, arXiv 2501.00656): norms after attention and feed-forward layer
//! instead of before, and over all heads of queries and of keys together.

use torch_ext::Activation;

use super::{Architecture, activation};
use crate::model::config::{HeadNorms, Keys, LayerNorms, ModelConfig};

/// `OLMo` 2.
pub static OLMO2: Architecture = Architecture {
    model_type: "olmo2",
    class: "Olmo2ForCausalLM",
    keys: &["attention_bias"],
    activation_key: "hidden_act",
    peft_targets: None,
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    config.activation = activation(keys, "hidden_act", Activation::Silu)?;
    config.rms_norm_eps = keys.number("rms_norm_eps", 1e-5)?;
    config.norms = LayerNorms {
        before_attention: None,
        after_attention: Some("post_attention_layernorm"),
        before_feed_forward: None,
        after_feed_forward: Some("post_feedforward_layernorm"),
    };
    config.head_norms = Some(HeadNorms::Together);
    config.biases.qkv = keys.flag("attention_bias", false)?;
    config.biases.output = config.biases.qkv;
    Ok(())
}
