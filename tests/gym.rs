//! The data sets of `reasoning_gym` as tasks of a run, with a small package of the same
//! form in its place. What needs python3 is skipped, in a line, where there is none.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use experiments::{dataset, record};

use crate::support::{Bench, TINY};

/// A package with the names of `reasoning_gym` that the lab uses: sums of numbers up to
/// a largest one, in words that a model of the lab knows.
const PACKAGE: &str = r#"
import random
from dataclasses import dataclass
from typing import Optional


@dataclass
class Config:
    largest: int = 20
    seed: Optional[int] = None
    size: int = 500


class Sums:
    def __init__(self, config):
        self.config = config

    def __getitem__(self, index):
        rng = random.Random(self.config.seed + index)
        one, other = (rng.randint(1, self.config.largest) for _ in range(2))
        metadata = {"source_dataset": "sums"}
        return {"question": f"{one} + {other} = what", "answer": str(one + other), "metadata": metadata}

    def score_answer(self, answer, entry):
        return float(answer == entry["answer"])


def create_dataset(name, **settings):
    return {"sums": Sums}[name](Config(**settings))


def get_score_answer_fn(name):
    return create_dataset(name).score_answer


DATASETS = {"sums": (Sums, Config)}
"#;

/// A folder with the package, its Python, and a definition that reinforces on it.
fn bench(settings: &str) -> Option<Bench> {
    if Command::new("python3").arg("-V").output().is_err() {
        println!("skipped: there is no python3");
        return None;
    }
    let (before, rest) = TINY.split_once("[teacher]").unwrap();
    let (_, rest) = rest.split_once("[rollout]").unwrap();
    let (shared, _) = rest.split_once("[arm.sft]").unwrap();
    let before = before.replace(
        "names = [\"alphabet_arithmetic\"]",
        "names = [\"alphabet_arithmetic\", \"reasoning_gym:sums\"]",
    );
    let arms = format!(
        "[tasks.settings.\"reasoning_gym:sums\"]
python = \"./python\"
{settings}

[arm.grpo]
tasks = [\"reasoning_gym:sums\"]
algorithm.grpo = {{ prompts_per_generation = 6, num_generations = 2 }}
reward = {{ correct = 1.0 }}
training = {{ steps = 2 }}
"
    );
    let text = format!("{before}[rollout]{shared}{arms}").replace("steps = 100", "steps = 10");
    let bench = Bench::new(&text);
    bench.write("reasoning_gym/factory.py", PACKAGE);
    bench.write(
        "reasoning_gym/__init__.py",
        "from .factory import create_dataset, get_score_answer_fn\n",
    );
    let script = format!(
        "#!/bin/sh\nPYTHONPATH='{}' exec python3 \"$@\"\n",
        bench.path("").display()
    );
    let python = bench.write("python", &script);
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).unwrap();
    Some(bench)
}

#[test]
fn an_arm_is_reinforced_and_evaluated_on_a_data_set_of_the_package() {
    let Some(bench) = bench("largest = 15\nevaluation_items = 6") else {
        return;
    };
    bench.run("run", &["--seeds", "1"]).done();
    let arm = bench.path("run/arms/grpo/seed-1");
    let traces = record::read(&arm.join("traces.parquet")).unwrap();
    let of_package = traces
        .iter()
        .filter(|trace| trace.task == "reasoning_gym:sums");
    let graded: BTreeSet<(&str, bool)> = of_package
        .map(|trace| (trace.item_id.as_str(), trace.correct.is_some()))
        .collect();
    assert_eq!(graded.len(), 6);
    assert!(graded.iter().all(|(_, graded)| *graded));
    let mut trained = BTreeSet::new();
    for entry in std::fs::read_dir(arm.join("completions")).unwrap() {
        let columns = ["task", "problem", "reward"];
        for row in dataset::read(&entry.unwrap().path(), &columns)
            .unwrap()
            .rows
        {
            assert_eq!(row["task"], "reasoning_gym:sums");
            assert!(row["reward"].is_number(), "{row:?}");
            trained.insert(row["problem"].as_str().unwrap().to_owned());
        }
    }
    assert!(trained.len() > 6, "{trained:?}");
    assert!(graded.iter().all(|(id, _)| !trained.contains(*id)));
}

#[test]
fn what_the_package_does_not_have_is_refused_before_a_run_begins() {
    for (settings, part) in [
        (
            "largest = 2\nevaluation_items = 6",
            "hold only 4 different questions",
        ),
        ("smallest = 2", "it has no setting `smallest`"),
        ("evaluation_items = 0", "evaluation_items = 0"),
        ("evaluation_items = 'all'", "evaluation_items = \"all\""),
    ] {
        let Some(bench) = bench(settings) else { return };
        let ended = bench.run("run", &[]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("reasoning_gym:sums"),
            "{}",
            ended.stderr
        );
        assert!(!bench.path("run").exists());
    }
}
