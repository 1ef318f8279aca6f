//! What a run directory says of itself: the arms, how they are paired, what
//! they cost, and the environment they ran in.
//!
//! A run directory:
//!
//! ```text
//! RUN/manifest.json                      this type
//! RUN/definition.toml                    the definition as it was given, overrides applied
//! RUN/formats.json                       number formats that were measured, where it leaves any open
//! RUN/inputs.json                        hashes of the files from outside, as the run began with them
//! RUN/questions.json                     what was asked before the first stage, where anything was
//! RUN/inputs/HASH/FILE                   copies of the rewards' files
//! RUN/teacher/…                          the teacher's training and its traces.jsonl; of several
//!                                        teachers RUN/teacher/seed-S/…
//! RUN/teacher/base/…                     the base of its own that it started from
//! RUN/arms/ARM/seed-S/metrics.jsonl      one object a step: {"step":…, "seconds":…, "loss":…, …}
//! RUN/arms/ARM/seed-S/events.out.tfevents.*  the same for TensorBoard, in no manifest
//! RUN/arms/ARM/seed-S/completions/       what was written in training, in no manifest
//! RUN/arms/ARM/seed-S/traces.parquet     evaluation trace records
//! RUN/arms/ARM/seed-S/evaluations.jsonl  evaluations on the way, where there are any: an [`EvaluationPoint`] a line
//! RUN/arms/ARM/seed-S/evaluations/       their trace records, a file a point
//! RUN/arms/ARM/seed-S/model/             the model, a Hugging Face folder
//! RUN/arms/base/seed-S/pretraining.jsonl the base's metrics.jsonl, of its pre-training
//! RUN/items.json                         evaluated items, their human times and ceilings
//! RUN/comparison.{json,md,csv,tex}       the tables
//! RUN/report.html                        the report
//! RUN/figures/*.svg                      its figures
//! RUN/completions/*.txt                  what its page has no room for
//! RUN/.report.json                       which of these two folders' files it made
//! ```
//!
//! The directory of an evaluation is the same with `traces.parquet`, of all
//! models, in the place of `teacher` and `arms`, and no `definition.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::alignment::cost::CutOff;
use crate::comparison::Asked;

/// What an arm is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Untouched starting point of the arms.
    Base,
    /// Source of the demonstrations.
    Teacher,
    /// Trained on a teacher's traces (mimicry), or on a teacher's judgement of
    /// its own samples.
    Student,
    /// Trained by reinforcement (mastery).
    Rl,
    /// Anything else.
    Other,
}

/// One model of the comparison, and whose child it is.
///
/// Worked example: `{"name":"sft","role":"student","base":"base","teacher":"teacher"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArmCard {
    /// Name, as in the trace records' `model`.
    pub name: String,
    /// Role in the design.
    pub role: Role,
    /// The untouched model that it, or the arm it started from, started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The arm whose final weights it started from, in a chain of arms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// The model whose traces it imitates, or that judges its samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
}

/// What one arm of one seed spent. A count is `None` where nobody measured it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// Optimizer updates.
    pub optimizer_steps: u64,
    /// Tokens that a loss was taken on.
    pub trained_tokens: u64,
    /// Tokens sampled for training.
    pub generated_tokens: u64,
    /// Floating-point operations, estimated (6 N a trained and 2 N a generated
    /// token, N the parameters; prompt tokens counted with each).
    pub flops: f64,
    /// Wall-clock seconds of training.
    pub seconds: f64,
    /// Most memory in bytes at the end of an update: what the whole process held
    /// on a CPU, other arms that trained beside it included; on CUDA the most that
    /// libtorch had handed out. `None` where a run did not record it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory: Option<f64>,
}

/// One arm of one seed as the run left it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmRun {
    /// The arm's name.
    pub arm: String,
    /// Training seed.
    pub seed: u64,
    /// Training seed of the teacher that it learned from; `None` where it has none, or a run of an
    /// earlier version, which had one teacher, does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<u64>,
    /// Folder relative to the run directory, holding `metrics.jsonl` and `traces.parquet`.
    pub folder: String,
    /// The arm of the same seed that it started from; `None` where it started
    /// from the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Hash of the weights it started from: the `final_weights` of the base or
    /// of the arm `init`.
    pub initial_weights: String,
    /// Hash of the weights it ended with.
    pub final_weights: String,
    /// Hash of the order of its training problems; `None` where it has none.
    pub problem_order: Option<String>,
    /// Names of the tasks that it learned from itself, without those of the arm
    /// it started from; empty where the run does not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<String>,
    /// What it spent itself, without the arm it started from; `None` for a
    /// model that was not trained in an arm.
    pub budget: Option<Budget>,
    /// Wall-clock seconds of the pre-training that it began with, whichever run
    /// did it; `None` where there was none, or an earlier version made the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pretraining_seconds: Option<f64>,
    /// Wall-clock seconds of its evaluation; `None` where an earlier version made
    /// the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation_seconds: Option<f64>,
}

/// An evaluation of a training on its way: one line of its `evaluations.jsonl`.
///
/// Worked example: `{"step": 50, "budget": {…}, "point": "0.25 of flops", "traces":
/// "evaluations/000050.parquet", "kl_prompts": 0.012, "kl_samples": 0.034, "weight_distance": 1.2,
/// "relative_distance": 0.01}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationPoint {
    /// Optimizer updates made until then.
    pub step: u64,
    /// What the training had spent itself, without the arm that it started from.
    pub budget: Budget,
    /// The point as the definition has it: "0", "50", "end", "0.25 of flops"; the same words in two
    /// arms are the same point.
    pub point: String,
    /// Its trace records, relative to the training's folder.
    pub traces: String,
    /// Mean KL(policy || its base) over the positions of the evaluation prompts, nats per token.
    pub kl_prompts: Option<f64>,
    /// The same over its own completions.
    pub kl_samples: Option<f64>,
    /// L2 norm of the difference from the base's weights.
    pub weight_distance: Option<f64>,
    /// The same over the norm of the base's weights.
    pub relative_distance: Option<f64>,
}

/// How every arm was evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationCard {
    /// Samples an item.
    pub samples: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Token cap; 0 where the answers were recorded elsewhere and neither it
    /// nor the temperature is known.
    pub max_new_tokens: u32,
    /// Hash of the items and their sampling keys.
    pub items: String,
    /// Where the human times come from, in words with the citation.
    pub norms: String,
}

/// `manifest.json`, written last: a run without one is not complete.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this format.
    pub format: u32,
    /// Short name of the experiment.
    pub name: String,
    /// Title for people.
    pub title: String,
    /// The hypothesis, as written before the run.
    pub hypothesis: String,
    /// Training seeds.
    pub seeds: Vec<u64>,
    /// Task names, in the order of the definition.
    pub tasks: Vec<String>,
    /// Arms in the order of the definition, base and teacher first.
    pub arms: Vec<ArmCard>,
    /// Each arm of each seed.
    pub arm_runs: Vec<ArmRun>,
    /// How they were evaluated.
    pub evaluation: EvaluationCard,
    /// The resolved definition, or the settings of an evaluation.
    pub definition: serde_json::Value,
    /// Whether cost and tokens are taken over right samples alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_correct: bool,
    /// What samples count for that the token cap cut off.
    #[serde(default, skip_serializing_if = "CutOff::is_cap")]
    pub cut_off: CutOff,
    /// What is asked of the arms, and when it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<Asked>,
    /// What a reader must know beyond what the records show: answers that are
    /// missing, rows that were no records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Versions, threads, device, processor, date, commit: name to value.
    pub environment: BTreeMap<String, String>,
    /// Hashes of the run's files, by path relative to the run directory.
    pub files: BTreeMap<String, String>,
}
