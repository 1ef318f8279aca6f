//! Token ids and labels held to TRL's, and the lab's own rules where TRL has none.

use std::fs;

use serde::Deserialize;

use super::*;
use crate::demonstrations::rows;
use crate::demonstrations::tests::{data, text_side};
use crate::model::tokenizer::SpecialTokens;

/// What scripts/demonstrations-expected.py recorded of TRL.
#[derive(Deserialize)]
struct Case {
    name: String,
    settings: serde_json::Map<String, serde_json::Value>,
    rows: Vec<serde_json::Value>,
    expected: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    input_ids: Vec<i64>,
    labels: Vec<i64>,
}

fn loss(settings: &serde_json::Map<String, serde_json::Value>) -> Loss {
    let key = |name| {
        settings
            .get(name)
            .map(|value: &serde_json::Value| value.as_bool().unwrap())
    };
    Loss {
        completion_only: key("completion_only_loss"),
        assistant_only: key("assistant_only_loss").unwrap_or(false),
    }
}

fn written(rows: &[serde_json::Value]) -> Vec<Body> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rows.jsonl");
    let lines: Vec<String> = rows.iter().map(ToString::to_string).collect();
    fs::write(&path, lines.join("\n")).unwrap();
    let rows = rows::read(&path).unwrap();
    rows.into_iter().map(|row| row.body).collect()
}

/// Ids and labels as a collator gives them; -100 is not trained.
fn labelled(demonstration: &Demonstration) -> (Vec<i64>, Vec<i64>) {
    let ids = [&*demonstration.prompt, &demonstration.completion].concat();
    let mut labels = vec![-100; demonstration.prompt.len()];
    let completion = demonstration.completion.iter().zip(&demonstration.weights);
    labels.extend(completion.map(|(&id, &weight)| if weight > 0.0 { id } else { -100 }));
    (ids, labels)
}

#[test]
fn ids_and_labels_are_those_of_trl() {
    let text = text_side();
    let cases = fs::read_to_string(data().join("trl.json")).unwrap();
    let cases: Vec<Case> = serde_json::from_str(&cases).unwrap();
    let mut masked = 0;
    let mut merged = 0;
    for case in &cases {
        let bodies = written(&case.rows);
        assert_eq!(bodies.len(), case.expected.len());
        for (body, expected) in bodies.iter().zip(&case.expected) {
            let tokens = of(body, loss(&case.settings), &text).unwrap();
            let (ids, labels) = labelled(&tokens.demonstration);
            assert_eq!(ids, expected.input_ids, "{}: {body:?}", case.name);
            // Nothing comes before the first token, so its label is never used.
            assert_eq!(labels[1..], expected.labels[1..], "{}: {body:?}", case.name);
            assert_eq!(labels[0], -100);
            masked += usize::from(tokens.demonstration.weights.contains(&0.0));
            merged += usize::from(tokens.merged);
        }
    }
    // The fixture has rows of both kinds, or it would show little.
    assert!(masked > 0 && merged > 0, "{masked} {merged}");
}

#[test]
fn the_end_token_is_trained_once() {
    let text = text_side();
    for completion in ["4", "4<|im_end|>"] {
        let body = Body::Strings {
            prompt: "2+2=".to_owned(),
            completion: completion.to_owned(),
        };
        let demonstration = of(&body, Loss::default(), &text).unwrap().demonstration;
        let ends = demonstration
            .completion
            .iter()
            .filter(|&&id| id == text.end);
        assert_eq!(ends.count(), 1);
        assert_eq!(demonstration.completion.last(), Some(&text.end));
        assert_eq!(demonstration.weights, [1.0, 1.0]);
    }
}

#[test]
fn whole_words_do_not_grow_together() {
    let text = Text::lab(&[]).unwrap();
    let (prompt, completion) = ("A+3= what".to_owned(), "true".to_owned());
    let strings = Body::Strings {
        prompt: prompt.clone(),
        completion: completion.clone(),
    };
    let asked = Body::Asked {
        before: Vec::new(),
        prompt,
        completion,
    };
    let of = |body| of(body, Loss::default(), &text).unwrap().demonstration;
    assert_eq!(of(&strings), of(&asked));
}

#[test]
fn a_prompt_without_room_is_refused_and_a_long_row_left_out_where_asked() {
    let tokens = || Tokens {
        demonstration: Demonstration {
            prompt: vec![1, 2, 3],
            completion: vec![4, 5],
            weights: vec![1.0; 2],
        },
        merged: false,
    };
    assert!(tokens().fits(5, false).unwrap().is_some());
    assert!(tokens().fits(4, true).unwrap().is_none());
    let error = tokens().fits(4, false).unwrap_err().to_string();
    assert!(
        error.contains("5 tokens") && error.contains("context"),
        "{error}"
    );
    for leave_out in [false, true] {
        let error = tokens().fits(3, leave_out).unwrap_err().to_string();
        assert!(error.contains("3 tokens and leaves no room"), "{error}");
    }
}

#[test]
fn a_text_that_begins_with_the_first_token_is_not_given_it_twice() {
    let mut text = text_side();
    let begin = i64::from(text.tokenizer.token_to_id("<|begin|>").unwrap());
    let begins = |ids: &[i64]| ids.iter().filter(|&&id| id == begin).count();
    let strings = |prompt: &str| Body::Strings {
        prompt: prompt.to_owned(),
        completion: " 4".to_owned(),
    };
    let whole = |start: &str| Body::Text(format!("{start}Once upon a time."));
    for (plain, marked) in [
        (strings("2+2="), strings("<|begin|>2+2=")),
        (whole(""), whole("<|begin|>")),
    ] {
        let of = |body| of(body, Loss::default(), &text).unwrap().demonstration;
        let (plain, marked) = (of(&plain), of(&marked));
        assert_eq!(begins(&marked.prompt) + begins(&marked.completion), 1);
        assert_eq!(marked, plain);
    }
    // One that somebody wrote twice stays so.
    let twice = of(&whole("<|begin|><|begin|>"), Loss::default(), &text).unwrap();
    assert_eq!(begins(&twice.demonstration.completion), 1);
    // A template that writes it, over turns and as a text that was rendered before.
    let special = SpecialTokens {
        bos: Some("<|begin|>".to_owned()),
        ..SpecialTokens::default()
    };
    let source = "{{ bos_token }}{% for m in messages %}{{ m.content }}{% endfor %}";
    text.chat = Some(ChatTemplate::new(source, special).unwrap());
    let asked = text.encode_prompt("2+2=").unwrap();
    let said = Message {
        role: "user".to_owned(),
        content: "2+2=".to_owned(),
    };
    let rendered = text
        .chat
        .as_ref()
        .unwrap()
        .render(&[said], true, &Map::new());
    text.chat = None;
    let raw = text.encode_prompt(&rendered.unwrap()).unwrap();
    assert_eq!((begins(&asked), asked), (1, raw));
}
