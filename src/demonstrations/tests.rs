//! Data sets made ready for a model: what is left out, held out and told.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::tokenizer::{self, SpecialTokens};

/// What scripts/demonstrations-expected.py wrote.
pub(super) fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demonstrations")
}

/// The text side of the model there, which has no weights.
pub(super) fn text_side() -> Text {
    let folder = data().join("model");
    let special = SpecialTokens::from_folder(&folder).unwrap();
    let tokenizer = tokenizer::load(&folder, 1 << 20).unwrap();
    let end = tokenizer.token_to_id(&special.eos.unwrap()).unwrap();
    Text {
        ends: vec![i64::from(end)],
        end: i64::from(end),
        pad: None,
        chat: ChatTemplate::from_folder(&folder).unwrap(),
        tokenizer,
    }
}

pub(super) fn settings(toml: &str) -> TraceSettings {
    toml::from_str(toml).unwrap()
}

pub(super) fn source(bodies: Vec<Body>) -> Source {
    let rows = bodies.into_iter().enumerate();
    Source {
        path: "rows.jsonl".into(),
        rows: rows
            .map(|(index, body)| Row {
                task: None,
                body,
                held_out: false,
                number: index + 1,
            })
            .collect(),
    }
}

fn strings(prompt: &str, completion: &str) -> Body {
    Body::Strings {
        prompt: prompt.to_owned(),
        completion: completion.to_owned(),
    }
}

fn conversation(turns: &[(&str, &str)]) -> Vec<Message> {
    let message = |&(role, content): &(&str, &str)| Message {
        role: role.to_owned(),
        content: content.to_owned(),
    };
    turns.iter().map(message).collect()
}

pub(super) fn messages(turns: &[(&str, &str)]) -> Body {
    Body::Messages(conversation(turns))
}

pub(super) fn turns(prompt: &[(&str, &str)], completion: &[(&str, &str)]) -> Body {
    Body::Turns {
        prompt: conversation(prompt),
        completion: conversation(completion),
    }
}

#[test]
fn the_user_is_told_what_may_surprise() {
    let mut text = text_side();
    let notes = |source: &Source, text: &Text, toml: &str| {
        source.prepare(&settings(toml), text, 200).unwrap().notes
    };
    let asked = source(vec![
        strings("What is 1 + 2?", " 3"),
        strings("It ends in a space ", "and goes on"),
    ]);
    let found = notes(&asked, &text, "");
    assert!(found[0].contains("stand as they are"), "{found:?}");
    assert!(
        found[1].contains("1 of 2 prompts") && found[1].ends_with(": 2"),
        "{found:?}"
    );
    assert_eq!(found.len(), 2);
    let talk = source(vec![messages(&[
        ("user", "What is 1 + 2?"),
        ("assistant", "3"),
    ])]);
    assert_eq!(notes(&talk, &text, "assistant_only_loss = true"), [""; 0]);
    // A template that closes its block before the end token.
    let special = SpecialTokens::default();
    let open = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>{% endfor %}";
    text.chat = Some(ChatTemplate::new(open, special).unwrap());
    let found = notes(&talk, &text, "assistant_only_loss = true");
    assert!(
        found[0].contains("no end token") && found.len() == 1,
        "{found:?}"
    );
}

#[test]
fn rows_too_long_are_counted_and_the_last_are_held_out_before_that() {
    let text = text_side();
    let mut long = source(vec![strings("a", "b"); 14]);
    for row in &mut long.rows[1..12] {
        row.body = strings("a", "What is 17 + 25? What is 17 + 25?");
    }
    long.rows[13].held_out = true;
    let prepared = long
        .prepare(&settings("max_length = 6"), &text, 200)
        .unwrap();
    assert_eq!((prepared.shown.len(), prepared.held_out.len()), (2, 1));
    let expected = "11 of 14 rows are longer than teacher.traces.max_length = 6 tokens and left \
                    out: 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 1 more";
    assert!(
        prepared.notes.iter().any(|note| note.contains(expected)),
        "{:?}",
        prepared.notes
    );
    long.rows[13].body = long.rows[1].body.clone();
    let error = long
        .prepare(&settings("max_length = 6"), &text, 200)
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("nothing is left for the held-out loss"),
        "{error}"
    );
    let error = long.prepare(&settings(""), &text, 6).unwrap_err();
    assert!(
        format!("{error:#}").contains("rows.jsonl, line 2: prompt and completion"),
        "{error:#}"
    );
}
