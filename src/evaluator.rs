//! The shared evaluator: every model answers the same items with the same
//! sampling keys, and each answer becomes a trace record.
//!
//! It knows nothing of arms and algorithms. Grading is the task's; what a
//! reward function would say of an answer is never asked.

pub(crate) mod ask;
pub(crate) mod cards;
pub(crate) mod directory;
pub(crate) mod endpoint;
pub(crate) mod fields;
pub(crate) mod journal;
pub(crate) mod questions;
pub(crate) mod reply;
pub(crate) mod survey;
pub(crate) mod troubles;

use std::ops::Range;

use anyhow::Result;
use experiments::record::Trace;
use serde::{Deserialize, Serialize};

use crate::distributed::Ranks;
use crate::generation::{Engine, Key, PrecisionChoice, Prompt, Sampling};
use crate::model::{Model, Text};
use crate::tasks::{Item, grading};

/// How to evaluate.
///
/// Worked example: `[evaluation] samples = 4, temperature = 1.0, max_new_tokens = 64`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Samples an item.
    pub samples: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Token cap.
    pub max_new_tokens: usize,
    /// Number format of generation.
    #[serde(default)]
    pub dtype: PrecisionChoice,
}

impl EvaluationSettings {
    /// The same as a sampling.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            dtype: self.dtype,
            ..Sampling::default()
        }
    }
}

/// Prompts that are sampled together; bounds the cache's memory.
const PROMPTS_AT_ONCE: usize = 64;

/// Answers of one model to every item, `samples` each, in item order.
///
/// `name` and `seed` go into the records; `key_seed` names the draws and is
/// the same for all models that are compared. Ranks share the items, and all
/// get all answers.
pub fn evaluate(
    model: &Model,
    items: &[Item],
    settings: &EvaluationSettings,
    name: &str,
    seed: Option<u64>,
    key_seed: u64,
    ranks: &Ranks,
) -> Result<Vec<Trace>> {
    let own = evaluate_share(model, items, settings, (name, seed), key_seed, ranks);
    Ok(ranks.gather(own)?.into_iter().flatten().collect())
}

fn evaluate_share(
    model: &Model,
    items: &[Item],
    settings: &EvaluationSettings,
    names: (&str, Option<u64>),
    key_seed: u64,
    ranks: &Ranks,
) -> Result<Vec<Trace>> {
    let share = ranks.share(items.len());
    let own = items.get(share.clone()).unwrap_or_default();
    let decoder = &model.decoder;
    let device = decoder.device();
    let source = |name: &str| Ok(decoder.merged(name));
    let mut engine = Engine::new(
        decoder.config(),
        &model.text,
        &source,
        device,
        settings.dtype.resolve(device),
    )?;
    let mut traces = Vec::with_capacity(own.len() * settings.samples as usize);
    for range in stretches(own.len()) {
        traces.extend(answers(
            &mut engine,
            &model.text,
            &own[range.clone()],
            share.start + range.start,
            settings,
            key_seed,
            names,
        )?);
    }
    Ok(traces)
}

/// Stretches of items that are sampled together.
pub(crate) fn stretches(items: usize) -> impl Iterator<Item = Range<usize>> {
    (0..items)
        .step_by(PROMPTS_AT_ONCE)
        .map(move |first| first..items.min(first + PROMPTS_AT_ONCE))
}

/// The same for one stretch of the items, whose first has the index `first`.
pub(crate) fn answers(
    engine: &mut Engine,
    text: &Text,
    items: &[Item],
    first: usize,
    settings: &EvaluationSettings,
    key_seed: u64,
    (name, seed): (&str, Option<u64>),
) -> Result<Vec<Trace>> {
    let samples = settings.samples as usize;
    let prompt = |(offset, item): (usize, &Item)| {
        let key = |sample| Key {
            seed: key_seed,
            purpose: "evaluation",
            indices: vec![(first + offset) as u64, sample],
        };
        Ok(Prompt {
            tokens: text.encode_item(item)?,
            keys: (0..samples as u64).map(key).collect(),
            max_new_tokens: None,
        })
    };
    let prompts = items
        .iter()
        .enumerate()
        .map(prompt)
        .collect::<Result<Vec<_>>>()?;
    let completions = engine.generate(&prompts, &settings.sampling())?;
    let mut traces = Vec::with_capacity(completions.len());
    for (index, completion) in completions.iter().enumerate() {
        let item = &items[index / samples];
        let answered = text.decode(&completion.tokens)?;
        traces.push(Trace {
            model: name.to_owned(),
            seed,
            teacher: None,
            task: item.task.clone(),
            item_id: item.item_id.clone(),
            sample: (index % samples) as u32,
            prompt_tokens: prompts[index / samples].tokens.len() as u32,
            reasoning_tokens: text.reasoning_tokens(&completion.tokens) as u32,
            completion_tokens: completion.tokens.len() as u32,
            correct: item.grade(&answered)?,
            truncated: completion.truncated(),
            answer: grading::answer(&answered),
            completion: Some(answered),
        });
    }
    Ok(traces)
}
