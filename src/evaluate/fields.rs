//! The fields of a question that say how to sample, under the names that the
//! server takes.
//!
//! Every setting is sent, even one that changes nothing, because one that is not
//! sent is the server's own. Servers that have another name for a field, or
//! refuse it, can be asked all the same: the user renames it or leaves it out,
//! and the record says so.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::{Map, Value, json};

use crate::generation::Sampling;
use crate::http::beginning;

/// The option that renames fields and leaves them out.
const OPTION: &str = "--request-fields";

/// Fields that are no setting of sampling.
const TAKEN: [&str; 5] = ["model", "messages", "prompt", "stream", "n"];

/// Words of a refusal that is of a field itself rather than of its value.
const OF_A_FIELD: [&str; 10] = [
    "support",
    "recogni",
    "unknown",
    "extra",
    "permitted",
    "allowed",
    "unexpected",
    "deprecated",
    "only the default",
    "instead",
];

/// How the fields of a question are named.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fields {
    /// Under the lab's names, in the order in which they are sent; the seed is
    /// each question's own.
    values: Map<String, Value>,
    /// The server's name of a field, or `None` where it is left out.
    given: BTreeMap<String, Option<String>>,
}

impl Fields {
    /// The fields of `sampling`, changed as `given` says: `FIELD=NAME` for another
    /// name, `FIELD=` to leave it out.
    pub(crate) fn new(sampling: &Sampling, given: &[String]) -> Result<Self> {
        let mut values = sampling.request_fields();
        values.insert("max_tokens".to_owned(), json!(sampling.max_new_tokens));
        // OpenAI refuses an empty list.
        let stop = (!sampling.stop.is_empty()).then_some(&sampling.stop);
        values.insert("stop".to_owned(), json!(stop));
        values.insert("seed".to_owned(), Value::Null);
        let mut fields = Self {
            values,
            given: BTreeMap::new(),
        };
        for text in given {
            let Some((field, name)) = text.split_once('=') else {
                bail!("{OPTION} {text}: write FIELD=NAME, or FIELD= to leave it out");
            };
            let (field, name) = (field.trim(), name.trim());
            let known: Vec<&str> = fields.values.keys().map(String::as_str).collect();
            ensure!(
                known.contains(&field),
                "{OPTION} {text}: {field} is none of the fields that are sent: {}",
                known.join(", ")
            );
            let name = (!name.is_empty()).then(|| name.to_owned());
            ensure!(
                fields.given.insert(field.to_owned(), name).is_none(),
                "{OPTION} names {field} twice"
            );
        }
        let mut seen: Vec<&str> = TAKEN.to_vec();
        for name in fields.values.keys().filter_map(|field| fields.name(field)) {
            ensure!(
                !seen.contains(&name),
                "{OPTION}: {name} would stand twice in a question"
            );
            seen.push(name);
        }
        Ok(fields)
    }

    /// The name under which a field is sent.
    fn name<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        self.given.get(field).map_or(Some(field), Option::as_deref)
    }

    /// The fields as they are sent in a question of that seed.
    pub(crate) fn of(&self, seed: u32) -> Map<String, Value> {
        let named = self.values.iter().filter_map(|(field, value)| {
            let value = if field == "seed" {
                json!(seed)
            } else {
                value.clone()
            };
            Some((self.name(field)?.to_owned(), value))
        });
        named.collect()
    }

    /// Most tokens of an answer, where the server is told.
    pub(crate) fn cap(&self) -> Option<usize> {
        self.name("max_tokens")?;
        usize::try_from(self.values.get("max_tokens")?.as_u64()?).ok()
    }

    /// What an evaluation's record says of them: the settings, and the names of
    /// those that are sent under another (null where they are left out).
    pub(crate) fn record(&self) -> Value {
        let mut sampling = self.values.clone();
        // The record has the evaluation's own.
        for name in ["temperature", "max_tokens", "seed"] {
            sampling.shift_remove(name);
        }
        json!({"sampling": sampling, "renamed": self.given})
    }

    /// What a reader must know.
    pub(crate) fn notes(&self) -> Vec<String> {
        let (mut out, mut renamed) = (Vec::new(), Vec::new());
        for (field, name) in &self.given {
            match name {
                Some(name) => renamed.push(format!("{field} as {name}")),
                None => out.push(field.as_str()),
            }
        }
        let mut notes = Vec::new();
        if !out.is_empty() {
            notes.push(format!(
                "Left out of the questions, so that the server's own settings held: {}.",
                out.join(", ")
            ));
        }
        if !renamed.is_empty() {
            notes.push(format!("Sent under another name: {}.", renamed.join(", ")));
        }
        notes
    }

    /// The option that helps where a server refuses fields by name.
    ///
    /// Worked example: of `'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.`
    /// it is `--request-fields max_tokens=max_completion_tokens`.
    pub(crate) fn advice(&self, said: &str) -> Option<String> {
        let lower = said.to_lowercase();
        if !OF_A_FIELD.iter().any(|word| lower.contains(word)) {
            return None;
        }
        let words = words(said);
        let sent = |word: &Word| {
            // A word of prose is no name of a field.
            let is_name = word.quoted || word.text.contains('_') || word.text != "stop";
            let mut fields = self.values.keys();
            fields.find(|field| is_name && self.name(field) == Some(word.text))
        };
        let instead = |place: usize| {
            let verb = words.get(place.checked_sub(1)?)?.text.to_lowercase();
            let word = words.get(place)?;
            let is_name = word.quoted || word.text.contains('_');
            (is_name && (verb == "use" || verb == "using") && sent(word).is_none())
                .then_some(word.text)
        };
        let instead = (0..words.len()).find_map(instead);
        let mut given = self.given.clone();
        let mut refused: Vec<&String> = Vec::new();
        for field in words.iter().filter_map(sent) {
            if !refused.contains(&field) {
                refused.push(field);
            }
        }
        for (place, field) in refused.iter().enumerate() {
            let name = instead.filter(|_| place == 0).map(str::to_owned);
            given.insert((*field).clone(), name);
        }
        if refused.is_empty() {
            return None;
        }
        let given: Vec<String> = given
            .iter()
            .map(|(field, name)| format!("{field}={}", name.as_deref().unwrap_or_default()))
            .collect();
        Some(format!("pass {OPTION} {}", given.join(",")))
    }

    /// What to do about a refusal of the question for `model`.
    pub(crate) fn refusal(&self, status: u16, said: &str, model: &str) -> String {
        let way_out = match status {
            400 | 422 => self.advice(said),
            _ => None,
        };
        let way_out = way_out.unwrap_or_else(|| {
            format!("mend --endpoint, --served-model, --api or the key; {OPTION} renames a field of the question or leaves it out")
        });
        format!(
            "the server answers HTTP {status} to the question for {model}: {}; {way_out}",
            beginning(said)
        )
    }
}

/// A word of what a server said.
struct Word<'a> {
    text: &'a str,
    /// Whether it stands in quotation marks.
    quoted: bool,
}

fn words(text: &str) -> Vec<Word<'_>> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_quote = |c: Option<char>| matches!(c, Some('\'' | '"' | '`' | '\\'));
    let mut words = Vec::new();
    let mut rest = 0;
    for part in text.split(|c| !is_word(c)) {
        let end = rest + part.len();
        let quoted =
            is_quote(text[..rest].chars().next_back()) && is_quote(text[end..].chars().next());
        if !part.is_empty() {
            words.push(Word { text: part, quoted });
        }
        rest = end + text[end..].chars().next().map_or(0, char::len_utf8);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(given: &[&str]) -> Result<Fields> {
        let sampling = Sampling {
            max_new_tokens: 64,
            ..Sampling::default()
        };
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        Fields::new(&sampling, &given)
    }

    #[test]
    fn every_setting_is_sent_even_where_it_changes_nothing() {
        let sent = json!({
            "temperature": 1.0, "top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0,
            "max_tokens": 64, "stop": null, "seed": 7,
        });
        assert_eq!(Value::Object(fields(&[]).unwrap().of(7)), sent);
        let sampling = Sampling {
            top_k: 20,
            stop: vec!["END".to_owned()],
            ..Sampling::default()
        };
        let sent = Fields::new(&sampling, &[]).unwrap().of(7);
        assert_eq!(
            (&sent["top_k"], &sent["stop"]),
            (&json!(20), &json!(["END"]))
        );
    }

    #[test]
    fn a_field_has_another_name_or_is_left_out_and_the_record_says_so() {
        let changed = fields(&["max_tokens=max_completion_tokens", "seed=", "top_k="]).unwrap();
        let sent = changed.of(7);
        assert_eq!(sent["max_completion_tokens"], 64);
        for absent in ["max_tokens", "seed", "top_k"] {
            assert!(!sent.contains_key(absent), "{absent}");
        }
        assert_eq!(changed.cap(), Some(64));
        assert_eq!(fields(&["max_tokens="]).unwrap().cap(), None);
        let record = changed.record();
        let renamed = json!({"max_tokens": "max_completion_tokens", "seed": null, "top_k": null});
        assert_eq!(record["renamed"], renamed);
        assert_eq!(record["sampling"]["top_p"], 1.0);
        let notes = changed.notes();
        assert!(
            notes[0].ends_with("own settings held: seed, top_k."),
            "{notes:?}"
        );
        assert!(
            notes[1].ends_with("max_tokens as max_completion_tokens."),
            "{notes:?}"
        );
        assert!(fields(&[]).unwrap().notes().is_empty());
    }

    #[test]
    fn what_cannot_be_sent_so_is_refused() {
        for (given, says) in [
            (&["max_tokens"][..], "write FIELD=NAME"),
            (
                &["reasoning_effort=high"],
                "none of the fields that are sent: temperature",
            ),
            (&["seed=", "seed=x"], "names seed twice"),
            (&["max_tokens=seed"], "seed would stand twice"),
            (&["seed=model"], "model would stand twice"),
        ] {
            let error = fields(given).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_advice_is_the_option_that_helps() {
        let advice = |given: &[&str], said: &str| fields(given).unwrap().advice(said);
        let openai = r#"{"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.", "type": "invalid_request_error", "param": "max_tokens", "code": "unsupported_parameter"}}"#;
        for (given, said, expected) in [
            (&[][..], openai, "max_tokens=max_completion_tokens"),
            (&["seed="], openai, "max_tokens=max_completion_tokens,seed="),
            (
                &["max_tokens=max_completion_tokens"],
                "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
                "max_tokens=max_completion_tokens,temperature=",
            ),
            (
                &[],
                "Unrecognized request arguments supplied: min_p, repetition_penalty, top_k",
                "min_p=,repetition_penalty=,top_k=",
            ),
            (
                &[],
                r#"{"detail":[{"type":"extra_forbidden","loc":["body","top_k"],"msg":"Extra inputs are not permitted","input":-1}]}"#,
                "top_k=",
            ),
            (
                &["max_tokens=max_new_tokens"],
                "unknown field `max_new_tokens`",
                "max_tokens=",
            ),
        ] {
            let expected = format!("pass --request-fields {expected}");
            assert_eq!(advice(given, said), Some(expected));
        }
        // A value that is too large is not mended by leaving it out.
        assert_eq!(advice(&[], "max_tokens is too large: 100000"), None);
        assert_eq!(advice(&[], "the model `m` is not supported; stop it"), None);
    }

    #[test]
    fn other_refusals_keep_their_advice() {
        let said = fields(&[])
            .unwrap()
            .refusal(401, "seed is not supported", "m");
        assert!(
            said.contains("HTTP 401") && said.contains("or the key"),
            "{said}"
        );
    }
}
