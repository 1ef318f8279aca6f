//! Paired differences between two models (METRICS 6): functional alignment
//! collapse, negative transfer, and the same difference in accuracy and tokens.
//!
//! Each model's figures are over its own items, as METRICS 2 and 3 define them;
//! a draw resamples the items of both together, and the seeds above them. Where
//! the models' items differ, the difference mixes in the items: the comparison
//! names such cases in its notes.

use std::ops::Range;

use super::cost::ModelItems;
use super::layout::{Columns, Layout, MEASURES, Profile, over_seeds, over_tasks};
use crate::comparison::{Direction, Measure};
use crate::norms::Norms;
use crate::statistics::bootstrap::{Resample, bootstrap, is_whole};
use crate::statistics::family::smallest_effect;
use crate::statistics::interval::half_width;
use crate::statistics::permutation::{permute, two_sided};
use crate::statistics::{Undefined, mean};

/// What the difference in each measure fits to the items of a task, for the width
/// of its interval: two correlations three each, a mean difference one.
const PARAMETERS: [usize; 4] = [6, 1, 1, 1];

/// How many draws, from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resampling {
    /// Draws of the bootstrap, and of the permutation test.
    pub draws: u32,
    /// Seed of both.
    pub seed: u64,
}

/// A difference with its interval and p.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Difference {
    /// Minuend minus subtrahend; `None` where one is undefined.
    pub value: Option<f64>,
    /// 95 % interval of the joint bootstrap.
    pub interval: Option<(f64, f64)>,
    /// Two-sided p of the paired permutation.
    pub p: Option<f64>,
    /// The smallest true difference that these items would have shown, by the
    /// bootstrap's standard error ([`smallest_effect`]).
    pub smallest: Option<f64>,
    /// The difference on a scale without a unit ([`effect`]).
    pub effect: Option<f64>,
}

/// The differences of two models in the four measures, in the order of
/// [`super::layout::MEASURES`].
#[derive(Debug, Clone, PartialEq)]
pub struct Differences {
    /// Means over tasks of the means over paired seeds.
    pub overall: [Difference; 4],
    /// Means over paired seeds, by task.
    pub tasks: Vec<[Difference; 4]>,
}

/// The seeds that are paired, as places in the two models' lists.
///
/// A model with a single entry (trained once, or shared by all seeds) is paired
/// with every seed of the other; else the seeds both have are paired.
pub fn pair_seeds(
    arm: &[ModelItems],
    against: &[ModelItems],
) -> Result<Vec<(usize, usize)>, Undefined> {
    let pairs: Vec<(usize, usize)> = match (arm.len(), against.len()) {
        (0, _) | (_, 0) => Vec::new(),
        (1, n) => (0..n).map(|at| (0, at)).collect(),
        (n, 1) => (0..n).map(|at| (at, 0)).collect(),
        _ => arm
            .iter()
            .enumerate()
            .filter_map(|(at, model)| {
                Some((
                    at,
                    against.iter().position(|other| other.seed == model.seed)?,
                ))
            })
            .collect(),
    };
    if pairs.is_empty() {
        return Err(Undefined::Because("the two share no seed".into()));
    }
    Ok(pairs)
}

/// Two models on the same items.
struct Pair<'a> {
    layout: Layout,
    /// Cells of either side, by seed pair.
    columns: Vec<(&'a Columns, &'a Columns)>,
}

impl Pair<'_> {
    /// Both sides' measures by seed pair and task: of a resample, beside the
    /// sample's own, or with the labels of some items swapped, or as they are.
    fn profiles(
        &self,
        items: Option<(&Resample, &(Profile<4>, Profile<4>))>,
        swapped: Option<&[Vec<bool>]>,
    ) -> (Profile<4>, Profile<4>) {
        let tasks = self.layout.sizes().len();
        let side = |seed: usize, second: bool| -> Vec<[Option<f64>; 4]> {
            let drawn = items.is_none_or(|(draw, _)| draw.seeds[seed] > 0.0);
            let (a, b) = if second {
                (self.columns[seed].1, self.columns[seed].0)
            } else {
                self.columns[seed]
            };
            (0..tasks)
                .map(|task| {
                    let (own, other) = (a[task].as_slice(), b[task].as_slice());
                    let plainly = |i: usize| &own[i];
                    match (drawn, items, swapped) {
                        (false, ..) => [None; 4],
                        (true, Some((draw, points)), _) => {
                            let weights = draw.items[task].as_slice();
                            if is_whole(weights) {
                                let points = if second { &points.1 } else { &points.0 };
                                return points[seed][task];
                            }
                            self.layout.measures(task, |i| weights[i], plainly)
                        }
                        (true, None, Some(swaps)) => {
                            let swaps = swaps[task].as_slice();
                            let cell = |i: usize| if swaps[i] { &other[i] } else { &own[i] };
                            self.layout.measures(task, |_| 1.0, cell)
                        }
                        (true, None, None) => self.layout.measures(task, |_| 1.0, plainly),
                    }
                })
                .collect()
        };
        let seeds = 0..self.columns.len();
        (
            seeds.clone().map(|s| side(s, false)).collect(),
            seeds.map(|s| side(s, true)).collect(),
        )
    }
}

/// One side's means over seeds, by task.
type TaskMeans = Vec<[Option<f64>; 4]>;

/// The point profiles of both sides, against which draws are held.
struct Points {
    seeds: (Profile<4>, Profile<4>),
    tasks: (TaskMeans, TaskMeans),
}

impl Points {
    /// By task, and last over tasks.
    fn difference(
        &self,
        drawn: &(Profile<4>, Profile<4>),
        weights: &[f64],
    ) -> Vec<[Option<f64>; 4]> {
        let minus = |first: &[Option<f64>; 4], second: &[Option<f64>; 4]| {
            std::array::from_fn(|at| Some(first[at]? - second[at]?))
        };
        let first = over_seeds(&drawn.0, weights, &self.seeds.0);
        let second = over_seeds(&drawn.1, weights, &self.seeds.1);
        let mut all: Vec<_> = first
            .iter()
            .zip(&second)
            .map(|(a, b)| minus(a, b))
            .collect();
        all.push(minus(
            &over_tasks(&first, &self.tasks.0),
            &over_tasks(&second, &self.tasks.1),
        ));
        all
    }
}

/// Effect size of a difference: the two sides' task values on a scale where a
/// step means the same everywhere, averaged over tasks, and subtracted.
///
/// Alignment: Fisher's z, so Cohen's q. Shares: 2 arcsin of the root, so Cohen's
/// h (Cohen 1988). Tokens: the natural logarithm, so the log of a ratio.
/// Undefined where a value lies at the end of its scale.
///
/// Worked example: accuracies 0.9 and 0.5 give h = 2.498 - 1.571 = 0.927;
/// 20 tokens against 10 give ln 2 = 0.693.
pub fn effect(measure: Measure, first: &[Option<f64>], second: &[Option<f64>]) -> Option<f64> {
    let scale: fn(f64) -> f64 = match measure {
        Measure::Alignment => libm::atanh,
        Measure::Accuracy | Measure::BalancedAccuracy => |share| 2.0 * libm::asin(share.sqrt()),
        Measure::Tokens => libm::log,
    };
    let side = |values: &[Option<f64>]| {
        let scaled: Vec<f64> = values.iter().flatten().map(|value| scale(*value)).collect();
        mean(&scaled)
    };
    Some(side(first)? - side(second)?).filter(|effect| effect.is_finite())
}

/// Differences `arm - against` in the four measures.
pub fn differences(
    arm: &[ModelItems],
    against: &[ModelItems],
    tasks: &[String],
    norms: &Norms,
    resampling: Resampling,
) -> Result<Differences, Undefined> {
    let pairs = pair_seeds(arm, against)?;
    let models: Vec<&ModelItems> = arm.iter().chain(against).collect();
    let layout = Layout::new(tasks, norms, &models);
    let sides = (
        arm.iter().map(|m| layout.columns(m)).collect::<Vec<_>>(),
        against
            .iter()
            .map(|m| layout.columns(m))
            .collect::<Vec<_>>(),
    );
    let sizes = layout.sizes();
    let columns = pairs
        .iter()
        .map(|&(a, b)| (&sides.0[a], &sides.1[b]))
        .collect();
    let pair = Pair { layout, columns };
    let once = vec![1.0; pairs.len()];
    let seeds = pair.profiles(None, None);
    let tasks = (
        over_seeds(&seeds.0, &once, &seeds.0),
        over_seeds(&seeds.1, &once, &seeds.1),
    );
    let points = Points { seeds, tasks };
    let value = points.difference(&points.seeds, &once);
    let Resampling { draws, seed } = resampling;
    let resamples = bootstrap(draws, seed, "bootstrap", pairs.len(), &sizes, |draw| {
        let drawn = pair.profiles(Some((draw, &points.seeds)), None);
        points.difference(&drawn, &draw.seeds)
    });
    let permutations = permute(draws, seed, "permutation", &sizes, |swaps| {
        points.difference(&pair.profiles(None, Some(swaps)), &once)
    });
    // `of` is a task, or the number of tasks for what is over them.
    let difference = |of: usize, items: usize, tasks: Range<usize>, at: usize| {
        let Some(value) = value[of][at] else {
            return Difference::default();
        };
        let half = half_width(items, PARAMETERS[at] * tasks.len());
        let permuted: Vec<Option<f64>> = permutations.iter().map(|d| d[of][at]).collect();
        let side = |means: &TaskMeans| -> Vec<Option<f64>> {
            means[tasks.clone()].iter().map(|task| task[at]).collect()
        };
        Difference {
            value: Some(value),
            interval: resamples.interval(value, half, |d| d[of][at]),
            p: two_sided(value, &permuted),
            smallest: resamples.standard_error(|d| d[of][at]).map(smallest_effect),
            effect: effect(MEASURES[at], &side(&points.tasks.0), &side(&points.tasks.1)),
        }
    };
    let count = sizes.len();
    let of_task = |(task, &items): (usize, &usize)| {
        std::array::from_fn(|at| difference(task, items, task..task + 1, at))
    };
    Ok(Differences {
        overall: std::array::from_fn(|at| difference(count, sizes.iter().sum(), 0..count, at)),
        tasks: sizes.iter().enumerate().map(of_task).collect(),
    })
}

/// Where an interval lies; its ends belong to it.
pub fn direction(interval: Option<(f64, f64)>) -> Direction {
    match interval {
        None => Direction::Undefined,
        Some((_, high)) if high < 0.0 => Direction::Below,
        Some((low, _)) if low > 0.0 => Direction::Above,
        Some(_) => Direction::Across,
    }
}

/// The verdict on collapse or negative transfer: yes when the interval lies
/// below 0, no when above, else inconclusive.
pub fn verdict(direction: Direction) -> &'static str {
    match direction {
        Direction::Below => "yes",
        Direction::Above => "no",
        Direction::Across | Direction::Undefined => "inconclusive",
    }
}

#[cfg(test)]
mod tests;
