//! Sampling and judging at the same time: rewards that judge each completion by
//! itself do so on a thread of their own while others are still being sampled.
//!
//! That thread is handed text and token ids, never a tensor. Which completions
//! it has seen when is up to the clock; what it says of them is not, so a run's
//! bits do not depend on it.

use std::sync::mpsc::{Sender, channel};
use std::thread;

use anyhow::{Context, Error, Result, bail};
use rewards::{BatchScores, Early, Scored, WeightedRewards};

use super::Posed;
use crate::generation::{self, Completion, Key, Sampling};
use crate::model::Model;
use crate::sampler::Sampler;

/// What was sampled, as tokens and as text, and what the rewards say of it.
pub(super) struct Judged {
    pub(super) completions: Vec<Completion>,
    pub(super) texts: Vec<String>,
    /// `None` without rewards.
    pub(super) scores: Option<BatchScores>,
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

/// Samples the completions of each prompt, and judges them. `elsewhere` draws
/// them where it is given, with the updates that the policy has behind it.
pub(super) fn sample<'p>(
    model: &Model,
    prompts: &[Vec<i64>],
    sampling: &Sampling,
    keys: impl Fn(usize) -> Vec<Key>,
    posed: &'p Posed<'p>,
    rewards: Option<&WeightedRewards>,
    mut elsewhere: Option<(&mut Sampler, u64)>,
) -> Result<Judged> {
    let mut texts = vec![String::new(); prompts.len() * posed.group];
    let mut generate = |judge: Option<Sender<(usize, Arrived<'p>)>>| {
        let mut ended = |place: usize, completion: &Completion| {
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
                sampler.sample(model, *step, prompts, sampling, &keys, &mut ended)
            }
            None => generation::generate_telling(model, prompts, sampling, &keys, &mut ended),
        }
    };
    let (completions, early) = match rewards.filter(|rewards| rewards.judges_early()) {
        None => (generate(None)?, Early::default()),
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
        })?,
    };
    let batch = posed.batch(&texts, &completions);
    let scores = rewards.map(|rewards| rewards.score_rest(&batch, early));
    let scores = scores.transpose()?;
    Ok(Judged {
        completions,
        texts,
        scores,
    })
}
