//! The turns of a conversation, read from JSON and written as plain text.

use anyhow::{Context, Result, anyhow, bail};
use experiments::dataset::{is_nothing, media};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation.
///
/// Worked example: `{role: "user", content: "What is 17 + 25?"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// The text.
    pub content: String,
}

impl Message {
    /// A turn of the user's.
    pub fn of_user(content: &str) -> Self {
        Self {
            role: "user".to_owned(),
            content: content.to_owned(),
        }
    }

    /// The conversation in the column `name` of a data set.
    ///
    /// # Errors
    ///
    /// Which message is no object of a role and a text, and why.
    pub fn list(name: &str, list: &[Value]) -> Result<Vec<Self>> {
        let messages = list.iter().enumerate();
        messages
            .map(|(index, value)| {
                Self::read(value).with_context(|| format!("message {} of {name:?}", index + 1))
            })
            .collect()
    }

    fn read(value: &Value) -> Result<Self> {
        let fields = value
            .as_object()
            .context("it is no object with \"role\" and \"content\"")?;
        let text = |name: &str| match fields.get(name) {
            Some(Value::String(text)) => Ok(text.clone()),
            None | Some(Value::Null) => Err(anyhow!("it has no {name:?}")),
            Some(Value::Array(parts)) => Err(parted(name, parts)),
            Some(_) => Err(anyhow!("its {name:?} is no string")),
        };
        let known = |name: &str| matches!(name, "role" | "content");
        let further = fields
            .iter()
            .find(|(name, value)| !known(name) && !is_nothing(value));
        if let Some((name, _)) = further {
            bail!("it has {name:?}; only \"role\" and \"content\" are supported, remove it");
        }
        Ok(Self {
            role: text("role")?,
            content: text("content")?,
        })
    }

    /// A prompt after what comes `before` it, for a model without a chat template: one
    /// text, of a question and its answer on consecutive lines, with an empty line after
    /// each answer and after a system prompt.
    ///
    /// ```
    /// use qinglan::model::chat::Message;
    ///
    /// let turn = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
    /// let before = [turn("user", "2 + 2?"), turn("assistant", "4")];
    /// assert_eq!(Message::as_text(&before, "3 + 5?"), "2 + 2?\n4\n\n3 + 5?");
    /// ```
    pub fn as_text(before: &[Self], prompt: &str) -> String {
        let mut text = String::new();
        for message in before {
            text.push_str(&message.content);
            text.push_str(if message.role == "user" { "\n" } else { "\n\n" });
        }
        text + prompt
    }
}

/// Why a list of parts is no text; pictures and sound are named.
fn parted(name: &str, parts: &[Value]) -> anyhow::Error {
    let kinds = parts.iter().filter_map(|part| part.get("type")?.as_str());
    for kind in kinds {
        if let Some(what) = media(kind) {
            return anyhow!(
                "its {name:?} has a part of type {kind:?}, which holds {what}, and no model here \
                 is shown that; remove the row"
            );
        }
    }
    anyhow!("its {name:?} is no string but a list of parts; write their text as one string")
}
