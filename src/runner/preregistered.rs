//! The questions of a run, or of an evaluation, as they stood before anything was
//! trained or sampled: written down with the time and a seal, and never again.
//!
//! What is asked later stands beside them and is said to have been added later.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use experiments::comparison::{Question, question};
use experiments::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::finish::{ITEMS, Loaded, MANIFEST, read_json};
use super::formats::has_arms;
use super::{DEFINITION_FILE, Request, provenance};
use crate::error::{UserError, as_user_error};
use crate::files;

/// Name of a run's file. A run that began without a question has none.
pub(super) const QUESTIONS: &str = "questions.json";

/// `questions.json`, and the `questions` of `evaluation.json`.
///
/// Worked example: `{"written": "2026-11-30T04:50:12Z", "questions": [{"name": "negative
/// transfer", …}], "seal": "7d31…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preregistered {
    /// When, in UTC.
    written: String,
    /// What was asked.
    pub(crate) questions: Vec<Question>,
    /// Hash of the two above.
    seal: String,
}

impl Preregistered {
    /// The questions as they stand now.
    pub(crate) fn now(questions: &[Question]) -> Result<Self> {
        let written = provenance::now();
        Ok(Self {
            seal: seal(&written, questions)?,
            questions: questions.to_vec(),
            written,
        })
    }

    /// Refuses what was changed after it was written.
    pub(crate) fn check(self) -> Result<Self> {
        let sealed = seal(&self.written, &self.questions)?;
        ensure!(self.seal == sealed, "it was changed after it was written");
        Ok(self)
    }

    /// Those of a run directory; `None` where it began without a question.
    pub(super) fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join(QUESTIONS);
        if !path.exists() {
            return Ok(None);
        }
        let read = read_json::<Self>(&path).and_then(Self::check);
        let way_out = || {
            format!(
                "{}: it holds what was asked before the run; put it back as it was",
                path.display()
            )
        };
        as_user_error(read.with_context(way_out)).map(Some)
    }
}

fn seal(written: &str, questions: &[Question]) -> Result<String> {
    Ok(files::hash(&serde_json::to_vec(&(written, questions))?))
}

/// The questions of a file that holds nothing else: TOML, a `[[question]]` each.
pub(crate) fn questions_of(path: &Path) -> Result<Vec<Question>> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        question: Vec<Question>,
    }
    let place = || format!("the questions of {}", path.display());
    let text = experiments::text::string(path).with_context(place)?;
    let file: File = toml::from_str(&text).with_context(place)?;
    Ok(file.question)
}

impl Request {
    /// Takes over the text of a run that began with the same definition but for
    /// its questions: the run goes on, its directory keeps what it began with, and
    /// what is asked now is asked beside it.
    pub(super) fn keep_stored_text(&mut self) {
        let Ok(there) = std::fs::read_to_string(self.out.join(DEFINITION_FILE)) else {
            return;
        };
        let is_same = |there| Some(there) == without_questions(&self.text);
        if without_questions(&there).is_some_and(is_same) {
            self.text = there;
        }
    }

    /// Writes down what is asked, where no stage of the run has begun; afterwards
    /// refuses a file that is not what was written.
    pub(super) fn preregister(&self) -> Result<()> {
        let path = self.out.join(QUESTIONS);
        let manifest = read_json::<Manifest>(&self.out.join(MANIFEST)).ok();
        let hash = manifest.and_then(|mut manifest| manifest.files.remove(QUESTIONS));
        let is_there = |hash| files::hash_file(&path).is_ok_and(|found| found == hash);
        ensure!(
            hash.is_none_or(is_there),
            UserError(format!(
                "{} was changed or removed after the run: it holds what was asked before; put it back as it was",
                path.display()
            ))
        );
        let questions = &self.definition.question;
        let has_begun = self.out.join(ITEMS).exists() || has_arms(&self.out);
        if Preregistered::read(&self.out)?.is_none() && !has_begun && !questions.is_empty() {
            let questions = Preregistered::now(questions)?;
            files::write_whole(&path, &serde_json::to_vec_pretty(&questions)?)?;
        }
        Ok(())
    }
}

/// A definition without its questions; `None` where it is not TOML.
fn without_questions(text: &str) -> Option<toml::Table> {
    let mut table: toml::Table = text.parse().ok()?;
    table.remove("question");
    Some(table)
}

impl Loaded {
    /// Asks the questions of a file too. They are not those that the run began with.
    pub fn ask(&mut self, path: &Path) -> Result<()> {
        let questions = questions_of(path)?;
        let arms: Vec<&str> = (self.manifest.arms.iter())
            .map(|card| card.name.as_str())
            .collect();
        question::check(&questions, &arms)
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("the questions of {}", path.display()))?;
        question::add(&mut self.manifest.questions, &questions);
        Ok(())
    }

    /// The questions of models that are not compared, in a note: they were asked.
    pub(super) fn unanswered(&self) -> Option<String> {
        let arms = self.manifest.arms.iter();
        let arms: Vec<&str> = arms.map(|card| card.name.as_str()).collect();
        let asked = self.manifest.questions.iter().map(|asked| &asked.question);
        let left: Vec<String> = asked
            .filter(|question| question.sides(&arms).is_none())
            .map(|question| format!("{} ({})", question.name, question.contrast))
            .collect();
        (!left.is_empty()).then(|| {
            format!(
                "Questions about models that are not compared here have no answer: {}.",
                left.join("; ")
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "[[question]]\nname = 'q'\ncontrast = 'sft - base'\ndirection = 'below'\n";

    #[test]
    fn every_bit_of_what_was_asked_matters() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Preregistered::read(folder.path()).unwrap(), None);
        let given = folder.path().join("q.toml");
        std::fs::write(&given, TEXT).unwrap();
        let written = Preregistered::now(&questions_of(&given).unwrap()).unwrap();
        let whole = serde_json::to_vec_pretty(&written).unwrap();
        let path = folder.path().join(QUESTIONS);
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            match Preregistered::read(folder.path()) {
                // White space says nothing, whichever it is.
                Ok(read) => assert_eq!(read.as_ref(), Some(&written), "byte {place}"),
                Err(error) => {
                    assert!(error.is::<UserError>(), "byte {place}: {error:#}");
                    assert!(error.to_string().contains("put it back"), "{error:#}");
                }
            }
        }
    }

    #[test]
    fn only_questions_and_comments_may_differ() {
        let table = |text: &str| without_questions(text).unwrap();
        let plain = "[experiment]\nname = 'x'\n";
        assert_eq!(table(plain), table(&format!("# why\n{plain}{TEXT}")));
        assert_ne!(table(plain), table("[experiment]\nname = 'y'\n"));
        assert_eq!(without_questions("= 1"), None);
    }

    #[test]
    fn a_file_of_questions_holds_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let given = folder.path().join("q.toml");
        for (text, word) in [
            (format!("seed = 1\n{TEXT}"), "seed"),
            (String::new(), "question"),
        ] {
            std::fs::write(&given, text).unwrap();
            let error = format!("{:#}", questions_of(&given).unwrap_err());
            assert!(error.contains(word) && error.contains("q.toml"), "{error}");
        }
    }
}
