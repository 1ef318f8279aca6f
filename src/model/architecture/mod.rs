//! Architectures: how each differs from the plain decoder, which is Llama's, one file each.
//!
//! A file names the family as `model_type` and transformers do, the keys of
//! `config.json` that are its own, and reads them into the fields of
//! [`ModelConfig`] that say what the decoder computes. To add one, see
//! CONTRIBUTING.md.

mod gemma3;
mod llama;
mod mistral;
mod olmo2;
mod olmo3;
mod phi3;
mod qwen2;
mod qwen3;
mod smollm3;

use std::fmt;

use serde_json::Value;
use torch_ext::Activation;

use super::config::{Keys, ModelConfig};
use super::gguf::Form;
use super::rope::{FULL, SLIDING};

pub use gemma3::GEMMA3;
pub use llama::LLAMA;
pub use mistral::MISTRAL;
pub use olmo2::OLMO2;
pub use olmo3::OLMO3;
pub use phi3::PHI3;
pub use qwen2::QWEN2;
pub use qwen3::QWEN3;
pub use smollm3::SMOLLM3;

/// Every architecture that is read.
pub static ALL: [&Architecture; 9] = [
    &LLAMA, &QWEN2, &QWEN3, &GEMMA3, &MISTRAL, &OLMO2, &OLMO3, &PHI3, &SMOLLM3,
];

/// A family of decoders.
pub struct Architecture {
    /// The value of `model_type`.
    pub model_type: &'static str,
    /// The class of transformers.
    pub class: &'static str,
    /// Keys of `config.json` that it has beside those that all have; they are written as they were read.
    pub keys: &'static [&'static str],
    /// The key that names the gate's activation.
    pub activation_key: &'static str,
    /// What PEFT adapts by default (`peft.utils.constants` of PEFT 0.21), by the last parts of the
    /// matrices' names; `None` where it has no default.
    pub peft_targets: Option<&'static [&'static str]>,
    /// Reads its own keys: what differs from a plain decoder whose shared keys are read.
    pub(super) read: fn(&Keys<'_>, &mut ModelConfig) -> Result<(), String>,
    /// What its GGUF files say, where they are read.
    pub gguf: Option<Form>,
}

impl PartialEq for Architecture {
    fn eq(&self, other: &Self) -> bool {
        self.model_type == other.model_type
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.model_type)
    }
}

/// The architecture that `model_type` names.
pub(super) fn named(keys: &Keys<'_>) -> Result<&'static Architecture, String> {
    let known = || ALL.map(|architecture| architecture.model_type).join(", ");
    let named = keys.present("model_type").ok_or_else(|| {
        format!(
            "the key model_type is missing; the decoder knows {}",
            known()
        )
    })?;
    ALL.into_iter()
        .find(|architecture| named == architecture.model_type)
        .ok_or_else(|| {
            format!(
                "model_type = {named} is not supported; the decoder knows {}",
                known()
            )
        })
}

/// What transformers calls an activation.
pub(super) fn activation_name(activation: Activation) -> &'static str {
    match activation {
        Activation::Silu => "silu",
        Activation::GeluTanh => "gelu_pytorch_tanh",
    }
}

/// The activation under that key, which is the family's where it is absent.
fn activation(keys: &Keys<'_>, key: &str, default: Activation) -> Result<Activation, String> {
    let Some(named) = keys.present(key) else {
        return Ok(default);
    };
    let known = [Activation::Silu, Activation::GeluTanh];
    let found = known
        .into_iter()
        .find(|&activation| named == activation_name(activation));
    found.ok_or_else(|| {
        format!(
            "{key} = {named} is not supported; the decoder knows {}",
            known.map(activation_name).join(" and ")
        )
    })
}

/// Which layers see a window: those of `layer_types`, else those for which
/// `slides` holds. Without `window` there are none.
fn slide(
    keys: &Keys<'_>,
    config: &mut ModelConfig,
    window: Option<i64>,
    slides: impl Fn(usize) -> bool,
) -> Result<(), String> {
    let types = match keys.present("layer_types") {
        None => None,
        Some(Value::Array(types)) if types.len() == config.layers.len() => Some(types),
        Some(Value::Array(types)) => {
            return Err(format!(
                "layer_types has {} entries, num_hidden_layers = {}",
                types.len(),
                config.layers.len()
            ));
        }
        Some(other) => return Err(format!("layer_types = {other} is not a list")),
    };
    for (index, layer) in config.layers.iter_mut().enumerate() {
        let sliding = match types.map(|types| &types[index]) {
            None => window.is_some() && slides(index),
            Some(kind) if kind == FULL => false,
            Some(kind) if kind == SLIDING => true,
            Some(other) => {
                return Err(format!(
                    "layer_types holds {other}; the decoder knows {FULL} and {SLIDING}"
                ));
            }
        };
        if sliding && window.is_none() {
            return Err(format!(
                "layer_types holds {SLIDING}, and no sliding_window says how wide it is"
            ));
        }
        layer.window = window.filter(|_| sliding);
    }
    Ok(())
}

/// The window of Qwen's families, which a flag switches off.
fn switched_window(keys: &Keys<'_>) -> Result<Option<i64>, String> {
    if keys.flag("use_sliding_window", false)? {
        keys.size("sliding_window")
    } else {
        Ok(None)
    }
}

/// Qwen's windows: in the layers from `max_window_layers` on.
fn switched_windows(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    let first = match keys.present("max_window_layers") {
        None => 28,
        Some(value) => value
            .as_u64()
            .ok_or_else(|| format!("max_window_layers = {value} is not a number of layers"))?,
    };
    slide(keys, config, switched_window(keys)?, |layer| {
        layer as u64 >= first
    })
}

#[cfg(test)]
mod tests;
