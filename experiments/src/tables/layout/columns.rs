//! The columns that a reader asks for.

use std::collections::BTreeSet;

use super::{Column, Document};

impl Document {
    /// Leaves of each table those named and what names its rows (the columns of
    /// text before the first number), and only tables that have one. A name is a heading in small letters with a hyphen
    /// for whatever is no letter or digit: `p (Holm)` is `p-holm`. What is asked
    /// for is shown at any width.
    ///
    /// The error names every column there is.
    pub fn keep(&mut self, names: &[String]) -> Result<(), String> {
        let all: BTreeSet<String> = self
            .tables
            .iter()
            .flat_map(|table| table.columns.iter().skip(1))
            .map(name)
            .collect();
        if let Some(unknown) = names.iter().find(|name| !all.contains(*name)) {
            let all: Vec<String> = all.into_iter().collect();
            return Err(format!(
                "no table has a column `{unknown}` (there are: {})",
                all.join(", ")
            ));
        }
        for table in &mut self.tables {
            let kept: Vec<bool> = table
                .columns
                .iter()
                .enumerate()
                .map(|(at, column)| at < keys(&table.columns) || names.contains(&name(column)))
                .collect();
            let mut named = table.columns.iter().skip(1);
            if !named.any(|column| names.contains(&name(column))) {
                table.columns.clear();
                continue;
            }
            let keep = |at: usize| kept.get(at).copied().unwrap_or_default();
            retain(&mut table.columns, keep);
            for column in &mut table.columns {
                column.detail = false;
            }
            for row in &mut table.rows {
                retain(&mut row.cells, keep);
            }
            let marks: BTreeSet<&String> = table
                .rows
                .iter()
                .flat_map(|row| row.cells.iter().filter_map(|cell| cell.mark.as_ref()))
                .collect();
            table.footnotes.retain(|(letter, _)| marks.contains(letter));
            table.aside = false;
        }
        self.tables.retain(|table| !table.columns.is_empty());
        Ok(())
    }
}

/// How many columns name the rows.
fn keys(columns: &[Column]) -> usize {
    let key = |column: &&Column| !column.numeric && !column.detail;
    columns.iter().take_while(key).count()
}

fn retain<T>(list: &mut Vec<T>, keep: impl Fn(usize) -> bool) {
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        keep(at - 1)
    });
}

fn name(column: &Column) -> String {
    let words = column.header.split(|c: char| !c.is_alphanumeric());
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    words.join("-")
}

#[cfg(test)]
mod tests {
    use crate::fixture;
    use crate::tables::layout::document;

    #[test]
    fn the_columns_asked_for_stay_beside_the_name_of_the_row() {
        let mut found = document(&fixture::comparison());
        found
            .keep(&["accuracy".to_owned(), "p".to_owned()])
            .unwrap();
        let ids: Vec<&str> = found.tables.iter().map(|table| table.id).collect();
        assert_eq!(
            ids,
            [
                "arms",
                "contrasts",
                "task-answers",
                "task-contrasts",
                "constant-answers",
                "published"
            ]
        );
        let widths: Vec<usize> = found
            .tables
            .iter()
            .map(|table| table.columns.len())
            .collect();
        // A contrast is named by its arms and its measure, a constant answer by its task too.
        assert_eq!(widths, [2, 3, 2, 3, 3, 2]);
        for table in &found.tables {
            let width = table.columns.len();
            assert!(table.rows.iter().all(|row| row.cells.len() == width));
        }
        // The reason for an undefined alignment went with it; that for a mark stays.
        assert_eq!(found.tables[0].footnotes.len(), 2);
    }

    #[test]
    fn any_number_of_samples_can_be_asked_for() {
        let mut found = document(&fixture::comparison());
        let names = ["pass-2", "majority-4", "cut-off-as-wrong"];
        found.keep(&names.map(str::to_owned)).unwrap();
        let shown: Vec<(&str, bool)> = (found.tables.iter())
            .map(|table| (table.id, table.aside))
            .collect();
        assert_eq!(shown, [("task-answers", false), ("task-among", false)]);
    }

    #[test]
    fn a_column_that_is_nowhere_is_refused_with_those_there_are() {
        let mut found = document(&fixture::comparison());
        let refused = found.keep(&["acuracy".to_owned()]).unwrap_err();
        assert!(
            refused.contains("acuracy") && refused.contains("balanced-accuracy"),
            "{refused}"
        );
    }
}
