//! What can be wrong with a folder of norms.

use std::path::PathBuf;

use thiserror::Error;

use crate::dataset::DatasetError;

/// What can be wrong with a folder of norms.
#[derive(Debug, Error)]
pub enum NormsError {
    /// Neither the folder nor its children hold an `items.csv`.
    #[error(
        "{folder}: no items.csv here, nor in a folder below; give a folder of norms, or one that holds several"
    )]
    NoItems {
        /// The folder as given.
        folder: PathBuf,
    },
    /// A file could not be opened or is not a table.
    #[error("{path}: {detail}; the file must be a CSV table with a header, readable to you")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        detail: String,
    },
    /// A column is absent.
    #[error("{path}, line 1: no column `{column}` (there are: {present}); {hint}")]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The absent column.
        column: String,
        /// The columns there are.
        present: String,
        /// What to do.
        hint: String,
    },
    /// The names of the columns cannot be told apart, or one would be passed over.
    #[error("{path}, line 1: {detail}")]
    Columns {
        /// The file.
        path: PathBuf,
        /// Which they are, and what to do.
        detail: String,
    },
    /// A field cannot be what its column holds.
    #[error(
        "{path}, line {line}, column `{column}`: `{value}` is not {expected}; correct the field{hint}"
    )]
    BadField {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header included.
        line: usize,
        /// The column.
        column: String,
        /// The field's text.
        value: String,
        /// What it should be.
        expected: &'static str,
        /// A further way out, or nothing.
        hint: &'static str,
    },
    /// The same item twice.
    #[error(
        "{path}, line {line}: item `{item_id}` of task `{task}` again, first in {first}; keep one of the two rows"
    )]
    DuplicateItem {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header included.
        line: usize,
        /// Its task.
        task: String,
        /// The item.
        item_id: String,
        /// File and line of its first row.
        first: String,
    },
    /// A trial of an item that items.csv does not have.
    #[error(
        "{path}, line {line}: trial of `{item_id}` of task `{task}`, which is not in the items.csv beside it; add the item there or remove the trial"
    )]
    UnknownItem {
        /// The file.
        path: PathBuf,
        /// Line, from 1, the header included.
        line: usize,
        /// Its task.
        task: String,
        /// The item.
        item_id: String,
    },
    /// A Parquet data set could not be read.
    #[error(transparent)]
    Dataset(DatasetError),
    /// A data set could not be opened or is none.
    #[error("{path}: {detail}")]
    UnreadableData {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// A row of a data set that is no item.
    #[error("{path}, row {row}: {detail}")]
    BadRow {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// What is wrong and what to do.
        detail: String,
    },
    /// None of the requested tasks is there.
    #[error(
        "{folder}: no norms of {wanted}; there are norms of {present}: ask for one of these, or give another folder"
    )]
    NoSuchTask {
        /// The folder as given.
        folder: PathBuf,
        /// The tasks asked for.
        wanted: String,
        /// The tasks found.
        present: String,
    },
}
