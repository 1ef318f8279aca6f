//! A data set as a task: a JSONL or Parquet file, or a folder whose files are its
//! splits, in one of the forms of [`form`].
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
//! the seed, the split and the pass alone ([`permutation`]). In a mixture of several
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
mod overlap;
mod permutation;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use experiments::norms::{self, NormItem};
use experiments::text;
use rayon::prelude::*;

use super::item::{columns_of, number_of};
use super::task::Place;
use super::{Item, Split, Task};
use crate::config::DataSettings;
use crate::random::Stream;
use files::{Placed, Shard};
use form::{Form, IDS, Read, Row};
pub use overlap::{Overlap, overlap};
use permutation::Permutation;

/// Shares of a file that holds all splits.
const EVALUATION: f64 = 0.1;
const VALIDATION: f64 = 0.05;

/// Duplicates that a note shows.
const SHOWN: usize = 3;

/// A data set.
pub struct DataSet {
    name: String,
    path: PathBuf,
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

/// What one pass over a data set found.
struct Index {
    form: Form,
    shards: Vec<Shard>,
    /// Where the rows of each split lie, file after file.
    splits: [Rows; 3],
    /// The longest problem that is trained on or validated, by its index in its split.
    longest: Option<(Split, u64)>,
    notes: Vec<String>,
}

/// Rows of one split.
#[derive(Default)]
struct Rows {
    places: Vec<u64>,
    /// Where in `places` those of each file begin.
    firsts: Vec<usize>,
}

impl Rows {
    /// The file and the place of the row at `index`.
    fn at(&self, index: u64) -> Option<(usize, u64)> {
        let place = *self.places.get(index as usize)?;
        let shard = self.firsts.partition_point(|first| *first as u64 <= index);
        Some((shard.checked_sub(1)?, place))
    }
}

impl std::fmt::Debug for DataSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "data set {} at {}", self.name, self.path.display())
    }
}

/// A row that was read, with where it stands.
struct Looked<'a> {
    shard: &'a Shard,
    place: u64,
    number: usize,
    split: Split,
    /// That of its text.
    hash: u64,
    read: Read,
    row: Row,
}

/// What the pass keeps of a row until it has seen all.
struct Kept {
    split: Split,
    place: u64,
    name: u64,
    length: usize,
    no_answer: bool,
}

impl Looked<'_> {
    /// Stands for its name within its split.
    fn name(&self) -> u64 {
        match &self.read.id {
            Some(id) => number_of("id", id),
            None => self.hash,
        }
    }

    fn named(&self) -> String {
        self.shard.named(self.number)
    }

    /// What one row can be refused for, beyond what its form refuses.
    fn check(&self, form: Form) -> Result<()> {
        misnamed(&self.row, form)?;
        norms::timed(&self.row, NormItem::default()).map_err(anyhow::Error::msg)?;
        Ok(())
    }
}

impl DataSet {
    /// The data set called `name`, by its settings; a relative path starts at
    /// `folder`. No row is read yet.
    pub fn open(name: &str, settings: &DataSettings, folder: &Path) -> Result<Self> {
        let path = folder.join(&settings.path);
        let found = files::found(&path)?;
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
        let index = self.indexed()?;
        Ok(self.index.get_or_init(|| index))
    }

    fn indexed(&self) -> Result<Index> {
        let shards = self.files().map(|(given, path)| Shard::open(path, given));
        let shards: Vec<Shard> = shards.collect::<Result<_>>()?;
        let mut form = None;
        for (shard, (path, _)) in shards.iter().zip(&self.files) {
            let first = shard.first()?;
            let (number, row) = first.with_context(|| format!("{} has no rows", path.display()))?;
            if form.is_none() {
                form = Some(Form::of(&row).with_context(|| shard.named(number))?);
            }
        }
        let mut index = Index {
            form: form.with_context(|| format!("{} has no files", self.path.display()))?,
            shards,
            splits: Default::default(),
            longest: None,
            notes: Vec::new(),
        };
        let mut splits: [Rows; 3] = Default::default();
        let mut names = Vec::new();
        let mut unanswered = 0_usize;
        let (mut longest, mut length) = (None, 0);
        let look = |row: Looked<'_>| {
            row.check(index.form)?;
            Ok(Kept {
                split: row.split,
                place: row.place,
                name: row.name(),
                length: row.read.length(),
                no_answer: row.read.answer.is_empty(),
            })
        };
        for file in 0..self.files.len() {
            for rows in &mut splits {
                rows.firsts.push(rows.places.len());
            }
            self.scan_file(&index, file, &look, &mut |kept: Kept| {
                let rows = &mut splits[kept.split as usize].places;
                if kept.split != Split::Evaluation && kept.length > length {
                    length = kept.length;
                    longest = Some((kept.split, rows.len() as u64));
                }
                rows.push(kept.place);
                names.push(kept.name);
                unanswered += usize::from(kept.no_answer);
                Ok(())
            })?;
        }
        let total = names.len();
        let mut notes = Vec::new();
        notes.extend(self.duplicates(&index, names)?);
        if unanswered == total {
            notes.push(format!(
                "tasks.data.{}: no row has an answer, so only rewards can judge, and accuracy is undefined",
                self.name
            ));
        } else if unanswered > 0 {
            notes.push(format!(
                "tasks.data.{}: {unanswered} of {total} rows have no answer; accuracy is over the others",
                self.name
            ));
        }
        self.check_splits(&splits)?;
        (index.splits, index.longest, index.notes) = (splits, longest, notes);
        Ok(index)
    }

    /// Looks at every row on several threads, and hands what was made of it over in
    /// the order of the rows.
    fn scan<T: Send>(
        &self,
        index: &Index,
        look: impl Fn(Looked<'_>) -> Result<T> + Sync,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        (0..self.files.len()).try_for_each(|file| self.scan_file(index, file, &look, &mut take))
    }

    fn scan_file<T: Send>(
        &self,
        index: &Index,
        file: usize,
        look: &(impl Fn(Looked<'_>) -> Result<T> + Sync),
        take: &mut impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        let (shard, of) = (&index.shards[file], self.files[file].1);
        let one = |Placed { place, number, raw }: Placed| {
            let looked = || {
                let row = raw.row()?;
                // A column whose name is nearly right says more than that one is missing.
                let read = index.form.read(&row);
                let read = read.or_else(|error| misnamed(&row, index.form).and(Err(error)))?;
                let hash = number_of_row(&read);
                let split = self.split(of, hash);
                look(Looked {
                    shard,
                    place,
                    number,
                    split,
                    hash,
                    read,
                    row,
                })
            };
            looked().with_context(|| shard.named(number))
        };
        shard.each(&mut |batch| {
            let seen: Vec<Result<T>> = batch.into_par_iter().map(one).collect();
            seen.into_iter().try_for_each(|seen| take(seen?))
        })
    }

    fn check_splits(&self, splits: &[Rows; 3]) -> Result<()> {
        let count = |split: Split| splits[split as usize].places.len();
        let path = self.path.display();
        ensure!(
            count(Split::Evaluation) > 0,
            "{path} has no evaluation split: add a file test.jsonl or test.parquet, or set apart a share of the training rows with evaluation = {EVALUATION}"
        );
        ensure!(
            !self.trains() || count(Split::Train) > 0,
            "{path} has no row to train on: the splits validation = {} and evaluation = {} take all; lower them, or set evaluation = 1.0",
            self.validation,
            self.evaluation
        );
        ensure!(
            !self.trains() || count(Split::Validation) > 0,
            "{path} has no validation split: add a file validation.jsonl or validation.parquet, or set apart a share of the training rows, such as validation = {VALIDATION}"
        );
        Ok(())
    }

    /// The split of a row in a file of the split `of`.
    fn split(&self, of: Split, number: u64) -> Split {
        if of != Split::Train {
            return of;
        }
        let share = number as f64 / 2_f64.powi(64);
        if share < self.evaluation {
            Split::Evaluation
        } else if share < self.evaluation + self.validation {
            Split::Validation
        } else {
            Split::Train
        }
    }

    /// Refuses names that stand twice in a split, and evaluated problems that do;
    /// a note where a problem without a name stands among others twice.
    fn duplicates(&self, index: &Index, mut names: Vec<u64>) -> Result<Option<String>> {
        names.sort_unstable();
        let twice = names.windows(2).filter(|pair| pair[0] == pair[1]);
        let twice: HashSet<u64> = twice.map(|pair| pair[0]).collect();
        drop(names);
        if twice.is_empty() {
            return Ok(None);
        }
        let mut firsts: HashMap<(Split, u64), String> = HashMap::new();
        let (mut again, mut shown) = (0_usize, Vec::new());
        let look = |row: Looked<'_>| {
            let name = row.name();
            let has = |name: &&&str| row.row.get(**name).is_some_and(|id| !id.is_null());
            let by = IDS.iter().find(has).copied();
            Ok(twice
                .contains(&name)
                .then(|| (row.split, name, by, row.named())))
        };
        self.scan(index, look, |row| {
            let Some((split, name, by, here)) = row else {
                return Ok(());
            };
            let Some(first) = firsts.get(&(split, name)) else {
                firsts.insert((split, name), here);
                return Ok(());
            };
            if let Some(by) = by {
                bail!("{here}: its `{by}` stands in {first} already; keep one of the two rows, or name them apart");
            }
            ensure!(
                split != Split::Evaluation,
                "{here}: the same problem as in {first}, so it would be evaluated twice; keep one of the two rows, or give both an `id`"
            );
            again += 1;
            if shown.len() < SHOWN {
                shown.push(format!("{here} as {first}"));
            }
            Ok(())
        })?;
        Ok((again > 0).then(|| {
            format!(
                "tasks.data.{}: {again} rows pose the problem of another row of their split and are met as often as they stand there: {}{}",
                self.name,
                shown.join("; "),
                if again > shown.len() { "; ..." } else { "" }
            )
        }))
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
        let count = |split| self.len(split);
        Ok(format!(
            "tasks.data.{}: {form}, {} rows to train on, {} to validate, {} to evaluate",
            self.name,
            count(Split::Train)?,
            count(Split::Validation)?,
            count(Split::Evaluation)?
        ))
    }

    /// The number of its rows in a split.
    pub fn len(&self, split: Split) -> Result<u64> {
        Ok(self.index()?.splits[split as usize].places.len() as u64)
    }
}

/// Refuses a column that is called as one of the form's but for its case.
fn misnamed(row: &Row, form: Form) -> Result<()> {
    let names: Vec<&String> = row.keys().collect();
    match text::misnamed(&names, &form.columns()) {
        Some(wrong) => bail!(wrong),
        None => Ok(()),
    }
}

/// The number of a row's text: that of its problem and what comes before it.
fn number_of_row(read: &Read) -> u64 {
    let before = read.before.iter().map(|message| message.content.as_str());
    number_of_text(before.chain([read.prompt.as_str()]))
}

/// A number that a text has for good, white space and case aside.
fn number_of_text<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let text: String = parts.collect();
    number_of("data set", &text.to_lowercase())
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
        let count = self.len(split)?;
        ensure!(count > 0, "{} has no {split} split", self.path.display());
        let (pass, within) = (place.index / count, place.index % count);
        let order = Permutation::new(count, place.seed, &[split as u64, pass]);
        self.at(split, order.at(within))
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let count = self.len(Split::Evaluation)?;
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
