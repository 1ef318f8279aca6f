//! Checkpoints: everything the step loop needs to go on to the same bits.
//!
//! A checkpoint is a folder `checkpoint-000120`:
//!
//! - `weights.safetensors`: what is trained, one vector `weights`;
//! - `optimizer.safetensors`: its moments, the vectors `first` and `second`;
//! - `reference.safetensors`: the reference model's weights, where it follows the policy;
//! - `state.msgpack`: [`Progress`], batches not yet trained on included, in a
//!   format that keeps numbers that are not finite, as JSON does not;
//! - `manifest.json`: the hash of each of them, written last.
//!
//! The folder is written under another name, each file and the folder synced,
//! and renamed. A checkpoint counts only where every file matches the manifest,
//! so a bit that flipped anywhere, the manifest included, is noticed: the
//! folder is named and the one before it used. Where none is whole the run
//! stops and says what to do; it never starts over by itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use algorithms::{Batch, EntropyState, Metrics};
use anyhow::{Context, Result, bail, ensure};
use experiments::manifest::Budget;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::best::Best;
use super::metrics::Logged;
use super::on_the_way::Evaluated;
use super::optimizer::State;
use crate::files;
use crate::model::tensor_files::{NumberFormat, TensorFiles, TensorToWrite, write_safetensors};
use crate::model::{Weights, folder};

/// Where the step loop stands, besides weights and optimizer.
///
/// Worked example: after update 7 of a phase of 8, `{step: 7, pending: [one
/// batch], skipped: 1, skipped_in_a_row: 0, …}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Hash of everything that determines the training; another one's
    /// checkpoint is never continued.
    pub identity: String,
    /// Updates made.
    pub step: u64,
    /// Batches that were collected and not yet trained on.
    pub pending: Vec<Batch>,
    /// Metrics of the last collection, logged with each of its updates.
    pub collection: Metrics,
    /// Spent so far.
    pub budget: Budget,
    /// Updates skipped because a loss or gradient was not finite.
    pub skipped: u64,
    /// The last so many of them without another in between.
    pub skipped_in_a_row: u64,
    /// Updates whose batch held nothing to train on.
    pub idle: u64,
    /// The best validation so far, where the best policy is kept.
    pub best: Option<Best>,
    /// What the log of metrics holds up to this update; `None` in a checkpoint
    /// of an earlier version.
    #[serde(default)]
    pub log: Option<Logged>,
    /// What was evaluated on the way before this update's own evaluation.
    #[serde(default)]
    pub evaluated: Evaluated,
    /// Where the weight of the entropy stands, where it adapts.
    #[serde(default)]
    pub entropy: Option<EntropyState>,
}

/// What `state.msgpack` holds.
#[derive(Serialize, Deserialize)]
struct Stored {
    progress: Progress,
    optimizer_updates: u64,
}

/// What `manifest.json` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    format: u32,
    /// Hash by file name.
    files: BTreeMap<String, String>,
}

/// Everything a checkpoint is of.
#[derive(Clone, Copy)]
pub struct Snapshot<'a> {
    /// Where the loop stands.
    pub progress: &'a Progress,
    /// What is trained.
    pub weights: &'a Weights,
    /// The optimizer's memory.
    pub optimizer: &'a State,
    /// The reference model's weights, where they change.
    pub reference: Option<&'a Weights>,
}

/// Version of the folder's form.
const FORMAT: u32 = 2;

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";
const REFERENCE: &str = "reference.safetensors";
const STATE: &str = "state.msgpack";
const MANIFEST: &str = "manifest.json";

/// Start of a checkpoint's name.
const PREFIX: &str = "checkpoint-";

/// Numbers that are copied at once on their way to a file.
const CHUNK: i64 = 1 << 22;

/// Writes a checkpoint, then removes all but the `keep_last` newest.
pub fn save(at: &Path, snapshot: &Snapshot<'_>, keep_last: u64) -> Result<()> {
    let step = snapshot.progress.step;
    let name = format!("{PREFIX}{step:06}");
    let whole = at.join(&name);
    let aside = at.join(format!(".{name}.partial"));
    let result = write(&aside, snapshot).and_then(|()| {
        if whole.exists() {
            remove(&whole)?;
        }
        std::fs::rename(&aside, &whole)?;
        files::sync_folder(at)?;
        Ok(())
    });
    if result.is_err() {
        // What matters is the error; a leftover under a dotted name is never read.
        let _ = std::fs::remove_dir_all(&aside);
    }
    result.with_context(|| {
        format!(
            "writing {} (earlier checkpoints are untouched; go on from them with --resume)",
            whole.display()
        )
    })?;
    let (known, ahead): (Vec<_>, Vec<_>) = list(at)?
        .into_iter()
        .partition(|(other_step, _)| *other_step <= step);
    // Those ahead were damaged, or this one would not have been made again.
    let old = known.into_iter().rev().skip(keep_last as usize);
    for (_, folder) in old.chain(ahead) {
        remove(&folder)?;
    }
    Ok(())
}

/// Removes a checkpoint, first by its name: a process killed in the middle
/// leaves no half of one that would look damaged.
fn remove(folder: &Path) -> Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let aside = folder.with_file_name(format!(".{name}.removed.partial"));
    std::fs::rename(folder, &aside)
        .and_then(|()| std::fs::remove_dir_all(&aside))
        .with_context(|| format!("removing {}", folder.display()))
}

fn write(aside: &Path, snapshot: &Snapshot<'_>) -> Result<()> {
    if aside.exists() {
        std::fs::remove_dir_all(aside)?;
    }
    std::fs::create_dir_all(aside)?;
    let optimizer = snapshot.optimizer;
    let weights = |weights: &Weights| [("weights", weights.flat().shallow_clone())];
    write_vectors(&aside.join(WEIGHTS), &weights(snapshot.weights))?;
    write_vectors(
        &aside.join(OPTIMIZER),
        &[
            ("first", optimizer.first_P.shallow_clone()),
            ("second", optimizer.second_P.shallow_clone()),
        ],
    )?;
    if let Some(reference) = snapshot.reference {
        write_vectors(&aside.join(REFERENCE), &weights(reference))?;
    }
    let stored = Stored {
        progress: snapshot.progress.clone(),
        optimizer_updates: optimizer.updates,
    };
    files::write_whole(&aside.join(STATE), &rmp_serde::to_vec_named(&stored)?)?;
    let hashes = names(snapshot.reference.is_some())
        .map(|name| Ok((name.to_owned(), files::hash_file(&aside.join(name))?)))
        .collect::<Result<_>>()?;
    let manifest = Manifest {
        format: FORMAT,
        files: hashes,
    };
    files::write_whole(
        &aside.join(MANIFEST),
        &serde_json::to_vec_pretty(&manifest)?,
    )
}

/// Files of a checkpoint besides its manifest.
fn names(with_reference: bool) -> impl Iterator<Item = &'static str> {
    [WEIGHTS, OPTIMIZER, STATE]
        .into_iter()
        .chain(with_reference.then_some(REFERENCE))
}

/// Writes vectors `[P]` under their names.
fn write_vectors(path: &Path, vectors: &[(&str, Tensor)]) -> Result<()> {
    let tensors: Vec<TensorToWrite> = vectors
        .iter()
        .map(|(name, vector)| TensorToWrite {
            name: (*name).to_owned(),
            shape: vec![vector.numel()],
            format: NumberFormat::F32,
        })
        .collect();
    write_safetensors(path, &tensors, |place, sink| {
        let (_, vector_P) = &vectors[place];
        let count = vector_P.numel() as i64;
        for first in (0..count).step_by(CHUNK as usize) {
            let some = vector_P.narrow(0, first, CHUNK.min(count - first));
            sink.numbers(&folder::numbers(&some))?;
        }
        Ok(())
    })
}

/// Reads one vector into another of the same length.
fn read_vector(path: &Path, name: &str, into_P: &Tensor) -> Result<()> {
    let mut values = vec![0.0f32; into_P.numel()];
    TensorFiles::open_file(path)?.read_f32(name, &mut values)?;
    tch::no_grad(|| into_P.shallow_clone().copy_(&Tensor::from_slice(&values)));
    Ok(())
}

/// The newest whole checkpoint of the training with that identity, written
/// into the weights, and into the reference's where they change; `None` where
/// there is no checkpoint.
pub fn load(
    at: &Path,
    identity: &str,
    weights: &Weights,
    reference: Option<&Weights>,
) -> Result<Option<(Progress, State)>> {
    let Some((folder, stored)) = newest(at, identity, reference.is_some())? else {
        return Ok(None);
    };
    read(&folder, stored, weights, reference)
        .with_context(|| format!("reading {}", folder.display()))
        .map(Some)
}

/// Where the newest whole checkpoint of the training with that identity stands;
/// `None` where there is no checkpoint.
pub(super) fn newest_progress(at: &Path, identity: &str) -> Result<Option<Progress>> {
    let newest = newest(at, identity, false)?;
    Ok(newest.map(|(_, stored)| stored.progress))
}

/// The folder of the newest whole checkpoint, and its state.
fn newest(at: &Path, identity: &str, with_reference: bool) -> Result<Option<(PathBuf, Stored)>> {
    let mut damaged = Vec::new();
    for (_, folder) in list(at)?.into_iter().rev() {
        let stored = match check(&folder, with_reference) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::warn!(
                    "{} is damaged ({error:#}); trying the one before it",
                    folder.display()
                );
                damaged.push(folder);
                continue;
            }
        };
        ensure!(
            stored.progress.identity == identity,
            "{} belongs to another definition than the one given; \
             continue with the definition it was started from, or choose another folder with --out",
            folder.display()
        );
        return Ok(Some((folder, stored)));
    }
    if !damaged.is_empty() {
        let names: Vec<String> = damaged.iter().map(|at| at.display().to_string()).collect();
        bail!(
            "no checkpoint is whole: {} {} damaged. Put a copy back, or remove {} \
             and go on with --resume to make this training again from its beginning",
            names.join(", "),
            if names.len() == 1 { "is" } else { "are" },
            if names.len() == 1 { "it" } else { "them" }
        );
    }
    Ok(None)
}

/// Holds a checkpoint's files to its manifest; what its state says.
fn check(at: &Path, with_reference: bool) -> Result<Stored> {
    let path = at.join(MANIFEST);
    let bytes = std::fs::read(&path).with_context(|| format!("reading {MANIFEST}"))?;
    let manifest: Manifest =
        serde_json::from_slice(&bytes).with_context(|| format!("reading {MANIFEST}"))?;
    ensure!(
        manifest.format == FORMAT,
        "{MANIFEST} is of format {}, and this version reads format {FORMAT}",
        manifest.format
    );
    for name in names(with_reference) {
        let hash = manifest
            .files
            .get(name)
            .with_context(|| format!("{MANIFEST} does not name {name}"))?;
        let found = files::hash_file(&at.join(name))?;
        ensure!(found == *hash, "{name} does not match its hash");
    }
    rmp_serde::from_slice(&std::fs::read(at.join(STATE))?)
        .with_context(|| format!("reading {STATE}"))
}

fn read(
    at: &Path,
    stored: Stored,
    weights: &Weights,
    reference: Option<&Weights>,
) -> Result<(Progress, State)> {
    let mut state = State::new(weights);
    state.updates = stored.optimizer_updates;
    read_vector(&at.join(WEIGHTS), "weights", weights.flat())?;
    read_vector(&at.join(OPTIMIZER), "first", &state.first_P)?;
    read_vector(&at.join(OPTIMIZER), "second", &state.second_P)?;
    if let Some(reference) = reference {
        read_vector(&at.join(REFERENCE), "weights", reference.flat())?;
    }
    Ok((stored.progress, state))
}

/// Checkpoints by their update, oldest first.
fn list(at: &Path) -> Result<Vec<(u64, PathBuf)>> {
    if !at.exists() {
        return Ok(Vec::new());
    }
    let mut folders = Vec::new();
    let reading = || format!("reading {}", at.display());
    for entry in std::fs::read_dir(at).with_context(reading)? {
        let entry = entry.with_context(reading)?;
        let name = entry.file_name();
        let step = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if let Some(step) = step.and_then(|step| step.parse().ok()) {
            folders.push((step, entry.path()));
        }
    }
    folders.sort();
    Ok(folders)
}

/// Removes all checkpoints of a training that has ended.
pub fn clear(at: &Path) -> Result<()> {
    list(at)?.iter().try_for_each(|(_, folder)| remove(folder))
}

#[cfg(test)]
mod tests;
