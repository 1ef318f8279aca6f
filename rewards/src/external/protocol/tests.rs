//! The protocol's two sides, as text.

use proptest::prelude::{any, prop, proptest};
use serde_json::json;

use super::*;
use crate::testing::item;

fn read(line: &str) -> Result<Result<Answer, String>, String> {
    reply(line.as_bytes(), 7, 2)
}

/// What is wrong with a reply as a whole.
fn fault(line: &str) -> String {
    match read(line) {
        Ok(Err(message)) | Err(message) => message,
        Ok(Ok(answer)) => panic!("{line} was accepted: {answer:?}"),
    }
}

#[test]
fn a_request_is_one_line_of_columns() {
    let columns = json!({"level": 3, "text": "two\nlines"});
    let batch = [
        item(r"no answer </think>", "7"),
        Scored {
            columns: columns.as_object(),
            completion_ids: &[5, 6],
            human_cost: Some(7.5),
            expected: None,
            ..item(r"\boxed{8}", "")
        },
    ];
    let line = request(3, &batch).expect("valid");
    let end = line.iter().position(|byte| *byte == b'\n');
    assert_eq!(end, Some(line.len() - 1));
    let request: Value = serde_json::from_slice(&line).expect("JSON");
    assert_eq!(request["id"], 3);
    assert_eq!(request["extracted"], json!([null, "8"]));
    assert_eq!(request["expected"], json!(["7", null]));
    assert_eq!(request["completion_ids"], json!([[], [5, 6]]));
    assert_eq!(request["human_costs"], json!([null, 7.5]));
    assert_eq!(request["columns"]["level"], json!([null, 3]));
    assert_eq!(request["columns"]["text"], json!([null, "two\nlines"]));
}

#[test]
fn a_reply_has_scores_parts_and_metrics() {
    let line =
        r#"{"id": 7, "scores": [1, null], "parts": {"p": [0.5, null]}, "metrics": {"m": 2}}"#;
    let answer = read(line).expect("in order").expect("no fault");
    let scores = [Score::new(1.0).with_part("p", 0.5), Score::does_not_apply()];
    assert_eq!(answer.scores, scores.map(Ok));
    assert_eq!(answer.metrics, [("m".to_owned(), 2.0)]);
}

#[test]
fn what_is_no_score_is_an_error_of_its_completion_alone() {
    for (score, says) in [
        ("NaN", "its score is NaN"),
        ("-Infinity", "its score is -Infinity"),
        (r#""0.5""#, r#"its score is the string "0.5""#),
        (r#""a \" NaN""#, "NaN"),
        ("true", "its score is the boolean true"),
        ("[1.0]", "its score is a list"),
        (r#"{"error": "why"}"#, "why"),
        ("{}", "an object without `error`"),
    ] {
        let line = format!(r#"{{"id": 7, "scores": [0.25, {score}]}}"#);
        let answer = read(&line).expect(score).expect(score);
        assert_eq!(answer.scores[0], Ok(Score::new(0.25)), "{score}");
        let message = answer.scores[1].as_ref().expect_err(score);
        assert!(message.contains(says), "{score}: {message}");
    }
    let part = r#"{"id": 7, "scores": [1, 1], "parts": {"p": [NaN, 1]}}"#;
    let answer = read(part).expect("in order").expect("no fault");
    let message = answer.scores[0].as_ref().expect_err("a part");
    assert!(message.contains("its part `p` is NaN"), "{message}");
}

#[test]
fn replies_that_make_no_sense_are_refused() {
    for (line, says) in [
        ("", "cannot be read"),
        ("hello", "`hello` cannot be read"),
        ("[]", "cannot be read"),
        (r#"{"id": 7, "scores": [1, 1e999]}"#, "out of range"),
        (r#"{"id": 6, "scores": [1, 1]}"#, "request 6, asked 7"),
        (r#"{"scores": [1, 1]}"#, "`id`"),
        (r#"{"id": 7, "score": [1, 1]}"#, "`score`"),
        (r#"{"id": 7}"#, "neither `scores` nor an `error`"),
        (r#"{"id": 7, "scores": [1]}"#, "1 scores for 2 completions"),
        (r#"{"id": 7, "error": "no luck"}"#, "no luck"),
        (
            r#"{"id": 7, "scores": [1, 1], "parts": {"p": 1}}"#,
            "`p` is no list",
        ),
        (
            r#"{"id": 7, "scores": [1, 1], "parts": {"p": [1]}}"#,
            "`p` has 1 values",
        ),
        (
            r#"{"id": 7, "scores": [1, 1], "metrics": {"m": NaN}}"#,
            "`m` is NaN",
        ),
        (
            r#"{"id": 7, "scores": [1, 1], "metrics": {"errors": 0}}"#,
            "choose another",
        ),
    ] {
        let message = fault(line);
        assert!(message.contains(says), "{line}: {message}");
    }
}

#[test]
fn a_handshake_names_the_child_or_says_why_not() {
    let name = handshake(br#"{"protocol": 1, "name": "n", "later": 1}"#);
    assert_eq!(name.as_deref(), Ok("n"));
    for (line, says) in [
        ("Loading...", "`Loading...`"),
        (r#"{"name": "n"}"#, "no handshake"),
        (r#"{"protocol": 2, "name": "n"}"#, "speaks version 2"),
        (r#"{"protocol": "1", "name": "n"}"#, "speaks version \"1\""),
        (r#"{"protocol": 1, "error": "why"}"#, "why"),
        (r#"{"protocol": 1}"#, "lacks `name`"),
    ] {
        let message = handshake(line.as_bytes()).expect_err(line);
        assert!(message.contains(says), "{line}: {message}");
    }
}

/// A reply in pieces that may be put together wrongly.
const PIECES: [&str; 16] = [
    r#"{"id": 7, "scores": ["#,
    r#"], "parts": {"p": ["#,
    r#"]}, "metrics": {"m": "#,
    "]}",
    "}",
    "1.0",
    "null",
    "NaN",
    "-Infinity",
    ", ",
    "\"",
    "\\",
    r#"{"error": "e"}"#,
    "1e999",
    "\u{1F600}",
    "[",
];

proptest! {
    #[test]
    fn no_line_of_a_child_is_a_panic_or_a_score_that_is_not_finite(
        pieces in prop::collection::vec(0..PIECES.len(), 0..24),
        bytes in prop::collection::vec(any::<u8>(), 0..24),
        whole in any::<bool>(),
    ) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        let mut line = if whole { PIECES[0].as_bytes().to_vec() } else { bytes };
        line.extend(text.into_bytes());
        let _ = handshake(&line);
        if let Ok(Ok(answer)) = reply(&line, 7, 2) {
            assert_eq!(answer.scores.len(), 2);
            for score in answer.scores.into_iter().flatten() {
                let values = score.value.into_iter().chain(score.parts.iter().map(|(_, v)| *v));
                assert!(values.into_iter().all(f64::is_finite));
            }
        }
    }
}
