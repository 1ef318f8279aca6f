//! Base models: pre-trained once for everything that determines them, kept in
//! the user's cache, and evaluated as an arm of their own.

use std::fs::File;
use std::path::PathBuf;

use anyhow::{Context, Result};
use experiments::manifest::ArmRun;
use indicatif::ProgressBar;
use tch::Device;

use super::schedule::Done;
use super::{Outcome, Run, identity};
use crate::config::BaseSettings;
use crate::files;
use crate::model::{Decoder, Model, Weights, folder, vocabulary};
use crate::tasks::corpus::Corpus;
use crate::training::{Ending, Job, PretrainingLab, TrainingSettings, train};

/// Documents of the held-out loss.
const HELD_OUT: u64 = 256;

/// Documents whose text goes into a base's hash, so that a change of the
/// generator makes a new base.
const HASHED_DOCUMENTS: u64 = 256;

/// Part of a base's hash; raised with every change of the decoder or the
/// optimizer that changes bits, so that old bases are not taken for new ones.
const ARITHMETIC: &str = "1";

/// A base that is there.
pub(super) struct Base {
    /// Its folder in the cache.
    pub folder: PathBuf,
    /// The metrics of its pre-training, in the cache.
    pub metrics: PathBuf,
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
    let tokenizer = vocabulary::tokenizer();
    let id = |word: &str| {
        tokenizer
            .token_to_id(word)
            .map(i64::from)
            .with_context(|| format!("the vocabulary lacks {word}"))
    };
    let config = settings.shape.config(
        tokenizer.get_vocab_size(true) as i64,
        id(vocabulary::BOS)?,
        id(vocabulary::EOS)?,
        id(vocabulary::PAD)?,
    );
    let tasks = &run.definition().tasks.names;
    let corpus = Corpus::new(tasks, settings.pretraining.corpus)?;
    let training = settings
        .pretraining
        .training
        .resolve(&TrainingSettings::default(), name)
        .map_err(anyhow::Error::msg)?;
    let mut texts = blake3::Hasher::new();
    for index in 0..HASHED_DOCUMENTS {
        let document = corpus.document(seed, index);
        texts.update(document.prompt.as_bytes());
        texts.update(document.completion.as_bytes());
        texts.update(format!("{:?}", document.focus).as_bytes());
    }
    let identity = identity(
        &[
            "base",
            ARITHMETIC,
            &seed.to_string(),
            &texts.finalize().to_hex(),
            &tasks.join(","),
            &format!("{:?}", run.request.device),
            &run.definition().experiment.threads.to_string(),
        ],
        &(&config, settings, &training),
    )?;
    let bases = cache_folder()?.join("bases");
    let whole = bases.join(&identity);
    let metrics_file = bases.join(format!("{identity}.metrics.jsonl"));
    std::fs::create_dir_all(&bases).with_context(|| format!("creating {}", bases.display()))?;
    let lock = lock(&bases.join(format!("{identity}.lock")))?;
    if !whole.join("config.json").exists() {
        let model = Model {
            decoder: Decoder::new(
                config.clone(),
                Weights::random(&config, seed, run.request.device),
            ),
            tokenizer,
        };
        let algorithm = algorithms::Sft {
            batch_size: settings.pretraining.batch_size,
        };
        let workshop = bases.join(format!("{identity}.training"));
        let progress: ProgressBar = run.progress(name);
        let mut lab = PretrainingLab::new(
            &model,
            &corpus,
            seed,
            settings.pretraining.focus_weight,
            HELD_OUT,
        )?;
        let ending = train(
            &Job {
                decoder: &model.decoder,
                algorithm: &algorithm,
                training: &training,
                temperature: 1.0,
                folder: &workshop,
                identity: &identity,
                stop: &run.request.stop,
                progress: &progress,
            },
            &mut lab,
        )?;
        progress.finish_and_clear();
        if ending == Ending::Interrupted {
            return Ok(None);
        }
        let metrics = std::fs::read(workshop.join("metrics.jsonl"))?;
        // The folder last: where it is, everything is.
        files::write_whole(&metrics_file, &metrics)?;
        folder::save(&model, &whole)?;
        std::fs::remove_dir_all(&workshop)
            .with_context(|| format!("removing {}", workshop.display()))?;
    }
    drop(lock);
    Ok(Some(Base {
        folder: whole,
        metrics: metrics_file,
    }))
}

/// Waits for other runs, and other jobs of this one, that make the same base.
fn lock(path: &std::path::Path) -> Result<File> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    file.lock()
        .with_context(|| format!("locking {}", path.display()))?;
    Ok(file)
}

/// The job of one seed's base: obtain it and let it answer the evaluation.
pub(super) fn evaluate(run: &Run, seed: u64) -> Result<Done> {
    let at = run.base_folder(seed);
    if Outcome::read(&at)?.is_some() {
        return Ok(Done::Finished);
    }
    let settings = &run.definition().base;
    let Some(base) = obtain(run, settings, seed, &format!("base seed {seed}"))? else {
        return Ok(Done::Interrupted);
    };
    let model = folder::load(&base.folder, run.request.device)?;
    // A copy, so that the run is whole without the cache. The metrics get a name
    // of their own: a loss over documents is not the arms' validation loss.
    folder::save(&model, &at.join("model"))?;
    let metrics = std::fs::read(&base.metrics)
        .with_context(|| format!("reading {}", base.metrics.display()))?;
    files::write_whole(&at.join("pretraining.jsonl"), &metrics)?;
    super::arm::write_evaluation(run, &model, "base", Some(seed), seed, &at)?;
    let hash = model.decoder.weights().hash();
    Outcome {
        arm_run: ArmRun {
            arm: "base".to_owned(),
            seed,
            folder: format!("arms/base/seed-{seed}"),
            initial_weights: hash.clone(),
            final_weights: hash,
            problem_order: None,
            budget: None,
        },
    }
    .write(&at)?;
    Ok(Done::Finished)
}

/// The base of a seed as its job left it.
pub(super) fn load(run: &Run, seed: u64, device: Device) -> Result<(Model, Outcome)> {
    let at = run.base_folder(seed);
    let outcome =
        Outcome::read(&at)?.with_context(|| format!("{} holds no finished base", at.display()))?;
    let model = folder::load(&at.join("model"), device)?;
    Ok((model, outcome))
}
