//! Items of several tasks in given proportions: what training and tuning draw
//! from.
//!
//! A draw is a pure function of (seed, split, index), so every arm of a seed
//! meets the same problems in the same order without anybody storing them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use experiments::norms::Norms;
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::item::{Item, Split};
use super::{COUNTING, Place, Task, TaskError, Wording, by_name};
use crate::random::{Stream, stream};

/// How many of the problems are of which kind and wording, for tasks that have
/// several. True and false results are always equally frequent.
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

/// Tasks to draw items from, all equally frequent.
///
/// ```
/// use qinglan::tasks::{Mix, Proportions, Split};
///
/// let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
/// let item = mix.item(1, Split::Train, 0).unwrap();
/// assert_eq!(item, mix.item(1, Split::Train, 0).unwrap());
/// assert_eq!(item.grade(&item.answer).unwrap(), Some(true));
/// ```
#[derive(Clone, Debug)]
pub struct Mix {
    tasks: Vec<Arc<dyn Task>>,
    proportions: Proportions,
    wording: Wording,
    /// By task and condition, the mean of ln(milliseconds).
    human_costs: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Mix {
    /// A mixture of the lab's tasks called `names`.
    pub fn new<S: AsRef<str>>(names: &[S], proportions: Proportions) -> Result<Self> {
        let tasks = names.iter().map(|name| by_name(name.as_ref()));
        Ok(Self::of(tasks.collect::<Result<_>>()?, proportions)?)
    }

    /// A mixture of these tasks.
    pub fn of(tasks: Vec<Arc<dyn Task>>, proportions: Proportions) -> Result<Self, TaskError> {
        if tasks.is_empty() {
            return Err(TaskError::NoTasks);
        }
        check_share("production", proportions.production)?;
        check_share("other_wordings", proportions.other_wordings)?;
        Ok(Self {
            tasks,
            proportions,
            wording: Wording::default(),
            human_costs: BTreeMap::new(),
        })
    }

    /// What an arm learns from: those of its tasks that `names` has, in that order;
    /// where `names` is absent, all that there are problems to train on of.
    pub fn learned_from(&self, names: Option<&[String]>) -> Result<Self> {
        let tasks: Vec<_> = match names {
            None => {
                let all = self.tasks.iter();
                all.filter(|task| task.trains()).cloned().collect()
            }
            Some(names) => {
                let find = |name: &String| self.tasks.iter().find(|task| task.name() == name);
                names.iter().filter_map(find).cloned().collect()
            }
        };
        ensure!(
            !tasks.is_empty(),
            "there are no problems to train on: {} can be evaluated only; add a task to tasks.names that models can be trained on, such as {}",
            self.names().join(", "),
            COUNTING.join(", ")
        );
        for task in &tasks {
            ensure!(
                task.trains(),
                "{} can be evaluated only: there are no problems of it to train on",
                task.name()
            );
        }
        Ok(Self {
            tasks,
            ..self.clone()
        })
    }

    /// The words that its tasks need in the lab's own vocabulary beyond those that
    /// are always there.
    pub fn words(&self) -> Vec<String> {
        self.tasks.iter().flat_map(|task| task.words()).collect()
    }

    /// The same problems, asked in these words; a task without an instruction is asked
    /// the bare problem.
    #[must_use]
    pub fn asking(self, wording: Wording) -> Self {
        Self { wording, ..self }
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

    /// How problems are asked.
    pub fn wording(&self) -> &Wording {
        &self.wording
    }

    /// The tasks, in the order of their names.
    pub fn tasks(&self) -> &[Arc<dyn Task>] {
        &self.tasks
    }

    /// The names of the tasks.
    pub fn names(&self) -> Vec<String> {
        self.tasks
            .iter()
            .map(|task| task.name().to_owned())
            .collect()
    }

    /// The item at `index` of the endless list that belongs to `seed` and `split`,
    /// as a model is asked it.
    pub fn item(&self, seed: u64, split: Split, index: u64) -> Result<Item> {
        let (_, bare) = self.drawn(seed, split, index)?;
        Ok(self.posed(bare))
    }

    /// The same item with the correct work on it, as the corpus writes it; `None`
    /// where nobody has written how its task is worked.
    pub fn solved(&self, seed: u64, split: Split, index: u64) -> Result<(Item, Option<String>)> {
        let (task, bare) = self.drawn(seed, split, index)?;
        let solution = task.solution(&bare)?;
        Ok((self.posed(bare), solution))
    }

    /// The item that a task calls `id`, where it can tell.
    pub fn find(&self, task: &str, id: &str) -> Result<Option<Item>> {
        let task = self.tasks.iter().find(|known| known.name() == task);
        let found = task.map(|task| task.find(id)).transpose()?.flatten();
        Ok(found.map(|bare| self.posed(bare)))
    }

    fn posed(&self, bare: Item) -> Item {
        let costs = self.human_costs.get(&bare.task);
        let human_cost = costs.and_then(|costs| costs.get(&bare.condition).copied());
        Item {
            human_cost,
            ..self.wording.asked(bare)
        }
    }

    fn drawn(&self, seed: u64, split: Split, index: u64) -> Result<(&dyn Task, Item)> {
        let mut random = stream(seed, "problem", &[split as u64, index]);
        self.draw(split, (seed, index), &mut random)
    }

    /// One item, not yet asked, and the task it is of.
    pub(super) fn draw(
        &self,
        split: Split,
        (seed, index): (u64, u64),
        random: &mut Stream,
    ) -> Result<(&dyn Task, Item)> {
        let task = &*self.tasks[random.random_range(0..self.tasks.len() as u64) as usize];
        let place = Place {
            seed,
            index,
            proportions: self.proportions,
        };
        let item = task.draw(split, place, random);
        let item =
            item.with_context(|| format!("the {split} problem {index} of {}", task.name()))?;
        Ok((task, item))
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
