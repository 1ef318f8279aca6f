//! `OLMo` 3 (Olmo Team 2025, arXiv 2512.13961): `OLMo` 2 with three layers that see a window for each that sees
//! everything, and rotary positions whose scaling is of the latter alone.

use super::{Architecture, OLMO2, slide};
use crate::model::config::{Keys, ModelConfig};
use crate::model::rope::{self, FULL, Rope, SLIDING};

/// One layer of as many sees everything, where the file does not say.
const PATTERN: usize = 4;

/// Base of the rotary positions, where the file does not say.
const BASE: f64 = 5e5;

/// `OLMo` 3.
pub static OLMO3: Architecture = Architecture {
    model_type: "olmo3",
    class: "Olmo3ForCausalLM",
    // The older spelling has no place for the positions within a window: the newer one is kept beside it.
    keys: &[
        "attention_bias",
        "sliding_window",
        "layer_types",
        "rope_parameters",
    ],
    activation_key: "hidden_act",
    peft_targets: None,
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    (OLMO2.read)(keys, config)?;
    let ropes = rope::settings(keys, &[FULL, SLIDING])?;
    let (full, sliding) = (ropes[0], ropes[1]);
    config.ropes = vec![
        Rope {
            theta: full.0.unwrap_or(keys.number("rope_theta", BASE)?),
            scaling: full.1,
        },
        // As in transformers, rope_theta is not of these.
        Rope {
            theta: sliding.0.unwrap_or(BASE),
            scaling: sliding.1,
        },
    ];
    let window = keys.size("sliding_window")?.unwrap_or(4096);
    slide(keys, config, Some(window), |layer| {
        (layer + 1) % PATTERN != 0
    })?;
    for layer in &mut config.layers {
        layer.rope = usize::from(layer.window.is_some());
    }
    Ok(())
}
