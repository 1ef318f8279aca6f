//! A CSV file as text, field by field, each error with its line and column.

use std::path::{Path, PathBuf};

use polars::prelude::{CsvReadOptions, DataFrame, SerReader};

use crate::norms::NormsError;

/// A CSV file as text columns.
pub(super) struct Sheet {
    path: PathBuf,
    table: DataFrame,
}

impl Sheet {
    /// Number of rows under the header.
    pub(super) fn height(&self) -> usize {
        self.table.height()
    }

    pub(super) fn open(path: &Path) -> Result<Self, NormsError> {
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

    pub(super) fn column(&self, name: &'static str) -> Result<Column<'_>, NormsError> {
        let present = || {
            self.table
                .get_column_names()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        };
        let column = self
            .table
            .column(name)
            .map_err(|_| NormsError::MissingColumn {
                path: self.path.clone(),
                column: name,
                present: present(),
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
pub(super) struct Column<'a> {
    path: &'a Path,
    name: &'static str,
    pub(super) texts: Vec<Option<&'a str>>,
}

impl Column<'_> {
    pub(super) fn bad(&self, row: usize, expected: &'static str, hint: &'static str) -> NormsError {
        NormsError::BadField {
            path: self.path.into(),
            line: row + 2,
            column: self.name,
            value: self.texts[row].unwrap_or_default().into(),
            expected,
            hint,
        }
    }

    pub(super) fn name_at(&self, row: usize) -> Result<String, NormsError> {
        match self.texts[row] {
            Some(text) if !text.is_empty() => Ok(text.into()),
            _ => Err(self.bad(row, "a name", "")),
        }
    }

    pub(super) fn text_at(&self, row: usize) -> Option<String> {
        self.texts[row]
            .filter(|text| !text.is_empty())
            .map(Into::into)
    }

    /// A finite number accepted by `fits`, or nothing where the field is empty.
    pub(super) fn number_at(
        &self,
        row: usize,
        expected: &'static str,
        fits: impl Fn(f64) -> bool,
    ) -> Result<Option<f64>, NormsError> {
        let Some(text) = self.texts[row]
            .map(str::trim)
            .filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && fits(number) => Ok(Some(number)),
            _ => Err(self.bad(row, expected, ", or leave it empty where it is not known")),
        }
    }
}
