//! `qinglan watch`: a run in the terminal while it goes on, or after it.
//!
//! Once a second it reads what was appended and draws anew; it never writes
//! into the run. Where nobody can press a key, and with `--once`, it prints one
//! plain snapshot instead. Drawing is `view`'s; what a model wrote comes through
//! `text`, because a terminal obeys what it is sent.

#[cfg(test)]
mod tests;
mod text;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};

use self::view::View;
use crate::error::as_user_error;
use crate::runner::live::Live;

/// Between two looks at the run.
const PERIOD: Duration = Duration::from_secs(1);

/// Longest wait for a key, so that a signal is answered soon.
const WAIT: Duration = Duration::from_millis(200);

/// Arguments of `qinglan watch`.
#[derive(Args)]
pub(super) struct Watch {
    /// Run directory.
    run: PathBuf,
    /// Print one plain snapshot and end, as without a terminal.
    #[arg(long)]
    once: bool,
}

impl Watch {
    pub(super) fn execute(self) -> Result<()> {
        let live = as_user_error(Live::of(&self.run))?;
        let mut view = View::new(live, super::color_on(&std::io::stdout()));
        if self.once || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            print!("{}", view.plain());
            return Ok(());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&stop);
        ctrlc::set_handler(move || asked.store(true, Ordering::SeqCst))
            .context("listening for Ctrl-C")?;
        let gone = Arc::clone(&stop);
        std::thread::spawn(move || end_without_terminal(&gone));
        // It restores the terminal on a panic too.
        let mut terminal = ratatui::try_init().context("taking over the terminal")?;
        let ended = follow(&mut terminal, &mut view, &stop);
        ratatui::restore();
        ended
    }
}

/// Ends the process where its terminal is gone: the wait for keys would never.
fn end_without_terminal(stop: &AtomicBool) {
    loop {
        std::thread::sleep(PERIOD);
        if stop.load(Ordering::SeqCst) || !std::io::stdin().is_terminal() {
            // Time for the view to end by itself and to leave the terminal as it was.
            std::thread::sleep(2 * PERIOD);
            std::process::exit(0);
        }
    }
}

/// Draws and listens until the user has seen enough.
fn follow(terminal: &mut DefaultTerminal, view: &mut View, stop: &AtomicBool) -> Result<()> {
    let mut looked = Instant::now();
    let mut changed = true;
    while !stop.load(Ordering::SeqCst) {
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| view.draw(frame)).context("drawing")?;
        }
        let wait = WAIT.min(PERIOD.saturating_sub(looked.elapsed()));
        if event::poll(wait).context("listening for keys")? {
            // A terminal of another size is drawn anew like after a key.
            changed = true;
            if let Event::Key(key) = event::read().context("listening for keys")?
                && key.kind == KeyEventKind::Press
            {
                // In this mode of the terminal Ctrl-C is a key like any other.
                let control = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('c') if control => break,
                    KeyCode::Char('q') => break,
                    code => view.press(code),
                }
            }
        }
        if looked.elapsed() >= PERIOD {
            view.look();
            looked = Instant::now();
            changed = true;
        }
    }
    Ok(())
}
