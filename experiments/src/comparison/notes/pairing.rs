//! Notes on what breaks the pairing of arms: weights, orders, seeds, items.

use std::collections::{BTreeMap, BTreeSet};

use super::named;
use crate::alignment::contrast::pair_seeds;
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::layout::{Layout, Profile, over_seeds, over_tasks};
use crate::comparison::build::Input;
use crate::comparison::chains::line;
use crate::comparison::contrasts::{base_of, planned};
use crate::comparison::fairness::{Condition, Flaw};
use crate::comparison::{Contrast, Measure};
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
pub(super) fn seeds(input: &Input<'_>, items: &Items, notes: &mut Vec<String>) {
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
        let (first, second) = (&items.models[arm], &items.models[against]);
        let paired = pair_seeds(first, second).map_or(0, |pairs| pairs.len());
        let most = first.len().max(second.len());
        if paired < most {
            notes.push(format!(
                "{arm} - {against} is taken over the {paired} seed(s) both have, of {most}."
            ));
        }
    }
    let most = items.most_seeds();
    if most <= 1 {
        notes.push(
            "One seed only: the intervals speak of items, not of another training run.".into(),
        );
    }
}

/// The same models without the items that one side lacks; `None` where both have the same.
fn shared(
    first: &[ModelItems],
    second: &[ModelItems],
    tasks: &[String],
) -> Option<(Vec<ModelItems>, Vec<ModelItems>, usize)> {
    let all: Vec<&ModelItems> = first.iter().chain(second).collect();
    let mut lost = BTreeSet::new();
    for task in tasks {
        let ids: BTreeSet<&String> = all.iter().flat_map(|m| m.task(task).keys()).collect();
        let has = |id: &&String| {
            all.iter().all(|m| {
                m.task(task)
                    .get(*id)
                    .is_some_and(|item| item.cost.is_some())
            })
        };
        lost.extend(
            ids.into_iter()
                .filter(|id| !has(id))
                .map(|id| (task.clone(), id.clone())),
        );
    }
    if lost.is_empty() {
        return None;
    }
    let without = |models: &[ModelItems]| -> Vec<ModelItems> {
        let mut models = models.to_vec();
        for model in &mut models {
            for (task, id) in &lost {
                model.tasks.get_mut(task).map(|items| items.remove(id));
            }
        }
        models
    };
    Some((without(first), without(second), lost.len()))
}

/// Difference in mean alignment over tasks and paired seeds, as a point.
fn alignment_difference(
    first: &[ModelItems],
    second: &[ModelItems],
    input: &Input<'_>,
) -> Option<f64> {
    let pairs = pair_seeds(first, second).ok()?;
    let all: Vec<&ModelItems> = first.iter().chain(second).collect();
    let layout = Layout::new(input.tasks, input.norms, &all);
    let side = |models: Vec<&ModelItems>| {
        let of = |model: &ModelItems| -> Vec<[Option<f64>; 4]> {
            let columns = layout.columns(model);
            (0..input.tasks.len())
                .map(|t| layout.measures(t, |_| 1.0, |i| &columns[t][i]))
                .collect()
        };
        let profile: Profile<4> = models.into_iter().map(of).collect();
        let tasks = over_seeds(&profile, &vec![1.0; profile.len()], &profile);
        over_tasks(&tasks, &tasks)[0]
    };
    Some(
        side(pairs.iter().map(|p| &first[p.0]).collect())?
            - side(pairs.iter().map(|p| &second[p.1]).collect())?,
    )
}

/// Contrasts of arms that do not have the same items.
pub(super) fn missing_items(
    input: &Input<'_>,
    items: &Items,
    contrasts: &[Contrast],
    notes: &mut Vec<String>,
) {
    let mut found = Vec::new();
    for contrast in contrasts.iter().filter(|c| c.measure == Measure::Alignment) {
        let (first, second) = (
            &items.models[&contrast.arm],
            &items.models[&contrast.against],
        );
        let Some((a, b, lost)) = shared(first, second, input.tasks) else {
            continue;
        };
        let words = |value: Option<f64>| value.map_or("undefined".into(), |v| format!("{v:+.3}"));
        found.push(format!(
            "{} - {} {} ({}, {lost} left out)",
            contrast.arm,
            contrast.against,
            words(alignment_difference(&a, &b, input)),
            words(contrast.difference.value),
        ));
    }
    if !found.is_empty() {
        notes.push(format!(
            "Some items lack an untruncated sample in one of two arms. Differences in alignment over the items both have \
             (and over each one's own): {}.",
            found.join("; ")
        ));
    }
}
