//! Evaluations on the way: their figures, and differences at matched budget.

use super::made::Made;
use super::*;
use crate::alignment::cost::{Counting, ModelItems};
use crate::comparison::{AtBudget, OnTheWay};
use crate::manifest::{Budget, EvaluationPoint};
use crate::record::Trace;
use crate::tables::layout;

/// The records of a training, some of them changed, as an evaluation of it on the way.
fn entry(
    made: &Made,
    (arm, seed): (&str, u64),
    point: &str,
    flops: f64,
    change: fn(&mut Trace),
) -> OnTheWay {
    let of_training = |trace: &&Trace| trace.model == arm && trace.seed == Some(seed);
    let mut traces: Vec<Trace> = made.traces.iter().filter(of_training).cloned().collect();
    traces.iter_mut().for_each(change);
    let items = cost::items(&traces, Counting::default());
    let items: ModelItems = items.models[arm][0].clone();
    let spread = if seed == 1 { -0.1 } else { 0.1 };
    OnTheWay {
        arm: arm.into(),
        at: EvaluationPoint {
            step: (10.0 * flops) as u64,
            budget: Budget {
                optimizer_steps: (10.0 * flops) as u64,
                flops,
                ..Budget::default()
            },
            point: point.into(),
            traces: String::new(),
            kl_prompts: Some(0.2 + spread),
            kl_samples: (seed == 1).then_some(0.3),
            weight_distance: Some(1.0),
            relative_distance: Some(0.01),
        },
        items,
    }
}

fn same(_: &mut Trace) {}

/// Fewer tokens than at the end.
fn earlier(trace: &mut Trace) {
    trace.reasoning_tokens /= 2;
}

/// Arm, point, FLOPs, and what its records are changed by.
type At = (&'static str, &'static str, f64, fn(&mut Trace));

/// The made-up run whose arms spent so much, evaluated at these points.
fn found(ends: [f64; 2], points: &[At], chain: bool) -> Comparison {
    let mut made = made();
    for run in &mut made.runs {
        let end = ends[usize::from(run.arm == "grpo")];
        if let Some(budget) = &mut run.budget {
            budget.flops = end;
        }
    }
    if chain {
        made.arms[3].init = Some("sft".into());
    }
    let of = |seed: u64| {
        let made = &made;
        points.iter().map(move |(arm, point, flops, change)| {
            entry(made, (arm, seed), point, *flops, *change)
        })
    };
    let on_the_way: Vec<OnTheWay> = of(1).chain(of(2)).collect();
    compare(Input {
        on_the_way: &on_the_way,
        ..input(&made)
    })
    .expect("compared")
}

fn at<'a>(found: &'a Comparison, budget: &str) -> &'a AtBudget {
    let pair = found
        .matched
        .iter()
        .find(|m| (&*m.arm, &*m.against) == ("grpo", "sft"));
    let mut all = pair.expect("planned").at.iter();
    all.find(|at| at.budget == budget).expect("evaluated")
}

#[test]
fn at_the_end_they_are_what_the_evaluation_at_the_end_says() {
    let points: [At; 4] = [
        ("grpo", "0.5 of flops", 2.0, earlier),
        ("sft", "1 of flops", 4.0, same),
        ("grpo", "1 of flops", 4.0, same),
        ("sft", "0.5 of flops", 2.0, earlier),
    ];
    let found = found([4.0, 9.0], &points, false);
    let order: Vec<(&str, &str)> = (found.on_the_way.iter())
        .map(|at| (at.arm.as_str(), at.point.as_str()))
        .collect();
    let expected = ["sft", "grpo"].map(|arm| [(arm, "0.5 of flops"), (arm, "1 of flops")]);
    assert_eq!(order, expected.concat());
    for waypoint in found
        .on_the_way
        .iter()
        .filter(|at| at.point == "1 of flops")
    {
        let arm = found
            .arms
            .iter()
            .find(|arm| arm.name == waypoint.arm)
            .expect("there");
        assert_eq!(waypoint.trainings, 2);
        assert_eq!(waypoint.elasticity, arm.elasticity);
        assert_eq!(waypoint.alignment_unlimited, arm.alignment_unlimited);
        let (own, end) = (&waypoint.accuracy, &arm.accuracy);
        assert_eq!(
            (own.value, own.low, own.high),
            (end.value, end.low, end.high)
        );
        let (own, end) = (&waypoint.tokens, &arm.tokens);
        assert_eq!((own.value, own.se, own.df), (end.value, end.se, end.df));
        // .1 and .3 over two trainings: a standard error of .1 with one degree of freedom.
        let kl = &waypoint.kl_prompts;
        for (found, expected) in [(kl.value, 0.2), (kl.se, 0.1), (kl.df, 1.0)] {
            assert!((found.expect("defined") - expected).abs() < 1e-12, "{kl:?}");
        }
        let why = waypoint.kl_samples.why_undefined.as_deref();
        assert_eq!(
            (waypoint.kl_samples.value, why),
            (None, Some("not measured"))
        );
    }
    for (measure, at) in [
        (Measure::Accuracy, &at(&found, "1 of flops").accuracy),
        (Measure::Tokens, &at(&found, "1 of flops").tokens),
        (Measure::Elasticity, &at(&found, "1 of flops").elasticity),
    ] {
        assert_eq!(*at, contrast(&found, "grpo", "sft", measure).difference);
    }
    let half = at(&found, "0.5 of flops");
    let tokens = |at: &AtBudget| at.tokens.value.expect("defined").abs();
    assert!(tokens(half) < tokens(at(&found, "1 of flops")));
}

#[test]
fn a_share_that_one_arm_never_reached_is_undefined() {
    let points: [At; 3] = [
        ("sft", "0.5 of flops", 2.0, same),
        ("grpo", "0.5 of flops", 2.0, same),
        ("grpo", "1 of flops", 4.0, same),
    ];
    let found = found([2.5, 4.0], &points, false);
    let never = at(&found, "1 of flops");
    assert_eq!(never.accuracy.value, None);
    let why = never.accuracy.why_undefined.as_deref();
    assert_eq!(why, Some("sft never reached 1 of flops"));
    assert_eq!(never.points, [Some("1 of flops".to_owned()), None]);
}

#[test]
fn of_updates_the_pair_with_the_most_flops_within_a_tenth_counts() {
    let points: [At; 6] = [
        ("sft", "0", 0.0, earlier),
        ("sft", "20", 2.0, earlier),
        ("sft", "end", 4.0, same),
        ("grpo", "0", 0.0, earlier),
        ("grpo", "21", 2.1, earlier),
        ("grpo", "42", 4.2, same),
    ];
    let found = found([4.0, 9.0], &points, false);
    let most = at(&found, "flops");
    assert_eq!(
        most.points,
        ["42", "end"].map(|point| Some(point.to_owned()))
    );
    assert_eq!(most.flops, [Some(4.2), Some(4.0)]);
    let whole = contrast(&found, "grpo", "sft", Measure::Elasticity);
    assert_eq!(most.elasticity, whole.difference);
    let pair = found
        .matched
        .iter()
        .find(|m| (&*m.arm, &*m.against) == ("grpo", "sft"));
    assert_eq!(pair.expect("planned").alignment, most.elasticity);
}

#[test]
fn where_no_evaluations_are_near_it_is_said_how_to_have_them() {
    let points: [At; 2] = [("sft", "20", 2.0, same), ("grpo", "30", 3.0, same)];
    let far = found([4.0, 9.0], &points, false);
    let why = at(&far, "flops")
        .elasticity
        .why_undefined
        .clone()
        .expect("why");
    for words in [
        "no evaluation of grpo",
        "10 %",
        "evaluation.at = { flops = 4.0e0",
    ] {
        assert!(why.contains(words), "{why}");
    }
    // Where the trainings end near each other, all samples of the evaluation at the end count.
    let ends = found([4.0, 4.1], &points, false);
    let whole = contrast(&ends, "grpo", "sft", Measure::Tokens);
    assert_eq!(at(&ends, "flops").tokens, whole.difference);
    let chain = found([4.0, 9.0], &points, true);
    let why = at(&chain, "flops")
        .tokens
        .why_undefined
        .clone()
        .expect("why");
    assert!(why.contains("grpo goes on from another arm"), "{why}");
}

#[test]
fn items_that_the_evaluation_at_the_end_lacks_do_not_count() {
    let made = made();
    let mut with = entry(&made, ("sft", 1), "10", 1.0, same);
    let without = with.clone();
    let of_task = with.items.tasks.get_mut("a").expect("asked");
    let item = of_task["item 0"].clone();
    of_task.insert("another".into(), item);
    let waypoint = |entry: OnTheWay| {
        let input = Input {
            on_the_way: &[entry],
            ..input(&made)
        };
        compare(input).expect("compared").on_the_way
    };
    let found = waypoint(with);
    assert_eq!(found, waypoint(without));
    let why = found[0].kl_prompts.why_undefined.as_deref();
    assert_eq!(why, Some("no interval: one training"));
}

#[test]
fn without_evaluations_on_the_way_nothing_shows_them() {
    let found = found([4.0, 9.0], &[], false);
    assert!(found.on_the_way.is_empty() && found.matched.iter().all(|m| m.at.is_empty()));
    let why = found.matched[0].alignment.why_undefined.as_deref();
    assert!(
        why.is_some_and(|why| why.contains("evaluation.at")),
        "{why:?}"
    );
    let tables = layout::document(&found).tables;
    assert!(
        tables
            .iter()
            .all(|t| !["on-the-way", "at-budgets"].contains(&t.id))
    );
    assert!(
        !serde_json::to_string(&found)
            .expect("written")
            .contains("on_the_way")
    );
}
