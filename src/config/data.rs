//! `[tasks.data]`: data sets of the user's as tasks.

use std::fmt;
use std::path::PathBuf;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A data set, under the name of its task.
///
/// Worked examples: `tasks.data.gsm8k = "gsm8k"`, a folder with `train.jsonl` and
/// `test.jsonl`; `tasks.data.sums = { path = "sums.parquet", evaluation = 0.2 }`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataSettings {
    /// A JSONL or Parquet file, or a folder whose files are its splits. A relative path
    /// starts at the definition's folder.
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
