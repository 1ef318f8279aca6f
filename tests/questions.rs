//! Questions: asked before a run and sealed, added later and said to be, asked of
//! recordings; and recordings of many trainings beside the run that made them.

use std::path::Path;

use serde_json::{Value, json};

use crate::played::{Reply, Server, evaluate, norms};
use crate::support::{Bench, Ended, TINY, files_below, finished, json as read_json, text};

/// One question of a definition or of a file of questions.
pub(crate) fn question(name: &str, contrast: &str, direction: &str) -> String {
    format!("\n[[question]]\nname = {name:?}\ncontrast = {contrast:?}\ndirection = {direction:?}\n")
}

/// [`TINY`] with one seed and a few updates.
fn short() -> String {
    TINY.replace("seeds = [1, 2]", "seeds = [1]")
        .replace("training = { steps = 20 }", "training = { steps = 2 }")
        .replace("training = { steps = 40 }", "training = { steps = 2 }")
}

/// Name, direction and when of each question of a run or an evaluation.
fn asked(at: &Path) -> Vec<[String; 3]> {
    let manifest = read_json(&at.join("manifest.json"));
    let asked = manifest["questions"].as_array().cloned();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |asked: Value| {
        let question = &asked["question"];
        [
            word(&question["name"]),
            word(&question["direction"]),
            word(&asked["when"]),
        ]
    };
    asked.unwrap_or_default().into_iter().map(of).collect()
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word}: {}", ended.stderr);
    }
}

/// The marker of every stage of a run, as it stands.
fn markers(run: &Path) -> Vec<String> {
    let files = files_below(run).into_iter();
    let markers = files.filter(|file| file.ends_with("outcome.json"));
    markers.map(|file| text(&run.join(file))).collect()
}

#[test]
fn what_was_asked_before_a_run_stays_and_what_is_added_is_said_to_be() {
    let first = [short(), question("transfer", "sft - base", "below")].concat();
    let bench = Bench::new(&first);
    bench.with_cache_of(finished());
    bench.run("run", &[]).done();
    let run = bench.path("run");
    let sealed = text(&run.join("questions.json"));
    let written = read_json(&run.join("questions.json"));
    let time = written["written"].as_str().unwrap();
    assert!(time.len() == 20 && time.ends_with('Z'), "{time}");
    assert_eq!(written["questions"][0]["measure"], "elasticity");
    assert_eq!(asked(&run), [["transfer", "below", "before"]]);
    let manifest = read_json(&run.join("manifest.json"));
    assert!(manifest["files"]["questions.json"].is_string());

    // Another direction and one more: nothing is trained again.
    let trained = markers(&run);
    let edited = [
        short(),
        question("transfer", "sft - base", "above"),
        question("mastery", "grpo - base", "above"),
    ]
    .concat();
    bench.write("tiny.toml", &edited);
    bench.run("run", &["--resume", "--dry-run"]).done();
    bench.run("run", &["--resume"]).done();
    assert_eq!(markers(&run), trained);
    assert_eq!(text(&run.join("questions.json")), sealed);
    assert_eq!(text(&run.join("definition.toml")), first);
    let told = [
        ["transfer", "below", "before"],
        ["transfer", "above", "after"],
        ["mastery", "above", "after"],
    ];
    assert_eq!(asked(&run), told);
    let compared = bench.qinglan(&["compare", "run"]).done().joined();
    for label in ["preregistered", "added after the run"] {
        assert!(compared.contains(label), "{label}: {compared}");
    }
    // A question that is taken out was asked all the same.
    bench.write("tiny.toml", &short());
    bench.run("run", &["--resume"]).done();
    assert_eq!(asked(&run), told[..1]);
    // What is trained may not differ.
    bench.write("tiny.toml", &edited.replace("seed = 100", "seed = 101"));
    let other = bench.run("run", &["--resume"]);
    assert_refused(&other, &["holds a run of another definition"]);

    // What was asked before can be neither changed nor lost.
    bench.write("tiny.toml", &first);
    let changed = sealed.replace("\"below\"", "\"above\"");
    bench.write("run/questions.json", &changed);
    assert_refused(
        &bench.run("run", &["--resume"]),
        &["questions.json", "put it back"],
    );
    assert_refused(&bench.qinglan(&["report", "run"]), &["questions.json"]);
    std::fs::remove_file(run.join("questions.json")).unwrap();
    assert_refused(
        &bench.run("run", &["--resume"]),
        &["questions.json", "put it back"],
    );
    std::fs::remove_file(run.join("manifest.json")).unwrap();
    bench.run("run", &["--resume"]).done();
    assert_eq!(asked(&run), [["transfer", "below", "after"]]);
    assert!(!run.join("questions.json").exists());
}

#[test]
fn a_finished_run_is_asked_more_by_a_file() {
    let finished = finished();
    assert!(!finished.run.join("questions.json").exists());
    let bench = finished.copy();
    bench.write("more.toml", &question("mastery", "grpo - base", "above"));
    for verb in ["compare", "report"] {
        bench
            .qinglan(&[verb, "run", "--questions", "more.toml"])
            .done();
        bench.write("wrong.toml", &question("q", "grp - base", "above"));
        let refused = bench.qinglan(&[verb, "run", "--questions", "wrong.toml"]);
        assert_refused(
            &refused,
            &[
                "wrong.toml",
                "\"q\", contrast",
                "\"grp\"",
                "did you mean grpo?",
            ],
        );
        let absent = bench.qinglan(&[verb, "run", "--questions", "absent.toml"]);
        assert_refused(&absent, &["absent.toml"]);
    }
    // The run itself says what it said.
    assert_eq!(asked(&bench.path("run")), Vec::<[String; 3]>::new());
}

#[test]
fn runs_side_by_side_bring_their_questions_with_them() {
    let bench = finished().copy();
    let other = finished().copy();
    std::fs::rename(other.path("run"), bench.path("other")).unwrap();
    let text = [TINY, &question("transfer", "sft - base", "below")].concat();
    bench.write("tiny.toml", &text);
    bench.run("run", &["--resume"]).done();
    let across = question("across", "run/grpo - other/grpo", "equivalent");
    bench.write("more.toml", &across);
    let told = bench.qinglan(&[
        "compare",
        "run",
        "other",
        "--questions",
        "more.toml",
        "--format",
        "json",
    ]);
    let told: Value = serde_json::from_str(&told.done().stdout).unwrap();
    let answers = told["answers"].as_array().unwrap();
    let sides: Vec<_> = answers
        .iter()
        .map(|answer| (&answer["contrast"]["arm"], &answer["contrast"]["against"]))
        .collect();
    let (transfer, across) = (
        (&json!("run/sft"), &json!("run/base")),
        (&json!("run/grpo"), &json!("other/grpo")),
    );
    assert_eq!(sides, [transfer, across]);
    // One whose arm is not there any more is not passed over in silence.
    for seed in ["seed-1", "seed-2"] {
        let traces = format!("run/arms/sft/{seed}/traces.parquet");
        std::fs::remove_file(bench.path(&traces)).unwrap();
    }
    let told = bench.qinglan(&["compare", "run"]).done().joined();
    let note =
        "Questions about models that are not compared here have no answer: transfer (sft - base).";
    assert!(told.contains(note), "{told}");
}

#[test]
fn a_definition_whose_question_cannot_be_answered_is_refused_before_anything_runs() {
    let bench = Bench::new(&[short(), question("collapse", "sft - tacher", "below")].concat());
    for more in [&["--dry-run"][..], &[]] {
        let refused = bench.run("run", more);
        assert_refused(
            &refused,
            &["\"collapse\", contrast", "did you mean teacher?"],
        );
        assert!(!bench.path("run").exists());
    }
    bench.write(
        "tiny.toml",
        &[short(), question("collapse", "sft - teacher", "below")].concat(),
    );
    let told = bench.run("run", &["--dry-run"]).done().stdout;
    let line = "question collapse (family main): sft - teacher in ";
    assert!(told.contains(line), "{told}");
    assert!(
        told.contains("expected below, smallest effect of interest 0.1"),
        "{told}"
    );
    // A file is no place for a run.
    bench.write("taken", "");
    for more in [&["--dry-run"][..], &[]] {
        assert_refused(&bench.run("taken", more), &["taken is a file", "--out"]);
    }
}

/// Cards of one model and its base, with a question of the given direction.
fn cards(direction: &str) -> String {
    let models = "[[model]]\nname = \"served\"\nrole = \"student\"\nbase = \"base\"\n\
         [[model]]\nname = \"base\"\nrole = \"base\"\n";
    format!(
        "{models}{}",
        question("transfer", "served - base", direction)
    )
}

#[test]
fn a_server_is_asked_after_the_questions_are_written_down() {
    let bench = Bench::new(TINY);
    norms(&bench, 6);
    let server = Server::start(|prompt, _| Reply::answer(prompt));
    bench.write("cards.toml", &cards("below"));
    let more = ["--models", "cards.toml"];
    evaluate(&bench, &server, &more).done();
    let out = bench.path("out");
    assert_eq!(asked(&out), [["transfer", "below", "before"]]);
    let first = read_json(&out.join("evaluation.json"));
    assert_eq!(first["questions"]["questions"][0]["name"], "transfer");
    bench.write("cards.toml", &cards("above"));
    let resumed = [&more[..], &["--resume"]].concat();
    evaluate(&bench, &server, &resumed).done();
    let told = [
        ["transfer", "below", "before"],
        ["transfer", "above", "after"],
    ];
    assert_eq!(asked(&out), told);
    assert_eq!(read_json(&out.join("evaluation.json")), first);
    // Who would change what was asked is found out.
    let mut changed = first.clone();
    changed["questions"]["questions"][0]["direction"] = json!("above");
    bench.write("out/evaluation.json", &changed.to_string());
    let refused = evaluate(&bench, &server, &resumed);
    assert_refused(&refused, &["evaluation.json", "put it back"]);
    bench.write(
        "cards.toml",
        &cards("above").replace("served - base", "served - bose"),
    );
    let refused = evaluate(&bench, &server, &resumed);
    assert_refused(&refused, &["cards.toml", "did you mean base?"]);
}

#[test]
fn recordings_of_a_run_s_trainings_are_compared_as_the_run_is() {
    let finished = finished();
    let bench = finished.copy();
    let card = |name: &str, role: &str, of: &str| {
        format!("[[model]]\nname = \"{name}\"\nrole = \"{role}\"\n{of}")
    };
    let base = "base = \"base\"\n";
    let cards = [
        card("base", "base", ""),
        card("teacher", "teacher", ""),
        card("sft", "student", &format!("{base}teacher = \"teacher\"\n")),
        card("grpo", "rl", base),
        question("transfer", "sft - base", "below"),
    ]
    .concat();
    bench.write("cards.toml", &cards);
    let files = files_below(&bench.path("run")).into_iter();
    let traces: Vec<String> = files
        .filter(|file| file.ends_with("traces.parquet"))
        .map(|file| format!("run/{}", file.display()))
        .collect();
    // A teacher, and three arms of two seeds.
    assert_eq!(traces.len(), 7);
    let mut arguments = vec!["evaluate", "--models", "cards.toml", "--out", "out"];
    arguments.extend(traces.iter().flat_map(|path| ["--traces", path]));
    bench.qinglan(&arguments).done();
    assert_eq!(
        asked(&bench.path("out")),
        [["transfer", "below", "recorded"]]
    );
    let of_run = read_json(&finished.run.join("comparison.json"));
    let recorded = read_json(&bench.path("out/comparison.json"));
    for key in ["contrasts", "task_contrasts", "constant_answers", "further"] {
        assert_eq!(of_run[key], recorded[key], "{key}");
    }
    let arms = |comparison: &Value| {
        let mut arms = comparison["arms"].as_array().unwrap().clone();
        for arm in &mut arms {
            // Nobody recorded what the trainings cost, and what they were of.
            let arm = arm.as_object_mut().unwrap();
            arm.remove("budget");
            arm.remove("trained_on");
        }
        arms
    };
    assert_eq!(arms(&of_run), arms(&recorded));
    assert_eq!(of_run["arms"][2]["seeds"], json!([1, 2]));
}
