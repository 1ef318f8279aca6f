//! What no type could say of a definition: names that exist, numbers that fit
//! each other. Each refusal names the key and the way out.

use anyhow::{Context, Result, bail, ensure};

use super::{
    AlgorithmSettings, ArmSettings, BaseSettings, Definition, TeacherSettings, build_rewards,
};
use crate::tasks;
use crate::training::TrainingSettings;

/// Names that mean something else than an arm.
const RESERVED: [&str; 2] = ["base", "teacher"];

impl Definition {
    /// What no type could say: names that exist, numbers that fit each other.
    pub(super) fn check(&self) -> Result<()> {
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
            tasks::by_name(name).context("tasks.names")?;
            ensure!(
                !self.tasks.names[..index].contains(name),
                "tasks.names has {name} twice"
            );
        }
        ensure!(
            !self.tasks.names.is_empty(),
            "tasks.names is empty: name at least one task"
        );
        ensure!(
            self.tasks.validation_problems > 0,
            "tasks.validation_problems = 0: learning curves need at least one"
        );
        check_sampling(
            "rollout",
            self.rollout.temperature,
            self.rollout.max_new_tokens,
        )?;
        ensure!(
            self.rollout.temperature > 0.0,
            "rollout.temperature = 0: greedy samples of one problem are all alike, so no group has an advantage"
        );
        check_sampling(
            "evaluation",
            self.evaluation.temperature,
            self.evaluation.max_new_tokens,
        )?;
        ensure!(
            self.evaluation.samples > 0,
            "evaluation.samples = 0: ask each item at least once"
        );
        self.check_base("base", &self.base)?;
        if let Some(teacher) = &self.teacher {
            self.check_teacher(teacher)?;
        }
        ensure!(
            !self.arm.is_empty(),
            "there is no arm: add [arm.NAME.algorithm.sft] or [arm.NAME.algorithm.grpo]"
        );
        for (name, arm) in &self.arm {
            self.check_arm(name, arm)?;
        }
        Ok(())
    }

    fn check_base(&self, place: &str, base: &BaseSettings) -> Result<()> {
        base.shape
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.shape.{error}"))?;
        base.pretraining
            .training
            .resolve(
                &TrainingSettings::default(),
                &format!("{place}.pretraining.training"),
            )
            .map_err(anyhow::Error::msg)?;
        ensure!(
            base.pretraining.batch_size > 0,
            "{place}.pretraining.batch_size = 0: an update needs a document"
        );
        ensure!(
            base.pretraining.focus_weight.is_finite() && base.pretraining.focus_weight > 0.0,
            "{place}.pretraining.focus_weight = {}: it must be above 0",
            base.pretraining.focus_weight
        );
        let needed = self
            .rollout
            .max_new_tokens
            .max(self.evaluation.max_new_tokens) as i64;
        ensure!(
            base.shape.context > needed,
            "{place}.shape.context = {}: it must hold a prompt and {needed} new tokens",
            base.shape.context
        );
        tasks::corpus::Corpus::new(&self.tasks.names, base.pretraining.corpus)
            .with_context(|| format!("{place}.pretraining.corpus"))?;
        Ok(())
    }

    fn check_teacher(&self, teacher: &TeacherSettings) -> Result<()> {
        if teacher.traces.file.is_some() {
            ensure!(
                teacher.base.is_none() && teacher.algorithm.is_none(),
                "teacher has both a recording (traces.file) and a model to train: keep one of them"
            );
            return Ok(());
        }
        let (Some(base), Some(algorithm)) = (&teacher.base, &teacher.algorithm) else {
            bail!(
                "teacher needs either teacher.traces.file, or teacher.base and teacher.algorithm"
            );
        };
        ensure!(
            !algorithm.imitates(),
            "teacher.algorithm: a teacher is trained by reinforcement; use grpo"
        );
        ensure!(
            teacher.traces.problems > 0,
            "teacher.traces.problems = 0: there would be nothing to imitate"
        );
        ensure!(
            teacher.traces.samples > 0,
            "teacher.traces.samples = 0: there would be nothing to imitate"
        );
        self.check_base("teacher.base", base)?;
        self.check_training("teacher", algorithm, &teacher.reward, &teacher.training)
    }

    fn check_arm(&self, name: &str, arm: &ArmSettings) -> Result<()> {
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
        self.check_training(
            &format!("arm.{name}"),
            &arm.algorithm,
            &arm.reward,
            &arm.training,
        )
    }

    fn check_training(
        &self,
        place: &str,
        algorithm: &AlgorithmSettings,
        reward: &toml::Table,
        training: &TrainingSettings,
    ) -> Result<()> {
        algorithm
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.algorithm: {error}"))?;
        training
            .resolve(&self.training, &format!("{place}.training"))
            .map_err(anyhow::Error::msg)?;
        if algorithm.imitates() {
            ensure!(
                reward.is_empty(),
                "{place}.reward: sft imitates and rewards nothing; remove it"
            );
        } else {
            ensure!(
                !reward.is_empty(),
                "{place} has no reward: add [{place}.reward] with correct = 1.0"
            );
            build_rewards(reward).with_context(|| format!("{place}.reward"))?;
        }
        Ok(())
    }
}

fn check_sampling(place: &str, temperature: f64, max_new_tokens: usize) -> Result<()> {
    ensure!(
        temperature.is_finite() && temperature >= 0.0,
        "{place}.temperature = {temperature}: it must be a number of 0 or more"
    );
    ensure!(
        max_new_tokens > 0,
        "{place}.max_new_tokens = 0: nothing could be answered"
    );
    Ok(())
}

fn is_a_folder_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
