//! What a table is made of: finished text in rows and columns.

use std::borrow::Cow;

use crate::tables::plain;

/// Everything the tables say.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Title for people.
    pub title: String,
    /// The hypothesis as written before the run.
    pub hypothesis: String,
    /// How the figures were obtained, a sentence each.
    pub method: Vec<String>,
    /// The answer to each question that has a name, a line each.
    pub answers: Vec<String>,
    /// What a reader must know before believing the tables.
    pub notes: Vec<String>,
    /// The tables, in reading order.
    pub tables: Vec<Table>,
}

impl Document {
    /// The same with nothing that a terminal would obey: names, titles and notes
    /// come from files.
    pub(super) fn plain(mut self) -> Self {
        let alone = [&mut self.title, &mut self.hypothesis];
        let told = [&mut self.method, &mut self.answers, &mut self.notes];
        for text in alone.into_iter().chain(told.into_iter().flatten()) {
            *text = plain::lines(text);
        }
        for table in &mut self.tables {
            table.caption = plain::lines(&table.caption);
            for column in &mut table.columns {
                if let Cow::Owned(header) = &mut column.header {
                    *header = plain::line(header);
                }
            }
            for row in &mut table.rows {
                let cells = row.cells.iter_mut().map(|cell| &mut cell.text);
                for text in row.group.iter_mut().chain(cells) {
                    *text = plain::lines(text);
                }
            }
            for (_, reason) in &mut table.footnotes {
                *reason = plain::lines(reason);
            }
        }
        self
    }
}

/// One table.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Short name, usable as an anchor or a label.
    pub id: &'static str,
    /// Title.
    pub title: &'static str,
    /// What the table shows, in a sentence or two.
    pub caption: String,
    /// Name of what the rows are grouped by, where they are.
    pub grouped_by: Option<&'static str>,
    /// Columns, the row's name first.
    pub columns: Vec<Column>,
    /// Rows.
    pub rows: Vec<Row>,
    /// Letter and reason of each marked cell.
    pub footnotes: Vec<(String, String)>,
    /// Whether readers want it only after the others: a terminal names it and leaves it out.
    pub aside: bool,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Heading; an arm's name in a matrix of arms.
    pub header: Cow<'static, str>,
    /// Exact definition of what stands in it.
    pub definition: &'static str,
    /// Whether it holds numbers, which are set flush right.
    pub numeric: bool,
    /// Whether it may be left out where 80 columns are all there is.
    pub detail: bool,
}

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The group it belongs to, where the table is grouped.
    pub group: Option<String>,
    /// Cells, one a column.
    pub cells: Vec<Cell>,
}

/// One cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// Letter of its footnote.
    pub mark: Option<String>,
    /// Items (or samples) behind an estimate.
    pub n: Option<usize>,
    /// Correlation to shade the cell by, where the format can.
    pub shade: Option<f64>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self {
            text,
            ..Self::default()
        }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

pub(super) const fn name_column(header: &'static str, definition: &'static str) -> Column {
    Column {
        header: Cow::Borrowed(header),
        definition,
        numeric: false,
        detail: false,
    }
}

pub(super) const fn number_column(header: &'static str, definition: &'static str) -> Column {
    Column {
        header: Cow::Borrowed(header),
        definition,
        numeric: true,
        detail: false,
    }
}

pub(super) fn detail(column: Column) -> Column {
    Column {
        detail: true,
        ..column
    }
}

pub(super) const ARM: Column = name_column("arm", "Name of the model in the trace records.");
