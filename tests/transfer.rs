//! What an arm learns from is what its definition says, and all is evaluated.

use std::collections::BTreeSet;

use experiments::{dataset, record};

use crate::support::{Bench, TINY, final_weights, json, text};

/// [`TINY`] with two tasks, worked solutions to imitate, and arms that learn from one
/// of the tasks.
fn definition() -> String {
    let (before, rest) = TINY.split_once("[teacher]").unwrap();
    let (_, rest) = rest.split_once("[rollout]").unwrap();
    let (shared, _) = rest.split_once("[arm.sft]").unwrap();
    let before = before.replace(
        "names = [\"alphabet_arithmetic\"]",
        "names = [\"alphabet_arithmetic\", \"addition_digit\"]",
    );
    let arms = r#"[teacher]
seed = 100
traces = { worked = true, problems = 40, held_out = 8 }

[arm.both]
algorithm.sft = { batch_size = 4 }
training = { steps = 2 }

[arm.letters]
tasks = ["alphabet_arithmetic"]
algorithm.sft = { batch_size = 4 }
training = { steps = 2 }

[arm.digits]
tasks = ["addition_digit"]
algorithm.grpo = { prompts_per_generation = 6, num_generations = 2 }
reward = { correct = 1.0 }
training = { steps = 2 }

[arm.stretched]
altered = { stretch = 2.0 }
algorithm.sft = { batch_size = 4 }
training = { steps = 2 }
"#;
    format!("{before}[rollout]{shared}{arms}").replace("steps = 100", "steps = 10")
}

#[test]
fn an_arm_learns_from_its_tasks_and_is_evaluated_on_all() {
    let bench = Bench::new(&definition());
    let seeds = ["--seeds", "1"];
    bench.run("run", &seeds).done();
    let run = bench.path("run");
    let sampled = run.join("arms/digits/seed-1/completions");
    let mut tasks = BTreeSet::new();
    for entry in std::fs::read_dir(sampled).unwrap() {
        let rows = dataset::read(&entry.unwrap().path(), &["task"])
            .unwrap()
            .rows;
        tasks.extend(
            rows.iter()
                .map(|row| row["task"].as_str().unwrap().to_owned()),
        );
    }
    assert_eq!(tasks, BTreeSet::from(["addition_digit".to_owned()]));
    for arm in ["both", "letters", "digits", "stretched"] {
        let at = run.join(format!("arms/{arm}/seed-1"));
        let traces = record::read(&at.join("traces.parquet")).unwrap();
        let evaluated: BTreeSet<&str> = traces.iter().map(|trace| trace.task.as_str()).collect();
        assert_eq!(evaluated.len(), 2, "{arm}");
    }
    // From one base: what they were shown differs, and so do they.
    let all = final_weights(&run).into_iter();
    let imitating = all.filter(|(arm, _, _)| arm != "digits");
    let weights: BTreeSet<String> = imitating.map(|(_, _, weights)| weights).collect();
    assert_eq!(weights.len(), 4);
    let manifest = json(&run.join("manifest.json"));
    let learned = |arm: &str| {
        let arms = manifest["arm_runs"].as_array().unwrap();
        let this = arms.iter().find(|run| run["arm"] == arm).unwrap();
        this["trained_on"].as_array().map_or(0, Vec::len)
    };
    assert_eq!(
        (learned("both"), learned("letters"), learned("digits")),
        (2, 1, 1)
    );
    let shown = text(&run.join("comparison.json"));
    let note = "letters learned from alphabet_arithmetic alone; addition_digit is transfer.";
    assert!(shown.contains(note), "{shown}");
}

#[test]
fn what_an_arm_cannot_learn_from_is_refused_by_its_key() {
    for (from, to, expected) in [
        (
            "tasks = [\"addition_digit\"]",
            "tasks = [\"addition_word\"]",
            "arm.digits.tasks: addition_word is not among tasks.names",
        ),
        (
            "tasks = [\"addition_digit\"]",
            "tasks = []",
            "arm.digits.tasks",
        ),
        (
            "stretch = 2.0",
            "stretch = 0.5",
            "arm.stretched.altered: stretch = 0.5",
        ),
        (
            "tasks = [\"addition_digit\"]\n",
            "altered = { recounts = \"yoked\" }\n",
            "arm.digits.altered: it imitates no traces",
        ),
        (
            "validation_problems = 16",
            "validation_problems = 16\nsettings.addition_digit = { largest = 3 }",
            "tasks.settings.addition_digit: `largest`",
        ),
    ] {
        let text = definition();
        assert!(text.contains(from), "{from}");
        let bench = Bench::new(&text.replace(from, to));
        let ended = bench.run("run", &[]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(expected), "{}", ended.stderr);
        assert!(!bench.path("run").exists());
    }
    // The recording of a run says of which task each of its rows is; another may not.
    let bench = Bench::new(&definition().replace(
        "traces = { worked = true, problems = 40, held_out = 8 }",
        "traces = { file = \"mine.jsonl\", held_out = 1 }",
    ));
    let rows = "{\"prompt\": \"A+3= what\", \"completion\": \"D\"}\n".repeat(4);
    bench.write("mine.jsonl", &rows);
    let ended = bench.run("run", &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("altered"), "{}", ended.stderr);
    let text = text(&bench.path("tiny.toml")).replace("altered = { stretch = 2.0 }\n", "");
    let bench = Bench::new(&text);
    bench.write("mine.jsonl", &rows);
    let ended = bench.run("run", &[]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("does not say of which task"),
        "{}",
        ended.stderr
    );
}
