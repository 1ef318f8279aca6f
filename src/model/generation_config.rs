//! `generation_config.json`: how a model's makers sample from it, and which
//! tokens end its text.
//!
//! Read are the keys that the lab's sampling knows; other keys are left alone,
//! as a file of transformers has many. A key of the wrong type is refused by
//! name.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value, json};

/// Name of the file in a model folder.
pub const FILE: &str = "generation_config.json";

/// What `generation_config.json` says; `None` where it is silent.
///
/// Worked example: Qwen2.5-Instruct ends its text with either of two tokens,
/// `eos_token_id: [151645, 151643]`, and samples with `temperature: Some(0.7)`,
/// `top_p: Some(0.8)` and `top_k: Some(20)`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// Tokens that end a text, the first one the usual; empty where none does.
    pub eos_token_id: Vec<u32>,
    /// Begins a text.
    pub bos_token_id: Option<u32>,
    /// Fills a batch up.
    pub pad_token_id: Option<u32>,
    /// Whether tokens are drawn; the likeliest is taken otherwise, and what
    /// follows has no effect.
    pub do_sample: Option<bool>,
    /// Divides the logits.
    pub temperature: Option<f64>,
    /// Probability that the tokens drawn from have together.
    pub top_p: Option<f64>,
    /// Number of tokens drawn from; 0 is all.
    pub top_k: Option<u64>,
    /// Smallest probability of a token, as a part of the likeliest one's.
    pub min_p: Option<f64>,
    /// Divides the score of tokens that were there before.
    pub repetition_penalty: Option<f64>,
    /// Most tokens of prompt and completion.
    pub max_length: Option<u64>,
}

impl GenerationConfig {
    /// That of a model folder; `None` where it has none.
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        if !path.exists() {
            return Ok(None);
        }
        let text = experiments::text::bytes(&path)
            .with_context(|| format!("reading {}", path.display()))?;
        let config = Self::from_json(&text).with_context(|| path.display().to_string())?;
        Ok(Some(config))
    }

    /// Reads the text of a `generation_config.json`.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let object: Map<String, Value> =
            serde_json::from_slice(text).context("not a JSON object")?;
        let number = |key, least| number(&object, key, least);
        Ok(Self {
            eos_token_id: ends(&object)?,
            bos_token_id: token(&object, "bos_token_id")?,
            pad_token_id: token(&object, "pad_token_id")?,
            do_sample: typed(&object, "do_sample", Value::as_bool, "true or false")?,
            temperature: number("temperature", 0.0)?,
            top_p: number("top_p", 0.0)?,
            top_k: typed(&object, "top_k", Value::as_u64, "a whole number from 0 on")?,
            min_p: number("min_p", 0.0)?,
            repetition_penalty: number("repetition_penalty", f64::MIN_POSITIVE)?,
            max_length: typed(&object, "max_length", Value::as_u64, "a number of tokens")?,
        })
    }

    /// The contents of the file; what is `None` is left out.
    pub fn to_json(&self) -> Value {
        let ends = match &*self.eos_token_id {
            [] => Value::Null,
            [end] => json!(end),
            ends => json!(ends),
        };
        let mut object = Map::new();
        for (key, value) in [
            ("bos_token_id", json!(self.bos_token_id)),
            ("do_sample", json!(self.do_sample)),
            ("eos_token_id", ends),
            ("max_length", json!(self.max_length)),
            ("min_p", json!(self.min_p)),
            ("pad_token_id", json!(self.pad_token_id)),
            ("repetition_penalty", json!(self.repetition_penalty)),
            ("temperature", json!(self.temperature)),
            ("top_k", json!(self.top_k)),
            ("top_p", json!(self.top_p)),
        ] {
            if !value.is_null() {
                object.insert(key.to_owned(), value);
            }
        }
        Value::Object(object)
    }
}

fn ends(object: &Map<String, Value>) -> Result<Vec<u32>> {
    let key = "eos_token_id";
    match object.get(key) {
        Some(Value::Array(ids)) => ids.iter().map(|id| token_id(key, id)).collect(),
        _ => Ok(token(object, key)?.into_iter().collect()),
    }
}

fn token(object: &Map<String, Value>, key: &str) -> Result<Option<u32>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(id) => token_id(key, id).map(Some),
    }
}

fn token_id(key: &str, value: &Value) -> Result<u32> {
    let id = value.as_u64().and_then(|id| u32::try_from(id).ok());
    id.with_context(|| format!("{key} = {value}: the number of a token is wanted"))
}

fn number(object: &Map<String, Value>, key: &str, least: f64) -> Result<Option<f64>> {
    let number = typed(object, key, Value::as_f64, "a number")?;
    if let Some(number) = number {
        ensure!(number >= least, "{key} = {number}: it is too small");
    }
    Ok(number)
}

fn typed<T>(
    object: &Map<String, Value>,
    key: &str,
    read: fn(&Value) -> Option<T>,
    wanted: &str,
) -> Result<Option<T>> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match read(value) {
            Some(value) => Ok(Some(value)),
            None => bail!("{key} = {value}: {wanted} is wanted"),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(value: &Value) -> Result<GenerationConfig> {
        GenerationConfig::from_json(value.to_string().as_bytes())
    }

    #[test]
    fn one_end_and_several_are_read() {
        let ends = |value| read(&json!({"eos_token_id": value})).unwrap().eos_token_id;
        assert_eq!(ends(json!(2)), [2]);
        assert_eq!(ends(json!([151_645, 151_643])), [151_645, 151_643]);
        assert!(ends(json!(null)).is_empty());
        assert_eq!(read(&json!({})).unwrap(), GenerationConfig::default());
    }

    #[test]
    fn what_is_written_reads_back_and_says_no_more() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(GenerationConfig::from_folder(folder.path()).unwrap(), None);
        let full = GenerationConfig {
            eos_token_id: vec![2, 7],
            bos_token_id: Some(1),
            pad_token_id: Some(0),
            do_sample: Some(true),
            temperature: Some(0.6),
            top_p: Some(0.95),
            top_k: Some(20),
            min_p: Some(0.05),
            repetition_penalty: Some(1.05),
            max_length: Some(4096),
        };
        let one_end = GenerationConfig {
            eos_token_id: vec![2],
            ..GenerationConfig::default()
        };
        for config in [full, one_end.clone()] {
            std::fs::write(folder.path().join(FILE), config.to_json().to_string()).unwrap();
            let read = GenerationConfig::from_folder(folder.path()).unwrap();
            assert_eq!(read, Some(config));
        }
        assert_eq!(one_end.to_json(), json!({"eos_token_id": 2}));
    }

    #[test]
    fn a_key_of_the_wrong_type_is_named_and_unknown_ones_are_not() {
        let file = json!({"transformers_version": "5", "cache_implementation": [1], "top_k": 5});
        assert_eq!(read(&file).unwrap().top_k, Some(5));
        for (key, value) in [
            ("eos_token_id", json!("</s>")),
            ("eos_token_id", json!([2, null])),
            ("eos_token_id", json!(-1)),
            ("bos_token_id", json!([1])),
            ("pad_token_id", json!(1.5)),
            ("pad_token_id", json!(4_294_967_296u64)),
            ("do_sample", json!(1)),
            ("temperature", json!("hot")),
            ("temperature", json!(-0.5)),
            ("top_p", json!(true)),
            ("top_k", json!(-1)),
            ("min_p", json!([])),
            ("repetition_penalty", json!(0)),
            ("max_length", json!({})),
        ] {
            let error = read(&json!({ key: value })).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} = ")), "{error}");
        }
        assert!(GenerationConfig::from_json(b"[]").is_err());
    }

    #[test]
    fn the_reference_models_say_where_their_text_ends() {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/models");
        if !models.exists() {
            println!("skipped: ../shared/fixtures/models is not there");
            return;
        }
        for entry in fs::read_dir(models).unwrap() {
            let config = GenerationConfig::from_folder(&entry.unwrap().path()).unwrap();
            let config = config.unwrap();
            assert_eq!(
                (&*config.eos_token_id, config.pad_token_id),
                (&[2][..], Some(0))
            );
        }
    }
}
