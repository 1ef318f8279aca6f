//! Data sets as tasks from outside: trained on, evaluated, and refused.

use serde_json::{Value, json};

use crate::support::{Bench, answering, json as read_json, text};

/// Problems in the words of the lab's vocabulary, each true, with a column of its own.
fn rows(range: std::ops::Range<u32>) -> String {
    let row = |n: u32| {
        let problem = format!("is {} {} true ?", n / 60, n % 60);
        json!({"problem": problem, "answer": "true", "solution": "so it is true", "level": n})
            .to_string()
            + "\n"
    };
    range.map(row).collect()
}

const DEFINITION: &str = r#"[experiment]
name = "data"
title = "A data set"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]

[tasks]
names = ["sums"]
validation_problems = 4

[tasks.data]
sums = "sums"

[tasks.examples]
sums = 1

[base]
model = "model"

[teacher]
traces = { worked = true, problems = 12, held_out = 4 }

[rollout]
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[evaluation]
samples = 2
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[training]
learning_rate = 1e-3
dtype = "float32"

[arm.sft]
algorithm.sft = { batch_size = 4 }
training = { steps = 2 }

[arm.grpo]
algorithm.grpo = { prompts_per_generation = 2, num_generations = 2 }
reward = { correct = 1.0, level = { is = "script", expr = "columns.level / 100.0" } }
training = { steps = 2 }
"#;

fn bench() -> Bench {
    let bench = Bench::new(DEFINITION);
    answering(&bench.path("model"), 0.0);
    for (name, range) in [("train", 0..40), ("dev", 40..48), ("test", 48..60)] {
        bench.write(&format!("sums/{name}.jsonl"), &rows(range));
    }
    bench
}

#[test]
fn a_data_set_is_imitated_reinforced_and_evaluated() {
    let bench = bench();
    let dry = bench.run("out", &["--dry-run"]).done().stdout;
    let told = "tasks.data.sums: prompt-only, 40 rows to train on, 8 to validate, 12 to evaluate";
    assert!(dry.contains(told), "{dry}");
    bench.run("out", &[]).done();
    let shown = read_json(&bench.path("out/comparison.json"));
    let arms = shown["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 3);
    for arm in arms {
        assert_eq!(arm["samples"], 24, "{arm}");
        assert!(arm["accuracy"]["value"].is_number(), "{arm}");
    }
    // The column of the rows has reached the reward.
    let metrics = text(&bench.path("out/arms/grpo/seed-1/metrics.jsonl"));
    let level = metrics.lines().find_map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        line["rewards/level/mean"].as_f64()
    });
    assert!(level.is_some_and(|level| level > 0.0), "{metrics}");
    // Nothing is trained again from files that have changed.
    bench.write("sums/train.jsonl", &rows(0..39));
    let refused = bench.run("out", &["--resume"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("sums/train.jsonl has changed"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_run_is_refused_where_problems_are_evaluated_that_it_trains_on() {
    let bench = bench();
    bench.write("sums/train.jsonl", &(rows(0..40) + rows(50..52).as_str()));
    let refused = bench.run("out", &[]);
    assert_eq!(refused.code, Some(2));
    for part in [
        "2 held-out problems stand among the training problems",
        "sums/train.jsonl, line 41 is the evaluated item",
        "tasks.allow_overlap = true",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    assert!(!bench.path("out").exists());
    let allowed = ["--set", "tasks.allow_overlap=true", "--dry-run"];
    let told = bench.run("out", &allowed).done().stderr;
    assert!(told.contains("2 held-out problems stand"), "{told}");
}

#[test]
fn a_row_that_cannot_be_used_ends_a_run_before_it_begins() {
    let bench = bench();
    bench.write(
        "sums/dev.jsonl",
        &(rows(40..48) + "{\"problem\": \"is it\", \"answer\": [1]}\n"),
    );
    let refused = bench.run("out", &[]);
    assert_eq!(refused.code, Some(2));
    let told = "sums/dev.jsonl, line 9: `answer` is no text";
    assert!(refused.stderr.contains(told), "{}", refused.stderr);
    assert!(!bench.path("out").exists());
    // A problem that no context holds, or whose words the model does not have.
    for (problem, told) in [
        ("what ".repeat(200), "the model's context holds 160"),
        (
            "what about unheard of words ".repeat(3),
            "a word that the model's vocabulary does not have",
        ),
    ] {
        let row = json!({"problem": problem, "answer": "true"});
        bench.write("sums/dev.jsonl", &format!("{row}\n"));
        let refused = bench.run("out", &[]);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
}

#[test]
fn what_a_template_cannot_be_told_is_said() {
    let bench = bench();
    let told = [
        "--set",
        "tasks.chat_template_kwargs.enable_thinking=false",
        "--dry-run",
    ];
    let said = bench.run("out", &told).done().stderr;
    assert!(said.contains("it has no chat template"), "{said}");
    let refused = bench.run("out", &["--set", "tasks.chat_template_kwargs.messages=1"]);
    assert_eq!(refused.code, Some(2));
    assert!(
        refused
            .stderr
            .contains("tasks.chat_template_kwargs.messages"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_model_is_evaluated_on_a_file_with_examples() {
    let bench = bench();
    let evaluate = |more: &[&str]| {
        let mut arguments = vec![
            "evaluate",
            "--model",
            "model",
            "--device",
            "cpu",
            "--max-new-tokens",
            "20",
        ];
        arguments.extend_from_slice(more);
        bench.qinglan(&arguments)
    };
    evaluate(&["--data", "mine=sums/test.jsonl", "--out", "one"]).done();
    let lines = text(&bench.path("one/traces.jsonl"));
    let traces: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(traces.len(), 12);
    assert!(traces.iter().all(|trace| trace["task"] == "mine"));
    evaluate(&["--data", "mine=sums", "--examples", "2", "--out", "two"]).done();
    let longer = text(&bench.path("two/traces.jsonl"));
    let first: Value = serde_json::from_str(longer.lines().next().unwrap()).unwrap();
    assert!(first["prompt_tokens"].as_u64() > traces[0]["prompt_tokens"].as_u64());
    for (more, told) in [
        (
            &["--data", "mine=sums/test.jsonl", "--examples", "2"][..],
            "no training problems to show",
        ),
        (&["--data", "sums/test.jsonl"], "give a name and a path"),
        (
            &["--data", "game24=sums"],
            "the lab has a task of that name",
        ),
        (&["--data", "mine=nowhere"], "nowhere does not exist"),
        (&["--chat-template-kwargs", "[1]"], "give a JSON object"),
    ] {
        let refused = evaluate(more);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(told), "{told}: {}", refused.stderr);
    }
}
