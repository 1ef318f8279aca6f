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

mod work;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::mix::check_share;
use super::{Kind, Mix, Notation, Problem, Proportions, Split, Task, TaskError};
use crate::random::stream;
use work::Work;

/// How a document solves its problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Habit {
    /// The answer alone, often wrong.
    Direct,
    /// Counting, comparing, answering.
    Correct,
    /// The same with fillers, false starts and repeated verification.
    Padded,
    /// A miscount, and the answer that follows from it.
    Wrong,
    /// No problem: two values, the same or not.
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
    pub task: &'static str,
    /// How it solves the problem.
    pub habit: Habit,
    /// The problem.
    pub prompt: String,
    /// What a model should continue the prompt with, before the end of text.
    pub completion: String,
    /// Where the work is decided: the token that ends a count, the verdict of
    /// the comparison, the answer. A few tokens of many, they are learned late
    /// unless they weigh more. Direct answers have none, being noise by design.
    pub focus: Vec<usize>,
}

/// The correct work on a problem and its answer, as the corpus writes it,
/// counting from the larger operand where the task allows it.
pub fn solution(task: &dyn Task, problem: &Problem) -> String {
    let notation = task.notation();
    let mut work = Work::new(problem, &notation, false);
    work.solve();
    work.finish().0
}

/// What the corpus is made of. The four habits make up a whole.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shares {
    /// Of all documents: bare comparisons.
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
    /// Of the problems: miscounted.
    pub wrong: f64,
    /// Of the direct answers: right ones.
    pub direct_right: f64,
    /// Of the additions: counted from the first operand, not the larger.
    pub from_first: f64,
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
            ("direct_right", self.direct_right),
            ("from_first", self.from_first),
        ] {
            check_share(field, value)?;
        }
        let whole = self.direct + self.correct + self.padded + self.wrong;
        if (whole - 1.0).abs() > 1e-6 {
            return Err(TaskError::Share {
                field: "direct + correct + padded + wrong",
                value: whole,
                expected: "the habits make up a whole, 1",
            });
        }
        Ok(())
    }

    fn habit(&self, rng: &mut impl Rng) -> Habit {
        let at: f64 = rng.random();
        if at < self.direct {
            Habit::Direct
        } else if at < self.direct + self.correct {
            Habit::Correct
        } else if at < self.direct + self.correct + self.padded {
            Habit::Padded
        } else {
            Habit::Wrong
        }
    }
}

/// A false comparison is off by this much at most.
const LARGEST_DIFFERENCE: u32 = 2;

/// An endless corpus.
///
/// ```
/// use qinglan::tasks::corpus::{Corpus, Shares};
///
/// let corpus = Corpus::new(&["addition_word"], Shares::default()).unwrap();
/// assert_eq!(corpus.document(1, 5), corpus.document(1, 5));
/// ```
#[derive(Debug)]
pub struct Corpus {
    mix: Mix,
    shares: Shares,
}

impl Corpus {
    /// A corpus about the tasks called `names`, all equally frequent.
    pub fn new<S: AsRef<str>>(names: &[S], shares: Shares) -> Result<Self, TaskError> {
        shares.check()?;
        let proportions = Proportions {
            production: shares.production,
            other_wordings: shares.other_wordings,
        };
        Ok(Self {
            mix: Mix::new(names, proportions)?,
            shares,
        })
    }

    /// The document at `index` of the corpus that belongs to `seed`.
    pub fn document(&self, seed: u64, index: u64) -> Document {
        let mut rng = stream(seed, "corpus", &[index]);
        let (task, problem) = self.mix.draw(Split::Train, &mut rng);
        let notation = task.notation();
        if rng.random_bool(self.shares.comparisons) {
            return comparison(task.name(), &notation, &mut rng);
        }
        let habit = self.shares.habit(&mut rng);
        if habit == Habit::Direct {
            let right = rng.random_bool(self.shares.direct_right);
            return direct(problem, &notation, right, &mut rng);
        }
        let from_first = rng.random_bool(self.shares.from_first);
        let mut work = Work::new(problem, &notation, from_first);
        match habit {
            Habit::Padded => work.pad(&mut rng),
            Habit::Wrong => work.miscount(&mut rng),
            _ => work.solve(),
        }
        let (completion, focus) = work.finish();
        Document {
            task: problem.task,
            habit,
            prompt: problem.prompt.clone(),
            completion,
            focus,
        }
    }
}

fn comparison(task: &'static str, notation: &Notation, rng: &mut impl Rng) -> Document {
    let one = rng.random_range(notation.values.clone());
    let (other, completion) = if rng.random_bool(0.5) {
        (one, work::SAME)
    } else {
        (
            another(one, LARGEST_DIFFERENCE, notation, rng),
            work::DIFFER,
        )
    };
    let value = notation.value;
    Document {
        task,
        habit: Habit::Comparison,
        prompt: format!("{} , {}", value(one), value(other)),
        completion: completion.to_owned(),
        focus: vec![0],
    }
}

fn direct(problem: &Problem, notation: &Notation, right: bool, rng: &mut impl Rng) -> Document {
    let completion = match (right, problem.kind) {
        (true, _) => problem.answer.clone(),
        (false, Kind::Verification) => (problem.answer != "true").to_string(),
        (false, Kind::Production) => {
            let answer = another(problem.terms.sum(), LARGEST_DIFFERENCE, notation, rng);
            (notation.value)(answer)
        }
    };
    Document {
        task: problem.task,
        habit: Habit::Direct,
        prompt: problem.prompt.clone(),
        completion,
        focus: Vec::new(),
    }
}

/// A value other than `one`, at most `furthest` from it.
fn another(one: u32, furthest: u32, notation: &Notation, rng: &mut impl Rng) -> u32 {
    let difference = rng.random_range(1..=furthest);
    let up = rng.random_bool(0.5);
    // The range of values is wider than twice the difference, so one of the
    // two directions always stays inside it.
    match one.checked_sub(difference) {
        Some(below) if notation.values.contains(&below) && !up => below,
        below => match one + difference {
            above if notation.values.contains(&above) => above,
            _ => below.unwrap_or(one + difference),
        },
    }
}

#[cfg(test)]
mod tests;
