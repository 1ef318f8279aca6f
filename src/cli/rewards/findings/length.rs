//! What goes with length.
//!
//! Of each reward and of the weighted sum, Pearson's and Spearman's correlation
//! with the completion's tokens, and Pearson's correlation *given the verdict*: of
//! what is left of both when from each is taken its mean over completions alike.
//! Alike are those that `correct` (its defaults, where an answer is expected)
//! judges the same, and, where at least half of the completions have others of
//! their problem beside them, are of the same problem: GRPO pays for being better
//! than the others of a problem. Intervals are Fisher's, one observation less for
//! each mean but the first, and take completions for independent, which those of
//! one problem are not quite: they point at what to look into.
//!
//! **The warning.** A reward *secretly pays for length* where it pays for being
//! right (its correlation with the verdict lies above 0, interval included) and,
//! given the verdict, goes with length beyond its interval. Rewards that are
//! openly about length are not warned of, nor is a sum with such a one in it or
//! with one that is warned of already.
//!
//! What it deliberately does not do: look for more than a straight line.

use std::collections::HashMap;

use experiments::statistics::correlation::{fisher_interval, pearson, spearman};
use experiments::statistics::mean;
use serde::Serialize;

use super::{Judged, SUM};

/// A correlation with its 95 % interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub(in super::super) struct Correlation {
    pub(in super::super) r: f64,
    pub(in super::super) interval: Option<(f64, f64)>,
}

impl Correlation {
    fn new(r: f64, n: usize) -> Self {
        Self {
            r,
            interval: fisher_interval(r, n),
        }
    }

    /// Whether all of the interval lies on one side of 0.
    fn is_beyond_zero(&self) -> bool {
        self.interval
            .is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// How a reward goes with length.
#[derive(Debug, Serialize)]
pub(in super::super) struct Length {
    pub(in super::super) name: String,
    pub(in super::super) n: usize,
    pub(in super::super) pearson: Option<Correlation>,
    pub(in super::super) spearman: Option<f64>,
    /// Among completions that are alike.
    pub(in super::super) given_verdict: Option<Correlation>,
    /// Whether it pays for length in secret.
    pub(in super::super) secretly: bool,
}

/// Which completions are alike.
///
/// Worked example: of two problems with two samples each, all right but the
/// last: `{of: [Some((0, 1.0)), Some((0, 1.0)), Some((1, 1.0)), Some((1, 0.0))],
/// within_problem: true}`.
pub(super) struct Cells {
    /// Problem, by number, and verdict; `None` without a verdict.
    pub(super) of: Vec<Option<(usize, f64)>>,
    /// Whether problems are told apart; else all have the number 0.
    pub(super) within_problem: bool,
}

impl Cells {
    pub(super) fn of(judged: &Judged<'_>) -> Self {
        let mut numbers: HashMap<(&str, &str), usize> = HashMap::new();
        let problems: Vec<usize> = (judged.given.iter())
            .map(|given| {
                let next = numbers.len();
                let of = (given.task.as_str(), given.problem.as_str());
                *numbers.entry(of).or_insert(next)
            })
            .collect();
        Self::new(&problems, judged.verdicts)
    }

    pub(super) fn new(problems: &[usize], verdicts: &[Option<f64>]) -> Self {
        let both = || problems.iter().zip(verdicts);
        let with = both().filter_map(|(problem, verdict)| verdict.map(|_| problem));
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for problem in with.clone() {
            *counts.entry(*problem).or_default() += 1;
        }
        let beside = counts.values().filter(|count| **count > 1).sum::<usize>();
        let within_problem = counts.len() > 1 && 2 * beside >= with.count();
        let cell = |(problem, verdict): (&usize, &Option<f64>)| {
            Some((if within_problem { *problem } else { 0 }, (*verdict)?))
        };
        Self {
            of: both().map(cell).collect(),
            within_problem,
        }
    }
}

/// Each reward and the sum.
pub(super) fn lengths(
    judged: &Judged<'_>,
    columns: &[(&str, Vec<Option<f64>>)],
    cells: &Cells,
) -> Vec<Length> {
    let tokens: Vec<f64> = (judged.given.iter())
        .map(|given| given.scored().completion_tokens as f64)
        .collect();
    let mut told = false;
    let mut all = Vec::new();
    let each = columns.iter().zip(&judged.scores.columns);
    for (((name, values), column), tried) in each.zip(&judged.tried) {
        let mut found = length(name, values, &tokens, cells);
        found.secretly &= !tried.openly;
        told |= column.weight != 0.0 && (tried.openly || found.secretly);
        all.push(found);
    }
    let mut sum = length(SUM, &judged.scores.totals, &tokens, cells);
    sum.secretly &= !told;
    all.push(sum);
    all
}

pub(super) fn length(name: &str, values: &[Option<f64>], tokens: &[f64], cells: &Cells) -> Length {
    let applies = values.iter().zip(tokens);
    let (x, y): (Vec<f64>, Vec<f64>) = applies
        .filter_map(|(value, tokens)| Some(((*value)?, *tokens)))
        .unzip();
    let (mut alike, mut value, mut token) = (Vec::new(), Vec::new(), Vec::new());
    for ((one, tokens), cell) in values.iter().zip(tokens).zip(&cells.of) {
        if let (Some(one), Some(cell)) = (one, cell) {
            alike.push(*cell);
            value.push(*one);
            token.push(*tokens);
        }
    }
    let n = value.len();
    let verdict: Vec<f64> = alike.iter().map(|(_, verdict)| *verdict).collect();
    let right = pearson(&value, &verdict).ok();
    let right = right.map(|r| Correlation::new(r, n));
    let given_verdict = residuals(&value, &alike)
        .zip(residuals(&token, &alike))
        .and_then(|((value, means), (token, _))| {
            let r = pearson(&value, &token).ok()?;
            Some(Correlation::new(r, (n + 1).saturating_sub(means)))
        });
    let pays = right.is_some_and(|right| right.r > 0.0 && right.is_beyond_zero());
    Length {
        name: name.to_owned(),
        n: x.len(),
        spearman: spearman(&x, &y).ok(),
        pearson: pearson(&x, &y).ok().map(|r| Correlation::new(r, x.len())),
        secretly: pays && given_verdict.is_some_and(|given| given.is_beyond_zero()),
        given_verdict,
    }
}

/// Values less their mean over those alike, and how many means there are; `None`
/// where the means leave nothing but rounding.
fn residuals(values: &[f64], alike: &[(usize, f64)]) -> Option<(Vec<f64>, usize)> {
    let key = |cell: &(usize, f64)| (cell.0, cell.1.to_bits());
    let mut cells: HashMap<(usize, u64), Vec<f64>> = HashMap::new();
    for (value, cell) in values.iter().zip(alike) {
        cells.entry(key(cell)).or_default().push(*value);
    }
    let means: HashMap<(usize, u64), f64> = cells
        .iter()
        .filter_map(|(cell, values)| Some((*cell, mean(values)?)))
        .collect();
    let left = values.iter().zip(alike);
    let left: Option<Vec<f64>> = left
        .map(|(value, cell)| Some(value - means.get(&key(cell))?))
        .collect();
    let left = left?;
    let squares = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>();
    (squares(&left) > 1e-20 * squares(values)).then_some((left, means.len()))
}
