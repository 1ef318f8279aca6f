//! A training: from what a stage starts from, by its algorithm, to a model or an adapter.

use std::path::Path;

use algorithms::Scorer;
use anyhow::{Context, Result, bail, ensure};

use super::address::identity;
use super::{COMPLETIONS, Facts, Got, MADE, Part};
use crate::config::{AlgorithmSettings, Stage, StageSettings, Start};
use crate::demonstrations::Prepared;
use crate::error::as_user_error;
use crate::files;
use crate::model::{Adapter, Decoder, Model, Stored, folder};
use crate::runner::Run;
use crate::sampler::Sampler;
use crate::store::Kind;
use crate::training::{ArmLab, CompletionLog, Ending, Job, Learner, OnTheWay, Training, train};

/// Problems that stand for the order in which an arm meets them: a number of its
/// own, so that arms which get to see more or fewer of one order agree.
const HASHED_PROBLEMS: u64 = 1024;

/// Problems among which those of a recording are looked for.
const SEARCHED_PROBLEMS: u64 = 1 << 16;

/// A training with all that determines it, before any weights are read.
struct Recipe<'a> {
    number: usize,
    stage: &'a Stage,
    /// The stage whose weights it starts from.
    start: usize,
    settings: &'a StageSettings,
    algorithm: &'a AlgorithmSettings,
    training: Training,
    initial_weights: String,
    shown: Option<Prepared>,
    /// The stage that judges its samples.
    judge: Option<usize>,
    identity: String,
}

/// The weights of a stage that is trained, in its folder; a stage without an algorithm
/// has those that it starts from.
pub(super) fn obtain(
    run: &Run,
    number: usize,
    settings: &StageSettings,
    model: &mut Option<Model>,
) -> Result<Got<Facts>> {
    let stage = run.stage(number)?;
    let Start::Stage(start) = stage.start else {
        bail!("{} starts from no stage", stage.title());
    };
    let initial_weights = run.final_weights(start)?;
    let Some(algorithm) = &settings.algorithm else {
        let facts = Facts {
            final_weights: initial_weights.clone(),
            initial_weights,
            budget: None,
            pretraining_seconds: None,
        };
        return Ok(Got::There(facts, false));
    };
    let training = run
        .definition()
        .training_of(&settings.training, &format!("{}.training", stage.place()))?;
    let mut recipe = Recipe {
        number,
        stage,
        start,
        settings,
        algorithm,
        training,
        initial_weights,
        shown: None,
        judge: stage.teacher.filter(|_| settings.distils()),
        identity: String::new(),
    };
    let stored = run.stored(start)?;
    recipe.shown = demonstrations(run, stage, settings, &stored)?;
    recipe.identity = recipe.identify(run, &stored)?;
    let part = Part {
        kind: Kind::Model,
        // What a server samples is nothing that the lab could hash.
        address: match settings.sampler {
            Some(_) => None,
            None => Some(run.address_of_training(stage, &recipe.identity)?),
        },
        stage,
        names: &MADE,
    };
    run.obtain(&part, || recipe.train(run, model))
}

impl Recipe<'_> {
    /// Hash of all that determines the training but the machine.
    fn identify(&self, run: &Run, stored: &Stored) -> Result<String> {
        let (definition, settings) = (run.definition(), self.settings);
        let judged_by = self.judge.map(|judge| run.final_weights(judge));
        identity(
            &[
                "training",
                &self.initial_weights,
                &self.stage.seed.to_string(),
                &self.shown.as_ref().map_or(Ok(String::new()), hash)?,
                &judged_by.transpose()?.unwrap_or_default(),
                &run.reading(stored, Some(&self.training))?,
            ],
            &(
                self.algorithm,
                (&settings.tasks, &settings.lora, &settings.sampler),
                (&settings.reward, run.outside_hashes(&settings.reward)?),
                &self.training,
                &definition.tasks,
                &definition.rollout,
                // Rewards may go by them.
                run.mix.human_costs(),
            ),
        )
    }

    /// Trains; `None` where the user asked to stop.
    fn train(self, run: &Run, model: &mut Option<Model>) -> Result<Option<Facts>> {
        let (definition, settings, stage) = (run.definition(), self.settings, self.stage);
        let at = run.folder(stage);
        let mut policy = run.load(self.start)?;
        if let Some(lora) = &settings.lora {
            let adapter = Adapter::random(&policy.decoder, lora, stage.seed)?;
            policy.decoder = policy.decoder.with_adapter(adapter);
        }
        let mix = run.mix.learned_from(settings.tasks.as_deref())?;
        let rewards = run.rewards(&settings.reward)?;
        // What was read above is what the run began with.
        run.check_pins(&stage.name)?;
        let mut lab = ArmLab::new(
            &policy,
            &mix,
            stage.seed,
            definition.rollout.clone(),
            definition.tasks.validation_problems,
        );
        if let Some(shown) = self.shown {
            (lab.demonstrations, lab.held_out) = (shown.shown, shown.held_out);
        }
        lab.rewards = rewards.as_ref();
        lab.budget_tokens = self.training.micro_batch_tokens;
        lab.precision = self.training.dtype.resolve(run.request.device);
        lab.ranks = run.ranks();
        lab.completions = completion_log(run, &at, self.training.steps);
        lab.sampler = sampler(run, stage, settings)?;
        lab.teacher = self.judge.map(|judge| judging(run, judge)).transpose()?;
        let algorithm = self.algorithm.algorithm();
        if algorithm.meets_demonstrated() {
            let (seed, problems) = shown_problems(run, stage, settings)?;
            let met = lab.meet_demonstrated(seed, problems);
            as_user_error(met.with_context(|| stage.place()))?;
            if let AlgorithmSettings::Sdft(sdft) = self.algorithm {
                let fits = lab.check_shown(&sdft.teacher_prompt_template);
                as_user_error(fits.with_context(|| {
                    format!("{}.algorithm.sdft.teacher_prompt_template", stage.place())
                }))?;
            }
        }
        lab.reference = algorithm.needs_reference().then(|| reference(&policy));
        let judge = algorithm
            .divergence()
            .and_then(|divergence| match divergence.judge {
                Scorer::Teacher => lab.teacher.as_ref(),
                Scorer::Reference => lab.reference.as_ref(),
                Scorer::Policy => None,
            });
        let judge = judge.map(sharing);
        run.explain_loss(&stage.name, self.algorithm);
        let progress = run.progress(&stage.title());
        let temperature = temperature(run, self.algorithm);
        let learner = Learner::new(&policy.decoder, algorithm, &self.training, temperature)
            .judged_by(judge.as_ref());
        let base = base_on_the_way(run, stage, self.start, &policy)?;
        let ending = train(
            &Job {
                learner: learner.among(run.ranks(), run.request.shard_optimizer),
                folder: &at,
                save_policy: &|at| run.check_there().and_then(|()| save_trained(&policy, at)),
                identity: &self.identity,
                on_the_way: on_the_way(run, self.number, &policy, base.as_ref())?,
                stop: &run.request.stop,
                progress: &progress,
            },
            &mut lab,
        )?;
        progress.finish_and_clear();
        let Ending::Finished(budget) = ending else {
            return Ok(None);
        };
        let adapted = policy.decoder.adapter().is_some();
        let name = if adapted { "adapter" } else { "model" };
        run.write(|| save_trained(&policy, &at.join(name)))?;
        let facts = Facts {
            initial_weights: self.initial_weights,
            final_weights: policy.decoder.trainable().hash(),
            budget: Some(budget),
            pretraining_seconds: None,
        };
        *model = Some(policy);
        Ok(Some(facts))
    }
}

/// The evaluations on the way of a stage, where it has any.
fn on_the_way<'a>(
    run: &'a Run,
    number: usize,
    model: &'a Model,
    base: Option<&'a Decoder>,
) -> Result<Option<OnTheWay<'a>>> {
    let stage = run.stage(number)?;
    let teacher = run.teacher_of(stage)?.map(|teacher| teacher.seed);
    Ok(base.map(|base| OnTheWay {
        model,
        base,
        items: &run.items,
        settings: &run.definition().evaluation,
        name: &stage.name,
        seed: run.seed_of_records(stage),
        teacher,
        key_seed: stage.seed,
    }))
}

/// What the learner divides logits by: the temperature of what it learns from.
fn temperature(run: &Run, algorithm: &AlgorithmSettings) -> f64 {
    let algorithm = algorithm.algorithm();
    match algorithm.divergence() {
        Some(divergence) => divergence.temperature,
        None if algorithm.samples().is_none() => 1.0,
        None => run.definition().rollout.temperature,
    }
}

/// What a stage imitates, as what it starts from reads it; `None` where it imitates
/// nothing.
fn demonstrations(
    run: &Run,
    stage: &Stage,
    settings: &StageSettings,
    reader: &Stored,
) -> Result<Option<Prepared>> {
    if !settings.imitates() {
        return Ok(None);
    }
    let source = run.demonstrations(stage, settings)?;
    let definition = run.definition();
    let shown = definition.shown_to(&stage.place(), stage.seed, settings)?;
    let traces = shown.traces;
    let context = reader.config.context();
    let prepared = source.prepare(traces, &reader.text, context)?;
    ensure!(
        !prepared.shown.is_empty(),
        "{} holds no trace to imitate: the teacher got nothing right that was not cut off",
        source.path().display()
    );
    // What was there before the run began was spoken of then.
    if !traces.are_there() {
        for note in &prepared.notes {
            tracing::warn!("{note}");
        }
    }
    Ok(Some(prepared))
}

/// Hash of what is imitated.
fn hash(prepared: &Prepared) -> Result<String> {
    let all = prepared.shown.iter().chain(&prepared.held_out);
    let all: Vec<_> = all
        .map(|one| (&one.prompt, &one.completion, &one.weights))
        .collect();
    Ok(files::hash(&serde_json::to_vec(&(
        prepared.shown.len(),
        all,
    ))?))
}

/// The teacher as its stage left it, to judge the samples of others.
fn judging(run: &Run, teacher: usize) -> Result<Decoder> {
    Ok(sharing(&run.load(teacher)?.decoder))
}

/// The same decoder, of the same memory: it follows where the other is moved.
fn sharing(decoder: &Decoder) -> Decoder {
    Decoder::new(decoder.config().clone(), decoder.weights().share())
}

/// The seed of the problems that a stage's demonstrations are of, and how many of its first
/// to look through: those that the lab has traces or worked solutions of; of a recording,
/// which may be of any, [`SEARCHED_PROBLEMS`] of the stage's own seed.
fn shown_problems(run: &Run, stage: &Stage, settings: &StageSettings) -> Result<(u64, u64)> {
    let shown = run
        .definition()
        .shown_to(&stage.place(), stage.seed, settings)?;
    Ok(match shown.traces.file {
        Some(_) => (stage.seed, SEARCHED_PROBLEMS),
        None => (shown.seed, shown.traces.problems),
    })
}

/// The server that draws the rollouts of a stage, where it has one.
fn sampler(run: &Run, stage: &Stage, settings: &StageSettings) -> Result<Option<Sampler>> {
    let Some(sampler) = &settings.sampler else {
        return Ok(None);
    };
    let folder = match &sampler.weights {
        Some(folder) => {
            let folder = run.request.definition_folder.join(folder);
            folder.join(format!("qinglan-{}-seed-{}", stage.name, stage.seed))
        }
        None => run.folder(stage).join("sampler"),
    };
    Sampler::connect(sampler, &folder, &run.request.stop)
        .with_context(|| format!("{}.sampler", stage.place()))
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
fn completion_log(run: &Run, at: &Path, steps: u64) -> Option<CompletionLog> {
    let wanted = run.definition().experiment.log_completions;
    (wanted && run.ranks().is_first()).then(|| CompletionLog::new(&at.join(COMPLETIONS), steps))
}

/// The model that a policy is held to: itself before the first update, so in a
/// chain what it starts from. With an adapter, that is the base beside it.
fn reference(model: &Model) -> Decoder {
    let decoder = &model.decoder;
    if decoder.adapter().is_some() {
        return decoder.without_adapter();
    }
    Decoder::new(decoder.config().clone(), decoder.weights().duplicate())
}

/// What evaluations on the way measure a policy's distance from: the base of its seed,
/// whichever stage it starts from; `None` where there are none.
fn base_on_the_way(
    run: &Run,
    stage: &Stage,
    start: usize,
    policy: &Model,
) -> Result<Option<Decoder>> {
    if run.definition().evaluation.at.is_none() || !stage.is_evaluated {
        return Ok(None);
    }
    let mut base = start;
    while let Start::Stage(before) = run.stage(base)?.start {
        base = before;
    }
    if base == start {
        return Ok(Some(reference(policy)));
    }
    Ok(Some(run.load(base)?.decoder))
}

/// The tasks that a stage has learned from, and before it the stages that it started
/// from; none where that is not said, as of a recording.
pub(super) fn trained_on(run: &Run, stage: &Stage) -> Result<Vec<String>> {
    let definition = run.definition();
    let (Some(settings), Start::Stage(start)) = (run.settings(stage), stage.start) else {
        return Ok(Vec::new());
    };
    if settings.algorithm.is_none() {
        return trained_on(run, run.stage(start)?);
    }
    let shown = if settings.imitates() {
        Some(definition.shown_to(&stage.place(), stage.seed, settings)?)
    } else {
        None
    };
    let recorded = shown
        .as_ref()
        .is_some_and(|shown| shown.traces.file.is_some());
    let names = match (&settings.tasks, &shown) {
        (Some(own), _) => Some(own.as_slice()),
        (None, shown) => shown.as_ref().and_then(|shown| shown.tasks),
    };
    let mut tasks = match names {
        None if recorded => return Ok(Vec::new()),
        names => run.mix.learned_from(names)?.names(),
    };
    let start = run.stage(start)?;
    if run.settings(start).is_some() {
        let before = trained_on(run, start)?;
        // What came before is not said.
        if before.is_empty() {
            return Ok(before);
        }
        tasks.extend(before);
    }
    // In the order of the definition, each once.
    let all = definition.tasks.names.iter();
    Ok(all.filter(|name| tasks.contains(name)).cloned().collect())
}

/// Hash of the order in which a stage meets problems; `None` where it meets
/// demonstrations instead.
pub(super) fn problem_order(run: &Run, stage: &Stage) -> Result<Option<String>> {
    let settings = run.settings(stage);
    let Some((settings, algorithm)) = settings.and_then(|s| Some((s, s.algorithm.as_ref()?)))
    else {
        return Ok(None);
    };
    let training = run
        .definition()
        .training_of(&settings.training, &stage.name)?;
    let mix = run.mix.learned_from(settings.tasks.as_deref())?;
    let algorithm = algorithm.algorithm();
    if algorithm.meets_demonstrated() {
        return Ok(None);
    }
    let count = algorithm.problems_met(training.steps);
    let order = || ArmLab::problem_order(&mix, stage.seed, HASHED_PROBLEMS);
    (count > 0).then(order).transpose()
}
