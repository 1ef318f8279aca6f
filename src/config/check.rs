//! What no type could say of a definition: names that exist, numbers that fit
//! each other. Each refusal names the key and the way out.

mod stages;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::{BaseSettings, BaseSource, Definition, ExampleSettings};
use crate::tasks::corpus::Corpus;
use crate::tasks::{self, Mix, PROBLEM, Task};

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
        self.check_graph()?;
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
}

fn is_a_folder_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
