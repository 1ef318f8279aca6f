//! Round trips, and each way in which a file can be wrong.

use polars::prelude::{Column, DataFrame, ParquetWriter};

use super::*;

fn trace(sample: u32) -> Trace {
    Trace {
        model: "grpo".into(),
        seed: Some(u64::MAX),
        teacher: Some(11),
        task: "alphabet_arithmetic".into(),
        item_id: "A+3=D".into(),
        sample,
        prompt_tokens: 6,
        reasoning_tokens: 14,
        completion_tokens: 18,
        correct: Some(true),
        truncated: false,
        answer: Some("true".into()),
        completion: Some("<think> A 1 \"B\" 2\n </think> true \u{9752}".into()),
    }
}

fn some() -> Vec<Trace> {
    let bare = Trace {
        seed: None,
        teacher: None,
        correct: None,
        answer: None,
        completion: None,
        truncated: true,
        ..trace(1)
    };
    vec![trace(0), trace(1), bare]
}

fn error_of(name: &str, content: &str) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, content).expect("written");
    let message = read(&path).expect_err("refused").to_string();
    message.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn both_formats_round_trip() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["t.jsonl", "t.parquet"] {
        let path = folder.path().join(name);
        for traces in [some(), Vec::new()] {
            write(&path, &traces).expect("written");
            assert_eq!(read(&path).expect("read"), traces, "{name}");
        }
    }
    // Nothing but the two files is left.
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2);
}

#[test]
fn the_same_records_give_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = |name: &str| {
        let path = folder.path().join(name);
        write(&path, &some()).expect("written");
        fs::read(&path).expect("read")
    };
    assert_eq!(bytes("a.parquet"), bytes("b.parquet"));
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.jsonl");
    write(&path, &some()).expect("written");
    let failed = whole(&path, |file| {
        file.write_all(b"half a rec").expect("buffered");
        Err(RecordError::UnknownFormat { path: "t".into() })
    });
    assert!(failed.is_err());
    assert_eq!(read(&path).expect("still whole"), some());
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
}

#[test]
fn unknown_keys_and_empty_lines_are_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.jsonl");
    let line = r#"{"model":"m","task":"t","item_id":"i","sample":0,"prompt_tokens":1,"reasoning_tokens":0,"completion_tokens":1,"correct":null,"truncated":false,"logprob":-3.5}"#;
    fs::write(&path, format!("\n{line}\n\n")).expect("written");
    let traces = read(&path).expect("read");
    assert_eq!(
        (traces.len(), traces[0].correct, traces[0].seed),
        (1, None, None)
    );
}

#[test]
fn a_training_has_one_teacher() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let of = |sample: u32, seed: u64, teacher: Option<u64>| Trace {
        seed: Some(seed),
        teacher,
        ..trace(sample)
    };
    let sound = [of(0, 1, Some(11)), of(1, 1, Some(11)), of(0, 2, None)];
    for (name, unit) in [("t.jsonl", "line"), ("t.parquet", "row")] {
        let path = folder.path().join(name);
        write(&path, &sound).expect("written");
        assert_eq!(read(&path).expect("read"), sound, "{name}");
        for (teacher, words) in [
            (Some(12), "names the teacher 12, and 11 before"),
            (None, "names the teacher none, and 11 before"),
        ] {
            let mut traces = sound.to_vec();
            traces.push(of(2, 1, teacher));
            write(&path, &traces).expect("written");
            let read_all = read(&path).expect_err("refused").to_string();
            let mut recording = Recording::default();
            let compact = recording.read(&path, |_| Ok(()));
            let compact = compact.expect_err("refused").to_string();
            assert_eq!(read_all, compact);
            let place = format!("{unit} 4: model `grpo`, seed 1, {words}");
            assert!(read_all.contains(&place), "{place}: {read_all}");
        }
    }
    let line = serde_json::to_string(&sound[0]).expect("JSON");
    let message = error_of("t.jsonl", &line.replace("\"teacher\":11", "\"teacher\":-1"));
    assert!(
        message.contains("`teacher` is -1, not a count"),
        "{message}"
    );
}

#[test]
fn broken_lines_are_named() {
    let good = serde_json::to_string(&trace(0)).expect("JSON");
    let message = error_of("t.jsonl", &format!("{good}\n{}", &good[..40]));
    assert!(
        message.starts_with("t.jsonl, line 2: not a JSON object"),
        "{message}"
    );
    let negative = good.replace("\"reasoning_tokens\":14", "\"reasoning_tokens\":-14");
    let message = error_of("t.jsonl", &negative);
    assert!(
        message.starts_with("t.jsonl, line 1: `reasoning_tokens` is -14, not a count"),
        "{message}"
    );
    let message = error_of("t.jsonl", &good.replace("\"truncated\":false,", ""));
    assert!(
        message.contains("line 1: missing field `truncated`"),
        "{message}"
    );
    let message = error_of("t.jsonl", &format!("{good}\n{good}\n"));
    assert!(
        message.starts_with("t.jsonl, line 2: model `grpo`, seed 18446744073709551615, task `alphabet_arithmetic`, item `A+3=D`, sample 0 again, first in line 1"),
        "{message}"
    );
    assert!(error_of("t.csv", "").starts_with("t.csv: records are read from"));
}

#[test]
fn broken_tables_are_named() {
    let message = error_of("t.parquet", "PAR1 no more");
    assert!(message.starts_with("t.parquet: "), "{message}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("t.parquet");
    let column = |name: &str, text: &str| Column::new(name.into(), [text]);
    let number = |name: &str, value: i64| Column::new(name.into(), [value]);
    let table = |reasoning: Column| {
        let columns = vec![
            column("model", "m"),
            column("task", "t"),
            column("item_id", "i"),
            number("sample", 0),
            number("prompt_tokens", 4),
            reasoning,
            number("completion_tokens", 9),
            Column::new("correct".into(), [true]),
            Column::new("truncated".into(), [false]),
        ];
        let mut table = DataFrame::new(1, columns).expect("a table");
        ParquetWriter::new(File::create(&path).expect("a file"))
            .finish(&mut table)
            .expect("written");
        read(&path).map_err(|error| error.to_string())
    };
    // Other programs write 64-bit integers and leave out what is optional.
    let read = table(number("reasoning_tokens", 5)).expect("read");
    assert_eq!(
        (
            read[0].reasoning_tokens,
            read[0].seed,
            read[0].answer.clone()
        ),
        (5, None, None)
    );
    let message = table(number("reasoning_tokens", -5)).expect_err("refused");
    assert!(
        message.contains("row 1: `reasoning_tokens` is -5, not a count"),
        "{message}"
    );
    let message = table(column("reasoning_tokens", "five")).expect_err("refused");
    assert!(
        message.contains("column `reasoning_tokens` holds Utf8View, not whole numbers"),
        "{message}"
    );
    let message = table(number("thoughts", 5)).expect_err("refused");
    assert!(
        message.contains("no column `reasoning_tokens`"),
        "{message}"
    );
}
