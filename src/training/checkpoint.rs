//! Checkpoints: everything the step loop needs to go on to the same bits.
//!
//! A checkpoint is a folder `checkpoint-000120` with `weights.safetensors`,
//! `optimizer.safetensors` and `state.json`. It is written under another name,
//! synced and renamed; `state.json` holds the hashes of the other two. The two
//! newest are kept, and a newest one that does not match its hashes is named
//! and the one before it used.

use std::path::{Path, PathBuf};

use algorithms::{Batch, Metrics};
use anyhow::{Context, Result, bail};
use experiments::manifest::Budget;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::optimizer::State;
use crate::files;
use crate::model::tensor_files::{NumberFormat, TensorFiles, TensorToWrite, write_safetensors};
use crate::model::{Weights, folder};

/// Where the step loop stands, besides weights and optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
}

#[derive(Serialize, Deserialize)]
struct Stored {
    progress: Progress,
    optimizer_updates: u64,
    weights_hash: String,
    optimizer_hash: String,
}

const WEIGHTS: &str = "weights.safetensors";
const OPTIMIZER: &str = "optimizer.safetensors";

/// How many checkpoints are kept.
const KEEP: usize = 2;

/// Writes a checkpoint and removes the ones no longer needed.
pub fn save(at: &Path, progress: &Progress, weights: &Weights, optimizer: &State) -> Result<()> {
    let name = format!("checkpoint-{:06}", progress.step);
    let whole = at.join(&name);
    let aside = at.join(format!(".{name}.partial"));
    let result = write(&aside, progress, weights, optimizer).and_then(|()| {
        if whole.exists() {
            std::fs::remove_dir_all(&whole)?;
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
            "writing {}: earlier checkpoints are untouched; make room, then go on with --resume",
            whole.display()
        )
    })?;
    for old in list(at)?.into_iter().rev().skip(KEEP) {
        std::fs::remove_dir_all(&old).with_context(|| format!("removing {}", old.display()))?;
    }
    Ok(())
}

fn write(aside: &Path, progress: &Progress, weights: &Weights, optimizer: &State) -> Result<()> {
    if aside.exists() {
        std::fs::remove_dir_all(aside)?;
    }
    std::fs::create_dir_all(aside)?;
    write_vectors(&aside.join(WEIGHTS), &[("weights", weights.flat())])?;
    write_vectors(
        &aside.join(OPTIMIZER),
        &[
            ("first", &optimizer.first_P),
            ("second", &optimizer.second_P),
        ],
    )?;
    let stored = Stored {
        progress: progress.clone(),
        optimizer_updates: optimizer.updates,
        weights_hash: files::hash_file(&aside.join(WEIGHTS))?,
        optimizer_hash: files::hash_file(&aside.join(OPTIMIZER))?,
    };
    files::write_whole(&aside.join("state.json"), &serde_json::to_vec(&stored)?)
}

/// Writes vectors `[P]` under their names.
fn write_vectors(path: &Path, vectors: &[(&str, &Tensor)]) -> Result<()> {
    let tensors: Vec<TensorToWrite> = vectors
        .iter()
        .map(|(name, vector)| TensorToWrite {
            name: (*name).to_owned(),
            shape: vec![vector.numel()],
            format: NumberFormat::F32,
        })
        .collect();
    write_safetensors(path, &tensors, |place, sink| {
        sink.numbers(&folder::numbers(vectors[place].1))
    })
}

/// One vector of `count` numbers.
fn read_vector(path: &Path, name: &str, count: i64) -> Result<Tensor> {
    let mut values = vec![0.0f32; count as usize];
    TensorFiles::open_file(path)?.read_f32(name, &mut values)?;
    Ok(Tensor::from_slice(&values))
}

/// The newest whole checkpoint of the training with that identity, written
/// into the weights; `None` where there is none.
pub fn load(at: &Path, identity: &str, weights: &Weights) -> Result<Option<(Progress, State)>> {
    for folder in list(at)?.into_iter().rev() {
        match read(&folder, weights) {
            Ok((progress, state, flat_P)) => {
                if progress.identity != identity {
                    bail!(
                        "{} belongs to another definition than the one given; \
                         continue with the definition it was started from, or choose another folder with --out",
                        folder.display()
                    );
                }
                tch::no_grad(|| weights.flat().shallow_clone().copy_(&flat_P));
                return Ok(Some((progress, state)));
            }
            Err(error) => {
                tracing::warn!(
                    "{} is damaged ({error:#}); trying the one before it",
                    folder.display()
                );
            }
        }
    }
    Ok(None)
}

fn read(at: &Path, weights: &Weights) -> Result<(Progress, State, Tensor)> {
    let stored: Stored = serde_json::from_slice(&std::fs::read(at.join("state.json"))?)?;
    for (name, hash) in [
        (WEIGHTS, &stored.weights_hash),
        (OPTIMIZER, &stored.optimizer_hash),
    ] {
        if files::hash_file(&at.join(name))? != *hash {
            bail!("{name} does not match its hash");
        }
    }
    let device = weights.flat().device();
    let vector = |file: &str, name: &str| -> Result<Tensor> {
        Ok(read_vector(&at.join(file), name, weights.count())?.to_device(device))
    };
    let flat_P = vector(WEIGHTS, "weights")?;
    let moment = |name: &str| vector(OPTIMIZER, name);
    let state = State {
        updates: stored.optimizer_updates,
        first_P: moment("first")?,
        second_P: moment("second")?,
    };
    Ok((stored.progress, state, flat_P))
}

/// Whole checkpoints, oldest first.
fn list(at: &Path) -> Result<Vec<PathBuf>> {
    if !at.exists() {
        return Ok(Vec::new());
    }
    let mut folders: Vec<PathBuf> = std::fs::read_dir(at)
        .with_context(|| format!("reading {}", at.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("checkpoint-"))
        })
        .collect();
    folders.sort();
    Ok(folders)
}

/// Removes all checkpoints of a training that has ended.
pub fn clear(at: &Path) -> Result<()> {
    for folder in list(at)? {
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("removing {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::model::ModelShape;

    fn weights(seed: u64) -> Weights {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        Weights::random(&config, seed, Device::Cpu)
    }

    fn progress(step: u64) -> Progress {
        Progress {
            identity: "this".to_owned(),
            step,
            pending: Vec::new(),
            collection: Metrics::new(),
            budget: Budget::default(),
            skipped: 0,
        }
    }

    #[test]
    fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (weights(1), weights(2));
        save(folder.path(), &progress(10), &first, &State::new(&first)).unwrap();
        save(folder.path(), &progress(20), &second, &State::new(&second)).unwrap();
        let newest = folder.path().join("checkpoint-000020/weights.safetensors");
        let mut bytes = std::fs::read(&newest).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&newest, bytes).unwrap();
        let target = weights(3);
        let (loaded, _) = load(folder.path(), "this", &target).unwrap().unwrap();
        assert_eq!(loaded.step, 10);
        assert_eq!(target.hash(), first.hash());
    }

    #[test]
    fn another_definition_s_checkpoint_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let weights = weights(1);
        save(
            folder.path(),
            &progress(10),
            &weights,
            &State::new(&weights),
        )
        .unwrap();
        let refused = load(folder.path(), "other", &weights).unwrap_err();
        assert!(refused.to_string().contains("another definition"));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let weights = weights(1);
        for step in [10, 20, 30] {
            save(
                folder.path(),
                &progress(step),
                &weights,
                &State::new(&weights),
            )
            .unwrap();
        }
        assert_eq!(list(folder.path()).unwrap().len(), KEEP);
        clear(folder.path()).unwrap();
        assert_eq!(list(folder.path()).unwrap().len(), 0);
    }
}
