//! What an experiment is: its definition, read from TOML and resolved.
//!
//! A definition states the hypothesis in prose, what the arms share, and under
//! `[arm.NAME]` only what an arm does differently. Unknown keys are refused at
//! their line. Nothing here runs anything.

mod algorithm;
mod check;
mod data;
mod extends;
mod graph;
mod inherited;
mod overrides;
mod sources;
mod stage;
mod traces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use experiments::comparison::Question;
use indexmap::IndexMap;
use rewards::{Registry, WeightedRewards};
use serde::{Deserialize, Serialize};

pub use algorithm::AlgorithmSettings;
pub use data::{DataSettings, ExampleSettings, ExampleTable};
pub use stage::{Init, StageSettings};
pub use traces::TraceSettings;

pub(crate) use check::OF_THE_CONVERSATION;
pub(crate) use extends::Whole;
pub(crate) use graph::{Graph, Shown, Stage, Start, TEACHER};

use crate::evaluator::EvaluationSettings;
use crate::files;
use crate::generation::{PrecisionChoice, Sampling};
use crate::model::ModelShape;
use crate::tasks::corpus::Shares;
use crate::tasks::{self, DataSet, Example, Proportions, Task, TaskError, Wording};
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

/// `[tasks]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// Task names.
    pub names: Vec<String>,
    /// `builtin`, or a folder of item-level norms.
    #[serde(default = "builtin")]
    pub norms: String,
    /// Share of production problems in training.
    #[serde(default)]
    pub production: Option<f64>,
    /// Share of verification problems in other wordings.
    #[serde(default)]
    pub other_wordings: Option<f64>,
    /// What there is to set of a task, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, toml::Table>,
    /// Data sets of the user's, by the names of their tasks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub data: BTreeMap<String, DataSettings>,
    /// Whether a run may train on problems that it is evaluated on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_overlap: bool,
    /// What a model is shown before a problem, by task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub examples: BTreeMap<String, ExampleSettings>,
    /// What chat templates read besides the conversation, such as
    /// `{ enable_thinking = false }`.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub chat_template_kwargs: serde_json::Map<String, serde_json::Value>,
    /// What a model is asked, by task, `{problem}` standing for the problem;
    /// a task without one is asked the bare problem.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub instructions: BTreeMap<String, String>,
    /// Problems of one validation.
    #[serde(default = "validation_problems")]
    pub validation_problems: u64,
}

/// The value of `tasks.norms` that stands for the carried condition means.
pub const BUILTIN_NORMS: &str = "builtin";

fn builtin() -> String {
    BUILTIN_NORMS.to_owned()
}

fn validation_problems() -> u64 {
    96
}

impl TaskSettings {
    /// The tasks, in the order of their names; those that given norms alone may know
    /// are left out. Relative paths of data sets start at `folder`, the definition's
    /// own; none of their rows is read yet.
    pub fn open(&self, folder: &Path) -> Result<Vec<Arc<dyn Task>>> {
        let mut opened = Vec::new();
        for name in &self.names {
            opened.extend(match self.data.get(name) {
                Some(settings) => {
                    let set = DataSet::open(name, settings, folder);
                    let set = set.with_context(|| format!("tasks.data.{name}"))?;
                    Some(Arc::new(set) as Arc<dyn Task>)
                }
                None => self.of_lab(name, folder)?,
            });
        }
        Ok(opened)
    }

    /// The lab's task of that name; `None` where given norms alone may know it.
    fn of_lab(&self, name: &str, folder: &Path) -> Result<Option<Arc<dyn Task>>> {
        let nothing = toml::Table::new();
        match tasks::open(name, self.settings.get(name).unwrap_or(&nothing), folder) {
            Ok(task) => Ok(Some(task)),
            // A name that no task has may be one of the given norms' own; that
            // is known when they are read.
            Err(error) if error.is::<TaskError>() && self.norms != BUILTIN_NORMS => Ok(None),
            Err(error) if error.is::<TaskError>() => Err(error.context("tasks.names")),
            Err(error) => Err(error),
        }
    }

    /// How problems are asked, of these tasks.
    pub fn wording(&self, opened: &[Arc<dyn Task>]) -> Result<Wording> {
        let mut examples = BTreeMap::new();
        for (name, settings) in &self.examples {
            let place = || format!("tasks.examples.{name}");
            let found = match settings {
                ExampleSettings::Given(given) => given.iter().map(Example::from).collect(),
                ExampleSettings::Count(count) => {
                    let task = opened.iter().find(|task| task.name() == name);
                    let task = task.with_context(place)?;
                    Example::of_training(&**task, *count, self.proportions()).with_context(place)?
                }
            };
            examples.insert(name.clone(), found);
        }
        Ok(Wording {
            instructions: self.instructions.clone(),
            examples,
        })
    }

    /// The words that the tasks need in the lab's own vocabulary beyond those that
    /// are always there.
    pub fn words(&self, folder: &Path) -> Result<Vec<String>> {
        let opened = self.open(folder)?;
        Ok(opened.iter().flat_map(|task| task.words()).collect())
    }

    /// The mixture of training problems.
    pub fn proportions(&self) -> Proportions {
        let defaults = Proportions::default();
        Proportions {
            production: self.production.unwrap_or(defaults.production),
            other_wordings: self.other_wordings.unwrap_or(defaults.other_wordings),
        }
    }
}

/// `[base]`: a model that is there, or one pre-trained in the lab.
///
/// Worked examples: `[base] model = "smollm2-135m-instruct"` alone; or
/// `[base.shape]` and `[base.pretraining]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSettings {
    /// A Hugging Face folder or a GGUF file, from the definition's folder on,
    /// or the name of a model in the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Shape of a model to pre-train.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<ModelShape>,
    /// Its pre-training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining: Option<Pretraining>,
}

/// Where a base comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BaseSource<'a> {
    /// It is there, under that name or path.
    Model(&'a str),
    /// The lab pre-trains it.
    Pretrained(&'a ModelShape, &'a Pretraining),
}

impl BaseSettings {
    /// Which of the two it is; `place` names the table in messages.
    pub fn source(&self, place: &str) -> Result<BaseSource<'_>> {
        match (&self.model, &self.shape, &self.pretraining) {
            (Some(model), None, None) => Ok(BaseSource::Model(model)),
            (None, Some(shape), Some(pretraining)) => {
                Ok(BaseSource::Pretrained(shape, pretraining))
            }
            _ => bail!(
                "{place} needs either {place}.model, a model that is there, or {place}.shape and {place}.pretraining, to make one"
            ),
        }
    }
}

/// `[base.pretraining]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretraining {
    /// Documents an optimizer update.
    pub batch_size: usize,
    /// How many times a token in a document's focus counts.
    #[serde(default = "focus_weight")]
    pub focus_weight: f64,
    /// Habits of the corpus.
    #[serde(default)]
    pub corpus: Shares,
    /// The step loop.
    pub training: TrainingSettings,
}

impl Pretraining {
    /// The settings of the step loop; `place` names their table in messages.
    /// Small models gain nothing from bfloat16, so float32 is the default here.
    pub fn resolve(&self, place: &str) -> Result<Training> {
        let inherited = TrainingSettings {
            dtype: Some(PrecisionChoice::Float32),
            ..TrainingSettings::default()
        };
        let resolved = self.training.resolve(&inherited, place);
        resolved.map_err(anyhow::Error::msg)
    }
}

fn focus_weight() -> f64 {
    1.0
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
        let definition: Self = toml::from_str(text)?;
        let opened = definition.tasks.open(folder)?;
        definition.check(opened, &|table| {
            WeightedRewards::from_table(registry, table, folder)?;
            Ok(())
        })?;
        Ok(definition)
    }

    /// The settings of an arm's step loop.
    pub fn training_of(&self, training: &TrainingSettings, place: &str) -> Result<Training> {
        training
            .resolve(&self.training, place)
            .map_err(anyhow::Error::msg)
    }
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
