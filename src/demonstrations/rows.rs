//! A data set's file, row by row, in TRL's formats.
//!
//! JSONL: one object a line, blank lines passed over. Parquet: the same as
//! columns. `prompt` and `completion` come before `messages`, which come before
//! `text`; other columns are passed over. All rows of a file have one format.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::dataset;
use serde_json::{Map, Value};

use super::{Body, Row};
use crate::model::chat::Message;

/// What a row is read from. Of the last two, only that they are absent.
const COLUMNS: [&str; 7] = [
    "prompt",
    "completion",
    "messages",
    "text",
    "held_out",
    "tools",
    "chat_template_kwargs",
];

/// Reads a data set; what is wrong is named with its line or row.
pub(super) fn read(path: &Path) -> Result<Vec<Row>> {
    let rows = if is_parquet_name(path) {
        of_parquet(path)?
    } else {
        of_lines(path)?
    };
    let Some(first) = rows.first() else {
        bail!("{} holds no traces", path.display());
    };
    let format = first.body.format();
    let other = rows.iter().find(|row| row.body.format() != format);
    if let Some(row) = other {
        bail!(
            "{} is {}, but {} is {format}; split the file",
            place(path, row.number),
            row.body.format(),
            place(path, first.number)
        );
    }
    Ok(rows)
}

fn is_parquet_name(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"))
}

/// The name of a row, for errors.
pub(super) fn place(path: &Path, number: usize) -> String {
    let unit = if is_parquet_name(path) { "row" } else { "line" };
    format!("{}, {unit} {number}", path.display())
}

fn of_lines(path: &Path) -> Result<Vec<Row>> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .with_context(|| format!("reading the traces {}", path.display()))?;
    ensure!(
        !bytes.starts_with(b"PAR1"),
        "{} is a Parquet file: let its name end in .parquet",
        path.display()
    );
    let mut rows = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let place = || place(path, index + 1);
        let line = str::from_utf8(line)
            .map_err(|error| anyhow!("{}: it is not UTF-8: {error}", place()))?;
        let object: Map<String, Value> = serde_json::from_str(line).with_context(|| {
            format!(
                "{}: a trace is a JSON object with \"prompt\" and \"completion\", \"messages\", or \"text\"",
                place()
            )
        })?;
        let columns: Vec<&str> = object.keys().map(String::as_str).collect();
        rows.push(row(&object, &columns, index + 1).with_context(place)?);
    }
    Ok(rows)
}

fn of_parquet(path: &Path) -> Result<Vec<Row>> {
    let dataset = dataset::read(path, &COLUMNS)?;
    let columns: Vec<&str> = dataset.columns.iter().map(String::as_str).collect();
    let rows = dataset.rows.iter().enumerate();
    rows.map(|(index, object)| {
        row(object, &columns, index + 1).with_context(|| place(path, index + 1))
    })
    .collect()
}

fn row(object: &Map<String, Value>, columns: &[&str], number: usize) -> Result<Row> {
    for name in ["tools", "chat_template_kwargs"] {
        ensure!(
            object.get(name).is_none_or(is_nothing),
            "{name:?} is not supported; remove it"
        );
    }
    let held_out = match object.get("held_out") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(held_out)) => *held_out,
        Some(_) => bail!("\"held_out\" is neither true nor false"),
    };
    Ok(Row {
        body: body(object, columns)?,
        held_out,
        number,
    })
}

fn body(object: &Map<String, Value>, columns: &[&str]) -> Result<Body> {
    let get = |name| object.get(name).filter(|value| !value.is_null());
    if let (Some(prompt), Some(completion)) = (get("prompt"), get("completion")) {
        return match (prompt, completion) {
            (Value::String(prompt), Value::String(completion)) => {
                ensure!(!prompt.trim().is_empty(), "the prompt is empty");
                ensure!(
                    !completion.trim().is_empty(),
                    "the completion is empty; remove the row"
                );
                Ok(Body::Strings {
                    prompt: prompt.clone(),
                    completion: completion.clone(),
                })
            }
            (Value::Array(prompt), Value::Array(completion)) => {
                let (prompt, completion) = (
                    messages("prompt", prompt)?,
                    messages("completion", completion)?,
                );
                ensure!(!prompt.is_empty(), "the prompt is empty");
                ensure!(
                    completion.iter().any(says_something),
                    "the completion is empty; remove the row"
                );
                Ok(Body::Turns { prompt, completion })
            }
            _ => bail!(
                "\"prompt\" and \"completion\" are either both strings or both lists of messages"
            ),
        };
    }
    if let Some(value) = get("messages") {
        let list = value.as_array().context("\"messages\" is no list")?;
        let messages = messages("messages", list)?;
        ensure!(
            messages.iter().any(says_something),
            "the conversation is empty; remove the row"
        );
        return Ok(Body::Messages(messages));
    }
    if let Some(value) = get("text") {
        let text = value.as_str().context("\"text\" is no string")?;
        ensure!(!text.trim().is_empty(), "the text is empty; remove the row");
        return Ok(Body::Text(text.to_owned()));
    }
    bail!(
        "a trace has \"prompt\" and \"completion\", \"messages\", or \"text\"; {}",
        match columns {
            [] => "this has nothing".to_owned(),
            _ => format!(
                "of them this lacks at least one; it has: {}",
                columns.join(", ")
            ),
        }
    )
}

fn says_something(message: &Message) -> bool {
    !message.content.trim().is_empty()
}

/// Null, or nothing in it: Parquet gives every row every column.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn messages(name: &str, list: &[Value]) -> Result<Vec<Message>> {
    let messages = list.iter().enumerate();
    messages
        .map(|(index, value)| {
            message(value).with_context(|| format!("message {} of {name:?}", index + 1))
        })
        .collect()
}

fn message(value: &Value) -> Result<Message> {
    let fields = value
        .as_object()
        .context("it is no object with \"role\" and \"content\"")?;
    let text = |name: &str| match fields.get(name) {
        Some(Value::String(text)) => Ok(text.clone()),
        None | Some(Value::Null) => Err(anyhow!("it has no {name:?}")),
        Some(_) => Err(anyhow!("its {name:?} is no string")),
    };
    let further = fields
        .iter()
        .find(|(name, value)| !matches!(name.as_str(), "role" | "content") && !is_nothing(value));
    if let Some((name, _)) = further {
        bail!("it has {name:?}; only \"role\" and \"content\" are supported, remove it");
    }
    Ok(Message {
        role: text("role")?,
        content: text("content")?,
    })
}

#[cfg(test)]
mod tests;
