//! The tables for a terminal of 80 columns.
//!
//! Intervals stand on a line of their own under their value, columns that have no
//! room stand in a second block of the same rows, and columns that are details are
//! left out and named. Whether to colour is the caller's
//! decision (`NO_COLOR`, not a terminal): nothing here looks at the environment.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr;

use comfy_table::{Attribute, CellAlignment, ContentArrangement, TableComponent, presets};

use super::format;
use super::layout::{self, Cell, Column, Document, Row, Table};
use crate::comparison::Comparison;

/// Columns that a line may fill.
const WIDTH: u16 = 80;
/// Blanks after a column.
const GAP: usize = 2;
/// Width that a column of text asks for at most; it can break.
const TEXT: usize = 14;
/// The same for the column that names the rows.
const NAME: usize = 26;
/// Width that a heading may take whatever stands under it.
const HEADER: usize = 12;

/// The tables as text, in colour where `color` is true.
pub fn render(comparison: &Comparison, color: bool) -> String {
    of(&layout::document(comparison), color)
}

/// A document as text, in colour where `color` is true.
pub fn of(document: &Document, color: bool) -> String {
    let mut out = String::new();
    for line in broken("", &document.title) {
        heading(&mut out, &line, color);
    }
    if !document.answers.is_empty() {
        out.push('\n');
        heading(&mut out, "Questions", color);
    }
    for answer in &document.answers {
        paragraph(&mut out, "- ", answer);
    }
    if !document.hypothesis.is_empty() {
        out.push('\n');
        paragraph(&mut out, "Hypothesis: ", &document.hypothesis);
    }
    out.push('\n');
    paragraph(&mut out, "", &document.method.join(" "));
    if !document.notes.is_empty() {
        out.push('\n');
    }
    for note in &document.notes {
        paragraph(&mut out, "Note: ", note);
    }
    for table in document.tables.iter().filter(|t| !t.aside) {
        out.push('\n');
        heading(&mut out, table.title, color);
        paragraph(&mut out, "", &table.caption);
        if table.grouped_by.is_none() {
            out.push('\n');
        }
        for group in groups(table) {
            if let (Some(kind), Some(group)) = (table.grouped_by, group) {
                let _ = writeln!(out, "\n{kind}: {group}");
            }
            out.push_str(&grid(table, group, color));
        }
        for (letter, reason) in &table.footnotes {
            paragraph(&mut out, &format!("({letter}) "), reason);
        }
        let left_out: Vec<&str> = table
            .columns
            .iter()
            .filter(|c| c.detail)
            .map(|c| c.header.as_ref())
            .collect();
        if !left_out.is_empty() {
            let text = format!("Not shown here for width: {}.", left_out.join(", "));
            paragraph(&mut out, "", &text);
        }
    }
    let aside = document.tables.iter().filter(|t| t.aside);
    let aside: Vec<String> = aside.map(|t| within_a_sentence(t.title)).collect();
    if !aside.is_empty() {
        let text = format!(
            "Left to the report and the other formats: {}.",
            aside.join("; ")
        );
        out.push('\n');
        paragraph(&mut out, "", &text);
    }
    out
}

/// A title as it stands within a sentence; names in it keep their capitals.
fn within_a_sentence(title: &str) -> String {
    let mut chars = title.chars();
    let first = chars.next().map(|c| c.to_lowercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

/// The groups in order of appearance; one `None` for a table without groups.
fn groups(table: &Table) -> Vec<Option<&str>> {
    let mut groups = Vec::new();
    for row in &table.rows {
        let group = row.group.as_deref();
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups
}

/// The rows of a group, in blocks one under the other where the columns are too many for a line;
/// each block begins with the column that names the rows.
fn grid(table: &Table, group: Option<&str>, color: bool) -> String {
    let of_group = |row: &&Row| row.group.as_deref() == group;
    let rows: Vec<&Row> = table.rows.iter().filter(of_group).collect();
    let blocks: Vec<String> = blocks(table)
        .iter()
        .map(|columns| block(&rows, columns, color))
        .collect();
    blocks.join("\n")
}

/// Columns with their places in a row.
type Placed<'t> = (usize, &'t Column);

/// The columns that are shown, divided so that no number has to break.
///
/// All rows decide, so that every group of a table is divided alike.
fn blocks(table: &Table) -> Vec<Vec<Placed<'_>>> {
    let mut shown = (table.columns.iter().enumerate()).filter(|(_, column)| !column.detail);
    let Some(first) = shown.next() else {
        return Vec::new();
    };
    let needed = |placed: &Placed<'_>| {
        let rows: Vec<&Row> = table.rows.iter().collect();
        let body = widest(&rows, placed.0);
        let header = stacked(&placed.1.header, body);
        let header = header.lines().map(UnicodeWidthStr::width).max();
        let body = if placed.1.numeric {
            body
        } else {
            body.min(TEXT)
        };
        GAP + body.max(header.unwrap_or(0))
    };
    // The last column of a line has no gap after it.
    let room = (usize::from(WIDTH) + GAP).saturating_sub(needed(&first).min(NAME));
    let (mut blocks, mut left) = (vec![vec![first]], room);
    for column in shown {
        let width = needed(&column);
        if width > left && blocks.last().is_some_and(|block| block.len() > 1) {
            blocks.push(vec![first]);
            left = room;
        }
        left = left.saturating_sub(width);
        if let Some(block) = blocks.last_mut() {
            block.push(column);
        }
    }
    blocks
}

fn block(rows: &[&Row], columns: &[Placed<'_>], color: bool) -> String {
    let mut grid = comfy_table::Table::new();
    grid.load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_width(WIDTH)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if color {
        grid.enforce_styling();
    } else {
        grid.force_no_tty();
    }
    let header = |(at, column): &Placed<'_>| {
        styled(stacked(&column.header, widest(rows, *at)), column, color)
    };
    grid.set_header(columns.iter().map(header));
    for row in rows {
        let cells = columns.iter();
        grid.add_row(cells.map(|(at, column)| styled(lines(&row.cells[*at]), column, false)));
    }
    let last = columns.len().saturating_sub(1);
    for (at, column) in grid.column_iter_mut().enumerate() {
        column.set_padding((0, if at == last { 0 } else { GAP as u16 }));
    }
    let mut out = String::new();
    for line in grid.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Width of the widest cell of a column.
fn widest(rows: &[&Row], at: usize) -> usize {
    let cells = rows.iter().map(|row| lines(&row.cells[at]));
    let width = |text: String| text.lines().map(UnicodeWidthStr::width).max();
    cells.filter_map(width).max().unwrap_or(0)
}

/// A heading broken at its blanks: no wider than what stands under it, its longest word, or what
/// few words need.
fn stacked(header: &str, widest: usize) -> String {
    let longest = header.split(' ').map(UnicodeWidthStr::width).max();
    let most = widest.max(longest.unwrap_or(0)).max(HEADER);
    let mut out = String::new();
    let mut line = 0;
    for word in header.split(' ') {
        if line > 0 && line + 1 + word.width() > most {
            out.push('\n');
            line = 0;
        } else if line > 0 {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += word.width();
    }
    out
}

fn styled(text: String, column: &Column, bold: bool) -> comfy_table::Cell {
    let cell = comfy_table::Cell::new(text).set_alignment(if column.numeric {
        CellAlignment::Right
    } else {
        CellAlignment::Left
    });
    if bold {
        cell.add_attribute(Attribute::Bold)
    } else {
        cell
    }
}

/// A cell's text, its interval or its footnote letter on the second line.
fn lines(cell: &Cell) -> String {
    let mut text = cell.text.replacen(" [", "\n[", 1);
    if let Some(mark) = &cell.mark {
        let gap = if text == format::UNDEFINED { '\n' } else { ' ' };
        let _ = write!(text, "{gap}({mark})");
    }
    text
}

fn heading(out: &mut String, text: &str, color: bool) {
    if color {
        let _ = writeln!(out, "\u{1b}[1m{text}\u{1b}[0m");
    } else {
        let _ = writeln!(out, "{text}");
    }
}

/// Text after a lead, in lines of at most [`WIDTH`] columns.
fn paragraph(out: &mut String, lead: &str, text: &str) {
    for line in broken(lead, text) {
        let _ = writeln!(out, "{line}");
    }
}

/// Breaks at blanks so that no line is wider than [`WIDTH`], unless a word is.
fn broken(lead: &str, text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = lead.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.width() + 1 + word.width() > usize::from(WIDTH) {
            lines.push(std::mem::replace(&mut line, " ".repeat(lead.len())));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    if !empty {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::snapshot;

    #[test]
    fn snapshot_txt() {
        snapshot::check("comparison.txt", &render(&fixture::comparison(), false));
    }

    #[test]
    fn fits_eighty_columns_and_has_no_escapes_without_color() {
        let mut comparison = fixture::comparison();
        comparison.arms[3].name = "a-run-of-last-week/grpo-with-a-long-name".to_owned();
        comparison.notes.push("word ".repeat(60));
        comparison.title = "one title; ".repeat(12);
        let text = render(&comparison, false);
        assert!(!text.contains('\u{1b}'));
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn columns_that_have_no_room_stand_in_a_second_block_of_the_same_rows() {
        let document = layout::document(&fixture::comparison());
        let arms = &document.tables[0];
        let headers = |block: &[Placed<'_>]| -> Vec<String> {
            block
                .iter()
                .map(|(_, column)| column.header.to_string())
                .collect()
        };
        let found = blocks(arms);
        assert_eq!(found.len(), 2);
        assert!(found.iter().all(|block| headers(block)[0] == "arm"));
        let shown: usize = found.iter().map(|block| block.len() - 1).sum();
        let all = arms.columns.iter().filter(|column| !column.detail);
        assert_eq!(shown, all.count() - 1);
    }

    #[test]
    fn names_and_notes_from_files_are_shown_and_not_obeyed() {
        let odd = |text: &str| format!("{text}\u{202e}gnp\u{1b}[31m\u{9b}2J\u{7}");
        let mut comparison = fixture::comparison();
        comparison.title = odd("title");
        comparison.hypothesis = odd("hypothesis");
        comparison.notes.push(odd("note"));
        comparison.arms[1].name = odd("arm");
        comparison.arms[2].tasks[0].task = odd("task");
        comparison.evaluation.norms = odd("source");
        comparison
            .recipes
            .iter_mut()
            .for_each(|recipe| recipe.arm = odd("recipe"));
        for text in [
            render(&comparison, false),
            crate::tables::markdown::render(&comparison),
            crate::tables::latex::render(&comparison),
        ] {
            let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(obeyed), "{:?}", text.find(obeyed));
        }
        let text = render(&comparison, false);
        for name in ["title", "note", "arm", "task"] {
            assert!(
                text.contains(&format!("{name}\u{fffd}gnp")),
                "{name}: {text}"
            );
        }
    }

    #[test]
    fn wide_and_right_to_left_text_keeps_to_eighty_columns() {
        let mut comparison = fixture::comparison();
        comparison.title = "\u{9752}\u{5170}".repeat(30);
        comparison.arms[0].name = "\u{57fa}\u{7ebf}".repeat(12);
        comparison.arms[1].name = "\u{5de}\u{5d5}\u{5e8}\u{5d4}".repeat(6);
        comparison.notes = vec!["\u{6570}\u{5b57} \u{5de}\u{5d5}\u{5e8}\u{5d4} ".repeat(20)];
        let text = render(&comparison, false);
        // A title is one line whatever its length; what is laid out keeps to the width.
        for line in text.lines().skip(1) {
            assert!(line.width() <= 80, "{line}");
        }
        assert!(text.contains("\u{57fa}") && text.contains("\u{5de}"));
    }

    #[test]
    fn color_changes_nothing_but_escapes() {
        let color = render(&fixture::comparison(), true);
        assert!(color.contains("\u{1b}[1m"));
        let mut plain = String::new();
        let mut rest = color.as_str();
        while let Some(at) = rest.find('\u{1b}') {
            plain.push_str(&rest[..at]);
            rest = &rest[at..];
            rest = &rest[rest.find('m').map_or(rest.len(), |m| m + 1)..];
        }
        plain.push_str(rest);
        let words = |s: &str| s.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&plain), words(&render(&fixture::comparison(), false)));
    }
}
