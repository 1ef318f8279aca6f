//! The teacher: a base of its own, trained by reinforcement, evaluated, and
//! sampled for the traces that students imitate.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use experiments::manifest::ArmRun;
use indicatif::ProgressBar;

use super::schedule::Done;
use super::{Outcome, Run, arm, base, identity, models_folder};
use crate::config::{AlgorithmSettings, BaseSettings, BaseSource, Definition, TeacherSettings};
use crate::demonstrations::{self, Recorded};
use crate::generation::Key;
use crate::model::{Decoder, Model, Stored, Text, folder, vocabulary};
use crate::tasks::{Item, Mix, Split};
use crate::training::lab::{self, Draw, Judged, Posed};
use crate::training::{ArmLab, Ending, Job, Learner, checkpoint, train};

/// Name of the traces in the teacher's folder.
pub(super) const TRACES: &str = "traces.jsonl";

/// Prompts that are sampled together; bounds the cache's memory.
const PROMPTS_AT_ONCE: usize = 128;

/// The teacher's job.
pub(super) fn make(run: &Run) -> Result<Done> {
    let at = run.teacher_folder();
    if run.done(&at)? {
        run.write(|| checkpoint::clear(&at))?;
        return Ok(Done::Finished);
    }
    let settings = run
        .definition()
        .teacher
        .as_ref()
        .context("the definition has no teacher")?;
    let base_settings = settings
        .base
        .as_ref()
        .context("the teacher's traces are there; there is no model to ask")?;
    let seed = settings.seed;
    let Some(base) = base::obtain(run, base_settings, seed, "teacher's base")? else {
        return Ok(Done::Interrupted);
    };
    let model = run.open(&base.path)?.load(run.request.device)?;
    let initial_weights = model.decoder.weights().hash();
    let progress = run.progress("teacher");
    let mix = run.mix.learned_from(settings.tasks.as_deref())?;
    let budget = match &settings.algorithm {
        Some(algorithm) => {
            let ending = reinforce(
                run,
                &mix,
                settings,
                algorithm,
                &model,
                &initial_weights,
                &progress,
            )?;
            let Ending::Finished(budget) = ending else {
                return Ok(Done::Interrupted);
            };
            run.write(|| folder::save(&model, &at.join("model")))?;
            Some(budget)
        }
        None => None,
    };
    progress.set_message("traces");
    let traces = sample(run, &mix, settings, &model)?;
    run.write(|| demonstrations::write(&at.join(TRACES), &traces))?;
    let evaluation_seconds = arm::write_evaluation(run, &model, "teacher", None, seed, &at)?;
    progress.finish_and_clear();
    let arm_run = ArmRun {
        arm: "teacher".to_owned(),
        seed,
        folder: "teacher".to_owned(),
        init: None,
        initial_weights,
        final_weights: model.decoder.weights().hash(),
        problem_order: None,
        trained_on: match &settings.algorithm {
            Some(_) => mix.names(),
            // A model that is shown as it is.
            None => Vec::new(),
        },
        budget,
        pretraining_seconds: run.write(|| base.pretraining_seconds())?,
        evaluation_seconds: Some(evaluation_seconds),
    };
    run.write(|| {
        Outcome::write(&at, arm_run)?;
        checkpoint::clear(&at)
    })?;
    Ok(Done::Finished)
}

/// The teacher as its job left it, to judge the samples of others.
pub(super) fn load(run: &Run) -> Result<Decoder> {
    let at = run.teacher_folder();
    let outcome = Outcome::read(&at)?
        .with_context(|| format!("{} holds no finished teacher", at.display()))?;
    let settings = run.definition().teacher.as_ref();
    let settings = settings.context("the definition has no teacher")?;
    let path = match settings
        .base
        .as_ref()
        .map(|base| base.source("teacher.base"))
    {
        Some(Ok(BaseSource::Model(name))) if settings.algorithm.is_none() => {
            Stored::find(name, &run.request.definition_folder, &models_folder()?)?
        }
        _ => at.join("model"),
    };
    let model = Stored::open(&path)?.load(run.request.device)?;
    ensure!(
        model.decoder.weights().hash() == outcome.arm_run.final_weights,
        "{} has other weights than when this run began; put the model back, or begin another run with --out",
        path.display()
    );
    let config = model.decoder.config().clone();
    Ok(Decoder::new(config, model.decoder.weights().share()))
}

/// Refuses a teacher that cannot read what the students write: it would give
/// their tokens the log-probabilities of others.
pub(super) fn check_vocabulary(
    definition: &Definition,
    definition_folder: &Path,
    words: &[String],
) -> Result<()> {
    let judges = definition.arm.values().any(|arm| arm.algorithm.distils());
    let teacher = definition.teacher.as_ref();
    let Some(teacher) = teacher
        .and_then(|teacher| teacher.base.as_ref())
        .filter(|_| judges)
    else {
        return Ok(());
    };
    let (student, wanted) = vocabulary_of(&definition.base, "base", definition_folder, words)?;
    let (teacher, known) = vocabulary_of(teacher, "teacher.base", definition_folder, words)?;
    let told = |text: &Text, size: i64, base: Option<&BaseSettings>| {
        let name = base.and_then(|base| base.model.as_deref());
        let tokens = text.tokenizer.get_vocab_size(true);
        let name = name.map_or_else(
            || "the lab's own".to_owned(),
            |name| format!("that of {name}"),
        );
        format!("{name} ({tokens} tokens, {size} logits)")
    };
    let base = definition
        .teacher
        .as_ref()
        .and_then(|teacher| teacher.base.as_ref());
    // More logits than tokens are padding, of which the teacher may have more.
    ensure!(
        student.tokenizer.get_vocab(true) == teacher.tokenizer.get_vocab(true) && known >= wanted,
        "the teacher has another vocabulary than the base, so it cannot judge the tokens of the students: \
         base.model has {}, teacher.base.model {}; take models of one family",
        told(&student, wanted, Some(&definition.base)),
        told(&teacher, known, base)
    );
    Ok(())
}

/// How a base writes, and how many logits it has.
fn vocabulary_of(
    base: &BaseSettings,
    place: &str,
    definition_folder: &Path,
    words: &[String],
) -> Result<(Text, i64)> {
    match base.source(place)? {
        BaseSource::Pretrained(shape, _) => Ok((
            Text::lab(words)?,
            vocabulary::config(shape, words)?.vocab_size,
        )),
        BaseSource::Model(name) => {
            let path = Stored::find(name, definition_folder, &models_folder()?)
                .with_context(|| format!("{place}.model"))?;
            let stored = Stored::open(&path).with_context(|| format!("{place}.model"))?;
            Ok((stored.text, stored.config.vocab_size))
        }
    }
}

/// Trains the teacher in place.
fn reinforce(
    run: &Run,
    mix: &Mix,
    settings: &TeacherSettings,
    algorithm: &AlgorithmSettings,
    model: &Model,
    initial_weights: &str,
    progress: &ProgressBar,
) -> Result<Ending> {
    let seed = settings.seed;
    let training = run
        .definition()
        .training_of(&settings.training, "teacher.training")?;
    let identity = identity(
        &[
            "teacher",
            initial_weights,
            &seed.to_string(),
            &arm::reading(run, model, &training)?,
        ],
        &(
            settings,
            &training,
            &run.definition().tasks,
            &run.definition().rollout,
            // Rewards may go by them.
            run.mix.human_costs(),
            run.outside_hashes(&settings.reward)?,
        ),
    )?;
    run.explain_loss("teacher", algorithm);
    let rewards = run.rewards(&settings.reward)?;
    run.check_pins("teacher")?;
    let mut lab = ArmLab::new(
        model,
        mix,
        seed,
        run.definition().rollout.clone(),
        run.definition().tasks.validation_problems,
    );
    lab.rewards = rewards.as_ref();
    lab.budget_tokens = training.micro_batch_tokens;
    lab.precision = training.dtype.resolve(run.request.device);
    lab.ranks = run.ranks();
    lab.completions = arm::completion_log(run, &run.teacher_folder(), training.steps);
    let algorithm = algorithm.build();
    lab.reference = algorithm.needs_reference().then(|| arm::reference(model));
    train(
        &Job {
            learner: Learner::new(
                &model.decoder,
                algorithm.as_ref(),
                &training,
                run.definition().rollout.temperature,
            )
            .among(run.ranks(), run.request.shard_optimizer),
            folder: &run.teacher_folder(),
            save_policy: &|at| run.check_there().and_then(|()| folder::save(model, at)),
            identity: &identity,
            stop: &run.request.stop,
            progress,
        },
        &mut lab,
    )
}

/// Samples the traces: training problems to imitate, validation problems for
/// the held-out loss.
fn sample(
    run: &Run,
    mix: &Mix,
    settings: &TeacherSettings,
    model: &Model,
) -> Result<Vec<Recorded>> {
    let shown = settings.traces.problems;
    let mut traces = sample_split(run, mix, settings, model, Split::Train, shown)?;
    traces.extend(sample_split(
        run,
        mix,
        settings,
        model,
        Split::Validation,
        settings.traces.held_out,
    )?);
    Ok(traces)
}

fn sample_split(
    run: &Run,
    mix: &Mix,
    settings: &TeacherSettings,
    model: &Model,
    split: Split,
    count: u64,
) -> Result<Vec<Recorded>> {
    let group = settings.traces.samples;
    // A teacher that is shown as it is may be rewarded for nothing.
    let rewards = run.rewards(&settings.reward)?;
    run.check_pins("teacher")?;
    let sampling = &run.definition().rollout;
    let items: Vec<Item> = (0..count)
        .map(|index| mix.item(settings.seed, split, index))
        .collect::<Result<_>>()?;
    let mut kept = Vec::new();
    for (chunk_index, chunk) in items.chunks(PROMPTS_AT_ONCE).enumerate() {
        let prompts = chunk
            .iter()
            .map(|item| model.text.encode_item(item))
            .collect::<Result<Vec<_>>>()?;
        let keys = |offset: usize| {
            let index = (chunk_index * PROMPTS_AT_ONCE + offset) as u64;
            let key = |sample| Key {
                seed: settings.seed,
                purpose: "teacher trace",
                indices: vec![split as u64, index, sample],
            };
            (0..group as u64).map(key).collect()
        };
        let cap = sampling.max_new_tokens;
        let posed = Posed::new(model, chunk, group, cap);
        let Judged {
            completions,
            texts,
            scores,
        } = lab::sample(
            Draw {
                model,
                prompts: &prompts,
                sampling,
                keys: &keys,
                posed: &posed,
                rewards: rewards.as_ref(),
                elsewhere: None,
            },
            run.ranks(),
        )?;
        let totals = scores.map_or_else(|| vec![None; texts.len()], |scores| scores.totals);
        for (offset, item) in chunk.iter().enumerate() {
            let mut candidates = Vec::new();
            for index in offset * group..(offset + 1) * group {
                // A truncated trace would teach never to end, an empty one
                // nothing, and one with an unknown word cannot be read back.
                let right = item.grade(&texts[index])? == Some(true);
                if !completions[index].truncated()
                    && !texts[index].trim().is_empty()
                    && model.text.encode_completion(&texts[index]).is_ok()
                    && (right || !settings.traces.only_correct)
                {
                    candidates.push(index);
                }
            }
            if settings.traces.best_only {
                let reward = |index: &usize| totals[*index].unwrap_or(f64::NEG_INFINITY);
                // The first of equals, so that the choice is not the order of a sort.
                let best = candidates.iter().copied().reduce(|best, next| {
                    if reward(&next) > reward(&best) {
                        next
                    } else {
                        best
                    }
                });
                candidates = best.into_iter().collect();
            }
            kept.extend(candidates.into_iter().map(|index| Recorded {
                before: item.before.clone(),
                prompt: item.prompt.clone(),
                completion: texts[index].clone(),
                task: Some(item.task.clone()),
                held_out: split == Split::Validation,
            }));
        }
    }
    Ok(kept)
}
