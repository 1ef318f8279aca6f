//! Everything that can go wrong with rewards, in one type.
//!
//! Each message says what was wrong, where, and what to do. Malformed model
//! output is not among them: it is scored by rule.

/// An error in building, combining or computing rewards.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RewardError {
    /// No reward is registered under the name.
    #[error(
        "unknown reward `{name}`{}; the rewards are {}",
        suggest(near),
        list(all)
    )]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Registered names that resemble it, nearest first.
        near: Vec<String>,
        /// All registered names, in alphabetical order.
        all: Vec<String>,
    },
    /// A reward with the name exists already.
    #[error("there is already a reward named `{name}`: give this one another name")]
    Duplicate {
        /// The name in question.
        name: String,
    },
    /// The name cannot appear in a metric's name or as a TOML key.
    #[error("`{name}` cannot name a reward: use one or more of a-z, A-Z, 0-9, `_` and `-`")]
    Name {
        /// The name in question.
        name: String,
    },
    /// A parameter is unknown, missing, of the wrong type or out of range.
    #[error("reward `{reward}`: {message}")]
    Parameters {
        /// The reward being built.
        reward: String,
        /// What is wrong with its table.
        message: String,
    },
    /// A weight is not a finite number.
    #[error("reward `{reward}`: the weight is {weight}; give a finite number (0: metric only)")]
    Weight {
        /// The reward in question.
        reward: String,
        /// Its weight.
        weight: f64,
    },
    /// A set of rewards is empty.
    #[error("no reward is given: name at least one, such as `correct = 1.0`")]
    Empty,
    /// A reward gave too few or too many scores.
    #[error(
        "reward `{reward}` gave {actual} scores for {expected} completions: \
         it must give one for each, in their order"
    )]
    Length {
        /// The reward in question.
        reward: String,
        /// Completions in the batch.
        expected: usize,
        /// Scores that came back.
        actual: usize,
    },
    /// A value, a part, or the weighted total is NaN or infinite.
    #[error(
        "reward `{reward}`: {quantity} of completion {index} (counted from 0) of the batch \
         is {value}: it must be finite; return `None` where the reward does not apply"
    )]
    NotFinite {
        /// The reward in question.
        reward: String,
        /// Position in the batch, from 0.
        index: usize,
        /// Which number: the value, or a named part.
        quantity: String,
        /// What it was.
        value: f64,
    },
    /// A metric of a batch is NaN or infinite.
    #[error("reward `{reward}`: its metric `{metric}` is {value}: leave out what is undefined")]
    MetricNotFinite {
        /// The reward in question.
        reward: String,
        /// The metric's name.
        metric: String,
        /// What it was.
        value: f64,
    },
    /// Finite values and finite weights added up to something infinite.
    #[error(
        "the weighted sum of rewards for completion {index} (counted from 0) of the batch \
         is {value}: use smaller weights"
    )]
    Total {
        /// Position in the batch, from 0.
        index: usize,
        /// What the sum was.
        value: f64,
    },
    /// A completion cannot be judged because of its problem or its settings.
    #[error(
        "reward `{reward}` cannot judge completion {index} (counted from 0) of the batch, \
         problem `{problem}`: {message}"
    )]
    Item {
        /// The reward in question.
        reward: String,
        /// Position in the batch, from 0.
        index: usize,
        /// The problem's identity.
        problem: String,
        /// Why, and what to do.
        message: String,
    },
    /// An item's answers cannot be judged because of what it expects, or because the
    /// judge cannot be asked.
    #[error("the answer cannot be judged: {message}")]
    Answer {
        /// Why, and what to do.
        message: String,
    },
    /// A data set of `reasoning_gym` cannot be used.
    #[error("reasoning_gym's data set `{dataset}`: {message}")]
    Gym {
        /// The data set's name.
        dataset: String,
        /// Why, and what to do.
        message: String,
    },
    /// A process that judged a completion was ended by a signal, which is nobody's
    /// answer to the completion.
    #[error(
        "reward `{reward}` could not judge completion {index} (counted from 0) of the batch, \
         problem `{problem}`: {message}"
    )]
    Killed {
        /// The reward in question.
        reward: String,
        /// Position in the batch, from 0.
        index: usize,
        /// The problem's identity.
        problem: String,
        /// What happened.
        message: String,
    },
    /// A reward failed for reasons of its own.
    #[error("reward `{reward}` failed")]
    Failed {
        /// The reward in question.
        reward: String,
        /// What it reported.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RewardError {
    /// Whether something went wrong where nothing need be wrong with what the
    /// user wrote, so that another try may go well.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Killed { .. } | Self::Failed { .. })
    }

    /// The same error where a signal ended the process that judged.
    pub(crate) fn killed(self) -> Self {
        match self {
            Self::Item {
                reward,
                index,
                problem,
                message,
            } => Self::Killed {
                reward,
                index,
                problem,
                message,
            },
            other => other,
        }
    }

    /// The same error of a reward that goes by `name`.
    pub(crate) fn of(mut self, name: &str) -> Self {
        if let Self::Parameters { reward, .. }
        | Self::Item { reward, .. }
        | Self::Killed { reward, .. }
        | Self::Failed { reward, .. } = &mut self
        {
            name.clone_into(reward);
        }
        self
    }

    /// The same error of a part of a batch, whose completions have these places
    /// in the whole.
    pub(crate) fn within(mut self, places: impl Fn(usize) -> Option<usize>) -> Self {
        if let Self::NotFinite { index, .. }
        | Self::Item { index, .. }
        | Self::Killed { index, .. } = &mut self
        {
            *index = places(*index).unwrap_or(*index);
        }
        self
    }
}

pub(crate) fn suggest(near: &[String]) -> String {
    if near.is_empty() {
        String::new()
    } else {
        format!(" (did you mean {}?)", join(near, " or "))
    }
}

fn list(all: &[String]) -> String {
    if all.is_empty() {
        "none: the registry is empty".to_owned()
    } else {
        join(all, ", ")
    }
}

pub(crate) fn join(names: &[String], separator: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(separator)
}
