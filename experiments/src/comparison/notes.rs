//! What a reader must know before believing the table: broken pairing, weights
//! that did not move, trainings that could not teach, missing items,
//! truncation, too few tasks or seeds.
//!
//! A note never changes a figure.

mod grades;
pub(super) mod pairing;
pub(super) mod training;

use std::collections::BTreeSet;

use super::build::Input;
use super::contrasts::{base_of, planned};
use super::trained::Trained;
use super::{ArmFigures, chains, teachers};
use crate::alignment::cost::{CutOff, Items};
use crate::manifest::Role;

pub(super) use training::ALIKE_SHARE;

/// Share of truncated samples above which an arm is named, in its evaluation
/// and in its training.
pub(super) const TRUNCATED_SHARE: f64 = 0.1;

/// Fewest tasks for a figure across tasks to be more than a demonstration.
const FEWEST_TASKS: usize = 4;

/// Names shown before "and N more".
const NAMES: usize = 5;

pub(super) fn named<T: AsRef<str>>(names: &[T]) -> String {
    let shown: Vec<&str> = names.iter().take(NAMES).map(AsRef::as_ref).collect();
    match names.len().saturating_sub(NAMES) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A number of things, in the singular or the plural.
pub(super) fn counted(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// All notes, the gravest first.
pub(super) fn notes(
    input: &Input<'_>,
    items: &Items,
    arms: &[ArmFigures],
    trained: &Trained<'_, '_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    pairing::weights(input, &mut notes);
    training::unmoved(input, &mut notes);
    chains::notes(input.arm_runs, &mut notes);
    pairing::seeds(input, items, trained, &mut notes);
    teachers::notes(arms, trained, &mut notes);
    truncation(arms, input.counting.cut_off, &mut notes);
    training::lessons(input, &mut notes);
    training::transfer(arms, &mut notes);
    pairing::missing_items(input, items, &mut notes);
    norms(input, items, &mut notes);
    records(input, items, &mut notes);
    undefined(input, arms, &mut notes);
    let times = |arm: &ArmFigures| arm.tasks.iter().any(|task| task.timed > 0);
    if input.tasks.len() < FEWEST_TASKS && arms.iter().any(times) {
        notes.push(format!(
            "{} task(s): a figure across tasks is demonstrative below {FEWEST_TASKS}.",
            input.tasks.len()
        ));
    }
    if input.counting.only_correct {
        notes.push("Cost and tokens are taken over right samples alone.".into());
    }
    notes
}

fn truncation(arms: &[ArmFigures], cut_off: CutOff, notes: &mut Vec<String>) {
    for arm in arms {
        let share = arm.truncated as f64 / arm.samples.max(1) as f64;
        if share > TRUNCATED_SHARE {
            notes.push(format!(
                "{:.0} % of {}'s samples hit the token cap; {}.",
                100.0 * share,
                arm.name,
                match cut_off {
                    CutOff::Cap => "they count with the tokens they had, so what it would have spent is not known",
                    CutOff::Drop => "they are left out of cost and tokens, which bends every correlation towards 0",
                }
            ));
        }
    }
}

fn norms(input: &Input<'_>, items: &Items, notes: &mut Vec<String>) {
    let (mut without, mut untimed, mut no_ceiling) = (Vec::new(), Vec::new(), Vec::new());
    for task in input.tasks {
        let models = items.models.values().flatten();
        let ids: BTreeSet<&String> = models.flat_map(|m| m.task(task).keys()).collect();
        let known = input.norms.items(task);
        let has_time = |id: &&&String| input.norms.human_cost(task, id).is_some();
        let timed = ids.iter().any(|id| has_time(&id));
        if timed {
            let lacks = ids.iter().filter(|id| !has_time(id));
            without.extend(lacks.map(|id| format!("{task}/{id}")));
        } else {
            untimed.push(task.as_str());
        }
        let unseen: Vec<&String> = known
            .iter()
            .map(|item| &item.item_id)
            .filter(|id| !ids.contains(id))
            .collect();
        if !unseen.is_empty() {
            notes.push(format!(
                "{} item(s) of {task}{} were not evaluated: {}.",
                unseen.len(),
                if timed { " with a human time" } else { "" },
                named(&unseen)
            ));
        }
        if timed && input.norms.ceiling(task).is_none() {
            no_ceiling.push(task.as_str());
        }
    }
    let all = untimed.len() == input.tasks.len();
    for (tasks, lead, end) in [
        (
            untimed,
            "No human times",
            if all {
                "alignment is undefined, and nothing here shows it"
            } else {
                "alignment there is undefined, and means of it are over the other tasks"
            },
        ),
        (
            no_ceiling,
            "No noise ceiling",
            "it is not computable without trials",
        ),
    ] {
        if !tasks.is_empty() {
            notes.push(format!("{lead} for {}: {end}.", tasks.join(", ")));
        }
    }
    if !without.is_empty() {
        notes.push(format!(
            "{} evaluated item(s) have no human time and are in no alignment: {}.",
            without.len(),
            named(&without)
        ));
    }
}

fn records(input: &Input<'_>, items: &Items, notes: &mut Vec<String>) {
    if items.duplicates > 0 {
        notes.push(format!(
            "{} record(s) repeat the model, seed, task, item and sample of an earlier one and are left out.",
            items.duplicates
        ));
    }
    let mut others = BTreeSet::new();
    for trace in input.traces {
        if input.arms.iter().all(|arm| arm.name != trace.model) {
            others.insert(trace.model.as_str());
        } else if !input.tasks.contains(&trace.task) {
            others.insert(trace.task.as_str());
        }
    }
    if !others.is_empty() {
        notes.push(format!(
            "Records of models or tasks that are not compared are left out: {}.",
            named(&Vec::from_iter(others))
        ));
    }
    grades::grades(input, items, notes);
    let wanted = input.evaluation.samples as usize;
    let mut uneven = Vec::new();
    for (model, seeds) in &items.models {
        let all = seeds
            .iter()
            .flat_map(|m| m.tasks.values())
            .flat_map(|t| t.values());
        let other = all.filter(|item| item.samples != wanted).count();
        if other > 0 {
            uneven.push(format!("{other} of {model}"));
        }
    }
    if !uneven.is_empty() {
        notes.push(format!(
            "Items with another number of samples than the {wanted} of the evaluation: {}.",
            uneven.join(", ")
        ));
    }
}

/// Alignments averaged over other tasks than those of the arm they are held against.
fn undefined(input: &Input<'_>, arms: &[ArmFigures], notes: &mut Vec<String>) {
    let defined = |name: &str| -> BTreeSet<&str> {
        let tasks = arms
            .iter()
            .filter(|arm| arm.name == name)
            .flat_map(|arm| &arm.tasks);
        tasks
            .filter(|task| task.alignment.value.is_some())
            .map(|task| task.task.as_str())
            .collect()
    };
    for (arm, against, _) in planned(input) {
        let (first, second) = (defined(arm), defined(against));
        if first != second && !first.is_empty() && !second.is_empty() {
            let only: Vec<&str> = first.symmetric_difference(&second).copied().collect();
            notes.push(format!(
                "{arm} - {against} in r is taken without {}, where r is defined for one of them alone.",
                named(&only)
            ));
        }
    }
    let unrelated = |arm: &&crate::manifest::ArmCard| {
        matches!(arm.role, Role::Student | Role::Rl) && base_of(arm, input.arms).is_none()
    };
    for arm in input.arms.iter().filter(unrelated) {
        notes.push(format!(
            "{} names no base, so no contrast with one is taken.",
            arm.name
        ));
    }
}
