//! Functions of TRL and verl, as they are, and functions that go wrong.

use std::path::Path;

use super::{batch, build, has_python, metric, names, numbered, refusal, text, values};
use rewards::{Reward, Scored, Scores};
use tempfile::TempDir;

/// A folder with `rewards.py` in it.
fn file(source: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("rewards.py"), source).expect("written");
    folder
}

/// A table that calls the function `f`, unless it says another.
fn table(more: &str) -> String {
    let function = if more.contains("function") {
        ""
    } else {
        "function = 'f'\n"
    };
    format!("file = 'rewards.py'\n{function}{more}")
}

fn reward(folder: &TempDir, more: &str) -> Box<dyn Reward> {
    build("python", folder.path(), &table(more)).expect("the file imports")
}

/// What a function makes of two completions, or why it does not.
fn scored(source: &str, more: &str) -> Result<Scores, String> {
    let folder = file(source);
    let reward = reward(&folder, more);
    let scores = reward.score(&batch(&[("a", "seven"), ("b", "7")]));
    scores.map_err(|error| text(&error))
}

#[test]
fn a_trl_function_is_called_as_trl_calls_it() {
    if !has_python() {
        return;
    }
    let source = "
from helper import length

def f(prompts, completions, completion_ids, answer, solution, level, **kwargs):
    assert prompts == ['3 + 4?'] * 2 and completion_ids == [[], [1, 2]], completion_ids
    assert answer == ['seven', None] and solution == ['7', '7'], (answer, solution)
    assert kwargs['task'] == ['sums', 'sums'] and 'prompt' not in kwargs, kwargs
    assert level == [3, None], level
    print('{\"id\": 0, \"scores\": [9, 9]}', flush=True)
    kwargs['log_metric']('mean_length', sum(map(length, completions)) / 2)
    kwargs['log_extra']('length', [length(c) for c in completions])
    kwargs['log_extra']('text', completions)
    return [0.5, None]
";
    let folder = file(source);
    let helper = "def length(text):\n    return len(text)\n";
    std::fs::write(folder.path().join("helper.py"), helper).expect("written");
    let columns = serde_json::json!({"answer": "seven", "level": 3, "prompt": "raw"});
    let mut batch = batch(&[("a", "seven"), ("b", "7")]);
    batch[0].columns = columns.as_object();
    batch[1].completion_ids = &[1, 2];
    let reward = reward(&folder, "");
    assert!(!reward.independent());
    let scores = reward.score(&batch).expect("its own assertions hold");
    assert_eq!(values(&scores), [Some(0.5), None]);
    assert_eq!(scores.each[0].parts, [("length".into(), 5.0)]);
    assert_eq!(metric(&scores, "mean_length"), Some(3.0));
    assert_eq!(metric(&scores, "errors"), Some(0.0));
}

#[test]
fn async_functions_and_conversations_are_called_too() {
    if !has_python() {
        return;
    }
    let source = "
import asyncio

async def f(prompts, completions, **kwargs):
    await asyncio.sleep(0)
    assert prompts[0] == [{'role': 'user', 'content': '3 + 4?'}], prompts
    return [1.0 if c == [{'role': 'assistant', 'content': '7'}] else 0.0 for c in completions]

class Judge:
    async def __call__(self, completions, **kwargs):
        return [len(c) for c in completions]

g = Judge()
";
    let scores = scored(source, "form = 'conversational'").expect("it returns");
    assert_eq!(values(&scores), [Some(0.0), Some(1.0)]);
    let scores = self::scored(source, "function = 'g'").expect("it returns");
    assert_eq!(values(&scores), [Some(5.0), Some(1.0)]);
}

#[test]
fn messages_of_the_data_set_stay_messages() {
    if !has_python() {
        return;
    }
    let source = "def f(prompts, **kwargs):\n    return [float(len(p)) for p in prompts]";
    let folder = file(source);
    let reward = reward(&folder, "form = 'conversational'");
    let columns = serde_json::json!({"prompt": [
        {"role": "system", "content": "Add."}, {"role": "user", "content": "3 + 4?"}]});
    let mut batch = batch(&[("a", "7"), ("b", "7")]);
    batch[0].columns = columns.as_object();
    let scores = reward.score(&batch).expect("it returns");
    assert_eq!(values(&scores), [Some(2.0), Some(1.0)]);
}

#[test]
fn a_verl_function_is_called_for_each_completion() {
    if !has_python() {
        return;
    }
    let source = "
def compute_score(data_source, solution_str, ground_truth, extra_info):
    if data_source == 'sums':
        assert extra_info == {} and ground_truth == '7'
        return solution_str == ground_truth
    return {'score': 0.25, 'index': extra_info['index'], 'pred': ground_truth}

async def f(solution_str, **kwargs):
    if solution_str == '7':
        raise ValueError('seven')
    return 1
";
    let folder = file(source);
    let verl = "file = 'rewards.py'\ncalls = 'verl'";
    let reward = build("python", folder.path(), verl).expect("the file imports");
    assert!(reward.independent());
    let columns = serde_json::json!({"data_source": "gsm8k", "extra_info": {"index": 4},
        "reward_model": {"style": "rule", "ground_truth": "8"}});
    let mut batch = batch(&[("a", "seven"), ("b", "7"), ("c", "8")]);
    batch[2].columns = columns.as_object();
    let scores = reward.score(&batch).expect("its own assertions hold");
    assert_eq!(values(&scores), [Some(0.0), Some(1.0), Some(0.25)]);
    assert_eq!(scores.each[2].parts, [("index".into(), 4.0)]);
    let error = scored(source, "calls = 'verl'").expect_err("it raises");
    assert!(error.contains("completion 1 "), "{error}");
    assert!(error.contains("ValueError: seven"), "{error}");
    let skipped = scored(source, "calls = 'verl'\non_error = 'skip'").expect("skipped");
    assert_eq!(values(&skipped), [Some(1.0), None]);
}

#[test]
fn a_file_that_cannot_be_used_is_refused_before_anything_runs() {
    if !has_python() {
        return;
    }
    for (source, more, says) in [
        (
            "import no_such_module\n",
            "",
            "No module named 'no_such_module'",
        ),
        (
            "def f(:\n",
            "",
            "line 1\n    def f(:\n          ^\nSyntaxError",
        ),
        ("x = [1][2]\n", "", "rewards.py\", line 1, in <module>"),
        ("import sys; sys.exit(0)\n", "", "SystemExit: 0"),
        (
            "def accuracy(): pass\n",
            "function = 'acuracy'",
            "no function `acuracy`; functions near it: `accuracy`",
        ),
        ("f = 3\n", "", "`f` in rewards.py is of type int"),
        ("", "interpreter = 'python0'", "cannot start `python0`"),
        ("", "calls = 'reasoning_gym'", "have no meaning"),
        ("", "calls = 'verl'\nform = 'conversational'", "`form`"),
        ("", "calls = 'openrlhf'", "openrlhf"),
    ] {
        let message = refusal("python", file(source).path(), &table(more));
        assert!(message.starts_with("reward `python`: "), "{message}");
        assert!(message.contains(says), "{source}{more}: {message}");
        assert!(!message.contains("<string>"), "{message}");
    }
    for (table, says) in [
        ("", "`file` is needed"),
        ("file = 'rewards.py'", "`function` is needed"),
        ("file = 'rewards.py'\nfunction = 'f'", "cannot read"),
    ] {
        let message = refusal("python", Path::new(""), table);
        assert!(message.contains(says), "{table}: {message}");
    }
}

#[test]
fn what_a_function_must_not_return_is_an_error_that_names_it() {
    if !has_python() {
        return;
    }
    // One process for all of them: the first completion is the function's body.
    let source = "
def f(completions, **kwargs):
    scope = {}
    exec('def body(kwargs):\\n    ' + completions[0], scope)
    return scope['body'](kwargs)
";
    let folder = file(source);
    let reward = reward(&folder, "workers.count = 1");
    for (body, place, says) in [
        ("return [1.0, float('nan')]", "completion 1 ", "nan (float)"),
        ("return [float('-inf'), 1.0]", "completion 0 ", "-inf"),
        ("return [1.0, '0.5']", "completion 1 ", "'0.5' (str)"),
        ("return [1.0, [0.5]]", "completion 1 ", "[0.5] (list)"),
        ("return [1.0]", "completion 0 ", "1 scores for 2"),
        ("return [1.0] * 3", "completion 0 ", "3 scores for 2"),
        ("pass", "completion 0 ", "it returned None (NoneType)"),
        ("return 'high'", "completion 0 ", "it returned 'high' (str)"),
        ("return 1.0", "completion 0 ", "it returned 1.0 (float)"),
        ("return {0.5, 1.0}", "completion 0 ", "(set)"),
        ("1 / 0", "completion 0 ", "ZeroDivisionError"),
        ("import sys; sys.exit(1)", "completion 0 ", "SystemExit: 1"),
        (
            "kwargs['trainer_state'].global_step",
            "completion 0 ",
            "trainer_state.global_step: qinglan's rewards do not know",
        ),
        (
            "kwargs['log_extra']('x', [1.0])",
            "completion 0 ",
            "got 1 values for 2",
        ),
        (
            "kwargs['log_metric']('x', float('nan'))",
            "completion 0 ",
            "no finite number",
        ),
        (
            "import os, sys; print('so long', file=sys.stderr, flush=True); os._exit(9)",
            "completion 0 ",
            "standard error:\n  so long",
        ),
    ] {
        let error = reward.score(&batch(&[("a", body), ("b", "")]));
        let error = text(&error.expect_err(body));
        assert!(error.contains(place), "{body}: {error}");
        assert!(error.contains("`f` in rewards.py: "), "{body}: {error}");
        assert!(error.contains(says), "{body}: {error}");
    }
    let error = scored("def f(completions, other, **kwargs): pass", "");
    let error = error.expect_err("no such column");
    assert!(error.contains("missing 1 required positional argument: 'other'"));
}

#[test]
fn what_went_wrong_is_counted_and_costs_what_the_table_says() {
    if !has_python() {
        return;
    }
    let source = "def f(completions, **kwargs):\n    return [1.0, float('nan')]\n";
    let skipped = scored(source, "on_error = 'skip'").expect("skipped");
    assert_eq!(values(&skipped), [Some(1.0), None]);
    assert_eq!(metric(&skipped, "errors"), Some(0.5));
    let valued = scored(source, "on_error = { value = -1.0 }").expect("a value");
    assert_eq!(values(&valued), [Some(1.0), Some(-1.0)]);
    assert_eq!(metric(&valued, "errors"), Some(0.5));
    let raises = "def f(completions, **kwargs):\n    raise ValueError\n";
    let skipped = scored(raises, "on_error = 'skip'").expect("skipped");
    assert_eq!(values(&skipped), [None, None]);
    assert_eq!(metric(&skipped, "errors"), Some(1.0));
    assert_eq!(metric(&skipped, "restarts"), Some(0.0));
}

#[test]
fn a_worker_killed_in_mid_batch_costs_one_retry_and_no_wrong_score() {
    if !has_python() {
        return;
    }
    let source = "
import os, signal

def f(completions, **kwargs):
    if '50' in completions and not os.path.exists('killed'):
        open('killed', 'w').close()
        os.kill(os.getpid(), signal.SIGKILL)
    return [float(c) for c in completions]
";
    let folder = file(source);
    let reward = reward(&folder, "workers.batch_size = 8");
    let names = names(100);
    let scores = reward.score(&numbered(&names)).expect("tried once more");
    let expected: Vec<Option<f64>> = (0..100).map(|index| Some(f64::from(index))).collect();
    assert_eq!(values(&scores), expected);
    assert!(folder.path().join("killed").exists());
    assert_eq!(metric(&scores, "restarts"), Some(0.01));
    assert_eq!(metric(&scores, "errors"), Some(0.0));
}

#[test]
fn a_worker_killed_while_it_starts_is_started_once_more() {
    if !has_python() {
        return;
    }
    let source = "
import os

if not os.path.exists('killed'):
    open('killed', 'w').close()
    os.kill(os.getpid(), 9)

def f(completions, **kwargs):
    return [1.0] * len(completions)
";
    let folder = file(source);
    let starting = reward(&folder, "");
    assert!(folder.path().join("killed").exists());
    let scores = starting.score(&numbered(&names(2))).expect("it started");
    assert_eq!(values(&scores), [Some(1.0); 2]);
}

#[test]
fn a_worker_that_always_dies_while_it_starts_failed_where_a_signal_ended_it() {
    if !has_python() {
        return;
    }
    for (ends, how, is_failure) in [
        ("os.kill(os.getpid(), 9)", "(signal: 9", true),
        ("os._exit(3)", "(exit status: 3)", false),
    ] {
        let folder = file(&format!("import os\n{ends}\n"));
        let error = build("python", folder.path(), &table("")).err();
        let error = error.expect("it never shakes hands");
        assert_eq!(error.is_failure(), is_failure, "{error}");
        let error = text(&error);
        let says = format!("twice in a row its process ended {how}");
        assert!(error.contains(&says), "{error}");
    }
}

#[test]
fn nothing_is_started_before_it_is_needed() {
    let registry = rewards::Registry::builtin();
    let folder = tempfile::tempdir().expect("a folder");
    let table = toml::from_str(&table("")).expect("the test's own TOML is valid");
    let reward = registry.build("python", &table, folder.path());
    let reward = reward.expect("what the table says is sound");
    let missing = reward.start().expect_err("there is no file").to_string();
    assert!(missing.contains("cannot read"), "{missing}");
    // What was missing may be there later.
    if has_python() {
        let source = "def f(completions, **_): return [0.5 for _ in completions]\n";
        std::fs::write(folder.path().join("rewards.py"), source).expect("a file");
        let scores = reward.score(&numbered(&names(1))).expect("started by need");
        assert_eq!(values(&scores), [Some(0.5)]);
    }
}

#[test]
fn a_worker_that_always_dies_is_an_error() {
    if !has_python() {
        return;
    }
    let source = "
import os

def f(completions, **kwargs):
    if '5' in completions:
        os.kill(os.getpid(), 9)
    return [1.0] * len(completions)
";
    let folder = file(source);
    let names = names(8);
    let failing = reward(&folder, "workers.batch_size = 2");
    let error = failing.score(&numbered(&names)).expect_err("twice");
    assert!(error.is_failure(), "{error}");
    let error = text(&error);
    assert!(error.contains("completion 4 "), "{error}");
    assert!(error.contains("twice in a row its process ended (signal: 9"));
    let skipping = reward(&folder, "workers.batch_size = 2\non_error = 'skip'");
    let scores = skipping.score(&numbered(&names)).expect("skipped");
    let mut expected = vec![Some(1.0); 8];
    expected[4] = None;
    expected[5] = None;
    assert_eq!(values(&scores), expected);
}

#[test]
fn a_function_that_sleeps_for_ever_costs_its_deadline() {
    if !has_python() {
        return;
    }
    let source = "
import time

def f(completions, **kwargs):
    while '2' in completions:
        time.sleep(1000)
    return [1.0] * len(completions)
";
    let folder = file(source);
    let names = names(4);
    let settings = "workers = { count = 1, batch_size = 1, deadline_seconds = 1.0 }\n";
    let skipping = reward(&folder, &format!("{settings}on_error = 'skip'"));
    let scores = skipping.score(&numbered(&names)).expect("skipped");
    assert_eq!(values(&scores), [Some(1.0), Some(1.0), None, Some(1.0)]);
    assert_eq!(metric(&scores, "restarts"), Some(0.25));
    let failing = reward(&folder, settings);
    let error = failing.score(&numbered(&names)).expect_err("late");
    let error = text(&error);
    assert!(error.contains("completion 2 ") && error.contains("within 1 seconds"));
}

#[test]
fn a_file_that_changes_is_not_read_a_second_time() {
    if !has_python() {
        return;
    }
    let folder = file("import os\n\ndef f(completions, **kwargs):\n    os._exit(0)\n");
    let reward = reward(&folder, "");
    let changed = "def f(completions, **kwargs):\n    return [1.0] * len(completions)\n";
    std::fs::write(folder.path().join("rewards.py"), changed).expect("written");
    let error = reward
        .score(&batch(&[("a", "")]))
        .expect_err("two versions");
    let error = text(&error);
    assert!(error.contains("rewards.py has changed"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn memory_has_a_cap() {
    if !has_python() {
        return;
    }
    let source = "
def f(completions, **kwargs):
    waste = bytearray(1 << 30)
    return [1.0] * len(completions)
";
    let error = scored(source, "workers.memory_mb = 512").expect_err("a GiB");
    assert!(error.contains("MemoryError"), "{error}");
    assert!(scored(source, "").is_ok());
}

#[test]
fn completions_of_a_problem_are_judged_together() {
    if !has_python() {
        return;
    }
    let source = "
def f(completions, problem, **kwargs):
    return [float(problem.count(p)) for p in problem]
";
    let folder = file(source);
    let problems = ["a", "b", "a", "b", "c", "a", "b", "a"].map(|problem| (problem, ""));
    let batch = batch(&problems);
    let together = reward(&folder, "workers.batch_size = 3");
    let scores = together.score(&batch).expect("it returns");
    let expected = [4.0, 3.0, 4.0, 3.0, 1.0, 4.0, 3.0, 4.0].map(Some);
    assert_eq!(values(&scores), expected);
    let apart = reward(&folder, "independent = true\nworkers.batch_size = 1");
    assert!(apart.independent());
    let scores = apart.score(&batch).expect("it returns");
    assert_eq!(values(&scores), [Some(1.0); 8]);
}

#[test]
fn strange_text_and_a_megabyte_arrive_unchanged() {
    if !has_python() {
        return;
    }
    let source = "
import hashlib

def f(completions, **kwargs):
    print(completions[0], '\\ud800')
    return [float(len(c.encode())) for c in completions]
";
    let long = "x\u{0}\u{2028}\n\"\\ \u{1F600}\u{FEFF}٣</think><think>".repeat(1 << 15);
    assert!(long.len() > 1 << 20);
    let folder = file(source);
    let reward = reward(&folder, "");
    let item = Scored {
        completion: &long,
        ..batch(&[("a", "")])[0]
    };
    let scores = reward.score(&[item]).expect("it returns");
    assert_eq!(values(&scores), [Some(long.len() as f64)]);
}

#[test]
#[cfg(target_os = "linux")]
fn children_end_with_the_reward() {
    if !has_python() {
        return;
    }
    let source = "
import os, subprocess

def f(completions, **kwargs):
    sleeper = subprocess.Popen(['sleep', '1000'])
    return [float(os.getpid()), float(sleeper.pid)]
";
    let folder = file(source);
    let reward = reward(&folder, "");
    let scores = reward.score(&batch(&[("a", ""), ("b", "")]));
    let pids = values(&scores.expect("it returns"));
    // Their names stand in brackets before their state; Z: killed, and not yet
    // waited for by whoever inherited it.
    let lives = |pid: f64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    assert!(pids.iter().flatten().all(|pid| lives(*pid)), "{pids:?}");
    drop(reward);
    // The system ends the sleeper in its own time.
    let ended = (0..1000).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !pids.iter().flatten().any(|pid| lives(*pid))
    });
    assert!(ended, "one of {pids:?} still lives");
}
