//! A CSV file as text, field by field, each error with its line and column.

use std::path::{Path, PathBuf};

use polars::prelude::{CsvReadOptions, DataFrame, SerReader};

use crate::norms::NormsError;

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
        // No types are inferred: an item called 007 stays that, and a number that
        // is none can be named by line and column.
        let table = CsvReadOptions::default()
            .with_has_header(true)
            .with_infer_schema_length(Some(0))
            .try_into_reader_with_file_path(Some(path.into()))
            .and_then(SerReader::finish)
            .map_err(|error| NormsError::Unreadable {
                path: path.into(),
                detail: error.to_string(),
            })?;
        Ok(Self {
            path: path.into(),
            table,
        })
    }

    /// Names of the columns, in the order of the file.
    pub(in crate::norms) fn names(&self) -> Vec<String> {
        let names = self.table.get_column_names().into_iter();
        names.map(ToString::to_string).collect()
    }

    pub(in crate::norms) fn column<'a>(&'a self, name: &'a str) -> Result<Column<'a>, NormsError> {
        let column = self
            .table
            .column(name)
            .map_err(|_| NormsError::MissingColumn {
                path: self.path.clone(),
                column: name.into(),
                present: self.names().join(", "),
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
