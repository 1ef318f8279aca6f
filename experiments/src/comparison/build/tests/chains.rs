//! An arm that started from another arm.

use super::made::Made;
use super::*;
use crate::manifest::{ArmCard, ArmRun};

/// The made-up experiment with an arm that goes on from `sft`.
fn chained() -> Made {
    let mut made = made();
    made.arms.push(ArmCard {
        name: "chain".into(),
        role: Role::Rl,
        base: Some("base".into()),
        init: Some("sft".into()),
        teacher: None,
    });
    let of_grpo = |model: &str| model == "grpo";
    let traces: Vec<_> = made
        .traces
        .iter()
        .filter(|t| of_grpo(&t.model))
        .cloned()
        .collect();
    made.traces.extend(traces.into_iter().map(|mut trace| {
        trace.model = "chain".into();
        trace
    }));
    let runs: Vec<_> = made
        .runs
        .iter()
        .filter(|r| of_grpo(&r.arm))
        .cloned()
        .collect();
    made.runs.extend(runs.into_iter().map(|run| ArmRun {
        arm: "chain".into(),
        init: Some("sft".into()),
        initial_weights: format!("sft{}", run.seed),
        final_weights: format!("chain{}", run.seed),
        ..run
    }));
    made
}

#[test]
fn a_chain_is_paired_by_the_weights_its_line_began_with() {
    let made = chained();
    let found = compare(input(&made)).unwrap();
    let broken = found.notes.iter().any(|note| note.contains("Not paired"));
    assert!(!broken, "{:#?}", found.notes);
    // Against the base and against what it started from.
    for against in ["base", "sft"] {
        contrast(&found, "chain", against, Measure::Alignment);
    }
}

#[test]
fn a_chain_costs_what_its_whole_line_cost_and_says_so() {
    let found = compare(input(&chained())).unwrap();
    let steps = |name: &str| {
        let arm = found.arms.iter().find(|arm| arm.name == name).unwrap();
        arm.budget.as_ref().unwrap().optimizer_steps
    };
    assert_eq!((steps("sft"), steps("chain")), (15, 30));
    let told = "chain goes on from sft: its budget holds what came before it; of 20 optimizer steps, 10 are its own (seed 1).";
    assert!(
        found.notes.iter().any(|note| note == told),
        "{:#?}",
        found.notes
    );
}

#[test]
fn a_link_that_does_not_fit_is_noted() {
    let mut made = chained();
    for run in &mut made.runs {
        if run.arm == "sft" && run.seed == 2 {
            run.final_weights = "others".into();
        }
    }
    let notes = compare(input(&made)).unwrap().notes;
    let told = "Not paired: chain of seed 2 did not start from the weights sft ended with.";
    assert!(notes.iter().any(|note| note == told), "{notes:#?}");
    let mut made = chained();
    made.runs
        .iter_mut()
        .filter(|r| r.arm == "sft")
        .for_each(|r| r.initial_weights = "w9".into());
    let notes = compare(input(&made)).unwrap().notes;
    let told = "sft, grpo, chain of seed 1 started from different weights";
    assert!(notes.iter().any(|note| note.contains(told)), "{notes:#?}");
}

#[test]
fn a_start_that_is_no_arm_is_refused_and_a_circle_ends() {
    let mut made = chained();
    made.arms.last_mut().unwrap().init = Some("nobody".into());
    let refused = compare(input(&made)).unwrap_err().to_string();
    assert!(refused.contains("names `nobody` as its start"), "{refused}");
    let mut made = chained();
    for run in made.runs.iter_mut().filter(|run| run.arm == "sft") {
        run.init = Some("chain".into());
    }
    assert!(compare(input(&made)).is_ok());
}

#[test]
fn budgets_as_large_as_numbers_go_are_compared_and_written() {
    let spent = |flops: f64, seconds: f64, tokens: u64| {
        let mut made = chained();
        for budget in made.runs.iter_mut().filter_map(|run| run.budget.as_mut()) {
            budget.flops = flops;
            budget.seconds = seconds;
            budget.trained_tokens = tokens;
            budget.generated_tokens = tokens;
        }
        // One arm's small, so that ratios are as large as they come.
        for run in made.runs.iter_mut().filter(|run| run.arm == "grpo") {
            run.budget.as_mut().unwrap().flops = 1e-300;
        }
        let found = compare(input(&made)).unwrap();
        let written = crate::tables::json::render(&found);
        assert!(written.is_ok(), "{flops} {seconds} {tokens}: {written:?}");
        found
    };
    let budget = |found: &Comparison, name: &str| {
        let arm = found.arms.iter().find(|arm| arm.name == name).unwrap();
        arm.budget.clone()
    };
    let found = spent(1e308, 1.0, 1);
    assert_eq!(budget(&found, "sft").map(|of| of.flops), Some(1e308));
    // Its line spent more than any number says.
    assert_eq!(budget(&found, "chain"), None);
    let found = spent(1.0, f64::MAX, 1);
    assert_eq!(budget(&found, "grpo").map(|of| of.seconds), Some(f64::MAX));
    let found = spent(1.0, 1.0, u64::MAX);
    assert_eq!(budget(&found, "chain"), None);
    assert!(budget(&found, "grpo").is_some());
}
