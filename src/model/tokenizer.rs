//! The tokenizer of a Hugging Face folder: `tokenizer.json`, held to the model
//! it is for, and the special tokens that `tokenizer_config.json` names, or
//! `special_tokens_map.json` where it does not.
//!
//! Deliberately absent: tokenizers without a `tokenizer.json` (vocabulary and
//! merges in files of their own, sentencepiece models).

use std::path::Path;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

/// Holds the words and how text is cut into them.
pub const FILE: &str = "tokenizer.json";
/// Holds what the special tokens are for.
pub const CONFIG: &str = "tokenizer_config.json";
/// Holds the same in older folders.
pub const MAP: &str = "special_tokens_map.json";

/// The special tokens that have a part to play, as text.
///
/// Worked example: Qwen2.5 has `{bos: None, eos: Some("<|im_end|>"),
/// pad: Some("<|endoftext|>"), unk: None}`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<String>,
    /// Ends a text.
    pub eos: Option<String>,
    /// Fills a batch up.
    pub pad: Option<String>,
    /// Stands for what is not in the vocabulary.
    pub unk: Option<String>,
}

impl SpecialTokens {
    /// Those of a folder; none where no file names any.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let token = |key: &str| {
            let Some((file, value)) = named_in(folder, key)? else {
                return Ok(None);
            };
            token(&value).with_context(|| {
                format!(
                    "{}: {key} is neither a string nor an object with its content",
                    folder.join(file).display()
                )
            })
        };
        Ok(Self {
            bos: token("bos_token")?,
            eos: token("eos_token")?,
            pad: token("pad_token")?,
            unk: token("unk_token")?,
        })
    }

    /// Those that there are, by the names that templates and
    /// `tokenizer_config.json` have for them.
    pub(super) fn named(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("bos_token", &self.bos),
            ("eos_token", &self.eos),
            ("pad_token", &self.pad),
            ("unk_token", &self.unk),
        ]
        .into_iter()
        .filter_map(|(name, token)| Some((name, token.as_deref()?)))
    }
}

/// A token alone, or with how it is to be matched.
fn token(value: &Value) -> Result<Option<String>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text.clone())),
        Value::Object(object) => match object.get("content") {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            _ => bail!("no content"),
        },
        _ => bail!("of another type"),
    }
}

/// The file that speaks of a special token, and what it says.
fn named_in(folder: &Path, key: &str) -> Result<Option<(&'static str, Value)>> {
    for file in [CONFIG, MAP] {
        if let Some(value) = read_object(folder, file)?.remove(key) {
            return Ok(Some((file, value)));
        }
    }
    Ok(None)
}

/// The contents of `tokenizer_config.json`; nothing where there is no such file.
pub(super) fn read_config(folder: &Path) -> Result<Map<String, Value>> {
    read_object(folder, CONFIG)
}

fn read_object(folder: &Path, file: &str) -> Result<Map<String, Value>> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(Map::new());
    }
    let text =
        experiments::text::bytes(&path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{}: no JSON object", path.display()))
}

/// The tokenizer of a folder for a model whose embedding has `vocab_size` rows.
pub fn load(folder: &Path, vocab_size: usize) -> Result<Tokenizer> {
    let path = folder.join(FILE);
    let bytes = experiments::text::bytes(&path).with_context(|| {
        format!(
            "reading {}: a tokenizer is read from {FILE} alone; \
             transformers writes it with AutoTokenizer.from_pretrained(folder).save_pretrained(folder)",
            path.display()
        )
    })?;
    let Parts { added_tokens, .. } = serde_json::from_slice(&bytes)
        .with_context(|| format!("{}: no tokenizer", path.display()))?;
    let mut tokenizer =
        Tokenizer::from_bytes(&bytes).map_err(|error| anyhow!("{}: {error}", path.display()))?;
    // A file may say how its maker last cut and filled up; transformers passes
    // over that too, and the rest of a text would be lost unseen.
    tokenizer.with_padding(None);
    tokenizer
        .with_truncation(None)
        .map_err(|error| anyhow!("{}: {error}", path.display()))?;
    numbered(&tokenizer, added_tokens).with_context(|| path.display().to_string())?;
    fits(&tokenizer, vocab_size).with_context(|| path.display().to_string())?;
    for (key, token) in SpecialTokens::from_folder(folder)?.named() {
        let of = named_in(folder, key)?.map_or(CONFIG, |(file, _)| file);
        ensure!(
            tokenizer.token_to_id(token).is_some(),
            "{}: {key} is {token:?}, which is no token of {FILE}",
            folder.join(of).display()
        );
    }
    Ok(tokenizer)
}

/// What of a file is looked at before the tokenizers crate does.
#[derive(Deserialize)]
struct Parts {
    /// What it adds to its vocabulary.
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    /// Parsed because the crate panics where this is not whole JSON.
    #[serde(default, rename = "decoder")]
    _decoder: Value,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

/// Added tokens are numbered on from the vocabulary, whatever their file says:
/// where that leaves a gap, each would stand for another row of the embedding.
fn numbered(tokenizer: &Tokenizer, added_tokens: Vec<AddedToken>) -> Result<()> {
    for AddedToken { id, content } in added_tokens {
        let got = tokenizer.token_to_id(&content);
        ensure!(
            got == Some(id),
            "the added token {content:?} should have the number {id} and gets {}; \
             the numbers of added tokens must follow those of the vocabulary without a gap",
            got.map_or("none".to_owned(), |got| got.to_string())
        );
    }
    Ok(())
}

/// Every token needs a row of the embedding; rows without a token are padding.
fn fits(tokenizer: &Tokenizer, vocab_size: usize) -> Result<()> {
    let highest = tokenizer
        .get_vocab(true)
        .into_iter()
        .max_by_key(|(_, id)| *id);
    let Some((token, id)) = highest else {
        bail!("the vocabulary is empty");
    };
    ensure!(
        (id as usize) < vocab_size,
        "the vocabulary does not fit the model: token {token:?} has the number {id}, \
         and the embedding has {vocab_size} rows; they do not belong together"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    /// A folder with a tokenizer of three words and one special token.
    fn folder(config: &Value) -> tempfile::TempDir {
        with_end(3, config)
    }

    /// The same with that number of the special token.
    fn with_end(end: u32, config: &Value) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
            "added_tokens": [{"id": end, "content": "</s>", "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true}],
            "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "?": 2}, "unk_token": "?"},
        });
        fs::write(folder.path().join(FILE), tokenizer.to_string()).unwrap();
        fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
        folder
    }

    #[test]
    fn a_tokenizer_is_held_to_the_rows_of_the_embedding() {
        let folder = folder(&json!({"eos_token": "</s>"}));
        let tokenizer = load(folder.path(), 4).unwrap();
        assert_eq!(tokenizer.token_to_id("</s>"), Some(3));
        assert!(load(folder.path(), 100).is_ok());
        let error = format!("{:#}", load(folder.path(), 3).unwrap_err());
        for part in [
            FILE,
            "does not fit the model",
            "\"</s>\"",
            "number 3",
            "3 rows",
        ] {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn an_added_token_that_would_get_another_number_is_refused() {
        let folder = with_end(7, &json!({}));
        let error = format!("{:#}", load(folder.path(), 8).unwrap_err());
        for part in [FILE, "\"</s>\"", "number 7", "gets 3"] {
            assert!(error.contains(part), "{part:?} is not in: {error}");
        }
    }

    #[test]
    fn a_text_is_neither_cut_off_nor_filled_up() {
        let folder = folder(&json!({}));
        let path = folder.path().join(FILE);
        let text = fs::read_to_string(&path).unwrap();
        let mut file: Value = serde_json::from_str(&text).unwrap();
        file["truncation"] = json!({"direction": "Right", "max_length": 2,
            "strategy": "LongestFirst", "stride": 0});
        file["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right",
            "pad_to_multiple_of": null, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"});
        fs::write(&path, file.to_string()).unwrap();
        let tokenizer = load(folder.path(), 4).unwrap();
        let encoding = tokenizer.encode("a b a b", false).unwrap();
        assert_eq!(encoding.get_ids(), [0, 1, 0, 1]);
    }

    #[test]
    fn special_tokens_are_strings_or_objects() {
        let config = json!({
            "bos_token": null,
            "eos_token": {"content": "</s>", "lstrip": false},
            "pad_token": "a",
        });
        let folder = folder(&config);
        let special = SpecialTokens::from_folder(folder.path()).unwrap();
        assert_eq!(special.eos.as_deref(), Some("</s>"));
        assert_eq!(
            special.named().collect::<Vec<_>>(),
            [("eos_token", "</s>"), ("pad_token", "a")]
        );
        // What it says wins over the older file, silence does not.
        let map = json!({"eos_token": "b", "unk_token": {"content": "?"}, "pad_token": "b"});
        fs::write(folder.path().join(MAP), map.to_string()).unwrap();
        let both = SpecialTokens::from_folder(folder.path()).unwrap();
        let unk = Some("?".to_owned());
        assert_eq!(both, SpecialTokens { unk, ..special });
        fs::remove_file(folder.path().join(CONFIG)).unwrap();
        let older = SpecialTokens::from_folder(folder.path()).unwrap();
        assert_eq!(older.eos.as_deref(), Some("b"));
        fs::remove_file(folder.path().join(MAP)).unwrap();
        let none = SpecialTokens::from_folder(folder.path()).unwrap();
        assert_eq!(none, SpecialTokens::default());
    }

    #[test]
    fn a_configuration_that_is_wrong_is_named() {
        for (config, word) in [
            (json!({"eos_token": 2}), "eos_token"),
            (json!({"pad_token": {"lstrip": true}}), "pad_token"),
            (json!({"bos_token": "<s>"}), "no token of tokenizer.json"),
            (json!([]), "no JSON object"),
        ] {
            let folder = folder(&config);
            let error = format!("{:#}", load(folder.path(), 8).unwrap_err());
            assert!(error.contains(word) && error.contains(CONFIG), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_no_tokenizer_is_named() {
        let folder = folder(&json!({}));
        for text in [
            "",
            "{}",
            "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {}, \"unk_token\": \"\"}}",
        ] {
            fs::write(folder.path().join(FILE), text).unwrap();
            let error = format!("{:#}", load(folder.path(), 8).unwrap_err());
            assert!(error.contains(FILE), "{error}");
        }
        // Within the decoder, where the crate itself would panic.
        let whole = fs::read(self::folder(&json!({})).path().join(FILE)).unwrap();
        let at = whole
            .windows(10)
            .position(|ten| ten == b"\"decoder\":")
            .unwrap()
            + 10;
        for broken in [
            &b"{\"type\": \"\xff\"}"[..],
            b"{\"type\": \"\\ud800\"}",
            b"{\"type\": \n",
        ] {
            let bytes = [&whole[..at], broken, &whole[at + 4..]].concat();
            fs::write(folder.path().join(FILE), bytes).unwrap();
            let error = format!("{:#}", load(folder.path(), 8).unwrap_err());
            assert!(error.contains(FILE), "{error}");
        }
        fs::remove_file(folder.path().join(FILE)).unwrap();
        let error = format!("{:#}", load(folder.path(), 8).unwrap_err());
        assert!(error.contains("save_pretrained"), "{error}");
    }
}
