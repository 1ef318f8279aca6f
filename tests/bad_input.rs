//! What the user can get wrong: one error that names the file, the line or the
//! field, exit code 2, and nothing left that looks whole.

use std::process::Command;

use crate::support::{Bench, Ended, TINY, files_below, final_weights, finished, text};

/// Checks that a process refused its input in one error holding all `words`.
fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_failed(ended, 2, words);
}

fn assert_failed(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.stderr);
    let errors = ended
        .stderr
        .lines()
        .filter(|line| line.starts_with("error:"));
    assert_eq!(errors.count(), 1, "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
    assert_eq!(ended.stdout, "");
}

/// Runs a changed definition, dry and in earnest; both must be refused with all
/// `words`, and no run directory may appear.
fn assert_definition_refused(from: &str, to: &str, words: &[&str]) {
    assert!(TINY.contains(from), "{from}");
    let bench = Bench::new(&TINY.replacen(from, to, 1));
    assert_run_refused(&bench, words);
}

fn assert_run_refused(bench: &Bench, words: &[&str]) {
    for more in [&["--dry-run"][..], &[]] {
        assert_refused(&bench.run("run", more), words);
        assert!(!bench.path("run").exists());
        assert!(!bench.path("cache").exists());
    }
}

fn line_of(text: &str, part: &str) -> String {
    let before = &text[..text.find(part).unwrap()];
    format!("line {}", before.matches('\n').count() + 1)
}

#[test]
fn a_misspelt_key_is_named_with_its_line() {
    for (from, to) in [
        ("num_generations = 4", "num_generation = 4"),
        ("validation_problems", "validation_problem"),
        ("kv_heads", "kv_head"),
        ("only_correct", "only_corect"),
    ] {
        let definition = TINY.replacen(from, to, 1);
        let line = line_of(&definition, to);
        let bench = Bench::new(&definition);
        assert_run_refused(&bench, &["tiny.toml", to.split(' ').next().unwrap(), &line]);
    }
}

#[test]
fn unknown_names_come_with_near_ones() {
    assert_definition_refused(
        "names = [\"alphabet_arithmetic\"]",
        "names = [\"alfabet_arithmetic\"]",
        &[
            "tiny.toml",
            "tasks.names",
            "did you mean `alphabet_arithmetic`",
        ],
    );
    assert_definition_refused(
        "length_cost = 0.1",
        "lenght_cost = 0.1",
        &["tiny.toml", "teacher.reward", "did you mean `length_cost`"],
    );
    assert_definition_refused(
        "algorithm.sft",
        "algorithm.stf",
        &["tiny.toml", "line", "stf", "`sft`", "`grpo`"],
    );
}

#[test]
fn adapters_that_the_model_cannot_have_are_refused() {
    for (keys, words) in [
        (
            "r = 2, alpha = 4.0, dropout = 1.5",
            "arm.sft.lora.dropout = 1.5",
        ),
        (
            "r = 2, alpha = 4.0, target_modules = \"linear\"",
            "arm.sft.lora.target_modules = \"linear\": write \"all-linear\"",
        ),
        (
            "r = 2, alpha = 4.0, target_modules = [\"q_proj\", \"fc1\"]",
            "arm.sft.lora.target_modules holds \"fc1\"; the matrices of a layer of llama are q_proj",
        ),
        ("dora = true", "missing field `r`"),
    ] {
        let from = "[arm.sft]\n";
        assert_definition_refused(from, &format!("{from}lora = {{ {keys} }}\n"), &[words]);
    }
}

#[test]
fn points_of_evaluation_that_mean_nothing_are_refused() {
    let from = "[evaluation]\nsamples = 1\n";
    for (keys, words) in [
        ("at = []", &["evaluation.at is empty"][..]),
        ("at = [0, 10, 0]", &["evaluation.at names 0 twice"]),
        (
            "at = [41]",
            &["evaluation.at names update 41", "more than 40"],
        ),
        ("at_samples = 1", &["evaluation.at_samples", "without at"]),
        (
            "at = [0]\nat_samples = 2",
            &["evaluation.at_samples = 2", "samples = 1"],
        ),
        (
            "at = { tokens = 0, shares = [1] }",
            &["evaluation.at.tokens = 0", "above 0"],
        ),
        (
            "at = { flops = 1e9, shares = [1.5] }",
            &["evaluation.at.shares holds 1.5"],
        ),
        ("at = { shares = [1] }", &["evaluation.at needs one budget"]),
        ("at = [0, \"last\"]", &["line", "\"last\"", "\"end\""]),
    ] {
        let words = [&["tiny.toml"], words].concat();
        assert_definition_refused(from, &format!("{from}{keys}\n"), &words);
    }
}

#[test]
fn a_definition_must_say_each_thing_once() {
    assert_definition_refused("[base.shape]", "[basis.shape]", &["tiny.toml", "basis"]);
    let start = TINY.find("[base.shape]").unwrap();
    let end = TINY.find("[teacher]").unwrap();
    let bench = Bench::new(&format!("{}{}", &TINY[..start], &TINY[end..]));
    assert_run_refused(&bench, &["tiny.toml", "missing field `base`"]);
    let twice = TINY.replace("[arm.grpo]", "[arm.sft]");
    let line = format!(
        "line {}",
        twice[..twice.rfind("[arm.sft]").unwrap()].lines().count() + 1
    );
    let bench = Bench::new(&twice);
    assert_run_refused(&bench, &["tiny.toml", "duplicate key", &line]);
    assert_definition_refused("[arm.grpo]", "[arm.base]", &["arm.base", "another name"]);
}

#[test]
fn a_definition_that_is_not_there_is_named() {
    let bench = Bench::new(TINY);
    let ended = bench.qinglan(&["run", "nowhere.toml"]);
    assert_refused(&ended, &["nowhere.toml", "No such file"]);
    assert!(!bench.path("runs").exists());
}

const ITEMS: &str = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy
alphabet_arithmetic,A+1=B,A+1=B,true,true/addend=1,78,1754.3,7.34556,0.9882
alphabet_arithmetic,A+1=A,A+1=A,false,false/addend=1,83,1555.2,7.23005,0.9911
";

#[test]
fn norms_are_checked_row_by_row_before_anything_is_trained() {
    let with_norms = TINY.replace("norms = \"builtin\"", "norms = \"people\"");
    let bench = Bench::new(&with_norms);
    assert_run_refused(&bench, &["tasks.norms", "people"]);
    bench.write("people/items.csv", &ITEMS.replace("mean_log_rt", "log_rt"));
    assert_run_refused(&bench, &["items.csv", "line 1", "`mean_log_rt`"]);
    bench.write("people/items.csv", &ITEMS.replace("1555.2", "quick"));
    assert_run_refused(&bench, &["items.csv", "line 3", "`mean_rt_ms`", "quick"]);
    bench.write(
        "people/items.csv",
        &ITEMS.replace("A+1=B,A+1=B", "A+1=B,A plus one"),
    );
    assert_run_refused(&bench, &["tasks.norms", "A+1=B", "vocabulary"]);
    bench.write("people/items.csv", ITEMS);
    let trials = "task,item_id,subject,rt_ms,correct,repeat\n\
                  alphabet_arithmetic,A+1=B,7,1800,1,0\n\
                  alphabet_arithmetic,A+1=Z,7,1900,1,0\n";
    bench.write("people/trials.csv", trials);
    assert_run_refused(&bench, &["trials.csv", "line 3", "`A+1=Z`"]);
    let other = with_norms.replace("\"alphabet_arithmetic\"", "\"addition_word\"");
    let bench = Bench::new(&other);
    bench.write("people/items.csv", ITEMS);
    assert_run_refused(&bench, &["addition_word", "alphabet_arithmetic"]);
}

#[test]
fn a_recording_is_checked_line_by_line_before_anything_is_trained() {
    let start = TINY.find("[teacher]").unwrap();
    let end = TINY.find("[rollout]").unwrap();
    let teacher = "[teacher.traces]\nfile = \"recorded.jsonl\"\nheld_out = 1\n\n";
    let bench = Bench::new(&format!("{}{teacher}{}", &TINY[..start], &TINY[end..]));
    assert_run_refused(&bench, &["recorded.jsonl", "No such file"]);
    let good = r#"{"prompt":"A+3= what","completion":"<think> A 1 B 2 C 3 D </think> D"}"#;
    for (third, words) in [
        (r#"{"prompt":"A+3= what","#, &["JSON object"][..]),
        (r#"{"prompt":"A+3= what"}"#, &["completion"]),
        (
            r#"{"prompt":"A+3= what","completion":" "}"#,
            &["completion is empty"],
        ),
        (
            r#"{"prompt":"A+3= what","completion":"Dee"}"#,
            &["Dee", "vocabulary"],
        ),
    ] {
        bench.write("recorded.jsonl", &format!("{good}\n\n{third}\n{good}\n"));
        let words = [&["recorded.jsonl", "line 3"], words].concat();
        assert_run_refused(&bench, &words);
    }
    bench.write("recorded.jsonl", &format!("{good}\n"));
    assert_run_refused(&bench, &["recorded.jsonl", "teacher.traces.held_out = 1"]);
    bench.write("recorded.jsonl", "\n");
    assert_run_refused(&bench, &["recorded.jsonl", "no traces"]);
}

#[test]
fn a_folder_that_holds_something_else_is_left_alone() {
    let finished = finished();
    let bench = finished.copy();
    let before = files_below(&bench.path("run"));
    let same = bench.run("run", &[]);
    assert_refused(&same, &["run holds this run already", "--resume", "--out"]);
    for more in [
        &["--set", "arm.sft.training.steps=9"][..],
        &["--resume", "--seeds", "3"],
    ] {
        let other = bench.run("run", more);
        assert_refused(&other, &["run holds a run of another definition", "--out"]);
    }
    bench.write("thesis/chapter.txt", "words");
    for more in [&[][..], &["--resume"], &["--dry-run"]] {
        let occupied = bench.run("thesis", more);
        assert_refused(
            &occupied,
            &["thesis is not empty and holds no run", "--out"],
        );
    }
    let thesis = files_below(&bench.path("thesis"));
    assert_eq!(thesis, [std::path::Path::new("chapter.txt")]);
    assert_eq!(before, files_below(&bench.path("run")));
    assert_eq!(
        final_weights(&bench.path("run")),
        final_weights(&finished.run)
    );
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let bench = Bench::new(TINY);
    bench.write("file", "not a folder");
    let ended = bench.run("file/run", &[]);
    assert_refused(&ended, &["file/run", "--out"]);
    // Room is not what lacks.
    assert!(!ended.stderr.contains("room"), "{}", ended.stderr);
    assert_eq!(text(&bench.path("file")), "not a folder");
    assert!(!bench.path("cache").exists());
}

#[test]
fn only_finished_runs_are_compared() {
    let bench = finished().copy();
    std::fs::remove_file(bench.path("run/manifest.json")).unwrap();
    bench.write("thesis/chapter.txt", "words");
    let unfinished = bench.qinglan(&["report", "run"]);
    assert_refused(
        &unfinished,
        &["run has no manifest.json", "not finished", "--resume"],
    );
    for verb in ["compare", "report"] {
        let no_run = bench.qinglan(&[verb, "thesis"]);
        assert_refused(
            &no_run,
            &["thesis has no manifest.json", "not a run directory"],
        );
        assert_refused(&bench.qinglan(&[verb, "nowhere"]), &["nowhere"]);
    }
    let twice = finished().qinglan(&["compare", "run", "run"]);
    assert_refused(&twice, &["run is given twice", "once"]);
    let bench = finished().copy();
    let other = finished().copy();
    let elsewhere = bench.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    std::fs::rename(other.path("run"), elsewhere.join("run")).unwrap();
    let alike = bench.qinglan(&["compare", "run", "elsewhere/run"]);
    assert_refused(&alike, &["two of the runs are called run", "rename"]);
}

#[test]
fn a_file_changed_after_the_run_is_named() {
    for name in [
        "items.json",
        "arms/grpo/seed-2/traces.parquet",
        "arms/sft/seed-1/metrics.jsonl",
    ] {
        let bench = finished().copy();
        let path = bench.path("run").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_refused(&bench.qinglan(&["report", "run"]), &[name, "hash"]);
        for _ in ["changed", "missing"] {
            let compared = bench.qinglan(&["compare", "run"]);
            if name == "items.json" {
                assert_refused(&compared, &[name]);
            } else {
                // What is whole is compared, and the rest said to be left out.
                let told = compared.done().stdout;
                assert!(told.contains("everything could be read"), "{told}");
                let strict = bench.qinglan(&["compare", "run", "--strict"]);
                assert_refused(&strict, &[name, "left out"]);
            }
            let _ = std::fs::remove_file(&path);
        }
    }
    let bench = finished().copy();
    let manifest = text(&bench.path("run/manifest.json"));
    bench.write("run/manifest.json", &manifest[..manifest.len() / 2]);
    assert_refused(
        &bench.qinglan(&["compare", "run"]),
        &["manifest.json", "damaged"],
    );
}

#[test]
fn a_device_that_is_not_there_is_refused_with_the_reason() {
    let bench = Bench::new(TINY);
    let doctor = bench.qinglan(&["doctor"]).done().stdout;
    let cuda = doctor
        .lines()
        .find(|line| line.trim_start().starts_with("cuda"));
    let device = |name| bench.qinglan(&["run", "tiny.toml", "--out", "run", "--device", name]);
    assert_refused(&device("gpu"), &["gpu", "cuda:N"]);
    if cuda.is_some_and(|line| line.contains("none:")) {
        assert_refused(&device("cuda"), &["--device cuda", "--device cpu"]);
    } else {
        assert_refused(&device("cuda:4096"), &["cuda:4096"]);
    }
    assert!(!bench.path("run").exists());
}

#[test]
fn arguments_that_mean_nothing_are_refused() {
    let bench = Bench::new(TINY);
    assert_refused(&bench.run("run", &["--seeds", "one"]), &["--seeds", "one"]);
    assert_refused(
        &bench.run("run", &["--seeds", "1,1"]),
        &["experiment.seeds", "1 twice"],
    );
    assert_refused(
        &bench.run("run", &["--set", "steps"]),
        &["--set steps", "key=value"],
    );
    assert_refused(&bench.run("run", &["--set", "arm.sft.steps=3"]), &["steps"]);
    assert_refused(
        &bench.qinglan(&["compare", "run", "--format", "pdf"]),
        &["pdf", "latex"],
    );
    assert!(!bench.path("run").exists());
}

/// Goes on with a run in a process whose files may hold `blocks` of 512 bytes:
/// a write beyond that fails much as it does on a full disk.
pub(crate) fn run_with_little_room(bench: &Bench, blocks: u64) -> Ended {
    let command = bench.command(&[
        "run",
        "tiny.toml",
        "--out",
        "run",
        "--device",
        "cpu",
        "--resume",
    ]);
    // In POSIX mode every shell counts in blocks of 512 bytes.
    let limit = format!("ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &limit])
        .arg(command.get_program())
        .args(command.get_args())
        .current_dir(bench.path(""));
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    Ended::of(shell.output().unwrap())
}

#[test]
fn a_disk_that_fills_stops_the_run_and_room_lets_it_go_on() {
    let finished = finished();
    let bench = Bench::new(TINY);
    bench.with_cache_of(finished);
    // Enough for the records of a base and for weights, too little for an
    // optimizer's moments.
    let ended = run_with_little_room(&bench, 150);
    assert_failed(&ended, 1, &["run/", "checkpoint-", "--resume", "ulimit -f"]);
    // Enough for all but the report, the largest file of all.
    let report = finished.run.join("report.html").metadata().unwrap();
    let ended = run_with_little_room(&bench, report.len() / 512 - 8);
    assert_failed(&ended, 1, &["run/report.html", "ulimit -f"]);
    for name in files_below(&bench.path("run")) {
        // An event file is named after the time.
        let timed = name.to_string_lossy().contains("/events.out.tfevents.");
        let whole = timed || finished.run.join(&name).exists();
        assert!(whole, "{} is left", name.display());
    }
    assert!(!bench.path("run/manifest.json").exists());
    assert_refused(&bench.qinglan(&["report", "run"]), &["not finished"]);
    bench.run("run", &["--resume"]).done();
    assert_eq!(
        final_weights(&bench.path("run")),
        final_weights(&finished.run)
    );
}
