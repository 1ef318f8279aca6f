//! The lab's own traces: what a teacher of the experiment wrote, and the tasks'
//! worked solutions. JSONL, one object a line.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use super::TraceSettings;
use crate::files;
use crate::model::chat::Message;
use crate::tasks::{Mix, Split};

/// One demonstration.
///
/// Worked example:
/// `{"prompt":"A+3= what","completion":"<think> A + 3 ? A 1 B 2 C 3 D </think> D","held_out":false}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    /// What comes before the problem in its conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) before: Vec<Message>,
    /// The problem's text.
    pub(crate) prompt: String,
    /// What the teacher wrote, without an end token.
    pub(crate) completion: String,
    /// Task, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) task: Option<String>,
    /// Whether it is of a validation problem and kept for the held-out loss.
    #[serde(default)]
    pub(crate) held_out: bool,
}

/// Writes traces.
pub(crate) fn write(path: &Path, traces: &[Recorded]) -> Result<()> {
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

/// The tasks' own correct work on training problems, and on validation
/// problems for the held-out loss.
pub(super) fn worked(mix: &Mix, seed: u64, settings: &TraceSettings) -> Result<Vec<Recorded>> {
    let of = |split: Split, count: u64| {
        (0..count).map(move |index| {
            let (item, solution) = mix.solved(seed, split, index)?;
            let completion = solution.with_context(|| {
                format!(
                    "teacher.traces.worked: nobody has written worked solutions of {}; leave it out with teacher.tasks",
                    item.task
                )
            })?;
            Ok(Recorded {
                before: item.before,
                prompt: item.prompt,
                completion,
                task: Some(item.task),
                held_out: split == Split::Validation,
            })
        })
    };
    of(Split::Train, settings.problems)
        .chain(of(Split::Validation, settings.held_out))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_read_back_and_a_broken_line_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("traces.jsonl");
        let trace = Recorded {
            before: Vec::new(),
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
