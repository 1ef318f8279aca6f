//! What makes a comparison impossible.

use thiserror::Error;

/// What makes a comparison impossible.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ComparisonError {
    /// No arm or no task.
    #[error("a comparison without {0}: name at least one in the definition")]
    Nothing(&'static str),
    /// A name given twice.
    #[error("{what} `{name}` is named twice; give each its own name")]
    Twice {
        /// "arm" or "task".
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A base, start or teacher that is no arm.
    #[error(
        "arm `{arm}` names `{name}` as its {relation}, which is no arm (there are: {known}); add it or correct the name"
    )]
    UnknownArm {
        /// The arm.
        arm: String,
        /// "base" or "teacher".
        relation: &'static str,
        /// The name it gives.
        name: String,
        /// The arms there are.
        known: String,
    },
    /// A baseline that is no arm.
    #[error("the baseline `{name}` is no arm (there are: {known})")]
    UnknownBaseline {
        /// The name given.
        name: String,
        /// The arms there are.
        known: String,
    },
    /// An arm nobody evaluated.
    #[error(
        "no trace record of arm `{arm}` on the tasks {tasks} (there are records of: {present}); evaluate it, or leave it out of the arms"
    )]
    NoTraces {
        /// The arm.
        arm: String,
        /// The tasks asked for.
        tasks: String,
        /// Models in the records.
        present: String,
    },
}
