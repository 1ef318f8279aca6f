//! What an experiment is: its definition, read from TOML and resolved.
//!
//! A definition states the hypothesis in prose, what the arms share, and under
//! `[arm.NAME]` only what an arm does differently. Unknown keys are refused at
//! their line. Nothing here runs anything.

mod base;
mod check;
mod extends;
mod graph;
mod inherited;
mod overrides;
mod sources;
mod stage;

use std::path::{Path, PathBuf};

use anyhow::Result;
use experiments::comparison::Question;
use indexmap::IndexMap;
use rewards::{Registry, WeightedRewards};
use serde::{Deserialize, Serialize};

pub use algorithms::AlgorithmSettings;
pub use base::{BaseSettings, BaseSource, Pretraining};
pub use stage::{Init, StageSettings};

pub(crate) use extends::Whole;
pub(crate) use graph::{Graph, Stage, Start, TEACHER, table_of};

use crate::evaluator::EvaluationSettings;
use crate::files;
use crate::generation::Sampling;
use crate::tasks::TaskSettings;
use crate::training::{Training, TrainingSettings};

/// A definition file. `experiments/definitions/quickstart.toml` is the worked example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it is called and what it expects.
    pub experiment: Experiment,
    /// Which problems.
    pub tasks: TaskSettings,
    /// How the starting point of the arms is made.
    pub base: BaseSettings,
    /// Where demonstrations come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<StageSettings>,
    /// How rollouts, traces and validation answers are sampled.
    pub rollout: Sampling,
    /// How every model is evaluated.
    pub evaluation: EvaluationSettings,
    /// What the arms' step loops share.
    #[serde(default)]
    pub training: TrainingSettings,
    /// The arms, in the order of the file.
    pub arm: IndexMap<String, StageSettings>,
    /// What is asked of the models, written before the run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub question: Vec<Question>,
}

/// `[experiment]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Short name, part of the default output folder.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// What is expected and why, written before the run.
    pub hypothesis: String,
    /// Training seeds; every arm is trained once with each.
    pub seeds: Vec<u64>,
    /// Threads of one training. Small models are fastest with one thread each
    /// and several trainings side by side; a run's bits depend on this number.
    #[serde(default = "one")]
    pub threads: usize,
    /// Whether what policies write while they are trained is kept, as Parquet
    /// in the arm's folder `completions`. TRL's default is not to.
    #[serde(default = "yes")]
    pub log_completions: bool,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

impl Definition {
    /// Reads a definition file with what it extends and with `key=value` overrides
    /// applied, and gives its whole text too. Its rewards are those of `registry`.
    pub fn read(path: &Path, overrides: &[String], registry: &Registry) -> Result<(Self, String)> {
        let whole = Whole::read(path, overrides)?;
        let definition = Self::parse(&whole.text, registry, folder_of(path))
            .map_err(|error| whole.locate(error))?;
        Ok((definition, whole.text))
    }

    /// Reads and checks the text of a definition that lies in `folder`.
    pub fn parse(text: &str, registry: &Registry, folder: &Path) -> Result<Self> {
        let mut definition: Self = toml::from_str(text)?;
        definition.settle_learning_rates();
        let opened = definition.tasks.open(folder)?;
        definition.check(opened, &|table| {
            WeightedRewards::from_table(registry, table, folder)?;
            Ok(())
        })?;
        Ok(definition)
    }

    /// States TRL's learning rate of SFT in the stages that imitate without a reward,
    /// where the definition says none; the step loop's own default is RL's.
    fn settle_learning_rates(&mut self) {
        if self.training.learning_rate.is_some() {
            return;
        }
        for stage in self.arm.values_mut().chain(&mut self.teacher) {
            let algorithm = stage.algorithm.as_ref();
            if algorithm.is_some_and(|settings| is_supervised(settings.algorithm())) {
                let own = &mut stage.training.learning_rate;
                *own = own.or(Some(SUPERVISED_LEARNING_RATE));
            }
        }
    }

    /// The settings of an arm's step loop.
    pub fn training_of(&self, training: &TrainingSettings, place: &str) -> Result<Training> {
        training
            .resolve(&self.training, place)
            .map_err(anyhow::Error::msg)
    }
}

/// What TRL's `SFTConfig` has as its default, and `GKDConfig` too.
const SUPERVISED_LEARNING_RATE: f64 = 2e-5;

/// Whether demonstrations, or a teacher's whole distribution, are all that is learned from.
fn is_supervised(algorithm: &dyn algorithms::Algorithm) -> bool {
    (algorithm.imitates() || algorithm.divergence().is_some()) && !algorithm.learns_from_reward()
}

/// The folder that holds a definition, where the relative paths in it start.
pub fn folder_of(definition: &Path) -> &Path {
    definition.parent().unwrap_or(Path::new(""))
}

/// The rewards of a table, those of `registry`, with what they need from outside
/// started; relative paths in it start at `folder`, the definition's own.
pub fn build_rewards(
    table: &toml::Table,
    registry: &Registry,
    folder: &Path,
) -> Result<WeightedRewards> {
    let rewards = WeightedRewards::from_table(registry, table, folder)?;
    rewards.start()?;
    Ok(rewards)
}

/// The files that a reward's entry names and that are there, as it names them and
/// where they are: under `file`, and among the words of `argv`.
pub fn named_files(entry: &toml::Value, folder: &Path) -> Vec<(String, PathBuf)> {
    let words = |key: &str| match entry.get(key) {
        Some(toml::Value::String(word)) => vec![word.as_str()],
        Some(toml::Value::Array(words)) => words.iter().filter_map(toml::Value::as_str).collect(),
        _ => Vec::new(),
    };
    let words = words("file").into_iter().chain(words("argv"));
    words
        .map(|word| (word.to_owned(), folder.join(word)))
        .filter(|(_, path)| path.is_file())
        .collect()
}

/// Hashes of the files that a reward table names, by reward and file. What they
/// hold is part of what a training is.
pub fn reward_files(table: &toml::Table, folder: &Path) -> Result<Vec<(String, String)>> {
    let mut hashes = Vec::new();
    for (name, entry) in table {
        for (word, path) in named_files(entry, folder) {
            hashes.push((format!("{name}: {word}"), files::hash_file(&path)?));
        }
    }
    Ok(hashes)
}

#[cfg(test)]
mod tests;
