//! What a run kept beside its completions: the tokenizer of the model that wrote
//! them, and what its rewards said of them.
//!
//! A training keeps the text of a completion and not its tokens. Functions that
//! ask for `completion_ids` get those that the model's own tokenizer makes of the
//! text, with the end token where the cap did not cut it off. That may be other
//! tokens than were sampled where a text can be written in several ways.
//!
//! Worked example: `RUN/arms/grpo/seed-1/completions` is read with
//! `RUN/arms/grpo/seed-1/model`.
//!
//! What it deliberately does not do: take any model but the one beside the
//! completions, or judge which of two values is right.

use std::path::{Path, PathBuf};

use ::rewards::BatchScores;
use serde::Serialize;

use super::findings::SUM;
use super::given::{Batches, Given, RECORDED, RECORDED_SUM};
use crate::model::Stored;

/// The folder of an arm's completions.
const COMPLETIONS: &str = "completions";

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

/// Gives completions without tokens those of their text, and says in a sentence
/// what `completion_ids` are; `None` where the rows had them.
pub(super) fn tokenize(path: &Path, batches: &mut Batches) -> Option<String> {
    let total = batches.all.iter().flatten().count();
    let mut without: Vec<&mut Given> = (batches.all.iter_mut().flatten())
        .filter(|given| given.completion_ids.is_empty())
        .collect();
    if without.is_empty() {
        return None;
    }
    let count = without.len();
    let empty =
        format!("{count} of {total} completions come without `completion_ids`: functions see []");
    let Some(model) = model_of(path) else {
        return Some(empty);
    };
    let at = model.display();
    let text = match Stored::open(&model) {
        Ok(stored) => stored.text,
        Err(error) => return Some(format!("{empty}; {error:#}")),
    };
    let mut others = 0;
    for given in &mut without {
        let mut ids = match text.encode_completion(&given.completion) {
            Ok(ids) => ids,
            Err(error) => return Some(format!("{empty} from {} on; {error:#}", given.place)),
        };
        let seen = given.scored();
        if seen.truncated {
            ids.pop();
        }
        others += usize::from(ids.len() != seen.completion_tokens);
        given.completion_ids = ids;
    }
    let told = format!("`completion_ids` are what the tokenizer of {at} makes of the texts");
    if others == 0 {
        return Some(told);
    }
    Some(format!(
        "{told}; of {others} of {count} these are more or fewer tokens than were sampled"
    ))
}

/// The model that wrote the completions, where they lie beside one.
fn model_of(path: &Path) -> Option<PathBuf> {
    let path = path.canonicalize().ok()?;
    let folder = if path.is_dir() {
        path.as_path()
    } else {
        path.parent()?
    };
    let model = folder.parent()?.join("model");
    (folder.file_name()? == COMPLETIONS && model.is_dir()).then_some(model)
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
