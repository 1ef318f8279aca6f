//! Judging completions while others are still being sampled.
//!
//! Rewards that judge each completion by itself ([`Reward::independent`]) are
//! shown what has arrived while they judged what came before; the others wait
//! for the whole batch. The scores are those of [`WeightedRewards::score`], bit
//! for bit: a slow verifier costs less time, never another number. Metrics of an
//! independent reward are joined from those of the parts, so they are the same
//! but for rounding.
//!
//! What it deliberately does not do: start threads. The caller samples on one
//! and judges on another.
//!
//! [`Reward::independent`]: crate::Reward::independent

use std::sync::mpsc::Receiver;

use serde::{Deserialize, Serialize};

use crate::weighted::Weighted;
use crate::{BatchScores, RewardError, Score, Scored, Scores, WeightedRewards};

/// What independent rewards have said of the completions that arrived.
///
/// # Example
///
/// Completion 1 ends before completion 0:
///
/// ```
/// use rewards::{Registry, Scored, WeightedRewards};
///
/// let table = toml::from_str("format = 1.0")?;
/// let folder = std::path::Path::new(".");
/// let rewards = WeightedRewards::from_table(&Registry::builtin(), &table, folder)?;
/// let item = |text| Scored { completion: text, ..Scored::default() };
///
/// let (sender, arriving) = std::sync::mpsc::channel();
/// sender.send((1, "<think> A </think> true"))?;
/// sender.send((0, "true"))?;
/// drop(sender);
/// let early = rewards.score_arriving(&arriving, |text| item(*text))?;
///
/// let batch = [item("true"), item("<think> A </think> true")];
/// assert_eq!(rewards.score_rest(&batch, early)?, rewards.score(&batch)?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Early {
    /// By reward.
    of: Vec<EarlyScores>,
}

/// What one reward has said; nothing where it waits.
#[derive(Debug, Default, Serialize, Deserialize)]
struct EarlyScores {
    /// By place in the batch.
    each: Vec<Option<Score>>,
    /// By name, of each part that has the metric its value and its completions.
    metrics: Vec<(Name, Vec<(f64, usize)>)>,
}

type Name = std::borrow::Cow<'static, str>;

impl Early {
    /// Takes in what the same rewards have said, elsewhere, of other places of
    /// the same batch.
    pub fn merge(&mut self, other: Self) {
        if self.of.is_empty() {
            *self = other;
            return;
        }
        for (known, other) in self.of.iter_mut().zip(other.of) {
            let length = known.each.len().max(other.each.len());
            known.each.resize(length, None);
            for (score, other) in known.each.iter_mut().zip(other.each) {
                if other.is_some() {
                    *score = other;
                }
            }
            for (name, parts) in other.metrics {
                for (value, completions) in parts {
                    known.add(name.clone(), value, completions);
                }
            }
        }
    }
}

impl EarlyScores {
    /// The whole of the scores where they are of all of a batch.
    fn whole(self, completions: usize) -> Option<Scores> {
        let each: Option<Vec<Score>> = self.each.into_iter().collect();
        let each = each.filter(|each| completions > 0 && each.len() == completions)?;
        let metrics = self.metrics.into_iter();
        Some(Scores {
            each,
            metrics: metrics
                .filter_map(|(name, parts)| Some((name, joined(&parts)?)))
                .collect(),
        })
    }

    fn add(&mut self, name: Name, value: f64, completions: usize) {
        match self.metrics.iter_mut().find(|(known, _)| *known == name) {
            Some((_, parts)) => parts.push((value, completions)),
            None => self.metrics.push((name, vec![(value, completions)])),
        }
    }
}

/// The mean of a metric over parts, weighted by their completions.
fn joined(parts: &[(f64, usize)]) -> Option<f64> {
    let (first, _) = parts.first()?;
    // What is the same of all parts is exactly that of the whole.
    if parts
        .iter()
        .all(|(value, _)| value.to_bits() == first.to_bits())
    {
        return Some(*first);
    }
    let completions: usize = parts.iter().map(|(_, completions)| completions).sum();
    let sum: f64 = parts
        .iter()
        .map(|(value, completions)| value * *completions as f64)
        .sum();
    Some(sum / completions as f64)
}

impl WeightedRewards {
    /// Whether there is a reward that need not wait for the whole batch.
    pub fn judges_early(&self) -> bool {
        let mut rewards = self.rewards().iter();
        rewards.any(|weighted| weighted.reward.independent())
    }

    /// Whether there is a reward that waits for the whole batch.
    pub fn judges_late(&self) -> bool {
        let mut rewards = self.rewards().iter();
        rewards.any(|weighted| !weighted.reward.independent())
    }

    /// Judges completions as they arrive, each with its place in the batch,
    /// until no more can come. A place that arrives twice counts once.
    pub fn score_arriving<T>(
        &self,
        arriving: &Receiver<(usize, T)>,
        scored: impl Fn(&T) -> Scored<'_>,
    ) -> Result<Early, RewardError> {
        let mut early = Early::default();
        early
            .of
            .resize_with(self.rewards().len(), EarlyScores::default);
        while let Ok(first) = arriving.recv() {
            let chunk: Vec<(usize, T)> =
                std::iter::once(first).chain(arriving.try_iter()).collect();
            let batch: Vec<Scored<'_>> = chunk.iter().map(|(_, item)| scored(item)).collect();
            let place = |index: usize| chunk.get(index).map(|(place, _)| *place);
            for (weighted, known) in self.rewards().iter().zip(&mut early.of) {
                if !weighted.reward.independent() {
                    continue;
                }
                let judged = weighted.judge(&batch);
                let judged = judged.map_err(|error| error.within(place))?;
                for ((place, _), score) in chunk.iter().zip(judged.each) {
                    if known.each.len() <= *place {
                        known.each.resize(place + 1, None);
                    }
                    known.each[*place] = Some(score);
                }
                for (name, value) in judged.metrics {
                    known.add(name, value, batch.len());
                }
            }
        }
        Ok(early)
    }

    /// Scores a batch of which some has been judged: the same as
    /// [`WeightedRewards::score`]. A reward that did not see all of it is shown
    /// the whole.
    pub fn score_rest(
        &self,
        batch: &[Scored<'_>],
        mut early: Early,
    ) -> Result<BatchScores, RewardError> {
        self.add_up(batch, |place, weighted: &Weighted| {
            let known = early.of.get_mut(place).map(std::mem::take);
            match known.and_then(|known| known.whole(batch.len())) {
                Some(scores) => Ok(scores),
                None => weighted.judge(batch),
            }
        })
    }
}

#[cfg(test)]
mod tests;
