//! A CSV file as text, field by field, each error with its line and column.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use polars::prelude::{CsvReadOptions, DataFrame, PlSmallStr, PolarsError, SerReader};

use crate::norms::NormsError;
use crate::text::{self, like, misnamed};

/// A CSV file as text columns.
pub(in crate::norms) struct Sheet {
    path: PathBuf,
    table: DataFrame,
}

impl Sheet {
    /// Number of rows under the header.
    pub(in crate::norms) fn height(&self) -> usize {
        self.table.height()
    }

    pub(in crate::norms) fn open(path: &Path) -> Result<Self, NormsError> {
        let unreadable = |detail: String| NormsError::Unreadable {
            path: path.into(),
            detail,
        };
        let bytes = text::bytes(path).map_err(|error| unreadable(error.to_string()))?;
        let refused = |error: PolarsError| unreadable(error.to_string());
        // A name that stands twice gets another one where a header is read as such.
        let header = parsed(&bytes, false).map_err(refused)?;
        let names: Vec<String> = header
            .columns()
            .iter()
            .map(|column| Ok(column.str()?.get(0).unwrap_or_default().to_owned()))
            .collect::<Result<_, _>>()
            .map_err(refused)?;
        if let Some(detail) = misnamed(&names, &[]) {
            return Err(NormsError::Columns {
                path: path.into(),
                detail,
            });
        }
        Ok(Self {
            path: path.into(),
            table: parsed(&bytes, true).map_err(refused)?,
        })
    }

    /// Refuses a column that is one of the `known` but for its case.
    pub(in crate::norms) fn spelt(&self, known: &[&str]) -> Result<(), NormsError> {
        misnamed(&self.names(), known).map_or(Ok(()), |detail| {
            Err(NormsError::Columns {
                path: self.path.clone(),
                detail,
            })
        })
    }

    /// Names of the columns, in the order of the file.
    pub(in crate::norms) fn names(&self) -> Vec<&str> {
        let names = self.table.get_column_names().into_iter();
        names.map(PlSmallStr::as_str).collect()
    }

    pub(in crate::norms) fn column<'a>(&'a self, name: &'a str) -> Result<Column<'a>, NormsError> {
        let column = self
            .table
            .column(name)
            .map_err(|_| NormsError::MissingColumn {
                path: self.path.clone(),
                column: name.into(),
                present: self.names().join(", "),
                hint: match self.names().iter().find_map(|there| like(name, &[there])) {
                    Some(there) => format!("did you mean `{there}`?"),
                    None => "add it, empty where it is not known".into(),
                },
            })?;
        let texts = column.str().map_err(|error| NormsError::Unreadable {
            path: self.path.clone(),
            detail: error.to_string(),
        })?;
        Ok(Column {
            path: &self.path,
            name,
            texts: texts.iter().collect(),
        })
    }
}

/// The rows of a table as text, or its first line alone. No types are inferred:
/// an item called 007 stays that, and a number that is none can be named by line
/// and column.
fn parsed(bytes: &[u8], whole: bool) -> Result<DataFrame, PolarsError> {
    CsvReadOptions::default()
        .with_has_header(whole)
        .with_n_rows((!whole).then_some(1))
        .with_infer_schema_length(Some(0))
        .into_reader_with_file_handle(Cursor::new(bytes))
        .finish()
}

/// One column's fields; an empty field is `None`.
pub(in crate::norms) struct Column<'a> {
    path: &'a Path,
    name: &'a str,
    texts: Vec<Option<&'a str>>,
}

impl<'a> Column<'a> {
    /// The field of a row without the white space around it; `None` where it is empty.
    pub(in crate::norms) fn field(&self, row: usize) -> Option<&'a str> {
        let field = self.texts.get(row).copied().flatten()?.trim();
        (!field.is_empty()).then_some(field)
    }

    pub(in crate::norms) fn bad(
        &self,
        row: usize,
        expected: &'static str,
        hint: &'static str,
    ) -> NormsError {
        NormsError::BadField {
            path: self.path.into(),
            line: line(row),
            column: self.name.into(),
            value: self
                .texts
                .get(row)
                .copied()
                .flatten()
                .unwrap_or_default()
                .into(),
            expected,
            hint,
        }
    }

    pub(in crate::norms) fn name_at(&self, row: usize) -> Result<String, NormsError> {
        match self.text_at(row) {
            Some(text) => Ok(text),
            None => Err(self.bad(row, "a name", "")),
        }
    }

    pub(in crate::norms) fn text_at(&self, row: usize) -> Option<String> {
        self.texts
            .get(row)
            .copied()
            .flatten()
            .filter(|text| !text.is_empty())
            .map(Into::into)
    }

    /// A finite number accepted by `fits`, or nothing where the field is empty.
    pub(in crate::norms) fn number_at(
        &self,
        row: usize,
        expected: &'static str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, NormsError> {
        let Some(text) = self.field(row) else {
            return Ok(None);
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && fits(number) => Ok(Some(number)),
            _ => Err(self.bad(row, expected, ", or leave it empty where it is not known")),
        }
    }
}

/// The line of a row in its file, from 1, below a header of one line; that of a
/// file in which no field goes over several lines.
pub(in crate::norms) fn line(row: usize) -> usize {
    row + 2
}
