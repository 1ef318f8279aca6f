//! What the lab and a child process say to each other: one JSON object a line.
//!
//! The child reads requests from its standard input and writes replies to its
//! standard output, each on one line of UTF-8. Its standard error is free: it
//! goes to the log. When its input ends, it should end too.
//!
//! # Handshake
//!
//! The child speaks first, once it is ready to judge:
//!
//! ```json
//! {"protocol": 1, "name": "brevity"}
//! ```
//!
//! or says why it cannot: `{"protocol": 1, "error": "No module named 'foo'"}`.
//!
//! # Requests
//!
//! Every key but `id` and `columns` holds a list with one entry for each
//! completion; `columns` holds such lists by the names of the data set's
//! columns, with null where a row lacks one. Shown on several lines here:
//!
//! ```json
//! {"id": 7,
//!  "prompts": ["3 + 4?"], "completions": ["<think> 3 4 </think> 7"],
//!  "completion_ids": [[12, 5, 6, 13, 9, 2]],
//!  "extracted": ["7"], "expected": ["7"],
//!  "tasks": ["sums"], "problems": ["sums/train/1"], "human_costs": [7.1],
//!  "reasoning_tokens": [2], "completion_tokens": [6],
//!  "max_new_tokens": [64], "truncated": [false],
//!  "columns": {"difficulty": [3]}}
//! ```
//!
//! `extracted` is the answer that [`crate::Extraction`] reads out of the
//! completion, null where there is none; `expected` and `human_costs` are null
//! where the problem has none.
//!
//! # Replies
//!
//! ```json
//! {"id": 7, "scores": [1.0], "parts": {"speed": [0.5]}, "metrics": {"seen": 1}}
//! ```
//!
//! A score is a number, null (the reward does not apply), or
//! `{"error": "what went wrong"}` for this completion alone. `parts` (numbers or
//! null, one for each completion) and `metrics` (a number for the request) may
//! be left out. A request that could not be judged at all is answered by
//! `{"id": 7, "error": "what went wrong"}`.
//!
//! What it deliberately does not do: pipeline. A child has one request at a
//! time; who wants more at a time has more children.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Extraction, Score, Scored};

/// The version that both sides must speak.
pub(super) const VERSION: u64 = 1;

/// Names of metrics that the lab itself adds.
pub(super) const ERRORS: &str = "errors";
/// See [`ERRORS`].
pub(super) const RESTARTS: &str = "restarts";

/// A batch, or a piece of one, in columns. See the module for an example.
#[derive(Debug, Default, Serialize)]
struct Request<'a> {
    id: u64,
    prompts: Vec<&'a str>,
    completions: Vec<&'a str>,
    completion_ids: Vec<&'a [i64]>,
    extracted: Vec<Option<&'a str>>,
    expected: Vec<Option<&'a str>>,
    tasks: Vec<&'a str>,
    problems: Vec<&'a str>,
    human_costs: Vec<Option<f64>>,
    reasoning_tokens: Vec<usize>,
    completion_tokens: Vec<usize>,
    max_new_tokens: Vec<usize>,
    truncated: Vec<bool>,
    columns: BTreeMap<&'a str, Vec<Option<&'a Value>>>,
}

/// The line that asks for the scores of `items`, its end included.
pub(super) fn request(id: u64, items: &[Scored<'_>]) -> Result<Vec<u8>, serde_json::Error> {
    let mut request = Request {
        id,
        ..Request::default()
    };
    for (index, item) in items.iter().enumerate() {
        let answer = Extraction::new(item.prompt, item.completion).answer();
        request.prompts.push(item.prompt);
        request.completions.push(item.completion);
        request.completion_ids.push(item.completion_ids);
        request
            .extracted
            .push((!answer.is_empty()).then_some(answer));
        request.expected.push(item.expected);
        request.tasks.push(item.task);
        request.problems.push(item.problem);
        request.human_costs.push(item.human_cost);
        request.reasoning_tokens.push(item.reasoning_tokens);
        request.completion_tokens.push(item.completion_tokens);
        request.max_new_tokens.push(item.max_new_tokens);
        request.truncated.push(item.truncated);
        for (name, value) in item.columns.into_iter().flatten() {
            let column = request.columns.entry(name).or_default();
            column.resize(index, None);
            column.push(Some(value));
        }
    }
    for column in request.columns.values_mut() {
        column.resize(items.len(), None);
    }
    let mut line = serde_json::to_vec(&request)?;
    line.push(b'\n');
    Ok(line)
}

#[derive(Deserialize)]
struct Handshake {
    protocol: Value,
    name: Option<String>,
    error: Option<String>,
}

/// The name that a child gives itself, or why it must not be used.
pub(super) fn handshake(line: &[u8]) -> Result<String, String> {
    let hello: Handshake = serde_json::from_slice(line).map_err(|_| {
        format!(
            "its first line is no handshake such as {{\"protocol\": {VERSION}, \"name\": \"NAME\"}}, \
             but `{}`",
            shown(line)
        )
    })?;
    if hello.protocol.as_u64() != Some(VERSION) {
        return Err(format!(
            "it speaks version {} of the protocol, the lab version {VERSION}",
            hello.protocol
        ));
    }
    match (hello.error, hello.name) {
        (Some(error), _) => Err(error),
        (None, Some(name)) => Ok(name),
        (None, None) => Err("its handshake lacks `name`".to_owned()),
    }
}

/// What a child says of a request that it understood.
#[derive(Debug, PartialEq, Default)]
pub(super) struct Answer {
    /// For each completion a score, or what is wrong with the one it gave.
    pub(super) scores: Vec<Result<Score, String>>,
    /// Metrics of the request.
    pub(super) metrics: Vec<(String, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    id: u64,
    scores: Option<Vec<Value>>,
    #[serde(default)]
    parts: Map<String, Value>,
    #[serde(default)]
    metrics: Map<String, Value>,
    error: Option<String>,
}

/// Reads the reply to request `id` about `count` completions.
///
/// The outer error is a broken protocol, after which nothing that the child says
/// can be relied on; the inner one is a fault of this reply only.
pub(super) fn reply(line: &[u8], id: u64, count: usize) -> Result<Result<Answer, String>, String> {
    let read = serde_json::from_slice(line).or_else(|error| match quote_non_finite(line) {
        Some(quoted) => serde_json::from_slice(&quoted),
        None => Err(error),
    });
    let reply: Reply =
        read.map_err(|error| format!("its reply `{}` cannot be read: {error}", shown(line)))?;
    if reply.id != id {
        return Err(format!("it answered request {}, asked {id}", reply.id));
    }
    if let Some(error) = reply.error {
        return Ok(Err(error));
    }
    let Some(scores) = reply.scores else {
        return Ok(Err("it gave neither `scores` nor an `error`".to_owned()));
    };
    Ok(answer(scores, reply.parts, reply.metrics, count))
}

/// Reads the reply to request `id` as an object whose keys are the asker's to know;
/// errors are those of [`reply`].
pub(super) fn object(
    line: &[u8],
    id: u64,
    _count: usize,
) -> Result<Result<Map<String, Value>, String>, String> {
    let mut reply: Map<String, Value> = serde_json::from_slice(line)
        .map_err(|error| format!("its reply `{}` cannot be read: {error}", shown(line)))?;
    let answered = reply.remove("id");
    if answered.as_ref().and_then(Value::as_u64) != Some(id) {
        let answered = answered.unwrap_or_default();
        return Err(format!("it answered request {answered}, asked {id}"));
    }
    Ok(match reply.remove("error") {
        Some(Value::String(error)) => Err(error),
        _ => Ok(reply),
    })
}

fn answer(
    scores: Vec<Value>,
    parts: Map<String, Value>,
    metrics: Map<String, Value>,
    count: usize,
) -> Result<Answer, String> {
    if scores.len() != count {
        return Err(format!(
            "it gave {} scores for {count} completions: one is needed for each, in their order",
            scores.len()
        ));
    }
    let mut scores: Vec<Result<Score, String>> = scores.into_iter().map(score).collect();
    for (name, values) in parts {
        let Value::Array(values) = values else {
            return Err(format!("its part `{name}` is no list"));
        };
        if values.len() != count {
            return Err(format!(
                "its part `{name}` has {} values for {count} completions",
                values.len()
            ));
        }
        for (score, value) in scores.iter_mut().zip(values) {
            match (value.as_f64(), value) {
                (Some(value), _) => {
                    if let Ok(score) = score {
                        score.parts.push((name.clone().into(), value));
                    }
                }
                (None, Value::Null) => {}
                (None, other) => *score = Err(format!("its part `{name}` is {}", named(&other))),
            }
        }
    }
    let mut read = Vec::with_capacity(metrics.len());
    for (name, value) in metrics {
        if name == ERRORS || name == RESTARTS {
            return Err(format!(
                "it gave a metric `{name}`, a name which the lab uses itself: choose another"
            ));
        }
        match value.as_f64() {
            Some(value) => read.push((name, value)),
            None => return Err(format!("its metric `{name}` is {}", named(&value))),
        }
    }
    Ok(Answer {
        scores,
        metrics: read,
    })
}

fn score(value: Value) -> Result<Score, String> {
    match value {
        Value::Null => Ok(Score::does_not_apply()),
        Value::Number(number) => (number.as_f64())
            .filter(|value| value.is_finite())
            .map(Score::new)
            .ok_or_else(|| format!("its score is {number}: it must be finite")),
        Value::Object(object) => match object.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Err("its score is an object without `error`".to_owned()),
        },
        other => Err(format!(
            "its score is {}: give a number, or null where the reward does not apply",
            named(&other)
        )),
    }
}

/// What a value is that should have been a number.
fn named(value: &Value) -> String {
    match value {
        Value::String(text) if NON_FINITE.contains(&text.as_str()) => text.clone(),
        Value::String(text) => format!("the string {:?}", shown(text.as_bytes())),
        Value::Bool(value) => format!("the boolean {value}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Null => "null".to_owned(),
        Value::Number(number) => number.to_string(),
    }
}

/// What some writers of JSON, Python's among them, put where JSON has no word.
/// The longer first, as one ends with another.
const NON_FINITE: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// The line with quotes around these words where they stand outside of strings,
/// so that it can be read and the place named; `None` where there are none.
fn quote_non_finite(line: &[u8]) -> Option<Vec<u8>> {
    let mut quoted = Vec::with_capacity(line.len() + 64);
    let (mut in_string, mut escaped, mut found) = (false, false, false);
    let mut rest = line;
    while let Some((&byte, after)) = rest.split_first() {
        let word = (NON_FINITE.iter()).find(|word| !in_string && rest.starts_with(word.as_bytes()));
        if let Some(word) = word {
            quoted.extend([b"\"", word.as_bytes(), b"\""].concat());
            rest = &rest[word.len()..];
            found = true;
            continue;
        }
        if byte == b'"' && !escaped {
            in_string = !in_string;
        }
        escaped = in_string && byte == b'\\' && !escaped;
        quoted.push(byte);
        rest = after;
    }
    found.then_some(quoted)
}

/// The start of what a child wrote, for an error.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(bytes.get(..4 * MOST).unwrap_or(bytes));
    let mut start: String = text.chars().take(MOST).collect();
    if start.len() < bytes.len() {
        start.push_str("...");
    }
    start
}

#[cfg(test)]
mod tests;
