//! Records of a Parquet table, one group of rows after another, so that a file
//! far larger than memory is read in the room of its largest group.
//!
//! `seed`, `teacher`, `answer` and `completion` may be absent, as in JSONL. Whole numbers
//! are read in whatever type their writer chose, also as names and answers.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use polars_arrow::array::{Array, BooleanArray, PrimitiveArray, Utf8ViewArray};
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_buffer::Buffer;
use polars_parquet::read::RowGroupMetadata;
use serde_json::Value;

use super::{FIELDS, RecordError, Trace, io_error};
use crate::dataset::{self, Footer, Refusal, broken, decoded, undecoded};

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
        match dtype {
            // A column of nulls alone is of any type.
            D::Null => true,
            D::Boolean => self == Self::Truth,
            D::Utf8View | D::BinaryView => self == Self::Text,
            D::List(_) | D::LargeList(_) | D::Struct(_) => false,
            _ => self != Self::Truth,
        }
    }
}

/// The columns of a record, what they hold, and whether a table must have them.
const COLUMNS: [(&str, Holds, bool); 13] = [
    ("model", Holds::Text, true),
    ("seed", Holds::Count, false),
    ("teacher", Holds::Count, false),
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

    fn text(&mut self, name: &str) -> Result<Option<String>, String> {
        let Some((array, at)) = self.next() else {
            return Ok(None);
        };
        if let Some(texts) = array.as_any().downcast_ref::<Utf8ViewArray>() {
            return Ok(Some(texts.value(at).to_owned()));
        }
        let value = dataset::json(array, at).ok_or_else(|| format!("`{name}` is no text"))?;
        Ok(dataset::text_of(&value))
    }

    fn truth(&mut self) -> Option<bool> {
        let (array, at) = self.next()?;
        let truths = array.as_any().downcast_ref::<BooleanArray>()?;
        Some(truths.value(at))
    }

    fn count<T: TryFrom<u64>>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some((array, at)) = self.next() else {
            return Ok(None);
        };
        let any = array.as_any();
        let count = if let Some(numbers) = any.downcast_ref::<PrimitiveArray<u32>>() {
            Some(u64::from(numbers.value(at)))
        } else {
            let value = dataset::json(array, at).unwrap_or_default();
            if value == Value::Null {
                return Ok(None);
            }
            dataset::count_of(&value)
        };
        let count = count.and_then(|count| T::try_from(count).ok());
        count.map(Some).ok_or_else(|| {
            let value = dataset::json(array, at).unwrap_or_default();
            let read = dataset::text_of(&value).unwrap_or_default();
            format!("`{name}` is {read}, not a count of 0 or more")
        })
    }
}

/// The next row of a group: the cells must all be moved, whatever is wrong with one.
fn trace(cells: &mut [Cells; 13]) -> Result<Trace, String> {
    let [
        model,
        seed,
        teacher,
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
    let (model, task, item_id) = (
        model.text("model"),
        task.text("task"),
        item_id.text("item_id"),
    );
    let (answer, completion) = (answer.text("answer"), completion.text("completion"));
    let (correct, truncated) = (correct.truth(), truncated.truth());
    let seed = seed.count::<u64>("seed");
    let teacher = teacher.count::<u64>("teacher");
    let sample = sample.count::<u32>("sample");
    let prompt = prompt.count::<u32>("prompt_tokens");
    let reasoning = reasoning.count::<u32>("reasoning_tokens");
    let completion_tokens = completion_tokens.count::<u32>("completion_tokens");
    let absent = |name: &str| format!("`{name}` is absent");
    Ok(Trace {
        model: model?.ok_or_else(|| absent("model"))?,
        seed: seed?,
        teacher: teacher?,
        task: task?.ok_or_else(|| absent("task"))?,
        item_id: item_id?.ok_or_else(|| absent("item_id"))?,
        sample: sample?.ok_or_else(|| absent("sample"))?,
        prompt_tokens: prompt?.ok_or_else(|| absent("prompt_tokens"))?,
        reasoning_tokens: reasoning?.ok_or_else(|| absent("reasoning_tokens"))?,
        completion_tokens: completion_tokens?.ok_or_else(|| absent("completion_tokens"))?,
        correct,
        truncated: truncated.ok_or_else(|| absent("truncated"))?,
        answer: answer?,
        completion: completion?,
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
        Refusal::Column(detail) => RecordError::Column {
            path: path.into(),
            detail,
        },
        Refusal::Type { column, dtype } => bad(format!("column `{column}` holds {dtype}")),
    };
    let mut file = File::open(path).map_err(io_error(path))?;
    let length = file.metadata().map_err(io_error(path))?.len() as usize;
    let footer = decoded(|| Footer::read(&mut file, &FIELDS)).map_err(refused)?;
    let field =
        |(name, holds, must): (&str, Holds, bool)| match footer.field(name).map_err(refused)? {
            None if must => Err(bad(format!(
                "no column `{name}` (there are: {})",
                footer.columns().collect::<Vec<_>>().join(", ")
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
    for group in &footer.groups {
        let mut cells = decoded(|| cells(&file, length, group, &fields)).map_err(refused)?;
        for _ in 0..group.num_rows() {
            number += 1;
            row(number, trace(&mut cells))?;
        }
    }
    Ok(())
}

/// The columns of one group of rows.
fn cells(
    file: &File,
    length: usize,
    group: &RowGroupMetadata,
    fields: &[Option<Field>],
) -> Result<[Cells; 13], Refusal> {
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
