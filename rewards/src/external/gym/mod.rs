//! Problems and scores of the Python package `reasoning_gym`.
//!
//! A [`Gym`] is one of the package's data sets with its settings. Its entries are drawn,
//! and answers to them scored, in supervised Python processes that all of a program's
//! data sets share (see `host`).
//!
//! An entry is a pure function of the data set's name, its settings, a seed and an
//! index, whatever was drawn before and by which process: Python's hashes are not
//! randomised, and the generators that a data set may share with all of Python are
//! seeded before each entry. The entry of an index below 500 is the one that the
//! package's own `create_dataset(NAME, seed=SEED)` has there, unless it draws from such
//! a shared generator; further ones come from seeds of their own, a block of 500 from
//! each, as some data sets make all their entries at once.
//!
//! The package adds an entry's index to the seed. Entries of seeds that are less than
//! 500 apart are therefore partly the same: what must have nothing in common needs
//! seeds that are far apart. Of a seed its lowest 31 bits count.
//!
//! Source: `reasoning_gym` 0.1.25, `create_dataset` and `get_score_answer_fn`.

mod host;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::child::Failure;
use crate::error::{join, suggest};
use crate::{RewardError, registry};
use host::Host;

/// Entries that a process draws at a time.
const PIECE: u64 = 16;
/// What the package can be relied on to take for a seed: numpy's are of 32 bits, and
/// the index is added.
const SEED_MASK: u64 = (1 << 31) - 1;
/// Settings of a data set that the lab gives itself.
const OWN: [&str; 2] = ["seed", "size"];

/// One of the package's data sets, with its settings.
///
/// # Example
///
/// ```no_run
/// use rewards::external::gym::Gym;
///
/// let settings = toml::from_str("max_terms = 3")?;
/// let sums = Gym::open("chain_sum", &settings, "python3", std::path::Path::new("."))?;
/// let entry = sums.item(17, 0)?;
/// assert!(entry.question.contains('+') || entry.question.contains('-'));
/// assert_eq!(rewards::external::gym::score(&entry.entry, &entry.answer)?, Some(1.0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Gym {
    name: String,
    settings: Value,
    host: Arc<Host>,
}

/// A problem of the package's.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is asked.
    pub question: String,
    /// The package's own answer; empty where it has none and knows right answers only
    /// by their properties.
    pub answer: String,
    /// All of it, as [`score`] needs it: question, answer and metadata.
    pub entry: Map<String, Value>,
}

impl Gym {
    /// The data set called `name`, with those of its settings that are not to be the
    /// package's defaults. `interpreter` is a Python that has the package, by its name
    /// or by its path from `folder` on; it also scores from now on.
    ///
    /// # Errors
    ///
    /// Where Python or the package is missing, where there is no such data set (similar
    /// names are said) or no such setting (those it has are said), and where it makes no
    /// entry with these settings.
    pub fn open(
        name: &str,
        settings: &toml::Table,
        interpreter: &str,
        folder: &Path,
    ) -> Result<Self, RewardError> {
        let wrong = |message| of(name, Failure::of(message));
        let host = Host::shared(interpreter, folder).map_err(|failure| of(name, failure))?;
        let settings = serde_json::to_value(settings)
            .map_err(|error| wrong(format!("its settings are no JSON: {error}")))?;
        let request = json!({"open": {"name": name, "settings": settings}});
        let about = host.ask(&request).map_err(|failure| of(name, failure))?;
        let listed = |key: &str| about.get(key).and_then(names);
        let Some(known) = listed("settings") else {
            let all = listed("names").unwrap_or_default();
            let near = suggest(&registry::near(name, all.iter().map(String::as_str)));
            return Err(wrong(format!(
                "the package has no data set of this name{near}; it has {}",
                join(&all, ", ")
            )));
        };
        for setting in settings.as_object().into_iter().flat_map(Map::keys) {
            if OWN.contains(&setting.as_str()) {
                return Err(wrong(format!(
                    "`{setting}` is given by the lab: leave it out of the settings"
                )));
            }
            if !known.contains(setting) {
                let near = suggest(&registry::near(setting, known.iter().map(String::as_str)));
                return Err(wrong(format!(
                    "it has no setting `{setting}`{near}; it has {}",
                    join(&known, ", ")
                )));
            }
        }
        let gym = Self {
            name: name.to_owned(),
            settings,
            host,
        };
        // Whether the settings fit one another shows when an entry is made.
        gym.item(0, 0)?;
        Ok(gym)
    }

    /// The entry of a seed and an index.
    ///
    /// # Errors
    ///
    /// Those of [`Self::items`].
    pub fn item(&self, seed: u64, index: u64) -> Result<Entry, RewardError> {
        let mut drawn = self.items(seed, index..index.saturating_add(1))?;
        drawn.pop().ok_or_else(|| {
            let none = Failure::of("there is no further index".to_owned());
            self.fault(seed, index, &none)
        })
    }

    /// The entries of a seed and of these indices, in their order, drawn by several
    /// processes at a time.
    ///
    /// # Errors
    ///
    /// What the data set raised, or what became of the process, with seed and index of
    /// the first entry that could not be drawn.
    pub fn items(&self, seed: u64, indices: Range<u64>) -> Result<Vec<Entry>, RewardError> {
        let mut pieces = Vec::new();
        let mut start = indices.start;
        while start < indices.end {
            let end = indices.end.min(start.saturating_add(PIECE));
            pieces.push(start..end);
            start = end;
        }
        let requests = pieces.iter().map(|piece| self.request(seed, piece));
        let replies = self.host.ask_all(&requests.collect::<Vec<_>>());
        let mut items = Vec::new();
        for (piece, reply) in pieces.into_iter().zip(replies) {
            match reply {
                Ok(reply) => self.take(seed, piece, &reply, &mut items)?,
                // One of them is to blame: it shows when they are drawn one by one.
                Err(_) => {
                    for index in piece {
                        let one = index..index.saturating_add(1);
                        let reply = self.host.ask(&self.request(seed, &one));
                        let reply = reply.map_err(|failure| self.fault(seed, index, &failure))?;
                        self.take(seed, one, &reply, &mut items)?;
                    }
                }
            }
        }
        Ok(items)
    }

    fn request(&self, seed: u64, piece: &Range<u64>) -> Value {
        json!({"draw": {
            "name": self.name,
            "settings": self.settings,
            "seed": seed & SEED_MASK,
            "start": piece.start,
            "count": piece.end - piece.start,
        }})
    }

    /// Appends the entries of a reply to `items`.
    fn take(
        &self,
        seed: u64,
        piece: Range<u64>,
        reply: &Map<String, Value>,
        items: &mut Vec<Entry>,
    ) -> Result<(), RewardError> {
        let entries = reply.get("entries").and_then(Value::as_array);
        let entries = entries.map(Vec::as_slice).unwrap_or_default();
        for (place, index) in piece.enumerate() {
            let wrong =
                |message: &str| Err(self.fault(seed, index, &Failure::of(message.to_owned())));
            let entry = match entries.get(place) {
                Some(Value::Object(entry)) => entry,
                Some(Value::String(error)) => return wrong(error),
                _ => return wrong("the process left it out"),
            };
            let Some(question) = entry.get("question").and_then(Value::as_str) else {
                return wrong("the entry has no text as its `question`");
            };
            items.push(Entry {
                question: question.to_owned(),
                answer: match entry.get("answer") {
                    None | Some(Value::Null) => String::new(),
                    Some(Value::String(answer)) => answer.clone(),
                    Some(other) => other.to_string(),
                },
                entry: entry.clone(),
            });
        }
        Ok(())
    }

    fn fault(&self, seed: u64, index: u64, failure: &Failure) -> RewardError {
        let message = format!(
            "no entry of seed {} and index {index} with the settings {}: {}\n\
             change its settings, or leave the data set out",
            seed & SEED_MASK,
            self.settings,
            failure.message.trim_end()
        );
        of(
            &self.name,
            Failure {
                message,
                ..*failure
            },
        )
    }
}

/// The score that the package gives `answer` to `entry` (question, answer and metadata
/// with its `source_dataset`), usually from 0 to 1; `None` where its own function
/// raises an exception over the answer, or does not come to an end, because some of its
/// functions evaluate what they are given.
///
/// It is asked of the Python that the last [`Gym`] was opened with, and of `python3`
/// where none was.
///
/// # Errors
///
/// Where Python or the package is missing, or the process ended over the answer.
pub fn score(entry: &Map<String, Value>, answer: &str) -> Result<Option<f64>, RewardError> {
    let source = entry
        .get("metadata")
        .and_then(|data| data.get("source_dataset"));
    let Some(source) = source.and_then(Value::as_str) else {
        return Err(RewardError::Answer {
            message: "the entry has no `metadata` with a `source_dataset`: \
                      is it one of reasoning_gym's?"
                .to_owned(),
        });
    };
    let host = Host::last().map_err(|failure| of(source, failure))?;
    let request = json!({"rate": {"entry": entry, "answer": answer}});
    let unscored = |message: &str| {
        tracing::warn!(
            "reasoning_gym's data set `{source}` gives the answer {answer:?} no score: {message}"
        );
        Ok(None)
    };
    match host.ask(&request) {
        Ok(reply) => match reply.get("score") {
            Some(Value::Number(score)) => Ok(score.as_f64()),
            Some(Value::String(error)) => unscored(error),
            _ => Err(of(
                source,
                Failure::of("the process gave no score".to_owned()),
            )),
        },
        Err(failure) if failure.late => unscored(&failure.message),
        Err(failure) => {
            let message = format!("the answer {answer:?}: {}", failure.message);
            Err(of(source, Failure { message, ..failure }))
        }
    }
}

/// What a failure of the processes means to who asked for `dataset`.
fn of(dataset: &str, failure: Failure) -> RewardError {
    let error = RewardError::Gym {
        dataset: dataset.to_owned(),
        message: failure.message,
    };
    if !failure.killed {
        return error;
    }
    RewardError::Failed {
        reward: "reasoning_gym".to_owned(),
        source: Box::new(error),
    }
}

fn names(list: &Value) -> Option<Vec<String>> {
    let names = list.as_array()?.iter();
    Some(names.filter_map(Value::as_str).map(str::to_owned).collect())
}
