//! Records written as a Parquet table, a column a field: all at once, or one
//! after another in groups of rows. Reading is [`super::groups`]'s.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polars::io::parquet::write::BatchedWriter;
use polars::prelude::{Column, DataFrame, ParquetWriter, PolarsError};

use super::{RecordError, Trace, io_error, place, temporary};

pub(crate) fn table_error(path: &Path) -> impl Fn(PolarsError) -> RecordError + '_ {
    move |error| RecordError::BadTable {
        path: path.into(),
        detail: error.to_string(),
    }
}

fn frame(path: &Path, traces: &[Trace]) -> Result<DataFrame, RecordError> {
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
    let seeds = |name: &str, of: fn(&Trace) -> Option<u64>| {
        Column::new(name.into(), traces.iter().map(of).collect::<Vec<_>>())
    };
    let columns = vec![
        texts("model", traces, |t| Some(&t.model)),
        seeds("seed", |t| t.seed),
        seeds("teacher", |t| t.teacher),
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
    DataFrame::new(traces.len(), columns).map_err(table_error(path))
}

pub(super) fn write(
    path: &Path,
    file: &mut impl Write,
    traces: &[Trace],
) -> Result<(), RecordError> {
    write_table(path, file, &mut frame(path, traces)?)
}

/// Writes a table in one piece. It is made in memory, so that what the file
/// system refuses is told as such and not as a table that is wrong.
pub(crate) fn write_table(
    path: &Path,
    file: &mut impl Write,
    table: &mut DataFrame,
) -> Result<(), RecordError> {
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .finish(table)
        .map_err(table_error(path))?;
    file.write_all(&bytes).map_err(io_error(path))
}

/// Bytes of texts after which a group of rows is written, however few they are.
const GROUP_BYTES: usize = 32 << 20;

/// Writes a table record by record, in the memory of one group of rows. The
/// file has its name once [`Writer::finish`] has ended, and not before.
pub struct Writer {
    path: PathBuf,
    temporary: PathBuf,
    rows: usize,
    waiting: Vec<Trace>,
    bytes: usize,
    file: Option<BatchedWriter<BufWriter<File>>>,
}

impl Writer {
    /// A table of that name, in groups of so many rows.
    pub fn new(path: &Path, rows: usize) -> Result<Self, RecordError> {
        let temporary = temporary(path);
        let file = File::create(&temporary).map_err(io_error(&temporary))?;
        let schema = frame(path, &[])?.schema().clone();
        let file = ParquetWriter::new(BufWriter::new(file))
            .batched(&schema)
            .map_err(table_error(path))?;
        Ok(Self {
            path: path.into(),
            temporary,
            rows,
            waiting: Vec::new(),
            bytes: 0,
            file: Some(file),
        })
    }

    /// Writes one more record.
    pub fn push(&mut self, trace: Trace) -> Result<(), RecordError> {
        self.bytes += trace.completion.as_ref().map_or(0, String::len);
        self.waiting.push(trace);
        if self.waiting.len() >= self.rows || self.bytes >= GROUP_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), RecordError> {
        if let Some(file) = self.file.as_mut().filter(|_| !self.waiting.is_empty()) {
            let frame = frame(&self.path, &self.waiting)?;
            file.write_batch(&frame).map_err(table_error(&self.path))?;
        }
        self.waiting.clear();
        self.bytes = 0;
        Ok(())
    }

    /// Ends the file and gives it its name.
    pub fn finish(mut self) -> Result<(), RecordError> {
        self.flush()?;
        if let Some(file) = self.file.take() {
            file.finish().map_err(table_error(&self.path))?;
        }
        place(&self.path, &self.temporary)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Of a file that has its name nothing is left here; of one that failed nobody reads the rest.
        let _ = std::fs::remove_file(&self.temporary);
    }
}
