//! A run's bits are decided by its seeds alone: not by the folder, the cache or
//! the company it runs in, nor by being stopped and taken up again.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use crate::metrics::assert_events_are_the_log;
use crate::support::{Bench, TINY, files_below, final_weights, finished, json as read_json, text};

/// A run without what the clock and the machine say: weights, hashes of
/// records, metrics, tables.
fn essence(run: &Path) -> BTreeMap<String, String> {
    let mut parts = BTreeMap::new();
    let mut manifest = read_json(&run.join("manifest.json"));
    manifest["environment"] = Value::Null;
    for arm_run in manifest["arm_runs"].as_array_mut().unwrap() {
        let timed = arm_run.as_object_mut().unwrap();
        timed.remove("evaluation_seconds").unwrap();
        // The base and the teacher alone were pre-trained.
        timed.remove("pretraining_seconds");
        if let Some(budget) = arm_run["budget"].as_object_mut() {
            budget.remove("seconds").unwrap();
            budget.remove("peak_memory").unwrap();
        }
    }
    let files = manifest["files"].as_object_mut().unwrap();
    files.retain(|name, _| {
        if name.ends_with("metrics.jsonl") || name.ends_with("evaluations.jsonl") {
            let untimed = text(&run.join(name)).lines().map(untimed).collect();
            parts.insert(name.clone(), untimed);
            return false;
        }
        true
    });
    parts.insert("manifest.json".to_owned(), manifest.to_string());
    let mut comparison = read_json(&run.join("comparison.json"));
    comparison["environment"] = Value::Null;
    for table in ["arms", "on_the_way"] {
        for row in comparison[table].as_array_mut().into_iter().flatten() {
            if let Some(budget) = row["budget"].as_object_mut() {
                budget.remove("seconds").unwrap();
                // Nothing held memory before the first update.
                budget.remove("peak_memory");
            }
        }
    }
    for pair in comparison["matched"].as_array_mut().unwrap() {
        pair.as_object_mut().unwrap().remove("seconds").unwrap();
    }
    parts.insert("comparison.json".to_owned(), comparison.to_string());
    let mut csv = text(&run.join("comparison.csv"));
    csv = untimed_rows(&csv, |row| {
        row.contains("seconds") || row.contains("memory")
    });
    parts.insert("comparison.csv".to_owned(), csv);
    let md = without_seconds(&text(&run.join("comparison.md")));
    parts.insert("comparison.md".to_owned(), md);
    parts
}

/// A line of metrics or of evaluations without what clock and machine say.
fn untimed(line: &str) -> String {
    let mut metrics: Value = serde_json::from_str(line).unwrap();
    let metrics = metrics.as_object_mut().unwrap();
    metrics.retain(|name, _| name != "seconds" && name != "step_time");
    if let Some(budget) = metrics.get_mut("budget") {
        let budget = budget.as_object_mut().unwrap();
        budget.retain(|name, _| name != "seconds" && name != "peak_memory");
    }
    format!("{}\n", json!(metrics))
}

/// A file without the rows that are timed.
fn untimed_rows(text: &str, is_timed: impl Fn(&str) -> bool) -> String {
    let rows = text.lines().filter(|row| !is_timed(row));
    rows.collect::<Vec<_>>().join("\n")
}

/// The Markdown tables without those of what was spent, which hold seconds and memory.
fn without_seconds(markdown: &str) -> String {
    let spent = ["Budgets\n", "Matched budgets\n"];
    let sections = markdown.split("\n## ");
    let kept = sections.filter(|section| spent.iter().all(|title| !section.starts_with(title)));
    kept.collect::<Vec<_>>().join("\n## ")
}

/// The files of a run, or of a cache, but the event files, whose names hold the time.
pub(crate) fn untimed_files(run: &Path) -> Vec<std::path::PathBuf> {
    let mut names = files_below(run);
    names.retain(|name| !name.to_string_lossy().contains("events.out.tfevents"));
    names
}

/// Holds a run to another: the same files, the same bits where neither clock
/// nor machine has a say.
pub(crate) fn assert_same(run: &Path, other: &Path) {
    assert_eq!(final_weights(run), final_weights(other));
    let names = untimed_files(other);
    assert_eq!(untimed_files(run), names);
    for name in names {
        let kind = name.extension().unwrap_or_default();
        if kind == "safetensors" || kind == "parquet" {
            let read = |run: &Path| std::fs::read(run.join(&name)).unwrap();
            assert!(read(run) == read(other), "{} differs", name.display());
        }
    }
    let (here, there) = (essence(run), essence(other));
    assert_eq!(
        here.keys().collect::<Vec<_>>(),
        there.keys().collect::<Vec<_>>()
    );
    for (name, content) in here {
        assert_eq!(content, there[&name], "{name}");
    }
}

#[test]
fn the_same_seeds_give_the_same_bits_elsewhere_and_side_by_side() {
    let bench = Bench::new(TINY);
    // Both need the same bases and find none in their cache.
    let both = ["here", "there"].map(|out| (out, bench.start(out, &[])));
    for (out, running) in both {
        let ended = running.end().done();
        assert!(ended.stdout.contains("A tiny experiment"));
        assert_same(&bench.path(out), &finished().run);
    }
}

/// What an interruption must not leave twice, or lose.
fn assert_logs_are_whole(run: &Path) {
    for at in ["teacher", "arms/grpo/seed-1", "arms/sft/seed-2"] {
        assert_events_are_the_log(&run.join(at));
    }
    let completions = |run: &Path| files_below(&run.join("arms/grpo/seed-1/completions"));
    assert_eq!(completions(run), completions(&finished().run));
}

/// Updates in a log of metrics so far.
pub(crate) fn updates(log: &Path) -> usize {
    std::fs::read_to_string(log).map_or(0, |text| text.lines().count())
}

/// Most updates of a base that is being made in a bench's runs.
pub(crate) fn base_updates(bench: &Bench) -> usize {
    let names = files_below(&bench.path("")).into_iter();
    let logs = names.filter(|name| name.ends_with("pretraining/metrics.jsonl"));
    logs.map(|log| updates(&bench.path("").join(log)))
        .max()
        .unwrap_or(0)
}

#[test]
fn ctrl_c_leaves_a_run_that_resumes_to_the_same_bits() {
    let bench = Bench::new(TINY);
    let interrupt = |ready: &dyn Fn() -> bool| {
        let mut running = bench.start("run", &["--resume"]);
        running.wait_until(ready);
        running.signal("INT");
        let ended = running.end();
        assert_eq!(ended.code, Some(130), "{}", ended.stderr);
        assert!(ended.stderr.contains("--resume"), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        assert!(!bench.path("run/manifest.json").exists());
    };
    interrupt(&|| base_updates(&bench) > 3);
    let log = bench.path("run/arms/grpo/seed-1/metrics.jsonl");
    interrupt(&|| updates(&log) > 3);
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), &finished().run);
    assert_logs_are_whole(&bench.path("run"));
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    let kill = |ready: &dyn Fn() -> bool| {
        let mut running = bench.start("run", &["--resume"]);
        running.wait_until(ready);
        running.signal("KILL");
        assert_eq!(running.end().code, None);
        // The arms that are finished, if any is, and that there is more to come.
        let compared = bench.qinglan(&["compare", "run"]);
        let begun = bench.path("run/arms/base/seed-1/outcome.json").exists()
            || bench.path("run/arms/base/seed-2/outcome.json").exists();
        assert_eq!(compared.code, Some(if begun { 0 } else { 2 }));
        let said = format!("{}{}", compared.stdout, compared.stderr);
        let said: Vec<&str> = said.split_whitespace().collect();
        assert!(said.join(" ").contains("is not finished"), "{said:?}");
    };
    // Each training has written a checkpoint after its fifth update.
    for at in ["teacher", "arms/grpo/seed-1", "arms/sft/seed-2"] {
        let log = bench.path("run").join(at).join("metrics.jsonl");
        kill(&|| updates(&log) > 7);
    }
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), &finished().run);
    assert_logs_are_whole(&bench.path("run"));
}

#[test]
fn ctrl_c_wakes_a_run_that_waits_for_another_s_base() {
    let bench = Bench::new(TINY);
    let mut makes = bench.start("here", &[]);
    makes.wait_until(|| base_updates(&bench) > 3);
    // Stopped in the middle, it keeps its bases to itself.
    makes.signal("STOP");
    let mut waits = bench.start("there", &[]);
    waits.wait_until(|| bench.path("there/definition.toml").exists());
    std::thread::sleep(std::time::Duration::from_millis(300));
    waits.signal("TERM");
    let ended = waits.end();
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    assert!(ended.stderr.contains("is waited for"), "{}", ended.stderr);
    makes.signal("KILL");
    assert_eq!(makes.end().code, None);
}

#[test]
fn one_run_directory_has_one_process() {
    let bench = Bench::new(TINY);
    let mut first = bench.start("run", &[]);
    first.wait_until(|| base_updates(&bench) > 3);
    let second = bench.run("run", &["--resume"]);
    assert_eq!(second.code, Some(2), "{}", second.stderr);
    assert!(
        second.stderr.contains("another process"),
        "{}",
        second.stderr
    );
    first.signal("KILL");
    assert_eq!(first.end().code, None);
}

#[test]
fn what_killed_runs_leave_behind_goes_with_the_next_one() {
    let bench = finished().copy();
    bench.with_cache_of(finished());
    std::fs::remove_file(bench.path("run/manifest.json")).unwrap();
    // Killed after an outcome was written, and in the middle of other files.
    for name in [
        "run/arms/sft/seed-1/checkpoint-000020/weights.safetensors",
        "run/teacher/checkpoint-000010/weights.safetensors",
        "run/arms/grpo/seed-2/.checkpoint-000010.partial/weights.safetensors",
        "run/arms/grpo/seed-2/.traces.parquet.17.partial",
        "run/figures/.figure.svg.17.partial",
        "run/.report.html.17.partial",
    ] {
        bench.write(name, "");
    }
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), &finished().run);
}
