//! Graded against another's work: `reasoning_gym`'s own `score_answer`.
//!
//! Runs where `QINGLAN_REASONING_GYM` names a Python that has the package:
//! `python3 -m venv V; V/bin/pip install reasoning-gym`, then
//! `QINGLAN_REASONING_GYM=V/bin/python cargo test -p rewards reasoning_gym -- --nocapture`.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use rewards::{Extraction, Scored};
use serde_json::Value;

use super::{build, text};

const SCRIPT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/external/reasoning_gym_cases.py"
);

fn interpreter() -> Option<String> {
    let set = std::env::var("QINGLAN_REASONING_GYM").ok();
    if set.is_none() {
        println!("skipped: QINGLAN_REASONING_GYM names no Python with reasoning_gym");
    }
    set
}

/// What the script prints, each line read as JSON.
fn ask(python: &str, what: &str, input: String) -> Vec<Value> {
    let mut child = Command::new(python)
        .args([SCRIPT, what])
        // Some data sets draw from sets of strings: their order is this seed's.
        .env("PYTHONHASHSEED", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the Python that is named runs");
    let mut stdin = child.stdin.take().expect("it is piped");
    let writing = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "{SCRIPT} {what} failed");
    // A script that prints cases reads nothing, and closes its input.
    let _ = writing.join();
    let output = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = output.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON")
}

#[test]
fn reasoning_gym_scores_the_same_through_the_lab() {
    let Some(python) = interpreter() else { return };
    let cases = ask(&python, "cases", String::new());
    let string = |value: &'_ Value| value.as_str().unwrap_or_default().to_owned();
    let texts: Vec<(String, String, String)> = (cases.iter())
        .map(|case| {
            let of = |key: &str| string(&case["row"][key]);
            (of("question"), of("answer"), string(&case["completion"]))
        })
        .collect();
    let batch: Vec<Scored<'_>> = (cases.iter().zip(&texts))
        .map(|(case, (question, answer, completion))| Scored {
            prompt: question,
            expected: Some(answer),
            completion,
            columns: case["row"].as_object(),
            ..Scored::default()
        })
        .collect();
    let table = format!(
        "calls = 'reasoning_gym'\ninterpreter = '{python}'\non_error = 'skip'\n\
         workers.deadline_seconds = 120.0"
    );
    let reward = build("python", Path::new("."), &table).expect("the package is there");
    assert!(reward.independent());
    let scores = reward.score(&batch).expect("errors are skipped");

    let extracted = batch.iter().map(|item| {
        let answer = Extraction::new(item.prompt, item.completion).answer();
        let answer = (!answer.is_empty()).then_some(answer);
        serde_json::to_string(&answer).expect("a string") + "\n"
    });
    let own = ask(&python, "scores", extracted.collect());
    assert_eq!(own.len(), batch.len());
    let mut names = BTreeSet::new();
    let mut kinds = [0; 4];
    let mut differ = Vec::new();
    for ((case, own), score) in cases.iter().zip(&own).zip(&scores.each) {
        names.insert(string(&case["name"]));
        kinds[match score.value {
            None => 3,
            Some(value) if value >= 1.0 => 0,
            Some(value) if value > 0.0 => 1,
            Some(_) => 2,
        }] += 1;
        if own.as_f64() != score.value {
            let (ours, completion) = (score.value, &case["completion"]);
            let name = &case["name"];
            differ.push(format!(
                "{name}: {own}, through the lab {ours:?}: {completion}"
            ));
        }
    }
    println!(
        "reasoning_gym: {} data sets, {} answers ({} right, {} in part, {} wrong, {} that its \
         own function fails on): {} differ",
        names.len(),
        batch.len(),
        kinds[0],
        kinds[1],
        kinds[2],
        kinds[3],
        differ.len()
    );
    assert!(names.len() >= 20);
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}

#[test]
fn a_python_without_the_package_is_refused() {
    if !super::has_python() {
        return;
    }
    let none = tempfile::tempdir().expect("a folder");
    // -S and -I as `env` would set them: no package is found.
    let python = none.path().join("python");
    let script = "#!/bin/sh\nexec python3 -I -S \"$@\"\n";
    std::fs::write(&python, script).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&python, mode).expect("executable");
    let table = "calls = 'reasoning_gym'\ninterpreter = './python'";
    let message = super::refusal("python", none.path(), table);
    assert!(message.contains("cannot import reasoning_gym"), "{message}");
    assert!(message.contains("set `interpreter`"), "{message}");
}

#[test]
fn a_problem_of_another_data_set_is_an_error_of_its_own() {
    let Some(python) = interpreter() else { return };
    let table = format!("calls = 'reasoning_gym'\ninterpreter = '{python}'");
    let reward = build("python", Path::new("."), &table).expect("the package is there");
    let columns = serde_json::json!({"metadata": {"source_dataset": "no_such"}});
    let mut batch = super::batch(&[("a", "7"), ("b", "7")]);
    let error = text(&reward.score(&batch).expect_err("no metadata"));
    assert!(error.contains("no column `metadata`"), "{error}");
    batch[0].columns = columns.as_object();
    let error = text(&reward.score(&batch).expect_err("unknown"));
    assert!(error.contains("'no_such' not registered"), "{error}");
}
