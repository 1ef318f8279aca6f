//! The directory of an evaluation: which one it is, what has been answered, and
//! what is written at the end.
//!
//! ```text
//! OUT/evaluation.json    what is asked of whom, and of the comparison; written first
//! OUT/traces.jsonl       the journal: each answer as it came, in no manifest
//! OUT/troubles.jsonl     a server's failed tries, in no manifest
//! OUT/missing.jsonl      questions without an answer, where there are any
//! OUT/traces.parquet     every trace record, written when all is answered
//! OUT/…                  as in a run directory: items, tables, report, manifest
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use experiments::alignment::cost::CutOff;
use experiments::comparison::{Asked, Comparison, Question, When, question};
use experiments::manifest::{EvaluationCard, Manifest};
use experiments::norms::Norms;
use experiments::record::recording::Recording;
use experiments::record::{self, Trace, Writer};
use serde_json::{Value, json};
use tch::Device;

use super::ask::Asking;
use super::cards::Cards;
use super::journal::{self, Journal};
use super::reply::Counted;
use super::troubles::Troubles;
use crate::error::{UserError, as_user_error};
use crate::files;
use crate::generation::Precision;
use crate::hub::Commits;
use crate::runner::finish::{MANIFEST, TRACES, finish_evaluation};
use crate::runner::preregistered::Preregistered;
use crate::runner::provenance;
use crate::tasks::grading;

/// What the directory is of.
pub(crate) const IDENTITY: &str = "evaluation.json";

/// The journal.
pub(crate) const JOURNAL: &str = "traces.jsonl";

/// A server's failed tries.
const TROUBLES: &str = "troubles.jsonl";

/// Questions without an answer.
const MISSING: &str = "missing.jsonl";

/// Rows of a group of `traces.parquet`.
const GROUP: usize = 1 << 17;

/// Missing answers named in the note.
const NAMED: usize = 5;

/// A directory that is this evaluation's.
pub(crate) struct Directory {
    /// Where it is.
    pub(crate) path: PathBuf,
    identity: Value,
    questions: Vec<Asked>,
}

/// What is asked of the comparison.
pub(crate) enum Questions<'a> {
    /// Of answers that this evaluation brings in.
    OfAnswers(&'a [Question]),
    /// Of answers that were there.
    OfRecordings(&'a [Question]),
}

/// The key of `evaluation.json` that holds what was asked before the first answer;
/// two evaluations that differ in it alone are one.
const QUESTIONS: &str = "questions";

impl Directory {
    /// Makes a directory this evaluation's, or refuses. One that was begun and
    /// came to nothing is begun anew.
    pub(crate) fn claim(
        path: &Path,
        identity: Value,
        questions: &Questions<'_>,
        resume: bool,
    ) -> Result<Self> {
        let marker = path.join(IDENTITY);
        let begin = || {
            let mut marked = identity.clone();
            if let Questions::OfAnswers(questions) = questions
                && !questions.is_empty()
            {
                marked[QUESTIONS] = serde_json::to_value(Preregistered::now(questions)?)?;
            }
            files::write_whole(&marker, &serde_json::to_vec_pretty(&marked)?)
        };
        if let Ok(there) = std::fs::read(&marker) {
            if is_empty(path)? {
                files::remove_leftovers(path)?;
                for name in [JOURNAL, TROUBLES, MISSING, TRACES] {
                    remove(&path.join(name))?;
                }
                begin()?;
            } else {
                go_on(path, &there, &identity, resume)?;
                files::remove_leftovers(path)?;
            }
        } else {
            let occupied = path
                .read_dir()
                .is_ok_and(|mut entries| entries.next().is_some());
            if occupied {
                bail!(UserError(format!(
                    "{} is not empty and holds no evaluation; give another folder with --out",
                    path.display()
                )));
            }
            begin()?;
        }
        Ok(Self {
            questions: asked(&marker, questions)?,
            path: path.to_owned(),
            identity,
        })
    }

    /// The number format that the evaluation in a folder computes in; `None` where
    /// there is none, or no model of it is computed here.
    pub(crate) fn format(path: &Path) -> Option<Precision> {
        let bytes = std::fs::read(path.join(IDENTITY)).ok()?;
        let identity: Value = serde_json::from_slice(&bytes).ok()?;
        serde_json::from_value(identity["source"]["dtype"].clone()).ok()
    }

    /// The journal of answers.
    pub(crate) fn journal(&self) -> Result<Journal> {
        Journal::open(&self.path.join(JOURNAL))
    }

    /// Where failed tries are noted.
    pub(crate) fn troubles(&self) -> PathBuf {
        self.path.join(TROUBLES)
    }

    /// Writes the journal as `traces.parquet`, and says what a reader must know
    /// of how it came about and how many answers are missing.
    pub(crate) fn close(
        &self,
        journal: Journal,
        asking: &Asking,
        names: &[String],
    ) -> Result<(Vec<String>, usize)> {
        let troubles = Troubles::read(&self.troubles());
        let mut notes = Vec::new();
        let mut missing = Vec::new();
        let mut list = Vec::new();
        for name in names {
            for item in asking.items {
                for sample in 0..asking.settings.samples {
                    if journal.has(name, &item.task, &item.item_id, sample) {
                        continue;
                    }
                    if missing.len() < NAMED {
                        missing.push(format!("{}/{} ({sample})", item.task, item.item_id));
                    }
                    let why = troubles.last(item, sample);
                    list.push(json!({"model": name, "task": item.task, "item_id": item.item_id, "sample": sample, "why": why}));
                }
            }
        }
        let path = self.path.join(MISSING);
        if list.is_empty() {
            remove(&path)?;
        } else {
            let lines: Vec<String> = list.iter().map(Value::to_string).collect();
            files::write_whole(&path, (lines.join("\n") + "\n").as_bytes())?;
            let more = match list.len() - missing.len() {
                0 => String::new(),
                more => format!(" and {more} more, in missing.jsonl"),
            };
            notes.push(format!(
                "{} of {} answers are missing after all tries; they are in no figure: {}{more}.",
                list.len(),
                journal.len() + list.len(),
                missing.join(", ")
            ));
        }
        notes.extend(troubles.note());
        if !journal.counted().is_empty() {
            let by: Vec<String> = journal
                .counted()
                .iter()
                .map(|(counted, answers)| match counted {
                    Counted::Server => format!("by the server for {answers}"),
                    Counted::Tokenizer => format!("by the given tokenizer for {answers}"),
                    Counted::Remainder => format!(
                        "by what the server's total holds beyond prompt and completion for {answers}"
                    ),
                })
                .collect();
            notes.push(format!(
                "Reasoning tokens were counted {} answers.",
                by.join(" and ")
            ));
        }
        if journal.len() == 0 {
            bail!(
                "no question was answered; {} has the tries",
                self.troubles().display()
            );
        }
        drop(journal);
        let traces = record::read(&self.path.join(JOURNAL))?;
        notes.extend(unmarked(&traces));
        record::write(&self.path.join(TRACES), &traces)?;
        Ok((notes, list.len()))
    }

    /// Copies recordings into `traces.parquet`, and says what is wrong with them.
    pub(crate) fn copy(&self, recordings: &[PathBuf]) -> Result<Vec<String>> {
        let mut writer = Writer::new(&self.path.join(TRACES), GROUP)?;
        let mut recording = Recording::default();
        for path in recordings {
            as_user_error(
                recording
                    .read(path, |trace| writer.push(trace))
                    .map_err(anyhow::Error::from),
            )?;
        }
        writer.finish()?;
        Ok(recording.faults())
    }

    /// Writes tables, report and manifest; gives what they show.
    pub(crate) fn finish(
        &self,
        norms: &Norms,
        cards: Cards,
        evaluation: Evaluation,
    ) -> Result<Comparison> {
        // Read back rather than kept: what is compared is what lies there.
        let mut recording = Recording::default();
        recording.read(&self.path.join(TRACES), |_| Ok(()))?;
        let title = cards.title.clone();
        let hypothesis = cards.hypothesis.clone().unwrap_or_default();
        let (arms, mut notes) = cards.of(recording.models());
        notes.splice(0..0, evaluation.notes);
        let tasks = match evaluation.tasks {
            tasks if tasks.is_empty() => recording.tasks().to_vec(),
            tasks => tasks,
        };
        let samples = recording.samples() as u32;
        drop(recording);
        let mut environment = provenance::environment(evaluation.device, 1);
        let commits = evaluation.commits.into_iter();
        environment.extend(commits.map(|(name, commit)| (format!("commit of {name}"), commit)));
        let format = evaluation.format.into_iter();
        environment.extend(format.map(|format| ("number format of answers".to_owned(), format)));
        let manifest = Manifest {
            format: 0,
            name: "evaluation".to_owned(),
            title: title.unwrap_or_else(|| match arms.as_slice() {
                [alone] => format!("Evaluation of {}", alone.name),
                _ => format!("Evaluation of {} models", arms.len()),
            }),
            hypothesis,
            seeds: Vec::new(),
            tasks,
            arms,
            arm_runs: Vec::new(),
            evaluation: EvaluationCard {
                samples: evaluation.samples.unwrap_or(samples),
                temperature: evaluation.temperature,
                max_new_tokens: evaluation.max_new_tokens,
                items: files::hash(&serde_json::to_vec(&self.identity)?),
                norms: norms.source().to_owned(),
            },
            definition: self.identity.clone(),
            only_correct: evaluation.only_correct,
            cut_off: evaluation.cut_off,
            questions: self.questions.clone(),
            notes,
            environment,
            files: BTreeMap::new(),
        };
        finish_evaluation(&self.path, norms, manifest)
    }
}

/// What an evaluation's manifest says beside its identity.
pub(crate) struct Evaluation {
    /// Tasks compared; those of the records where none is named.
    pub(crate) tasks: Vec<String>,
    /// Samples asked an item; as recorded where `None`.
    pub(crate) samples: Option<u32>,
    /// Temperature asked for.
    pub(crate) temperature: f64,
    /// Token cap; 0 for recordings.
    pub(crate) max_new_tokens: u32,
    /// Whether costs are of right answers alone.
    pub(crate) only_correct: bool,
    /// What samples count for that the token cap cut off.
    pub(crate) cut_off: CutOff,
    /// Where tensors lived.
    pub(crate) device: Device,
    /// The number format that was chosen for what was left open, and why.
    pub(crate) format: Option<String>,
    /// What names on the hub stood for.
    pub(crate) commits: Commits,
    /// What a reader must know.
    pub(crate) notes: Vec<String>,
}

/// How many answers of many words have no mark of the answer, in words; `None`
/// where all have one.
fn unmarked(traces: &[Trace]) -> Option<String> {
    let lacks = |trace: &&Trace| trace.completion.as_deref().is_some_and(grading::lacks_mark);
    let mut lacking = traces.iter().filter(lacks);
    let first = lacking.next()?;
    Some(format!(
        "In {} of {} answers no mark of the answer was found (`Answer:`, `\\boxed{{}}`, `<answer>`, \"the answer is\", `####`), \
         so the whole text was compared and, without think tags, all of it counted as reasoning; the first is {}/{} ({}) of {}.",
        1 + lacking.count(),
        traces.len(),
        first.task,
        first.item_id,
        first.sample,
        first.model
    ))
}

/// What is asked of the comparison, by what stands in `evaluation.json`.
fn asked(marker: &Path, questions: &Questions<'_>) -> Result<Vec<Asked>> {
    let now = match questions {
        Questions::OfRecordings(questions) => return Ok(question::all(questions, When::Recorded)),
        Questions::OfAnswers(questions) => questions,
    };
    let reading = || format!("reading {}", marker.display());
    let bytes = std::fs::read(marker).with_context(reading)?;
    let mut marked: Value = serde_json::from_slice(&bytes).with_context(reading)?;
    let before = match marked[QUESTIONS].take() {
        Value::Null => Vec::new(),
        value => {
            let before = serde_json::from_value(value).map_err(anyhow::Error::from);
            let before = before.and_then(Preregistered::check).with_context(|| {
                format!(
                    "{}, {QUESTIONS}: it holds what was asked before the first answer; put it back as it was",
                    marker.display()
                )
            });
            as_user_error(before)?.questions
        }
    };
    Ok(question::asked(&before, now))
}

/// Whether nothing would be lost of an evaluation that was begun: none of its
/// answers came, and it did not end.
fn is_empty(path: &Path) -> Result<bool> {
    Ok(!path.join(MANIFEST).exists() && !journal::has_answers(&path.join(JOURNAL))?)
}

/// Refuses to go on with what is there, unless it is the same and the user says
/// so.
fn go_on(path: &Path, there: &[u8], identity: &Value, resume: bool) -> Result<()> {
    let mut there: Value = serde_json::from_slice(there).unwrap_or_default();
    if let Some(there) = there.as_object_mut() {
        there.remove(QUESTIONS);
    }
    let differs = differing(&there, identity);
    if !differs.is_empty() {
        bail!(UserError(format!(
            "{} holds another evaluation (it differs in {}); give another folder with --out",
            path.display(),
            differs.join(", ")
        )));
    }
    if !resume {
        bail!(UserError(format!(
            "{} holds this evaluation already; go on with it with --resume, or give another folder with --out",
            path.display()
        )));
    }
    Ok(())
}

/// Removes a file that may not be there.
fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {}", path.display()))
        }
        _ => Ok(()),
    }
}

/// The keys in which two objects differ.
fn differing(a: &Value, b: &Value) -> Vec<String> {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else {
        return vec!["everything".to_owned()];
    };
    let keys: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    keys.into_iter()
        .filter(|key| a.get(*key) != b.get(*key))
        .cloned()
        .collect()
}
