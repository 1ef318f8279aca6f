//! `qinglan compare` over one run and several: what is shown, in which order,
//! and what is said of what is missing.

use serde_json::Value;

use crate::support::{ARMS, Bench, TINY, finished, json as read_json};

fn names(arms: &Value) -> Vec<&str> {
    let arms = arms["arms"].as_array().unwrap();
    arms.iter()
        .map(|arm| arm["name"].as_str().unwrap())
        .collect()
}

#[test]
fn columns_order_and_baseline_are_the_readers() {
    let finished = finished();
    let compare = |options: &[&str]| {
        let all: Vec<&str> = ["compare", "run"].iter().chain(options).copied().collect();
        finished.qinglan(&all)
    };
    let table = compare(&["--format", "md", "--columns", "accuracy"])
        .done()
        .stdout;
    assert!(
        table.contains("| accuracy |") && !table.contains("alignment r"),
        "{table}"
    );
    let csv = compare(&["--format", "csv", "--columns", "kind,arm,value"])
        .done()
        .stdout;
    assert_eq!(csv.lines().next(), Some("kind,arm,value"));
    let sorted = compare(&["--format", "json", "--sort", "accuracy"])
        .done()
        .stdout;
    let sorted: Value = serde_json::from_str(&sorted).unwrap();
    let shares: Vec<f64> = sorted["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| arm["accuracy"]["value"].as_f64().unwrap())
        .collect();
    assert!(
        shares.windows(2).all(|pair| pair[0] >= pair[1]),
        "{shares:?}"
    );
    let held = compare(&["--format", "csv", "--baseline", "teacher"])
        .done()
        .stdout;
    for arm in ["base", "grpo"] {
        let row = format!("contrast,{arm},teacher,,accuracy,");
        assert!(held.lines().any(|line| line.starts_with(&row)), "{row}");
    }
    let spaced = compare(&["--format", "csv", "--columns", "kind, arm, value"]);
    assert_eq!(spaced.done().stdout, csv);
    for (options, word) in [
        (["--columns", "acuracy"], "balanced-accuracy"),
        (["--baseline", "nobody"], "grpo"),
        (["--sort", "beauty"], "alignment"),
    ] {
        let refused = compare(&options);
        assert_eq!(refused.code, Some(2));
        assert!(refused.stderr.contains(word), "{}", refused.stderr);
    }
}

#[test]
fn a_sound_run_is_compared_strictly_and_knows_its_memory() {
    let told = finished().qinglan(&["compare", "run", "--strict", "--format", "json"]);
    let told: Value = serde_json::from_str(&told.done().stdout).unwrap();
    let memory = told["arms"][2]["budget"]["peak_memory"].as_f64().unwrap();
    assert!(memory > 1e6, "{memory}");
    assert_eq!(told["recipes"][2]["rewards"][0]["name"], "correct");
}

#[test]
fn seeds_of_one_definition_that_ran_apart_are_one_run() {
    let finished = finished();
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished);
    for (out, seed) in [("one", "1"), ("two", "2")] {
        bench.run(out, &["--seeds", seed]).done();
    }
    let together = bench.qinglan(&["compare", "one", "two", "--strict", "--format", "json"]);
    let together: Value = serde_json::from_str(&together.done().stdout).unwrap();
    assert_eq!(names(&together), ARMS);
    let whole = read_json(&finished.run.join("comparison.json"));
    for (at, arm) in ARMS.iter().enumerate() {
        let (a, b) = (&together["arms"][at], &whole["arms"][at]);
        for figure in ["seeds", "accuracy", "tokens", "alignment", "samples"] {
            assert_eq!(a[figure], b[figure], "{figure} of {arm}");
        }
    }
    assert_eq!(together["contrasts"], whole["contrasts"]);
}

#[test]
fn a_run_that_is_not_finished_is_left_out_of_several_and_said_to_be() {
    let bench = finished().copy();
    let other = finished().copy();
    std::fs::remove_file(other.path("run/manifest.json")).unwrap();
    std::fs::rename(other.path("run"), bench.path("unfinished")).unwrap();
    let both = ["compare", "run", "unfinished", "--format", "json"];
    let told: Value = serde_json::from_str(&bench.qinglan(&both).done().stdout).unwrap();
    assert_eq!(names(&told), ARMS);
    let complete = told["fairness"].as_array().unwrap();
    let complete = complete
        .iter()
        .find(|of| of["condition"] == "complete")
        .unwrap();
    assert_eq!(complete["holds"], false);
    assert!(complete["found"].as_str().unwrap().contains("not finished"));
    let strict = bench.qinglan(&["compare", "run", "unfinished", "--strict"]);
    assert_eq!(strict.code, Some(2));
    // What is no run at all was a slip of the hand.
    let slip = bench.qinglan(&["compare", "run", "nowhere"]);
    assert_eq!(slip.code, Some(2));
}

#[test]
fn html_and_parquet_go_where_they_are_sent() {
    let finished = finished();
    let page = finished
        .qinglan(&["compare", "run", "--format", "html"])
        .done()
        .stdout;
    assert!(page.starts_with("<!doctype html>") && page.trim_end().ends_with("</html>"));
    let command = std::process::Command::new(env!("CARGO_BIN_EXE_qinglan"))
        .args(["compare", "run", "--format", "parquet"])
        .current_dir(finished.run.parent().unwrap())
        .output()
        .unwrap();
    assert!(command.status.success());
    assert!(command.stdout.starts_with(b"PAR1") && command.stdout.ends_with(b"PAR1"));
}

#[test]
fn a_run_is_compared_from_within_and_never_with_itself() {
    let bench = finished().copy();
    bench.qinglan(&["compare", "run/."]).done();
    let twice = bench.qinglan(&["compare", "run", "run/../run"]);
    assert_eq!(twice.code, Some(2));
    assert!(twice.stderr.contains("given twice"), "{}", twice.stderr);
}

#[test]
fn a_run_beside_its_copy_is_told_to_be_one_training() {
    let bench = finished().copy();
    let copy = finished().copy();
    std::fs::rename(copy.path("run"), bench.path("copy")).unwrap();
    let both = bench.qinglan(&["compare", "run", "copy", "--format", "json"]);
    let told: Value = serde_json::from_str(&both.done().stdout).unwrap();
    let notes = told["notes"].as_array().unwrap();
    let said = |note: &Value| note.as_str().unwrap().contains("one training, not 2");
    assert_eq!(
        notes.iter().filter(|note| said(note)).count(),
        ARMS.len() - 1
    );
}
