//! Headers: right ones, and each way to be wrong.

use super::super::{Kind, Value};
use super::*;

/// Where the counts of tensors and keys lie.
const TENSOR_COUNT: usize = 8;
const PAIR_COUNT: usize = 16;

fn with_number(mut bytes: Vec<u8>, at: usize, number: u64) -> Vec<u8> {
    bytes[at..at + 8].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Where a text begins in a file, its length before it.
fn place_of(bytes: &[u8], text: &str) -> usize {
    let wanted = writer::text_bytes(text);
    let found = bytes
        .windows(wanted.len())
        .position(|window| window == wanted);
    found.expect("the text is in the file")
}

#[test]
fn both_versions_are_read() {
    for version in [2, 3] {
        let mut writer = small();
        writer.version = version;
        let bytes = writer.bytes();
        let file = Gguf::parse(&bytes).unwrap();
        assert_eq!(file.version(), version);
        assert_eq!(file.architecture().model_type, "llama");
        assert_eq!(file.tensors().count(), writer.tensors.len());
        let embedding = &file.tensors["model.embed_tokens.weight"];
        assert_eq!(
            (embedding.kind, &*embedding.shape),
            (Kind::Q8_0, &[24, 256][..])
        );
        assert_eq!(file.metadata().count(), writer.pairs.len());
        let numbers: u64 = writer
            .tensors
            .iter()
            .map(|tensor| tensor.sizes.iter().product::<u64>())
            .sum();
        assert_eq!(file.parameters() as u64, numbers);
        // Nine formats, each once but for the norms.
        let counts = file.kind_counts();
        assert_eq!(counts.len(), 9);
        assert_eq!(counts.values().sum::<usize>(), writer.tensors.len());
        assert_eq!(file.chat_template().unwrap(), Some("{{ messages }}"));
    }
}

#[test]
fn the_alignment_of_the_file_holds() {
    let mut writer = small().set("general.alignment", Item::Unsigned(256));
    writer.alignment = 256;
    let bytes = writer.bytes();
    let file = Gguf::parse(&bytes).unwrap();
    let value = &writer.tensors[0];
    assert_eq!(file.tensors["model.embed_tokens.weight"].bytes, value.data);
    for wrong in [0, 4, 24, 33] {
        let message = refusal(&small().set("general.alignment", Item::Unsigned(wrong)));
        names(
            &message,
            &["general.alignment", &wrong.to_string(), "power of two"],
        );
    }
    names(
        &refusal(&small().set("general.alignment", Item::text("32"))),
        &["general.alignment"],
    );
}

#[test]
fn values_of_every_type_are_read_and_shown() {
    let list = |of: u32, count: u64, elements: &[u8]| {
        let mut bytes = of.to_le_bytes().to_vec();
        bytes.extend(count.to_le_bytes());
        bytes.extend(elements);
        bytes
    };
    let inner = list(0, 2, &[7, 8]);
    let mut two = inner.clone();
    two.extend(&inner);
    let cases = [
        (0, vec![200], "200"),
        (1, vec![200], "-56"),
        (2, vec![1, 2], "513"),
        (3, vec![255, 255], "-1"),
        (4, vec![0, 0, 0, 128], "2147483648"),
        (5, vec![0, 0, 0, 128], "-2147483648"),
        (6, 1.5f32.to_le_bytes().to_vec(), "1.5"),
        (7, vec![1], "true"),
        (8, writer::text_bytes("a\u{1b}b\n"), r#""a\u{1b}b\n""#),
        (10, u64::MAX.to_le_bytes().to_vec(), "18446744073709551615"),
        (11, i64::MIN.to_le_bytes().to_vec(), "-9223372036854775808"),
        (12, 0.1f64.to_le_bytes().to_vec(), "0.1"),
        (9, list(9, 2, &two), "2 arrays"),
        (9, list(7, 2, &[0, 1]), "2 flags"),
    ];
    for (of, value, shown) in cases {
        let bytes = small().set("some.key", Item::Raw(of, value)).bytes();
        let file = Gguf::parse(&bytes).unwrap();
        let value = file
            .metadata()
            .find(|(key, _)| *key == "some.key")
            .unwrap()
            .1;
        assert_eq!(value.to_string(), shown);
    }
    let bytes = small()
        .set("some.key", Item::Raw(9, list(9, 2, &two)))
        .bytes();
    let file = Gguf::parse(&bytes).unwrap();
    let Value::Array(outer) = file.metadata["some.key"] else {
        panic!("not an array");
    };
    let elements: Vec<Vec<String>> = outer
        .iter()
        .map(|inner| match inner {
            Value::Array(inner) => inner.iter().map(|value| value.to_string()).collect(),
            _ => Vec::new(),
        })
        .collect();
    assert_eq!(elements, [["7", "8"], ["7", "8"]]);
    let long = small()
        .set("some.key", Item::Text("é".repeat(1000)))
        .bytes();
    let file = Gguf::parse(&long).unwrap();
    assert!(
        file.metadata["some.key"]
            .to_string()
            .ends_with("… (2000 bytes)")
    );
}

#[test]
fn other_files_and_versions_are_refused_by_name() {
    let whole = small().bytes();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        refusal_of(&changed)
    };
    names(&refusal_of(b""), &["not a GGUF file"]);
    names(&with(0, b"GGML"), &["not a GGUF file", "GGML"]);
    names(&with(4, &1u32.to_le_bytes()), &["version 1"]);
    names(&with(4, &4u32.to_le_bytes()), &["version 4"]);
    names(&with(4, &3u32.to_be_bytes()), &["big-endian"]);
    names(
        &refusal(&Writer::new("phi3")),
        &["general.architecture", "phi3", "qwen3"],
    );
    names(
        &refusal(&small().without("general.architecture")),
        &["general.architecture is missing"],
    );
    let number = small().set("general.architecture", Item::Unsigned(1));
    names(&refusal(&number), &["general.architecture"]);
    names(
        &refusal(&small().set("split.count", Item::Unsigned(3))),
        &["split.count is 3"],
    );
}

#[test]
fn every_shorter_copy_is_refused() {
    let whole = small().bytes();
    let data = place_of(&whole, "blk.0.ffn_down.weight");
    for length in (0..data + 200).chain((data..whole.len()).step_by(499)) {
        assert!(
            Gguf::parse(&whole[..length]).is_err(),
            "{length} bytes are read"
        );
    }
    names(
        &refusal_of(&whole[..whole.len() - 1]),
        &["blk.0.ffn_down.weight", "not whole"],
    );
    names(&refusal_of(&whole[..40]), &["11 tensors"]);
    // After the last of the small keys, so that the counts can be true.
    let template = place_of(&whole, "tokenizer.chat_template");
    names(
        &refusal_of(&whole[..template + 40]),
        &["tokenizer.chat_template"],
    );
}

#[test]
fn counts_that_the_file_cannot_hold_are_refused() {
    let whole = small().bytes();
    for lie in [u64::MAX, 1 << 63, 1 << 40, whole.len() as u64] {
        names(
            &refusal_of(&with_number(whole.clone(), TENSOR_COUNT, lie)),
            &["tensors"],
        );
        names(
            &refusal_of(&with_number(whole.clone(), PAIR_COUNT, lie)),
            &["metadata keys"],
        );
        let key = place_of(&whole, "llama.block_count");
        names(
            &refusal_of(&with_number(whole.clone(), key, lie)),
            &["metadata key 1", "bytes of text"],
        );
        let tokens = place_of(&whole, "tokenizer.ggml.tokens");
        let count = tokens + 8 + "tokenizer.ggml.tokens".len() + 4 + 4;
        names(
            &refusal_of(&with_number(whole.clone(), count, lie)),
            &["tokenizer.ggml.tokens", "texts"],
        );
        names(
            &refusal_of(&with_number(whole.clone(), count + 8, lie)),
            &["tokenizer.ggml.tokens", "bytes of text"],
        );
    }
}

#[test]
fn wrong_values_are_refused_with_their_key() {
    let nested = |depth: usize| {
        let mut bytes = Vec::new();
        for _ in 0..depth {
            bytes.extend(9u32.to_le_bytes());
            bytes.extend(1u64.to_le_bytes());
        }
        bytes.extend(0u32.to_le_bytes());
        bytes.extend(0u64.to_le_bytes());
        small().set("some.key", Item::Raw(9, bytes))
    };
    assert!(Gguf::parse(&nested(3).bytes()).is_ok());
    names(&refusal(&nested(4)), &["some.key", "deeper than 4"]);
    names(&refusal(&nested(100_000)), &["some.key", "deeper than 4"]);
    let with = |of, bytes: &[u8]| refusal(&small().set("some.key", Item::Raw(of, bytes.to_vec())));
    names(&with(13, &[0; 8]), &["some.key", "value type 13"]);
    names(&with(7, &[2]), &["some.key", "neither 0 nor 1"]);
    names(
        &with(8, b"\x02\0\0\0\0\0\0\0\xff\xfe"),
        &["some.key", "UTF-8"],
    );
    let long = "k".repeat(70_000);
    names(
        &refusal(&small().set(&long, Item::Flag(true))),
        &["70000 bytes", "65535"],
    );
}

#[test]
fn what_is_there_twice_is_refused() {
    let mut writer = small();
    writer.pairs.push(writer.pairs[2].clone());
    names(&refusal(&writer), &["llama.context_length", "twice"]);
    let mut writer = small();
    writer.tensors.push(writer.tensors[1].clone());
    names(&refusal(&writer), &["output_norm.weight", "twice"]);
}

type Change<'a> = &'a dyn Fn(&mut writer::Tensor);

#[test]
fn tensors_that_cannot_be_are_refused_by_name() {
    let with = |change: Change<'_>| {
        let mut writer = small();
        // The queries: rows of 256 in blocks of 256.
        let tensor = writer
            .tensors
            .iter_mut()
            .find(|tensor| tensor.name.contains("attn_q"));
        change(tensor.unwrap());
        refusal(&writer)
    };
    let cases: [(Change<'_>, &str); 12] = [
        (&|tensor| tensor.sizes = vec![], "0 dimensions"),
        (
            &|tensor| tensor.sizes = vec![256, 2, 2, 2, 1],
            "5 dimensions",
        ),
        (&|tensor| tensor.sizes = vec![256, 0], "is 0"),
        (
            &|tensor| tensor.sizes = vec![u64::MAX, 2],
            "more than any file",
        ),
        (
            &|tensor| tensor.sizes = vec![1 << 32, 1 << 31],
            "more than any file",
        ),
        (
            &|tensor| tensor.sizes = vec![128, 16],
            "whole blocks of 256",
        ),
        (
            &|tensor| tensor.sizes = vec![1 << 40, 1 << 20],
            "ends at byte",
        ),
        (&|tensor| tensor.kind = 16, "IQ2_XXS"),
        (&|tensor| tensor.kind = 77, "ggml type 77"),
        (
            &|tensor| tensor.offset = Some(3),
            "multiple of the alignment",
        ),
        (&|tensor| tensor.offset = Some(1 << 40), "ends at byte"),
        (
            &|tensor| tensor.offset = Some(u64::MAX - 31),
            "ends at byte",
        ),
    ];
    for (change, trouble) in cases {
        names(&with(change), &["blk.0.attn_q.weight", trouble]);
    }
    names(
        &with(&|tensor| tensor.offset = Some(32)),
        &["token_embd.weight", "attn_q.weight", "overlap"],
    );
    names(&with(&|tensor| tensor.name = "n".repeat(65)), &["65 bytes"]);
}

#[test]
fn tensors_of_other_models_are_refused_by_name() {
    let bias = vec![0; 1024];
    for (architecture, name) in [
        ("llama", "blk.0.attn_q_norm.weight"),
        ("llama", "blk.0.attn_qkv.weight"),
        ("llama", "blk.0.ffn_norm.bias"),
        ("llama", "blk.0.ffn_gate_exps.weight"),
        ("llama", "blk.00.ffn_norm.weight"),
        ("llama", "blk.+1.ffn_norm.weight"),
        ("llama", "blk.4294967296.ffn_norm.weight"),
        ("llama", "blk..ffn_norm.weight"),
        ("llama", "rope_factors_long.weight"),
        ("llama", "model.norm.weight"),
        ("qwen2", "blk.0.attn_output.bias"),
        ("qwen3", "blk.0.ffn_up.bias"),
    ] {
        let writer = Writer::new(architecture).tensor(name, &[256], 0, bias.clone());
        names(&refusal(&writer), &[name, architecture]);
    }
    for (architecture, name, own) in [
        (
            "llama",
            "blk.7.attn_output.bias",
            "model.layers.7.self_attn.o_proj.bias",
        ),
        (
            "llama",
            "blk.10.ffn_down.weight",
            "model.layers.10.mlp.down_proj.weight",
        ),
        (
            "qwen2",
            "blk.0.attn_v.bias",
            "model.layers.0.self_attn.v_proj.bias",
        ),
        (
            "qwen3",
            "blk.0.attn_k_norm.weight",
            "model.layers.0.self_attn.k_norm.weight",
        ),
        ("qwen3", "output.weight", "lm_head.weight"),
    ] {
        let bytes = Writer::new(architecture)
            .tensor(name, &[256], 0, bias.clone())
            .bytes();
        let file = Gguf::parse(&bytes).unwrap();
        assert_eq!(
            file.tensors().map(|(name, _)| name).collect::<Vec<_>>(),
            [own]
        );
    }
}
