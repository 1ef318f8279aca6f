//! One problem: what a model is asked, what its answer is held to, and where it
//! belongs.

use std::fmt;

use rewards::RewardError;
use rewards::answers::Judge;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::chat::Message;

/// Which share of a task's problems an item is of. What is in one share is in no
/// other, whatever the seed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What pre-training, SFT and RL see.
    Train,
    /// What choices are tuned on.
    Validation,
    /// What models are judged on.
    #[default]
    Evaluation,
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "training",
            Self::Validation => "validation",
            Self::Evaluation => "evaluation",
        })
    }
}

/// One problem of a task.
///
/// ```text
/// Item {
///     task: "addition_digit",
///     item_id: "4 + 9 = 13",
///     prompt: "4 + 9 = 13",
///     answer: "true",
///     condition: "true/nontie/sum=13",
///     ..
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Item {
    /// The name of the task.
    pub task: String,
    /// Its name within the task; in human data, the name that finds people's times.
    pub item_id: String,
    /// What comes before the problem where a conversation ends with it: a system
    /// prompt, earlier turns, examples.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Message>,
    /// The problem's text; as a model reads it, once it has been asked by the
    /// instruction of its task.
    pub prompt: String,
    /// What an answer is held to; empty where nobody can tell a right one.
    pub answer: String,
    /// How an answer is held to it.
    #[serde(skip_serializing_if = "is_default")]
    pub judge: Judge,
    /// Where it belongs.
    #[serde(skip_serializing_if = "is_default")]
    pub split: Split,
    /// The condition in which people were timed on such an item; empty where none
    /// was.
    pub condition: String,
    /// Items of one cluster are no independent evidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<String>,
    /// What it costs people, the mean of ln(milliseconds) of its condition; filled
    /// in for what is trained on, where people were timed on such problems.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub human_cost: Option<f64>,
    /// Further columns of its row in a data set, which rewards may read.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub columns: Map<String, Value>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Item {
    /// Whether `completion` answers it; `None` where the item expects nothing, so
    /// that nobody can tell.
    ///
    /// ```
    /// use qinglan::tasks::Item;
    ///
    /// let item = Item { answer: "1200".into(), ..Item::default() };
    /// assert_eq!(item.grade("That makes $1,200.").unwrap(), Some(true));
    /// assert_eq!(item.grade("Answer: 1 20").unwrap(), Some(false));
    /// assert_eq!(Item::default().grade("no idea").unwrap(), None);
    /// ```
    pub fn grade(&self, completion: &str) -> Result<Option<bool>, RewardError> {
        self.judge
            .judge(&self.answer, Some(&self.columns), completion)
    }
}

/// What no reward is told of as a column: it has a place of its own.
const PLACED: [&str; 3] = ["prompt", "completion", "completion_ids"];

/// The columns of a row that rewards may ask for: all that have no place of their own.
pub fn columns_of(row: Map<String, Value>) -> Map<String, Value> {
    let placed = |key: &str| PLACED.contains(&key);
    row.into_iter().filter(|(key, _)| !placed(key)).collect()
}

/// `text` without its white space: two wordings that differ in spaces only are
/// one to a tokenizer that drops spaces, so they must be one to the splits.
///
/// ```
/// use qinglan::tasks::squeeze;
///
/// assert_eq!(squeeze("A + 3 = D"), squeeze("A+3=D"));
/// ```
pub fn squeeze(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

/// One wording in this many is a validation problem.
const VALIDATION_ONE_IN: u64 = 10;

/// The split of a wording that is not evaluated. It depends on neither the seed nor
/// the other problems, so what is validation once is validation in every run.
pub(super) fn split_of(task: &str, prompt: &str) -> Split {
    if number_of(task, prompt).is_multiple_of(VALIDATION_ONE_IN) {
        Split::Validation
    } else {
        Split::Train
    }
}

/// A number that a wording has for good, spaces aside.
pub(super) fn number_of(task: &str, prompt: &str) -> u64 {
    let name = format!("{task}\n{}", squeeze(prompt));
    let hash = blake3::hash(name.as_bytes());
    let head = hash.as_bytes()[..8].iter();
    head.fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_split_ignores_white_space_and_is_fixed() {
        for prompt in ["D = A+3", "D=A+3", " D =  A + 3 "] {
            assert_eq!(
                split_of("alphabet_arithmetic", prompt),
                split_of("alphabet_arithmetic", "D = A+3")
            );
        }
        // Fixed for good: a wording that changed sides would have been trained
        // on by the checkpoints there are.
        let held_out: Vec<String> = (0..26)
            .map(|i| format!("{}+1= what", char::from(b'A' + i)))
            .filter(|prompt| split_of("alphabet_arithmetic", prompt) == Split::Validation)
            .collect();
        assert_eq!(held_out, ["I+1= what"]);
    }

    #[test]
    fn an_item_of_an_earlier_version_is_read() {
        let text = r#"{"task":"t","item_id":"1","prompt":"p","answer":"a","condition":"c"}"#;
        let item: Item = serde_json::from_str(text).unwrap();
        assert_eq!((item.split, item.judge), (Split::Evaluation, Judge::Same));
        assert_eq!(serde_json::to_string(&item).unwrap(), text);
    }
}
