//! The tables for a terminal of 80 columns.
//!
//! Intervals stand on a line of their own under their value, and columns that
//! are details are left out and named. Whether to colour is the caller's
//! decision (`NO_COLOR`, not a terminal): nothing here looks at the environment.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use comfy_table::{Attribute, CellAlignment, ContentArrangement, TableComponent, presets};

use super::format;
use super::layout::{self, Cell, Column, Document, Table};
use crate::comparison::Comparison;

/// Columns that a line may fill.
const WIDTH: u16 = 80;

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
    if !document.hypothesis.is_empty() {
        out.push('\n');
        paragraph(&mut out, "Hypothesis: ", &document.hypothesis);
    }
    out.push('\n');
    paragraph(&mut out, "", &document.method.join(" "));
    if !document.answers.is_empty() {
        out.push('\n');
        heading(&mut out, "Questions", color);
    }
    for answer in &document.answers {
        paragraph(&mut out, "- ", answer);
    }
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
    let aside: Vec<String> = aside.map(|t| t.title.to_lowercase()).collect();
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

fn grid(table: &Table, group: Option<&str>, color: bool) -> String {
    let shown: Vec<(usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| !column.detail)
        .collect();
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
    grid.set_header(
        shown
            .iter()
            .map(|(_, column)| styled(column.header.to_string(), column, color)),
    );
    for row in table
        .rows
        .iter()
        .filter(|row| row.group.as_deref() == group)
    {
        grid.add_row(
            shown
                .iter()
                .map(|(i, column)| styled(lines(&row.cells[*i]), column, false)),
        );
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut out = String::new();
    for line in grid.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
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
