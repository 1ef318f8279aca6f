//! What the panel says of a sound experiment, and of each way to spoil it; and
//! the pairs that are taken.

use super::made::Made;
use super::*;
use crate::comparison::Condition as C;
use crate::comparison::{Condition, Fairness, Flaw, TrainingLog};
use crate::manifest::{ArmCard, ArmRun};

fn of(found: &Comparison, condition: Condition) -> &Fairness {
    let mut all = found.fairness.iter();
    all.find(|f| f.condition == condition).expect("looked at")
}

#[test]
fn a_sound_experiment_meets_what_is_recorded() {
    let made = made();
    let found = compare(input(&made)).expect("compared");
    let holds: Vec<(Condition, Option<bool>)> = found
        .fairness
        .iter()
        .map(|f| (f.condition, f.holds))
        .collect();
    let mut expected: Vec<(Condition, Option<bool>)> = [
        C::BaseWeights,
        C::ProblemOrder,
        C::Items,
        C::Prompts,
        C::TokenCap,
        C::Samples,
        C::Seeds,
        C::SeveralSeeds,
        C::Truncation,
        C::Advantages,
        C::WeightsMoved,
    ]
    .map(|condition| (condition, Some(true)))
    .to_vec();
    // No log of a training was given.
    expected[9].1 = None;
    assert_eq!(holds, expected, "{:#?}", found.fairness);
    assert_eq!(
        of(&found, C::Items).found,
        "all arms answered the same 80 items"
    );
}

/// Holds that of an experiment spoiled so this condition alone fails, for these arms.
fn assert_fails(condition: Condition, arms: &[&str], spoil: fn(&mut Made)) {
    let mut made = made();
    spoil(&mut made);
    let found = compare(input(&made)).expect("compared");
    let failing = found.fairness.iter().filter(|f| f.holds == Some(false));
    let failing: Vec<_> = failing.map(|f| (f.condition, &f.arms[..])).collect();
    let arms: Vec<String> = arms.iter().map(|&arm| arm.to_owned()).collect();
    assert_eq!(failing, [(condition, &arms[..])]);
}

fn runs_of_grpo(made: &mut Made) -> impl DoubleEndedIterator<Item = &mut ArmRun> {
    made.runs.iter_mut().filter(|run| run.arm == "grpo")
}

fn traces_of_grpo(made: &mut Made) -> impl Iterator<Item = &mut Trace> {
    made.traces.iter_mut().filter(|trace| trace.model == "grpo")
}

#[test]
fn weights_and_orders_that_differ_name_their_arms() {
    assert_fails(Condition::BaseWeights, &["grpo", "sft"], |made| {
        for run in runs_of_grpo(made) {
            run.initial_weights = "w9".into();
        }
    });
    assert_fails(Condition::ProblemOrder, &["grpo", "sft"], |made| {
        for run in runs_of_grpo(made) {
            run.problem_order = Some("another".into());
        }
    });
    assert_fails(Condition::WeightsMoved, &["grpo"], |made| {
        let last = runs_of_grpo(made).next_back();
        last.expect("there").final_weights = "w0".into();
    });
}

type Lost = fn(&Trace) -> bool;

#[test]
fn evaluations_that_differ_name_their_arms() {
    let thinned: [(C, Lost); 3] = [
        (Condition::Items, |trace| trace.item_id == "item 3"),
        (Condition::Samples, |trace| {
            trace.item_id == "item 3" && trace.sample == 1
        }),
        (Condition::Seeds, |trace| trace.seed == Some(2)),
    ];
    for (condition, is_lost) in thinned {
        let mut made = made();
        made.traces
            .retain(|trace| trace.model != "grpo" || !is_lost(trace));
        let found = compare(input(&made)).expect("compared");
        let failing = found.fairness.iter().filter(|f| f.holds == Some(false));
        let failing: Vec<_> = failing.map(|f| (f.condition, f.arms.join(" "))).collect();
        assert_eq!(failing, [(condition, "grpo".to_owned())]);
    }
    assert_fails(Condition::Prompts, &["base", "grpo"], |made| {
        for trace in traces_of_grpo(made) {
            trace.prompt_tokens += 1;
        }
    });
    assert_fails(Condition::Truncation, &["grpo"], |made| {
        for trace in traces_of_grpo(made).filter(|trace| trace.sample == 1) {
            trace.truncated = true;
        }
    });
}

#[test]
fn what_the_reader_of_the_runs_found_is_said_too() {
    let made = made();
    let flaws = [Flaw {
        condition: Condition::Complete,
        found: "grpo of seed 3 is not finished".into(),
        arms: vec!["grpo".into()],
        runs: Vec::new(),
    }];
    let alike = [TrainingLog {
        arm: "grpo".into(),
        seed: 1,
        updates: 4,
        moved: 4,
        alike: Some(0.75),
        ..TrainingLog::default()
    }];
    let found = compare(Input {
        flaws: &flaws,
        training: &alike,
        ..input(&made)
    });
    let found = found.expect("compared");
    let complete = of(&found, Condition::Complete);
    assert_eq!(
        (complete.holds, complete.found.as_str()),
        (Some(false), "grpo of seed 3 is not finished")
    );
    let groups = of(&found, Condition::Advantages);
    assert_eq!(
        (groups.holds, groups.found.as_str()),
        (Some(false), "75 % of grpo's groups")
    );
}

fn pairs(found: &Comparison) -> Vec<String> {
    let pairs = found.contrasts.iter().step_by(MEASURES.len());
    pairs
        .map(|c| format!("{} - {}", c.arm, c.against))
        .collect()
}

#[test]
fn arms_of_one_role_and_base_are_held_against_each_other() {
    let mut made = made();
    for (name, role) in [("rloo", Role::Rl), ("opd", Role::Student)] {
        made.arms.push(ArmCard {
            name: name.into(),
            role,
            base: Some("base".into()),
            init: None,
            teacher: None,
        });
        let of_grpo: Vec<_> = made
            .traces
            .iter()
            .filter(|t| t.model == "grpo")
            .cloned()
            .collect();
        made.traces.extend(of_grpo.into_iter().map(|trace| Trace {
            model: name.into(),
            ..trace
        }));
    }
    let found = compare(input(&made)).expect("compared");
    let pairs = pairs(&found);
    for expected in ["rloo - grpo", "opd - sft", "rloo - opd", "grpo - opd"] {
        assert!(
            pairs.iter().any(|pair| pair == expected),
            "{expected}: {pairs:?}"
        );
    }
    // Each pair in every measure on two tasks, and the same answers differ by nothing.
    assert_eq!(found.task_contrasts.len(), 2 * MEASURES.len() * pairs.len());
    let same = found
        .task_contrasts
        .iter()
        .find(|of| of.contrast.arm == "rloo" && of.contrast.against == "grpo");
    assert_eq!(same.expect("there").contrast.difference.value, Some(0.0));
}

#[test]
fn every_arm_is_held_against_a_baseline_once() {
    let made = made();
    let with = |baseline| {
        compare(Input {
            baseline: Some(baseline),
            ..input(&made)
        })
    };
    let found = with("grpo").expect("compared");
    assert_eq!(
        pairs(&found),
        [
            "base - grpo",
            "sft - base",
            "sft - teacher",
            "sft - grpo",
            "teacher - grpo"
        ]
    );
    // A question keeps its sign.
    let found = with("sft").expect("compared");
    let collapse = contrast(&found, "sft", "teacher", Measure::Alignment);
    assert!(collapse.question.is_some());
    let refused = with("nobody").unwrap_err().to_string();
    assert!(
        refused.contains("`nobody` is no arm") && refused.contains("grpo"),
        "{refused}"
    );
}
