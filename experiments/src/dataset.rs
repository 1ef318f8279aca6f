//! Rows of a Parquet data set as JSON values: text, numbers, and lists of
//! objects, as conversations are stored. It serves whoever trains on them; it
//! is here because Parquet is. A number is the one that a person reads in the
//! table, whatever the width and the type of its column.
//!
//! Data frames are not used for it, because they hold no objects without a
//! feature of polars that nothing else here needs; the columns are decoded by
//! the same crate below them. Only the columns asked for are read, and a type
//! that no demonstration has is refused by name. A footer and page headers are
//! held to the file's size before anything is decoded after them.

mod groups;
mod media;
mod value;

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::ops::Range;
use std::path::{Path, PathBuf};

use polars_arrow::array::Array;
use polars_arrow::datatypes::{ArrowDataType, Field};
use polars_buffer::Buffer;
use polars_parquet::parquet::page::CompressedPage;
use polars_parquet::parquet::schema::types::{ParquetType, PrimitiveLogicalType};
use polars_parquet::read::schema::parquet_to_arrow_schema;
use polars_parquet::read::{
    BasicDecompressor, ColumnChunkMetadata, FileMetadata, PageReader, RowGroupMetadata,
    column_iter_to_arrays, read_metadata,
};
use serde_json::{Map, Value};

use crate::panics;
use crate::text::misnamed;

pub use groups::Groups;
pub use media::{is_nothing, media, media_in};
pub(crate) use value::json;
use value::leaves;
pub use value::{count_of, text_of};

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
    /// A column has the name of another, or one that is read but for its case,
    /// or holds pictures or sound.
    #[error("{}: {detail}", path.display())]
    Column {
        /// The file.
        path: PathBuf,
        /// Which it is, and what to do.
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
    file.read_to_end(&mut bytes).map_err(io)?;
    decoded(|| decode(bytes, wanted)).map_err(|refusal| refusal.of(path))
}

/// The same of a data set that is to be shown to a model as text: refuses
/// columns of pictures and sound that hold any.
pub fn read_text(path: &Path, wanted: &[&str]) -> Result<Dataset, DatasetError> {
    let dataset = read(path, wanted)?;
    for column in &dataset.columns {
        let Some(what) = media(column) else { continue };
        let holds_some = match read(path, &[column]) {
            Ok(found) => !found.rows.iter().all(|row| row.values().all(is_nothing)),
            // Bytes, which pictures are stored as.
            Err(DatasetError::Type { .. }) => true,
            Err(error) => return Err(error),
        };
        if holds_some {
            return Err(DatasetError::Column {
                path: path.into(),
                detail: media::refusal(column, what),
            });
        }
    }
    Ok(dataset)
}

pub(crate) enum Refusal {
    Broken(String),
    Column(String),
    Type { column: String, dtype: String },
}

impl Refusal {
    fn of(self, path: &Path) -> DatasetError {
        let path = path.to_owned();
        match self {
            Self::Broken(detail) => DatasetError::Broken { path, detail },
            Self::Column(detail) => DatasetError::Column { path, detail },
            Self::Type { column, dtype } => DatasetError::Type {
                path,
                column,
                dtype,
            },
        }
    }
}

pub(crate) fn broken(detail: impl Into<String>) -> Refusal {
    Refusal::Broken(detail.into())
}

pub(crate) fn undecoded(error: impl std::error::Error) -> Refusal {
    Refusal::Broken(error.to_string())
}

/// Runs the decoder, which asserts what a broken file may contradict.
pub(crate) fn decoded<T>(decode: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    panics::caught(decode).unwrap_or_else(|| Err(broken("its parts contradict each other")))
}

/// What a file says of itself: its groups of rows, and its columns in order.
pub(crate) struct Footer {
    pub(crate) groups: Vec<RowGroupMetadata>,
    fields: Vec<Field>,
    /// Columns of half precision, which come as two bytes a value.
    halves: Vec<String>,
}

impl Footer {
    /// Reads it; names that stand twice, or are one of `known` but for their
    /// case, are refused.
    pub(crate) fn read(file: &mut (impl Read + Seek), known: &[&str]) -> Result<Self, Refusal> {
        let metadata: FileMetadata = read_metadata(file).map_err(undecoded)?;
        let stored = metadata.schema().fields();
        let names: Vec<&str> = stored.iter().map(ParquetType::name).collect();
        if let Some(detail) = misnamed(&names, known) {
            return Err(Refusal::Column(detail));
        }
        let schema = parquet_to_arrow_schema(stored);
        let is_half = |column: &&ParquetType| {
            matches!(column, ParquetType::PrimitiveType(primitive)
                if primitive.logical_type == Some(PrimitiveLogicalType::Float16))
        };
        let halves = stored.iter().filter(is_half);
        Ok(Self {
            halves: halves.map(|column| column.name().to_owned()).collect(),
            fields: schema.iter_values().cloned().collect(),
            groups: metadata.row_groups,
        })
    }

    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// A column of a type that is read; `None` where there is none of that name.
    pub(crate) fn field(&self, name: &str) -> Result<Option<&Field>, Refusal> {
        let Some(field) = self.fields.iter().find(|field| field.name == name) else {
            return Ok(None);
        };
        if leaves(&field.dtype).is_none() && !self.halves.iter().any(|half| half == name) {
            return Err(Refusal::Type {
                column: name.to_owned(),
                dtype: format!("{:?}", field.dtype),
            });
        }
        Ok(Some(field))
    }
}

fn decode(bytes: Vec<u8>, wanted: &[&str]) -> Result<Dataset, Refusal> {
    let bytes = Buffer::from(bytes);
    let footer = Footer::read(&mut Cursor::new(bytes.as_ref()), wanted)?;
    let columns: Vec<String> = footer.columns().map(ToOwned::to_owned).collect();
    let mut fields = Vec::new();
    for name in columns
        .iter()
        .filter(|name| wanted.contains(&name.as_str()))
    {
        fields.extend(footer.field(name)?);
    }
    let inside = |range: Range<usize>| Ok(bytes.clone().sliced(range));
    let mut rows = Vec::new();
    for group in &footer.groups {
        rows.extend(rows_of(bytes.len(), inside, group, &fields)?);
    }
    Ok(Dataset { columns, rows })
}

/// The rows of one group, of these columns.
fn rows_of(
    length: usize,
    fetch: impl Fn(Range<usize>) -> Result<Buffer<u8>, Refusal>,
    group: &RowGroupMetadata,
    fields: &[&Field],
) -> Result<Vec<Map<String, Value>>, Refusal> {
    let mut rows = Vec::new();
    for field in fields {
        let values = column(length, &fetch, group, field)?;
        if values.len() != group.num_rows() {
            return Err(broken(format!(
                "column `{}` has {} values in a group of {} rows",
                field.name,
                values.len(),
                group.num_rows()
            )));
        }
        rows.resize_with(values.len(), Map::new);
        for (row, value) in rows.iter_mut().zip(values) {
            row.insert(field.name.to_string(), value);
        }
    }
    Ok(rows)
}

/// The values of one column in one group of rows.
fn column(
    length: usize,
    fetch: impl Fn(Range<usize>) -> Result<Buffer<u8>, Refusal>,
    group: &RowGroupMetadata,
    field: &Field,
) -> Result<Vec<Value>, Refusal> {
    let mut values = Vec::new();
    for array in &arrays(length, fetch, group, field)? {
        for index in 0..array.len() {
            values.push(json(array.as_ref(), index).ok_or_else(|| Refusal::Type {
                column: field.name.to_string(),
                dtype: "bytes that are no text".to_owned(),
            })?);
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
    let stored = match field.dtype {
        // Half precision, which is no type of its own here.
        ArrowDataType::FixedSizeBinary(2) => Some(1),
        ref dtype => leaves(dtype),
    };
    if Some(chunks.len()) != stored {
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

#[cfg(test)]
mod tests;
