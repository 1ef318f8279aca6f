//! Cost of an item for a model ("cost" in METHODOLOGY.md), and the other means over an
//! item's samples that the figures start from.
//!
//! Records become item means once; nothing after this looks at records again. A sample
//! that the token cap cut off counts with the tokens it had: to drop it would take the
//! longest answers out of the hardest items, and bend every correlation.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::among::{Votes, votes};
use crate::record::Trace;
use crate::statistics::{draws, mean, sample_variance};

/// What a sample counts for that the token cap cut off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOff {
    /// The tokens it had.
    #[default]
    Cap,
    /// Nothing, as in the published figures.
    Drop,
}

impl CutOff {
    /// Whether this is what nobody has to say.
    pub fn is_cap(&self) -> bool {
        *self == Self::Cap
    }
}

/// Which samples enter cost and tokens. Accuracy is over all samples either way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counting {
    /// Right samples alone.
    pub only_correct: bool,
    /// What those count for that were cut off.
    pub cut_off: CutOff,
}

/// One item's samples of one model and seed, as means and counts.
///
/// Worked example: three samples of 10, 12 and (cut off) 64 reasoning tokens, right, wrong and
/// wrong: `cost` (ln 11 + ln 13 + ln 65) / 3, `tokens` 28.67, `right` 1 of `graded` 2, `truncated` 1
/// of `samples` 3.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ItemMeans {
    /// Mean of ln(1 + reasoning tokens); `None` where no sample counts.
    pub cost: Option<f64>,
    /// Variance of the same between samples (divisor n - 1); `None` below two of them.
    pub cost_variance: Option<f64>,
    /// Samples behind the cost.
    pub counted: usize,
    /// The cost over samples of even and of odd index, which share no chance.
    pub cost_halves: [Option<f64>; 2],
    /// Mean reasoning tokens.
    pub tokens: Option<f64>,
    /// The same over samples of even and of odd index.
    pub token_halves: [Option<f64>; 2],
    /// Mean prompt tokens, over all samples: the prompt is the same.
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
    /// The samples by their answers, the most frequent first; without those that gave none.
    pub votes: Vec<Votes>,
}

/// A task's items by name.
pub type TaskItems = BTreeMap<String, ItemMeans>;

/// One model of one seed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelItems {
    /// Training seed; `None` for a model without one.
    pub seed: Option<u64>,
    /// Training seed of the teacher that it learned from, where the records name one.
    pub teacher: Option<u64>,
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

/// One sample without its names and its text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampled {
    pub(crate) sample: u32,
    pub(crate) prompt_tokens: u32,
    pub(crate) reasoning_tokens: u32,
    pub(crate) correct: Option<bool>,
    pub(crate) truncated: bool,
    /// What tells its answer from others; `None` where it gave none.
    pub(crate) answer: Option<NonZeroU64>,
}

impl From<&Trace> for Sampled {
    fn from(trace: &Trace) -> Self {
        Self {
            sample: trace.sample,
            prompt_tokens: trace.prompt_tokens,
            reasoning_tokens: trace.reasoning_tokens,
            correct: trace.correct,
            truncated: trace.truncated,
            answer: answer_key(trace.answer.as_deref()),
        }
    }
}

/// What tells an answer from others: a hash of its text without case and the blanks around it.
pub(crate) fn answer_key(answer: Option<&str>) -> Option<NonZeroU64> {
    let text = answer?.trim().to_lowercase();
    if text.is_empty() {
        return None;
    }
    NonZeroU64::new(draws::fnv1a(&text).max(1))
}

fn ln_tokens(sample: &Sampled) -> f64 {
    f64::from(sample.reasoning_tokens).ln_1p()
}

fn tokens(sample: &Sampled) -> f64 {
    f64::from(sample.reasoning_tokens)
}

/// The means of one item's samples, which come in the order of their index.
pub(crate) fn item_means(samples: &[Sampled], counting: Counting) -> ItemMeans {
    let whole = |t: &Sampled| !t.truncated;
    let counts = |t: &Sampled| {
        (whole(t) || counting.cut_off == CutOff::Cap)
            && (!counting.only_correct || t.correct == Some(true))
    };
    let of = |keep: &dyn Fn(&Sampled) -> bool, value: fn(&Sampled) -> f64| -> Vec<f64> {
        let kept = samples.iter().filter(|sample| keep(sample));
        kept.map(value).collect()
    };
    let halves = |value: fn(&Sampled) -> f64| {
        [0, 1].map(|half| mean(&of(&|t| counts(t) && t.sample % 2 == half, value)))
    };
    let count = |keep: &dyn Fn(&Sampled) -> bool| samples.iter().filter(|t| keep(t)).count();
    let costs = of(&counts, ln_tokens);
    let graded = |grade: bool| move |t: &Sampled| !t.truncated && t.correct == Some(grade);
    ItemMeans {
        cost: mean(&costs),
        cost_variance: sample_variance(&costs),
        counted: costs.len(),
        cost_halves: halves(ln_tokens),
        tokens: mean(&of(&counts, tokens)),
        token_halves: halves(tokens),
        prompt_tokens: mean(&of(&|_| true, |t| f64::from(t.prompt_tokens))).unwrap_or_default(),
        right: count(&graded(true)),
        graded: count(&|t| whole(t) && t.correct.is_some()),
        truncated: count(&|t| t.truncated),
        samples: samples.len(),
        right_cost: mean(&of(&graded(true), ln_tokens)),
        wrong_cost: mean(&of(&graded(false), ln_tokens)),
        votes: votes(samples),
    }
}

/// Item means of every model in the records, whatever the records' order.
pub fn items<'a>(traces: impl IntoIterator<Item = &'a Trace>, counting: Counting) -> Items {
    type Key<'a> = (&'a str, Option<u64>, &'a str, &'a str);
    let mut found = Items::default();
    let mut seen: HashSet<(Key, u32)> = HashSet::new();
    let mut cells: BTreeMap<Key, (Option<u64>, Vec<Sampled>)> = BTreeMap::new();
    for trace in traces {
        let key: Key = (&trace.model, trace.seed, &trace.task, &trace.item_id);
        if seen.insert((key, trace.sample)) {
            let cell = cells.entry(key).or_insert((trace.teacher, Vec::new()));
            cell.1.push(Sampled::from(trace));
        } else {
            found.duplicates += 1;
        }
    }
    for ((model, seed, task, item_id), (teacher, mut samples)) in cells {
        // Sums of floating-point numbers depend on their order; the records' order must not matter.
        samples.sort_by_key(|sample| sample.sample);
        if !found.models.contains_key(model) {
            found.models.insert(model.into(), Vec::new());
        }
        let seeds = found.models.get_mut(model).expect("inserted above");
        if seeds.last().is_none_or(|last| last.seed != seed) {
            seeds.push(ModelItems {
                seed,
                teacher,
                ..ModelItems::default()
            });
        }
        let last = seeds.last_mut().expect("pushed above");
        last.tasks
            .entry(task.into())
            .or_default()
            .insert(item_id.into(), item_means(&samples, counting));
    }
    found
}

/// Tokens of a task: the mean over items of the items' mean reasoning tokens.
pub fn task_tokens(items: &TaskItems) -> Option<f64> {
    let means: Vec<f64> = items.values().filter_map(|item| item.tokens).collect();
    mean(&means)
}

#[cfg(test)]
pub(crate) mod tests;
