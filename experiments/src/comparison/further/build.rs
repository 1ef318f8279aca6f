//! Computes the figures beside the table, with their intervals.

mod levels;
mod pairs;

use super::{Further, FurtherArm, PairedAnswers, SimilarityTable, TaskIndex};
use crate::alignment::contrast::pair_seeds;
use crate::alignment::cost::{Items, ModelItems, pooled};
use crate::alignment::layout::{Columns, Layout};
use crate::alignment::{accuracy, allocation, cross_task, fingerprint, iei};
use crate::comparison::Estimate;
use crate::comparison::arms::estimate;
use crate::comparison::build::Input;
use crate::comparison::contrasts::{base_of, planned};
use crate::manifest::Role;
use crate::statistics::Undefined;
use crate::statistics::bootstrap::{Drawn, Resample, bootstrap};
use crate::statistics::correlation::{Z95, fisher_interval};
use crate::statistics::interval::half_width;
use pairs::{inflation_of, surface};

/// Everything beside the table.
pub(in crate::comparison) fn further(input: &Input<'_>, items: &Items) -> Further {
    let models: Vec<(&str, ModelItems)> = input
        .arms
        .iter()
        .map(|arm| (arm.name.as_str(), pooled(&items.models[&arm.name])))
        .collect();
    let of = |name: &str| {
        models
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, model)| model)
    };
    let trained = input
        .arms
        .iter()
        .filter(|arm| matches!(arm.role, Role::Student | Role::Rl));
    let from_base = trained.filter_map(|arm| {
        let base = base_of(arm, input.arms)?;
        Some(inflation_of(
            input,
            (&arm.name, of(&arm.name)?),
            (base, of(base)?),
        ))
    });
    let students = input.arms.iter().filter(|arm| arm.role == Role::Student);
    let from_teacher = students.filter_map(|arm| {
        let teacher = arm.teacher.as_deref()?;
        Some(surface(
            input,
            (&arm.name, of(&arm.name)?),
            (teacher, of(teacher)?),
        ))
    });
    let named: Vec<(&str, &ModelItems)> =
        models.iter().map(|(name, model)| (*name, model)).collect();
    Further {
        arms: named
            .iter()
            .map(|(name, model)| of_arm(input, name, model))
            .collect(),
        inflation: from_base.collect(),
        surface: from_teacher.collect(),
        paired: planned(input)
            .iter()
            .map(|(arm, against, _)| paired(input, items, arm, against))
            .collect(),
        similarity: similarity(input, &named),
        effort: levels::effort(input, &named),
    }
}

fn words(value: Result<f64, Undefined>) -> Result<f64, String> {
    value.map_err(|why| why.to_string())
}

/// Draws of a statistic of items by task, resampled jointly.
fn draws<T: Send>(
    input: &Input<'_>,
    sizes: &[usize],
    of: impl Fn(&Resample) -> T + Sync,
) -> Drawn<T> {
    bootstrap(input.draws, input.seed, "bootstrap", 1, sizes, of)
}

/// A figure of `n` items with the interval of its draws, `half` its half-width.
fn drawn<T>(
    value: Result<f64, Undefined>,
    draws: &Drawn<T>,
    figure: impl Fn(&T) -> Option<f64>,
    n: usize,
    half: f64,
) -> Estimate {
    let interval = value
        .as_ref()
        .ok()
        .and_then(|&value| draws.interval(value, half, figure));
    estimate(words(value), interval, n)
}

/// Inverse efficiency index of a task under a draw.
fn drawn_iei(layout: &Layout, columns: &Columns, draw: &Resample, task: usize) -> Option<f64> {
    let [_, accuracy, _, tokens] =
        layout.measures(task, |i| draw.items[task][i], |i| &columns[task][i]);
    accuracy
        .filter(|share| *share > 0.0)
        .and_then(|share| Some(tokens? / share))
}

fn of_arm(input: &Input<'_>, name: &str, model: &ModelItems) -> FurtherArm {
    let found = cross_task::cross_task(model, input.tasks, input.norms, input.seed);
    let tasks = input
        .tasks
        .iter()
        .filter(|task| !model.task(task).is_empty())
        .count();
    let cross_task = match &found {
        Ok(c) => estimate(Ok(c.mean), Some((c.low, c.high)), c.tasks),
        Err(why) => estimate(Err(why.to_string()), None, tasks),
    };
    let layout = Layout::new(input.tasks, input.norms, &[model]);
    let (columns, sizes) = (layout.columns(model), layout.sizes());
    let indices = draws(input, &sizes, |draw| -> Vec<Option<f64>> {
        (0..sizes.len())
            .map(|task| drawn_iei(&layout, &columns, draw, task))
            .collect()
    });
    let index = |(at, task): (usize, &String)| TaskIndex {
        task: task.clone(),
        value: drawn(
            iei::iei(model.task(task)),
            &indices,
            |d| d[at],
            sizes[at],
            half_width(sizes[at], 2),
        ),
    };
    FurtherArm {
        name: name.into(),
        cross_task,
        demonstrative: found.map_or(tasks, |c| c.tasks) < cross_task::FEWEST_TASKS,
        allocation: allocation_of(input, model),
        iei: input.tasks.iter().enumerate().map(index).collect(),
    }
}

fn allocation_of(input: &Input<'_>, model: &ModelItems) -> Estimate {
    let by_task = allocation::differences(model, input.tasks);
    let all = by_task.concat();
    let value = allocation::cohens_d(&all);
    let sizes: Vec<usize> = by_task.iter().map(Vec::len).collect();
    if value.is_err() {
        return estimate(words(value), None, all.len());
    }
    let repeated = draws(input, &sizes, |draw| {
        let weights = draw.items.iter().flatten();
        let repeated = all
            .iter()
            .zip(weights)
            .flat_map(|(d, w)| std::iter::repeat_n(*d, *w as usize));
        allocation::cohens_d(&repeated.collect::<Vec<_>>()).ok()
    });
    drawn(
        value,
        &repeated,
        |d| *d,
        all.len(),
        half_width(all.len(), 2),
    )
}

fn paired(input: &Input<'_>, items: &Items, arm: &str, against: &str) -> PairedAnswers {
    let (first, second) = (&items.models[arm], &items.models[against]);
    // Answers are paired within a seed; the clustered difference is over items, seeds together.
    let pairs = pair_seeds(first, second).unwrap_or_default();
    let seeds = pairs.iter().flat_map(|&(a, b)| {
        input
            .tasks
            .iter()
            .map(move |task| (first[a].task(task), second[b].task(task)))
    });
    let answers = accuracy::paired(seeds);
    let of = |at: &dyn Fn(&(usize, usize)) -> ModelItems| {
        pooled(&pairs.iter().map(at).collect::<Vec<_>>())
    };
    let (a, b) = (of(&|p| first[p.0].clone()), of(&|p| second[p.1].clone()));
    let over_items = accuracy::paired(input.tasks.iter().map(|task| (a.task(task), b.task(task))));
    let shared = |task: &String| {
        a.task(task)
            .iter()
            .filter(|(id, item)| {
                item.graded > 0 && b.task(task).get(*id).is_some_and(|o| o.graded > 0)
            })
            .count()
    };
    let clustered = over_items.clustered.map(|(difference, error)| {
        (
            difference,
            (difference - Z95 * error, difference + Z95 * error),
        )
    });
    PairedAnswers {
        arm: arm.into(),
        against: against.into(),
        only_arm: answers.only_first,
        only_against: answers.only_second,
        pairs: answers.pairs,
        mcnemar_p: (answers.pairs > 0).then_some(answers.p),
        clustered: estimate(
            clustered
                .map(|c| c.0)
                .ok_or_else(|| "fewer than 2 shared graded items".into()),
            clustered.map(|c| c.1),
            input.tasks.iter().map(shared).sum(),
        ),
    }
}

fn similarity(input: &Input<'_>, models: &[(&str, &ModelItems)]) -> SimilarityTable {
    let found = fingerprint::similarity(models, input.tasks, input.norms);
    let items = found.items;
    let cell = |r: Result<f64, Undefined>| {
        let interval = r.as_ref().ok().and_then(|&r| fisher_interval(r, items));
        Estimate {
            why_undefined: r.as_ref().err().map(ToString::to_string),
            ..estimate(words(r), interval, items)
        }
    };
    SimilarityTable {
        names: found.names,
        items,
        matrix: found
            .matrix
            .into_iter()
            .map(|row| row.into_iter().map(cell).collect())
            .collect(),
    }
}
