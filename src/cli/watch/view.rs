//! What `qinglan watch` shows: parts in rows, charts of the chosen one, and its
//! last completions.
//!
//! Everything is readable at 80 columns and 24 rows. Narrower, the columns that
//! matter least are left out; lower, charts go before completions and those
//! before the rows. Without colour, the chosen row is told by its mark.

mod draw;

use std::path::PathBuf;

use ratatui::Frame;
use ratatui::crossterm::event::KeyCode;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Clear, Paragraph, Wrap};

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
