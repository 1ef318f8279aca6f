//! What a run takes from outside: looked for before anything is trained, and the
//! same from the first stage to the last.

use std::process::Command;

use serde_json::json;

use crate::support::{Bench, Ended, Running, TINY, finished, json as read_json, text};

const REWARD: &str =
    "def reward(completions, **_):\n    return [float(len(c)) for c in completions]\n";

/// [`TINY`] without its teacher and arms, with these in their place.
fn definition(arms: &str) -> String {
    let (before, rest) = TINY.split_once("[teacher]").unwrap();
    let (_, rest) = rest.split_once("[rollout]").unwrap();
    let (shared, _) = rest.split_once("[arm.sft]").unwrap();
    format!("{before}[rollout]{shared}{arms}")
}

/// An arm that is trained by a function of `rewards.py`.
fn arm(name: &str, more: &str) -> String {
    format!(
        "[arm.{name}]
algorithm.grpo = {{ prompts_per_generation = 2, num_generations = 2 }}
training = {{ steps = 2 }}
{more}
[arm.{name}.reward.own]
is = \"python\"
file = \"rewards.py\"
function = \"reward\"
workers = {{ count = 1 }}
"
    )
}

fn bench(arms: &str, reward: &str) -> Bench {
    let bench = Bench::new(&definition(arms));
    bench.write("rewards.py", reward);
    bench.with_cache_of(finished());
    bench
}

fn has_python() -> bool {
    let has = Command::new("python3").arg("-V").output().is_ok();
    if !has {
        println!("skipped: there is no python3");
    }
    has
}

fn assert_ended(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
}

/// Both in earnest and dry, a run ends with these codes and words, and nothing is
/// begun.
fn assert_not_begun(bench: &Bench, codes: [i32; 2], words: &[&str]) {
    for (more, code) in [(&[][..], codes[0]), (&["--dry-run"], codes[1])] {
        let ended = bench.run("run", more);
        assert_ended(&ended, code, words);
        assert_eq!(ended.stdout, "");
        assert!(!bench.path("run").exists());
    }
}

#[test]
fn a_dry_run_says_of_everything_from_outside_whether_it_is_there() {
    if !has_python() {
        return;
    }
    let bench = bench(&arm("grpo", ""), REWARD);
    let told = bench.run("run", &["--dry-run"]).done().stdout;
    let line = "found: arm.grpo.reward.own (python, rewards.py): it answers";
    assert!(told.contains(line), "{told}");
    assert!(!bench.path("run").exists());
    let server = "sampler = { endpoint = \"http://127.0.0.1:9/v1\", model = \"m\", tries = 1 }";
    bench.write("tiny.toml", &definition(&arm("grpo", server)));
    let missing = "wrong: arm.grpo.sampler: http://127.0.0.1:9/v1/models gave no answer in 1 tries, the last: connection refused";
    let ended = bench.run("run", &["--dry-run"]);
    assert_ended(&ended, 2, &[line, missing]);
    std::fs::remove_file(bench.path("rewards.py")).unwrap();
    let both = [
        "2 of the things",
        "rewards.py",
        "cannot read",
        "connection refused",
    ];
    assert_not_begun(&bench, [2, 2], &both);
}

#[test]
fn a_server_that_is_away_and_a_key_that_is_missing_show_before_anything_is_trained() {
    let of = |more: &str| {
        let sampler = format!(
            "sampler = {{ endpoint = \"http://127.0.0.1:9/v1\", model = \"m\", tries = 1{more} }}"
        );
        let arm = arm("grpo", &sampler).replace("reward.own]", "reward.correct]");
        let (arm, _) = arm.split_once("is = ").unwrap();
        Bench::new(&definition(arm))
    };
    // A server may come back, a key will not by itself.
    assert_not_begun(
        &of(""),
        [1, 2],
        &[
            "connection refused",
            "start the server, or mend sampler.endpoint",
        ],
    );
    let key = ", api_key_env = \"QINGLAN_NO_SUCH_KEY\"";
    assert_not_begun(&of(key), [2, 2], &["QINGLAN_NO_SUCH_KEY", "is not set"]);
}

#[test]
fn a_reward_that_cannot_judge_a_training_problem_shows_before_anything_is_trained() {
    if !has_python() {
        return;
    }
    for (reward, code, says) in [
        (
            "def reward(**_):\n    return 1 / 0\n",
            2,
            "ZeroDivisionError",
        ),
        ("import no_such_module\n", 2, "no_such_module"),
        (
            "import os\ndef reward(**_):\n    os.kill(os.getpid(), 9)\n",
            1,
            "signal: 9",
        ),
        ("import os\nos.kill(os.getpid(), 9)\n", 1, "signal: 9"),
    ] {
        let bench = bench(&arm("grpo", ""), reward);
        assert_not_begun(&bench, [code; 2], &["arm.grpo.reward.own", says]);
    }
}

#[test]
fn a_file_that_changes_between_two_stages_is_refused_by_name_until_it_is_put_back() {
    if !has_python() {
        return;
    }
    // The first stage's own samples edit it; the second starts from the first.
    let edits = "
import os

def reward(completions, **_):
    if os.path.exists('run/arms/first') and not os.path.exists('edited'):
        open('edited', 'w').close()
        open('rewards.py', 'a').write('# edited\\n')
    return [float(len(c)) for c in completions]
";
    let arms = [arm("first", ""), arm("second", "init = \"arm:first\"")].concat();
    let text_of = definition(&arms).replace("seeds = [1, 2]", "seeds = [1]");
    let bench = bench("", edits);
    bench.write("tiny.toml", &text_of);
    let refused = bench.run("run", &[]);
    let words = ["rewards.py has changed", "--resume", "--out", "is a copy"];
    assert_ended(&refused, 2, &words);
    assert!(bench.path("run/arms/first/seed-1/outcome.json").exists());
    assert!(!bench.path("run/arms/second/seed-1/outcome.json").exists());
    for more in [&["--resume"][..], &["--resume", "--dry-run"]] {
        assert_ended(&bench.run("run", more), 2, &words);
    }
    let pins = read_json(&bench.path("run/inputs.json"));
    let hash = pins["files"]["rewards.py"].as_str().unwrap();
    let copy = format!("inputs/{hash}/rewards.py");
    assert_eq!(text(&bench.path("run").join(&copy)), edits);
    bench.write("rewards.py", edits);
    bench.run("run", &["--resume"]).done();
    let manifest = read_json(&bench.path("run/manifest.json"));
    assert_eq!(manifest["files"][&copy], json!(hash));
    assert!(manifest["files"]["inputs.json"].is_string());
}

#[test]
fn seeds_that_learned_from_two_versions_of_a_file_are_not_one_experiment() {
    if !has_python() {
        return;
    }
    let bench = bench(&arm("grpo", ""), REWARD);
    for (seed, reward) in [
        ("1", REWARD.to_owned()),
        ("2", REWARD.replace("len(c)", "-len(c)")),
    ] {
        bench.write("rewards.py", &reward);
        bench
            .run(&format!("seed-{seed}"), &["--seeds", seed])
            .done();
    }
    let both = ["compare", "seed-1", "seed-2"];
    let told = bench.qinglan(&both).done().stdout;
    let says = "rewards.py had another content in seed-2 than in seed-1";
    assert!(told.contains(says), "{told}");
    let strict = bench.qinglan(&[&both[..], &["--strict"]].concat());
    assert_ended(&strict, 2, &[says]);
    // Seeds of one version are.
    bench.write("rewards.py", REWARD);
    bench.run("seed-3", &["--seeds", "3"]).done();
    let strict = bench.qinglan(&["compare", "seed-1", "seed-3", "--strict"]);
    strict.done();
}

#[test]
fn of_several_that_start_at_once_one_has_the_run() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let short = [
        "--set",
        "arm.sft.training.steps=1",
        "--set",
        "arm.grpo.training.steps=1",
    ];
    let starts: Vec<Running> = (0..4).map(|_| bench.start("run", &short)).collect();
    let ended: Vec<Ended> = starts.into_iter().map(Running::end).collect();
    let (done, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|ended| ended.code == Some(0));
    assert_eq!(done.len(), 1);
    for ended in refused {
        assert_ended(ended, 2, &["--out"]);
        let why = [
            "another process is working on the run",
            "holds this run already",
        ];
        assert!(
            why.iter().any(|why| ended.stderr.contains(why)),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn a_run_whose_definition_was_edited_is_not_gone_on_with() {
    let bench = finished().copy();
    for name in ["tiny.toml", "run/definition.toml"] {
        bench.write(name, &TINY.replace("steps = 40", "steps = 50"));
    }
    let resumed = bench.run("run", &["--resume"]);
    assert_ended(&resumed, 2, &["run/definition.toml was edited", "--out"]);
    let shown = bench.qinglan(&["runs", "show", "run"]).done().stdout;
    assert!(shown.contains("edited after it began"), "{shown}");
}

#[test]
fn a_file_that_changes_in_the_middle_of_a_sweep_ends_the_jobs_that_would_read_it() {
    if !has_python() {
        return;
    }
    // The first job's own samples edit it.
    let edits = "
import os

def reward(completions, **_):
    if os.path.exists('sweep/jobs/seed-1/arms/grpo') and not os.path.exists('edited'):
        open('edited', 'w').close()
        open('rewards.py', 'a').write('# edited\\n')
    return [float(len(c)) for c in completions]
";
    let bench = bench(&arm("grpo", ""), edits);
    let sweep = |more: &[&str]| {
        let sweep = [
            "sweep",
            "tiny.toml",
            "--seeds",
            "1,2",
            "--jobs",
            "1",
            "--devices",
            "cpu",
            "--out",
            "sweep",
        ];
        bench.qinglan(&[&sweep[..], more].concat())
    };
    let ended = sweep(&[]);
    assert_ended(&ended, 1, &["1 of 2 jobs failed", "rewards.py has changed"]);
    assert!(bench.path("sweep/jobs/seed-1/manifest.json").exists());
    let resumed = sweep(&["--resume"]);
    let words = ["another sweep", "its rewards.py had another content"];
    assert_ended(&resumed, 2, &words);
    bench.write("rewards.py", edits);
    sweep(&["--resume"]).done();
}
