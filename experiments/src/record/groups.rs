//! Records of a Parquet table, one group of rows after another, so that a file
//! far larger than memory is read in the room of its largest group.
//!
//! `seed`, `answer` and `completion` may be absent, as in JSONL; whole numbers
//! are read in whatever width their writer chose.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use polars_arrow::array::{Array, BooleanArray, PrimitiveArray, Utf8ViewArray};
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_buffer::Buffer;
use polars_parquet::read::schema::parquet_to_arrow_schema;
use polars_parquet::read::{FileMetadata, RowGroupMetadata, read_metadata};

use super::{RecordError, Trace, io_error};
use crate::dataset::{self, Refusal, broken, undecoded};

/// What a column of a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    Text,
    Count,
    Truth,
}

impl Holds {
    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Count => "whole numbers",
            Self::Truth => "true or false",
        }
    }

    fn fits(self, dtype: &ArrowDataType) -> bool {
        use ArrowDataType as D;
        // A column of nulls alone is of any type.
        *dtype == D::Null
            || match self {
                Self::Text => *dtype == D::Utf8View,
                Self::Truth => *dtype == D::Boolean,
                Self::Count => matches!(
                    dtype,
                    D::Int8
                        | D::Int16
                        | D::Int32
                        | D::Int64
                        | D::UInt8
                        | D::UInt16
                        | D::UInt32
                        | D::UInt64
                ),
            }
    }
}

/// The columns of a record, what they hold, and whether a table must have them.
const COLUMNS: [(&str, Holds, bool); 12] = [
    ("model", Holds::Text, true),
    ("seed", Holds::Count, false),
    ("task", Holds::Text, true),
    ("item_id", Holds::Text, true),
    ("sample", Holds::Count, true),
    ("prompt_tokens", Holds::Count, true),
    ("reasoning_tokens", Holds::Count, true),
    ("completion_tokens", Holds::Count, true),
    ("correct", Holds::Truth, true),
    ("truncated", Holds::Truth, true),
    ("answer", Holds::Text, false),
    ("completion", Holds::Text, false),
];

/// One column of one group; empty where the table lacks it.
struct Cells {
    arrays: Vec<Box<dyn Array>>,
    array: usize,
    within: usize,
}

impl Cells {
    /// The place of the next value; `None` where the table lacks the column.
    fn next(&mut self) -> Option<(&dyn Array, usize)> {
        while self.within >= self.arrays.get(self.array)?.len() {
            (self.array, self.within) = (self.array + 1, 0);
        }
        let at = self.within;
        self.within += 1;
        let array = self.arrays.get(self.array)?.as_ref();
        (!array.is_null(at)).then_some((array, at))
    }

    fn text(&mut self) -> Option<String> {
        let (array, at) = self.next()?;
        let texts = array.as_any().downcast_ref::<Utf8ViewArray>()?;
        Some(texts.value(at).to_owned())
    }

    fn truth(&mut self) -> Option<bool> {
        let (array, at) = self.next()?;
        let truths = array.as_any().downcast_ref::<BooleanArray>()?;
        Some(truths.value(at))
    }

    /// A whole number as its writer's type had it; `i128` holds them all.
    fn number(&mut self) -> Option<i128> {
        let (array, at) = self.next()?;
        let any = array.as_any();
        macro_rules! of {
            ($($type:ty),+) => {$(
                if let Some(numbers) = any.downcast_ref::<PrimitiveArray<$type>>() {
                    return Some(i128::from(numbers.value(at)));
                }
            )+};
        }
        of!(u32, i64, i32, u64, i8, i16, u8, u16);
        None
    }

    fn count<T: TryFrom<i128>>(&mut self, name: &str) -> Result<Option<T>, String> {
        let number = self.number();
        let count = |number: i128| {
            T::try_from(number)
                .map_err(|_| format!("`{name}` is {number}, not a count of 0 or more"))
        };
        number.map(count).transpose()
    }
}

/// The next row of a group: the cells must all be moved, whatever is wrong with one.
fn trace(cells: &mut [Cells; 12]) -> Result<Trace, String> {
    let [
        model,
        seed,
        task,
        item_id,
        sample,
        prompt,
        reasoning,
        completion_tokens,
        correct,
        truncated,
        answer,
        completion,
    ] = cells;
    let (model, task, item_id) = (model.text(), task.text(), item_id.text());
    let (answer, completion) = (answer.text(), completion.text());
    let (correct, truncated) = (correct.truth(), truncated.truth());
    let seed = seed.count::<u64>("seed");
    let sample = sample.count::<u32>("sample");
    let prompt = prompt.count::<u32>("prompt_tokens");
    let reasoning = reasoning.count::<u32>("reasoning_tokens");
    let completion_tokens = completion_tokens.count::<u32>("completion_tokens");
    let absent = |name: &str| format!("`{name}` is absent");
    Ok(Trace {
        model: model.ok_or_else(|| absent("model"))?,
        seed: seed?,
        task: task.ok_or_else(|| absent("task"))?,
        item_id: item_id.ok_or_else(|| absent("item_id"))?,
        sample: sample?.ok_or_else(|| absent("sample"))?,
        prompt_tokens: prompt?.ok_or_else(|| absent("prompt_tokens"))?,
        reasoning_tokens: reasoning?.ok_or_else(|| absent("reasoning_tokens"))?,
        completion_tokens: completion_tokens?.ok_or_else(|| absent("completion_tokens"))?,
        correct,
        truncated: truncated.ok_or_else(|| absent("truncated"))?,
        answer,
        completion,
    })
}

/// Hands every row of a table over, with its number from 1 and what is wrong with it.
pub(super) fn each(
    path: &Path,
    row: &mut dyn FnMut(usize, Result<Trace, String>) -> Result<(), RecordError>,
) -> Result<(), RecordError> {
    let bad = |detail: String| RecordError::BadTable {
        path: path.into(),
        detail,
    };
    let refused = |refusal| match refusal {
        Refusal::Broken(detail) => bad(detail),
        Refusal::Type { column, dtype } => bad(format!("column `{column}` holds {dtype}")),
    };
    let mut file = File::open(path).map_err(io_error(path))?;
    let length = file.metadata().map_err(io_error(path))?.len() as usize;
    // The decoder asserts what a broken file may contradict.
    let metadata: FileMetadata = catch_unwind(AssertUnwindSafe(|| read_metadata(&mut file)))
        .unwrap_or_else(|_| panic_to_error())
        .map_err(|error| bad(error.to_string()))?;
    let schema = parquet_to_arrow_schema(metadata.schema().fields());
    let field = |(name, holds, must): (&str, Holds, bool)| match schema.get(name) {
        None if must => Err(bad(format!(
            "no column `{name}` (there are: {})",
            schema
                .iter_names()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ))),
        Some(field) if !holds.fits(&field.dtype) => Err(bad(format!(
            "column `{name}` holds {:?}, not {}",
            field.dtype,
            holds.name()
        ))),
        found => Ok(found.cloned()),
    };
    let mut fields: Vec<Option<Field>> = Vec::with_capacity(COLUMNS.len());
    for column in COLUMNS {
        fields.push(field(column)?);
    }
    let mut number = 0;
    for group in &metadata.row_groups {
        let mut cells = catch_unwind(AssertUnwindSafe(|| cells(&file, length, group, &fields)))
            .unwrap_or_else(|_| Err(broken("its pages contradict each other")))
            .map_err(refused)?;
        for _ in 0..group.num_rows() {
            number += 1;
            row(number, trace(&mut cells))?;
        }
    }
    Ok(())
}

fn panic_to_error<T>() -> polars::prelude::PolarsResult<T> {
    Err(polars::prelude::PolarsError::ComputeError(
        "its footer contradicts itself".into(),
    ))
}

/// The columns of one group of rows.
fn cells(
    file: &File,
    length: usize,
    group: &RowGroupMetadata,
    fields: &[Option<Field>],
) -> Result<[Cells; 12], Refusal> {
    let fetch = |range: Range<usize>| {
        let mut file = file;
        // The range was held to the file's length.
        let mut bytes = vec![0; range.len()];
        file.seek(SeekFrom::Start(range.start as u64))
            .and_then(|_| file.read_exact(&mut bytes))
            .map_err(undecoded)?;
        Ok(Buffer::from(bytes))
    };
    let mut columns = Vec::with_capacity(fields.len());
    for field in fields {
        let arrays = match field {
            Some(field) => dataset::arrays(length, fetch, group, field)?,
            None => Vec::new(),
        };
        let values: usize = arrays.iter().map(|array| array.len()).sum();
        if let Some(field) = field
            && values != group.num_rows()
        {
            return Err(broken(format!(
                "column `{}` has {values} values in a group of {} rows",
                field.name,
                group.num_rows()
            )));
        }
        columns.push(Cells {
            arrays,
            array: 0,
            within: 0,
        });
    }
    columns
        .try_into()
        .map_err(|_| broken("a column was not read"))
}
