//! Batches: TRL counts micro-batches of completions a process, the lab problems of a whole
//! update.

use anyhow::{Result, ensure};

use super::{Decided, Draft, Settings, Trainer};

/// How many rows or completions there are of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Batch {
    /// Of one micro-batch over all processes.
    micro: u64,
    /// Micro-batches of an update.
    accumulated: u64,
    /// What is sampled at a time, where the trainer samples in phases.
    phase: Option<Phase>,
}

/// What is sampled at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Phase {
    prompts: u64,
    group: u64,
    updates: u64,
    iterations: u64,
    /// Micro-batches, TRL's `steps_per_generation`.
    micro_batches: u64,
}

impl Batch {
    /// Of the settings, TRL's defaults where they are silent.
    pub(super) fn of(settings: &Settings, trainer: Trainer, processes: u64) -> Result<Self> {
        let positive = |key: &str, default: u64| -> Result<u64> {
            let value = settings.count(key)?.unwrap_or(default);
            ensure!(value > 0, "{key} = 0: it must be above 0");
            Ok(value)
        };
        let own = positive("per_device_train_batch_size", 8)?;
        let micro = own.checked_mul(processes);
        let accumulated = positive("gradient_accumulation_steps", 1)?;
        let update = micro.and_then(|micro| micro.checked_mul(accumulated));
        let (Some(micro), Some(update)) = (micro, update.filter(|update| *update < 1 << 40)) else {
            anyhow::bail!(
                "per_device_train_batch_size = {own} times gradient_accumulation_steps = {accumulated} is more than an update can hold"
            );
        };
        let mut batch = Self {
            micro,
            accumulated,
            phase: None,
        };
        let group = match trainer {
            Trainer::Grpo => positive("num_generations", 8)?,
            Trainer::Rloo => positive("num_generations", 2)?,
            Trainer::Sft | Trainer::Gkd => return Ok(batch),
        };
        let stated = settings.count("generation_batch_size")?;
        let micro_batches = match (stated, settings.count("steps_per_generation")?) {
            (None, None) => accumulated,
            (None, Some(steps)) => steps,
            (Some(size), None) => {
                ensure!(
                    size.is_multiple_of(micro),
                    "generation_batch_size = {size}: TRL asks for a multiple of the {micro} completions of a micro-batch over all processes (--processes says how many)"
                );
                size / micro
            }
            // The trainer writes both into its JSON.
            (Some(size), Some(steps)) => {
                ensure!(
                    steps.checked_mul(micro) == Some(size),
                    "generation_batch_size = {size} and steps_per_generation = {steps} contradict each other where a micro-batch over all processes has {micro} completions (--processes says how many there are); remove one"
                );
                steps
            }
        };
        ensure!(
            micro_batches > 0,
            "steps_per_generation = 0: it must be above 0"
        );
        // Where a phase is shorter than an update, an update's phases are of one policy.
        let (completions, updates) = if micro_batches.is_multiple_of(accumulated) {
            (
                update.checked_mul(micro_batches / accumulated),
                micro_batches / accumulated,
            )
        } else {
            ensure!(
                accumulated.is_multiple_of(micro_batches),
                "steps_per_generation = {micro_batches} micro-batches and gradient_accumulation_steps = {accumulated}: neither divides the other, so updates would share completions of two phases, which the lab's never do; make one a multiple of the other"
            );
            (Some(update), 1)
        };
        let completions = completions
            .filter(|many| *many < 1 << 40)
            .unwrap_or(1 << 40);
        ensure!(
            completions.is_multiple_of(group),
            "num_generations = {group} does not divide the {completions} completions of a rollout phase; TRL refuses that too (--processes says how many processes there are)"
        );
        let prompts = completions / group;
        ensure!(
            prompts.is_multiple_of(updates),
            "a rollout phase has {prompts} problems for {updates} updates: the lab gives each update whole groups, TRL mixes completions; make per_device_train_batch_size times gradient_accumulation_steps times processes a multiple of num_generations = {group}"
        );
        batch.phase = Some(Phase {
            prompts,
            group,
            updates,
            iterations: positive("num_iterations", 1)?,
            micro_batches,
        });
        Ok(batch)
    }

    /// States what the batch is.
    pub(super) fn write(&self, trainer: Trainer, draft: &mut Draft, decided: &mut Decided) {
        let update = self.micro * self.accumulated;
        let product = format!(
            "{} a micro-batch over all processes times {} accumulated are {update} an update",
            self.micro, self.accumulated
        );
        decided.note("per_device_train_batch_size", product.clone());
        decided.note("gradient_accumulation_steps", product);
        let Some(phase) = self.phase else {
            let key = match trainer {
                Trainer::Gkd => "algorithm.prompts_per_generation",
                _ => "algorithm.batch_size",
            };
            draft.set(key, update as i64);
            return;
        };
        draft.set("algorithm.prompts_per_generation", phase.prompts as i64);
        draft.set("algorithm.steps_per_generation", phase.updates as i64);
        let note = format!(
            "{} micro-batches, {} of which make an update here, are {} updates with {} problems of {} completions",
            phase.micro_batches, self.accumulated, phase.updates, phase.prompts, phase.group
        );
        decided.note("steps_per_generation", note.clone());
        decided.note("generation_batch_size", note);
        decided.remarks.push(format!(
            "steps_per_generation counts updates here ({}) and micro-batches in TRL ({}).",
            phase.updates, phase.micro_batches
        ));
    }

    /// Updates of so many epochs over so many rows, as TRL's samplers and transformers'
    /// trainer count them.
    pub(super) fn steps(&self, rows: u64, epochs: f64) -> Result<u64> {
        let micro_batches = match self.phase {
            // Whole phases only; what is left over of the rows is dropped.
            Some(phase) => {
                let prompts = self.micro * phase.micro_batches / phase.group;
                rows / prompts.max(1) * phase.micro_batches * phase.iterations
            }
            None => rows.div_ceil(self.micro),
        };
        ensure!(
            micro_batches > 0,
            "--rows {rows}: fewer than the problems of one rollout phase, of which TRL would train on none"
        );
        let of_an_epoch = micro_batches.div_ceil(self.accumulated);
        Ok((epochs * of_an_epoch as f64).ceil().max(1.0) as u64)
    }
}
