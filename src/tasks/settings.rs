//! `[tasks]`: which problems, and how models are asked them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{DataSet, Example, PROBLEM, Proportions, Task, TaskError, Wording, by_name, open};

/// The value of `tasks.norms` that stands for the carried condition means.
pub const BUILTIN_NORMS: &str = "builtin";

/// What a chat template is told of the conversation itself.
pub(crate) const OF_THE_CONVERSATION: [&str; 2] = ["messages", "add_generation_prompt"];

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

fn builtin() -> String {
    BUILTIN_NORMS.to_owned()
}

fn validation_problems() -> u64 {
    96
}

impl TaskSettings {
    /// Refuses names that are none of its tasks', and keys that say nothing.
    pub(crate) fn check(&self) -> Result<()> {
        for (index, name) in self.names.iter().enumerate() {
            ensure!(
                !self.names[..index].contains(name),
                "tasks.names has {name} twice"
            );
        }
        ensure!(
            !self.names.is_empty(),
            "tasks.names is empty: name at least one task"
        );
        for task in self.settings.keys() {
            ensure!(
                self.names.contains(task),
                "tasks.settings.{task}: tasks.names has no such task"
            );
        }
        ensure!(
            self.validation_problems > 0,
            "tasks.validation_problems = 0: learning curves need at least one"
        );
        for (task, instruction) in &self.instructions {
            ensure!(
                self.names.contains(task),
                "tasks.instructions.{task}: tasks.names has no such task"
            );
            ensure!(
                instruction.contains(PROBLEM),
                "tasks.instructions.{task}: it does not hold {PROBLEM}, so no problem would be asked"
            );
        }
        for name in self.data.keys() {
            ensure!(
                self.names.contains(name),
                "tasks.data.{name}: tasks.names has no such task; add it there"
            );
            ensure!(
                is_a_folder_name(name),
                "tasks.data.{name:?}: use letters, digits, '-' and '_', it names a task"
            );
            ensure!(
                by_name(name).is_err(),
                "tasks.data.{name}: the lab has a task of that name; choose another"
            );
            ensure!(
                !self.settings.contains_key(name),
                "tasks.settings.{name}: a data set has nothing to set there; its keys stand in tasks.data.{name}"
            );
        }
        for (name, examples) in &self.examples {
            let place = format!("tasks.examples.{name}");
            ensure!(
                self.names.contains(name),
                "{place}: tasks.names has no such task"
            );
            if let ExampleSettings::Given(given) = examples {
                let says = |text: &str| !text.trim().is_empty();
                ensure!(
                    given
                        .iter()
                        .all(|one| says(&one.problem) && says(&one.answer)),
                    "{place}: an example has an empty problem or answer"
                );
            }
        }
        for name in self.chat_template_kwargs.keys() {
            ensure!(
                !OF_THE_CONVERSATION.contains(&name.as_str()),
                "tasks.chat_template_kwargs.{name}: it is what the lab itself tells the template; remove it"
            );
        }
        Ok(())
    }

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
        match open(name, self.settings.get(name).unwrap_or(&nothing), folder) {
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

/// A data set, under the name of its task.
///
/// Worked examples: `tasks.data.gsm8k = "gsm8k"`, a folder with `train.jsonl` and
/// `test.jsonl`; `tasks.data.sums = { path = "sums.parquet", evaluation = 0.2 }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataSettings {
    /// A JSONL or Parquet file, or a folder whose files are its splits. A relative path
    /// starts at the definition's folder. Or a file on the Hugging Face Hub,
    /// `hf://datasets/ORG/NAME[@REVISION]/PATH`.
    pub path: PathBuf,
    /// The share of the training rows that is set apart for validation, .05 where no
    /// file holds that split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<f64>,
    /// The share of the training rows that is set apart for evaluation, .1 of a file
    /// that is given by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<f64>,
}

impl DataSettings {
    /// All of a file, or the evaluation split of a folder, to be evaluated.
    pub fn evaluated(path: PathBuf) -> Self {
        Self {
            evaluation: (!path.is_dir()).then_some(1.0),
            validation: None,
            path,
        }
    }
}

impl<'de> Deserialize<'de> for DataSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PathOrTable)
    }
}

/// Reads a path by itself as a table that has no other key.
struct PathOrTable;

impl<'de> Visitor<'de> for PathOrTable {
    type Value = DataSettings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the path of a data set, or a table with `path`")
    }

    fn visit_str<E>(self, path: &str) -> Result<DataSettings, E> {
        Ok(DataSettings {
            path: path.into(),
            validation: None,
            evaluation: None,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataSettings, A::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            path: PathBuf,
            validation: Option<f64>,
            evaluation: Option<f64>,
        }
        let table = Table::deserialize(MapAccessDeserializer::new(map))?;
        Ok(DataSettings {
            path: table.path,
            validation: table.validation,
            evaluation: table.evaluation,
        })
    }
}

/// Examples that a model is shown before a problem.
///
/// Worked examples: `tasks.examples.gsm8k = 2`, two training problems with their worked
/// solutions; `tasks.examples.sums = [{ problem = "2 + 2", answer = "4" }]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "a number of training problems, or a list of { problem, answer }"
)]
pub enum ExampleSettings {
    /// So many training problems of the task, the first of seed 0.
    Count(u32),
    /// These, before each problem.
    Given(Vec<ExampleTable>),
}

/// One example, in the words of its problem and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExampleTable {
    /// The problem, which is asked by the instruction of its task.
    pub problem: String,
    /// What is answered.
    pub answer: String,
}

/// Whether a name may be that of a folder.
pub(crate) fn is_a_folder_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
