//! Parquet files written here, read back as JSON, whole and broken.

use serde_json::json;

use super::*;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data")
        .join(name)
}

#[test]
fn conversations_come_as_lists_of_objects() {
    let dataset = read(
        &data("demonstrations/messages.parquet"),
        &["messages", "text"],
    )
    .unwrap();
    assert_eq!(dataset.columns, ["id", "messages"]);
    let rows: Vec<&Value> = dataset.rows.iter().map(|row| &row["messages"]).collect();
    // Three groups of rows, the last with an absent and an empty list.
    assert_eq!(rows.len(), 6);
    assert_eq!(
        *rows[1],
        json!([
            {"role": "user", "content": "What is 17 + 25?", "name": null, "weight": null},
            {"role": "assistant", "content": " <think>17 and 25</think> 42", "name": null, "weight": null},
        ])
    );
    assert_eq!(rows[0][0]["weight"], 1);
    assert_eq!(rows[2][0]["content"], "Be brief. 🙂");
    assert_eq!(*rows[4], Value::Null);
    assert_eq!(*rows[5], json!([]));
}

#[test]
fn only_what_is_asked_for_is_read() {
    let dataset = read(&data("demonstrations/messages.parquet"), &["id"]).unwrap();
    let ids: Vec<&Value> = dataset.rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(
        ids,
        [0, 1, 2, 3, 9, 10]
            .map(Value::from)
            .iter()
            .collect::<Vec<_>>()
    );
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.parquet");
    let whole = std::fs::read(data("demonstrations/messages.parquet")).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = read(&path, &["messages"]).unwrap_err().to_string();
        assert!(error.contains("cut.parquet: it is no whole"), "{error}");
    }
    let error = read(&folder.path().join("none.parquet"), &[]).unwrap_err();
    assert!(error.to_string().contains("none.parquet"), "{error}");
    assert!(read(folder.path(), &[]).is_err());
}

#[test]
fn a_number_is_the_one_that_a_person_reads() {
    let dataset = read(&data("columns/numbers.parquet"), &[]).unwrap();
    let wanted: Vec<&str> = dataset.columns.iter().map(String::as_str).collect();
    let rows = read(&data("columns/numbers.parquet"), &wanted)
        .unwrap()
        .rows;
    let expected = json!({
        "float16": [0.1, 7.0, null],
        "float32": [0.1, 7.0, null],
        "float64": [0.1, 7.0, null],
        "endless": ["inf", "-inf", null],
        "decimal": [1.1, 7.0, null],
        "whole_decimal": [-12, 7, null],
        "long_decimal": ["12345678901234567890.25", -0.05, null],
        "uint64": [u64::MAX, 7, null],
        "category": ["B", "A", null],
        "category_of_numbers": [3, 7, null],
        "bytes": ["text", "é", null],
        "truth": [true, false, null],
        "list": [[0.1], [7.0], null],
        "int8": [-128, 7, null],
        "uint8": [255, 7, null],
        "int16": [-32768, 7, null],
        "uint16": [65535, 7, null],
        "int32": [i32::MIN, 7, null],
        "uint32": [u32::MAX, 7, null],
        "int64": [i64::MIN, 7, null],
    });
    assert_eq!(expected.as_object().unwrap().len(), wanted.len());
    for (column, values) in expected.as_object().unwrap() {
        let read: Vec<&Value> = rows.iter().map(|row| &row[column]).collect();
        assert_eq!(json!(read), *values, "{column}");
    }
    for column in ["float16", "float32", "float64", "decimal", "uint64"] {
        assert_eq!(text_of(&rows[1][column]).as_deref(), Some("7"), "{column}");
    }
}

#[test]
fn a_column_that_stands_twice_or_in_another_case_is_named() {
    let error = read(&data("columns/twice.parquet"), &["prompt"]).unwrap_err();
    let words = "twice.parquet: two columns are called `prompt`";
    assert!(error.to_string().contains(words), "{error}");
    let error = read(&data("columns/norms.parquet"), &["Question"]).unwrap_err();
    let words = "the column `question` would be passed over: write it as `Question`";
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn pictures_are_refused_where_a_model_is_to_be_shown_text() {
    let path = data("columns/pictures.parquet");
    assert_eq!(read(&path, &["prompt"]).unwrap().rows.len(), 1);
    let error = read_text(&path, &["prompt"]).unwrap_err().to_string();
    assert!(
        error.contains("pictures.parquet: the column \"image\" holds pictures"),
        "{error}"
    );
    let error = read(&path, &["image"]).unwrap_err().to_string();
    assert!(error.contains("bytes that are no text"), "{error}");
}
