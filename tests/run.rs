//! A definition becomes a comparison: what a run leaves, and that what it
//! leaves belongs together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use qinglan::model::Stored;
use serde_json::{Value, json};
use tch::Device;

use crate::support::{ARMS, Bench, TINY, files_below, final_weights, finished, json, text};

/// Trainings of the tiny definition that leave a model.
const TRAINED: [&str; 4] = [
    "arms/sft/seed-1",
    "arms/sft/seed-2",
    "arms/grpo/seed-1",
    "arms/grpo/seed-2",
];

const TABLES: [&str; 4] = [
    "comparison.md",
    "comparison.csv",
    "comparison.tex",
    "comparison.json",
];

#[test]
fn a_run_leaves_everything_it_promises() {
    let run = &finished().run;
    let mut promised: Vec<String> = ["manifest.json", "definition.toml", "report.html"]
        .into_iter()
        .chain(TABLES)
        .map(str::to_owned)
        .collect();
    promised.push("teacher/traces.jsonl".to_owned());
    for at in TRAINED.into_iter().chain(["teacher"]) {
        for name in [
            "model/config.json",
            "model/model.safetensors",
            "model/tokenizer.json",
            "model/tokenizer_config.json",
            "metrics.jsonl",
            "traces.parquet",
        ] {
            promised.push(format!("{at}/{name}"));
        }
    }
    promised.extend([1, 2].map(|seed| format!("arms/base/seed-{seed}/traces.parquet")));
    for name in promised {
        let length = run.join(&name).metadata().map(|file| file.len());
        assert!(length.is_ok_and(|length| length > 0), "{name}");
    }
    let figures = std::fs::read_dir(run.join("figures")).unwrap();
    let figures: Vec<_> = figures.map(|entry| entry.unwrap().path()).collect();
    let drawn = |path: &&PathBuf| path.extension() == Some("svg".as_ref());
    assert!(figures.iter().any(|path| drawn(&path)));
    for drawn in figures.iter().filter(drawn) {
        assert!(text(drawn).contains("</svg>"));
        let data = text(&drawn.with_extension("csv"));
        assert!(data.lines().count() > 1, "{}", drawn.display());
    }
    // Temporary files and checkpoints have gone.
    for name in files_below(run) {
        let name = name.to_string_lossy().into_owned();
        let leftover = ["partial", ".tmp", "checkpoint-"]
            .iter()
            .any(|mark| name.contains(mark));
        assert!(!leftover, "{name}");
    }
}

#[test]
fn the_table_goes_to_standard_output_and_names_every_arm() {
    let ended = &finished().ended;
    for arm in ARMS {
        assert!(ended.stdout.contains(arm), "{arm}: {}", ended.stdout);
    }
    assert!(
        !ended.stdout.contains('\u{1b}'),
        "colour without a terminal"
    );
    assert!(ended.stderr.contains("report.html"), "{}", ended.stderr);
}

#[test]
fn arms_of_a_seed_start_from_the_base_of_the_seed() {
    let manifest = json(&finished().run.join("manifest.json"));
    let runs = manifest["arm_runs"].as_array().unwrap();
    let mut bases = BTreeMap::new();
    for run in runs.iter().filter(|run| run["arm"] == "base") {
        assert_eq!(run["initial_weights"], run["final_weights"]);
        bases.insert(run["seed"].as_u64().unwrap(), &run["final_weights"]);
    }
    assert_eq!(bases.len(), 2);
    assert_ne!(bases[&1], bases[&2]);
    let mut ends = BTreeSet::new();
    for run in runs {
        if run["arm"] == "sft" || run["arm"] == "grpo" {
            let base = bases[&run["seed"].as_u64().unwrap()];
            assert_eq!(&run["initial_weights"], base, "{run}");
            assert_ne!(&run["final_weights"], base, "{run}");
        }
        ends.insert(run["final_weights"].as_str().unwrap());
    }
    assert_eq!(ends.len(), runs.len(), "every training ends elsewhere");
}

#[test]
fn saved_models_read_back_to_the_weights_of_the_manifest() {
    let run = &finished().run;
    for (arm, seed, hash) in final_weights(run) {
        let at = match arm.as_str() {
            "teacher" => run.join("teacher/model"),
            _ => run.join(format!("arms/{arm}/seed-{seed}/model")),
        };
        let model = Stored::open(&at).unwrap().load(Device::Cpu).unwrap();
        assert_eq!(model.decoder.weights().hash(), hash, "{arm}, seed {seed}");
    }
}

#[test]
fn a_model_folder_is_what_hugging_face_calls_a_llama() {
    let at = finished().run.join("arms/grpo/seed-1/model");
    let config = json(&at.join("config.json"));
    let expected = json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama",
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16,
        "max_position_embeddings": 160, "hidden_act": "silu",
        "tie_word_embeddings": true, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
        "torch_dtype": "float32",
    });
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&config[key], value, "{key}");
    }
    let bytes = std::fs::read(at.join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
    assert_eq!(header["__metadata__"]["format"], "pt");
    let shapes: BTreeMap<&str, &Value> = header
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| *name != "__metadata__")
        .map(|(name, tensor)| (name.as_str(), &tensor["shape"]))
        .collect();
    let words = config["vocab_size"].as_i64().unwrap();
    let expected = [
        ("model.embed_tokens.weight", json!([words, 32])),
        ("model.layers.0.input_layernorm.weight", json!([32])),
        ("model.layers.0.mlp.down_proj.weight", json!([32, 64])),
        ("model.layers.0.mlp.gate_proj.weight", json!([64, 32])),
        ("model.layers.0.mlp.up_proj.weight", json!([64, 32])),
        (
            "model.layers.0.post_attention_layernorm.weight",
            json!([32]),
        ),
        ("model.layers.0.self_attn.k_proj.weight", json!([16, 32])),
        ("model.layers.0.self_attn.o_proj.weight", json!([32, 32])),
        ("model.layers.0.self_attn.q_proj.weight", json!([32, 32])),
        ("model.layers.0.self_attn.v_proj.weight", json!([16, 32])),
        ("model.norm.weight", json!([32])),
    ];
    let expected = expected.iter().map(|(name, shape)| (*name, shape));
    assert_eq!(shapes, expected.collect());
    let tokenizer = json(&at.join("tokenizer.json"));
    let special = json(&at.join("tokenizer_config.json"));
    for (token, id) in [("bos_token", "bos_token_id"), ("eos_token", "eos_token_id")] {
        let word = special[token].as_str().unwrap();
        assert_eq!(tokenizer["model"]["vocab"][word], config[id], "{token}");
    }
}

#[test]
fn compare_and_report_give_the_run_s_own_tables_again() {
    let finished = finished();
    let again = finished.qinglan(&["compare", "run"]).done();
    assert_eq!(again.stdout, finished.ended.stdout);
    for (format, file) in [
        ("md", "comparison.md"),
        ("latex", "comparison.tex"),
        ("csv", "comparison.csv"),
        ("json", "comparison.json"),
    ] {
        let printed = finished.qinglan(&["compare", "run", "--format", format]);
        assert_eq!(
            printed.done().stdout,
            text(&finished.run.join(file)),
            "{file}"
        );
    }
    let bench = finished.copy();
    let shown = |at: &Path| -> BTreeMap<_, _> {
        files_below(at)
            .into_iter()
            .filter(|name| {
                let name = name.to_string_lossy();
                let of_report = ["comparison.", "completions/", "figures/", "report.html"];
                of_report.iter().any(|start| name.starts_with(start))
            })
            .map(|name| (name.clone(), std::fs::read(at.join(name)).unwrap()))
            .collect()
    };
    for name in shown(&bench.path("run")).keys() {
        std::fs::remove_file(bench.path("run").join(name)).unwrap();
    }
    let written = bench.qinglan(&["report", "run"]).done().stdout;
    let again = shown(&bench.path("run"));
    assert_eq!(written.lines().count(), again.len());
    let before = shown(&finished.run);
    assert_eq!(
        before.keys().collect::<Vec<_>>(),
        again.keys().collect::<Vec<_>>()
    );
    for (name, bytes) in before {
        assert!(again[&name] == bytes, "{} differs", name.display());
    }
}

#[test]
fn a_recording_stands_in_for_the_teacher() {
    let finished = finished();
    let recording = text(&finished.run.join("teacher/traces.jsonl"));
    let held_out = recording.matches("\"held_out\":true").count();
    assert!(held_out > 0);
    let start = TINY.find("[teacher]").unwrap();
    let end = TINY.find("[rollout]").unwrap();
    let teacher = format!("[teacher.traces]\nfile = \"recorded.jsonl\"\nheld_out = {held_out}\n\n");
    let definition = format!("{}{teacher}{}", &TINY[..start], &TINY[end..]);
    let bench = Bench::new(&definition);
    bench.write("recorded.jsonl", &recording);
    bench.with_cache_of(finished);
    let ended = bench.run("run", &["--seeds", "1"]).done();
    assert!(!ended.stdout.contains("teacher  "), "{}", ended.stdout);
    assert!(!bench.path("run/teacher").exists());
    let manifest = json(&bench.path("run/manifest.json"));
    let arms = manifest["arms"].as_array().unwrap();
    let names: Vec<&str> = arms
        .iter()
        .map(|arm| arm["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["base", "sft", "grpo"]);
    assert!(arms.iter().all(|arm| arm.get("teacher").is_none()));
    // The same demonstrations in the same order: the same student.
    let sft = |run: &Path| {
        let mut all = final_weights(run).into_iter();
        all.find(|(arm, seed, _)| arm == "sft" && *seed == 1)
            .unwrap()
    };
    assert_eq!(sft(&bench.path("run")), sft(&finished.run));
}
