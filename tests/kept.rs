//! What a run, or the lab's own cache, holds is taken as it was written or not
//! at all: a changed file is named, or what it belongs to is made again.

use std::path::{Path, PathBuf};

use crate::bits::{assert_same, base_updates, updates};
use crate::support::{Bench, Ended, TINY, files_below, final_weights, finished, json, text};

/// Changes one bit in the middle of a file.
pub(crate) fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

/// One seed, no teacher, and an arm of two updates: what is left is the base.
fn base_alone() -> String {
    let without = |text: &str, from: &str, to: &str| {
        let (start, end) = (text.find(from).unwrap(), text.find(to).unwrap());
        format!("{}{}", &text[..start], &text[end..])
    };
    let definition = without(TINY, "[teacher]", "[rollout]");
    without(&definition, "[arm.sft]", "[arm.grpo]")
        .replace("seeds = [1, 2]", "seeds = [1]")
        .replace("training = { steps = 40 }", "training = { steps = 2 }")
}

fn assert_failed(ended: &Ended, words: &[&str]) {
    // A file that cannot be read is the user's to put back.
    let code = 1 + i32::from(ended.stderr.contains(" is damaged"));
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    assert_eq!(ended.stdout, "");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
}

#[test]
fn a_changed_file_of_a_finished_stage_is_named_and_made_again_once_removed() {
    let bench = finished().copy();
    bench.with_cache_of(finished());
    let run = bench.path("run");
    let manifest = text(&run.join("manifest.json"));
    let resumed = |stage: &str, name: &str| {
        let ended = bench.run("run", &["--resume"]);
        let folder = format!("remove run/{stage} and go on");
        assert_failed(&ended, &[stage, name, &folder, "--resume"]);
    };
    for (stage, name) in [
        ("arms/grpo/seed-1", "traces.parquet"),
        ("arms/sft/seed-2", "metrics.jsonl"),
        ("arms/base/seed-2", "model/tokenizer.json"),
        ("arms/grpo/seed-2", "outcome.json"),
        ("teacher", "traces.jsonl"),
        ("teacher", "model/model.safetensors"),
    ] {
        let path = run.join(stage).join(name);
        let whole = std::fs::read(&path).unwrap();
        flip(&path);
        resumed(stage, name);
        if name == "traces.parquet" {
            std::fs::remove_file(&path).unwrap();
            resumed(stage, name);
        }
        std::fs::write(&path, whole).unwrap();
    }
    // Whole files, but those of another arm or seed, the marker with them.
    let swap = |one: &str, other: &str| {
        let aside = run.join("aside");
        std::fs::rename(run.join(one), &aside).unwrap();
        std::fs::rename(run.join(other), run.join(one)).unwrap();
        std::fs::rename(&aside, run.join(other)).unwrap();
    };
    let other = "arms/grpo/seed-1";
    let name = "traces.parquet";
    for (one, other) in [("arms/sft/seed-1", other), (other, "arms/grpo/seed-2")] {
        let files = [format!("{one}/{name}"), format!("{other}/{name}")];
        swap(&files[0], &files[1]);
        resumed(one, name);
        swap(&files[0], &files[1]);
        swap(one, other);
        resumed(one, "outcome.json");
        swap(one, other);
    }
    assert_eq!(text(&run.join("manifest.json")), manifest);
    // The way out that was named; meanwhile the run is not complete.
    std::fs::remove_dir_all(run.join("arms/sft/seed-1")).unwrap();
    bench.run("run", &["--resume"]).done();
    assert_same(&run, &finished().run);
}

#[test]
fn a_run_of_a_version_that_kept_no_hashes_is_held_to_its_manifest() {
    let bench = finished().copy();
    let run = bench.path("run");
    for name in files_below(&run) {
        if name.ends_with("outcome.json") {
            let mut outcome = json(&run.join(&name));
            let fields = outcome.as_object_mut().unwrap();
            fields.retain(|name, _| name == "arm_run");
            std::fs::write(run.join(&name), outcome.to_string()).unwrap();
        }
    }
    let before = json(&run.join("manifest.json"));
    let ended = bench.run("run", &["--resume"]).done();
    assert!(ended.stderr.contains("no hashes"), "{}", ended.stderr);
    assert_eq!(json(&run.join("manifest.json"))["files"], before["files"]);
    assert_same(&run, &finished().run);
    let traces = run.join("arms/grpo/seed-1/traces.parquet");
    let whole = std::fs::read(&traces).unwrap();
    flip(&traces);
    let ended = bench.run("run", &["--resume"]);
    assert_failed(
        &ended,
        &[
            "arms/grpo/seed-1/traces.parquet",
            "remove run/arms/grpo/seed-1",
        ],
    );
    // Without the manifest either, what cannot be read is named all the same.
    std::fs::remove_file(run.join("manifest.json")).unwrap();
    std::fs::write(&traces, &whole[..whole.len() / 2]).unwrap();
    let ended = bench.run("run", &["--resume"]);
    assert_failed(
        &ended,
        &[
            "arms/grpo/seed-1/traces.parquet",
            "remove run/arms/grpo/seed-1",
        ],
    );
    assert!(!ended.stderr.contains("write the file again"));
}

/// The one entry of a cache's bases, by the end of its name.
fn entry(bench: &Bench, ending: &str) -> PathBuf {
    let bases = bench.path("cache/qinglan/bases");
    let hashes = files_below(&bases).into_iter().find_map(|name| {
        let name = name.to_str()?.to_owned();
        name.strip_suffix(".hashes.json").map(str::to_owned)
    });
    bases.join(format!("{}{ending}", hashes.unwrap()))
}

#[test]
fn a_cached_base_is_taken_as_it_was_written_or_made_again() {
    let bench = Bench::new(&base_alone());
    bench.run("whole", &[]).done();
    let cached = |bench: &Bench| {
        let names = files_below(&bench.path("cache"));
        let read = |name: &PathBuf| std::fs::read(bench.path("cache").join(name)).unwrap();
        let pairs = names.iter().map(|name| (name.clone(), read(name)));
        // A base that is made again takes another time.
        let mut pairs: Vec<_> = pairs.collect();
        pairs.retain(|(name, _)| name.parent().is_some_and(|at| !at.ends_with("bases")));
        pairs
    };
    let whole = cached(&bench);
    let again = |out: &str, words: &str| {
        let ended = bench.run(out, &[]).done();
        assert_eq!(
            ended.stderr.contains("it is made again"),
            !words.is_empty(),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        assert_eq!(
            final_weights(&bench.path(out)),
            final_weights(&bench.path("whole"))
        );
        assert_eq!(cached(&bench), whole);
    };
    flip(&entry(&bench, "/model.safetensors"));
    again("flipped", "model.safetensors is not as it was written");
    flip(&entry(&bench, ".hashes.json"));
    again("marker", "the lab's own cache");
    // An entry of a version that kept no hashes is taken once it can be read.
    let hashes = entry(&bench, ".hashes.json");
    let (sealed, model) = (text(&hashes), entry(&bench, ""));
    std::fs::remove_file(&hashes).unwrap();
    let ended = bench.run("older", &[]).done();
    assert!(ended.stderr.contains("no hashes"), "{}", ended.stderr);
    assert_eq!(text(&hashes), sealed);
    std::fs::remove_file(&hashes).unwrap();
    std::fs::write(model.join("config.json"), "{").unwrap();
    again("unread", "config.json");
    // A folder in the place of the lock stands for a cache that may only be
    // read: what is whole is used, and what is not names its place.
    let lock = entry(&bench, ".lock");
    std::fs::remove_file(&lock).unwrap();
    std::fs::create_dir(&lock).unwrap();
    again("read-only", "");
    flip(&model.join("config.json"));
    let ended = bench.run("refused", &[]);
    assert_failed(
        &ended,
        &["the lab's own cache", "may be removed", "XDG_CACHE_HOME"],
    );
}

#[test]
fn a_base_whose_making_was_stopped_and_damaged_is_made_from_its_beginning() {
    let whole = Bench::new(&base_alone());
    whole.run("run", &[]).done();
    for name in ["state.msgpack", "metrics.jsonl"] {
        let bench = Bench::new(&base_alone());
        let mut running = bench.start("run", &[]);
        running.wait_until(|| base_updates(&bench) > 25);
        running.signal("KILL");
        assert_eq!(running.end().code, None);
        let bases = bench.path("cache/qinglan/bases");
        for path in files_below(&bases) {
            if path.ends_with(name) {
                flip(&bases.join(path));
            }
        }
        let ended = bench.run("run", &["--resume"]).done();
        for word in ["the lab's own cache was changed", "from its beginning"] {
            assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
        }
        assert_same(&bench.path("run"), &whole.path("run"));
    }
}

#[test]
fn a_run_directory_that_is_removed_meanwhile_is_not_half_made_again() {
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished());
    for log in [
        "run/teacher/metrics.jsonl",
        "run/arms/grpo/seed-1/metrics.jsonl",
    ] {
        let mut running = bench.start("run", &[]);
        running.wait_until(|| updates(&bench.path(log)) > 3);
        // One rename, so that nothing is written to what is being removed.
        std::fs::rename(bench.path("run"), bench.path("moved")).unwrap();
        let ended = running.end();
        assert_failed(&ended, &["run was removed or replaced"]);
        // A folder that was being made in that moment may be there, and nothing in it.
        let run = bench.path("run");
        if run.exists() {
            assert_eq!(files_below(&run), [""; 0].map(PathBuf::from));
            std::fs::remove_dir_all(&run).unwrap();
        }
        std::fs::remove_dir_all(bench.path("moved")).unwrap();
    }
}
