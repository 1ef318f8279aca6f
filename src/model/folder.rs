//! Writing model folders as transformers and servers read them:
//! `config.json`, `model.safetensors` (in shards where it is large),
//! `tokenizer.json` and what else belongs to the model.
//!
//! A folder is written under another name and renamed, so it is whole or
//! absent. Reading is [`super::stored`]'s matter.

use std::path::Path;

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};

use super::tensor_files::{MAX_SHARD_BYTES, NumberFormat, Sink, TensorToWrite, write_model};
use super::weights::{Entry, layout};
use super::{Model, ModelConfig, Stored, stored::Companions};
use crate::files;

/// Writes a model in memory as a folder, float32, adapters merged.
pub fn save(model: &Model, at: &Path) -> Result<()> {
    let decoder = &model.decoder;
    let fill =
        |entry: &Entry, sink: &mut Sink<'_>| sink.numbers(&numbers(&decoder.merged(&entry.name)));
    write(
        at,
        decoder.config(),
        &model.companions,
        NumberFormat::F32,
        fill,
    )
}

/// Writes a stored model as a folder, an adapter merged, one tensor in memory at a time.
pub fn convert(model: &Stored, at: &Path, format: NumberFormat) -> Result<()> {
    model.source(|source| {
        write(
            at,
            &model.config,
            &model.companions,
            format,
            |entry, sink| sink.numbers(&numbers(&source(&entry.name)?)),
        )
    })
}

fn write(
    at: &Path,
    config: &ModelConfig,
    companions: &Companions,
    format: NumberFormat,
    fill: impl Fn(&Entry, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let parent = at.parent().unwrap_or(Path::new("."));
    let name = at
        .file_name()
        .with_context(|| format!("{} is not the name of a folder", at.display()))?;
    let aside = parent.join(format!(
        ".{}.{}.partial",
        name.to_string_lossy(),
        std::process::id()
    ));
    if aside.exists() {
        std::fs::remove_dir_all(&aside)?;
    }
    let entries = layout(config);
    let tensors: Vec<TensorToWrite> = entries
        .iter()
        .map(|entry| TensorToWrite {
            name: entry.name.clone(),
            shape: entry.shape.iter().map(|&size| size as usize).collect(),
            format,
        })
        .collect();
    let written = (|| -> Result<()> {
        let text = config.to_json(format.torch_name());
        files::write_whole(&aside.join("config.json"), text.as_bytes())?;
        for (name, bytes) in companions {
            files::write_whole(&aside.join(name), bytes)?;
        }
        write_model(&aside, &tensors, MAX_SHARD_BYTES, |place, sink| {
            fill(&entries[place], sink)
        })?;
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

/// A tensor's numbers, float32, in order.
pub fn numbers(tensor: &Tensor) -> Vec<f32> {
    let flat = tensor
        .detach()
        .to_device(Device::Cpu)
        .to_kind(Kind::Float)
        .reshape([-1]);
    let mut values = vec![0.0f32; flat.numel()];
    let count = values.len();
    flat.copy_data(&mut values, count);
    values
}
