//! Text and tables as HTML.

use std::fmt::Write as _;

use crate::figures::palette::Palette;
use crate::tables::format;
use crate::tables::layout::{Cell, Column, Table};

/// Escapes text for element content and for attributes in double quotes.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Escapes text of ours, and sets a hyphen that is a minus as one.
pub(super) fn text(text: &str) -> String {
    escape(&format::minus(text))
}

/// The same for sentences: an interval and a p value are not broken across lines.
pub(super) fn prose(sentence: &str) -> String {
    let mut within = false;
    let held: String = sentence
        .replace("p = ", "p\u{a0}=\u{a0}")
        .replace("p < ", "p\u{a0}<\u{a0}")
        .chars()
        .map(|c| {
            within = (within || c == '[') && c != ']';
            if within && c == ' ' { '\u{a0}' } else { c }
        })
        .collect();
    text(&held)
}

/// Columns of a matrix that a page has room for at the usual size.
const MATRIX: usize = 9;

/// A table with its caption, footnotes and definitions.
pub(super) fn table(table: &Table, colors: &Palette) -> String {
    let mut out = format!(
        "<figure class=\"table{}\"><table id=\"{}\" role=\"table\"><caption>{}</caption>\n<thead><tr role=\"row\">",
        match (shaded(table), table.columns.len()) {
            (false, _) => "",
            (true, ..=MATRIX) => " matrix",
            (true, _) => " matrix dense",
        },
        table.id,
        text(&table.caption)
    );
    for column in &table.columns {
        let _ = write!(
            out,
            "<th scope=\"col\" role=\"columnheader\"{} title=\"{}\">{}</th>",
            class(column),
            escape(column.definition),
            text(&column.header)
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    let mut group = None;
    for row in &table.rows {
        if row.group != group {
            if let Some(name) = &row.group {
                let _ = writeln!(
                    out,
                    "<tr class=\"group\" role=\"row\"><th scope=\"rowgroup\" colspan=\"{}\">{}</th></tr>",
                    table.columns.len(),
                    escape(name)
                );
            }
            group.clone_from(&row.group);
        }
        out.push_str("<tr role=\"row\">");
        for (i, (cell, column)) in row.cells.iter().zip(&table.columns).enumerate() {
            out.push_str(&table_cell(cell, column, i == 0, colors));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    out.push_str(&labels(table));
    if !table.footnotes.is_empty() {
        out.push_str("<p class=\"footnotes\">");
        for (letter, reason) in &table.footnotes {
            let _ = write!(out, "<span><sup>{letter}</sup> {}</span> ", text(reason));
        }
        out.push_str("</p>\n");
    }
    out.push_str("<details><summary>Definitions</summary><dl>");
    let mut last = "";
    for column in &table.columns {
        // The columns of a matrix share one definition.
        if column.definition != last {
            let _ = write!(
                out,
                "<dt>{}</dt><dd>{}</dd>",
                text(&column.header),
                text(column.definition)
            );
        }
        last = column.definition;
    }
    out.push_str("</dl></details></figure>\n");
    out
}

/// The label of each column, which stands in front of the value where the table
/// is too wide for the page: said once, not in every cell.
fn labels(table: &Table) -> String {
    let mut out = String::from("<style>@media screen and (max-width:52rem){");
    for (i, column) in table.columns.iter().enumerate().skip(1) {
        // Neither ends the text nor the element.
        let label = format::minus(&column.header).replace(['"', '\\', '<', '\n'], " ");
        let _ = write!(
            out,
            "#{} td:nth-child({})::before{{content:\"{label}\"}}",
            table.id,
            i + 1
        );
    }
    out + "}</style>\n"
}

fn shaded(table: &Table) -> bool {
    let mut cells = table.rows.iter().flat_map(|row| &row.cells);
    cells.any(|cell| cell.shade.is_some())
}

/// The deepest shade, which both inks can still be read on.
const DEEPEST: f64 = 0.42;

/// Blue above 0 and vermillion below, the deeper the further from it.
fn shade(value: f64) -> String {
    let rgb = if value < 0.0 { "213 94 0" } else { "0 114 178" };
    let alpha = DEEPEST * value.abs().min(1.0);
    format!(" style=\"background:rgb({rgb} / {alpha:.2})\"")
}

fn table_cell(cell: &Cell, column: &Column, first: bool, colors: &Palette) -> String {
    let mut inner = if first && column.header == "arm" {
        format!("{}{}", swatch(&cell.text, colors), text(&cell.text))
    } else if let Some((value, bounds)) = cell.text.split_once(" [") {
        format!(
            "{} <span class=\"ci\">[{}</span>",
            text(value),
            text(bounds)
        )
    } else if cell.text == format::UNDEFINED {
        format!("<span class=\"undefined\">{}</span>", text(&cell.text))
    } else {
        text(&cell.text)
    };
    if let Some(mark) = &cell.mark {
        let _ = write!(inner, "<sup>{mark}</sup>");
    }
    if cell.text.is_empty() {
        return "<td class=\"none\"></td>".to_owned();
    }
    let background = cell.shade.map_or(String::new(), shade);
    let behind = cell.n.map_or(String::new(), |n| {
        format!(" title=\"n = {}\"", format::count(n as u64))
    });
    if first {
        format!("<th scope=\"row\" role=\"rowheader\">{inner}</th>")
    } else {
        format!(
            "<td role=\"cell\"{}{behind}{background}><span>{inner}</span></td>",
            class(column)
        )
    }
}

/// The coloured square in front of an arm's name.
pub(super) fn swatch(arm: &str, colors: &Palette) -> String {
    format!(
        "<i class=\"swatch\" style=\"background:{}\"></i>",
        colors.hex(arm)
    )
}

fn class(column: &Column) -> &'static str {
    if column.numeric { " class=\"num\"" } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_markup_and_quotes() {
        assert_eq!(
            escape("<a b=\"c\">&'"),
            "&lt;a b=&quot;c&quot;&gt;&amp;&#39;"
        );
    }

    #[test]
    fn shades_follow_sign_and_size() {
        assert_eq!(shade(0.5), " style=\"background:rgb(0 114 178 / 0.21)\"");
        assert_eq!(shade(-1.2), " style=\"background:rgb(213 94 0 / 0.42)\"");
        assert!(shade(0.0).contains("/ 0.00"));
    }

    #[test]
    fn prose_keeps_figures_together() {
        assert_eq!(
            prose("a - b: -0.02 [-0.10, 0.05], p < 0.001"),
            "a \u{2212} b: \u{2212}0.02 [\u{2212}0.10,\u{a0}0.05], p\u{a0}&lt;\u{a0}0.001"
        );
    }
}
