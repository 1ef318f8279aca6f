//! What a run, or the store, holds is taken as it was written or not
//! at all: a changed file is named, or what it belongs to is made again.

use std::path::{Path, PathBuf};

use crate::bits::{assert_same, base_updates, updates};
use crate::support::{
    Bench, Ended, TINY, files_below, final_weights, finished, is_of_base, json, text,
};

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
    let one = "arms/grpo/seed-1";
    let name = "traces.parquet";
    for other in ["arms/sft/seed-1", "arms/grpo/seed-2"] {
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

/// The entry of the store that is a base.
fn entry(bench: &Bench) -> PathBuf {
    let store = bench.path("cache/qinglan/store");
    let entries = std::fs::read_dir(store).unwrap();
    let mut entries = entries.map(|entry| entry.unwrap().path());
    let is_base = |at: &PathBuf| {
        let entry = at.join("entry.json");
        entry.exists() && is_of_base(&json(&entry))
    };
    entries.find(is_base).unwrap()
}

#[test]
fn an_entry_of_the_store_is_taken_as_it_was_written_or_made_again() {
    let bench = Bench::new(&base_alone());
    bench.run("whole", &[]).done();
    let names = |bench: &Bench| files_below(&bench.path("cache"));
    let whole = names(&bench);
    let again = |out: &str, words: &str| {
        let ended = bench.run(out, &[]).done();
        let said = &ended.stderr;
        assert_eq!(
            said.contains("it is made again"),
            !words.is_empty(),
            "{said}"
        );
        assert!(said.contains(words), "{said}");
        let model = "base seed 1: model taken from the store";
        assert_eq!(said.contains(model), words.is_empty(), "{said}");
        assert!(said.contains("evaluation taken from the store"), "{said}");
        assert_eq!(
            final_weights(&bench.path(out)),
            final_weights(&bench.path("whole"))
        );
        assert_eq!(names(&bench), whole);
        let shown = bench.qinglan(&["runs", "show", out]).done().stdout;
        assert!(shown.contains("from the store"), "{shown}");
    };
    again("taken", "");
    flip(&entry(&bench).join("model/model.safetensors"));
    again("flipped", "model.safetensors is not as it was written");
    flip(&entry(&bench).join("entry.json"));
    again("marker", "an entry of the store was changed");
    // A file in the place of the locks stands for a cache that may only be read: what is
    // whole is used, and what is not names its place.
    let locks = bench.path("cache/qinglan/store/locks");
    std::fs::remove_dir_all(&locks).unwrap();
    std::fs::write(&locks, "").unwrap();
    bench.run("read-only", &[]).done();
    flip(&entry(&bench).join("model/config.json"));
    let ended = bench.run("refused", &[]);
    assert_failed(
        &ended,
        &["of the store", "may be removed", "XDG_CACHE_HOME"],
    );
}

#[test]
fn the_store_is_listed_verified_and_emptied_by_hand() {
    let bench = Bench::new(&base_alone());
    let listed = || bench.qinglan(&["store", "list"]).done().stdout;
    assert!(listed().contains("is empty"));
    bench.run("run", &[]).done();
    let entries = listed();
    for word in [
        "base seed 1 of tiny",
        "grpo seed 1 of tiny",
        "evaluation",
        "4 entries",
    ] {
        assert!(entries.contains(word), "{word} in {entries}");
    }
    let verified = bench.qinglan(&["store", "verify"]).done().stdout;
    assert!(verified.contains("4 entries are as they were written"));
    flip(&entry(&bench).join("model/tokenizer.json"));
    let damaged = bench.qinglan(&["store", "verify"]);
    assert_eq!(damaged.code, Some(1), "{}", damaged.stderr);
    assert!(
        damaged
            .stdout
            .contains("tokenizer.json is not as it was written")
    );
    let address = entry(&bench);
    let address = address.file_name().unwrap().to_str().unwrap();
    for (wrong, words) in [("zz", "no entry zz"), ("", "no entry")] {
        let refused = bench.qinglan(&["store", "rm", wrong]);
        assert_eq!(refused.code, Some(2), "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{}", refused.stderr);
    }
    bench.qinglan(&["store", "rm", &address[..12]]).done();
    assert!(listed().contains("3 entries"), "{}", listed());
    // What a run has that is there stays; without the run it goes.
    bench.qinglan(&["store", "rm", "--unused"]).done();
    assert!(listed().contains("3 entries"));
    std::fs::remove_dir_all(bench.path("run")).unwrap();
    bench.qinglan(&["store", "rm", "--unused"]).done();
    assert!(listed().contains("is empty"));
}

#[test]
fn a_base_whose_making_was_stopped_and_damaged_is_named() {
    let whole = Bench::new(&base_alone());
    whole.run("run", &[]).done();
    let bench = Bench::new(&base_alone());
    let mut running = bench.start("run", &[]);
    running.wait_until(|| base_updates(&bench) > 25);
    running.signal("KILL");
    assert_eq!(running.end().code, None);
    let workshop = bench.path("run/arms/base/seed-1/pretraining");
    for path in files_below(&workshop) {
        if path.ends_with("state.msgpack") {
            flip(&workshop.join(path));
        }
    }
    let ended = bench.run("run", &["--resume"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for word in ["base seed 1: no checkpoint is whole", "--resume"] {
        assert!(ended.stderr.contains(word), "{}", ended.stderr);
    }
    std::fs::remove_dir_all(workshop).unwrap();
    bench.run("run", &["--resume"]).done();
    assert_same(&bench.path("run"), &whole.path("run"));
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
