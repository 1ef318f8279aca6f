//! The tasks: which problems there are, how they are split, what people were
//! timed on, how an answer is graded; and the pre-training corpus.
//!
//! A [`Task`] yields [`Item`]s: those of its training and validation splits one by
//! one, each a pure function of seed, split and index, and those of its evaluation
//! as a list. Algorithms, the teacher, the evaluation and rewards take items of any
//! task. A task does not know which arm uses it, how a model is prompted, or what
//! is rewarded.
//!
//! Three tasks are additions by counting ([`counting`]), in three notations:
//!
//! | task | verification | production |
//! |---|---|---|
//! | `alphabet_arithmetic` | `A+3=D`: `true` | `A+3= what`: `D` |
//! | `addition_digit` | `4 + 9 = 13`: `true` | `4 + 9 = what`: `13` |
//! | `addition_word` | `four + nine = thirteen`: `true` | `four + nine = what`: `thirteen` |
//!
//! The others:
//!
//! | task | problem | answer |
//! |---|---|---|
//! | `countdown` | `countdown 3 5 7 make 22` | `3 * 5 + 7` |
//! | `game24` | `1 1 4 6` | `1 * 1 * 4 * 6` |
//! | `sternberg` | `The list 3 7 1 contains 7.` | `true` |
//! | `syllogisms` | two premises and a conclusion | `true` |
//! | `syllogism_forms` | two premises | `Aac Iac Ica` |
//! | `spatial_relations` | two premises with directions | `south-west` |

pub mod corpus;
mod countdown;
pub mod counting;
pub mod data_set;
mod game24;
pub mod grading;
mod item;
mod items;
mod mix;
mod reading;
mod reasoning_gym;
mod registry;
mod settings;
mod spatial_relations;
mod sternberg;
mod syllogisms;
mod task;
#[cfg(test)]
mod tests;
mod wording;

pub use counting::{LARGEST_NUMBER, number_word};
pub use data_set::{DataSet, Overlap, overlap};
pub use item::{Item, Split, columns_of, squeeze};
pub use items::items;
pub use mix::{Mix, Proportions};
pub use reading::{Reading, completed};
pub use registry::{COUNTING, by_name, names, open};
pub use settings::{BUILTIN_NORMS, DataSettings, ExampleSettings, ExampleTable, TaskSettings};
pub(crate) use settings::{OF_THE_CONVERSATION, is_a_folder_name};
pub use task::{Place, Task};
pub use wording::{Example, PROBLEM, Wording};

/// What can be wrong with a request for problems.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TaskError {
    /// No task has this name.
    #[error("there is no task `{name}`{}; the tasks are {}, and reasoning_gym:NAME for the data sets of that package", near(.nearest.as_deref()), all_names())]
    Unknown {
        /// The name asked for.
        name: String,
        /// The name that may have been meant.
        nearest: Option<String>,
    },
    /// A mixture of no tasks was asked for.
    #[error("no task is named; name at least one of {}", all_names())]
    NoTasks,
    /// Nobody has written worked solutions of any of these tasks.
    #[error(
        "nobody has written worked solutions of {tasks}; those of {} are there",
        worked_names()
    )]
    NotWorked {
        /// The names asked for.
        tasks: String,
    },
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

fn all_names() -> String {
    names().collect::<Vec<_>>().join(", ")
}

fn worked_names() -> String {
    let worked = |name: &&str| by_name(name).is_ok_and(|task| task.worked().is_some());
    names().filter(worked).collect::<Vec<_>>().join(", ")
}
