//! What an algorithm may ask of the lab.
//!
//! The trait is the boundary between this crate and the lab that owns models,
//! tasks and rewards; tests implement it with made-up rollouts.

/// A problem ready to be sampled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Index of the problem in the seed's training order.
    pub problem: u64,
    /// Token ids.
    pub tokens: Vec<i64>,
}

/// One sampled completion of a [`Prompt`] and what it was worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Sampled token ids, the end token included where it was reached.
    pub completion: Vec<i64>,
    /// Log-probability of each sampled token under the sampling policy.
    pub logprobs: Vec<f32>,
    /// Whether the token cap cut it off.
    pub truncated: bool,
    /// Weighted reward; `None` where no reward function applied.
    pub reward: Option<f64>,
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

/// Why the lab could not give what an algorithm asked for.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The arm has no demonstrations, but its algorithm imitates.
    #[error(
        "there are no demonstrations to imitate: give the definition a [teacher], or traces with teacher.traces.file"
    )]
    NoDemonstrations,
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
}
