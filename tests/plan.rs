//! `qinglan plan`: what a pilot says of questions, and what it is refused for.

use serde_json::json;

use crate::support::{Bench, Ended, TINY, finished, json as read_json};

/// One question of a definition.
fn question(contrast: &str, measure: &str) -> String {
    format!(
        "\n[[question]]\nname = \"{contrast} in {measure}\"\ncontrast = {contrast:?}\nmeasure = {measure:?}\n\
         direction = \"above\"\nsmallest_effect = 0.5\n"
    )
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

/// Rows of the table of sizes in Markdown, as cells.
fn sizes(text: &str) -> Vec<Vec<String>> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let cells = rows.map(|row| -> Vec<String> {
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().to_owned()).collect()
    });
    let is_size = |row: &Vec<String>| row.iter().filter(|c| c.ends_with(" %")).count() == 2;
    cells.filter(is_size).collect()
}

#[test]
fn a_pilot_of_two_seeds_is_planned_from_and_says_what_it_rests_on() {
    let text = TINY
        .replace("samples = 1", "samples = 2")
        .replace("training = { steps = 20 }", "training = { steps = 2 }")
        .replace("training = { steps = 40 }", "training = { steps = 2 }");
    let asked = [
        text,
        question("sft - base", "tokens"),
        question("grpo - teacher", "accuracy"),
    ]
    .concat();
    let bench = Bench::new(&asked);
    bench.with_cache_of(finished());
    bench.run("run", &[]).done();
    let runs = read_json(&bench.path("run/manifest.json"))["arm_runs"].clone();
    for run in runs.as_array().unwrap() {
        let seconds = |key: &str| run[key].as_f64().is_some_and(|seconds| seconds > 0.0);
        assert!(seconds("evaluation_seconds"), "{run}");
        let from_scratch = ["base", "teacher"].contains(&run["arm"].as_str().unwrap());
        assert_eq!(seconds("pretraining_seconds"), from_scratch, "{run}");
    }
    let plan = ["plan", "tiny.toml", "--pilot", "run"];
    let grid = ["--seeds", "2,9", "--samples", "2,32", "--format", "md"];
    let told = bench.qinglan(&[&plan[..], &grid].concat()).done();
    let rows = sizes(&told.stdout);
    assert_eq!(rows.len(), 8, "{}", told.stdout);
    let half_width = |row: &[String]| -> f64 {
        let cells: Vec<f64> = row.iter().filter_map(|cell| cell.parse().ok()).collect();
        // Question, seeds, items and samples come first.
        cells[cells.len() - 2]
    };
    for of_question in rows.chunks(4) {
        assert!(
            half_width(&of_question[3]) <= half_width(&of_question[0]),
            "{}",
            told.stdout
        );
    }
    for said in [
        "one degree of freedom",
        "for that training alone",
        "minutes",
    ] {
        assert!(told.stdout.contains(said), "{said}: {}", told.stdout);
    }
    assert!(!told.stdout.contains("other settings"), "{}", told.stdout);
    bench.qinglan(&plan).done();

    for (grid, words) in [
        (["--seeds", "1"], ["--seeds 1", "two or more"]),
        (["--items", "1"], ["--items 1", "two items"]),
        (["--samples", "0"], ["--samples 0", "a sample"]),
    ] {
        assert_refused(&bench.qinglan(&[&plan[..], &grid].concat()), &words);
    }
}

#[test]
fn a_pilot_of_one_sample_leaves_samples_as_they_are() {
    let bench = finished().copy();
    bench.write(
        "tiny.toml",
        &[TINY, &question("sft - base", "tokens")].concat(),
    );
    let plan = ["plan", "tiny.toml", "--pilot", "run"];
    let told = bench.qinglan(&plan).done().joined();
    assert!(told.contains("samples are not varied"), "{told}");
    let more = bench.qinglan(&[&plan[..], &["--samples", "4"]].concat());
    assert_refused(&more, &["--samples 4", "one sample an item"]);

    // A run of an earlier version kept no times of answers.
    let path = bench.path("run/manifest.json");
    let mut manifest = read_json(&path);
    for run in manifest["arm_runs"].as_array_mut().unwrap() {
        run.as_object_mut().unwrap().remove("evaluation_seconds");
    }
    bench.write("run/manifest.json", &manifest.to_string());
    let told = bench.qinglan(&plan).done().joined();
    assert!(
        told.contains("evaluation is not timed in this pilot"),
        "{told}"
    );
}

#[test]
fn a_pilot_that_says_nothing_is_refused() {
    let bench = finished().copy();
    let plan = ["plan", "tiny.toml", "--pilot", "run"];
    assert_refused(&bench.qinglan(&plan), &["asks no question", "[[question]]"]);

    let asked = [TINY, &question("sft - base", "tokens")].concat();
    let tasks = r#"names = ["alphabet_arithmetic", "addition_digit"]"#;
    let other = asked.replace(r#"names = ["alphabet_arithmetic"]"#, tasks);
    bench.write("tiny.toml", &other);
    assert_refused(&bench.qinglan(&plan), &["addition_digit", "same tasks"]);

    let renamed = asked
        .replace("[arm.sft]", "[arm.late]")
        .replace("sft - base", "late - base");
    bench.write("tiny.toml", &renamed);
    assert_refused(
        &bench.qinglan(&plan),
        &["late - base", "lacks an arm", "grpo"],
    );

    bench.write("tiny.toml", &asked.replace("steps = 20 }", "steps = 21 }"));
    let told = bench.qinglan(&plan).done().joined();
    assert!(
        told.contains("other settings (arm.sft.training.steps)"),
        "{told}"
    );

    bench.write("tiny.toml", &asked);
    let path = bench.path("run/manifest.json");
    let mut manifest = read_json(&path);
    manifest["seeds"] = json!([1]);
    let runs = manifest["arm_runs"].as_array_mut().unwrap();
    runs.retain(|run| run["seed"] != 2);
    bench.write("run/manifest.json", &manifest.to_string());
    assert_refused(&bench.qinglan(&plan), &["one seed", "two seeds or more"]);
    assert_refused(
        &bench.qinglan(&["plan", "tiny.toml", "--pilot", "absent"]),
        &["absent"],
    );
}
