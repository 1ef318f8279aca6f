//! Reads a table by its map: rows to trials, trials to items.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::texts::{self, fill};
use super::{Imported, Map, stamp};
use crate::norms::columns::Optional;
use crate::norms::import::first_of_its_name;
use crate::norms::import::sheet::{Column, Sheet};
use crate::norms::{NormItem, NormsError, Trial, Window};
use crate::statistics::mean;

/// How a field says that there is nothing in it.
const NOTHING: [&str; 6] = ["NA", "N/A", "NaN", "nan", "null", "None"];

pub(super) fn read(path: &Path, map: &Map) -> Result<Imported, NormsError> {
    let sheet = Sheet::open(path)?;
    let table = Table::open(&sheet, map)?;
    let mut notes = Notes::default();
    let rows: Vec<usize> = (0..sheet.height())
        .filter(|&row| table.keeps(row, &mut notes))
        .collect();
    let (mut items, trials) = if table.subject.is_some() {
        table.trials(&rows, &mut notes)?
    } else {
        (table.items(path, &rows, &mut notes)?, Vec::new())
    };
    if let Some(texts) = &map.texts {
        texts::add(&mut items, texts, &mut notes)?;
    }
    if items.is_empty() {
        return Err(NormsError::UnreadableData {
            path: path.into(),
            detail: format!("no row is left to import{}", notes.in_words()),
        });
    }
    Ok(Imported {
        items,
        trials,
        notes: notes
            .0
            .into_iter()
            .map(|(why, count)| (count, why))
            .collect(),
        source: map.source.clone(),
    })
}

/// What was left out, and how often.
#[derive(Default)]
pub(super) struct Notes(BTreeMap<String, usize>);

impl Notes {
    pub(super) fn add(&mut self, why: impl Into<String>) {
        *self.0.entry(why.into()).or_default() += 1;
    }

    fn in_words(&self) -> String {
        let parts: Vec<String> = self.0.iter().map(|(why, n)| format!("{n} {why}")).collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!(": {}", parts.join("; "))
        }
    }
}

/// The mapped columns of a sheet.
struct Table<'a> {
    map: &'a Map,
    item: Column<'a>,
    task: Option<Column<'a>>,
    subject: Option<Column<'a>>,
    rt: Option<Column<'a>>,
    stamp: Option<Column<'a>>,
    correct: Option<Column<'a>>,
    repeat: Option<Column<'a>>,
    prompt: Option<Column<'a>>,
    answer: Option<Column<'a>>,
    condition: Option<Column<'a>>,
    optional: Optional<'a>,
    n: Option<Column<'a>>,
    mean_log_rt: Option<Column<'a>>,
    accuracy: Option<Column<'a>>,
    filter: Vec<(&'a str, &'a [String], Column<'a>)>,
}

impl<'a> Table<'a> {
    fn open(sheet: &'a Sheet, map: &'a Map) -> Result<Self, NormsError> {
        let of = |name: &'a Option<String>| name.as_deref().map(|n| sheet.column(n)).transpose();
        let columns = &map.columns;
        let filter = map
            .filter
            .iter()
            .map(|(name, values)| Ok((name.as_str(), values.as_slice(), sheet.column(name)?)));
        Ok(Self {
            map,
            item: sheet.column(&columns.item)?,
            task: of(&columns.task)?,
            subject: of(&columns.subject)?,
            rt: of(&columns.rt)?,
            stamp: of(&columns.stamp)?,
            correct: of(&columns.correct)?,
            repeat: of(&columns.repeat)?,
            prompt: of(&columns.prompt)?,
            answer: of(&columns.answer)?,
            condition: of(&columns.condition)?,
            optional: mapped(sheet, columns.cluster.as_deref(), &columns.covariates)?,
            n: of(&columns.n)?,
            mean_log_rt: of(&columns.mean_log_rt)?,
            accuracy: of(&columns.accuracy)?,
            filter: filter.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the filters keep a row.
    fn keeps(&self, row: usize, notes: &mut Notes) -> bool {
        for (name, values, column) in &self.filter {
            let field = column.field(row).unwrap_or_default();
            if !values.iter().any(|value| value == field) {
                notes.add(format!("rows left out by filter.{name}"));
                return false;
            }
        }
        true
    }

    /// The task and the item of a row, with its texts and no figures.
    fn item_of(&self, row: usize) -> Result<NormItem, NormsError> {
        let task = match (&self.task, &self.map.task) {
            (Some(column), _) => column.name_at(row)?,
            (None, task) => task.clone().unwrap_or_default(),
        };
        let text = |column: &Option<Column>| column.as_ref().and_then(|c| c.text_at(row));
        let (cluster, covariates) = self.optional.at(row, holds_some)?;
        Ok(NormItem {
            task,
            item_id: self.item.name_at(row)?,
            prompt: text(&self.prompt).unwrap_or_default(),
            answer: text(&self.answer).unwrap_or_default(),
            condition: text(&self.condition),
            cluster,
            covariates,
            ..NormItem::default()
        })
    }

    /// The response time of a row in milliseconds; nothing where there is none
    /// or none that anybody could have taken.
    fn time(&self, row: usize, notes: &mut Notes) -> Result<Option<f64>, NormsError> {
        let Some(rt) = &self.rt else { return Ok(None) };
        let time = number(rt, row, "a time")?.map(|time| time * self.map.unit.in_ms());
        match time {
            None => notes.add("rows without a time"),
            Some(time) if time <= 0.0 => notes.add("rows with a time of 0 or less"),
            Some(time) => return Ok(Some(time)),
        }
        Ok(None)
    }

    /// A table of items: each row is one.
    fn items(
        &self,
        path: &Path,
        rows: &[usize],
        notes: &mut Notes,
    ) -> Result<Vec<NormItem>, NormsError> {
        let mut seen = HashMap::new();
        let mut items = Vec::with_capacity(rows.len());
        for &row in rows {
            let of = |column: &Option<Column>, expected| match column {
                Some(column) => number(column, row, expected),
                None => Ok(None),
            };
            let item = NormItem {
                n: of(&self.n, "a count")?,
                mean_rt_ms: self.time(row, notes)?,
                mean_log_rt: of(&self.mean_log_rt, "a mean logarithm")?,
                accuracy: of(&self.accuracy, "a share from 0 to 1")?,
                ..self.item_of(row)?
            };
            if let (Some(share), Some(column)) = (item.accuracy, &self.accuracy)
                && !(0.0..=1.0).contains(&share)
            {
                return Err(column.bad(row, "a share from 0 to 1", ""));
            }
            items.push(first_of_its_name(path, row, item, &mut seen)?);
        }
        Ok(items)
    }

    /// A table of trials: the trials, and the items with their means.
    fn trials(&self, rows: &[usize], notes: &mut Notes) -> Result<Parsed, NormsError> {
        let mut items: Vec<NormItem> = Vec::new();
        let mut places: HashMap<(String, String), usize> = HashMap::new();
        let mut found: Vec<Found> = Vec::new();
        let mut running: HashMap<(usize, String, u32), usize> = HashMap::new();
        let mut meetings: HashMap<(usize, String), u32> = HashMap::new();
        for &row in rows {
            let of_row = self.item_of(row)?;
            let name = (of_row.task.clone(), of_row.item_id.clone());
            let place = *places.entry(name).or_insert(items.len());
            match items.get_mut(place) {
                None => items.push(of_row),
                Some(item) => {
                    self.optional.agree(row, item, &of_row)?;
                    fill(item, of_row);
                }
            }
            // Only a table of subjects comes here.
            let Some(subject) = &self.subject else {
                continue;
            };
            let subject = subject.name_at(row)?;
            let correct = match &self.correct {
                None => true,
                Some(column) => {
                    let field = column.field(row).unwrap_or_default();
                    self.map.right.iter().any(|right| right == field)
                }
            };
            let repeat = match &self.repeat {
                None => None,
                Some(column) => match column.field(row).map(str::parse) {
                    Some(Ok(count)) => Some(count),
                    _ => return Err(column.bad(row, "a count", "")),
                },
            };
            if let Some(column) = &self.stamp {
                let Some(at) = self.stamp_of(column, row)? else {
                    notes.add("rows without a time");
                    continue;
                };
                let trial = (place, subject.clone(), repeat.unwrap_or(0));
                let index = *running.entry(trial).or_insert(found.len());
                match found.get_mut(index) {
                    None => found.push(Found {
                        place,
                        subject,
                        from: at,
                        to: at,
                        correct,
                        repeat: repeat.unwrap_or(0),
                    }),
                    Some(trial) => {
                        trial.from = trial.from.min(at);
                        trial.to = trial.to.max(at);
                        trial.correct |= correct;
                    }
                }
                continue;
            }
            let Some(time) = self.time(row, notes)? else {
                continue;
            };
            let met = meetings.entry((place, subject.clone())).or_default();
            found.push(Found {
                place,
                subject,
                from: 0.0,
                to: time,
                correct,
                repeat: repeat.unwrap_or(*met),
            });
            *met += 1;
        }
        Ok(self.means(items, found, notes))
    }

    /// The time of an action in milliseconds.
    fn stamp_of(&self, column: &Column, row: usize) -> Result<Option<f64>, NormsError> {
        let Some(field) = something(column, row) else {
            return Ok(None);
        };
        if let Some(at) = stamp::milliseconds(field) {
            return Ok(Some(at));
        }
        match field.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number * self.map.unit.in_ms())),
            _ => Err(column.bad(row, "a time stamp", "")),
        }
    }

    /// Gives the items the means over their trials, those in the window.
    fn means(&self, mut items: Vec<NormItem>, found: Vec<Found>, notes: &mut Notes) -> Parsed {
        let mut trials = Vec::with_capacity(found.len());
        let mut of_items: Vec<Vec<Trial>> = vec![Vec::new(); items.len()];
        for trial in found {
            let rt_ms = trial.to - trial.from;
            let inside = |w: super::Bounds| (w.low_ms..=w.high_ms).contains(&rt_ms);
            if rt_ms <= 0.0 {
                notes.add("trials of one action: they take no time");
                continue;
            }
            if !self.map.window.is_none_or(inside) {
                notes.add("trials outside the window");
                continue;
            }
            let item = &items[trial.place];
            let kept = Trial {
                item_id: item.item_id.clone(),
                subject: trial.subject,
                rt_ms,
                correct: trial.correct,
                repeat: trial.repeat,
            };
            trials.push((item.task.clone(), kept.clone()));
            of_items[trial.place].push(kept);
        }
        for (item, trials) in items.iter_mut().zip(of_items) {
            let window = Window::of(&item.task);
            let kept = || trials.iter().filter(|trial| window.keeps(trial));
            let times: Vec<f64> = kept().map(|trial| trial.rt_ms).collect();
            let logs: Vec<f64> = kept().map(|trial| trial.rt_ms.ln()).collect();
            if logs.is_empty() {
                notes.add("items without a trial that counts: they have no time");
            }
            item.n = Some(logs.len() as f64);
            item.mean_rt_ms = mean(&times);
            item.mean_log_rt = mean(&logs);
            if self.correct.is_some() && !trials.is_empty() {
                let right = trials.iter().filter(|trial| trial.correct).count();
                item.accuracy = Some(right as f64 / trials.len() as f64);
            }
        }
        (items, trials)
    }
}

/// Items, and trials with their task.
type Parsed = (Vec<NormItem>, Vec<(String, Trial)>);

/// A trial of the item at a place, from a time to a time.
struct Found {
    place: usize,
    subject: String,
    from: f64,
    to: f64,
    correct: bool,
    repeat: u32,
}

/// A field that holds something.
fn something<'a>(column: &Column<'a>, row: usize) -> Option<&'a str> {
    column.field(row).filter(|field| holds_some(field))
}

/// Whether a field says more than that there is nothing in it.
pub(super) fn holds_some(field: &str) -> bool {
    !NOTHING.contains(&field)
}

/// The columns that a map names for clusters and covariates.
pub(super) fn mapped<'a>(
    sheet: &'a Sheet,
    cluster: Option<&'a str>,
    covariates: &'a BTreeMap<String, String>,
) -> Result<Optional<'a>, NormsError> {
    let covariates = covariates.iter();
    let covariates = covariates.map(|(name, column)| (name.as_str(), column.as_str()));
    Optional::mapped(sheet, cluster, covariates)
}

fn number(column: &Column, row: usize, expected: &'static str) -> Result<Option<f64>, NormsError> {
    if something(column, row).is_none() {
        return Ok(None);
    }
    column.number_at(row, expected, |_| true)
}
