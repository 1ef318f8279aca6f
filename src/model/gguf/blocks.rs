//! Blocks of numbers as ggml stores them, made into 32-bit numbers.
//!
//! Each quantised format holds small integers, and gives each group of them a
//! scale, and some formats a minimum: a number is `scale * integer` or
//! `scale * integer - minimum`, in 32-bit arithmetic and in that order. What
//! differs is where in a block the bits lie; the places are those of ggml's
//! `ggml-common.h`.

use half::{bf16, f16};

use super::Kind;

/// What the 4-bit integers of `IQ4_NL` and `IQ4_XS` stand for.
const STEPS: [i8; 16] = [
    -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113,
];

/// Writes the numbers of whole blocks; `bytes` and `numbers` hold as many
/// blocks as each other.
pub(super) fn dequantise(kind: Kind, bytes: &[u8], numbers: &mut [f32]) {
    let blocks = bytes.chunks_exact(kind.block_bytes());
    let each = blocks.zip(numbers.chunks_exact_mut(kind.block_numbers()));
    match kind {
        Kind::F32 => each.for_each(|(b, to)| to[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        Kind::F16 => each.for_each(|(b, to)| to[0] = half(b)),
        Kind::BF16 => each.for_each(|(b, to)| to[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32()),
        Kind::Q8_0 => each.for_each(|(b, to)| scaled(to, half(b), |i| b[2 + i].cast_signed())),
        Kind::Q4_0 => each.for_each(|(b, to)| {
            scaled(to, half(b), |i| centred(bits::<4, 16>(&b[2..], i), 8));
        }),
        Kind::Q4_1 => each.for_each(|(b, to)| {
            lifted(to, half(b), half(&b[2..]), |i| bits::<4, 16>(&b[4..], i));
        }),
        Kind::Q5_0 => each.for_each(|(b, to)| {
            let integer = |i| bits::<4, 16>(&b[6..], i) | bits::<1, 1>(&b[2..], i) << 4;
            scaled(to, half(b), |i| centred(integer(i), 16));
        }),
        Kind::Q5_1 => each.for_each(|(b, to)| {
            let integer = |i| bits::<4, 16>(&b[8..], i) | bits::<1, 1>(&b[4..], i) << 4;
            lifted(to, half(b), half(&b[2..]), integer);
        }),
        Kind::Q2K => each.for_each(|(b, to)| {
            let (scale, least) = (half(&b[80..]), half(&b[82..]));
            for (group, to) in to.chunks_exact_mut(16).enumerate() {
                let (scale, least) = (
                    scale * f32::from(b[group] & 15),
                    least * f32::from(b[group] >> 4),
                );
                lifted(to, scale, -least, |i| {
                    bits::<2, 32>(&b[16..], 16 * group + i)
                });
            }
        }),
        Kind::Q3K => each.for_each(|(b, to)| {
            for (group, to) in to.chunks_exact_mut(16).enumerate() {
                let scale = bits::<4, 8>(&b[96..], group) | bits::<2, 4>(&b[104..], group) << 4;
                let scale = half(&b[108..]) * f32::from(centred(scale, 32));
                let integer = |i| bits::<2, 32>(&b[32..], i) | bits::<1, 32>(b, i) << 2;
                scaled(to, scale, |i| centred(integer(16 * group + i), 4));
            }
        }),
        Kind::Q4K => each.for_each(|(b, to)| {
            for (group, to) in to.chunks_exact_mut(32).enumerate() {
                let (scale, least) = scale_and_least(b, group);
                lifted(to, scale, -least, |i| {
                    bits::<4, 32>(&b[16..], 32 * group + i)
                });
            }
        }),
        Kind::Q5K => each.for_each(|(b, to)| {
            for (group, to) in to.chunks_exact_mut(32).enumerate() {
                let (scale, least) = scale_and_least(b, group);
                let integer = |i| bits::<4, 32>(&b[48..], i) | bits::<1, 32>(&b[16..], i) << 4;
                lifted(to, scale, -least, |i| integer(32 * group + i));
            }
        }),
        Kind::Q6K => each.for_each(|(b, to)| {
            for (group, to) in to.chunks_exact_mut(16).enumerate() {
                let scale = half(&b[208..]) * f32::from(b[192 + group].cast_signed());
                let integer = |i| bits::<4, 64>(b, i) | bits::<2, 32>(&b[128..], i) << 4;
                scaled(to, scale, |i| centred(integer(16 * group + i), 32));
            }
        }),
        Kind::IQ4NL => each.for_each(|(b, to)| {
            scaled(to, half(b), |i| {
                STEPS[usize::from(bits::<4, 16>(&b[2..], i))]
            });
        }),
        Kind::IQ4XS => each.for_each(|(b, to)| {
            for (group, to) in to.chunks_exact_mut(32).enumerate() {
                let scale = bits::<4, 1>(&b[4..], group) | bits::<2, 1>(&b[2..], group) << 4;
                let scale = half(b) * f32::from(centred(scale, 32));
                scaled(to, scale, |i| {
                    STEPS[usize::from(bits::<4, 16>(&b[8..], 32 * group + i))]
                });
            }
        }),
    }
}

/// The 16-bit number at the front.
fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// Integer `index` of those of `BITS` bits each that lie in runs of `RUN`
/// bytes: a run holds first the lowest bits of each byte, then the next ones.
fn bits<const BITS: usize, const RUN: usize>(bytes: &[u8], index: usize) -> u8 {
    let in_byte = 8 / BITS;
    let byte = bytes[index / (RUN * in_byte) * RUN + index % RUN];
    byte >> (BITS * (index / RUN % in_byte)) & ((1 << BITS) - 1)
}

/// An integer of at most 7 bits, less what stands for 0.
fn centred(integer: u8, zero: i8) -> i8 {
    integer.cast_signed() - zero
}

/// Integers times a scale.
fn scaled(to: &mut [f32], scale: f32, integer: impl Fn(usize) -> i8) {
    for (index, number) in to.iter_mut().enumerate() {
        *number = scale * f32::from(integer(index));
    }
}

/// Integers times a scale, from `least` up.
fn lifted(to: &mut [f32], scale: f32, least: f32, integer: impl Fn(usize) -> u8) {
    for (index, number) in to.iter_mut().enumerate() {
        *number = scale * f32::from(integer(index)) + least;
    }
}

/// The scale and the minimum of a group of 32 in a block that begins with both
/// scales and twelve bytes of 6-bit factors: the first four groups have bytes
/// of their own, whose upper two bits belong to the last four.
fn scale_and_least(block: &[u8], group: usize) -> (f32, f32) {
    let packed = &block[4..16];
    let (scale, least) = if group < 4 {
        (packed[group] & 63, packed[4 + group] & 63)
    } else {
        let low = packed[4 + group];
        let high = |byte: u8| byte >> 6 << 4;
        (
            low & 15 | high(packed[group - 4]),
            low >> 4 | high(packed[group]),
        )
    };
    (
        half(block) * f32::from(scale),
        half(&block[2..]) * f32::from(least),
    )
}
