//! Rows of either format, and what is said of those that are wrong.

use std::fs;

use super::*;
use crate::demonstrations::tests::data;

fn of(name: &str, bytes: &[u8]) -> Result<Vec<Row>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read(&path)
}

fn refusal(name: &str, bytes: &[u8]) -> String {
    format!("{:#}", of(name, bytes).unwrap_err())
}

#[test]
fn parquet_and_jsonl_say_the_same() {
    let parquet = read(&data().join("turns.parquet")).unwrap();
    let cases = fs::read_to_string(data().join("trl.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&cases).unwrap();
    let case = cases.iter().find(|case| case["name"] == "turns").unwrap();
    let lines: Vec<String> = case["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        of("turns.jsonl", lines.join("\n").as_bytes()).unwrap(),
        parquet
    );
}

#[test]
fn what_is_wrong_with_a_row_is_named_with_its_line() {
    let good = r#"{"prompt":"a","completion":"b"}"#;
    for (bad, words) in [
        (r#"{"prompt":"a","#, "JSON object"),
        (r#"["a","b"]"#, "JSON object"),
        (r#"{"prompt":"a","answer":"b"}"#, "it has: prompt, answer"),
        (r#"{"prompt":" ","completion":"b"}"#, "prompt is empty"),
        (r#"{"prompt":"a","completion":"\n"}"#, "completion is empty"),
        (r#"{"prompt":[],"completion":[]}"#, "prompt is empty"),
        (
            r#"{"prompt":[{"role":"user","content":"a"}],"completion":[{"role":"assistant","content":" "}]}"#,
            "completion is empty",
        ),
        (r#"{"messages":[]}"#, "conversation is empty"),
        (r#"{"messages":"a"}"#, "no list"),
        (r#"{"messages":["a"]}"#, "message 1 of \"messages\""),
        (r#"{"messages":[{"content":"a"}]}"#, "no \"role\""),
        (
            r#"{"messages":[{"role":"user","content":[{"type":"text"}]}]}"#,
            "\"content\" is no string",
        ),
        (
            r#"{"messages":[{"role":"assistant","content":"a","tool_calls":[{"name":"b"}]}]}"#,
            "\"tool_calls\"",
        ),
        (r#"{"text":" "}"#, "text is empty"),
        (r#"{"text":7}"#, "no string"),
        (
            r#"{"prompt":"a","completion":[]}"#,
            "both strings or both lists",
        ),
        (
            r#"{"prompt":"a","completion":"b","tools":["c"]}"#,
            "\"tools\"",
        ),
        (
            r#"{"prompt":"a","completion":"b","held_out":1}"#,
            "held_out",
        ),
    ] {
        let error = refusal("a.jsonl", format!("{good}\n\n{bad}\n{good}\n").as_bytes());
        assert!(error.contains("a.jsonl, line 3"), "{error}");
        assert!(error.contains(words), "{words}: {error}");
    }
    let mut bytes = good.as_bytes().to_vec();
    bytes.extend(b"\n{\"prompt\":\"\xff\",\"completion\":\"b\"}\n");
    let error = refusal("a.jsonl", &bytes);
    assert!(
        error.contains("line 2") && error.contains("UTF-8"),
        "{error}"
    );
}

#[test]
fn a_file_has_one_format() {
    let error = refusal(
        "a.jsonl",
        b"{\"prompt\":\"a\",\"completion\":\"b\"}\n{\"text\":\"c\"}\n",
    );
    for word in ["line 2 is a \"text\"", "line 1 is a prompt", "split"] {
        assert!(error.contains(word), "{error}");
    }
    assert!(refusal("a.jsonl", b"\n \n").contains("holds no traces"));
    assert!(refusal("a.jsonl", b"PAR1").contains(".parquet"));
}

#[test]
fn columns_that_do_not_count_are_passed_over() {
    let bytes =
        br#"{"id":1,"messages":null,"prompt":"a","completion":"b","tools":null,"held_out":true}"#;
    let rows = of("a.jsonl", bytes).unwrap();
    assert!(rows[0].held_out);
    assert!(matches!(&rows[0].body, Body::Strings { prompt, .. } if prompt == "a"));
    let error = format!("{:#}", read(&data().join("messages.parquet")).unwrap_err());
    for word in ["messages.parquet, row 1", "\"weight\""] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn what_is_no_text_is_refused_by_the_name_of_its_column_or_part() {
    for (column, what) in [
        ("image", "pictures"),
        ("images", "pictures"),
        ("Images", "pictures"),
        ("pixel_values", "pictures"),
        ("videos", "moving pictures"),
        ("audio", "sound"),
        ("input_features", "sound"),
    ] {
        let row = |value: &str| {
            format!("{{\"prompt\":\"a\",\"completion\":\"b\",\"{column}\":{value}}}\n")
        };
        let empty = [row("null"), row("[]"), row("\"\"")].concat();
        assert_eq!(of("a.jsonl", empty.as_bytes()).unwrap().len(), 3);
        let error = refusal(
            "a.jsonl",
            [empty, row("[\"boat.png\"]")].concat().as_bytes(),
        );
        assert!(error.contains("a.jsonl, line 4"), "{error}");
        let words = format!("the column {column:?} holds {what}");
        assert!(error.contains(&words), "{error}");
    }
    for (kind, what) in [
        ("image_url", "pictures"),
        ("image", "pictures"),
        ("input_audio", "sound"),
        ("video", "moving pictures"),
    ] {
        let row = format!(
            "{{\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"a\"}},\
             {{\"type\":\"{kind}\"}}]}}]}}"
        );
        let error = refusal("a.jsonl", row.as_bytes());
        assert!(error.contains("message 1 of \"messages\""), "{error}");
        let words = format!("a part of type {kind:?}, which holds {what}");
        assert!(error.contains(&words), "{error}");
    }
}

#[test]
fn numbers_are_texts_and_names_that_would_be_passed_over_are_refused() {
    let rows = of("a.jsonl", b"{\"prompt\":\"3 + 4?\",\"completion\":7.0}").unwrap();
    assert!(matches!(&rows[0].body, Body::Strings { completion, .. } if completion == "7"));
    for (bad, words) in [
        (r#"{"Prompt":"a","completion":"b"}"#, "`Prompt`"),
        (
            r#"{"prompt":"a","completion":"b","HELD_OUT":true}"#,
            "`held_out`",
        ),
        (
            r#"{"prompt":"a","completion":"b","prompt":"c"}"#,
            "\"prompt\" stands twice",
        ),
    ] {
        let error = refusal("a.jsonl", format!("\u{feff}\n{bad}").as_bytes());
        assert!(error.contains("line 2") && error.contains(words), "{error}");
    }
}
