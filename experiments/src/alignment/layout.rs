//! Items laid out in columns, so that a draw of the bootstrap or of the
//! permutation test is a pass over arrays and nothing is looked up by name.
//!
//! A layout fixes the items of each task (the union over the models it is made
//! for); each model of each seed then fills one cell an item. An item a model
//! lacks has a cell of zeros that enters no sum.

use std::collections::{BTreeMap, BTreeSet};

use super::accuracy::expected_answer;
use super::cost::{ModelItems, TaskItems};
use crate::comparison::Measure;
use crate::norms::Norms;
use crate::statistics::weighted::Moments;
use crate::statistics::{is_noise, mean};

/// The measures, in the order of the arrays below.
pub const MEASURES: [Measure; 4] = [
    Measure::Alignment,
    Measure::Accuracy,
    Measure::BalancedAccuracy,
    Measure::Tokens,
];

/// One item of one model: what the sums need, each value beside its weight of 1 or 0.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cell {
    /// 1 where the item has a model cost and a human cost.
    pub aligned: f64,
    /// Model cost, standardised within task and model. Pearson's r does not see
    /// the scale; swapping labels between models of unlike scale would.
    pub cost: f64,
    /// 1 where the item has tokens.
    pub present: f64,
    /// Mean reasoning tokens.
    pub tokens: f64,
    /// Right samples.
    pub right: f64,
    /// Graded samples.
    pub graded: f64,
    /// What the item adds to each sum of [`Layout::measures`] but the answers':
    /// the six of [`Moments::terms`], then `present` and its tokens. Ready-made,
    /// because a draw is little else than a million of these additions.
    terms: [f64; TERMS],
}

/// Sums of an item beside those of its answer.
const TERMS: usize = 8;

/// The items of one task.
#[derive(Debug, Clone)]
struct TaskLayout {
    name: String,
    ids: Vec<String>,
    /// Human cost, standardised within task; 0 where there is none.
    human: Vec<f64>,
    has_human: Vec<bool>,
    /// Number of the item's expected answer; the last number stands for none.
    answer: Vec<usize>,
    answers: usize,
}

/// One model's cells, by task and item.
pub type Columns = Vec<Vec<Cell>>;

/// The items of every task, shared by the models compared.
#[derive(Debug, Clone)]
pub struct Layout {
    tasks: Vec<TaskLayout>,
}

/// Values minus their mean over their standard deviation; all 0 where they do not vary.
fn standardised(values: &[Option<f64>]) -> Vec<f64> {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let centre = mean(&known).unwrap_or_default();
    let squares: f64 = known.iter().map(|v| (v - centre).powi(2)).sum();
    let n = known.len() as f64;
    let largest = known.iter().fold(0.0, |m: f64, v| v.abs().max(m));
    let scale = if is_noise(squares, n, largest) {
        0.0
    } else {
        (squares / n).sqrt().recip()
    };
    values
        .iter()
        .map(|v| v.map_or(0.0, |v| (v - centre) * scale))
        .collect()
}

impl TaskLayout {
    fn new(task: &str, norms: &Norms, models: &[&ModelItems]) -> Self {
        let ids: BTreeSet<&String> = models.iter().flat_map(|m| m.task(task).keys()).collect();
        let costs: Vec<Option<f64>> = ids.iter().map(|id| norms.human_cost(task, id)).collect();
        let expected: Vec<Option<&str>> = ids
            .iter()
            .map(|id| expected_answer(task, id, norms))
            .collect();
        let distinct: BTreeSet<&str> = expected.iter().copied().flatten().collect();
        let numbers: BTreeMap<&str, usize> = distinct.iter().copied().zip(0..).collect();
        Self {
            name: task.into(),
            ids: ids.into_iter().cloned().collect(),
            human: standardised(&costs),
            has_human: costs.iter().map(Option::is_some).collect(),
            answer: expected
                .iter()
                .map(|e| e.map_or(distinct.len(), |e| numbers[e]))
                .collect(),
            answers: distinct.len(),
        }
    }

    fn column(&self, items: &TaskItems) -> Vec<Cell> {
        let cost: Vec<Option<f64>> = self
            .ids
            .iter()
            .zip(&self.has_human)
            .map(|(id, &has_human)| items.get(id)?.cost.filter(|_| has_human))
            .collect();
        let scaled = standardised(&cost);
        let cell = |(at, id): (usize, &String)| {
            let item = items.get(id);
            let tokens = item.and_then(|item| item.tokens);
            let aligned = f64::from(u8::from(cost[at].is_some()));
            let present = f64::from(u8::from(tokens.is_some()));
            let tokens = tokens.unwrap_or_default();
            let [n, x, y, xx, yy, xy] = Moments::terms(aligned, scaled[at], self.human[at]);
            Cell {
                aligned,
                cost: scaled[at],
                present,
                tokens,
                terms: [n, x, y, xx, yy, xy, present, present * tokens],
                right: item.map_or(0.0, |item| item.right as f64),
                graded: item.map_or(0.0, |item| item.graded as f64),
            }
        };
        self.ids.iter().enumerate().map(cell).collect()
    }
}

impl Layout {
    /// Lays out the items that any of the models was evaluated on.
    pub fn new(tasks: &[String], norms: &Norms, models: &[&ModelItems]) -> Self {
        Self {
            tasks: tasks
                .iter()
                .map(|task| TaskLayout::new(task, norms, models))
                .collect(),
        }
    }

    /// Number of items of each task.
    pub fn sizes(&self) -> Vec<usize> {
        self.tasks.iter().map(|task| task.ids.len()).collect()
    }

    /// One model's cells.
    pub fn columns(&self, model: &ModelItems) -> Columns {
        self.tasks
            .iter()
            .map(|task| task.column(model.task(&task.name)))
            .collect()
    }

    /// Standardised human costs of a task's items; 0 where there is none.
    pub fn human(&self, task: usize) -> &[f64] {
        &self.tasks[task].human
    }

    /// Names of a task's items, in the order of the cells.
    pub fn ids(&self, task: usize) -> &[String] {
        &self.tasks[task].ids
    }

    /// The four measures of one task, item i occurring `weight(i)` times with the cell `cell(i)`.
    pub fn measures<'a>(
        &self,
        task: usize,
        weight: impl Fn(usize) -> f64,
        cell: impl Fn(usize) -> &'a Cell,
    ) -> [Option<f64>; 4] {
        let layout = &self.tasks[task];
        let mut sums = [0.0; TERMS];
        let mut by_answer = vec![[0.0; 2]; layout.answers + 1];
        for (i, &answer) in layout.answer.iter().enumerate() {
            // An item that was not drawn adds 0: a third of them are not, and to skip
            // them costs more in branches that nothing can foretell.
            let (w, cell) = (weight(i), cell(i));
            for (sum, term) in sums.iter_mut().zip(&cell.terms) {
                *sum += w * term;
            }
            let [right, graded] = &mut by_answer[answer];
            *right += w * cell.right;
            *graded += w * cell.graded;
        }
        let [n, x, y, xx, yy, xy, present, tokens] = sums;
        let pairs = Moments::of([n, x, y, xx, yy, xy]);
        let all = |of: usize| by_answer.iter().map(|sums| sums[of]).sum::<f64>();
        let (right, graded) = (all(0), all(1));
        let ratio = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let shares: Vec<f64> = by_answer[..layout.answers]
            .iter()
            .filter_map(|&[right, graded]| ratio(right, graded))
            .collect();
        [
            pairs.pearson(),
            ratio(right, graded),
            mean(&shares),
            ratio(tokens, present),
        ]
    }
}

/// Figures of several seeds and tasks under one draw: `[seed][task][figure]`.
pub type Profile<const N: usize> = Vec<Vec<[Option<f64>; N]>>;

/// Mean over seeds, by task. `point` is the profile of the sample itself: a seed
/// whose figure is undefined there is left out for good; one that is defined
/// there and undefined in the draw makes the draw undefined.
pub fn over_seeds<const N: usize>(
    values: &Profile<N>,
    weights: &[f64],
    point: &Profile<N>,
) -> Vec<[Option<f64>; N]> {
    let tasks = values.first().map_or(0, Vec::len);
    let figure = |task: usize, figure: usize| {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (seed, w) in weights.iter().enumerate() {
            if *w > 0.0 && point[seed][task][figure].is_some() {
                sum += w * values[seed][task][figure]?;
                weight += w;
            }
        }
        (weight > 0.0).then(|| sum / weight)
    };
    (0..tasks)
        .map(|task| std::array::from_fn(|at| figure(task, at)))
        .collect()
}

/// Mean over the tasks where the figure is defined in the sample itself;
/// undefined where a draw lacks one of these.
pub fn over_tasks<const N: usize>(
    values: &[[Option<f64>; N]],
    point: &[[Option<f64>; N]],
) -> [Option<f64>; N] {
    std::array::from_fn(|at| {
        let mut defined = Vec::with_capacity(values.len());
        for (value, _) in values
            .iter()
            .zip(point)
            .filter(|(_, point)| point[at].is_some())
        {
            defined.push(value[at]?);
        }
        mean(&defined)
    })
}

#[cfg(test)]
mod tests;
