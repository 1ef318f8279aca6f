//! What a completion is worth.
//!
//! A [`Reward`] judges a batch of completions ([`Scored`]) and gives each a
//! [`Score`]: a number, or "does not apply", with named parts beside it. A
//! [`Registry`] builds rewards from their names and TOML tables, and a
//! [`WeightedRewards`] adds several up into the one number that reinforcement
//! learning maximises.
//!
//! Three rules hold throughout.
//!
//! - **Nothing becomes 0 in silence.** A NaN, an infinity, a list of the wrong
//!   length or a problem that cannot be judged is a [`RewardError`] that names
//!   the reward and the position in the batch. 0 is given only by a formula.
//! - **Grading is not rewarding.** A task's own grade of an answer is not part
//!   of [`Scored`], so no reward can pass it on, and no figure of the
//!   evaluation comes from this crate. [`correct`] judges for itself.
//! - **What a model writes is data.** Malformed output has a documented reading
//!   (see [`answers`]), is read in time linear in its length, and is never
//!   evaluated.
//!
//! What this crate deliberately does not do: it knows no tensors or tokenizers,
//! no files and processes but those of [`external`], and it does not turn rewards
//! into advantages.
//!
//! # Built-in rewards
//!
//! | name | value | range |
//! |---|---|---|
//! | [`correct`] | 1 if the answer equals the expected one | {0, 1} |
//! | [`format`](mod@format) | 1 if one think block is followed by an answer, in tags if asked for | {0, 1} |
//! | [`human_cost`] | whether it is longer than on easier problems and shorter than on harder ones | \[-1, 1\] |
//! | [`length_cost`] | minus the share of the token budget spent | \[-1, 0\] |
//! | [`overlong`] | minus how far the completion is into the last tokens it may have | \[-1, 0\] |
//! | [`process`] | the share of right steps in the work on one of the lab's sums | \[0, 1\] |
//! | [`repetition`] | minus the share of word sequences that occurred before | \]-1, 0\] |
//! | [`script`] | the value of an expression | any |
//! | [`external::python`] | what a Python function says | its own |
//! | [`external::command`] | what a program says | its own |
//!
//! # A worked example
//!
//! ```
//! use rewards::{Registry, Scored, WeightedRewards};
//!
//! let table = r#"
//!     correct = 1.0                              # a number is a weight
//!     format = 0.0                               # weight 0: a metric only
//!     brevity = { is = "length_cost", weight = 0.1, kind = "linear" }
//! "#;
//! let rewards = WeightedRewards::from_table(
//!     &Registry::builtin(),
//!     &toml::from_str(table)?,
//!     std::path::Path::new("."),
//! )?;
//!
//! let item = Scored {
//!     task: "alphabet",
//!     problem: "alphabet/train/17",
//!     prompt: "A + 2 = C ?",
//!     completion: "<think> A 1 B 2 C </think> true",
//!     expected: Some("true"),
//!     reasoning_tokens: 5,
//!     completion_tokens: 8,
//!     max_new_tokens: 50,
//!     ..Scored::default()
//! };
//! let scored = rewards.score(&[item])?;
//! // 1.0 * 1 (correct) + 0.1 * (-5 / 50) (brevity): format is left out of the sum.
//! assert_eq!(scored.totals, [Some(0.99)]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A reward of one's own
//!
//! ```
//! use rewards::{Registry, Reward, RewardError, Score, Scored, Scores, schemars};
//!
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! struct Parameters {
//!     /// The word to mention.
//!     word: String,
//! }
//!
//! struct Mentions(String);
//!
//! impl Reward for Mentions {
//!     fn name(&self) -> &str {
//!         "mentions"
//!     }
//!     fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
//!         let value = |item: &Scored<'_>| f64::from(u8::from(item.completion.contains(&self.0)));
//!         Ok(batch.iter().map(|item| Score::new(value(item))).collect())
//!     }
//!     fn independent(&self) -> bool {
//!         true
//!     }
//! }
//!
//! let mut registry = Registry::builtin();
//! let about = "1 if the completion mentions the word, else 0.";
//! registry.register("mentions", about, |p: Parameters| Ok(Mentions(p.word)))?;
//! let table = toml::from_str(r#"word = "because""#)?;
//! let reward = registry.build("mentions", &table, std::path::Path::new("."))?;
//! assert_eq!(reward.name(), "mentions");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod answers;
mod arriving;
mod batch;
pub mod correct;
mod description;
mod error;
pub mod external;
pub mod format;
pub mod human_cost;
pub mod length_cost;
pub mod overlong;
pub mod process;
mod registry;
pub mod repetition;
pub mod script;
#[cfg(test)]
mod testing;
mod weighted;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

pub use schemars;

pub use answers::{Extraction, Judge};
pub use arriving::Early;
pub use batch::{BatchScores, Column};
pub use description::{Description, Parameter};
pub use error::RewardError;
pub use registry::Registry;
pub use weighted::WeightedRewards;

/// One completion and what a reward may know about it.
///
/// The task's own grade is absent on purpose: see the crate's second rule.
///
/// # Example
///
/// A model was asked whether the letter two after A is C, wrote five tokens
/// between its tags and stopped by itself:
///
/// ```
/// let item = rewards::Scored {
///     task: "alphabet",
///     problem: "alphabet/train/17",
///     prompt: "A + 2 = C ?",
///     completion: "<think> A 1 B 2 C </think> true",
///     expected: Some("true"),
///     reasoning_tokens: 5,
///     completion_tokens: 8,
///     max_new_tokens: 64,
///     ..rewards::Scored::default()
/// };
/// assert!(item.reasoning_tokens <= item.completion_tokens);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Scored<'a> {
    /// The task the problem belongs to.
    pub task: &'a str,
    /// The problem's identity. Completions of one problem in a batch share it,
    /// so a reward that compares completions can group by it.
    pub problem: &'a str,
    /// The prompt as the model read it, after any chat template.
    pub prompt: &'a str,
    /// What the model wrote, without the prompt and without special end tokens.
    pub completion: &'a str,
    /// The reference answer; `None` where the problem has none.
    pub expected: Option<&'a str>,
    /// How answers to the problem are told right from wrong.
    pub judge: Judge,
    /// Tokens of reasoning, tags not counted.
    pub reasoning_tokens: usize,
    /// Tokens the model generated, all told.
    pub completion_tokens: usize,
    /// The limit on generated tokens under which the completion was sampled.
    pub max_new_tokens: usize,
    /// Whether that limit cut the completion off.
    pub truncated: bool,
    /// The tokens that the model generated, end token included; empty where
    /// only the text is known.
    pub completion_ids: &'a [i64],
    /// What the problem costs people, the mean of ln(response time in
    /// milliseconds); `None` where nobody was timed on it.
    pub human_cost: Option<f64>,
    /// Further columns of the problem's row, for problems that come from a data
    /// set; `None` where there are none.
    pub columns: Option<&'a serde_json::Map<String, serde_json::Value>>,
}

/// What one reward says of one completion.
///
/// # Example
///
/// ```
/// use rewards::Score;
///
/// let score = Score::new(-0.25).with_part("tokens", 16.0);
/// assert_eq!(score.value, Some(-0.25));
/// assert_eq!(Score::does_not_apply().value, None);
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Score {
    /// The reward, finite; `None` where this reward does not apply to the
    /// completion, which is another thing than a reward of 0.
    pub value: Option<f64>,
    /// Named quantities the value was made from, finite, for the metrics only.
    pub parts: Vec<(Cow<'static, str>, f64)>,
}

impl Score {
    /// A score of `value` without parts.
    pub fn new(value: f64) -> Self {
        Self {
            value: Some(value),
            parts: Vec::new(),
        }
    }

    /// The score of a completion to which the reward does not apply.
    pub fn does_not_apply() -> Self {
        Self::default()
    }

    /// The same score with one more named part.
    #[must_use]
    pub fn with_part(mut self, name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.parts.push((name.into(), value));
        self
    }
}

/// What a reward says of a batch.
///
/// # Example
///
/// A reward without metrics of its own collects its scores:
///
/// ```
/// use rewards::{Score, Scores};
///
/// let scores: Scores = [1.0, 0.0].map(Score::new).into_iter().collect();
/// assert_eq!(scores.each.len(), 2);
/// let scores = scores.with_metric("agreement", 0.5);
/// assert_eq!(scores.metrics[0].1, 0.5);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scores {
    /// One for each completion, in the batch's order.
    pub each: Vec<Score>,
    /// Named quantities of the batch as a whole, finite, for the metrics only.
    pub metrics: Vec<(Cow<'static, str>, f64)>,
}

impl Scores {
    /// The same scores with one more metric of the batch.
    #[must_use]
    pub fn with_metric(mut self, name: impl Into<Cow<'static, str>>, value: f64) -> Self {
        self.metrics.push((name.into(), value));
        self
    }
}

impl FromIterator<Score> for Scores {
    fn from_iter<I: IntoIterator<Item = Score>>(scores: I) -> Self {
        Self {
            each: scores.into_iter().collect(),
            metrics: Vec::new(),
        }
    }
}

/// A judge of completions.
///
/// It sees a whole batch, so it may compare completions with one another, and
/// answers with one [`Score`] for each item, in the batch's order. It may be
/// called from any thread; its scores must not depend on earlier calls, or a
/// resumed run would differ from an uninterrupted one.
pub trait Reward: Send + Sync {
    /// The name under which it is registered.
    fn name(&self) -> &str;

    /// Starts what it needs from outside, processes and files, so that what is
    /// missing shows before anything is scored. Whoever scores without it waits
    /// for that then.
    fn start(&self) -> Result<(), RewardError> {
        Ok(())
    }

    /// Scores every item of `batch`.
    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError>;

    /// Whether a completion's score depends on nothing but the completion, so
    /// that some of a batch may be judged while others are still being sampled.
    /// How a batch is cut up then depends on the clock. Where such a reward has
    /// metrics of a batch, they must be shares or means over its completions:
    /// those of the parts are joined as their mean, weighted by completions.
    fn independent(&self) -> bool {
        false
    }
}
