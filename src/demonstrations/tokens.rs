//! A demonstration as token ids, and which of them are trained, as TRL 1.16
//! makes them.
//!
//! Text is encoded whole, the prompt included, so that tokens come out as they
//! do in use; where the prompt encoded alone begins otherwise, the completion
//! starts at the first difference. The end token is put after strings that do
//! not have it; a conversation ends as its template ends it. The first token of
//! a sequence is never trained, since nothing comes before it.

use algorithms::Demonstration;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Map;
use tokenizers::ModelWrapper;

use super::Body;
use crate::model::Text;
use crate::model::chat::{ChatTemplate, Message};
use crate::model::text::encode;

/// Which tokens are trained.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Loss {
    /// Whether the prompt is not; by itself, where there is one.
    pub(crate) completion_only: Option<bool>,
    /// Whether only what the assistant wrote is.
    pub(crate) assistant_only: bool,
}

/// A demonstration, and what was seen while it was made.
#[derive(Debug)]
pub(crate) struct Tokens {
    /// Ids and weights.
    pub(crate) demonstration: Demonstration,
    /// Whether the prompt encoded alone is no beginning of the whole.
    pub(crate) merged: bool,
}

impl Tokens {
    /// Itself where it has at most `limit` tokens, `None` where it is to be left
    /// out. A prompt without room for a completion is refused either way.
    pub(super) fn fits(self, limit: usize, leave_out: bool) -> Result<Option<Self>> {
        let prompt = self.demonstration.prompt.len();
        let tokens = prompt + self.demonstration.completion.len();
        let bound = if leave_out {
            format!("teacher.traces.max_length = {limit}")
        } else {
            format!("the model's context holds {limit}")
        };
        ensure!(
            prompt < limit,
            "the prompt has {prompt} tokens and leaves no room for a completion: {bound}"
        );
        if tokens <= limit {
            return Ok(Some(self));
        }
        ensure!(
            leave_out,
            "prompt and completion have {tokens} tokens, {bound}; leave the trace out, set \
             teacher.traces.max_length, or use a longer context"
        );
        Ok(None)
    }
}

/// Ids of a whole demonstration; the first `prompt` of them are its prompt.
struct Sequence {
    ids: Vec<i64>,
    prompt: usize,
    merged: bool,
}

/// The demonstration of one row.
pub(crate) fn of(body: &Body, loss: Loss, text: &Text) -> Result<Tokens> {
    let Sequence {
        ids,
        prompt,
        merged,
    } = sequence(body, text)?;
    let completion_only = loss.completion_only.unwrap_or(body.has_prompt());
    let mut trained: Vec<bool> = (0..ids.len())
        .map(|place| place > 0 && (place >= prompt || !completion_only))
        .collect();
    if loss.assistant_only {
        let written = by_assistant(body, text, ids.len())?;
        ensure!(
            written.contains(&true),
            "the assistant wrote nothing of it, so teacher.traces.assistant_only_loss leaves \
             nothing to train; remove the row"
        );
        for (trained, written) in trained.iter_mut().zip(written) {
            *trained &= written;
        }
    }
    let Some(first) = trained.iter().position(|&trained| trained) else {
        bail!("there is no token to train; remove the row");
    };
    let (prompt, completion) = ids.split_at(first);
    Ok(Tokens {
        demonstration: Demonstration {
            prompt: prompt.to_vec(),
            completion: completion.to_vec(),
            weights: trained[first..]
                .iter()
                .map(|&trained| f32::from(u8::from(trained)))
                .collect(),
        },
        merged,
    })
}

fn sequence(body: &Body, text: &Text) -> Result<Sequence> {
    match body {
        Body::Asked {
            before,
            prompt,
            completion,
        } => {
            let mut ids = text.encode_conversation(before, prompt)?;
            let prompt = ids.len();
            ids.extend(text.encode_completion(completion)?);
            Ok(Sequence {
                ids,
                prompt,
                merged: false,
            })
        }
        Body::Strings { prompt, completion } => {
            // A tokenizer of whole words would read the last of the prompt and
            // the first of the completion as one.
            let words = matches!(text.tokenizer.get_model(), ModelWrapper::WordLevel(_));
            let between = if words { " " } else { "" };
            let whole = ended(&format!("{prompt}{between}{completion}"), text)?;
            Ok(after(
                &encode(&text.tokenizer, prompt, true)?,
                encode(&text.tokenizer, &whole, true)?,
            ))
        }
        Body::Turns { prompt, completion } => {
            let chat = template(text)?;
            let asked = chat.render(prompt, true, &Map::new())?;
            let whole = chat.render(&joined(prompt, completion), false, &Map::new())?;
            Ok(after(
                &encode(&text.tokenizer, &asked, false)?,
                encode(&text.tokenizer, &whole, false)?,
            ))
        }
        Body::Messages(messages) => {
            let whole = template(text)?.render(messages, false, &Map::new())?;
            Ok(after(&[], encode(&text.tokenizer, &whole, false)?))
        }
        Body::Text(whole) => {
            let whole = ended(whole, text)?;
            Ok(after(&[], encode(&text.tokenizer, &whole, true)?))
        }
    }
}

/// The sequence whose completion starts where it leaves the prompt.
fn after(prompt: &[i64], ids: Vec<i64>) -> Sequence {
    let common = prompt.iter().zip(&ids);
    let length = common.take_while(|(alone, whole)| alone == whole).count();
    Sequence {
        ids,
        prompt: length,
        merged: length < prompt.len(),
    }
}

fn template(text: &Text) -> Result<&ChatTemplate> {
    text.chat
        .as_ref()
        .context("the model has no chat template to write a conversation with")
}

fn joined(prompt: &[Message], completion: &[Message]) -> Vec<Message> {
    [prompt, completion].concat()
}

/// A text that ends with the end token as it is written.
fn ended(written: &str, text: &Text) -> Result<String> {
    let end = u32::try_from(text.end)
        .ok()
        .and_then(|id| text.tokenizer.id_to_token(id))
        .with_context(|| {
            format!(
                "the tokenizer has no token of the end token id {}",
                text.end
            )
        })?;
    Ok(if written.ends_with(&end) {
        written.to_owned()
    } else {
        format!("{written}{end}")
    })
}

/// Which tokens of a conversation the assistant wrote: those that hold the
/// first and the last character of a `{% generation %}` block, and what is
/// between. Where no token holds the last, everything after counts, and where
/// none holds the first, nothing from there on, as in transformers.
fn by_assistant(body: &Body, text: &Text, length: usize) -> Result<Vec<bool>> {
    let joint;
    let messages = match body {
        Body::Turns { prompt, completion } => {
            joint = joined(prompt, completion);
            &joint
        }
        Body::Messages(messages) => messages,
        Body::Asked { .. } | Body::Strings { .. } | Body::Text(_) => {
            bail!("it is no conversation")
        }
    };
    let (whole, spans) = template(text)?.render_with_spans(messages, false, &Map::new())?;
    let encoding = text
        .tokenizer
        .encode_char_offsets(&*whole, false)
        .map_err(|error| anyhow::anyhow!("tokenizing {whole:?}: {error}"))?;
    let character = |byte: usize| whole[..byte].chars().count();
    let mut written = vec![false; length];
    for span in spans {
        let (first, end) = (character(span.start), character(span.end));
        let Some(first) = encoding.char_to_token(first, 0) else {
            break;
        };
        let last = end
            .checked_sub(1)
            .and_then(|last| encoding.char_to_token(last, 0))
            .filter(|&last| last > 0);
        let end = last.map_or(length, |last| last + 1);
        for token in written.iter_mut().take(end).skip(first) {
            *token = true;
        }
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
