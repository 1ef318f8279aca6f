//! What each architecture reads of its own keys, and refuses.

use serde_json::{Value, json};

use super::*;
use crate::model::ModelShape;

fn config(model_type: &str, keys: &Value) -> Result<ModelConfig, String> {
    let shape = ModelShape {
        layers: 4,
        ..ModelShape::tiny()
    };
    let text = shape.config(20, 1, 2, 0).to_json("float32");
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["model_type"] = json!(model_type);
    for (key, own) in keys.as_object().unwrap() {
        value[key] = own.clone();
    }
    ModelConfig::from_value(&value)
}

fn windows(config: &ModelConfig) -> Vec<Option<i64>> {
    config.layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn what_is_written_of_each_reads_back() {
    for architecture in ALL {
        let read = config(architecture.model_type, &json!({"sliding_window": 8})).unwrap();
        let again = ModelConfig::from_json(&read.to_json("float32")).unwrap();
        assert_eq!(again, read);
        assert_eq!(again.architecture, architecture);
    }
}

#[test]
fn windows_follow_the_types_of_layers_else_the_familys_pattern() {
    let mistral = config("mistral", &json!({"sliding_window": 8})).unwrap();
    assert_eq!(windows(&mistral), [Some(8); 4]);
    let full = config("mistral", &json!({"sliding_window": null})).unwrap();
    assert_eq!(windows(&full), [None; 4]);
    let own = json!({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 3});
    let qwen = config("qwen2", &own).unwrap();
    assert_eq!(windows(&qwen), [None, None, None, Some(8)]);
    let all = json!({"use_sliding_window": true, "sliding_window": 8, "max_window_layers": 0});
    assert_eq!(windows(&config("qwen2", &all).unwrap()), [Some(8); 4]);
    let off = json!({"use_sliding_window": false, "sliding_window": 8, "max_window_layers": 1});
    assert_eq!(windows(&config("qwen3", &off).unwrap()), [None; 4]);
    let gemma = json!({"sliding_window": 8, "sliding_window_pattern": 2});
    let gemma = config("gemma3_text", &gemma).unwrap();
    assert_eq!(windows(&gemma), [Some(8), None, Some(8), None]);
    let ropes: Vec<usize> = gemma.layers.iter().map(|layer| layer.rope).collect();
    assert_eq!(ropes, [1, 0, 1, 0]);
    let types = ["full_attention", "sliding_attention"].repeat(2);
    let typed = json!({"sliding_window": 8, "layer_types": types});
    let typed = config("gemma3_text", &typed).unwrap();
    assert_eq!(windows(&typed), [None, Some(8), None, Some(8)]);
}

#[test]
fn every_fourth_layer_of_smollm3_is_not_rotated() {
    let ropes = |keys: &Value| -> Vec<usize> {
        let config = config("smollm3", keys).unwrap();
        config.layers.iter().map(|layer| layer.rope).collect()
    };
    assert_eq!(ropes(&json!({})), [0, 0, 0, 1]);
    assert_eq!(ropes(&json!({"no_rope_layer_interval": 2})), [0, 1, 0, 1]);
    assert_eq!(
        ropes(&json!({"no_rope_layers": [0, 1, 1, 0]})),
        [1, 0, 0, 1]
    );
}

#[test]
fn both_spellings_of_gemmas_rotary_positions_are_read() {
    let older = json!({"sliding_window": 8, "rope_theta": 5e5, "rope_local_base_freq": 2e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0}});
    let newer = json!({"sliding_window": 8, "rope_theta": null, "rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 2e4}}});
    let (older, newer) = (config("gemma3_text", &older), config("gemma3_text", &newer));
    assert_eq!(older.unwrap().ropes, newer.unwrap().ropes);
}

#[test]
fn what_an_architecture_does_not_compute_is_refused_by_key() {
    for (model_type, keys, named) in [
        ("llama", json!({"hidden_act": "relu"}), "hidden_act"),
        (
            "gemma3_text",
            json!({"hidden_activation": "gelu"}),
            "hidden_activation",
        ),
        (
            "gemma3_text",
            json!({"sliding_window": 8, "attn_logit_softcapping": 50.0}),
            "attn_logit_softcapping",
        ),
        (
            "gemma3_text",
            json!({"sliding_window": 8, "use_bidirectional_attention": true}),
            "use_bidirectional_attention",
        ),
        (
            "gemma3_text",
            json!({"sliding_window": 8, "rope_parameters": {
            "sliding_attention": {"rope_type": "linear", "factor": 2.0}}}),
            "sliding_attention",
        ),
        (
            "mistral",
            json!({"sliding_window": 33}),
            "sliding_window = 33",
        ),
        ("mistral", json!({"sliding_window": 0}), "sliding_window"),
        ("mistral", json!({}), "4096"),
        (
            "qwen2",
            json!({"layer_types": ["full_attention"]}),
            "layer_types",
        ),
        (
            "qwen2",
            json!({"layer_types": "full_attention"}),
            "layer_types",
        ),
        (
            "qwen2",
            json!({"layer_types": ["full_attention", "full_attention", "full_attention",
            "chunked_attention"]}),
            "chunked_attention",
        ),
        (
            "qwen2",
            json!({"layer_types": ["sliding_attention", "full_attention", "full_attention",
            "full_attention"]}),
            "sliding_window",
        ),
        (
            "qwen3",
            json!({"max_window_layers": -1}),
            "max_window_layers",
        ),
        (
            "smollm3",
            json!({"no_rope_layers": [1, 1]}),
            "no_rope_layers",
        ),
        (
            "smollm3",
            json!({"no_rope_layers": [1, 1, 1, 2]}),
            "no_rope_layers",
        ),
        (
            "phi3",
            json!({"rope_scaling": {"type": "linear", "factor": 2.0}}),
            "longrope",
        ),
        (
            "phi3",
            json!({"partial_rotary_factor": 0.75}),
            "partial_rotary_factor",
        ),
    ] {
        let error = config(model_type, &keys).unwrap_err();
        assert!(
            error.contains(named),
            "{model_type}: {named} is not in {error}"
        );
    }
}
