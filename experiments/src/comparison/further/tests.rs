//! The figures beside the table on a made-up pair of arms whose figures are known.

use std::collections::BTreeMap;

use crate::alignment::cost::{self, Counting};
use crate::comparison::{Comparison, Estimate, Further, Input, compare};
use crate::manifest::{ArmCard, EvaluationCard, Role};
use crate::norms::{NormItem, Norms};
use crate::record::Trace;

/// The student takes exactly three times the base's tokens and answers one item
/// in ten more wrongly; the rl arm triples on hard items only.
fn compared(seeds: &[u64]) -> Comparison {
    let card = |name: &str, role, teacher: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: (role != Role::Base).then(|| "base".into()),
        init: None,
        teacher: teacher.map(Into::into),
    };
    let arms = [
        card("base", Role::Base, None),
        card("sft", Role::Student, Some("base")),
        card("grpo", Role::Rl, None),
    ];
    let tasks: Vec<String> = ["a", "b", "c", "d"].map(Into::into).into();
    let (mut traces, mut items) = (Vec::new(), Vec::new());
    for (at, task) in (0u32..).zip(&tasks) {
        for i in 0..10u32 {
            let human = f64::from(i) / 10.0 + f64::from(at);
            items.push(NormItem {
                task: task.clone(),
                item_id: i.to_string(),
                answer: "true".into(),
                // The first task alone has levels, and says of its items which they are of.
                condition: (at == 0).then(|| format!("true/half={}", i / 5)),
                covariates: (at == 0)
                    .then(|| ("half".to_owned(), f64::from(i / 5)))
                    .into_iter()
                    .collect(),
                mean_log_rt: Some(human),
                ..NormItem::default()
            });
            let tokens = 100 * (1 + at) + 10 * i + 7 * (i % 3);
            for &seed in seeds {
                for (model, times, right) in [
                    ("base", 1, i > 1),
                    ("sft", 3, i > 2),
                    ("grpo", if i >= 5 { 3 } else { 1 }, true),
                ] {
                    traces.push(Trace {
                        seed: Some(seed),
                        teacher: None,
                        task: task.clone(),
                        correct: Some(right),
                        ..cost::tests::trace(model, &i.to_string(), 0, times * tokens, None)
                    });
                }
            }
        }
    }
    let norms = Norms::new(items, "made up".into());
    compare(Input {
        title: String::new(),
        hypothesis: String::new(),
        arms: &arms,
        seeds,
        tasks: &tasks,
        norms: &norms,
        traces: &traces,
        evaluation: EvaluationCard {
            samples: 1,
            temperature: 0.0,
            max_new_tokens: 999,
            items: String::new(),
            norms: String::new(),
        },
        arm_runs: &[],
        curves: Vec::new(),
        on_the_way: &[],
        training: &[],
        environment: BTreeMap::new(),
        seed: 0,
        counting: Counting::default(),
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
        questions: Vec::new(),
    })
    .expect("compared")
}

/// A figure that is the same without any item has no interval.
fn exact(estimate: &Estimate, expected: f64) {
    let value = estimate.value.expect("a value");
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
}

fn close(estimate: &Estimate, expected: f64) {
    let value = estimate.value.expect("a value");
    assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    let (low, high) = (estimate.low.expect("a low"), estimate.high.expect("a high"));
    assert!(low <= value + 1e-9 && value <= high + 1e-9, "{estimate:?}");
}

#[test]
fn a_constant_multiplier_is_a_line_without_heterogeneity() {
    let found = compared(&[1]).further;
    let sft = found
        .inflation
        .iter()
        .find(|i| i.arm == "sft")
        .expect("trained");
    exact(&sft.tokens.slope, 3.0);
    exact(&sft.tokens.intercept, 0.0);
    exact(&sft.tokens.r2, 1.0);
    exact(&sft.heterogeneity, 0.0);
    exact(&sft.least_squares, 3.0);
    // One sample an item: there are no halves that could serve as instruments.
    let why = sft.slope.why_undefined.as_deref().expect("a reason");
    assert!(why.contains("even and of odd index"), "{why}");
    // Accuracy falls from 0.8 to 0.7: an index of tokens / 0.8 becomes 3 tokens / 0.7.
    close(&sft.iei.slope, 3.0 * 0.8 / 0.7);
    assert_eq!((sft.tokens.slope.n, sft.iei.slope.n), (40, 4));
    let surface = &found.surface[0];
    assert_eq!(
        (surface.arm.as_str(), surface.against.as_str()),
        ("sft", "base")
    );
    exact(&surface.relative_effort, 3.0);
    assert!(surface.divergence.value.is_none());
}

#[test]
fn arms_by_themselves() {
    let found = compared(&[1]).further;
    let base = &found.arms[0];
    assert!(base.cross_task.value.expect("a value") > 0.9 && !base.demonstrative);
    // No item has both right and wrong samples.
    assert_eq!((base.allocation.value, base.allocation.n), (None, 0));
    // Task a: tokens 100 + mean(10 i) 45 + 7 mean(i % 3) 6.3, over an accuracy of 0.8.
    close(&base.iei[0].value, 151.3 / 0.8);
    let table = &found.similarity;
    // One sample an item has no halves.
    assert_eq!(
        (table.names.join(" "), table.items),
        ("base sft grpo human".into(), 0)
    );
}

#[test]
fn a_comparison_written_before_these_figures_is_read() {
    let found = compared(&[1, 2]);
    let mut json = serde_json::to_value(&found).expect("JSON");
    let whole: Comparison = serde_json::from_value(json.clone()).expect("a comparison");
    assert_eq!(whole, found);
    json.as_object_mut().expect("an object").remove("further");
    let older: Comparison = serde_json::from_value(json).expect("a comparison");
    assert_eq!(older.further, Further::default());
    let mut json = serde_json::to_value(&found).expect("JSON");
    let further = json["further"].as_object_mut().expect("an object");
    further.remove("effort");
    let older: Comparison = serde_json::from_value(json).expect("a comparison");
    assert!(older.further.effort.is_empty());
    assert_eq!(older.further.arms, found.further.arms);
}

#[test]
fn effort_by_level_is_the_mean_over_the_items_of_a_level() {
    let found = compared(&[1, 2]).further.effort;
    assert_eq!(found.len(), 1);
    assert_eq!((&*found[0].task, &*found[0].scale), ("a", "half"));
    let easy = &found[0].levels[0];
    assert_eq!((easy.from.to_string(), easy.items), ("0".to_owned(), 5));
    // 100 + mean(10 i) 20 + 7 mean(i % 3) 5.6 over the items 0 to 4.
    close(&easy.tokens["base"], 125.6);
    close(&easy.tokens["sft"], 3.0 * 125.6);
    assert!((easy.human_cost.expect("times") - 0.2).abs() < 1e-12);
    // The rl arm triples on the hard half alone.
    close(&easy.tokens["grpo"], 125.6);
    let hard = &found[0].levels[1].tokens;
    let times = hard["grpo"].value.expect("a value") / hard["base"].value.expect("a value");
    assert!((times - 3.0).abs() < 1e-9);
}

#[test]
fn two_levels_predict_the_mean_of_each() {
    let trivial = compared(&[1, 2]).further.trivial;
    let tokens = |i: u32| f64::from(100 + 10 * i + 7 * (i % 3));
    let costs = (5..10).map(|i| (3.0 * tokens(i)).ln_1p());
    let found = &trivial[0].expected_costs["grpo"];
    assert_eq!(found.len(), 10);
    assert!((found["7"] - costs.sum::<f64>() / 5.0).abs() < 1e-9);
    assert!((trivial[0].expected["2"] - 0.2).abs() < 1e-9);
    // The other tasks say nothing of their items.
    assert!(trivial[1].expected_costs["grpo"].is_empty());
}
