//! Rows of a Parquet data set as JSON values: text, numbers, and lists of
//! objects, as conversations are stored. It serves whoever trains on them; it
//! is here because Parquet is.
//!
//! Data frames are not used for it, because they hold no objects without a
//! feature of polars that nothing else here needs; the columns are decoded by
//! the same crate below them. Only the columns asked for are read, and a type
//! that no demonstration has is refused by name. A footer and page headers are
//! held to the file's size before anything is decoded after them.

use std::fs::File;
use std::io::Cursor;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use polars_arrow::array::{
    Array, BooleanArray, ListArray, PrimitiveArray, StructArray, Utf8ViewArray,
};
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_buffer::Buffer;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::read::schema::parquet_to_arrow_schema;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, PageReader, RowGroupMetadata,
    column_iter_to_arrays, read_metadata,
};
use serde_json::{Map, Value};

/// Most values in a page, and most bytes a page may unpack to where it is not
/// already that large: far beyond what writers make, and little enough to hold.
const LARGEST_PAGE: usize = 1 << 26;

/// A data set that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The file cannot be opened or read.
    #[error("reading {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is no Parquet file, or not a whole one.
    #[error("{}: it is no whole Parquet file: {detail}; write it again", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What was wrong.
        detail: String,
    },
    /// A column holds what is no part of a demonstration.
    #[error(
        "{}: column `{column}` holds {dtype}; text, numbers, and lists of objects are read",
        path.display()
    )]
    Type {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// Its type.
        dtype: String,
    },
}

/// What was read of a data set.
///
/// Worked example, of a file with `id`, `prompt` and `completion`, of which the
/// last two were asked for: `columns: ["id", "prompt", "completion"]`,
/// `rows: [{"prompt": "2+2=", "completion": "4"}]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Names of all columns that the file has.
    pub columns: Vec<String>,
    /// Its rows, of the columns asked for; a missing value is null.
    pub rows: Vec<Map<String, Value>>,
}

/// Reads those of the `wanted` columns that a Parquet file has.
pub fn read(path: &Path, wanted: &[&str]) -> Result<Dataset, DatasetError> {
    let io = |source| DatasetError::Io {
        path: path.into(),
        source,
    };
    // Opened first: a folder is read by nobody.
    let mut file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut file, &mut bytes).map_err(io)?;
    // The decoder asserts what a broken file may contradict.
    let read = catch_unwind(AssertUnwindSafe(|| decode(bytes, wanted)));
    read.unwrap_or_else(|_| {
        Err(Refusal::Broken(
            "its pages contradict each other".to_owned(),
        ))
    })
    .map_err(|refusal| match refusal {
        Refusal::Broken(detail) => DatasetError::Broken {
            path: path.into(),
            detail,
        },
        Refusal::Type { column, dtype } => DatasetError::Type {
            path: path.into(),
            column,
            dtype,
        },
    })
}

pub(crate) enum Refusal {
    Broken(String),
    Type { column: String, dtype: String },
}

pub(crate) fn broken(detail: impl Into<String>) -> Refusal {
    Refusal::Broken(detail.into())
}

pub(crate) fn undecoded(error: impl std::error::Error) -> Refusal {
    Refusal::Broken(error.to_string())
}

fn decode(bytes: Vec<u8>, wanted: &[&str]) -> Result<Dataset, Refusal> {
    let bytes = Buffer::from(bytes);
    let metadata: FileMetadata =
        read_metadata(&mut Cursor::new(bytes.as_ref())).map_err(undecoded)?;
    let schema = parquet_to_arrow_schema(metadata.schema().fields());
    let columns: Vec<String> = schema.iter_names().map(ToString::to_string).collect();
    let fields: Vec<&Field> = schema
        .iter_values()
        .filter(|field| wanted.contains(&field.name.as_str()))
        .collect();
    for field in &fields {
        if leaves(&field.dtype).is_none() {
            return Err(Refusal::Type {
                column: field.name.to_string(),
                dtype: format!("{:?}", field.dtype),
            });
        }
    }
    let mut rows = Vec::new();
    for group in &metadata.row_groups {
        let first = rows.len();
        for field in &fields {
            let values = column(&bytes, group, field)?;
            if values.len() != group.num_rows() {
                return Err(broken(format!(
                    "column `{}` has {} values in a group of {} rows",
                    field.name,
                    values.len(),
                    group.num_rows()
                )));
            }
            rows.resize_with(first + values.len(), Map::new);
            for (row, value) in rows[first..].iter_mut().zip(values) {
                row.insert(field.name.to_string(), value);
            }
        }
    }
    Ok(Dataset { columns, rows })
}

/// The values of one column in one group of rows.
fn column(
    bytes: &Buffer<u8>,
    group: &RowGroupMetadata,
    field: &Field,
) -> Result<Vec<Value>, Refusal> {
    let inside = |range: Range<usize>| Ok(bytes.clone().sliced(range));
    let mut values = Vec::new();
    for array in &arrays(bytes.len(), inside, group, field)? {
        for index in 0..array.len() {
            values.push(json(array.as_ref(), index));
        }
    }
    Ok(values)
}

/// The same as arrays, decoded from the bytes that `fetch` gives for a range of
/// a file of that length.
pub(crate) fn arrays(
    length: usize,
    fetch: impl Fn(Range<usize>) -> Result<Buffer<u8>, Refusal>,
    group: &RowGroupMetadata,
    field: &Field,
) -> Result<Vec<Box<dyn Array>>, Refusal> {
    let chunks: Vec<&ColumnChunkMetadata> = group
        .columns_under_root_iter(&field.name)
        .into_iter()
        .flatten()
        .collect();
    if Some(chunks.len()) != leaves(&field.dtype) {
        return Err(broken(format!("column `{}` is not whole", field.name)));
    }
    let mut pages = Vec::with_capacity(chunks.len());
    let mut types = Vec::with_capacity(chunks.len());
    for chunk in chunks {
        let range = place(chunk, length)
            .ok_or_else(|| broken(format!("column `{}` lies beyond its end", field.name)))?;
        let bytes = fetch(range)?;
        let size = bytes.len();
        let reader = || PageReader::new(Cursor::new(bytes.clone()), chunk, vec![], size);
        check_pages(reader(), chunk)?;
        pages.push(BasicDecompressor::new(reader(), vec![]));
        types.push(&chunk.descriptor().descriptor.primitive_type);
    }
    let (arrays, _) =
        column_iter_to_arrays(pages, types, field.clone(), None).map_err(undecoded)?;
    Ok(arrays)
}

/// Where a chunk of a column lies in a file of that many bytes.
fn place(chunk: &ColumnChunkMetadata, length: usize) -> Option<Range<usize>> {
    let first = chunk
        .dictionary_page_offset()
        .unwrap_or(chunk.data_page_offset());
    let first = usize::try_from(first).ok()?;
    let end = first.checked_add(usize::try_from(chunk.compressed_size()).ok()?)?;
    (end <= length).then_some(first..end)
}

/// Refuses pages that promise more than they can hold: the decoder makes room
/// for what is promised.
fn check_pages(reader: PageReader, chunk: &ColumnChunkMetadata) -> Result<(), Refusal> {
    let mut values = 0usize;
    for page in reader {
        let CompressedPage::Data(page) = page.map_err(undecoded)? else {
            continue;
        };
        let unpacked = page.uncompressed_size();
        if page.num_values() > LARGEST_PAGE
            || unpacked > LARGEST_PAGE.max(page.compressed_size().saturating_mul(64))
        {
            return Err(broken(format!(
                "a page of {} bytes promises {} values in {unpacked} bytes",
                page.compressed_size(),
                page.num_values(),
            )));
        }
        values = values.saturating_add(page.num_values());
    }
    if usize::try_from(chunk.num_values()) != Ok(values) {
        return Err(broken(format!(
            "a column promises {} values and has {values}",
            chunk.num_values()
        )));
    }
    Ok(())
}

/// Stored columns that a type takes; `None` where it is not read.
fn leaves(dtype: &ArrowDataType) -> Option<usize> {
    match dtype {
        ArrowDataType::List(item) | ArrowDataType::LargeList(item) => leaves(&item.dtype),
        ArrowDataType::Struct(fields) => fields.iter().map(|field| leaves(&field.dtype)).sum(),
        ArrowDataType::Null
        | ArrowDataType::Boolean
        | ArrowDataType::Int8
        | ArrowDataType::Int16
        | ArrowDataType::Int32
        | ArrowDataType::Int64
        | ArrowDataType::UInt8
        | ArrowDataType::UInt16
        | ArrowDataType::UInt32
        | ArrowDataType::UInt64
        | ArrowDataType::Float32
        | ArrowDataType::Float64
        | ArrowDataType::Utf8View => Some(1),
        _ => None,
    }
}

fn json(array: &dyn Array, index: usize) -> Value {
    if array.is_null(index) {
        return Value::Null;
    }
    let any = array.as_any();
    if let Some(texts) = any.downcast_ref::<Utf8ViewArray>() {
        Value::from(texts.value(index))
    } else if let Some(lists) = any.downcast_ref::<ListArray<i64>>() {
        items(lists.value(index).as_ref())
    } else if let Some(lists) = any.downcast_ref::<ListArray<i32>>() {
        items(lists.value(index).as_ref())
    } else if let Some(objects) = any.downcast_ref::<StructArray>() {
        let fields = objects.fields().iter().zip(objects.values());
        fields
            .map(|(field, values)| (field.name.to_string(), json(values.as_ref(), index)))
            .collect::<Map<_, _>>()
            .into()
    } else if let Some(truths) = any.downcast_ref::<BooleanArray>() {
        Value::from(truths.value(index))
    } else if let Some(number) = number(array, index) {
        number
    } else {
        // `leaves` lets no other type through, and nulls were seen above.
        Value::Null
    }
}

fn number(array: &dyn Array, index: usize) -> Option<Value> {
    macro_rules! of {
        ($($type:ty),+) => {$(
            if let Some(numbers) = array.as_any().downcast_ref::<PrimitiveArray<$type>>() {
                return Some(Value::from(numbers.value(index)));
            }
        )+};
    }
    of!(i8, i16, i32, i64, u8, u16, u32, u64, f32, f64);
    None
}

fn items(array: &dyn Array) -> Value {
    (0..array.len()).map(|index| json(array, index)).collect()
}

#[cfg(test)]
mod tests;
