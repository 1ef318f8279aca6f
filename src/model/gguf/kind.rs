//! The number formats of tensors that are read, and the names of those that
//! are not.
//!
//! Numbers, names and block sizes are those of ggml's `enum ggml_type`.

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
    /// 5 bits a number and a scale for each 32.
    Q5_0,
    /// 5 bits a number, a scale and a minimum for each 32.
    Q5_1,
    /// 2 bits a number in blocks of 256 whose scales are quantised too.
    Q2K,
    /// 3 bits a number in blocks of 256 whose scales are quantised too.
    Q3K,
    /// 4 bits a number in blocks of 256 whose scales are quantised too.
    Q4K,
    /// 5 bits a number in blocks of 256 whose scales are quantised too.
    Q5K,
    /// 6 bits a number in blocks of 256 whose scales are quantised too.
    Q6K,
    /// 4 bits a number in unequal steps, and a scale for each 32.
    IQ4NL,
    /// The same steps in blocks of 256 whose scales are quantised too.
    IQ4XS,
}

/// Formats that files hold and that are not read, for the refusal by name.
const NOT_READ: [(u32, &str); 20] = [
    (9, "Q8_1"),
    (15, "Q8_K"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
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
    (40, "NVFP4"),
];

impl Kind {
    /// All formats that are read.
    pub const ALL: [Self; 15] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::IQ4NL,
        Self::IQ4XS,
    ];

    /// The format of that number; the error is its name.
    pub(super) fn from_number(number: u32) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.number() == number);
        known.ok_or_else(|| {
            let named = NOT_READ.iter().find(|(known, _)| *known == number);
            named.map_or_else(
                || format!("ggml type {number}"),
                |(_, name)| (*name).to_owned(),
            )
        })
    }

    /// The number in a file, ggml's name, numbers in a block and its bytes.
    const fn about(self) -> (u32, &'static str, usize, usize) {
        match self {
            Self::F32 => (0, "F32", 1, 4),
            Self::F16 => (1, "F16", 1, 2),
            Self::Q4_0 => (2, "Q4_0", 32, 18),
            Self::Q4_1 => (3, "Q4_1", 32, 20),
            Self::Q5_0 => (6, "Q5_0", 32, 22),
            Self::Q5_1 => (7, "Q5_1", 32, 24),
            Self::Q8_0 => (8, "Q8_0", 32, 34),
            Self::Q2K => (10, "Q2_K", 256, 84),
            Self::Q3K => (11, "Q3_K", 256, 110),
            Self::Q4K => (12, "Q4_K", 256, 144),
            Self::Q5K => (13, "Q5_K", 256, 176),
            Self::Q6K => (14, "Q6_K", 256, 210),
            Self::IQ4NL => (20, "IQ4_NL", 32, 18),
            Self::IQ4XS => (23, "IQ4_XS", 256, 136),
            Self::BF16 => (30, "BF16", 1, 2),
        }
    }

    /// The number of the format in a file.
    pub(super) const fn number(self) -> u32 {
        self.about().0
    }

    /// The name that ggml gives the format.
    pub const fn name(self) -> &'static str {
        self.about().1
    }

    /// Numbers in a block.
    pub const fn block_numbers(self) -> usize {
        self.about().2
    }

    /// Bytes of a block.
    pub const fn block_bytes(self) -> usize {
        self.about().3
    }
}
