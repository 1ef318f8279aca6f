//! The header of a GGUF file: metadata, and where each tensor lies.
//!
//! Versions 2 and 3, little-endian. The format is that of ggml's `gguf.md`:
//! magic, version, counts, key/value pairs, tensor descriptions, padding, data.
//!
//! Every length is checked against what is left of the file before anything is
//! built from it, so a header that lies costs an error and no memory. Tensor
//! data is not touched here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};

use super::kind::Kind;
use super::value::{Cursor, Value};

/// Where tensor data is aligned to if the file does not say.
const ALIGNMENT: u64 = 32;

/// Longest name of a tensor, in bytes, and of a key; both from the format.
const LONGEST_NAME: usize = 64;
const LONGEST_KEY: usize = 65_535;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: u32 = 4;

/// Bytes of the shortest key/value pair and of the shortest tensor description.
const LEAST_PAIR: usize = 8 + 4 + 1;
const LEAST_DESCRIPTION: usize = 8 + 4 + 8 + 4 + 8;

/// One tensor of the file.
///
/// Worked example: the embedding of a model of 49152 tokens and width 576 in
/// [`Kind::Q8_0`] has the shape `[49152, 576]` and 49152 * 576 / 32 * 34 bytes.
#[derive(Debug, Clone)]
pub struct Stored<'a> {
    /// How its numbers are stored.
    pub kind: Kind,
    /// Rows first, as in a checkpoint; the file has it the other way round.
    pub shape: Vec<usize>,
    pub(super) bytes: &'a [u8],
}

impl Stored<'_> {
    /// Number of elements.
    pub fn len(&self) -> usize {
        // The header was refused if this did not fit.
        self.shape.iter().product()
    }

    /// Whether there is no element; the header allows no such tensor.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a header says.
#[derive(Debug)]
pub(super) struct Header<'a> {
    pub(super) version: u32,
    pub(super) metadata: BTreeMap<&'a str, Value<'a>>,
    pub(super) tensors: BTreeMap<&'a str, Stored<'a>>,
}

/// A tensor as described, before its place is checked.
struct Description<'a> {
    name: &'a str,
    kind: Kind,
    shape: Vec<usize>,
    offset: u64,
    length: u64,
}

/// Reads the header of a whole file.
pub(super) fn parse(bytes: &[u8]) -> Result<Header<'_>> {
    let mut cursor = Cursor::new(bytes);
    let version = version(&mut cursor)?;
    let tensor_count = cursor.count("tensors", LEAST_DESCRIPTION)?;
    let pair_count = cursor.count("metadata keys", LEAST_PAIR)?;
    let mut metadata = BTreeMap::new();
    for index in 0..pair_count {
        let key = cursor
            .text()
            .with_context(|| format!("metadata key {index}"))?;
        ensure!(
            key.len() <= LONGEST_KEY,
            "metadata key {index} has {} bytes, the format allows {LONGEST_KEY}",
            key.len()
        );
        let value = cursor
            .value()
            .with_context(|| format!("metadata key {key:?}"))?;
        ensure!(
            metadata.insert(key, value).is_none(),
            "metadata key {key:?} is there twice"
        );
    }
    let alignment = alignment(&metadata)?;
    let descriptions = (0..tensor_count)
        .map(|index| describe(&mut cursor, index, alignment))
        .collect::<Result<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    for Description { name, .. } in &descriptions {
        ensure!(names.insert(name), "tensor {name:?} is there twice");
    }
    let start = (cursor.at() as u64)
        .checked_next_multiple_of(alignment)
        .context("general.alignment is larger than any file")?;
    let tensors = place(bytes, start, descriptions)?;
    Ok(Header {
        version,
        metadata,
        tensors,
    })
}

fn version(cursor: &mut Cursor<'_>) -> Result<u32> {
    let magic: [u8; 4] = cursor.array().context("not a GGUF file")?;
    ensure!(
        &magic == b"GGUF",
        "not a GGUF file: it starts with {:?}, not \"GGUF\"",
        String::from_utf8_lossy(&magic)
    );
    let version = cursor.u32()?;
    match version {
        2 | 3 => Ok(version),
        _ if matches!(version.swap_bytes(), 1..=3) => {
            bail!("the file is big-endian; only little-endian GGUF is read")
        }
        _ => bail!("GGUF version {version}; only versions 2 and 3 are read"),
    }
}

fn alignment(metadata: &BTreeMap<&str, Value<'_>>) -> Result<u64> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(ALIGNMENT);
    };
    match value.unsigned() {
        Some(alignment) if alignment >= 8 && alignment.is_power_of_two() => Ok(alignment),
        _ => bail!("general.alignment is {value}: it must be a power of two from 8 on"),
    }
}

fn describe<'a>(cursor: &mut Cursor<'a>, index: usize, alignment: u64) -> Result<Description<'a>> {
    let name = cursor
        .text()
        .with_context(|| format!("the name of tensor {index}"))?;
    ensure!(
        name.len() <= LONGEST_NAME,
        "the name of tensor {index} has {} bytes, the format allows {LONGEST_NAME}",
        name.len()
    );
    described(cursor, name, alignment).with_context(|| format!("tensor {name:?}"))
}

fn described<'a>(
    cursor: &mut Cursor<'a>,
    name: &'a str,
    alignment: u64,
) -> Result<Description<'a>> {
    let dimensions = cursor.u32()?;
    ensure!(
        (1..=MOST_DIMENSIONS).contains(&dimensions),
        "it has {dimensions} dimensions; 1 to {MOST_DIMENSIONS} are read"
    );
    let mut sizes = Vec::with_capacity(dimensions as usize);
    for _ in 0..dimensions {
        sizes.push(cursor.u64()?);
    }
    let kind = Kind::from_number(cursor.u32()?).map_err(|name| {
        let known = Kind::ALL.map(Kind::name).join(", ");
        anyhow::anyhow!("it is stored as {name}; read are {known}")
    })?;
    let offset = cursor.u64()?;
    let numbers = sizes
        .iter()
        .try_fold(1u64, |product, &size| product.checked_mul(size))
        .filter(|&numbers| isize::try_from(numbers).is_ok());
    let Some(numbers) = numbers else {
        bail!("its dimensions {sizes:?} multiply to more than any file holds");
    };
    ensure!(numbers > 0, "one of its dimensions {sizes:?} is 0");
    let block = kind.block_numbers() as u64;
    // The first size in the file is that of a row, and rows begin with a block.
    ensure!(
        sizes[0].is_multiple_of(block),
        "its rows of {} numbers are not whole blocks of {block}, as {} needs",
        sizes[0],
        kind.name()
    );
    let length = (numbers / block).checked_mul(kind.block_bytes() as u64);
    let Some(length) = length else {
        bail!("its dimensions {sizes:?} take more bytes than any file holds");
    };
    ensure!(
        offset.is_multiple_of(alignment),
        "its offset {offset} is not a multiple of the alignment {alignment}"
    );
    Ok(Description {
        name,
        kind,
        shape: sizes.iter().rev().map(|&size| size as usize).collect(),
        offset,
        length,
    })
}

/// Gives each tensor its bytes; none may reach over the end or into another.
fn place<'a>(
    bytes: &'a [u8],
    start: u64,
    mut descriptions: Vec<Description<'a>>,
) -> Result<BTreeMap<&'a str, Stored<'a>>> {
    descriptions.sort_by_key(|tensor| tensor.offset);
    let mut tensors = BTreeMap::new();
    let mut before: Option<(&str, u64)> = None;
    for tensor in descriptions {
        let name = tensor.name;
        let end = tensor.offset.saturating_add(tensor.length);
        if let Some((other, other_end)) = before
            && tensor.offset < other_end
        {
            bail!(
                "tensors {other:?} and {name:?} overlap at byte {} of the data",
                tensor.offset
            );
        }
        before = Some((name, end));
        let (from, to) = (
            start.saturating_add(tensor.offset),
            start.saturating_add(end),
        );
        let data = usize::try_from(from).ok().zip(usize::try_from(to).ok());
        let Some(data) = data.and_then(|(from, to)| bytes.get(from..to)) else {
            bail!(
                "tensor {name:?} lies at bytes {from} to {to}, the file ends at byte {}; the copy is not whole",
                bytes.len()
            );
        };
        let stored = Stored {
            kind: tensor.kind,
            shape: tensor.shape,
            bytes: data,
        };
        tensors.insert(name, stored);
    }
    Ok(tensors)
}
