//! The trainings held to TRL, and what a wrong case gives.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::model::tensor_files::{NumberFormat, TensorToWrite, write_safetensors};
use crate::model::{ModelShape, Weights, folder};
use crate::network::gradient;
use crate::training::forward::foretell;

#[test]
fn every_training_conforms_to_trl() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/lockstep");
    if !at.is_dir() {
        println!("skipped: no reference trainings at ../shared/fixtures/lockstep");
        return;
    }
    let model = model(&at, None).unwrap();
    let cases = cases(&at).unwrap();
    assert_eq!(cases.len(), 9);
    for case in cases {
        let held = hold(&case, &model).unwrap();
        println!("{} {held:?}", case.display());
        assert!(held.holds(), "{}: {held:?}", case.display());
        assert!(held.loss.compared >= 4 && held.weights.compared > 80_000);
        // Few weights are at rest, or the comparison would say nothing.
        assert!(held.at_rest.compared < 40);
    }
}

/// Trainings of TRL's `GKDTrainer`, which the project carries.
fn distillations() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lockstep")
}

#[test]
fn every_distillation_conforms_to_trl() {
    let at = distillations();
    let model = model(&at, None).unwrap();
    let cases = cases(&at).unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let held = hold(&case, &model).unwrap();
        println!("{} {held:?}", case.display());
        assert!(held.holds(), "{}: {held:?}", case.display());
        assert!(held.loss.compared == 5 && held.weights.compared > 9_000);
        assert!(held.at_rest.compared < 40);
    }
}

/// What comes of a case of distillation whose file has another value at `pointer`.
fn distil(case: &str, pointer: &str, value: Value) -> Result<Held> {
    let (folder, at) = (tempfile::tempdir().unwrap(), distillations());
    let from = at.join(case);
    let text = std::fs::read_to_string(from.join(CASE)).unwrap();
    let mut file: Value = serde_json::from_str(&text).unwrap();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match file.pointer_mut(parent).unwrap() {
        Value::Object(object) => _ = object.insert(key.to_owned(), value),
        other => other[key.parse::<usize>().unwrap()] = value,
    }
    std::fs::write(folder.path().join(CASE), file.to_string()).unwrap();
    let teacher = folder.path().join(TEACHER);
    std::fs::create_dir(&teacher).unwrap();
    for file in ["config.json", "model.safetensors", "tokenizer.json"] {
        let copied = Path::new(TEACHER).join(file);
        std::fs::copy(from.join(&copied), folder.path().join(copied)).unwrap();
    }
    std::fs::copy(from.join(FINAL), folder.path().join(FINAL)).unwrap();
    hold(folder.path(), &model(&at, None)?)
}

#[test]
fn another_divergence_and_other_tokens_are_found() {
    let same = distil("gkd-on-policy", "/settings/beta", json!(0.2)).unwrap();
    assert!(same.holds(), "{same:?}");
    for (case, beta) in [
        // Mixed the other way round.
        ("gkd-on-policy", 0.8),
        ("gkd-on-policy-reverse", 0.0),
        ("gkd-demonstrations", 0.3),
        ("gkd-demonstrations-forward", 1.0),
    ] {
        let held = distil(case, "/settings/beta", json!(beta)).unwrap();
        assert!(held.loss.first.is_some(), "{case}: {held:?}");
        assert!(held.weights.first.is_some(), "{case}: {held:?}");
    }
    let first = "/batches/0/completion_ids/0";
    let held = distil("gkd-demonstrations", first, json!([9, 8, 7])).unwrap();
    assert!(held.grad_norm.first.is_some(), "{held:?}");
}

#[test]
fn a_distillation_that_cannot_be_followed_is_refused_by_name() {
    for (pointer, value, expected) in [
        ("/settings/lmbda", json!(0.5), "settings.lmbda = 0.5"),
        ("/settings/beta", json!(1.5), "settings.beta = 1.5"),
        ("/settings/seq_kd", json!(true), "settings.seq_kd"),
        (
            "/settings/per_device_train_batch_size",
            json!(3),
            "batches[0]",
        ),
        ("/batches/1/prompt_ids/0", json!([]), "batches[1]"),
        ("/batches/1/completion_ids/0", json!([400]), "token 400"),
        ("/batches", json!([]), "0 batches"),
    ] {
        for case in ["gkd-demonstrations", "gkd-on-policy"] {
            let refused = distil(case, pointer, value.clone()).unwrap_err();
            let refused = format!("{refused:#}");
            assert!(refused.contains(expected), "{expected}: {refused}");
        }
    }
    let other = distillations().join("gkd-on-policy");
    let refused = teacher(&other.join(TEACHER), &decoder()).unwrap_err();
    assert!(refused.to_string().contains("vocabulary of 344 tokens"));
}

fn decoder() -> Decoder {
    let config = ModelShape::tiny().config(20, 1, 2, 0);
    Decoder::new(config.clone(), Weights::random(&config, 5, Device::Cpu))
}

/// One update on one row at a learning rate of 0, whose loss is the mean of
/// three log-probabilities and whose weights stay.
fn small(decoder: &Decoder) -> Value {
    let ids = [4i64, 9, 7, 2];
    let example = Example {
        prompt: ids[..1].to_vec(),
        completion: ids[1..].to_vec(),
        weights: vec![1.0; 3],
        ..Example::default()
    };
    let foretold = foretell(decoder, Precision::Float32, &[example], 100);
    let loss = foretold.mean().expect("three tokens have weight").loss;
    let norm = gradient(decoder, &ids).norm().double_value(&[]);
    json!({
        "algorithm": "sft",
        "settings": {
            "per_device_train_batch_size": 1, "max_steps": 1, "learning_rate": 0.01,
            "warmup_steps": 1, "lr_scheduler_type": "cosine", "weight_decay": 0.1,
            "packing": false, "max_length": 128, "shuffle_dataset": false
        },
        "micro_batches": [{
            "input_ids": [[4, 9, 7, 2, 0]], "labels": [[4, 9, 7, 2, -100]],
            "attention_mask": [[1, 1, 1, 1, 0]]
        }],
        "steps": [{
            "loss": loss, "grad_norm": norm, "learning_rate": 0.0
        }]
    })
}

/// Two samples of one prompt and one update.
fn grouped() -> Value {
    json!({
        "algorithm": "grpo",
        "settings": {
            "per_device_train_batch_size": 2, "num_generations": 2, "max_steps": 1,
            "learning_rate": 0.01, "max_completion_length": 4
        },
        "generation_batches": [{
            "prompt_ids": [[4, 5], [4, 5]], "completion_ids": [[7, 2], [9]], "rewards": [1.0, 0.0]
        }],
        "steps": [{"loss": 0.0, "grad_norm": 1.0, "learning_rate": 0.01}]
    })
}

fn write_final(at: &Path, decoder: &Decoder, change: f32) {
    let entries = decoder.weights().entries();
    let tensors: Vec<TensorToWrite> = entries
        .iter()
        .map(|entry| TensorToWrite {
            name: entry.name.clone(),
            shape: entry.shape.iter().map(|&size| size as usize).collect(),
            format: NumberFormat::F32,
        })
        .collect();
    write_safetensors(at, &tensors, |place, sink| {
        let mut values = folder::numbers(decoder.weights().get(&entries[place].name));
        if let Some(last) = values.last_mut() {
            *last += change;
        }
        sink.numbers(&values)
    })
    .unwrap();
}

fn follow(case: &Value, change: f32) -> Result<Held> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FINAL);
    let decoder = decoder();
    write_final(&file, &decoder, change);
    let case = Case::read(&case.to_string(), decoder.config())?;
    let mut held = Held::default();
    let optimizer = train(&case, &decoder, None, &mut held)?;
    compare_weights(&file, &decoder, &optimizer, &mut held)?;
    Ok(held)
}

#[test]
fn a_case_by_hand_holds_and_every_deviation_is_found() {
    let case = small(&decoder());
    let held = follow(&case, 0.0).unwrap();
    assert!(held.holds(), "{held:?}");
    assert_eq!(held.loss.compared, 1);
    let all = held.weights.compared + held.at_rest.compared;
    assert_eq!(all as i64, decoder().weights().count());
    for (key, kind) in [("loss", 0), ("grad_norm", 1), ("learning_rate", 2)] {
        let mut wrong = case.clone();
        let value = wrong["steps"][0][key].as_f64().unwrap();
        wrong["steps"][0][key] = json!(value * 1.01 + 1e-8);
        let held = follow(&wrong, 0.0).unwrap();
        let first = held.kinds()[kind].1.first.as_ref().unwrap();
        assert!(first.starts_with("update 1: "), "{first}");
    }
    assert!(!follow(&case, 2e-3).unwrap().holds());
    assert!(follow(&case, 5e-4).unwrap().holds());
}

#[test]
fn a_value_that_is_no_number_is_beyond_every_tolerance() {
    let mut worst = Worst::default();
    worst.add(f64::NAN, 1.0, 1e9, || "here".to_owned());
    assert!(worst.first.is_some() && worst.largest.is_infinite());
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let (sft, grpo) = (small(&decoder()), grouped());
    assert!(Case::read(&grpo.to_string(), decoder().config()).is_ok());
    let set = |base: &Value, key: &str, value: Value| {
        let mut case = base.clone();
        case["settings"][key] = value;
        case
    };
    let at = |base: &Value, pointer: &str, value: Value| {
        let mut case = base.clone();
        *case.pointer_mut(pointer).unwrap() = value;
        case
    };
    let accumulated = |key: &str, value: Value| {
        let mut case = set(&grpo, key, value);
        case["settings"]["gradient_accumulation_steps"] = json!(2);
        case
    };
    let batch = "/generation_batches/0";
    for (case, expected) in [
        (
            set(&sft, "neftune_noise_alpha", json!(5)),
            "neftune_noise_alpha",
        ),
        (set(&sft, "packing", json!(true)), "packing"),
        (set(&sft, "loss_type", json!("chunked")), "loss_type"),
        (
            set(&sft, "lr_scheduler_type", json!("polynomial")),
            "polynomial",
        ),
        (set(&sft, "max_steps", json!(2)), "max_steps"),
        (
            set(&sft, "per_device_train_batch_size", json!(0)),
            "per_device_train_batch_size",
        ),
        (at(&sft, "/algorithm", json!("dpo")), "dpo"),
        (at(&sft, "/micro_batches", json!([])), "micro_batches"),
        (at(&sft, "/micro_batches/0/labels/0/1", json!(8)), "label 8"),
        (
            at(&sft, "/micro_batches/0/attention_mask/0/0", json!(0)),
            "padding",
        ),
        (
            at(&sft, "/micro_batches/0/input_ids/0/0", json!(99)),
            "token 99",
        ),
        (
            set(&grpo, "use_adaptive_entropy", json!(true)),
            "use_adaptive_entropy",
        ),
        (set(&grpo, "loss_type", json!("ppo")), "ppo"),
        (set(&grpo, "num_generations", json!(3)), "num_generations"),
        (
            set(&grpo, "steps_per_generation", json!(2)),
            "steps_per_generation",
        ),
        (set(&grpo, "temperature", json!(0.0)), "temperature"),
        (accumulated("loss_type", json!("bnpo")), "bnpo"),
        (
            accumulated("top_entropy_quantile", json!(0.5)),
            "top_entropy_quantile",
        ),
        (accumulated("entropy_coef", json!(0.5)), "entropy_coef"),
        (
            at(&grpo, &format!("{batch}/rewards"), json!([1.0])),
            "generation_batches[0]",
        ),
        (
            at(&grpo, &format!("{batch}/prompt_ids/1"), json!([4])),
            "different prompts",
        ),
        (
            at(&grpo, &format!("{batch}/completion_ids/0"), json!([])),
            "without a token",
        ),
        (
            at(&grpo, &format!("{batch}/rewards"), json!([1.0, 1.0])),
            "no completion has an advantage",
        ),
    ] {
        let refused = format!("{:#}", follow(&case, 0.0).unwrap_err());
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
}

#[test]
fn a_folder_without_cases_or_model_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let refused = cases(folder.path()).unwrap_err().to_string();
    assert!(refused.contains("no case.json"), "{refused}");
    let refused = model(folder.path(), None).unwrap_err().to_string();
    assert!(refused.contains("--models"), "{refused}");
}
