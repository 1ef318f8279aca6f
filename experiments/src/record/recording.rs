//! Records made elsewhere, or by the lab, as they are compared: item means,
//! and what was wrong with the rest.
//!
//! Files are read row by row and a record is kept in 24 bytes, so forty million
//! of them fit in a gigabyte; texts are kept up to a bound, for reading side by
//! side. A row that is no record is left out, counted and named, and so is the
//! second record of the same sample: unlike [`super::read`], nothing here stops
//! at one bad row, and nothing is dropped in silence.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

mod joined;
mod peculiar;
mod row;
mod samples;

pub use peculiar::peculiarities;
use row::Row;
pub use samples::Sample;

use super::{RecordError, Trace, each, other_teacher, unit};
use crate::alignment::cost::{self, Counting, Items, ModelItems, Sampled};

/// Bytes of completions that are kept for reading side by side.
const SHOWN_BYTES: usize = 128 << 20;

/// Examples named of what is wrong with a file.
const EXAMPLES: usize = 3;

/// One model of one seed on one item, by the numbers of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Cell {
    model: u32,
    seed: Option<u64>,
    task: u32,
    item: u32,
}

/// The names that a record carries.
struct Named<'a> {
    model: &'a str,
    seed: Option<u64>,
    teacher: Option<u64>,
    task: &'a str,
    item: &'a str,
}

/// Names by number, in the order in which they were met.
#[derive(Debug, Clone, Default)]
struct Names {
    list: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.numbers.get(name) {
            return number;
        }
        // Fewer names than cells, which are counted below.
        let number = self.list.len() as u32;
        self.list.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn of(&self, number: u32) -> &str {
        self.list.get(number as usize).map_or("", String::as_str)
    }
}

/// What was wrong with the rows of one file.
///
/// Worked example: of `traces.jsonl`, 2 of 400 rows, the first of them
/// "line 7: `reasoning_tokens` is -5, not a count of 0 or more".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// The file's name, without its folder.
    pub file: String,
    /// Rows that are no records.
    pub rows: usize,
    /// All rows.
    pub of: usize,
    /// The first few, with their places.
    pub first: Vec<String>,
}

/// Records ready to be compared.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    models: Names,
    tasks: Names,
    item_ids: Names,
    cells: Vec<Cell>,
    numbers: HashMap<Cell, u32>,
    /// The teacher of each training, by its model's number and its seed.
    teachers: HashMap<(u32, Option<u64>), Option<u64>>,
    rows: Vec<Row>,
    settled: usize,
    duplicates: usize,
    first_duplicate: Option<String>,
    faults: Vec<Faults>,
    shown: Vec<Trace>,
    shown_bytes: usize,
    unshown: usize,
}

impl Recording {
    /// Takes in every record of a file; `copy` is handed each of them.
    ///
    /// A file without a single record is refused, and so are records of one
    /// training that name different teachers.
    pub fn read(
        &mut self,
        path: &Path,
        mut copy: impl FnMut(Trace) -> Result<(), RecordError>,
    ) -> Result<(), RecordError> {
        let unit = unit(path)?;
        let mut faults = Faults {
            file: path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            rows: 0,
            of: 0,
            first: Vec::new(),
        };
        each(path, &mut |number, trace| {
            faults.of += 1;
            match trace {
                Ok(trace) => {
                    self.push(path, (unit, number), &trace)?;
                    copy(trace)?;
                }
                Err(detail) => {
                    faults.rows += 1;
                    if faults.first.len() < EXAMPLES {
                        faults.first.push(format!("{unit} {number}: {detail}"));
                    }
                }
            }
            Ok(())
        })?;
        if faults.rows == faults.of {
            return Err(RecordError::NoRecords {
                path: path.into(),
                rows: faults.of,
                first: faults.first.into_iter().next().unwrap_or_default(),
            });
        }
        if faults.rows > 0 {
            self.faults.push(faults);
        }
        self.settle();
        Ok(())
    }

    /// Takes in records that are in memory.
    pub fn extend(&mut self, path: &Path, traces: &[Trace]) -> Result<(), RecordError> {
        for (number, trace) in traces.iter().enumerate() {
            self.push(path, ("record", number + 1), trace)?;
        }
        self.settle();
        Ok(())
    }

    /// `row` is what a row is called, and its number from 1.
    fn push(
        &mut self,
        path: &Path,
        (unit, number): (&str, usize),
        trace: &Trace,
    ) -> Result<(), RecordError> {
        let names = Named {
            model: &trace.model,
            seed: trace.seed,
            teacher: trace.teacher,
            task: &trace.task,
            item: &trace.item_id,
        };
        self.keep(path, (unit, number), &names, Sampled::from(trace).into())?;
        if let Some(text) = &trace.completion {
            let bytes = text.len() + size_of::<Trace>();
            if self.shown_bytes + bytes <= SHOWN_BYTES {
                self.shown_bytes += bytes;
                self.shown.push(trace.clone());
            } else {
                self.unshown += 1;
            }
        }
        Ok(())
    }

    /// Keeps a row under its names; `place` is what the file calls it, and its number from 1.
    fn keep(
        &mut self,
        path: &Path,
        place: (&str, usize),
        names: &Named<'_>,
        row: Row,
    ) -> Result<(), RecordError> {
        let model = self.models.number(names.model);
        let teacher = self.teachers.entry((model, names.seed));
        let first = *teacher.or_insert(names.teacher);
        if first != names.teacher {
            return Err(other_teacher(
                path,
                format!("{} {}", place.0, place.1),
                (names.model, names.seed),
                [first, names.teacher],
            ));
        }
        let cell = Cell {
            model,
            seed: names.seed,
            task: self.tasks.number(names.task),
            item: self.item_ids.number(names.item),
        };
        let number = self.cell(cell).ok_or_else(|| RecordError::BadTable {
            path: path.into(),
            detail: "it has more items than a comparison holds".into(),
        })?;
        self.rows.push(row.of_cell(number));
        Ok(())
    }

    /// The number of a cell; `None` where there are too many.
    fn cell(&mut self, cell: Cell) -> Option<u32> {
        if let Some(&number) = self.numbers.get(&cell) {
            return Some(number);
        }
        let number = u32::try_from(self.cells.len()).ok()?;
        if number > row::MOST_CELLS {
            return None;
        }
        self.cells.push(cell);
        self.numbers.insert(cell, number);
        Some(number)
    }

    /// Puts the rows in order and leaves out the second of the same sample: of
    /// two, the one that was read first stays.
    fn settle(&mut self) {
        if self.settled == self.rows.len() {
            return;
        }
        let mut rows = std::mem::take(&mut self.rows);
        // Stable, so that the first stays first.
        rows.sort_by_key(|row| (row.cell(), row.sample));
        let mut first = None;
        let before = rows.len();
        rows.dedup_by(|row, kept| {
            let same = (row.cell(), row.sample) == (kept.cell(), kept.sample);
            if same && first.is_none() {
                first = Some(*kept);
            }
            same
        });
        self.duplicates += before - rows.len();
        if let Some(row) = first {
            let cell = self.cells[row.cell() as usize];
            self.first_duplicate.get_or_insert_with(|| {
                format!(
                    "{}, {}/{}, sample {}",
                    self.models.of(cell.model),
                    self.tasks.of(cell.task),
                    self.item_ids.of(cell.item),
                    row.sample
                )
            });
        }
        self.settled = rows.len();
        self.rows = rows;
    }

    /// The teacher of a training; `None` where it has none.
    fn teacher(&self, model: u32, seed: Option<u64>) -> Option<u64> {
        self.teachers.get(&(model, seed)).copied().flatten()
    }

    /// Models in the order in which they were met.
    pub fn models(&self) -> &[String] {
        &self.models.list
    }

    /// Tasks in the order in which they were met.
    pub fn tasks(&self) -> &[String] {
        &self.tasks.list
    }

    /// Records, without those that were left out.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Largest number of records of one item of one model: the samples an item.
    pub fn samples(&self) -> usize {
        let of_cell = self.rows.chunk_by(|a, b| a.cell() == b.cell());
        of_cell.map(<[Row]>::len).max().unwrap_or_default()
    }

    /// Records that kept their text, for reading side by side.
    pub fn shown(&self) -> &[Trace] {
        &self.shown
    }

    /// Item means of the models and tasks named, as [`cost::items`] makes them.
    pub fn items(&self, models: &[&str], tasks: &[String], counting: Counting) -> Items {
        self.items_of(models, tasks, counting, |_| true)
    }

    /// The same of the samples of even and of odd index, which share no chance.
    pub fn halves(&self, models: &[&str], tasks: &[String], counting: Counting) -> [Items; 2] {
        [0, 1].map(|half| self.items_of(models, tasks, counting, |sample| sample % 2 == half))
    }

    /// The same of the samples that `keeps` says to keep.
    fn items_of(
        &self,
        models: &[&str],
        tasks: &[String],
        counting: Counting,
        keeps: impl Fn(u32) -> bool,
    ) -> Items {
        let of_models: Vec<bool> = self
            .models
            .list
            .iter()
            .map(|name| models.contains(&name.as_str()))
            .collect();
        let of_tasks: Vec<bool> = self.tasks.list.iter().map(|t| tasks.contains(t)).collect();
        let mut found = Items {
            duplicates: self.duplicates,
            ..Items::default()
        };
        let mut seeds: BTreeMap<(u32, Option<u64>), ModelItems> = BTreeMap::new();
        for rows in self.rows.chunk_by(|a, b| a.cell() == b.cell()) {
            let Some(cell) = rows
                .first()
                .and_then(|row| self.cells.get(row.cell() as usize))
            else {
                continue;
            };
            if !of_models[cell.model as usize] || !of_tasks[cell.task as usize] {
                continue;
            }
            let kept = rows.iter().filter(|row| keeps(row.sample));
            let samples: Vec<Sampled> = kept.map(|row| row.sampled()).collect();
            if samples.is_empty() {
                continue;
            }
            let model = seeds
                .entry((cell.model, cell.seed))
                .or_insert_with(|| ModelItems {
                    seed: cell.seed,
                    teacher: self.teacher(cell.model, cell.seed),
                    ..ModelItems::default()
                });
            model
                .tasks
                .entry(self.tasks.of(cell.task).to_owned())
                .or_default()
                .insert(
                    self.item_ids.of(cell.item).to_owned(),
                    cost::item_means(&samples, counting),
                );
        }
        for ((model, _), items) in seeds {
            let name = self.models.of(model).to_owned();
            found.models.entry(name).or_default().push(items);
        }
        found
    }

    /// What of the files a reader must know before believing a figure: rows
    /// that are no records, and the first that repeats another.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = self.faults();
        if let Some(first) = &self.first_duplicate {
            notes.push(format!("The first record that repeats another: {first}."));
        }
        if self.unshown > 0 {
            notes.push(format!(
                "{} completions are counted but not kept for reading: the report holds {} MiB of them.",
                self.unshown,
                SHOWN_BYTES >> 20
            ));
        }
        notes
    }

    /// Rows that are no records, a note a file.
    pub fn faults(&self) -> Vec<String> {
        self.faults
            .iter()
            .map(|faults| {
                format!(
                    "{} of {} rows of {} are no records and are left out: {}.",
                    faults.rows,
                    faults.of,
                    faults.file,
                    more(&faults.first, faults.rows)
                )
            })
            .collect()
    }

    /// Records of models or tasks that are not compared, in a note.
    pub fn others(&self, models: &[&str], tasks: &[String]) -> Option<String> {
        let met: BTreeSet<(u32, u32)> = self.cells.iter().map(|c| (c.model, c.task)).collect();
        let mut others = BTreeSet::new();
        for (model, task) in met {
            let (model, task) = (self.models.of(model), self.tasks.of(task));
            if !models.contains(&model) {
                others.insert(model.to_owned());
            } else if !tasks.iter().any(|t| t == task) {
                others.insert(task.to_owned());
            }
        }
        let names: Vec<String> = others.iter().take(EXAMPLES).cloned().collect();
        (!others.is_empty()).then(|| {
            format!(
                "Records of models or tasks that are not compared are left out: {}.",
                more(&names, others.len())
            )
        })
    }
}

/// Some names, and how many more there are.
fn more(names: &[String], all: usize) -> String {
    let shown = names.join("; ");
    match all.saturating_sub(names.len()) {
        0 => shown,
        rest => format!("{shown} and {rest} more"),
    }
}

#[cfg(test)]
mod tests;
