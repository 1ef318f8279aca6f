//! The tokenizer that the metadata describes, as a Hugging Face tokenizer.
//!
//! Two models are read: `gpt2`, byte-level BPE with merges of its own, and
//! `llama`, `SentencePiece`'s BPE, whose merges follow from the scores. How text
//! is split before merging is only named in the file (`tokenizer.ggml.pre`);
//! the patterns here are those of the `tokenizer.json` files that the names
//! stand for. Another name is refused, because another split gives other ids
//! for the same text without any sign of it.

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::json;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::{NFC, Prepend, Replace, Sequence as Normalizers};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence as PreTokenizers;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{
    AddedToken, DecoderWrapper, NormalizerWrapper, PreTokenizerWrapper, SplitDelimiterBehavior,
    Tokenizer,
};

use super::Gguf;
use super::vocabulary::{ids_of, implied_merges};

/// Stands for a space in `SentencePiece`'s vocabularies.
const SPACE: &str = "▁";

/// Longest token that is matched whole, in bytes, and most bytes of all of
/// them: the matcher's tables take about a hundred bytes for each.
const LONGEST_WHOLE: usize = 256;
const MOST_WHOLE: usize = 1 << 20;

/// Types of tokens.
const UNKNOWN: u64 = 2;
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

/// The ids that generation needs, and what encoding puts around a text.
///
/// Worked example: `SmolLM2-135M-Instruct` has bos 1, eos 2, pad 2 and unk 0,
/// and puts neither bos nor eos around a text. The first files of Llama 3
/// Instruct have eos 128001, the end of a text, and eot 128009, that of a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<u32>,
    /// Ends a text or a turn.
    pub eos: Option<u32>,
    /// Ends a turn, where that is another token.
    pub eot: Option<u32>,
    /// Ends a message that a tool answers.
    pub eom: Option<u32>,
    /// Fills a batch up.
    pub pad: Option<u32>,
    /// Stands for what is not in the vocabulary.
    pub unk: Option<u32>,
    /// Whether encoding with special tokens begins with `bos`.
    pub adds_bos: bool,
    /// Whether encoding with special tokens ends with `eos`.
    pub adds_eos: bool,
}

impl SpecialTokens {
    /// The tokens that end a completion, eos first; one may be there twice.
    pub fn ends(&self) -> impl Iterator<Item = u32> {
        [self.eos, self.eot, self.eom].into_iter().flatten()
    }
}

/// How a byte-level vocabulary treats text before its merges.
struct Splits {
    /// Pattern of a piece; none for GPT-2's, which the byte level has built in.
    pattern: Option<&'static str>,
    /// Whether letters and their accents are composed first.
    composed: bool,
    /// Whether a piece that is a token is taken whole, merges or not.
    whole: bool,
    /// Whether a text begins with bos where the file does not say.
    begins: bool,
}

/// The pieces of Llama 3: up to three digits at once.
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// The pieces of Qwen 2 and 3: the same, each digit alone.
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

fn splits(name: &str) -> Result<Splits> {
    Ok(match name {
        // SmolLM's own file cuts each digit off first, and so does llama.cpp.
        // transformers does not when it reads a GGUF, and its ids are the ones
        // kept to. They differ where a run of white space ends at a digit
        // ("\n\n9"), and for digits other than 0 to 9.
        "gpt-2" | "default" | "smollm" => Splits {
            pattern: None,
            composed: false,
            whole: false,
            begins: false,
        },
        "llama-bpe" | "llama3" | "llama-v3" => Splits {
            pattern: Some(LLAMA3),
            composed: false,
            whole: true,
            begins: true,
        },
        "qwen2" | "deepseek-r1-qwen" => Splits {
            pattern: Some(QWEN2),
            composed: true,
            whole: false,
            begins: false,
        },
        other => bail!(
            "tokenizer.ggml.pre is {other:?}; read are smollm, gpt-2, default, llama-bpe, llama3, \
             llama-v3, qwen2 and deepseek-r1-qwen"
        ),
    })
}

/// The two families of tokenizers.
enum Family {
    ByteLevel(Splits),
    SentencePiece,
}

impl Gguf<'_> {
    /// The tokenizer.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        let tokens = self.tokens()?;
        let mut tokenizer = match self.family()? {
            Family::ByteLevel(splits) => self.byte_level(&tokens, &splits)?,
            Family::SentencePiece => self.sentence_piece(&tokens)?,
        };
        self.add_whole_tokens(&mut tokenizer, &tokens)?;
        self.add_template(&mut tokenizer, &tokens)?;
        Ok(tokenizer)
    }

    /// Ids of the special tokens.
    pub fn special_tokens(&self) -> Result<SpecialTokens> {
        let bos = self.token_id("bos")?;
        let begins = match self.family()? {
            Family::ByteLevel(splits) => splits.begins,
            Family::SentencePiece => true,
        };
        Ok(SpecialTokens {
            bos,
            eos: self.token_id("eos")?,
            eot: self.token_id("eot")?,
            eom: self.token_id("eom")?,
            pad: self.token_id("padding")?,
            unk: self.token_id("unknown")?,
            adds_bos: self
                .flag("tokenizer.ggml.add_bos_token")?
                .unwrap_or(begins && bos.is_some()),
            adds_eos: self.flag("tokenizer.ggml.add_eos_token")?.unwrap_or(false),
        })
    }

    /// The id of a special token, which must be in the vocabulary.
    pub(super) fn token_id(&self, name: &str) -> Result<Option<u32>> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(id) = self.size(&key)? else {
            return Ok(None);
        };
        let count = self
            .list("tokenizer.ggml.tokens")?
            .map_or(0, |tokens| tokens.len());
        ensure!(
            id < count,
            "{key} is {id}, the vocabulary has {count} tokens"
        );
        Ok(Some(id as u32))
    }

    fn family(&self) -> Result<Family> {
        match self.text("tokenizer.ggml.model")? {
            Some("gpt2") => {
                let name = self.text("tokenizer.ggml.pre")?.unwrap_or("default");
                Ok(Family::ByteLevel(splits(name)?))
            }
            Some("llama") => Ok(Family::SentencePiece),
            Some(other) => bail!("tokenizer.ggml.model is {other:?}; read are gpt2 and llama"),
            None => bail!("tokenizer.ggml.model is missing: the file has no tokenizer"),
        }
    }

    fn byte_level(&self, tokens: &[&str], splits: &Splits) -> Result<Tokenizer> {
        let merges = self
            .listed_merges()?
            .context("tokenizer.ggml.merges is missing")?;
        let model = BPE::builder()
            .vocab_and_merges(ids_of(tokens)?, merges)
            .ignore_merges(splits.whole)
            .build()
            .map_err(|error| anyhow!("tokenizer.ggml.merges: {error}"))?;
        let mut tokenizer = Tokenizer::new(model);
        let byte_level = ByteLevel::new(false, true, splits.pattern.is_none());
        tokenizer.with_pre_tokenizer(Some(match splits.pattern {
            None => PreTokenizerWrapper::ByteLevel(byte_level),
            Some(pattern) => {
                let pattern = SplitPattern::Regex(pattern.to_owned());
                let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)
                    .map_err(|error| anyhow!("the pattern of pieces: {error}"))?;
                PreTokenizerWrapper::Sequence(PreTokenizers::new(vec![
                    PreTokenizerWrapper::Split(split),
                    PreTokenizerWrapper::ByteLevel(byte_level),
                ]))
            }
        }));
        if splits.composed {
            tokenizer.with_normalizer(Some(NFC));
        }
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Ok(tokenizer)
    }

    fn sentence_piece(&self, tokens: &[&str]) -> Result<Tokenizer> {
        let by_place = self.form.merges_by_place;
        let spelled: Vec<String> = tokens
            .iter()
            .map(|token| {
                if by_place && token.bytes().all(|byte| byte == b' ') {
                    SPACE.repeat(token.len())
                } else {
                    (*token).to_owned()
                }
            })
            .collect();
        let spelled: Vec<&str> = spelled.iter().map(String::as_str).collect();
        let vocabulary = ids_of(&spelled)?;
        let merges = if let Some(merges) = self.listed_merges()? {
            merges
        } else {
            let scores = if by_place {
                (0..spelled.len()).map(|place| -(place as f32)).collect()
            } else {
                self.scores(spelled.len())?
            };
            implied_merges(&spelled, &vocabulary, &scores)?
        };
        let mut model = BPE::builder()
            .vocab_and_merges(vocabulary, merges)
            .fuse_unk(true)
            .byte_fallback(true);
        if let Some(unknown) = self.special_tokens()?.unk {
            model = model.unk_token(tokens[unknown as usize].to_owned());
        }
        let model = model
            .build()
            .map_err(|error| anyhow!("tokenizer.ggml.tokens: {error}"))?;
        let mut tokenizer = Tokenizer::new(model);
        let prefixed = self
            .flag("tokenizer.ggml.add_space_prefix")?
            .unwrap_or(true);
        let replace = |from: &str, to: &str| {
            Replace::new(from, to).map_err(|error| anyhow!("the replacement of spaces: {error}"))
        };
        let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
        let mut decoders: Vec<DecoderWrapper> = vec![
            replace(SPACE, " ")?.into(),
            ByteFallback::new().into(),
            Fuse::new().into(),
        ];
        if prefixed {
            normalizers.push(Prepend::new(SPACE.to_owned()).into());
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        normalizers.push(replace(" ", SPACE)?.into());
        tokenizer.with_normalizer(Some(Normalizers::new(normalizers)));
        tokenizer.with_decoder(Some(Decoders::new(decoders)));
        Ok(tokenizer)
    }

    /// Tokens that are found in a text before it is split: control tokens,
    /// which decoding may skip, and tokens that a user added, which it keeps.
    fn add_whole_tokens(&self, tokenizer: &mut Tokenizer, tokens: &[&str]) -> Result<()> {
        let types = self.token_types(tokens.len())?;
        let special = self.special_tokens()?;
        let named = [
            special.bos,
            special.eos,
            special.eot,
            special.eom,
            special.pad,
            special.unk,
        ];
        let mut control = Vec::new();
        let mut added = Vec::new();
        let mut whole = 0;
        for ((id, token), of) in (0..).zip(tokens).zip(types) {
            let is_control = matches!(of, UNKNOWN | CONTROL) || named.contains(&Some(id));
            let list = match of {
                // Spelled otherwise in the vocabulary: merges make it.
                _ if tokenizer.token_to_id(token).is_none() => continue,
                _ if is_control => &mut control,
                USER_DEFINED => &mut added,
                _ => continue,
            };
            ensure!(
                token.len() <= LONGEST_WHOLE,
                "tokenizer.ggml.tokens: {id}, to be matched whole, has {} bytes; {LONGEST_WHOLE} are read",
                token.len()
            );
            whole += token.len();
            ensure!(
                whole <= MOST_WHOLE,
                "tokenizer.ggml.token_type: the tokens to be matched whole have more than {MOST_WHOLE} bytes together"
            );
            list.push(AddedToken::from(*token, is_control).normalized(false));
        }
        tokenizer.add_special_tokens(&control);
        tokenizer.add_tokens(&added);
        Ok(())
    }

    /// What encoding with special tokens puts around a text.
    fn add_template(&self, tokenizer: &mut Tokenizer, tokens: &[&str]) -> Result<()> {
        let special = self.special_tokens()?;
        if !special.adds_bos && !special.adds_eos {
            return Ok(());
        }
        let name = |adds: bool, id: Option<u32>, name: &str| -> Result<Option<(u32, &str)>> {
            if !adds {
                return Ok(None);
            }
            let id = id.with_context(|| {
                format!(
                    "tokenizer.ggml.add_{name}_token is true, tokenizer.ggml.{name}_token_id is missing"
                )
            })?;
            Ok(Some((id, tokens[id as usize])))
        };
        let bos = name(special.adds_bos, special.bos, "bos")?;
        let eos = name(special.adds_eos, special.eos, "eos")?;
        let piece = |token: Option<(u32, &str)>, of: u32| {
            token.map(|(_, token)| json!({"SpecialToken": {"id": token, "type_id": of}}))
        };
        let around = |text: &str, of: u32| {
            let text = json!({"Sequence": {"id": text, "type_id": of}});
            piece(bos, of)
                .into_iter()
                .chain([text])
                .chain(piece(eos, of))
        };
        let mut named = serde_json::Map::new();
        for (id, token) in bos.into_iter().chain(eos) {
            named.insert(
                token.to_owned(),
                json!({"id": token, "ids": [id], "tokens": [token]}),
            );
        }
        // As JSON, because the builder would read signs inside a token's name.
        let template: TemplateProcessing = serde_json::from_value(json!({
            "type": "TemplateProcessing",
            "single": around("A", 0).collect::<Vec<_>>(),
            "pair": around("A", 0).chain(around("B", 1)).collect::<Vec<_>>(),
            "special_tokens": named,
        }))
        .context("the template around a text")?;
        tokenizer.with_post_processor(Some(template));
        Ok(())
    }
}
