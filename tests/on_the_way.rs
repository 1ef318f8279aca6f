//! Evaluation on the way: what it leaves, that the training does not notice, and that a run
//! stopped within one ends in the same bits.

use std::path::Path;

use serde_json::Value;

use crate::bits::{assert_same, updates};
use crate::support::{Bench, files_below, final_weights, json, text};

/// Arms that imitate, that go on from another, and that train an adapter.
const SMALL: &str = r#"[experiment]
name = "small"
title = "A small experiment"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]

[tasks]
names = ["alphabet_arithmetic"]
norms = "builtin"
validation_problems = 6

[base.shape]
width = 32
layers = 1
heads = 2
kv_heads = 1
feed_forward = 64
context = 160

[base.pretraining]
batch_size = 16

[base.pretraining.training]
steps = 12
learning_rate = 1e-3
validation_steps = 12

[teacher.traces]
problems = 24
worked = true

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
validation_steps = 4
save_steps = 2
steps = 5

[arm.sft]
algorithm.sft = { batch_size = 8 }
training = { steps = 7 }

[arm.chain]
init = "arm:sft"
algorithm.grpo = { prompts_per_generation = 4, num_generations = 4, steps_per_generation = 2 }
reward = { format = 0.1, length_cost = 0.1 }

[arm.adapter]
algorithm.grpo = { prompts_per_generation = 4, num_generations = 4 }
lora = { r = 2, alpha = 4.0, dora = true, dropout = 0.2 }
reward = { format = 0.1, length_cost = 0.1 }
"#;

const ARMS: [&str; 3] = ["sft", "chain", "adapter"];

/// [`SMALL`] with evaluations on the way.
fn with(keys: &str) -> Bench {
    let samples = "\nsamples = 2\n";
    assert!(SMALL.contains(samples));
    Bench::new(&SMALL.replace(samples, &format!("{samples}{keys}\n")))
}

/// The lines of an arm.
fn lines(run: &Path, arm: &str) -> Vec<Value> {
    let at = format!("arms/{arm}/seed-1/evaluations.jsonl");
    let lines = text(&run.join(at));
    lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn points(run: &Path, arm: &str) -> Vec<(u64, String)> {
    let lines = lines(run, arm);
    let point = |line: &Value| {
        let name = line["point"].as_str().unwrap();
        (line["step"].as_u64().unwrap(), name.to_owned())
    };
    lines.iter().map(point).collect()
}

fn named(points: &[(u64, &str)]) -> Vec<(u64, String)> {
    let named = |(step, name): &(u64, &str)| (*step, (*name).to_owned());
    points.iter().map(named).collect()
}

fn number(line: &Value, key: &str) -> f64 {
    line[key]
        .as_f64()
        .unwrap_or_else(|| panic!("{key} in {line}"))
}

#[test]
fn a_training_does_not_notice_that_it_is_evaluated() {
    let without = Bench::new(SMALL);
    without.run("run", &[]).done();
    let bench = with("at = [0, 3, \"end\", 7]");
    bench.run("run", &[]).done();
    let [run, plain] = [&bench, &without].map(|bench| bench.path("run"));
    assert_eq!(final_weights(&run), final_weights(&plain));
    for arm in ARMS {
        let at = |run: &Path, name: &str| run.join(format!("arms/{arm}/seed-1/{name}"));
        let read = |path: &Path| std::fs::read(path).unwrap();
        let traces = read(&at(&run, "traces.parquet"));
        assert!(traces == read(&at(&plain, "traces.parquet")), "{arm}");
        let metrics = |run: &Path| -> Vec<Value> {
            let text = text(&at(run, "metrics.jsonl"));
            let untimed = |line: &str| {
                let mut line: Value = serde_json::from_str(line).unwrap();
                let timed = |name: &str| name == "seconds" || name == "step_time";
                line.as_object_mut().unwrap().retain(|name, _| !timed(name));
                line
            };
            text.lines().map(untimed).collect()
        };
        assert_eq!(metrics(&run), metrics(&plain), "{arm}");
        // The last evaluation on the way asks the finished model what the final one does.
        let last = lines(&run, arm).pop().unwrap();
        let last = last["traces"].as_str().unwrap();
        assert!(traces == read(&at(&run, last)), "{arm}");
        let outcome = json(&at(&run, "outcome.json"));
        assert!(outcome["files"].get("evaluations.jsonl").is_some());
        assert!(outcome["files"].get(last).is_some());
        assert!(!at(&plain, "evaluations.jsonl").exists());
    }
    assert_eq!(
        points(&run, "sft"),
        named(&[(0, "0"), (3, "3"), (7, "end"), (7, "7")])
    );
    // An arm that ends before a point has nothing there.
    let short = named(&[(0, "0"), (3, "3"), (5, "end")]);
    assert_eq!(points(&run, "chain"), short);
    assert_eq!(points(&run, "adapter"), short);
    assert_moved(&run);
    // The same evaluation at the end, so the same items asked alike.
    assert_eq!(
        json(&run.join("manifest.json"))["evaluation"],
        json(&plain.join("manifest.json"))["evaluation"]
    );
}

/// What the lines say of where the arms moved.
fn assert_moved(run: &Path) {
    let keys = [
        "kl_prompts",
        "kl_samples",
        "weight_distance",
        "relative_distance",
    ];
    for arm in ["sft", "adapter"] {
        let lines = lines(run, arm);
        for key in keys {
            assert_eq!(lines[0][key], 0.0, "{key} of {arm}");
            assert!(number(lines.last().unwrap(), key) > 0.0, "{key} of {arm}");
        }
        assert_eq!(lines[0]["budget"]["flops"], 0.0);
        assert!(number(&lines[1]["budget"], "flops") > 0.0);
    }
    // A chain is measured from the seed's base, from where its first arm had moved.
    let (first, second) = (lines(run, "sft"), lines(run, "chain"));
    for key in ["kl_prompts", "weight_distance", "relative_distance"] {
        assert_eq!(second[0][key], first.last().unwrap()[key], "{key}");
    }
    assert!(number(&second[0], "kl_samples") > 0.0);
}

#[test]
fn a_run_stopped_within_an_evaluation_ends_in_the_same_bits() {
    let keys = "at = [0, 2, 3, \"end\"]\nat_samples = 1";
    let whole = with(keys);
    whole.run("run", &[]).done();
    let bench = with(keys);
    let stop = |signal: &str, ready: &dyn Fn() -> bool| {
        let mut running = bench.start("run", &["--resume"]);
        running.wait_until(ready);
        running.signal(signal);
        let expected = (signal == "INT").then_some(130);
        assert_eq!(running.end().code, expected);
    };
    let at = |name: &str| bench.path("run/arms").join(name);
    // Each waits for a file that was not there when the process started: the records are
    // written and their line may not be, or the third update is made and its evaluation is
    // under way. No checkpoint holds either.
    let log = |arm: &str| updates(&at(arm).join("seed-1/metrics.jsonl"));
    let records = |name: &str| at(name).exists();
    stop("KILL", &|| records("sft/seed-1/evaluations/000000.parquet"));
    stop("KILL", &|| log("sft") >= 4);
    stop("INT", &|| log("chain") >= 4);
    stop("KILL", &|| {
        records("chain/seed-1/evaluations/000005.parquet")
    });
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), &whole.path("run"));
}

#[test]
fn records_that_are_changed_or_lost_are_named() {
    let bench = with("at = [0, 2]");
    let mut running = bench.start("run", &[]);
    let log = bench.path("run/arms/sft/seed-1/metrics.jsonl");
    running.wait_until(|| updates(&log) >= 4);
    running.signal("INT");
    assert_eq!(running.end().code, Some(130));
    let lost = "arms/sft/seed-1/evaluations/000000.parquet";
    let records = bench.path("run").join(lost);
    let refused = |word: &str| {
        let ended = bench.run("run", &["--resume"]);
        assert_ne!(ended.code, Some(0));
        let stderr = &ended.stderr;
        let told = ["evaluation on the way", "000000.parquet", word];
        assert!(told.iter().all(|word| stderr.contains(word)), "{stderr}");
    };
    std::fs::write(&records, "no records").unwrap();
    refused("is not as it was written");
    std::fs::remove_file(&records).unwrap();
    refused("is missing");
}

#[test]
fn budgets_are_reached_in_tokens_and_a_budget_that_is_not_is_named() {
    let bench = with("at = { tokens = 1000000, shares = [0, 1e-5, 1.0] }\nat_samples = 1");
    let ended = bench.run("run", &[]).done();
    for arm in ARMS {
        let lines = lines(&bench.path("run"), arm);
        let names: Vec<&str> = lines.iter().map(|l| l["point"].as_str().unwrap()).collect();
        assert_eq!(names, ["0 of tokens", "0.00001 of tokens"]);
        assert_eq!(lines[0]["step"], 0);
        let tokens = |line: &Value| {
            number(&line["budget"], "trained_tokens") + number(&line["budget"], "generated_tokens")
        };
        // The first update spends more than ten tokens.
        assert_eq!(lines[1]["step"], 1);
        assert!(tokens(&lines[1]) >= 10.0);
        let folder =
            format!("arms/{arm}/seed-1: evaluation.at: the training never reached 1 of tokens");
        assert!(ended.stderr.contains(&folder), "{}", ended.stderr);
    }
    let names = files_below(&bench.path("run/arms/sft/seed-1/evaluations"));
    assert_eq!(
        names,
        ["000000.parquet", "000001.parquet"].map(std::path::PathBuf::from)
    );
}

#[test]
fn two_ranks_evaluate_as_two_ranks_do_again() {
    if !torch_ext::distributed::is_built() {
        println!("skipped: this build has no distribution");
        return;
    }
    let bench = with("at = { seconds = 1e-6, shares = [0, 1] }\nat_samples = 1");
    for out in ["here", "there"] {
        bench.run(out, &["--nproc", "2"]).done();
        for arm in ARMS {
            let reached = points(&bench.path(out), arm);
            assert_eq!(reached, named(&[(0, "0 of seconds"), (1, "1 of seconds")]));
        }
    }
    assert_same(&bench.path("here"), &bench.path("there"));
}
