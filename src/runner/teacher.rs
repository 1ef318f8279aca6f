//! The teacher: a base of its own, trained by reinforcement, evaluated, and
//! sampled for the traces that students imitate.

use anyhow::{Context, Result};
use experiments::manifest::ArmRun;
use indicatif::ProgressBar;

use super::schedule::Done;
use super::{Outcome, Run, arm, base, identity};
use crate::config::{AlgorithmSettings, TeacherSettings, build_rewards};
use crate::demonstrations::{self, Recorded};
use crate::generation::{self, Key};
use crate::model::{Model, Stored, folder};
use crate::tasks::{Problem, Split, grading};
use crate::training::lab::scored;
use crate::training::{ArmLab, Ending, Job, Learner, checkpoint, train};

/// Name of the traces in the teacher's folder.
pub(super) const TRACES: &str = "traces.jsonl";

/// Prompts that are sampled together; bounds the cache's memory.
const PROMPTS_AT_ONCE: usize = 128;

/// The teacher's job.
pub(super) fn make(run: &Run) -> Result<Done> {
    let at = run.teacher_folder();
    if Outcome::read(&at)?.is_some() {
        checkpoint::clear(&at)?;
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
    let model = Stored::open(&base.path)?.load(run.request.device)?;
    let initial_weights = model.decoder.weights().hash();
    let progress = run.progress("teacher");
    let budget = match &settings.algorithm {
        Some(algorithm) => {
            let ending = reinforce(
                run,
                settings,
                algorithm,
                &model,
                &initial_weights,
                &progress,
            )?;
            let Ending::Finished(budget) = ending else {
                return Ok(Done::Interrupted);
            };
            folder::save(&model, &at.join("model"))?;
            Some(budget)
        }
        None => None,
    };
    progress.set_message("traces");
    let traces = sample(run, settings, &model)?;
    demonstrations::write(&at.join(TRACES), &traces)?;
    arm::write_evaluation(run, &model, "teacher", None, seed, &at)?;
    progress.finish_and_clear();
    Outcome {
        arm_run: ArmRun {
            arm: "teacher".to_owned(),
            seed,
            folder: "teacher".to_owned(),
            initial_weights,
            final_weights: model.decoder.weights().hash(),
            problem_order: None,
            budget,
        },
    }
    .write(&at)?;
    checkpoint::clear(&at)?;
    Ok(Done::Finished)
}

/// Trains the teacher in place.
fn reinforce(
    run: &Run,
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
            &arm::reading(run, model)?,
        ],
        &(
            settings,
            &training,
            &run.definition().tasks,
            &run.definition().rollout,
        ),
    )?;
    run.explain_loss("teacher", algorithm);
    let rewards = build_rewards(&settings.reward)?;
    let mut lab = ArmLab::new(
        model,
        &run.mix,
        seed,
        run.definition().rollout.clone(),
        run.definition().tasks.validation_problems,
    );
    lab.rewards = Some(&rewards);
    lab.budget_tokens = training.micro_batch_tokens;
    lab.precision = training.dtype.resolve(run.request.device);
    lab.completions = arm::completion_log(run, &run.teacher_folder(), training.steps);
    let algorithm = algorithm.build();
    lab.reference = algorithm.needs_reference().then(|| arm::reference(model));
    train(
        &Job {
            learner: Learner {
                decoder: &model.decoder,
                algorithm: algorithm.as_ref(),
                training: &training,
                temperature: run.definition().rollout.temperature,
            },
            folder: &run.teacher_folder(),
            save_policy: &|at| folder::save(model, at),
            identity: &identity,
            stop: &run.request.stop,
            progress,
        },
        &mut lab,
    )
}

/// Samples the traces: training problems to imitate, validation problems for
/// the held-out loss.
fn sample(run: &Run, settings: &TeacherSettings, model: &Model) -> Result<Vec<Recorded>> {
    let mut traces = sample_split(run, settings, model, Split::Train, settings.traces.problems)?;
    traces.extend(sample_split(
        run,
        settings,
        model,
        Split::Validation,
        settings.traces.held_out,
    )?);
    Ok(traces)
}

fn sample_split(
    run: &Run,
    settings: &TeacherSettings,
    model: &Model,
    split: Split,
    count: u64,
) -> Result<Vec<Recorded>> {
    let group = settings.traces.samples;
    // A teacher that is shown as it is may be rewarded for nothing.
    let rewards = (!settings.reward.is_empty())
        .then(|| build_rewards(&settings.reward))
        .transpose()?;
    let sampling = &run.definition().rollout;
    let problems: Vec<Problem> = (0..count)
        .map(|index| run.mix.problem(settings.seed, split, index))
        .collect();
    let mut kept = Vec::new();
    for (chunk_index, chunk) in problems.chunks(PROMPTS_AT_ONCE).enumerate() {
        let prompts = chunk
            .iter()
            .map(|problem| model.text.encode_prompt(&problem.prompt))
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
        let completions = generation::generate(model, &prompts, sampling, keys)?;
        let texts = completions
            .iter()
            .map(|completion| model.text.decode(&completion.tokens))
            .collect::<Result<Vec<_>>>()?;
        let cap = sampling.max_new_tokens;
        let scored = scored(model, chunk, group, &texts, &completions, cap);
        let totals = match &rewards {
            Some(rewards) => rewards.score(&scored)?.totals,
            None => vec![None; texts.len()],
        };
        for (offset, problem) in chunk.iter().enumerate() {
            let mut candidates: Vec<usize> = (offset * group..(offset + 1) * group)
                .filter(|&index| {
                    // A truncated trace would teach never to end, an empty one
                    // nothing, and one with an unknown word cannot be read back.
                    let right = grading::grade(&problem.answer, &texts[index]);
                    !completions[index].truncated()
                        && !texts[index].trim().is_empty()
                        && model.text.encode_completion(&texts[index]).is_ok()
                        && (right || !settings.traces.only_correct)
                })
                .collect();
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
                prompt: problem.prompt.clone(),
                completion: texts[index].clone(),
                task: Some(problem.task.to_owned()),
                held_out: split == Split::Validation,
            }));
        }
    }
    Ok(kept)
}
