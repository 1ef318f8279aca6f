//! A data set as a task: a JSONL or Parquet file, or a folder whose files are its
//! splits.
//!
//! # Forms
//!
//! | form | its columns |
//! |---|---|
//! | verl | `prompt`, a conversation or a text, and `reward_model` with `ground_truth` |
//! | multiple choice | `question`, `choices` (a list, or `text` and `label`), and `answer` (a letter, an index from 0, or the option itself) or `answerKey` (a label) |
//! | GSM8K | `question` and `answer`, which has its result after `####` |
//! | MATH | `problem` and `solution`, which has its result in the last `\boxed{}` |
//! | prompt-only | `prompt` (a conversation or a text), `question` or `problem`; and, where there is one, `answer`, `solution`, `ground_truth` or `expected` |
//!
//! The first row decides, in the order of the table. In every form an answer whose
//! first row has `####`, or else a box, has its result there, and what stands before
//! is its worked solution.
//!
//! # Splits
//!
//! In a folder the names of the files say them: `train*`, `validation*` (`val*`,
//! `dev*`) and `test*` (`evaluation*`); several files of a split follow one another in
//! the order of their names. A share of the training rows is set apart for a split
//! that no file holds: that of a row is decided by a hash of its text, white space and
//! case aside, so it depends neither on the order of the rows nor on what other rows
//! there are. Of a file given by itself, a tenth is evaluated and a twentieth
//! validated where the settings do not say otherwise.
//!
//! # Memory and order
//!
//! No row is kept. One pass checks each and writes down where it begins, 8 bytes a
//! row (and 8 more while the pass lasts, to find names that stand twice); a row is
//! read when it is drawn. Of `n` consecutive places of a split, beginning with a
//! multiple of `n`, each row is met exactly once, in an order that is a function of
//! the seed, the split and the pass alone. In a mixture of several
//! tasks the data set is asked at some of the places only, so the rows that are met
//! within `n` of them are distinct, but not all.
//!
//! # Items
//!
//! An item is called by its column `id` or `item_id`, or by a hash of its text. Its
//! further columns are all of its row's that have no place of their own, as in
//! `qinglan rewards check`. Where rows have times of people (`mean_rt_ms` and the other
//! columns of norms), they are its norms.

mod files;
mod form;
mod index;
mod overlap;
mod permutation;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use experiments::norms::{self, NormItem};

use super::DataSettings;
use super::item::columns_of;
use super::task::Place;
use super::{Item, Split, Task};
use crate::hub;
use crate::random::Stream;
use form::{Form, Row};
use index::{Index, number_of_row};
pub use overlap::{Overlap, overlap};
use permutation::Permutation;

/// Shares of a file that holds all splits.
const EVALUATION: f64 = 0.1;
const VALIDATION: f64 = 0.05;

/// A data set.
pub struct DataSet {
    name: String,
    path: PathBuf,
    /// Why it is not there, of a file on the hub that is still to be downloaded.
    absent: Option<String>,
    /// The path as the settings have it.
    given: PathBuf,
    files: Vec<(PathBuf, Split)>,
    /// Shares of the training rows that are of these splits.
    evaluation: f64,
    validation: f64,
    index: OnceLock<Index>,
    /// Held while the index is made.
    making: Mutex<()>,
}

impl std::fmt::Debug for DataSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "data set {} at {}", self.name, self.path.display())
    }
}

impl DataSet {
    /// The data set called `name`, by its settings; a relative path starts at
    /// `folder`. No row is read yet, and a file on the hub need not be there yet.
    pub fn open(name: &str, settings: &DataSettings, folder: &Path) -> Result<Self> {
        let (path, absent) = match hub::look_for_data(&settings.path)? {
            None => (folder.join(&settings.path), None),
            Some(Ok(path)) => (path, None),
            Some(Err(why)) => (settings.path.clone(), Some(why)),
        };
        let found = match absent {
            None => files::found(&path)?,
            Some(_) => vec![files::one(&path)?],
        };
        let holds = |split| found.iter().any(|(_, of)| *of == Some(split));
        for (split, key, given) in [
            (Split::Evaluation, "evaluation", settings.evaluation),
            (Split::Validation, "validation", settings.validation),
        ] {
            if let Some(share) = given {
                ensure!(
                    (0.0..=1.0).contains(&share),
                    "{key} = {share}: a share lies between 0 and 1"
                );
                ensure!(
                    !holds(split),
                    "{key} = {share}, but a file in {} holds that split; remove the key or the file",
                    path.display()
                );
            }
        }
        let alone = found.iter().any(|(_, split)| split.is_none());
        let or = |given: Option<f64>, usual: f64, usually: bool| {
            given.unwrap_or(if usually { usual } else { 0.0 })
        };
        let evaluation = or(settings.evaluation, EVALUATION, alone);
        let rest = 1.0 - evaluation;
        let validation = or(
            settings.validation,
            VALIDATION.min(rest),
            !holds(Split::Validation),
        );
        ensure!(
            validation <= rest,
            "evaluation = {evaluation} and validation = {validation} are more than there is: make them 1 at most"
        );
        let files = found.into_iter();
        Ok(Self {
            name: name.to_owned(),
            files: files
                .map(|(path, split)| (path, split.unwrap_or(Split::Train)))
                .collect(),
            path,
            absent,
            given: settings.path.clone(),
            evaluation,
            validation,
            index: OnceLock::new(),
            making: Mutex::new(()),
        })
    }

    /// The files that it is made of: the paths that the settings give them, and where
    /// they are.
    pub fn files(&self) -> impl Iterator<Item = (PathBuf, &Path)> {
        self.files.iter().map(|(path, _)| {
            // A file that is given by itself has nothing below it.
            let below = path.strip_prefix(&self.path).ok();
            let below = below.filter(|below| !below.as_os_str().is_empty());
            let given = below.map_or_else(|| self.given.clone(), |below| self.given.join(below));
            (given, path.as_path())
        })
    }

    /// Looks at every row. The notes, a sentence each without its full stop, say what
    /// is to be known of the rows.
    ///
    /// # Errors
    ///
    /// The first row that cannot be used, by file and line, and what to do about it.
    pub fn check(&self) -> Result<&[String]> {
        Ok(&self.index()?.notes)
    }

    fn index(&self) -> Result<&Index> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let _made_once = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        if let Some(why) = &self.absent {
            bail!("{why}");
        }
        let index = self.indexed()?;
        Ok(self.index.get_or_init(|| index))
    }

    /// The item of a row.
    fn item(&self, form: Form, split: Split, row: Row) -> Result<Item> {
        let read = form.read(&row)?;
        let times = norms::timed(&row, NormItem::default()).map_err(anyhow::Error::msg)?;
        let number = number_of_row(&read);
        Ok(Item {
            task: self.name.clone(),
            item_id: read.id.unwrap_or_else(|| format!("{number:016x}")),
            before: read.before,
            prompt: read.prompt,
            answer: read.answer,
            judge: read.judge,
            split,
            condition: times.condition.unwrap_or_default(),
            cluster: times.cluster,
            human_cost: None,
            columns: columns_of(row),
        })
    }

    /// The item at an index of a split, in the order of the files.
    fn at(&self, split: Split, index: u64) -> Result<Item> {
        let all = self.index()?;
        let found = all.splits[split as usize].at(index);
        let (shard, place) = found.with_context(|| format!("no row {index} of {split}"))?;
        let row = all.shards[shard].at(place)?;
        self.item(all.form, split, row)
    }

    /// The longest problem that is trained on or validated; `None` where there is none.
    pub fn longest(&self) -> Result<Option<Item>> {
        let longest = self.index()?.longest;
        longest
            .map(|(split, index)| self.at(split, index))
            .transpose()
    }

    /// What it is, in a line.
    pub fn told(&self) -> Result<String> {
        let form = self.index()?.form.name();
        let count = |split| self.rows(split);
        Ok(format!(
            "tasks.data.{}: {form}, {} rows to train on, {} to validate, {} to evaluate",
            self.name,
            count(Split::Train)?,
            count(Split::Validation)?,
            count(Split::Evaluation)?
        ))
    }

    /// The number of its rows in a split.
    pub fn rows(&self, split: Split) -> Result<u64> {
        Ok(self.index()?.splits[split as usize].places.len() as u64)
    }
}

impl Task for DataSet {
    fn name(&self) -> &str {
        &self.name
    }

    fn trains(&self) -> bool {
        let trained = |(_, split): &(PathBuf, Split)| *split == Split::Train;
        self.evaluation < 1.0 && self.files.iter().any(trained)
    }

    fn draw(&self, split: Split, place: Place, _: &mut Stream) -> Result<Item> {
        super::task::drawn(split)?;
        let count = self.rows(split)?;
        ensure!(count > 0, "{} has no {split} split", self.path.display());
        let (pass, within) = (place.index / count, place.index % count);
        let order = Permutation::new(count, place.seed, &[split as u64, pass]);
        self.at(split, order.at(within))
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let count = self.rows(Split::Evaluation)?;
        (0..count)
            .map(|index| self.at(Split::Evaluation, index))
            .collect()
    }

    fn norm(&self, item: &Item) -> Option<NormItem> {
        norms::timed(&item.columns, NormItem::default()).ok()
    }

    fn solution(&self, item: &Item) -> Result<Option<String>> {
        // The columns of its row but for those with a place of their own, none of
        // which is a solution.
        let form = self.index()?.form;
        Ok(form.solution(&item.columns))
    }

    fn data_set(&self) -> Option<&DataSet> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
