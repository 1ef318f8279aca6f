//! What a program of one's own says.
//!
//! The program is started and asked over its standard input and output, one JSON
//! object a line, so it can be written in any language. It first says
//! `{"protocol": 1, "name": "NAME"}`; a request
//! `{"id": 7, "prompts": [...], "completions": [...], ...}` it answers with
//! `{"id": 7, "scores": [1.0, null]}`, a number for each completion, or null
//! where the reward does not apply. The head of `protocol.rs` has all of it.
//!
//! ```toml
//! reward.judge = { is = "command", argv = ["node", "judge.js"], weight = 0.5 }
//! ```
//!
//! Formula: the program's own. Range: the program's own; what is not a finite
//! number or null is an error, and so is a program that dies twice over a
//! request or misses its deadline. `on_error` says what an error costs: the
//! batch (`"fail"`), the score (`"skip"`), or a value (`{ value = -1.0 }`).
//! Metrics: `errors` and `restarts`, for each completion of a batch.
//!
//! Source: the protocol is the lab's own.
//!
//! What it deliberately does not do: run a shell. `argv` is a program and its
//! arguments. It is run in the definition's folder, from which a program with a
//! `/` in its name is taken.

use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{External, OnError, Program, Workers, folder_of, program_in};
use crate::{Reward, RewardError, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "command";

/// Parameters of [`Command`].
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The program and its arguments; needed.
    pub argv: Vec<String>,
    /// Whether each score depends on nothing but its completion; otherwise the
    /// completions of a problem are always judged together.
    pub independent: bool,
    /// What is done where a completion could not be judged: `"fail"`, `"skip"`
    /// or `{ value = NUMBER }`.
    pub on_error: OnError,
    /// The processes: `count`, `batch_size`, `deadline_seconds`,
    /// `start_seconds` and `memory_mb`.
    pub workers: Workers,
}

/// A reward that a program of one's own judges.
pub struct Command(External);

impl Command {
    /// The program is not started yet; paths are taken from `folder` on.
    pub fn new(parameters: &Parameters, folder: &Path) -> Result<Self, RewardError> {
        let Some((program, arguments)) = parameters.argv.split_first() else {
            return Err(RewardError::Parameters {
                reward: NAME.to_owned(),
                message: "`argv` is needed: give the program and its arguments as a list"
                    .to_owned(),
            });
        };
        let folder = folder_of(folder);
        let program = Program {
            path: program_in(&folder, program),
            arguments: arguments.iter().map(Into::into).collect(),
            folder,
            source: None,
            judge: None,
        };
        let Parameters {
            workers,
            on_error,
            independent,
            ..
        } = parameters;
        External::new(NAME, program, workers, *on_error, *independent).map(Self)
    }
}

impl Reward for Command {
    fn name(&self) -> &'static str {
        NAME
    }

    fn start(&self) -> Result<(), RewardError> {
        self.0.started().map(drop)
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        self.0.score(batch)
    }

    fn independent(&self) -> bool {
        self.0.independent
    }
}
