//! A data set as norms: a JSONL or Parquet file with a row an item.
//!
//! Columns: `prompt` (or `question`, as in GSM8K), `answer`, and where they are
//! there `id` (or `item_id`), `condition`, `accuracy`, a time (`mean_rt_ms` or
//! `rt_ms`), `cluster` and covariates `x_NAME` ([`super::columns`]). Without an
//! id an item is called by its row. Without times its task has an accuracy and
//! no alignment. The task is called as the file is.
//!
//! Worked example: `{"question": "2 + 2?", "answer": "Two and two.\n#### 4"}`
//! in `gsm8k.jsonl` is item `1` of task `gsm8k` with the answer `4`: what
//! follows `####` is the answer, the work before it is left out.
//!
//! Other columns are passed over, unless they hold pictures or sound, which no
//! model is shown, or are called as one of these but for its case. Single trials
//! are not read here: a table of them is imported ([`super::table`]).

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde_json::{Map, Value};

use super::columns::{self, CLUSTER};
use super::{NormItem, NormsError};
use crate::dataset::{self, media_in};
use crate::text;

/// Columns that are read beside those of [`columns`]; of several for one thing the first wins.
const COLUMNS: [&str; 9] = [
    "id",
    "item_id",
    "prompt",
    "question",
    "answer",
    "condition",
    "accuracy",
    "mean_rt_ms",
    "rt_ms",
];

/// Stands before the answer where work stands before it.
const ANSWER_MARK: &str = "####";

/// The task of a file: its name without the ending.
pub(super) fn task_of(path: &Path) -> String {
    path.file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned())
}

/// Reads the items of a data set as those of `task`.
pub(super) fn read(path: &Path, task: &str) -> Result<Vec<NormItem>, NormsError> {
    let rows = match path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => lines(path)?,
        Some("parquet") => {
            let names = dataset::read(path, &[])
                .map_err(NormsError::Dataset)?
                .columns;
            let known = columns::spellings(&COLUMNS, names.iter().map(String::as_str));
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let table = dataset::read_text(path, &known).map_err(NormsError::Dataset)?;
            (1..).zip(table.rows).collect()
        }
        _ => {
            return Err(unreadable(
                path,
                "a data set ends in .jsonl or .parquet; import any other table",
            ));
        }
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut items = Vec::with_capacity(rows.len());
    for (row, values) in rows {
        let bad = |detail: String| NormsError::BadRow {
            path: path.into(),
            row,
            detail,
        };
        let item = item(task, row, &values).map_err(bad)?;
        if let Some(first) = seen.insert(item.item_id.clone(), row) {
            return Err(bad(format!(
                "item `{}` again, first in row {first}; keep one of the two rows",
                item.item_id
            )));
        }
        items.push(item);
    }
    if items.is_empty() {
        return Err(unreadable(path, "it has no rows"));
    }
    Ok(items)
}

fn unreadable(path: &Path, detail: impl Into<String>) -> NormsError {
    NormsError::UnreadableData {
        path: path.into(),
        detail: detail.into(),
    }
}

/// A row of a data set, by column.
type Row = Map<String, Value>;

/// The objects of a JSONL file, each with its line; blank lines are passed over.
fn lines(path: &Path) -> Result<Vec<(usize, Row)>, NormsError> {
    let io = |error: std::io::Error| unreadable(path, error.to_string());
    let mut rows = Vec::new();
    for line in text::lines(path).map_err(io)? {
        let (row, line) = line.map_err(io)?;
        let bad = |detail| NormsError::BadRow {
            path: path.into(),
            row,
            detail,
        };
        let values = text::object(&line).map_err(|error| {
            bad(format!(
                "no JSON object: {error}; correct or remove the row"
            ))
        })?;
        let names: Vec<&String> = values.keys().collect();
        let known = columns::spellings(&COLUMNS, names.iter().map(|name| name.as_str()));
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        if let Some(detail) = text::misnamed(&names, &known).or_else(|| media_in(&values)) {
            return Err(bad(detail));
        }
        rows.push((row, values));
    }
    Ok(rows)
}

/// The first of the columns that holds something, with its name.
fn first<'a>(values: &'a Row, names: &[&'a str]) -> Option<(&'a str, &'a Value)> {
    let found = names.iter().map(|name| Some((*name, values.get(*name)?)));
    found.flatten().find(|(_, value)| !value.is_null())
}

/// A field as text: numbers and truth values as a person reads them.
fn text(values: &Row, names: &[&str]) -> Result<Option<String>, String> {
    let Some((name, value)) = first(values, names) else {
        return Ok(None);
    };
    let text = dataset::text_of(value);
    text.map(Some)
        .ok_or_else(|| format!("`{name}` is no text; write it as one"))
}

fn number(
    values: &Row,
    names: &[&str],
    expected: &str,
    fits: impl Fn(f64) -> bool,
) -> Result<Option<f64>, String> {
    match first(values, names) {
        None => Ok(None),
        Some((name, value)) => match value.as_f64() {
            Some(number) if number.is_finite() && fits(number) => Ok(Some(number)),
            _ => Err(format!(
                "`{name}` is {value}, not {expected}; correct it, or leave it out where it is not known"
            )),
        },
    }
}

fn item(task: &str, row: usize, values: &Row) -> Result<NormItem, String> {
    let prompt = text(values, &["prompt", "question"])?
        .filter(|prompt| !prompt.trim().is_empty())
        .ok_or("no `prompt` and no `question`; each row needs one of them")?;
    let answer = text(values, &["answer"])?.unwrap_or_default();
    let answer = match answer.rsplit_once(ANSWER_MARK) {
        Some((_, after)) => after.trim().to_owned(),
        None => answer,
    };
    let item = NormItem {
        task: task.to_owned(),
        item_id: text(values, &["id", "item_id"])?.unwrap_or_else(|| row.to_string()),
        prompt,
        answer,
        ..NormItem::default()
    };
    timed(values, item)
}

/// `item` with what its row, by column, says of people: `condition`, a time
/// (`mean_rt_ms` or `rt_ms`, in milliseconds), `accuracy`, `cluster` and covariates
/// `x_NAME`.
///
/// # Errors
///
/// Which of the columns cannot be read, and what to do.
pub fn timed(values: &Map<String, Value>, item: NormItem) -> Result<NormItem, String> {
    Ok(NormItem {
        condition: text(values, &["condition"])?,
        mean_rt_ms: number(
            values,
            &["mean_rt_ms", "rt_ms"],
            "a time above 0 in milliseconds",
            |v| v > 0.0,
        )?,
        accuracy: number(values, &["accuracy"], "a share from 0 to 1", |v| {
            (0.0..=1.0).contains(&v)
        })?,
        cluster: text(values, &[CLUSTER])?
            .map(|cluster| cluster.trim().to_owned())
            .filter(|cluster| !cluster.is_empty()),
        covariates: covariates(values)?,
        ..item
    })
}

fn covariates(values: &Row) -> Result<BTreeMap<String, f64>, String> {
    let mut found = BTreeMap::new();
    for column in values.keys() {
        if let Some(name) = columns::covariate(column)
            && let Some(value) = number(values, &[column], "a finite number", |_| true)?
        {
            found.insert(name.to_owned(), value);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::norms::Norms;

    fn read_lines(text: &str) -> Result<Norms, String> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("gsm8k.jsonl");
        fs::write(&path, text).expect("written");
        let place = format!("{}/", folder.path().display());
        Norms::read(&path, &[]).map_err(|error| error.to_string().replace(&place, ""))
    }

    #[test]
    fn the_layout_of_gsm8k_is_read_by_its_answer_mark() {
        let norms = read_lines(
            "{\"question\": \"2 + 2?\", \"answer\": \"Two and two.\\n#### 4\"}\n\n\
             {\"question\": \"Of what?\", \"answer\": 18}\n",
        )
        .expect("read");
        let items = norms.items("gsm8k");
        assert_eq!(items.len(), 2);
        assert_eq!(
            (items[0].item_id.as_str(), items[0].answer.as_str()),
            ("1", "4")
        );
        // A blank line counts, so that the name is the line.
        assert_eq!(
            (items[1].item_id.as_str(), items[1].answer.as_str()),
            ("3", "18")
        );
        assert!(items.iter().all(|item| item.human_cost().is_none()));
    }

    #[test]
    fn times_are_read_where_there_are_any() {
        let norms = read_lines(
            "{\"id\": \"a\", \"prompt\": \"p\", \"answer\": \"x\", \"rt_ms\": 900, \"topic\": [1]}\n\
             {\"id\": \"b\", \"prompt\": \"p\", \"answer\": \"x\", \"mean_rt_ms\": 1100.5}\n",
        )
        .expect("read");
        assert_eq!(
            norms.item("gsm8k", "a").and_then(|i| i.mean_rt_ms),
            Some(900.0)
        );
        assert_eq!(
            norms.item("gsm8k", "b").and_then(|i| i.mean_rt_ms),
            Some(1100.5)
        );
        assert!(norms.source().contains("gsm8k.jsonl"));
    }

    #[test]
    fn clusters_and_covariates_are_read_where_a_row_has_them() {
        let norms = read_lines(
            "{\"prompt\": \"p\", \"cluster\": \"c\", \"x_size\": 3, \"x_tie\": null}\n\
             {\"prompt\": \"q\", \"cluster\": \" \", \"x_tie\": 0.5}\n",
        )
        .expect("read");
        let [one, other] = norms.items("gsm8k") else {
            panic!("two items");
        };
        assert_eq!(one.cluster.as_deref(), Some("c"));
        assert_eq!(one.covariates, [("size".to_owned(), 3.0)].into());
        assert_eq!(other.cluster, None);
        assert_eq!(other.covariates, [("tie".to_owned(), 0.5)].into());
    }

    #[test]
    fn parquet_is_read_as_lines_are() {
        use polars::prelude::{Column, DataFrame, ParquetWriter};
        use std::fs::File;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("sums.parquet");
        let mut table = DataFrame::new(
            2,
            vec![
                Column::new("question".into(), ["2 + 2?", "3 + 3?"]),
                Column::new("answer".into(), ["so\n#### 4", "#### 6"]),
                Column::new("mean_rt_ms".into(), [Some(900.0), None]),
                Column::new("cluster".into(), ["c", "c"]),
                Column::new("x_size".into(), [Some(4), None]),
            ],
        )
        .expect("columns of one length");
        ParquetWriter::new(File::create(&path).expect("created"))
            .finish(&mut table)
            .expect("written");
        let norms = Norms::read(&path, &[]).expect("read");
        let told: Vec<(&str, &str, Option<f64>)> = norms
            .items("sums")
            .iter()
            .map(|i| (i.item_id.as_str(), i.answer.as_str(), i.mean_rt_ms))
            .collect();
        assert_eq!(told, [("1", "4", Some(900.0)), ("2", "6", None)]);
        let [one, other] = norms.items("sums") else {
            panic!("two items");
        };
        assert_eq!(one.cluster.as_deref(), Some("c"));
        assert_eq!(one.covariates, [("size".to_owned(), 4.0)].into());
        assert!(other.covariates.is_empty(), "{other:?}");
    }

    #[test]
    fn what_is_wrong_is_named_by_row() {
        for (text, told) in [
            ("", "it has no rows"),
            ("[1]\n", "gsm8k.jsonl, row 1: no JSON object"),
            (
                "{\"answer\": \"4\"}\n",
                "row 1: no `prompt` and no `question`",
            ),
            (
                "{\"prompt\": [{\"role\": \"user\"}]}\n",
                "row 1: `prompt` is no text",
            ),
            (
                "{\"prompt\": \"p\", \"rt_ms\": 0}\n",
                "`rt_ms` is 0, not a time above 0",
            ),
            (
                "{\"prompt\": \"p\", \"rt_ms\": -4}\n",
                "`rt_ms` is -4, not a time above 0",
            ),
            (
                "{\"prompt\": \"p\", \"rt_ms\": \"fast\"}\n",
                "`rt_ms` is \"fast\"",
            ),
            (
                "{\"prompt\": \"p\", \"x_size\": \"big\"}\n",
                "row 1: `x_size` is \"big\", not a finite number",
            ),
            (
                "{\"prompt\": \"p\", \"X_size\": 3}\n",
                "row 1: the column `X_size` would be passed over: write it as `x_size`",
            ),
            (
                "{\"prompt\": \"p\", \"id\": 7}\n{\"prompt\": \"q\", \"id\": \"7\"}\n",
                "row 2: item `7` again, first in row 1",
            ),
        ] {
            let error = read_lines(text).expect_err("refused");
            assert!(error.contains(told), "{error}");
        }
        let error = Norms::read(Path::new("table.csv"), &[]).expect_err("refused");
        assert!(error.to_string().contains("table.csv"), "{error}");
    }
}
