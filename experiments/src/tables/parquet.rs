//! The tidy rows as a Parquet table, with the columns of the CSV: text that does
//! not apply is empty, a number that does not is null.

use polars::prelude::{Column as Series, DataFrame, ParquetWriter, PolarsError};

use super::tidy::{self, Column, Row};
use crate::comparison::Comparison;

/// The comparison as a Parquet file's bytes, with the columns of those names
/// alone, or all where none is named.
///
/// The error says which column there is not, or what the writer refused.
pub fn render(comparison: &Comparison, columns: &[String]) -> Result<Vec<u8>, String> {
    let rows = tidy::rows(comparison);
    let columns = tidy::columns(columns)?.into_iter();
    let columns = columns.map(|(name, of)| series(name, of, &rows));
    let mut frame = DataFrame::new(rows.len(), columns.collect()).map_err(|error| words(&error))?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes)
        .finish(&mut frame)
        .map_err(|error| words(&error))?;
    Ok(bytes)
}

fn words(error: &PolarsError) -> String {
    error.to_string()
}

fn series(name: &str, column: &Column, rows: &[Row<'_>]) -> Series {
    let name = name.into();
    match column {
        Column::Text(of) => Series::new(name, rows.iter().map(of).collect::<Vec<_>>()),
        Column::Number(of) => {
            let finite = |row| of(row).filter(|number| number.is_finite());
            Series::new(name, rows.iter().map(finite).collect::<Vec<_>>())
        }
        Column::Count(of) => {
            let wide = |row| of(row).map(|count| count as u64);
            Series::new(name, rows.iter().map(wide).collect::<Vec<_>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use polars::prelude::{ParquetReader, SerReader};

    use super::*;
    use crate::fixture;

    #[test]
    fn the_table_holds_what_the_csv_holds() {
        let comparison = fixture::comparison();
        let bytes = render(&comparison, &[]).unwrap();
        let frame = ParquetReader::new(std::io::Cursor::new(bytes))
            .finish()
            .unwrap();
        let rows = tidy::rows(&comparison);
        assert_eq!(frame.shape(), (rows.len(), tidy::COLUMNS.len()));
        let text = |name: &str, at: usize| {
            let column = frame.column(name).unwrap().str().unwrap();
            column.get(at).unwrap().to_owned()
        };
        let number = |name: &str, at: usize| frame.column(name).unwrap().f64().unwrap().get(at);
        for (at, row) in rows.iter().enumerate() {
            let names = (text("kind", at), text("arm", at), text("measure", at));
            assert_eq!(names, (row.kind.into(), row.arm.into(), row.measure.into()));
            assert_eq!(text("shown", at), row.shown);
            assert_eq!(number("value", at), row.value);
            assert_eq!(number("effect_size", at), row.effect_size);
        }
        let some = render(&comparison, &["arm".to_owned(), "value".to_owned()]).unwrap();
        let frame = ParquetReader::new(std::io::Cursor::new(some))
            .finish()
            .unwrap();
        assert_eq!(frame.shape(), (rows.len(), 2));
        let refused = render(&comparison, &["nothing".to_owned()]).unwrap_err();
        assert!(
            refused.contains("nothing") && refused.contains("why_undefined"),
            "{refused}"
        );
    }
}
