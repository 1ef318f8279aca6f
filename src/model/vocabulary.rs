//! The tokenizer of the models pre-trained in the lab: one token a word, over a
//! closed list of words.
//!
//! Whole words, because a model this small spends its capacity on copying
//! characters otherwise: "13" is one token, and so is "thirteen". A model that
//! comes with a tokenizer of its own keeps it; nothing here is for those.
//!
//! The tokenizer is a Hugging Face one, so a checkpoint of the lab is read by
//! other tools. Text is split at white space and then into letters, integers,
//! lower-case words and single signs; decoding joins tokens by single spaces.
//! `A+3=D` therefore comes back as `A + 3 = D`.

use anyhow::{Context, Result};
use indexmap::IndexSet;
use serde_json::json;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, PreTokenizerWrapper, SplitDelimiterBehavior, Tokenizer};

use super::stored::Companions;
use super::{ModelConfig, ModelShape};
use crate::tasks::grading::{END_THINK, THINK};
use crate::tasks::{LARGEST_NUMBER, number_word};

/// Fills a batch up.
pub const PAD: &str = "<pad>";
/// Begins a text.
pub const BOS: &str = "<bos>";
/// Ends a text.
pub const EOS: &str = "<eos>";
/// Stands for what is not in the vocabulary.
pub const UNK: &str = "<unk>";

/// The integers 0 to this are one token each.
const LARGEST_INTEGER: u32 = 69;

/// The pieces of text between white space; whatever is none of the first three
/// is a sign of its own, so nothing is dropped unseen.
const PIECES: &str = r"[A-Z]|[0-9]+|[a-z]+(?:-[a-z]+)*|[^A-Za-z0-9]";

const SIGNS: [&str; 8] = ["+", "=", ",", ";", "?", ".", "!", "-"];

/// Answers, wordings, comparisons, and what padded work is padded with.
const WORDS: [&str; 28] = [
    "true", "false", "what", "is", "same", "differ", "again", "am", "check", "count", "hmm", "i",
    "it", "let", "me", "no", "now", "okay", "right", "see", "so", "start", "sure", "that", "this",
    "to", "wait", "well",
];

/// The words of the vocabulary; the place of a word is its id. Those of `further`
/// that are none of the lab's usual ones follow them, in their order.
///
/// New words go to the end, or the checkpoints there are would be misread.
pub fn words(further: &[String]) -> Vec<String> {
    let special = [PAD, BOS, EOS, UNK, THINK, END_THINK];
    let letters = ('A'..='Z').map(String::from);
    let integers = (0..=LARGEST_INTEGER).map(|number| number.to_string());
    let number_words = (0..=LARGEST_NUMBER).map(number_word);
    let mut words: IndexSet<String> = special
        .map(String::from)
        .into_iter()
        .chain(SIGNS.map(String::from))
        .chain(letters)
        .chain(integers)
        .chain(WORDS.map(String::from))
        .chain(number_words)
        .collect();
    words.extend(further.iter().cloned());
    words.into_iter().collect()
}

/// The tokenizer over [`words`]. With special tokens, encoding puts [`BOS`] before the text.
///
/// ```
/// use qinglan::model::vocabulary;
///
/// let tokenizer = vocabulary::tokenizer(&[]);
/// let ids = |text| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
/// assert_eq!(ids("4 + 9 = 13").len(), 5);
/// assert_eq!(ids("four + nine = thirteen").len(), 5);
/// assert_eq!(tokenizer.decode(&ids("A+3=D"), true).unwrap(), "A + 3 = D");
/// ```
pub fn tokenizer(further: &[String]) -> Tokenizer {
    build(further).expect("the parts are constants, and a test builds them")
}

fn build(further: &[String]) -> tokenizers::Result<Tokenizer> {
    let ids = words(further).into_iter().zip(0..).collect();
    let model = WordLevel::builder()
        .vocab(ids)
        .unk_token(UNK.to_owned())
        .build()?;
    let mut tokenizer = Tokenizer::new(model);
    let pieces = Split::new(
        SplitPattern::Regex(PIECES.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )?;
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
        PreTokenizerWrapper::Split(pieces),
    ])));
    let bos_id = tokenizer.token_to_id(BOS).unwrap_or_default();
    tokenizer.with_post_processor(Some(
        TemplateProcessing::builder()
            .try_single(format!("{BOS} $A"))?
            .try_pair(format!("{BOS} $A $B:1"))?
            .special_tokens(vec![(BOS, bos_id)])
            .build()?,
    ));
    tokenizer.add_special_tokens(&[PAD, BOS, EOS, UNK].map(|word| AddedToken::from(word, true)));
    // Not special in that sense: a decoder that skips special tokens must keep
    // the marks that tell the work from the answer.
    tokenizer.add_tokens(&[THINK, END_THINK].map(|word| AddedToken::from(word, false)));
    Ok(tokenizer)
}

/// The contents of the `tokenizer_config.json` that belongs to [`tokenizer`].
pub fn tokenizer_config(max_length: usize) -> serde_json::Value {
    json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": PAD,
        "unk_token": UNK,
        "add_bos_token": true,
        "add_eos_token": false,
        // Else " ?" would be decoded as "?".
        "clean_up_tokenization_spaces": false,
        "model_max_length": max_length,
    })
}

/// The configuration of a model of that shape over this vocabulary.
pub fn config(shape: &ModelShape, further: &[String]) -> Result<ModelConfig> {
    let tokenizer = tokenizer(further);
    let id = |word: &str| {
        tokenizer
            .token_to_id(word)
            .map(i64::from)
            .with_context(|| format!("the vocabulary lacks {word}"))
    };
    let words = tokenizer.get_vocab_size(true) as i64;
    Ok(shape.config(words, id(BOS)?, id(EOS)?, id(PAD)?))
}

/// Files that belong to a model over this vocabulary.
pub fn companions(max_length: usize, further: &[String]) -> Result<Companions> {
    let text = tokenizer(further)
        .to_string(true)
        .map_err(|error| anyhow::anyhow!("writing the tokenizer: {error}"))?;
    let about = serde_json::to_vec_pretty(&tokenizer_config(max_length))?;
    Ok(Companions::from([
        ("tokenizer.json".to_owned(), text.into_bytes()),
        ("tokenizer_config.json".to_owned(), about),
    ]))
}

/// The pieces of `text` that `tokenizer` does not know, in their order; empty
/// when it knows them all.
pub fn unknown(tokenizer: &Tokenizer, text: &str) -> tokenizers::Result<Vec<String>> {
    let Some(unk) = tokenizer.token_to_id(UNK) else {
        return Ok(Vec::new());
    };
    let encoding = tokenizer.encode(text, false)?;
    let pieces = encoding.get_ids().iter().zip(encoding.get_offsets());
    Ok(pieces
        .filter(|(id, _)| **id == unk)
        .map(|(_, (from, to))| text[*from..*to].to_owned())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::corpus::{Corpus, Shares};
    use crate::tasks::{COUNTING, Mix, Proportions, Split, by_name, squeeze};
    use std::collections::HashSet;

    fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
        tokenizer.encode(text, false).unwrap().get_tokens().to_vec()
    }

    #[test]
    fn ids_are_places_in_the_list_of_words() {
        let words = words(&[]);
        let tokenizer = tokenizer(&[]);
        assert_eq!(words.iter().collect::<HashSet<_>>().len(), words.len());
        assert_eq!(tokenizer.get_vocab_size(true), words.len());
        for (place, word) in words.iter().enumerate() {
            assert_eq!(tokenizer.token_to_id(word), Some(place as u32), "{word}");
        }
        // Fixed: a checkpoint is of no use with another order.
        let fixed = [
            (PAD, 0),
            (BOS, 1),
            (EOS, 2),
            (UNK, 3),
            (THINK, 4),
            (END_THINK, 5),
        ];
        for (word, id) in fixed
            .into_iter()
            .chain([("A", 14), ("13", 53), ("true", 110)])
        {
            assert_eq!(tokenizer.token_to_id(word), Some(id), "{word}");
        }
    }

    #[test]
    fn every_problem_is_in_the_vocabulary() {
        let tokenizer = tokenizer(&[]);
        let known = |text: &str| {
            let unknown = unknown(&tokenizer, text).unwrap();
            assert!(unknown.is_empty(), "{text}: {unknown:?}");
            // No sign is lost on the way, so the decoded text means the same.
            let ids = tokenizer.encode(text, true).unwrap();
            let decoded = tokenizer.decode(ids.get_ids(), true).unwrap();
            assert_eq!(squeeze(&decoded), squeeze(text));
        };
        let mix = Mix::new(&COUNTING, Proportions::default()).unwrap();
        for split in [Split::Train, Split::Validation] {
            for index in 0..3000 {
                let item = mix.item(1, split, index).unwrap();
                known(&item.prompt);
                known(&item.answer);
            }
        }
        for task in COUNTING.map(|name| by_name(name).unwrap()) {
            for item in task.evaluation_items().unwrap() {
                known(&item.prompt);
                known(&item.answer);
            }
        }
    }

    #[test]
    fn completions_are_their_tokens_joined_by_spaces() {
        let tokenizer = tokenizer(&[]);
        let corpus = Corpus::new(&COUNTING, Shares::default()).unwrap();
        for index in 0..5000 {
            let document = corpus.document(1, index).unwrap();
            let encoding = tokenizer.encode(&*document.completion, false).unwrap();
            let words: Vec<_> = document.completion.split(' ').collect();
            assert_eq!(encoding.get_tokens(), words);
            assert!(
                !encoding.get_tokens().contains(&UNK.to_owned()),
                "{document:?}"
            );
            let decoded = tokenizer.decode(encoding.get_ids(), true).unwrap();
            assert_eq!(decoded, document.completion);
        }
    }

    #[test]
    fn numbers_are_one_token_in_digits_and_in_words() {
        let tokenizer = tokenizer(&[]);
        assert_eq!(tokens(&tokenizer, "4+13=17"), ["4", "+", "13", "=", "17"]);
        assert_eq!(tokens(&tokenizer, "A+13 = N"), ["A", "+", "13", "=", "N"]);
        assert_eq!(
            tokens(&tokenizer, "thirteen twenty-one"),
            ["thirteen", "twenty-one"]
        );
    }

    #[test]
    fn words_of_a_task_follow_those_that_are_always_there() {
        let further = ["70", "true", "back", "70"].map(str::to_owned);
        let (usual, more) = (words(&[]), words(&further));
        assert_eq!(more[..usual.len()], usual);
        assert_eq!(more[usual.len()..], ["70", "back"]);
        assert_eq!(tokens(&tokenizer(&further), "A 70"), ["A", "70"]);
    }

    #[test]
    fn what_is_unknown_is_named_not_dropped() {
        let tokenizer = tokenizer(&[]);
        let unknown = unknown(&tokenizer, "A+3=70 Whence é?").unwrap();
        assert_eq!(unknown, ["70", "hence", "é"]);
        assert_eq!(tokens(&tokenizer, "A 70"), ["A", UNK]);
    }

    #[test]
    fn a_text_begins_with_bos_and_keeps_its_think_marks() {
        let tokenizer = tokenizer(&[]);
        let encoding = tokenizer.encode("<think>A 1 B</think>true", true).unwrap();
        let expected = [BOS, THINK, "A", "1", "B", END_THINK, "true"];
        assert_eq!(encoding.get_tokens(), expected);
        let mut ids = encoding.get_ids().to_vec();
        ids.extend([2, 0, 0]);
        assert_eq!(
            tokenizer.decode(&ids, true).unwrap(),
            "<think> A 1 B </think> true"
        );
    }

    #[test]
    fn a_saved_tokenizer_is_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokenizer.json");
        let built = tokenizer(&[]);
        built.save(&path, true).unwrap();
        let read = Tokenizer::from_file(&path).unwrap();
        assert_eq!(read.get_vocab(true), built.get_vocab(true));
        for text in [
            "A+3=D",
            "<think> four + nine ? </think> true",
            "12 , 13",
            "? é",
        ] {
            for special in [false, true] {
                let (a, b) = (built.encode(text, special), read.encode(text, special));
                let (a, b) = (a.unwrap(), b.unwrap());
                assert_eq!(a.get_ids(), b.get_ids());
                assert_eq!(
                    built.decode(a.get_ids(), true).unwrap(),
                    read.decode(b.get_ids(), true).unwrap()
                );
            }
        }
        let config = tokenizer_config(128);
        for role in ["bos_token", "eos_token", "pad_token", "unk_token"] {
            let word = config[role].as_str().unwrap();
            assert!(read.token_to_id(word).is_some(), "{role}: {word}");
        }
    }
}
