//! A data set's file, row by row, in TRL's formats.
//!
//! JSONL: one object a line, blank lines passed over. Parquet: the same as
//! columns. `prompt` and `completion` come before `messages`, which come before
//! `text`; other columns are passed over, unless they hold what a model here is
//! not shown, or are called as one that is read but for their case. A number for a
//! prompt or a completion is its text. All rows of a file have one format.

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use experiments::dataset::{self, is_nothing, media_in};
use experiments::text;
use serde_json::{Map, Value};

use super::{Body, Row};
use crate::model::chat::Message;

/// What a row is read from. Of the last two, only that they are absent.
const COLUMNS: [&str; 8] = [
    "prompt",
    "completion",
    "messages",
    "text",
    "task",
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
    let reading = || format!("reading the traces {}", path.display());
    let mut rows = Vec::new();
    for line in text::lines(path).with_context(reading)? {
        let (number, line) = line.with_context(reading)?;
        ensure!(
            number > 1 || !line.starts_with(b"PAR1"),
            "{} is a Parquet file: let its name end in .parquet",
            path.display()
        );
        let object = text::object(&line).map_err(|error| {
            anyhow!(
                "{}: a trace is a JSON object with \"prompt\" and \"completion\", \"messages\", or \"text\": {error}",
                place(path, number)
            )
        })?;
        let place = || place(path, number);
        let columns: Vec<&str> = object.keys().map(String::as_str).collect();
        let wrong = text::misnamed(&columns, &COLUMNS).or_else(|| media_in(&object));
        if let Some(wrong) = wrong {
            bail!("{}: {wrong}", place());
        }
        rows.push(row(&object, &columns, number).with_context(place)?);
    }
    Ok(rows)
}

fn of_parquet(path: &Path) -> Result<Vec<Row>> {
    let dataset = dataset::read_text(path, &COLUMNS)?;
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
        task: object
            .get("task")
            .and_then(Value::as_str)
            .map(str::to_owned),
        held_out,
        number,
    })
}

fn body(object: &Map<String, Value>, columns: &[&str]) -> Result<Body> {
    let get = |name| object.get(name).filter(|value| !value.is_null());
    if let (Some(prompt), Some(completion)) = (get("prompt"), get("completion")) {
        let texts = dataset::text_of(prompt).zip(dataset::text_of(completion));
        if let Some((prompt, completion)) = texts {
            ensure!(!prompt.trim().is_empty(), "the prompt is empty");
            ensure!(
                !completion.trim().is_empty(),
                "the completion is empty; remove the row"
            );
            return Ok(Body::Strings { prompt, completion });
        }
        return match (prompt, completion) {
            (Value::Array(prompt), Value::Array(completion)) => {
                let (prompt, completion) = (
                    Message::list("prompt", prompt)?,
                    Message::list("completion", completion)?,
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
        let messages = Message::list("messages", list)?;
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

#[cfg(test)]
mod tests;
