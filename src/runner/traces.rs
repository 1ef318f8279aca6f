//! Demonstrations as files: what a teacher wrote, JSONL, one object a line.
//!
//! The same reader takes the lab's own traces and a recording made elsewhere.

use std::path::Path;

use algorithms::Demonstration;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::files;
use crate::model::Model;

/// One demonstration.
///
/// Worked example:
/// `{"prompt":"A+3= what","completion":"<think> A + 3 ? A 1 B 2 C 3 D </think> D","held_out":false}`.
/// Only `prompt` and `completion` are needed; other keys are passed over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Recorded {
    /// The problem's text.
    pub prompt: String,
    /// What the teacher wrote, without an end token.
    pub completion: String,
    /// Task, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Whether it is of a validation problem and kept for the held-out loss.
    #[serde(default)]
    pub held_out: bool,
}

/// Writes traces.
pub(super) fn write(path: &Path, traces: &[Recorded]) -> Result<()> {
    let mut text = String::new();
    for trace in traces {
        text.push_str(&serde_json::to_string(trace)?);
        text.push('\n');
    }
    files::write_whole(path, text.as_bytes())
}

/// Reads traces; a broken line is named.
pub(super) fn read(path: &Path) -> Result<Vec<Recorded>> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the traces {}", path.display()))?;
    let mut traces = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let place = || format!("{}, line {}", path.display(), index + 1);
        let trace: Recorded = serde_json::from_str(line).with_context(|| {
            format!(
                "{}: a trace is a JSON object with \"prompt\" and \"completion\"",
                place()
            )
        })?;
        ensure!(
            !trace.prompt.trim().is_empty(),
            "{}: the prompt is empty",
            place()
        );
        ensure!(
            !trace.completion.trim().is_empty(),
            "{}: the completion is empty; remove the line",
            place()
        );
        traces.push(trace);
    }
    if traces.is_empty() {
        bail!("{} holds no traces", path.display());
    }
    Ok(traces)
}

/// Traces as token ids of a model, those to imitate and those held out.
pub(super) fn demonstrations(
    traces: &[Recorded],
    model: &Model,
    path: &Path,
) -> Result<(Vec<Demonstration>, Vec<Demonstration>)> {
    let context = model.decoder.config().max_position_embeddings as usize;
    let mut shown = Vec::new();
    let mut held_out = Vec::new();
    for (index, trace) in traces.iter().enumerate() {
        let place = || format!("{}, trace {}", path.display(), index + 1);
        let prompt = model.encode_prompt(&trace.prompt).with_context(place)?;
        let completion = model
            .encode_completion(&trace.completion)
            .with_context(place)?;
        ensure!(
            prompt.len() + completion.len() <= context,
            "{}: prompt and completion have {} tokens, the model's context holds {context}; \
             leave the trace out or use a longer context",
            place(),
            prompt.len() + completion.len()
        );
        let demonstration = Demonstration {
            weights: vec![1.0; completion.len()],
            prompt,
            completion,
        };
        if trace.held_out {
            held_out.push(demonstration);
        } else {
            shown.push(demonstration);
        }
    }
    Ok((shown, held_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_read_back_and_a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        let trace = Recorded {
            prompt: "A+3= what".to_owned(),
            completion: "D".to_owned(),
            task: None,
            held_out: true,
        };
        write(&path, std::slice::from_ref(&trace)).unwrap();
        assert_eq!(read(&path).unwrap(), [trace]);
        std::fs::write(
            &path,
            "{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"prompt\":",
        )
        .unwrap();
        let error = format!("{:#}", read(&path).unwrap_err());
        assert!(error.contains("line 2"), "{error}");
        std::fs::write(&path, "{\"prompt\":\"a\",\"completion\":\" \"}\n").unwrap();
        assert!(format!("{:#}", read(&path).unwrap_err()).contains("line 1"));
    }
}
