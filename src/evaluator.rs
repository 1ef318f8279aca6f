//! The shared evaluator: every model answers the same items with the same
//! sampling keys, and each answer becomes a trace record.
//!
//! It knows nothing of arms and algorithms. Grading is the task's; what a
//! reward function would say of an answer is never asked.

mod settings;

use std::ops::Range;

use anyhow::Result;
use experiments::record::Trace;

use crate::distributed::Ranks;
use crate::generation::{Engine, Key, Prompt};
use crate::model::{Model, Text};
use crate::tasks::{Item, grading};

pub use settings::{BudgetShares, End, EvaluationSettings, Points, Unit, UpdatePoint};

/// Prompts that are sampled together; bounds the cache's memory.
const PROMPTS_AT_ONCE: usize = 64;

/// One sampled answer.
pub(crate) struct Answer {
    /// Its record.
    pub(crate) trace: Trace,
    /// All sampled tokens, the end token included.
    pub(crate) tokens: Vec<i64>,
}

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
    let traces = |own: Vec<Answer>| own.into_iter().map(|answer| answer.trace).collect();
    let all: Vec<Vec<Trace>> = ranks.gather(own.map(traces))?;
    Ok(all.into_iter().flatten().collect())
}

/// This rank's share of the answers.
pub(crate) fn evaluate_share(
    model: &Model,
    items: &[Item],
    settings: &EvaluationSettings,
    names: (&str, Option<u64>),
    key_seed: u64,
    ranks: &Ranks,
) -> Result<Vec<Answer>> {
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
    let mut all = Vec::with_capacity(own.len() * settings.samples as usize);
    for range in stretches(own.len()) {
        all.extend(answers(
            &mut engine,
            &model.text,
            &own[range.clone()],
            share.start + range.start,
            settings,
            key_seed,
            names,
        )?);
    }
    Ok(all)
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
) -> Result<Vec<Answer>> {
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
    let mut all = Vec::with_capacity(completions.len());
    for (index, completion) in completions.into_iter().enumerate() {
        let item = &items[index / samples];
        let answered = text.decode(&completion.tokens)?;
        let trace = Trace {
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
        };
        all.push(Answer {
            trace,
            tokens: completion.tokens,
        });
    }
    Ok(all)
}
