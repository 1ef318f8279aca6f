//! The tables as GitHub-flavoured Markdown, aligned so that the source reads too.
//!
//! Deliberately no HTML inside: a footnote is a letter in parentheses.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthStr as _;

use super::layout::{self, Cell, Document, Table};
use crate::comparison::Comparison;

/// The tables as one Markdown file.
pub fn render(comparison: &Comparison) -> String {
    of(&layout::document(comparison))
}

/// A document as one Markdown file.
pub fn of(document: &Document) -> String {
    let mut out = format!("# {}\n", escape(&document.title));
    list(&mut out, "Questions", &document.answers);
    let method = document.method.join(" ");
    let lead = "Hypothesis, as written before the run: ";
    if !document.hypothesis.is_empty() || !method.is_empty() {
        out.push_str("\n## Method\n");
    }
    for (lead, text) in [(lead, &document.hypothesis), ("", &method)] {
        if !text.is_empty() {
            let _ = write!(out, "\n{lead}{}\n", escape(text));
        }
    }
    list(&mut out, "Notes", &document.notes);
    for table in &document.tables {
        let _ = write!(
            out,
            "\n## {}\n\n{}\n\n",
            escape(table.title),
            escape(&table.caption)
        );
        out.push_str(&grid(table));
        for (i, (letter, reason)) in table.footnotes.iter().enumerate() {
            let lead = if i == 0 { "\n" } else { "" };
            // Two trailing blanks break the line; a list would need an order it does not have.
            let end = if i + 1 == table.footnotes.len() {
                ""
            } else {
                "  "
            };
            let _ = writeln!(out, "{lead}({letter}) {}{end}", escape(reason));
        }
    }
    out
}

fn list(out: &mut String, title: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    let _ = write!(out, "\n## {title}\n\n");
    for entry in entries {
        let _ = writeln!(out, "- {}", escape(entry));
    }
}

fn grid(table: &Table) -> String {
    let mut header: Vec<String> = table.columns.iter().map(|c| escape(&c.header)).collect();
    let mut right: Vec<bool> = table.columns.iter().map(|c| c.numeric).collect();
    if let Some(kind) = table.grouped_by {
        header.insert(0, escape(kind));
        right.insert(0, false);
    }
    let rows: Vec<Vec<String>> = table
        .rows
        .iter()
        .map(|row| {
            let group = row.group.iter().map(|g| escape(g));
            group.chain(row.cells.iter().map(cell)).collect()
        })
        .collect();
    let widths: Vec<usize> = (0..header.len())
        .map(|i| {
            let cells = rows.iter().filter_map(|row| row.get(i));
            let widest = cells.chain(header.get(i)).map(|c| c.width()).max();
            widest.unwrap_or(0).max(3)
        })
        .collect();
    let line = |cells: &[String]| {
        let mut out = String::from("|");
        for ((text, &width), &right) in cells.iter().zip(&widths).zip(&right) {
            // A character may be two columns wide.
            let blank = " ".repeat(width.saturating_sub(text.width()));
            let _ = if right {
                write!(out, " {blank}{text} |")
            } else {
                write!(out, " {text}{blank} |")
            };
        }
        out + "\n"
    };
    let rule: Vec<String> = widths
        .iter()
        .zip(&right)
        .map(|(&width, &right)| {
            let dashes = "-".repeat(width - usize::from(right));
            if right { dashes + ":" } else { dashes }
        })
        .collect();
    let mut out = line(&header) + &line(&rule);
    for row in &rows {
        out.push_str(&line(row));
    }
    out
}

fn cell(cell: &Cell) -> String {
    let mut text = escape(&cell.text);
    if let Some(mark) = &cell.mark {
        let _ = write!(text, " ({mark})");
    }
    text
}

/// Escapes what Markdown would take for markup. An underscore between letters
/// or digits is none, and stays, so that task names can be read and searched.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = ' ';
    while let Some(c) = chars.next() {
        let within = before.is_alphanumeric() && chars.peek().is_some_and(|n| n.is_alphanumeric());
        match c {
            '\n' | '\r' => out.push(' '),
            '_' if within => out.push('_'),
            '|' | '*' | '`' | '\\' | '<' | '_' => {
                out.push('\\');
                out.push(c);
            }
            _ => out.push(c),
        }
        before = c;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::snapshot;

    #[test]
    fn snapshot_md() {
        snapshot::check("comparison.md", &render(&fixture::comparison()));
    }

    #[test]
    fn escapes_markup_and_keeps_task_names() {
        assert_eq!(escape("alphabet_arithmetic"), "alphabet_arithmetic");
        assert_eq!(escape("a|b <x> *c* `d`\ne"), r"a\|b \<x> \*c\* \`d\` e");
        assert_eq!(escape("_x"), r"\_x");
    }
}
