//! What rewards say of completions, summed up: distributions, what goes with
//! length, and where two rewards disagree.
//!
//! A reward that could not judge is named with its reason. Where it has a weight
//! there is no weighted sum: one without it would be another sum.
//!
//! What it deliberately does not do: print.

mod disagreement;
mod length;

use ::rewards::{BatchScores, Score};
use experiments::statistics::quantile::quantile;
use experiments::statistics::{mean, sample_sd};
use serde::Serialize;

pub(super) use disagreement::Disagreement;
pub(super) use length::{Correlation, Length};

use super::given::Given;
use super::kept::{self, Recorded};

/// Bars of a histogram.
const BARS: usize = 12;

/// Name of the weighted sum among the rewards.
pub(super) const SUM: &str = "weighted sum";

/// What the rewards of one arm say.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// The arm.
    pub(super) arm: String,
    /// Completions that were judged, and the batches they came in.
    pub(super) completions: usize,
    pub(super) batches: usize,
    /// Rewards that could not judge.
    pub(super) failed: Vec<Failure>,
    /// Each reward, its parts after it, and last the weighted sum.
    pub(super) scores: Vec<Distribution>,
    /// Metrics of the batches.
    pub(super) metrics: Vec<(String, f64)>,
    /// Completions whose answer could be judged right or wrong.
    pub(super) verdicts: usize,
    /// Whether `given_verdict` compares completions of the same problem only.
    pub(super) within_problem: bool,
    /// What goes with length.
    pub(super) length: Vec<Length>,
    /// What was said in training, where that was kept.
    pub(super) recorded: Vec<Recorded>,
    /// Where two rewards disagree most.
    pub(super) disagreements: Vec<Disagreement>,
    /// What a reader must know, warnings first.
    pub(super) notes: Vec<String>,
}

/// The values of one reward, one part, or the sum.
///
/// Worked example: `correct` applied to 4 completions, one of them right:
/// `{name: "correct", weight: Some(1.0), n: 4, mean: Some(0.25), sd: Some(0.5),
/// quartiles: Some([0.0, 0.0, 0.0, 0.25, 1.0]), histogram: [3, 0, …, 0, 1], seconds: Some(1e-6)}`.
#[derive(Debug, Serialize)]
pub(super) struct Distribution {
    pub(super) name: String,
    /// Of a reward; `None` of a part and of the sum.
    pub(super) weight: Option<f64>,
    /// Completions that it applied to.
    pub(super) n: usize,
    pub(super) mean: Option<f64>,
    pub(super) sd: Option<f64>,
    /// Least, quartiles, greatest.
    pub(super) quartiles: Option<[f64; 5]>,
    /// Counts in bars of equal width from the least to the greatest.
    pub(super) histogram: Vec<usize>,
    /// Time a completion of a call after others, of a reward.
    pub(super) seconds: Option<f64>,
}

/// A reward that could not judge.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    pub(super) name: String,
    /// The row, where one is to blame, and what was wrong.
    pub(super) reason: String,
}

/// A reward that judged.
pub(super) struct Tried {
    /// Whether it says that it is about length.
    pub(super) openly: bool,
    /// Time a completion.
    pub(super) seconds: Option<f64>,
}

/// What was judged, and how.
pub(super) struct Judged<'a> {
    pub(super) arm: &'a str,
    pub(super) given: &'a [&'a Given],
    pub(super) batches: usize,
    pub(super) scores: &'a BatchScores,
    /// Of each column of the scores.
    pub(super) tried: Vec<Tried>,
    /// Whether each completion is right, where that can be told.
    pub(super) verdicts: &'a [Option<f64>],
}

impl Findings {
    pub(super) fn of(judged: &Judged<'_>, failed: Vec<Failure>) -> Self {
        let columns: Vec<(&str, Vec<Option<f64>>)> = judged
            .scores
            .columns
            .iter()
            .map(|column| {
                let values = column.scores.iter().map(|score| score.value).collect();
                (column.name.as_str(), values)
            })
            .collect();
        let cells = length::Cells::of(judged);
        let length = length::lengths(judged, &columns, &cells);
        let metrics = judged.scores.columns.iter().flat_map(|column| {
            let of = |(metric, values): &(std::borrow::Cow<'static, str>, Vec<f64>)| {
                Some((format!("{}/{metric}", column.name), mean(values)?))
            };
            column.metrics.iter().filter_map(of)
        });
        Self {
            arm: judged.arm.to_owned(),
            completions: judged.given.len(),
            batches: judged.batches,
            scores: distributions(judged),
            metrics: metrics.collect(),
            verdicts: judged.verdicts.iter().flatten().count(),
            within_problem: cells.within_problem,
            recorded: kept::compare(judged.given, judged.scores),
            disagreements: disagreement::disagreements(judged.given, &columns),
            notes: notes(judged, &length),
            length,
            failed,
        }
    }
}

fn distributions(judged: &Judged<'_>) -> Vec<Distribution> {
    let mut all = Vec::new();
    for (column, tried) in judged.scores.columns.iter().zip(&judged.tried) {
        let values = column.scores.iter().filter_map(|score| score.value);
        all.push(Distribution {
            weight: Some(column.weight),
            seconds: tried.seconds,
            ..distribution(&column.name, values.collect())
        });
        for part in parts(&column.scores) {
            let of = |score: &Score| {
                let mut parts = score.parts.iter();
                Some(parts.find(|(name, _)| name == part)?.1)
            };
            let values = column.scores.iter().filter_map(of).collect();
            all.push(distribution(&format!("{}/{part}", column.name), values));
        }
    }
    let totals = judged.scores.totals.iter().flatten().copied().collect();
    all.push(distribution(SUM, totals));
    all
}

/// Names of the parts, in order of first appearance.
fn parts(scores: &[Score]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in scores.iter().flat_map(|score| &score.parts) {
        if !names.contains(&name.as_ref()) {
            names.push(name);
        }
    }
    names
}

fn distribution(name: &str, mut values: Vec<f64>) -> Distribution {
    values.sort_by(f64::total_cmp);
    let ends = values.first().zip(values.last());
    Distribution {
        name: name.to_owned(),
        weight: None,
        n: values.len(),
        mean: mean(&values),
        sd: sample_sd(&values),
        quartiles: ends.map(|_| [0.0, 0.25, 0.5, 0.75, 1.0].map(|q| quantile(&values, q))),
        histogram: ends.map_or_else(Vec::new, |(low, high)| histogram(&values, *low, *high)),
        seconds: None,
    }
}

fn histogram(values: &[f64], low: f64, high: f64) -> Vec<usize> {
    let mut bars = vec![0; BARS];
    for value in values {
        // Where all are alike, 0 / 0 is NaN and becomes the first bar.
        let share = (value - low) / (high - low);
        bars[((share * BARS as f64) as usize).min(BARS - 1)] += 1;
    }
    bars
}

fn notes(judged: &Judged<'_>, length: &[Length]) -> Vec<String> {
    let mut notes = Vec::new();
    for found in length.iter().filter(|found| found.secretly) {
        let Some(Correlation {
            r,
            interval: Some((low, high)),
        }) = found.given_verdict
        else {
            continue;
        };
        let more = if r > 0.0 { "longer" } else { "shorter" };
        notes.push(format!(
            "warning: {} pays for more than being right: given the verdict, {more} ones earn more, r = {r:.2} [{low:.2}, {high:.2}]",
            found.name
        ));
    }
    let verdicts = judged.verdicts.iter().flatten().count();
    if verdicts == 0 {
        notes.push(
            "no completion has an expected answer that `correct` can judge by, so whether a reward \
             secretly pays for length cannot be told"
                .to_owned(),
        );
    }
    let count = |lacks: fn(&Given) -> bool| {
        let lacking = judged.given.iter().filter(|given| lacks(given));
        lacking.count()
    };
    for (key, lacking) in [
        ("completion_tokens", count(|given| given.words_for_tokens)),
        ("reasoning_tokens", count(|given| given.words_for_reasoning)),
    ] {
        if lacking > 0 {
            notes.push(format!(
                "{lacking} of {} completions have no `{key}`: words are counted in their place",
                judged.given.len()
            ));
        }
    }
    notes
}

#[cfg(test)]
mod tests;
