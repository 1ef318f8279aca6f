//! A teacher is whatever an arm can be: several seeds of it, an arm as it ended, an adapter,
//! a chain, something that imitates itself.

use std::collections::BTreeMap;

use crate::support::{Bench, TINY, json};

/// [`TINY`] with trainings of two updates, and what differs of it.
fn bench(head: &str, rest: &str) -> Bench {
    let bench = Bench::new(&format!(
        "extends = \"whole.toml\"\n{head}\n\
         experiment.name = \"teachers\"\n\
         experiment.title = \"Teachers\"\n\
         experiment.hypothesis = \"None: it is only as large as a test needs.\"\n\
         {rest}\n\
         [base.pretraining.training]\nsteps = 4\nwarmup_steps = 1\n\
         [training]\nsteps = 2\n\
         [arm.sft]\ntraining.steps = 2\n"
    ));
    let teachers = "[teacher.base.pretraining.training]\nsteps = 100";
    assert!(TINY.contains(teachers));
    let whole = TINY
        .replace(teachers, "[teacher.base.pretraining.training]\nsteps = 4")
        .replace("warmup_steps = 10", "warmup_steps = 1")
        .replace("training = { steps = 10 }", "training = { steps = 2 }");
    bench.write("whole.toml", &whole);
    bench
}

#[test]
fn three_teachers_teach_two_students_each_and_intervals_are_over_teachers() {
    let bench = bench(
        "remove = [\"teacher.seed\", \"arm.grpo\"]",
        "experiment.seeds = [1, 2, 3, 4, 5, 6]\nteacher.seeds = [7, 8, 9]",
    );
    let ended = bench.run("run", &[]).done();
    let said: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert!(said.join(" ").contains("go back to 3 teachers (2 of each)"));
    assert!(bench.path("run/report.html").exists());
    let manifest = json(&bench.path("run/manifest.json"));
    let runs = manifest["arm_runs"].as_array().unwrap();
    let of_students: BTreeMap<u64, u64> = runs
        .iter()
        .filter(|run| run["arm"] == "sft")
        .map(|run| {
            (
                run["seed"].as_u64().unwrap(),
                run["teacher"].as_u64().unwrap(),
            )
        })
        .collect();
    let dealt = [(1, 7), (2, 7), (3, 8), (4, 8), (5, 9), (6, 9)];
    assert_eq!(of_students, BTreeMap::from(dealt));
    let teachers = runs.iter().filter(|run| run["arm"] == "teacher");
    let weights: BTreeMap<&str, u64> = teachers
        .map(|run| {
            (
                run["final_weights"].as_str().unwrap(),
                run["seed"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(weights.len(), 3, "every teacher is one of its own");
    let comparison = json(&bench.path("run/comparison.json"));
    let contrasts = comparison["contrasts"].as_array().unwrap();
    for against in ["base", "teacher"] {
        let of_pair = |c: &&serde_json::Value| {
            c["arm"] == "sft" && c["against"] == against && c["measure"] == "tokens"
        };
        let found = contrasts.iter().find(of_pair).unwrap();
        assert_eq!(found["trainings"], 3, "{found}");
    }
    // A sweep gives each seed the teacher that it was dealt.
    let planned = bench.qinglan(&["sweep", "tiny.toml", "--out", "sweep", "--dry-run"]);
    let planned = planned.done().stdout;
    assert!(planned.contains('6'), "{planned}");
}

#[test]
fn a_teacher_may_be_an_arm_an_adapter_or_itself_taught() {
    let one = "experiment.seeds = [1]";
    let arm = bench(
        "remove = [\"teacher.base\", \"teacher.algorithm\", \"teacher.training\"]",
        &format!(
            "{one}\nteacher.init = \"arm:grpo\"\nteacher.seed = 1\narm.grpo.training.steps = 2"
        ),
    );
    arm.run("run", &[]).done();
    let weights = |bench: &Bench, at: &str| {
        let outcome = json(&bench.path("run").join(at).join("outcome.json"));
        outcome["arm_run"]["final_weights"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(weights(&arm, "teacher"), weights(&arm, "arms/grpo/seed-1"));
    let adapter = bench(
        "remove = [\"arm.grpo\"]",
        &format!("{one}\nteacher.lora = {{ r = 2, alpha = 4.0 }}"),
    );
    adapter.run("run", &[]).done();
    assert!(
        adapter
            .path("run/teacher/adapter/adapter_config.json")
            .exists()
    );
    assert!(!adapter.path("run/teacher/model").exists());
    let taught = bench(
        "remove = [\"arm.grpo\", \"teacher.algorithm\", \"teacher.reward\"]",
        &format!(
            "{one}\nteacher.algorithm.sft = {{ batch_size = 4 }}\n\
             teacher.demonstrations = {{ worked = true, problems = 12 }}\n\
             arm.own.algorithm.sft = {{ batch_size = 4 }}\n\
             arm.own.training.steps = 2\n\
             arm.own.demonstrations = {{ worked = true, problems = 8 }}"
        ),
    );
    taught.run("run", &[]).done();
    let manifest = json(&taught.path("run/manifest.json"));
    let card = |name: &str| {
        let mut arms = manifest["arms"].as_array().unwrap().iter();
        arms.find(|card| card["name"] == name).unwrap().clone()
    };
    assert_eq!(card("sft")["teacher"], "teacher");
    assert_eq!(card("own")["role"], "student");
    assert!(card("own").get("teacher").is_none());
}
