//! The tables as a LaTeX document with booktabs that compiles as it stands.
//!
//! Each table can be lifted out: it needs `booktabs` and `graphicx`, which makes
//! a table that is wider than the page as wide as the page. Text that a plain
//! font cannot set is written as its code point, not dropped.

use std::fmt::Write as _;

use super::layout::{self, Cell, Document, Row, Table};
use crate::comparison::Comparison;

const PREAMBLE: &str = r"\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs}
\usepackage{graphicx}
\newcommand{\fnmark}[1]{\textsuperscript{#1}}
\setlength{\tabcolsep}{4pt}
";

/// Rows that fit a page under a caption.
const ROWS: usize = 45;

/// The tables as one LaTeX file.
pub fn render(comparison: &Comparison) -> String {
    of(&layout::document(comparison))
}

/// A document as one LaTeX file.
pub fn of(document: &Document) -> String {
    let mut out = String::from(PREAMBLE);
    let _ = write!(
        out,
        "\\title{{{}}}\n\\date{{}}\n\\begin{{document}}\n\\maketitle\n",
        escape(&document.title)
    );
    front(&mut out, document);
    for table in &document.tables {
        floats(&mut out, table);
    }
    out.push_str("\n\\end{document}\n");
    out
}

fn front(out: &mut String, document: &Document) {
    list(out, "Questions", &document.answers);
    if !document.hypothesis.is_empty() {
        let _ = write!(
            out,
            "\\noindent Hypothesis, as written before the run: {}\n\n",
            escape(&document.hypothesis)
        );
    }
    if !document.method.is_empty() {
        let _ = writeln!(out, "\\noindent {}", escape(&document.method.join(" ")));
    }
    list(out, "Notes", &document.notes);
}

fn list(out: &mut String, title: &str, entries: &[String]) {
    if entries.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n\\noindent {title}:\n\\begin{{itemize}}");
    for entry in entries {
        let _ = writeln!(out, "\\item {}", escape(entry));
    }
    out.push_str("\\end{itemize}\n");
}

/// A float cannot break across pages, so a long table becomes several.
fn floats(out: &mut String, table: &Table) {
    for (part, rows) in table.rows.chunks(ROWS).enumerate() {
        float(out, table, rows, part);
    }
}

fn float(out: &mut String, table: &Table, rows: &[Row], part: usize) {
    let columns: String = table
        .columns
        .iter()
        .map(|c| if c.numeric { 'r' } else { 'l' })
        .collect();
    let title = escape(table.title);
    let caption = if part == 0 {
        let text = format!("{title}. {}", escape(&table.caption));
        format!("\\caption{{{text}}}\n\\label{{tab:{}}}", table.id)
    } else {
        format!("\\caption{{{title}, continued.}}")
    };
    let _ = writeln!(
        out,
        "\n\\begin{{table}}[htbp]\n\\centering\\footnotesize\n{caption}\n\
         \\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n\\begin{{tabular}}{{@{{}}{columns}@{{}}}}\n\\toprule",
    );
    let header: Vec<String> = table.columns.iter().map(|c| stacked(&c.header)).collect();
    let _ = writeln!(out, "{} \\\\\n\\midrule", header.join(" & "));
    let mut group = None;
    for row in rows {
        if row.group != group {
            if group.is_some() {
                out.push_str("\\addlinespace\n");
            }
            if let Some(name) = &row.group {
                let span = table.columns.len();
                let _ = writeln!(
                    out,
                    "\\multicolumn{{{span}}}{{@{{}}l}}{{\\textit{{{}}}}} \\\\",
                    escape(name)
                );
            }
            group.clone_from(&row.group);
        }
        let cells: Vec<String> = row.cells.iter().map(cell).collect();
        let cells = cells.join(" & ");
        // After the line break before it, either would be taken for its option.
        let guard = if cells.starts_with(['[', '*']) {
            "{}"
        } else {
            ""
        };
        let _ = writeln!(out, "{guard}{cells} \\\\");
    }
    out.push_str("\\bottomrule\n\\end{tabular}}\n");
    if !table.footnotes.is_empty() {
        let notes: Vec<String> = table
            .footnotes
            .iter()
            .map(|(letter, reason)| format!("\\fnmark{{{letter}}}\\,{}", escape(reason)))
            .collect();
        let _ = writeln!(out, "\n\\smallskip\n{}.", notes.join("; "));
    }
    out.push_str("\\end{table}\n");
}

/// A heading of several words, one under the other, so that columns stay narrow.
fn stacked(header: &str) -> String {
    let words: Vec<String> = header.split(' ').map(escape).collect();
    if words.len() == 1 || header.contains('/') {
        return escape(header);
    }
    let rows = words.join("\\\\");
    format!("\\begin{{tabular}}[b]{{@{{}}r@{{}}}}{rows}\\end{{tabular}}")
}

fn cell(cell: &Cell) -> String {
    let mut text = escape(&cell.text);
    if let Some(mark) = &cell.mark {
        let _ = write!(text, "\\fnmark{{{mark}}}");
    }
    text
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let digit_next = chars.peek().is_some_and(char::is_ascii_digit);
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            // T1 has these; the comparison signs would be ligatures or wrong glyphs in other encodings.
            '<' => out.push_str("\\textless{}"),
            '>' => out.push_str("\\textgreater{}"),
            '|' => out.push_str("\\textbar{}"),
            '"' => out.push_str("\\textquotedbl{}"),
            // A minus, in front of a number or between two names.
            '-' if digit_next && !before.is_alphanumeric() => out.push_str("$-$"),
            '-' if before == ' ' && chars.peek() == Some(&' ') => out.push_str("$-$"),
            '\u{2212}' => out.push_str("$-$"),
            '\u{b2}' => out.push_str("\\textsuperscript{2}"),
            '\u{d7}' => out.push_str("$\\times$"),
            '\u{2013}' => out.push_str("--"),
            '\u{2014}' => out.push_str("---"),
            '\u{2018}' => out.push('`'),
            '\u{2019}' => out.push('\''),
            '\u{201c}' => out.push_str("``"),
            '\u{201d}' => out.push_str("''"),
            '\u{2026}' => out.push_str("\\ldots{}"),
            '\u{a0}' => out.push('~'),
            c if c.is_control() => out.push(' '),
            // Letters of Latin-1 and Latin Extended-A are in the T1 encoding.
            c if c.is_ascii() || (c.is_alphabetic() && ('\u{c0}'..='\u{17e}').contains(&c)) => {
                out.push(c);
            }
            c => {
                let _ = write!(out, "\\texttt{{U+{:04X}}}", u32::from(c));
            }
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
    fn snapshot_tex() {
        snapshot::check("comparison.tex", &render(&fixture::comparison()));
    }

    #[test]
    fn escapes_specials() {
        assert_eq!(escape(r"50 % & a_b #1 $x$"), r"50 \% \& a\_b \#1 \$x\$");
        assert_eq!(
            escape(r"\input{x}^~"),
            r"\textbackslash{}input\{x\}\textasciicircum{}\textasciitilde{}"
        );
        assert_eq!(escape("-0.02 [-0.10, 0.05]"), "$-$0.02 [$-$0.10, 0.05]");
        assert_eq!(escape("run-2 x-y"), "run-2 x-y");
        assert_eq!(escape("grpo - sft"), "grpo $-$ sft");
        assert_eq!(escape("\u{9752} \u{e9}"), "\\texttt{U+9752} \u{e9}");
    }

    /// Text of other scripts and markup must not stop it either.
    #[test]
    fn the_document_compiles() {
        let mut comparison = fixture::comparison();
        comparison.title = "\u{9752}\u{5170} \u{5d0}\u{5d1} \\input{x} 50 % $_^~".to_owned();
        comparison.arms[0].name = "\u{57fa}\u{7ebf}/base_1".to_owned();
        comparison.arms[1].name = "[second] ".repeat(20);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("t.tex"), render(&comparison)).expect("written");
        let compiled = std::process::Command::new("pdflatex")
            .args(["-interaction=nonstopmode", "-halt-on-error", "t.tex"])
            .current_dir(folder.path())
            .output();
        match compiled {
            Ok(told) => assert!(
                told.status.success() && folder.path().join("t.pdf").exists(),
                "{}",
                String::from_utf8_lossy(&told.stdout)
            ),
            Err(_) => println!("skipped: there is no pdflatex to compile the tables"),
        }
    }

    #[test]
    fn braces_balance() {
        let text = render(&fixture::comparison());
        let plain = text.replace("\\{", "").replace("\\}", "");
        assert_eq!(plain.matches('{').count(), plain.matches('}').count());
        assert_eq!(
            text.matches("\\begin{").count(),
            text.matches("\\end{").count()
        );
    }
}
