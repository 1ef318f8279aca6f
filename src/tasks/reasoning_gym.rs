//! The data sets of the Python package `reasoning_gym` as tasks:
//! `reasoning_gym:chain_sum`. Their items are drawn, and answers to them scored, in
//! supervised Python processes ([`rewards::external::gym`]); an answer is right where
//! the package scores it 1.
//!
//! Which split a question is of goes by its wording, because a data set may come to
//! the same question again: the evaluation is the first so many different questions of
//! a seed of its own; of all others the hash decides. A draw goes on until it finds one
//! of the split that it is for.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};
use rand::RngExt;
use rewards::answers::Judge;
use rewards::external::gym::{Entry, Gym};
use serde_json::{Map, Value};

use super::item::{number_of, split_of};
use super::task::drawn;
use super::{Item, Place, Split, Task, squeeze};
use crate::random::{Stream, stream};

/// What the names of these tasks begin with.
pub(super) const PREFIX: &str = "reasoning_gym:";

/// The Python that has the package, where the settings name no other.
const PYTHON: &str = "python3";

/// Items of the evaluation, where the settings say no other number.
const EVALUATION_ITEMS: usize = 100;

/// How many entries are looked at for each item of the evaluation before a data set
/// is said to repeat itself.
const TRIES_AN_ITEM: usize = 20;

/// How many entries are looked at for one draw: nine in ten are of the training split
/// and one in ten of the validation, unless the data set repeats itself.
const TRIES_A_DRAW: u64 = 512;

/// A data set of the package's. No process is started until the first item is asked
/// for, so that a definition can be read where the package is not.
#[derive(Debug)]
pub(super) struct ReasoningGym {
    /// With the prefix.
    name: String,
    settings: toml::Table,
    python: String,
    folder: PathBuf,
    /// Items of the evaluation.
    count: usize,
    opened: OnceLock<Opened>,
}

/// What is known once the package was asked.
#[derive(Debug)]
struct Opened {
    gym: Gym,
    evaluation: Vec<Item>,
    /// The evaluation's questions without white space.
    evaluated: HashSet<String>,
}

impl ReasoningGym {
    /// The data set called `dataset`. Of the settings, `python` (a relative path starts
    /// at `folder`) and `evaluation_items` are the task's, all others the package's.
    pub(super) fn new(dataset: &str, settings: &toml::Table, folder: &Path) -> Result<Self> {
        let mut settings = settings.clone();
        let python = match settings.remove("python") {
            None => PYTHON.to_owned(),
            Some(toml::Value::String(python)) => python,
            Some(other) => bail!("python = {other}: write the name or the path of a Python"),
        };
        let count = match settings.remove("evaluation_items") {
            None => EVALUATION_ITEMS,
            Some(value) => {
                let count = value.as_integer().and_then(|n| usize::try_from(n).ok());
                count.filter(|count| *count > 0).with_context(|| {
                    format!("evaluation_items = {value}: write a whole number above 0")
                })?
            }
        };
        Ok(Self {
            name: format!("{PREFIX}{dataset}"),
            settings,
            python,
            folder: folder.to_owned(),
            count,
            opened: OnceLock::new(),
        })
    }

    fn opened(&self) -> Result<&Opened> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let dataset = self.name.strip_prefix(PREFIX).unwrap_or(&self.name);
        let gym = Gym::open(dataset, &self.settings, &self.python, &self.folder);
        let opened = gym
            .map_err(anyhow::Error::from)
            .and_then(|gym| self.list(gym))
            .with_context(|| {
                format!(
                    "tasks.settings.{:?} (python = {:?})",
                    self.name, self.python
                )
            })?;
        // Whoever was first has listed the same.
        Ok(self.opened.get_or_init(|| opened))
    }

    /// Draws the evaluation.
    fn list(&self, gym: Gym) -> Result<Opened> {
        let seed = self.seed_of(Split::Evaluation, 0, 0);
        let (mut evaluation, mut evaluated) = (Vec::new(), HashSet::new());
        let mut from = 0;
        while evaluation.len() < self.count {
            ensure!(
                from < (self.count * TRIES_AN_ITEM) as u64,
                "{from} entries hold only {} different questions, and evaluation_items = {} are asked for; ask for fewer, or change its settings",
                evaluation.len(),
                self.count
            );
            let to = from + self.count as u64;
            for entry in gym.items(seed, from..to)? {
                if evaluation.len() < self.count && evaluated.insert(squeeze(&entry.question)) {
                    evaluation.push(self.item(entry, Split::Evaluation)?);
                }
            }
            from = to;
        }
        Ok(Opened {
            gym,
            evaluation,
            evaluated,
        })
    }

    /// The package's seed of a split, a training's seed and a try. They are far apart,
    /// because entries of neighbouring seeds are partly the same.
    fn seed_of(&self, split: Split, seed: u64, attempt: u64) -> u64 {
        let indices = [split as u64, seed, attempt];
        stream(0, &self.name, &indices).random()
    }

    fn item(&self, entry: Entry, split: Split) -> Result<Item> {
        ensure!(
            !entry.question.trim().is_empty(),
            "{}: an entry has an empty question",
            self.name
        );
        Ok(Item {
            task: self.name.clone(),
            item_id: format!("{:016x}", number_of(&self.name, &entry.question)),
            prompt: entry.question,
            answer: entry.answer,
            judge: Judge::ReasoningGym,
            split,
            columns: Map::from_iter([("entry".to_owned(), Value::Object(entry.entry))]),
            ..Item::default()
        })
    }
}

impl Task for ReasoningGym {
    fn name(&self) -> &str {
        &self.name
    }

    fn draw(&self, split: Split, place: Place, _: &mut Stream) -> Result<Item> {
        drawn(split)?;
        let opened = self.opened()?;
        for attempt in 0..TRIES_A_DRAW {
            let seed = self.seed_of(split, place.seed, attempt);
            let entry = opened.gym.item(seed, place.index)?;
            if split_of(&self.name, &entry.question) == split
                && !opened.evaluated.contains(&squeeze(&entry.question))
            {
                return self.item(entry, split);
            }
        }
        bail!(
            "{}: none of {TRIES_A_DRAW} entries is a {split} problem whose question is not evaluated: the data set repeats itself; change its settings so that it has more different questions, or ask for fewer evaluation_items",
            self.name
        )
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        Ok(self.opened()?.evaluation.clone())
    }
}
