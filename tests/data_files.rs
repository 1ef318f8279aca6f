//! Files of data as other programs write them: byte order marks, UTF-16, numbers
//! of every type, names of columns in another case, and broken Parquet.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{Bench, Ended, TINY, finished};

const MARK: &str = "\u{feff}";

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data/columns")
        .join(name)
}

fn assert_refused(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} in {}", ended.stderr);
    }
}

/// A definition of one arm that imitates the file.
fn imitating(base: &str, file: &str) -> String {
    let arm = &TINY[..TINY.find("[arm.grpo]").unwrap()];
    let from = TINY.find("[base.shape]").unwrap();
    let teacher = TINY.find("[teacher]").unwrap();
    let rest = TINY.find("[rollout]").unwrap();
    let base = match base {
        "" => &TINY[from..teacher],
        base => base,
    };
    format!(
        "{}{base}\n[teacher.traces]\nfile = \"{file}\"\n\n{}",
        &TINY[..from],
        &arm[rest..]
    )
}

const TRACE: &str = r#"{"prompt":"A+3= what","completion":"D"}"#;
const RECORD: &str = r#"{"model":"a","task":"t","item_id":"0","sample":0,"prompt_tokens":6,"reasoning_tokens":0,"completion_tokens":20,"correct":true,"truncated":false}"#;
const COMPLETION: &str = r#"{"prompt":"3 + 4?","completion":"7","answer":"7","tokens":2}"#;
const ITEM: &str = r#"{"id":"a","prompt":"1 + 1?","answer":"2","rt_ms":900}"#;
const ITEMS: &str = "task,item_id,prompt,answer,condition,n,mean_rt_ms,mean_log_rt,accuracy\n\
                     t,007,1 + 1?,2.0,,,900,,1\n";

/// Every command that reads a file of data, with what it is called there.
const READERS: [(&str, &str, &[&str]); 5] = [
    (
        "rows.jsonl",
        TRACE,
        &[
            "run",
            "tiny.toml",
            "--out",
            "run",
            "--device",
            "cpu",
            "--dry-run",
        ],
    ),
    ("items.jsonl", ITEM, &["norms", "describe", "items.jsonl"]),
    ("norms/items.csv", ITEMS, &["norms", "describe", "norms"]),
    (
        "traces.jsonl",
        RECORD,
        &["evaluate", "--traces", "traces.jsonl", "--out", "out"],
    ),
    (
        "given.jsonl",
        COMPLETION,
        &[
            "rewards",
            "check",
            "reward.toml",
            "--completions",
            "given.jsonl",
        ],
    ),
];

fn bench() -> Bench {
    let bench = Bench::new(&imitating("", "rows.jsonl"));
    bench.write("rows.jsonl", TRACE);
    let grpo = format!(
        "{}{}",
        &TINY[..TINY.find("[arm.sft]").unwrap()],
        &TINY[TINY.find("[arm.grpo]").unwrap()..]
    );
    bench.write("reward.toml", &grpo);
    bench
}

#[test]
fn a_byte_order_mark_is_passed_over_in_every_file() {
    for (name, text, arguments) in READERS {
        let said = |written: &str| {
            let bench = bench();
            bench.write(name, written);
            let ended = bench.qinglan(arguments).done();
            assert!(!ended.stderr.contains("no records"), "{}", ended.stderr);
            match name {
                // Further down it says how long rewards took.
                "given.jsonl" => ended.stdout.lines().next().unwrap().to_owned(),
                _ => ended.stdout,
            }
        };
        assert_eq!(said(&format!("{MARK}{text}")), said(text), "{name}");
    }
    // Files that were joined, each with its mark.
    let joined = bench();
    joined.write("rows.jsonl", &format!("{MARK}{TRACE}\r\n{MARK}{TRACE}\r\n"));
    joined.qinglan(READERS[0].2).done();
    let bench = bench();
    let arguments = READERS[0].2;
    let plain = bench.qinglan(arguments).done().stdout;
    bench.write(
        "tiny.toml",
        &format!("{MARK}{}", imitating("", "rows.jsonl")),
    );
    assert_eq!(bench.qinglan(arguments).done().stdout, plain);
}

#[test]
fn a_model_folder_may_be_written_with_byte_order_marks() {
    let bench = Bench::new(&imitating("[base]\nmodel = \"model\"\n", "rows.jsonl"));
    bench.write("rows.jsonl", TRACE);
    let model = finished().run.join("arms/grpo/seed-1/model");
    fs::create_dir(bench.path("model")).unwrap();
    for entry in fs::read_dir(&model).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        fs::copy(&path, bench.path("model").join(name)).unwrap();
    }
    let sample = [
        "sample",
        "--model",
        "model",
        "--prompt",
        "A+3= what",
        "--temperature",
        "0",
        "--dtype",
        "float32",
    ];
    let sampled = |template: &str| {
        bench.write("model/chat_template.jinja", template);
        bench.qinglan(&sample).done().stdout
    };
    let template = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    let plain = sampled(template);
    for entry in fs::read_dir(&model).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = format!("{MARK}{}", fs::read_to_string(&path).unwrap());
            fs::write(bench.path("model").join(path.file_name().unwrap()), text).unwrap();
        }
    }
    assert_eq!(sampled(&format!("{MARK}{template}")), plain);
}

#[test]
fn utf_16_is_refused_by_its_name() {
    let utf16 = |text: &str| -> Vec<u8> {
        let units = MARK.encode_utf16().chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    for (name, text, arguments) in READERS {
        let bench = bench();
        fs::write(bench.write(name, ""), utf16(text)).unwrap();
        let ended = bench.qinglan(arguments);
        assert_refused(
            &ended,
            &[
                "UTF-16",
                "save it as UTF-8",
                name.rsplit('/').next().unwrap(),
            ],
        );
    }
    let bench = bench();
    fs::write(bench.path("tiny.toml"), utf16(TINY)).unwrap();
    assert_refused(&bench.qinglan(READERS[0].2), &["tiny.toml", "UTF-16"]);
}

#[test]
fn columns_in_another_case_or_twice_are_named() {
    for (file, from, to, words) in [
        (
            0,
            "\"completion\"",
            "\"Completion\"",
            &["line 1", "`Completion`", "`completion`"][..],
        ),
        (0, "}", ",\"Held_Out\":true}", &["`Held_Out`", "`held_out`"]),
        (
            0,
            "}",
            ",\"prompt\":\"x\"}",
            &["line 1", "\"prompt\" stands twice"],
        ),
        (
            1,
            "\"answer\"",
            "\"Answer\"",
            &["row 1", "`Answer`", "`answer`"],
        ),
        (
            1,
            "}",
            ",\"answer\":\"3\"}",
            &["row 1", "\"answer\" stands twice"],
        ),
        (
            2,
            "prompt",
            "Prompt",
            &["items.csv, line 1", "`Prompt`", "`prompt`"],
        ),
        (
            2,
            "condition",
            "answer",
            &["items.csv, line 1", "two columns are called `answer`"],
        ),
        (3, "}", ",\"Seed\":1}", &["line 1", "`Seed`", "`seed`"]),
        (3, "\"task\"", "\"Task\"", &["line 1", "`Task`", "`task`"]),
        (3, "}", ",\"task\":\"u\"}", &["task"]),
        (
            4,
            "\"answer\"",
            "\"Answer\"",
            &["line 1", "`Answer`", "`answer`"],
        ),
        (
            4,
            "}",
            ",\"tokens\":3}",
            &["line 1", "\"tokens\" stands twice"],
        ),
    ] {
        let (name, text, arguments) = READERS[file];
        let bench = bench();
        bench.write(name, &text.replacen(from, to, 1));
        assert_refused(&bench.qinglan(arguments), words);
    }
    let bench = Bench::new(&imitating("", "twice.parquet"));
    fs::copy(data("twice.parquet"), bench.path("twice.parquet")).unwrap();
    let words = ["twice.parquet", "two columns are called `prompt`"];
    assert_refused(&bench.qinglan(READERS[0].2), &words);
    assert_refused(
        &bench.qinglan(&[
            "rewards",
            "check",
            "tiny.toml",
            "--arm",
            "sft",
            "--completions",
            "twice.parquet",
        ]),
        &[],
    );
    assert_refused(
        &bench.qinglan(&["norms", "describe", "twice.parquet"]),
        &words,
    );
}

#[test]
fn numbers_are_those_that_a_person_reads() {
    let norms = experiments::norms::Norms::read(&data("norms.parquet"), &[]).unwrap();
    let items: Vec<(&str, &str, Option<f64>, Option<f64>)> = norms
        .items("norms")
        .iter()
        .map(|item| {
            (
                &*item.item_id,
                &*item.answer,
                item.mean_rt_ms,
                item.accuracy,
            )
        })
        .collect();
    assert_eq!(
        items,
        [
            ("9223372036854775809", "1.1", Some(900.1), Some(0.9)),
            ("2", "7", Some(1000.0), Some(1.0)),
        ]
    );
    let conditions = norms
        .items("norms")
        .iter()
        .map(|item| item.condition.as_deref());
    assert_eq!(conditions.collect::<Vec<_>>(), [Some("easy"), Some("hard")]);
    let records = experiments::record::read(&data("records.parquet")).unwrap();
    assert_eq!(
        (
            &*records[0].item_id,
            records[0].seed,
            records[0].completion_tokens
        ),
        ("17", Some(1), 20)
    );
    assert_eq!(records[0].answer.as_deref(), Some("1.1"));
    assert_eq!((records[1].seed, &records[1].answer), (None, &None));
    // A table that is all text keeps what its fields say.
    let bench = bench();
    bench.write("norms/items.csv", ITEMS);
    let norms = experiments::norms::Norms::read(&bench.path("norms"), &[]).unwrap();
    let item = &norms.items("t")[0];
    assert_eq!((&*item.item_id, &*item.answer), ("007", "2.0"));
    // A column of answers with gaps, and one of counts, come as floating-point numbers.
    bench.write(
        "given.jsonl",
        r#"{"prompt": "3 + 4?", "completion": "7", "answer": 7.0, "tokens": 2.0, "task": "t", "problem": 17}"#,
    );
    let mut arguments = READERS[4].2.to_vec();
    arguments.push("--json");
    let checked = bench.qinglan(&arguments).done().stdout;
    let checked: Vec<Value> = serde_json::Deserializer::from_str(&checked)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(!checked.is_empty());
}

#[test]
fn broken_parquet_is_one_error_and_no_panic() {
    let whole = fs::read(data("records.parquet")).unwrap();
    let norms = fs::read(data("norms.parquet")).unwrap();
    let footer_at = |file: &[u8]| {
        let length = file[file.len() - 8..file.len() - 4].try_into().unwrap();
        file.len() - 8 - u32::from_le_bytes(length) as usize
    };
    let pages = |file: &[u8]| {
        let mut broken = file.to_vec();
        broken[4..footer_at(file)].fill(0xff);
        broken
    };
    let footer = |file: &[u8]| {
        let mut broken = file.to_vec();
        let from = footer_at(file);
        for byte in &mut broken[from..from + 200] {
            *byte ^= 0x55;
        }
        broken
    };
    for broken in [
        pages(&whole),
        footer(&whole),
        whole[..whole.len() - 5].to_vec(),
    ] {
        let bench = bench();
        fs::write(bench.path("traces.parquet"), broken).unwrap();
        let ended = bench.qinglan(&["evaluate", "--traces", "traces.parquet", "--out", "out"]);
        assert_refused(&ended, &["traces.parquet"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    for broken in [
        pages(&norms),
        footer(&norms),
        norms[..norms.len() - 5].to_vec(),
    ] {
        let bench = bench();
        fs::write(bench.path("sums.parquet"), broken).unwrap();
        let ended = bench.qinglan(&["norms", "describe", "sums.parquet"]);
        assert_refused(&ended, &["sums.parquet"]);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}
