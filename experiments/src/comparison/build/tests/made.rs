//! Four arms on two tasks, with a structure that is known.

use std::collections::BTreeMap;

use crate::alignment::cost::Counting;
use crate::comparison::build::Input;
use crate::manifest::{ArmCard, ArmRun, Budget, EvaluationCard, Role};
use crate::norms::{NormItem, Norms};
use crate::record::Trace;
use crate::statistics::draws::{below, stream};

/// Two tasks of 40 items; how tokens follow people (`slope`, against noise of 1) and how often each arm is right.
const ARMS: [(&str, f64, f64, u32); 4] = [
    ("base", 0.3, 0.5, 2),
    ("teacher", 2.0, 0.95, 4),
    ("sft", 0.0, 0.8, 4),
    ("grpo", 1.5, 0.8, 3),
];

pub(super) struct Made {
    pub(super) arms: Vec<ArmCard>,
    pub(super) tasks: Vec<String>,
    pub(super) norms: Norms,
    pub(super) traces: Vec<Trace>,
    pub(super) runs: Vec<ArmRun>,
}

fn run(arm: &str, seed: u64, initial: &str, last: &str) -> ArmRun {
    ArmRun {
        arm: arm.into(),
        seed,
        teacher: None,
        folder: format!("arms/{arm}/seed-{seed}"),
        init: None,
        initial_weights: initial.into(),
        final_weights: last.into(),
        problem_order: Some("order".into()),
        trained_on: Vec::new(),
        budget: Some(Budget {
            optimizer_steps: 10 * seed,
            trained_tokens: 100,
            ..Budget::default()
        }),
        pretraining_seconds: None,
        evaluation_seconds: None,
    }
}

pub(super) fn made() -> Made {
    let card = |name: &str, role, base: Option<&str>, teacher: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(Into::into),
        init: None,
        teacher: teacher.map(Into::into),
    };
    let arms = vec![
        card("base", Role::Base, None, None),
        card("teacher", Role::Teacher, None, None),
        card("sft", Role::Student, Some("base"), Some("teacher")),
        card("grpo", Role::Rl, Some("base"), None),
    ];
    let mut rng = stream(4, "test", 0);
    let mut uniform = move || f64::from(below(&mut rng, 1_000_000)) / 1e6 - 0.5;
    let (mut items, mut traces, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for task in ["a", "b"] {
        for i in 0..40 {
            let human = f64::from(i % 10) / 10.0;
            items.push(NormItem {
                task: task.into(),
                item_id: format!("item {i}"),
                answer: if i % 4 == 0 { "true" } else { "false" }.into(),
                mean_log_rt: Some(7.0 + human),
                ..NormItem::default()
            });
            for (model, slope, right, level) in ARMS {
                // The teacher was trained once; the others are evaluated for two seeds.
                for seed in if model == "teacher" { 1..2 } else { 1..3 } {
                    for sample in 0..2 {
                        let cost = f64::from(level) + slope * human + uniform();
                        let tokens = cost.exp().round() as u32;
                        traces.push(Trace {
                            model: model.into(),
                            seed: Some(seed),
                            teacher: None,
                            task: task.into(),
                            item_id: format!("item {i}"),
                            sample,
                            prompt_tokens: 4 + u32::from(i % 7 == 0),
                            reasoning_tokens: tokens,
                            completion_tokens: tokens + 2,
                            correct: Some(uniform() + 0.5 < right),
                            truncated: false,
                            answer: None,
                            completion: None,
                        });
                    }
                }
            }
        }
    }
    for seed in [1, 2] {
        runs.push(ArmRun {
            budget: None,
            ..run("base", seed, "w0", "w0")
        });
        runs.extend(["sft", "grpo"].map(|arm| run(arm, seed, "w0", &format!("{arm}{seed}"))));
    }
    Made {
        arms,
        tasks: vec!["a".into(), "b".into()],
        norms: Norms::new(items, "made up".into()),
        traces,
        runs,
    }
}

pub(super) fn input(made: &Made) -> Input<'_> {
    Input {
        title: "a test".into(),
        hypothesis: "none".into(),
        arms: &made.arms,
        seeds: &[1, 2],
        tasks: &made.tasks,
        norms: &made.norms,
        traces: &made.traces,
        evaluation: EvaluationCard {
            samples: 2,
            temperature: 1.0,
            max_new_tokens: 64,
            items: "hash".into(),
            norms: made.norms.source().into(),
        },
        arm_runs: &made.runs,
        curves: Vec::new(),
        on_the_way: &[],
        training: &[],
        environment: BTreeMap::new(),
        seed: 11,
        counting: Counting::default(),
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
        questions: Vec::new(),
    }
}
