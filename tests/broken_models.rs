//! What is wrong with a model or with what is asked of it: named, with nothing
//! written.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::models::trained;
use crate::support::{Bench, TINY, json as read_json, text};

/// A copy of the trained model with one thing wrong in it.
fn broken(bench: &Bench, name: &str, breaks: impl FnOnce(&Path)) -> PathBuf {
    let folder = bench.path(name);
    std::fs::create_dir(&folder).unwrap();
    for entry in std::fs::read_dir(trained()).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    breaks(&folder);
    folder
}

fn set(folder: &Path, file: &str, key: &str, value: Value) {
    let path = folder.join(file);
    let mut content = read_json(&path);
    content[key] = value;
    std::fs::write(path, content.to_string()).unwrap();
}

const WEIGHTS: &str = "model.safetensors";

/// What breaks a model's folder.
type Break = Box<dyn Fn(&Path)>;

/// Keeps only the first bytes of the weights.
fn cut(keep: fn(usize) -> usize) -> Break {
    Box::new(move |folder| {
        let path = folder.join(WEIGHTS);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(path, &bytes[..keep(bytes.len())]).unwrap();
    })
}

/// Sets a key of the configuration.
fn config(key: &'static str, value: Value) -> Break {
    Box::new(move |folder| set(folder, "config.json", key, value.clone()))
}

/// Gives a tensor another name of the same length.
fn rename(from: &'static str, to: &'static str) -> Break {
    assert_eq!(from.len(), to.len());
    Box::new(move |folder| {
        let path = folder.join(WEIGHTS);
        let mut bytes = std::fs::read(&path).unwrap();
        let at = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes())
            .unwrap();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        std::fs::write(path, bytes).unwrap();
    })
}

/// Writes a file into the folder.
fn put(name: &'static str, content: String) -> Break {
    Box::new(move |folder| std::fs::write(folder.join(name), &content).unwrap())
}

/// Removes a file, and leaves the index of shards that are not there.
fn without(name: &'static str) -> Break {
    Box::new(move |folder| std::fs::remove_file(folder.join(name)).unwrap())
}

#[test]
fn what_is_wrong_with_a_model_is_named_with_its_file() {
    let bench = Bench::new(TINY);
    let shards = json!({"weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}});
    let absent_shard: Break = Box::new(move |folder| {
        without(WEIGHTS)(folder);
        put("model.safetensors.index.json", shards.to_string())(folder);
    });
    let long = json!({"rope_type": "longrope", "factor": 4.0});
    let cases: Vec<(Break, &[&str])> = vec![
        (
            config("model_type", json!("mamba")),
            &["config.json", "mamba"],
        ),
        (
            config("rope_scaling", long),
            &["config.json", "rope_scaling", "longrope"],
        ),
        (
            config("hidden_act", json!("relu")),
            &["config.json", "hidden_act", "relu"],
        ),
        (
            config("quantization_config", json!({"quant_method": "gptq"})),
            &["quantization_config", "gptq"],
        ),
        (
            config("num_hidden_layers", json!(2)),
            &["model.layers.1.", "missing"],
        ),
        (
            config("intermediate_size", json!(80)),
            &["mlp.gate_proj.weight", "[64, 32]", "[80, 32]"],
        ),
        (
            config("vocab_size", json!(100)),
            &["tokenizer.json", "100 rows"],
        ),
        (
            rename("model.norm.weight", "model.nrom.weight"),
            &["model.norm.weight", "missing"],
        ),
        (
            config("num_hidden_layers", json!(0)),
            &["num_hidden_layers"],
        ),
        (cut(|all| all - 8), &[WEIGHTS]),
        (cut(|_| 100), &[WEIGHTS]),
        (cut(|_| 0), &[WEIGHTS]),
        (
            absent_shard,
            &[
                "model.safetensors.index.json",
                "model-00001-of-00002.safetensors",
            ],
        ),
        (
            put("chat_template.jinja", "{% if %}".to_owned()),
            &["chat_template.jinja", "line 1"],
        ),
        (without("tokenizer.json"), &["tokenizer.json"]),
    ];
    for (index, (breaks, words)) in cases.into_iter().enumerate() {
        let name = format!("case-{index}");
        let folder = broken(&bench, &name, |folder| breaks(folder));
        let ended = bench.qinglan(&["model", "inspect", folder.to_str().unwrap()]);
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.stderr);
        assert_eq!(ended.stdout, "", "{name}");
        assert!(
            !ended.stderr.contains("panicked"),
            "{name}: {}",
            ended.stderr
        );
        for word in words.iter().chain(&[folder.to_str().unwrap()]) {
            assert!(
                ended.stderr.contains(word),
                "{name}: {word:?} in {}",
                ended.stderr
            );
        }
    }
}

#[test]
fn what_cannot_be_sampled_is_refused_before_anything_is_written() {
    let bench = Bench::new(TINY);
    let model = trained();
    let long = "A ".repeat(200);
    let raising = broken(&bench, "raising", |folder| {
        let text = "{{ raise_exception('no user turn') }}";
        std::fs::write(folder.join("chat_template.jinja"), text).unwrap();
    });
    let own = model.to_str().unwrap();
    for (arguments, words) in [
        (
            vec!["--model", own, "--prompt", &long],
            &["201 tokens", "160"][..],
        ),
        (
            vec!["--model", own, "--prompt", "A", "--temperature=-1"],
            &["temperature"],
        ),
        (
            vec!["--model", own, "--prompt", "A", "--top-p", "0"],
            &["top_p"],
        ),
        (vec!["--model", own], &["--prompt"]),
        (
            vec!["--model", own, "--prompt", "A", "--samples", "99999999999"],
            &["99999999999"],
        ),
        (vec!["--model", own, "--task", "sudoku"], &["sudoku"]),
        (vec!["--model", own, "--prompt", "quixotic"], &["quixotic"]),
        (
            vec!["--model", "nowhere", "--prompt", "A"],
            &["nowhere", "model import"],
        ),
        (
            vec!["--model", raising.to_str().unwrap(), "--prompt", "A"],
            &["no user turn"],
        ),
    ] {
        let out = bench.path("out.jsonl");
        let to = ["--out", out.to_str().unwrap()];
        let ended = bench.qinglan(&[&["sample"], &arguments[..], &to].concat());
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
        }
        assert!(!out.exists() || text(&out).is_empty(), "{arguments:?}");
    }
}
