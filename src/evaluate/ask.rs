//! Putting every question to a model or to a server, each answer into the
//! journal before anything else happens to it.
//!
//! A server is asked by several threads; what an answer is does not depend on
//! which. Questions that were given up are counted by name in `troubles.jsonl`
//! and are missing from the journal: they are never an answer of 0.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;

use anyhow::Result;
use experiments::record::Trace;
use experiments::tables::plain;
use indicatif::{ProgressBar, ProgressStyle};

use super::endpoint::{Endpoint, Question};
use super::journal::{Journal, Line};
use super::reply::Reply;
use super::troubles::Log;
use crate::evaluator::{Answer, EvaluationSettings, answers, stretches};
use crate::generation::Engine;
use crate::http::Asked;
use crate::model::Text;
use crate::tasks::{Item, grading};

fn bar(name: &str, all: usize) -> ProgressBar {
    let bar = ProgressBar::new(all as u64);
    // The template is a constant; a mistake in it would show at once.
    if let Ok(style) = ProgressStyle::with_template(
        "{prefix:>16} {bar:24} {pos:>5}/{len:<5} {elapsed:>5} left {eta}",
    ) {
        bar.set_style(style);
    }
    bar.set_prefix(plain::line(name));
    bar
}

/// What is asked, and who stops it.
pub(crate) struct Asking<'a> {
    /// The items, in the words in which they are asked.
    pub(crate) items: &'a [Item],
    /// How.
    pub(crate) settings: &'a EvaluationSettings,
    /// Seed of the draws.
    pub(crate) seed: u64,
    /// Set when the user presses Ctrl-C.
    pub(crate) stop: &'a AtomicBool,
}

impl Asking<'_> {
    /// Whether any sample of the items is not in the journal.
    pub(crate) fn lacks(&self, journal: &Journal, name: &str, items: &[Item]) -> bool {
        let has = |item: &Item, s| journal.has(name, &item.task, &item.item_id, s);
        items
            .iter()
            .any(|item| (0..self.settings.samples).any(|s| !has(item, s)))
    }
}

/// Lets a model answer what the journal lacks; false where the user stopped it.
pub(crate) fn model(
    asking: &Asking,
    name: &str,
    engine: &mut Engine,
    text: &Text,
    journal: &mut Journal,
) -> Result<bool> {
    let Asking {
        items, settings, ..
    } = *asking;
    let bar = bar(name, items.len());
    for range in stretches(items.len()) {
        let first = range.start;
        let stretch = &items[range];
        bar.set_position(first as u64);
        if !asking.lacks(journal, name, stretch) {
            continue;
        }
        if asking.stop.load(Ordering::SeqCst) {
            return Ok(false);
        }
        let answers = answers(
            engine,
            text,
            stretch,
            first,
            settings,
            asking.seed,
            (name, None),
        )?;
        let line = |answer: Answer| Line {
            trace: answer.trace,
            counted: None,
        };
        journal.append(answers.into_iter().map(line).collect())?;
    }
    bar.finish_and_clear();
    Ok(true)
}

/// Asks a server what the journal lacks, `threads` questions at a time; false
/// where the user stopped it. Failed tries are added to the file `troubles`.
pub(crate) fn endpoint(
    asking: &Asking,
    endpoint: &Endpoint,
    threads: usize,
    journal: &mut Journal,
    troubles: &Path,
) -> Result<bool> {
    let Asking {
        items, seed, stop, ..
    } = *asking;
    let samples = asking.settings.samples;
    let name = endpoint.model();
    let questions: Vec<(usize, u32)> = (0..items.len())
        .flat_map(|item| (0..samples).map(move |sample| (item, sample)))
        .filter(|&(item, sample)| {
            !journal.has(name, &items[item].task, &items[item].item_id, sample)
        })
        .collect();
    let log = Log::open(troubles)?;
    let next = AtomicUsize::new(0);
    // Set by a worker that met what no other try would mend.
    let halt = AtomicBool::new(false);
    let bar = bar(name, questions.len());
    let work = |answered: &mpsc::Sender<Line>| -> Result<()> {
        while !stop.load(Ordering::SeqCst) && !halt.load(Ordering::SeqCst) {
            let Some(&(index, sample)) = questions.get(next.fetch_add(1, Ordering::SeqCst)) else {
                break;
            };
            let item = &items[index];
            let question = Question {
                before: &item.before,
                prompt: &item.prompt,
                seed,
                place: [index as u64, u64::from(sample)],
            };
            let asked = endpoint.ask(&question, stop, |number, what| {
                log.note(item, sample, number, what);
            })?;
            match asked {
                Asked::Answered(reply) => {
                    let line = line(name, item, sample, reply)?;
                    if answered.send(line).is_err() {
                        break;
                    }
                }
                Asked::GaveUp(_) => bar.inc(1),
                Asked::Stopped => break,
            }
        }
        Ok(())
    };
    let work = |answered: mpsc::Sender<Line>| {
        let ended = work(&answered);
        if ended.is_err() {
            halt.store(true, Ordering::SeqCst);
        }
        ended
    };
    let ended: Result<()> = std::thread::scope(|scope| {
        let (answered, answers) = mpsc::channel();
        let work = &work;
        let workers: Vec<_> = (0..threads.clamp(1, questions.len().max(1)))
            .map(|_| {
                let answered = answered.clone();
                scope.spawn(move || work(answered))
            })
            .collect();
        drop(answered);
        let mut written = Ok(());
        while let Ok(first) = answers.recv() {
            // What came meanwhile shares one trip to the disk.
            let lines: Vec<Line> = std::iter::once(first).chain(answers.try_iter()).collect();
            bar.inc(lines.len() as u64);
            written = journal.append(lines);
            if written.is_err() {
                halt.store(true, Ordering::SeqCst);
                break;
            }
        }
        drop(answers);
        for worker in workers {
            // A worker panics only where a lock was poisoned by another's panic.
            let ended = worker.join().unwrap_or_else(|_| {
                Err(anyhow::anyhow!("a thread that asks the server broke off"))
            });
            written = written.and(ended);
        }
        written
    });
    bar.finish_and_clear();
    ended?;
    Ok(!stop.load(Ordering::SeqCst))
}

/// A server's answer as a line of the journal.
fn line(name: &str, item: &Item, sample: u32, reply: Reply) -> Result<Line> {
    Ok(Line {
        trace: Trace {
            model: name.to_owned(),
            seed: None,
            teacher: None,
            task: item.task.clone(),
            item_id: item.item_id.clone(),
            sample,
            prompt_tokens: reply.prompt_tokens,
            reasoning_tokens: reply.reasoning_tokens,
            completion_tokens: reply.completion_tokens,
            correct: item.grade(&reply.text)?,
            truncated: reply.truncated,
            answer: grading::answer(&reply.text),
            completion: Some(reply.text),
        },
        counted: Some(reply.counted),
    })
}
