//! `qinglan run`: a definition to a comparison.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use clap::Args;
use rewards::Registry;
use tch::Device;

use super::Ending;
use crate::config::{BaseSettings, Definition, folder_of};
use crate::device::DeviceChoice;
use crate::model::{vocabulary, weights};
use crate::runner::{Request, RunEnding, UserError};

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
    /// Go on with the run in the directory.
    #[arg(long)]
    resume: bool,
    /// Check everything and say what would be done.
    #[arg(long = "dry-run")]
    dry: bool,
}

impl Run {
    pub(super) fn execute(self, registry: Registry) -> Result<Ending> {
        let mut overrides = self.overrides;
        if !self.seeds.is_empty() {
            overrides.push(format!("experiment.seeds={:?}", self.seeds));
        }
        let (definition, text) =
            UserError::blame(Definition::read(&self.definition, &overrides, &registry))?;
        let device = UserError::blame(self.device.resolve())?;
        let out = self
            .out
            .unwrap_or_else(|| Path::new("runs").join(&definition.experiment.name));
        let stop = Arc::new(AtomicBool::new(false));
        let request = Request {
            definition,
            text,
            definition_folder: folder_of(&self.definition).to_owned(),
            registry,
            out: out.clone(),
            resume: self.resume,
            device,
            stop: Arc::clone(&stop),
        };
        if self.dry {
            request.check()?;
            println!("{}", describe(&request.definition, device, &out));
            return Ok(Ending::Done);
        }
        ctrlc::set_handler(move || {
            if stop.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
            eprintln!("stopping after this step; press Ctrl-C again to stop at once");
        })
        .context("listening for Ctrl-C")?;
        match request.run()? {
            RunEnding::Interrupted => Ok(Ending::Interrupted),
            RunEnding::Finished => {
                super::compare::print_run(&out)?;
                eprintln!("report: {}", out.join("report.html").display());
                Ok(Ending::Done)
            }
        }
    }
}

/// What a run would do, in words.
fn describe(definition: &Definition, device: Device, out: &Path) -> String {
    let experiment = &definition.experiment;
    let base = |base: &BaseSettings| match (&base.model, &base.shape) {
        (Some(model), _) => format!("the model {model}"),
        (None, Some(shape)) => {
            let words = vocabulary::words().len() as i64;
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
        lines.push(match (&teacher.base, &teacher.traces.file) {
            (Some(settings), _) => format!("teacher: {}", base(settings)),
            (None, Some(file)) => format!("teacher: the recording {}", file.display()),
            (None, None) => "teacher: the tasks' own worked solutions".to_owned(),
        });
    }
    for (name, arm) in &definition.arm {
        // The definition was checked, so the settings resolve.
        if let Ok(training) = definition.training_of(&arm.training, name) {
            let sampler = arm.sampler.as_ref();
            lines.push(format!(
                "arm {name}: {}, {} updates at learning rate {}{}",
                arm.algorithm.build().name(),
                training.steps,
                training.learning_rate,
                sampler.map_or_else(String::new, |s| format!(", sampled at {}", s.endpoint))
            ));
        }
    }
    lines.push(format!(
        "evaluation: {} samples an item at temperature {}",
        definition.evaluation.samples, definition.evaluation.temperature
    ));
    lines.join("\n")
}
