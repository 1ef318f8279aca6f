//! What a run kept beside its completions: the tokens that were sampled, and what
//! its rewards said of them.
//!
//! What it deliberately does not do: judge which of two values is right, or make
//! tokens of a text. A text can be written in several ways, and padding is no
//! part of it, so they would be other tokens than were sampled.

use ::rewards::BatchScores;
use serde::Serialize;

use super::findings::SUM;
use super::given::{Batches, Given, RECORDED, RECORDED_SUM};

/// Differences up to this are rounding.
const ROUNDING: f64 = 1e-9;

/// What a reward says now beside what it said in training.
///
/// Worked example: of 64 completions one is now worth 0 and was worth 1:
/// `{name: "correct", n: 64, differ: 1, largest: Some(1.0)}`.
#[derive(Debug, Serialize)]
pub(super) struct Recorded {
    pub(super) name: String,
    /// Completions of which the training kept what it said.
    pub(super) n: usize,
    /// Those of which it says another thing now, or applies and did not.
    pub(super) differ: usize,
    /// The largest difference where it applies and did.
    pub(super) largest: Option<f64>,
}

/// Says of how many completions the tokens are not known; `None` where they are of
/// all.
pub(super) fn without_ids(batches: &Batches) -> Option<String> {
    let all = || batches.all.iter().flatten();
    let without = all().filter(|given| given.completion_ids.is_empty());
    let (count, total) = (without.count(), all().count());
    (count > 0).then(|| {
        format!("{count} of {total} completions come without `completion_ids`: functions see []")
    })
}

/// Compares what rewards say with what those of the same names said in training.
/// The weighted sum is compared where the training had the same rewards.
pub(super) fn compare(given: &[&Given], scores: &BatchScores) -> Vec<Recorded> {
    let mut all = Vec::new();
    for column in &scores.columns {
        let now: Vec<Option<f64>> = column.scores.iter().map(|score| score.value).collect();
        let key = format!("{RECORDED}{}", column.name);
        all.extend(compared(&column.name, &key, given, &now));
    }
    let known = given.iter().flat_map(|given| given.recorded.keys());
    let mut known = known
        .filter_map(|key| key.strip_prefix(RECORDED))
        .filter(|name| !name.contains('/'));
    let same = known.all(|name| scores.columns.iter().any(|column| column.name == name));
    if same && all.len() == scores.columns.len() {
        all.extend(compared(SUM, RECORDED_SUM, given, &scores.totals));
    }
    all
}

fn compared(name: &str, key: &str, given: &[&Given], now: &[Option<f64>]) -> Option<Recorded> {
    let mut found = Recorded {
        name: name.to_owned(),
        n: 0,
        differ: 0,
        largest: None,
    };
    for (given, now) in given.iter().zip(now) {
        let Some(then) = given.recorded.get(key) else {
            continue;
        };
        found.n += 1;
        match (now, then.as_f64()) {
            (None, None) => {}
            (Some(now), Some(then)) => {
                let gap = (now - then).abs();
                found.differ += usize::from(gap > ROUNDING);
                found.largest = Some(found.largest.unwrap_or(0.0).max(gap));
            }
            _ => found.differ += 1,
        }
    }
    (found.n > 0).then_some(found)
}
