//! Numerical conformance of the figures to reference values computed by other code (numpy and
//! scipy) on the same trace records.
//!
//! A reference folder holds `traces.jsonl`, `models.json` (arm cards) and `expected.json`. Only
//! deterministic figures are compared: nothing that draws. A number in the reference that no
//! figure is compared with counts as differing. [`alignment`] has the figures of single models,
//! [`statistics`] those of arms with several trainings, and [`published`] published values.

mod alignment;
pub mod published;
mod statistics;
mod ties;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

pub use alignment::alignment;
pub use statistics::statistics;

use crate::norms::NormsError;
use crate::record::RecordError;
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

#[cfg(test)]
mod tests;
