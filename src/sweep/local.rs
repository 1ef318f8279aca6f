//! Jobs on this machine: a few processes at a time, each with its own cores and
//! its own GPU.
//!
//! Cores are given by the processes' affinity, which a run reads as the cores
//! there are, and GPUs by `CUDA_VISIBLE_DEVICES`; the run itself knows nothing
//! of a sweep. Processes are groups of their own: a terminal's Ctrl-C reaches the
//! sweep alone, which passes it on once, as a second one would end a run without
//! its checkpoint.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::OpenOptions;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::bars::Bars;
use super::{Outcome, Plan, Sweep};
use crate::device::{self, DeviceChoice};

/// Time between two looks at the processes.
const LOOK: Duration = Duration::from_millis(50);

/// The exit code of a run whose input was wrong: it would be wrong again.
const USERS_FAULT: i32 = 2;

/// What tells a process that it is one of several: a job is one alone, also where
/// the sweep itself was started with several.
const RANKS: [&str; 6] = [
    "RANK",
    "WORLD_SIZE",
    "LOCAL_RANK",
    "SLURM_PROCID",
    "SLURM_NTASKS",
    "SLURM_LOCALID",
];

/// The devices of a sweep: the CPU, or GPUs by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Devices {
    /// The CPU.
    Cpu,
    /// GPUs, as this process counts them.
    Cuda(Vec<usize>),
}

impl Devices {
    /// From the command line; `auto` is every GPU that there is, else the CPU.
    pub(crate) fn resolve(choices: &[DeviceChoice]) -> Result<Self> {
        match choices {
            [DeviceChoice::Cpu] => return Ok(Self::Cpu),
            [DeviceChoice::Auto] => {
                let count = device::cuda().unwrap_or(0);
                return Ok(match count {
                    0 => Self::Cpu,
                    count => Self::Cuda((0..count).collect()),
                });
            }
            _ => {}
        }
        let mut numbers = Vec::new();
        for choice in choices {
            let DeviceChoice::Cuda(number) = choice else {
                anyhow::bail!(
                    "--devices: give cpu alone, auto alone, or GPUs such as cuda:0,cuda:1; runs on both would differ by more than their settings"
                );
            };
            ensure!(
                !numbers.contains(number),
                "--devices names cuda:{number} twice; several runs share a GPU with --jobs"
            );
            choice.resolve().context("--devices")?;
            numbers.push(*number);
        }
        Ok(Self::Cuda(numbers))
    }

    /// What `qinglan run --device` is told.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
        }
    }
}

/// Where one process at a time runs.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Slot {
    cores: Vec<usize>,
    /// The value of `CUDA_VISIBLE_DEVICES`.
    gpu: Option<String>,
}

/// How a sweep uses this machine.
#[derive(Debug)]
pub(crate) struct Local {
    devices: Devices,
    slots: Vec<Slot>,
    retries: usize,
}

impl Local {
    /// From what was asked for; nothing said of the number of jobs is a job a
    /// GPU, and on CPUs as many as find the cores that a run can use.
    pub(crate) fn new(
        plan: &Plan,
        devices: Devices,
        jobs: Option<usize>,
        cores: Option<usize>,
        retries: usize,
    ) -> Result<Self> {
        let allowed = allowed_cores()?;
        let cores = cores.unwrap_or(allowed.len());
        ensure!(
            cores <= allowed.len(),
            "--cores {cores}: this process may use {}",
            allowed.len()
        );
        let allowed = &allowed[..cores];
        let jobs = jobs.unwrap_or_else(|| match &devices {
            Devices::Cpu => (cores / plan.width.max(1)).max(1),
            Devices::Cuda(numbers) => numbers.len(),
        });
        let jobs = jobs.clamp(1, plan.jobs.len().max(1));
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let slot = |index: usize| Slot {
            cores: share(allowed, jobs, index),
            gpu: match &devices {
                Devices::Cpu => None,
                Devices::Cuda(numbers) => numbers
                    .get(index % numbers.len().max(1))
                    .map(|&number| gpu(visible.as_deref(), number)),
            },
        };
        Ok(Self {
            slots: (0..jobs).map(slot).collect(),
            devices,
            retries,
        })
    }

    /// What `qinglan run --device` is told.
    pub(crate) fn device(&self) -> &'static str {
        self.devices.word()
    }

    /// In a few words.
    pub(crate) fn describe(&self) -> String {
        let cores: BTreeSet<usize> = self.slots.iter().map(|slot| slot.cores.len()).collect();
        let cores: Vec<String> = cores.iter().map(ToString::to_string).collect();
        let gpus = match &self.devices {
            Devices::Cpu => String::new(),
            Devices::Cuda(numbers) => format!(", on the GPUs {numbers:?}"),
        };
        format!(
            "{} at a time, cores of each: {}{gpus}",
            self.slots.len(),
            cores.join(" or ")
        )
    }

    /// Runs every job that is not finished. `presses` counts the user's Ctrl-C.
    pub(crate) fn run(&self, sweep: &Sweep, presses: &AtomicUsize) -> Result<Outcome> {
        let mut crew = Crew {
            local: self,
            sweep,
            waiting: sweep.unfinished()?.into(),
            running: Vec::new(),
            tries: BTreeMap::new(),
            outcome: Outcome::default(),
            told: 0,
            bars: Bars::new(sweep),
        };
        loop {
            crew.collect()?;
            let pressed = presses.load(Ordering::SeqCst);
            crew.pass_on(pressed);
            if pressed == 0 {
                crew.start()?;
            }
            if crew.running.is_empty() && (pressed > 0 || crew.waiting.is_empty()) {
                crew.outcome.interrupted = pressed > 0;
                return Ok(std::mem::take(&mut crew.outcome));
            }
            crew.show();
            std::thread::sleep(LOOK);
        }
    }
}

/// The cores that this process may use, no more than a container's quota grants.
fn allowed_cores() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("asking which cores there are")?;
    let quota = std::thread::available_parallelism().map_or(usize::MAX, usize::from);
    let cores = (0..CpuSet::MAX_CPU).filter(|&core| set.is_set(core));
    Ok(cores.take(quota).collect())
}

/// The cores of one of `parts`; where there are more parts than cores, some share.
fn share(cores: &[usize], parts: usize, index: usize) -> Vec<usize> {
    let at = |part: usize| part * cores.len() / parts.max(1);
    let own = cores.get(at(index)..at(index + 1)).unwrap_or_default();
    if own.is_empty() {
        return cores.get(at(index)).copied().into_iter().collect();
    }
    own.to_owned()
}

/// The `CUDA_VISIBLE_DEVICES` of the GPU with that number among those visible here.
fn gpu(visible: Option<&str>, number: usize) -> String {
    let named = visible.and_then(|list| list.split(',').nth(number));
    named.map_or_else(|| number.to_string(), |name| name.trim().to_owned())
}

struct Running {
    index: usize,
    slot: usize,
    child: Child,
}

impl Running {
    fn interrupt(&self) {
        // A process that has just ended hears nothing, which is no loss.
        if let Some(pid) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process(pid, Signal::INT);
        }
    }
}

/// The processes of a sweep, and what they have left to do.
struct Crew<'a> {
    local: &'a Local,
    sweep: &'a Sweep,
    waiting: VecDeque<usize>,
    running: Vec<Running>,
    /// How often each job was started.
    tries: BTreeMap<usize, usize>,
    outcome: Outcome,
    /// How many of the user's Ctrl-C were passed on.
    told: usize,
    bars: Bars,
}

impl Crew<'_> {
    /// Takes note of the processes that have ended.
    fn collect(&mut self) -> Result<()> {
        let mut still = Vec::new();
        for mut running in std::mem::take(&mut self.running) {
            match running.child.try_wait().context("waiting for a job") {
                Ok(None) => still.push(running),
                Ok(Some(status)) => self.ended(running.index, status),
                Err(error) => {
                    still.push(running);
                    self.running.extend(still);
                    return Err(error);
                }
            }
        }
        self.running = still;
        Ok(())
    }

    fn ended(&mut self, index: usize, status: ExitStatus) {
        let Some(job) = self.sweep.plan.jobs.get(index) else {
            return;
        };
        // A run that ended well says so by its manifest.
        let whole = self.sweep.is_finished(job);
        let tries = self.tries.get(&index).copied().unwrap_or(0);
        if whole {
            self.bars.finished();
        } else if self.told > 0 {
            // It was asked to.
        } else if tries <= self.local.retries && status.code() != Some(USERS_FAULT) {
            self.waiting.push_front(index);
        } else {
            self.outcome.failed.insert(index, status.to_string());
        }
    }

    /// Passes on what the user pressed: the first lets runs write checkpoints,
    /// the second ends them at once.
    fn pass_on(&mut self, pressed: usize) {
        while self.told < pressed.min(2) {
            self.running.iter().for_each(Running::interrupt);
            self.told += 1;
        }
    }

    /// Starts jobs where there is room.
    fn start(&mut self) -> Result<()> {
        for slot in 0..self.local.slots.len() {
            if self.running.iter().any(|running| running.slot == slot) {
                continue;
            }
            let Some(index) = self.waiting.pop_front() else {
                return Ok(());
            };
            let child = self.spawn(index, slot)?;
            *self.tries.entry(index).or_default() += 1;
            self.running.push(Running { index, slot, child });
        }
        Ok(())
    }

    fn spawn(&self, index: usize, slot: usize) -> Result<Child> {
        let plan = &self.sweep.plan;
        let job = plan.jobs.get(index).context("the plan has no such job")?;
        let slot = self
            .local
            .slots
            .get(slot)
            .context("there is no such slot")?;
        self.sweep.claim(job)?;
        let path = self.sweep.log(job);
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .with_context(|| format!("writing {}", path.display()))?;
        let mut command = Command::new(std::env::current_exe().context("finding this program")?);
        command
            .args(self.sweep.arguments(job, self.local.device())?)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .process_group(0);
        for name in RANKS {
            command.env_remove(name);
        }
        if let Some(gpu) = &slot.gpu {
            command.env("CUDA_VISIBLE_DEVICES", gpu);
        }
        let mut cores = CpuSet::new();
        slot.cores.iter().for_each(|&core| cores.set(core));
        // A process starts with the affinity of the thread that starts it.
        let started = std::thread::scope(|scope| {
            let starting = scope.spawn(|| {
                sched_setaffinity(None, &cores).context("choosing cores")?;
                command.spawn().context("starting qinglan run")
            });
            starting.join()
        });
        let place = || format!("job {}, {}", job.number, job.name);
        started
            .unwrap_or_else(|_| Err(anyhow::anyhow!("the thread that starts jobs panicked")))
            .with_context(place)
    }
}

impl Crew<'_> {
    fn show(&mut self) {
        let running: Vec<usize> = self.running.iter().map(|running| running.index).collect();
        self.bars.look(self.sweep, &running);
    }
}

impl Drop for Crew<'_> {
    /// Leaves nobody behind when the sweep ends by an error.
    fn drop(&mut self) {
        self.running.iter().for_each(Running::interrupt);
        for running in &mut self.running {
            // Whatever it comes to, there is nobody left to tell.
            let _ = running.child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_shared_out_without_a_rest() {
        let parts = |cores: &[usize], parts: usize| -> Vec<Vec<usize>> {
            (0..parts).map(|index| share(cores, parts, index)).collect()
        };
        assert_eq!(parts(&[0, 1, 4, 5], 2), [[0, 1], [4, 5]]);
        assert_eq!(parts(&[0, 1, 2], 2), [vec![0], vec![1, 2]]);
        // More jobs than cores: every job has one, and each core has a job.
        assert_eq!(parts(&[3, 7], 4), [[3], [3], [7], [7]]);
    }

    #[test]
    fn a_gpu_is_counted_among_those_that_are_visible() {
        assert_eq!(gpu(None, 2), "2");
        assert_eq!(gpu(Some("GPU-a, GPU-b"), 1), "GPU-b");
        assert_eq!(gpu(Some("3,5"), 0), "3");
    }

    #[test]
    fn devices_of_two_kinds_and_devices_named_twice_are_refused() {
        use DeviceChoice::{Auto, Cpu};
        assert_eq!(Devices::resolve(&[Cpu]).expect("a device"), Devices::Cpu);
        for wrong in [[Cpu, Cpu], [Auto, Cpu], [Cpu, DeviceChoice::Cuda(0)]] {
            assert!(Devices::resolve(&wrong).is_err(), "{wrong:?}");
        }
    }
}
