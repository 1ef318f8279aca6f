//! Runs of several ranks: real processes of the real binary, that come to the
//! same end as one process, and end together where one of them does.

mod shares;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use experiments::record;
use qinglan::model::Stored;
use tch::{Device, Tensor};
use torch_ext::distributed::is_built;

use crate::bits::updates;
use crate::support::{Bench, Ended, Running};

/// A port that nobody listens at.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port().min(65_000)
}

/// A whole experiment whose learning rates are so small that rounding stays
/// rounding, whoever adds up.
const SMALL: &str = r#"[experiment]
name = "small"
title = "A small experiment"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]
log_completions = true

[tasks]
names = ["alphabet_arithmetic"]
norms = "builtin"
validation_problems = 6

[base.shape]
width = 32
layers = 2
heads = 2
kv_heads = 1
feed_forward = 64
context = 160

[base.pretraining]
batch_size = 16

[base.pretraining.training]
steps = 12
learning_rate = 1e-3
validation_steps = 6
save_steps = 4

[teacher]
seed = 100
algorithm.grpo = { prompts_per_generation = 4, num_generations = 2 }
reward = { correct = 1.0, format = 0.1 }
training = { steps = 3 }

[teacher.base.shape]
width = 32
layers = 1
heads = 2
kv_heads = 2
feed_forward = 64
context = 160

[teacher.base.pretraining]
batch_size = 16

[teacher.base.pretraining.training]
steps = 12
learning_rate = 1e-3
validation_steps = 12

[teacher.traces]
problems = 24
samples = 1
held_out = 12
only_correct = false

[rollout]
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[evaluation]
samples = 1
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[training]
learning_rate = 1e-5
dtype = "float32"
validation_steps = 4
save_steps = 2

[arm.opd]
algorithm.opd = { prompts_per_generation = 4, num_generations = 2 }
training = { steps = 4 }

[arm.grpo]
algorithm.grpo = { prompts_per_generation = 4, num_generations = 4, steps_per_generation = 2, beta = 0.04 }
reward = { correct = 1.0, format = 0.1, length_cost = 0.1 }
training = { steps = 8 }
"#;

/// What each model of a finished run answered, by model, item and sample.
fn answers(run: &Path) -> BTreeMap<(String, String, u32), Option<String>> {
    let folders = [
        "teacher",
        "arms/base/seed-1",
        "arms/opd/seed-1",
        "arms/grpo/seed-1",
    ];
    let records = folders.map(|at| record::read(&run.join(at).join("traces.parquet")).unwrap());
    let each = records.into_iter().flatten();
    each.map(|of| ((of.model, of.item_id, of.sample), of.completion))
        .collect()
}

/// The weights of a folder, `[P]`.
fn weights(folder: &Path) -> Tensor {
    let model = Stored::open(folder).unwrap().load(Device::Cpu).unwrap();
    model.decoder.weights().flat().copy()
}

/// Says that a test was left out, where this build has no distribution.
fn left_out() -> bool {
    if !is_built() {
        println!("skipped: this build has no distribution");
    }
    !is_built()
}

/// The processes that a process has started.
fn children_of(running: &Running) -> Vec<u32> {
    let id = running.id();
    let path = format!("/proc/{id}/task/{id}/children");
    let listed = std::fs::read_to_string(path).unwrap_or_default();
    listed
        .split_whitespace()
        .map(|id| id.parse().unwrap())
        .collect()
}

fn signal(process: u32, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &process.to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

impl Bench {
    /// Ranks as a shell loop starts them, each with options of its own.
    fn ranks(&self, out: &str, world: usize, each: &[&[&str]]) -> Vec<Running> {
        let port = free_port().to_string();
        let start = |(rank, more): (usize, &&[&str])| {
            let mut arguments = vec!["run", "tiny.toml", "--out", out, "--device", "cpu"];
            arguments.extend_from_slice(more);
            let mut command = self.command(&arguments);
            command
                .env("RANK", rank.to_string())
                .env("WORLD_SIZE", world.to_string())
                .env("MASTER_PORT", &port);
            Running::of(command)
        };
        each.iter().enumerate().map(start).collect()
    }
}

/// Most that weights of a base may differ by: a fiftieth of what one update moves
/// them by.
const FAR: f64 = 2e-5;

#[test]
fn one_two_and_four_ranks_end_in_the_same_base_and_answers() {
    if left_out() {
        return;
    }
    let bench = Bench::new(SMALL);
    bench.run("one", &[]).done();
    let one = answers(&bench.path("one"));
    let base = |run: &str| weights(&bench.path(run).join("arms/base/seed-1/model"));
    for (out, options) in [
        ("two", &["--nproc", "2"][..]),
        ("four", &["--nproc=4"]),
        ("sharded", &["--nproc", "2", "--shard-optimizer"]),
    ] {
        // Nothing is to be taken from the store.
        std::fs::remove_dir_all(bench.path("cache")).unwrap();
        let ended = bench.run(out, options).done();
        assert!(ended.stdout.contains("A small experiment"));
        assert_eq!(ended.stdout.matches("A small experiment").count(), 1);
        let far = (base(out) - base("one")).abs().max().double_value(&[]);
        assert!(far < FAR, "{out}: {far:.1e}");
        // Ranks add up in another order, and a draw may fall on the other side of
        // a border by that: another answer here and there is rounding, a rank
        // that draws by other keys or updates by other sums changes most.
        let found = answers(&bench.path(out));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            one.keys().collect::<Vec<_>>()
        );
        let other = one.iter().filter(|(key, answer)| found[*key] != **answer);
        let other = other.count();
        assert!(other * 20 <= one.len(), "{out}: {other} of {}", one.len());
        let log = |run: &str| updates(&bench.path(run).join("arms/grpo/seed-1/metrics.jsonl"));
        assert_eq!(log(out), log("one"), "{out}");
    }
}

/// A run of two ranks that has made a checkpoint and goes on.
fn under_way(bench: &Bench, options: &[&str]) -> Running {
    let mut running = bench.start("run", options);
    let log = bench.path("run/arms/grpo/seed-1/metrics.jsonl");
    running.wait_until(|| updates(&log) > 4);
    running
}

/// The same experiment, long enough to be stopped in the middle.
fn long() -> Bench {
    Bench::new(&SMALL.replace("training = { steps = 8 }", "training = { steps = 60 }"))
}

#[test]
fn a_killed_rank_ends_the_other_and_one_process_goes_on() {
    if left_out() {
        return;
    }
    let bench = long();
    let running = under_way(&bench, &["--nproc", "2", "--shard-optimizer"]);
    let ranks = children_of(&running);
    assert_eq!(ranks.len(), 2);
    signal(ranks[1], "KILL");
    let ended = running.end();
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let said = &ended.stderr;
    assert!(said.contains("rank 1 was ended by signal 9"), "{said}");
    assert!(said.contains("rank 0 of 2: "), "{said}");
    // The moments were in parts; one process takes them up whole.
    let resumed = bench.run("run", &["--resume"]).done();
    assert!(resumed.stdout.contains("A small experiment"));
    assert_eq!(
        updates(&bench.path("run/arms/grpo/seed-1/metrics.jsonl")),
        61
    );
}

#[test]
fn ctrl_c_stops_all_ranks_after_one_step_and_more_ranks_go_on() {
    if left_out() {
        return;
    }
    let bench = long();
    let running = under_way(&bench, &["--nproc", "2"]);
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("--resume").count(),
        1,
        "{}",
        ended.stderr
    );
    let log = bench.path("run/arms/grpo/seed-1/metrics.jsonl");
    let made = updates(&log) - 1;
    // What was made is in a checkpoint, not only in the log.
    let at = format!("run/arms/grpo/seed-1/checkpoint-{made:06}");
    assert!(bench.path(&at).exists(), "{at}");
    bench.run("run", &["--resume", "--nproc", "4"]).done();
    assert_eq!(updates(&log), 61);
}

/// Waits for the end of a rank, for so long at most.
fn ended_within(running: Running, seconds: u64) -> Ended {
    let started = Instant::now();
    let ended = running.end();
    assert!(
        started.elapsed() < Duration::from_secs(seconds),
        "{}",
        ended.stderr
    );
    ended
}

#[test]
fn a_rank_that_hangs_is_given_up_by_name() {
    if left_out() {
        return;
    }
    let bench = long();
    let options: &[&str] = &["--collective-timeout", "2"];
    let mut ranks = bench.ranks("run", 2, &[options, options]);
    let (hangs, mut waits) = (ranks.remove(1), ranks.remove(0));
    let log = bench.path("run/arms/grpo/seed-1/metrics.jsonl");
    waits.wait_until(|| updates(&log) > 2);
    hangs.signal("STOP");
    let ended = ended_within(waits, 30);
    hangs.signal("KILL");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let collectives = ["all_reduce", "all_gather_bytes", "broadcast_bytes"];
    let named = collectives.iter().any(|name| ended.stderr.contains(name));
    assert!(
        ended.stderr.contains("rank 0 of 2") && named,
        "{}",
        ended.stderr
    );
    hangs.end();
}

#[test]
fn a_rank_or_a_master_that_never_comes_is_not_waited_for_for_ever() {
    if left_out() {
        return;
    }
    let bench = Bench::new(SMALL);
    let options: &[&str] = &["--collective-timeout", "2"];
    let first = bench.ranks("a", 2, &[options]).remove(0);
    let port = free_port().to_string();
    let mut second = bench.command(&[
        "run",
        "tiny.toml",
        "--device",
        "cpu",
        "--collective-timeout",
        "2",
    ]);
    second
        .env("RANK", "1")
        .env("WORLD_SIZE", "2")
        .env("MASTER_PORT", &port);
    let second = Running::of(second);
    for (rank, ended) in [first, second].into_iter().enumerate() {
        let ended = ended_within(ended, 30);
        assert_eq!(ended.code, Some(1), "{}", ended.stderr);
        let says = format!("rank {rank} of 2: cannot join the group at 127.0.0.1");
        assert!(ended.stderr.contains(&says), "{}", ended.stderr);
        assert!(!bench.path("a").exists() && !bench.path("runs").exists());
    }
}

#[test]
fn ranks_that_do_not_belong_together_are_refused_in_a_line_each() {
    if left_out() {
        return;
    }
    let bench = Bench::new(SMALL);
    let refused = |ranks: Vec<Running>, says: &str| {
        for running in ranks {
            let ended = running.end();
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
            assert!(ended.stderr.contains(says), "{}", ended.stderr);
        }
        assert!(!bench.path("out").exists());
    };
    let seeds: &[&str] = &["--seeds", "2"];
    refused(bench.ranks("out", 2, &[&[], seeds]), "another definition");
    refused(
        bench.ranks("out", 2, &[&["--resume"], &[]]),
        "the same options",
    );
    refused(
        bench.ranks("out", 2, &[&["--dry-run"], &[]]),
        "the same options",
    );
    let threadless: &[&str] = &["--set", "experiment.threads=0"];
    let ranks = bench.ranks("out", 2, &[threadless, &[]]);
    refused(ranks, "a training needs a thread");
    refused(
        bench.ranks("out", 3, &[&[], &[], &[]]),
        "base.pretraining.batch_size = 16 cannot be shared evenly by 3 ranks",
    );
}

/// The arm's rollouts come from a server, which no dry run asks.
const SERVED: &str =
    "arm.grpo.sampler={ endpoint = \"http://127.0.0.1:9/v1\", model = \"policy\" }";

#[test]
fn numbers_of_ranks_that_make_no_sense_are_refused() {
    let bench = Bench::new(SMALL);
    for (options, says) in [
        (&["--nproc", "0"][..], "--nproc 0"),
        (&["--nproc", "0", "--dry-run"], "--nproc 0"),
        (&["--nproc", "99999", "--dry-run"], "start 1 to 1024 ranks"),
        (&["--nproc", "3", "--dry-run"], "by 3 ranks"),
        (
            &["--nproc", "2", "--dry-run", "--set", SERVED],
            "arm.grpo.sampler: a server takes its weights from one process",
        ),
        (&["--collective-timeout", "0"], "collective-timeout"),
    ] {
        let ended = bench.run("out", options);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{}", ended.stderr);
    }
    let twice = bench
        .command(&["run", "tiny.toml", "--nproc", "2"])
        .env("RANK", "0")
        .env("WORLD_SIZE", "2")
        .output()
        .unwrap();
    let said = Ended::of(twice);
    assert_eq!(said.code, Some(2));
    assert!(
        said.stderr.contains("leave out one of the two"),
        "{}",
        said.stderr
    );
}
