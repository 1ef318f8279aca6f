//! How `qinglan rewards` lays out what it has to say: tables of at most 80
//! columns, without colour or control characters.

use std::fmt::Write as _;

use comfy_table::{CellAlignment, ContentArrangement, Table, TableComponent, presets};

use super::findings::{Correlation, Disagreement, Distribution, Findings, Length};
use super::kept::Recorded;

/// Columns that a line may fill.
const WIDTH: u16 = 80;

/// Letters of a completion that are shown.
const LETTERS: usize = 150;

/// Letters of a reason why a reward could not judge.
const REASON: usize = 600;

/// Heights of a bar. An empty one has a dot, so that few are told from none.
const HEIGHTS: [char; 9] = ['.', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A table; `right` are the columns of numbers.
pub(super) fn grid(header: &[&str], right: &[usize], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_style(TableComponent::HeaderLines, '─')
        .set_width(WIDTH)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .force_no_tty();
    table.set_header(header);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        if right.contains(&index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut out = String::new();
    for line in table.lines() {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out
}

/// Everything that was found of an arm.
pub(super) fn findings(found: &Findings) -> String {
    let mut out = format!(
        "arm {}: {} completions in {} {}\n\n",
        found.arm,
        found.completions,
        found.batches,
        if found.batches == 1 {
            "batch"
        } else {
            "batches"
        }
    );
    for failure in &found.failed {
        let told = format!("{} could not judge: {}", failure.name, failure.reason);
        out.push_str(&paragraph("", &line(&told, REASON)));
    }
    if !found.failed.is_empty() {
        out.push_str("A sum that it is part of is left out.\n\n");
    }
    out.push_str(&scores(&found.scores));
    out.push_str("time each: of a second call, processes started, per completion\n\n");
    out.push_str(&quartiles(&found.scores));
    if !found.metrics.is_empty() {
        let rows = found.metrics.iter();
        let rows = rows.map(|(name, value)| vec![name.clone(), number(Some(*value))]);
        let _ = write!(
            out,
            "\n{}",
            grid(&["metric of a batch", "mean"], &[1], rows.collect())
        );
    }
    out.push_str(&recorded(&found.recorded));
    let alike = if found.within_problem {
        "completions of one problem that"
    } else {
        "completions that"
    };
    let about = format!(
        "Correlation with length in tokens. Given the verdict: among {alike} `correct` judges \
         the same ({} of {} are judged). A ! marks what pays for being right and, given the \
         verdict, for length too, interval included.",
        found.verdicts, found.completions
    );
    out.push('\n');
    out.push_str(&paragraph("", &about));
    out.push('\n');
    out.push_str(&lengths(&found.length));
    if !found.disagreements.is_empty() {
        out.push_str("\nWhere two rewards disagree, judges of 0 and 1 first, then by rank:\n");
    }
    for item in &found.disagreements {
        out.push_str(&disagreement(item));
    }
    if !found.notes.is_empty() {
        out.push('\n');
    }
    for note in &found.notes {
        out.push_str(&paragraph("", note));
    }
    out
}

/// What is not as it was in training in a table, and the names of the rest.
fn recorded(all: &[Recorded]) -> String {
    let (same, other): (Vec<&Recorded>, Vec<&Recorded>) =
        all.iter().partition(|one| one.differ == 0);
    let mut out = String::new();
    if !other.is_empty() {
        let rows = other.iter().map(|one| {
            vec![
                one.name.clone(),
                format!("{} of {}", one.differ, one.n),
                number(one.largest),
            ]
        });
        let header = [
            "not as recorded in training",
            "differ",
            "largest difference",
        ];
        let _ = write!(out, "\n{}", grid(&header, &[1, 2], rows.collect()));
    }
    if !same.is_empty() {
        let names: Vec<&str> = same.iter().map(|one| one.name.as_str()).collect();
        out.push('\n');
        out.push_str(&paragraph(
            "",
            &format!("as recorded: {}", names.join(", ")),
        ));
    }
    out
}

fn disagreement(item: &Disagreement) -> String {
    let [a, b] = &item.rewards;
    let [x, y] = item.values.map(|value| number(Some(value)));
    let gap = match item.count {
        Some([differ, of]) => format!("they differ on {differ} of {of}; one of them"),
        None => format!("ranks {:.2} apart", item.gap),
    };
    let mut out = format!("\n  {a} {x}, {b} {y} ({gap})\n");
    let of = [item.task.as_str(), item.problem.as_str()];
    let of: Vec<&str> = of.into_iter().filter(|text| !text.is_empty()).collect();
    let asked = if item.problem == item.prompt {
        item.prompt.clone()
    } else {
        format!("{}: {}", of.join(" "), item.prompt)
    };
    out.push_str(&paragraph("    ", &line(&asked, LETTERS)));
    out.push_str(&paragraph("    > ", &line(&item.completion, LETTERS)));
    out
}

fn scores(all: &[Distribution]) -> String {
    let rows = all.iter().map(|one| {
        vec![
            label(&one.name),
            one.weight
                .map_or_else(String::new, |weight| number(Some(weight))),
            one.n.to_string(),
            number(one.mean),
            number(one.sd),
            one.seconds.map_or_else(String::new, time),
            bars(&one.histogram),
        ]
    });
    let header = [
        "reward",
        "weight",
        "n",
        "mean",
        "sd",
        "time each",
        "from min to max",
    ];
    grid(&header, &[1, 2, 3, 4, 5], rows.collect())
}

fn quartiles(all: &[Distribution]) -> String {
    let rows = all.iter().map(|one| {
        let mut row = vec![label(&one.name)];
        match one.quartiles {
            Some(values) => row.extend(values.map(|value| number(Some(value)))),
            None => row.extend([const { String::new() }; 5]),
        }
        row
    });
    let header = ["reward", "min", "25 %", "median", "75 %", "max"];
    grid(&header, &[1, 2, 3, 4, 5], rows.collect())
}

fn lengths(all: &[Length]) -> String {
    let rows = all.iter().map(|one| {
        vec![
            one.name.clone(),
            one.n.to_string(),
            correlation(one.pearson),
            one.spearman
                .map_or_else(|| UNDEFINED.to_owned(), |r| format!("{r:+.2}")),
            correlation(one.given_verdict),
            if one.secretly { "!" } else { "" }.to_owned(),
        ]
    });
    let header = [
        "reward",
        "n",
        "Pearson",
        "Spearman",
        "given the verdict",
        "",
    ];
    grid(&header, &[1, 2, 3, 4], rows.collect())
}

/// What a figure that does not exist shows.
const UNDEFINED: &str = "-";

fn correlation(found: Option<Correlation>) -> String {
    let Some(Correlation { r, interval }) = found else {
        return UNDEFINED.to_owned();
    };
    match interval {
        Some((low, high)) => format!("{r:+.2} [{low:.2}, {high:.2}]"),
        None => format!("{r:+.2}"),
    }
}

/// A reward's name, or that of a part below it.
fn label(name: &str) -> String {
    match name.split_once('/') {
        Some((_, part)) => format!("  {part}"),
        None => name.to_owned(),
    }
}

/// Three digits, as few letters as may be.
fn number(value: Option<f64>) -> String {
    let Some(value) = value else {
        return UNDEFINED.to_owned();
    };
    let size = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(0.001..1e6).contains(&size) {
        format!("{value:.1e}")
    } else if size < 1.0 {
        trimmed(&format!("{value:.3}"))
    } else if size < 100.0 {
        trimmed(&format!("{value:.2}"))
    } else {
        trimmed(&format!("{value:.1}"))
    }
}

/// Without the zeros behind the point.
fn trimmed(text: &str) -> String {
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn time(seconds: f64) -> String {
    if seconds < 1e-3 {
        format!("{:.1} us", seconds * 1e6)
    } else if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

fn bars(counts: &[usize]) -> String {
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    let height = |count: &usize| (count * (HEIGHTS.len() - 1)).div_ceil(most);
    counts.iter().map(|count| HEIGHTS[height(count)]).collect()
}

/// A text on one line, shortened, with nothing in it that a terminal obeys.
fn line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut letters = words.chars().filter(|c| !c.is_control());
    let mut line: String = letters.by_ref().take(most).collect();
    if letters.next().is_some() {
        line.push('…');
    }
    line
}

/// Breaks at blanks so that no line is wider than [`WIDTH`], unless a word is.
fn paragraph(lead: &str, text: &str) -> String {
    let width = usize::from(WIDTH);
    let indent = " ".repeat(lead.chars().count());
    let mut out = lead.to_owned();
    let mut used = lead.chars().count();
    let mut first = true;
    for word in text.split(' ') {
        let wide = word.chars().count();
        if !first && used + 1 + wide > width {
            out.push('\n');
            out.push_str(&indent);
            used = indent.len();
        } else if !first {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += wide;
        first = false;
    }
    out.push('\n');
    out
}
