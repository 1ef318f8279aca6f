//! A base: a model that is there, or one that the lab pre-trains.

use std::path::Path;

use anyhow::{Context, Result};

use super::address::identity;
use super::{Facts, Got, MADE, Part, last_seconds};
use crate::config::{BaseSettings, BaseSource, Stage};
use crate::files;
use crate::generation::PrecisionChoice;
use crate::model::{Decoder, Model, Text, Weights, folder, vocabulary};
use crate::runner::Run;
use crate::store::Kind;
use crate::tasks::corpus::Corpus;
use crate::training::{Ending, Job, Learner, PretrainingLab, Training, train};

/// Documents of the held-out loss.
const HELD_OUT: u64 = 256;

/// Documents whose text goes into a base's hash.
const HASHED_DOCUMENTS: u64 = 256;

/// Where a base is pre-trained, in its folder: its log gets a name of its own, as a loss
/// over documents is not the arms' validation loss.
const WORKSHOP: &str = "pretraining";

/// The weights of a base, in its stage's folder where the lab makes them.
pub(super) fn obtain(run: &Run, stage: &Stage, model: &mut Option<Model>) -> Result<Got<Facts>> {
    let settings = run.base_settings(stage)?;
    let place = stage.place();
    let (shape, pretraining) = match settings.source(&place)? {
        BaseSource::Model(_) => {
            let read = run.stored_base(stage)?.load(run.request.device)?;
            let hash = read.decoder.weights().hash();
            *model = Some(read);
            let facts = Facts {
                initial_weights: hash.clone(),
                final_weights: hash,
                budget: None,
                pretraining_seconds: None,
            };
            return Ok(Got::There(facts, false));
        }
        BaseSource::Pretrained(shape, pretraining) => (shape, pretraining),
    };
    let seed = stage.seed;
    let words = run.mix.words();
    let config = vocabulary::config(shape, &words)?;
    let corpus = Corpus::of(&run.mix, pretraining.corpus)?;
    let training = pretraining.resolve(&stage.title())?;
    let written = as_resolved(settings, &training);
    let identity = identity(
        &["base", &seed.to_string(), &documents(&corpus, seed)?],
        &(
            config.to_json("float32"),
            corpus.tasks(),
            written,
            &training,
        ),
    )?;
    let part = Part {
        kind: Kind::Model,
        address: Some(run.address(&identity)),
        stage,
        names: &MADE,
    };
    let at = run.folder(stage);
    run.obtain(&part, || {
        let made = Model {
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
        let progress = run.progress(&stage.title());
        let ranks = run.ranks();
        let weight = pretraining.focus_weight;
        let mut lab = PretrainingLab::new(&made, &corpus, seed, weight, HELD_OUT, ranks)?;
        let ending = train(
            &Job {
                learner: Learner::new(&made.decoder, &algorithm, &training, 1.0)
                    .among(ranks, run.request.shard_optimizer),
                folder: &at.join(WORKSHOP),
                save_policy: &|at| run.check_there().and_then(|()| folder::save(&made, at)),
                identity: &identity,
                on_the_way: None,
                stop: &run.request.stop,
                progress: &progress,
            },
            &mut lab,
        )?;
        progress.finish_and_clear();
        if ending == Ending::Interrupted {
            return Ok(None);
        }
        let log = at.join("pretraining.jsonl");
        run.write(|| {
            folder::save(&made, &at.join("model"))?;
            let metrics = at.join(WORKSHOP).join("metrics.jsonl");
            let metrics = std::fs::read(&metrics)
                .with_context(|| format!("reading {}", metrics.display()))?;
            files::write_whole(&log, &metrics)
        })?;
        let hash = made.decoder.weights().hash();
        *model = Some(made);
        Ok(Some(Facts {
            initial_weights: hash.clone(),
            final_weights: hash,
            budget: None,
            pretraining_seconds: run.write(|| last_seconds(&log))?,
        }))
    })
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

/// Hash of the texts that stand for a corpus.
fn documents(corpus: &Corpus, seed: u64) -> Result<String> {
    let mut texts = blake3::Hasher::new();
    for index in 0..HASHED_DOCUMENTS {
        let document = corpus.document(seed, index)?;
        texts.update(document.prompt.as_bytes());
        texts.update(document.completion.as_bytes());
        texts.update(format!("{:?}", document.focus).as_bytes());
    }
    Ok(texts.finalize().to_hex().to_string())
}

/// Removes what a pre-training left besides the base and its log.
pub(super) fn remove_workshop(folder: &Path) -> Result<()> {
    let workshop = folder.join(WORKSHOP);
    if workshop.is_dir() {
        std::fs::remove_dir_all(&workshop)
            .with_context(|| format!("removing {}", workshop.display()))?;
    }
    Ok(())
}
