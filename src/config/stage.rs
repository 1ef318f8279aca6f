//! `[arm.NAME]` and `[teacher]`: a model and how it comes about. What a model is to the
//! others follows from where it starts and whom it learns from ([`super::graph`]).

use experiments::manifest::Role;
use serde::{Deserialize, Serialize};

use super::{AlgorithmSettings, BaseSettings};
use crate::demonstrations::Altered;
use crate::demonstrations::TraceSettings;
use crate::model::LoraSettings;
use crate::sampler::SamplerSettings;
use crate::training::TrainingSettings;

/// One model of a definition.
///
/// Worked examples of an arm: `[arm.rl.algorithm.grpo] num_generations = 8`,
/// `[arm.rl.reward] correct = 1.0, format = 0.1`, `[arm.rl.training] steps = 100`; with
/// `init = "arm:sft"` under `[arm.rl]` a chain, SFT and then RL.
///
/// Worked examples of a teacher: `[teacher.traces] file = "traces.jsonl"` alone, a
/// recording; or `[teacher.traces] worked = true, problems = 1500`, the tasks' own worked
/// solutions; or `[teacher.base.shape]`, `[teacher.base.pretraining]`,
/// `[teacher.algorithm.grpo]`, `[teacher.reward]`, and `[teacher.traces] problems = 1500`;
/// or `[teacher.base] model = "…"` and no algorithm, a reasoner as it is; or
/// `[teacher] init = "arm:rl"`, an arm as it ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageSettings {
    /// A base of the teacher's own that it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseSettings>,
    /// The arm whose final weights it starts from, `arm:NAME`; the base otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
    /// The algorithm, named by its table, so that a misspelt key in it is reported at
    /// its own line. A teacher without one is shown as it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<AlgorithmSettings>,
    /// The tasks that it learns from; all of `tasks.names` that models can be trained
    /// on where it says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
    /// What it imitates where that is not the teacher's traces: a recording, or the
    /// tasks' own worked solutions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demonstrations: Option<TraceSettings>,
    /// How the traces that it imitates are altered before it is shown them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub altered: Option<Altered>,
    /// Rewards by name; a weight each, or a table with one.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub reward: toml::Table,
    /// Train this adapter beside frozen weights instead of the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lora: Option<LoraSettings>,
    /// The server that draws its rollouts; the lab itself where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<SamplerSettings>,
    /// What differs from `[training]`.
    #[serde(default)]
    pub training: TrainingSettings,
    /// The seed of the one teacher that serves all arms; 0 where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The seeds of several teachers. `experiment.seeds` are dealt to them in their
    /// order, as many to each: each teaches its own students.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seeds: Vec<u64>,
    /// What the students are shown of the teacher.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<TraceSettings>,
}

impl StageSettings {
    /// Whether it learns from demonstrations.
    pub fn imitates(&self) -> bool {
        let algorithm = self.algorithm.as_ref();
        algorithm.is_some_and(|settings| settings.algorithm().imitates())
    }

    /// Whether the teacher's model judges its samples.
    pub fn distils(&self) -> bool {
        let algorithm = self.algorithm.as_ref();
        algorithm.is_some_and(|settings| settings.algorithm().needs_teacher())
    }

    /// Whether it learns from the teacher, from its traces or its judgement.
    pub fn has_teacher(&self) -> bool {
        self.distils() || (self.imitates() && self.demonstrations.is_none())
    }

    /// What an arm is to the others: a student where what it learns comes from
    /// demonstrations or from a teacher's judgement.
    pub fn role(&self) -> Role {
        if self.imitates() || self.distils() {
            Role::Student
        } else {
            Role::Rl
        }
    }

    /// Whether the teacher is a model of the experiment, evaluated like others.
    pub fn is_model(&self) -> bool {
        self.base.is_some() || self.init.is_some()
    }

    /// The seeds of the teachers.
    pub fn teacher_seeds(&self) -> Vec<u64> {
        if self.seeds.is_empty() {
            return vec![self.seed.unwrap_or_default()];
        }
        self.seeds.clone()
    }

    /// The seed of the teacher of an arm of that seed: the experiment's seeds in blocks of
    /// one length, one for each teacher in their order. An arm of another seed, which the
    /// teacher itself starts from, has the first.
    ///
    /// Worked example: of the teachers 100 and 101 and the seeds 1, 2, 3, 4, the first
    /// teaches 1 and 2.
    pub(crate) fn of_student(&self, seeds: &[u64], seed: u64) -> u64 {
        let teachers = self.teacher_seeds();
        let place = seeds.iter().position(|known| *known == seed);
        let block = (seeds.len() / teachers.len()).max(1);
        let of = place.map_or(0, |place| place / block);
        let own = teachers.get(of).or(teachers.first());
        own.copied().unwrap_or_default()
    }
}

/// Where a chained arm starts, written `arm:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Init {
    /// The arm whose final weights it starts from.
    pub arm: String,
}

impl TryFrom<String> for Init {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.strip_prefix("arm:") {
            Some(arm) if !arm.is_empty() => Ok(Self {
                arm: arm.to_owned(),
            }),
            _ => Err(format!(
                "init = {text:?}: write \"arm:NAME\", the arm whose final weights this one starts from"
            )),
        }
    }
}

impl From<Init> for String {
    fn from(init: Init) -> Self {
        format!("arm:{}", init.arm)
    }
}
