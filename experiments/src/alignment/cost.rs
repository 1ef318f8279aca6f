//! Cost of an item for a model (METRICS 1), and the other means over an item's
//! samples that the figures start from.
//!
//! Records become item means once; nothing after this looks at records again.
//! Truncated samples enter no mean and are counted.

use std::collections::{BTreeMap, HashSet};

use crate::record::Trace;

/// One item's samples of one model and seed, as means and counts.
///
/// Worked example: three samples of 10, 12 and (truncated) 64 reasoning tokens, right, wrong and
/// wrong: `cost` (ln 11 + ln 13) / 2, `tokens` 11, `right` 1 of `graded` 2, `truncated` 1 of `samples` 3.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemMeans {
    /// Mean of ln(1 + reasoning tokens); `None` where no sample counts.
    pub cost: Option<f64>,
    /// Mean reasoning tokens.
    pub tokens: Option<f64>,
    /// Mean prompt tokens, truncated samples included: the prompt is the same.
    pub prompt_tokens: f64,
    /// Right samples among the graded.
    pub right: usize,
    /// Samples that are not truncated and have a grade.
    pub graded: usize,
    /// Truncated samples.
    pub truncated: usize,
    /// All samples.
    pub samples: usize,
    /// Mean ln(1 + reasoning tokens) of the right samples.
    pub right_cost: Option<f64>,
    /// Mean ln(1 + reasoning tokens) of the wrong samples.
    pub wrong_cost: Option<f64>,
    /// Sample index and grade of each graded sample, by index.
    pub grades: Vec<(u32, bool)>,
}

/// A task's items by name.
pub type TaskItems = BTreeMap<String, ItemMeans>;

/// One model of one seed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelItems {
    /// Training seed; `None` for a model without one.
    pub seed: Option<u64>,
    /// Its items, by task.
    pub tasks: BTreeMap<String, TaskItems>,
}

impl ModelItems {
    /// A task's items; empty where the model was not evaluated on it.
    pub fn task(&self, task: &str) -> &TaskItems {
        static EMPTY: TaskItems = TaskItems::new();
        self.tasks.get(task).unwrap_or(&EMPTY)
    }
}

/// Every model's item means, and what was set aside on the way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Items {
    /// Model name to its seeds, ascending, a model without a seed first.
    pub models: BTreeMap<String, Vec<ModelItems>>,
    /// Records left out because one with the same model, seed, task, item and sample stood before them.
    pub duplicates: usize,
}

impl Items {
    /// Training seeds of the model that has most.
    pub(crate) fn most_seeds(&self) -> usize {
        self.models.values().map(Vec::len).max().unwrap_or_default()
    }
}

fn mean_of(
    samples: &[&Trace],
    keep: impl Fn(&Trace) -> bool,
    value: impl Fn(&Trace) -> f64,
) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0usize);
    for trace in samples.iter().filter(|trace| keep(trace)) {
        sum += value(trace);
        count += 1;
    }
    (count > 0).then(|| sum / count as f64)
}

fn ln_tokens(trace: &Trace) -> f64 {
    f64::from(trace.reasoning_tokens).ln_1p()
}

/// The means of one item's samples, which come in the order of their index.
pub(crate) fn item_means(samples: &[&Trace], only_correct: bool) -> ItemMeans {
    let whole = |t: &Trace| !t.truncated;
    let counts = |t: &Trace| !t.truncated && (!only_correct || t.correct == Some(true));
    let grades: Vec<(u32, bool)> = samples
        .iter()
        .filter(|t| whole(t))
        .filter_map(|t| Some((t.sample, t.correct?)))
        .collect();
    ItemMeans {
        cost: mean_of(samples, counts, ln_tokens),
        tokens: mean_of(samples, counts, |t| f64::from(t.reasoning_tokens)),
        prompt_tokens: mean_of(samples, |_| true, |t| f64::from(t.prompt_tokens))
            .unwrap_or_default(),
        right: grades.iter().filter(|(_, right)| *right).count(),
        graded: grades.len(),
        truncated: samples.iter().filter(|t| t.truncated).count(),
        samples: samples.len(),
        right_cost: mean_of(samples, |t| whole(t) && t.correct == Some(true), ln_tokens),
        wrong_cost: mean_of(samples, |t| whole(t) && t.correct == Some(false), ln_tokens),
        grades,
    }
}

/// Item means of every model in the records, whatever the records' order.
///
/// `only_correct` takes cost and tokens over right samples alone; accuracy is
/// over all samples either way.
pub fn items<'a>(traces: impl IntoIterator<Item = &'a Trace>, only_correct: bool) -> Items {
    type Key<'a> = (&'a str, Option<u64>, &'a str, &'a str);
    let mut found = Items::default();
    let mut seen: HashSet<(Key, u32)> = HashSet::new();
    let mut cells: BTreeMap<Key, Vec<&Trace>> = BTreeMap::new();
    for trace in traces {
        let key: Key = (&trace.model, trace.seed, &trace.task, &trace.item_id);
        if seen.insert((key, trace.sample)) {
            cells.entry(key).or_default().push(trace);
        } else {
            found.duplicates += 1;
        }
    }
    for ((model, seed, task, item_id), mut samples) in cells {
        // Sums of floating-point numbers depend on their order; the records' order must not matter.
        samples.sort_by_key(|trace| trace.sample);
        if !found.models.contains_key(model) {
            found.models.insert(model.into(), Vec::new());
        }
        let seeds = found.models.get_mut(model).expect("inserted above");
        if seeds.last().is_none_or(|last| last.seed != seed) {
            seeds.push(ModelItems {
                seed,
                ..ModelItems::default()
            });
        }
        let last = seeds.last_mut().expect("pushed above");
        last.tasks
            .entry(task.into())
            .or_default()
            .insert(item_id.into(), item_means(&samples, only_correct));
    }
    found
}

/// One model out of an arm's seeds, each item the mean over the seeds that have
/// it: for the figures that describe an arm as a whole (METRICS 5 and 7 to 10).
/// Counts are sums; grades by sample are not kept, since seeds share the indices.
pub fn pooled(seeds: &[ModelItems]) -> ModelItems {
    let mut cells: BTreeMap<(&String, &String), Vec<&ItemMeans>> = BTreeMap::new();
    for (task, items) in seeds.iter().flat_map(|model| &model.tasks) {
        for (id, item) in items {
            cells.entry((task, id)).or_default().push(item);
        }
    }
    let mut pooled = ModelItems::default();
    for ((task, id), items) in cells {
        let mean = |of: fn(&ItemMeans) -> Option<f64>| {
            crate::statistics::mean(&items.iter().filter_map(|item| of(item)).collect::<Vec<_>>())
        };
        let sum = |of: fn(&ItemMeans) -> usize| items.iter().map(|item| of(item)).sum();
        let item = ItemMeans {
            cost: mean(|i| i.cost),
            tokens: mean(|i| i.tokens),
            prompt_tokens: mean(|i| Some(i.prompt_tokens)).unwrap_or_default(),
            right: sum(|i| i.right),
            graded: sum(|i| i.graded),
            truncated: sum(|i| i.truncated),
            samples: sum(|i| i.samples),
            right_cost: mean(|i| i.right_cost),
            wrong_cost: mean(|i| i.wrong_cost),
            grades: Vec::new(),
        };
        pooled
            .tasks
            .entry(task.clone())
            .or_default()
            .insert(id.clone(), item);
    }
    pooled
}

/// Tokens of a task: the mean over items of the items' mean reasoning tokens.
pub fn task_tokens(items: &TaskItems) -> Option<f64> {
    let means: Vec<f64> = items.values().filter_map(|item| item.tokens).collect();
    crate::statistics::mean(&means)
}

#[cfg(test)]
pub(crate) mod tests;
