//! What an algorithm may ask of the lab.
//!
//! The trait is the boundary between this crate and the lab that owns models,
//! tasks and rewards; tests implement it with made-up rollouts.

use crate::phase::counted;
use crate::{Correction, Example};

/// A problem ready to be sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Index of the problem in the seed's training order.
    pub problem: u64,
    /// Token ids.
    pub tokens: Vec<i64>,
}

/// One sampled completion of a [`Prompt`] and what it was worth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rollout {
    /// Sampled token ids, the end token included where it was reached.
    pub completion: Vec<i64>,
    /// Log-probability of each sampled token under the sampling policy.
    pub logprobs: Vec<f32>,
    /// Whether the token cap cut it off.
    pub truncated: bool,
    /// Weighted reward; `None` where no reward function applied.
    pub reward: Option<f64>,
    /// Whether it is a demonstration, which nobody sampled from the policy.
    pub demonstrated: bool,
    /// What each reward function said, in one order for all rollouts; may be
    /// left empty where nothing aggregates them otherwise than by their sum.
    pub parts: Vec<RewardPart>,
}

/// What one reward function said of a rollout.
///
/// Worked example: `{weight: 0.1, value: Some(1.0)}` adds 0.1 to the reward.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RewardPart {
    /// The function's weight.
    pub weight: f64,
    /// Its value before the weight; `None` where it did not apply.
    pub value: Option<f64>,
}

/// A prompt and the completion to imitate.
///
/// `weights` has one number a completion token.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstration {
    /// Token ids of the prompt.
    pub prompt: Vec<i64>,
    /// Token ids of the completion, its end token included.
    pub completion: Vec<i64>,
    /// How strongly each completion token is imitated; 1 as a rule.
    pub weights: Vec<f32>,
}

/// Which model reads a completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scorer {
    /// The policy as it is now.
    Policy,
    /// The reference model that the policy is held to.
    Reference,
    /// The teacher that the policy is drawn towards.
    Teacher,
}

/// What a model says of the tokens of one completion, at the temperature of
/// sampling.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenScores {
    /// Log-probability of each token.
    pub logprobs: Vec<f32>,
    /// Entropy of the distribution each token was drawn from, in nats.
    pub entropies: Vec<f32>,
}

/// Why the lab could not give what an algorithm asked for.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The arm has no demonstrations, but its algorithm imitates.
    #[error(
        "there are no demonstrations to imitate: give the definition a [teacher], or traces with teacher.traces.file"
    )]
    NoDemonstrations,
    /// The algorithm wants log-probabilities that this lab does not compute.
    #[error(
        "this lab computes no {0:?} log-probabilities: the algorithm's settings need a lab with that model"
    )]
    NoScores(Scorer),
    /// A loss divides by the longest completion, but there is no cap.
    #[error(
        "loss_type = \"dr_grpo\" divides by the longest completion there may be, but this lab names none"
    )]
    NoLengthCap,
    /// Rewards are to be normalised one by one, but only their sum is known.
    #[error(
        "multi_objective_aggregation = \"normalize_then_sum\" needs the value of every reward function, alike for all rollouts, but the lab gave only their sum"
    )]
    NoParts,
    /// Problems are to be met that somebody has demonstrated, but no such are known.
    #[error(
        "this lab knows of no demonstration of the problems that it samples: give the definition a [teacher] with traces of the arm's tasks, or demonstrations with worked = true"
    )]
    NoneDemonstrated,
    /// The lab gave another number of things than it was asked for.
    #[error("the lab gave {got} {what} where {expected} were asked for")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many were asked for.
        expected: usize,
        /// How many there are.
        got: usize,
    },
    /// Anything the lab met while sampling or scoring.
    #[error(transparent)]
    Other(#[from] Box<dyn std::error::Error + Send + Sync>),
}

/// The lab, as an algorithm sees it.
pub trait Lab {
    /// The `count` problems of rollout phase `phase`, counted from 0, in the seed's order.
    fn prompts(&mut self, phase: u64, count: usize) -> Result<Vec<Prompt>, LabError>;

    /// `group` scored samples of each prompt under the current policy, prompt
    /// by prompt: the samples of `prompts[i]` are at `i * group..(i + 1) * group`.
    fn rollouts(
        &mut self,
        step: u64,
        prompts: &[Prompt],
        group: usize,
    ) -> Result<Vec<Rollout>, LabError>;

    /// The `count` demonstrations of the update at `step`, in the seed's order.
    fn demonstrations(&mut self, step: u64, count: usize) -> Result<Vec<Demonstration>, LabError>;

    /// `count` demonstrations of each prompt's problem, judged as rollouts are, prompt by
    /// prompt. Only asked where [`crate::Algorithm::meets_demonstrated`] says so.
    fn demonstrated(&mut self, prompts: &[Prompt], count: usize) -> Result<Vec<Rollout>, LabError> {
        let _ = (prompts, count);
        Err(LabError::NoneDemonstrated)
    }

    /// Token ids of the prompt with a demonstration of its problem in it, as `template` has
    /// `{prompt}` and `{demonstration}`. Asked where [`Lab::demonstrated`] is.
    fn prompt_with_demonstration(
        &mut self,
        prompt: &Prompt,
        template: &str,
    ) -> Result<Vec<i64>, LabError> {
        let _ = (prompt, template);
        Err(LabError::NoneDemonstrated)
    }

    /// What a model says of the examples' completions, in their order, without
    /// gradient. Only asked of the reference where
    /// [`crate::Algorithm::needs_reference`] says so, and of the teacher where
    /// [`crate::Algorithm::needs_teacher`] does.
    fn scores(
        &mut self,
        scorer: Scorer,
        examples: &[Example],
    ) -> Result<Vec<TokenScores>, LabError> {
        let _ = examples;
        Err(LabError::NoScores(scorer))
    }

    /// Told what the last samples of a prompt were worth against the others, by
    /// an algorithm that gives a sample one number; for the record, nothing
    /// depends on it.
    fn advantages(&mut self, prompt: &Prompt, advantages: &[f64]) {
        let _ = (prompt, advantages);
    }

    /// How rollouts are weighed where another engine than the policy's own draws
    /// them; `None` where they are the policy's own.
    fn correction(&self) -> Option<Correction> {
        None
    }

    /// Most tokens a completion may have; `None` where nothing is sampled.
    fn max_completion_length(&self) -> Option<usize> {
        None
    }
}

/// Asks for scores and holds the answer to the examples' shapes.
pub(crate) fn scores(
    lab: &mut dyn Lab,
    scorer: Scorer,
    examples: &[Example],
) -> Result<Vec<TokenScores>, LabError> {
    let scores = lab.scores(scorer, examples)?;
    counted("scored completions", examples.len(), scores.len())?;
    for (example, scores) in examples.iter().zip(&scores) {
        let expected = example.completion.len();
        counted(
            "log-probabilities of a completion",
            expected,
            scores.logprobs.len(),
        )?;
        counted(
            "entropies of a completion",
            expected,
            scores.entropies.len(),
        )?;
    }
    Ok(scores)
}
