//! What a policy wrote while it was trained: a Parquet file a rollout phase.
//!
//! The file of a phase is named after its first update and written whole, so a
//! phase that is sampled again after a crash replaces its file, and no reader
//! meets a completion twice. A folder of such files reads as one table, for
//! instance with `pandas.read_parquet(folder)`. Columns follow the table that
//! TRL logs, with every reward under its metric's name:
//!
//! | column | type | what it is |
//! |---|---|---|
//! | `step` | u64 | the first update they served, as in `metrics.jsonl` |
//! | `task`, `problem`, `prompt` | text | what was asked |
//! | `sample` | u32 | index among the samples of the problem |
//! | `completion` | text | what was written, without end and padding tokens |
//! | `completion_ids` | list of i64 | the sampled tokens, all of them |
//! | `reward` | f64 | the weighted sum; null where no reward applied |
//! | `rewards/NAME`, `rewards/NAME/PART` | f64 | a reward before its weight, and its named parts; null where it did not apply |
//! | `advantage` | f64 | null where the algorithm gives a completion no single number |
//! | `completion_tokens`, `reasoning_tokens` | u32 | lengths, the end token included |
//! | `truncated` | bool | whether the token cap cut it off |

use std::path::Path;

use polars::prelude::{Column, DataFrame, NamedFrom, Series};

use crate::record::{RecordError, table_error, whole, write_table};

/// One sampled completion and what it was worth.
///
/// Worked example: `{step: 13, task: "addition_digit", problem: "addition_digit/train/40",
/// sample: 2, prompt: "3 + 4 = ?", completion: "<think> 3 4 </think> 7",
/// completion_ids: vec![4, 43, 44, 5, 47, 2],
/// reward: Some(1.1), rewards: [("correct", Some(1.0)), ("format", Some(1.0))],
/// advantage: Some(0.87), completion_tokens: 6, reasoning_tokens: 2, truncated: false}`.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedCompletion {
    /// The first update it served, counted from 1.
    pub step: u64,
    /// Task name.
    pub task: String,
    /// The problem's identity.
    pub problem: String,
    /// Index among the samples of the problem.
    pub sample: u32,
    /// What was asked.
    pub prompt: String,
    /// What was written.
    pub completion: String,
    /// The tokens that were sampled. The text does not tell them: padding is no
    /// part of it, and one text can be written in several ways.
    pub completion_ids: Vec<i64>,
    /// The weighted sum of the rewards; `None` where none applied.
    pub reward: Option<f64>,
    /// Each reward before its weight, `NAME`, and its parts, `NAME/PART`.
    pub rewards: Vec<(String, Option<f64>)>,
    /// What it was worth against the others, where the algorithm says so.
    pub advantage: Option<f64>,
    /// Tokens, the end token included.
    pub completion_tokens: u32,
    /// Tokens between the think tags.
    pub reasoning_tokens: u32,
    /// Whether the token cap cut it off.
    pub truncated: bool,
}

/// Writes the completions of one phase, whole or not at all.
pub fn write(path: &Path, rows: &[LoggedCompletion]) -> Result<(), RecordError> {
    let texts = |name: &str, of: fn(&LoggedCompletion) -> &str| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<&str>>())
    };
    let counts = |name: &str, of: fn(&LoggedCompletion) -> u32| {
        Column::new(name.into(), rows.iter().map(of).collect::<Vec<u32>>())
    };
    let numbers = |name: &str, values: Vec<Option<f64>>| Column::new(name.into(), values);
    let ids = |row: &LoggedCompletion| Series::new("".into(), row.completion_ids.as_slice());
    let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
    let mut columns = vec![
        Column::new("step".into(), steps),
        texts("task", |row| &row.task),
        texts("problem", |row| &row.problem),
        counts("sample", |row| row.sample),
        texts("prompt", |row| &row.prompt),
        texts("completion", |row| &row.completion),
        Column::new(
            "completion_ids".into(),
            rows.iter().map(ids).collect::<Vec<Series>>(),
        ),
        numbers("reward", rows.iter().map(|row| row.reward).collect()),
    ];
    for name in reward_names(rows) {
        let of = |row: &LoggedCompletion| {
            let mut rewards = row.rewards.iter();
            rewards.find(|(other, _)| other == name)?.1
        };
        columns.push(numbers(
            &format!("rewards/{name}"),
            rows.iter().map(of).collect(),
        ));
    }
    columns.extend([
        numbers("advantage", rows.iter().map(|row| row.advantage).collect()),
        counts("completion_tokens", |row| row.completion_tokens),
        counts("reasoning_tokens", |row| row.reasoning_tokens),
        Column::new(
            "truncated".into(),
            rows.iter().map(|row| row.truncated).collect::<Vec<bool>>(),
        ),
    ]);
    whole(path, |file| {
        let mut table = DataFrame::new(rows.len(), columns).map_err(table_error(path))?;
        write_table(path, file, &mut table)
    })
}

/// The names of all rewards and parts, in order of first appearance.
fn reward_names(rows: &[LoggedCompletion]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| &row.rewards) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    fn row(sample: u32, rewards: &[(&str, Option<f64>)]) -> LoggedCompletion {
        LoggedCompletion {
            step: 13,
            task: "addition_digit".into(),
            problem: "addition_digit/train/40".into(),
            sample,
            prompt: "3 + 4 = ?".into(),
            completion: "<think> 3 4 </think> 7\n\u{e9}".into(),
            completion_ids: (0..i64::from(sample)).map(|id| id + 4).collect(),
            reward: rewards.first().and_then(|(_, value)| *value),
            rewards: rewards.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect(),
            advantage: None,
            completion_tokens: 8,
            reasoning_tokens: 3,
            truncated: sample == 1,
        }
    }

    #[test]
    fn a_phase_reads_back_with_a_column_for_every_reward() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("step-000013.parquet");
        let rows = [
            row(0, &[("correct", Some(1.0))]),
            row(1, &[("correct", None), ("cost/work", Some(-0.5))]),
        ];
        write(&path, &rows[..1]).unwrap();
        // A phase that is sampled again replaces what was there.
        write(&path, &rows).unwrap();
        let table = ParquetReader::new(File::open(&path).unwrap())
            .finish()
            .unwrap();
        let expected = "step task problem sample prompt completion completion_ids reward rewards/correct \
             rewards/cost/work advantage completion_tokens reasoning_tokens truncated";
        assert_eq!(
            table.get_column_names(),
            expected.split_whitespace().collect::<Vec<_>>()
        );
        let numbers = |name: &str| -> Vec<Option<f64>> {
            table.column(name).unwrap().f64().unwrap().iter().collect()
        };
        assert_eq!(numbers("rewards/correct"), [Some(1.0), None]);
        assert_eq!(numbers("rewards/cost/work"), [None, Some(-0.5)]);
        assert_eq!(numbers("advantage"), [None, None]);
        let texts = table.column("completion").unwrap().str().unwrap();
        assert_eq!(texts.get(1), Some(rows[1].completion.as_str()));
        let ids = crate::dataset::read(&path, &["completion_ids"]).unwrap();
        let ids: Vec<_> = ids.rows.iter().map(|row| &row["completion_ids"]).collect();
        assert_eq!(ids, [&serde_json::json!([]), &serde_json::json!([4])]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
