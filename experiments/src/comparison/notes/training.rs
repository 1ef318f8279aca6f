//! Notes on trainings that could not teach what they were meant to: weights
//! that did not move, updates without effect, completions without a lesson.

use super::TRUNCATED_SHARE;
use crate::comparison::build::Input;
use crate::comparison::training::TrainingLog;
use crate::manifest::{ArmRun, Role};

/// Share of updates with nothing to train above which an arm is named: fewer
/// are the ordinary luck of small batches.
const EMPTY_SHARE: f64 = 0.1;

/// Share of groups that are all alike above which an arm is named: beyond it,
/// most of what was sampled held no comparison.
const ALIKE_SHARE: f64 = 0.5;

/// Trained models that ended where they began.
pub(super) fn unmoved(input: &Input<'_>, notes: &mut Vec<String>) {
    let trained = |run: &&ArmRun| {
        let arm = input.arms.iter().find(|arm| arm.name == run.arm);
        run.budget.is_some() || arm.is_some_and(|arm| matches!(arm.role, Role::Student | Role::Rl))
    };
    let mut alike = Vec::new();
    for run in input.arm_runs.iter().filter(trained) {
        if run.initial_weights == run.final_weights {
            alike.push((run.arm.as_str(), run.seed));
            notes.push(format!(
                "{} of seed {} ended with the weights it started from: it learned nothing.",
                run.arm, run.seed
            ));
        }
    }
    // The weights of an adapter have another hash than the base from the start.
    for log in input.training {
        let told = alike.contains(&(log.arm.as_str(), log.seed));
        if log.updates > 0 && log.moved == 0 && !told {
            notes.push(format!(
                "Not one of the {} updates of {} of seed {} moved a weight: it learned nothing.",
                log.updates, log.arm, log.seed
            ));
        }
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
