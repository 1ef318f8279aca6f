//! Records as a Parquet table, a column a field; `seed`, `answer` and
//! `completion` may be absent, as in JSONL.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use polars::prelude::{
    Column, DataFrame, DataType, ParquetReader, ParquetWriter, PolarsError, SerReader,
};

use super::{RecordError, Trace, io_error, refuse_duplicates};

pub(crate) fn table_error(path: &Path) -> impl Fn(PolarsError) -> RecordError + '_ {
    move |error| RecordError::BadTable {
        path: path.into(),
        detail: error.to_string(),
    }
}

pub(super) fn write(
    path: &Path,
    file: &mut impl Write,
    traces: &[Trace],
) -> Result<(), RecordError> {
    fn texts<'a>(
        name: &str,
        traces: &'a [Trace],
        of: impl Fn(&'a Trace) -> Option<&'a str>,
    ) -> Column {
        Column::new(
            name.into(),
            traces.iter().map(of).collect::<Vec<Option<&str>>>(),
        )
    }
    let counts = |name: &str, of: fn(&Trace) -> u32| {
        Column::new(name.into(), traces.iter().map(of).collect::<Vec<u32>>())
    };
    let columns = vec![
        texts("model", traces, |t| Some(&t.model)),
        Column::new(
            "seed".into(),
            traces.iter().map(|t| t.seed).collect::<Vec<Option<u64>>>(),
        ),
        texts("task", traces, |t| Some(&t.task)),
        texts("item_id", traces, |t| Some(&t.item_id)),
        counts("sample", |t| t.sample),
        counts("prompt_tokens", |t| t.prompt_tokens),
        counts("reasoning_tokens", |t| t.reasoning_tokens),
        counts("completion_tokens", |t| t.completion_tokens),
        Column::new(
            "correct".into(),
            traces
                .iter()
                .map(|t| t.correct)
                .collect::<Vec<Option<bool>>>(),
        ),
        Column::new(
            "truncated".into(),
            traces.iter().map(|t| t.truncated).collect::<Vec<bool>>(),
        ),
        texts("answer", traces, |t| t.answer.as_deref()),
        texts("completion", traces, |t| t.completion.as_deref()),
    ];
    let mut table = DataFrame::new(traces.len(), columns).map_err(table_error(path))?;
    ParquetWriter::new(file)
        .finish(&mut table)
        .map_err(table_error(path))?;
    Ok(())
}

/// A table being read, with its path for the errors.
struct Table<'a> {
    path: &'a Path,
    frame: DataFrame,
}

impl Table<'_> {
    fn bad_row(&self, row: usize, detail: String) -> RecordError {
        RecordError::BadRow {
            path: self.path.into(),
            row: format!("row {}", row + 1),
            detail,
        }
    }

    fn has(&self, name: &str) -> bool {
        self.frame.column(name).is_ok()
    }

    /// A column as one type; a column of nulls alone is of any type.
    fn column(&self, name: &str, dtype: &DataType) -> Result<Column, RecordError> {
        let bad = |detail: String| RecordError::BadTable {
            path: self.path.into(),
            detail,
        };
        let column = self.frame.column(name).map_err(|_| {
            let present: Vec<String> = self
                .frame
                .get_column_names()
                .iter()
                .map(ToString::to_string)
                .collect();
            bad(format!(
                "no column `{name}` (there are: {})",
                present.join(", ")
            ))
        })?;
        let whole = column.dtype().is_integer() && dtype.is_integer();
        if column.dtype() != dtype && !whole && *column.dtype() != DataType::Null {
            return Err(bad(format!(
                "column `{name}` holds {}, not {dtype}",
                column.dtype()
            )));
        }
        column.strict_cast(dtype).map_err(table_error(self.path))
    }

    fn texts(&self, name: &str) -> Result<Vec<Option<String>>, RecordError> {
        let column = self.column(name, &DataType::String)?;
        let texts = column.str().map_err(table_error(self.path))?;
        Ok(texts.iter().map(|text| text.map(Into::into)).collect())
    }

    fn optional_texts(&self, name: &str) -> Result<Vec<Option<String>>, RecordError> {
        if self.has(name) {
            self.texts(name)
        } else {
            Ok(vec![None; self.frame.height()])
        }
    }

    fn bools(&self, name: &str) -> Result<Vec<Option<bool>>, RecordError> {
        let column = self.column(name, &DataType::Boolean)?;
        Ok(column
            .bool()
            .map_err(table_error(self.path))?
            .iter()
            .collect())
    }

    /// Whole numbers as their writer's type had them, refused where they are no count.
    fn counts<T: TryFrom<i128>>(&self, name: &str) -> Result<Vec<Option<T>>, RecordError> {
        let column = self.frame.column(name).ok();
        // u64 is the one type that i64 does not hold, and it is never negative.
        let numbers: Vec<Option<i128>> = if column.is_some_and(|c| *c.dtype() == DataType::UInt64) {
            let column = self.column(name, &DataType::UInt64)?;
            column
                .u64()
                .map_err(table_error(self.path))?
                .iter()
                .map(|v| v.map(i128::from))
                .collect()
        } else {
            let column = self.column(name, &DataType::Int64)?;
            column
                .i64()
                .map_err(table_error(self.path))?
                .iter()
                .map(|v| v.map(i128::from))
                .collect()
        };
        let count = |(row, number): (usize, Option<i128>)| match number {
            None => Ok(None),
            Some(number) => T::try_from(number).map(Some).map_err(|_| {
                self.bad_row(
                    row,
                    format!("`{name}` is {number}, not a count of 0 or more"),
                )
            }),
        };
        numbers.into_iter().enumerate().map(count).collect()
    }
}

pub(super) fn read(path: &Path) -> Result<Vec<Trace>, RecordError> {
    let file = File::open(path).map_err(io_error(path))?;
    let frame = ParquetReader::new(file)
        .finish()
        .map_err(table_error(path))?;
    let table = Table { path, frame };
    let (models, tasks, items) = (
        table.texts("model")?,
        table.texts("task")?,
        table.texts("item_id")?,
    );
    let seeds = if table.has("seed") {
        table.counts::<u64>("seed")?
    } else {
        vec![None; table.frame.height()]
    };
    let [samples, prompts, reasoning, completions] = [
        "sample",
        "prompt_tokens",
        "reasoning_tokens",
        "completion_tokens",
    ]
    .map(|name| table.counts::<u32>(name));
    let (samples, prompts, reasoning, completions) = (samples?, prompts?, reasoning?, completions?);
    let (correct, truncated) = (table.bools("correct")?, table.bools("truncated")?);
    let (answers, texts) = (
        table.optional_texts("answer")?,
        table.optional_texts("completion")?,
    );
    let mut traces = Vec::with_capacity(table.frame.height());
    for (row, (answer, completion)) in answers.into_iter().zip(texts).enumerate() {
        let absent = |name: &str| table.bad_row(row, format!("`{name}` is absent"));
        let trace = Trace {
            model: models[row].clone().ok_or_else(|| absent("model"))?,
            seed: seeds[row],
            task: tasks[row].clone().ok_or_else(|| absent("task"))?,
            item_id: items[row].clone().ok_or_else(|| absent("item_id"))?,
            sample: samples[row].ok_or_else(|| absent("sample"))?,
            prompt_tokens: prompts[row].ok_or_else(|| absent("prompt_tokens"))?,
            reasoning_tokens: reasoning[row].ok_or_else(|| absent("reasoning_tokens"))?,
            completion_tokens: completions[row].ok_or_else(|| absent("completion_tokens"))?,
            correct: correct[row],
            truncated: truncated[row].ok_or_else(|| absent("truncated"))?,
            answer,
            completion,
        };
        traces.push((row + 1, trace));
    }
    refuse_duplicates(path, "row", &traces)?;
    Ok(traces.into_iter().map(|(_, trace)| trace).collect())
}
