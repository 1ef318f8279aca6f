//! The lab as the algorithms see it: problems in the seed's order, rollouts
//! scored by the arm's rewards, demonstrations in the seed's order.
//!
//! Two labs: [`PretrainingLab`] for pre-training, whose demonstrations are generated
//! documents, and [`ArmLab`] for everything that follows.

mod arm;
mod completions;
mod pretraining;

pub use arm::ArmLab;
pub use completions::CompletionLog;
pub use pretraining::PretrainingLab;

use algorithms::{Demonstration, LabError};
use rewards::Scored;

use super::forward;
use crate::generation::Completion;
use crate::model::Model;
use crate::tasks::Problem;

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
