//! Models and data files by their names on the hub: downloaded once, resumed, verified,
//! refused, and held to by a run.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::played_hub::{Asked, PlayedHub, Storage, TOKEN, commit, etag};
use crate::support::{Bench, Ended, answering, files_below, json as read_json, text};

const WEIGHTS: &str = "model.safetensors";

/// A bench, and a hub that has a model in `org/tiny`, with files that nobody reads.
fn setting() -> (Bench, PlayedHub) {
    let bench = Bench::new(DEFINITION);
    let hub = PlayedHub::start();
    answering(&bench.path("local"), 0.0);
    bench.write("local/generation_config.json", "{\"temperature\": 1.0}");
    bench.write("local/README.md", "Read me.");
    bench.write("local/pytorch_model.bin", "Nobody reads this.");
    hub.push("org/tiny", &commit(1), &bench.path("local"));
    (bench, hub)
}

fn command(bench: &Bench, hub: &PlayedHub, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command
        .env("HF_ENDPOINT", &hub.url)
        .env_remove("HF_HUB_OFFLINE")
        .env("HF_HOME", bench.path("hf"));
    command
}

fn qinglan(bench: &Bench, hub: &PlayedHub, arguments: &[&str]) -> Ended {
    Ended::of(command(bench, hub, arguments).output().unwrap())
}

fn inspect(bench: &Bench, hub: &PlayedHub, name: &str) -> Ended {
    qinglan(bench, hub, &["model", "inspect", name, "--json"])
}

/// The folder of a model in the cache.
fn folder(bench: &Bench) -> PathBuf {
    bench.path("hf/hub/models--org--tiny")
}

fn weights(bench: &Bench) -> Vec<u8> {
    std::fs::read(bench.path("local").join(WEIGHTS)).unwrap()
}

/// Where a content lies that is still coming.
fn part(bench: &Bench) -> PathBuf {
    let etag = etag(&weights(bench));
    folder(bench)
        .join("blobs")
        .join(format!("{etag}.incomplete"))
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}{}", ended.stdout, ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
    }
}

/// Nothing in the cache looks like weights.
fn assert_not_whole(bench: &Bench) {
    let weights = folder(bench)
        .join("snapshots")
        .join(commit(1))
        .join(WEIGHTS);
    assert!(!weights.exists());
    assert!(
        !folder(bench)
            .join("blobs")
            .join(etag(&self::weights(bench)))
            .exists()
    );
    assert!(!folder(bench).join("refs/main").exists());
}

/// The first bytes that the address of the large files was asked for.
fn ranges(asked: &[Asked]) -> Vec<u64> {
    let storage = asked.iter().filter(|asked| asked.is_storage);
    storage.map(|asked| asked.from.unwrap_or(0)).collect()
}

#[test]
fn a_model_is_downloaded_once_as_hugging_face_keeps_it() {
    let (bench, hub) = setting();
    let mut first = command(&bench, &hub, &["model", "inspect", "org/tiny", "--json"]);
    let first = Ended::of(first.env("HF_TOKEN", TOKEN).output().unwrap()).done();
    let found: Value = serde_json::from_str(&first.stdout).unwrap();
    let snapshot = folder(&bench).join("snapshots").join(commit(1));
    assert_eq!(found["path"], json!(snapshot));
    let said = format!("downloading {WEIGHTS} of org/tiny at {}", &commit(1)[..12]);
    assert!(first.stderr.contains(&said), "{}", first.stderr);
    assert_eq!(text(&folder(&bench).join("refs/main")), commit(1));
    let link = std::fs::read_link(snapshot.join(WEIGHTS)).unwrap();
    let bytes = weights(&bench);
    assert_eq!(link, Path::new("../../blobs").join(etag(&bytes)));
    assert_eq!(std::fs::read(snapshot.join(WEIGHTS)).unwrap(), bytes);
    for unread in ["README.md", "pytorch_model.bin"] {
        assert!(!snapshot.join(unread).exists(), "{unread}");
    }
    // A file that the commit lacks is noted as Hugging Face notes it.
    let absent = folder(&bench).join(".no_exist").join(commit(1));
    assert!(absent.join("chat_template.jinja").exists());
    for blob in files_below(&folder(&bench).join("blobs")) {
        let name = blob.to_str().unwrap().to_owned();
        let bytes = std::fs::read(folder(&bench).join("blobs").join(&blob)).unwrap();
        assert_eq!(name, etag(&bytes));
    }
    let asked = hub.asked();
    assert!(asked.iter().any(|asked| asked.is_storage));
    for asked in asked {
        // The token is for the hub alone.
        assert_eq!(asked.has_token, !asked.is_storage, "{asked:?}");
    }
    let again = inspect(&bench, &hub, "org/tiny").done();
    assert_eq!(again.stdout, first.stdout);
    assert!(hub.asked().is_empty());
    let mut offline = command(&bench, &hub, &["model", "inspect", "org/tiny", "--json"]);
    offline.env("HF_HUB_OFFLINE", "1");
    Ended::of(offline.output().unwrap()).done();
}

#[test]
fn a_renamed_repository_and_any_revision_are_followed() {
    let (bench, hub) = setting();
    inspect(&bench, &hub, "old/tiny").done();
    let whole = format!("org/tiny@{}", commit(1));
    inspect(&bench, &hub, &whole).done();
    // A commit stands for itself.
    assert!(!folder(&bench).join("refs").exists());
    assert_refused(
        &inspect(&bench, &hub, "org/tiny@v2"),
        &["org/tiny has no revision v2", "commits/main lists them"],
    );
}

#[test]
fn a_download_goes_on_where_it_broke_off() {
    let (bench, hub) = setting();
    let length = weights(&bench).len() as u64;
    let step = length / 3 + 1;
    hub.storage(Storage::Cuts(step as usize));
    inspect(&bench, &hub, "org/tiny").done();
    let asked = ranges(&hub.asked());
    // The configuration's vocabulary is large too.
    let of_weights = &asked[asked.len() - 3..];
    assert_eq!(of_weights, [0, step, 2 * step], "{asked:?}");
}

#[test]
fn what_an_earlier_process_left_is_gone_on_with_or_begun_anew() {
    for (left, expected) in [
        ("right", vec![1000]),
        ("wrong", vec![1000, 0]),
        ("long", vec![0]),
    ] {
        let (bench, hub) = setting();
        inspect(&bench, &hub, "org/tiny").done();
        hub.asked();
        let bytes = weights(&bench);
        let snapshot = folder(&bench).join("snapshots").join(commit(1));
        std::fs::remove_file(snapshot.join(WEIGHTS)).unwrap();
        std::fs::remove_file(folder(&bench).join("blobs").join(etag(&bytes))).unwrap();
        let part_of = match left {
            "right" => bytes[..1000].to_vec(),
            "wrong" => vec![7; 1000],
            _ => vec![7; bytes.len() + 1],
        };
        std::fs::write(part(&bench), part_of).unwrap();
        inspect(&bench, &hub, "org/tiny").done();
        assert_eq!(ranges(&hub.asked()), expected, "{left}");
        assert!(!part(&bench).exists());
    }
}

#[test]
fn a_server_without_ranges_or_with_much_to_do_is_borne_with() {
    let (bench, hub) = setting();
    hub.storage(Storage::Busy(3));
    inspect(&bench, &hub, "org/tiny").done();
    let (bench, hub) = setting();
    hub.storage(Storage::Rangeless);
    std::fs::create_dir_all(part(&bench).parent().unwrap()).unwrap();
    std::fs::write(part(&bench), &weights(&bench)[..1000]).unwrap();
    inspect(&bench, &hub, "org/tiny").done();
    assert!(ranges(&hub.asked()).contains(&1000));
}

#[test]
fn a_wrong_checksum_leaves_nothing() {
    let (bench, hub) = setting();
    hub.storage(Storage::Wrong);
    assert_refused(
        &inspect(&bench, &hub, "org/tiny"),
        &["another checksum", "none of it was kept"],
    );
    assert_not_whole(&bench);
    assert!(!part(&bench).exists());
    hub.storage(Storage::Sound);
    inspect(&bench, &hub, "org/tiny").done();
}

#[test]
fn a_connection_that_brings_nothing_ends_with_what_came_kept() {
    let (bench, hub) = setting();
    hub.storage(Storage::Cuts(0));
    let ended = inspect(&bench, &hub, "org/tiny");
    assert_refused(&ended, &["downloading org/tiny from", "5 times in a row"]);
    assert_not_whole(&bench);
}

#[test]
fn what_the_hub_refuses_is_said_with_the_way_out() {
    let (bench, hub) = setting();
    inspect(&bench, &hub, "org/tiny").done();
    hub.push("org/closed", &commit(2), &bench.path("local"));
    hub.gate("org/closed");
    let page = format!("accept its terms at {}/org/closed", hub.url);
    let gated = inspect(&bench, &hub, "org/closed");
    assert_refused(&gated, &["org/closed is gated", &page, "HF_TOKEN"]);
    let mut other = command(&bench, &hub, &["model", "inspect", "org/closed"]);
    let other = Ended::of(other.env("HF_TOKEN", "hf_other").output().unwrap());
    assert_refused(&other, &["your token may not read it"]);
    bench.write("hf/token", &format!("{TOKEN}\n"));
    inspect(&bench, &hub, "org/closed").done();
    std::fs::remove_file(bench.path("hf/token")).unwrap();
    let unknown = inspect(&bench, &hub, "org/tinny");
    let words = [
        "no file or folder org/tinny",
        "knows no model org/tinny",
        "did you mean org/tiny",
    ];
    assert_refused(&unknown, &words);
    for (file, words) in [
        ("config.json", "has no tokenizer.json"),
        ("a.gguf", "name one of them, org/other/FILE.gguf (a.gguf)"),
    ] {
        hub.push_file("org/other", &commit(3), file, b"{}");
        assert_refused(&inspect(&bench, &hub, "org/other"), &[words]);
    }
    let absent = inspect(&bench, &hub, "org/other/b.gguf");
    assert_refused(&absent, &["has no file b.gguf", "did you mean a.gguf?"]);
}

#[test]
fn a_hub_that_may_not_or_cannot_be_asked_is_named() {
    let (bench, hub) = setting();
    let with = |name: &str, value: &str| {
        let mut command = command(&bench, &hub, &["model", "inspect", "org/tiny"]);
        Ended::of(command.env(name, value).output().unwrap())
    };
    let offline = with("HF_HUB_OFFLINE", "1");
    assert_refused(&offline, &["org/tiny is not in", "HF_HUB_OFFLINE is set"]);
    assert_refused(
        &with("HF_ENDPOINT", "the hub"),
        &["HF_ENDPOINT: an address begins with"],
    );
    for wrong in ["https://", "https://the hub"] {
        assert_refused(&with("HF_ENDPOINT", wrong), &["is no address"]);
    }
    let nobody = with("HF_ENDPOINT", "http://127.0.0.1:9");
    assert_refused(&nobody, &["downloading org/tiny from http://127.0.0.1:9"]);
    assert!(hub.asked().is_empty());
}

#[test]
fn a_broken_link_is_downloaded_again_or_named() {
    let (bench, hub) = setting();
    inspect(&bench, &hub, "org/tiny").done();
    let link = folder(&bench)
        .join("snapshots")
        .join(commit(1))
        .join(WEIGHTS);
    std::fs::remove_file(&link).unwrap();
    symlink("../../blobs/gone", &link).unwrap();
    let mut offline = command(&bench, &hub, &["model", "inspect", "org/tiny"]);
    let offline = Ended::of(offline.env("HF_HUB_OFFLINE", "yes").output().unwrap());
    let place = link.display().to_string();
    assert_refused(
        &offline,
        &[&place, "is a link to a file that is not there any more"],
    );
    inspect(&bench, &hub, "org/tiny").done();
    assert_eq!(std::fs::read(&link).unwrap(), weights(&bench));
}

#[test]
fn a_cache_that_does_not_say_what_a_commit_has_is_completed() {
    let (bench, hub) = setting();
    inspect(&bench, &hub, "org/tiny").done();
    let generation = "generation_config.json";
    let snapshot = folder(&bench).join("snapshots").join(commit(1));
    std::fs::remove_file(snapshot.join(generation)).unwrap();
    let mut offline = command(&bench, &hub, &["model", "inspect", "org/tiny"]);
    let offline = Ended::of(offline.env("HF_HUB_OFFLINE", "1").output().unwrap()).done();
    let said = "does not say whether it has generation_config.json";
    assert!(offline.stderr.contains(said), "{}", offline.stderr);
    // It stays the commit that it is, wherever main is by now.
    hub.push_file("org/tiny", &commit(2), "config.json", b"{}");
    inspect(&bench, &hub, "org/tiny").done();
    assert!(snapshot.join(generation).exists());
}

#[test]
fn a_disk_without_room_is_named_and_gone_on_with() {
    let (bench, hub) = setting();
    let program = command(&bench, &hub, &[]);
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f 16; exec \"$@\"", "sh"])
        .arg(program.get_program())
        .args(["model", "inspect", "org/tiny"])
        .current_dir(bench.path(""));
    for (name, value) in program.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    let ended = Ended::of(limited.output().unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    for word in ["downloading org/tiny into", "ulimit -f", "what came stays"] {
        assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
    }
    assert_not_whole(&bench);
    let came = std::fs::metadata(part(&bench)).unwrap().len();
    assert!(came > 0);
    hub.asked();
    inspect(&bench, &hub, "org/tiny").done();
    assert!(ranges(&hub.asked()).contains(&came));
}

const DEFINITION: &str = r#"[experiment]
name = "named"
title = "A model and a data set by their names"
hypothesis = "None: it is only as large as a test needs."
seeds = [1]

[tasks]
names = ["sums"]
validation_problems = 4

[tasks.data]
sums = "hf://datasets/org/sums/main/rows.jsonl"

[base]
model = "org/tiny"

[teacher]
traces = { worked = true, problems = 12, held_out = 4 }

[rollout]
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[evaluation]
samples = 2
temperature = 1.0
max_new_tokens = 20
dtype = "float32"

[training]
learning_rate = 1e-3
dtype = "float32"

[arm.sft]
algorithm.sft = { batch_size = 4 }
training = { steps = 2 }
"#;

/// Problems in the words of the lab's vocabulary, each true.
fn rows(count: u32) -> String {
    let row = |n: u32| {
        let problem = format!("is {} {} true ?", n / 60, n % 60);
        json!({"problem": problem, "answer": "true", "solution": "so it is true"}).to_string()
    };
    (0..count).map(|n| row(n) + "\n").collect()
}

#[test]
fn a_run_records_the_commits_and_goes_on_with_them() {
    let (bench, hub) = setting();
    hub.push_file(
        "org/sums",
        &commit(5),
        "main/rows.jsonl",
        rows(60).as_bytes(),
    );
    let run = |out: &str, more: &[&str]| {
        let start = ["run", "tiny.toml", "--out", out, "--device", "cpu"];
        qinglan(&bench, &hub, &[&start[..], more].concat())
    };
    let dry = run("out", &["--dry-run"]).done().stdout;
    for words in [
        "base.model = \"org/tiny\": org/tiny is not in Hugging Face's cache",
        "tasks.data.sums = \"hf://datasets/org/sums/main/rows.jsonl\": ",
        "would be downloaded from http://127.0.0.1",
    ] {
        assert!(dry.contains(words), "{words}: {dry}");
    }
    assert!(hub.asked().is_empty() && !bench.path("hf").exists());
    run("out", &[]).done();
    let manifest = read_json(&bench.path("out/manifest.json"));
    let recorded = &manifest["environment"];
    assert_eq!(recorded["commit of org/tiny"], commit(1));
    let file = "hf://datasets/org/sums/main/rows.jsonl";
    assert_eq!(recorded[format!("commit of {file}")], commit(5));
    assert_eq!(manifest["definition"]["base"]["model"], "org/tiny");
    assert_eq!(
        manifest["definition"]["tasks"]["data"]["sums"]["path"],
        file
    );
    let inputs = read_json(&bench.path("out/inputs.json"));
    assert_eq!(inputs["hub"]["org/tiny"], commit(1));
    let found = run("found", &["--dry-run"]).done().stdout;
    assert!(
        found.contains("60 rows") || found.contains("rows to train on"),
        "{found}"
    );

    // Main moves, and somebody else brings that into the cache.
    answering(&bench.path("local"), 1.0);
    hub.push("org/tiny", &commit(2), &bench.path("local"));
    std::fs::remove_file(folder(&bench).join("refs/main")).unwrap();
    inspect(&bench, &hub, "org/tiny").done();
    assert_eq!(text(&folder(&bench).join("refs/main")), commit(2));
    std::fs::remove_file(bench.path("out/manifest.json")).unwrap();
    std::fs::remove_dir_all(bench.path("out/arms/sft")).unwrap();
    let resumed = run("out", &["--resume"]).done();
    let said = format!(
        "is {} by now; the run goes on with {}",
        commit(2),
        commit(1)
    );
    assert!(resumed.stderr.contains(&said), "{}", resumed.stderr);
    let again = read_json(&bench.path("out/manifest.json"));
    assert_eq!(again["arm_runs"], manifest["arm_runs"]);
    // A cache that was emptied is filled with the commit that the run began with.
    std::fs::remove_dir_all(folder(&bench)).unwrap();
    std::fs::remove_file(bench.path("out/manifest.json")).unwrap();
    run("out", &["--resume"]).done();
    assert!(!folder(&bench).join("refs").exists());
    let third = read_json(&bench.path("out/manifest.json"));
    assert_eq!(third["arm_runs"], manifest["arm_runs"]);
    // A folder of that name is another model.
    std::fs::create_dir_all(bench.path("org/tiny")).unwrap();
    let words = ["base.model = \"org/tiny\" was a name on the hub", "--out"];
    assert_refused(&run("out", &["--resume"]), &words);
    std::fs::remove_dir_all(bench.path("org")).unwrap();
    run("new", &[]).done();
    let other = read_json(&bench.path("new/manifest.json"));
    assert_eq!(other["environment"]["commit of org/tiny"], commit(2));
    let started = |manifest: &Value| manifest["arm_runs"][0]["initial_weights"].clone();
    assert_ne!(started(&other), started(&manifest));
}

#[test]
fn an_evaluation_names_its_models_and_data_files() {
    let (bench, hub) = setting();
    hub.push_file("org/sums", &commit(5), "rows.jsonl", rows(8).as_bytes());
    let arguments = [
        "evaluate",
        "--model",
        "org/tiny",
        "--data",
        "sums=hf://datasets/org/sums/rows.jsonl",
        "--max-new-tokens",
        "8",
        "--device",
        "cpu",
        "--out",
        "out",
    ];
    qinglan(&bench, &hub, &arguments).done();
    let manifest = read_json(&bench.path("out/manifest.json"));
    assert_eq!(manifest["arms"][0]["name"], "tiny");
    let model = &manifest["definition"]["source"]["models"][0];
    assert_eq!(model["hub"], format!("org/tiny@{}", commit(1)));
    let environment = &manifest["environment"];
    let file = "hf://datasets/org/sums/rows.jsonl";
    assert_eq!(environment[format!("commit of {file}")], commit(5));
    // A name that has moved is another evaluation, and its commit brings back the first.
    hub.asked();
    let again = qinglan(&bench, &hub, &[&arguments[..], &["--resume"]].concat());
    again.done();
    assert!(hub.asked().is_empty());
}

#[test]
fn a_sweep_settles_its_names_once() {
    let (bench, hub) = setting();
    hub.push_file(
        "org/sums",
        &commit(5),
        "main/rows.jsonl",
        rows(60).as_bytes(),
    );
    let sweep = |more: &[&str]| {
        let start = [
            "sweep",
            "tiny.toml",
            "--out",
            "sweep",
            "--devices",
            "cpu",
            "--seeds",
            "1,2",
        ];
        qinglan(&bench, &hub, &[&start[..], more].concat())
    };
    let dry = sweep(&["--dry-run"]).done();
    assert!(dry.stderr.contains("would be downloaded"), "{}", dry.stderr);
    assert!(hub.asked().is_empty());
    sweep(&["--jobs", "1"]).done();
    let plan = read_json(&bench.path("sweep/sweep.json"));
    assert_eq!(plan["hub"]["org/tiny"], commit(1));
    std::fs::write(folder(&bench).join("refs/main"), commit(2)).unwrap();
    let run = bench.path("sweep/jobs/seed-2");
    std::fs::remove_dir_all(&run).unwrap();
    sweep(&["--jobs", "1", "--resume"]).done();
    let manifest = read_json(&run.join("manifest.json"));
    assert_eq!(manifest["environment"]["commit of org/tiny"], commit(1));
}
