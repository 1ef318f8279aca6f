//! A definition becomes a comparison: what a run leaves, that its bits are
//! decided by its seeds alone, and that being stopped changes none of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use qinglan::model::folder;
use serde_json::{Value, json};
use tch::Device;

use crate::support::{ARMS, Bench, Finished, TINY, final_weights, finished, json, text};

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
    assert!(!figures.is_empty());
    assert!(figures.iter().all(|path| text(path).contains("</svg>")));
    // Temporary files and checkpoints have gone.
    for name in crate::support::files_below(run) {
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
            // A base is kept in the cache, where its arms take it from.
            "base" => continue,
            "teacher" => run.join("teacher/model"),
            _ => run.join(format!("arms/{arm}/seed-{seed}/model")),
        };
        let model = folder::load(&at, Device::Cpu).unwrap();
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
        crate::support::files_below(at)
            .into_iter()
            .filter(|name| {
                let name = name.to_string_lossy();
                name.starts_with("comparison.") || name.contains("report") || name.ends_with("svg")
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

/// A run without what the clock and the machine say: weights, hashes of
/// records, metrics, tables.
fn essence(run: &Path) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let mut manifest = json(&run.join("manifest.json"));
    manifest["environment"] = Value::Null;
    for arm_run in manifest["arm_runs"].as_array_mut().unwrap() {
        if let Some(budget) = arm_run["budget"].as_object_mut() {
            budget.remove("seconds").unwrap();
        }
    }
    let files = manifest["files"].as_object_mut().unwrap();
    files.retain(|name, _| {
        if name.ends_with("metrics.jsonl") {
            let untimed = text(&run.join(name)).lines().map(untimed).collect();
            parts.insert(name.clone(), untimed);
            return false;
        }
        true
    });
    parts.insert("manifest.json".to_owned(), manifest.to_string());
    let mut comparison = json(&run.join("comparison.json"));
    comparison["environment"] = Value::Null;
    for arm in comparison["arms"].as_array_mut().unwrap() {
        if let Some(budget) = arm["budget"].as_object_mut() {
            budget.remove("seconds").unwrap();
        }
    }
    parts.insert("comparison.json".to_owned(), comparison.to_string());
    let csv = text(&run.join("comparison.csv"));
    parts.insert("comparison.csv".to_owned(), csv);
    let md = without_seconds(&text(&run.join("comparison.md")));
    parts.insert("comparison.md".to_owned(), md);
    parts
}

/// A line of metrics without its times.
fn untimed(line: &str) -> String {
    let mut metrics: Value = serde_json::from_str(line).unwrap();
    let metrics = metrics.as_object_mut().unwrap();
    metrics.retain(|name, _| name != "seconds" && name != "step_time");
    format!("{}\n", json!(metrics))
}

/// The Markdown tables without the last column of the budgets, seconds.
fn without_seconds(markdown: &str) -> String {
    let (before, after) = markdown.split_once("\n## Budgets\n").unwrap();
    let (budgets, after) = after.split_once("\n## ").unwrap_or((after, ""));
    let budgets: Vec<&str> = budgets
        .lines()
        .map(|line| match line.strip_suffix('|') {
            Some(row) => row.rsplit_once('|').unwrap().0,
            None => line,
        })
        .collect();
    format!("{before}\n{}\n{after}", budgets.join("\n"))
}

fn assert_same(run: &Path, other: &Finished) {
    assert_eq!(final_weights(run), final_weights(&other.run));
    let (here, there) = (essence(run), essence(&other.run));
    assert_eq!(
        here.keys().collect::<Vec<_>>(),
        there.keys().collect::<Vec<_>>()
    );
    for (name, content) in here {
        assert_eq!(content, there[&name], "{name}");
    }
}

#[test]
fn the_same_seeds_give_the_same_bits_in_another_folder() {
    let bench = Bench::new(TINY);
    let ended = bench.run("elsewhere", &[]).done();
    assert!(ended.stderr.contains("report.html"));
    assert_same(&bench.path("elsewhere"), finished());
}

/// Updates in a log of metrics so far.
fn updates(log: &Path) -> usize {
    std::fs::read_to_string(log).map_or(0, |text| text.lines().count())
}

/// Logs of the bases that are being made in a bench's cache.
fn base_updates(bench: &Bench) -> usize {
    let Ok(bases) = std::fs::read_dir(bench.path("cache/qinglan/bases")) else {
        return 0;
    };
    bases
        .map(|entry| updates(&entry.unwrap().path().join("metrics.jsonl")))
        .max()
        .unwrap_or(0)
}

#[test]
fn ctrl_c_leaves_a_run_that_resumes_to_the_same_bits() {
    let bench = Bench::new(TINY);
    let interrupt = |ready: &dyn Fn() -> bool| {
        let mut running = bench.start("run", &["--resume"]);
        running.wait_until(ready);
        running.signal("INT");
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert!(ended.stderr.contains("--resume"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        assert!(!bench.path("run/manifest.json").exists());
    };
    interrupt(&|| base_updates(&bench) > 3);
    let log = bench.path("run/arms/grpo/seed-1/metrics.jsonl");
    interrupt(&|| updates(&log) > 3);
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), finished());
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let kill = |ready: &dyn Fn() -> bool| {
        let mut running = bench.start("run", &["--resume"]);
        running.wait_until(ready);
        running.signal("KILL");
        assert_eq!(running.end().code, None);
        let compared = bench.qinglan(&["compare", "run"]);
        assert_eq!(compared.code, Some(2));
        assert!(
            compared.stderr.contains("not finished"),
            "{}",
            compared.stderr
        );
    };
    let checkpoints = |at: &str| {
        let entries = std::fs::read_dir(bench.path("run").join(at));
        entries.map_or(0, |entries| {
            let names = entries.map(|entry| entry.unwrap().file_name());
            names
                .filter(|name| name.to_string_lossy().starts_with("checkpoint-"))
                .count()
        })
    };
    kill(&|| checkpoints("teacher") > 0);
    kill(&|| checkpoints("arms/grpo/seed-1") > 1);
    kill(&|| checkpoints("arms/sft/seed-2") > 0);
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), finished());
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
