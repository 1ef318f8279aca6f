//! What a terminal shows of a sweep: the jobs that are finished, and how far each
//! that runs here is. Without a terminal nothing is shown and nothing is read.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::Sweep;
use crate::messages;
use crate::runner::survey::Survey;

/// Time between two looks into the run directories.
const LOOK: Duration = Duration::from_secs(2);

/// The bars of a sweep.
pub(super) struct Bars {
    drawn: MultiProgress,
    all: ProgressBar,
    each: BTreeMap<usize, ProgressBar>,
    looked: Option<Instant>,
}

impl Bars {
    pub(super) fn new(sweep: &Sweep) -> Self {
        let drawn = MultiProgress::new();
        let all = drawn.add(ProgressBar::new(sweep.plan.jobs.len() as u64));
        all.set_style(style(
            "{prefix:>24} {bar:24} {pos:>4}/{len:<4} {elapsed:>5} {msg}",
        ));
        all.set_prefix("jobs");
        all.set_position(sweep.finished() as u64);
        Self {
            drawn,
            all,
            each: BTreeMap::new(),
            looked: None,
        }
    }

    /// One more job is finished.
    pub(super) fn finished(&self) {
        self.all.inc(1);
    }

    /// So many are, and what else there is to say of them.
    pub(super) fn set(&self, finished: usize, message: String) {
        self.all.set_position(finished as u64);
        self.all.set_message(message);
    }

    /// Says something above the bars.
    pub(super) fn say(&self, what: &str) {
        messages::above(&self.drawn, format_args!("{what}"));
    }

    /// Shows the jobs at these places of the plan, which run here.
    pub(super) fn look(&mut self, sweep: &Sweep, running: &[usize]) {
        let recent = |looked: Instant| looked.elapsed() < LOOK;
        if !std::io::stderr().is_terminal() || self.looked.is_some_and(recent) {
            return;
        }
        self.looked = Some(Instant::now());
        self.each.retain(|index, bar| {
            let stays = running.contains(index);
            if !stays {
                bar.finish_and_clear();
            }
            stays
        });
        for &index in running {
            let Some(job) = sweep.plan.jobs.get(index) else {
                continue;
            };
            let bar = self.each.entry(index).or_insert_with(|| {
                let bar = self.drawn.add(ProgressBar::new(0));
                bar.set_style(style(
                    "{prefix:>24} {bar:24} {pos:>4}/{len:<4} {elapsed:>5} {msg}",
                ));
                bar.set_prefix(job.name.clone());
                bar
            });
            let Ok(survey) = Survey::of(&sweep.run_folder(job)) else {
                continue;
            };
            bar.set_length(survey.parts.len() as u64);
            bar.set_position(survey.done() as u64);
            let mut parts = survey.parts.iter().rev();
            let busy =
                parts.find_map(|part| Some((&part.arm, part.updates.filter(|_| !part.done)?)));
            bar.set_message(busy.map_or_else(String::new, |(arm, updates)| {
                format!("{arm}: update {updates}")
            }));
        }
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // They have said what they had to say; a table follows on stdout.
        let _ = self.drawn.clear();
    }
}

/// The templates are constants; a mistake in them would show at once.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
