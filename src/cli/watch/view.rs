//! What `qinglan watch` shows: parts in rows, charts of the chosen one, and its
//! last completions.
//!
//! Everything is readable at 80 columns and 24 rows. Narrower, the columns that
//! matter least are left out; lower, charts go before completions and those
//! before the rows. Without colour, the chosen row is told by its mark.

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{
    Axis, Block, Borders, Cell, Chart, Clear, Dataset, GraphType, Paragraph, Row, Table,
    TableState, Wrap,
};

use super::text::{cut, shown};
use crate::runner::live::{self, Live, SPEED, Sample};
use crate::runner::survey::{Part, State};

/// What stands below the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pane {
    Charts,
    Completions,
    Help,
}

/// The view and what was chosen in it.
pub(super) struct View {
    live: Live,
    color: bool,
    /// The chosen part, by its place.
    chosen: usize,
    pane: Pane,
    /// Lines of completions that were scrolled past.
    scrolled: u16,
    phase: Phase,
    /// Why the last look failed.
    lost: Option<String>,
}

/// The completions at hand; a file is read once.
#[derive(Default)]
struct Phase {
    path: Option<PathBuf>,
    written: Option<std::time::SystemTime>,
    samples: Vec<Sample>,
    fault: Option<String>,
}

/// A column of the rows: its header, its width, and how much it matters, 0 most.
const COLUMNS: [(&str, u16, u8); 9] = [
    ("arm", 13, 0),
    ("seed", 4, 0),
    ("state", 9, 0),
    ("updates", 9, 1),
    ("left", 6, 4),
    ("reward", 7, 2),
    ("loss", 7, 3),
    ("length", 7, 5),
    ("tok/s", 7, 6),
];

/// Metrics that are worth a chart, with what stands above it, in their order.
const CHARTS: [(&str, &str); 6] = [
    ("reward", "reward"),
    ("validation/accuracy", "accuracy"),
    ("loss", "loss"),
    ("completions/mean_length", "length"),
    (SPEED, "tokens/s"),
    ("entropy", "entropy"),
];

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

const HELP: &str = "q          end; the run goes on\n\
    tab, down  next arm and seed\n\
    up         the one before\n\
    c          completions of the last rollout phase, or charts\n\
    space      further down in the completions\n\
    ?          this help\n\n\
    left       training time left at the present pace, validation left out\n\
    length     mean tokens of the completions sampled last\n\
    tok/s      tokens sampled and trained on, a second, over the last updates\n\
    trained    all updates are made; its evaluation is not there yet\n\n\
    The loss of on-policy arms sits near 0 by construction: look at the reward.";

impl View {
    pub(super) fn new(live: Live, color: bool) -> Self {
        // What goes on is looked at first.
        let parts = &live.survey().parts;
        let going = parts
            .iter()
            .rposition(|part| part.updates.is_some() && !part.done);
        let begun = parts.iter().rposition(|part| part.updates.is_some());
        let mut view = Self {
            chosen: going.or(begun).unwrap_or(0),
            live,
            color,
            pane: Pane::Charts,
            scrolled: 0,
            phase: Phase::default(),
            lost: None,
        };
        view.read_phase();
        view
    }

    /// Looks at the run again.
    pub(super) fn look(&mut self) {
        self.lost = self.live.look().err().map(|error| format!("{error:#}"));
        let last = self.live.survey().parts.len().saturating_sub(1);
        self.chosen = self.chosen.min(last);
        self.read_phase();
    }

    pub(super) fn press(&mut self, key: KeyCode) {
        let parts = self.live.survey().parts.len().max(1);
        let other = |pane: Pane, now: Pane| if now == pane { Pane::Charts } else { pane };
        match key {
            KeyCode::Tab | KeyCode::Down | KeyCode::Right => self.choose((self.chosen + 1) % parts),
            KeyCode::BackTab | KeyCode::Up | KeyCode::Left => {
                self.choose((self.chosen + parts - 1) % parts);
            }
            KeyCode::Char('c') => self.pane = other(Pane::Completions, self.pane),
            KeyCode::Char('?') => self.pane = other(Pane::Help, self.pane),
            KeyCode::Char(' ') | KeyCode::PageDown => {
                self.scrolled = self.scrolled.saturating_add(5);
            }
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(5),
            KeyCode::Esc => self.pane = Pane::Charts,
            _ => {}
        }
    }

    fn choose(&mut self, part: usize) {
        self.chosen = part;
        self.read_phase();
    }

    fn part(&self) -> Option<&Part> {
        self.live.survey().parts.get(self.chosen)
    }

    /// Reads the completions of the chosen part where there are others than before.
    fn read_phase(&mut self) {
        let path = self.part().and_then(live::newest_phase);
        let written = path
            .as_ref()
            .and_then(|path| path.metadata().ok()?.modified().ok());
        if (&path, &written) == (&self.phase.path, &self.phase.written) {
            return;
        }
        let read = path.as_deref().map_or(Ok(Vec::new()), live::samples);
        self.scrolled = 0;
        let (samples, fault) = match read {
            Ok(samples) => (samples, None),
            Err(error) => (Vec::new(), Some(format!("{error:#}"))),
        };
        self.phase = Phase {
            path,
            written,
            samples,
            fault,
        };
    }

    /// Everything that could not be read.
    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.lost.iter().cloned().collect();
        faults.extend(self.live.faults());
        faults.extend(self.phase.fault.clone());
        faults
    }

    fn state(&self) -> String {
        let survey = self.live.survey();
        let (done, parts) = (survey.done(), survey.parts.len());
        let mut line = format!("{}, {done} of {parts} parts done", survey.state.word());
        if let Some(report) = self.live.report() {
            line = format!("{line}; report: {}", report.display());
        } else if survey.state == State::Stopped {
            line.push_str("; go on with it: qinglan run … --resume");
        }
        shown(&line)
    }

    pub(super) fn draw(&mut self, frame: &mut Frame<'_>) {
        self.scrolled = self.scrolled.min(self.last_line(frame.area().width));
        let faults = self.faults();
        let told = faults.len().min(2) as u16;
        let area = frame.area();
        let rows = self.live.survey().parts.len() as u16 + 1;
        let most = match self.pane {
            Pane::Charts => (area.height / 2).max(2),
            Pane::Completions => (area.height / 3).max(2),
            // Help is longer than what a small terminal has left below the rows.
            Pane::Help => 0,
        };
        let [head, table, below, fault, foot] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(rows.min(most)),
            Constraint::Min(0),
            Constraint::Length(told),
            Constraint::Length(1),
        ])
        .areas(area);
        let title = shown(&self.live.survey().title);
        let lines = vec![Line::from(title).style(BOLD), Line::from(self.state())];
        frame.render_widget(Paragraph::new(lines), head);
        self.draw_rows(frame, table);
        match self.pane {
            Pane::Charts => self.draw_charts_and_last(frame, below),
            Pane::Completions => self.draw_completions(frame, below, true),
            Pane::Help => {
                frame.render_widget(Clear, below);
                let help = Paragraph::new(HELP).wrap(Wrap { trim: false });
                frame.render_widget(help.block(self.ruled("help")), below);
            }
        }
        let mut lines: Vec<Line<'_>> = faults
            .iter()
            .take(2)
            .map(|f| Line::from(shown(f)))
            .collect();
        if faults.len() > 2 {
            let more = format!("{} more files are damaged", faults.len() - 1);
            lines.truncate(1);
            lines.push(Line::from(more));
        }
        frame.render_widget(Paragraph::new(lines).style(self.ink(Color::Red)), fault);
        let keys = "q end  tab arm  c completions  ? help";
        frame.render_widget(Paragraph::new(keys).style(self.dim()), foot);
    }

    fn draw_rows(&self, frame: &mut Frame<'_>, area: Rect) {
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

    /// The cells of a part's row, in the order of [`COLUMNS`].
    fn row(&self, part: &Part) -> [String; 9] {
        let last = |metric: &str, decimals: usize| {
            let value = self.live.last(part, metric);
            value.map_or(String::new(), |value| number(value, decimals))
        };
        let updates = match (part.updates, part.of) {
            (Some(updates), Some(of)) => format!("{updates}/{of}"),
            (Some(updates), None) => updates.to_string(),
            (None, _) => String::new(),
        };
        [
            cut(&shown(&part.arm), 24),
            part.seed.map_or_else(String::new, |seed| seed.to_string()),
            self.live.word(part).to_owned(),
            updates,
            self.live.left(part).map_or(String::new(), duration),
            last("reward", 3),
            last("loss", 3),
            last("completions/mean_length", 1),
            last(SPEED, 0),
        ]
    }

    fn draw_charts_and_last(&self, frame: &mut Frame<'_>, area: Rect) {
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
    fn draw_completions(&self, frame: &mut Frame<'_>, area: Rect, all: bool) {
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

    /// The line at which the last completion begins, or nearly so: words that
    /// go over to the next line are not counted.
    fn last_line(&self, width: u16) -> u16 {
        let width = usize::from(width.max(1));
        let lines = |text: &str| text.chars().count().div_ceil(width).max(1);
        let long = |sample: &Sample| lines(&sample.prompt) + lines(&sample.completion) + 1;
        let Some((_, before)) = self.phase.samples.split_last() else {
            return 0;
        };
        u16::try_from(before.iter().map(long).sum::<usize>()).unwrap_or(u16::MAX)
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
    fn ruled(&self, title: &str) -> Block<'static> {
        let title = Span::styled(shown(title), BOLD);
        Block::new()
            .borders(Borders::TOP)
            .border_style(self.dim())
            .title(title)
    }

    fn ink(&self, color: Color) -> Style {
        if self.color {
            Style::new().fg(color)
        } else {
            Style::new()
        }
    }

    fn dim(&self) -> Style {
        if self.color {
            Style::new().add_modifier(Modifier::DIM)
        } else {
            Style::new()
        }
    }

    /// The snapshot that is printed where there is no terminal.
    pub(super) fn plain(&self) -> String {
        let mut table = comfy_table::Table::new();
        table.load_preset(comfy_table::presets::NOTHING);
        table.set_header(COLUMNS.map(|(name, ..)| name));
        for part in &self.live.survey().parts {
            table.add_row(self.row(part));
        }
        let mut lines = vec![
            shown(&self.live.survey().title),
            self.state(),
            String::new(),
        ];
        lines.extend(table.lines().map(|line| line.trim_end().to_owned()));
        let few: Vec<&Sample> = live::one_a_prompt(&self.phase.samples).take(3).collect();
        if let (Some(part), false) = (self.part(), few.is_empty()) {
            lines.push(format!("\nlast completions of {}:", name(part)));
            lines.extend(
                few.iter()
                    .map(|sample| format!("  {}", shown(&sample.completion))),
            );
        }
        lines.extend(self.faults().iter().map(|fault| shown(fault)));
        lines.join("\n") + "\n"
    }
}

/// An arm and its seed, in words.
fn name(part: &Part) -> String {
    let arm = shown(&part.arm);
    part.seed
        .map_or(arm.clone(), |seed| format!("{arm} seed {seed}"))
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

/// A number in at most seven letters where it can be.
fn number(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e6 {
        return format!("{value:.1e}");
    }
    let text = format!("{value:.decimals$}");
    // A loss that rounds to 0 has no sign.
    if text
        .trim_start_matches('-')
        .chars()
        .all(|c| "0.".contains(c))
    {
        return text.trim_start_matches('-').to_owned();
    }
    text
}

/// Seconds as `8 s`, `3 min` or `2.5 h`.
fn duration(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        90.0..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
