//! Between mimicry and mastery: a teacher that judges, and arms that go on from
//! what other arms ended with.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Bench, answering, final_weights, finished, json as read_json, text};

/// A model of the finished run.
fn model(name: &str) -> PathBuf {
    finished().run.join(format!("arms/{name}/model"))
}

/// One seed from models that are there, every arm a few updates.
fn definition(base: &Path, teacher: &Path) -> String {
    format!(
        r#"[experiment]
name = "between"
title = "Between"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]

[tasks]
names = ["alphabet_arithmetic"]
validation_problems = 8

[base]
model = "{}"

[teacher]
base.model = "{}"
traces = {{ problems = 20, samples = 4, only_correct = false }}

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

[arm.again]
init = "arm:adapted"
algorithm.opd = {{ prompts_per_generation = 2, num_generations = 2 }}
training = {{ steps = 2 }}

[arm.sft]
algorithm.sft = {{ batch_size = 4 }}
training = {{ steps = 3 }}

[arm.opd]
algorithm.opd = {{ prompts_per_generation = 2, num_generations = 2, steps_per_generation = 2, num_iterations = 2 }}
training = {{ steps = 4 }}

[arm.chain]
init = "arm:sft"
algorithm.grpo = {{ prompts_per_generation = 2, num_generations = 4, beta = 0.1 }}
reward = {{ correct = 1.0, long = {{ is = "script", expr = "if tokens > 1 {{ 1.0 }} else {{ 0.0 }}" }} }}
training = {{ steps = 2 }}

[arm.adapted]
algorithm.sft = {{ batch_size = 4 }}
lora = {{ r = 2, alpha = 4.0 }}
training = {{ steps = 2 }}
"#,
        base.display(),
        teacher.display()
    )
}

fn arm_run<'a>(manifest: &'a Value, arm: &str) -> &'a Value {
    let runs = manifest["arm_runs"].as_array().unwrap();
    runs.iter().find(|run| run["arm"] == arm).unwrap()
}

#[test]
fn chains_start_from_what_others_ended_with_and_a_teacher_judges() {
    let bench = Bench::new(&definition(Path::new("base"), Path::new("teacher")));
    answering(&bench.path("base"), 0.0);
    answering(&bench.path("teacher"), -1.0);
    bench.run("run", &[]).done();
    let run = bench.path("run");
    let manifest = read_json(&run.join("manifest.json"));
    for (arm, init) in [("chain", "sft"), ("again", "adapted")] {
        let (after, before) = (arm_run(&manifest, arm), arm_run(&manifest, init));
        assert_eq!(after["init"], init);
        assert_eq!(after["initial_weights"], before["final_weights"]);
        assert_ne!(after["final_weights"], after["initial_weights"]);
    }
    assert_eq!(arm_run(&manifest, "opd")["init"], Value::Null);
    let comparison = read_json(&run.join("comparison.json"));
    let notes: Vec<&str> = comparison["notes"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let told = "chain goes on from sft: its budget holds what came before it; of 5 optimizer steps, 2 are its own";
    assert!(
        notes.iter().any(|note| note.starts_with(told)),
        "{notes:#?}"
    );
    let unpaired = notes
        .iter()
        .any(|note| note.contains("started from different weights"));
    assert!(!unpaired, "{notes:#?}");
    // The teacher's judgement is told; no reward is, where there was none.
    let metrics = text(&run.join("arms/opd/seed-1/metrics.jsonl"));
    let last: Value = serde_json::from_str(metrics.lines().last().unwrap()).unwrap();
    assert!(last["opd/reverse_kl"].is_f64(), "{last}");
    assert!(last.get("reward").is_none(), "{last}");
    // What a chain starts from is where its divergence is counted from.
    let metrics = text(&run.join("arms/chain/seed-1/metrics.jsonl"));
    let first: Value = serde_json::from_str(metrics.lines().nth(1).unwrap()).unwrap();
    assert!(first["kl"].as_f64().unwrap().abs() < 1e-6, "{first}");
    // Gone on with, a chain comes to the same bits.
    let whole = final_weights(&run);
    for arm in ["chain", "again", "opd"] {
        std::fs::remove_dir_all(run.join(format!("arms/{arm}"))).unwrap();
    }
    std::fs::remove_file(run.join("manifest.json")).unwrap();
    bench.run("run", &["--resume"]).done();
    assert_eq!(final_weights(&run), whole);
}

#[test]
fn a_teacher_of_another_vocabulary_is_refused_before_anything_is_written() {
    let bench = Bench::new("");
    let teacher = bench.path("teacher");
    std::fs::create_dir(&teacher).unwrap();
    for entry in std::fs::read_dir(model("sft/seed-1")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, teacher.join(path.file_name().unwrap())).unwrap();
    }
    let file = teacher.join("tokenizer.json");
    let mut tokenizer = read_json(&file);
    let words = &mut tokenizer["model"]["vocab"];
    let (y, z) = (words["Y"].clone(), words["Z"].clone());
    (words["Y"], words["Z"]) = (z.clone(), y.clone());
    std::fs::write(&file, tokenizer.to_string()).unwrap();
    let base = model("grpo/seed-1");
    bench.write("tiny.toml", &definition(&base, &teacher));
    let refused = bench.run("run", &[]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(!bench.path("run").exists());
    for named in [&teacher, &base] {
        let named = named.display().to_string();
        assert!(refused.stderr.contains(&named), "{}", refused.stderr);
    }
    let differing = format!("2 tokens differ, such as \"Y\" is id {y} and id {z}");
    for part in ["vocabulary", differing.as_str()] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}
