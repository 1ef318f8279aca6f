//! Both spellings of a configuration, and what is refused by name.

use super::*;
use crate::model::ModelShape;

fn config() -> ModelConfig {
    ModelShape::tiny().config(150, 1, 2, 0)
}

fn value() -> Value {
    serde_json::from_str(&config().to_json("float32")).unwrap()
}

#[test]
fn what_is_written_reads_back() {
    assert_eq!(
        ModelConfig::from_json(&config().to_json("float32")),
        Ok(config())
    );
    let mut other = config().like("qwen3", &json!({"attention_bias": true}));
    assert!(other.biases.qkv && other.biases.output && !other.biases.mlp);
    other.eos_token_ids = vec![2, 7];
    other.bos_token_id = None;
    other.ropes[0].scaling = RopeScaling::Linear { factor: 2.0 };
    assert_eq!(ModelConfig::from_json(&other.to_json("float32")), Ok(other));
}

#[test]
fn both_spellings_of_rotary_positions_are_read() {
    let mut newer = value();
    newer["rope_parameters"] = json!({"rope_type": "linear", "factor": 3.0, "rope_theta": 5000.0});
    let read = ModelConfig::from_value(&newer).unwrap();
    assert!((read.ropes[0].theta - 5000.0).abs() < f64::EPSILON);
    assert_eq!(read.ropes[0].scaling, RopeScaling::Linear { factor: 3.0 });
    let mut older = value();
    older["rope_scaling"] = json!({"type": "dynamic", "factor": 2.0});
    let read = ModelConfig::from_value(&older).unwrap();
    assert_eq!(read.ropes[0].scaling, RopeScaling::Dynamic { factor: 2.0 });
    assert!((read.ropes[0].theta - 10_000.0).abs() < f64::EPSILON);
}

#[test]
fn rotary_settings_by_layer_type_are_read_as_the_flat_ones() {
    for settings in [
        json!({"rope_type": "default", "rope_theta": 1e6}),
        json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6}),
        json!({"rope_type": "dynamic", "factor": 4.0}),
    ] {
        let mut flat = value();
        flat["rope_parameters"] = settings.clone();
        flat["rope_interleaved"] = json!(false);
        let mut nested = value();
        nested["rope_parameters"] = json!({"full_attention": settings});
        nested["layer_types"] = json!(["full_attention"]);
        let read = ModelConfig::from_value(&nested);
        assert!(read.is_ok(), "{read:?}");
        assert_eq!(read, ModelConfig::from_value(&flat));
    }
}

#[test]
fn two_spellings_at_once_have_to_agree() {
    let with = |scaling: Value| {
        let mut value = value();
        value["rope_parameters"] =
            json!({"rope_type": "linear", "factor": 3.0, "rope_theta": 5000.0});
        value["rope_scaling"] = scaling;
        ModelConfig::from_value(&value)
    };
    let read = with(json!({"type": "linear", "factor": 3.0})).unwrap();
    assert!((read.ropes[0].theta - 5000.0).abs() < f64::EPSILON);
    assert_eq!(with(Value::Null).unwrap(), read);
    for other in [
        json!({"type": "linear", "factor": 2.0}),
        json!({"type": "default"}),
        json!({"type": "linear", "factor": 3.0, "rope_theta": 1e4}),
        json!({"type": "yarn", "factor": 3.0}),
    ] {
        let error = with(other).unwrap_err();
        assert!(error.contains("rope_scaling"), "{error}");
    }
}

#[test]
fn families_differ_in_biases_and_norms() {
    let with = |kind: &str| config().like(kind, &json!({}));
    assert!(!with("llama").biases.qkv);
    assert!(with("qwen2").biases.qkv);
    assert!(!with("qwen2").biases.output);
    assert_eq!(with("qwen3").head_norms, Some(HeadNorms::Each));
    assert_eq!(with("olmo2").head_norms, Some(HeadNorms::Together));
}

#[test]
fn what_the_decoder_cannot_do_is_refused_by_name() {
    for (key, wrong, named) in [
        ("model_type", json!("mamba"), "mamba"),
        ("hidden_act", json!("gelu"), "gelu"),
        ("quantization_config", json!({"quant_method": "awq"}), "awq"),
        ("rope_scaling", json!({"type": "yarn"}), "yarn"),
        (
            "rope_parameters",
            json!({"full_attention": {"rope_type": "longrope", "factor": 4.0}}),
            "rope_parameters.full_attention: rope_type = \"longrope\"",
        ),
        ("rope_parameters", json!([1e6]), "rope_parameters"),
        (
            "rope_scaling",
            json!({"short_factor": [1.0]}),
            "short_factor",
        ),
        ("rope_interleaved", json!(true), "rope_interleaved"),
        ("partial_rotary_factor", json!(0.5), "partial_rotary_factor"),
        ("rope_local_base_freq", json!(1e4), "rope_local_base_freq"),
        ("hidden_size", json!(-3), "hidden_size"),
        ("hidden_size", json!("wide"), "hidden_size"),
        ("vocab_size", json!(null), "vocab_size"),
        ("num_key_value_heads", json!(3), "num_key_value_heads"),
        ("head_dim", json!(5), "head_dim"),
        ("eos_token_id", json!([2, "x"]), "eos_token_id"),
        ("eos_token_id", json!(150), "150"),
        ("tie_word_embeddings", json!(1), "tie_word_embeddings"),
    ] {
        let mut value = value();
        value[key] = wrong;
        let error = ModelConfig::from_value(&value).unwrap_err();
        assert!(error.contains(named), "{key}: {error}");
    }
    assert!(ModelConfig::from_json("[]").is_err());
    assert!(ModelConfig::from_json("{").is_err());
}
