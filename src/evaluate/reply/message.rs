//! What a choice says: its answer, and the reasoning that the server has taken
//! out of it, in whichever field and form.
//!
//! An answer is a text or a list of parts. Reasoning stands in a field of its
//! own or in parts of the list; a server may also keep it to itself, and give a
//! summary, a signature or an encrypted text in its place.

use serde_json::Value;

use crate::http::{NoReply, beginning};

/// Fields that hold reasoning apart from the answer.
const REASONING: [&str; 5] = [
    "reasoning_content",
    "reasoning",
    "thinking",
    "thinking_blocks",
    "reasoning_details",
];

/// What a choice says.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// The answer, which may hold its reasoning between think tags.
    pub(super) content: String,
    /// Reasoning that stands apart.
    pub(super) reasoning: Option<String>,
    /// Whether there was reasoning that is not given as it was written.
    pub(super) hidden: bool,
}

/// Reads a choice of either interface.
pub(super) fn message(choice: &Value) -> Result<Message, NoReply> {
    let (holder, content) = match &choice["message"] {
        Value::Null => (choice, choice.get("text")),
        message @ Value::Object(_) => {
            let text = || message.get("text");
            (message, message.get("content").or_else(text))
        }
        other => return unfit(format!("message is {}, which is no message", kind(other))),
    };
    match &holder["refusal"] {
        Value::Null | Value::Bool(false) => {}
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => return Err(withheld(text)),
        other => return Err(withheld(&other.to_string())),
    }
    let mut message = Message::default();
    match content {
        Some(Value::Null) | None => {}
        Some(Value::String(text)) => message.content.clone_from(text),
        Some(Value::Array(parts)) => parts.iter().try_for_each(|part| message.take_in(part))?,
        Some(part @ Value::Object(_)) => message.take_in(part)?,
        Some(other) => return unfit(format!("content is {}, which is no text", kind(other))),
    }
    for name in REASONING {
        let mut apart = String::new();
        message.hidden |= thoughts(&holder[name], &mut apart);
        if message.reasoning.is_none() && !apart.is_empty() {
            message.reasoning = Some(apart);
        }
    }
    let calls = ["tool_calls", "function_call"];
    let calls = calls
        .iter()
        .any(|name| !holder[*name].is_null() && holder[*name] != Value::Array(Vec::new()));
    if calls {
        return unfit("a call of a tool in place of an answer, though none was offered".to_owned());
    }
    if content.is_none() && message.reasoning.is_none() && !message.hidden {
        return unfit("a reply without text".to_owned());
    }
    Ok(message)
}

impl Message {
    /// Adds a part of a list.
    fn take_in(&mut self, part: &Value) -> Result<(), NoReply> {
        let of_type = part["type"].as_str().unwrap_or("text").to_lowercase();
        if let Value::String(text) = part {
            self.content.push_str(text);
        } else if is_thought(&of_type) {
            let mut text = self.reasoning.take().unwrap_or_default();
            self.hidden |= thoughts(part, &mut text);
            self.reasoning = Some(text).filter(|text| !text.is_empty());
        } else if of_type == "refusal" {
            let says = part["refusal"].as_str().or_else(|| part["text"].as_str());
            return Err(withheld(says.unwrap_or_default()));
        } else if let ("text" | "output_text", Some(text)) = (&*of_type, part["text"].as_str()) {
            self.content.push_str(text);
        } else {
            return unfit(format!(
                "content is a list with {}, which is no text: {}",
                kind(part),
                beginning(&part.to_string())
            ));
        }
        Ok(())
    }
}

fn is_thought(of_type: &str) -> bool {
    ["think", "reason", "thought"]
        .iter()
        .any(|word| of_type.contains(word))
}

/// Appends the texts of reasoning in any form to `text`; true where the server
/// keeps some of it to itself.
fn thoughts(value: &Value, text: &mut String) -> bool {
    match value {
        Value::String(part) => {
            text.push_str(part);
            false
        }
        Value::Array(parts) => parts
            .iter()
            .fold(false, |hidden, part| thoughts(part, text) | hidden),
        Value::Object(part) => {
            let before = text.len();
            let fields = ["thinking", "text", "reasoning", "content"];
            let mut hidden = fields
                .iter()
                .filter_map(|name| part.get(*name))
                .fold(false, |hidden, part| thoughts(part, text) | hidden);
            let of_type = value["type"].as_str().unwrap_or_default();
            let sealed = ["encrypted", "redacted"]
                .iter()
                .any(|word| of_type.contains(word));
            // A summary is shown, but it is not what was written.
            let summary = part.get("summary").filter(|summary| !summary.is_null());
            if let Some(summary) = summary {
                let start = text.len();
                thoughts(summary, text);
                hidden |= text.len() > start || of_type.contains("reason");
            }
            let given = ["signature", "encrypted_content", "data"];
            let given = given.iter().any(|name| {
                value[*name]
                    .as_str()
                    .is_some_and(|sealed| !sealed.is_empty())
            });
            hidden | sealed | (given && text.len() == before)
        }
        _ => false,
    }
}

/// An answer that is kept back.
pub(super) fn withheld(says: &str) -> NoReply {
    NoReply::Unfit(format!("the answer was withheld: {}", beginning(says)))
}

fn unfit<T>(what: String) -> Result<T, NoReply> {
    Err(NoReply::Unfit(what))
}

/// The kind of a value, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
