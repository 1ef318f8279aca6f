//! Human norms: how long people take for each item.
//!
//! Two sources: the built-in means by condition ([`conditions`]), and a folder
//! of items (and trials) in the one schema for all sets, or a data set of
//! prompts and answers ([`Norms::read`]); a table of another layout is brought
//! into the schema first ([`table`]). The
//! items' own means are authoritative: nothing here recomputes them from
//! trials, which serve the noise ceilings alone.

pub mod check;
mod columns;
pub mod conditions;
mod data_set;
pub mod describe;
mod error;
mod import;
pub mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use serde::{Deserialize, Serialize};

pub use data_set::timed;
pub use error::NormsError;

use crate::alignment::ceiling::{self, Ceiling};

/// One item and how people did on it.
///
/// Worked example: task `alphabet_arithmetic`, item `A+3=D`, answer `true`, condition
/// `true/addend=3`, mean ln(ms) 8.05: its human cost is 8.05. An item with a mean of 4670 ms and no
/// mean of logarithms costs ln(4670) = 8.449.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NormItem {
    /// Task name.
    pub task: String,
    /// Item name, unique within its task.
    pub item_id: String,
    /// The prompt's text.
    pub prompt: String,
    /// The right answer; empty where the source gives none.
    pub answer: String,
    /// Condition name.
    pub condition: Option<String>,
    /// Trials behind the means.
    pub n: Option<f64>,
    /// Mean response time in milliseconds.
    pub mean_rt_ms: Option<f64>,
    /// Mean of ln(milliseconds).
    pub mean_log_rt: Option<f64>,
    /// Share of correct answers over all trials.
    pub accuracy: Option<f64>,
    /// Items of one cluster are no independent evidence: they share a time (a mean of their
    /// condition) or a problem (in digits and in words), in this task or in another. `None`
    /// is an item alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What the item says of itself before anybody answers it, by name: `size`, `tie`. In
    /// files the columns `x_size`, `x_tie`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub covariates: BTreeMap<String, f64>,
}

impl NormItem {
    /// Human cost h: the mean of ln(milliseconds), else ln(mean milliseconds).
    pub fn human_cost(&self) -> Option<f64> {
        self.mean_log_rt.or_else(|| self.mean_rt_ms.map(f64::ln))
    }
}

/// One trial of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// Item name.
    pub item_id: String,
    /// Subject name.
    pub subject: String,
    /// Response time in milliseconds.
    pub rt_ms: f64,
    /// Whether the answer was right.
    pub correct: bool,
    /// How often the subject had met the item before; 0 is the first time.
    pub repeat: u32,
}

/// Which trials count towards a task's means: those within a range of times, and
/// for most tasks right answers alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// Shortest time in milliseconds.
    pub low_ms: f64,
    /// Longest time in milliseconds.
    pub high_ms: f64,
    /// Whether only right answers count.
    pub right_only: bool,
    /// Whether only a subject's first meeting with an item counts.
    pub first_meeting: bool,
}

impl Window {
    /// The window of a task's published means; all right answers for a task not known here.
    pub fn of(task: &str) -> Self {
        let (low_ms, high_ms, right_only, first_meeting) = match task {
            "addition_digit" | "addition_word" => (200.0, 10_000.0, true, false),
            "alphabet_arithmetic" => (300.0, 20_000.0, true, true),
            // Some of its problems hardly anybody solves; its published means are over all answers.
            "spatial_relations" => (500.0, 120_000.0, false, false),
            // As its source has them: nobody's answer is right on every form.
            "syllogism_forms" => (2000.0, 180_000.0, false, true),
            _ => (f64::MIN_POSITIVE, f64::MAX, true, false),
        };
        Self {
            low_ms,
            high_ms,
            right_only,
            first_meeting,
        }
    }

    /// Whether a trial counts.
    pub fn keeps(&self, trial: &Trial) -> bool {
        (trial.correct || !self.right_only)
            && (self.low_ms..=self.high_ms).contains(&trial.rt_ms)
            && (trial.repeat == 0 || !self.first_meeting)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answers = if self.right_only {
            "right answers"
        } else {
            "all answers"
        };
        f.write_str(answers)?;
        if self.high_ms < f64::MAX {
            write!(f, " of {} to {} ms", self.low_ms, self.high_ms)?;
        } else {
            f.write_str(" of any time above 0")?;
        }
        if self.first_meeting {
            f.write_str(", a subject's first meeting with the item")?;
        }
        Ok(())
    }
}

/// The norms of several tasks.
#[derive(Debug, Clone, Default)]
pub struct Norms {
    source: String,
    items: BTreeMap<String, Vec<NormItem>>,
    index: HashMap<String, HashMap<String, usize>>,
    trials: BTreeMap<String, Vec<Trial>>,
    ceilings: BTreeMap<String, Ceiling>,
    wrong_minus_right: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Norms {
    /// Norms of given items, without trials; `source` says where they come from, with the citation.
    ///
    /// Where two items of a task share a name, the later one takes the place of the earlier.
    pub fn new(items: Vec<NormItem>, source: String) -> Self {
        let mut norms = Self {
            source,
            ..Self::default()
        };
        for item in items {
            let place = norms.index.entry(item.task.clone()).or_default();
            let list = norms.items.entry(item.task.clone()).or_default();
            if let Some(&at) = place.get(&item.item_id) {
                list[at] = item;
            } else {
                place.insert(item.item_id.clone(), list.len());
                list.push(item);
            }
        }
        norms
    }

    /// The same norms with the trials of a task, and the noise ceiling they give.
    #[must_use]
    pub fn with_trials(mut self, task: &str, trials: Vec<Trial>) -> Self {
        if let Ok(found) = ceiling::noise_ceiling(&trials, Window::of(task)) {
            self.ceilings.insert(task.into(), found);
        }
        let differences = wrong_minus_right(&trials, Window::of(task));
        self.wrong_minus_right.insert(task.into(), differences);
        self.trials.insert(task.into(), trials);
        self
    }

    /// The same norms with a task's noise ceiling as computed before, where the trials are not at hand.
    #[must_use]
    pub fn with_ceiling(mut self, task: &str, ceiling: Ceiling) -> Self {
        self.ceilings.insert(task.into(), ceiling);
        self
    }

    /// The same norms with people's allocation of time as computed before ([`Norms::wrong_minus_right`]).
    #[must_use]
    pub fn with_wrong_minus_right(
        mut self,
        task: &str,
        differences: BTreeMap<String, f64>,
    ) -> Self {
        self.wrong_minus_right.insert(task.into(), differences);
        self
    }

    /// These norms and those of `other`, which takes the place of items that both have.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let source = match (self.source.as_str(), other.source.as_str()) {
            ("", one) | (one, "") => one.to_owned(),
            (one, another) if one == another => one.to_owned(),
            (one, another) => format!("{one}; {another}"),
        };
        let items = self.items.into_values().chain(other.items.into_values());
        let mut norms = Self::new(items.flatten().collect(), source);
        norms.trials = self.trials;
        norms.trials.extend(other.trials);
        norms.ceilings = self.ceilings;
        norms.ceilings.extend(other.ceilings);
        norms.wrong_minus_right = self.wrong_minus_right;
        norms.wrong_minus_right.extend(other.wrong_minus_right);
        norms
    }

    /// Where the times come from, in words with the citation.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Names of the tasks that have items.
    pub fn tasks(&self) -> BTreeSet<&str> {
        self.items.keys().map(String::as_str).collect()
    }

    /// A task's items in the order of their source.
    pub fn items(&self, task: &str) -> &[NormItem] {
        self.items.get(task).map_or(&[], Vec::as_slice)
    }

    /// One item by name.
    pub fn item(&self, task: &str, item_id: &str) -> Option<&NormItem> {
        let at = *self.index.get(task)?.get(item_id)?;
        self.items.get(task)?.get(at)
    }

    /// Human cost of an item by name.
    pub fn human_cost(&self, task: &str, item_id: &str) -> Option<f64> {
        self.item(task, item_id)?.human_cost()
    }

    /// A task's trials, where they were given.
    pub fn trials(&self, task: &str) -> &[Trial] {
        self.trials.get(task).map_or(&[], Vec::as_slice)
    }

    /// People's mean ln(ms) of wrong minus of right trials, for each item of a task that has both;
    /// `None` where no trials were given.
    pub fn wrong_minus_right(&self, task: &str) -> Option<&BTreeMap<String, f64>> {
        self.wrong_minus_right.get(task)
    }

    /// A task's noise ceiling; `None` without trials it can be computed from.
    pub fn ceiling(&self, task: &str) -> Option<&Ceiling> {
        self.ceilings.get(task)
    }
}

/// Mean ln(ms) of wrong minus of right trials by item, of those within the window's times.
fn wrong_minus_right(trials: &[Trial], window: Window) -> BTreeMap<String, f64> {
    let window = Window {
        right_only: false,
        ..window
    };
    let mut sums: BTreeMap<&str, [(f64, f64); 2]> = BTreeMap::new();
    for trial in trials.iter().filter(|trial| window.keeps(trial)) {
        let of_item = sums.entry(&trial.item_id).or_default();
        let (sum, count) = &mut of_item[usize::from(trial.correct)];
        *sum += trial.rt_ms.ln();
        *count += 1.0;
    }
    let both = sums
        .into_iter()
        .filter(|(_, [wrong, right])| wrong.1 > 0.0 && right.1 > 0.0);
    both.map(|(id, [wrong, right])| (id.to_owned(), wrong.0 / wrong.1 - right.0 / right.1))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, log: Option<f64>, ms: Option<f64>) -> NormItem {
        NormItem {
            task: "t".into(),
            item_id: id.into(),
            prompt: id.into(),
            answer: "true".into(),
            mean_rt_ms: ms,
            mean_log_rt: log,
            ..NormItem::default()
        }
    }

    #[test]
    fn human_cost_prefers_the_mean_of_logarithms() {
        let norms = Norms::new(
            vec![
                item("a", Some(7.0), Some(2000.0)),
                item("b", None, Some(4670.0)),
                item("c", None, None),
            ],
            "made up".into(),
        );
        assert_eq!(norms.human_cost("t", "a"), Some(7.0));
        assert!((norms.human_cost("t", "b").expect("a time") - 8.448_914_1).abs() < 1e-6);
        assert_eq!(norms.human_cost("t", "c"), None);
        assert_eq!(norms.human_cost("t", "d"), None);
        assert_eq!(norms.items("t").len(), 3);
        assert!(norms.ceiling("t").is_none());
    }

    #[test]
    fn windows_keep_right_answers_in_range() {
        let trial = |rt_ms, correct, repeat| Trial {
            item_id: "a".into(),
            subject: "s".into(),
            rt_ms,
            correct,
            repeat,
        };
        let alphabet = Window::of("alphabet_arithmetic");
        assert!(alphabet.keeps(&trial(300.0, true, 0)));
        assert!(!alphabet.keeps(&trial(299.0, true, 0)));
        assert!(!alphabet.keeps(&trial(900.0, false, 0)));
        assert!(!alphabet.keeps(&trial(900.0, true, 1)));
        assert!(Window::of("addition_word").keeps(&trial(900.0, true, 1)));
        assert!(Window::of("spatial_relations").keeps(&trial(900.0, false, 0)));
        assert!(!Window::of("another").keeps(&trial(0.0, true, 0)));
    }
}
