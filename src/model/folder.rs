//! Hugging Face model folders: `config.json`, `model.safetensors`,
//! `tokenizer.json`, `tokenizer_config.json`.
//!
//! A folder is written under another name and renamed, so it is whole or
//! absent. Deliberately not read yet: sharded checkpoints and other number
//! formats than float32; both are refused by name.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use tch::{Device, Kind, Tensor};
use tokenizers::Tokenizer;

use super::weights::{Entry, layout};
use super::{Decoder, Model, ModelConfig, Weights, vocabulary};
use crate::files;

/// Writes a model folder.
pub fn save(model: &Model, at: &Path) -> Result<()> {
    let parent = at.parent().unwrap_or(Path::new("."));
    let name = at
        .file_name()
        .with_context(|| format!("{} is not the name of a folder", at.display()))?;
    let aside = parent.join(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    let tokenizer = model
        .tokenizer
        .to_string(true)
        .map_err(|error| anyhow::anyhow!("writing the tokenizer: {error}"))?;
    let weights = model.decoder.weights();
    let context = model.decoder.config().max_position_embeddings as usize;
    let parts: [(&str, Vec<u8>); 4] = [
        ("config.json", model.decoder.config().to_json().into_bytes()),
        ("tokenizer.json", tokenizer.into_bytes()),
        (
            "tokenizer_config.json",
            serde_json::to_vec_pretty(&vocabulary::tokenizer_config(context))?,
        ),
        (
            "model.safetensors",
            to_safetensors(weights.entries(), weights.flat())?,
        ),
    ];
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    let written = (|| -> Result<()> {
        for (name, bytes) in parts {
            files::write_whole(&aside.join(name), &bytes)?;
        }
        if at.exists() {
            std::fs::remove_dir_all(at)?;
        }
        std::fs::rename(&aside, at)?;
        files::sync_folder(parent)?;
        Ok(())
    })();
    if written.is_err() {
        // The error below is what matters; a dotted leftover is never read.
        let _ = std::fs::remove_dir_all(&aside);
    }
    written.with_context(|| format!("writing the model folder {}", at.display()))
}

/// Reads a model folder onto a device.
pub fn load(at: &Path, device: Device) -> Result<Model> {
    let read = |name: &str| {
        let path = at.join(name);
        std::fs::read(&path).with_context(|| {
            format!(
                "reading {}: a model folder holds config.json, model.safetensors and tokenizer.json",
                path.display()
            )
        })
    };
    let config_text = String::from_utf8(read("config.json")?)
        .with_context(|| format!("{} is not UTF-8", at.join("config.json").display()))?;
    let config = ModelConfig::from_json(&config_text)
        .map_err(|error| anyhow::anyhow!("{}: {error}", at.join("config.json").display()))?;
    let tokenizer = Tokenizer::from_bytes(read("tokenizer.json")?)
        .map_err(|error| anyhow::anyhow!("{}: {error}", at.join("tokenizer.json").display()))?;
    let words = tokenizer.get_vocab_size(true) as i64;
    ensure!(
        words <= config.vocab_size,
        "{}: the tokenizer has {words} tokens, the model's embedding {} rows; they do not belong together",
        at.display(),
        config.vocab_size
    );
    let entries = layout(&config);
    let bytes = read("model.safetensors")?;
    let flat_P = from_safetensors(&bytes, &entries)
        .with_context(|| at.join("model.safetensors").display().to_string())?
        .to_device(device);
    let weights = Weights::from_flat(&flat_P, entries);
    Ok(Model {
        decoder: Decoder::new(config, weights),
        tokenizer,
    })
}

/// Parameters in the safetensors format, float32.
pub fn to_safetensors(entries: &[Entry], flat_P: &Tensor) -> Result<Vec<u8>> {
    let bytes = float_bytes(flat_P);
    let views = entries
        .iter()
        .map(|entry| {
            let from = entry.offset as usize * 4;
            let to = from + entry.len() as usize * 4;
            let shape = entry.shape.iter().map(|&size| size as usize).collect();
            Ok((
                entry.name.clone(),
                TensorView::new(Dtype::F32, shape, &bytes[from..to])?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    // transformers refuses a file whose metadata does not say "pt".
    let metadata = [("format".to_owned(), "pt".to_owned())].into();
    Ok(safetensors::serialize(views, Some(metadata))?)
}

/// The flat parameter vector `[P]` of a safetensors file that holds exactly
/// the entries' tensors.
pub fn from_safetensors(bytes: &[u8], entries: &[Entry]) -> Result<Tensor> {
    let file = SafeTensors::deserialize(bytes).context("not a whole safetensors file")?;
    for name in file.names() {
        ensure!(
            entries.iter().any(|entry| entry.name == *name),
            "tensor {name} is not part of this configuration"
        );
    }
    let mut values = Vec::new();
    for entry in entries {
        let view = file
            .tensor(&entry.name)
            .with_context(|| format!("tensor {} is missing", entry.name))?;
        let shape: Vec<i64> = view.shape().iter().map(|&size| size as i64).collect();
        ensure!(
            shape == entry.shape,
            "tensor {} has shape {shape:?}, the configuration says {:?}",
            entry.name,
            entry.shape
        );
        append_floats(&mut values, &entry.name, &view)?;
    }
    Ok(Tensor::from_slice(&values))
}

/// Vectors in the safetensors format, float32.
pub fn vectors_to_safetensors(vectors: &[(&str, &Tensor)]) -> Result<Vec<u8>> {
    let bytes: Vec<(&str, Vec<u8>)> = vectors
        .iter()
        .map(|(name, vector)| (*name, float_bytes(vector)))
        .collect();
    let views = bytes
        .iter()
        .map(|(name, bytes)| {
            Ok((
                *name,
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(safetensors::serialize(views, None)?)
}

/// One vector of `count` numbers out of a safetensors file.
pub fn vector_from_safetensors(bytes: &[u8], name: &str, count: i64) -> Result<Tensor> {
    let file = SafeTensors::deserialize(bytes).context("not a whole safetensors file")?;
    let view = file
        .tensor(name)
        .with_context(|| format!("tensor {name} is missing"))?;
    let mut values = Vec::new();
    append_floats(&mut values, name, &view)?;
    ensure!(
        values.len() as i64 == count,
        "tensor {name} has {} numbers, {count} are needed",
        values.len()
    );
    Ok(Tensor::from_slice(&values))
}

fn append_floats(values: &mut Vec<f32>, name: &str, view: &TensorView<'_>) -> Result<()> {
    if view.dtype() != Dtype::F32 {
        bail!(
            "tensor {name} is stored as {:?}; only F32 is read",
            view.dtype()
        );
    }
    values.extend(
        view.data()
            .chunks_exact(4)
            .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])),
    );
    Ok(())
}

fn float_bytes(vector: &Tensor) -> Vec<u8> {
    let vector = vector.to_device(Device::Cpu).to_kind(Kind::Float);
    let mut values = vec![0.0f32; vector.numel()];
    let count = values.len();
    vector.copy_data(&mut values, count);
    values.into_iter().flat_map(f32::to_le_bytes).collect()
}
