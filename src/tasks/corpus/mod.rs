//! The pre-training corpus: problems with worked solutions of mixed habits, so
//! that a base model can do the tasks in several ways, some worse than others,
//! and post-training has something to choose from.
//!
//! A document is a pure function of (seed, index). It is made of training
//! problems only: neither evaluated nor validation wordings occur in it.
//!
//! The habits, for the problem `D = A+3`:
//!
//! | habit | completion |
//! |---|---|
//! | direct | `true` |
//! | correct | `<think> A + 3 ? A 1 B 2 C 3 D ; D , D same </think> true` |
//! | padded | `<think> hmm . A + 3 ? A 1 B wait . start again . A + 3 ? A 1 B 2 C 3 D ; D , D same </think> true` |
//! | wrong | `<think> A + 3 ? A 1 B 2 C 3 C ; C , D differ </think> false` |
//!
//! Each token of such work can be had from the few before it: the operands are
//! copied into a fixed place, every step is the token two back plus one, `;`
//! comes when the step equals the addend, and the comparison looks at two
//! neighbouring values. A bare comparison (`D , E`: `differ`) is a document of
//! its own, in the same words, because a small model otherwise learns the
//! comparison last or never.

use anyhow::{Context, Result};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::fmt::Debug;

use super::mix::check_share;
use super::{Item, Mix, Proportions, Split, TaskError};
use crate::random::{Stream, stream};

/// How the problems of a task are worked out in so many words.
///
/// A task that implements it can be pre-trained on from scratch, and its solutions
/// can be imitated.
pub trait Worked: Debug + Send + Sync {
    /// The correct work on an item of the task, and its answer, in the fewest
    /// words.
    fn solution(&self, item: &Item) -> Result<Written>;

    /// The work on an item in the manner of `habit`; what else it depends on is
    /// drawn from `random`.
    fn work(
        &self,
        item: &Item,
        habit: Habit,
        shares: &Shares,
        random: &mut Stream,
    ) -> Result<Written>;

    /// A bare exercise in a step that work is made of, with its prompt; `None` where
    /// the task has none.
    fn exercise(&self, _random: &mut Stream) -> Option<(String, Written)> {
        None
    }
}

/// What a model should continue a prompt with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The text, before the end of text: its tokens joined by single spaces.
    pub completion: String,
    /// Where the work is decided: places of tokens in the text, from 0 on. A few
    /// tokens of many, they are learned late unless they weigh more.
    pub focus: Vec<usize>,
}

/// How a document solves its problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Habit {
    /// The answer alone, often wrong.
    Direct,
    /// The steps of a solution and no other.
    Correct,
    /// The same with fillers, false starts and repeated verification.
    Padded,
    /// A mistake, and the answer that follows from it.
    Wrong,
    /// Tries that fail, are undone, and go on until one succeeds.
    Search,
    /// No problem: an exercise in a step.
    Comparison,
}

/// One text to learn from.
///
/// For the problem `D = A+3` done correctly:
///
/// ```text
/// Document {
///     task: "alphabet_arithmetic",
///     habit: Correct,
///     prompt: "D = A+3",
///     completion: "<think> A + 3 ? A 1 B 2 C 3 D ; D , D same </think> true",
///     focus: [12, 16, 18],
/// }
/// ```
///
/// The completion is its tokens joined by single spaces, and `focus` counts
/// these tokens from 0: here `;`, `same` and `true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The task whose notation it is in.
    pub task: String,
    /// How it solves the problem.
    pub habit: Habit,
    /// The problem.
    pub prompt: String,
    /// What a model should continue the prompt with, before the end of text.
    pub completion: String,
    /// Where the work is decided: the token that ends a count, the verdict of
    /// the comparison, the answer. Direct answers have none, being noise by design.
    pub focus: Vec<usize>,
}

/// What the corpus is made of. The habits make up a whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shares {
    /// Of all documents of tasks that have such: bare exercises in a step.
    pub comparisons: f64,
    /// Of the problems: production.
    pub production: f64,
    /// Of the verification problems: other than canonical wording.
    pub other_wordings: f64,
    /// Of the problems: answered directly.
    pub direct: f64,
    /// Of the problems: correct work.
    pub correct: f64,
    /// Of the problems: correct work, padded.
    pub padded: f64,
    /// Of the problems: with a mistake.
    pub wrong: f64,
    /// Of the problems: search, with tries that fail.
    #[serde(skip_serializing_if = "is_no_share")]
    pub search: f64,
    /// How many tries a search makes at most at one place before the next must
    /// succeed.
    #[serde(skip_serializing_if = "is_usual_breadth")]
    pub breadth: u32,
    /// How many steps a failing try goes before it is undone, at most.
    #[serde(skip_serializing_if = "is_usual_depth")]
    pub depth: u32,
    /// Of the direct answers: right ones.
    pub direct_right: f64,
    /// Of the additions: counted from the first operand, not the larger.
    pub from_first: f64,
}

/// Failing tries at one place as a rule, at most.
const BREADTH: u32 = 2;
/// Steps of a failing try as a rule, at most.
const DEPTH: u32 = 2;

// What is as usual is not written down: a corpus without search is known by the
// name that it had before there was any.

fn is_no_share<T: PartialEq + Default>(share: &T) -> bool {
    *share == T::default()
}

fn is_usual_breadth<T: PartialEq<u32>>(breadth: &T) -> bool {
    *breadth == BREADTH
}

fn is_usual_depth<T: PartialEq<u32>>(depth: &T) -> bool {
    *depth == DEPTH
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            comparisons: 0.2,
            production: 0.25,
            other_wordings: 1.0 / 3.0,
            direct: 0.25,
            correct: 0.45,
            padded: 0.2,
            wrong: 0.1,
            search: 0.0,
            breadth: BREADTH,
            depth: DEPTH,
            direct_right: 0.7,
            from_first: 0.25,
        }
    }
}

impl Shares {
    fn check(&self) -> Result<(), TaskError> {
        for (field, value) in [
            ("comparisons", self.comparisons),
            ("direct", self.direct),
            ("correct", self.correct),
            ("padded", self.padded),
            ("wrong", self.wrong),
            ("search", self.search),
            ("direct_right", self.direct_right),
            ("from_first", self.from_first),
        ] {
            check_share(field, value)?;
        }
        let whole = self.direct + self.correct + self.padded + self.wrong + self.search;
        if (whole - 1.0).abs() > 1e-6 {
            return Err(TaskError::Share {
                field: "direct + correct + padded + wrong + search",
                value: whole,
                expected: "the habits make up a whole, 1",
            });
        }
        Ok(())
    }

    fn habit(&self, random: &mut Stream) -> Habit {
        let at: f64 = random.random();
        if at < self.direct {
            Habit::Direct
        } else if at < self.direct + self.correct {
            Habit::Correct
        } else if at < self.direct + self.correct + self.padded {
            Habit::Padded
        } else if at < self.direct + self.correct + self.padded + self.search {
            Habit::Search
        } else {
            Habit::Wrong
        }
    }
}

/// An endless corpus.
///
/// ```
/// use qinglan::tasks::corpus::{Corpus, Shares};
///
/// let corpus = Corpus::new(&["addition_word"], Shares::default()).unwrap();
/// assert_eq!(corpus.document(1, 5).unwrap(), corpus.document(1, 5).unwrap());
/// ```
#[derive(Debug)]
pub struct Corpus {
    mix: Mix,
    shares: Shares,
}

impl Corpus {
    /// A corpus about those of `mix` whose work somebody has written, all equally
    /// frequent.
    pub fn of(mix: &Mix, shares: Shares) -> Result<Self, TaskError> {
        shares.check()?;
        let all = mix.tasks().iter();
        let worked: Vec<_> = all.filter(|task| task.worked().is_some()).collect();
        if worked.is_empty() {
            return Err(TaskError::NotWorked {
                tasks: mix.names().join(", "),
            });
        }
        let proportions = Proportions {
            production: shares.production,
            other_wordings: shares.other_wordings,
        };
        Ok(Self {
            mix: Mix::of(worked.into_iter().cloned().collect(), proportions)?,
            shares,
        })
    }

    /// A corpus about the lab's tasks called `names`.
    pub fn new<S: AsRef<str>>(names: &[S], shares: Shares) -> Result<Self> {
        Ok(Self::of(&Mix::new(names, Proportions::default())?, shares)?)
    }

    /// The names of the tasks that it is about.
    pub fn tasks(&self) -> Vec<String> {
        self.mix.names()
    }

    /// The document at `index` of the corpus that belongs to `seed`.
    pub fn document(&self, seed: u64, index: u64) -> Result<Document> {
        let mut random = stream(seed, "corpus", &[index]);
        let (task, item) = self.mix.draw(Split::Train, (seed, index), &mut random)?;
        let worked = task
            .worked()
            .with_context(|| format!("nobody has written how {} is worked", task.name()))?;
        let task = task.name().to_owned();
        let document = |habit, prompt, written: Written| Document {
            task,
            habit,
            prompt,
            completion: written.completion,
            focus: written.focus,
        };
        if random.random_bool(self.shares.comparisons)
            && let Some((prompt, written)) = worked.exercise(&mut random)
        {
            return Ok(document(Habit::Comparison, prompt, written));
        }
        let habit = self.shares.habit(&mut random);
        let written = worked.work(&item, habit, &self.shares, &mut random)?;
        Ok(document(habit, item.prompt, written))
    }
}

#[cfg(test)]
mod tests;
