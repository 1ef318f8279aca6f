//! Demonstrations as files: what a teacher wrote, JSONL, one object a line.
//!
//! The same reader takes the lab's own traces and a recording made elsewhere.

use std::path::Path;

use algorithms::Demonstration;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::config::TraceSettings;
use crate::files;
use crate::model::Text;
use crate::tasks::{Mix, Split};

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
    /// Its line in the file it was read from.
    #[serde(skip)]
    pub line: usize,
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
        let mut trace: Recorded = serde_json::from_str(line).with_context(|| {
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
        trace.line = index + 1;
        traces.push(trace);
    }
    if traces.is_empty() {
        bail!("{} holds no traces", path.display());
    }
    Ok(traces)
}

/// Reads a recording made elsewhere; its last `held_out` traces are for the
/// held-out loss.
pub(super) fn recording(path: &Path, held_out: usize) -> Result<Vec<Recorded>> {
    let mut recorded = read(path)?;
    ensure!(
        held_out < recorded.len(),
        "teacher.traces.held_out = {held_out}, but {} holds {} traces: nothing would be left to imitate",
        path.display(),
        recorded.len()
    );
    let first = recorded.len() - held_out;
    for trace in &mut recorded[first..] {
        trace.held_out = true;
    }
    Ok(recorded)
}

/// The tasks' own correct work on training problems, and on validation
/// problems for the held-out loss.
pub(super) fn worked(mix: &Mix, seed: u64, settings: &TraceSettings) -> Vec<Recorded> {
    let of = |split: Split, count: u64| {
        (0..count).map(move |index| {
            let (problem, completion) = mix.solved(seed, split, index);
            Recorded {
                prompt: problem.prompt,
                completion,
                task: Some(problem.task.to_owned()),
                held_out: split == Split::Validation,
                line: 0,
            }
        })
    };
    of(Split::Train, settings.problems)
        .chain(of(Split::Validation, settings.held_out))
        .collect()
}

/// Refuses a trace that a model with this text side and context cannot be shown.
pub(super) fn check(traces: &[Recorded], text: &Text, context: usize, path: &Path) -> Result<()> {
    for trace in traces {
        let place = || format!("{}, line {}", path.display(), trace.line);
        let prompt = text.encode_prompt(&trace.prompt).with_context(place)?;
        let completion = text
            .encode_completion(&trace.completion)
            .with_context(place)?;
        let tokens = prompt.len() + completion.len();
        ensure!(
            tokens <= context,
            "{}: prompt and completion have {tokens} tokens, the model's context holds {context}; \
             leave the trace out or use a longer context",
            place(),
        );
    }
    Ok(())
}

/// Traces as token ids of a model, those to imitate and those held out.
pub(super) fn demonstrations(
    traces: &[Recorded],
    text: &Text,
    context: usize,
    path: &Path,
) -> Result<(Vec<Demonstration>, Vec<Demonstration>)> {
    check(traces, text, context, path)?;
    let mut shown = Vec::new();
    let mut held_out = Vec::new();
    for trace in traces {
        let prompt = text.encode_prompt(&trace.prompt)?;
        let completion = text.encode_completion(&trace.completion)?;
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
            line: 1,
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
