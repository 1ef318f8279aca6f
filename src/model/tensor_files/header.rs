//! The header of one safetensors file: eight bytes with its length, JSON that
//! gives each tensor a number format, a shape and a place, then the data.
//!
//! Checked here and not by the safetensors crate because its errors do not say
//! which tensor is wrong, and of a name given twice it silently keeps one.
//!
//! Format: <https://github.com/huggingface/safetensors#format>

use std::fmt;
use std::ops::Range;

use anyhow::{Context, Result, bail, ensure};
use safetensors::Dtype;
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The longest header that the format allows.
pub(super) const MAX_HEADER: usize = 100_000_000;

/// Longer names are no names of parameters, and would be repeated in errors.
const MAX_NAME: usize = 1024;

/// As many as PyTorch's tensors have at most.
const MAX_AXES: usize = 64;

/// The name in the header that is no tensor.
pub(super) const METADATA: &str = "__metadata__";

/// What a header says of one tensor.
///
/// Worked example: a norm's weight of 48 numbers at the beginning of the data
/// of a file whose header has 1000 bytes:
/// `{name: "model.norm.weight", dtype: F32, shape: [48], bytes: 1008..1200}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Place in the file.
    pub(super) bytes: Range<usize>,
}

/// One value of the header's JSON.
#[derive(Deserialize)]
struct Described {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

/// The tensors of a file in the order of their data; every byte of the data
/// belongs to exactly one of them.
pub(super) fn read(file: &[u8]) -> Result<Vec<Entry>> {
    if file.starts_with(b"version https://git-lfs") {
        bail!("a Git LFS pointer stands in place of the file; fetch it with `git lfs pull`");
    }
    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        bail!(
            "{} bytes are no safetensors file: it begins with 8 bytes of header length; \
             the file is cut short, fetch or write it again",
            file.len()
        );
    };
    let length = u64::from_le_bytes(*length);
    ensure!(
        length <= MAX_HEADER as u64,
        "the first 8 bytes claim a header of {length} bytes, more than the {MAX_HEADER} \
         that the format allows; this is no safetensors file"
    );
    let Some((header, data)) = rest.split_at_checked(length as usize) else {
        bail!(
            "the header should have {length} bytes, the file has {} after the length; \
             it is cut short, fetch or write it again",
            rest.len()
        );
    };
    let described = parse(header).context("the header cannot be read")?;
    place(described, data.len(), 8 + header.len())
}

/// The header's tensors in its order.
fn parse(header: &[u8]) -> Result<Vec<(String, Described)>> {
    let mut json = serde_json::Deserializer::from_slice(header);
    let described = json.deserialize_map(HeaderVisitor)?;
    json.end()?;
    Ok(described)
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = Vec<(String, Described)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object that describes tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut described = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            if name.len() > MAX_NAME {
                return Err(A::Error::custom(format!(
                    "a tensor's name has {} bytes, at most {MAX_NAME} are read",
                    name.len()
                )));
            }
            let value = map.next_value_seed(Named(&name))?;
            described.push((name, value));
        }
        Ok(described)
    }
}

/// Reads one tensor's description; an error says whose it is.
struct Named<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = Described;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Described, D::Error> {
        Described::deserialize(json)
            .map_err(|error| D::Error::custom(format!("tensor {:?}: {error}", self.0)))
    }
}

/// Holds the descriptions to the data they describe.
fn place(
    mut described: Vec<(String, Described)>,
    data: usize,
    data_begins: usize,
) -> Result<Vec<Entry>> {
    described.sort_by(|(a, left), (b, right)| (left.data_offsets, a).cmp(&(right.data_offsets, b)));
    let mut end = 0;
    let mut entries = Vec::with_capacity(described.len());
    for (name, tensor) in described {
        let (from, to) = tensor.data_offsets;
        let dtype = dtype(&tensor.dtype).with_context(|| {
            // The word is the file's, and as long as it likes.
            let word: String = tensor.dtype.chars().take(32).collect();
            format!("tensor {name:?} is of number format {word:?}, which safetensors does not have")
        })?;
        ensure!(
            tensor.shape.len() <= MAX_AXES,
            "tensor {name:?} has {} axes, at most {MAX_AXES} are read",
            tensor.shape.len()
        );
        let size = size(&tensor.shape, dtype).with_context(|| {
            format!(
                "tensor {name:?} of shape {:?} in {dtype} has no size in whole bytes",
                tensor.shape
            )
        })?;
        ensure!(
            from <= to && to <= data,
            "tensor {name:?} lies at bytes {from} to {to} of {data} bytes of data; \
             the file is cut short or damaged, fetch or write it again"
        );
        ensure!(
            to - from == size,
            "tensor {name:?} of shape {:?} in {dtype} needs {size} bytes and is given {}",
            tensor.shape,
            to - from
        );
        ensure!(
            from >= end,
            "tensor {name:?} begins at byte {from} of the data, inside of the tensor before it, \
             which ends at {end}"
        );
        ensure!(
            from == end,
            "bytes {end} to {from} of the data, before tensor {name:?}, belong to no tensor"
        );
        end = to;
        entries.push(Entry {
            name,
            dtype,
            shape: tensor.shape,
            bytes: data_begins + from..data_begins + to,
        });
    }
    ensure!(
        end == data,
        "bytes {end} to {data} of the data, behind the last tensor, belong to no tensor"
    );
    twice(&entries)?;
    Ok(entries)
}

fn twice(entries: &[Entry]) -> Result<()> {
    let mut names: Vec<&str> = entries.iter().map(|entry| &*entry.name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => bail!("tensor {:?} is described twice", pair[0]),
        None => Ok(()),
    }
}

fn dtype(name: &str) -> Option<Dtype> {
    let name: serde::de::value::StrDeserializer<'_, serde::de::value::Error> =
        name.into_deserializer();
    Dtype::deserialize(name).ok()
}

/// Bytes of a tensor; `None` where the number is too large or has half bytes.
pub(super) fn size(shape: &[usize], dtype: Dtype) -> Option<usize> {
    let bits = shape
        .iter()
        .try_fold(1usize, |count, &axis| count.checked_mul(axis))?
        .checked_mul(dtype.bitsize())?;
    bits.is_multiple_of(8).then_some(bits / 8)
}
