//! `qinglan compare` over one run and several: what is shown, in which order,
//! and what is said of what is missing.

use serde_json::Value;

use crate::questions::question;
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
        table.contains("| accuracy |") && !table.contains("| elasticity |"),
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
    for (out, seed, direction) in [("one", "1", "below"), ("two", "2", "above")] {
        let questions = [
            question("shared", "grpo - base", "above"),
            question("turned", "sft - base", direction),
        ];
        bench.write("tiny.toml", &[TINY, &questions.concat()].concat());
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
    // A question is preregistered where every run began with it.
    let answers = together["answers"].as_array().unwrap();
    let asked: Vec<[&str; 3]> = answers
        .iter()
        .map(|answer| {
            let asked = &answer["asked"];
            let words = [
                &asked["question"]["name"],
                &asked["question"]["direction"],
                &asked["when"],
            ];
            words.map(|word| word.as_str().unwrap())
        })
        .collect();
    let expected = [
        ["shared", "above", "before"],
        ["turned", "below", "after"],
        ["turned", "above", "after"],
    ];
    assert_eq!(asked, expected);
}

#[test]
fn a_run_that_is_not_finished_is_left_out_of_several_and_said_to_be() {
    let bench = finished().copy();
    let other = finished().copy();
    std::fs::remove_file(other.path("run/manifest.json")).unwrap();
    // The copy of the definition in the run has lost the folder that its paths start at.
    let shown = other.qinglan(&["runs", "show", "run"]).done().stdout;
    let way_on = "qinglan run DEFINITION --out run --resume";
    assert!(shown.contains(way_on), "{shown}");
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

/// The condition of completeness of a comparison in JSON.
fn completeness(told: &Value) -> &Value {
    let conditions = told["fairness"].as_array().unwrap();
    let complete = |of: &&Value| of["condition"] == "complete";
    conditions.iter().find(complete).unwrap()
}

#[test]
fn the_arms_that_a_run_has_so_far_are_compared_and_the_others_named() {
    let bench = finished().copy();
    let compare = || bench.qinglan(&["compare", "run", "--format", "json"]);
    let whole: Value = serde_json::from_str(&compare().done().stdout).unwrap();
    let remove = |name: &str| std::fs::remove_file(bench.path(name)).unwrap();
    remove("run/manifest.json");
    let mut there = ARMS.to_vec();
    for (markers, missing) in [
        (&[][..], &["its report"][..]),
        (&["arms/sft/seed-2"], &["arms/sft/seed-2"]),
        (
            &["arms/sft/seed-1", "teacher"],
            &["arms/sft/seed-1", "teacher, ", "arms/sft/seed-2"],
        ),
    ] {
        for folder in markers {
            remove(&format!("run/{folder}/outcome.json"));
        }
        if markers.len() > 1 {
            there.retain(|arm| !matches!(*arm, "sft" | "teacher"));
        }
        let told: Value = serde_json::from_str(&compare().done().stdout).unwrap();
        assert_eq!(names(&told), there);
        let complete = completeness(&told);
        assert_eq!(complete["holds"], false);
        let found = complete["found"].as_str().unwrap();
        for part in missing.iter().chain(&["is not finished", "--resume"]) {
            assert!(found.contains(part), "{part} is not in {found}");
        }
        let grpo = |told: &Value| {
            let arms = told["arms"].as_array().unwrap();
            arms.iter()
                .find(|arm| arm["name"] == "grpo")
                .unwrap()
                .clone()
        };
        assert_eq!(grpo(&told), grpo(&whole));
        let strict = bench.qinglan(&["compare", "run", "--strict"]);
        assert_eq!(strict.code, Some(2));
    }
    // Nothing was written into it, and an arm that is damaged is no arm that is missing.
    assert!(!bench.path("run/manifest.json").exists());
    bench.write("run/arms/grpo/seed-1/outcome.json", "{");
    let damaged = compare();
    assert_eq!(damaged.code, Some(2));
    assert!(
        damaged.stderr.contains("outcome.json is damaged"),
        "{}",
        damaged.stderr
    );
    for marker in std::fs::read_dir(bench.path("run/arms")).unwrap() {
        for seed in ["seed-1", "seed-2"] {
            // Some are gone already.
            let _ = std::fs::remove_file(
                marker
                    .as_ref()
                    .unwrap()
                    .path()
                    .join(seed)
                    .join("outcome.json"),
            );
        }
    }
    let none = compare();
    assert_eq!(none.code, Some(2));
    assert!(none.stderr.contains("not finished"), "{}", none.stderr);
}

#[test]
fn a_run_that_is_damaged_is_left_out_of_several_and_said_to_be() {
    let bench = finished().copy();
    let other = finished().copy();
    std::fs::rename(other.path("run"), bench.path("other")).unwrap();
    let manifest = read_json(&bench.path("other/manifest.json"));
    let items = std::fs::read_to_string(bench.path("other/items.json")).unwrap();
    let mut lacking = manifest.clone();
    lacking.as_object_mut().unwrap().remove("arms");
    let mut newer = manifest.clone();
    newer["format"] = 99.into();
    let cut = &manifest.to_string()[..400];
    for (name, content, word) in [
        ("manifest.json", "", "manifest.json is damaged"),
        ("manifest.json", cut, "manifest.json is damaged"),
        (
            "manifest.json",
            &lacking.to_string(),
            "manifest.json is damaged",
        ),
        ("manifest.json", &newer.to_string(), "format 99"),
        ("items.json", "[]", "items.json"),
    ] {
        bench.write("other/manifest.json", &manifest.to_string());
        bench.write("other/items.json", &items);
        bench.write(&format!("other/{name}"), content);
        for order in [["run", "other"], ["other", "run"]] {
            let both = [&["compare"], &order[..], &["--format", "json"]].concat();
            let told = bench.qinglan(&both).done().stdout;
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(names(&told), ARMS);
            let complete = completeness(&told);
            let found = complete["found"].as_str().unwrap();
            assert_eq!(complete["holds"], false);
            assert!(
                found.contains("left out: ") && found.contains(word),
                "{found}"
            );
            assert!(
                told["notes"].to_string().contains(word),
                "{}",
                told["notes"]
            );
        }
        // Alone, or among none that is sound, it is an error.
        for runs in [&["other"][..], &["other", "third"]] {
            let third = bench.path("third");
            std::fs::create_dir_all(&third).unwrap();
            std::fs::write(third.join("manifest.json"), "{").unwrap();
            let refused = bench.qinglan(&[&["compare"], runs].concat());
            assert_eq!(refused.code, Some(2), "{}", refused.stdout);
            assert!(refused.stderr.contains(word), "{}", refused.stderr);
        }
    }
}

#[test]
fn a_budget_beyond_all_sums_is_compared_and_reported() {
    let bench = finished().copy();
    let path = bench.path("run/manifest.json");
    let mut manifest = read_json(&path);
    for run in manifest["arm_runs"].as_array_mut().unwrap() {
        if run["budget"].is_object() {
            run["budget"]["flops"] = 1e308.into();
            run["budget"]["seconds"] = 1e308.into();
            run["budget"]["optimizer_steps"] = u64::MAX.into();
        }
    }
    bench.write("run/manifest.json", &manifest.to_string());
    bench.qinglan(&["compare", "run"]).done();
    bench
        .qinglan(&["compare", "run", "--format", "html"])
        .done();
    bench.qinglan(&["report", "run"]).done();
    let written = read_json(&bench.path("run/comparison.json"));
    assert_eq!(written["arms"][2]["budget"]["flops"], 1e308);
}

#[test]
fn names_from_files_reach_a_terminal_without_its_commands() {
    let bench = finished().copy();
    let path = bench.path("run/manifest.json");
    let mut manifest = read_json(&path);
    manifest["title"] = "title\u{202e}gnp\u{1b}[31m".into();
    manifest["hypothesis"] = "hypothesis\u{2066}\u{7}".into();
    manifest["notes"] = serde_json::json!(["note\u{202e}\u{9b}2J"]);
    bench.write("run/manifest.json", &manifest.to_string());
    let text = std::fs::read_to_string(bench.path("run/definition.toml")).unwrap();
    let title = "title = \"A tiny experiment\"";
    assert!(text.contains(title));
    let odd = text.replace(title, "title = \"title\\u202Egnp\\u001b[31m\"");
    bench.write("run/definition.toml", &odd);
    bench.write("odd.toml", &odd);
    std::fs::create_dir_all(bench.path("runs")).unwrap();
    std::fs::rename(bench.path("run"), bench.path("runs/run")).unwrap();
    for command in [
        &["compare", "runs/run"][..],
        &["compare", "runs/run", "--format", "md"],
        &["runs", "list"],
        &["runs", "show", "runs/run"],
        &["watch", "runs/run", "--once"],
        &[
            "run",
            "odd.toml",
            "--out",
            "new",
            "--dry-run",
            "--device",
            "cpu",
        ],
    ] {
        let shown = bench.qinglan(command).done().stdout;
        let obeyed =
            |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202e}' | '\u{2066}');
        assert!(!shown.contains(obeyed), "{command:?}: {shown:?}");
        assert!(shown.contains("title\u{fffd}gnp"), "{command:?}: {shown}");
    }
}
