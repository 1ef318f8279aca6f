//! The shared evaluator: every model answers the same items with the same
//! sampling keys, and each answer becomes a trace record.
//!
//! It knows nothing of arms and algorithms. Grading is the task's; what a
//! reward function would say of an answer is never asked.

use anyhow::Result;
use experiments::record::Trace;
use serde::{Deserialize, Serialize};

use crate::generation::{self, Key, PrecisionChoice, Sampling};
use crate::model::Model;
use crate::tasks::{self, EvaluationItem, grading};

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
/// the same for all models that are compared.
pub fn evaluate(
    model: &Model,
    items: &[EvaluationItem],
    settings: &EvaluationSettings,
    name: &str,
    seed: Option<u64>,
    key_seed: u64,
) -> Result<Vec<Trace>> {
    let samples = settings.samples as usize;
    let sampling = settings.sampling();
    let mut traces = Vec::with_capacity(items.len() * samples);
    for (chunk_index, chunk) in items.chunks(PROMPTS_AT_ONCE).enumerate() {
        let prompts = chunk
            .iter()
            .map(|item| model.text.encode_prompt(&item.prompt))
            .collect::<Result<Vec<_>>>()?;
        let keys = |offset: usize| {
            let item = (chunk_index * PROMPTS_AT_ONCE + offset) as u64;
            let key = |sample| Key {
                seed: key_seed,
                purpose: "evaluation",
                indices: vec![item, sample],
            };
            (0..samples as u64).map(key).collect()
        };
        let completions = generation::generate(model, &prompts, &sampling, keys)?;
        for (index, completion) in completions.iter().enumerate() {
            let item = &chunk[index / samples];
            let text = model.text.decode(&completion.tokens)?;
            traces.push(Trace {
                model: name.to_owned(),
                seed,
                task: item.task.clone(),
                item_id: item.item_id.clone(),
                sample: (index % samples) as u32,
                prompt_tokens: prompts[index / samples].len() as u32,
                reasoning_tokens: model.text.reasoning_tokens(&completion.tokens) as u32,
                completion_tokens: completion.tokens.len() as u32,
                correct: tasks::grade(&item.task, &item.answer, &text),
                truncated: completion.truncated(),
                answer: grading::answer(&text),
                completion: Some(text),
            });
        }
    }
    Ok(traces)
}
