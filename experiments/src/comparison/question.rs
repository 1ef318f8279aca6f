//! Questions that an experiment asks of its arms, and when each was asked.
//!
//! A question is a contrast, a measure and what the hypothesis expects of it. A
//! definition, and a file of model cards, state theirs as tables:
//!
//! ```toml
//! [[question]]
//! name = "negative transfer"
//! contrast = "sft - base"
//! measure = "elasticity"
//! direction = "below"
//! smallest_effect = 0.1
//! family = "main"
//! ```
//!
//! `measure`, `smallest_effect` and `family` may be left out. What is asked once
//! answers can be looked at is worth less than what was asked before, so every
//! question carries [`When`] it was asked.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Measure;

/// Family of a question that names none.
const FAMILY: &str = "main";

/// What stands between the two arms of a contrast.
const MINUS: &str = " - ";

/// Likeness (Jaro-Winkler) above which a name may have been meant.
const NEAR: f64 = 0.75;

/// What a hypothesis expects of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expected {
    /// It lies below 0.
    Below,
    /// It lies above 0.
    Above,
    /// It is smaller than the smallest effect of interest, either way.
    Equivalent,
}

impl Expected {
    /// As it is written in a definition.
    pub fn word(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Above => "above",
            Self::Equivalent => "equivalent",
        }
    }
}

/// A question of a definition or of a file of model cards.
///
/// Worked example: `name = "collapse"`, `contrast = "sft - teacher"`, `direction = "below"`
/// expects the elasticity of `sft` to lie below the teacher's, is not interested in
/// differences smaller than 0.1, and is corrected together with the family `main`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Written")]
pub struct Question {
    /// Its name in every table.
    pub name: String,
    /// Arm minus arm, `sft - base`; [`Question::sides`] tells them apart.
    pub contrast: String,
    /// In what they are compared.
    pub measure: Measure,
    /// What is expected of the difference.
    pub direction: Expected,
    /// The smallest difference of interest, above 0: in the measure's own unit,
    /// and in tokens a share of the subtrahend's tokens.
    pub smallest_effect: f64,
    /// The questions that Holm's correction takes together.
    pub family: String,
}

/// A question as it is written, with what may be left out.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    contrast: String,
    #[serde(default = "primary")]
    measure: Measure,
    direction: Expected,
    smallest_effect: Option<f64>,
    family: Option<String>,
}

fn primary() -> Measure {
    Measure::Elasticity
}

impl From<Written> for Question {
    fn from(written: Written) -> Self {
        Self {
            name: written.name,
            contrast: written.contrast,
            measure: written.measure,
            direction: written.direction,
            smallest_effect: written
                .smallest_effect
                .unwrap_or_else(|| written.measure.smallest_effect()),
            family: written.family.unwrap_or_else(|| FAMILY.to_owned()),
        }
    }
}

impl Question {
    /// Minuend and subtrahend, where both are among `arms`. A name may hold
    /// ` - ` itself, so every place of it is tried.
    pub fn sides<'a>(&'a self, arms: &[&str]) -> Option<(&'a str, &'a str)> {
        self.splits()
            .find(|(arm, against)| arms.contains(arm) && arms.contains(against))
    }

    fn splits(&self) -> impl Iterator<Item = (&str, &str)> {
        let places = self.contrast.match_indices(MINUS);
        places.map(|(at, minus)| {
            let (arm, rest) = self.contrast.split_at(at);
            (arm.trim(), rest[minus.len()..].trim())
        })
    }

    /// Refuses what cannot be asked of `arms`; the message names question and key.
    fn check(&self, arms: &[&str]) -> Result<(), String> {
        let place = |key: &str| format!("question {:?}, {key}", self.name);
        if !self.smallest_effect.is_finite() || self.smallest_effect <= 0.0 {
            return Err(format!(
                "{} = {}: it must be a number above 0",
                place("smallest_effect"),
                self.smallest_effect
            ));
        }
        if is_no_name(&self.family) {
            return Err(format!(
                "{} = {:?}: name the questions that are corrected together, or leave the key out",
                place("family"),
                self.family
            ));
        }
        let place = format!("{} = {:?}", place("contrast"), self.contrast);
        if let Some((arm, against)) = self.sides(arms) {
            if arm == against {
                return Err(format!("{place}: {arm} minus itself is 0; name two arms"));
            }
            return Ok(());
        }
        let Some(sides) = self.splits().next() else {
            return Err(format!(
                "{place}: write one arm minus another, such as \"sft - base\" (there are: {})",
                arms.join(", ")
            ));
        };
        let unknown = [sides.0, sides.1];
        let unknown = unknown.iter().find(|name| !arms.contains(name));
        // Where both are known, so were the sides.
        let unknown = unknown.copied().unwrap_or_default();
        Err(format!(
            "{place}: there is no arm {unknown:?} (there are: {}){}",
            arms.join(", "),
            near(unknown, arms).map_or_else(String::new, |near| format!("; did you mean {near}?"))
        ))
    }
}

fn is_no_name(name: &str) -> bool {
    // A control character would rewrite the terminal that shows it.
    name.trim().is_empty() || name.chars().any(char::is_control)
}

/// The name among `names` that is most like another, where one is.
fn near<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let names = names.iter();
    let likeness = names.map(|known| (strsim::jaro_winkler(name, known), *known));
    let nearest = likeness.max_by(|a, b| a.0.total_cmp(&b.0));
    nearest
        .filter(|(likeness, _)| *likeness >= NEAR)
        .map(|(_, known)| known)
}

/// Refuses questions that cannot be asked of `arms`: unknown ones, an arm minus
/// itself, a name that is empty or given twice, a smallest effect that is no
/// number above 0. The message names the question and its key.
pub fn check(questions: &[Question], arms: &[&str]) -> Result<(), String> {
    let mut names = BTreeSet::new();
    for (index, question) in questions.iter().enumerate() {
        let name = &question.name;
        if is_no_name(name) {
            return Err(format!(
                "question {}, name = {name:?}: give it a name, such as \"negative transfer\"",
                index + 1
            ));
        }
        if !names.insert(name) {
            return Err(format!(
                "question {name:?} is asked twice; give each question its own name"
            ));
        }
        question.check(arms)?;
    }
    Ok(())
}

/// When a question was asked, as far as that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Before anything was trained or sampled.
    Before,
    /// Afterwards, by an edited definition or of a finished run.
    After,
    /// Of recordings that were there: nobody can tell whether they had been
    /// looked at.
    Recorded,
}

impl When {
    /// In words, for tables and report.
    pub fn words(self) -> &'static str {
        match self {
            Self::Before => "preregistered",
            Self::After => "added after the run",
            Self::Recorded => "asked of recordings",
        }
    }
}

/// A question, and when it was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// What is asked.
    pub question: Question,
    /// When.
    pub when: When,
}

impl Asked {
    /// Puts a run's name before the arms of its contrast, as the arms of several
    /// runs are named. `arms` are the names so far; a contrast of others stays.
    pub fn prefix(&mut self, label: &str, arms: &[&str]) {
        if let Some((arm, against)) = self.question.sides(arms) {
            self.question.contrast = format!("{label}/{arm}{MINUS}{label}/{against}");
        }
    }
}

/// What was asked before, and what of `now` was not: a question that was changed
/// or taken out stays as it was asked first, and a changed one is asked beside it.
pub fn asked(before: &[Question], now: &[Question]) -> Vec<Asked> {
    let mut asked = all(before, When::Before);
    add(&mut asked, now);
    asked
}

/// Adds what was not asked so far.
pub fn add(asked: &mut Vec<Asked>, later: &[Question]) {
    let known = asked.iter().map(|asked| &asked.question);
    let known: Vec<&Question> = known.collect();
    let new: Vec<Question> = later
        .iter()
        .filter(|question| !known.contains(question))
        .cloned()
        .collect();
    asked.extend(all(&new, When::After));
}

/// Questions that were all asked at one time.
pub fn all(questions: &[Question], when: When) -> Vec<Asked> {
    let questions = questions.iter().cloned();
    questions.map(|question| Asked { question, when }).collect()
}

/// The questions of two runs of one definition as those of one: a question was
/// asked before only where it was so in both.
pub fn of_both(one: &[Asked], other: &[Asked]) -> Vec<Asked> {
    let (first, second) = (one.iter(), other.iter());
    let missing = second.filter(|asked| one.iter().all(|a| a.question != asked.question));
    let all = first.chain(missing);
    all.map(|asked| {
        let both = one.contains(asked) && other.contains(asked);
        Asked {
            question: asked.question.clone(),
            when: if both { asked.when } else { When::After },
        }
    })
    .collect()
}

#[cfg(test)]
mod tests;
