//! Numbers: known blocks, odd places, and the order of rows.

use super::super::Kind;
use super::*;

/// A block of the format: bytes of a fixed pattern with the halves of its
/// scales set to 0.5 and 0.25.
fn block(kind: Kind) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..kind.block_bytes())
        .map(|index| ((index * 73 + 41) % 251) as u8)
        .collect();
    let halves: &[(usize, u8)] = match kind {
        Kind::Q8_0 | Kind::Q4_0 => &[(0, 0x38)],
        Kind::Q4_1 | Kind::Q4K | Kind::Q5K => &[(0, 0x38), (2, 0x34)],
        Kind::Q6K => &[(208, 0x38)],
        Kind::F32 | Kind::F16 | Kind::BF16 => &[],
    };
    for &(at, high) in halves {
        bytes[at] = 0;
        bytes[at + 1] = high;
    }
    bytes
}

/// 0.1, -1.5, 3.25, 65504, 1e-7, -0, 1/3 and 7 in the three plain formats.
const PLAIN_F32: [u8; 32] = [
    205, 204, 204, 61, 0, 0, 192, 191, 0, 0, 80, 64, 0, 224, 127, 71, 149, 191, 214, 51, 0, 0, 0,
    128, 171, 170, 170, 62, 0, 0, 224, 64,
];
const PLAIN_F16: [u8; 16] = [
    102, 46, 0, 190, 128, 66, 255, 123, 2, 0, 0, 128, 85, 53, 0, 71,
];
const PLAIN_BF16: [u8; 16] = [
    204, 61, 192, 191, 80, 64, 127, 71, 214, 51, 0, 128, 170, 62, 224, 64,
];

/// Sixteen evenly spaced numbers of each [`block`] and the sum of all, as
/// gguf-py dequantises it.
const BLOCKS: [(Kind, [f32; 16], f64); 6] = [
    (
        Kind::Q8_0,
        [
            -34.5, 41.0, -14.0, 61.5, 9.0, -46.0, 29.5, -25.5, 50.0, -5.0, -57.5, 18.0, -37.0,
            38.5, -16.5, 59.0,
        ],
        -28.0,
    ),
    (
        Kind::Q4_0,
        [
            1.5, -3.0, -2.0, 1.5, -3.0, -2.0, 1.5, 2.5, 1.5, -1.5, 3.0, -0.5, -3.5, 1.0, -2.5, 2.0,
        ],
        -9.0,
    ),
    (
        Kind::Q4_1,
        [
            1.25, 2.25, 5.75, 1.25, 2.25, 5.75, 6.75, 2.25, 2.75, 7.25, 3.75, 0.75, 5.25, 1.75,
            6.25, 3.25,
        ],
        128.0,
    ),
    (
        Kind::Q4K,
        [
            102.25, 39.25, 161.0, 93.5, 265.5, 49.5, 18.25, 293.25, 113.5, 43.5, 119.5, 7.0,
            264.75, 58.25, 16.0, 6.0,
        ],
        28035.5,
    ),
    (
        Kind::Q5K,
        [
            264.25, 12.25, 12.5, 377.0, 499.5, 373.5, 543.25, 18.25, 83.5, 173.5, 232.0, 479.5,
            795.75, 913.75, 26.0, 14.0,
        ],
        66388.5,
    ),
    (
        Kind::Q6K,
        [
            4.5, 1073.0, 1417.0, -270.0, 42.0, -1150.0, 306.0, -155.0, 788.5, 1000.0, -283.5,
            229.5, 744.0, 295.0, 9.5, -230.0,
        ],
        -9712.0,
    ),
];

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
    for (kind, expected, sum) in BLOCKS {
        let numbers = read(kind, block(kind));
        assert_eq!(numbers.len(), kind.block_numbers());
        let some: Vec<f32> = numbers
            .iter()
            .step_by(numbers.len() / 16)
            .copied()
            .collect();
        assert_eq!(bits(&some), bits(&expected), "{}", kind.name());
        let total: f64 = numbers.iter().map(|&number| f64::from(number)).sum();
        assert_eq!(total.to_bits(), sum.to_bits(), "{}", kind.name());
    }
}

#[test]
fn plain_numbers_are_read_to_the_bit() {
    let exact = [0.1, -1.5, 3.25, 65504.0, 1e-7, -0.0, 1.0 / 3.0, 7.0];
    assert_eq!(bits(&read(Kind::F32, PLAIN_F32.to_vec())), bits(&exact));
    let halves = [
        0.099_975_586,
        -1.5,
        3.25,
        65504.0,
        1.192_092_9e-7,
        -0.0,
        0.333_251_95,
        7.0,
    ];
    assert_eq!(bits(&read(Kind::F16, PLAIN_F16.to_vec())), bits(&halves));
    let upper: Vec<f32> = exact
        .iter()
        .map(|number| f32::from_bits(number.to_bits() & 0xffff_0000))
        .collect();
    assert_eq!(bits(&read(Kind::BF16, PLAIN_BF16.to_vec())), bits(&upper));
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
        let one = block(kind);
        let count = 70_000 / kind.block_numbers() + 3;
        let numbers = read(kind, one.repeat(count));
        let first = read(kind, one);
        assert_eq!(numbers.len(), first.len() * count);
        for block in numbers.chunks(first.len()) {
            assert_eq!(bits(block), bits(&first), "{}", kind.name());
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
    super::super::tensors::dequantise(&file.tensors[name], &mut laid).unwrap();
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
