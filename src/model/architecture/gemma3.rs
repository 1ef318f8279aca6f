//! Gemma 3, its text model (Gemma Team 2025, arXiv 2503.19786): norms before and after attention and
//! feed-forward layer and over each head of queries and keys, all with 1 added to
//! their weights; a gate with gelu; five layers that see a window for each
//! that sees everything, each kind with rotary positions of its own; rows of the embedding scaled
//! by the root of the width.
//!
//! Refused: caps of attention's scores, which transformers passes over, and
//! attention in both directions.

use anyhow::Context;
use serde_json::{Value, json};
use torch_ext::Activation;

use super::{Architecture, activation, slide};
use crate::model::config::{HeadNorms, Keys, LayerNorms, ModelConfig};
use crate::model::gguf::{Form, Gguf};
use crate::model::rope::{self, FULL, Rope, RopeScaling, SLIDING};

/// One layer of as many sees everything, where the file does not say.
const PATTERN: usize = 6;

/// Base of the rotary positions within a window, where the file does not say.
const LOCAL_BASE: f64 = 1e4;

/// Layers of the 27B model, whose scale of attention is that of the width for each head.
const LARGEST_LAYERS: u64 = 62;

/// Gemma 3.
pub static GEMMA3: Architecture = Architecture {
    model_type: "gemma3_text",
    class: "Gemma3ForCausalLM",
    keys: &[
        "attention_bias",
        "query_pre_attn_scalar",
        "sliding_window",
        "sliding_window_pattern",
        "_sliding_window_pattern",
        "layer_types",
        "rope_local_base_freq",
        "final_logit_softcapping",
    ],
    activation_key: "hidden_activation",
    peft_targets: Some(&["q_proj", "v_proj"]),
    read,
    gguf: Some(Form {
        name: "gemma3",
        parts: &[
            ("attn_q_norm", "self_attn.q_norm"),
            ("attn_k_norm", "self_attn.k_norm"),
            ("post_attention_norm", "post_attention_layernorm"),
            ("ffn_norm", "pre_feedforward_layernorm"),
            ("post_ffw_norm", "post_feedforward_layernorm"),
        ],
        biases: &[],
        interleaved: false,
        norm_offset: 1.0,
        merges_by_place: true,
        keys: &["attention.sliding_window", "rope.freq_base_swa"],
        config: from_gguf,
    }),
};

fn read(keys: &Keys<'_>, config: &mut ModelConfig) -> Result<(), String> {
    keys.refuse_unless("attn_logit_softcapping", |_| false)?;
    keys.refuse_unless("use_bidirectional_attention", |value| {
        *value == json!(false)
    })?;
    config.activation = activation(keys, "hidden_activation", Activation::GeluTanh)?;
    config.head_dim = keys.size("head_dim")?.unwrap_or(256);
    config.tie_word_embeddings = keys.flag("tie_word_embeddings", true)?;
    config.norms = LayerNorms {
        before_attention: Some("input_layernorm"),
        after_attention: Some("post_attention_layernorm"),
        before_feed_forward: Some("pre_feedforward_layernorm"),
        after_feed_forward: Some("post_feedforward_layernorm"),
    };
    config.norm_offset = 1.0;
    config.head_norms = Some(HeadNorms::Each);
    config.biases.qkv = keys.flag("attention_bias", false)?;
    config.biases.output = config.biases.qkv;
    config.attention_scale = keys.number("query_pre_attn_scalar", 256.0)?.sqrt().recip();
    config.embedding_scale = (config.hidden_size as f64).sqrt();
    config.logit_cap = keys.positive("final_logit_softcapping")?;
    let ropes = rope::settings(keys, &[FULL, SLIDING])?;
    let (full, sliding) = (ropes[0], ropes[1]);
    if sliding.1 != RopeScaling::None {
        return Err(format!(
            "rope_parameters.{SLIDING}: rotary positions within a window are scaled in no Gemma 3"
        ));
    }
    let of = |named: Option<f64>, key: &str, default: f64| {
        Ok::<f64, String>(named.unwrap_or(keys.number(key, default)?))
    };
    config.ropes = vec![
        Rope {
            theta: of(full.0, "rope_theta", 1e6)?,
            scaling: full.1,
        },
        Rope {
            theta: of(sliding.0, "rope_local_base_freq", LOCAL_BASE)?,
            scaling: RopeScaling::None,
        },
    ];
    // The older spelling, in which a configuration is written, has it beside the other.
    let local = json!(config.ropes[1].theta);
    config.own.insert("rope_local_base_freq".to_owned(), local);
    let window = keys.size("sliding_window")?.unwrap_or(4096);
    let pattern = keys
        .size("sliding_window_pattern")?
        .or(keys.size("_sliding_window_pattern")?);
    let every = pattern.map_or(PATTERN, |every| every as usize);
    slide(keys, config, Some(window), |layer| (layer + 1) % every != 0)?;
    for layer in &mut config.layers {
        layer.rope = usize::from(layer.window.is_some());
    }
    Ok(())
}

/// What the metadata of a GGUF file says, and what it leaves to llama.cpp: every sixth layer sees
/// everything, and the scale of attention is that of a head's width, but for the largest model.
fn from_gguf(file: &Gguf<'_>, config: &mut Value) -> anyhow::Result<()> {
    let key = file.own("attention.sliding_window");
    let window = file.size(&key)?;
    let window = window.with_context(|| format!("{key} is missing"))?;
    let every = file.size(&file.own("attention.sliding_window_pattern"))?;
    let every = every.unwrap_or(PATTERN).max(1);
    let size = |key: &str| config[key].as_u64().unwrap_or(1);
    let layers = size("num_hidden_layers");
    let scalar = if layers == LARGEST_LAYERS {
        size("hidden_size") / size("num_attention_heads")
    } else {
        size("head_dim")
    };
    let kind = |layer: u64| {
        let full = layer.is_multiple_of(every as u64);
        if full { FULL } else { SLIDING }
    };
    let kinds: Vec<&str> = (1..=layers).map(kind).collect();
    let base = file.number(&file.own("rope.freq_base_swa"))?;
    config["hidden_activation"] = "gelu_pytorch_tanh".into();
    config["query_pre_attn_scalar"] = scalar.into();
    config["sliding_window"] = window.into();
    config["layer_types"] = kinds.into();
    config["rope_local_base_freq"] = base.unwrap_or(LOCAL_BASE).into();
    if let Some(cap) = file.number(&file.own("final_logit_softcapping"))? {
        config["final_logit_softcapping"] = cap.into();
    }
    Ok(())
}
