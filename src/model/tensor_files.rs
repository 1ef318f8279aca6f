//! Tensors of a Hugging Face folder, in and out: `model.safetensors`, or shards
//! and the `model.safetensors.index.json` that names them.
//!
//! Files are mapped, not read: a tensor's bytes enter memory when they are
//! asked for. A set of files opens whole or not at all, and every error names
//! the file and the tensor. Deliberately absent: pickled checkpoints, which are
//! programs and not data; number formats other than F32, F16 and BF16 when
//! numbers are asked for; and any idea of what the tensors are for.
//!
//! Whoever shortens a file while it is mapped ends this process: that is the
//! price of a map. The lab replaces files by renaming and never in place.

mod header;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use memmap2::Mmap;
use rayon::prelude::*;
pub use safetensors::Dtype;
use serde::Deserialize;
use torch_ext::map_file;

use header::Entry;
pub use write::{
    MAX_SHARD_BYTES, NumberFormat, Sink, TensorToWrite, write_model, write_safetensors,
};

/// The weights of a folder that has one file of them.
pub const SINGLE: &str = "model.safetensors";
/// Names the shards of a folder that has several.
pub const INDEX: &str = "model.safetensors.index.json";

/// Numbers converted by one task: large enough that handing it out costs nothing.
const CHUNK: usize = 1 << 16;

/// The tensors of one file or of several shards.
///
/// Worked example: a folder with `model-00001-of-00002.safetensors` and its
/// second half has two files; `places` sends `model.norm.weight` to the entry
/// in the second.
#[derive(Debug)]
pub struct TensorFiles {
    files: Vec<(PathBuf, Mmap)>,
    places: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct Place {
    file: usize,
    entry: Entry,
}

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl TensorFiles {
    /// The weights of a model folder.
    pub fn open(folder: &Path) -> Result<Self> {
        if folder.join(SINGLE).exists() {
            return Self::open_file(&folder.join(SINGLE));
        }
        let index = folder.join(INDEX);
        if index.exists() {
            return Self::open_shards(folder, &index);
        }
        for pickled in ["pytorch_model.bin", "pytorch_model.bin.index.json"] {
            if folder.join(pickled).exists() {
                bail!(
                    "{} holds {pickled}, and only safetensors is read; convert it with transformers: \
                     AutoModelForCausalLM.from_pretrained(folder).save_pretrained(other_folder)",
                    folder.display()
                );
            }
        }
        bail!(
            "{} holds neither {SINGLE} nor {INDEX}: give a model folder with its weights",
            folder.display()
        )
    }

    /// The tensors of one safetensors file.
    pub fn open_file(path: &Path) -> Result<Self> {
        let mut files = Self {
            files: Vec::new(),
            places: BTreeMap::new(),
        };
        files.add(path)?;
        Ok(files)
    }

    fn open_shards(folder: &Path, index: &Path) -> Result<Self> {
        let text = experiments::text::bytes(index)
            .with_context(|| format!("reading {}", index.display()))?;
        let Index { weight_map } = serde_json::from_slice(&text).with_context(|| {
            format!(
                "{}: an index has a weight_map of tensor names to file names",
                index.display()
            )
        })?;
        let shards: BTreeSet<&String> = weight_map.values().collect();
        let mut files = Self {
            files: Vec::new(),
            places: BTreeMap::new(),
        };
        for shard in shards {
            // A folder is read from strangers: nothing outside of it is.
            let plain = !shard.contains(['/', '\\', '\0']) && !matches!(&**shard, "" | "." | "..");
            ensure!(
                plain,
                "{}: shard {shard:?} is not the name of a file in the folder",
                index.display()
            );
            let path = folder.join(shard);
            ensure!(
                path.exists(),
                "{} names the shard {shard:?}, which is not in the folder; fetch it too",
                index.display()
            );
            files.add(&path)?;
        }
        for (name, shard) in &weight_map {
            let place = files.places.get(name);
            ensure!(
                place.is_some_and(|place| files.files[place.file].0.ends_with(shard)),
                "{}: tensor {name:?} should be in {shard:?}, and is {}",
                index.display(),
                match place {
                    Some(place) => format!("in {}", files.files[place.file].0.display()),
                    None => "in none of the shards".to_owned(),
                }
            );
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        // Anything else may block, or have no end.
        let meta = fs::metadata(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(meta.is_file(), "{} is not a file", path.display());
        let bytes = map_file(path).with_context(|| format!("reading {}", path.display()))?;
        let entries = header::read(&bytes).with_context(|| path.display().to_string())?;
        for entry in entries {
            let file = self.files.len();
            let name = entry.name.clone();
            if let Some(other) = self.places.insert(name.clone(), Place { file, entry }) {
                bail!(
                    "tensor {name:?} is in {} and in {}",
                    self.files[other.file].0.display(),
                    path.display()
                );
            }
        }
        self.files.push((path.to_owned(), bytes));
        Ok(())
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.places.keys().map(String::as_str)
    }

    /// The shape of a tensor.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.place(name)?.entry.shape)
    }

    /// The number format of a tensor.
    pub fn dtype(&self, name: &str) -> Result<Dtype> {
        Ok(self.place(name)?.entry.dtype)
    }

    /// The bytes of a tensor as they are stored: little-endian, the last axis
    /// running fastest.
    pub fn bytes(&self, name: &str) -> Result<&[u8]> {
        let place = self.place(name)?;
        let (_, file) = &self.files[place.file];
        // The header was held to the file's length.
        Ok(&file[place.entry.bytes.clone()])
    }

    /// The numbers of a tensor, which must be as many as `into` has room for.
    pub fn read_f32(&self, name: &str, into: &mut [f32]) -> Result<()> {
        let bytes = self.bytes(name)?;
        let Place { file, entry } = self.place(name)?;
        let told = || format!("{}: tensor {name:?}", self.files[*file].0.display());
        let convert: fn(&[u8], &mut [f32]) = match entry.dtype {
            Dtype::F32 => from_f32,
            Dtype::BF16 => from_bf16,
            Dtype::F16 => from_f16,
            other => bail!(
                "{} is stored as {other}; F32, F16 and BF16 are read",
                told()
            ),
        };
        let width = entry.dtype.bitsize() / 8;
        ensure!(
            bytes.len() / width == into.len(),
            "{} has shape {:?}, which is {} numbers; {} are wanted",
            told(),
            entry.shape,
            bytes.len() / width,
            into.len()
        );
        into.par_chunks_mut(CHUNK)
            .zip(bytes.par_chunks(CHUNK * width))
            .for_each(|(numbers, bytes)| convert(bytes, numbers));
        Ok(())
    }

    fn place(&self, name: &str) -> Result<&Place> {
        self.places.get(name).with_context(|| {
            let files: Vec<String> = self
                .files
                .iter()
                .map(|(path, _)| path.display().to_string())
                .collect();
            format!("tensor {name:?} is not in {}", files.join(", "))
        })
    }
}

fn from_f32(bytes: &[u8], numbers: &mut [f32]) {
    for (number, four) in numbers.iter_mut().zip(bytes.as_chunks::<4>().0) {
        *number = f32::from_le_bytes(*four);
    }
}

fn from_bf16(bytes: &[u8], numbers: &mut [f32]) {
    for (number, two) in numbers.iter_mut().zip(bytes.as_chunks::<2>().0) {
        *number = bf16::from_le_bytes(*two).to_f32();
    }
}

fn from_f16(bytes: &[u8], numbers: &mut [f32]) {
    // By the slice, because the processor's own conversion is asked for once a call.
    const BLOCK: usize = 1 << 10;
    let mut halves = [f16::ZERO; BLOCK];
    for (numbers, bytes) in numbers.chunks_mut(BLOCK).zip(bytes.chunks(BLOCK * 2)) {
        let halves = &mut halves[..numbers.len()];
        for (half, two) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(*two);
        }
        halves.convert_to_f32_slice(numbers);
    }
}

#[cfg(test)]
mod tests;
