//! From a definition to a comparison: base, teacher, arms by seeds, evaluation,
//! tables and report.
//!
//! Each stage is a job that leaves its outcome in the run directory under a
//! marker written last; a job whose marker is there is not done again, and one
//! that was interrupted goes on from its checkpoint. That is all that resuming
//! is. What the store has is taken from there. Jobs that do not wait for each
//! other run side by side; a job's bits do not depend on which.
//!
//! With several ranks all of them do every job together, one after the other:
//! rank 0 alone looks what is done already and writes, the others read what it
//! wrote, on a file system that they share.

mod directory;
pub mod finish;
pub(crate) mod formats;
pub(crate) mod inputs;
mod learning;
pub mod live;
pub(crate) mod names;
mod outcome;
mod outside;
mod partial;
pub(crate) mod pins;
pub(crate) mod preregistered;
pub mod provenance;
mod ranks;
pub mod schedule;
mod stages;
pub mod survey;
pub mod together;

pub(crate) use inputs::problems;
pub(crate) use outcome::{OUTCOME, Outcome};
pub(crate) use ranks::check as check_ranks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Once};

use anyhow::{Result, ensure};
use experiments::norms::Norms;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use rewards::{Registry, WeightedRewards};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tch::Device;

use formats::Formats;
use inputs::Inputs;
use names::{Absent, Missing, Settled};
use outside::{Preflight, Servers};
use pins::Pins;

use crate::config::{AlgorithmSettings, Definition, Graph, build_rewards};
use crate::distributed::Ranks;
use crate::error::{as_user_error, with_room};
use crate::files;
use crate::hub::Commits;
use crate::messages;
use crate::model::Stored;
use crate::tasks::{Item, Mix};

/// What the user asked for.
pub struct Request {
    /// The definition.
    pub definition: Definition,
    /// Its text, overrides applied.
    pub text: String,
    /// The folder that holds the definition, where relative paths start.
    pub definition_folder: PathBuf,
    /// The rewards that definitions may name.
    pub registry: Registry,
    /// The run directory.
    pub out: PathBuf,
    /// Whether to go on with a run that is there.
    pub resume: bool,
    /// Where tensors live.
    pub device: Device,
    /// Set when the user presses Ctrl-C.
    pub stop: Arc<AtomicBool>,
    /// Who shares the work.
    pub ranks: Ranks,
    /// Whether each rank keeps the optimizer's memory of its part alone.
    pub shard_optimizer: bool,
    /// What names on the hub stand for; none before the run begins.
    pub commits: BTreeMap<String, String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunEnding {
    /// Tables and report are written.
    Finished,
    /// The user asked to stop.
    Interrupted,
}

/// A run in progress, shared by its jobs.
pub(crate) struct Run {
    request: Request,
    /// What is made, and from what.
    graph: Graph,
    mix: Mix,
    items: Vec<Item>,
    norms: Norms,
    /// What is to be known of the models it begins with.
    notes: Vec<String>,
    /// How many ranks the run began with.
    began_with: usize,
    /// The files from outside, as they were when it began.
    pins: Pins,
    /// The number formats that were chosen; the definition holds them too.
    formats: Formats,
    bars: MultiProgress,
    loss_explained: Once,
    /// Addresses of what somebody else is making, by the folder of the stage that waits.
    waited_for: Mutex<BTreeMap<String, String>>,
}

/// File that says which experiment a directory belongs to, from the start.
pub(crate) const DEFINITION_FILE: &str = "definition.toml";

/// Reads and checks what a definition names besides itself, and gives what there is now
/// of the files; relative paths start at its folder. Servers are not asked: whoever
/// trains will. Names on the hub that are of `known` stand for what that says; what
/// would have to be downloaded is given too, a line each.
pub(crate) fn check_inputs(
    definition: &Definition,
    definition_folder: &Path,
    registry: &Registry,
    known: &Commits,
    missing: Missing,
) -> Result<(Pins, Vec<String>)> {
    let stop = Arc::default();
    let mut definition = definition.clone();
    let settled = names::settle(&mut definition, definition_folder, known, missing, &stop)?;
    let Settled {
        commits, absent, ..
    } = settled.unwrap_or_default();
    let lines = absent.iter().map(|absent| absent.line.clone()).collect();
    if absent.iter().any(|absent| absent.is_data) {
        return Ok((Pins::of("", &[], commits)?, lines));
    }
    let look = Preflight {
        definition: &definition,
        folder: definition_folder,
        registry,
        servers: Servers::Never,
        probes: true,
        pending: &|_| true,
        absent: &absent,
        stop: &stop,
    };
    look.look(false)?;
    let files = outside::files(&definition, definition_folder, &|_| true)?;
    Ok((Pins::of("", &files, commits)?, lines))
}

impl Request {
    /// Checks all there is to check without writing anything; says how each thing
    /// was found that the run needs from outside, in a line.
    /// Nothing is downloaded: what would be stands among the lines, and where that is a
    /// data file the rest cannot be looked at.
    pub fn check(&mut self) -> Result<Vec<String>> {
        self.keep_stored_text();
        let absent = self.settle_names(Missing::Reported)?.unwrap_or_default();
        if absent.iter().any(|absent| absent.is_data) {
            let lines = absent
                .into_iter()
                .map(|absent| format!("absent: {}", absent.line));
            let rest = "nothing else was looked at, as problems are made of the data files";
            return Ok(lines.chain([rest.to_owned()]).collect());
        }
        self.check_stored()?;
        // A server that is away is the user's to start.
        let (_, lines) = as_user_error(self.look(Servers::Once, true, &absent))?;
        Ok(lines)
    }

    /// Looks at everything from outside that is still needed.
    fn look(
        &self,
        servers: Servers,
        all: bool,
        absent: &[Absent],
    ) -> Result<(Inputs, Vec<String>)> {
        let look = Preflight {
            definition: &self.definition,
            folder: &self.definition_folder,
            registry: &self.registry,
            servers,
            probes: self.ranks.is_first(),
            pending: &|arm| self.is_pending(arm),
            absent,
            stop: &self.stop,
        };
        look.look(all)
    }

    /// Trains, evaluates, compares and reports.
    pub fn run(mut self) -> Result<RunEnding> {
        let out = self.out.clone();
        self.keep_stored_text();
        if self.settle_names(Missing::Fetched)?.is_none() {
            return Ok(RunEnding::Interrupted);
        }
        self.go().map_err(|error| with_room(error, &out))
    }

    fn go(mut self) -> Result<RunEnding> {
        self.ranks.lead(|| self.check_stored())?;
        let looked = self.look(Servers::Patiently, false, &[]);
        // Who waits for a server is heard, and nothing has been begun.
        if looked.is_err() && !self.ranks.are_several() && self.stop.load(Ordering::SeqCst) {
            return Ok(RunEnding::Interrupted);
        }
        let (inputs, _) = self.ranks.each(looked)?;
        let mut alone = None;
        let began_with = self.ranks.lead(|| {
            alone = Some(self.claim_directory()?);
            files::remove_leftovers(&self.out)?;
            outcome::check_finished(&self.out, &self.definition)?;
            self.pin()?;
            self.preregister()?;
            self.began_with()
        })?;
        self.see_directory()?;
        let pins = self.ranks.each(Pins::read(&self.out))?.unwrap_or_default();
        let formats = self.settle_formats(inputs.items.len())?;
        let graph = Graph::of(&self.definition)?;
        let run = Arc::new(Run::new(self, graph, inputs, began_with, pins, formats));
        run.write(|| finish::begin(&run))?;
        let jobs = jobs(&run);
        let (workers, threads) = run.request.workers();
        let ranks = run.ranks();
        let stop = || ranks.any(Ok(run.request.stop.load(Ordering::SeqCst)));
        let finished = schedule::run(jobs, workers, threads, &stop);
        // What failed because the folder has gone says less than that it has.
        let gone = || run.check_there().err().filter(|_| ranks.is_first());
        let finished = finished.map_err(|error| gone().unwrap_or(error))?;
        // The bars have said what they had to say; tables follow on stdout.
        let _ = run.bars.clear();
        if !finished {
            return Ok(RunEnding::Interrupted);
        }
        // The others are no longer needed, however long the tables take.
        if ranks.is_first() {
            run.check_there()?;
            finish::finish(&run)?;
        }
        Ok(RunEnding::Finished)
    }

    /// Jobs that run side by side, and libtorch's threads of each.
    fn workers(&self) -> (usize, usize) {
        let threads = self.definition.experiment.threads;
        if self.ranks.are_several() {
            return (1, self.ranks.threads());
        }
        match self.device {
            Device::Cpu => {
                let cores = std::thread::available_parallelism().map_or(1, usize::from);
                ((cores / threads).max(1), threads)
            }
            _ => (1, threads),
        }
    }
}

impl Run {
    fn new(
        request: Request,
        graph: Graph,
        inputs: Inputs,
        began_with: usize,
        pins: Pins,
        formats: Formats,
    ) -> Self {
        let target = if request.ranks.is_first() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        Self {
            graph,
            mix: inputs.mix,
            items: inputs.items,
            norms: inputs.norms,
            notes: inputs.notes,
            began_with,
            pins,
            formats,
            bars: MultiProgress::with_draw_target(target),
            loss_explained: Once::new(),
            waited_for: Mutex::default(),
            request,
        }
    }

    fn definition(&self) -> &Definition {
        &self.request.definition
    }

    fn out(&self) -> &Path {
        &self.request.out
    }

    fn ranks(&self) -> &Ranks {
        &self.request.ranks
    }

    /// The device as it counts for what a training is: that of rank 0, because
    /// which GPU a rank has is nothing of the training.
    fn device_kind(&self) -> Device {
        match self.request.device {
            Device::Cuda(_) if self.ranks().are_several() => Device::Cuda(0),
            device => device,
        }
    }

    /// What a job left, if it has finished; rank 0 looks.
    fn done(&self, folder: &Path) -> Result<bool> {
        self.write(|| Ok(Outcome::read(folder)?.is_some()))
    }

    /// Rank 0 works at files of the run directory, as long as that is there.
    fn write<T: Serialize + DeserializeOwned>(
        &self,
        work: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        self.ranks().lead(|| {
            self.check_there()?;
            work()
        })
    }

    /// Refuses to write where the run directory was removed or replaced: what
    /// came of it would be half a run that nobody could go on with.
    fn check_there(&self) -> Result<()> {
        let path = self.out().join(DEFINITION_FILE);
        let there = std::fs::read_to_string(path);
        ensure!(
            there.is_ok_and(|text| text == self.request.text),
            "{} was removed or replaced while the run went on, and nothing more is written there; \
             put it back and go on with --resume, or begin again with the same command",
            self.out().display()
        );
        Ok(())
    }

    /// Refuses files that an arm, or the teacher, has just read and that are others
    /// than when the run began.
    fn check_pins(&self, arm: &str) -> Result<()> {
        let Request {
            definition,
            definition_folder,
            ..
        } = &self.request;
        let files = outside::training_files(definition, definition_folder, &|name| name == arm);
        self.pins.check(&files, self.out())
    }

    /// The rewards of a table of the definition; `None` of an empty one.
    fn rewards(&self, table: &toml::Table) -> Result<Option<WeightedRewards>> {
        if table.is_empty() {
            return Ok(None);
        }
        let Request {
            registry,
            definition_folder,
            ..
        } = &self.request;
        build_rewards(table, registry, definition_folder).map(Some)
    }

    fn progress(&self, name: &str) -> ProgressBar {
        let bar = self.bars.add(ProgressBar::new(0));
        // The template is a constant; a mistake in it would show at once.
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix:>16} {bar:24} {pos:>5}/{len:<5} {msg:>13} {elapsed:>5} left {eta}",
        ) {
            bar.set_style(style);
        }
        bar.set_prefix(name.to_owned());
        bar
    }

    /// Says, at the first training that it holds for, why its loss looks as if
    /// nothing happened.
    fn explain_loss(&self, name: &str, algorithm: &AlgorithmSettings) {
        let algorithm = algorithm.algorithm();
        if algorithm.loss_is_near_zero() && self.ranks().is_first() {
            self.loss_explained.call_once(|| {
                messages::above(
                    &self.bars,
                    format_args!(
                        "{name}: the loss of on-policy {} sits near 0 by construction (ratio 1, advantages sum to 0); \
                         it is the gradient that learns: watch reward and grad_norm, or tensorboard --logdir {}",
                        algorithm.name(),
                        self.out().display()
                    ),
                );
            });
        }
    }

    /// A model that is there, its chat template told what the definition says.
    fn open(&self, path: &Path) -> Result<Stored> {
        Ok(Stored::open(path)?.telling(&self.definition().tasks.chat_template_kwargs))
    }
}

/// The jobs of a run, one for each stage.
fn jobs(run: &Arc<Run>) -> Vec<schedule::Job> {
    let stages = run.graph.0.iter().enumerate();
    stages
        .map(|(number, stage)| {
            let run = Arc::clone(run);
            let after = stage.after().collect();
            schedule::Job::new(&stage.title(), after, move || stages::make(&run, number))
        })
        .collect()
}
