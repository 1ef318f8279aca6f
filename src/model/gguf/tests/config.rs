//! Configurations, and metadata that contradicts the tensors.

use super::*;
use crate::model::ModelConfig;
use crate::model::rope::RopeScaling;
use crate::model::weights::layout;
use serde_json::{Value as Json, json};

fn config(writer: &Writer) -> Json {
    let bytes = writer.bytes();
    Gguf::parse(&bytes).unwrap().config().unwrap()
}

fn config_refusal(writer: &Writer) -> String {
    let bytes = writer.bytes();
    format!("{:#}", Gguf::parse(&bytes).unwrap().config().unwrap_err())
}

/// The small model under another architecture's name.
fn small_as(architecture: &str) -> Writer {
    let mut writer = small();
    for (key, _) in &mut writer.pairs {
        *key = key.replace("llama.", &format!("{architecture}."));
    }
    writer.set("general.architecture", Item::text(architecture))
}

#[test]
fn the_small_model_is_described_in_full() {
    let expected = json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": 24,
        "hidden_size": 256,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 4,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": null,
        "max_position_embeddings": 64,
        "tie_word_embeddings": true,
        "hidden_act": "silu",
        "torch_dtype": "float32",
        "attention_bias": false,
        "mlp_bias": false,
        "bos_token_id": 0,
        "eos_token_id": 1,
    });
    assert_eq!(config(&small()), expected);
}

#[test]
fn architectures_differ_in_their_biases() {
    let qwen2 = config(&small_as("qwen2"));
    assert_eq!(qwen2["architectures"], json!(["Qwen2ForCausalLM"]));
    assert_eq!(
        (qwen2.get("attention_bias"), qwen2.get("mlp_bias")),
        (None, None)
    );
    let qwen3 = config(&small_as("qwen3"));
    assert_eq!(qwen3["model_type"], "qwen3");
    assert_eq!(
        (&qwen3["attention_bias"], qwen3.get("mlp_bias")),
        (&json!(false), None)
    );
    let biased = small()
        .numbers("blk.0.attn_q.bias", &[8], &[0.0; 8])
        .numbers("blk.0.ffn_gate.bias", &[32], &[0.0; 32]);
    let biased = config(&biased);
    assert_eq!(
        (&biased["attention_bias"], &biased["mlp_bias"]),
        (&json!(true), &json!(true))
    );
}

#[test]
fn a_head_of_its_own_unties_the_embedding() {
    let head = writer::filler(24 * 8 * 34);
    let untied = small().tensor("output.weight", &[24, 256], 8, head);
    assert_eq!(config(&untied)["tie_word_embeddings"], json!(false));
}

#[test]
fn what_is_left_out_has_its_usual_value() {
    let shaped = small()
        .without("llama.attention.key_length")
        .without("llama.rope.freq_base")
        .without("llama.attention.head_count_kv")
        .set("llama.attention.head_count", Item::Unsigned(8))
        .tensor(
            "blk.0.attn_q.weight",
            &[256, 256],
            12,
            writer::filler(256 * 144),
        )
        .tensor(
            "blk.0.attn_k.weight",
            &[256, 256],
            13,
            writer::filler(256 * 176),
        );
    let config = config(&shaped);
    assert_eq!(config["head_dim"], 32);
    assert_eq!(config["num_key_value_heads"], 8);
    assert_eq!(config["rope_theta"], json!(10000.0));
}

#[test]
fn sizes_that_the_tensors_belie_are_refused_by_name() {
    for (key, size, trouble) in [
        ("block_count", 2, "llama.block_count is 2"),
        ("block_count", u32::MAX, "llama.block_count"),
        ("block_count", 0, "llama.block_count is 0"),
        ("embedding_length", 128, "model.embed_tokens.weight"),
        ("feed_forward_length", 64, "mlp.gate_proj.weight"),
        ("attention.head_count", 4, "self_attn.q_proj.weight"),
        ("attention.key_length", 8, "self_attn.q_proj.weight"),
        ("attention.key_length", 3, "even width"),
        ("attention.key_length", 0, "even width"),
        ("attention.value_length", 8, "attention.value_length is 8"),
        ("rope.dimension_count", 2, "llama.rope.dimension_count is 2"),
        ("vocab_size", 25, "llama.vocab_size is 25"),
        ("context_length", 0, "llama.context_length is 0"),
        ("expert_count", 8, "llama.expert_count is 8"),
        ("attention.sliding_window", 32, "sliding_window is 32"),
    ] {
        let writer = small().set(&format!("llama.{key}"), Item::Unsigned(size));
        names(&config_refusal(&writer), &[trouble]);
    }
    let id = small().set("tokenizer.ggml.eos_token_id", Item::Unsigned(24));
    names(&config_refusal(&id), &["tokenizer.ggml.eos_token_id is 24"]);
}

#[test]
fn values_of_another_type_are_refused_by_name() {
    let window = "llama.attention.sliding_window";
    assert!(config(&small().set(window, Item::Unsigned(64))).is_object());
    for (key, item) in [
        ("llama.attention.causal", Item::Flag(false)),
        ("llama.attention.causal", Item::Unsigned(1)),
        ("llama.attention.head_count", Item::Integers(vec![2])),
        ("llama.block_count", Item::Number(1.0)),
        ("llama.feed_forward_length", Item::Integers(vec![32])),
        ("llama.rope.freq_base", Item::Number(f32::NAN)),
        ("llama.rope.freq_base", Item::Number(-1.0)),
        ("llama.rope.freq_base", Item::text("1e4")),
    ] {
        names(&config_refusal(&small().set(key, item)), &[key]);
    }
}

#[test]
fn what_is_missing_or_left_out_is_named() {
    for key in [
        "llama.block_count",
        "llama.context_length",
        "llama.embedding_length",
        "llama.feed_forward_length",
        "llama.attention.head_count",
        "llama.attention.layer_norm_rms_epsilon",
    ] {
        names(&config_refusal(&small().without(key)), &[key, "missing"]);
    }
    let mut headless = small();
    headless
        .tensors
        .retain(|tensor| tensor.name != "token_embd.weight");
    names(&config_refusal(&headless), &["model.embed_tokens.weight"]);
    // The first layer is left out, the count is right.
    let mut gap = small().set("llama.block_count", Item::Unsigned(2));
    for tensor in &mut gap.tensors {
        tensor.name = tensor.name.replace("blk.0.", "blk.1.");
    }
    names(
        &config_refusal(&gap),
        &["llama.block_count is 2", "1 layers"],
    );
}

#[test]
fn linear_scaling_is_read_and_other_scaling_refused() {
    let scaled = |of: Option<&str>, key: &str, factor: f32| {
        let writer = small().set(key, Item::Number(factor));
        match of {
            Some(of) => writer.set("llama.rope.scaling.type", Item::text(of)),
            None => writer,
        }
    };
    let factor = "llama.rope.scaling.factor";
    let four = json!({"rope_type": "linear", "factor": 4.0});
    assert_eq!(
        config(&scaled(Some("linear"), factor, 4.0))["rope_scaling"],
        four
    );
    assert_eq!(config(&scaled(None, factor, 4.0))["rope_scaling"], four);
    assert_eq!(
        config(&scaled(None, "llama.rope.scale_linear", 4.0))["rope_scaling"],
        four
    );
    assert_eq!(
        config(&scaled(Some("none"), factor, 4.0))["rope_scaling"],
        Json::Null
    );
    assert_eq!(
        config(&scaled(Some("linear"), factor, 1.0))["rope_scaling"],
        Json::Null
    );
    for of in ["yarn", "longrope"] {
        names(
            &config_refusal(&scaled(Some(of), factor, 4.0)),
            &["llama.rope.scaling.type", of],
        );
    }
    names(
        &config_refusal(&scaled(Some("linear"), factor, -4.0)),
        &[factor],
    );
    let alone = small().set("llama.rope.scaling.type", Item::text("linear"));
    names(&config_refusal(&alone), &[factor, "missing"]);
}

#[test]
fn rotary_settings_that_are_not_read_are_refused_by_name() {
    for (key, item) in [
        ("llama.rope.scaling.attn_factor", Item::Number(0.8)),
        ("llama.rope.scaling.yarn_beta_fast", Item::Number(32.0)),
        ("llama.rope.dimension_sections", Item::Integers(vec![1, 1])),
        ("llama.rope.freq_base_swa", Item::Number(10_000.0)),
        ("llama.rope.mode", Item::text("ntk")),
    ] {
        names(&config_refusal(&small().set(key, item)), &[key]);
    }
    let told = small()
        .set(
            "llama.rope.scaling.original_context_length",
            Item::Unsigned(32),
        )
        .set("llama.rope.scaling.finetuned", Item::Flag(true));
    assert_eq!(config(&told), config(&small()));
}

#[test]
fn llama_3_scaling_is_recognised_by_its_divisors() {
    // Width 16 and base 500000, computed with numpy in 32 bits.
    let eight = [1.0, 1.0, 1.0, 1.0, 2.694_53, 8.0, 8.0, 8.0];
    let thirty_two = [1.0, 1.0, 1.0, 1.0, 3.292_262_6, 32.0, 32.0, 32.0];
    let wide = || {
        small()
            .set("llama.attention.key_length", Item::Unsigned(16))
            .set("llama.rope.freq_base", Item::Number(500_000.0))
            .tensor(
                "blk.0.attn_q.weight",
                &[32, 256],
                12,
                writer::filler(32 * 144),
            )
            .tensor(
                "blk.0.attn_k.weight",
                &[16, 256],
                13,
                writer::filler(16 * 176),
            )
    };
    let divided =
        |divisors: &[f32]| wide().numbers("rope_freqs.weight", &[divisors.len() as u64], divisors);
    for (divisors, factor) in [(eight, 8.0), (thirty_two, 32.0)] {
        let expected = json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        });
        assert_eq!(config(&divided(&divisors))["rope_scaling"], expected);
    }
    assert_eq!(config(&divided(&[1.0; 8]))["rope_scaling"], Json::Null);
    let bytes = divided(&eight).bytes();
    let file = Gguf::parse(&bytes).unwrap();
    assert!(file.tensors().all(|(name, _)| !name.contains("rope")));

    let mut other = eight;
    other[4] *= 1.001;
    names(
        &config_refusal(&divided(&other)),
        &["rope_freqs.weight", "8 or 32"],
    );
    names(
        &config_refusal(&divided(&[f32::NAN; 8])),
        &["rope_freqs.weight"],
    );
    names(
        &config_refusal(&divided(&eight[..7])),
        &["rope_freqs.weight", "[7]"],
    );
    let both = divided(&eight).set("llama.rope.scaling.factor", Item::Number(4.0));
    names(&config_refusal(&both), &["rope_freqs.weight"]);
}

/// A Gemma 3 of 7 layers, all of whose norms are 1.5 in the file.
fn gemma() -> Writer {
    let mut writer = small_as("gemma3")
        .set("gemma3.block_count", Item::Unsigned(7))
        .set("gemma3.attention.sliding_window", Item::Unsigned(16));
    let layer: Vec<_> = writer.tensors.split_off(2);
    writer = writer.numbers("output_norm.weight", &[256], &[1.5; 256]);
    for number in 0..7 {
        for tensor in &layer {
            let mut tensor = tensor.clone();
            tensor.name = tensor.name.replace("blk.0.", &format!("blk.{number}."));
            writer.tensors.push(tensor);
        }
        for (part, width) in [
            ("attn_norm", 256),
            ("attn_q_norm", 4),
            ("attn_k_norm", 4),
            ("post_attention_norm", 256),
            ("ffn_norm", 256),
            ("post_ffw_norm", 256),
        ] {
            let name = format!("blk.{number}.{part}.weight");
            writer = writer.numbers(&name, &[width], &vec![1.5; width as usize]);
        }
    }
    writer
}

// The keys that transformers 5.23 gives for google/gemma-3-270m's file, in the spelling of 4.
#[test]
fn gemma_3_is_described_in_full() {
    let sliding = "sliding_attention";
    let expected = json!({
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": 24,
        "hidden_size": 256,
        "intermediate_size": 32,
        "num_hidden_layers": 7,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 4,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "rope_scaling": null,
        "max_position_embeddings": 64,
        "tie_word_embeddings": true,
        "torch_dtype": "float32",
        "attention_bias": false,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "hidden_activation": "gelu_pytorch_tanh",
        "query_pre_attn_scalar": 4,
        "sliding_window": 16,
        "layer_types": [sliding, sliding, sliding, sliding, sliding, "full_attention", sliding],
        "rope_local_base_freq": 10000.0,
    });
    assert_eq!(config(&gemma()), expected);
    let read = ModelConfig::from_value(&expected).unwrap();
    assert_eq!(read.norm_offset.to_bits(), 1f64.to_bits());
    let scaled = gemma()
        .set("gemma3.rope.freq_base", Item::Number(1e6))
        .set("gemma3.rope.freq_base_swa", Item::Number(2e4))
        .set("gemma3.rope.scaling.type", Item::text("linear"))
        .set("gemma3.rope.scaling.factor", Item::Number(8.0));
    let scaled = ModelConfig::from_value(&config(&scaled)).unwrap();
    assert_eq!(scaled.ropes[0].theta.to_bits(), 1e6f64.to_bits());
    assert_eq!(scaled.ropes[0].scaling, RopeScaling::Linear { factor: 8.0 });
    assert_eq!(scaled.ropes[1].theta.to_bits(), 2e4f64.to_bits());
    assert_eq!(scaled.ropes[1].scaling, RopeScaling::None);
    let without = gemma().without("gemma3.attention.sliding_window");
    names(
        &config_refusal(&without),
        &["gemma3.attention.sliding_window", "missing"],
    );
}

// llama.cpp adds the 1 that the model adds; queries and keys it leaves as they are.
#[test]
fn gemma_3_has_its_tensors_by_their_names_and_norms_less_1() {
    let bytes = gemma().bytes();
    let file = Gguf::parse(&bytes).unwrap();
    let config = ModelConfig::from_value(&file.config().unwrap()).unwrap();
    let wanted: Vec<String> = layout(&config)
        .into_iter()
        .map(|entry| entry.name)
        .collect();
    let mut norms = 0;
    for name in &wanted {
        let numbers = file.read(name).unwrap();
        if name.ends_with("norm.weight") {
            assert!(
                numbers
                    .iter()
                    .all(|number| (*number - 0.5).abs() < f32::EPSILON),
                "{name}"
            );
            norms += 1;
        }
    }
    assert_eq!((norms, file.tensors().count()), (7 * 6 + 1, wanted.len()));
    let queries = "model.layers.0.self_attn.q_proj.weight";
    let mut laid = vec![0.0; 8 * 256];
    super::super::tensors::dequantise(&file.tensors[queries], &mut laid);
    assert_eq!(file.read(queries).unwrap(), laid);
}
