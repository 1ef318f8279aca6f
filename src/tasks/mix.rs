//! Problems of several tasks in given proportions: what training and tuning
//! draw from.
//!
//! A draw is a pure function of (seed, split, index), so every arm of a seed
//! meets the same problems in the same order without anybody storing them.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::corpus::solution;
use super::problem::{Problem, Split};
use super::space::Pool;
use super::{Task, TaskError, by_name};
use crate::random::stream;

/// How many of the problems are of which kind and wording. True and false
/// results are always equally frequent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Proportions {
    /// The share of production problems.
    pub production: f64,
    /// The share of the *verification* problems in other than canonical
    /// wording.
    pub other_wordings: f64,
}

impl Default for Proportions {
    /// A fifth production, a third of the rest in other wordings.
    fn default() -> Self {
        Self {
            production: 0.2,
            other_wordings: 1.0 / 3.0,
        }
    }
}

/// Tasks to draw problems from.
///
/// ```
/// use qinglan::tasks::{Mix, Proportions, Split};
///
/// let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
/// let problem = mix.problem(1, Split::Train, 0);
/// assert_eq!(problem, mix.problem(1, Split::Train, 0));
/// assert!(mix.tasks()[0].grade(&problem.answer, &problem.answer));
/// ```
#[derive(Debug)]
pub struct Mix {
    tasks: Vec<Box<dyn Task>>,
    proportions: Proportions,
    instructions: BTreeMap<String, String>,
}

/// Stands for the problem in an instruction.
pub const PROBLEM: &str = "{problem}";

impl Mix {
    /// A mixture of the tasks called `names`, all equally frequent.
    pub fn new<S: AsRef<str>>(names: &[S], proportions: Proportions) -> Result<Self, TaskError> {
        if names.is_empty() {
            return Err(TaskError::NoTasks);
        }
        check_share("production", proportions.production)?;
        check_share("other_wordings", proportions.other_wordings)?;
        let tasks = names.iter().map(|name| by_name(name.as_ref()));
        Ok(Self {
            tasks: tasks.collect::<Result<_, _>>()?,
            proportions,
            instructions: BTreeMap::new(),
        })
    }

    /// The same problems, asked by an instruction of their task that holds
    /// [`PROBLEM`]; a task without one is asked the bare problem.
    #[must_use]
    pub fn asking(self, instructions: BTreeMap<String, String>) -> Self {
        Self {
            instructions,
            ..self
        }
    }

    /// A problem's text as a model is asked it.
    pub fn ask(&self, task: &str, problem: &str) -> String {
        match self.instructions.get(task) {
            Some(instruction) => instruction.replace(PROBLEM, problem),
            None => problem.to_owned(),
        }
    }

    /// The tasks, in the order of their names.
    pub fn tasks(&self) -> &[Box<dyn Task>] {
        &self.tasks
    }

    /// The problem at `index` of the endless list that belongs to `seed` and
    /// `split`.
    pub fn problem(&self, seed: u64, split: Split, index: u64) -> Problem {
        let mut rng = stream(seed, "problem", &[split as u64, index]);
        let problem = self.draw(split, &mut rng).1.clone();
        Problem {
            prompt: self.ask(problem.task, &problem.prompt),
            ..problem
        }
    }

    /// The same problem with the correct work on it, as the corpus writes it.
    pub fn solved(&self, seed: u64, split: Split, index: u64) -> (Problem, String) {
        let mut rng = stream(seed, "problem", &[split as u64, index]);
        let (task, bare) = self.draw(split, &mut rng);
        (self.problem(seed, split, index), solution(task, bare))
    }

    /// One problem, and the task it is of.
    pub(super) fn draw(&self, split: Split, rng: &mut impl Rng) -> (&dyn Task, &Problem) {
        let task = &*self.tasks[rng.random_range(0..self.tasks.len() as u64) as usize];
        let pool = if rng.random_bool(self.proportions.production) {
            Pool::Production
        } else if rng.random_bool(self.proportions.other_wordings) {
            Pool::Other(rng.random_bool(0.5))
        } else {
            Pool::Canonical(rng.random_bool(0.5))
        };
        (task, task.space().draw(split, pool, rng))
    }
}

/// Refuses a share that is not between 0 and 1, NaN included.
pub(super) fn check_share(field: &'static str, value: f64) -> Result<(), TaskError> {
    if (0.0..=1.0).contains(&value) {
        Ok(())
    } else {
        Err(TaskError::Share {
            field,
            value,
            expected: "a share lies between 0 and 1",
        })
    }
}
