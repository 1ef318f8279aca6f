//! Data sets to imitate, from outside: what they may be, what they become, and
//! what is wrong with them named before anything is trained.

use std::path::Path;

use crate::support::{Bench, Ended, TINY, finished, json, text};

/// How a model of the lab could be talked to.
const TEMPLATE: &str = "{{ bos_token }}{% for m in messages %}\
    {% if m.role == 'system' %}{{ raise_exception('there is no system here') }}{% endif %}\
    {% if m.role == 'assistant' %}{% generation %}{{ m.content + ' <eos>' }}{% endgeneration %}\
    {% else %}{{ m.content + ' ' }}{% endif %}{% endfor %}";

/// A base that is there, in `folder`, with one imitating arm.
fn definition(base: &str, traces: &str) -> String {
    let part = |from: &str, to: &str| {
        let (start, end) = (TINY.find(from).unwrap(), TINY.find(to).unwrap());
        &TINY[start..end]
    };
    format!(
        "{}{base}\n[teacher.traces]\n{traces}\n\n{}",
        part("[experiment]", "[base.shape]"),
        part("[rollout]", "[arm.grpo]"),
    )
}

fn pretrained() -> &'static str {
    &TINY[TINY.find("[base.shape]").unwrap()..TINY.find("[teacher]").unwrap()]
}

/// A bench with a model in `model`, which has that chat template.
fn talking(template: &str, traces: &str) -> Bench {
    let bench = Bench::new(&definition("[base]\nmodel = \"model\"\n", traces));
    let model = finished().run.join("arms/grpo/seed-1/model");
    std::fs::create_dir(bench.path("model")).unwrap();
    for entry in std::fs::read_dir(model).unwrap() {
        let path = entry.unwrap().path();
        let copy = bench.path("model").join(path.file_name().unwrap());
        std::fs::copy(&path, copy).unwrap();
    }
    bench.write("model/chat_template.jinja", template);
    bench
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
}

/// Both a dry run and one in earnest are refused, and nothing is left.
fn assert_run_refused(bench: &Bench, words: &[&str]) {
    assert_refused_with(bench, &[], words);
}

/// The same of a definition with something set.
fn assert_refused_with(bench: &Bench, set: &[&str], words: &[&str]) {
    for more in [set, &[set, &["--dry-run"]].concat()] {
        assert_refused(&bench.run("run", more), words);
        assert!(!bench.path("run").exists());
    }
}

fn conversation(role: &str, question: &str, answer: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"{role}","content":"{question}"}},{{"role":"assistant","content":"{answer}"}}]}}"#
    )
}

#[test]
fn what_the_assistant_wrote_is_trained_and_rows_too_long_are_left_out() {
    let traces = "file = \"talk.jsonl\"\nheld_out = 2\nassistant_only_loss = true\nmax_length = 12";
    let bench = talking(TEMPLATE, traces);
    let mut lines = vec![conversation("user", "A+3= what", "D"); 10];
    lines[4] = conversation("user", "A+3= what", "A 1 B 2 C 3 D A 1 B 2 C 3 D");
    bench.write("talk.jsonl", &lines.join("\n"));
    let run = bench.run("run", &[]).done();
    assert!(
        run.stderr
            .contains("1 of 10 rows are longer than teacher.traces.max_length = 12")
            && run.stderr.contains("left out: 5"),
        "{}",
        run.stderr
    );
    let metrics = text(&bench.path("run/arms/sft/seed-1/metrics.jsonl"));
    let last = metrics.lines().last().unwrap();
    assert!(metrics.contains("validation/loss"), "{last}");
    assert!(json(&bench.path("run/manifest.json"))["arms"].is_array());
}

#[test]
fn a_conversation_that_the_model_cannot_have_is_refused() {
    let traces = "file = \"talk.jsonl\"\nassistant_only_loss = true";
    let bench = talking(TEMPLATE, traces);
    let good = conversation("user", "A+3= what", "D");
    let other = conversation("system", "A+3= what", "D");
    bench.write("talk.jsonl", &format!("{good}\n{other}\n"));
    assert_run_refused(&bench, &["talk.jsonl, line 2", "there is no system here"]);
    let silent = r#"{"messages":[{"role":"user","content":"A+3= what"}]}"#;
    bench.write("talk.jsonl", &format!("{good}\n{silent}\n"));
    assert_run_refused(&bench, &["talk.jsonl, line 2", "assistant_only_loss"]);
    let unmarked = talking("{{ messages[0].content }}", traces);
    unmarked.write("talk.jsonl", &good);
    let words = [
        "teacher.traces.assistant_only_loss",
        "{% generation %}",
        "chat_template.jinja",
    ];
    assert_run_refused(&unmarked, &words);
}

#[test]
fn a_data_set_and_its_settings_must_go_together() {
    let strings = r#"{"prompt":"A+3= what","completion":"D"}"#;
    let held_out = r#"{"prompt":"A+3= what","completion":"D","held_out":true}"#;
    let whole = r#"{"text":"A+3= D"}"#;
    let turns = conversation("user", "A+3= what", "D");
    for (traces, line, words) in [
        (
            "",
            &*turns,
            &["chat template", "\"prompt\" and \"completion\""][..],
        ),
        (
            "assistant_only_loss = true",
            strings,
            &["assistant_only_loss"],
        ),
        (
            "completion_only_loss = true",
            whole,
            &["completion_only_loss"],
        ),
        (
            "max_length = 4",
            strings,
            &["line 1", "leaves no room", "max_length = 4"],
        ),
        (
            "max_length = 5000",
            strings,
            &["max_length = 5000", "context holds 160"],
        ),
        ("", held_out, &["every row", "held out"]),
        ("max_length = 1", strings, &["max_length = 1", "two tokens"]),
        (
            "max_length = 7",
            strings,
            &["max_length = 7", "nothing is left to imitate"],
        ),
    ] {
        let traces = format!("file = \"rows.jsonl\"\n{traces}");
        let bench = Bench::new(&definition(pretrained(), &traces));
        bench.write("rows.jsonl", line);
        assert_run_refused(&bench, words);
    }
}

#[test]
fn a_parquet_file_is_named_with_what_is_wrong_in_it() {
    let bench = Bench::new(&definition(pretrained(), "file = \"rows.parquet\""));
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demonstrations");
    let whole = std::fs::read(data.join("turns.parquet")).unwrap();
    std::fs::write(bench.path("rows.parquet"), &whole[..whole.len() - 9]).unwrap();
    assert_run_refused(&bench, &["rows.parquet", "no whole Parquet file"]);
    std::fs::write(bench.path("rows.parquet"), &whole).unwrap();
    assert_run_refused(&bench, &["rows.parquet", "no chat template"]);
    std::fs::copy(data.join("messages.parquet"), bench.path("rows.parquet")).unwrap();
    assert_run_refused(&bench, &["rows.parquet, row 1", "\"weight\""]);
}

/// Of the assistant's turns what follows the reasoning, and two roles.
const STRIPS: &str = "{% for m in messages %}\
    {% if m.role == 'user' %}{{ m.content + ' ' }}{% endif %}\
    {% if m.role == 'assistant' %}{{ m.content.split('</think>')[-1] + ' <eos>' }}{% endif %}{% endfor %}";

#[test]
fn reasoning_that_the_chat_template_leaves_out_is_not_trained_away() {
    let bench = talking(STRIPS, "file = \"talk.jsonl\"");
    let thought = "<think> A 1 B 2 C 3 D </think> D";
    let turns = |answer: &str| {
        format!(
            r#"{{"prompt":[{{"role":"user","content":"A+3= what"}}],"completion":[{{"role":"assistant","content":"{answer}"}}]}}"#
        )
    };
    let words = [
        "talk.jsonl: of 1 of 2 rows the template leaves out part of what the assistant wrote",
        "the model would imitate answers without reasoning",
        "chat_template.jinja",
    ];
    for (plain, row) in [
        (turns("D"), turns(thought)),
        (turns("D"), turns("<think> A 1 B 2 C 3 D </think>")),
        (
            conversation("user", "A+3= what", "D"),
            conversation("user", "A+3= what", thought),
        ),
    ] {
        bench.write("talk.jsonl", &format!("{plain}\n{row}\n"));
        assert_run_refused(&bench, &words);
    }
    // With a template that keeps it, the same row is taken.
    bench.write("model/chat_template.jinja", TEMPLATE);
    bench.run("run", &["--dry-run"]).done();
}

#[test]
fn turns_that_the_chat_template_leaves_out_are_told_by_role() {
    let bench = talking(STRIPS, "file = \"talk.jsonl\"");
    let plain = conversation("user", "A+3= what", "D");
    for role in ["developer", "system", "tool"] {
        let row = plain.replacen(
            "[{",
            &format!(r#"[{{"role":"{role}","content":"true"}},{{"#),
            1,
        );
        bench.write("talk.jsonl", &format!("{plain}\n{row}\n{row}\n"));
        let told = bench.run("run", &["--dry-run"]).done().stderr;
        let words = format!("of 2 of 3 rows the template leaves out what `{role}` says");
        assert!(told.contains(&words) && told.contains(": 2, 3"), "{told}");
    }
}

#[test]
fn pictures_and_sound_are_refused_by_the_name_of_their_column() {
    let bench = Bench::new(&definition(pretrained(), "file = \"rows.jsonl\""));
    let good = r#"{"prompt":"A+3= what","completion":"D","images":[]}"#;
    let bad = r#"{"prompt":"A+3= what","completion":"D","audio":["boat.wav"]}"#;
    bench.write("rows.jsonl", &format!("{good}\n{bad}\n"));
    assert_run_refused(&bench, &["rows.jsonl, line 2", "\"audio\"", "sound"]);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/columns");
    let bench = Bench::new(&definition(pretrained(), "file = \"rows.parquet\""));
    std::fs::copy(data.join("pictures.parquet"), bench.path("rows.parquet")).unwrap();
    assert_run_refused(&bench, &["rows.parquet", "\"image\"", "pictures"]);
}

#[test]
fn a_warm_up_and_a_length_that_are_never_reached_are_refused_by_key() {
    let bench = Bench::new(TINY);
    for (set, words) in [
        (
            "arm.sft.training.warmup_steps=21",
            &["arm.sft.training.warmup_steps = 21", "steps = 20"][..],
        ),
        (
            "base.pretraining.training.steps=9",
            &["base.pretraining.training.warmup_steps = 10"],
        ),
        (
            "arm.grpo.reward.late={ is = \"overlong\", max_tokens = 41, cache = 4 }",
            &[
                "arm.grpo.reward.late.max_tokens = 41",
                "rollout.max_new_tokens = 40",
            ],
        ),
    ] {
        assert_refused_with(&bench, &["--set", set], words);
    }
}
