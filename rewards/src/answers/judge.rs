//! How the answers to an item are told right from wrong.
//!
//! An item names its judge. The evaluation's grade and the reward
//! [`crate::correct`] both ask it, and neither passes through the other.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::puzzle::Puzzle;
use super::{Announced, Expected, bare, choice, conclusions, direction};
use crate::{Extraction, RewardError};

/// How an answer is told right from wrong.
///
/// | judge | expected | right |
/// |---|---|---|
/// | `same` | any text | what says the same, see [`crate::correct`] |
/// | `expression` | `24 from 1 1 4 6`, `24 from some of 1 1 4 6 with + - *`, or `1 1 4 6`, which is to make 24 | an expression of these numbers, each used once (or, of `some of`, at most once), that comes to the target with the signs that are allowed; `= 24` after it must be true |
/// | `direction` | a direction, or `same place` | a text that names it and no other, see [`direction`] |
/// | `choice` | a letter | the letter, bracketed or not, with its option's text or without: `B`, `(b)`, `B) Paris`, `option B` |
/// | `conclusions` | `Aac Iac Ica`, or `nvc` | exactly these conclusions, by these names or, where the column `terms` has the words for a, b and c, as sentences |
/// | `reasoning_gym` | the entry's answer, which may be empty | what `score_answer` of the Python package gives 1 for the column `entry`, as it is written or without the emphasis, quotes and full stop around it; one of several lines stands in `<answer>` tags, or alone |
///
/// # Example
///
/// ```
/// use rewards::answers::Judge;
///
/// let right = |expected, text| Judge::Expression.judge(expected, None, text);
/// assert_eq!(right("10 from 2 3 4", "Answer: 2 * 3 + 4 = 10")?, Some(true));
/// assert_eq!(right("10 from 2 3 4", "Answer: 2 * 3 + 3 = 9")?, Some(false));
/// assert_eq!(right("", "Answer: 10")?, None);
/// assert!(right("ten", "Answer: 10").is_err());
/// # Ok::<(), rewards::RewardError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judge {
    /// It says the same as the expected answer.
    #[default]
    Same,
    /// It is an expression of given numbers that comes to a target.
    Expression,
    /// It names the expected direction and no other.
    Direction,
    /// It chooses the expected option.
    Choice,
    /// It names exactly the conclusions that follow.
    Conclusions,
    /// `reasoning_gym` gives it a score of 1.
    ReasoningGym,
}

impl Judge {
    /// Whether `completion` answers what is `expected` of it, its item's further
    /// `columns` being at hand; `None` where the item expects nothing, so that
    /// nobody can tell.
    ///
    /// # Errors
    ///
    /// Where the expected answer or a column is not what the table of [`Judge`] asks
    /// for ([`Judge::check`] says so beforehand), and where `reasoning_gym` cannot be
    /// asked. Nothing that a completion says is an error.
    pub fn judge(
        self,
        expected: &str,
        columns: Option<&Map<String, Value>>,
        completion: &str,
    ) -> Result<Option<bool>, RewardError> {
        self.judge_read(expected, columns, &Extraction::new("", completion))
    }

    /// The same of a completion that is taken apart already.
    pub(crate) fn judge_read(
        self,
        expected: &str,
        columns: Option<&Map<String, Value>>,
        completion: &Extraction<'_>,
    ) -> Result<Option<bool>, RewardError> {
        let read = self.expect(expected, columns)?;
        let given = completion.announced();
        let answer = text(&given);
        Ok(match read {
            Wanted::Nothing => None,
            Wanted::Same(expected) => {
                Some(expected.is_some_and(|expected| expected.is(&given, 0.0)))
            }
            Wanted::Puzzle(puzzle) => Some(puzzle.is_solved_by(answer)),
            Wanted::Direction(wanted) => Some(direction(answer).is_some_and(|is| is == wanted)),
            Wanted::Choice(letter) => Some(choice::is_chosen(letter, answer)),
            Wanted::Conclusions(wanted, terms) => {
                let after = following(completion.after, given.answer);
                Some(conclusions::are(&wanted, terms.as_ref(), answer, after))
            }
            Wanted::Entry(entry) => Some(has_full_score(entry, given.answer)?),
        })
    }

    /// Whether this judge can tell answers to an item with this expected answer and
    /// these columns; an item that expects nothing passes.
    ///
    /// # Errors
    ///
    /// What is wrong with the expected answer or the columns, and what to write.
    pub fn check(
        self,
        expected: &str,
        columns: Option<&Map<String, Value>>,
    ) -> Result<(), RewardError> {
        match self.expect(expected, columns)? {
            Wanted::Same(None) => Err(unusable(format!(
                "the expected answer {expected:?} has no letter, digit or sign to compare: \
                 correct it, or leave it out"
            ))),
            _ => Ok(()),
        }
    }

    fn expect<'a>(
        self,
        expected: &'a str,
        columns: Option<&'a Map<String, Value>>,
    ) -> Result<Wanted<'a>, RewardError> {
        if self == Self::ReasoningGym {
            return match columns.and_then(|columns| columns.get("entry")) {
                Some(Value::Object(entry)) => Ok(Wanted::Entry(entry)),
                None if expected.trim().is_empty() => Ok(Wanted::Nothing),
                _ => Err(unusable(
                    "the column `entry` has no entry of reasoning_gym (question, answer and \
                     metadata with `source_dataset`): was the item drawn by the lab?"
                        .to_owned(),
                )),
            };
        }
        if expected.trim().is_empty() {
            return Ok(Wanted::Nothing);
        }
        let wanted = match self {
            Self::Same | Self::ReasoningGym => Some(Wanted::Same(Expected::new(expected))),
            Self::Expression => Puzzle::read(expected).map(Wanted::Puzzle),
            Self::Direction => direction(expected).map(Wanted::Direction),
            Self::Choice => choice::letter(expected).map(Wanted::Choice),
            Self::Conclusions => {
                let terms = conclusions::terms(columns).map_err(unusable)?;
                conclusions::expected(expected).map(|codes| Wanted::Conclusions(codes, terms))
            }
        };
        let form = match self {
            Self::Same | Self::ReasoningGym => "a text",
            Self::Expression => {
                "a target and 2 to 8 numbers, `24 from 1 1 4 6`, or four numbers that make 24"
            }
            Self::Direction => "one direction, such as `north-west`, or `same place`",
            Self::Choice => "the letter of an option, such as `B`",
            Self::Conclusions => "names of conclusions, such as `Aac Iac`, or `nvc`",
        };
        wanted.ok_or_else(|| {
            unusable(format!(
                "the expected answer {expected:?} is not {form}: correct it, or leave it out"
            ))
        })
    }
}

/// What is expected, read.
enum Wanted<'a> {
    Nothing,
    Same(Option<Expected<'a>>),
    Puzzle(Puzzle),
    Direction(String),
    Choice(char),
    Conclusions(std::collections::BTreeSet<[char; 3]>, Option<[String; 3]>),
    Entry(&'a Map<String, Value>),
}

fn unusable(message: String) -> RewardError {
    RewardError::Answer { message }
}

/// The answer, without the signs around it where a mark announces it.
fn text<'a>(given: &Announced<'a>) -> &'a str {
    match given.mark {
        Some(_) => bare(given.answer),
        None => given.answer,
    }
}

/// Whether `reasoning_gym` gives 1 to an answer as it is written or, where that makes a
/// difference, without quotes, emphasis and a full stop around it. Brackets stay: to
/// the package `[1]` is a list.
fn has_full_score(entry: &Map<String, Value>, written: &str) -> Result<bool, RewardError> {
    let is_full = |answer: &str| -> Result<bool, RewardError> {
        let score = crate::external::gym::score(entry, answer)?;
        Ok(score.is_some_and(|score| score >= 1.0))
    };
    let bare = bare(written);
    let brackets = |text: &str| text.matches(['(', '[', '{']).count();
    let differs = bare != written && brackets(bare) == brackets(written);
    Ok(is_full(written)? || (differs && is_full(bare)?))
}

/// What follows `part`, a slice of `whole`.
fn following<'a>(whole: &'a str, part: &str) -> &'a str {
    let end = (part.as_ptr() as usize + part.len()).wrapping_sub(whole.as_ptr() as usize);
    whole.get(end..).unwrap_or_default()
}

#[cfg(test)]
mod tests;
