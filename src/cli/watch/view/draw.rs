//! How the parts of `qinglan watch` are drawn: rows, charts, completions.
//!
//! Deliberately without any state of its own: what is chosen and scrolled is
//! `view`'s.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Borders, Cell, Chart, Dataset, GraphType, Paragraph, Row, Table, TableState, Wrap,
};

use super::{BOLD, COLUMNS, View, name, number};
use crate::cli::watch::text::shown;
use crate::runner::live::{self, SPEED, Sample};

/// Metrics that are worth a chart, with what stands above it, in their order.
const CHARTS: [(&str, &str); 6] = [
    ("reward", "reward"),
    ("validation/accuracy", "accuracy"),
    ("loss", "loss"),
    ("completions/mean_length", "length"),
    (SPEED, "tokens/s"),
    ("entropy", "entropy"),
];

impl View {
    pub(super) fn draw_rows(&self, frame: &mut Frame<'_>, area: Rect) {
        let columns = columns(area.width);
        let cells = |cells: [String; 9]| {
            let cells = cells.into_iter().zip(COLUMNS).enumerate();
            let kept = cells.filter(|(_, (_, column))| columns.contains(column));
            kept.map(|(index, (text, (_, width, _)))| {
                // Numbers stand at the right of their column.
                let text = if (1..2).contains(&index) || index > 2 {
                    format!("{text:>width$}", width = usize::from(width))
                } else {
                    text
                };
                Cell::from(text)
            })
            .collect::<Vec<_>>()
        };
        let header = Row::new(cells(COLUMNS.map(|(name, ..)| name.to_owned()))).style(self.dim());
        let rows = self.live.survey().parts.iter().map(|part| {
            let style = match self.live.word(part) {
                "going on" => self.ink(Color::Green),
                "not begun" => self.dim(),
                "stopped" => self.ink(Color::Yellow),
                _ => Style::new(),
            };
            Row::new(cells(self.row(part))).style(style)
        });
        let widths = columns.iter().map(|(name, width, _)| match *name {
            "arm" => Constraint::Min(*width),
            _ => Constraint::Length(*width),
        });
        let table = Table::new(rows, widths)
            .header(header)
            .highlight_symbol("> ")
            .row_highlight_style(BOLD);
        let mut state = TableState::new().with_selected(Some(self.chosen));
        frame.render_stateful_widget(table, area, &mut state);
    }

    pub(super) fn draw_charts_and_last(&self, frame: &mut Frame<'_>, area: Rect) {
        // Below this many rows a chart tells less than the completions would.
        let charts = if area.height < 9 {
            0
        } else {
            (area.height * 3 / 5).min(14)
        };
        let [above, below] =
            Layout::vertical([Constraint::Length(charts), Constraint::Min(0)]).areas(area);
        self.draw_charts(frame, above);
        self.draw_completions(frame, below, false);
    }

    fn draw_charts(&self, frame: &mut Frame<'_>, area: Rect) {
        let Some(part) = self.part() else { return };
        let all = CHARTS.map(|(metric, title)| (title, self.live.series(part, metric)));
        let room = usize::from(area.width / 19).clamp(1, 4);
        let some = all.into_iter().filter(|(_, series)| !series.is_empty());
        let some: Vec<_> = some.take(room).collect();
        if area.height == 0 {
            return;
        }
        if some.is_empty() {
            let name = format!("{} has no update yet", name(part));
            frame.render_widget(Paragraph::new(name).block(self.ruled("")), area);
            return;
        }
        let places = Layout::horizontal(vec![Constraint::Fill(1); some.len()]).split(area);
        for ((title, series), place) in some.iter().zip(places.iter()) {
            self.draw_chart(frame, *place, title, series);
        }
    }

    fn draw_chart(&self, frame: &mut Frame<'_>, area: Rect, title: &str, series: &[(f64, f64)]) {
        let (Some(first), Some(last)) = (series.first(), series.last()) else {
            return;
        };
        let (mut low, mut high) = series.iter().fold((f64::MAX, f64::MIN), |(l, h), (_, y)| {
            (l.min(*y), h.max(*y))
        });
        let decimals = if high.abs() < 1000.0 { 2 } else { 0 };
        let ends = [number(low, decimals), number(high, decimals)];
        if low >= high {
            (low, high) = (low - 0.5, high + 0.5);
        }
        let decimals = if last.1.abs() < 1000.0 { 3 } else { 0 };
        let title = format!("{title} {}", number(last.1, decimals));
        let line = Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(self.ink(Color::Cyan))
            .data(series);
        let steps = [number(first.0, 0), number(last.0, 0)];
        let chart = Chart::new(vec![line])
            .block(self.ruled(&title))
            .x_axis(
                Axis::default()
                    .bounds([first.0, last.0.max(first.0 + 1.0)])
                    .labels(steps)
                    .style(self.dim()),
            )
            .y_axis(
                Axis::default()
                    .bounds([low, high])
                    .labels(ends)
                    .style(self.dim()),
            );
        frame.render_widget(chart, area);
    }

    /// The completions of the last phase: as many as there is room for, or all to scroll in.
    pub(super) fn draw_completions(&self, frame: &mut Frame<'_>, area: Rect, all: bool) {
        let Some(part) = self.part() else { return };
        let step = self
            .phase
            .samples
            .first()
            .map_or(String::new(), |sample| format!(", update {}", sample.step));
        let block = self.ruled(&format!("last completions of {}{step}", name(part)));
        let mut lines = Vec::new();
        if all {
            for sample in &self.phase.samples {
                lines.extend(self.completion(sample, true));
            }
        } else {
            for sample in live::one_a_prompt(&self.phase.samples) {
                lines.extend(self.completion(sample, false));
            }
        }
        if lines.is_empty() {
            lines.push(Line::from("none was logged"));
        }
        let mut text = Paragraph::new(lines).block(block);
        if all {
            text = text.wrap(Wrap { trim: false }).scroll((self.scrolled, 0));
        }
        frame.render_widget(text, area);
    }

    fn completion(&self, sample: &Sample, all: bool) -> Vec<Line<'static>> {
        let reward = sample
            .reward
            .map_or("no reward".to_owned(), |r| number(r, 2));
        let tokens = sample
            .tokens
            .map_or(String::new(), |tokens| format!(" {tokens} tok"));
        let cut_off = if sample.truncated { " cut off" } else { "" };
        let facts = Span::styled(format!("{reward}{tokens}{cut_off} "), BOLD);
        if !all {
            return vec![Line::from(vec![
                facts,
                Span::raw(shown(&sample.completion)),
            ])];
        }
        vec![
            Line::from(vec![facts, Span::styled(shown(&sample.prompt), self.dim())]),
            Line::from(shown(&sample.completion)),
            Line::default(),
        ]
    }

    /// A block with a line above it alone: text that runs from right to left
    /// cannot carry a frame away with it.
    pub(super) fn ruled(&self, title: &str) -> Block<'static> {
        let title = Span::styled(shown(title), BOLD);
        Block::new()
            .borders(Borders::TOP)
            .border_style(self.dim())
            .title(title)
    }
}

/// The columns that a width has room for, those that matter most.
fn columns(width: u16) -> Vec<(&'static str, u16, u8)> {
    let mut columns = COLUMNS.to_vec();
    // Two for the mark, one between any two.
    let wide = |columns: &[(&str, u16, u8)]| columns.iter().map(|(_, w, _)| w + 1).sum::<u16>() + 1;
    while wide(&columns) > width {
        let least = columns
            .iter()
            .map(|(.., rank)| *rank)
            .max()
            .filter(|rank| *rank > 0);
        let Some(least) = least else { break };
        columns.retain(|(.., rank)| *rank != least);
    }
    columns
}
