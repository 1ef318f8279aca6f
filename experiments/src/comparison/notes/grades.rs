//! Notes on samples without a grade: how many, and what they would change.

use std::collections::BTreeMap;

use crate::alignment::cost::{ItemMeans, Items, ModelItems, TaskItems};
use crate::comparison::build::Input;
use crate::statistics::mean;

/// Right and graded samples.
fn graded(items: &TaskItems) -> (usize, usize) {
    let sum = |of: fn(&ItemMeans) -> usize| items.values().map(of).sum();
    (sum(|item| item.right), sum(|item| item.graded))
}

/// Samples that are neither truncated nor graded.
fn ungraded(items: &TaskItems) -> usize {
    let of = items.values();
    of.map(|i| i.samples - i.truncated - i.graded).sum()
}

/// Mean over tasks of the mean over seeds of the share of right samples, with
/// the ungraded of a task that has grades as wrong, or without them.
fn accuracy(models: &[ModelItems], tasks: &[String], as_wrong: bool) -> Option<f64> {
    let of_task = |task: &String| {
        let seeds = models.iter().map(|m| m.task(task));
        let shares = seeds.filter_map(|items| {
            let (right, graded) = graded(items);
            let n = graded + if as_wrong { ungraded(items) } else { 0 };
            (graded > 0).then(|| right as f64 / n as f64)
        });
        mean(&shares.collect::<Vec<_>>())
    };
    mean(&tasks.iter().filter_map(of_task).collect::<Vec<_>>())
}

/// One note over all arms for what was not graded among what was, and one for
/// tasks that graded nothing: there a null grade says nothing of the answer.
pub(super) fn grades(input: &Input<'_>, items: &Items, notes: &mut Vec<String>) {
    let mut found = Vec::new();
    let mut blank: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for arm in input.arms {
        let models = &items.models[&arm.name];
        let mut missing = 0;
        for task in input.tasks {
            let seeds: Vec<&TaskItems> = models.iter().map(|m| m.task(task)).collect();
            let some: usize = seeds.iter().map(|items| ungraded(items)).sum();
            if seeds.iter().any(|items| graded(items).1 > 0) {
                missing += some;
            } else if some > 0 {
                blank.entry(task).or_default().push(&arm.name);
            }
        }
        if missing == 0 {
            continue;
        }
        let words = |as_wrong| {
            let value = accuracy(models, input.tasks, as_wrong);
            value.map_or("undefined".to_owned(), |v| format!("{v:.3}"))
        };
        found.push(format!(
            "{missing} of {}, {} ({})",
            arm.name,
            words(true),
            words(false)
        ));
    }
    if !found.is_empty() {
        notes.push(format!(
            "Samples without a grade, which in this lab are completions that came to no answer, are in no accuracy. How \
             many, and the accuracy with them counted as wrong (and without them): {}.",
            found.join("; ")
        ));
    }
    for (task, arms) in blank {
        notes.push(format!(
            "Nothing of {} was graded on {task}: the accuracy there is undefined.",
            arms.join(", ")
        ));
    }
}
