//! Sampling and judging at the same time: rewards that judge each completion by
//! itself do so on a thread of their own while others are still being sampled.
//!
//! That thread is handed text and token ids, never a tensor. Which completions
//! it has seen when is up to the clock; what it says of them is not, so a run's
//! bits do not depend on it.
//!
//! With several ranks each samples its share of the prompts and judges it by
//! the rewards that need no more than one completion. The others see the whole
//! batch, as they would in one process, and judge it on rank 0.

use std::ops::Range;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Error, Result, bail};
use rewards::{BatchScores, Early, Scored, WeightedRewards};

use super::Posed;
use crate::distributed::{Ranks, Reader, put_count, put_floats, put_ids};
use crate::generation::{self, Completion, Finish, Key, Sampling};
use crate::model::Model;
use crate::sampler::Sampler;

/// What was sampled, as tokens and as text, and what the rewards say of it.
pub(crate) struct Judged {
    pub(crate) completions: Vec<Completion>,
    pub(crate) texts: Vec<String>,
    /// `None` without rewards.
    pub(crate) scores: Option<BatchScores>,
}

/// A completion on its way to the judge.
struct Arrived<'a> {
    posed: &'a Posed<'a>,
    place: usize,
    text: String,
    completion: Completion,
}

impl Arrived<'_> {
    fn scored(&self) -> Scored<'_> {
        self.posed.scored(self.place, &self.text, &self.completion)
    }
}

/// What is to be sampled, and who judges it.
pub(crate) struct Draw<'a, 'p> {
    pub(crate) model: &'a Model,
    /// Token ids of each prompt.
    pub(crate) prompts: &'a [Vec<i64>],
    pub(crate) sampling: &'a Sampling,
    /// The keys of a prompt's samples, by the prompt's index.
    pub(crate) keys: &'a dyn Fn(usize) -> Vec<Key>,
    pub(crate) posed: &'p Posed<'p>,
    pub(crate) rewards: Option<&'a WeightedRewards>,
    /// What draws in the place of the lab's engine, with the updates that the
    /// policy has behind it; never with several ranks, which would each give one
    /// server weights.
    pub(crate) elsewhere: Option<(&'a mut Sampler, u64)>,
}

/// Samples the completions of each prompt, and judges them; every rank gets
/// all of both.
pub(crate) fn sample(draw: Draw<'_, '_>, ranks: &Ranks) -> Result<Judged> {
    let Draw {
        model,
        prompts,
        posed,
        rewards,
        ..
    } = draw;
    let share = ranks.share(prompts.len());
    let mut texts = vec![String::new(); prompts.len() * posed.group];
    let own = sample_share(draw, share, &mut texts);
    let (completions, early) = gather(own, ranks, rewards.is_some())?;
    if ranks.are_several() {
        for (text, completion) in texts.iter_mut().zip(&completions) {
            if text.is_empty() {
                *text = model.text.decode(&completion.tokens)?;
            }
        }
    }
    let batch = posed.batch(&texts, &completions);
    let scores = rewards
        .map(|rewards| judge(rewards, &batch, early, ranks))
        .transpose()?;
    Ok(Judged {
        completions,
        texts,
        scores,
    })
}

/// What the rewards say of a batch, of which they have seen some by themselves.
pub(super) fn judge(
    rewards: &WeightedRewards,
    batch: &[Scored<'_>],
    early: Early,
    ranks: &Ranks,
) -> Result<BatchScores> {
    if rewards.judges_late() {
        // Judging may be a process that another rank has not, or cost money.
        ranks.lead(|| Ok(rewards.score_rest(batch, early)?))
    } else {
        Ok(rewards.score_rest(batch, early)?)
    }
}

/// Every rank's completions, prompt by prompt, and what was said of them.
fn gather(
    own: Result<(Vec<Completion>, Early)>,
    ranks: &Ranks,
    judged: bool,
) -> Result<(Vec<Completion>, Early)> {
    if !ranks.are_several() {
        return own;
    }
    let (own, early) = match own {
        Ok((completions, early)) => (Ok(encode(&completions)), early),
        Err(error) => (Err(error), Early::default()),
    };
    let mut completions = Vec::new();
    for message in ranks.gather_bytes(own)? {
        decode(&message, &mut completions)?;
    }
    let mut all = Early::default();
    if judged {
        for early in ranks.gather(Ok(early))? {
            all.merge(early);
        }
    }
    Ok((completions, all))
}

/// Ways to end, by the number that stands for them.
const FINISHES: [Finish; 3] = [Finish::End, Finish::Stop, Finish::Length];

/// Completions as they are told to other ranks: of each its length, how it
/// ended, its ids and their log-probabilities; 5 bytes and 8 a token.
fn encode(completions: &[Completion]) -> Vec<u8> {
    let mut message = Vec::new();
    for completion in completions {
        put_count(&mut message, completion.tokens.len());
        let finish = FINISHES
            .iter()
            .position(|known| *known == completion.finish);
        message.push(finish.unwrap_or_default() as u8);
        put_ids(&mut message, &completion.tokens);
        put_floats(&mut message, &completion.logprobs);
    }
    message
}

/// Adds the completions of a message.
fn decode(message: &[u8], to: &mut Vec<Completion>) -> Result<()> {
    let mut reader = Reader::new(message);
    while !reader.is_done() {
        let count = reader.count()?;
        let finish = FINISHES.get(usize::from(reader.byte()?)).copied();
        to.push(Completion {
            finish: finish.context("another rank's completion ended in an unknown way")?,
            tokens: reader.ids(count)?,
            logprobs: reader.floats(count)?,
        });
    }
    Ok(())
}

/// Samples the completions of a share of the prompts, and has those judged
/// that can be by themselves. `texts` has a place for every completion.
fn sample_share<'p>(
    draw: Draw<'_, 'p>,
    share: Range<usize>,
    texts: &mut [String],
) -> Result<(Vec<Completion>, Early)> {
    let Draw {
        model,
        prompts,
        sampling,
        keys,
        posed,
        rewards,
        mut elsewhere,
    } = draw;
    let first = share.start;
    let prompts = prompts.get(share).unwrap_or_default();
    let keys = |index: usize| keys(first + index);
    let mut generate = |judge: Option<Sender<(usize, Arrived<'p>)>>| {
        let mut ended = |place: usize, completion: &Completion| {
            let place = first * posed.group + place;
            let text = model.text.decode(&completion.tokens)?;
            if let Some(judge) = &judge {
                let arrived = Arrived {
                    posed,
                    place,
                    text: text.clone(),
                    completion: completion.clone(),
                };
                let sent = judge.send((place, arrived));
                sent.ok().context("the rewards have failed")?;
            }
            if let Some(room) = texts.get_mut(place) {
                *room = text;
            }
            Ok(())
        };
        match &mut elsewhere {
            Some((sampler, step)) => {
                sampler.sample(model, *step, prompts, sampling, keys, &mut ended)
            }
            None => generation::generate_telling(model, prompts, sampling, keys, &mut ended),
        }
    };
    match rewards.filter(|rewards| rewards.judges_early()) {
        None => Ok((generate(None)?, Early::default())),
        Some(rewards) => thread::scope(|scope| {
            let (told, arriving) = channel();
            let judge = scope.spawn(move || rewards.score_arriving(&arriving, Arrived::scored));
            // The sender goes with it, so the judge knows when no more can come.
            let sampled = generate(Some(told));
            let Ok(early) = judge.join() else {
                bail!("a reward panicked; its message stands above");
            };
            // Where the judge failed, that is why the sampling did.
            let early = early?;
            Ok::<_, Error>((sampled?, early))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completions_reach_other_ranks_as_they_were_drawn() {
        let completion = |tokens: &[i64], finish| Completion {
            tokens: tokens.to_vec(),
            logprobs: tokens.iter().map(|&id| -0.1 * id as f32).collect(),
            finish,
        };
        let drawn = [
            completion(&[3, 17, 49_151], Finish::End),
            completion(&[], Finish::Length),
            completion(&[5], Finish::Stop),
        ];
        let message = encode(&drawn);
        assert_eq!(message.len(), 3 * 5 + 4 * 8);
        let mut heard = Vec::new();
        decode(&message, &mut heard).unwrap();
        assert_eq!(heard, drawn);
        assert!(decode(&message[..message.len() - 1], &mut heard).is_err());
        assert!(decode(&[0, 0, 0, 0, 9], &mut heard).is_err());
    }
}
