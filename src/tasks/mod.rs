//! The tasks: which problems there are, how they are split, what people were
//! timed on, how an answer is graded; and the pre-training corpus.
//!
//! A task does not know which arm uses it, how a model is prompted, or what is
//! rewarded.
//!
//! Every task is [`Evaluated`]: it has items and a way to grade. Four have no
//! more than that: `spatial_relations`, `game24`, `sternberg` and `syllogisms`,
//! and so has any data set of the user's. Those that models are trained on are
//! a [`Task`] on top: all three are additions by counting, in three notations:
//!
//! | task | verification | production |
//! |---|---|---|
//! | `alphabet_arithmetic` | `A+3=D`: `true` | `A+3= what`: `D` |
//! | `addition_digit` | `4 + 9 = 13`: `true` | `4 + 9 = what`: `13` |
//! | `addition_word` | `four + nine = thirteen`: `true` | `four + nine = what`: `thirteen` |
//!
//! **What is held out.** No training or validation problem has the wording of
//! an evaluation item, spaces aside: `A+3=D` is nowhere but in the evaluation.
//! The *pair* A, 3 is in training, in other wordings (`D = A+3`, `A+3 is D`)
//! and as production (`A+3= what`). Holding out the pairs altogether teaches a
//! small model that such pairs never stand in canonical wording, and it then
//! misreads an operand of every evaluation item.

mod addition;
mod addition_digit;
mod addition_word;
mod alphabet_arithmetic;
pub mod corpus;
mod evaluated;
mod game24;
pub mod grading;
mod items;
mod mix;
mod problem;
mod reading;
mod space;
mod spatial_relations;
mod sternberg;
mod syllogisms;

use std::ops::RangeInclusive;

pub use addition::LARGEST_NUMBER;
pub use addition_digit::AdditionDigit;
pub use addition_word::{AdditionWord, number_word};
pub use alphabet_arithmetic::AlphabetArithmetic;
pub use evaluated::{EVALUATED_NAMES, Evaluated, evaluated_only, grade};
pub use items::items;
pub use mix::{Mix, PROBLEM, Proportions};
pub use problem::{EvaluationItem, Kind, Problem, Split, Terms, Wording, squeeze};
pub use reading::{Reading, completed};
pub use space::Space;

/// How a task writes the numbers it counts, for whoever writes work out.
///
/// In alphabet arithmetic `(notation.value)(3)` is `D` and `(notation.step)(3)`
/// is `3`, so the third step from A reads `3 D`.
#[derive(Clone, Debug)]
pub struct Notation {
    /// Writes a value: a letter, a digit, a word.
    pub value: fn(u32) -> String,
    /// Writes the number of steps counted so far.
    pub step: fn(u32) -> String,
    /// The values that can be written.
    pub values: RangeInclusive<u32>,
    /// Whether the operands may change places, so that counting can start from
    /// the larger.
    pub commutes: bool,
}

/// What people were timed on and models are trained on.
pub trait Task: Evaluated {
    /// Every problem there is to learn from and to tune on.
    fn space(&self) -> &Space;

    /// How the task writes the numbers it counts.
    fn notation(&self) -> Notation;

    /// The condition in which people were timed on the pair and the result that
    /// `problem` presents, in whatever wording; `None` where nobody was, and for
    /// production, which nobody was asked for.
    fn condition(&self, problem: &Problem) -> Option<String>;
}

/// What can be wrong with a request for problems.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// No task has this name.
    #[error("there is no task `{name}`{}; the tasks are {}, and those that are evaluated only: {}", near(.nearest.as_deref()), NAMES.join(", "), EVALUATED_NAMES.join(", "))]
    Unknown {
        /// The name asked for.
        name: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// A task that models cannot be trained on.
    #[error("`{name}` is evaluated and has no problems to train on; those of {} can be drawn", NAMES.join(", "))]
    NotTrained {
        /// The name asked for.
        name: String,
    },
    /// A mixture of no tasks was asked for.
    #[error("no task is named; name at least one of {}", NAMES.join(", "))]
    NoTasks,
    /// A share is not between 0 and 1, or shares that make up a whole do not
    /// add up to 1.
    #[error("`{field}` is {value}; {expected}")]
    Share {
        /// The field, as a definition spells it.
        field: &'static str,
        /// Its value, or the sum of the shares.
        value: f64,
        /// What it should be.
        expected: &'static str,
    },
}

fn near(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!(" (did you mean `{name}`?)"))
}

/// The names of the tasks that models are trained on.
pub const NAMES: [&str; 3] = [
    alphabet_arithmetic::NAME,
    addition_digit::NAME,
    addition_word::NAME,
];

/// How alike two names must be (Jaro-Winkler, 1 = equal) for one to be offered
/// in place of the other.
const NEAR: f64 = 0.8;

/// Those of `names` that models are trained on; the others are evaluated only.
pub fn trained_on(names: &[String]) -> Vec<&str> {
    let names = names.iter().map(String::as_str);
    names.filter(|name| NAMES.contains(name)).collect()
}

/// The task called `name`, which models are trained on.
///
/// ```
/// use qinglan::tasks;
///
/// assert_eq!(tasks::by_name("addition_digit").unwrap().name(), "addition_digit");
/// let error = tasks::by_name("adition_digits").unwrap_err();
/// assert!(error.to_string().contains("did you mean `addition_digit`?"));
/// ```
pub fn by_name(name: &str) -> Result<Box<dyn Task>, TaskError> {
    match name {
        alphabet_arithmetic::NAME => Ok(Box::new(AlphabetArithmetic::new())),
        addition_digit::NAME => Ok(Box::new(AdditionDigit::new())),
        addition_word::NAME => Ok(Box::new(AdditionWord::new())),
        _ => {
            known(name)?;
            Err(TaskError::NotTrained {
                name: name.to_owned(),
            })
        }
    }
}

/// Refuses a name that no task of the lab has, trained on or not.
pub fn known(name: &str) -> Result<(), TaskError> {
    if NAMES.contains(&name) || EVALUATED_NAMES.contains(&name) {
        return Ok(());
    }
    let nearest = NAMES
        .iter()
        .chain(&EVALUATED_NAMES)
        .map(|known| (strsim::jaro_winkler(name, known), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= NEAR)
        .map(|(_, known)| known.to_owned());
    Err(TaskError::Unknown {
        name: name.to_owned(),
        nearest,
    })
}

#[cfg(test)]
mod tests;
