//! Writing safetensors: the header first, then each tensor as its numbers are
//! handed over, so that saving a model holds no second copy of it.
//!
//! A large model is cut into shards that are named as transformers names them,
//! in the order given: a new one where the next tensor would pass the limit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use half::{bf16, f16};
use safetensors::Dtype;
use serde_json::json;

use super::header::{MAX_HEADER, METADATA, size};
use super::{INDEX, SINGLE};
use crate::files;

/// Bytes of data of a shard that transformers 4 and the model hub keep to.
pub const MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// How a number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberFormat {
    /// IEEE single precision.
    F32,
    /// Brain float: the upper half of single precision.
    Bf16,
    /// IEEE half precision.
    F16,
}

impl NumberFormat {
    /// Its name in a `config.json`.
    pub fn torch_name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::Bf16 => "bfloat16",
            Self::F16 => "float16",
        }
    }

    fn dtype(self) -> Dtype {
        match self {
            Self::F32 => Dtype::F32,
            Self::Bf16 => Dtype::BF16,
            Self::F16 => Dtype::F16,
        }
    }
}

/// A tensor that will be written.
///
/// Worked example: the embedding of a vocabulary of 362 words in 48 numbers
/// each: `{name: "model.embed_tokens.weight", shape: [362, 48], format: F32}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorToWrite {
    /// Name in the file.
    pub name: String,
    /// Axes, the last one running fastest.
    pub shape: Vec<usize>,
    /// Number format in the file.
    pub format: NumberFormat,
}

impl TensorToWrite {
    fn bytes(&self) -> Result<usize> {
        size(&self.shape, self.format.dtype()).with_context(|| {
            format!(
                "tensor {:?} of shape {:?} is too large",
                self.name, self.shape
            )
        })
    }
}

/// Takes the numbers of one tensor, in pieces of any length.
pub struct Sink<'a> {
    file: &'a mut BufWriter<File>,
    format: NumberFormat,
    taken: usize,
}

impl Sink<'_> {
    /// Numbers, rounded to the nearest of the tensor's format.
    pub fn numbers(&mut self, numbers: &[f32]) -> Result<()> {
        let mut stored = [0; 1 << 14];
        for some in numbers.chunks(stored.len() / 4) {
            let length = match self.format {
                NumberFormat::F32 => lay(&mut stored, some, f32::to_le_bytes),
                NumberFormat::Bf16 => lay(&mut stored, some, |x| bf16::from_f32(x).to_le_bytes()),
                NumberFormat::F16 => lay(&mut stored, some, |x| f16::from_f32(x).to_le_bytes()),
            };
            self.bytes(&stored[..length])?;
        }
        Ok(())
    }

    /// Numbers that are in the tensor's format already, little-endian.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.taken += bytes.len();
        Ok(self.file.write_all(bytes)?)
    }
}

/// Lays numbers end to end; how many bytes that are.
fn lay<const N: usize>(
    stored: &mut [u8],
    numbers: &[f32],
    bytes: impl Fn(f32) -> [u8; N],
) -> usize {
    for (place, &number) in stored.chunks_exact_mut(N).zip(numbers) {
        place.copy_from_slice(&bytes(number));
    }
    numbers.len() * N
}

/// Writes a safetensors file, whole or not at all. `fill` is called once for
/// each tensor, by its place in `tensors`, and gives all its numbers.
pub fn write_safetensors(
    path: &Path,
    tensors: &[TensorToWrite],
    mut fill: impl FnMut(usize, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let all: Vec<usize> = (0..tensors.len()).collect();
    write_some(path, tensors, &all, &mut fill)
}

/// Writes the weights of a model into a folder that has none yet: one file, or
/// shards of at most `max_shard_bytes` of data and their index. The index is
/// last: a folder that was cut off does not open.
pub fn write_model(
    folder: &Path,
    tensors: &[TensorToWrite],
    max_shard_bytes: u64,
    mut fill: impl FnMut(usize, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    refuse_weights(folder)?;
    let mut names = BTreeSet::new();
    for TensorToWrite { name, .. } in tensors {
        // Within a file the header tells; between shards nobody would.
        ensure!(
            names.insert(name),
            "{}: tensor {name:?} is given twice",
            folder.display()
        );
    }
    let shards = cut(tensors, max_shard_bytes)?;
    if let [all] = &*shards {
        return write_some(&folder.join(SINGLE), tensors, all, &mut fill);
    }
    let mut weight_map = BTreeMap::new();
    let mut total = 0;
    for (number, shard) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        write_some(&folder.join(&name), tensors, shard, &mut fill)?;
        for &place in shard {
            total += tensors[place].bytes()?;
            weight_map.insert(&*tensors[place].name, name.clone());
        }
    }
    let index = json!({"metadata": {"total_size": total}, "weight_map": weight_map});
    files::write_whole(&folder.join(INDEX), &serde_json::to_vec_pretty(&index)?)
}

/// Old shards beside new ones would be read with them.
fn refuse_weights(folder: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(());
    };
    for entry in entries {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        ensure!(
            !(name.starts_with("model") && name.contains(".safetensors")),
            "{} holds {name} already; write to another folder",
            folder.display()
        );
    }
    Ok(())
}

/// Places of tensors, shard by shard; one shard where there is no tensor.
fn cut(tensors: &[TensorToWrite], max_bytes: u64) -> Result<Vec<Vec<usize>>> {
    let mut shards = vec![Vec::new()];
    let mut filled = 0u64;
    for (place, tensor) in tensors.iter().enumerate() {
        let bytes = tensor.bytes()? as u64;
        if filled > 0 && filled.saturating_add(bytes) > max_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled = filled.saturating_add(bytes);
        if let Some(shard) = shards.last_mut() {
            shard.push(place);
        }
    }
    Ok(shards)
}

fn write_some(
    path: &Path,
    tensors: &[TensorToWrite],
    places: &[usize],
    fill: &mut dyn FnMut(usize, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let mut places = places.to_vec();
    // Wide numbers first: each tensor then lies at a multiple of its width.
    places.sort_by_key(|&place| std::cmp::Reverse(tensors[place].format.dtype().bitsize()));
    let header = header(tensors, &places).with_context(|| path.display().to_string())?;
    files::write_whole_with(path, |file| {
        file.write_all(&(header.len() as u64).to_le_bytes())?;
        file.write_all(&header)?;
        for &place in &places {
            let tensor = &tensors[place];
            let mut sink = Sink {
                file,
                format: tensor.format,
                taken: 0,
            };
            fill(place, &mut sink).with_context(|| format!("tensor {:?}", tensor.name))?;
            let (taken, needed) = (sink.taken, tensor.bytes()?);
            ensure!(
                taken == needed,
                "tensor {:?} of shape {:?} needs {needed} bytes and was given {taken}",
                tensor.name,
                tensor.shape
            );
        }
        Ok(())
    })
}

/// The header, filled up with spaces so that the data begins at a multiple of 8.
fn header(tensors: &[TensorToWrite], places: &[usize]) -> Result<Vec<u8>> {
    let mut described = serde_json::Map::new();
    // transformers refuses a file whose metadata does not say "pt".
    described.insert(METADATA.to_owned(), json!({"format": "pt"}));
    let mut end = 0usize;
    for &place in places {
        let tensor = &tensors[place];
        let begin = end;
        end = begin
            .checked_add(tensor.bytes()?)
            .context("the tensors are too large for one file")?;
        let description = json!({
            "dtype": tensor.format.dtype().to_string(),
            "shape": tensor.shape,
            "data_offsets": [begin, end],
        });
        if described.insert(tensor.name.clone(), description).is_some() {
            bail!(
                "tensor {:?} is given twice, or has a reserved name",
                tensor.name
            );
        }
    }
    let mut header = serde_json::to_vec(&described)?;
    header.resize(header.len().next_multiple_of(8), b' ');
    ensure!(
        header.len() <= MAX_HEADER,
        "the names and shapes take {} bytes, the format allows {MAX_HEADER}",
        header.len()
    );
    Ok(header)
}
