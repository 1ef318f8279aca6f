//! A small made-up experiment, each note of unfairness, and the reference records.

use std::path::Path;

use super::*;
use crate::comparison::Direction;
use crate::manifest::Budget;
use crate::norms::NormItem;
use crate::record;
use crate::statistics::draws::{below, stream};

/// Two tasks of 40 items; how tokens follow people (`slope`, against noise of 1) and how often each arm is right.
const ARMS: [(&str, f64, f64, u32); 4] = [
    ("base", 0.3, 0.5, 2),
    ("teacher", 2.0, 0.95, 4),
    ("sft", 0.0, 0.8, 4),
    ("grpo", 1.5, 0.8, 3),
];

struct Made {
    arms: Vec<ArmCard>,
    tasks: Vec<String>,
    norms: Norms,
    traces: Vec<Trace>,
    runs: Vec<ArmRun>,
}

fn run(arm: &str, seed: u64, initial: &str, last: &str) -> ArmRun {
    ArmRun {
        arm: arm.into(),
        seed,
        folder: format!("arms/{arm}/seed-{seed}"),
        initial_weights: initial.into(),
        final_weights: last.into(),
        problem_order: Some("order".into()),
        budget: Some(Budget {
            optimizer_steps: 10 * seed,
            trained_tokens: 100,
            ..Budget::default()
        }),
    }
}

fn made() -> Made {
    let card = |name: &str, role, base: Option<&str>, teacher: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(Into::into),
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
                prompt: String::new(),
                answer: if i % 4 == 0 { "true" } else { "false" }.into(),
                condition: None,
                n: None,
                mean_rt_ms: None,
                mean_log_rt: Some(7.0 + human),
                accuracy: None,
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

fn input(made: &Made) -> Input<'_> {
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
        environment: BTreeMap::new(),
        draws: 200,
        seed: 11,
        only_correct: false,
    }
}

fn contrast<'a>(found: &'a Comparison, arm: &str, against: &str, measure: Measure) -> &'a Contrast {
    let of = |c: &&Contrast| c.arm == arm && c.against == against && c.measure == measure;
    found.contrasts.iter().find(of).expect("planned")
}

#[test]
fn the_known_structure_is_found() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    let pairs: Vec<(&str, &str)> = found
        .contrasts
        .iter()
        .step_by(4)
        .map(|c| (c.arm.as_str(), c.against.as_str()))
        .collect();
    assert_eq!(
        pairs,
        [
            ("grpo", "base"),
            ("sft", "base"),
            ("sft", "teacher"),
            ("grpo", "sft")
        ]
    );
    let collapse = contrast(&found, "sft", "teacher", Measure::Alignment);
    assert_eq!(
        collapse.question.as_deref(),
        Some("functional alignment collapse")
    );
    assert_eq!(
        (collapse.verdict.as_deref(), collapse.direction),
        (Some("yes"), Direction::Below)
    );
    assert!(collapse.p.expect("defined") < 0.02 && collapse.difference.n == 80);
    let transfer = contrast(&found, "sft", "base", Measure::Alignment);
    assert_eq!(transfer.question.as_deref(), Some("negative transfer"));
    let accuracy = contrast(&found, "sft", "base", Measure::Accuracy);
    assert_eq!(
        (accuracy.question.as_deref(), accuracy.verdict.as_deref()),
        (None, None)
    );
    assert_eq!(accuracy.direction, Direction::Above);
    assert_eq!(
        contrast(&found, "grpo", "base", Measure::Alignment).direction,
        Direction::Above
    );
    // A quarter of the answers are "true".
    let constants: Vec<(&str, f64, f64)> = found
        .constant_answers
        .iter()
        .map(|c| (c.answer.as_str(), c.accuracy, c.balanced_accuracy))
        .collect();
    assert_eq!(
        constants,
        [
            ("false", 0.75, 0.5),
            ("true", 0.25, 0.5),
            ("false", 0.75, 0.5),
            ("true", 0.25, 0.5)
        ]
    );
    let sft = &found.arms[2];
    assert_eq!(
        (sft.seeds.as_slice(), sft.samples, sft.truncated),
        (&[1, 2][..], 320, 0)
    );
    assert_eq!(sft.budget.as_ref().map(|b| b.optimizer_steps), Some(15));
    assert_eq!(
        (
            sft.tasks[0].items,
            sft.tasks[0].points.len(),
            sft.tasks[0].accuracy.n
        ),
        (40, 40, 160)
    );
    // Only the number of tasks and the absent trials are to be told.
    assert_eq!(found.notes.len(), 3, "{:#?}", found.notes);
}

#[test]
fn every_point_lies_in_its_interval_and_contrasts_are_differences_of_the_table() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    for arm in &found.arms {
        let of_tasks = arm.tasks.iter().flat_map(|t| {
            [
                &t.accuracy,
                &t.balanced_accuracy,
                &t.tokens,
                &t.alignment,
                &t.spearman,
                &t.partial,
                &t.accuracy_truncated_wrong,
            ]
        });
        let all = [
            &arm.accuracy,
            &arm.balanced_accuracy,
            &arm.tokens,
            &arm.alignment,
            &arm.alignment_fisher,
        ];
        for e in all.into_iter().chain(of_tasks) {
            let (value, low, high) = (
                e.value.expect("a value"),
                e.low.expect("a low"),
                e.high.expect("a high"),
            );
            assert!(low < value && value < high, "{} {e:?}", arm.name);
        }
    }
    let value = |name: &str, of: fn(&super::super::ArmFigures) -> &super::super::Estimate| {
        found
            .arms
            .iter()
            .find(|a| a.name == name)
            .and_then(|a| of(a).value)
            .expect("a value")
    };
    for contrast in &found.contrasts {
        let of: fn(&super::super::ArmFigures) -> &super::super::Estimate = match contrast.measure {
            Measure::Alignment => |a| &a.alignment,
            Measure::Accuracy => |a| &a.accuracy,
            Measure::BalancedAccuracy => |a| &a.balanced_accuracy,
            Measure::Tokens => |a| &a.tokens,
        };
        let expected = value(&contrast.arm, of) - value(&contrast.against, of);
        assert!(
            (contrast.difference.value.expect("a value") - expected).abs() < 1e-9,
            "{contrast:?}"
        );
    }
}

#[test]
fn the_same_input_gives_the_same_bits_on_any_number_of_threads() {
    let made = made();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("a small pool");
        pool.install(|| compare(input(&made)).expect("compared"))
    };
    let (one, three) = (on(1), on(3));
    assert_eq!(
        serde_json::to_string(&one).expect("JSON"),
        serde_json::to_string(&three).expect("JSON")
    );
}

#[test]
fn unfairness_is_noted() {
    let mut made = made();
    made.runs
        .iter_mut()
        .filter(|r| r.arm == "sft" && r.seed == 1)
        .for_each(|r| r.initial_weights = "w9".into());
    made.runs
        .iter_mut()
        .filter(|r| r.arm == "grpo" && r.seed == 2)
        .for_each(|r| {
            r.problem_order = Some("another".into());
            r.final_weights = "w0".into();
        });
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base" && t.item_id.ends_with('0'))
        .for_each(|t| t.truncated = true);
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base" && t.item_id.ends_with('1'))
        .for_each(|t| t.truncated = true);
    made.traces
        .retain(|t| !(t.model == "grpo" && t.seed == Some(2)));
    let again = made.traces[0].clone();
    made.traces.push(again);
    made.traces.push(Trace {
        model: "stranger".into(),
        ..made.traces[0].clone()
    });
    made.traces.push(Trace {
        item_id: "no norm".into(),
        ..made.traces[0].clone()
    });
    let notes = compare(input(&made)).expect("compared").notes;
    for expected in [
        "the arms sft, grpo of seed 1 started from different weights",
        "the arms of seed 2 that train on problems met them in different orders",
        "grpo of seed 2 ended with the weights it started from",
        "20 % of base's samples hit the token cap",
        "grpo has no record of seed 2",
        "grpo - base: 17 item(s) lack an untruncated sample in one of the two",
        "1 record(s) repeat",
        "not compared are left out: stranger",
        "1 evaluated item(s) have no human time and are in no alignment: a/no norm",
        "1 item(s) of base have another number of samples than the 2",
        "2 task(s): a figure across tasks is demonstrative below 4",
        "No noise ceiling for a",
    ] {
        assert!(
            notes.iter().any(|note| note.contains(expected)),
            "{expected}: {notes:#?}"
        );
    }
}

#[test]
fn an_arm_that_never_thinks_is_undefined_with_its_reason() {
    let mut made = made();
    made.traces
        .iter_mut()
        .filter(|t| t.model == "base")
        .for_each(|t| t.reasoning_tokens = 0);
    let found = compare(input(&made)).expect("compared");
    let base = &found.arms[0];
    assert_eq!(base.alignment.value, None);
    assert_eq!(
        base.tasks[0].alignment.why_undefined.as_deref(),
        Some("no variance in model cost")
    );
    let transfer = contrast(&found, "sft", "base", Measure::Alignment);
    assert_eq!(
        (transfer.difference.value, transfer.direction),
        (None, Direction::Undefined)
    );
    assert_eq!(transfer.verdict.as_deref(), Some("inconclusive"));
    let why = transfer
        .difference
        .why_undefined
        .as_deref()
        .expect("a reason");
    assert_eq!(
        why,
        "base: undefined on every task: no variance in model cost"
    );
    assert!(
        contrast(&found, "sft", "base", Measure::Accuracy)
            .difference
            .value
            .is_some()
    );
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let made = made();
    let refused = |change: &dyn Fn(&mut Input<'_>)| {
        let mut input = input(&made);
        change(&mut input);
        compare(input).expect_err("refused").to_string()
    };
    assert!(refused(&|i| i.draws = 10).contains("10 draws cannot give a 95 % interval"));
    assert!(refused(&|i| i.tasks = &[]).contains("without tasks"));
    assert!(refused(&|i| i.arms = &[]).contains("without arms"));
    let message = refused(&|i| i.arms = &i.arms[2..]);
    assert!(
        message
            .contains("arm `sft` names `base` as its base, which is no arm (there are: sft, grpo)"),
        "{message}"
    );
    let mut unknown = made.arms.clone();
    unknown.push(ArmCard {
        name: "new".into(),
        role: Role::Other,
        base: None,
        teacher: None,
    });
    let mut with_unknown = input(&made);
    with_unknown.arms = &unknown;
    let message = compare(with_unknown).expect_err("refused").to_string();
    assert!(message.contains("no trace record of arm `new` on the tasks a, b (there are records of: base, grpo, sft, teacher)"), "{message}");
    unknown.push(unknown[0].clone());
    let mut twice = input(&made);
    twice.arms = &unknown;
    assert!(
        compare(twice)
            .expect_err("refused")
            .to_string()
            .contains("arm `base` is named twice")
    );
}

/// The comparison on the reference records holds the reference's own values.
#[test]
fn reference_records_give_reference_values() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = shared.join("fixtures/alignment");
    if !dir.is_dir() {
        println!("skipped: no reference figures at ../shared/fixtures/alignment");
        return;
    }
    let load = |name: &str| std::fs::read_to_string(dir.join(name)).expect("a file");
    let expected: serde_json::Value = serde_json::from_str(&load("expected.json")).expect("JSON");
    let arms: Vec<ArmCard> = serde_json::from_str(&load("models.json")).expect("JSON");
    let tasks: Vec<String> = serde_json::from_value(expected["tasks"].clone()).expect("names");
    let norms = Norms::read(&shared.join("human"), &tasks).expect("norms");
    let traces = record::read(&dir.join("traces.jsonl")).expect("records");
    let made = Made {
        arms,
        tasks,
        norms,
        traces,
        runs: Vec::new(),
    };
    let found = compare(Input {
        seeds: &[],
        draws: 100,
        ..input(&made)
    })
    .expect("compared");
    let close = |got: &crate::comparison::Estimate, expected: &serde_json::Value| {
        let (got, expected) = (
            got.value.expect("a value"),
            expected.as_f64().expect("a number"),
        );
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    };
    for arm in &found.arms {
        let of = &expected["models"][&arm.name];
        close(&arm.alignment, &of["mean_r"]);
        close(&arm.alignment_fisher, &of["fisher_mean_r"]);
        for task in &arm.tasks {
            close(&task.spearman, &of["within"][&task.task]["spearman"]);
            close(&task.accuracy, &of["accuracy"][&task.task]);
            close(&task.tokens, &of["mean_tokens"][&task.task]);
        }
    }
    for c in found.contrasts.iter().filter(|c| c.question.is_some()) {
        let figure = if c.question.as_deref() == Some("negative transfer") {
            "transfer"
        } else {
            "collapse"
        };
        close(&c.difference, &expected["pairs"][&c.arm][figure]);
        assert_eq!(c.verdict.as_deref(), Some("yes"), "{c:?}");
    }
}
