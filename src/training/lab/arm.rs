//! The lab of an arm or a teacher: problems to sample and reward, demonstrations
//! to imitate, problems to validate on.

use algorithms::{
    Correction, Demonstration, Example, Lab, LabError, Metrics, Prompt, RewardPart, Rollout,
    Scorer, TokenScores,
};
use anyhow::Result;
use rand::seq::SliceRandom;
use rewards::{BatchScores, WeightedRewards};

use super::demonstrated::Demonstrated;
use super::judging::{self, Draw, Judged};
use super::{CompletionLog, Posed, VALIDATION_TOKENS, held_out, other};
use crate::distributed::{Ranks, Reader, put_floats};
use crate::generation::{self, Key, Precision, Sampling};
use crate::model::{Decoder, Model};
use crate::random::stream;
use crate::sampler::Sampler;
use crate::tasks::{Item, Mix, Split};
use crate::training::forward;
use crate::training::trainer::Source;

/// What each reward said of one completion.
pub(super) fn parts(scores: &BatchScores, index: usize) -> Vec<RewardPart> {
    scores
        .columns
        .iter()
        .map(|column| RewardPart {
            weight: column.weight,
            value: column.scores[index].value,
        })
        .collect()
}

/// Every rank's scores of its share of the examples, in their order: two
/// numbers a completion token.
fn gather_scores(
    own: Vec<TokenScores>,
    examples: &[Example],
    ranks: &Ranks,
) -> Result<Vec<TokenScores>> {
    if !ranks.are_several() {
        return Ok(own);
    }
    let mut message = Vec::new();
    for scores in &own {
        put_floats(&mut message, &scores.logprobs);
        put_floats(&mut message, &scores.entropies);
    }
    let told = ranks.gather_bytes(Ok(message))?.concat();
    let mut reader = Reader::new(&told);
    let scores = examples
        .iter()
        .map(|example| {
            let count = example.completion.len();
            Ok(TokenScores {
                logprobs: reader.floats(count)?,
                entropies: reader.floats(count)?,
            })
        })
        .collect::<Result<_>>()?;
    reader.end()?;
    Ok(scores)
}

/// An arm: problems, rewards, and demonstrations where it imitates.
pub struct ArmLab<'a> {
    /// The policy.
    pub model: &'a Model,
    /// Training and validation problems.
    pub mix: &'a Mix,
    /// Seed of the run.
    pub seed: u64,
    /// What completions are worth; absent where nothing is rewarded.
    pub rewards: Option<&'a WeightedRewards>,
    /// How rollouts and validation answers are sampled.
    pub sampling: Sampling,
    /// What to imitate.
    pub demonstrations: Vec<Demonstration>,
    /// Demonstrations of validation problems, for the held-out loss.
    pub held_out: Vec<Demonstration>,
    /// Problems of a validation.
    pub validation_problems: u64,
    /// What the policy is held to, where the algorithm asks for it.
    pub reference: Option<Decoder>,
    /// What judges the policy's samples, where the algorithm asks for it.
    pub teacher: Option<Decoder>,
    /// Tokens, padding included, of one forward pass over rollouts.
    pub budget_tokens: usize,
    /// Number format in which the policy is trained and scored.
    pub precision: Precision,
    /// Who shares the work.
    pub ranks: &'a Ranks,
    /// Where completions are kept; absent where nobody wants to see them.
    pub completions: Option<CompletionLog>,
    /// What draws rollouts; the lab's own engine where there is none.
    pub sampler: Option<Sampler>,
    /// The demonstrated problems, where no others are met.
    pub(super) demonstrated: Option<Demonstrated>,
    /// What the rewards said of the collection that is going on.
    scores: Option<BatchScores>,
    generated: (u64, u64),
}

impl<'a> ArmLab<'a> {
    /// A lab without rewards and demonstrations; set the fields that apply.
    pub fn new(
        model: &'a Model,
        mix: &'a Mix,
        seed: u64,
        sampling: Sampling,
        validation_problems: u64,
    ) -> Self {
        Self {
            model,
            mix,
            seed,
            rewards: None,
            sampling,
            demonstrations: Vec::new(),
            held_out: Vec::new(),
            validation_problems,
            reference: None,
            teacher: None,
            budget_tokens: VALIDATION_TOKENS,
            precision: Precision::Float32,
            ranks: Ranks::alone(),
            completions: None,
            sampler: None,
            demonstrated: None,
            scores: None,
            generated: (0, 0),
        }
    }

    /// Hash of the first `count` training problems: what arms of one seed share.
    pub fn problem_order(mix: &Mix, seed: u64, count: u64) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        for index in 0..count {
            hasher.update(mix.item(seed, Split::Train, index)?.item_id.as_bytes());
            hasher.update(b"\n");
        }
        Ok(hasher.finalize().to_hex()[..16].to_owned())
    }
}

impl Lab for ArmLab<'_> {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        let first = phase * count as u64;
        (first..first + count as u64)
            .map(|place| {
                let problem = self.problem_at(place);
                let item = self.item(problem)?;
                let tokens = self.model.text.encode_item(&item).map_err(other)?;
                Ok(Prompt { problem, tokens })
            })
            .collect()
    }

    fn rollouts(
        &mut self,
        step: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError> {
        let tokens: Vec<Vec<i64>> = prompts.iter().map(|prompt| prompt.tokens.clone()).collect();
        let keys = |index: usize| {
            let key = |sample| Key {
                seed: self.seed,
                purpose: "rollout",
                indices: vec![step, prompts[index].problem, sample],
            };
            (0..group as u64).map(key).collect()
        };
        let items: Vec<Item> = prompts
            .iter()
            .map(|prompt| self.item(prompt.problem))
            .collect::<Result<_, _>>()?;
        let cap = self.sampling.max_new_tokens;
        let posed = Posed::new(self.model, &items, group, cap);
        // The definition's check leaves an arm without rewards where its
        // algorithm learns from none.
        let Judged {
            completions,
            texts,
            scores,
        } = judging::sample(
            Draw {
                model: self.model,
                prompts: &tokens,
                sampling: &self.sampling,
                keys: &keys,
                posed: &posed,
                rewards: self.rewards,
                elsewhere: self.sampler.as_mut().map(|sampler| (sampler, step)),
            },
            self.ranks,
        )
        .map_err(other)?;
        self.generated.0 += completions
            .iter()
            .map(|c| c.tokens.len() as u64)
            .sum::<u64>();
        self.generated.1 += tokens.iter().map(|prompt| prompt.len() as u64).sum::<u64>();
        if let Some(log) = &mut self.completions {
            let batch = posed.batch(&texts, &completions);
            log.add(step, prompts, &batch, scores.as_ref());
        }
        let rollouts = completions
            .into_iter()
            .enumerate()
            .map(|(index, completion)| Rollout {
                truncated: completion.truncated(),
                demonstrated: false,
                completion: completion.tokens,
                logprobs: completion.logprobs,
                reward: scores.as_ref().and_then(|scores| scores.totals[index]),
                parts: scores
                    .as_ref()
                    .map_or_else(Vec::new, |scores| parts(scores, index)),
            })
            .collect();
        match (&mut self.scores, scores) {
            (Some(earlier), Some(scores)) => earlier.append(scores),
            (None, scores) => self.scores = scores,
            (Some(_), None) => {}
        }
        Ok(rollouts)
    }

    fn demonstrated(&mut self, prompts: &[Prompt], count: usize) -> Result<Vec<Rollout>, LabError> {
        self.judged_demonstrations(prompts, count)
    }

    fn prompt_with_demonstration(
        &mut self,
        prompt: &Prompt,
        template: &str,
    ) -> Result<Vec<i64>, LabError> {
        self.shown_prompt(prompt.problem, template).map_err(other)
    }

    fn advantages(&mut self, prompt: &Prompt, advantages: &[f64]) {
        if let Some(log) = &mut self.completions {
            log.tell(prompt.problem, advantages);
        }
    }

    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        let decoder = match scorer {
            Scorer::Policy => &self.model.decoder,
            Scorer::Reference => self.reference.as_ref().ok_or(LabError::NoScores(scorer))?,
            Scorer::Teacher => self.teacher.as_ref().ok_or(LabError::NoScores(scorer))?,
        };
        let share = forward::share(examples, self.ranks.rank(), self.ranks.world());
        let own = forward::scores(
            decoder,
            self.precision,
            share,
            self.sampling.temperature,
            self.budget_tokens,
        );
        if let (Scorer::Policy, Some(sampler)) = (scorer, &mut self.sampler) {
            sampler.compare(share, &own);
        }
        gather_scores(own, examples, self.ranks).map_err(other)
    }

    fn correction(&self) -> Option<Correction> {
        self.sampler.as_ref()?.correction()
    }

    fn max_completion_length(&self) -> Option<usize> {
        Some(self.sampling.max_new_tokens)
    }

    fn demonstrations(&mut self, step: u64, count: usize) -> Result<Vec<Demonstration>, LabError> {
        let total = self.demonstrations.len() as u64;
        if total == 0 {
            return Err(LabError::NoDemonstrations);
        }
        // Each pass over the demonstrations has an order of its own.
        let mut orders: std::collections::BTreeMap<u64, Vec<u64>> =
            std::collections::BTreeMap::new();
        let first = step * count as u64;
        Ok((first..first + count as u64)
            .map(|place| {
                let epoch = place / total;
                let order = orders.entry(epoch).or_insert_with(|| {
                    let mut order: Vec<u64> = (0..total).collect();
                    order.shuffle(&mut stream(self.seed, "demonstration order", &[epoch]));
                    order
                });
                self.demonstrations[order[(place % total) as usize] as usize].clone()
            })
            .collect())
    }
}

impl Source for ArmLab<'_> {
    fn validate(&mut self) -> Result<Metrics> {
        let share = self.ranks.share(self.validation_problems as usize);
        let items: Vec<Item> = share
            .clone()
            .map(|index| self.mix.item(self.seed, Split::Validation, index as u64))
            .collect::<Result<_>>()?;
        let prompts = items
            .iter()
            .map(|item| self.model.text.encode_item(item))
            .collect::<Result<Vec<_>>>()?;
        let keys = |index: usize| {
            vec![Key {
                seed: self.seed,
                purpose: "validation",
                indices: vec![(share.start + index) as u64],
            }]
        };
        let own = || -> Result<(usize, usize)> {
            let completions = generation::generate(self.model, &prompts, &self.sampling, keys)?;
            let (mut right, mut reasoning) = (0, 0);
            for (item, completion) in items.iter().zip(&completions) {
                let text = self.model.text.decode(&completion.tokens)?;
                let correct = item.grade(&text)? == Some(true);
                right += usize::from(correct && !completion.truncated());
                reasoning += self.model.text.reasoning_tokens(&completion.tokens);
            }
            Ok((right, reasoning))
        };
        let all = self.ranks.gather(own())?;
        let right: usize = all.iter().map(|(right, _)| right).sum();
        let reasoning: usize = all.iter().map(|(_, reasoning)| reasoning).sum();
        let count = self.validation_problems.max(1) as f64;
        let mut metrics = Metrics::from([
            ("validation/accuracy".to_owned(), right as f64 / count),
            (
                "validation/reasoning_tokens".to_owned(),
                reasoning as f64 / count,
            ),
        ]);
        if !self.held_out.is_empty() {
            metrics.extend(held_out(
                self.model,
                self.precision,
                &self.held_out,
                self.ranks,
            )?);
        }
        Ok(metrics)
    }

    fn take_metrics(&mut self) -> Result<Metrics> {
        if let Some(log) = &mut self.completions {
            log.write()?;
        }
        let scores = self.scores.take();
        let mut metrics: Metrics =
            scores.map_or_else(Metrics::new, |s| s.metrics().into_iter().collect());
        if let Some(sampler) = &mut self.sampler {
            metrics.extend(sampler.take_metrics());
        }
        Ok(metrics)
    }

    fn take_generated(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.generated)
    }

    fn reference(&self) -> Option<&Decoder> {
        self.reference.as_ref()
    }
}
