//! A `case.json`: TRL's settings as the lab's, and the samples of each step.
//!
//! ```text
//! {"algorithm": "grpo", "sft" or "gkd", "settings": {…TRL's names…},
//!  "generation_batches": [{"prompt_ids": [[…]], "completion_ids": [[…]], "rewards": […]}],
//!  "micro_batches": [{"input_ids": [[…]], "labels": [[…]], "attention_mask": [[…]]}],
//!  "batches": [{"prompt_ids": [[…]], "completion_ids": [[…]]}],
//!  "steps": [{"loss": …, "grad_norm": …, "learning_rate": …}]}
//! ```
//!
//! The batches are those of `gkd`, one an update.
//!
//! A setting that is not followed is refused by its name. So is one that the
//! lab follows in another way on purpose, with what the difference is; see the
//! departures at the top of `grpo` in the `algorithms` crate.

mod gkd;

use algorithms::{
    Algorithm, Demonstration, Grpo, LossType, OldLogprobs, RewardPart, Rollout, Sft, SftLoss,
};
use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::generation::PrecisionChoice;
use crate::model::ModelConfig;
use crate::training::{Optimizer, Schedule, Training, TrainingSettings};

/// TRL's mark of a token that no loss is taken on.
const IGNORED: i64 = -100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    algorithm: String,
    settings: Map<String, Value>,
    #[serde(default)]
    generation_batches: Vec<GenerationBatch>,
    #[serde(default)]
    micro_batches: Vec<MicroBatch>,
    #[serde(default)]
    batches: Vec<GenerationBatch>,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GenerationBatch {
    prompt_ids: Vec<Vec<i64>>,
    completion_ids: Vec<Vec<i64>>,
    /// Absent where a teacher judges.
    #[serde(default)]
    rewards: Vec<Option<f64>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MicroBatch {
    input_ids: Vec<Vec<i64>>,
    labels: Vec<Vec<i64>>,
    /// Absent where rows are packed.
    #[serde(default)]
    attention_mask: Vec<Vec<i64>>,
}

/// What TRL logged of an update.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) loss: f64,
    pub(super) grad_norm: f64,
    pub(super) learning_rate: f64,
}

/// A case as the lab follows it.
pub(super) struct Case {
    pub(super) algorithm: Box<dyn Algorithm>,
    pub(super) training: Training,
    pub(super) temperature: f64,
    pub(super) max_completion_length: usize,
    pub(super) steps: Vec<Step>,
    /// Prompts of each rollout phase, one a group.
    prompts: Vec<Vec<Vec<i64>>>,
    /// Samples of all phases, group by group.
    rollouts: Vec<Rollout>,
    /// Demonstrations of each update.
    demonstrations: Vec<Vec<Demonstration>>,
}

/// Takes a setting out, so that what nobody takes can be named.
fn take<T: DeserializeOwned>(settings: &mut Map<String, Value>, name: &str) -> Result<Option<T>> {
    match settings.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => serde_json::from_value(value)
            .map(Some)
            .with_context(|| format!("settings.{name}")),
    }
}

fn need<T: DeserializeOwned>(settings: &mut Map<String, Value>, name: &str) -> Result<T> {
    take(settings, name)?.with_context(|| format!("settings.{name} is missing"))
}

impl Case {
    /// Reads a case that starts from a model of that configuration.
    pub(super) fn read(text: &str, config: &ModelConfig) -> Result<Self> {
        let file: File = serde_json::from_str(text)?;
        match file.algorithm.as_str() {
            "grpo" => Self::grpo(file, config),
            "sft" => Self::sft(file, config),
            "gkd" => Self::gkd(file, config),
            other => bail!("algorithm = {other:?}: the cases followed are of grpo, sft and gkd"),
        }
    }

    fn grpo(file: File, config: &ModelConfig) -> Result<Self> {
        let mut settings = file.settings;
        let training = training(&mut settings)?;
        let (batch_size, accumulated) = sizes(&mut settings)?;
        let max_completion_length = take(&mut settings, "max_completion_length")?.unwrap_or(256);
        let temperature = take(&mut settings, "temperature")?.unwrap_or(1.0);
        ensure!(
            temperature > 0.0,
            "settings.temperature = {temperature}: it divides logits"
        );
        let rollouts = batch_size * accumulated;
        let grpo = follow(settings, rollouts, accumulated)?;
        let phases = file.steps.len().div_ceil(grpo.num_iterations);
        ensure!(
            file.generation_batches.len() >= phases,
            "{} generation_batches where {} updates need {phases}",
            file.generation_batches.len(),
            file.steps.len()
        );
        let mut prompts = Vec::new();
        let mut samples = Vec::new();
        for (index, batch) in file.generation_batches.into_iter().enumerate() {
            let place = || format!("generation_batches[{index}]");
            prompts.push(
                batch
                    .prompts(rollouts, grpo.num_generations)
                    .with_context(place)?,
            );
            samples.extend(batch.rollouts(config).with_context(place)?);
        }
        Self {
            algorithm: Box::new(grpo),
            training,
            temperature,
            max_completion_length,
            steps: file.steps,
            prompts,
            rollouts: samples,
            demonstrations: Vec::new(),
        }
        .whole()
    }

    fn sft(file: File, config: &ModelConfig) -> Result<Self> {
        let mut settings = file.settings;
        let training = training(&mut settings)?;
        let (batch_size, accumulated) = sizes(&mut settings)?;
        let loss_type = take(&mut settings, "loss_type")?.unwrap_or(SftLoss::Nll);
        ensure!(
            !take(&mut settings, "packing")?.unwrap_or(false),
            "settings.packing = true: a case gives rows of one demonstration each"
        );
        // Both have been at work on the rows before they were written down.
        for name in ["completion_only_loss", "max_length"] {
            take::<Value>(&mut settings, name)?;
        }
        if let Some(name) = settings.keys().next() {
            bail!("settings.{name} is not followed");
        }
        let needed = file.steps.len() * accumulated;
        ensure!(
            file.micro_batches.len() >= needed,
            "{} micro_batches where {} updates of {accumulated} need {needed}: a pass over the data that ends within an update is not followed",
            file.micro_batches.len(),
            file.steps.len()
        );
        let mut demonstrations: Vec<Vec<Demonstration>> = Vec::new();
        for (index, batch) in file.micro_batches.iter().enumerate() {
            let rows = batch
                .demonstrations(config)
                .with_context(|| format!("micro_batches[{index}]"))?;
            match demonstrations.last_mut() {
                Some(update) if !index.is_multiple_of(accumulated) => update.extend(rows),
                _ => demonstrations.push(rows),
            }
        }
        Self {
            algorithm: Box::new(Sft {
                batch_size: batch_size * accumulated,
                loss_type,
            }),
            training,
            temperature: 1.0,
            max_completion_length: 0,
            steps: file.steps,
            prompts: Vec::new(),
            rollouts: Vec::new(),
            demonstrations,
        }
        .whole()
    }

    fn whole(self) -> Result<Self> {
        ensure!(
            self.steps.len() as u64 == self.training.steps,
            "{} steps where settings.max_steps = {}",
            self.steps.len(),
            self.training.steps
        );
        Ok(self)
    }

    /// The prompts of a rollout phase, one a group.
    pub(super) fn prompts(&self, phase: u64) -> Vec<Vec<i64>> {
        self.prompts
            .get(phase as usize)
            .cloned()
            .unwrap_or_default()
    }

    /// `count` samples from `first` on.
    pub(super) fn rollouts(&self, first: usize, count: usize) -> Vec<Rollout> {
        let samples = self.rollouts.iter().skip(first).take(count);
        samples.cloned().collect()
    }

    /// The demonstrations of an update.
    pub(super) fn demonstrations(&self, step: u64) -> &[Demonstration] {
        self.demonstrations
            .get(step as usize)
            .map_or(&[], Vec::as_slice)
    }
}

/// TRL's settings of an update of `rollouts` completions in `accumulated`
/// micro-batches as the lab's, which have the same names.
fn follow(mut settings: Map<String, Value>, rollouts: usize, accumulated: usize) -> Result<Grpo> {
    let per_generation = take(&mut settings, "steps_per_generation")?.unwrap_or(accumulated);
    ensure!(
        per_generation == accumulated,
        "settings.steps_per_generation = {per_generation} with gradient_accumulation_steps = {accumulated}: \
         TRL then shuffles completions between updates, and the case does not say how; the lab's updates take whole groups"
    );
    // Older files say true and false.
    if let Some(Value::Bool(scaled)) = settings.get("scale_rewards") {
        let name = if *scaled { "group" } else { "none" };
        settings.insert("scale_rewards".to_owned(), name.into());
    }
    let mut grpo: Grpo = serde_json::from_value(Value::Object(settings)).context("settings")?;
    ensure!(
        grpo.num_generations > 0 && rollouts.is_multiple_of(grpo.num_generations),
        "settings.num_generations = {} does not divide the {rollouts} completions of an update",
        grpo.num_generations
    );
    grpo.prompts_per_generation = rollouts / grpo.num_generations;
    grpo.steps_per_generation = 1;
    grpo.old_logprobs = OldLogprobs::Recomputed;
    grpo.check()
        .map_err(|error| anyhow::anyhow!("settings.{error}"))?;
    ensure!(
        !grpo.use_adaptive_entropy,
        "settings.use_adaptive_entropy = true: the weight of the entropy is the step loop's, which a case goes without"
    );
    let counted = [
        (grpo.loss_type == LossType::Bnpo, "loss_type = \"bnpo\""),
        (grpo.top_entropy_quantile < 1.0, "top_entropy_quantile"),
        (grpo.entropy_coef != 0.0, "entropy_coef"),
    ];
    if let Some((_, what)) = counted.iter().find(|(meant, _)| *meant)
        && accumulated > 1
    {
        bail!(
            "settings.{what} with gradient_accumulation_steps = {accumulated}: TRL counts tokens in each micro-batch alone, the lab over the update"
        );
    }
    ensure!(
        grpo.top_entropy_quantile >= 1.0 || grpo.num_iterations == 1,
        "settings.top_entropy_quantile with num_iterations = {}: TRL picks tokens anew at each update, the lab once a phase",
        grpo.num_iterations
    );
    Ok(grpo)
}

/// Rows of a micro-batch, and micro-batches of an update.
fn sizes(settings: &mut Map<String, Value>) -> Result<(usize, usize)> {
    let batch_size: usize = need(settings, "per_device_train_batch_size")?;
    let accumulated: usize = take(settings, "gradient_accumulation_steps")?.unwrap_or(1);
    ensure!(
        (1..=1 << 20).contains(&batch_size) && (1..=1 << 20).contains(&accumulated),
        "settings.per_device_train_batch_size and gradient_accumulation_steps have to lie between 1 and 2^20"
    );
    Ok((batch_size, accumulated))
}

/// The step loop's settings.
fn training(settings: &mut Map<String, Value>) -> Result<Training> {
    // The order of the samples is the case's.
    take::<bool>(settings, "shuffle_dataset")?;
    let scheduler: String =
        take(settings, "lr_scheduler_type")?.unwrap_or_else(|| "linear".to_owned());
    let mut warmup_steps: u64 = take(settings, "warmup_steps")?.unwrap_or(0);
    let schedule = match scheduler.as_str() {
        "linear" => Schedule::Linear,
        "cosine" => Schedule::Cosine,
        "constant_with_warmup" => Schedule::Constant,
        "constant" => {
            // transformers leaves the warm-up out.
            warmup_steps = 0;
            Schedule::Constant
        }
        other => bail!(
            "settings.lr_scheduler_type = {other:?}: the schedules followed are linear, cosine, constant and constant_with_warmup"
        ),
    };
    TrainingSettings {
        steps: Some(need(settings, "max_steps")?),
        optimizer: Some(Optimizer::Adamw),
        learning_rate: Some(need(settings, "learning_rate")?),
        schedule: Some(schedule),
        final_ratio: Some(0.0),
        warmup_steps: Some(warmup_steps),
        weight_decay: take(settings, "weight_decay")?,
        max_grad_norm: take(settings, "max_grad_norm")?,
        dtype: Some(PrecisionChoice::Float32),
        ..TrainingSettings::default()
    }
    .resolve(&TrainingSettings::default(), "settings")
    .map_err(anyhow::Error::msg)
}

fn check_ids<'a>(rows: impl Iterator<Item = &'a Vec<i64>>, config: &ModelConfig) -> Result<()> {
    for row in rows {
        ensure!(!row.is_empty(), "a row without a token");
        ensure!(
            row.len() <= config.context(),
            "a row of {} tokens; the model's context holds {}",
            row.len(),
            config.context()
        );
        for id in row {
            ensure!(
                (0..config.vocab_size).contains(id),
                "token {id} is not in the model's vocabulary of {}; give the model of the case with --models",
                config.vocab_size
            );
        }
    }
    Ok(())
}

impl GenerationBatch {
    /// The prompt of each group of `group` among `rollouts` completions.
    fn prompts(&self, rollouts: usize, group: usize) -> Result<Vec<Vec<i64>>> {
        ensure!(
            [
                self.prompt_ids.len(),
                self.completion_ids.len(),
                self.rewards.len()
            ] == [rollouts; 3],
            "it has not {rollouts} prompts, completions and rewards"
        );
        let first = |prompts: &[Vec<i64>]| {
            ensure!(
                prompts.iter().all(|prompt| Some(prompt) == prompts.first()),
                "completions of one group have different prompts"
            );
            Ok(prompts.first().cloned().unwrap_or_default())
        };
        self.prompt_ids.chunks(group.max(1)).map(first).collect()
    }

    /// The completions, whole where they end as the model's text does.
    fn rollouts(self, config: &ModelConfig) -> Result<Vec<Rollout>> {
        check_ids(self.prompt_ids.iter().chain(&self.completion_ids), config)?;
        let ends = |last: &i64| {
            config.eos_token_ids.contains(last) || config.pad_token_id.as_ref() == Some(last)
        };
        let rollout = |(completion, reward): (Vec<i64>, Option<f64>)| Rollout {
            // Nobody may read them: the policy's own are taken instead.
            logprobs: vec![f32::NAN; completion.len()],
            truncated: !completion.last().is_some_and(ends),
            parts: vec![RewardPart {
                weight: 1.0,
                value: reward,
            }],
            completion,
            reward,
            demonstrated: false,
        };
        let given = self.completion_ids.into_iter().zip(self.rewards);
        Ok(given.map(rollout).collect())
    }
}

impl MicroBatch {
    /// The rows without their padding. Nothing predicts a row's first token,
    /// so it is the prompt; the loss is taken where a label is.
    fn demonstrations(&self, config: &ModelConfig) -> Result<Vec<Demonstration>> {
        ensure!(
            self.labels.len() == self.input_ids.len()
                && self.attention_mask.len() == self.input_ids.len(),
            "input_ids, labels and attention_mask have not the same rows"
        );
        check_ids(self.input_ids.iter(), config)?;
        let rows = self
            .input_ids
            .iter()
            .zip(&self.labels)
            .zip(&self.attention_mask);
        rows.map(|((ids, labels), mask)| {
            let length = mask.iter().take_while(|&&seen| seen == 1).count();
            ensure!(
                mask.iter().skip(length).all(|&seen| seen == 0)
                    && mask.len() == ids.len()
                    && labels.len() == ids.len(),
                "padding has to come last, and input_ids, labels and attention_mask to be of one length"
            );
            let trained = |(&id, &label): (&i64, &i64)| match label {
                IGNORED => Ok(0.0),
                label if label == id => Ok(1.0),
                label => bail!("the label {label} where the next token is {id}"),
            };
            let weights = ids.iter().zip(labels).map(trained).collect::<Result<Vec<f32>>>()?;
            ensure!(
                length > 1 && weights.iter().skip(length).all(|&weight| weight == 0.0),
                "a row has less than two tokens, or a label where its padding is"
            );
            Ok(Demonstration {
                prompt: ids.iter().take(1).copied().collect(),
                completion: ids.iter().take(length).skip(1).copied().collect(),
                weights: weights.into_iter().take(length).skip(1).collect(),
            })
        })
        .collect()
    }
}
