//! What is imitated: a data set's rows, or the lab's own traces, as token ids
//! of a model with one weight a completion token.
//!
//! Data sets come in TRL's formats: a prompt and a completion, both strings or
//! both conversations; `messages`, one conversation; or `text`. Which tokens
//! they become and which of them are trained is held to TRL 1.16. One thing
//! differs on purpose: TRL cuts off what is longer than `max_length`, which
//! takes the end token away and teaches never to stop; here a longer row is left
//! out, counted and named. Another: a text that begins with the first token of
//! the model is not given it once more. And a row whose template leaves out what
//! the assistant wrote is refused.
//!
//! Deliberately absent: tools, pictures, sound, settings of the chat template in a row,
//! preferences, and data sets that are token ids already.

mod altered;
mod left_out;
mod rows;
mod settings;
pub(crate) mod tokens;
mod traces;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use algorithms::Demonstration;
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;

use left_out::{Losses, Lost};
use tokens::{Loss, Tokens};

use crate::hub;
use crate::model::Text;
use crate::model::chat::{ChatTemplate, Message};
use crate::tasks::Mix;

pub use altered::{Altered, Recounts};
pub(crate) use settings::Shown;
pub use settings::TraceSettings;
pub(crate) use traces::{Recorded, write};

/// Rows that a warning names one by one.
const NAMED: usize = 10;

/// One demonstration as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Body {
    /// A task's problem, asked as the model is asked problems, and the answer:
    /// the lab's own traces.
    Asked {
        before: Vec<Message>,
        prompt: String,
        completion: String,
    },
    /// A prompt and its continuation, both as they stand.
    Strings { prompt: String, completion: String },
    /// A conversation, and how it goes on.
    Turns {
        prompt: Vec<Message>,
        completion: Vec<Message>,
    },
    /// A whole conversation.
    Messages(Vec<Message>),
    /// A text as it stands.
    Text(String),
}

impl Body {
    /// What it is, for errors.
    fn format(&self) -> &'static str {
        match self {
            Self::Asked { .. } => "a problem and its answer",
            Self::Strings { .. } => "a prompt and a completion, both strings",
            Self::Turns { .. } => "a prompt and a completion, both conversations",
            Self::Messages(_) => "a conversation in \"messages\"",
            Self::Text(_) => "a \"text\"",
        }
    }

    fn has_prompt(&self) -> bool {
        !matches!(self, Self::Messages(_) | Self::Text(_))
    }
}

/// A demonstration with its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    /// What was written.
    pub(crate) body: Body,
    /// Its task, where that is known.
    pub(crate) task: Option<String>,
    /// Whether it is kept for the held-out loss.
    pub(crate) held_out: bool,
    /// Its line, or its row in a Parquet file, from 1 on.
    pub(crate) number: usize,
}

/// Demonstrations of one source, in order.
pub(crate) struct Source {
    path: PathBuf,
    rows: Vec<Row>,
}

/// A source as a model reads it.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// What is imitated.
    pub(crate) shown: Vec<Demonstration>,
    /// What makes the held-out loss.
    pub(crate) held_out: Vec<Demonstration>,
    /// What the user should know of it, a sentence each.
    pub(crate) notes: Vec<String>,
}

/// What was noticed while rows became tokens.
#[derive(Default)]
struct Seen {
    /// Numbers of the rows that were left out.
    too_long: Vec<usize>,
    /// Numbers of the rows whose prompt alone is other tokens.
    merged: Vec<usize>,
    /// Whether any end token is trained.
    ends: bool,
    /// What the chat template leaves out.
    losses: Losses,
}

impl Source {
    /// Reads a data set; its last `held_out` rows are for the held-out loss.
    fn recording(path: &Path, held_out: usize, place: &str) -> Result<Self> {
        let mut rows = rows::read(path)?;
        ensure!(
            held_out < rows.len(),
            "{place}.held_out = {held_out}, but {} holds {} traces: nothing would be left to imitate",
            path.display(),
            rows.len()
        );
        let first = rows.len() - held_out;
        for row in &mut rows[first..] {
            row.held_out = true;
        }
        ensure!(
            rows.iter().any(|row| !row.held_out),
            "every row of {} is held out: nothing would be left to imitate",
            path.display()
        );
        Ok(Self {
            path: path.to_owned(),
            rows,
        })
    }

    /// What is there before a run begins: a recording, or the tasks' own work; `None`
    /// where a teacher is still to be sampled.
    pub(crate) fn ready(
        shown: &Shown<'_>,
        mix: &Mix,
        definition_folder: &Path,
    ) -> Result<Option<Self>> {
        let settings = shown.traces;
        if let Some(file) = &settings.file {
            let path = hub::data_path(file, definition_folder);
            let recording = path
                .and_then(|path| Self::recording(&path, settings.held_out as usize, &shown.place));
            return recording
                .with_context(|| format!("{}.file", shown.place))
                .map(Some);
        }
        if settings.worked {
            let mix = mix.learned_from(shown.tasks)?;
            let worked = traces::worked(&mix, shown.seed, settings)?;
            let path = format!("{}.worked", shown.place);
            return Ok(Some(Self::of_lab(Path::new(&path), worked)));
        }
        Ok(None)
    }

    /// Traces that the lab has written itself.
    pub(crate) fn traces(path: &Path) -> Result<Self> {
        Ok(Self::of_lab(path, traces::read(path)?))
    }

    /// The lab's own traces; the path is what errors call them.
    fn of_lab(path: &Path, traces: Vec<Recorded>) -> Self {
        let rows = traces.into_iter().enumerate();
        let rows = rows
            .map(|(index, trace)| Row {
                body: Body::Asked {
                    before: trace.before,
                    prompt: trace.prompt,
                    completion: trace.completion,
                },
                task: trace.task,
                held_out: trace.held_out,
                number: index + 1,
            })
            .collect();
        Self {
            path: path.to_owned(),
            rows,
        }
    }

    /// What an arm is shown of it: the traces of the tasks that it learns from, and
    /// these altered if that is asked for.
    pub(crate) fn shown_to(
        mut self,
        tasks: Option<&[String]>,
        altered: Option<Altered>,
        seed: u64,
    ) -> Result<Self> {
        if let Some(tasks) = tasks {
            ensure!(
                self.rows.iter().all(|row| row.task.is_some()),
                "{}: it does not say of which task its rows are, so an arm cannot learn from {} alone; remove the arm's tasks, or add a column \"task\"",
                self.path.display(),
                tasks.join(", ")
            );
            let wanted = |row: &Row| row.task.as_ref().is_some_and(|task| tasks.contains(task));
            self.rows.retain(wanted);
            ensure!(
                self.rows.iter().any(|row| !row.held_out),
                "{}: nothing in it is of {}, which the arm learns from",
                self.path.display(),
                tasks.join(", ")
            );
        }
        if let Some(altered) = altered {
            let altered = altered.apply(&mut self.rows, seed);
            altered.with_context(|| format!("altering {}", self.path.display()))?;
        }
        Ok(self)
    }

    /// Where they come from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The rows as demonstrations for a model with this text side and context.
    /// Refuses those that it cannot be shown.
    pub(crate) fn prepare(
        &self,
        settings: &TraceSettings,
        text: &Text,
        context: usize,
    ) -> Result<Prepared> {
        let limit = limit(settings, context)?;
        self.agrees_with(settings, text)?;
        let loss = Loss {
            completion_only: settings.completion_only_loss,
            assistant_only: settings.assistant_only_loss,
        };
        let rows = self.rows.par_iter();
        let lost: Vec<Result<Lost>> = rows
            .clone()
            .map(|row| Lost::of(&row.body, loss, text))
            .collect();
        let mut seen = Seen::default();
        for (row, lost) in self.rows.iter().zip(lost) {
            let lost = lost.with_context(|| rows::place(&self.path, row.number))?;
            seen.losses.add(row.number, lost);
        }
        // Before what is wrong with one row's tokens: it may be wrong because of this.
        seen.losses.refuse(&self.path, self.rows.len())?;
        let made: Vec<Result<Option<Tokens>>> = rows
            .map(|row| {
                let tokens = tokens::of(&row.body, loss, text)?;
                tokens.fits(limit, settings.max_length.is_some())
            })
            .collect();
        let mut prepared = Prepared {
            shown: Vec::new(),
            held_out: Vec::new(),
            notes: Vec::new(),
        };
        for (row, tokens) in self.rows.iter().zip(made) {
            let Some(tokens) = tokens.with_context(|| rows::place(&self.path, row.number))? else {
                seen.too_long.push(row.number);
                continue;
            };
            if tokens.merged {
                seen.merged.push(row.number);
            }
            let demonstration = tokens.demonstration;
            seen.ends |= trained(&demonstration).any(|id| text.ends.contains(&id));
            if row.held_out {
                prepared.held_out.push(demonstration);
            } else {
                prepared.shown.push(demonstration);
            }
        }
        if !seen.too_long.is_empty() {
            let of_both = [
                (false, prepared.shown.len(), "to imitate"),
                (true, prepared.held_out.len(), "for the held-out loss"),
            ];
            for (held_out, left, what) in of_both {
                ensure!(
                    left > 0 || self.rows.iter().all(|row| row.held_out != held_out),
                    "{}; nothing is left {what}",
                    self.too_long(&seen, limit)
                );
            }
        }
        prepared.notes = self.notes(&seen, settings, text, limit);
        Ok(prepared)
    }

    fn too_long(&self, seen: &Seen, limit: usize) -> String {
        format!(
            "{}: {} of {} rows are longer than teacher.traces.max_length = {limit} tokens and \
             left out: {}",
            self.path.display(),
            seen.too_long.len(),
            self.rows.len(),
            named(&seen.too_long)
        )
    }

    fn notes(
        &self,
        seen: &Seen,
        settings: &TraceSettings,
        text: &Text,
        limit: usize,
    ) -> Vec<String> {
        let path = self.path.display();
        let mut notes = Vec::new();
        let strings = |row: &Row| matches!(row.body, Body::Strings { .. });
        if text.chat.is_some() && self.rows.first().is_some_and(strings) {
            notes.push(format!(
                "{path}: prompts are strings and stand as they are, as in TRL, but the model is \
                 asked through its chat template; give \"prompt\" and \"completion\" as \
                 conversations to imitate what is evaluated"
            ));
        }
        if !seen.too_long.is_empty() {
            notes.push(self.too_long(seen, limit));
        }
        notes.extend(seen.losses.notes(&self.path, self.rows.len()));
        if !seen.merged.is_empty() {
            notes.push(format!(
                "{path}: {} of {} prompts are other tokens alone than before their completion, \
                 because they end within a token or the chat template writes them otherwise; the \
                 completion begins where they differ, as in TRL: {}",
                seen.merged.len(),
                self.rows.len(),
                named(&seen.merged)
            ));
        }
        if !seen.ends && seen.too_long.len() < self.rows.len() {
            notes.push(format!(
                "{path}: no end token of the model is trained, so it may not learn to stop; {}",
                if settings.assistant_only_loss {
                    "the chat template closes its {% generation %} blocks before it"
                } else {
                    "the chat template writes none of them"
                }
            ));
        }
        notes
    }

    /// What a format, the settings and the model say of each other.
    fn agrees_with(&self, settings: &TraceSettings, text: &Text) -> Result<()> {
        let Some(row) = self.rows.first() else {
            return Ok(());
        };
        let path = self.path.display();
        let format = row.body.format();
        let conversation = matches!(row.body, Body::Turns { .. } | Body::Messages(_));
        ensure!(
            settings.completion_only_loss != Some(true) || row.body.has_prompt(),
            "teacher.traces.completion_only_loss = true, but each row of {path} is {format}, \
             which has no prompt; remove the setting"
        );
        ensure!(
            !conversation || text.chat.is_some(),
            "{path}: each row is {format}, but the model has no chat template to write it with; \
             give \"prompt\" and \"completion\" as strings"
        );
        if settings.assistant_only_loss {
            ensure!(
                conversation,
                "teacher.traces.assistant_only_loss = true, but each row of {path} is {format}, \
                 no conversation; remove the setting"
            );
            let marks = text
                .chat
                .as_ref()
                .is_some_and(ChatTemplate::marks_generation);
            ensure!(
                marks,
                "teacher.traces.assistant_only_loss = true, but the model's chat template has no \
                 {{% generation %}} blocks, which say what the assistant wrote; put \
                 {{% generation %}} and {{% endgeneration %}} around it in the model's \
                 chat_template.jinja, or give \"prompt\" and \"completion\" as conversations, of \
                 which the completion is trained"
            );
        }
        Ok(())
    }
}

/// Tokens of the longest demonstration for a model of that context.
pub(crate) fn limit(settings: &TraceSettings, context: usize) -> Result<usize> {
    let limit = settings.max_length.unwrap_or(context);
    ensure!(
        limit <= context,
        "teacher.traces.max_length = {limit}, but the model's context holds {context} tokens"
    );
    Ok(limit)
}

/// The tokens of a demonstration that are trained.
fn trained(demonstration: &Demonstration) -> impl Iterator<Item = i64> {
    let weighted = demonstration.completion.iter().zip(&demonstration.weights);
    weighted.filter_map(|(&id, &weight)| (weight != 0.0).then_some(id))
}

/// The first of some rows, and how many more there are.
fn named(numbers: &[usize]) -> String {
    let shown: Vec<String> = numbers
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    let mut text = shown.join(", ");
    if numbers.len() > NAMED {
        // Writing to a string cannot fail.
        let _ = write!(text, " and {} more", numbers.len() - NAMED);
    }
    text
}

#[cfg(test)]
mod tests;
