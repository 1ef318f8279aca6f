//! The data types of a task: a problem, how it is worded, and an evaluation
//! item.
//!
//! They hold text and numbers only; where problems come from is
//! [`super::space`]'s matter, and what a right answer is [`super::grading`]'s.

use serde::{Deserialize, Serialize};

/// Which share of the problems a draw is taken from. A wording belongs to
/// exactly one of them for good: its hash decides, whatever the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What pre-training, SFT and RL see: about nine wordings in ten.
    Train,
    /// What choices are tuned on: about one wording in ten.
    Validation,
}

/// What a problem asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Is the presented result right? The answer is `true` or `false`.
    Verification,
    /// What is the result? The answer is the result.
    Production,
}

/// How a problem is put into words, shown for 4 + 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wording {
    /// `4 + 9 = 13`, the wording people were timed on. It occurs in training
    /// only for pairs of operands that are not evaluated.
    Canonical,
    /// `13 = 4 + 9`, of any pair.
    ResultFirst,
    /// `4 + 9 is 13`, of any pair.
    Is,
    /// `4 + 9 = what`, of any pair: production.
    Question,
}

impl Wording {
    /// The wordings in which pairs that are evaluated may be verified in
    /// training.
    pub const OTHERS: [Self; 2] = [Self::ResultFirst, Self::Is];

    /// What a problem in this wording asks for.
    pub fn kind(self) -> Kind {
        match self {
            Self::Canonical | Self::ResultFirst | Self::Is => Kind::Verification,
            Self::Question => Kind::Production,
        }
    }
}

/// The numbers behind a problem. A letter is its place in the alphabet from 0,
/// so `A+3=E` is `Terms { left: 0, right: 3, presented: Some(4) }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Terms {
    /// The first operand.
    pub left: u32,
    /// The second operand.
    pub right: u32,
    /// The result to be judged; `None` in production.
    pub presented: Option<u32>,
}

impl Terms {
    /// The right result.
    pub fn sum(self) -> u32 {
        self.left + self.right
    }

    /// Whether the presented result is right; `None` in production.
    pub fn truth(self) -> Option<bool> {
        self.presented.map(|presented| presented == self.sum())
    }
}

/// One problem to learn from or to tune on.
///
/// The verification of D for A + 3 in canonical wording would be
///
/// ```text
/// Problem {
///     task: "alphabet_arithmetic",
///     id: "A+3=D",
///     prompt: "A+3=D",
///     answer: "true",
///     kind: Verification,
///     wording: Canonical,
///     terms: Terms { left: 0, right: 3, presented: Some(3) },
/// }
/// ```
///
/// (it is evaluated, so no split holds it; `D = A+3` is there).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The name of the task.
    pub task: &'static str,
    /// The prompt without its white space. No two problems of a task share
    /// it, and its hash decides the split.
    pub id: String,
    /// What the model reads.
    pub prompt: String,
    /// What it should answer.
    pub answer: String,
    /// What the problem asks for.
    pub kind: Kind,
    /// How it is put.
    pub wording: Wording,
    /// The numbers behind the text.
    pub terms: Terms,
}

/// One item of an evaluation. The text is as people saw it, so `item_id` and
/// `condition` find their times:
///
/// ```text
/// EvaluationItem {
///     task: "addition_digit",
///     item_id: "4 + 9 = 13",
///     prompt: "4 + 9 = 13",
///     answer: "true",
///     condition: "true/nontie/sum=13",
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EvaluationItem {
    /// The name of the task.
    pub task: String,
    /// The item's name in human data; the prompt itself for built-in items.
    pub item_id: String,
    /// What the model reads.
    pub prompt: String,
    /// What it should answer.
    pub answer: String,
    /// The condition whose people's times the item is compared with.
    pub condition: String,
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
