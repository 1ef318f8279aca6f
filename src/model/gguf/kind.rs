//! The number formats of tensors that are read, and the names of those that
//! are not.
//!
//! Numbers, names and block sizes are those of ggml's `enum ggml_type`.

use candle_core::quantized::GgmlDType;

/// How the numbers of a tensor are stored.
///
/// Worked example: [`Kind::Q4_0`] stores 32 numbers in 18 bytes, one scale of
/// 16 bits and 32 integers of 4 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// 32 bits a number.
    F32,
    /// 16 bits a number, 10 of them of mantissa.
    F16,
    /// The upper half of 32 bits.
    BF16,
    /// 8 bits a number and a scale for each 32.
    Q8_0,
    /// 4 bits a number and a scale for each 32.
    Q4_0,
    /// 4 bits a number, a scale and a minimum for each 32.
    Q4_1,
    /// 4 bits a number in blocks of 256 whose scales are quantised too.
    Q4K,
    /// 5 bits a number in blocks of 256 whose scales are quantised too.
    Q5K,
    /// 6 bits a number in blocks of 256 whose scales are quantised too.
    Q6K,
}

/// Formats that files hold and that are not read, for the refusal by name.
const NOT_READ: [(u32, &str); 25] = [
    (6, "Q5_0"),
    (7, "Q5_1"),
    (9, "Q8_1"),
    (10, "Q2_K"),
    (11, "Q3_K"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (31, "Q4_0_4_4"),
    (32, "Q4_0_4_8"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
];

impl Kind {
    /// All formats that are read.
    pub const ALL: [Self; 9] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// The format of that number; the error is its name.
    pub(super) fn from_number(number: u32) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.number() == number);
        known.ok_or_else(|| {
            NOT_READ
                .iter()
                .find(|(known, _)| *known == number)
                .map_or_else(
                    || format!("ggml type {number}"),
                    |(_, name)| (*name).to_owned(),
                )
        })
    }

    /// The number of the format in a file.
    pub(super) const fn number(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
            Self::BF16 => 30,
        }
    }

    /// The name that ggml gives the format.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q8_0 => "Q8_0",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Numbers in a block.
    pub const fn block_numbers(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// What candle calls the format.
    pub(super) const fn candle(self) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::BF16 => GgmlDType::BF16,
            Self::Q8_0 => GgmlDType::Q8_0,
            Self::Q4_0 => GgmlDType::Q4_0,
            Self::Q4_1 => GgmlDType::Q4_1,
            Self::Q4K => GgmlDType::Q4K,
            Self::Q5K => GgmlDType::Q5K,
            Self::Q6K => GgmlDType::Q6K,
        }
    }
}
