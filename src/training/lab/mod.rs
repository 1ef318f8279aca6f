//! The lab as the algorithms see it: problems in the seed's order, rollouts
//! scored by the arm's rewards, demonstrations in the seed's order.
//!
//! Two labs: [`PretrainingLab`] for pre-training, whose demonstrations are generated
//! documents, and [`ArmLab`] for everything that follows.
//!
//! With several ranks each samples and scores its share, and all get all of it:
//! what an algorithm makes of it, advantages and normalisers, is made of the
//! whole on every rank. Draws are named, so it does not matter who draws.

mod arm;
mod completions;
mod demonstrated;
mod judging;
mod pretraining;

pub use arm::ArmLab;
pub use completions::CompletionLog;
pub(crate) use judging::{Draw, Judged, sample};
pub use pretraining::PretrainingLab;

use algorithms::{Demonstration, Example, LabError, Metrics};
use anyhow::Result;
use rewards::Scored;

use super::forward;
use crate::distributed::Ranks;
use crate::generation::{Completion, Precision};
use crate::model::{Model, Text};
use crate::tasks::Item;

/// Tokens of one forward pass of a validation; bounds memory.
const VALIDATION_TOKENS: usize = 8192;

/// What rewards are told of the problems of a rollout phase.
pub struct Posed<'a> {
    /// How the policy writes.
    pub text: &'a Text,
    /// The problems.
    pub items: &'a [Item],
    /// Completions of each problem.
    pub group: usize,
    /// The cap under which they are sampled.
    pub max_new_tokens: usize,
}

impl<'a> Posed<'a> {
    /// Problems, each answered `group` times by `model`.
    pub fn new(model: &'a Model, items: &'a [Item], group: usize, max_new_tokens: usize) -> Self {
        Self {
            text: &model.text,
            items,
            group,
            max_new_tokens,
        }
    }

    /// The completion at a place as rewards see it.
    pub fn scored<'t>(
        &'t self,
        place: usize,
        text: &'t str,
        completion: &'t Completion,
    ) -> Scored<'t> {
        let item = &self.items[place / self.group];
        Scored {
            task: &item.task,
            problem: &item.item_id,
            prompt: &item.prompt,
            completion: text,
            expected: (!item.answer.is_empty()).then_some(&*item.answer),
            judge: item.judge,
            reasoning_tokens: self.text.reasoning_tokens(&completion.tokens),
            completion_tokens: completion.tokens.len(),
            max_new_tokens: self.max_new_tokens,
            truncated: completion.truncated(),
            completion_ids: &completion.tokens,
            human_cost: item.human_cost,
            columns: (!item.columns.is_empty()).then_some(&item.columns),
        }
    }

    /// All completions as rewards see them.
    pub fn batch<'t>(
        &'t self,
        texts: &'t [String],
        completions: &'t [Completion],
    ) -> Vec<Scored<'t>> {
        let each = texts.iter().zip(completions).enumerate();
        each.map(|(place, (text, completion))| self.scored(place, text, completion))
            .collect()
    }
}

fn other(error: impl Into<anyhow::Error>) -> LabError {
    LabError::Other(error.into().into())
}

/// How well the model foretells demonstrations that it is not trained on.
fn held_out(
    model: &Model,
    precision: Precision,
    demonstrations: &[Demonstration],
    ranks: &Ranks,
) -> Result<Metrics> {
    let own = demonstrations.get(ranks.share(demonstrations.len()));
    let examples: Vec<Example> = own
        .unwrap_or_default()
        .iter()
        .map(|d| Example {
            prompt: d.prompt.clone(),
            completion: d.completion.clone(),
            weights: d.weights.clone(),
            ..Example::default()
        })
        .collect();
    let own = forward::foretell(&model.decoder, precision, &examples, VALIDATION_TOKENS);
    let all = ranks.gather(Ok(own))?.into_iter();
    let foretold = all.reduce(forward::Foretelling::and).unwrap_or_default();
    Ok(foretold.mean().map_or_else(Metrics::new, |foretold| {
        Metrics::from([
            ("validation/loss".to_owned(), foretold.loss),
            (
                "validation/mean_token_accuracy".to_owned(),
                foretold.accuracy,
            ),
        ])
    }))
}
