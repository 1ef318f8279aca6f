//! What becomes of settings that only mean something together: batches, steps, schedule,
//! rewards, the adapter.

mod batch;
mod rewards;

use anyhow::{Result, bail, ensure};
use indexmap::IndexMap;

use super::draft::Draft;
use super::settings::{Settings, number, wrong};
use super::{Known, Trainer};
use batch::Batch;

/// What was decided, for the report.
#[derive(Debug, Default)]
pub(super) struct Decided {
    /// What a key became, in a sentence.
    pub(super) notes: IndexMap<&'static str, String>,
    /// What is to be known of the whole, at the definition's head.
    pub(super) remarks: Vec<String>,
}

impl Decided {
    /// Decides, and writes into the draft.
    pub(super) fn all(
        settings: &Settings,
        trainer: Trainer,
        known: Known,
        draft: &mut Draft,
    ) -> Result<Self> {
        let mut decided = Self::default();
        let batch = Batch::of(settings, trainer, known.processes)?;
        batch.write(trainer, draft, &mut decided);
        let steps = decided.steps(settings, &batch, known, draft)?;
        decided.schedule(settings, steps, draft)?;
        decided.formats(settings, draft)?;
        rewards::write(settings, trainer, draft, &mut decided)?;
        decided.model(settings, draft)?;
        let seed = settings.count("seed")?.unwrap_or(42);
        draft.set("experiment.seeds", vec![seed as i64]);
        if let Some(log) = settings.flag("log_completions")? {
            draft.set("experiment.log_completions", log);
        }
        Ok(decided)
    }

    fn note(&mut self, key: &'static str, note: impl Into<String>) {
        self.notes.insert(key, note.into());
    }

    /// Updates: `max_steps`, or the epochs where the number of rows is known.
    fn steps(
        &mut self,
        settings: &Settings,
        batch: &Batch,
        known: Known,
        draft: &mut Draft,
    ) -> Result<Option<u64>> {
        let stated = settings.number("max_steps")?.filter(|steps| *steps > 0.0);
        let epochs = settings.number("num_train_epochs")?.unwrap_or(3.0);
        let steps = match (stated, known.rows) {
            (Some(steps), _) => {
                ensure!(
                    steps.fract() == 0.0,
                    "max_steps = {steps}: it is a whole number"
                );
                self.note(
                    "num_train_epochs",
                    "max_steps is stated and wins, as in TRL",
                );
                Some(steps as u64)
            }
            (None, Some(rows)) => {
                let steps = batch.steps(rows, epochs)?;
                self.note(
                    "num_train_epochs",
                    format!("{epochs} epochs of {rows} rows are {steps} updates"),
                );
                self.note("max_steps", "not above 0, so the epochs decide");
                Some(steps)
            }
            (None, None) => {
                self.note(
                    "num_train_epochs",
                    "say the number of rows with --rows, and the steps are worked out",
                );
                self.note("max_steps", "not above 0, so the epochs decide");
                let note =
                    format!("the updates of {epochs} epochs; from-trl --rows N works them out");
                draft.missing("training.steps", &note);
                None
            }
        };
        if let Some(steps) = steps {
            draft.set("training.steps", steps as i64);
        }
        Ok(steps)
    }

    fn schedule(
        &mut self,
        settings: &Settings,
        steps: Option<u64>,
        draft: &mut Draft,
    ) -> Result<()> {
        let name = settings.text("lr_scheduler_type")?.unwrap_or("linear");
        let (schedule, warms_up) = match name {
            "linear" => ("linear", true),
            "cosine" | "cosine_with_min_lr" => ("cosine", true),
            "constant" => ("constant", false),
            "constant_with_warmup" => ("constant", true),
            other => bail!(
                "lr_scheduler_type = {other:?}: the lab's schedules are linear, cosine, cosine_with_min_lr, constant and constant_with_warmup; choose one of them"
            ),
        };
        draft.set("training.schedule", schedule);
        if let Some(kwargs) = settings.get("lr_scheduler_kwargs") {
            let of = |key: &str| kwargs.get(key).and_then(number);
            let rate = settings.number("learning_rate")?;
            let ratio = match (of("min_lr_rate"), of("min_lr"), rate) {
                (Some(ratio), ..) => Some(ratio),
                (None, Some(least), Some(rate)) => Some(least / rate),
                _ => None,
            };
            let known = kwargs.as_object().is_some_and(|kwargs| {
                kwargs
                    .keys()
                    .all(|key| ["min_lr_rate", "min_lr"].contains(&key.as_str()))
            });
            match ratio {
                Some(ratio) if known && name == "cosine_with_min_lr" => {
                    draft.set("training.final_ratio", ratio);
                }
                _ if kwargs.as_object().is_some_and(serde_json::Map::is_empty) => {}
                _ => {
                    return Err(wrong(
                        "lr_scheduler_kwargs",
                        kwargs,
                        "min_lr_rate, or min_lr with learning_rate, for cosine_with_min_lr (the lab has no other)",
                    ));
                }
            }
        }
        let warmup = settings.number("warmup_steps")?.unwrap_or(0.0);
        if !warms_up && warmup > 0.0 {
            self.note(
                "warmup_steps",
                "0, as \"constant\" has none in transformers",
            );
        } else if warmup >= 1.0 {
            draft.set("training.warmup_steps", warmup as i64);
        } else if warmup > 0.0 {
            match steps {
                Some(steps) => {
                    let warmup_steps = (warmup * steps as f64).ceil() as i64;
                    draft.set("training.warmup_steps", warmup_steps);
                    self.note(
                        "warmup_steps",
                        format!("a share of {warmup} of {steps} updates is {warmup_steps}"),
                    );
                }
                None => draft.missing(
                    "training.warmup_steps",
                    &format!("a share of {warmup} of the updates"),
                ),
            }
        }
        // 0 is no bound in transformers.
        match settings.number("max_grad_norm")? {
            Some(0.0) => {
                draft.noted("training.max_grad_norm", 1e30, "no bound");
                self.note("max_grad_norm", "0 is no bound in TRL");
            }
            Some(norm) => draft.set("training.max_grad_norm", norm),
            None => {}
        }
        Ok(())
    }

    fn formats(&mut self, settings: &Settings, draft: &mut Draft) -> Result<()> {
        match settings.flag("bf16")? {
            Some(true) => draft.set("training.dtype", "bfloat16"),
            Some(false) if settings.flag("fp16")? != Some(true) => {
                draft.set("training.dtype", "float32");
            }
            _ => self.note("bf16", "nothing stated, so the lab takes the faster format"),
        }
        Ok(())
    }

    /// The base and its adapter.
    fn model(&mut self, settings: &Settings, draft: &mut Draft) -> Result<()> {
        let revision = settings
            .text("model_revision")?
            .filter(|name| *name != "main");
        match (settings.text("model_name_or_path")?, revision) {
            (Some(name), Some(revision)) => draft.set("base.model", format!("{name}@{revision}")),
            (Some(name), None) => draft.set("base.model", name),
            (None, _) => {}
        }
        if settings.flag("use_peft")? != Some(true) {
            for key in [
                "lora_r",
                "lora_alpha",
                "lora_dropout",
                "lora_target_modules",
            ] {
                self.note(
                    key,
                    "use_peft is not true, so it does nothing in TRL either",
                );
            }
            return Ok(());
        }
        draft.set("lora.r", settings.count("lora_r")?.unwrap_or(16) as i64);
        draft.set("lora.alpha", settings.number("lora_alpha")?.unwrap_or(32.0));
        draft.set(
            "lora.dropout",
            settings.number("lora_dropout")?.unwrap_or(0.05),
        );
        draft.set("lora.rslora", settings.flag("use_rslora")?.unwrap_or(false));
        draft.set("lora.dora", settings.flag("use_dora")?.unwrap_or(false));
        let modules = settings.get("lora_target_modules");
        let words = modules.and_then(serde_json::Value::as_array);
        match (modules, words) {
            (None, _) => draft.set("lora.target_modules", "peft"),
            (_, Some(words)) => {
                let words: Option<Vec<&str>> = words.iter().map(|word| word.as_str()).collect();
                let Some(words) = words else {
                    bail!("lora_target_modules: it is a list of names");
                };
                match words[..] {
                    ["all-linear"] => draft.set("lora.target_modules", "all-linear"),
                    _ => draft.set("lora.target_modules", words),
                }
            }
            (Some(modules), None) => match modules.as_str() {
                Some("all-linear") => draft.set("lora.target_modules", "all-linear"),
                Some(name) => draft.set("lora.target_modules", vec![name]),
                None => return Err(wrong("lora_target_modules", modules, "names")),
            },
        }
        Ok(())
    }
}

/// States TRL's defaults where the lab's differ, and what TRL's settings never say.
pub(super) fn complete(settings: &Settings, trainer: Trainer, draft: &mut Draft) -> Result<()> {
    let name = format!("trl-{}", trainer.name());
    draft.stub("experiment.name", name.as_str(), "a name");
    let title = format!("TRL's {} in the lab", trainer.name());
    draft.stub("experiment.title", title, "a title for people");
    draft.stub(
        "experiment.hypothesis",
        "None yet.",
        "what is expected, and why",
    );
    let data = settings.text("dataset_name")?.map_or_else(
        || "what is learned, a task of the lab or [tasks.data] NAME = FILE".to_owned(),
        |name| format!("what is learned; a file of {name} goes by [tasks.data] NAME = \"hf://datasets/{name}/FILE\""),
    );
    draft.stub("tasks.names", vec!["addition_digit"], &data);
    draft.stub(
        "base.model",
        "smollm2-135m-instruct",
        "the model to start from",
    );
    if trainer == Trainer::Gkd {
        match settings.text("teacher_model_name_or_path")? {
            Some(name) => draft.set("teacher.base.model", name),
            None => draft.stub("teacher.base.model", "smollm2-135m-instruct", "the teacher"),
        }
        draft.stub(
            "teacher.traces.problems",
            1,
            "what the teacher shows of itself; gkd reads its logits",
        );
        if !draft.has("rollout.temperature") {
            draft.set("rollout.temperature", 0.9);
        }
        if !draft.has("rollout.max_new_tokens") {
            draft.set("rollout.max_new_tokens", 128);
        }
    }
    let (temperature, tokens, samples) = (
        settings.number("temperature")?,
        settings
            .count("max_completion_length")?
            .or(settings.count("max_new_tokens")?),
        settings.count("num_generations")?,
    );
    match trainer {
        Trainer::Grpo | Trainer::Rloo => {
            if trainer == Trainer::Grpo {
                draft.noted("algorithm.old_logprobs", "recomputed", "as in TRL");
            }
            let group = if trainer == Trainer::Grpo { 8 } else { 2 };
            if !draft.has("evaluation.samples") {
                draft.set("evaluation.samples", samples.unwrap_or(group) as i64);
            }
        }
        Trainer::Sft | Trainer::Gkd => {
            draft.stub(
                "demonstrations.worked",
                true,
                "the tasks' own solutions; or file = FILE, a data set",
            );
            draft.stub("demonstrations.problems", 100, "how many of them");
            draft.stub(
                "evaluation.samples",
                4,
                "TRL samples nothing to evaluate by",
            );
            if !settings.0.contains_key("max_length") {
                draft.noted(
                    "demonstrations.max_length",
                    1024,
                    "TRL's default; longer ones are left out, TRL cuts them",
                );
            }
        }
    }
    if !draft.has("rollout.max_new_tokens") {
        draft.set("rollout.max_new_tokens", 512);
    }
    let temperature = temperature.unwrap_or(if trainer == Trainer::Gkd { 0.9 } else { 1.0 });
    let least = if trainer == Trainer::Gkd { 128 } else { 512 };
    draft.set("evaluation.temperature", temperature);
    draft.set("evaluation.max_new_tokens", tokens.unwrap_or(least) as i64);
    Ok(())
}
