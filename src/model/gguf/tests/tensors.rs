//! Numbers: known blocks, odd places, and the order of rows.

use super::super::Kind;
use super::*;

/// Blocks and their numbers as gguf-py dequantises them, made by
/// `scripts/gguf-expected.py`.
const BLOCKS: &str = include_str!("../../../../tests/data/gguf/blocks.json");

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Blocks of a format, and the bits of their numbers; numbers of 32 bits are
/// their own reference.
fn known(kind: Kind) -> (Vec<u8>, Vec<u32>) {
    if kind == Kind::F32 {
        let numbers = [0.1f32, -1.5, 3.25, f32::MIN_POSITIVE / 2.0, -0.0, f32::MAX];
        let blocks = numbers.iter().flat_map(|number| number.to_le_bytes());
        return (blocks.collect(), bits(&numbers));
    }
    let all: serde_json::Value = serde_json::from_str(BLOCKS).unwrap();
    let field = |name| unhex(all[kind.name()][name].as_str().unwrap());
    let numbers = field("numbers");
    let numbers = numbers.chunks_exact(4);
    (
        field("blocks"),
        numbers
            .map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
            .collect(),
    )
}

fn read(kind: Kind, data: Vec<u8>) -> Vec<f32> {
    let numbers = (data.len() / kind.block_bytes() * kind.block_numbers()) as u64;
    let bytes = Writer::new("llama")
        .tensor("output_norm.weight", &[numbers], kind.number(), data)
        .bytes();
    Gguf::parse(&bytes)
        .unwrap()
        .read("model.norm.weight")
        .unwrap()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn blocks_are_dequantised_as_by_gguf_py() {
    for kind in Kind::ALL {
        let (blocks, expected) = known(kind);
        assert!(blocks.len() >= 2 * kind.block_bytes(), "{}", kind.name());
        assert_eq!(bits(&read(kind, blocks)), expected, "{}", kind.name());
    }
}

#[test]
fn bytes_at_odd_places_are_read_alike() {
    for kind in Kind::ALL {
        let data = writer::filler(kind.block_bytes() * 300);
        let numbers = data.len() / kind.block_bytes() * kind.block_numbers();
        let file = Writer::new("llama")
            .tensor("output_norm.weight", &[numbers as u64], kind.number(), data)
            .bytes();
        let expected = Gguf::parse(&file)
            .unwrap()
            .read("model.norm.weight")
            .unwrap();
        for shift in 1..4 {
            let mut shifted = vec![0; shift];
            shifted.extend(&file);
            let read = Gguf::parse(&shifted[shift..])
                .unwrap()
                .read("model.norm.weight")
                .unwrap();
            assert_eq!(bits(&read), bits(&expected), "{} {shift}", kind.name());
        }
    }
}

#[test]
fn large_tensors_are_read_whole() {
    // More than one chunk of every format, and no whole number of chunks.
    for kind in Kind::ALL {
        let (blocks, expected) = known(kind);
        let count = 70_000 / expected.len() + 1;
        let numbers = read(kind, blocks.repeat(count));
        assert_eq!(numbers.len(), expected.len() * count);
        for some in numbers.chunks(expected.len()) {
            assert_eq!(bits(some), expected, "{}", kind.name());
        }
    }
}

/// The rows of a checkpoint as llama.cpp's converter lays them: of each head,
/// the first of the first half, the first of the second half, and so on.
fn interleaved(rows: &[Vec<f32>], heads: usize) -> Vec<f32> {
    let mut laid = Vec::new();
    for head in rows.chunks(rows.len() / heads) {
        let (first, second) = head.split_at(head.len() / 2);
        for (one, other) in first.iter().zip(second) {
            laid.extend(one);
            laid.extend(other);
        }
    }
    laid
}

#[test]
fn queries_and_keys_of_llama_get_the_order_of_a_checkpoint() {
    let (heads, kv_heads, rows, width) = (4, 2, 64, 1500);
    let checkpoint: Vec<Vec<f32>> = (0..rows)
        .map(|row| {
            (0..width)
                .map(|column| (row * width + column) as f32)
                .collect()
        })
        .collect();
    let bias: Vec<Vec<f32>> = (0..rows).map(|row| vec![row as f32]).collect();
    let write = |architecture: &str| {
        let mut writer = Writer::new(architecture)
            .set(
                &format!("{architecture}.attention.head_count"),
                Item::Unsigned(heads),
            )
            .set(
                &format!("{architecture}.attention.head_count_kv"),
                Item::Unsigned(kv_heads),
            );
        for (part, heads) in [("attn_q", heads), ("attn_k", kv_heads), ("attn_v", 1)] {
            let heads = heads as usize;
            // Values are laid as they are, here as elsewhere.
            let lay = |rows: &[Vec<f32>]| {
                if part == "attn_v" {
                    rows.concat()
                } else {
                    interleaved(rows, heads)
                }
            };
            writer = writer
                .numbers(
                    &format!("blk.0.{part}.weight"),
                    &[rows as u64, width as u64],
                    &lay(&checkpoint),
                )
                .numbers(&format!("blk.0.{part}.bias"), &[rows as u64], &lay(&bias));
        }
        writer.bytes()
    };
    let bytes = write("llama");
    let file = Gguf::parse(&bytes).unwrap();
    for part in ["q_proj", "k_proj", "v_proj"] {
        let name = format!("model.layers.0.self_attn.{part}");
        assert_eq!(
            file.read(&format!("{name}.weight")).unwrap(),
            checkpoint.concat(),
            "{part}"
        );
        assert_eq!(
            file.read(&format!("{name}.bias")).unwrap(),
            bias.concat(),
            "{part}"
        );
    }
    // Qwen's are in the order of a checkpoint already.
    let bytes = write("qwen2");
    let file = Gguf::parse(&bytes).unwrap();
    let read = file.read("model.layers.0.self_attn.q_proj.weight").unwrap();
    assert_eq!(read, interleaved(&checkpoint, heads as usize));
}

#[test]
fn quantised_rows_are_put_in_order_whole() {
    let bytes = small().bytes();
    let file = Gguf::parse(&bytes).unwrap();
    let name = "model.layers.0.self_attn.q_proj.weight";
    let mut laid = vec![0.0; 8 * 256];
    super::super::tensors::dequantise(&file.tensors[name], &mut laid);
    let rows: Vec<Vec<f32>> = file
        .read(name)
        .unwrap()
        .chunks(256)
        .map(<[f32]>::to_vec)
        .collect();
    assert_eq!(interleaved(&rows, 2), laid);
    assert_ne!(rows.concat(), laid);
}

#[test]
fn tensors_that_do_not_fit_the_heads_are_refused_by_name() {
    let name = "model.layers.0.self_attn.q_proj";
    let refused = |writer: &Writer, name: &str| {
        let bytes = writer.bytes();
        format!("{:#}", Gguf::parse(&bytes).unwrap().read(name).unwrap_err())
    };
    let weight = format!("{name}.weight");
    let heads = |heads| small().set("llama.attention.head_count", Item::Unsigned(heads));
    names(
        &refused(&heads(3), &weight),
        &[&weight, "8 rows", "3 heads"],
    );
    names(
        &refused(&heads(0), &weight),
        &["llama.attention.head_count is 0"],
    );
    names(
        &refused(&heads(u32::MAX), &weight),
        &["llama.attention.head_count"],
    );
    let without = small().without("llama.attention.head_count");
    names(
        &refused(&without, &weight),
        &["llama.attention.head_count is missing"],
    );
    let many = small().set("llama.attention.head_count_kv", Item::Unsigned(3));
    names(&refused(&many, &weight), &["3 heads of keys"]);
    let bias = small().tensor("blk.0.attn_q.bias", &[32], 8, writer::filler(34));
    names(&refused(&bias, &format!("{name}.bias")), &["bias", "Q8_0"]);
    names(&refused(&small(), "lm_head.weight"), &["lm_head.weight"]);
    let bytes = small().bytes();
    let file = Gguf::parse(&bytes).unwrap();
    let short = file.read_into(&weight, &mut [0.0; 7]).unwrap_err();
    names(&short.to_string(), &[&weight, "2048", "7"]);
}
