//! What an OpenAI-compatible server's reply says: text, reasoning, counts.
//!
//! Reasoning stands in a field or a part of its own, or between think tags. The
//! server's own counts are taken where it gives them; where it does not, the
//! given tokenizer counts. Nothing is estimated: a reply whose reasoning nobody
//! can count is an error that says what to do, and one that contradicts itself,
//! or of which it is not known how it ended, is refused by name.

mod finish;
mod message;
mod usage;

use rewards::answers::{Extraction, Thinking};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::Tokenizer;

use self::finish::{Finish, finish};
use self::message::{message, withheld};
use self::usage::usage;
use crate::http::{self, NoReply};
use crate::tasks::grading::{END_THINK, THINK, answer_mark};

/// Tokens of an answer that may stand for no byte of its text: ends, roles and
/// marks of a chat template.
const MARKS: usize = 16;

/// Who counted an answer's reasoning tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// The server.
    Server,
    /// The tokenizer that was given.
    Tokenizer,
    /// The server's total less its prompt and completion.
    Remainder,
}

/// One answer.
///
/// Worked example: a reply with `reasoning_content` "3 and 4", content "7" and 9 completion tokens of
/// which 6 are reasoning: `{text: "<think>3 and 4</think>7", prompt_tokens: 12, reasoning_tokens: 6,
/// completion_tokens: 9, truncated: false, counted: Server}`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    /// The whole completion, reasoning between think tags.
    pub(crate) text: String,
    pub(crate) prompt_tokens: u32,
    pub(crate) reasoning_tokens: u32,
    pub(crate) completion_tokens: u32,
    /// Whether the token cap cut it off.
    pub(crate) truncated: bool,
    pub(crate) counted: Counted,
}

/// Why a body is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// It is no reply, or none that can be recorded.
    Reply(NoReply),
    /// The model's tokenizer would count what the server does not.
    Uncounted(&'static str),
}

impl From<NoReply> for NoAnswer {
    fn from(reason: NoReply) -> Self {
        Self::Reply(reason)
    }
}

fn unfit<T>(what: String) -> Result<T, NoAnswer> {
    Err(NoReply::Unfit(what).into())
}

/// Which part of a completion is reasoning.
#[derive(Debug, PartialEq)]
enum Reasoning<'a> {
    /// This part, and what follows it.
    Part(&'a str, &'a str),
    /// All of it: the model thinks in the open and marks no answer.
    Whole,
}

/// The reasoning of a completion, by the rule for models of the lab's own
/// ([`crate::model::Text::reasoning_tokens`]): what the think tags enclose, from
/// the first to the last; else what stands before the answer mark; else everything.
fn reasoning(text: &str) -> Reasoning<'_> {
    let read = Extraction::new("", text);
    if read.thinking != Thinking::Absent {
        return Reasoning::Part(read.reasoning, read.after);
    }
    answer_mark(text).map_or(Reasoning::Whole, |mark| {
        let (part, rest) = text.split_at(mark);
        Reasoning::Part(part, rest)
    })
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Option<u32> {
    let encoding = tokenizer.encode_fast(text.trim(), false).ok()?;
    u32::try_from(encoding.get_ids().len()).ok()
}

/// What was asked, as far as a reply is read by it.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// The text.
    pub(crate) prompt: &'a str,
    /// Most tokens of an answer, where the server was told.
    pub(crate) cap: Option<usize>,
    /// Counts what the server does not.
    pub(crate) tokenizer: Option<&'a Tokenizer>,
}

/// Reads a body.
pub(crate) fn read(body: &str, asked: &Asked) -> Result<Reply, NoAnswer> {
    let body = http::json(body)?;
    let choice = choice(&body)?;
    let finish = finish(choice);
    if let Finish::Withheld(word) = &finish {
        return Err(withheld(word).into());
    }
    let message = message(choice)?;
    if let Finish::BrokenOff(word) = &finish {
        return Err(NoReply::Broken(format!("an answer that was broken off: {word}")).into());
    }
    let answered = !message.content.trim().is_empty();
    let usage = usage(&body["usage"], answered).map_err(NoReply::Unfit)?;
    let text = match message.reasoning {
        Some(reasoning) => format!("{THINK}{reasoning}{END_THINK}{}", message.content),
        None => message.content.clone(),
    };
    let count = |text: &str, what: &'static str| {
        let counted = asked
            .tokenizer
            .and_then(|tokenizer| tokens(tokenizer, text));
        counted.ok_or(NoAnswer::Uncounted(what))
    };
    let prompt_tokens = match usage.prompt {
        Some(given) => given,
        None => count(asked.prompt, "prompt tokens")?,
    };
    // Of a text 0 tokens are no count.
    let given = usage
        .completion
        .filter(|&count| count > 0 || text.is_empty());
    let by = given.map_or(Counted::Tokenizer, |_| Counted::Server);
    let (completion_tokens, reasoning_tokens, counted) = match (given, usage.reasoning) {
        (Some(whole), Some((part, by))) => (whole, part, by),
        (None, Some((part, by))) => {
            let answer = count(&message.content, "completion tokens")?;
            (answer.saturating_add(part), part, by)
        }
        (_, None) if message.hidden => {
            return unfit("reasoning that is neither shown nor counted".to_owned());
        }
        (given, None) => {
            let whole = match given {
                Some(given) => given,
                None => count(&text, "completion tokens")?,
            };
            match reasoning(&text) {
                Reasoning::Whole => (whole, whole, by),
                Reasoning::Part(part, _) if part.trim().is_empty() => {
                    // A token has a byte at least, so there are some that are not shown.
                    if whole as usize > text.len() + MARKS {
                        return unfit(format!(
                            "{whole} tokens are counted and {} characters shown: the others are reasoning that nothing counts",
                            text.chars().count()
                        ));
                    }
                    (whole, 0, by)
                }
                Reasoning::Part(part, rest) => {
                    let part = count(part, "reasoning tokens")?;
                    // A server that gives less leaves the reasoning out of its count.
                    let shown = part.saturating_add(count(rest, "completion tokens")?);
                    (whole.max(shown), part, Counted::Tokenizer)
                }
            }
        }
    };
    if text.is_empty() && completion_tokens == 0 {
        return unfit("an empty answer of 0 tokens".to_owned());
    }
    let at_cap = asked
        .cap
        .is_some_and(|cap| completion_tokens as usize >= cap);
    let truncated = match finish {
        Finish::Cut => true,
        Finish::Unknown(word) if !at_cap => {
            return unfit(format!(
                "finish_reason is {word:?}, which says neither that the answer ended nor that it was cut off"
            ));
        }
        Finish::Unsaid if asked.cap.is_none() => {
            return unfit(
                "it is not said why the answer ended, and no cap was asked for that it could have reached"
                    .to_owned(),
            );
        }
        Finish::Unsaid | Finish::Unknown(_) => at_cap,
        _ => false,
    };
    Ok(Reply {
        text,
        prompt_tokens,
        reasoning_tokens,
        completion_tokens,
        truncated,
        counted,
    })
}

/// The choice of a reply; what stands in its place is named.
fn choice(body: &Value) -> Result<&Value, NoReply> {
    let unfit = |what: String| Err(NoReply::Unfit(what));
    let choice = match &body["choices"] {
        // One was asked for; of several it is the one of index 0.
        Value::Array(choices) => choices
            .iter()
            .find(|choice| choice["index"] == 0)
            .or(choices.first()),
        Value::Null => None,
        _ => return unfit("choices is no list".to_owned()),
    };
    if let Some(choice) = choice {
        return match http::ServerError::within(choice) {
            Some(error) => Err(error.into()),
            None if choice.is_object() => Ok(choice),
            None => unfit("a choice that is no object".to_owned()),
        };
    }
    if filtered(&body["prompt_filter_results"]) {
        return Err(withheld("the prompt was filtered"));
    }
    for name in ["promptFeedback", "prompt_feedback"] {
        let reasons = ["blockReason", "block_reason"];
        if let Some(reason) = reasons.iter().find_map(|key| body[name][*key].as_str()) {
            return Err(withheld(reason));
        }
    }
    let keys = body.as_object().into_iter().flat_map(|body| body.keys());
    let keys: Vec<&str> = keys.map(String::as_str).collect();
    let has = match keys.as_slice() {
        [] => "nothing".to_owned(),
        keys => keys.join(", "),
    };
    unfit(format!("a reply without choices; it has {has}"))
}

/// Whether any verdict of a filter is that it filtered.
fn filtered(verdict: &Value) -> bool {
    match verdict {
        Value::Object(map) => verdict["filtered"] == true || map.values().any(filtered),
        Value::Array(list) => list.iter().any(filtered),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
