//! Metadata values, and the cursor that reads them without leaving the file.
//!
//! Nothing is copied: a string is a slice of the file, and an array keeps its
//! bytes and is decoded when it is walked. A header that promises a billion
//! elements is refused because the file is not that long, before anything is
//! allocated for them.

use std::fmt;

use anyhow::{Result, bail, ensure};

/// How deep arrays of arrays may go. The files there are go one deep.
const DEEPEST: usize = 4;

/// Characters of a string that a listing shows.
const SHOWN: usize = 72;

/// One value of the metadata.
///
/// Worked example: `llama.block_count` is `Unsigned(30)`,
/// `llama.rope.freq_base` is `Single(100000.0)`, `tokenizer.ggml.tokens` is an
/// [`Array`] of texts.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// Integers without a sign, of 8 to 64 bits.
    Unsigned(u64),
    /// Integers with a sign, of 8 to 64 bits.
    Signed(i64),
    /// A number of 32 bits.
    Single(f32),
    /// A number of 64 bits.
    Double(f64),
    /// True or false.
    Flag(bool),
    /// UTF-8 text.
    Text(&'a str),
    /// Values of one type.
    Array(Array<'a>),
}

/// The type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    F32,
    Bool,
    Text,
    Array,
    U64,
    I64,
    F64,
}

impl Type {
    fn from_number(number: u32) -> Result<Self> {
        Ok(match number {
            0 => Self::U8,
            1 => Self::I8,
            2 => Self::U16,
            3 => Self::I16,
            4 => Self::U32,
            5 => Self::I32,
            6 => Self::F32,
            7 => Self::Bool,
            8 => Self::Text,
            9 => Self::Array,
            10 => Self::U64,
            11 => Self::I64,
            12 => Self::F64,
            _ => bail!("value type {number} is none of GGUF's 13"),
        })
    }

    /// Bytes of the shortest value: a text has its length, an array its type
    /// and length.
    fn least_bytes(self) -> usize {
        match self {
            Self::U8 | Self::I8 | Self::Bool => 1,
            Self::U16 | Self::I16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 | Self::Text => 8,
            Self::Array => 12,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::U8 | Self::U16 | Self::U32 | Self::U64 => "unsigned integers",
            Self::I8 | Self::I16 | Self::I32 | Self::I64 => "integers",
            Self::F32 | Self::F64 => "numbers",
            Self::Bool => "flags",
            Self::Text => "texts",
            Self::Array => "arrays",
        }
    }
}

/// Reads little-endian values from the front of a slice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let taken = self
            .at
            .checked_add(count)
            .and_then(|end| self.bytes.get(self.at..end));
        let Some(taken) = taken else {
            bail!(
                "the file ends at byte {}, {count} bytes are needed from byte {} on; the copy is not whole",
                self.bytes.len(),
                self.at
            );
        };
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least `least_bytes` each; more of them
    /// than the rest of the file could hold are refused.
    pub(super) fn count(&mut self, what: &str, least_bytes: usize) -> Result<usize> {
        let count = self.u64()?;
        let most = self.left() / least_bytes;
        ensure!(
            count <= most as u64,
            "it says {count} {what}, the {} bytes that are left hold {most} at most",
            self.left()
        );
        Ok(count as usize)
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.count("bytes of text", 1)?;
        let bytes = self.take(length)?;
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text),
            Err(error) => bail!(
                "the text at byte {} is not UTF-8: {error}",
                self.at - length
            ),
        }
    }

    /// A value with its type before it, arrays checked to the last element.
    pub(super) fn value(&mut self) -> Result<Value<'a>> {
        let of = Type::from_number(self.u32()?)?;
        self.value_of(of, 0)
    }

    fn value_of(&mut self, of: Type, depth: usize) -> Result<Value<'a>> {
        Ok(match of {
            Type::U8 => Value::Unsigned(u8::from_le_bytes(self.array()?).into()),
            Type::I8 => Value::Signed(i8::from_le_bytes(self.array()?).into()),
            Type::U16 => Value::Unsigned(u16::from_le_bytes(self.array()?).into()),
            Type::I16 => Value::Signed(i16::from_le_bytes(self.array()?).into()),
            Type::U32 => Value::Unsigned(self.u32()?.into()),
            Type::I32 => Value::Signed(i32::from_le_bytes(self.array()?).into()),
            Type::U64 => Value::Unsigned(self.u64()?),
            Type::I64 => Value::Signed(i64::from_le_bytes(self.array()?)),
            Type::F32 => Value::Single(f32::from_le_bytes(self.array()?)),
            Type::F64 => Value::Double(f64::from_le_bytes(self.array()?)),
            Type::Bool => match self.array()? {
                [0] => Value::Flag(false),
                [1] => Value::Flag(true),
                [other] => bail!("a flag is {other}, neither 0 nor 1"),
            },
            Type::Text => Value::Text(self.text()?),
            Type::Array => Value::Array(self.array_of(depth)?),
        })
    }

    fn array_of(&mut self, depth: usize) -> Result<Array<'a>> {
        ensure!(
            depth < DEEPEST,
            "arrays within arrays go deeper than {DEEPEST}"
        );
        let of = Type::from_number(self.u32()?)?;
        let count = self.count(of.name(), of.least_bytes())?;
        let from = self.at;
        if matches!(of, Type::Bool | Type::Text | Type::Array) {
            for _ in 0..count {
                self.value_of(of, depth + 1)?;
            }
        } else {
            // At most the bytes that are left, as `count` has seen to.
            self.take(count * of.least_bytes())?;
        }
        Ok(Array {
            of,
            count,
            bytes: &self.bytes[from..self.at],
        })
    }
}

/// Values of one type, decoded as they are walked.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a> {
    of: Type,
    count: usize,
    bytes: &'a [u8],
}

impl<'a> Array<'a> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements in their order.
    pub fn iter(&self) -> impl Iterator<Item = Value<'a>> + use<'a> {
        let (of, count) = (self.of, self.count);
        let mut cursor = Cursor::new(self.bytes);
        // Reading has walked the array once, so no element fails here; depth 0
        // allows what was allowed then.
        (0..count).map_while(move |_| cursor.value_of(of, 0).ok())
    }

    /// The elements, where they are texts.
    pub(super) fn texts(&self) -> Option<impl Iterator<Item = &'a str> + use<'a>> {
        (self.of == Type::Text).then(|| {
            self.iter().filter_map(|value| match value {
                Value::Text(text) => Some(text),
                _ => None,
            })
        })
    }
}

impl Value<'_> {
    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Unsigned(_) | Self::Signed(_) => "an integer",
            Self::Single(_) | Self::Double(_) => "a number",
            Self::Flag(_) => "a flag",
            Self::Text(_) => "a text",
            Self::Array(_) => "an array",
        }
    }

    /// An integer that is not negative.
    pub(super) fn unsigned(&self) -> Option<u64> {
        match *self {
            Self::Unsigned(value) => Some(value),
            Self::Signed(value) => u64::try_from(value).ok(),
            _ => None,
        }
    }

    /// A number. One of 32 bits becomes the shortest decimal that stands for
    /// it, so an epsilon written as 1e-5 comes back as 1e-5.
    pub(super) fn number(&self) -> Option<f64> {
        match *self {
            Self::Single(value) => value.to_string().parse().ok(),
            Self::Double(value) => Some(value),
            _ => self.unsigned().map(|value| value as f64),
        }
    }
}

/// For listings: long texts and arrays are shortened, control characters escaped.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned(value) => write!(f, "{value}"),
            Self::Signed(value) => write!(f, "{value}"),
            Self::Single(value) => write!(f, "{value}"),
            Self::Double(value) => write!(f, "{value}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Text(text) => match text.char_indices().nth(SHOWN) {
                Some((end, _)) => write!(f, "{:?}… ({} bytes)", &text[..end], text.len()),
                None => write!(f, "{text:?}"),
            },
            Self::Array(array) => write!(f, "{} {}", array.count, array.of.name()),
        }
    }
}
