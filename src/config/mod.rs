//! What an experiment is: its definition, read from TOML and resolved.
//!
//! A definition states the hypothesis in prose, what the arms share, and under
//! `[arm.NAME]` only what an arm does differently. Unknown keys are refused at
//! their line. Nothing here runs anything.

use std::path::{Path, PathBuf};

use algorithms::{Algorithm, Grpo, Sft};
use anyhow::{Context, Result, bail, ensure};
use experiments::manifest::Role;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::evaluator::EvaluationSettings;
use crate::model::ModelShape;
use crate::tasks::corpus::Shares;
use crate::tasks::{self, Proportions};
use crate::training::{Training, TrainingSettings};

/// Names that mean something else than an arm.
const RESERVED: [&str; 2] = ["base", "teacher"];

/// A definition file. `experiments/definitions/quickstart.toml` is the worked example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// What it is called and what it expects.
    pub experiment: Experiment,
    /// Which problems.
    pub tasks: TaskSettings,
    /// How the starting point of the arms is made.
    pub base: BaseSettings,
    /// Where demonstrations come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<TeacherSettings>,
    /// How rollouts, traces and validation answers are sampled.
    pub rollout: RolloutSettings,
    /// How every model is evaluated.
    pub evaluation: EvaluationSettings,
    /// What the arms' step loops share.
    #[serde(default)]
    pub training: TrainingSettings,
    /// The arms, in the order of the file.
    pub arm: IndexMap<String, ArmSettings>,
}

/// `[experiment]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Short name, part of the default output folder.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// What is expected and why, written before the run.
    pub hypothesis: String,
    /// Training seeds; every arm is trained once with each.
    pub seeds: Vec<u64>,
    /// Threads of one training. Small models are fastest with one thread each
    /// and several trainings side by side; a run's bits depend on this number.
    #[serde(default = "one")]
    pub threads: usize,
}

fn one() -> usize {
    1
}

/// `[tasks]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskSettings {
    /// Task names.
    pub names: Vec<String>,
    /// `builtin`, or a folder of item-level norms.
    #[serde(default = "builtin")]
    pub norms: String,
    /// Share of production problems in training.
    #[serde(default)]
    pub production: Option<f64>,
    /// Share of verification problems in other wordings.
    #[serde(default)]
    pub other_wordings: Option<f64>,
    /// Problems of one validation.
    #[serde(default = "validation_problems")]
    pub validation_problems: u64,
}

/// The value of `tasks.norms` that stands for the carried condition means.
pub const BUILTIN_NORMS: &str = "builtin";

fn builtin() -> String {
    BUILTIN_NORMS.to_owned()
}

fn validation_problems() -> u64 {
    96
}

impl TaskSettings {
    /// The mixture of training problems.
    pub fn proportions(&self) -> Proportions {
        let defaults = Proportions::default();
        Proportions {
            production: self.production.unwrap_or(defaults.production),
            other_wordings: self.other_wordings.unwrap_or(defaults.other_wordings),
        }
    }
}

/// `[base]`: a model pre-trained in the lab.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaseSettings {
    /// Its shape.
    pub shape: ModelShape,
    /// Its pre-training.
    pub pretraining: Pretraining,
}

/// `[base.pretraining]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pretraining {
    /// Documents an optimizer update.
    pub batch_size: usize,
    /// How many times a token in a document's focus counts.
    #[serde(default = "focus_weight")]
    pub focus_weight: f64,
    /// Habits of the corpus.
    #[serde(default)]
    pub corpus: Shares,
    /// The step loop.
    pub training: TrainingSettings,
}

fn focus_weight() -> f64 {
    1.0
}

/// `[teacher]`: a base of its own trained by reinforcement, or a recording.
///
/// Worked examples: `[teacher.traces] file = "traces.jsonl"` alone; or
/// `[teacher.base.shape]`, `[teacher.base.pretraining]`,
/// `[teacher.algorithm.grpo]`, `[teacher.reward.correct]`, and
/// `[teacher.traces] problems = 1500, samples = 2, only_correct = true`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeacherSettings {
    /// The base it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseSettings>,
    /// How it is trained.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmSettings>,
    /// What it is rewarded for.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub reward: toml::Table,
    /// What differs from `[training]`.
    #[serde(default)]
    pub training: TrainingSettings,
    /// One teacher serves all seeds of the arms; this is its own.
    #[serde(default)]
    pub seed: u64,
    /// What the students are shown of it.
    pub traces: TraceSettings,
}

/// `[teacher.traces]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TraceSettings {
    /// A recording, JSONL with `prompt` and `completion`, in place of sampling.
    /// A relative path starts at the definition's folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// Training problems that are shown.
    #[serde(default)]
    pub problems: u64,
    /// Samples of each.
    #[serde(default = "one")]
    pub samples: usize,
    /// Whether wrong and truncated ones are left out.
    #[serde(default)]
    pub only_correct: bool,
    /// Whether only the sample with the highest reward of each problem is kept.
    #[serde(default)]
    pub best_only: bool,
    /// Validation problems whose traces make the held-out loss. Of a recording,
    /// the last so many lines.
    #[serde(default)]
    pub held_out: u64,
}

/// `[rollout]`: one setting for all sampling in training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutSettings {
    /// Sampling temperature.
    pub temperature: f64,
    /// Token cap of a completion.
    pub max_new_tokens: usize,
}

/// `[arm.NAME]`.
///
/// Worked example: `[arm.rl.algorithm.grpo] num_generations = 8`,
/// `[arm.rl.reward] correct = 1.0, format = 0.1`, `[arm.rl.training] steps = 100`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArmSettings {
    /// The algorithm, named by its table, so that a misspelt key in it is
    /// reported at its own line.
    pub algorithm: AlgorithmSettings,
    /// Rewards by name; a weight each, or a table with one.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub reward: toml::Table,
    /// What differs from `[training]`.
    #[serde(default)]
    pub training: TrainingSettings,
}

/// Which algorithm, with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlgorithmSettings {
    /// Supervised fine-tuning on the teacher's traces.
    Sft(Sft),
    /// Group relative policy optimization.
    Grpo(Grpo),
}

impl AlgorithmSettings {
    /// The algorithm.
    pub fn build(&self) -> Box<dyn Algorithm> {
        match self {
            Self::Sft(sft) => Box::new(sft.clone()),
            Self::Grpo(grpo) => Box::new(grpo.clone()),
        }
    }

    /// Whether it learns from demonstrations; otherwise from rewards.
    pub fn imitates(&self) -> bool {
        matches!(self, Self::Sft(_))
    }

    /// What an arm trained by it is to the others.
    pub fn role(&self) -> Role {
        if self.imitates() {
            Role::Student
        } else {
            Role::Rl
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Sft(sft) if sft.batch_size == 0 => {
                Err("batch_size = 0: an update needs at least one demonstration".to_owned())
            }
            Self::Sft(_) => Ok(()),
            Self::Grpo(grpo) => grpo.check(),
        }
    }
}

impl Definition {
    /// Reads a definition file, with `key=value` overrides applied to its text.
    pub fn read(path: &Path, overrides: &[String]) -> Result<(Self, String)> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "reading {}: a definition is a TOML file such as experiments/definitions/quickstart.toml",
                path.display()
            )
        })?;
        let text = apply_overrides(&text, overrides).with_context(|| path.display().to_string())?;
        let definition = Self::parse(&text).with_context(|| path.display().to_string())?;
        Ok((definition, text))
    }

    /// Reads and checks the text of a definition.
    pub fn parse(text: &str) -> Result<Self> {
        let definition: Self = toml::from_str(text)?;
        definition.check()?;
        Ok(definition)
    }

    /// What no type could say: names that exist, numbers that fit each other.
    fn check(&self) -> Result<()> {
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

    /// The settings of an arm's step loop.
    pub fn training_of(&self, training: &TrainingSettings, place: &str) -> Result<Training> {
        training
            .resolve(&self.training, place)
            .map_err(anyhow::Error::msg)
    }
}

/// The rewards of a table.
pub fn build_rewards(table: &toml::Table) -> Result<rewards::WeightedRewards> {
    Ok(rewards::WeightedRewards::from_table(
        &rewards::Registry::builtin(),
        table,
    )?)
}

fn check_sampling(place: &str, temperature: f64, max_new_tokens: usize) -> Result<()> {
    ensure!(
        temperature.is_finite() && temperature >= 0.0,
        "{place}.temperature = {temperature}: it cannot be negative"
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

/// Writes each `key.path=value` into the text. A value that is not TOML is
/// taken as a string.
fn apply_overrides(text: &str, overrides: &[String]) -> Result<String> {
    if overrides.is_empty() {
        return Ok(text.to_owned());
    }
    let mut document: toml_edit::DocumentMut = text.parse()?;
    for entry in overrides {
        let (path, value) = entry.split_once('=').with_context(|| {
            format!("--set {entry}: write key=value, such as --set arm.sft.training.steps=10")
        })?;
        let value: toml_edit::Value = value
            .trim()
            .parse()
            .unwrap_or_else(|_| toml_edit::Value::from(value.trim()));
        let keys: Vec<&str> = path.trim().split('.').collect();
        let (last, tables) = keys
            .split_last()
            .with_context(|| format!("--set {entry}: the key is empty"))?;
        let mut table: &mut dyn toml_edit::TableLike = document.as_table_mut();
        for key in tables {
            table = table
                .entry(key)
                .or_insert_with(|| toml_edit::Item::Table(toml_edit::Table::new()))
                .as_table_like_mut()
                .with_context(|| format!("--set {entry}: {key} is a value, not a table"))?;
        }
        table.insert(last, toml_edit::Item::Value(value));
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests;
