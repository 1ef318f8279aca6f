//! What an OpenAI-compatible server's reply says: text, reasoning, counts.
//!
//! Reasoning stands in `reasoning_content` (or `reasoning`) or between think
//! tags. The server's own counts are taken where it gives them; where it does
//! not, the given tokenizer counts. Nothing is estimated: a reply whose
//! reasoning nobody can count is an error that says what to do.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokenizers::Tokenizer;

use crate::tasks::grading::{END_THINK, THINK, answer_mark};

/// Who counted an answer's reasoning tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Counted {
    /// The server.
    Server,
    /// The tokenizer that was given.
    Tokenizer,
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
pub(crate) enum NoReply {
    /// Another try may do better: what was wrong, in a few words.
    Broken(&'static str),
    /// No try will do better.
    Uncounted(&'static str),
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Deserialize)]
struct Choice {
    message: Option<Message>,
    text: Option<String>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
    reasoning_content: Option<Value>,
    reasoning: Option<Value>,
}

impl Message {
    /// Reasoning that the server has taken out of the content.
    fn reasoning(&self) -> Option<&str> {
        let fields = [&self.reasoning_content, &self.reasoning];
        let mut texts = fields
            .into_iter()
            .filter_map(|field| field.as_ref()?.as_str());
        texts.find(|text| !text.is_empty())
    }
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: Option<u32>,
    completion_tokens: Option<u32>,
    completion_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    reasoning_tokens: Option<u32>,
}

/// Which part of a completion is reasoning.
#[derive(Debug, PartialEq)]
enum Reasoning<'a> {
    /// This part.
    Part(&'a str),
    /// All of it: the model thinks in the open and marks no answer.
    Whole,
}

/// The reasoning of a completion, by the rule for models of the lab's own
/// ([`crate::model::Text::reasoning_tokens`]): between the tags, up to the end
/// where the block is never closed and from the beginning where the prompt has
/// opened it; else what stands before the answer mark; else everything.
fn reasoning(text: &str) -> Reasoning<'_> {
    if let Some(open) = text.find(THINK) {
        let inside = &text[open + THINK.len()..];
        return Reasoning::Part(inside.split(END_THINK).next().unwrap_or(inside));
    }
    let end = text.find(END_THINK).or_else(|| answer_mark(text));
    end.map_or(Reasoning::Whole, |end| Reasoning::Part(&text[..end]))
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Option<u32> {
    let encoding = tokenizer.encode_fast(text.trim(), false).ok()?;
    u32::try_from(encoding.get_ids().len()).ok()
}

/// Reads a body; `prompt` is what was asked.
pub(crate) fn read(
    body: &str,
    prompt: &str,
    tokenizer: Option<&Tokenizer>,
) -> Result<Reply, NoReply> {
    let parsed: Body = serde_json::from_str(body).map_err(|_| {
        NoReply::Broken(if body.trim_start().starts_with('<') {
            "HTML in place of JSON"
        } else {
            "a body that is no whole JSON"
        })
    })?;
    let choice = parsed
        .choices
        .into_iter()
        .next()
        .ok_or(NoReply::Broken("a reply without choices"))?;
    let (apart, content) = match (&choice.message, choice.text) {
        (Some(message), _) => (message.reasoning(), message.content.clone()),
        (None, text) => (None, text),
    };
    if apart.is_none() && content.is_none() {
        return Err(NoReply::Broken("a reply without text"));
    }
    let content = content.unwrap_or_default();
    let text = match apart {
        Some(reasoning) => format!("{THINK}{reasoning}{END_THINK}{content}"),
        None => content,
    };
    let usage = parsed.usage.as_ref();
    let count = |text: &str| tokenizer.and_then(|tokenizer| tokens(tokenizer, text));
    let prompt_tokens = usage
        .and_then(|usage| usage.prompt_tokens)
        .or_else(|| count(prompt))
        .ok_or(NoReply::Uncounted("prompt tokens"))?;
    let of_server = usage.and_then(|usage| usage.completion_tokens);
    let completion_tokens = of_server
        .or_else(|| count(&text))
        .ok_or(NoReply::Uncounted("completion tokens"))?;
    // A server that knows nothing of reasoning says 0 even where there is some.
    let details = usage
        .and_then(|usage| usage.completion_tokens_details.as_ref()?.reasoning_tokens)
        // More than there are is no count of them.
        .filter(|&count| count > 0 && count <= completion_tokens);
    let (reasoning_tokens, counted) = match (details, reasoning(&text)) {
        (Some(count), _) => (count, Counted::Server),
        (None, Reasoning::Whole) => (
            completion_tokens,
            of_server.map_or(Counted::Tokenizer, |_| Counted::Server),
        ),
        (None, Reasoning::Part(part)) if part.trim().is_empty() => (0, Counted::Server),
        (None, Reasoning::Part(part)) => {
            let counted = count(part).ok_or(NoReply::Uncounted("reasoning tokens"))?;
            // Another tokenizer than the server's may cut finer; a part is still no
            // more than the whole.
            (counted.min(completion_tokens), Counted::Tokenizer)
        }
    };
    Ok(Reply {
        prompt_tokens,
        reasoning_tokens,
        completion_tokens,
        truncated: choice.finish_reason.as_deref() == Some("length"),
        counted,
        text,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::vocabulary;

    fn chat(message: &Value, usage: &Value) -> String {
        json!({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
            .to_string()
    }

    #[test]
    fn the_servers_counts_are_taken_where_it_gives_them() {
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 6}});
        for field in ["reasoning_content", "reasoning"] {
            let body = chat(&json!({"content": "7", field: "3 and 4"}), &usage);
            let reply = read(&body, "?", None).unwrap();
            assert_eq!(reply.text, "<think>3 and 4</think>7");
            assert_eq!(
                (
                    reply.prompt_tokens,
                    reply.reasoning_tokens,
                    reply.completion_tokens
                ),
                (12, 6, 9)
            );
            assert_eq!((reply.counted, reply.truncated), (Counted::Server, false));
        }
    }

    #[test]
    fn think_tags_are_counted_by_the_given_tokenizer_or_not_at_all() {
        let usage = json!({"prompt_tokens": 12, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 0}});
        let body = chat(&json!({"content": "<think> A 1 B </think> true"}), &usage);
        assert_eq!(
            read(&body, "?", None),
            Err(NoReply::Uncounted("reasoning tokens"))
        );
        let tokenizer = vocabulary::tokenizer();
        let reply = read(&body, "?", Some(&tokenizer)).unwrap();
        assert_eq!(
            (reply.reasoning_tokens, reply.counted),
            (3, Counted::Tokenizer)
        );
    }

    #[test]
    fn reasoning_is_never_more_than_the_completion() {
        let tokenizer = vocabulary::tokenizer();
        let spent = |completion: u32, reasoning: u32| {
            let usage = json!({"prompt_tokens": 12, "completion_tokens": completion, "completion_tokens_details": {"reasoning_tokens": reasoning}});
            let body = chat(&json!({"content": "<think> A 1 B </think> true"}), &usage);
            let reply = read(&body, "?", Some(&tokenizer)).unwrap();
            (reply.reasoning_tokens, reply.counted)
        };
        assert_eq!(spent(9, 500), (3, Counted::Tokenizer));
        assert_eq!(spent(9, 9), (9, Counted::Server));
        assert_eq!(spent(2, 0), (2, Counted::Tokenizer));
    }

    #[test]
    fn the_style_of_an_answer_changes_no_cost() {
        let tokenizer = vocabulary::tokenizer();
        for style in [
            "Answer: true",
            "**Answer:** true",
            "**Answer**: true",
            "_Answer_ : true",
            "> **Answer: true**",
            "## Answer\n\ntrue",
            "So the final answer is **true**.",
            "Answer\u{FF1A}true",
            "\\text{Answer: } \\boxed{true}",
            "$\\boxed{\\text{true}}$",
            "<answer>true</answer>",
            "#### true",
        ] {
            let usage = json!({"prompt_tokens": 12, "completion_tokens": 25});
            let body = chat(&json!({"content": format!("A 1 B 2 C\n\n{style}")}), &usage);
            let reply = read(&body, "?", Some(&tokenizer)).unwrap();
            assert_eq!(reply.reasoning_tokens, 5, "{style}");
        }
    }

    #[test]
    fn a_model_that_thinks_in_the_open_spends_all_its_tokens_on_it() {
        let body = json!({"choices": [{"text": "four and nine is thirteen", "finish_reason": "length"}],
            "usage": {"prompt_tokens": 3, "completion_tokens": 5}});
        let reply = read(&body.to_string(), "?", None).unwrap();
        assert_eq!(
            (reply.reasoning_tokens, reply.counted),
            (5, Counted::Server)
        );
        assert!(reply.truncated);
    }

    #[test]
    fn without_any_count_nothing_is_made_up() {
        let body = chat(&json!({"content": "7"}), &Value::Null);
        assert_eq!(
            read(&body, "?", None),
            Err(NoReply::Uncounted("prompt tokens"))
        );
    }

    #[test]
    fn what_is_no_reply_is_named() {
        let broken = |body: &str| match read(body, "?", None) {
            Err(NoReply::Broken(what)) => what,
            other => panic!("{other:?}"),
        };
        assert_eq!(broken("<html>Bad gateway</html>"), "HTML in place of JSON");
        assert_eq!(
            broken("{\"choices\": [{\"mess"),
            "a body that is no whole JSON"
        );
        assert_eq!(broken("{\"error\": {}}"), "a reply without choices");
        assert_eq!(broken("{\"choices\": [{}]}"), "a reply without text");
    }
}
