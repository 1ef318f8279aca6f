//! A sweep is the runs of its jobs and no other: paired as one run pairs them,
//! resumed as a run is, here and on Slurm.
//!
//! Slurm itself is asked where it answers (docs/SWEEPS.md says how to start it on
//! one machine); what must hold everywhere is held against programs that stand in
//! for its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use qinglan::tasks::{Mix, Proportions, Split};
use serde_json::Value;

use crate::support::{Bench, Ended, Running, TINY, final_weights, finished, json, text};

/// A bench whose bases are made already.
fn bench(definition: &str) -> Bench {
    let bench = Bench::new(definition);
    bench.with_cache_of(finished());
    bench
}

/// `qinglan sweep` of the bench's definition, on one core.
fn sweep(bench: &Bench, more: &[&str]) -> Command {
    let mut arguments = vec!["sweep", "tiny.toml", "--out", "sweep", "--devices", "cpu"];
    arguments.extend_from_slice(more);
    let mut command = bench.command(&arguments);
    // As in an allocation of several tasks, which is no business of a job's.
    command.env("SLURM_NTASKS", "4").env("SLURM_PROCID", "0");
    command
}

fn ended(mut command: Command) -> Ended {
    Ended::of(command.output().unwrap())
}

fn job(bench: &Bench, name: &str) -> PathBuf {
    bench.path("sweep/jobs").join(name)
}

/// The trainings of a run that belong to a seed, or to none.
fn weights_of(run: &Path, seed: u64) -> Vec<(String, u64, String)> {
    let mut all = final_weights(run);
    all.retain(|(arm, of, _)| arm == "teacher" || *of == seed);
    all
}

#[test]
fn nothing_is_written_where_one_point_of_the_grid_is_wrong() {
    let bench = Bench::new(TINY);
    let refused = |more: &[&str], expected: &str| {
        let said = ended(sweep(&bench, more));
        assert_eq!(said.code, Some(2), "{}", said.stderr);
        assert!(said.stderr.contains(expected), "{}", said.stderr);
        assert!(!bench.path("sweep").exists(), "{more:?}");
    };
    refused(&["--grid", "arm.grpo.algorithm.grpo.bta=0,1"], "bta");
    // The second point is wrong, and the first is not begun.
    let wrong = ["--grid", "arm.grpo.algorithm.grpo.num_generations=4,1"];
    refused(&wrong, "num_generations-1");
    // Written otherwise, and the same.
    refused(
        &["--grid", "training.learning_rate=1e-3,0.001"],
        "learning_rate-1e-3 and learning_rate-0.001 of the grid are one",
    );
    refused(&["--grid", "evaluation.samples"], "write key=values");
    refused(&["--cores", "100000"], "--cores 100000");
    refused(&["--slurm", "--sbatch", "gpu"], "--sbatch");
}

#[test]
fn a_dry_run_shows_the_plan_and_writes_nothing() {
    let bench = Bench::new(TINY);
    bench.write(
        "grid.toml",
        "definition = \"tiny.toml\"\nseeds = [5, 6]\n[grid]\ntraining.learning_rate = [1e-3, 3e-3]\n",
    );
    let arguments = ["sweep", "grid.toml", "--dry-run", "--devices", "cpu"];
    let said = bench.qinglan(&arguments).done().stdout;
    assert!(said.contains("4 jobs into runs/tiny-sweep"), "{said}");
    for expected in ["learning_rate-0.001-seed-5", "training.learning_rate=0.003"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!bench.path("runs").exists());
}

#[test]
fn jobs_are_paired_as_one_run_is_and_a_failure_is_its_own() {
    let reward = "length_cost = 0.1 }\ntraining = { steps = 40 }";
    assert!(TINY.contains(reward));
    let own = "length_cost = 0.1, own = { is = \"script\", weight = 0.0, expr = \"1.0\" } }\ntraining = { steps = 40 }";
    let bench = bench(&TINY.replace(reward, own));
    // Of its problems the first alone is asked about before a training begins.
    let mix = Mix::new(&["alphabet_arithmetic"], Proportions::default()).unwrap();
    let prompt = |index| mix.item(1, Split::Train, index).unwrap().prompt;
    assert_ne!(prompt(0), prompt(1));
    let throws = format!(
        "if prompt == '{}' {{ 1.0 }} else {{ throw 'no luck' }}",
        prompt(0)
    );
    let throws = throws.replace('\'', "\\\"");
    let grid = format!("arm.grpo.reward.own.expr=\"1.0\",\"{throws}\"");
    let said = ended(sweep(&bench, &["--seeds", "1", "--grid", &grid]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    for expected in [
        "1 of 2 jobs failed",
        "no luck",
        "sweep/logs/2.log",
        "again: qinglan run ",
    ] {
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
    let state = |number: &str| {
        let mut lines = said.stdout.lines().map(str::trim);
        let line = lines.find(|line| line.starts_with(number)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(
        (state("1"), state("2")),
        ("finished".into(), "failed".into())
    );
    let plan = json(&bench.path("sweep/sweep.json"));
    let name = |index: usize| plan["jobs"][index]["name"].as_str().unwrap().to_owned();
    let (whole, broken) = (job(&bench, &name(0)), job(&bench, &name(1)));
    // The same bits as the run of both seeds, but for the arm with another reward.
    let expected = weights_of(&finished().run, 1);
    let found = weights_of(&whole, 1);
    assert_eq!(found[..3], expected[..3]);
    // What both need was made once: of the teacher its model, traces and answers, of the
    // base, which was in the store before, its answers.
    for part in ["teacher", "arms/base/seed-1"] {
        let taken = |run: &Path| {
            let outcome = json(&run.join(part).join("outcome.json"));
            outcome["taken"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(taken(&whole) + taken(&broken), 3, "{part}");
    }
    assert!(!broken.join("manifest.json").exists());
    let compared = bench.qinglan(&["compare", "sweep"]).done();
    assert_eq!(
        compared.stdout,
        bench
            .qinglan(&["compare", whole.to_str().unwrap()])
            .done()
            .stdout
    );
    assert!(compared.stderr.contains(&name(1)), "{}", compared.stderr);
    let listed = bench.qinglan(&["runs", "list", "sweep"]).done().stdout;
    assert!(
        listed.contains(&name(0)) && listed.contains(&name(1)),
        "{listed}"
    );
    let report = ended(bench.command(&["report", "sweep"]));
    assert_eq!(report.code, Some(2));
    assert!(
        report.stderr.contains("sweep is a sweep"),
        "{}",
        report.stderr
    );
    let other = ended(sweep(&bench, &["--seeds", "2", "--resume"]));
    assert_eq!(other.code, Some(2));
    assert!(other.stderr.contains("another sweep"), "{}", other.stderr);
}

#[test]
fn a_sweep_has_one_process() {
    let bench = bench(TINY);
    let mut running = Running::of(sweep(&bench, &["--seeds", "1,2", "--jobs", "1"]));
    running.wait_until(|| job(&bench, "seed-1").exists());
    let second = ended(sweep(&bench, &["--seeds", "1,2", "--resume"]));
    assert_eq!(second.code, Some(2));
    assert!(
        second.stderr.contains("another process"),
        "{}",
        second.stderr
    );
    running.end().done();
}

#[test]
fn a_sweep_that_was_stopped_goes_on_to_the_same_bits() {
    let bench = bench(TINY);
    let mut running = Running::of(sweep(&bench, &["--seeds", "1,2", "--jobs", "1"]));
    // Early in the job: a quick machine has little left to do once its arms train.
    let log = job(&bench, "seed-1").join("teacher/metrics.jsonl");
    running.wait_until(|| log.exists());
    running.signal("INT");
    let stopped = running.end();
    assert_eq!(stopped.code, Some(130), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("--resume"), "{}", stopped.stderr);
    assert!(!job(&bench, "seed-1").join("manifest.json").exists());
    assert!(!job(&bench, "seed-2").exists());
    let none = bench.qinglan(&["compare", "sweep"]);
    assert_eq!(none.code, Some(2));
    assert!(
        none.stderr.contains("no run of the sweep"),
        "{}",
        none.stderr
    );
    ended(sweep(
        &bench,
        &["--seeds", "1,2", "--jobs", "2", "--resume"],
    ))
    .done();
    for seed in [1, 2] {
        let run = job(&bench, &format!("seed-{seed}"));
        assert_eq!(weights_of(&run, seed), weights_of(&finished().run, seed));
    }
    let again = ended(sweep(&bench, &["--seeds", "1,2"]));
    assert_eq!(again.code, Some(2));
    assert!(again.stderr.contains("--resume"), "{}", again.stderr);
}

#[test]
fn a_comparison_of_a_sweep_joins_the_seeds_of_each_point() {
    let bench = bench(TINY);
    let grid = ["--grid", "arm.grpo.training.learning_rate=1e-3,2e-3"];
    ended(sweep(&bench, &grid)).done();
    let compared = bench.qinglan(&["compare", "sweep", "--format", "csv", "--columns", "arm"]);
    let compared = compared.done();
    assert!(!compared.stderr.contains("WARN"), "{}", compared.stderr);
    for arm in ["base", "teacher", "sft", "grpo"] {
        for point in ["learning_rate-1e-3", "learning_rate-2e-3"] {
            let name = format!("{point}/{arm}");
            assert!(
                compared.stdout.contains(&name),
                "{name}: {}",
                compared.stdout
            );
        }
    }
    assert!(!compared.stdout.contains("seed-"), "{}", compared.stdout);
}

/// Stand-ins for Slurm's programs. A task is a line of `tasks/`, there as long as
/// the task is in the queue; what becomes of it is said by `mode`: it is held, lost,
/// or run, the second one with too little time at first.
const SBATCH: &str = r#"#!/bin/sh
cd "$(dirname "$0")"; here=$PWD; cd "$OLDPWD"
echo "$@" >> "$here/calls"
array=$(wc -l < "$here/calls" | tr -d ' ')
spec=${2#--array=}
for range in $(echo "${spec%\%*}" | tr , ' '); do
  task=${range%-*}
  while [ "$task" -le "${range#*-}" ]; do
    line="$here/tasks/$array-$task"
    echo "$array $task RUNNING $(pwd -P)" > "$line"
    case "$(cat "$here/mode")" in
    held) ;;
    lost) rm "$line" ;;
    run)
      (
        SLURM_ARRAY_TASK_ID=$task sh "$3" >> "logs/$task.log" 2>&1 &
        if [ "$task" = 2 ] && [ ! -e "$here/cut" ]; then
          : > "$here/cut"
          until [ -e jobs/seed-2/arms/grpo/seed-2/metrics.jsonl ]; do sleep 0.02; done
          kill -TERM $!
        fi
        wait $!
        rm "$line"
      ) > /dev/null 2>&1 < /dev/null & ;;
    esac
    task=$((task + 1))
  done
done
echo "$array;cluster"
"#;

const SQUEUE: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
echo x >> looks
if [ "$(wc -l < looks)" -eq 3 ]; then echo "slurm_load_jobs error: Unable to contact slurm controller" >&2; exit 1; fi
cat tasks/* 2> /dev/null
exit 0
"#;

const SRUN: &str = "#!/bin/sh\nexec \"$@\"\n";

/// Puts the stand-ins into a bench.
fn stand_ins(bench: &Bench, mode: &str) {
    std::fs::create_dir_all(bench.path("slurm/tasks")).unwrap();
    bench.write("slurm/mode", mode);
    for (name, script) in [("sbatch", SBATCH), ("squeue", SQUEUE), ("srun", SRUN)] {
        let path = bench.write(&format!("slurm/{name}"), script);
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    }
}

/// A sweep on Slurm as the stand-ins have it.
fn on_stand_ins(bench: &Bench, more: &[&str]) -> Command {
    let mut arguments = vec!["--slurm"];
    arguments.extend_from_slice(more);
    let mut command = sweep(bench, &arguments);
    let path = std::env::var("PATH").unwrap();
    let own = bench.path("slurm").display().to_string();
    command.env("PATH", format!("{own}:{path}"));
    command
}

fn submissions(bench: &Bench) -> Vec<String> {
    let calls = std::fs::read_to_string(bench.path("slurm/calls")).unwrap_or_default();
    calls.lines().map(str::to_owned).collect()
}

#[test]
fn a_job_whose_time_was_up_is_submitted_again_and_nothing_else_is() {
    let bench = bench(TINY);
    stand_ins(&bench, "run");
    // No retry is needed for it: it got further.
    let mut more = vec!["--seeds", "1,2", "--jobs", "3", "--retries", "0"];
    more.push("--sbatch=--partition=some");
    let said = ended(on_stand_ins(&bench, &more)).done();
    assert!(said.stderr.contains("does not answer"), "{}", said.stderr);
    // Both, of which one makes the teacher and the other waits for it, then that one again.
    let expected = ["1-2", "2"].map(|jobs| format!("--parsable --array={jobs}%3 sweep.sh"));
    assert_eq!(submissions(&bench), expected);
    for seed in [1, 2] {
        let run = job(&bench, &format!("seed-{seed}"));
        assert_eq!(weights_of(&run, seed), weights_of(&finished().run, seed));
    }
    let script = text(&bench.path("sweep/sweep.sh"));
    for expected in [
        "#SBATCH --partition=some\n",
        "#SBATCH --requeue\n",
        "--resume ;;\n",
    ] {
        assert!(script.contains(expected), "{script}");
    }
}

#[test]
fn a_job_that_fails_again_and_again_is_given_up_and_named() {
    let bench = Bench::new(TINY);
    stand_ins(&bench, "lost");
    let said = ended(on_stand_ins(&bench, &["--seeds", "1", "--retries", "1"]));
    assert_eq!(said.code, Some(1), "{}", said.stderr);
    assert_eq!(submissions(&bench).len(), 2);
    for expected in [
        "1 of 1 jobs failed",
        "Slurm job 2_1",
        "it said nothing",
        "again: ",
    ] {
        assert!(said.stderr.contains(expected), "{}", said.stderr);
    }
}

#[test]
fn who_stops_watching_and_comes_back_submits_nothing_twice() {
    let bench = Bench::new(TINY);
    stand_ins(&bench, "held");
    for resume in [&["--seeds", "1"][..], &["--seeds", "1", "--resume"]] {
        let looks = std::fs::read(bench.path("slurm/looks")).unwrap_or_default();
        let mut watching = Running::of(on_stand_ins(&bench, resume));
        let looked = || std::fs::read(bench.path("slurm/looks")).unwrap_or_default();
        watching.wait_until(|| looked().len() > looks.len() + 4);
        watching.signal("INT");
        let left = watching.end();
        assert_eq!(left.code, Some(130), "{}", left.stderr);
        assert!(left.stderr.contains("scancel 1\n"), "{}", left.stderr);
        assert_eq!(submissions(&bench).len(), 1);
    }
}

#[test]
fn slurm_itself_runs_a_sweep_and_a_job_that_was_killed_goes_on() {
    let answers = Command::new("squeue").arg("--me").output();
    if !answers.is_ok_and(|answer| answer.status.success()) {
        println!("skipped: no Slurm answers here (docs/SWEEPS.md says how to start one)");
        return;
    }
    let bench = bench(TINY);
    let arguments = [
        "--seeds",
        "1,2",
        "--slurm",
        "--cores",
        "1",
        "--sbatch=--time=10",
    ];
    let mut command = sweep(&bench, &arguments);
    command
        .env_remove("SLURM_NTASKS")
        .env_remove("SLURM_PROCID");
    let mut running = Running::of(command);
    let log = job(&bench, "seed-2").join("arms/grpo/seed-2/metrics.jsonl");
    running.wait_until(|| log.exists());
    let run = job(&bench, "seed-2");
    let found = Command::new("pgrep")
        .args(["-f", &format!("qinglan run .*{}", run.display())])
        .output()
        .unwrap();
    let pids = String::from_utf8(found.stdout).unwrap();
    for pid in pids.split_whitespace() {
        // It may have ended between the two, which the end of the test bears.
        let _ = Command::new("kill").args(["-KILL", pid]).status().unwrap();
    }
    running.end().done();
    for seed in [1, 2] {
        let run = job(&bench, &format!("seed-{seed}"));
        assert_eq!(weights_of(&run, seed), weights_of(&finished().run, seed));
    }
    let jobs: Value = json(&bench.path("sweep/sweep.json"));
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 2);
}
