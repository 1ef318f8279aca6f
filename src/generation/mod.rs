//! Sampling completions: each prompt is prefilled once and shared by its
//! group, finished rows leave the batch, and every draw is named.
//!
//! A completion depends on the weights, the prompt, the settings and its key,
//! and on nothing else in the batch beyond floating-point noise: the uniform
//! number of position t is draw t of the stream that the key names.
//! Deliberately absent: beams, and any form of search.

mod sampling;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tch::{Kind, Tensor};

use crate::model::{Cache, Decoder};
use crate::random::stream;

/// How to sample.
///
/// Worked example: `{max_new_tokens: 64, temperature: 1.0}`; temperature 0 is greedy.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling {
    /// Token cap of a completion, the end token included.
    pub max_new_tokens: usize,
    /// Divides the logits; 0 takes the likeliest token.
    pub temperature: f64,
}

/// Names the draws of one completion.
///
/// Worked example: the third sample of problem 40 in the rollout of step 12 of
/// seed 1: `{seed: 1, purpose: "rollout", indices: [12, 40, 2]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Seed of the run.
    pub seed: u64,
    /// What the completion is for.
    pub purpose: &'static str,
    /// Which one it is.
    pub indices: Vec<u64>,
}

/// One sampled completion.
///
/// Worked example: tokens `[3, 17, 4, 9, 2]` for `<think> A </think> true <eos>`.
#[derive(Debug, Clone, PartialEq)]
pub struct Completion {
    /// Token ids, the end token included where it was reached.
    pub tokens: Vec<i64>,
    /// Log-probability of each token under the distribution it was drawn from.
    pub logprobs: Vec<f32>,
    /// Whether the cap, or the end of the context, cut it off.
    pub truncated: bool,
}

/// What cannot be sampled from.
#[derive(Debug, thiserror::Error)]
pub enum GenerationError {
    /// A prompt fills the context.
    #[error(
        "prompt {index} has {tokens} tokens, and the model's context holds {context}: \
         nothing could follow; shorten the prompt or use a model with a longer context"
    )]
    PromptTooLong {
        /// Which prompt.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// The model's context.
        context: i64,
    },
    /// A prompt without tokens.
    #[error("prompt {index} is empty: it must have at least one token")]
    EmptyPrompt {
        /// Which prompt.
        index: usize,
    },
    /// The number of keys is not prompts times group.
    #[error("{keys} keys for {prompts} prompts with {group} samples each")]
    Keys {
        /// Keys given.
        keys: usize,
        /// Prompts given.
        prompts: usize,
        /// Samples a prompt.
        group: usize,
    },
}

/// The rows in the batch.
struct Rows {
    /// Index into the completions.
    slots: Vec<usize>,
    /// Positions in the cache.
    lengths: Vec<i64>,
    /// The token each row was given last.
    tokens: Vec<i64>,
    /// Rows that have ended and wait to be dropped.
    done: Vec<bool>,
    cache: Cache,
}

/// Samples `group` completions of each prompt, prompt by prompt; `keys` name
/// their draws in the same order.
pub fn generate(
    decoder: &Decoder,
    prompts: &[Vec<i64>],
    group: usize,
    sampling: Sampling,
    keys: &[Key],
) -> Result<Vec<Completion>, GenerationError> {
    check(decoder, prompts, group, keys)?;
    if prompts.is_empty() || group == 0 {
        return Ok(Vec::new());
    }
    let _guard = tch::no_grad_guard();
    let config = decoder.config();
    let device = decoder.device();
    let mut streams: Vec<ChaCha8Rng> = keys
        .iter()
        .map(|key| stream(key.seed, key.purpose, &key.indices))
        .collect();
    let mut completions = vec![
        Completion {
            tokens: Vec::with_capacity(sampling.max_new_tokens),
            logprobs: Vec::with_capacity(sampling.max_new_tokens),
            truncated: false,
        };
        keys.len()
    ];

    let (mut rows, mut logits_BV) = prefill(decoder, prompts, group, sampling.max_new_tokens);
    loop {
        let uniforms: Vec<f64> = rows
            .slots
            .iter()
            .map(|&slot| streams[slot].random::<f64>())
            .collect();
        let (tokens, logprobs) = sampling::draw(&logits_BV, &uniforms, sampling.temperature);
        for (row, &slot) in rows.slots.iter().enumerate() {
            if rows.done[row] {
                continue;
            }
            let completion = &mut completions[slot];
            completion.tokens.push(tokens[row]);
            completion.logprobs.push(logprobs[row]);
            let ended = tokens[row] == config.eos_token_id;
            let full = completion.tokens.len() >= sampling.max_new_tokens
                || rows.lengths[row] + 1 >= config.max_position_embeddings;
            completion.truncated = full && !ended;
            rows.done[row] = ended || full;
        }
        let staying: Vec<i64> = (0..rows.done.len() as i64)
            .filter(|&row| !rows.done[row as usize])
            .collect();
        if staying.is_empty() {
            return Ok(completions);
        }
        rows.tokens = tokens;
        // Leaving copies the cache of those who stay: it pays once an eighth
        // has finished. Until then finished rows ride along unread.
        if staying.len() * 8 <= rows.slots.len() * 7 {
            rows = keep(&rows, &staying);
        }
        let longest = rows.lengths.iter().copied().max().unwrap_or(0);
        let count = rows.slots.len() as i64;
        let ids_B1 = Tensor::from_slice(&rows.tokens)
            .view([count, 1])
            .to_device(device);
        let lengths_B = Tensor::from_slice(&rows.lengths).to_device(device);
        let last_B = Tensor::zeros([count], (Kind::Int64, device));
        logits_BV = decoder.extend(&ids_B1, &lengths_B, &last_B, longest, &mut rows.cache);
        for (length, done) in rows.lengths.iter_mut().zip(&rows.done) {
            // A finished row stands still, so that it never outgrows its cache.
            *length += i64::from(!done);
        }
    }
}

fn check(
    decoder: &Decoder,
    prompts: &[Vec<i64>],
    group: usize,
    keys: &[Key],
) -> Result<(), GenerationError> {
    let context = decoder.config().max_position_embeddings;
    for (index, prompt) in prompts.iter().enumerate() {
        if prompt.is_empty() {
            return Err(GenerationError::EmptyPrompt { index });
        }
        if prompt.len() as i64 >= context {
            return Err(GenerationError::PromptTooLong {
                index,
                tokens: prompt.len(),
                context,
            });
        }
    }
    if keys.len() != prompts.len() * group {
        return Err(GenerationError::Keys {
            keys: keys.len(),
            prompts: prompts.len(),
            group,
        });
    }
    Ok(())
}

/// Runs each prompt once and lays its cache out for its group.
fn prefill(
    decoder: &Decoder,
    prompts: &[Vec<i64>],
    group: usize,
    max_new_tokens: usize,
) -> (Rows, Tensor) {
    let device = decoder.device();
    let count = prompts.len() as i64;
    let longest = prompts.iter().map(Vec::len).max().unwrap_or(0) as i64;
    let pad = decoder.config().pad_token_id;
    let mut padded = Vec::with_capacity((count * longest) as usize);
    for prompt in prompts {
        padded.extend_from_slice(prompt);
        padded.resize(padded.len() + longest as usize - prompt.len(), pad);
    }
    let ids_BT = Tensor::from_slice(&padded)
        .view([count, longest])
        .to_device(device);
    let lengths: Vec<i64> = prompts.iter().map(|prompt| prompt.len() as i64).collect();
    let capacity = (longest + max_new_tokens as i64).min(decoder.config().max_position_embeddings);
    let mut cache = Cache::new(decoder.config(), count, capacity, device);
    let last_B = Tensor::from_slice(&lengths).to_device(device) - 1;
    let zeros_B = Tensor::zeros([count], (Kind::Int64, device));
    let logits_BV = decoder.extend(&ids_BT, &zeros_B, &last_B, 0, &mut cache);

    let of_group: Vec<i64> = (0..count)
        .flat_map(|row| std::iter::repeat_n(row, group))
        .collect();
    let of_group_B = Tensor::from_slice(&of_group).to_device(device);
    let rows = Rows {
        slots: (0..of_group.len()).collect(),
        lengths: of_group.iter().map(|&row| lengths[row as usize]).collect(),
        tokens: Vec::new(),
        done: vec![false; of_group.len()],
        cache: cache.select(&of_group_B),
    };
    (rows, logits_BV.index_select(0, &of_group_B))
}

/// The rows that stay, in order.
fn keep(rows: &Rows, staying: &[i64]) -> Rows {
    let pick = |values: &[i64]| staying.iter().map(|&row| values[row as usize]).collect();
    let device = rows.cache.device();
    Rows {
        slots: staying
            .iter()
            .map(|&row| rows.slots[row as usize])
            .collect(),
        lengths: pick(&rows.lengths),
        tokens: pick(&rows.tokens),
        done: vec![false; staying.len()],
        cache: rows
            .cache
            .select(&Tensor::from_slice(staying).to_device(device)),
    }
}

#[cfg(test)]
mod tests;
