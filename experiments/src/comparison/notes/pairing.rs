//! Notes on what breaks the pairing of arms: weights, orders, seeds, items.

use std::collections::{BTreeMap, BTreeSet};

use super::named;
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::pairing::{Pairing, Tie};
use crate::comparison::build::Input;
use crate::comparison::chains::line;
use crate::comparison::contrasts::{base_of, planned};
use crate::comparison::fairness::{Condition, Flaw};
use crate::comparison::trained::Trained;
use crate::manifest::{ArmRun, Role};

/// The trainings of one seed from one base.
fn groups<'a>(input: &'a Input<'_>) -> BTreeMap<(u64, Option<&'a str>), Vec<&'a ArmRun>> {
    let trained = |run: &&ArmRun| {
        input
            .arms
            .iter()
            .any(|arm| arm.name == run.arm && matches!(arm.role, Role::Student | Role::Rl))
    };
    let mut groups: BTreeMap<(u64, Option<&str>), Vec<&ArmRun>> = BTreeMap::new();
    for run in input.arm_runs.iter().filter(trained) {
        let base = input
            .arms
            .iter()
            .find(|arm| arm.name == run.arm)
            .and_then(|arm| base_of(arm, input.arms));
        groups.entry((run.seed, base)).or_default().push(run);
    }
    groups
}

fn names(runs: &[&ArmRun]) -> Vec<String> {
    runs.iter().map(|run| run.arm.clone()).collect()
}

/// Trained arms of one seed must share initial weights. Of a chain the weights
/// count that its first arm started from.
pub(in crate::comparison) fn weight_flaws(input: &Input<'_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for ((seed, base), runs) in groups(input) {
        let mut arms = names(&runs);
        let initial: BTreeSet<&String> = runs
            .iter()
            .filter_map(|run| Some(&line(run, input.arm_runs).pop()?.initial_weights))
            .collect();
        let of_base = input
            .arm_runs
            .iter()
            .find(|run| Some(run.arm.as_str()) == base && run.seed == seed);
        let found = if initial.len() > 1 {
            format!(
                "the arms {} of seed {seed} started from different weights",
                named(&arms)
            )
        } else if of_base.is_some_and(|run| !initial.contains(&run.final_weights)) {
            let found = format!(
                "the arms {} of seed {seed} did not start from the weights of {}",
                named(&arms),
                base.unwrap_or_default()
            );
            arms.extend(base.map(str::to_owned));
            found
        } else {
            continue;
        };
        flaws.push(Flaw::of(Condition::BaseWeights, arms, found));
    }
    flaws
}

/// Trained arms of one seed that train on problems must meet them in one order.
pub(in crate::comparison) fn order_flaws(input: &Input<'_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for ((seed, _), runs) in groups(input) {
        let ordered: Vec<&ArmRun> = runs
            .into_iter()
            .filter(|run| run.problem_order.is_some())
            .collect();
        let orders: BTreeSet<&String> = ordered
            .iter()
            .filter_map(|run| run.problem_order.as_ref())
            .collect();
        if orders.len() > 1 {
            let arms = names(&ordered);
            let found = format!(
                "the arms of seed {seed} that train on problems met them in different orders ({})",
                named(&arms)
            );
            flaws.push(Flaw::of(Condition::ProblemOrder, arms, found));
        }
    }
    flaws
}

/// The flaws of pairing as notes.
pub(super) fn weights(input: &Input<'_>, notes: &mut Vec<String>) {
    let flaws = weight_flaws(input).into_iter().chain(order_flaws(input));
    notes.extend(flaws.map(|flaw| format!("Not paired: {}.", flaw.found)));
}

/// Seeds that are missing, unpaired or alone.
pub(super) fn seeds(
    input: &Input<'_>,
    items: &Items,
    trained: &Trained<'_, '_>,
    notes: &mut Vec<String>,
) {
    for (name, models) in &items.models {
        let have: BTreeSet<u64> = models.iter().filter_map(|m| m.seed).collect();
        let trained = input
            .arms
            .iter()
            .any(|a| a.name == *name && matches!(a.role, Role::Student | Role::Rl));
        let missing: Vec<String> = input
            .seeds
            .iter()
            .filter(|s| !have.contains(s))
            .map(u64::to_string)
            .collect();
        if trained && !have.is_empty() && !missing.is_empty() {
            notes.push(format!(
                "{name} has no record of seed {}.",
                missing.join(", ")
            ));
        }
    }
    for (arm, against, _) in planned(input) {
        let most = trained.of(arm).len().max(trained.of(against).len());
        match (trained.pairing([arm, against]), trained.tie([arm, against])) {
            (Pairing::Apart([_, second]), _) => notes.push(format!(
                "{arm} - {against} is a difference of means: {against} has {} of its own, and {}.",
                super::counted(second.len(), "training"),
                if second.len() == 1 {
                    format!("the difference is for this {against} alone")
                } else {
                    "its variance between trainings is added".to_owned()
                }
            )),
            (Pairing::Pairs(units), Tie::Seed) => {
                let paired = units.concat().len();
                if paired < most {
                    notes.push(format!(
                        "{arm} - {against} is taken over the {paired} seed(s) both have, of {most}."
                    ));
                }
            }
            (Pairing::Pairs(units), _) => notes.push(format!(
                "{arm} - {against} is the mean over {} of the differences of each from its own students.",
                super::counted(units.len(), "teacher")
            )),
        }
    }
    let most = items.most_seeds();
    match most {
        0 | 1 => notes.push(
            "One seed only: every interval is for these trainings alone, not for another training run."
                .into(),
        ),
        2 => notes.push(
            "Two seeds cannot decide: how far trainings differ is known from two of them alone, and where they do \
             differ the 95 % intervals cover in 87 to 93 % (METHODOLOGY.md). Five seeds or more mend that; add them with --seeds."
                .into(),
        ),
        _ => {}
    }
}

/// Contrasts of arms that do not have the same items.
pub(super) fn missing_items(input: &Input<'_>, items: &Items, notes: &mut Vec<String>) {
    let mut found = Vec::new();
    for (arm, against, _) in planned(input) {
        let lost = unshared(&items.models[arm], &items.models[against], input.tasks);
        if lost > 0 {
            found.push(format!("{arm} - {against} ({lost})"));
        }
    }
    if !found.is_empty() {
        notes.push(format!(
            "Each arm's figures are over its own items. Contrasts of arms that do not have the same ones mix in the \
             items (how many one of the two lacks): {}.",
            found.join(", ")
        ));
    }
}

/// Items with a sample that counts in one of the models and not in all.
fn unshared(first: &[ModelItems], second: &[ModelItems], tasks: &[String]) -> usize {
    let all: Vec<&ModelItems> = first.iter().chain(second).collect();
    let of_task = |task: &String| {
        let ids: BTreeSet<&String> = all.iter().flat_map(|m| m.task(task).keys()).collect();
        let has = |id: &&String| {
            let counts = |m: &&ModelItems| m.task(task).get(*id).is_some_and(|i| i.cost.is_some());
            all.iter().all(counts)
        };
        ids.into_iter().filter(|id| !has(id)).count()
    };
    tasks.iter().map(of_task).sum()
}
