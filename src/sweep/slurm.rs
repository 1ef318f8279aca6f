//! Jobs as a Slurm array: a script in the sweep directory, submitted, watched
//! until nothing of it is in the queue, and submitted again where runs failed.
//!
//! What is finished is told by the runs' manifests, what is under way by
//! `squeue`. `sacct` is asked for nothing but the word by which a failure is
//! named, because many clusters keep no accounts. Slurm's `--signal` lets a run
//! write a checkpoint before its time is over, `--requeue` starts those anew that
//! lost their node, and both go on where they were.
//!
//! A job that got further than when it was submitted did not fail: it used up its
//! time, and is submitted as often as it takes.
//!
//! Whoever watches may leave, and the same command with `--resume` watches on:
//! the jobs of a sweep are those that were submitted from its directory, and no
//! list is kept that could differ from the queue. The sweep directory, the
//! definition and the store must lie where every node sees them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::bars::Bars;
use super::{Outcome, Sweep, quoted};
use crate::files;

/// Name of the script.
const SCRIPT: &str = "sweep.sh";

/// Time between two looks at the queue: short at first, as what is wrong shows
/// at once, then easy on the controller.
const LOOKS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// Looks at which a job must be out of the queue before it counts as ended: the
/// manifest may take a moment to show on a file system of many nodes.
const ABSENT: usize = 2;

/// How long one of Slurm's programs may take: longer than they try themselves.
const PATIENCE: Duration = Duration::from_secs(180);

/// Seconds before the end of its time that a run is told to write a checkpoint.
const WARNING: u32 = 120;

/// How a sweep uses Slurm.
#[derive(Debug)]
pub(crate) struct Slurm {
    /// Options of sbatch.
    pub(crate) options: Vec<String>,
    /// Tasks of an array that run at a time.
    pub(crate) at_once: Option<usize>,
    /// Cores of each.
    pub(crate) cores: Option<usize>,
    /// What `qinglan run --device` is told.
    pub(crate) device: String,
    /// How often a job that failed is submitted again.
    pub(crate) retries: usize,
}

impl Slurm {
    /// Refuses options that are none, and a machine where no Slurm answers.
    pub(crate) fn check(&self) -> Result<()> {
        for option in &self.options {
            ensure!(
                option.starts_with('-') && !option.contains('\n'),
                "--sbatch {option:?}: give an option of sbatch, such as --sbatch=--partition=gpu"
            );
        }
        queue(Path::new("")).map(drop)
    }

    /// The script. A task of the array is the job with its number.
    pub(crate) fn script(&self, sweep: &Sweep) -> Result<String> {
        let mut text = format!(
            "#!/bin/sh\n\
             # Written by qinglan sweep --slurm: each task of the array is a job of the sweep.\n\
             # A task can be submitted by hand, from this folder: sbatch --array=1 {SCRIPT}\n\
             #SBATCH --job-name={}\n\
             #SBATCH --output=logs/%a.log\n\
             #SBATCH --open-mode=append\n\
             #SBATCH --requeue\n\
             #SBATCH --signal=TERM@{WARNING}\n",
            sweep.plan.name
        );
        if let Some(cores) = self.cores {
            writeln!(text, "#SBATCH --cpus-per-task={cores}")?;
        }
        for option in &self.options {
            writeln!(text, "#SBATCH {option}")?;
        }
        text.push_str("set -eu\ncase \"$SLURM_ARRAY_TASK_ID\" in\n");
        for job in &sweep.plan.jobs {
            let words = sweep.arguments(job, &self.device)?;
            let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
            writeln!(text, "{}) set -- {} ;;", job.number, words.join(" "))?;
        }
        let program = std::env::current_exe().context("finding this program")?;
        let program = program
            .to_str()
            .context("this program's path is not UTF-8")?;
        write!(
            text,
            "*) echo \"error: the sweep has no job $SLURM_ARRAY_TASK_ID\" >&2; exit 2 ;;\n\
             esac\n\
             # Newer versions of srun do not take the cores from the job.\n\
             exec srun ${{SLURM_CPUS_PER_TASK:+--cpus-per-task=\"$SLURM_CPUS_PER_TASK\"}} {} \"$@\"\n",
            quoted(program)
        )?;
        Ok(text)
    }

    /// Submits every job that is not finished and waits for all. A press of
    /// Ctrl-C ends the waiting, and nothing else.
    pub(crate) fn run(&self, sweep: &Sweep, presses: &AtomicUsize) -> Result<Outcome> {
        let script = self.script(sweep)?;
        files::write_whole(&sweep.folder.join(SCRIPT), script.as_bytes())?;
        let mut watch = Watch::new(self, sweep)?;
        let mut wait = LOOKS[0];
        loop {
            let ended = watch.look();
            let submitted = watch.submit().inspect_err(|_| watch.leave())?;
            if ended || submitted {
                wait = LOOKS[0];
            }
            if watch.queued.is_empty() && watch.waiting.is_empty() {
                return Ok(watch.outcome);
            }
            let until = Instant::now() + wait;
            while Instant::now() < until {
                if presses.load(Ordering::SeqCst) > 0 {
                    watch.leave();
                    return Ok(watch.interrupted());
                }
                std::thread::sleep(Duration::from_millis(50));
            }
            wait = (wait * 3 / 2).min(LOOKS[1]);
        }
    }
}

/// A job that was submitted.
struct Queued {
    /// The array that it is a task of.
    array: String,
    /// What the queue last said of it.
    state: String,
    /// Looks in a row that did not find it.
    absent: usize,
}

impl Queued {
    fn new(array: &str) -> Self {
        Self {
            array: array.to_owned(),
            state: "pending".to_owned(),
            absent: 0,
        }
    }
}

struct Watch<'a> {
    slurm: &'a Slurm,
    sweep: &'a Sweep,
    /// The sweep directory as Slurm names it.
    folder: PathBuf,
    /// Places in the plan that are to be submitted.
    waiting: Vec<usize>,
    queued: BTreeMap<usize, Queued>,
    /// How often each job was submitted without getting further, and how far it was.
    tries: BTreeMap<usize, (usize, (usize, u64))>,
    outcome: Outcome,
    /// Whether it was said that Slurm does not answer.
    deaf: bool,
    bars: Bars,
}

impl<'a> Watch<'a> {
    fn new(slurm: &'a Slurm, sweep: &'a Sweep) -> Result<Self> {
        let folder = std::fs::canonicalize(&sweep.folder)
            .with_context(|| format!("reading {}", sweep.folder.display()))?;
        // Asked before anything is submitted: without an answer, what is under way
        // already would be submitted twice.
        let queue = queue(&folder)?;
        let mut waiting = Vec::new();
        let mut queued = BTreeMap::new();
        for (index, job) in sweep.plan.jobs.iter().enumerate() {
            if sweep.is_finished(job) {
                continue;
            }
            match queue.get(&job.number) {
                Some(task) => {
                    queued.insert(index, Queued::new(&task.array));
                }
                None => waiting.push(index),
            }
        }
        Ok(Self {
            slurm,
            sweep,
            folder,
            waiting,
            queued,
            tries: BTreeMap::new(),
            outcome: Outcome::default(),
            deaf: false,
            bars: Bars::new(sweep),
        })
    }

    /// Looks at the queue; whether something ended.
    fn look(&mut self) -> bool {
        let queue = match queue(&self.folder) {
            Ok(queue) => queue,
            Err(error) => {
                if !std::mem::replace(&mut self.deaf, true) {
                    self.bars
                        .say(&format!("Slurm does not answer, asking again: {error:#}"));
                }
                return false;
            }
        };
        self.deaf = false;
        let mut ended = Vec::new();
        let mut words: BTreeMap<&str, usize> = BTreeMap::new();
        for (&index, queued) in &mut self.queued {
            let Some(job) = self.sweep.plan.jobs.get(index) else {
                continue;
            };
            if let Some(task) = queue.get(&job.number) {
                queued.absent = 0;
                queued.state = task.state.to_lowercase();
                *words.entry(&task.state).or_default() += 1;
                continue;
            }
            queued.absent += 1;
            // Opening a folder makes a network file system look at it anew.
            let _ = std::fs::read_dir(self.sweep.run_folder(job));
            let finished = self.sweep.is_finished(job);
            if finished || queued.absent >= ABSENT {
                ended.push((index, queued.array.clone(), finished));
            }
        }
        let words: Vec<String> = words
            .iter()
            .map(|(word, count)| format!("{count} {}", word.to_lowercase()))
            .collect();
        for (index, array, finished) in &ended {
            self.queued.remove(index);
            if !finished {
                self.failed(*index, array);
            }
        }
        self.bars.set(self.sweep.finished(), words.join(", "));
        !ended.is_empty()
    }

    fn failed(&mut self, index: usize, array: &str) {
        let Some(job) = self.sweep.plan.jobs.get(index) else {
            return;
        };
        let number = job.number;
        let progress = self.sweep.progress(job);
        let (tries, before) = self.tries.entry(index).or_insert((1, progress));
        if progress > *before {
            *tries = 0;
        }
        if *tries <= self.slurm.retries {
            self.waiting.push(index);
            return;
        }
        let task = format!("{array}_{number}");
        let how = accounted(&task).map_or_else(
            || format!("Slurm job {task}"),
            |state| format!("Slurm job {task}: {state}"),
        );
        self.outcome.failed.insert(index, how);
    }

    /// Submits what waits, as one array; whether there was anything.
    fn submit(&mut self) -> Result<bool> {
        let chosen = std::mem::take(&mut self.waiting);
        if chosen.is_empty() {
            return Ok(false);
        }
        let mut numbers = Vec::new();
        for &index in &chosen {
            let job = self.sweep.plan.jobs.get(index).context("no such job")?;
            self.sweep.claim(job)?;
            numbers.push(job.number);
        }
        numbers.sort_unstable();
        let array = submit(&self.sweep.folder, &array_of(&numbers, self.slurm.at_once))?;
        for &index in &chosen {
            let job = self.sweep.plan.jobs.get(index).context("no such job")?;
            let tries = self.tries.get(&index).map_or(0, |(tries, _)| *tries);
            self.tries
                .insert(index, (tries + 1, self.sweep.progress(job)));
            self.queued.insert(index, Queued::new(&array));
        }
        Ok(true)
    }

    /// The outcome of a watch that ends before the jobs do.
    fn interrupted(mut self) -> Outcome {
        let left = std::mem::take(&mut self.queued).into_iter();
        self.outcome.left = left
            .map(|(index, queued)| (index, format!("{} in Slurm", queued.state)))
            .collect();
        self.outcome.interrupted = true;
        self.outcome
    }

    /// Says how to stop what goes on without anybody watching.
    fn leave(&self) {
        let arrays: BTreeSet<&str> = self
            .queued
            .values()
            .map(|queued| queued.array.as_str())
            .collect();
        let arrays: Vec<&str> = arrays.into_iter().collect();
        if !arrays.is_empty() {
            self.bars.say(&format!(
                "the jobs go on in Slurm; end them with: scancel {}",
                arrays.join(" ")
            ));
        }
    }
}

/// Job numbers as sbatch's `--array` has them: `1-3,7%2`.
fn array_of(numbers: &[usize], at_once: Option<usize>) -> String {
    let mut ranges: Vec<(usize, usize)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let range = |(first, last): &(usize, usize)| {
        if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        }
    };
    let ranges: Vec<String> = ranges.iter().map(range).collect();
    let limit = at_once.map_or_else(String::new, |limit| format!("%{limit}"));
    format!("{}{limit}", ranges.join(","))
}

/// Submits the script; the array's number.
fn submit(folder: &Path, array: &str) -> Result<String> {
    let said = slurm(
        Command::new("sbatch")
            .args(["--parsable", &format!("--array={array}"), SCRIPT])
            .current_dir(folder),
    )?;
    // With several clusters, `number;cluster`.
    let number = said.trim().split(';').next().unwrap_or_default();
    ensure!(
        !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()),
        "sbatch answered {:?} where the number of a job was expected",
        said.trim()
    );
    Ok(number.to_owned())
}

/// A task of an array, as the queue has it.
#[derive(Debug, PartialEq, Eq)]
struct Task {
    array: String,
    state: String,
}

/// What of the queue was submitted from a folder, by task.
fn queue(folder: &Path) -> Result<BTreeMap<usize, Task>> {
    let said = slurm(Command::new("squeue").args(["--me", "-h", "-r", "-o", "%F %K %T %Z"]))?;
    Ok(tasks(&said, folder))
}

/// Lines of `array task STATE folder`; jobs that are no arrays have no task.
fn tasks(said: &str, folder: &Path) -> BTreeMap<usize, Task> {
    let task = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let array = words.next()?.to_owned();
        let number = words.next()?.parse().ok()?;
        let state = words.next()?.to_owned();
        // Slurm may fill a column up with spaces.
        let from = Path::new(words.next()?.trim_end());
        (from == folder).then_some((number, Task { array, state }))
    };
    said.lines().filter_map(task).collect()
}

/// How Slurm's accounts say that a task ended, where there are accounts.
fn accounted(task: &str) -> Option<String> {
    let said = slurm(Command::new("sacct").args(["-n", "-X", "-P", "-o", "State", "-j", task]));
    let said = said.ok()?;
    let state = said.lines().next_back()?.trim();
    let known = !state.is_empty() && state.chars().all(|c| !c.is_control());
    known.then(|| state.to_owned())
}

/// Runs one of Slurm's programs; what it printed.
fn slurm(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = match output_within(command, PATIENCE) {
        Ok(Some(output)) => output,
        Ok(None) => bail!(
            "{name} did not answer within {} s and was ended; see whether the cluster is up, then go on with --resume",
            PATIENCE.as_secs()
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => bail!(
            "--slurm: there is no {name} on this machine; run where Slurm's programs are, or without --slurm"
        ),
        Err(error) => return Err(error).with_context(|| format!("running {name}")),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        match said.trim() {
            "" => bail!("{name} said nothing and ended with {}", output.status),
            said => bail!("{name}: {said}"),
        }
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What a program printed; `None` where it had to be ended after `patience`.
fn output_within(command: &mut Command, patience: Duration) -> std::io::Result<Option<Output>> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (said, complained) = (child.stdout.take(), child.stderr.take());
    let said = said.map(|pipe| std::thread::spawn(|| drained(pipe)));
    let complained = complained.map(|pipe| std::thread::spawn(|| drained(pipe)));
    let until = Instant::now() + patience;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() >= until {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let text = |reader: Option<JoinHandle<Vec<u8>>>| {
        let read = reader.and_then(|reader| reader.join().ok());
        read.unwrap_or_default()
    };
    Ok(Some(Output {
        status,
        stdout: text(said),
        stderr: text(complained),
    }))
}

/// All that comes out of a pipe, as far as it can be read.
fn drained(mut pipe: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_hangs_is_ended_and_one_that_speaks_is_heard() {
        let run = |script: &str, patience| {
            let output = output_within(Command::new("sh").args(["-c", script]), patience);
            output.expect("a shell")
        };
        assert!(run("exec sleep 1000", Duration::from_millis(50)).is_none());
        let long = "head -c 200000 /dev/zero; echo no >&2; exit 3";
        let said = run(long, Duration::from_secs(60)).expect("an end");
        assert_eq!(said.stdout.len(), 200_000);
        assert_eq!(said.stderr, b"no\n");
        assert_eq!(said.status.code(), Some(3));
    }

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(array_of(&[1, 2, 3, 7, 9, 10], None), "1-3,7,9-10");
        assert_eq!(array_of(&[4], Some(2)), "4%2");
    }

    #[test]
    fn the_queue_is_read_and_what_others_submitted_is_passed_over() {
        let said = "12 3 RUNNING /data/a sweep\n13 N/A PENDING /data/a sweep\n\n\
                    14 5 PENDING /data/other\n12 4 PENDING /data/a sweep \nnonsense\n";
        let found = tasks(said, Path::new("/data/a sweep"));
        let task = |state: &str| Task {
            array: "12".to_owned(),
            state: state.to_owned(),
        };
        let expected = [(3, task("RUNNING")), (4, task("PENDING"))];
        assert_eq!(found, BTreeMap::from(expected));
    }
}
