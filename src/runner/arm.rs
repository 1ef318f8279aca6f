//! One arm of one seed: from the seed's base, by the arm's algorithm, to
//! evaluated trace records.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use experiments::manifest::ArmRun;
use experiments::record;

use super::schedule::Done;
use super::{Outcome, Run, base, identity, teacher};
use crate::config::ArmSettings;
use crate::demonstrations::Source;
use crate::evaluator;
use crate::files;
use crate::model::{Adapter, Decoder, Model, Stored, folder};
use crate::sampler::Sampler;
use crate::tasks::Mix;
use crate::training::{ArmLab, CompletionLog, Ending, Job, Learner, Training, checkpoint, train};

/// Lets a model answer the evaluation and writes its records; gives the seconds that
/// the answers took.
pub(super) fn write_evaluation(
    run: &Run,
    model: &Model,
    name: &str,
    seed: Option<u64>,
    key_seed: u64,
    at: &Path,
) -> Result<f64> {
    let started = Instant::now();
    let records = evaluator::evaluate(
        model,
        &run.items,
        &run.definition().evaluation,
        name,
        seed,
        key_seed,
        run.ranks(),
    )?;
    let seconds = started.elapsed().as_secs_f64();
    run.write(|| {
        files::create_folder(at)?;
        Ok(record::write(&at.join("traces.parquet"), &records)?)
    })?;
    Ok(seconds)
}

/// What the learner divides logits by: the temperature of what it learns from.
fn temperature(run: &Run, settings: &ArmSettings) -> f64 {
    if settings.algorithm.imitates() {
        1.0
    } else {
        run.definition().rollout.temperature
    }
}

/// The arm's job.
pub(super) fn make(run: &Run, name: &str, seed: u64) -> Result<Done> {
    let at = run.arm_folder(name, seed);
    if run.done(&at)? {
        run.write(|| checkpoint::clear(&at))?;
        return Ok(Done::Finished);
    }
    run.write(|| files::create_folder(&at))?;
    let settings = run
        .definition()
        .arm
        .get(name)
        .with_context(|| format!("the definition has no arm {name}"))?;
    let (mut model, initial_weights) = start(run, settings, seed)?;
    if let Some(lora) = &settings.lora {
        let base = model.decoder.weights().entries();
        let adapter = Adapter::random(base, lora, seed, run.request.device)?;
        model.decoder = model.decoder.with_adapter(adapter);
    }
    let training = run
        .definition()
        .training_of(&settings.training, &format!("arm.{name}.training"))?;
    let mix = run.mix.learned_from(settings.tasks.as_deref())?;
    let mut lab = ArmLab::new(
        &model,
        &mix,
        seed,
        run.definition().rollout.clone(),
        run.definition().tasks.validation_problems,
    );
    let shown = taught(run, settings, &mut lab)?;
    let rewards = run.rewards(&settings.reward)?;
    lab.rewards = rewards.as_ref();
    lab.budget_tokens = training.micro_batch_tokens;
    lab.precision = training.dtype.resolve(run.request.device);
    lab.ranks = run.ranks();
    lab.completions = completion_log(run, &at, training.steps);
    // What was read above is what the run began with.
    run.check_pins(name)?;
    lab.sampler = sampler(run, settings, name, seed)?;
    let algorithm = settings.algorithm.build();
    lab.reference = algorithm.needs_reference().then(|| reference(&model));
    let identity = identity(
        &[
            "arm",
            name,
            &initial_weights,
            &seed.to_string(),
            &shown,
            &reading(run, &model, &training)?,
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
    run.explain_loss(name, &settings.algorithm);
    let progress = run.progress(&format!("{name} seed {seed}"));
    let temperature = temperature(run, settings);
    let ending = train(
        &Job {
            learner: Learner::new(&model.decoder, algorithm.as_ref(), &training, temperature)
                .among(run.ranks(), run.request.shard_optimizer),
            folder: &at,
            save_policy: &|at| run.check_there().and_then(|()| save_trained(&model, at)),
            identity: &identity,
            stop: &run.request.stop,
            progress: &progress,
        },
        &mut lab,
    )?;
    let Ending::Finished(budget) = ending else {
        return Ok(Done::Interrupted);
    };
    progress.set_message("evaluation");
    let adapted = model.decoder.adapter().is_some();
    let name_of_folder = if adapted { "adapter" } else { "model" };
    run.write(|| save_trained(&model, &at.join(name_of_folder)))?;
    let evaluation_seconds = write_evaluation(run, &model, name, Some(seed), seed, &at)?;
    progress.finish_and_clear();
    let arm_run = ArmRun {
        arm: name.to_owned(),
        seed,
        folder: format!("arms/{name}/seed-{seed}"),
        init: settings.init.as_ref().map(|init| init.arm.clone()),
        initial_weights,
        final_weights: model.decoder.trainable().hash(),
        problem_order: problem_order(&mix, settings, seed, training.steps)?,
        trained_on: trained_on(run, name)?,
        budget: Some(budget),
        pretraining_seconds: None,
        evaluation_seconds: Some(evaluation_seconds),
    };
    run.write(|| {
        Outcome::write(&at, arm_run)?;
        // After the outcome: until that is there, they are all there is.
        checkpoint::clear(&at)
    })?;
    Ok(Done::Finished)
}

/// The server that draws the arm's rollouts, where it has one.
fn sampler(run: &Run, settings: &ArmSettings, name: &str, seed: u64) -> Result<Option<Sampler>> {
    let Some(sampler) = &settings.sampler else {
        return Ok(None);
    };
    let folder = match &sampler.weights {
        Some(folder) => {
            let folder = run.request.definition_folder.join(folder);
            folder.join(format!("qinglan-{name}-seed-{seed}"))
        }
        None => run.arm_folder(name, seed).join("sampler"),
    };
    Sampler::connect(sampler, &folder, &run.request.stop)
        .with_context(|| format!("arm.{name}.sampler"))
        .map(Some)
}

/// Writes what was trained: the adapter where there is one, else the model.
fn save_trained(model: &Model, at: &Path) -> Result<()> {
    match model.decoder.adapter() {
        Some(adapter) => adapter.save(at),
        None => folder::save(model, at),
    }
}

/// Where a training in that folder keeps completions, where it is to and this
/// is the rank that writes.
pub(super) fn completion_log(run: &Run, at: &Path, steps: u64) -> Option<CompletionLog> {
    let wanted = run.definition().experiment.log_completions;
    (wanted && run.ranks().is_first()).then(|| CompletionLog::new(&at.join("completions"), steps))
}

/// The model an arm starts from, and the hash that whoever made it left: the
/// seed's base, or what another arm of the seed ended with.
fn start(run: &Run, settings: &ArmSettings, seed: u64) -> Result<(Model, String)> {
    let device = run.request.device;
    let Some(init) = &settings.init else {
        let (model, base) = base::load(run, seed, device)?;
        return Ok((model, base.arm_run.final_weights));
    };
    let at = run.arm_folder(&init.arm, seed);
    let left = Outcome::read(&at)?
        .with_context(|| format!("{} holds no finished arm", at.display()))?
        .arm_run
        .final_weights;
    let model = ended_with(run, &init.arm, seed)?.load(device)?;
    let adapter = run.definition().arm.get(&init.arm).map(|arm| &arm.lora);
    // An adapter's hash is its own, not that of the weights it is merged into.
    ensure!(
        matches!(adapter, Some(Some(_))) || model.decoder.weights().hash() == left,
        "{} has other weights than its arm ended with; remove that folder and go on with --resume to train it again",
        at.display()
    );
    Ok((model, left))
}

/// What an arm left in its folder, an adapter merged into what it lay upon.
fn ended_with(run: &Run, name: &str, seed: u64) -> Result<Stored> {
    let settings = run
        .definition()
        .arm
        .get(name)
        .with_context(|| format!("the definition has no arm {name}"))?;
    let at = run.arm_folder(name, seed);
    if settings.lora.is_none() {
        return run.open(&at.join("model"));
    }
    let below = match &settings.init {
        Some(init) => ended_with(run, &init.arm, seed)?,
        None => base::stored(run, seed)?,
    };
    below.with_adapter(&at.join("adapter"))
}

/// Gives the lab what its algorithm learns from the teacher; the hash of it.
fn taught(run: &Run, settings: &ArmSettings, lab: &mut ArmLab<'_>) -> Result<String> {
    if settings.algorithm.imitates() {
        return show(run, settings, lab);
    }
    if settings.algorithm.distils() {
        let teacher = teacher::load(run)?;
        let hash = teacher.weights().hash();
        lab.teacher = Some(teacher);
        return Ok(hash);
    }
    Ok(String::new())
}

/// Gives the lab its demonstrations; the hash of what is shown.
fn show(run: &Run, settings: &ArmSettings, lab: &mut ArmLab<'_>) -> Result<String> {
    let teacher = run
        .definition()
        .teacher
        .as_ref()
        .context("the definition has no teacher")?;
    let ready = Source::ready(teacher, &run.mix, &run.request.definition_folder)?;
    // What was ready was also spoken of before the run began.
    let spoken_of = ready.is_some();
    let source = match ready {
        Some(source) => source,
        None => Source::traces(&run.teacher_folder().join(teacher::TRACES))?,
    };
    let source = source.shown_to(settings, teacher.seed)?;
    let context = lab.model.decoder.config().context();
    let prepared = source.prepare(&teacher.traces, &lab.model.text, context)?;
    ensure!(
        !prepared.shown.is_empty(),
        "{} holds no trace to imitate: the teacher got nothing right that was not cut off",
        source.path().display()
    );
    if !spoken_of {
        for note in &prepared.notes {
            tracing::warn!("{note}");
        }
    }
    let all = prepared.shown.iter().chain(&prepared.held_out);
    let all: Vec<_> = all
        .map(|one| (&one.prompt, &one.completion, &one.weights))
        .collect();
    let hash = files::hash(&serde_json::to_vec(&(prepared.shown.len(), all))?);
    (lab.demonstrations, lab.held_out) = (prepared.shown, prepared.held_out);
    Ok(hash)
}

/// Hash of what decides a training besides settings and weights: how the model
/// is asked and rotated, and what computes it.
pub(super) fn reading(run: &Run, model: &Model, training: &Training) -> Result<String> {
    let device = run.device_kind();
    let format = run.definition().rollout.dtype.resolve(device);
    let parts = (
        model.decoder.config().to_json("float32"),
        &model.companions,
        format!("{device:?} {format} {}", training.dtype.resolve(device)),
    );
    Ok(files::hash(&serde_json::to_vec(&parts)?))
}

/// The model that a policy is held to: itself before the first update, so in a
/// chain what it starts from. With an adapter, that is the base beside it.
pub(super) fn reference(model: &Model) -> Decoder {
    let decoder = &model.decoder;
    if decoder.adapter().is_some() {
        return decoder.without_adapter();
    }
    Decoder::new(decoder.config().clone(), decoder.weights().duplicate())
}

/// The tasks that an arm has learned from, and before it the arms that it started
/// from; none where that is not said, as of a recording.
fn trained_on(run: &Run, name: &str) -> Result<Vec<String>> {
    let definition = run.definition();
    let settings = definition.arm.get(name);
    let settings = settings.with_context(|| format!("the definition has no arm {name}"))?;
    let before = settings.init.as_ref();
    let before = before.map(|init| trained_on(run, &init.arm)).transpose()?;
    let shown = definition.teacher.as_ref();
    let shown = shown.filter(|_| settings.algorithm.imitates());
    let recorded = shown.is_some_and(|teacher| teacher.traces.file.is_some());
    let names = match (
        &settings.tasks,
        shown.and_then(|teacher| teacher.tasks.as_ref()),
    ) {
        (Some(own), _) => Some(own.as_slice()),
        (None, shown) => shown.map(Vec::as_slice),
    };
    let mut tasks = match names {
        None if recorded => return Ok(Vec::new()),
        names => run.mix.learned_from(names)?.names(),
    };
    match before {
        // What came before is not said.
        Some(before) if before.is_empty() => return Ok(before),
        Some(before) => tasks.extend(before),
        None => {}
    }
    // In the order of the definition, each once.
    let all = &definition.tasks.names;
    Ok(all
        .iter()
        .filter(|name| tasks.contains(name))
        .cloned()
        .collect())
}

/// Problems that stand for the order in which an arm meets them: a number of its
/// own, so that arms which get to see more or fewer of one order agree.
const HASHED_PROBLEMS: u64 = 1024;

/// Hash of the order in which an arm meets problems; `None` where it meets
/// demonstrations instead.
fn problem_order(
    mix: &Mix,
    settings: &ArmSettings,
    seed: u64,
    steps: u64,
) -> Result<Option<String>> {
    let count = settings.algorithm.build().problems_met(steps);
    let order = || ArmLab::problem_order(mix, seed, HASHED_PROBLEMS);
    (count > 0).then(order).transpose()
}
