//! Notes on trainings that could not teach what they were meant to: weights
//! that did not move, updates without effect, completions without a lesson.

use super::TRUNCATED_SHARE;
use crate::comparison::ArmFigures;
use crate::comparison::build::Input;
use crate::comparison::training::TrainingLog;
use crate::manifest::{ArmRun, Role};

/// Share of updates with nothing to train above which an arm is named: fewer
/// are the ordinary luck of small batches.
const EMPTY_SHARE: f64 = 0.1;

/// Share of groups that are all alike above which an arm is named: beyond it,
/// most of what was sampled held no comparison.
pub(in crate::comparison) const ALIKE_SHARE: f64 = 0.5;

/// Arm and seed of the trained models that ended where they began.
fn unmoved_weights(input: &Input<'_>) -> Vec<(String, u64)> {
    let trained = |run: &&ArmRun| {
        let arm = input.arms.iter().find(|arm| arm.name == run.arm);
        run.budget.is_some() || arm.is_some_and(|arm| matches!(arm.role, Role::Student | Role::Rl))
    };
    let alike = |run: &&ArmRun| run.initial_weights == run.final_weights;
    let runs = input.arm_runs.iter().filter(trained).filter(alike);
    runs.map(|run| (run.arm.clone(), run.seed)).collect()
}

/// The logs in which no update moved a weight, but for those told by their
/// weights. The weights of an adapter have another hash than the base from the start.
fn unmoved_logs<'a>(input: &Input<'a>, told: &[(String, u64)]) -> Vec<&'a TrainingLog> {
    let still = |log: &&TrainingLog| {
        let told = told
            .iter()
            .any(|(arm, seed)| (arm, seed) == (&log.arm, &log.seed));
        log.updates > 0 && log.moved == 0 && !told
    };
    input.training.iter().filter(still).collect()
}

/// Arm and seed of every training that learned nothing.
pub(in crate::comparison) fn unmoved_arms(input: &Input<'_>) -> Vec<(String, u64)> {
    let mut all = unmoved_weights(input);
    let logs = unmoved_logs(input, &all);
    all.extend(logs.into_iter().map(|log| (log.arm.clone(), log.seed)));
    all
}

/// Trainings that learned nothing.
pub(super) fn unmoved(input: &Input<'_>, notes: &mut Vec<String>) {
    let alike = unmoved_weights(input);
    for (arm, seed) in &alike {
        notes.push(format!(
            "{arm} of seed {seed} ended with the weights it started from: it learned nothing."
        ));
    }
    for log in unmoved_logs(input, &alike) {
        notes.push(format!(
            "Not one of the {} updates of {} of seed {} moved a weight: it learned nothing.",
            log.updates, log.arm, log.seed
        ));
    }
}

/// Mean share of an arm's groups that were all alike; `None` where it had none.
pub(in crate::comparison) fn alike(input: &Input<'_>, arm: &str) -> Option<f64> {
    let logs: Vec<&TrainingLog> = input.training.iter().filter(|log| log.arm == arm).collect();
    mean(&logs, |log| log.alike)
}

/// Arms that did not learn from every task that they are judged on, those of the same tasks in one
/// note.
pub(super) fn transfer(arms: &[ArmFigures], notes: &mut Vec<String>) {
    let mut told: Vec<&[String]> = Vec::new();
    for arm in arms {
        let learned = arm.trained_on.as_slice();
        let beyond: Vec<&str> = (arm.tasks.iter())
            .map(|of| of.task.as_str())
            .filter(|task| learned.iter().all(|known| known != task))
            .collect();
        if learned.is_empty() || beyond.is_empty() || told.contains(&learned) {
            continue;
        }
        told.push(learned);
        let same = arms.iter().filter(|other| other.trained_on == learned);
        let same: Vec<&str> = same.map(|other| other.name.as_str()).collect();
        notes.push(format!(
            "{} learned from {} alone; {} {} transfer.",
            same.join(", "),
            learned.join(", "),
            beyond.join(", "),
            if beyond.len() == 1 { "is" } else { "are" }
        ));
    }
}

/// Updates and completions that taught nothing, an arm at a time.
pub(super) fn lessons(input: &Input<'_>, notes: &mut Vec<String>) {
    for arm in input.arms {
        let logs: Vec<&TrainingLog> = input
            .training
            .iter()
            .filter(|log| log.arm == arm.name)
            .collect();
        let name = &arm.name;
        let sum = |of: fn(&TrainingLog) -> u64| logs.iter().map(|log| of(log)).sum::<u64>();
        let updates = sum(|log| log.updates);
        let skipped = sum(|log| log.skipped);
        if skipped > 0 {
            notes.push(format!(
                "{skipped} of {name}'s {updates} updates were skipped because loss or gradient was not finite{}.",
                by_seed(&logs, |log| (log.skipped > 0).then(|| log.skipped.to_string()))
            ));
        }
        let empty = sum(|log| log.empty);
        if empty as f64 > EMPTY_SHARE * updates as f64 {
            notes.push(format!(
                "{empty} of {name}'s {updates} updates had nothing to train{}: no completion of theirs differed from its \
                 group, or all were masked.",
                by_seed(&logs, |log| (log.empty > 0).then(|| log.empty.to_string()))
            ));
        }
        if let Some(share) = mean(&logs, |log| log.truncated).filter(|s| *s > TRUNCATED_SHARE) {
            notes.push(format!(
                "The token cap cut off {} of the completions that {name} sampled in training{}: what would have followed \
                 was never rewarded.",
                percent(share),
                by_seed(&logs, |log| log.truncated.map(percent))
            ));
        }
        if let Some(share) = mean(&logs, |log| log.alike).filter(|s| *s > ALIKE_SHARE) {
            notes.push(format!(
                "In {} of the groups that {name} sampled in training all completions earned the same{}: comparing them \
                 teaches nothing.",
                percent(share),
                by_seed(&logs, |log| log.alike.map(percent))
            ));
        }
    }
}

fn mean(logs: &[&TrainingLog], of: fn(&TrainingLog) -> Option<f64>) -> Option<f64> {
    crate::statistics::mean(&logs.iter().filter_map(|log| of(log)).collect::<Vec<f64>>())
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// ` (seed 1: 4, seed 2: 0)`; nothing where there is one seed alone.
fn by_seed(logs: &[&TrainingLog], of: impl Fn(&TrainingLog) -> Option<String>) -> String {
    if logs.len() < 2 {
        return String::new();
    }
    let seeds: Vec<String> = logs
        .iter()
        .filter_map(|log| Some(format!("seed {}: {}", log.seed, of(log)?)))
        .collect();
    format!(" ({})", seeds.join(", "))
}
