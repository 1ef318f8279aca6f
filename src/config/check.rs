//! What no type could say of a definition: names that exist, numbers that fit
//! each other. Each refusal names the key and the way out.

mod stages;
mod warnings;

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use super::{Definition, StageSettings};
use crate::tasks::{Mix, Task, is_a_folder_name};

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
        self.tasks.check()?;
        let mix = Mix::of(opened, self.tasks.proportions()).context("tasks.names")?;
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
        self.base.check("base", self.needed_context(), &mix)?;
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
        self.check_questions()?;
        let steps = |stage: &StageSettings| stage.training.steps.or(self.training.steps);
        let trained = self.trained().filter_map(|(_, stage)| steps(stage));
        let longest = trained.max().unwrap_or(0);
        let points = self.evaluation.check(longest);
        points.map_err(|error| anyhow::anyhow!("evaluation.{error}"))
    }

    /// New tokens that the context of a model must hold beside a prompt.
    fn needed_context(&self) -> i64 {
        let rollout = self.rollout.max_new_tokens;
        rollout.max(self.evaluation.max_new_tokens) as i64
    }
}
