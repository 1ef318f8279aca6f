//! Whether a completion spends more where people do, and less where they do.
//!
//! Formula: for completion i with t(i) reasoning tokens on a problem that costs
//! people h(i), the mean of sign((t(i) - t(j)) (h(i) - h(j))) over the batch's
//! completions j of the same task with h(j) other than h(i). Equal tokens are
//! worth 0. Range: \[-1, 1\]: 1 where it is longer than every completion of a
//! cheaper problem and shorter than every completion of a dearer one.
//!
//! Three completions of one task, with 4 tokens at h = 6.9, 9 at 7.1 and 7 at
//! 7.3: the first is worth 1 (shorter than both), the second (1 - 1) / 2 = 0, the
//! third 0 as well.
//!
//! It does not apply, and nothing is compared with the completion, where nobody
//! was timed on the problem and where the limit cut the completion off: how much
//! it would have spent is not known, and the evaluation leaves such completions
//! out of every figure too. Nor does it apply where no completion of the task has
//! another human cost: a batch needs several problems of each task.
//!
//! Metrics of a batch: `tau_b`, Kendall's tau-b between human cost and a problem's
//! cost to the model (the mean of ln(1 + reasoning tokens), as in the evaluation),
//! the mean over the tasks in which it is defined; `pairs`, of all pairs of
//! completions of one task, the share with different human costs.
//!
//! Source: the lab's own. The sign of a pair is that of Kendall's rank correlation
//! (1938), and the mean over a task, weighted by pairs, is Somers' d (1962) of
//! tokens on human cost.
//!
//! # What it trains, and how it can be gamed
//!
//! It is a reward, not the evaluation: the problems are others, but the norms are
//! the same means by condition, so a model trained on it is aligned by
//! construction. What there is to learn is whether that can be trained at all, and
//! what it costs in accuracy.
//!
//! - Ranks only: one token more is worth as much as a hundred, and filler as much
//!   as work. The linear measure of the evaluation may rise less than this one.
//! - The condition shows in the prompt (a larger addend, a false result), so a
//!   rule from prompt to length is enough, and it needs no thought.
//! - A wrong answer is paid like a right one, unless `only_correct`. With it, a
//!   wrong answer escapes a value below 0: give it less weight than `correct`.
//! - So does a completion that is cut off: combine it with `overlong`.
//! - What is best depends on what the rest of the batch does.
//!
//! What it deliberately does not do: compare across tasks, whose tokens and times
//! have units of their own, or compare completions of one problem, which cost
//! people the same.

mod agreement;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::correct::{self, Correct};
use crate::{Reward, RewardError, Score, Scored, Scores};
use agreement::{standings, tau_b};

/// The name in the registry.
pub const NAME: &str = "human_cost";

/// Parameters of [`HumanCost`].
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Whether it applies to right answers alone, by `correct` with its
    /// defaults, and compares them with right answers alone; default false.
    pub only_correct: bool,
    /// The tasks it applies to; default none: all of them. A policy that is paid
    /// for some tasks shows in the others what carries over.
    pub tasks: Vec<String>,
}

/// Agreement with human cost in rank, between -1 and 1.
///
/// Part: `others`, how many completions it was compared with.
#[derive(Debug, Clone, PartialEq)]
pub struct HumanCost {
    judge: Option<Correct>,
    tasks: Vec<String>,
}

impl HumanCost {
    /// A judge with these parameters.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        let judge = (parameters.only_correct)
            .then(|| Correct::new(&correct::Parameters::default()))
            .transpose()?;
        Ok(Self {
            judge,
            tasks: parameters.tasks.clone(),
        })
    }

    /// The completions that are compared, with what their problems cost people,
    /// by task.
    fn by_task<'a>(&self, batch: &[Scored<'a>]) -> Result<Tasks<'a>, RewardError> {
        let right = match &self.judge {
            Some(judge) => Some(judge.score(batch)?.each),
            None => None,
        };
        let is_right = |index: usize| match &right {
            // Without an expected answer none is known to be right.
            Some(scores) => scores[index].value == Some(1.0),
            None => true,
        };
        let mut known: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        let mut tasks = Tasks::new();
        for (index, item) in batch.iter().enumerate() {
            let Some(cost) = item.human_cost else {
                continue;
            };
            let wrong = |message: String| RewardError::Item {
                reward: NAME.to_owned(),
                index,
                problem: item.problem.to_owned(),
                message,
            };
            if !cost.is_finite() {
                return Err(wrong(format!(
                    "its human cost is {cost}: give a finite mean of ln(milliseconds), or none"
                )));
            }
            // 0 and -0 are one cost; their sum is 0.
            let cost = cost + 0.0;
            match known.entry((item.task, item.problem)) {
                Entry::Vacant(place) => {
                    place.insert(cost);
                }
                Entry::Occupied(before) if before.get().total_cmp(&cost).is_eq() => {}
                Entry::Occupied(before) => {
                    return Err(wrong(format!(
                        "its human cost is {cost}, and {} for an earlier completion: \
                         a problem has one",
                        before.get()
                    )));
                }
            }
            let counts = self.tasks.is_empty() || self.tasks.iter().any(|t| t == item.task);
            if counts && !item.truncated && is_right(index) {
                tasks.entry(item.task).or_default().push((index, cost));
            }
        }
        Ok(tasks)
    }
}

/// Positions in the batch and human costs, by task.
type Tasks<'a> = BTreeMap<&'a str, Vec<(usize, f64)>>;

impl Reward for HumanCost {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let mut each = vec![Score::does_not_apply(); batch.len()];
        let mut taus = Vec::new();
        let (mut comparable, mut pairs) = (0.0, 0.0);
        for members in self.by_task(batch)?.values() {
            let points: Vec<(f64, f64)> = members
                .iter()
                .map(|(index, cost)| (batch[*index].reasoning_tokens as f64, *cost))
                .collect();
            pairs += points.len() as f64 * (points.len() - 1) as f64;
            for ((index, _), standing) in members.iter().zip(standings(&points)) {
                let others = standing.comparable as f64;
                if standing.comparable > 0 {
                    each[*index] =
                        Score::new(standing.net as f64 / others).with_part("others", others);
                }
                comparable += others;
            }
            taus.extend(tau_b(&problems(batch, members)));
        }
        let mut scores = Scores {
            each,
            metrics: Vec::new(),
        };
        if !taus.is_empty() {
            scores = scores.with_metric("tau_b", taus.iter().sum::<f64>() / taus.len() as f64);
        }
        if pairs > 0.0 {
            scores = scores.with_metric("pairs", comparable / pairs);
        }
        Ok(scores)
    }
}

/// What each problem of a task costs the model, and what it costs people.
fn problems(batch: &[Scored<'_>], members: &[(usize, f64)]) -> Vec<(f64, f64)> {
    let mut problems: BTreeMap<&str, (f64, f64, f64)> = BTreeMap::new();
    for (index, cost) in members {
        let item = &batch[*index];
        let problem = problems.entry(item.problem).or_insert((0.0, 0.0, *cost));
        problem.0 += (item.reasoning_tokens as f64).ln_1p();
        problem.1 += 1.0;
    }
    problems
        .values()
        .map(|(sum, count, cost)| (sum / count, *cost))
        .collect()
}
