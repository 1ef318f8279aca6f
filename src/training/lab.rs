//! The lab as the algorithms see it: problems in the seed's order, rollouts
//! scored by the arm's rewards, demonstrations in the seed's order.
//!
//! Two labs: [`PretrainingLab`] for pre-training, whose demonstrations are generated
//! documents, and [`ArmLab`] for everything that follows.

use algorithms::{
    Demonstration, Example, Lab, LabError, Metrics, Prompt, RewardPart, Rollout, Scorer,
    TokenScores,
};
use anyhow::Result;
use rand::seq::SliceRandom;
use rewards::{BatchScores, Scored, WeightedRewards};

use super::forward;
use super::trainer::Source;
use crate::generation::{self, Completion, Key, Sampling};
use crate::model::{Decoder, Model};
use crate::random::stream;
use crate::tasks::corpus::Corpus;
use crate::tasks::{Mix, Problem, Split, grading};

/// Documents of the held-out loss are those from here on: far beyond any that
/// a training reaches.
const HELD_OUT_FROM: u64 = 1 << 40;

/// Tokens of one forward pass of a validation; bounds memory.
const VALIDATION_TOKENS: usize = 8192;

/// Completions as rewards see them, `group` for each problem.
pub fn scored<'a>(
    model: &Model,
    problems: &'a [Problem],
    group: usize,
    texts: &'a [String],
    completions: &[Completion],
    max_new_tokens: usize,
) -> Vec<Scored<'a>> {
    completions
        .iter()
        .enumerate()
        .map(|(index, completion)| {
            let problem = &problems[index / group];
            Scored {
                task: problem.task,
                problem: &problem.id,
                prompt: &problem.prompt,
                completion: &texts[index],
                expected: Some(&problem.answer),
                reasoning_tokens: model.text.reasoning_tokens(&completion.tokens),
                completion_tokens: completion.tokens.len(),
                max_new_tokens,
                truncated: completion.truncated(),
            }
        })
        .collect()
}

fn other(error: impl Into<anyhow::Error>) -> LabError {
    LabError::Other(error.into().into())
}

/// What each reward said of one completion.
fn parts(scores: &BatchScores, index: usize) -> Vec<RewardPart> {
    scores
        .columns
        .iter()
        .map(|column| RewardPart {
            weight: column.weight,
            value: column.scores[index].value,
        })
        .collect()
}

/// Mean negative log-probability of the completions' tokens, in nats.
fn held_out_loss(model: &Model, demonstrations: &[Demonstration]) -> f64 {
    let _guard = tch::no_grad_guard();
    let examples: Vec<algorithms::Example> = demonstrations
        .iter()
        .map(|d| algorithms::Example {
            prompt: d.prompt.clone(),
            completion: d.completion.clone(),
            weights: vec![1.0; d.completion.len()],
            ..algorithms::Example::default()
        })
        .collect();
    let mut sum = 0.0;
    let mut count = 0.0;
    for rows in forward::micro_batches(&examples, VALIDATION_TOKENS) {
        let (tokens, _) = forward::score(&model.decoder, &rows, 1.0, false);
        sum -= tokens.logprobs_N.sum(tch::Kind::Double).double_value(&[]);
        count += tokens.logprobs_N.size()[0] as f64;
    }
    sum / count
}

/// Pre-training: an endless list of generated documents.
pub struct PretrainingLab<'a> {
    model: &'a Model,
    documents: &'a Corpus,
    seed: u64,
    focus_weight: f32,
    held_out: Vec<Demonstration>,
}

impl<'a> PretrainingLab<'a> {
    /// The documents of a seed. Tokens in a document's focus count
    /// `focus_weight` times.
    pub fn new(
        model: &'a Model,
        documents: &'a Corpus,
        seed: u64,
        focus_weight: f64,
        held_out: u64,
    ) -> Result<Self> {
        let mut lab = Self {
            model,
            documents,
            seed,
            focus_weight: focus_weight as f32,
            held_out: Vec::new(),
        };
        lab.held_out = (HELD_OUT_FROM..HELD_OUT_FROM + held_out)
            .map(|index| lab.demonstration(index))
            .collect::<Result<_>>()?;
        Ok(lab)
    }

    fn demonstration(&self, index: u64) -> Result<Demonstration> {
        let document = self.documents.document(self.seed, index);
        let completion = self.model.text.encode_completion(&document.completion)?;
        let mut weights = vec![1.0; completion.len()];
        for place in document.focus {
            weights[place] = self.focus_weight;
        }
        Ok(Demonstration {
            prompt: self.model.text.encode_prompt(&document.prompt)?,
            completion,
            weights,
        })
    }
}

impl Lab for PretrainingLab<'_> {
    fn prompts(&mut self, _: u64, _: usize) -> Result<Vec<Prompt>, LabError> {
        Err(other(anyhow::anyhow!(
            "pre-training has documents, not problems"
        )))
    }

    fn rollouts(&mut self, _: u64, _: &[Prompt], _: usize) -> Result<Vec<Rollout>, LabError> {
        Err(other(anyhow::anyhow!(
            "pre-training has documents, not rollouts"
        )))
    }

    fn demonstrations(&mut self, step: u64, count: usize) -> Result<Vec<Demonstration>, LabError> {
        let first = step * count as u64;
        (first..first + count as u64)
            .map(|index| self.demonstration(index).map_err(other))
            .collect()
    }
}

impl Source for PretrainingLab<'_> {
    fn validate(&mut self) -> Result<Metrics> {
        Ok(Metrics::from([(
            "validation/loss".to_owned(),
            held_out_loss(self.model, &self.held_out),
        )]))
    }

    fn take_metrics(&mut self) -> Metrics {
        Metrics::new()
    }

    fn take_generated(&mut self) -> (u64, u64) {
        (0, 0)
    }
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
    /// Metrics since they were last taken.
    metrics: Metrics,
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
            metrics: Metrics::new(),
            generated: (0, 0),
        }
    }

    /// Hash of the first `count` training problems: what arms of one seed share.
    pub fn problem_order(mix: &Mix, seed: u64, count: u64) -> String {
        let mut hasher = blake3::Hasher::new();
        for index in 0..count {
            hasher.update(mix.problem(seed, Split::Train, index).id.as_bytes());
            hasher.update(b"\n");
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }

    fn score(
        &mut self,
        problems: &[Problem],
        group: usize,
        texts: &[String],
        completions: &[Completion],
    ) -> Result<Option<BatchScores>, LabError> {
        let Some(rewards) = self.rewards else {
            // The definition's check leaves this to arms that learn from no reward.
            return Ok(None);
        };
        let batch = scored(
            self.model,
            problems,
            group,
            texts,
            completions,
            self.sampling.max_new_tokens,
        );
        let scores = rewards.score(&batch).map_err(other)?;
        self.metrics.extend(scores.metrics());
        Ok(Some(scores))
    }
}

impl Lab for ArmLab<'_> {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        let first = phase * count as u64;
        (first..first + count as u64)
            .map(|problem| {
                let text = self.mix.problem(self.seed, Split::Train, problem).prompt;
                let tokens = self.model.text.encode_prompt(&text).map_err(other)?;
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
        let completions =
            generation::generate(self.model, &tokens, &self.sampling, keys).map_err(other)?;
        self.generated.0 += completions
            .iter()
            .map(|c| c.tokens.len() as u64)
            .sum::<u64>();
        self.generated.1 += tokens.iter().map(|prompt| prompt.len() as u64).sum::<u64>();
        let problems: Vec<Problem> = prompts
            .iter()
            .map(|prompt| self.mix.problem(self.seed, Split::Train, prompt.problem))
            .collect();
        let texts = completions
            .iter()
            .map(|completion| self.model.text.decode(&completion.tokens))
            .collect::<Result<Vec<_>>>()
            .map_err(other)?;
        let scores = self.score(&problems, group, &texts, &completions)?;
        Ok(completions
            .into_iter()
            .enumerate()
            .map(|(index, completion)| Rollout {
                truncated: completion.truncated(),
                completion: completion.tokens,
                logprobs: completion.logprobs,
                reward: scores.as_ref().and_then(|scores| scores.totals[index]),
                parts: scores
                    .as_ref()
                    .map_or_else(Vec::new, |scores| parts(scores, index)),
            })
            .collect())
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
        let temperature = self.sampling.temperature;
        Ok(forward::scores(
            decoder,
            examples,
            temperature,
            self.budget_tokens,
        ))
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
        let problems: Vec<Problem> = (0..self.validation_problems)
            .map(|index| self.mix.problem(self.seed, Split::Validation, index))
            .collect();
        let prompts = problems
            .iter()
            .map(|problem| self.model.text.encode_prompt(&problem.prompt))
            .collect::<Result<Vec<_>>>()?;
        let keys = |index: usize| {
            vec![Key {
                seed: self.seed,
                purpose: "validation",
                indices: vec![index as u64],
            }]
        };
        let completions = generation::generate(self.model, &prompts, &self.sampling, keys)?;
        let mut right = 0usize;
        let mut reasoning = 0usize;
        for (problem, completion) in problems.iter().zip(&completions) {
            let text = self.model.text.decode(&completion.tokens)?;
            let correct = grading::grade(&problem.answer, &text);
            right += usize::from(correct && !completion.truncated());
            reasoning += self.model.text.reasoning_tokens(&completion.tokens);
        }
        let count = completions.len().max(1) as f64;
        let mut metrics = Metrics::from([
            ("validation/accuracy".to_owned(), right as f64 / count),
            (
                "validation/reasoning_tokens".to_owned(),
                reasoning as f64 / count,
            ),
        ]);
        if !self.held_out.is_empty() {
            metrics.insert(
                "validation/loss".to_owned(),
                held_out_loss(self.model, &self.held_out),
            );
        }
        Ok(metrics)
    }

    fn take_metrics(&mut self) -> Metrics {
        std::mem::take(&mut self.metrics)
    }

    fn take_generated(&mut self) -> (u64, u64) {
        std::mem::take(&mut self.generated)
    }
}
