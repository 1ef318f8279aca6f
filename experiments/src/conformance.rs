//! Numerical conformance of the alignment figures to reference values computed
//! by other code (numpy and scipy) on the same trace records.
//!
//! A reference folder holds `traces.jsonl`, `models.json` (arm cards) and
//! `expected.json`. Only deterministic figures are held: nothing that draws. A
//! number in the reference that no figure is held to counts as differing. A rank
//! correlation may be that of broken ties (`ties`), told as a group of its own.
//! Beside it, [`published`] holds the correlation to published values.

pub mod published;
mod ties;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use crate::alignment::cost::{self, ModelItems, task_tokens};
use crate::alignment::{accuracy, allocation, effort, fingerprint, iei, inflation, within_task};
use crate::manifest::ArmCard;
use crate::norms::{Norms, NormsError};
use crate::record::{self, RecordError};
use crate::statistics::Undefined;
use crate::statistics::regression::Line;
use crate::text;

/// Largest deviation allowed, but for the two below.
pub const TOLERANCE: f64 = 1e-9;

/// Largest deviation allowed of partial correlations and divergences.
pub const LOOSE_TOLERANCE: f64 = 1e-7;

/// One figure beside its reference.
///
/// Worked example: `{group: "pearson", figure: "base-1/within/addition_digit/pearson", expected:
/// Some(0.4743…), got: Some(0.4743…), deviation: 1.1e-16, tolerance: 1e-9}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// Which figure it is, whatever the model and task.
    pub group: String,
    /// Model (or pair), task where there is one, and figure.
    pub figure: String,
    /// Reference value; `None` where the reference is undefined.
    pub expected: Option<f64>,
    /// Value of this code; `None` where it is undefined.
    pub got: Option<f64>,
    /// Absolute difference; infinite where only one of the two is defined.
    pub deviation: f64,
    /// Largest difference allowed.
    pub tolerance: f64,
}

impl Deviation {
    /// Whether the figure conforms.
    pub fn holds(&self) -> bool {
        self.deviation <= self.tolerance
    }
}

/// What keeps the figures from being held to a reference.
#[derive(Debug, Error)]
pub enum ConformanceError {
    /// The records cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The norms cannot be read.
    #[error(transparent)]
    Norms(#[from] NormsError),
    /// Published points cannot be read.
    #[error("{path}: {detail}; give the points as task,reasoning_tokens,mean_rt_s")]
    Points {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A file of the reference is absent or not what it should be.
    #[error("{path}: {detail}; give a folder with traces.jsonl, models.json and expected.json")]
    Reference {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

fn load<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, ConformanceError> {
    let error = |detail: String| ConformanceError::Reference {
        path: path.into(),
        detail,
    };
    let text = text::string(path).map_err(|e| error(e.to_string()))?;
    serde_json::from_str(&without_nan(&text)).map_err(|e| error(e.to_string()))
}

/// The text with each `NaN` outside strings written as null: Python's json writes
/// an undefined figure so, and no JSON has a word for it.
fn without_nan(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.push('"');
        }
        // Names of models hold no escaped quotes, so every other part is outside strings.
        if at % 2 == 0 {
            out.push_str(&part.replace("NaN", "null"));
        } else {
            out.push_str(part);
        }
    }
    out
}

/// The figures of a group, summed up.
///
/// Worked example: `{group: "pearson", held: 56, worst: 4.4e-16, tolerance: 1e-9, differing: 0}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Which figure.
    pub group: String,
    /// How many were held.
    pub held: usize,
    /// Largest deviation.
    pub worst: f64,
    /// Largest deviation allowed.
    pub tolerance: f64,
    /// How many do not conform.
    pub differing: usize,
}

/// The deviations by group, in the order in which the groups first appear.
pub fn groups(found: &[Deviation]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for deviation in found {
        let known = groups.iter().position(|g| g.group == deviation.group);
        let at = known.unwrap_or(groups.len());
        if known.is_none() {
            groups.push(Group {
                group: deviation.group.clone(),
                held: 0,
                worst: 0.0,
                tolerance: deviation.tolerance,
                differing: 0,
            });
        }
        let group = &mut groups[at];
        group.held += 1;
        group.worst = group.worst.max(deviation.deviation);
        // The count of a group's items must be exact; the group shows what its figures may.
        group.tolerance = group.tolerance.max(deviation.tolerance);
        group.differing += usize::from(!deviation.holds());
    }
    groups
}

/// The figures collected so far, each looked up in the reference by its path.
struct Held {
    reference: Value,
    found: Vec<Deviation>,
    /// The paths looked up.
    seen: BTreeSet<Vec<String>>,
}

/// One figure beside its reference, the deviation infinite where only one is defined.
fn deviation(
    group: &str,
    figure: String,
    expected: Option<f64>,
    got: Option<f64>,
    tolerance: f64,
) -> Deviation {
    let deviation = match (expected, got) {
        (Some(expected), Some(got)) => (expected - got).abs(),
        (None, None) => 0.0,
        _ => f64::INFINITY,
    };
    Deviation {
        group: group.to_owned(),
        figure,
        expected,
        got,
        deviation,
        tolerance,
    }
}

/// What stands at a path of the reference; a list's places are numbers.
fn look<'a>(reference: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(reference, |at, key| match at {
        Value::Array(list) => list.get(key.parse::<usize>().ok()?),
        at => at.get(key),
    })
}

/// The paths of all numbers in the reference.
fn numbers(at: &Value, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let mut into = |key: String, value: &Value| {
        path.push(key);
        numbers(value, path, found);
        path.pop();
    };
    match at {
        Value::Number(_) => found.push(path.clone()),
        Value::Array(list) => (0..)
            .zip(list)
            .for_each(|(i, value): (usize, _)| into(i.to_string(), value)),
        Value::Object(map) => map.iter().for_each(|(key, value)| into(key.clone(), value)),
        _ => {}
    }
}

impl Held {
    fn hold(&mut self, path: &[&str], tolerance: f64, got: Result<f64, Undefined>) {
        // "models/NAME/within/TASK/FIGURE", "models/NAME/FIGURE/TASK", "pairs/NAME/FIGURE", "rsa/…".
        let group = match path {
            ["rsa", ..] => "rsa",
            [_, _, "within", _, figure] | [_, _, figure, ..] => figure,
            _ => path.last().unwrap_or(&""),
        };
        let figure = path.get(1..).unwrap_or_default().join("/");
        self.hold_as(group, figure, path, tolerance, got);
    }

    fn hold_as(
        &mut self,
        group: &str,
        figure: String,
        path: &[&str],
        tolerance: f64,
        got: Result<f64, Undefined>,
    ) {
        let expected = look(&self.reference, path).and_then(Value::as_f64);
        self.seen
            .insert(path.iter().map(|&key| key.to_owned()).collect());
        self.found
            .push(deviation(group, figure, expected, got.ok(), tolerance));
    }

    fn hold_line(&mut self, path: &[&str], got: &Result<Line, Undefined>) {
        for (part, of) in [
            ("slope", (|l| l.slope) as fn(&Line) -> f64),
            ("intercept", |l| l.intercept),
            ("r2", |l| l.r2),
        ] {
            let path: Vec<&str> = path.iter().copied().chain([part]).collect();
            let got = got.as_ref().map(of).map_err(Clone::clone);
            self.hold(&path, TOLERANCE, got);
        }
    }

    /// Every number of the reference that was not looked up, as a figure that the lab lacks.
    fn rest(&mut self) {
        let mut all = Vec::new();
        numbers(&self.reference, &mut Vec::new(), &mut all);
        for path in all.into_iter().filter(|path| !self.seen.contains(path)) {
            let keys: Vec<&str> = path.iter().map(String::as_str).collect();
            let expected = look(&self.reference, &keys).and_then(Value::as_f64);
            self.found.push(deviation(
                "not held to",
                path.join("/"),
                expected,
                None,
                TOLERANCE,
            ));
        }
    }
}

/// What the figures of one model are computed from.
struct Models<'a> {
    items: &'a cost::Items,
    tasks: Vec<String>,
    norms: Norms,
}

impl Models<'_> {
    fn get(&self, name: &str) -> &ModelItems {
        static EMPTY: ModelItems = ModelItems {
            seed: None,
            tasks: std::collections::BTreeMap::new(),
        };
        self.items
            .models
            .get(name)
            .and_then(|seeds| seeds.first())
            .unwrap_or(&EMPTY)
    }

    fn mean_r(&self, name: &str) -> (Result<f64, Undefined>, Result<f64, Undefined>) {
        let within = within_task::task_alignments(self.get(name), &self.tasks, &self.norms);
        within_task::model_alignment(&within.into_iter().map(|w| w.pearson).collect::<Vec<_>>())
    }
}

fn absent() -> Undefined {
    Undefined::Because("absent".into())
}

/// Holds a rank correlation, where it has to be with ties as the reference broke them.
fn hold_ranks(
    held: &mut Held,
    models: &Models<'_>,
    (name, task): (&str, &str),
    got: Result<f64, Undefined>,
) {
    let path = ["models", name, "within", task, "spearman"];
    let expected = look(&held.reference, &path).and_then(Value::as_f64);
    let apart = expected
        .zip(got.as_ref().ok())
        .filter(|(expected, got)| (expected - *got).abs() > TOLERANCE);
    if let Some((expected, _)) = apart {
        let items = models.get(name).task(task).iter();
        let costs = items.filter_map(|(id, item)| {
            let human = models.norms.human_cost(task, id)?;
            Some((item.cost?, human))
        });
        let (x, y): (Vec<f64>, Vec<f64>) = costs.unzip();
        if let Some(broken) = ties::nearest(&x, &y, expected)
            && (broken - expected).abs() <= TOLERANCE
        {
            let figure = path[1..].join("/");
            return held.hold_as(
                "spearman, a tie broken",
                figure,
                &path,
                TOLERANCE,
                Ok(broken),
            );
        }
    }
    held.hold(&path, TOLERANCE, got);
}

fn hold_model(held: &mut Held, models: &Models<'_>, name: &str) {
    let model = models.get(name);
    for task in &models.tasks {
        let within = within_task::within_task(task, model.task(task), &models.norms);
        let at = |figure| ["models", name, "within", task, figure];
        held.hold(&at("n"), 0.0, Ok(within.n as f64));
        held.hold(&at("pearson"), TOLERANCE, within.pearson);
        hold_ranks(held, models, (name, task), within.spearman);
        held.hold(&at("partial"), LOOSE_TOLERANCE, within.partial);
        let of_task = |figure| ["models", name, figure, task];
        let accuracy = accuracy::plain(model.task(task)).map(|share| share.value);
        held.hold(&of_task("accuracy"), TOLERANCE, accuracy.ok_or_else(absent));
        held.hold(
            &of_task("mean_tokens"),
            TOLERANCE,
            task_tokens(model.task(task)).ok_or_else(absent),
        );
        held.hold(&of_task("iei"), TOLERANCE, iei::iei(model.task(task)));
    }
    let (plain, fisher) = models.mean_r(name);
    held.hold(&["models", name, "mean_r"], TOLERANCE, plain);
    held.hold(&["models", name, "fisher_mean_r"], TOLERANCE, fisher);
    let differences = allocation::differences(model, &models.tasks).concat();
    held.hold(
        &["models", name, "allocation_items"],
        0.0,
        Ok(differences.len() as f64),
    );
    held.hold(
        &["models", name, "allocation_d"],
        TOLERANCE,
        allocation::cohens_d(&differences),
    );
}

fn hold_pairs(held: &mut Held, models: &Models<'_>, card: &ArmCard) {
    let (name, model) = (card.name.as_str(), models.get(&card.name));
    let difference = |other: &str| Ok(models.mean_r(name).0? - models.mean_r(other).0?);
    if let Some(teacher) = &card.teacher {
        held.hold(&["pairs", name, "collapse"], TOLERANCE, difference(teacher));
        let of =
            |model| effort::relative_efforts(model, models.get(teacher), &models.tasks).concat();
        let (student, teacher) = (of(model), of(models.get(teacher)));
        held.hold(
            &["pairs", name, "relative_effort"],
            TOLERANCE,
            effort::mean_effort(&student),
        );
        held.hold(
            &["pairs", name, "kl"],
            LOOSE_TOLERANCE,
            effort::divergence(&student, &teacher),
        );
    }
    if let Some(base) = &card.base {
        held.hold(&["pairs", name, "transfer"], TOLERANCE, difference(base));
        let base = models.get(base);
        held.hold_line(
            &["pairs", name, "inflation"],
            &inflation::tokens(model, base, &models.tasks).line(),
        );
        held.hold_line(
            &["pairs", name, "iei_inflation"],
            &iei::inflation(model, base, &models.tasks).line(),
        );
        let points = inflation::heterogeneity(model, base, &models.tasks, &models.norms);
        held.hold_line(&["pairs", name, "heterogeneity"], &points.line());
    }
}

fn hold_similarity(held: &mut Held, models: &Models<'_>, cards: &[ArmCard]) {
    let named: Vec<(&str, &ModelItems)> = cards
        .iter()
        .map(|card| (card.name.as_str(), models.get(&card.name)))
        .collect();
    let found = fingerprint::similarity(&named, &models.tasks, &models.norms);
    held.hold(&["rsa", "items"], 0.0, Ok(found.items as f64));
    let names: Vec<String> = look(&held.reference, &["rsa", "names"])
        .and_then(|names| serde_json::from_value(names.clone()).ok())
        .unwrap_or_default();
    let place = |name: &String| match names.iter().position(|known| known == name) {
        Some(at) => at.to_string(),
        None => "absent".to_owned(),
    };
    for (name, row) in found.names.iter().zip(found.matrix) {
        for (other, got) in found.names.iter().zip(row) {
            let path = ["rsa", "matrix", &place(name), &place(other)];
            let figure = format!("rsa {name} with {other}");
            held.hold_as("rsa", figure, &path, TOLERANCE, got);
        }
    }
}

/// Holds every deterministic alignment figure to the reference in `dir`, with the
/// norms of `norms_dir`.
pub fn alignment(dir: &Path, norms_dir: &Path) -> Result<Vec<Deviation>, ConformanceError> {
    let reference: Value = load(&dir.join("expected.json"))?;
    let cards: Vec<ArmCard> = load(&dir.join("models.json"))?;
    let tasks: Vec<String> =
        serde_json::from_value(reference["tasks"].clone()).map_err(|error| {
            ConformanceError::Reference {
                path: dir.join("expected.json"),
                detail: format!("`tasks`: {error}"),
            }
        })?;
    let items = cost::items(&record::read(&dir.join("traces.jsonl"))?, false);
    let norms = Norms::read(norms_dir, &tasks)?;
    let models = Models {
        items: &items,
        tasks,
        norms,
    };
    let mut held = Held {
        reference,
        found: Vec::new(),
        seen: BTreeSet::new(),
    };
    for card in &cards {
        hold_model(&mut held, &models, &card.name);
    }
    for card in &cards {
        hold_pairs(&mut held, &models, card);
    }
    hold_similarity(&mut held, &models, &cards);
    held.rest();
    Ok(held.found)
}

#[cfg(test)]
mod tests;
