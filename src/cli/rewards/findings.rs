//! What rewards say of completions, summed up: distributions, what goes with
//! length, and where two rewards disagree.
//!
//! **Length.** Of each reward and of the weighted sum, Pearson's and Spearman's
//! correlation with the completion's tokens, and Pearson's partial correlation
//! given the verdict of `correct` (its defaults, where an answer is expected):
//! that among completions that are judged the same. Intervals are Fisher's, one
//! observation less for the covariate, and take completions for independent,
//! which those of one problem are not quite: they point at what to look into.
//!
//! **The warning.** A reward *secretly pays for length* where it pays for being
//! right (its correlation with the verdict lies above 0, interval included) and,
//! given the verdict, goes with length beyond its interval. Rewards that are
//! openly about length are not warned of, nor is a sum with such a one in it.
//!
//! **Disagreement.** A value's rank among all to which both rewards apply,
//! from 0 to 1 with ties sharing, is compared between the two; the largest
//! gaps are shown, each completion once and no pair of rewards more often than
//! its share.
//!
//! What it deliberately does not do: compute a statistic of its own, or print.

use std::time::Duration;

use ::rewards::{BatchScores, Score};
use experiments::statistics::correlation::{
    average_ranks, fisher_interval, partial, pearson, spearman,
};
use experiments::statistics::interval::quantile;
use experiments::statistics::{mean, sample_sd};
use serde::Serialize;

use super::given::Given;

/// Bars of a histogram.
const BARS: usize = 12;

/// Disagreements that are shown.
const SHOWN: usize = 5;

/// Rewards that say what they do about length.
const OPENLY: [&str; 3] = ["length_cost", "overlong", "human_cost"];

/// Name of the weighted sum among the rewards.
const SUM: &str = "weighted sum";

/// What the rewards of one arm say.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// The arm.
    pub(super) arm: String,
    /// Completions that were judged, and the batches they came in.
    pub(super) completions: usize,
    pub(super) batches: usize,
    /// Each reward, its parts after it, and last the weighted sum.
    pub(super) scores: Vec<Distribution>,
    /// Metrics of the batches.
    pub(super) metrics: Vec<(String, f64)>,
    /// Completions whose answer could be judged right or wrong.
    pub(super) verdicts: usize,
    /// What goes with length.
    pub(super) length: Vec<Length>,
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
    /// Time a completion, of a reward.
    pub(super) seconds: Option<f64>,
}

/// A correlation with its 95 % interval.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Correlation {
    pub(super) r: f64,
    pub(super) interval: Option<(f64, f64)>,
}

impl Correlation {
    /// Whether all of the interval lies on one side of 0.
    fn is_beyond_zero(&self) -> bool {
        self.interval
            .is_some_and(|(low, high)| low > 0.0 || high < 0.0)
    }
}

/// How a reward goes with length.
#[derive(Debug, Serialize)]
pub(super) struct Length {
    pub(super) name: String,
    pub(super) n: usize,
    pub(super) pearson: Option<Correlation>,
    pub(super) spearman: Option<f64>,
    /// Among completions that are judged the same.
    pub(super) given_verdict: Option<Correlation>,
    /// Whether it pays for length in secret.
    pub(super) secretly: bool,
}

/// A completion that two rewards rank differently.
#[derive(Debug, Serialize)]
pub(super) struct Disagreement {
    pub(super) rewards: [String; 2],
    pub(super) values: [f64; 2],
    /// Difference of the ranks, each from 0 to 1.
    pub(super) gap: f64,
    pub(super) task: String,
    pub(super) problem: String,
    pub(super) prompt: String,
    pub(super) completion: String,
}

/// What was judged, and how.
pub(super) struct Judged<'a> {
    pub(super) arm: &'a str,
    pub(super) given: &'a [&'a Given],
    pub(super) batches: usize,
    pub(super) scores: &'a BatchScores,
    /// What each reward is, and the time it took.
    pub(super) rewards: Vec<(&'a str, Duration)>,
    /// Whether each completion is right, where that can be told.
    pub(super) verdicts: &'a [Option<f64>],
}

impl Findings {
    pub(super) fn of(judged: &Judged<'_>) -> Self {
        let columns: Vec<(&str, Vec<Option<f64>>)> = judged
            .scores
            .columns
            .iter()
            .map(|column| {
                let values = column.scores.iter().map(|score| score.value).collect();
                (column.name.as_str(), values)
            })
            .collect();
        let length = lengths(judged, &columns);
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
            disagreements: disagreements(judged, &columns),
            notes: notes(judged, &length),
            length,
        }
    }
}

fn distributions(judged: &Judged<'_>) -> Vec<Distribution> {
    let mut all = Vec::new();
    for (column, (_, time)) in judged.scores.columns.iter().zip(&judged.rewards) {
        let values = column.scores.iter().filter_map(|score| score.value);
        let seconds = time.as_secs_f64() / judged.given.len().max(1) as f64;
        all.push(Distribution {
            weight: Some(column.weight),
            seconds: Some(seconds),
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

fn correlation(r: f64, n: usize) -> Correlation {
    Correlation {
        r,
        interval: fisher_interval(r, n),
    }
}

fn lengths(judged: &Judged<'_>, columns: &[(&str, Vec<Option<f64>>)]) -> Vec<Length> {
    let tokens: Vec<f64> = judged
        .given
        .iter()
        .map(|given| given.scored().completion_tokens as f64)
        .collect();
    let openly = |kind: &str| OPENLY.contains(&kind);
    let each = columns.iter().zip(&judged.rewards);
    let each = each.map(|((name, values), (kind, _))| (*name, values, openly(kind)));
    let weighs = |(column, (kind, _)): (&::rewards::Column, &(&str, Duration))| {
        column.weight != 0.0 && openly(kind)
    };
    let any = judged
        .scores
        .columns
        .iter()
        .zip(&judged.rewards)
        .any(weighs);
    each.chain([(SUM, &judged.scores.totals, any)])
        .map(|(name, values, openly)| {
            let length = length(name, values, &tokens, judged.verdicts);
            Length {
                secretly: length.secretly && !openly,
                ..length
            }
        })
        .collect()
}

fn length(name: &str, values: &[Option<f64>], tokens: &[f64], verdicts: &[Option<f64>]) -> Length {
    let applies = values.iter().zip(tokens);
    let (x, y): (Vec<f64>, Vec<f64>) = applies
        .filter_map(|(value, tokens)| Some(((*value)?, *tokens)))
        .unzip();
    let plain = pearson(&x, &y).ok();
    let mut judged = [Vec::new(), Vec::new(), Vec::new()];
    for ((value, tokens), verdict) in values.iter().zip(tokens).zip(verdicts) {
        if let (Some(value), Some(verdict)) = (value, verdict) {
            for (side, number) in judged.iter_mut().zip([value, tokens, verdict]) {
                side.push(*number);
            }
        }
    }
    let [value, tokens, verdict] = &judged;
    let n = value.len();
    let given_verdict = partial(value, tokens, verdict).ok();
    // One observation goes to the covariate.
    let given_verdict = given_verdict.map(|r| correlation(r, n.saturating_sub(1)));
    let right = pearson(value, verdict).ok().map(|r| correlation(r, n));
    let pays = right.is_some_and(|right| right.r > 0.0 && right.is_beyond_zero());
    Length {
        name: name.to_owned(),
        n: x.len(),
        spearman: spearman(&x, &y).ok(),
        pearson: plain.map(|r| correlation(r, x.len())),
        secretly: pays && given_verdict.is_some_and(|given| given.is_beyond_zero()),
        given_verdict,
    }
}

fn disagreements(judged: &Judged<'_>, columns: &[(&str, Vec<Option<f64>>)]) -> Vec<Disagreement> {
    let mut found: Vec<(f64, usize, [&str; 2], [f64; 2])> = Vec::new();
    for (index, (a, first)) in columns.iter().enumerate() {
        for (b, second) in columns.iter().skip(index + 1) {
            let both: Vec<(usize, [f64; 2])> = first
                .iter()
                .zip(second)
                .enumerate()
                .filter_map(|(place, (x, y))| Some((place, [(*x)?, (*y)?])))
                .collect();
            let ranks = |side: usize| -> Vec<f64> {
                let values: Vec<f64> = both.iter().map(|(_, values)| values[side]).collect();
                average_ranks(&values)
            };
            for (((place, values), x), y) in both.iter().zip(ranks(0)).zip(ranks(1)) {
                let gap = (x - y).abs() / both.len() as f64;
                found.push((gap, *place, [a, b], *values));
            }
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let pairs = columns.len() * columns.len().saturating_sub(1) / 2;
    let share = SHOWN.div_ceil(pairs.max(1));
    let mut shown: Vec<&Given> = Vec::new();
    let mut all: Vec<Disagreement> = Vec::new();
    for (gap, place, rewards, values) in found {
        let Some(given) = judged.given.get(place).copied() else {
            continue;
        };
        let again = |other: &&Given| {
            (&other.prompt, &other.completion) == (&given.prompt, &given.completion)
        };
        let of_pair = |other: &&Disagreement| other.rewards == rewards;
        let enough = all.iter().filter(of_pair).count() >= share;
        if gap == 0.0 || enough || shown.iter().any(again) {
            continue;
        }
        shown.push(given);
        all.push(Disagreement {
            rewards: rewards.map(str::to_owned),
            values,
            gap,
            task: given.task.clone(),
            problem: given.problem.clone(),
            prompt: given.prompt.clone(),
            completion: given.completion.clone(),
        });
        if all.len() == SHOWN {
            break;
        }
    }
    all
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
            "warning: {} pays for more than being right: among completions that `correct` judges the \
             same, {more} ones earn more, r = {r:.2} [{low:.2}, {high:.2}]",
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
    let in_words = judged.given.iter().filter(|given| given.in_words).count();
    if in_words > 0 {
        notes.push(format!(
            "{in_words} of {} completions say nothing of their tokens: words stand for them",
            judged.given.len()
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
