//! Checkpoints from outside the lab: looked at, sampled from, brought in and
//! written out, started from.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use qinglan::model::Stored;
use qinglan::model::architecture::ALL;
use tch::Device;

use crate::support::{Bench, Ended, TINY, answering, finished, json as read_json, text};

/// A model of the finished run.
pub(crate) fn trained() -> PathBuf {
    finished().run.join("arms/grpo/seed-1/model")
}

fn lines(ended: &Ended) -> Vec<Value> {
    ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn hash(folder: &Path) -> String {
    let model = Stored::open(folder).unwrap().load(Device::Cpu).unwrap();
    model.decoder.weights().hash()
}

#[test]
fn a_model_answers_prompts_and_problems_the_same_for_the_same_seed() {
    let bench = Bench::new(TINY);
    let model = trained();
    let model = model.to_str().unwrap();
    let of_prompts = [
        "sample",
        "--model",
        model,
        "--prompt",
        "A + 3 = D",
        "--prompt",
        "A + 1 = B",
        "--samples",
        "3",
        "--max-new-tokens",
        "12",
        "--dtype",
        "float32",
    ];
    let first = bench.qinglan(&of_prompts).done();
    let answers = lines(&first);
    assert_eq!(answers.len(), 6);
    assert_eq!(first.stdout, bench.qinglan(&of_prompts).done().stdout);
    for answer in &answers {
        assert!(answer["tokens"].as_u64().unwrap() <= 12);
        assert!(answer["logprob"].as_f64().unwrap() <= 0.0);
    }
    let other = [&of_prompts[..], &["--seed", "1"]].concat();
    assert_ne!(first.stdout, bench.qinglan(&other).done().stdout);
    let of_task = [
        "sample",
        "--model",
        model,
        "--task",
        "alphabet_arithmetic",
        "--problems",
        "4",
        "--instruction",
        "{problem} ?",
        "--max-new-tokens",
        "12",
    ];
    let answers = lines(&bench.qinglan(&of_task).done());
    assert_eq!(answers.len(), 4);
    for answer in &answers {
        assert!(answer["correct"].is_boolean());
        assert!(answer["prompt"].as_str().unwrap().ends_with(" ?"));
        assert_eq!(answer["task"], "alphabet_arithmetic");
    }
}

#[test]
fn a_model_goes_out_and_comes_in_unchanged() {
    let bench = Bench::new(TINY);
    let model = trained();
    let out = bench.path("exported");
    let from = model.to_str().unwrap();
    bench
        .qinglan(&["model", "export", from, out.to_str().unwrap()])
        .done();
    assert_eq!(hash(&out), hash(&model));
    bench
        .qinglan(&["model", "import", out.to_str().unwrap(), "--name", "own"])
        .done();
    let cached = bench.path("cache/qinglan/models/own");
    assert_eq!(hash(&cached), hash(&model));
    let told = bench.qinglan(&["model", "inspect", "own", "--json"]).done();
    let told: Value = serde_json::from_str(&told.stdout).unwrap();
    assert_eq!(told["config"]["model_type"], "llama");
    assert_eq!(told["formats"]["F32"], 11);
    // Rounded to bfloat16 it is half as large and no longer the same.
    let half = bench.path("half");
    let dtype = ["--dtype", "bfloat16"];
    let export = ["model", "export", "own", half.to_str().unwrap()];
    bench.qinglan(&[&export[..], &dtype].concat()).done();
    let size = |folder: &Path| {
        std::fs::metadata(folder.join("model.safetensors"))
            .unwrap()
            .len()
    };
    assert!(size(&half) * 2 < size(&out) + 4096);
    assert_ne!(hash(&half), hash(&model));
    assert_eq!(
        read_json(&half.join("config.json"))["torch_dtype"],
        "bfloat16"
    );
    // Neither overwrites what is there.
    for again in [
        vec!["model", "export", from, out.to_str().unwrap()],
        vec!["model", "import", out.to_str().unwrap(), "--name", "own"],
    ] {
        assert_eq!(bench.qinglan(&again).code, Some(2));
    }
}

#[test]
fn a_bench_prints_one_line_of_json() {
    let bench = Bench::new(TINY);
    let model = trained();
    let command = [
        "bench",
        "rollout",
        "--model",
        model.to_str().unwrap(),
        "--batch",
        "6",
        "--new-tokens",
        "9",
        "--json",
        "--device",
        "cpu",
    ];
    // The lab's own vocabulary has no word for the bench's question.
    let refused = bench.qinglan(&command);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    references(&bench.path("references"));
    let path = bench.path("references/qwen2");
    for more in [
        ["--batch", "0"],
        ["--batch", "99999999999"],
        ["--new-tokens", "100000"],
        ["--group", "0"],
    ] {
        let model = path.to_str().unwrap();
        let wrong = bench.qinglan(&[&["bench", "rollout", "--model", model], &more[..]].concat());
        assert_eq!(wrong.code, Some(2), "{more:?}: {}", wrong.stderr);
        assert!(wrong.stderr.contains(more[0]), "{}", wrong.stderr);
    }
    let mut command = command;
    command[3] = path.to_str().unwrap();
    for (more, sampled) in [
        (&[][..], Some(54)),
        (&["--mixed"], None),
        (&["--group", "4"], Some(54)),
    ] {
        let told = lines(&bench.qinglan(&[&command[..], more].concat()).done());
        assert_eq!(told.len(), 1);
        assert!(told[0]["tokens_per_second"].as_f64().unwrap() > 0.0);
        assert!(told[0]["peak_gb"].as_f64().unwrap() > 0.0);
        if let Some(sampled) = sampled {
            assert_eq!(told[0]["sampled_tokens"], sampled);
        }
    }
}

#[test]
fn an_experiment_starts_from_a_model_that_is_there() {
    let model = trained();
    let bench = Bench::new(&started_from(&model));
    let run = bench.run("run", &[]).done();
    assert!(run.stdout.contains("lora"), "{}", run.stdout);
    let out = bench.path("run");
    let manifest = read_json(&out.join("manifest.json"));
    let base = hash(&model);
    for arm in manifest["arm_runs"].as_array().unwrap() {
        assert_eq!(arm["initial_weights"], json!(base), "{arm}");
    }
    // The base stays where it is; an adapter is saved as one.
    assert!(!out.join("arms/base/seed-1/model").exists());
    assert!(out.join("arms/sft/seed-1/model/config.json").exists());
    let adapter = out.join("arms/lora/seed-1/adapter");
    let config = read_json(&adapter.join("adapter_config.json"));
    assert_eq!(config["r"], 2);
    assert_eq!(config["target_modules"], json!(["q_proj", "v_proj"]));
    assert_eq!(
        (&config["use_dora"], &config["use_rslora"]),
        (&json!(true), &json!(true))
    );
    assert!(!out.join("arms/lora/seed-1/model").exists());
    // Merged, it is another model than its base.
    let merged = bench.path("merged");
    let export = [
        "model",
        "export",
        model.to_str().unwrap(),
        merged.to_str().unwrap(),
    ];
    let with = ["--adapter", adapter.to_str().unwrap()];
    bench.qinglan(&[&export[..], &with].concat()).done();
    assert_ne!(hash(&merged), base);
}

/// A definition over a model that is there.
fn started_from(model: &Path) -> String {
    format!(
        r#"[experiment]
name = "started"
title = "From a model that is there"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]

[tasks]
names = ["alphabet_arithmetic"]
validation_problems = 8

[base]
model = "{}"

[teacher]
seed = 3
traces = {{ worked = true, problems = 20, held_out = 4 }}

[rollout]
temperature = 1.0
max_new_tokens = 30
dtype = "float32"

[evaluation]
samples = 1
temperature = 1.0
max_new_tokens = 30
dtype = "float32"

[training]
learning_rate = 1e-3
dtype = "float32"
validation_steps = 10

[arm.sft]
algorithm.sft = {{ batch_size = 4 }}
training = {{ steps = 4 }}

[arm.lora]
algorithm.sft = {{ batch_size = 4 }}
lora = {{ r = 2, alpha = 4.0, target_modules = "peft", rslora = true, dora = true }}
training = {{ steps = 4 }}

[arm.grpo]
algorithm.grpo = {{ prompts_per_generation = 2, num_generations = 4, steps_per_generation = 1 }}
reward = {{ correct = 1.0 }}
training = {{ steps = 2 }}

[arm.held]
algorithm.grpo = {{ prompts_per_generation = 2, num_generations = 4, steps_per_generation = 1, num_iterations = 2, beta = 0.1, loss_type = "dr_grpo" }}
reward = {{ correct = 1.0, format = 0.5 }}
lora = {{ r = 2, alpha = 4.0, target_modules = ["q_proj"] }}
training = {{ steps = 4 }}

[arm.gspo]
algorithm.grpo = {{ prompts_per_generation = 2, num_generations = 4, importance_sampling_level = "sequence", old_logprobs = "recomputed", num_iterations = 2, entropy_coef = 0.01 }}
reward = {{ correct = 1.0, format = 0.5 }}
training = {{ steps = 2 }}

[arm.rloo]
algorithm.rloo = {{ prompts_per_generation = 2, num_generations = 4 }}
reward = {{ correct = 1.0, format = 0.5 }}
training = {{ steps = 2 }}

[arm.rft]
algorithm.rft = {{ prompts_per_generation = 2, num_generations = 4 }}
reward = {{ correct = 1.0, format = 0.5 }}
training = {{ steps = 2 }}
"#,
        model.display()
    )
}

/// A small model of each architecture with what transformers computes of it, in `folder`.
fn references(folder: &Path) -> Vec<String> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let mut names = Vec::new();
    for model in std::fs::read_dir(data.join("architectures")).unwrap() {
        let model = model.unwrap();
        let name = model.file_name().into_string().unwrap();
        let whole = folder.join(&name);
        std::fs::create_dir_all(&whole).unwrap();
        // They share a tokenizer.
        for from in [model.path(), data.join("demonstrations/model")] {
            for file in std::fs::read_dir(from).unwrap() {
                let file = file.unwrap();
                std::fs::copy(file.path(), whole.join(file.file_name())).unwrap();
            }
        }
        names.push(name);
    }
    names.sort();
    names
}

#[test]
fn every_architecture_computes_what_transformers_does_and_a_difference_is_exit_code_1() {
    let bench = Bench::new(TINY);
    let folder = bench.path("references");
    let mut known = ALL.map(|architecture| architecture.model_type);
    known.sort_unstable();
    assert_eq!(references(&folder), known);
    let all = bench.qinglan(&["conformance", "logits", folder.to_str().unwrap()]);
    assert_eq!(all.code, Some(0), "{}{}", all.stdout, all.stderr);
    let compared = all.stdout.matches("greedy continuations").count();
    assert_eq!(compared, known.len());
    let model = folder.join("gemma3_text");
    let mut expected = read_json(&model.join("expected.json"));
    expected["rows"][1]["loss"] = json!(expected["rows"][1]["loss"].as_f64().unwrap() + 1e-3);
    bench.write("expected.json", &expected.to_string());
    let path = bench.path("expected.json");
    let command = [
        "conformance",
        "logits",
        model.to_str().unwrap(),
        "--expected",
    ];
    let other = bench.qinglan(&[&command[..], &[path.to_str().unwrap()]].concat());
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(
        other.stdout.contains("losses: first at row 1"),
        "{}",
        other.stdout
    );
}

#[test]
fn an_expected_file_that_would_compare_nothing_is_refused() {
    let bench = Bench::new(TINY);
    references(&bench.path("references"));
    let model = bench.path("references/qwen2");
    let whole = read_json(&model.join("expected.json"));
    let mut empty = whole.clone();
    empty["rows"] = json!([]);
    let mut unknown = whole.clone();
    unknown["rows"][0]["grad_norms"]["nope"] = json!(1.0);
    let mut short = whole.clone();
    short["rows"][1]["logits_last"] = json!([0.0]);
    let mut beyond = whole;
    beyond["rows"][2]["input_ids"][0] = json!(100_000);
    for (name, content) in [
        ("rows", empty),
        ("gradient norms", unknown),
        ("logits", short),
        ("token ids", beyond),
    ] {
        let path = bench.write("expected.json", &content.to_string());
        let model = model.to_str().unwrap();
        let command = [
            "conformance",
            "logits",
            model,
            "--expected",
            path.to_str().unwrap(),
        ];
        let refused = bench.qinglan(&command);
        assert_eq!(refused.code, Some(2), "{name}: {}", refused.stderr);
        for word in [name, "expected.json"] {
            assert!(refused.stderr.contains(word), "{}", refused.stderr);
        }
    }
}

#[test]
fn a_teacher_that_is_there_is_shown_as_it_is() {
    let definition = started_from(&trained());
    let (head, tail) = definition.split_once("[arm.lora]").unwrap();
    assert!(tail.contains("[arm.rft]"));
    let head = head.replace(
        "traces = { worked = true, problems = 20, held_out = 4 }",
        "base.model = \"teacher\"\n\
         traces = { problems = 20, samples = 4, held_out = 4, only_correct = false }",
    );
    let bench = Bench::new(&head);
    answering(&bench.path("teacher"), 0.0);
    let run = bench.run("run", &[]).done();
    assert!(run.stdout.contains("teacher"), "{}", run.stdout);
    let traces = text(&bench.path("run/teacher/traces.jsonl"));
    assert!(traces.lines().count() > 10);
    assert!(!bench.path("run/teacher/model").exists());
}

/// Figures of others' code that do not stand in the project, where they are.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures");
    let path = path.join(name);
    if path.exists() {
        return Some(path.canonicalize().unwrap());
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[test]
fn the_reference_losses_are_met_and_a_difference_is_exit_code_1() {
    let Some(file) = shared("losses.json") else {
        return;
    };
    let bench = Bench::new(TINY);
    let all = bench.qinglan(&["conformance", "losses", file.to_str().unwrap()]);
    assert_eq!(all.code, Some(0), "{}{}", all.stdout, all.stderr);
    let mut changed = read_json(&file);
    let loss = changed["cases"][7]["loss"].as_f64().unwrap();
    changed["cases"][7]["loss"] = json!(loss + 1e-6);
    let path = bench.write("losses.json", &changed.to_string());
    let other = bench.qinglan(&["conformance", "losses", path.to_str().unwrap()]);
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert_eq!(other.stdout.matches("DIFFERS").count(), 1);
}

#[test]
fn the_reference_trainings_are_met_and_a_difference_is_exit_code_1() {
    let (Some(cases), Some(models)) = (shared("lockstep"), shared("models")) else {
        return;
    };
    let bench = Bench::new(TINY);
    let command = |folder: &Path| {
        let models = models.to_str().unwrap();
        bench.qinglan(&[
            "conformance",
            "lockstep",
            folder.to_str().unwrap(),
            "--models",
            models,
        ])
    };
    let all = command(&cases);
    assert_eq!(all.code, Some(0), "{}{}", all.stdout, all.stderr);
    assert_eq!(all.stdout.matches(" holds").count(), 9, "{}", all.stdout);
    let case = bench.path("changed");
    std::fs::create_dir(&case).unwrap();
    let from = cases.join("sft-dft");
    std::fs::copy(
        from.join("final.safetensors"),
        case.join("final.safetensors"),
    )
    .unwrap();
    let mut changed = read_json(&from.join("case.json"));
    changed["steps"][2]["grad_norm"] = json!(0.05);
    std::fs::write(case.join("case.json"), changed.to_string()).unwrap();
    let other = command(&case);
    assert_eq!(other.code, Some(1), "{}", other.stderr);
    assert!(
        other.stdout.contains("changed: gradient norm, update 3"),
        "{}",
        other.stdout
    );
    changed["settings"]["neftune_noise_alpha"] = json!(5.0);
    std::fs::write(case.join("case.json"), changed.to_string()).unwrap();
    let refused = command(&case);
    assert_eq!(refused.code, Some(2), "{}", refused.stdout);
    assert!(
        refused.stderr.contains("neftune_noise_alpha"),
        "{}",
        refused.stderr
    );
}

#[test]
fn the_reference_distillations_are_met_from_the_model_among_them() {
    let bench = Bench::new(TINY);
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/lockstep");
    let all = bench.qinglan(&["conformance", "lockstep", cases.to_str().unwrap()]);
    assert_eq!(all.code, Some(0), "{}{}", all.stdout, all.stderr);
    assert_eq!(all.stdout.matches(" holds").count(), 4, "{}", all.stdout);
}
