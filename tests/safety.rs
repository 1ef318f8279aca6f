//! A machine goes down in the middle of it, again and again, its disk is full,
//! or its files change: nothing is lost, and no bit changes unnoticed.
//!
//! These tests take minutes, or a night, and are asked for by name, with
//! `scripts/kill-test.sh [ROUNDS]`; `bits` and `kept` have the small ones that
//! always run.

mod damage;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use qinglan::random::stream;
use rand::RngExt;

use crate::bad_input::run_with_little_room;
use crate::bits::{assert_same, base_updates, untimed_files, updates};
use crate::support::{Bench, TINY};

/// [`TINY`] with all that a checkpoint may hold: batches that wait, a reference
/// that follows, evaluations on the way, and the best policy beside the last.
fn definition() -> String {
    let grpo = "\n[arm.grpo]\nalgorithm.grpo = { ";
    assert!(TINY.contains(grpo));
    let following = "beta = 0.05, sync_ref_model = true, ref_model_sync_steps = 7, ";
    let samples = "[evaluation]\nsamples = 1\n";
    assert!(TINY.contains(samples));
    TINY.replace(grpo, &format!("{grpo}{following}"))
        .replace(samples, &format!("{samples}at = [0, 4, 8, \"end\"]\n"))
        .replace("save_steps = 5\n", "save_steps = 3\nkeep_best = true\n")
}

/// How many times something is to happen: `QINGLAN_ROUNDS`, or 30.
fn rounds() -> usize {
    let given = std::env::var("QINGLAN_ROUNDS").ok();
    given.map_or(30, |rounds| rounds.parse().unwrap())
}

/// A seed of its own for each call, printed so that a failure can be made again.
fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = now.as_nanos() as u64;
    println!("seed {seed}");
    seed
}

/// When to kill.
enum Moment {
    /// So many updates of a base, a teacher or an arm after those that are logged.
    Update(PathBuf, usize),
    /// So long after a file is there: among traces and evaluations.
    After(PathBuf, Duration),
    /// While a checkpoint is being written.
    Checkpoint,
    /// So long after the start.
    Time(Duration),
}

/// Names of what is half written in a folder.
fn half_written(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        // It is being written to: what was there may be gone.
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".partial") {
                found.push(name);
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push(entry.path());
            }
        }
    }
    found
}

/// What a bench held before a process was started in it.
struct Before {
    half_written: Vec<String>,
    updates: usize,
}

impl Before {
    fn of(bench: &Bench, moment: &Moment) -> Self {
        let updates = match moment {
            Moment::Update(at, _) => logged(bench, at),
            _ => 0,
        };
        Self {
            half_written: all_half_written(bench),
            updates,
        }
    }

    /// What the process that was started has left half written.
    fn new_half_written(&self, bench: &Bench) -> Vec<String> {
        let mut now = all_half_written(bench);
        now.retain(|name| !self.half_written.contains(name));
        now
    }
}

fn all_half_written(bench: &Bench) -> Vec<String> {
    ["run", "cache"]
        .iter()
        .flat_map(|folder| half_written(&bench.path(folder)))
        .collect()
}

/// Lines in the log of a training.
fn logged(bench: &Bench, at: &Path) -> usize {
    if at.as_os_str() == "base" {
        return base_updates(bench);
    }
    updates(&bench.path("run").join(at).join("metrics.jsonl"))
}

impl Moment {
    fn is_there(&self, bench: &Bench, before: &Before) -> bool {
        let run = bench.path("run");
        match self {
            Self::Update(at, count) => {
                let over = match at.to_str() {
                    Some("base") => run.join("teacher/metrics.jsonl").exists(),
                    _ => run.join(at).join("outcome.json").exists(),
                };
                over || logged(bench, at) > before.updates + count
            }
            Self::After(at, _) => run.join(at).exists(),
            Self::Checkpoint => before
                .new_half_written(bench)
                .iter()
                .any(|name| name.starts_with(".checkpoint-")),
            Self::Time(_) => true,
        }
    }

    fn delay(&self) -> Duration {
        match self {
            Self::After(_, delay) | Self::Time(delay) => *delay,
            Self::Update(..) | Self::Checkpoint => Duration::ZERO,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Update(at, count) => format!("{count} more updates of {}", at.display()),
            Self::After(at, delay) => format!("{delay:?} after {}", at.display()),
            Self::Checkpoint => "a checkpoint being written".to_owned(),
            Self::Time(delay) => format!("{delay:?} after the start"),
        }
    }
}

/// Some thirty moments in the order of a run: bases, teacher, arms, the end.
fn moments(seed: u64) -> Vec<Moment> {
    let mut random = stream(seed, "moments", &[]);
    let mut within = |length: u64| random.random_range(0..length);
    let mut moments = Vec::new();
    for _ in 0..3 {
        moments.push(Moment::Update("base".into(), within(25) as usize));
        moments.push(Moment::Checkpoint);
        moments.push(Moment::Time(Duration::from_millis(within(2000))));
    }
    moments.push(Moment::Update("teacher".into(), within(3) as usize));
    moments.push(Moment::Update("teacher".into(), within(3) as usize));
    let mut after = |at: &str| Moment::After(at.into(), Duration::from_millis(within(1500)));
    moments.push(after("teacher/model"));
    moments.push(after("teacher/traces.jsonl"));
    moments.push(after("arms/base/seed-1/model"));
    moments.push(after("arms/base/seed-2/model"));
    // Seeds of an arm are trained side by side.
    for arm in ["grpo", "sft"] {
        for seed in [1, 2] {
            let at = format!("arms/{arm}/seed-{seed}");
            moments.push(Moment::Update(at.into(), within(6) as usize));
            moments.push(Moment::Checkpoint);
        }
        for seed in [1, 2] {
            for left in ["evaluations/000008.parquet", "model"] {
                let at = format!("arms/{arm}/seed-{seed}/{left}");
                let delay = Duration::from_millis(within(1500));
                moments.push(Moment::After(at.into(), delay));
            }
        }
    }
    for seed in [1, 2] {
        let at = format!("arms/sft/seed-{seed}/outcome.json");
        let delay = Duration::from_millis(within(1500));
        moments.push(Moment::After(at.into(), delay));
    }
    moments.push(Moment::Time(Duration::from_millis(within(800))));
    moments
}

/// What a killed run was about: trainings that have a model and no outcome.
fn between(run: &Path) -> Vec<String> {
    let trainings = ["grpo", "sft", "base"]
        .iter()
        .flat_map(|arm| [1, 2].map(|seed| format!("arms/{arm}/seed-{seed}")));
    trainings
        .chain(["teacher".to_owned()])
        .filter(|at| {
            let at = run.join(at);
            at.join("model").exists() && !at.join("outcome.json").exists()
        })
        .collect()
}

/// Holds a run and its cache to others.
fn assert_whole(bench: &Bench, whole: &Bench) {
    assert_same(&bench.path("run"), &whole.path("run"));
    let caches = [bench, whole].map(|bench| untimed_files(&bench.path("cache")));
    assert_eq!(caches[0], caches[1]);
}

/// Runs a bench until a moment, and ends it there with a signal: mostly the one
/// that nothing can be done about. False where it was quicker than its killer.
fn stop_at(bench: &Bench, moment: &Moment, signal: &str) -> bool {
    let before = Before::of(bench, moment);
    let mut running = bench.start("run", &["--resume"]);
    if running.reaches(|| moment.is_there(bench, &before)) {
        sleep(moment.delay());
        running.signal(signal);
    }
    let ended = running.end();
    if ended.code == Some(0) {
        return false;
    }
    // Ended by the signal, or by the lab that was asked to.
    let by_signal = ended.code.is_none() || ended.code == Some(130);
    assert!(by_signal, "{signal}: {:?} {}", ended.code, ended.stderr);
    println!(
        "{signal}, {}: half written {:?}, evaluated or sampled {:?}",
        moment.name(),
        before.new_half_written(bench),
        between(&bench.path("run"))
    );
    true
}

/// Signals that end a process, the last of them as likely as all others together.
const SIGNALS: [&str; 8] = ["INT", "TERM", "HUP", "QUIT", "ABRT", "SEGV", "BUS", "KILL"];

#[test]
#[ignore = "takes minutes: run scripts/kill-test.sh"]
fn kills_at_random_moments_change_no_bit() {
    let whole = Bench::new(&definition());
    whole.run("run", &[]).done();
    let seed = seed();
    let mut random = stream(seed, "signals", &[]);
    let mut moments = (0..).flat_map(|batch| moments(seed.wrapping_add(batch)));
    let mut bench = Bench::new(&definition());
    let mut killed = 0;
    while killed < rounds() {
        let moment = moments.next().unwrap();
        let signal = SIGNALS[random.random_range(0..14usize).min(7)];
        print!("{:4} ", killed + 1);
        if stop_at(&bench, &moment, signal) {
            killed += 1;
            continue;
        }
        println!("finished before {}", moment.name());
        assert_whole(&bench, &whole);
        bench = Bench::new(&definition());
    }
    bench.run("run", &["--resume"]).done();
    assert_whole(&bench, &whole);
}

#[test]
#[ignore = "takes a minute: run scripts/kill-test.sh"]
fn a_limit_on_files_changes_no_bit_once_it_is_raised() {
    let whole = Bench::new(&definition());
    whole.run("run", &[]).done();
    let bench = Bench::new(&definition());
    let mut blocks = 8;
    loop {
        let ended = run_with_little_room(&bench, blocks);
        if ended.code == Some(0) {
            break;
        }
        println!("with {blocks} blocks: {}", ended.stderr.trim());
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for word in ["ulimit -f", "--resume"] {
            assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
        }
        blocks += 24;
    }
    assert_whole(&bench, &whole);
}

/// A small disk of its own at a folder.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where this user may not mount one.
    fn new(at: PathBuf, kilobytes: u64) -> Option<Self> {
        std::fs::create_dir_all(&at).unwrap();
        let mounted = Command::new("mount")
            .args([
                "-t",
                "tmpfs",
                "-o",
                &format!("size={kilobytes}k"),
                "qinglan",
            ])
            .arg(&at)
            .status();
        mounted
            .is_ok_and(|status| status.success())
            .then_some(Self(at))
    }

    fn grow(&self, kilobytes: u64) {
        let options = format!("remount,size={kilobytes}k");
        let grown = Command::new("mount")
            .args(["-o", &options])
            .arg(&self.0)
            .status();
        assert!(grown.unwrap().success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Nothing can be done about a disk that stays; the folder then stays too.
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a small disk, which only root may: run scripts/kill-test.sh"]
fn a_full_disk_changes_no_bit_once_there_is_room() {
    let whole = Bench::new(&definition());
    whole.run("run", &[]).done();
    let bench = Bench::new(&definition());
    let mut room = 64;
    let Some(disk) = SmallDisk::new(bench.path("run"), room) else {
        println!("skipped: this user may not mount a disk");
        return;
    };
    let mut failed_at_a_checkpoint = 0;
    loop {
        let ended = bench.run("run", &["--resume"]);
        if ended.code == Some(0) {
            break;
        }
        println!("with {room} kB: {}", ended.stderr.trim());
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        for word in ["No space left", "make room", "--resume"] {
            assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
        }
        failed_at_a_checkpoint += usize::from(ended.stderr.contains("checkpoint-"));
        room += 150;
        disk.grow(room);
    }
    assert!(failed_at_a_checkpoint >= 3, "{failed_at_a_checkpoint}");
    assert_same(&bench.path("run"), &whole.path("run"));
}
