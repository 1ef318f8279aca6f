//! Tokenizers of both families, and vocabularies that are none.

use super::super::SpecialTokens;
use super::*;
use tokenizers::Tokenizer;
use writer::TOKENS;

fn tokenizer(writer: &Writer) -> Tokenizer {
    let bytes = writer.bytes();
    Gguf::parse(&bytes).unwrap().tokenizer().unwrap()
}

fn tokenizer_refusal(writer: &Writer) -> String {
    let bytes = writer.bytes();
    format!(
        "{:#}",
        Gguf::parse(&bytes).unwrap().tokenizer().unwrap_err()
    )
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<String> {
    tokenizer.encode(text, true).unwrap().get_tokens().to_vec()
}

fn small_with(pre: &str) -> Writer {
    small().set("tokenizer.ggml.pre", Item::text(pre))
}

#[test]
fn a_byte_level_text_is_cut_and_put_together() {
    let tokenizer = tokenizer(&small());
    assert_eq!(tokenizer.get_vocab_size(true), TOKENS.len());
    for (id, token) in (0..).zip(TOKENS) {
        assert_eq!(tokenizer.token_to_id(token), Some(id), "{token}");
    }
    let text = "abc ab<think>a'sé\n\n</s>";
    let encoding = tokenizer.encode(text, true).unwrap();
    let expected = ["abc", "Ġab", "<think>", "a", "'s", "ĊĊ", "</s>"];
    assert_eq!(encoding.get_tokens(), expected);
    // A control token is skipped on demand, what a user added is not; the
    // bytes of é are none of the few tokens here.
    assert_eq!(
        tokenizer.decode(encoding.get_ids(), false).unwrap(),
        "abc ab<think>a's\n\n</s>"
    );
    assert_eq!(
        tokenizer.decode(encoding.get_ids(), true).unwrap(),
        "abc ab<think>a's\n\n"
    );
}

#[test]
fn names_of_splits_stand_for_their_patterns() {
    // There is a token for each run of these digits: the pieces show.
    let cases: [(&[&str], &str, &[&str]); 4] = [
        (&["gpt-2", "default", "smollm"], "1234", &["1234"]),
        (
            &["llama-bpe", "llama3", "llama-v3"],
            "1234",
            &["<s>", "123", "4"],
        ),
        (
            &["qwen2", "deepseek-r1-qwen"],
            "1234",
            &["1", "2", "3", "4"],
        ),
        (&["gpt-2", "qwen2"], "a\n\n", &["a", "ĊĊ"]),
    ];
    for (names, text, expected) in cases {
        for name in names {
            assert_eq!(
                tokens(&tokenizer(&small_with(name)), text),
                expected,
                "{name}"
            );
        }
    }
    let unnamed = tokenizer(&small().without("tokenizer.ggml.pre"));
    assert_eq!(tokens(&unnamed, "1234"), ["1234"]);
    // A newline after digits, and capitals, tell GPT-2's pattern from the others.
    let cases = [
        ("gpt-2", "1\n\n2", vec!["1", "Ċ", "Ċ", "2"]),
        ("qwen2", "1\n\n2", vec!["1", "ĊĊ", "2"]),
        ("gpt-2", "a's", vec!["a", "'s"]),
        ("qwen2", "a's", vec!["a", "'s"]),
    ];
    for (name, text, expected) in cases {
        assert_eq!(
            tokens(&tokenizer(&small_with(name)), text),
            expected,
            "{name}"
        );
    }
}

#[test]
fn letters_and_accents_are_composed_for_qwen_alone() {
    // I and a dot above are the bytes 49 CC 87; composed they are C4 B0.
    let mut list: Vec<&str> = TOKENS.to_vec();
    list.extend(["I", "ĩ", "Ä", "°"]);
    let of = |pre: &str| {
        let writer = small_with(pre)
            .set("tokenizer.ggml.tokens", Item::texts(&list))
            .without("tokenizer.ggml.token_type");
        tokens(&tokenizer(&writer), "I\u{307}")
    };
    assert_eq!(of("qwen2"), ["Ä", "°"]);
    assert_eq!(of("gpt-2"), ["I", "Ì", "ĩ"]);
}

#[test]
fn a_piece_that_is_a_token_is_taken_whole_for_llama_3_alone() {
    // No merge makes "ba".
    let mut list: Vec<&str> = TOKENS.to_vec();
    list.push("ba");
    let of = |pre: &str| {
        let writer = small_with(pre)
            .set("tokenizer.ggml.tokens", Item::texts(&list))
            .without("tokenizer.ggml.token_type")
            .set("tokenizer.ggml.add_bos_token", Item::Flag(false));
        tokens(&tokenizer(&writer), "ba")
    };
    assert_eq!(of("llama-bpe"), ["ba"]);
    assert_eq!(of("qwen2"), ["b", "a"]);
}

#[test]
fn what_goes_around_a_text_is_what_the_file_says() {
    let of = |bos: Option<bool>, eos: Option<bool>, pre: &str| {
        let mut writer = small_with(pre);
        for (name, flag) in [("bos", bos), ("eos", eos)] {
            if let Some(flag) = flag {
                writer = writer.set(
                    &format!("tokenizer.ggml.add_{name}_token"),
                    Item::Flag(flag),
                );
            }
        }
        writer
    };
    for (writer, expected) in [
        (of(None, None, "gpt-2"), vec!["a"]),
        (of(Some(true), None, "gpt-2"), vec!["<s>", "a"]),
        (
            of(Some(true), Some(true), "gpt-2"),
            vec!["<s>", "a", "</s>"],
        ),
        (of(None, None, "llama-bpe"), vec!["<s>", "a"]),
        (of(Some(false), Some(true), "llama-bpe"), vec!["a", "</s>"]),
    ] {
        let tokenizer = tokenizer(&writer);
        assert_eq!(tokens(&tokenizer, "a"), expected);
        assert_eq!(tokenizer.encode("a", false).unwrap().get_tokens(), ["a"]);
    }
    let missing = of(Some(true), None, "gpt-2").without("tokenizer.ggml.bos_token_id");
    names(
        &tokenizer_refusal(&missing),
        &["add_bos_token", "bos_token_id is missing"],
    );
    // A name with signs that a template could mistake for its own.
    let mut list: Vec<&str> = TOKENS.to_vec();
    list[0] = "$A:1 <x> $0";
    let odd = of(Some(true), None, "gpt-2").set("tokenizer.ggml.tokens", Item::texts(&list));
    assert_eq!(tokens(&tokenizer(&odd), "a"), ["$A:1 <x> $0", "a"]);
}

#[test]
fn special_tokens_are_told() {
    let bytes = small()
        .set("tokenizer.ggml.padding_token_id", Item::Unsigned(1))
        .set("tokenizer.ggml.eot_token_id", Item::Unsigned(5))
        .bytes();
    let expected = SpecialTokens {
        bos: Some(0),
        eos: Some(1),
        eot: Some(5),
        eom: None,
        pad: Some(1),
        unk: None,
        adds_bos: false,
        adds_eos: false,
    };
    assert_eq!(
        Gguf::parse(&bytes).unwrap().special_tokens().unwrap(),
        expected
    );
}

#[test]
fn a_token_that_is_named_special_is_so_without_a_type() {
    let untyped = tokenizer(&small().without("tokenizer.ggml.token_type"));
    let encoding = untyped.encode("a<s>a</s>", false).unwrap();
    assert_eq!(encoding.get_tokens(), ["a", "<s>", "a", "</s>"]);
    assert_eq!(untyped.decode(encoding.get_ids(), true).unwrap(), "aa");
    for name in ["eot", "eom"] {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let ended = tokenizer(&small().set(&key, Item::Unsigned(18)));
        let encoding = ended.encode("babc", false).unwrap();
        assert_eq!(encoding.get_tokens(), ["b", "abc"]);
        assert_eq!(
            ended.decode(encoding.get_ids(), true).unwrap(),
            "b",
            "{name}"
        );
        let beyond = small().set(&key, Item::Unsigned(24));
        names(&tokenizer_refusal(&beyond), &[&key, "24"]);
    }
}

#[test]
fn tokenizers_that_are_not_read_are_refused_by_name() {
    let cases = [
        (
            "tokenizer.ggml.pre",
            Item::text("tekken"),
            "tokenizer.ggml.pre is \"tekken\"",
        ),
        (
            "tokenizer.ggml.pre",
            Item::Unsigned(1),
            "tokenizer.ggml.pre",
        ),
        (
            "tokenizer.ggml.model",
            Item::text("bert"),
            "tokenizer.ggml.model is \"bert\"",
        ),
        (
            "tokenizer.ggml.tokens",
            Item::Integers(vec![1; 24]),
            "tokenizer.ggml.tokens is not an array of texts",
        ),
        (
            "tokenizer.ggml.tokens",
            Item::text("a"),
            "tokenizer.ggml.tokens",
        ),
        (
            "tokenizer.ggml.tokens",
            Item::texts(&["a", "b", "a"]),
            "0 and 2 are both \"a\"",
        ),
        (
            "tokenizer.ggml.token_type",
            Item::Integers(vec![1; 23]),
            "23 types for 24 tokens",
        ),
        (
            "tokenizer.ggml.token_type",
            Item::Numbers(vec![1.0; 24]),
            "tokenizer.ggml.token_type",
        ),
        (
            "tokenizer.ggml.merges",
            Item::Integers(vec![1]),
            "tokenizer.ggml.merges is not",
        ),
        (
            "tokenizer.ggml.merges",
            Item::texts(&["ab"]),
            "\"ab\" is not two parts",
        ),
        (
            "tokenizer.ggml.merges",
            Item::texts(&["a b c"]),
            "\"a b c\" is not two parts",
        ),
        (
            "tokenizer.ggml.merges",
            Item::texts(&["a b", " b"]),
            "\" b\" is not two parts",
        ),
        (
            "tokenizer.ggml.merges",
            Item::texts(&["a x"]),
            "tokenizer.ggml.merges",
        ),
        (
            "tokenizer.ggml.merges",
            Item::texts(&["b a"]),
            "tokenizer.ggml.merges",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Item::Unsigned(24),
            "tokenizer.ggml.bos_token_id is 24",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            Item::Integers(vec![1]),
            "tokenizer.ggml.bos_token_id",
        ),
        (
            "tokenizer.ggml.add_bos_token",
            Item::Unsigned(1),
            "tokenizer.ggml.add_bos_token",
        ),
    ];
    for (key, item, trouble) in cases {
        names(&tokenizer_refusal(&small().set(key, item)), &[trouble]);
    }
}

#[test]
fn tokenizers_with_parts_missing_are_refused_by_name() {
    for key in [
        "tokenizer.ggml.model",
        "tokenizer.ggml.tokens",
        "tokenizer.ggml.merges",
    ] {
        names(&tokenizer_refusal(&small().without(key)), &[key, "missing"]);
    }
    let long = "x".repeat(300);
    let mut list: Vec<&str> = TOKENS.to_vec();
    list[1] = &long;
    let long = small().set("tokenizer.ggml.tokens", Item::texts(&list));
    names(&tokenizer_refusal(&long), &["300 bytes", "256"]);
}

// Each of their bytes took a hundred in the tables that match them.
#[test]
fn more_control_tokens_than_a_vocabulary_has_are_refused() {
    let many: Vec<String> = (0..5000).map(|id| format!("{id:0>250}")).collect();
    let controls = small()
        .set(
            "tokenizer.ggml.token_type",
            Item::Integers(vec![3; many.len()]),
        )
        .set("tokenizer.ggml.tokens", Item::Texts(many))
        .set("tokenizer.ggml.merges", Item::texts(&[]));
    names(
        &tokenizer_refusal(&controls),
        &["tokenizer.ggml.token_type", "1048576 bytes"],
    );
}

/// A vocabulary with scores: three control tokens, some bytes, pieces. Both
/// "lo" + "w" and "l" + "ow" make "low", and the score of "ow" is the better.
const PIECES: [(&str, f32, i32); 19] = [
    ("<unk>", 0.0, 2),
    ("<s>", 0.0, 3),
    ("</s>", 0.0, 3),
    ("<0x0A>", 0.0, 6),
    ("<0xC3>", 0.0, 6),
    ("<0xA9>", 0.0, 6),
    ("ow", -0.0, 1),
    ("lo", -1.0, 1),
    ("low", -2.0, 1),
    ("▁low", -3.0, 1),
    ("▁▁", -4.0, 1),
    ("er", -5.0, 1),
    ("▁", -6.0, 1),
    ("l", -7.0, 1),
    ("o", -8.0, 1),
    ("w", -9.0, 1),
    ("e", -10.0, 1),
    ("r", -11.0, 1),
    ("<user>", -1000.0, 4),
];

fn scored() -> Writer {
    let (texts, rest): (Vec<&str>, Vec<(f32, i32)>) = PIECES
        .iter()
        .map(|&(text, score, of)| (text, (score, of)))
        .unzip();
    let (scores, types) = rest.into_iter().unzip();
    small()
        .without("tokenizer.ggml.merges")
        .without("tokenizer.ggml.pre")
        .set("tokenizer.ggml.model", Item::text("llama"))
        .set("tokenizer.ggml.tokens", Item::texts(&texts))
        .set("tokenizer.ggml.scores", Item::Numbers(scores))
        .set("tokenizer.ggml.token_type", Item::Integers(types))
        .set("tokenizer.ggml.bos_token_id", Item::Unsigned(1))
        .set("tokenizer.ggml.eos_token_id", Item::Unsigned(2))
        .set("tokenizer.ggml.unknown_token_id", Item::Unsigned(0))
}

#[test]
fn scores_order_the_merges() {
    let tokenizer = tokenizer(&scored());
    for (text, expected) in [
        ("low", vec!["<s>", "▁low"]),
        (" low", vec!["<s>", "▁", "▁low"]),
        ("  ", vec!["<s>", "▁▁", "▁"]),
        ("lower  low", vec!["<s>", "▁low", "er", "▁", "▁low"]),
        (
            "low\né<user>low</s>",
            vec![
                "<s>", "▁low", "<0x0A>", "<0xC3>", "<0xA9>", "<user>", "▁low", "</s>",
            ],
        ),
        ("", vec!["<s>"]),
    ] {
        assert_eq!(tokens(&tokenizer, text), expected, "{text:?}");
    }
    for text in ["low lower", "  low", "é\nlow"] {
        let encoding = tokenizer.encode(text, true).unwrap();
        assert_eq!(tokenizer.decode(encoding.get_ids(), true).unwrap(), text);
    }
    // As transformers derives them from the same scores.
    let merges = serde_json::to_value(&tokenizer).unwrap()["model"]["merges"].clone();
    let expected = [
        ["o", "w"],
        ["l", "o"],
        ["lo", "w"],
        ["l", "ow"],
        ["▁", "low"],
        ["▁", "▁"],
        ["e", "r"],
    ];
    assert_eq!(merges, serde_json::json!(expected));
}

#[test]
fn a_space_goes_before_a_text_unless_the_file_says_no() {
    let plain = tokenizer(&scored().set("tokenizer.ggml.add_space_prefix", Item::Flag(false)));
    assert_eq!(tokens(&plain, "low low"), ["<s>", "low", "▁low"]);
    let encoding = plain.encode(" low", false).unwrap();
    assert_eq!(encoding.get_tokens(), ["▁low"]);
    assert_eq!(plain.decode(encoding.get_ids(), true).unwrap(), " low");
    let bare = tokenizer(&scored().set("tokenizer.ggml.add_bos_token", Item::Flag(false)));
    assert_eq!(tokens(&bare, "low"), ["▁low"]);
}

#[test]
fn listed_merges_go_before_scores() {
    let listed = scored()
        .without("tokenizer.ggml.scores")
        .set("tokenizer.ggml.merges", Item::texts(&["l o", "lo w"]));
    assert_eq!(tokens(&tokenizer(&listed), "low"), ["<s>", "▁", "low"]);
}

#[test]
fn scores_that_order_nothing_are_refused_by_name() {
    let scores = |scores: Vec<f32>| scored().set("tokenizer.ggml.scores", Item::Numbers(scores));
    names(
        &tokenizer_refusal(&scores(vec![0.0; 18])),
        &["18 scores for 19 tokens"],
    );
    names(
        &tokenizer_refusal(&scores(vec![f32::NAN; 19])),
        &["tokenizer.ggml.scores"],
    );
    let without = scored().without("tokenizer.ggml.scores");
    names(
        &tokenizer_refusal(&without),
        &["tokenizer.ggml.scores is missing"],
    );
    // Runs of one letter come apart at every letter.
    let runs: Vec<String> = (1..=40).map(|length| "a".repeat(length)).collect();
    let made = |tokens: Vec<String>| {
        let count = tokens.len();
        small()
            .without("tokenizer.ggml.merges")
            .without("tokenizer.ggml.token_type")
            .set("tokenizer.ggml.model", Item::text("llama"))
            .set("tokenizer.ggml.tokens", Item::Texts(tokens))
            .set("tokenizer.ggml.scores", Item::Numbers(vec![0.0; count]))
    };
    names(&tokenizer_refusal(&made(runs)), &["more than 8"]);
    let long = vec!["a".to_owned(), "b".to_owned(), "a".repeat(1025)];
    names(&tokenizer_refusal(&made(long)), &["1025 bytes"]);
}

#[test]
fn a_written_tokenizer_is_the_same() {
    for writer in [
        small(),
        small_with("llama-bpe"),
        small_with("qwen2"),
        scored(),
    ] {
        let built = tokenizer(&writer);
        let read = Tokenizer::from_bytes(built.to_string(false).unwrap().as_bytes()).unwrap();
        for text in ["abc 1234", "low\n low<s>", "a<think>", ""] {
            let ids =
                |tokenizer: &Tokenizer| tokenizer.encode(text, true).unwrap().get_ids().to_vec();
            assert_eq!(ids(&read), ids(&built), "{text:?}");
        }
    }
}

/// Texts and their ids in a small vocabulary of Gemma's as transformers reads it from a file, made
/// by `scripts/gguf-expected.py`.
const GEMMA: &str = include_str!("../../../../tests/data/gguf/ids.json");

#[test]
fn gemma_s_merges_go_by_place_and_its_ids_are_those_of_transformers() {
    let known: serde_json::Value = serde_json::from_str(GEMMA).unwrap();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let of = |key: &str| list(&known[key]);
    let texts = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let integer = |value: &serde_json::Value| value.as_i64().unwrap();
    let scores = of("scores");
    let scores = scores.iter().map(|score| score.as_f64().unwrap() as f32);
    let types = of("types");
    let file = Writer::new("gemma3")
        .set("tokenizer.ggml.model", Item::text("llama"))
        .set(
            "tokenizer.ggml.tokens",
            Item::Texts(of("tokens").iter().map(texts).collect()),
        )
        .set("tokenizer.ggml.scores", Item::Numbers(scores.collect()))
        .set(
            "tokenizer.ggml.token_type",
            Item::Integers(types.iter().map(|of| integer(of) as i32).collect()),
        )
        .set("tokenizer.ggml.bos_token_id", Item::Unsigned(2))
        .set("tokenizer.ggml.eos_token_id", Item::Unsigned(1))
        .set("tokenizer.ggml.unknown_token_id", Item::Unsigned(3))
        .set("tokenizer.ggml.padding_token_id", Item::Unsigned(0))
        .set("tokenizer.ggml.add_space_prefix", Item::Flag(false));
    let tokenizer = tokenizer(&file);
    assert!(of("texts").len() >= 50);
    for row in of("texts") {
        let text = texts(&row["text"]);
        let ids = tokenizer.encode(text.as_str(), true).unwrap();
        let expected: Vec<i64> = list(&row["ids"]).iter().map(integer).collect();
        let ids: Vec<i64> = ids.get_ids().iter().map(|&id| id.into()).collect();
        assert_eq!(ids, expected, "{text:?}");
        let ids: Vec<u32> = ids.iter().map(|&id| id as u32).collect();
        let decoded = tokenizer.decode(&ids, false).unwrap();
        assert_eq!(decoded, texts(&row["decoded"]), "{text:?}");
    }
}
