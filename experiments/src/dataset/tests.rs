//! Parquet files written here, read back as JSON, whole and broken.

use serde_json::json;

use super::*;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/data/demonstrations")
        .join(name)
}

#[test]
fn conversations_come_as_lists_of_objects() {
    let dataset = read(&data("messages.parquet"), &["messages", "text"]).unwrap();
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
    let dataset = read(&data("messages.parquet"), &["id"]).unwrap();
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
    let whole = std::fs::read(data("messages.parquet")).unwrap();
    for length in 0..whole.len() {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = read(&path, &["messages"]).unwrap_err().to_string();
        assert!(error.contains("cut.parquet: it is no whole"), "{error}");
    }
    let error = read(&folder.path().join("none.parquet"), &[]).unwrap_err();
    assert!(error.to_string().contains("none.parquet"), "{error}");
    assert!(read(folder.path(), &[]).is_err());
}
