//! A lab whose rollouts are given beforehand, and made-up tokens.

use std::collections::VecDeque;

use tch::{Kind, Tensor};

use crate::{
    Batch, Demonstration, Example, Lab, LabError, Prompt, RewardPart, Rollout, Scorer, TokenBatch,
    TokenScores,
};

/// Gives out what it holds, and writes down what it was asked for. To the
/// policy a token `t` has log-probability `-t / 10` and entropy `t`, to the
/// reference `-t / 5`, to the teacher `-t / 20`.
#[derive(Default)]
pub(crate) struct Scripted {
    pub(crate) rollouts: VecDeque<Vec<Rollout>>,
    pub(crate) demonstrations: Vec<Demonstration>,
    pub(crate) cap: Option<usize>,
    pub(crate) phases: Vec<u64>,
    pub(crate) sampled: Vec<usize>,
    pub(crate) scored: Vec<(Scorer, usize)>,
    pub(crate) told: Vec<(u64, Vec<f64>)>,
}

impl Scripted {
    pub(crate) fn of(rollouts: Vec<Rollout>) -> Self {
        Self {
            rollouts: VecDeque::from([rollouts]),
            ..Self::default()
        }
    }
}

impl Lab for Scripted {
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError> {
        self.phases.push(phase);
        let first = phase * count as u64;
        Ok((first..first + count as u64)
            .map(|problem| Prompt {
                problem,
                tokens: vec![problem as i64],
            })
            .collect())
    }

    fn rollouts(&mut self, _: u64, prompts: &[Prompt], _: usize) -> Result<Vec<Rollout>, LabError> {
        self.sampled.push(prompts.len());
        Ok(self
            .rollouts
            .pop_front()
            .expect("as many as the test asks for"))
    }

    fn demonstrations(&mut self, _: u64, _: usize) -> Result<Vec<Demonstration>, LabError> {
        Ok(self.demonstrations.clone())
    }

    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        self.scored.push((scorer, examples.len()));
        let part = match scorer {
            Scorer::Policy => 10.0,
            Scorer::Reference => 5.0,
            Scorer::Teacher => 20.0,
        };
        let score = |example: &Example| {
            let tokens = || example.completion.iter().map(|&token| token as f32);
            TokenScores {
                logprobs: tokens().map(|token| -token / part).collect(),
                entropies: tokens().collect(),
            }
        };
        Ok(examples.iter().map(score).collect())
    }

    fn demonstrated(&mut self, prompts: &[Prompt], count: usize) -> Result<Vec<Rollout>, LabError> {
        Ok(vec![rollout(2, 1.0); prompts.len() * count])
    }

    fn prompt_with_demonstration(
        &mut self,
        prompt: &Prompt,
        template: &str,
    ) -> Result<Vec<i64>, LabError> {
        Ok(vec![prompt.problem as i64, template.len() as i64])
    }

    fn advantages(&mut self, prompt: &Prompt, advantages: &[f64]) {
        self.told.push((prompt.problem, advantages.to_vec()));
    }

    fn max_completion_length(&self) -> Option<usize> {
        self.cap
    }
}

/// A whole rollout of that many tokens 7, sampled at -0.5 each.
pub(crate) fn rollout(length: usize, reward: f64) -> Rollout {
    Rollout {
        completion: vec![7; length],
        logprobs: vec![-0.5; length],
        truncated: false,
        reward: Some(reward),
        demonstrated: false,
        parts: Vec::new(),
    }
}

/// A rollout of one token that two reward functions of weight 1 looked at.
pub(crate) fn judged(first: Option<f64>, second: Option<f64>) -> Rollout {
    let part = |value| RewardPart { weight: 1.0, value };
    Rollout {
        reward: Some(first.unwrap_or(0.0) + second.unwrap_or(0.0)),
        parts: vec![part(first), part(second)],
        ..rollout(1, 0.0)
    }
}

/// Numbers between 0 and 1 that look like chance and are always the same.
pub(crate) fn noise(seed: u64, count: usize) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..count)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        })
        .collect()
}

/// Rows of unlike lengths with everything a loss may ask for.
pub(crate) struct Rows {
    pub(crate) logprobs: Vec<f64>,
    pub(crate) sampled: Vec<f64>,
    pub(crate) reference: Vec<f64>,
    pub(crate) weights: Vec<f64>,
    pub(crate) entropies: Vec<f64>,
    pub(crate) lengths: Vec<i64>,
}

impl Rows {
    /// Rows of 1 to 9 tokens, weights alike within a row.
    pub(crate) fn made_up(count: usize) -> Self {
        let lengths: Vec<i64> = noise(1, count)
            .iter()
            .map(|u| 1 + (u * 9.0) as i64)
            .collect();
        let tokens = lengths.iter().sum::<i64>() as usize;
        let logprobs: Vec<f64> = noise(2, tokens).iter().map(|u| -0.05 - 3.0 * u).collect();
        let near = |seed: u64, spread: f64| -> Vec<f64> {
            let shifts = noise(seed, tokens);
            let shifted = logprobs.iter().zip(shifts);
            shifted.map(|(l, u)| l + spread * (u - 0.5)).collect()
        };
        let weights = noise(5, count)
            .iter()
            .zip(&lengths)
            .flat_map(|(u, &length)| vec![2.0 * u - 1.0; length as usize])
            .collect();
        Self {
            sampled: near(3, 1.2),
            reference: near(4, 0.8),
            weights,
            entropies: noise(6, tokens).iter().map(|u| 4.0 * u).collect(),
            logprobs,
            lengths,
        }
    }

    pub(crate) fn tokens(&self) -> usize {
        self.logprobs.len()
    }

    /// Rows `from..to` as a micro-batch, and the leaf its gradient belongs to.
    pub(crate) fn cut(&self, from: usize, to: usize, kind: Kind) -> (TokenBatch, Tensor) {
        let sum = |lengths: &[i64]| lengths.iter().sum::<i64>() as usize;
        let start = sum(&self.lengths[..from]);
        let range = start..start + sum(&self.lengths[from..to]);
        let tensor = |values: &[f64]| Tensor::from_slice(&values[range.clone()]).to_kind(kind);
        let leaf_N = tensor(&self.logprobs).set_requires_grad(true);
        let tokens = TokenBatch {
            logprobs_N: leaf_N.shallow_clone(),
            weights_N: tensor(&self.weights),
            lengths: self.lengths[from..to].to_vec(),
            sampled_logprobs_N: Some(tensor(&self.sampled)),
            reference_logprobs_N: Some(tensor(&self.reference)),
            // A function of the log-probabilities, so that the bonus has a gradient here.
            entropies_N: Some(&leaf_N * tensor(&self.entropies)),
            entropy_weights_N: None,
            divergences_N: None,
            demonstrated: vec![false; to - from],
        };
        (tokens, leaf_N)
    }
}

/// A batch of which a loss reads the counts only.
pub(crate) fn counts(normaliser: f64, tokens: usize) -> Batch {
    Batch {
        examples: Vec::new(),
        normaliser,
        tokens,
        entropy_coef: 1.0,
        imitation: None,
    }
}

/// Values of a tensor of one axis.
pub(crate) fn values(tensor: &Tensor) -> Vec<f64> {
    Vec::try_from(tensor.to_kind(Kind::Double)).expect("one axis")
}
