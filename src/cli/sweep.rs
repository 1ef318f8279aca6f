//! `qinglan sweep`: one definition, many seeds and settings, as many runs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use rewards::Registry;

use super::Ending;
use crate::device::DeviceChoice;
use crate::error::as_user_error;
use crate::hub::Commits;
use crate::messages::say;
use crate::runner::names::Missing;
use crate::sweep::{self, Devices, Local, Plan, Slurm, Wanted};

/// Arguments of `qinglan sweep`.
#[derive(Args)]
pub(super) struct Sweep {
    /// The experiment; or a sweep file with keys definition, seeds, set and grid.
    definition: PathBuf,
    /// Sweep directory [default: runs/NAME-sweep].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Training seeds in place of the definition's, such as 1,2,3; each is a job.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    seeds: Vec<u64>,
    /// Values of a setting, such as `arm.grpo.training.learning_rate=1e-6,3e-6`; may
    /// be repeated, every combination is run.
    #[arg(long, value_name = "KEY=VALUES")]
    grid: Vec<String>,
    /// Change a setting of every job, as with run; may be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Runs at a time [default: one a GPU; on CPUs as many as find cores for their
    /// arms; in Slurm as many as it likes].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// CPU cores of all runs together; in Slurm, of each run [default: those there
    /// are; in Slurm its own].
    #[arg(long, value_name = "N")]
    cores: Option<NonZeroUsize>,
    /// auto (every GPU there is, else the CPU), cpu, or GPUs such as cuda:0,cuda:1.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "auto"
    )]
    devices: Vec<DeviceChoice>,
    /// How often a run that failed is started again [default: 0; in Slurm 2].
    #[arg(long, value_name = "N")]
    retries: Option<usize>,
    /// Run as a Slurm array; the script is left in the sweep directory.
    #[arg(long)]
    slurm: bool,
    /// An option of sbatch, such as `--sbatch=--gres=gpu:1`; may be repeated.
    #[arg(
        long,
        value_name = "OPTION",
        requires = "slurm",
        allow_hyphen_values = true
    )]
    sbatch: Vec<String>,
    /// Go on with the sweep in the directory.
    #[arg(long)]
    resume: bool,
    /// Check every run and say what would be done.
    #[arg(long = "dry-run")]
    dry: bool,
}

/// Where jobs run.
enum Place {
    Here(Local),
    Slurm(Slurm),
}

impl Sweep {
    pub(super) fn execute(self, registry: &Registry) -> Result<Ending> {
        let wanted = as_user_error(Wanted::read(
            &self.definition,
            self.seeds.clone(),
            self.overrides.clone(),
            &self.grid,
        ))?;
        let given = self.out.clone();
        let folder = |name: &str| {
            let named = || Path::new("runs").join(format!("{name}-sweep"));
            given.clone().unwrap_or_else(named)
        };
        let begun = |name: &str| {
            let folder = folder(name);
            if !self.resume || !folder.join(sweep::PLAN).exists() {
                return Ok(Commits::new());
            }
            Ok(Plan::read(&folder)?.hub)
        };
        let missing = if self.dry {
            Missing::Reported
        } else {
            Missing::Fetched
        };
        let plan = as_user_error(Plan::expand(&wanted, registry, begun, missing))?;
        let place = as_user_error(self.place(&plan))?;
        let out = folder(&plan.name);
        if self.dry {
            sweep::check_directory(&out, &plan, self.resume)?;
            println!("{}", describe(&plan, &place, &out));
            return Ok(Ending::Done);
        }
        let presses = Arc::new(AtomicUsize::new(0));
        let pressed = Arc::clone(&presses);
        let in_slurm = self.slurm;
        ctrlc::set_handler(move || {
            if pressed.fetch_add(1, Ordering::SeqCst) == 0 && !in_slurm {
                say!(
                    "stopping after the steps that are going on; press Ctrl-C again to stop at once"
                );
            }
        })
        .context("listening for Ctrl-C")?;
        let sweep = sweep::Sweep::begin(&out, &wanted.definition, plan, self.resume)?;
        let (outcome, device) = match &place {
            Place::Here(local) => (local.run(&sweep, &presses)?, local.device()),
            Place::Slurm(slurm) => (slurm.run(&sweep, &presses)?, slurm.device.as_str()),
        };
        println!("{}", sweep.summary(&outcome));
        if let Some(failures) = sweep.failures(&outcome, device)? {
            return Err(anyhow!(failures));
        }
        if outcome.interrupted {
            return Ok(Ending::Interrupted);
        }
        say!("compare them: qinglan compare {}", out.display());
        Ok(Ending::Done)
    }

    fn place(&self, plan: &Plan) -> Result<Place> {
        let jobs = self.jobs.map(NonZeroUsize::get);
        let cores = self.cores.map(NonZeroUsize::get);
        if !self.slurm {
            let devices = Devices::resolve(&self.devices)?;
            let retries = self.retries.unwrap_or(0);
            return Local::new(plan, devices, jobs, cores, retries).map(Place::Here);
        }
        let device = match self.devices.as_slice() {
            [DeviceChoice::Auto] => "auto",
            [DeviceChoice::Cpu] => "cpu",
            [DeviceChoice::Cuda(0)] => "cuda",
            _ => "",
        };
        ensure!(
            !device.is_empty(),
            "--devices with --slurm: Slurm hands out the GPUs; give auto, cpu or cuda, and ask for GPUs with --sbatch=--gres=gpu:1"
        );
        let slurm = Slurm {
            options: self.sbatch.clone(),
            at_once: jobs,
            cores,
            device: device.to_owned(),
            retries: self.retries.unwrap_or(2),
        };
        slurm.check()?;
        Ok(Place::Slurm(slurm))
    }
}

/// What a sweep would do.
fn describe(plan: &Plan, place: &Place, out: &Path) -> String {
    let how = match place {
        Place::Here(local) => local.describe(),
        Place::Slurm(slurm) => format!(
            "in Slurm{}",
            slurm
                .at_once
                .map_or_else(String::new, |jobs| format!(", {jobs} at a time"))
        ),
    };
    format!(
        "{} jobs into {}, {how}\n\n{}",
        plan.jobs.len(),
        out.display(),
        sweep::table(plan, |index| sweep::word(out, plan, index))
    )
}
