//! What no type could say of a definition: names that exist, numbers that fit
//! each other. Each refusal names the key and the way out.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use rewards::{human_cost, length_cost, overlong};

use super::{
    AlgorithmSettings, ArmSettings, BaseSettings, BaseSource, Definition, ExampleSettings,
    TeacherSettings,
};
use crate::tasks::corpus::Corpus;
use crate::tasks::{self, Mix, PROBLEM, Task};
use crate::training::TrainingSettings;

/// Names that mean something else than an arm.
const RESERVED: [&str; 2] = ["base", "teacher"];

/// What a chat template is told of the conversation itself.
pub(crate) const OF_THE_CONVERSATION: [&str; 2] = ["messages", "add_generation_prompt"];

/// Refuses a table of rewards that cannot be built.
type CheckRewards<'a> = &'a dyn Fn(&toml::Table) -> Result<()>;

impl Definition {
    /// What no type could say: names that exist, numbers that fit each other.
    pub(super) fn check(
        &self,
        opened: Vec<Arc<dyn Task>>,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        ensure!(
            !self.experiment.seeds.is_empty(),
            "experiment.seeds is empty: name at least one training seed"
        );
        for (index, seed) in self.experiment.seeds.iter().enumerate() {
            ensure!(
                !self.experiment.seeds[..index].contains(seed),
                "experiment.seeds names {seed} twice"
            );
        }
        ensure!(
            self.experiment.threads > 0,
            "experiment.threads = 0: a training needs a thread"
        );
        ensure!(
            is_a_folder_name(&self.experiment.name),
            "experiment.name = {:?}: use letters, digits, '-' and '_', it names a folder",
            self.experiment.name
        );
        for (index, name) in self.tasks.names.iter().enumerate() {
            ensure!(
                !self.tasks.names[..index].contains(name),
                "tasks.names has {name} twice"
            );
        }
        ensure!(
            !self.tasks.names.is_empty(),
            "tasks.names is empty: name at least one task"
        );
        for task in self.tasks.settings.keys() {
            ensure!(
                self.tasks.names.contains(task),
                "tasks.settings.{task}: tasks.names has no such task"
            );
        }
        self.check_data()?;
        let mix = Mix::of(opened, self.tasks.proportions()).context("tasks.names")?;
        ensure!(
            self.tasks.validation_problems > 0,
            "tasks.validation_problems = 0: learning curves need at least one"
        );
        for (task, instruction) in &self.tasks.instructions {
            ensure!(
                self.tasks.names.contains(task),
                "tasks.instructions.{task}: tasks.names has no such task"
            );
            ensure!(
                instruction.contains(PROBLEM),
                "tasks.instructions.{task}: it does not hold {PROBLEM}, so no problem would be asked"
            );
        }
        self.rollout
            .check()
            .map_err(|error| anyhow::anyhow!("rollout.{error}"))?;
        ensure!(
            self.rollout.temperature > 0.0,
            "rollout.temperature = 0: greedy samples of one problem are all alike, so no group has an advantage"
        );
        self.evaluation
            .sampling()
            .check()
            .map_err(|error| anyhow::anyhow!("evaluation.{error}"))?;
        ensure!(
            self.evaluation.samples > 0,
            "evaluation.samples = 0: ask each item at least once"
        );
        self.check_base("base", &self.base, &mix)?;
        if let Some(teacher) = &self.teacher {
            self.check_teacher(teacher, &mix, rewards)?;
        }
        ensure!(
            !self.arm.is_empty(),
            "there is no arm: add [arm.NAME.algorithm.sft] or [arm.NAME.algorithm.grpo]"
        );
        for (name, arm) in &self.arm {
            self.check_arm(name, arm, &mix, rewards)?;
        }
        self.check_chains()?;
        self.check_questions()
    }

    /// What is said of data sets, and of how models are asked.
    fn check_data(&self) -> Result<()> {
        let tasks = &self.tasks;
        for name in tasks.data.keys() {
            ensure!(
                tasks.names.contains(name),
                "tasks.data.{name}: tasks.names has no such task; add it there"
            );
            ensure!(
                is_a_folder_name(name),
                "tasks.data.{name:?}: use letters, digits, '-' and '_', it names a task"
            );
            ensure!(
                tasks::by_name(name).is_err(),
                "tasks.data.{name}: the lab has a task of that name; choose another"
            );
            ensure!(
                !tasks.settings.contains_key(name),
                "tasks.settings.{name}: a data set has nothing to set there; its keys stand in tasks.data.{name}"
            );
        }
        for (name, examples) in &tasks.examples {
            let place = format!("tasks.examples.{name}");
            ensure!(
                tasks.names.contains(name),
                "{place}: tasks.names has no such task"
            );
            if let ExampleSettings::Given(given) = examples {
                let says = |text: &str| !text.trim().is_empty();
                ensure!(
                    given
                        .iter()
                        .all(|one| says(&one.problem) && says(&one.answer)),
                    "{place}: an example has an empty problem or answer"
                );
            }
        }
        for name in tasks.chat_template_kwargs.keys() {
            ensure!(
                !OF_THE_CONVERSATION.contains(&name.as_str()),
                "tasks.chat_template_kwargs.{name}: it is what the lab itself tells the template; remove it"
            );
        }
        Ok(())
    }

    fn check_base(&self, place: &str, base: &BaseSettings, mix: &Mix) -> Result<()> {
        let BaseSource::Pretrained(shape, pretraining) = base.source(place)? else {
            return Ok(());
        };
        shape
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.shape.{error}"))?;
        pretraining.resolve(&format!("{place}.pretraining.training"))?;
        ensure!(
            pretraining.training.keep_best != Some(true),
            "{place}.pretraining.training.keep_best = true: a base is what its last update left, and nothing else of it is kept; remove the key"
        );
        ensure!(
            pretraining.batch_size > 0,
            "{place}.pretraining.batch_size = 0: an update needs a document"
        );
        ensure!(
            pretraining.focus_weight.is_finite() && pretraining.focus_weight > 0.0,
            "{place}.pretraining.focus_weight = {}: it must be above 0",
            pretraining.focus_weight
        );
        let needed = self
            .rollout
            .max_new_tokens
            .max(self.evaluation.max_new_tokens) as i64;
        ensure!(
            shape.context > needed,
            "{place}.shape.context = {}: it must hold a prompt and {needed} new tokens",
            shape.context
        );
        Corpus::of(mix, pretraining.corpus)
            .with_context(|| format!("{place}.pretraining.corpus"))?;
        Ok(())
    }

    /// What an arm or the teacher learns from.
    fn check_tasks(&self, place: &str, tasks: Option<&[String]>, mix: &Mix) -> Result<()> {
        for (index, name) in tasks.unwrap_or_default().iter().enumerate() {
            ensure!(
                self.tasks.names.contains(name),
                "{place}.tasks: {name} is not among tasks.names, which are {}",
                self.tasks.names.join(", ")
            );
            ensure!(
                !tasks.unwrap_or_default()[..index].contains(name),
                "{place}.tasks has {name} twice"
            );
        }
        let learned_from = mix.learned_from(tasks);
        learned_from
            .with_context(|| format!("{place}.tasks"))
            .map(drop)
    }

    fn check_teacher(
        &self,
        teacher: &TeacherSettings,
        mix: &Mix,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        self.check_tasks("teacher", teacher.tasks.as_deref(), mix)?;
        let traces = &teacher.traces;
        let shown = traces
            .problems
            .max(traces.held_out)
            .saturating_mul(traces.samples as u64);
        ensure!(
            shown <= 10_000_000,
            "teacher.traces asks for {shown} samples, at most 10,000,000 are taken"
        );
        ensure!(
            !(traces.file.is_some() && traces.worked),
            "teacher.traces has both a recording (file) and worked solutions: keep one of them"
        );
        ensure!(
            traces.max_length.is_none_or(|length| length >= 2),
            "teacher.traces.max_length = {}: a prompt and a completion have two tokens at least",
            traces.max_length.unwrap_or_default()
        );
        ensure!(
            !traces.assistant_only_loss || traces.file.is_some(),
            "teacher.traces.assistant_only_loss = true needs conversations: name them with teacher.traces.file"
        );
        if traces.file.is_some() || traces.worked {
            ensure!(
                teacher.base.is_none() && teacher.algorithm.is_none(),
                "teacher has both traces that are there (traces.file or traces.worked) and a model: keep one of them"
            );
            ensure!(
                traces.file.is_some() || traces.problems > 0,
                "teacher.traces.problems = 0: there would be nothing to imitate"
            );
            return Ok(());
        }
        let Some(base) = &teacher.base else {
            bail!("teacher needs teacher.traces.file, teacher.traces.worked, or teacher.base");
        };
        let judges = self.arm.values().any(|arm| arm.algorithm.distils());
        let shows = self.arm.values().any(|arm| arm.algorithm.imitates());
        ensure!(
            teacher.traces.problems > 0 || (judges && !shows),
            "teacher.traces.problems = 0: there would be nothing to imitate"
        );
        ensure!(
            teacher.traces.samples > 0,
            "teacher.traces.samples = 0: there would be nothing to imitate"
        );
        self.check_base("teacher.base", base, mix)?;
        let Some(algorithm) = &teacher.algorithm else {
            ensure!(
                matches!(base.source("teacher.base")?, BaseSource::Model(_)),
                "teacher has a base to pre-train but no algorithm: add [teacher.algorithm.grpo], or name a model with teacher.base.model"
            );
            ensure!(
                !traces.best_only || !teacher.reward.is_empty(),
                "teacher.traces.best_only needs a [teacher.reward] to tell the best by"
            );
            if !teacher.reward.is_empty() {
                rewards(&teacher.reward).context("teacher.reward")?;
            }
            return Ok(());
        };
        ensure!(
            !algorithm.imitates() && !algorithm.distils(),
            "teacher.algorithm: a teacher is trained by reinforcement; use grpo"
        );
        self.check_training(
            "teacher",
            algorithm,
            &teacher.reward,
            &teacher.training,
            rewards,
        )
    }

    fn check_arm(
        &self,
        name: &str,
        arm: &ArmSettings,
        mix: &Mix,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        self.check_tasks(&format!("arm.{name}"), arm.tasks.as_deref(), mix)?;
        ensure!(
            !RESERVED.contains(&name),
            "arm.{name}: {name} already names a model of the experiment; choose another name"
        );
        ensure!(
            is_a_folder_name(name),
            "arm.{name}: use letters, digits, '-' and '_', it names a folder"
        );
        if arm.algorithm.imitates() {
            ensure!(
                self.teacher.is_some(),
                "arm.{name} imitates, but there is no [teacher]: add one, or a recording with [teacher.traces] file = \"…\""
            );
        }
        if let Some(altered) = &arm.altered {
            ensure!(
                arm.algorithm.imitates(),
                "arm.{name}.altered: it imitates no traces; remove the key"
            );
            let recorded = self
                .teacher
                .as_ref()
                .is_some_and(|t| t.traces.file.is_some());
            ensure!(
                !recorded,
                "arm.{name}.altered: only the lab's own traces can be altered, not those of teacher.traces.file"
            );
            altered
                .check()
                .with_context(|| format!("arm.{name}.altered"))?;
        }
        if arm.algorithm.distils() {
            ensure!(
                self.teacher.as_ref().is_some_and(TeacherSettings::is_model),
                "arm.{name} asks the teacher for log-probabilities, but no [teacher] has a model: add [teacher.base]"
            );
        }
        if let Some(lora) = &arm.lora {
            lora.check()
                .map_err(|error| anyhow::anyhow!("arm.{name}.lora.{error}"))?;
            ensure!(
                arm.algorithm.build().reference_sync().is_none(),
                "arm.{name}: sync_ref_model = true with lora: the reference is the model without its adapter, which does not change; remove one of the two"
            );
        }
        if let Some(sampler) = &arm.sampler {
            ensure!(
                matches!(arm.algorithm, AlgorithmSettings::Grpo(_)),
                "arm.{name}.sampler: only grpo corrects for another engine's samples; remove the table, or train by grpo"
            );
            ensure!(
                self.rollout.stop.is_empty(),
                "rollout.stop with arm.{name}.sampler: servers differ in which tokens of a stop string they give back; remove one of the two"
            );
            sampler
                .check()
                .map_err(|error| anyhow::anyhow!("arm.{name}.sampler.{error}"))?;
        }
        self.check_training(
            &format!("arm.{name}"),
            &arm.algorithm,
            &arm.reward,
            &arm.training,
            rewards,
        )
    }

    fn check_training(
        &self,
        place: &str,
        algorithm: &AlgorithmSettings,
        reward: &toml::Table,
        training: &TrainingSettings,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        algorithm
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.algorithm: {error}"))?;
        training
            .resolve(&self.training, &format!("{place}.training"))
            .map_err(anyhow::Error::msg)?;
        self.check_rewards_here(place, reward)?;
        if algorithm.imitates() {
            ensure!(
                reward.is_empty(),
                "{place}.reward: sft imitates and rewards nothing; remove it"
            );
        } else if algorithm.distils() {
            // Rewards tell of the samples here; nothing is learned from them.
            if !reward.is_empty() {
                rewards(reward).with_context(|| format!("{place}.reward"))?;
            }
        } else {
            ensure!(
                !reward.is_empty(),
                "{place} has no reward: add [{place}.reward] with correct = 1.0"
            );
            rewards(reward).with_context(|| format!("{place}.reward"))?;
            ensure!(
                !weighs_nothing(reward),
                "{place}.reward: every reward has weight 0, which tells and teaches nothing; give one a weight"
            );
        }
        Ok(())
    }
}

impl Definition {
    /// What a reward table asks for that only the rest of the definition shows to be
    /// nonsense: tasks that there are not, and lengths beyond the token cap.
    fn check_rewards_here(&self, place: &str, reward: &toml::Table) -> Result<()> {
        let cap = self.rollout.max_new_tokens;
        for (name, entry) in reward {
            let is = entry
                .get("is")
                .and_then(toml::Value::as_str)
                .unwrap_or(name);
            let number = |key: &str| {
                let number = entry.get(key).and_then(toml::Value::as_integer);
                number.and_then(|number| usize::try_from(number).ok())
            };
            // A length cost may be shared out over another length than the cap.
            let keys: &[&str] = match is {
                length_cost::NAME if number("max_tokens").is_none() => &["target_tokens"],
                overlong::NAME => &["max_tokens", "cache"],
                _ => &[],
            };
            for key in keys {
                if let Some(tokens) = number(key) {
                    ensure!(
                        tokens <= cap,
                        "{place}.reward.{name}.{key} = {tokens}: completions end at rollout.max_new_tokens = {cap}"
                    );
                }
            }
            let tasks = entry.get("tasks").and_then(toml::Value::as_array);
            for task in tasks.into_iter().flatten().filter_map(toml::Value::as_str) {
                ensure!(
                    is != human_cost::NAME || self.tasks.names.iter().any(|known| known == task),
                    "{place}.reward.{name}.tasks: {task} is not among tasks.names, which are {}",
                    self.tasks.names.join(", ")
                );
            }
        }
        Ok(())
    }
}

/// Whether no reward of a table has a weight.
fn weighs_nothing(reward: &toml::Table) -> bool {
    reward.values().all(|entry| {
        let weight = entry.get("weight").unwrap_or(entry);
        let weight = weight.as_float().or(weight.as_integer().map(|w| w as f64));
        weight == Some(0.0)
    })
}

fn is_a_folder_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
