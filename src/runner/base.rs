//! Base models: pre-trained once for everything that determines them, kept in
//! the user's cache, and evaluated as an arm of their own.

mod entry;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use experiments::manifest::ArmRun;
use indicatif::ProgressBar;
use tch::Device;

use entry::Entry;

use super::schedule::Done;
use super::{Outcome, Run, identity};
use crate::config::{BaseSettings, BaseSource};
use crate::distributed::Ranks;
use crate::files;
use crate::generation::PrecisionChoice;
use crate::model::{Decoder, Model, Stored, Text, Weights, folder, vocabulary};
use crate::tasks::corpus::Corpus;
use crate::training::{Ending, Job, Learner, PretrainingLab, Training, train};

/// Documents of the held-out loss.
const HELD_OUT: u64 = 256;

/// Documents whose text goes into a base's hash, so that a change of the
/// generator makes a new base.
const HASHED_DOCUMENTS: u64 = 256;

/// Part of a base's hash; raised with every change of the decoder or the
/// optimizer that changes bits, so that old bases are not taken for new ones.
const ARITHMETIC: &str = "4";

/// Time between two looks at a base that somebody else is making.
const LOCK_PATIENCE: Duration = Duration::from_millis(50);

/// A base that is there.
pub(super) struct Base {
    /// Its folder, in the cache where the lab made it, or its file.
    pub path: PathBuf,
    /// The metrics of its pre-training, in the cache; `None` where it came
    /// from elsewhere.
    pub metrics: Option<PathBuf>,
}

impl Base {
    /// Seconds of its pre-training, which the log's last line tells.
    pub(super) fn pretraining_seconds(&self) -> Result<Option<f64>> {
        let Some(metrics) = &self.metrics else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(metrics)
            .with_context(|| format!("reading {}", metrics.display()))?;
        let last = text.lines().next_back().unwrap_or_default();
        let line = serde_json::from_str::<serde_json::Value>(last);
        Ok(line.ok().and_then(|line| line.get("seconds")?.as_f64()))
    }
}

/// Folder of models that were brought from elsewhere.
pub fn models_folder() -> Result<PathBuf> {
    Ok(cache_folder()?.join("models"))
}

/// Where the cache lies: `$XDG_CACHE_HOME/qinglan`, else `~/.cache/qinglan`.
pub fn cache_folder() -> Result<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("XDG_CACHE_HOME")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
        .or_else(home)
        .map(|cache| cache.join("qinglan"))
        .context("neither XDG_CACHE_HOME nor HOME is set: say with XDG_CACHE_HOME where base models are kept")
}

/// The base of these settings and seed, from the cache or made now; `None`
/// where the user asked to stop.
pub(super) fn obtain(
    run: &Run,
    settings: &BaseSettings,
    seed: u64,
    name: &str,
) -> Result<Option<Base>> {
    let (shape, pretraining) = match settings.source("base")? {
        BaseSource::Model(name) => {
            let folder = &run.request.definition_folder;
            return Ok(Some(Base {
                path: Stored::find(name, folder, &models_folder()?)?,
                metrics: None,
            }));
        }
        BaseSource::Pretrained(shape, pretraining) => (shape, pretraining),
    };
    let words = run.mix.words();
    let config = vocabulary::config(shape, &words)?;
    let corpus = Corpus::of(&run.mix, pretraining.corpus)?;
    let training = pretraining.resolve(name)?;
    let parts = parts_of_identity(run, &corpus, seed)?;
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let written = as_resolved(settings, &training);
    let identity = identity(&parts, &(config.to_json("float32"), written, &training))?;
    let ranks = run.ranks();
    let entry = Entry {
        bases: cache_folder()?.join("bases"),
        identity,
    };
    if ranks.lead(|| Ok(entry.can_be_taken()))? {
        return Ok(Some(entry.base()));
    }
    ranks.lead(|| files::create_folder(&entry.bases).with_context(|| entry.way_out()))?;
    let lock = lock(&entry.lock(), &run.request.stop, ranks);
    let Some(lock) = lock.with_context(|| entry.way_out())? else {
        return Ok(None);
    };
    let is_there = ranks.lead(|| entry.is_there().with_context(|| entry.way_out()))?;
    if !is_there {
        let model = Model {
            decoder: Decoder::new(
                config.clone(),
                Weights::random(&config, seed, run.request.device),
            ),
            text: Text::lab(&words)?,
            companions: vocabulary::companions(config.context(), &words)?,
        };
        let algorithm = algorithms::Sft {
            batch_size: pretraining.batch_size,
            ..algorithms::Sft::default()
        };
        let progress: ProgressBar = run.progress(name);
        let weight = pretraining.focus_weight;
        let mut lab = PretrainingLab::new(&model, &corpus, seed, weight, HELD_OUT, ranks)?;
        let ending = train(
            &Job {
                learner: Learner::new(&model.decoder, &algorithm, &training, 1.0)
                    .among(ranks, run.request.shard_optimizer),
                folder: &entry.workshop(),
                save_policy: &|at| folder::save(&model, at),
                identity: &entry.identity,
                stop: &run.request.stop,
                progress: &progress,
            },
            &mut lab,
        )?;
        progress.finish_and_clear();
        if ending == Ending::Interrupted {
            return Ok(None);
        }
        ranks.lead(|| {
            let metrics = std::fs::read(entry.workshop().join("metrics.jsonl"))?;
            files::write_whole(&entry.metrics(), &metrics)?;
            folder::save(&model, &entry.model())?;
            // The hashes last: where they are, everything is.
            entry.seal()
        })?;
    }
    ranks.lead(|| entry.tidy().with_context(|| entry.way_out()))?;
    drop(lock);
    Ok(Some(entry.base()))
}

/// The settings with the format that they resolve to: left out where it is
/// float32, so that a base is one however that was come to.
fn as_resolved(settings: &BaseSettings, training: &Training) -> BaseSettings {
    let mut written = settings.clone();
    if let Some(pretraining) = &mut written.pretraining {
        let is_float32 = training.dtype == PrecisionChoice::Float32;
        pretraining.training.dtype = (!is_float32).then_some(training.dtype);
    }
    written
}

/// What determines a base besides its settings.
fn parts_of_identity(run: &Run, corpus: &Corpus, seed: u64) -> Result<Vec<String>> {
    let mut texts = blake3::Hasher::new();
    for index in 0..HASHED_DOCUMENTS {
        let document = corpus.document(seed, index)?;
        texts.update(document.prompt.as_bytes());
        texts.update(document.completion.as_bytes());
        texts.update(format!("{:?}", document.focus).as_bytes());
    }
    let mut parts = vec![
        "base".to_owned(),
        ARITHMETIC.to_owned(),
        seed.to_string(),
        texts.finalize().to_hex().to_string(),
        corpus.tasks().join(","),
        format!("{:?}", run.device_kind()),
        run.definition().experiment.threads.to_string(),
    ];
    // Sums over ranks round in another way: what they make is no base for a run
    // of one process, which promises its own bits.
    if run.began_with > 1 {
        parts.push(format!("{} ranks", run.began_with));
    }
    Ok(parts)
}

/// Keeps others from making a base for as long as it is there; rank 0 holds it
/// for all ranks.
struct Lock {
    _file: Option<File>,
}

/// Waits for other runs, and other jobs of this one, that make the same base;
/// `None` where the user asked to stop before they were done.
fn lock(path: &Path, stop: &AtomicBool, ranks: &Ranks) -> Result<Option<Lock>> {
    let mut file = None;
    ranks.lead(|| {
        file = Some(File::create(path).with_context(|| format!("creating {}", path.display()))?);
        Ok(())
    })?;
    // Asked again and again: a lock that is waited for hears no Ctrl-C, and
    // ranks that wait in silence would give rank 0 up for lost.
    loop {
        let taken = ranks.lead(|| match file.as_ref().map(File::try_lock) {
            Some(Err(TryLockError::WouldBlock)) => Ok(false),
            Some(Err(TryLockError::Error(error))) => {
                Err(error).with_context(|| format!("locking {}", path.display()))
            }
            Some(Ok(())) | None => Ok(true),
        })?;
        if taken {
            return Ok(Some(Lock { _file: file }));
        }
        if ranks.any(Ok(stop.load(Ordering::SeqCst)))? {
            return Ok(None);
        }
        std::thread::sleep(LOCK_PATIENCE);
    }
}

/// The job of one seed's base: obtain it and let it answer the evaluation.
pub(super) fn evaluate(run: &Run, seed: u64) -> Result<Done> {
    let at = run.base_folder(seed);
    if run.done(&at)? {
        return Ok(Done::Finished);
    }
    let settings = &run.definition().base;
    let Some(base) = obtain(run, settings, seed, &format!("base seed {seed}"))? else {
        return Ok(Done::Interrupted);
    };
    let model = run.open(&base.path)?.load(run.request.device)?;
    // A base of the lab's is copied, so that the run is whole without the
    // cache; a model from elsewhere stays where it is and is told by its hash.
    // The metrics get a name of their own: a loss over documents is not the
    // arms' validation loss.
    run.write(|| {
        let Some(metrics) = &base.metrics else {
            return Ok(());
        };
        folder::save(&model, &at.join("model"))?;
        let metrics =
            std::fs::read(metrics).with_context(|| format!("reading {}", metrics.display()))?;
        files::write_whole(&at.join("pretraining.jsonl"), &metrics)
    })?;
    let evaluation_seconds =
        super::arm::write_evaluation(run, &model, "base", Some(seed), seed, &at)?;
    let hash = model.decoder.weights().hash();
    let arm_run = ArmRun {
        arm: "base".to_owned(),
        seed,
        folder: format!("arms/base/seed-{seed}"),
        init: None,
        initial_weights: hash.clone(),
        final_weights: hash,
        problem_order: None,
        trained_on: Vec::new(),
        budget: None,
        pretraining_seconds: run.write(|| base.pretraining_seconds())?,
        evaluation_seconds: Some(evaluation_seconds),
    };
    run.write(|| Outcome::write(&at, arm_run))?;
    Ok(Done::Finished)
}

/// The base of a seed as its job left it.
pub(super) fn load(run: &Run, seed: u64, device: Device) -> Result<(Model, Outcome)> {
    let at = run.base_folder(seed);
    let outcome =
        Outcome::read(&at)?.with_context(|| format!("{} holds no finished base", at.display()))?;
    let stored = stored(run, seed)?;
    let path = stored.path.clone();
    let model = stored.load(device)?;
    ensure!(
        model.decoder.weights().hash() == outcome.arm_run.final_weights,
        "{} has other weights than when this run began; put the model back, or begin another run with --out",
        path.display()
    );
    Ok((model, outcome))
}

/// The base of a seed, its weights not yet read.
pub(super) fn stored(run: &Run, seed: u64) -> Result<Stored> {
    let path = match run.definition().base.source("base")? {
        BaseSource::Model(name) => {
            Stored::find(name, &run.request.definition_folder, &models_folder()?)?
        }
        BaseSource::Pretrained(..) => run.base_folder(seed).join("model"),
    };
    run.open(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_a_base_gets_it_or_hears_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("base.lock");
        let stop = AtomicBool::new(false);
        let alone = Ranks::alone();
        let held = lock(&path, &stop, alone).unwrap().unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| lock(&path, &stop, alone).unwrap().is_some());
            std::thread::sleep(LOCK_PATIENCE);
            stop.store(true, Ordering::SeqCst);
            assert!(!waits.join().unwrap());
        });
        drop(held);
        // Nobody in the way: what is there is taken, so that the step loop can
        // say where it stopped.
        assert!(lock(&path, &stop, alone).unwrap().is_some());
    }
}
