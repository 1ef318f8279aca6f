//! A Parquet data set that is read one group of rows at a time, so that a file far
//! larger than memory is read in the room of its largest group.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use polars_buffer::Buffer;
use polars_parquet::read::RowGroupMetadata;
use serde_json::{Map, Value};

use super::{DatasetError, Footer, Refusal, broken, decoded, rows_of};

/// An open Parquet file of which groups of rows are read when somebody asks.
///
/// Worked example, of a file of two groups: `counts()` is `[3, 2]`, and `rows(1)`
/// gives the last two rows, of all columns.
pub struct Groups {
    path: PathBuf,
    length: usize,
    footer: Footer,
}

impl Groups {
    /// Opens a file and reads what it says of itself.
    pub fn open(path: &Path) -> Result<Self, DatasetError> {
        let io = |source| DatasetError::Io {
            path: path.into(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let length = file.metadata().map_err(io)?.len() as usize;
        let footer =
            decoded(|| Footer::read(&mut file, &[])).map_err(|refusal| refusal.of(path))?;
        Ok(Self {
            path: path.to_owned(),
            length,
            footer,
        })
    }

    /// Names of the columns, in order.
    pub fn columns(&self) -> Vec<&str> {
        self.footer.columns().collect()
    }

    /// Rows of each group.
    pub fn counts(&self) -> impl ExactSizeIterator<Item = usize> {
        self.footer.groups.iter().map(RowGroupMetadata::num_rows)
    }

    /// The rows of the group at `index`, of all columns; a missing value is null.
    ///
    /// # Errors
    ///
    /// What is broken in the file, and a column of a type that is not read.
    pub fn rows(&self, index: usize) -> Result<Vec<Map<String, Value>>, DatasetError> {
        let mut file = File::open(&self.path).map_err(|source| DatasetError::Io {
            path: self.path.clone(),
            source,
        })?;
        decoded(move || {
            let group = self.footer.groups.get(index);
            let group = group.ok_or_else(|| broken("a group of rows is gone"))?;
            let mut fields = Vec::new();
            for name in self.footer.columns() {
                fields.extend(self.footer.field(name)?);
            }
            let file = std::cell::RefCell::new(&mut file);
            let fetch = |range: Range<usize>| -> Result<Buffer<u8>, Refusal> {
                let mut file = file.borrow_mut();
                let mut bytes = vec![0; range.len()];
                file.seek(SeekFrom::Start(range.start as u64))
                    .and_then(|_| file.read_exact(&mut bytes))
                    .map_err(|error| broken(error.to_string()))?;
                Ok(Buffer::from(bytes))
            };
            rows_of(self.length, fetch, group, &fields)
        })
        .map_err(|refusal| refusal.of(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{Column, DataFrame, ParquetWriter};

    use super::*;

    #[test]
    fn groups_hold_together_what_the_whole_file_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let numbers: Vec<i64> = (0..10).collect();
        let texts: Vec<String> = numbers.iter().map(|n| format!("row {n}")).collect();
        let mut table = DataFrame::new(
            10,
            vec![
                Column::new("n".into(), numbers),
                Column::new("text".into(), texts),
            ],
        )
        .unwrap();
        ParquetWriter::new(File::create(&path).unwrap())
            .with_row_group_size(Some(4))
            .finish(&mut table)
            .unwrap();
        let groups = Groups::open(&path).unwrap();
        assert_eq!(groups.columns(), ["n", "text"]);
        assert!(groups.counts().len() > 1);
        let rows: Vec<_> = (0..groups.counts().len())
            .flat_map(|index| groups.rows(index).unwrap())
            .collect();
        assert_eq!(
            rows,
            super::super::read(&path, &["n", "text"]).unwrap().rows
        );
        assert!(groups.rows(99).is_err());
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        std::fs::write(&path, b"PAR1 and no more").unwrap();
        let error = Groups::open(&path).err().unwrap().to_string();
        assert!(
            error.contains("a.parquet: it is no whole Parquet file"),
            "{error}"
        );
    }
}
