//! Chains: arms that started from what another arm of the same seed ended with.
//!
//! What an arm cost is what its whole line cost, and what pairs it with the
//! others is the weights that its line began with.

use super::fairness::{Condition, Flaw};
use crate::manifest::{ArmRun, Budget};
use crate::statistics;

/// A run and those it descends from, itself first. A circle, which no run of
/// the lab has, ends where it closes.
pub(super) fn line<'a>(run: &'a ArmRun, runs: &'a [ArmRun]) -> Vec<&'a ArmRun> {
    let mut line = vec![run];
    let mut at = run;
    while let Some(init) = &at.init {
        let before = runs.iter().find(|r| r.arm == *init && r.seed == at.seed);
        match before.filter(|before| line.iter().all(|known| known.arm != before.arm)) {
            Some(before) => {
                line.push(before);
                at = before;
            }
            None => break,
        }
    }
    line
}

/// The larger of what was recorded.
fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    a.into_iter().chain(b).reduce(f64::max)
}

/// What a run and those it descends from spent together; `None` where one of
/// them was not measured, and where no number is as large as their sum.
pub(super) fn spent(run: &ArmRun, runs: &[ArmRun]) -> Option<Budget> {
    line(run, runs)
        .into_iter()
        .try_fold(Budget::default(), |sum, run| {
            let own = run.budget.as_ref()?;
            let finite = |sum: f64| Some(sum).filter(|sum| sum.is_finite());
            Some(Budget {
                optimizer_steps: sum.optimizer_steps.checked_add(own.optimizer_steps)?,
                trained_tokens: sum.trained_tokens.checked_add(own.trained_tokens)?,
                generated_tokens: sum.generated_tokens.checked_add(own.generated_tokens)?,
                flops: finite(sum.flops + own.flops)?,
                seconds: finite(sum.seconds + own.seconds)?,
                peak_memory: larger(sum.peak_memory, own.peak_memory),
            })
        })
}

/// The mean of what several trainings spent, of memory the most; `None` of none.
pub(super) fn mean(spent: &[Budget]) -> Option<Budget> {
    let of =
        |value: fn(&Budget) -> f64| statistics::mean(&spent.iter().map(value).collect::<Vec<_>>());
    Some(Budget {
        optimizer_steps: of(|b| b.optimizer_steps as f64)?.round() as u64,
        trained_tokens: of(|b| b.trained_tokens as f64)?.round() as u64,
        generated_tokens: of(|b| b.generated_tokens as f64)?.round() as u64,
        flops: of(|b| b.flops)?,
        seconds: of(|b| b.seconds)?,
        peak_memory: spent.iter().filter_map(|b| b.peak_memory).reduce(f64::max),
    })
}

/// The tasks that an arm learned from, itself or by what it started from, in all its seeds; none
/// where one of these runs does not say.
pub(super) fn trained_on(name: &str, runs: &[ArmRun]) -> Vec<String> {
    let mut tasks: Vec<String> = Vec::new();
    let own = runs.iter().filter(|run| run.arm == name);
    for run in own.flat_map(|run| line(run, runs)) {
        if run.trained_on.is_empty() {
            return Vec::new();
        }
        for task in &run.trained_on {
            if !tasks.contains(task) {
                tasks.push(task.clone());
            }
        }
    }
    tasks
}

/// Links that do not fit.
pub(super) fn flaws(runs: &[ArmRun]) -> Vec<Flaw> {
    let misfit = |run: &&ArmRun| {
        run.init.as_ref().is_some_and(|init| {
            let before = runs.iter().find(|r| r.arm == *init && r.seed == run.seed);
            before.is_none_or(|before| before.final_weights != run.initial_weights)
        })
    };
    let flaw = |run: &ArmRun| {
        let init = run.init.clone().unwrap_or_default();
        let found = format!(
            "{} of seed {} did not start from the weights {init} ended with",
            run.arm, run.seed
        );
        Flaw::of(Condition::BaseWeights, vec![run.arm.clone(), init], found)
    };
    runs.iter().filter(misfit).map(flaw).collect()
}

/// Notes on what a chain's figures hold: a link that does not fit, and the
/// other arm's budget.
pub(super) fn notes(runs: &[ArmRun], notes: &mut Vec<String>) {
    let misfits = flaws(runs).into_iter();
    notes.extend(misfits.map(|flaw| format!("Not paired: {}.", flaw.found)));
    let mut told: Vec<&str> = Vec::new();
    for run in runs {
        let Some(init) = &run.init else { continue };
        if told.contains(&run.arm.as_str()) {
            continue;
        }
        told.push(&run.arm);
        if let (Some(own), Some(all)) = (&run.budget, spent(run, runs)) {
            notes.push(format!(
                "{} goes on from {init}: its budget holds what came before it; of {} optimizer steps, {} are its own (seed {}).",
                run.arm, all.optimizer_steps, own.optimizer_steps, run.seed
            ));
        }
    }
}
