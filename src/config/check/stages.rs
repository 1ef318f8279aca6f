//! What no type could say of an arm or the teacher.

use anyhow::{Context, Result, bail, ensure};
use rewards::{human_cost, length_cost, overlong};

use super::CheckRewards;
use super::warnings::warn_as_trl_does;
use crate::config::graph::{BASE, TEACHER};
use crate::config::{AlgorithmSettings, BaseSource, Definition, StageSettings};
use crate::tasks::{Mix, is_a_folder_name};

/// Names that mean something else than an arm.
const RESERVED: [&str; 2] = [BASE, TEACHER];

impl Definition {
    pub(super) fn check_teacher(
        &self,
        teacher: &StageSettings,
        mix: &Mix,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        let Some(traces) = &teacher.traces else {
            bail!("teacher.traces is missing: say what the students are shown of the teacher");
        };
        traces.check("teacher.traces")?;
        self.check_seeds(teacher)?;
        if traces.are_there() {
            ensure!(
                !teacher.is_model() && teacher.algorithm.is_none(),
                "teacher has both traces that are there (traces.file or traces.worked) and a model: keep one of them"
            );
            return self.check_tasks(TEACHER, teacher.tasks.as_deref(), mix);
        }
        ensure!(
            teacher.is_model(),
            "teacher needs teacher.traces.file, teacher.traces.worked, teacher.base, or teacher.init"
        );
        ensure!(
            teacher.base.is_none() || teacher.init.is_none(),
            "teacher has both a base and an init: keep one of them"
        );
        let judges = self.arm.values().any(StageSettings::distils);
        let shows = self.arm.values().any(StageSettings::imitates);
        ensure!(
            traces.problems > 0 || (judges && !shows),
            "teacher.traces.problems = 0: there would be nothing to imitate"
        );
        if let Some(base) = &teacher.base {
            base.check("teacher.base", self.needed_context(), mix)?;
            ensure!(
                teacher.algorithm.is_some()
                    || matches!(base.source("teacher.base")?, BaseSource::Model(_)),
                "teacher has a base to pre-train but no algorithm: add [teacher.algorithm.grpo], or name a model with teacher.base.model"
            );
        }
        ensure!(
            !teacher.distils(),
            "teacher.algorithm: a teacher has no teacher to judge it; use grpo, or sft with teacher.demonstrations"
        );
        ensure!(
            !teacher.imitates() || teacher.demonstrations.is_some(),
            "teacher.algorithm.sft: say what the teacher imitates with [teacher.demonstrations], file = \"…\" or worked = true"
        );
        ensure!(
            !traces.best_only || !teacher.reward.is_empty(),
            "teacher.traces.best_only needs a [teacher.reward] to tell the best by"
        );
        if teacher.algorithm.is_none() {
            if !teacher.reward.is_empty() {
                rewards(&teacher.reward).context("teacher.reward")?;
            }
            ensure!(
                teacher.lora.is_none() && teacher.sampler.is_none(),
                "teacher has a lora or a sampler but no algorithm: add [teacher.algorithm.grpo]"
            );
        }
        self.check_stage(TEACHER, teacher, mix, rewards)
    }

    /// The seeds of teachers, each of which has as many students.
    fn check_seeds(&self, teacher: &StageSettings) -> Result<()> {
        let (teachers, seeds) = (&teacher.seeds, &self.experiment.seeds);
        if teachers.is_empty() {
            return Ok(());
        }
        ensure!(
            teacher.seed.is_none(),
            "teacher has both a seed and seeds: keep one of them"
        );
        ensure!(
            teacher.is_model(),
            "teacher.seeds: the teacher is no model that could be trained with several seeds; remove the key"
        );
        for (index, seed) in teachers.iter().enumerate() {
            ensure!(
                !teachers[..index].contains(seed),
                "teacher.seeds names {seed} twice"
            );
        }
        ensure!(
            seeds.len().is_multiple_of(teachers.len()),
            "teacher.seeds has {} teachers and experiment.seeds {} seeds: give each teacher as many students, \
             with {} seeds for instance",
            teachers.len(),
            seeds.len(),
            teachers.len() * seeds.len().div_ceil(teachers.len())
        );
        Ok(())
    }

    pub(super) fn check_arm(
        &self,
        name: &str,
        arm: &StageSettings,
        mix: &Mix,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        let place = format!("arm.{name}");
        ensure!(
            !RESERVED.contains(&name),
            "{place}: {name} already names a model of the experiment; choose another name"
        );
        ensure!(
            is_a_folder_name(name),
            "{place}: use letters, digits, '-' and '_', it names a folder"
        );
        for (key, is_there) in [
            ("base", arm.base.is_some()),
            ("seed", arm.seed.is_some()),
            ("seeds", !arm.seeds.is_empty()),
            ("traces", arm.traces.is_some()),
        ] {
            ensure!(
                !is_there,
                "{place}.{key}: only [teacher] has that key; arms start from [base] or init, and have experiment.seeds"
            );
        }
        ensure!(
            arm.algorithm.is_some(),
            "{place} has no algorithm: add [{place}.algorithm.sft] or [{place}.algorithm.grpo]"
        );
        if arm.imitates() && arm.demonstrations.is_none() {
            ensure!(
                self.teacher.is_some(),
                "{place} imitates, but there is no [teacher]: add one, or a recording with [teacher.traces] file = \"…\""
            );
        }
        if arm.distils() {
            ensure!(
                self.teacher.as_ref().is_some_and(StageSettings::is_model),
                "{place} asks the teacher for log-probabilities, but no [teacher] has a model: add [teacher.base]"
            );
        }
        self.check_stage(&place, arm, mix, rewards)
    }

    /// What holds of an arm as of the teacher.
    fn check_stage(
        &self,
        place: &str,
        stage: &StageSettings,
        mix: &Mix,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        self.check_tasks(place, stage.tasks.as_deref(), mix)?;
        if let Some(demonstrations) = &stage.demonstrations {
            let place = format!("{place}.demonstrations");
            ensure!(
                stage.imitates(),
                "{place}: it imitates nothing; remove the table"
            );
            demonstrations.check(&place)?;
            ensure!(
                demonstrations.are_there(),
                "{place} needs a recording (file) or the tasks' worked solutions (worked = true)"
            );
        }
        if let Some(altered) = &stage.altered {
            let place = format!("{place}.altered");
            ensure!(
                stage.imitates(),
                "{place}: it imitates no traces; remove the key"
            );
            let shown = stage.demonstrations.as_ref();
            let shown = shown.or_else(|| self.teacher.as_ref()?.traces.as_ref());
            ensure!(
                shown.is_none_or(|shown| shown.file.is_none()),
                "{place}: only the lab's own traces can be altered, not those of a recording"
            );
            altered.check().with_context(|| place)?;
        }
        let Some(algorithm) = &stage.algorithm else {
            return Ok(());
        };
        if let Some(lora) = &stage.lora {
            lora.check()
                .map_err(|error| anyhow::anyhow!("{place}.lora.{error}"))?;
            ensure!(
                algorithm.algorithm().reference_sync().is_none(),
                "{place}: a reference that follows the policy (sync_ref_model, teacher_update_rate) with lora: the reference is the model without its adapter, which does not change; remove one of the two"
            );
        }
        if let Some(sampler) = &stage.sampler {
            ensure!(
                algorithm.algorithm().samples().is_some(),
                "{place}.sampler: {} samples nothing; remove the table, or use an algorithm that learns from own samples",
                algorithm.algorithm().name()
            );
            ensure!(
                self.rollout.stop.is_empty(),
                "rollout.stop with {place}.sampler: servers differ in which tokens of a stop string they give back; remove one of the two"
            );
            sampler
                .check()
                .map_err(|error| anyhow::anyhow!("{place}.sampler.{error}"))?;
        }
        self.check_training(place, algorithm, stage, rewards)
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

    fn check_training(
        &self,
        place: &str,
        algorithm: &AlgorithmSettings,
        stage: &StageSettings,
        rewards: CheckRewards<'_>,
    ) -> Result<()> {
        let reward = &stage.reward;
        let algorithm = algorithm.algorithm();
        algorithm
            .check()
            .map_err(|error| anyhow::anyhow!("{place}.algorithm: {error}"))?;
        let temperature = self.rollout.temperature;
        let samples = algorithm.samples().is_some();
        ensure!(
            (temperature - 1.0).abs() < f64::EPSILON
                || !(algorithm.imitates() && samples)
                || algorithm.divergence().is_some(),
            "rollout.temperature = {temperature}: {place} imitates by {} as well, which is at temperature 1; set it to 1.0",
            algorithm.name()
        );
        warn_as_trl_does(place, stage);
        self.training_of(&stage.training, &format!("{place}.training"))?;
        self.check_rewards_here(place, reward)?;
        // A teacher's samples are rewarded whatever it learned from.
        let sampled = place == TEACHER;
        if !samples && !sampled {
            ensure!(
                reward.is_empty(),
                "{place}.reward: {} imitates and rewards nothing; remove it",
                algorithm.name()
            );
        } else if !algorithm.learns_from_reward() {
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
