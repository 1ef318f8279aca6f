//! The text side of a model: its tokenizer, its chat template, its end tokens.
//!
//! A model with a chat template is asked through it; one without reads the
//! problem as it stands. Everything that turns problems into token ids and
//! completions into text goes through here.

use anyhow::{Context, Result, bail, ensure};
use rewards::answers::{Extraction, Thinking};
use serde_json::Map;
use tokenizers::Tokenizer;

use super::chat::{ChatTemplate, Message};
use super::vocabulary;
use crate::tasks::{Item, grading};

/// How a model reads and writes.
pub struct Text {
    /// Text to token ids and back.
    pub tokenizer: Tokenizer,
    /// Token ids that end a completion.
    pub ends: Vec<i64>,
    /// The one of them that demonstrations end with.
    pub end: i64,
    /// The padding token, where there is one; never part of a text.
    pub pad: Option<i64>,
    /// How a conversation becomes one text, where the model has a template.
    pub chat: Option<ChatTemplate>,
}

impl Text {
    /// The lab's own vocabulary, with `further` words, without a chat template.
    pub fn lab(further: &[String]) -> Result<Self> {
        let tokenizer = vocabulary::tokenizer(further);
        let id = |word: &str| {
            tokenizer
                .token_to_id(word)
                .map(i64::from)
                .with_context(|| format!("the vocabulary lacks {word}"))
        };
        let (end, pad) = (id(vocabulary::EOS)?, id(vocabulary::PAD)?);
        Ok(Self {
            tokenizer,
            ends: vec![end],
            end,
            pad: Some(pad),
            chat: None,
        })
    }

    /// Token ids of a problem's text as the model is asked it: through the
    /// chat template where there is one, else as a tokenizer begins a text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<i64>> {
        self.encode_conversation(&[], text)
    }

    /// The same of an item, with what comes before its problem.
    pub fn encode_item(&self, item: &Item) -> Result<Vec<i64>> {
        self.encode_conversation(&item.before, &item.prompt)
    }

    /// The same of a problem that ends a conversation. A model without a chat template
    /// reads the turns as one text, see [`Message::as_text`].
    pub fn encode_conversation(&self, before: &[Message], text: &str) -> Result<Vec<i64>> {
        match &self.chat {
            Some(chat) => {
                let asked = [before, &[Message::of_user(text)]].concat();
                // A template writes its own first token.
                encode(
                    &self.tokenizer,
                    &chat.render(&asked, true, &Map::new())?,
                    false,
                )
            }
            None => encode(&self.tokenizer, &Message::as_text(before, text), true),
        }
    }

    /// What the chat template ends the assistant's turn with, where no token of
    /// it ends a completion; `None` where one does, where nothing is written
    /// after a turn, and where the template writes no such conversation.
    pub fn unended_turn(&self) -> Option<String> {
        /// Long enough for any tag.
        const SHOWN: usize = 40;
        let answer = "qinglan";
        let turn = |role: &str, content: &str| Message {
            role: role.to_owned(),
            content: content.to_owned(),
        };
        let turns = [turn("user", "What is 1+1?"), turn("assistant", answer)];
        let written = self
            .chat
            .as_ref()?
            .render(&turns, false, &Map::new())
            .ok()?;
        let after = written[written.rfind(answer)? + answer.len()..].trim();
        let encoding = self.tokenizer.encode_fast(after, false).ok()?;
        let ids = encoding.get_ids();
        if ids.is_empty() || ids.iter().any(|&id| self.ends.contains(&i64::from(id))) {
            return None;
        }
        // Not what stands for words that the vocabulary does not have.
        let added = self.tokenizer.get_added_tokens_decoder();
        let written = |id: &&u32| {
            added
                .get(*id)
                .is_some_and(|token| after.contains(&token.content))
        };
        Some(match ids.iter().find(written) {
            Some(&id) => self.named(i64::from(id)),
            None => format!("{:?}", after.chars().take(SHOWN).collect::<String>()),
        })
    }

    /// A token's text and number, for people.
    pub fn named(&self, id: i64) -> String {
        let word = u32::try_from(id)
            .ok()
            .and_then(|id| self.tokenizer.id_to_token(id));
        format!("{:?} ({id})", word.unwrap_or_default())
    }

    /// Token ids of a completion, the end token last.
    pub fn encode_completion(&self, text: &str) -> Result<Vec<i64>> {
        let mut ids = encode(&self.tokenizer, text, false)?;
        ids.push(self.end);
        Ok(ids)
    }

    /// The text of sampled tokens, without end and padding tokens.
    pub fn decode(&self, tokens: &[i64]) -> Result<String> {
        let ids: Vec<u32> = tokens
            .iter()
            .filter(|id| !self.ends.contains(id) && self.pad != Some(**id))
            .map(|&id| id as u32)
            .collect();
        // Think tags are special tokens: skipping special ones would lose them.
        self.tokenizer
            .decode(&ids, false)
            .map_err(|error| anyhow::anyhow!("decoding tokens: {error}"))
    }

    /// Tokens that a completion spends before its answer.
    ///
    /// Those between the first think tag and the last, up to the end where the
    /// last block is never closed and from the beginning where the prompt has opened
    /// the first. A model that writes no think block thinks in the open: of a
    /// completion with a mark of the answer, the tokens before it, whatever the
    /// mark's style (see [`rewards::answers`]). With neither, all
    /// tokens where the model is a chat model, and 0 where it is one of the
    /// lab's, which answers at once.
    pub fn reasoning_tokens(&self, tokens: &[i64]) -> usize {
        let written = tokens
            .iter()
            .position(|token| self.ends.contains(token))
            .unwrap_or(tokens.len());
        let tokens = &tokens[..written];
        if let Some(inside) = self.between_tags(tokens) {
            return inside;
        }
        let Ok(text) = self.decode(tokens) else {
            return tokens.len();
        };
        let read = Extraction::new("", &text);
        if read.thinking != Thinking::Absent {
            return self.tokens_of(read.reasoning);
        }
        if let Some(answer) = grading::answer_mark(&text) {
            return self.tokens_of(&text[..answer]);
        }
        if self.chat.is_some() { tokens.len() } else { 0 }
    }

    /// Tokens between the first and the last tag, where tags are tokens of their
    /// own; `None` where there is none. A closing tag that is the first ends a block
    /// that the prompt has opened; an opening one that is the last is never closed.
    fn between_tags(&self, tokens: &[i64]) -> Option<usize> {
        let id = |tag: &str| self.tokenizer.token_to_id(tag).map(i64::from);
        let (open, close) = (id(grading::THINK), id(grading::END_THINK));
        let is = |tag: Option<i64>, token: i64| tag == Some(token);
        let is_tag = |token: &i64| is(open, *token) || is(close, *token);
        let first = tokens.iter().position(is_tag)?;
        let last = tokens.iter().rposition(is_tag)?;
        let start = if is(open, tokens[first]) {
            first + 1
        } else {
            0
        };
        let end = if is(close, tokens[last]) {
            last
        } else {
            tokens.len()
        };
        Some(end - start)
    }

    fn tokens_of(&self, text: &str) -> usize {
        self.tokenizer
            .encode_fast(text.trim(), false)
            .map_or(0, |encoding| encoding.get_ids().len())
    }

    /// Refuses token ids that go beyond a model's embedding.
    pub fn check(&self, vocab_size: i64) -> Result<()> {
        for id in self.ends.iter().chain([&self.end]) {
            ensure!(
                (0..vocab_size).contains(id),
                "the end token id {id} lies outside the vocabulary of {vocab_size}; mend eos_token_id in config.json or generation_config.json"
            );
        }
        let highest = self
            .tokenizer
            .get_vocab(true)
            .into_values()
            .max()
            .map_or(-1, i64::from);
        ensure!(
            highest < vocab_size,
            "the tokenizer has the token id {highest}, the model's embedding {vocab_size} rows; they do not belong together"
        );
        Ok(())
    }
}

/// Token ids of a text; one with a word that the vocabulary lacks is refused.
/// `begin` puts before it what the tokenizer begins a text with, unless the text
/// begins with that itself, as one that a chat template has written does.
pub fn encode(tokenizer: &Tokenizer, text: &str, begin: bool) -> Result<Vec<i64>> {
    let encoding = tokenizer
        .encode_fast(text, begin)
        .map_err(|error| anyhow::anyhow!("tokenizing {text:?}: {error}"))?;
    let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
    let added = encoding.get_special_tokens_mask().iter();
    let added = added.take_while(|&&special| special == 1).count();
    let (beginning, rest) = ids.split_at(added);
    if added > 0 && rest.starts_with(beginning) {
        ids.drain(..added);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasoning_is_counted_between_the_tags_or_to_the_end() {
        let text = Text::lab(&[]).unwrap();
        let count = |completion: &str| {
            let mut ids = encode(&text.tokenizer, completion, false).unwrap();
            ids.push(text.end);
            text.reasoning_tokens(&ids)
        };
        assert_eq!(count("<think> A 1 B </think> true"), 3);
        assert_eq!(count("<think> A 1 B"), 3);
        assert_eq!(count("A 1 B </think> true"), 3);
        assert_eq!(count("true"), 0);
    }

    #[test]
    fn a_prompt_begins_and_a_completion_ends_as_the_model_was_taught() {
        let text = Text::lab(&[]).unwrap();
        let prompt = text.encode_prompt("A + 3 = D").unwrap();
        let bos = text.tokenizer.token_to_id(vocabulary::BOS).unwrap();
        assert_eq!(prompt[0], i64::from(bos));
        let completion = text.encode_completion("true").unwrap();
        assert_eq!(completion.last(), Some(&text.end));
        assert_eq!(text.decode(&completion).unwrap(), "true");
    }
}
