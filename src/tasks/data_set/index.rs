//! The one pass over a data set that checks every row and writes down where it lies.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};
use experiments::norms::{self, NormItem};
use experiments::text;
use rayon::prelude::*;

use super::files::{Placed, Shard};
use super::form::{Form, IDS, Read, Row};
use super::{DataSet, EVALUATION, VALIDATION};
use crate::tasks::item::number_of;
use crate::tasks::{Split, Task};

/// Duplicates that a note shows.
const SHOWN: usize = 3;

/// What one pass over a data set found.
pub(super) struct Index {
    pub(super) form: Form,
    pub(super) shards: Vec<Shard>,
    /// Where the rows of each split lie, file after file.
    pub(super) splits: [Rows; 3],
    /// The longest problem that is trained on or validated, by its index in its split.
    pub(super) longest: Option<(Split, u64)>,
    pub(super) notes: Vec<String>,
}

/// Rows of one split.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) places: Vec<u64>,
    /// Where in `places` those of each file begin.
    firsts: Vec<usize>,
}

impl Rows {
    /// The file and the place of the row at `index`.
    pub(super) fn at(&self, index: u64) -> Option<(usize, u64)> {
        let place = *self.places.get(index as usize)?;
        let shard = self.firsts.partition_point(|first| *first as u64 <= index);
        Some((shard.checked_sub(1)?, place))
    }
}

/// A row that was read, with where it stands.
pub(super) struct Looked<'a> {
    pub(super) shard: &'a Shard,
    pub(super) place: u64,
    pub(super) number: usize,
    pub(super) split: Split,
    /// That of its text.
    pub(super) hash: u64,
    pub(super) read: Read,
    pub(super) row: Row,
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

    pub(super) fn named(&self) -> String {
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
    pub(super) fn indexed(&self) -> Result<Index> {
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
    pub(super) fn scan<T: Send>(
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
pub(super) fn number_of_row(read: &Read) -> u64 {
    let before = read.before.iter().map(|message| message.content.as_str());
    number_of_text(before.chain([read.prompt.as_str()]))
}

/// A number that a text has for good, white space and case aside.
pub(super) fn number_of_text<'a>(parts: impl Iterator<Item = &'a str>) -> u64 {
    let text: String = parts.collect();
    number_of("data set", &text.to_lowercase())
}
