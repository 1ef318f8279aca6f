//! What a Python function says that was written for TRL, verl or `reasoning_gym`.
//!
//! The function is left as it is and called in processes of its own:
//!
//! | `calls` | what is called | needs |
//! |---|---|---|
//! | `trl` (default) | `f(prompts, completions, completion_ids, **columns)`, plain or `async`, on whole groups; a list of floats or None | `file`, `function` |
//! | `verl` | `compute_score(data_source, solution_str, ground_truth, extra_info)`, plain or `async`, on each completion; a float, or a dict with `score` | `file` |
//! | `reasoning_gym` | `score_answer(answer, entry)` of the data set that the problem is from, on the answer that the lab extracts | the package |
//!
//! ```toml
//! reward.accuracy = { is = "python", file = "rewards.py", function = "accuracy", on_error = "skip", workers = { count = 4, deadline_seconds = 10.0 } }
//! ```
//!
//! Formula: the function's own. Range: the function's own. None of a `trl`
//! function means that the reward does not apply. A NaN, a string, a list of
//! the wrong length, nothing at all, an exception, two deaths of the process
//! over the same completions and a missed deadline are errors. `on_error` says
//! what an error costs: the batch (`"fail"`), the score (`"skip"`), or a value
//! (`{ value = -1.0 }`). Metrics: `errors` and `restarts`, for each completion
//! of a batch.
//!
//! # TRL
//!
//! Columns are those of the data set under their own names; beside them, where
//! the data set has no such column, `answer`, `solution` and `ground_truth` (the
//! reference answer), `task`, `problem`, `human_cost`, `reasoning_tokens`,
//! `completion_tokens`, `max_new_tokens` and `truncated`. `form` says whether
//! prompts and completions are strings or lists of messages. The message of a
//! prompt is the data set's own where its column `prompt` holds messages, else
//! one message of the user with the prompt as the model read it. Numbers that
//! the function gives to `log_extra` become parts, those that it gives to
//! `log_metric` metrics. `trainer_state` has no attributes here: scores may not
//! depend on how far a training is.
//!
//! # verl
//!
//! `data_source` and `extra_info` are the columns of these names, else the task
//! and an empty dict; `ground_truth` is that of the column `reward_model`, else
//! the column `ground_truth`, else the reference answer. Other numbers of the
//! dict become parts.
//!
//! # `reasoning_gym`
//!
//! The column `metadata` (a dict, or JSON text) names the `source_dataset`; the
//! columns `question` and `answer` complete the entry, else the prompt and the
//! reference answer do.
//!
//! Sources: TRL 1.16, `GRPOTrainer._calculate_rewards`; verl,
//! `NaiveRewardManager`; `reasoning_gym` 0.1.25, `get_score_answer_fn`.
//! Departure: TRL calls once for all the completions of a step, the lab for
//! `workers.batch_size` of them, and never parts those of a problem.
//!
//! What it deliberately does not do: correct a function, or turn its exceptions
//! into 0. What it prints goes to the log.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{External, OnError, Program, Workers, folder_of, program_in};
use crate::{Reward, RewardError, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "python";

/// The other end of the protocol.
pub(super) const ADAPTER: &str = include_str!("../../python/qinglan_rewards.py");

/// For whom the function was written. See the module for what that means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Calls {
    /// TRL's trainers.
    #[default]
    Trl,
    /// verl's reward managers.
    Verl,
    /// The data sets of `reasoning_gym`.
    ReasoningGym,
}

/// How a TRL function gets prompts and completions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// As strings.
    #[default]
    Standard,
    /// As lists of messages.
    Conversational,
}

/// Parameters of [`Python`].
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// For whom the function was written.
    pub calls: Calls,
    /// The Python file, with a name in `.py`, taken from the definition's folder on; refused for
    /// `reasoning_gym`.
    pub file: Option<PathBuf>,
    /// The function in it; `compute_score` for verl if left out; refused for
    /// `reasoning_gym`.
    pub function: Option<String>,
    /// How a TRL function gets prompts and completions.
    pub form: Form,
    /// Whether each score of a TRL function depends on nothing but its
    /// completion; those of the others always do.
    pub independent: bool,
    /// The Python to run, 3.9 or later: a name, or a path from the definition's
    /// folder on.
    pub interpreter: String,
    /// What is done where a completion could not be judged: `"fail"`, `"skip"`
    /// or `{ value = NUMBER }`.
    pub on_error: OnError,
    /// The processes: `count`, `batch_size`, `deadline_seconds`,
    /// `start_seconds` and `memory_mb`.
    pub workers: Workers,
}

impl Default for Parameters {
    fn default() -> Self {
        Self {
            calls: Calls::default(),
            file: None,
            function: None,
            form: Form::default(),
            independent: false,
            interpreter: "python3".to_owned(),
            on_error: OnError::default(),
            workers: Workers::default(),
        }
    }
}

/// What the adapter is told, as its only argument.
#[derive(Serialize)]
struct Settings<'a> {
    calls: Calls,
    file: Option<&'a Path>,
    function: Option<&'a str>,
    form: Form,
}

/// A reward that a Python function judges.
pub struct Python(External);

impl Python {
    /// Python is not started yet; paths are taken from `folder` on.
    pub fn new(parameters: &Parameters, folder: &Path) -> Result<Self, RewardError> {
        let wrong = |message: String| RewardError::Parameters {
            reward: NAME.to_owned(),
            message,
        };
        let Parameters {
            calls,
            file,
            function,
            form,
            ..
        } = parameters;
        let function = match (calls, file, function) {
            (Calls::Trl, Some(_), None) => {
                return Err(wrong(
                    "`function` is needed: name a function of the file".to_owned(),
                ));
            }
            (Calls::Trl | Calls::Verl, None, _) => {
                return Err(wrong(
                    "`file` is needed: give the Python file that has the function".to_owned(),
                ));
            }
            (Calls::Verl, Some(_), None) => Some("compute_score"),
            (Calls::ReasoningGym, None, None) => None,
            (Calls::ReasoningGym, _, _) => {
                return Err(wrong(
                    "`file` and `function` have no meaning with calls `reasoning_gym`, \
                     which names its own: leave them out"
                        .to_owned(),
                ));
            }
            (_, _, Some(function)) => Some(function.as_str()),
        };
        if *form == Form::Conversational && *calls != Calls::Trl {
            return Err(wrong(
                "`form` has a meaning only with calls `trl`: leave it out".to_owned(),
            ));
        }
        let folder = folder_of(folder);
        let path = file.as_ref().map(|file| folder.join(file));
        let settings = Settings {
            calls: *calls,
            file: path.as_deref(),
            function,
            form: *form,
        };
        let settings = serde_json::to_string(&settings)
            .map_err(|error| wrong(format!("`file` cannot be passed on: {error}")))?;
        let judge = match (function, file) {
            (Some(function), Some(file)) => format!("`{function}` in {}", file.display()),
            _ => "`score_answer` of reasoning_gym".to_owned(),
        };
        let program = Program {
            path: program_in(&folder, &parameters.interpreter),
            arguments: ["-c", ADAPTER, &settings].map(Into::into).into(),
            folder,
            source: path,
            judge: Some(judge),
        };
        let independent = parameters.independent || *calls != Calls::Trl;
        let Parameters {
            workers, on_error, ..
        } = parameters;
        External::new(NAME, program, workers, *on_error, independent).map(Self)
    }
}

impl Reward for Python {
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
