//! `qinglan run`: a definition to a comparison.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use experiments::comparison::Question;
use experiments::tables::{layout, plain};
use rewards::Registry;
use tch::Device;

use super::Ending;
use crate::config::{BaseSettings, Definition, Whole, folder_of};
use crate::device::DeviceChoice;
use crate::distributed::launch::{self, Place};
use crate::distributed::{self, Card, Ranks};
use crate::error::as_user_error;
use crate::messages::say;
use crate::model::{vocabulary, weights};
use crate::runner::{self, Request, RunEnding};

/// Arguments of `qinglan run`.
#[derive(Args)]
pub(super) struct Run {
    /// The experiment, such as experiments/definitions/quickstart.toml.
    definition: PathBuf,
    /// Run directory [default: runs/NAME].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Training seeds in place of the definition's, such as 1,2,3.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Change a setting, such as arm.sft.training.steps=10; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Go on with the run in the directory, with any number of ranks.
    #[arg(long)]
    resume: bool,
    /// Share the work among this many processes of this machine; on several
    /// machines, start one for each rank with torchrun --no-python or srun.
    #[arg(long, value_name = "N")]
    nproc: Option<usize>,
    /// With several ranks, keep a part of the optimizer's moments on each;
    /// Muon's stay whole.
    #[arg(long = "shard-optimizer")]
    shard_optimizer: bool,
    /// With several ranks, seconds after which one that waits for the others
    /// gives up.
    #[arg(long = "collective-timeout", value_name = "SECONDS", default_value_t = 600,
        value_parser = clap::value_parser!(u64).range(1..=86_400))]
    collective_timeout: u64,
    /// Check everything, say what would be done, and print the whole definition.
    #[arg(long = "dry-run")]
    dry: bool,
}

/// What a run reads before it begins.
struct Read {
    definition: Definition,
    text: String,
    device: Device,
}

impl Run {
    /// Whether another rank speaks for this process.
    pub(super) fn follows() -> bool {
        matches!(launch::place(), Ok(Some(place)) if place.rank > 0)
    }

    pub(super) fn execute(self, registry: Registry) -> Result<Ending> {
        if let Some(count) = self.nproc.filter(|&count| count != 1) {
            as_user_error(distributed::check_spawn(count))?;
            if !self.dry {
                return distributed::spawn(count).map(Ending::Told);
            }
        }
        let place = as_user_error(launch::place())?;
        let rank = place.as_ref().map_or(0, |place| place.rank);
        let ended = self.run(registry, place.as_ref());
        match ended {
            // Of several ranks the first speaks.
            Ok(Ending::Interrupted) if rank > 0 => Ok(Ending::Told(130)),
            // A line of its own says whose it is, unless it says so itself.
            Err(error) if rank > 0 && !error.to_string().starts_with(&format!("rank {rank} ")) => {
                Err(error.context(format!("rank {rank}")))
            }
            ended => ended,
        }
    }

    fn run(self, registry: Registry, place: Option<&Place>) -> Result<Ending> {
        distributed::follow_starter();
        let timeout = Duration::from_secs(self.collective_timeout);
        let ranks = match place {
            None => Ranks::single(),
            Some(place) => distributed::join(place, timeout)?,
        };
        let read = self.read(&registry, place);
        let (read, ranks) = match place {
            None => (read?, ranks),
            Some(place) => {
                let options = format!(
                    "resume {}, shard-optimizer {}, dry-run {}",
                    self.resume, self.shard_optimizer, self.dry
                );
                let read = ranks.each(read)?;
                let card = Card::new(&read.text, options, read.device);
                (read, ranks.meet(card, place, timeout)?)
            }
        };
        let world = self.nproc.unwrap_or(1).max(ranks.world());
        as_user_error(runner::check_ranks(&read.definition, world))?;
        let Read {
            definition,
            text,
            device,
        } = read;
        let out = self
            .out
            .clone()
            .unwrap_or_else(|| Path::new("runs").join(&definition.experiment.name));
        let stop = Arc::new(AtomicBool::new(false));
        let is_first = ranks.is_first();
        let mut request = Request {
            definition,
            text,
            definition_folder: folder_of(&self.definition).to_owned(),
            registry,
            out: out.clone(),
            resume: self.resume,
            device,
            stop: Arc::clone(&stop),
            ranks,
            shard_optimizer: self.shard_optimizer,
            commits: BTreeMap::new(),
        };
        if self.dry {
            let outside = request.check()?;
            if is_first {
                let words = request.definition.tasks.words(&request.definition_folder)?;
                println!("{}", describe(&request.definition, &words, device, &out));
                if !outside.is_empty() {
                    println!("from outside:\n{}", outside.join("\n"));
                }
                let whole = as_user_error(Whole::read(&self.definition, &self.overrides()))?;
                println!("\n{}", plain::lines(whole.commented().trim_end()));
            }
            return Ok(Ending::Done);
        }
        ctrlc::set_handler(move || {
            if stop.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            if is_first {
                say!("stopping after this step; press Ctrl-C again to stop at once");
            }
        })
        .context("listening for Ctrl-C")?;
        match request.run()? {
            RunEnding::Interrupted => Ok(Ending::Interrupted),
            RunEnding::Finished => {
                if is_first {
                    super::compare::print_run(&out)?;
                    say!("report: {}", out.join("report.html").display());
                }
                Ok(Ending::Done)
            }
        }
    }

    /// `--set` and `--seeds`, as `key=value`.
    fn overrides(&self) -> Vec<String> {
        let mut overrides = self.overrides.clone();
        if !self.seeds.is_empty() {
            overrides.push(format!("experiment.seeds={:?}", self.seeds));
        }
        overrides
    }

    fn read(&self, registry: &Registry, place: Option<&Place>) -> Result<Read> {
        let read = Definition::read(&self.definition, &self.overrides(), registry);
        let (definition, text) = as_user_error(read)?;
        let local = place.map_or(0, |place| place.local);
        let device = as_user_error(self.device.resolve_for(local))?;
        Ok(Read {
            definition,
            text,
            device,
        })
    }
}

/// A question, in words.
fn describe_question(question: &Question) -> String {
    format!(
        "question {} (family {}): {} in {}, expected {}, smallest effect of interest {}",
        question.name,
        question.family,
        question.contrast,
        layout::measure_name(question.measure),
        question.direction.word(),
        question.smallest_effect
    )
}

/// What a run would do, in words; `words` are those that its tasks need beyond the
/// lab's usual ones.
fn describe(definition: &Definition, words: &[String], device: Device, out: &Path) -> String {
    let experiment = &definition.experiment;
    let base = |base: &BaseSettings| match (&base.model, &base.shape) {
        (Some(model), _) => format!("the model {model}"),
        (None, Some(shape)) => {
            let words = vocabulary::words(words).len() as i64;
            let layout = weights::layout(&shape.config(words, 0, 0, 0));
            let parameters: i64 = layout.iter().map(weights::Entry::len).sum();
            format!("{parameters} parameters")
        }
        (None, None) => "none".to_owned(),
    };
    let mut lines = vec![
        experiment.title.clone(),
        format!(
            "into {} on {device:?}, seeds {:?}",
            out.display(),
            experiment.seeds
        ),
        format!(
            "tasks: {} (norms: {})",
            definition.tasks.names.join(", "),
            definition.tasks.norms
        ),
        format!("base: {}", base(&definition.base)),
    ];
    if let Some(teacher) = &definition.teacher {
        let file = teacher.traces.as_ref();
        let file = file.and_then(|traces| traces.file.as_ref());
        lines.push(match (&teacher.base, &teacher.init, file) {
            (Some(settings), ..) => format!("teacher: {}", base(settings)),
            (None, Some(init), _) => format!("teacher: starts from arm {}", init.arm),
            (None, None, Some(file)) => format!("teacher: the recording {}", file.display()),
            (None, None, None) => "teacher: the tasks' own worked solutions".to_owned(),
        });
    }
    for (name, arm) in &definition.arm {
        // The definition was checked, so the settings resolve.
        if let Ok(training) = definition.training_of(&arm.training, name) {
            let sampler = arm.sampler.as_ref();
            lines.push(format!(
                "arm {name}: {}, {} updates at learning rate {}{}",
                arm.algorithm
                    .as_ref()
                    .map_or("no algorithm", |algorithm| algorithm.algorithm().name()),
                training.steps,
                training.learning_rate,
                sampler.map_or_else(String::new, |s| format!(", sampled at {}", s.endpoint))
            ));
        }
    }
    lines.extend(definition.question.iter().map(describe_question));
    lines.push(format!(
        "evaluation: {} samples an item at temperature {}",
        definition.evaluation.samples, definition.evaluation.temperature
    ));
    plain::lines(&lines.join("\n"))
}
