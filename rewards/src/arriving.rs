//! Judging completions while others are still being sampled.
//!
//! Rewards that judge each completion by itself ([`Reward::independent`]) are
//! shown what has arrived while they judged what came before; the others wait
//! for the whole batch. The scores are those of [`WeightedRewards::score`], bit
//! for bit: a slow verifier costs less time, never another number.
//!
//! What it deliberately does not do: start threads. The caller samples on one
//! and judges on another.
//!
//! [`Reward::independent`]: crate::Reward::independent

use std::sync::mpsc::Receiver;

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
#[derive(Debug, Default)]
pub struct Early {
    /// By reward, then by place in the batch; nothing where the reward waits.
    scores: Vec<Vec<Option<Score>>>,
}

impl WeightedRewards {
    /// Whether there is a reward that need not wait for the whole batch.
    pub fn judges_early(&self) -> bool {
        let mut rewards = self.rewards().iter();
        rewards.any(|weighted| weighted.reward.independent())
    }

    /// Judges completions as they arrive, each with its place in the batch,
    /// until no more can come. A place that arrives twice counts once.
    pub fn score_arriving<T>(
        &self,
        arriving: &Receiver<(usize, T)>,
        scored: impl Fn(&T) -> Scored<'_>,
    ) -> Result<Early, RewardError> {
        let mut scores = vec![Vec::new(); self.rewards().len()];
        while let Ok(first) = arriving.recv() {
            let chunk: Vec<(usize, T)> =
                std::iter::once(first).chain(arriving.try_iter()).collect();
            let batch: Vec<Scored<'_>> = chunk.iter().map(|(_, item)| scored(item)).collect();
            let place = |index: usize| chunk.get(index).map(|(place, _)| *place);
            for (weighted, known) in self.rewards().iter().zip(&mut scores) {
                if !weighted.reward.independent() {
                    continue;
                }
                let judged = weighted.judge(&batch);
                let judged = judged.map_err(|error| error.within(place))?;
                for ((place, _), score) in chunk.iter().zip(judged.each) {
                    if known.len() <= *place {
                        known.resize(place + 1, None);
                    }
                    known[*place] = Some(score);
                }
            }
        }
        Ok(Early { scores })
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
            let known = early.scores.get_mut(place).map(std::mem::take);
            let known: Option<Vec<Score>> = known.and_then(|known| known.into_iter().collect());
            match known.filter(|known| !batch.is_empty() && known.len() == batch.len()) {
                Some(each) => Ok(Scores {
                    each,
                    metrics: Vec::new(),
                }),
                None => weighted.judge(batch),
            }
        })
    }
}

#[cfg(test)]
mod tests;
