//! Models: one decoder for the Llama family, its configuration, its weights,
//! and Hugging Face folders in and out.
//!
//! Axes: `B` rows, `T` time, `V` vocabulary, `D` hidden width, `H` query heads,
//! `K` key/value heads, `G` query heads that share one key/value head
//! (`H = K * G`), `E` width of a head, `S` cached positions, `N` selected
//! positions laid end to end, `P` all parameters.

pub mod config;
pub mod decoder;
pub mod folder;
pub mod vocabulary;
pub mod weights;

pub use config::{ModelConfig, ModelShape};
pub use decoder::{Cache, Decoder};
pub use weights::Weights;

use anyhow::{Result, bail};
use tokenizers::Tokenizer;

use crate::tasks::grading;

/// A decoder and its tokenizer.
pub struct Model {
    /// The network.
    pub decoder: Decoder,
    /// Text to token ids and back.
    pub tokenizer: Tokenizer,
}

impl Model {
    /// Token ids of a prompt, the beginning-of-sequence token first.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<i64>> {
        let mut ids = vec![self.decoder.config().bos_token_id];
        ids.extend(encode(&self.tokenizer, text)?);
        Ok(ids)
    }

    /// Token ids of a completion, the end token last.
    pub fn encode_completion(&self, text: &str) -> Result<Vec<i64>> {
        let mut ids = encode(&self.tokenizer, text)?;
        ids.push(self.decoder.config().eos_token_id);
        Ok(ids)
    }

    /// The text of sampled tokens, without end and padding tokens.
    pub fn decode(&self, tokens: &[i64]) -> Result<String> {
        let config = self.decoder.config();
        let ids: Vec<u32> = tokens
            .iter()
            .filter(|&&id| id != config.eos_token_id && id != config.pad_token_id)
            .map(|&id| id as u32)
            .collect();
        // Think tags are special tokens: skipping special ones would lose them.
        self.tokenizer
            .decode(&ids, false)
            .map_err(|error| anyhow::anyhow!("decoding tokens: {error}"))
    }

    /// Tokens between the think tags; up to the end where the block is never
    /// closed, 0 where it is never opened.
    pub fn reasoning_tokens(&self, tokens: &[i64]) -> usize {
        let id = |tag: &str| self.tokenizer.token_to_id(tag).map(i64::from);
        let place = |tag: &str| {
            let id = id(tag)?;
            tokens.iter().position(|&token| token == id)
        };
        let Some(open) = place(grading::THINK) else {
            return 0;
        };
        let end = self.decoder.config().eos_token_id;
        let close = place(grading::END_THINK)
            .filter(|&close| close > open)
            .unwrap_or_else(|| {
                tokens
                    .iter()
                    .position(|&token| token == end)
                    .unwrap_or(tokens.len())
            });
        close - open - 1
    }
}

/// Token ids of a text alone; a text with a word that the vocabulary lacks is
/// refused.
pub fn encode(tokenizer: &Tokenizer, text: &str) -> Result<Vec<i64>> {
    let encoding = tokenizer
        .encode_fast(text, false)
        .map_err(|error| anyhow::anyhow!("tokenizing {text:?}: {error}"))?;
    let ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
    let unknown = tokenizer.token_to_id(vocabulary::UNK).map(i64::from);
    if unknown.is_some_and(|unknown| ids.contains(&unknown)) {
        let words = vocabulary::unknown(tokenizer, text)
            .map_err(|error| anyhow::anyhow!("tokenizing {text:?}: {error}"))?;
        bail!(
            "{text:?} holds a word that the model's vocabulary does not have: {}",
            words.join(", ")
        );
    }
    Ok(ids)
}
