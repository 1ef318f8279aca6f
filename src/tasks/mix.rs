//! Problems of several tasks in given proportions: what training and tuning
//! draw from.
//!
//! A draw is a pure function of (seed, split, index), so every arm of a seed
//! meets the same problems in the same order without anybody storing them.

use std::collections::BTreeMap;

use experiments::norms::Norms;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use super::corpus::solution;
use super::problem::{Problem, Split};
use super::space::Pool;
use super::{Task, TaskError, by_name, grade};
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
    /// By task and condition, the mean of ln(milliseconds).
    human_costs: BTreeMap<String, BTreeMap<String, f64>>,
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
            human_costs: BTreeMap::new(),
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

    /// The same problems, with what their conditions cost people: the mean over
    /// the condition's timed items.
    #[must_use]
    pub fn timed(mut self, norms: &Norms) -> Self {
        for task in &self.tasks {
            let mut costs: BTreeMap<String, Vec<f64>> = BTreeMap::new();
            for item in norms.items(task.name()) {
                if let (Some(condition), Some(cost)) = (&item.condition, item.human_cost()) {
                    costs.entry(condition.clone()).or_default().push(cost);
                }
            }
            let mean = |costs: Vec<f64>| costs.iter().sum::<f64>() / costs.len() as f64;
            let means = costs.into_iter().map(|(name, costs)| (name, mean(costs)));
            self.human_costs
                .insert(task.name().to_owned(), means.collect());
        }
        self
    }

    /// What conditions cost people, by task and condition.
    pub fn human_costs(&self) -> &BTreeMap<String, BTreeMap<String, f64>> {
        &self.human_costs
    }

    /// What a problem costs people, the mean of ln(milliseconds) of its
    /// condition; `None` where nobody was timed in it.
    pub fn human_cost(&self, problem: &Problem) -> Option<f64> {
        let task = self.tasks.iter().find(|task| task.name() == problem.task)?;
        let condition = task.condition(problem)?;
        self.human_costs.get(problem.task)?.get(&condition).copied()
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

    /// Whether `completion` answers a problem.
    pub fn grade(&self, problem: &Problem, completion: &str) -> bool {
        grade(problem.task, &problem.answer, completion) == Some(true)
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
