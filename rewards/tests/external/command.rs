//! A program of one's own, and one that breaks the rules.

use super::{batch, build, has_python, names, numbered, refusal, text, values};
use std::path::Path;

/// A child in a few lines of Python: `{judge}` answers a request `r`.
fn child(judge: &str) -> String {
    let source = format!(
        "import json, os, sys, time\n\
         print(json.dumps({{'protocol': 1, 'name': 'mine'}}), flush=True)\n\
         for line in sys.stdin:\n    \
             r = json.loads(line)\n    \
             {judge}\n    \
             sys.stdout.flush()\n"
    );
    argv(&["python3", "-c", &source])
}

fn argv(words: &[&str]) -> String {
    format!("argv = {}\n", toml::Value::from(words.to_vec()))
}

fn error(table: &str) -> String {
    let reward = build("command", Path::new("."), table).expect("it shakes hands");
    let error = reward.score(&batch(&[("a", "x"), ("b", "y")]));
    text(&error.expect_err(table))
}

#[test]
fn a_program_in_any_language_gives_scores() {
    // `sh` cannot read JSON: one request is all that it answers.
    let script = r#"echo '{"protocol": 1, "name": "fixed"}'; read request;
        echo '{"id": 0, "scores": [0.5, null], "metrics": {"seen": 2}}'; cat"#;
    let table = argv(&["sh", "-c", script]);
    let reward = build("command", Path::new("."), &table).expect("it shakes hands");
    assert!(!reward.independent());
    let scores = reward
        .score(&batch(&[("a", "x"), ("a", "y")]))
        .expect("valid");
    assert_eq!(values(&scores), [Some(0.5), None]);
    let metrics = [("errors", 0.0), ("restarts", 0.0), ("seen", 2.0)];
    assert_eq!(scores.metrics, metrics.map(|(name, v)| (name.into(), v)));
}

#[test]
fn a_path_is_taken_from_the_definitions_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("bin")).expect("a folder");
    let shell = folder.path().join("bin/shell");
    std::os::unix::fs::symlink("/bin/sh", shell).expect("a link");
    let script = r#"echo "{\"protocol\": 1, \"name\": \"$(ls)\"}"; read request; echo no"#;
    let table = argv(&["bin/shell", "-c", script]);
    let reward = build("command", folder.path(), &table).expect("it shakes hands");
    let error = text(&reward.score(&batch(&[("a", "x")])).expect_err("no reply"));
    assert!(error.contains("`bin`: its reply `no`"), "{error}");
}

#[test]
fn what_is_no_child_is_refused_before_anything_runs() {
    let here = Path::new(".");
    for (words, says) in [
        (&["no-such-program"][..], "cannot start `no-such-program`"),
        (&["sh", "-c", "echo Loading..."], "but `Loading...`"),
        (&["sh", "-c", "echo '{\"protocol\": 9}'"], "version 9"),
        (
            &["sh", "-c", "echo gone >&2; exit 3"],
            "(exit status: 3); the last of its standard error:\n  gone",
        ),
        (
            &["sh", "-c", "exec sleep 1000"],
            "no answer within 0.2 seconds",
        ),
        (&["cat", "/dev/zero"], "a line of more than"),
    ] {
        let table = argv(words) + "workers.start_seconds = 20.0\n";
        let table = match words.last() {
            Some(&"exec sleep 1000") => table.replace("20.0", "0.2"),
            _ => table,
        };
        let message = refusal("command", here, &table);
        assert!(message.contains(says), "{words:?}: {message}");
        assert!(message.starts_with("reward `command`: "), "{message}");
    }
    for (table, says) in [
        ("", "`argv` is needed"),
        ("argv = ['cat']\nworkers.count = 0", "`workers.count` is 0"),
        ("argv = ['cat']\nworkers.batch_size = 0", "batch_size"),
        (
            "argv = ['cat']\nworkers.deadline_seconds = nan",
            "is NaN: give seconds",
        ),
        (
            "argv = ['cat']\nworkers.start_seconds = 1e300",
            "start_seconds",
        ),
        ("argv = ['cat']\nworkers.memory_mb = 0", "memory_mb"),
        ("argv = ['cat']\nworkers.threads = 2", "`threads`"),
        ("argv = ['cat']\non_error = 'ignore'", "`ignore`"),
        (
            "argv = ['cat']\non_error = { value = inf }",
            "`on_error` is the value inf",
        ),
    ] {
        let message = refusal("command", here, table);
        assert!(message.contains(says), "{table}: {message}");
    }
}

#[test]
fn wrong_answers_are_errors_that_say_whose_and_where() {
    if !has_python() {
        return;
    }
    for (judge, says) in [
        (
            "print(json.dumps({'id': r['id'], 'scores': [1.0, float('nan')]}))",
            "judge completion 1 (counted from 0) of the batch, problem `b`: \
             `mine`: its score is NaN",
        ),
        (
            "print(json.dumps({'id': r['id'], 'scores': [1.0, 'high']}))",
            "judge completion 1 (counted from 0) of the batch, problem `b`: \
             `mine`: its score is the string \"high\"",
        ),
        (
            "print(json.dumps({'id': r['id'], 'scores': [1.0]}))",
            "judge completion 0 (counted from 0) of the batch, problem `a`: \
             `mine`: it gave 1 scores for 2 completions",
        ),
        ("print(json.dumps({'id': r['id']}))", "neither `scores` nor"),
        ("print('thinking...')", "its reply `thinking...` cannot"),
        ("print(json.dumps({'id': 5, 'scores': []}))", "request 5"),
        ("sys.exit(4)", "twice in a row its process ended (exit"),
        ("sys.stdout.write('x' * (20 << 20))", "a line of more than"),
    ] {
        let message = error(&child(judge));
        let start = "reward `command` cannot judge completion ";
        assert!(message.starts_with(start), "{judge}: {message}");
        assert!(message.contains(says), "{judge}: {message}");
    }
}

#[test]
fn a_child_that_says_more_than_it_is_asked_is_not_believed() {
    if !has_python() {
        return;
    }
    let judge = "print((json.dumps({'id': r['id'], 'scores': [1.0]}) + '\\n') * 2, end='')";
    let table = child(judge) + "workers.count = 1\n";
    let reward = build("command", Path::new("."), &table).expect("it shakes hands");
    let batch = batch(&[("a", "x")]);
    let first = reward.score(&batch).expect("one line is the answer");
    assert_eq!(values(&first), [Some(1.0)]);
    let error = text(&reward.score(&batch).expect_err("a line is left over"));
    assert!(error.contains("more than it was asked"), "{error}");
}

#[test]
fn a_child_that_never_reads_costs_its_deadline() {
    let table = argv(&[
        "sh",
        "-c",
        "echo '{\"protocol\": 1, \"name\": \"deaf\"}'; sleep 1000",
    ]) + "workers.deadline_seconds = 0.2\n";
    let reward = build("command", Path::new("."), &table).expect("it shakes hands");
    // More than a pipe holds.
    let long = "x".repeat(1 << 20);
    let error = reward.score(&batch(&[("a", &long)])).expect_err("deaf");
    let error = text(&error);
    assert!(error.contains("no answer within 0.2 seconds"), "{error}");
}

#[test]
fn a_grandchild_that_holds_the_pipes_hides_no_death() {
    if !has_python() {
        return;
    }
    let judge = "import subprocess; subprocess.Popen(['sleep', '1000']); os.kill(os.getpid(), 9)";
    let message = error(&child(judge));
    assert!(message.contains("signal: 9"), "{message}");
}

#[test]
fn batches_larger_than_a_piece_come_back_in_their_order() {
    if !has_python() {
        return;
    }
    let judge = "print(json.dumps({'id': r['id'], 'scores': [float(c) for c in r['completions']], \
                 'metrics': {'size': len(r['completions'])}}))";
    let names = names(100);
    let expected: Vec<Option<f64>> = (0..100).map(|index| Some(f64::from(index))).collect();
    for settings in [
        "workers = { count = 3, batch_size = 7 }\nindependent = true",
        "workers = { count = 3, batch_size = 7 }",
    ] {
        let table = child(judge) + settings;
        let reward = build("command", Path::new("."), &table).expect("it shakes hands");
        let scores = reward.score(&numbered(&names)).expect("numbers");
        assert_eq!(values(&scores), expected);
        // 14 pieces of 7 and one of 2: (14 * 49 + 4) / 100, each counted by its size.
        assert_eq!(super::metric(&scores, "size"), Some(6.9));
        assert_eq!(reward.score(&[]).expect("nothing").each, []);
    }
}
