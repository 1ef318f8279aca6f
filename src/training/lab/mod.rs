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

use algorithms::{Demonstration, Example, LabError, Metrics};
use rewards::Scored;

use super::forward;
use crate::generation::{Completion, Precision};
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
                ..Scored::default()
            }
        })
        .collect()
}

fn other(error: impl Into<anyhow::Error>) -> LabError {
    LabError::Other(error.into().into())
}

/// How well the model foretells demonstrations that it is not trained on.
fn held_out(model: &Model, precision: Precision, demonstrations: &[Demonstration]) -> Metrics {
    let examples: Vec<Example> = demonstrations
        .iter()
        .map(|d| Example {
            prompt: d.prompt.clone(),
            completion: d.completion.clone(),
            weights: d.weights.clone(),
            ..Example::default()
        })
        .collect();
    let foretold = forward::foretell(&model.decoder, precision, &examples, VALIDATION_TOKENS);
    foretold.map_or_else(Metrics::new, |foretold| {
        Metrics::from([
            ("validation/loss".to_owned(), foretold.loss),
            (
                "validation/mean_token_accuracy".to_owned(),
                foretold.accuracy,
            ),
        ])
    })
}
