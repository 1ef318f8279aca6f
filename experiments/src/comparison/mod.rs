//! A comparison: arms by measures, and contrasts between arms, each figure
//! with its interval and what it is based on.

mod arms;
pub mod build;
mod chains;
mod contrasts;
mod error;
pub mod fairness;
pub mod further;
pub mod items;
pub mod matched;
mod notes;
pub mod recipe;
mod sorted;
mod training;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::{Budget, EvaluationCard, Role};

pub use build::{Input, compare};
pub use error::ComparisonError;
pub use fairness::{Condition, Fairness, Flaw};
pub use further::Further;
pub use matched::Matched;
pub use recipe::Recipe;
pub use training::TrainingLog;

/// One figure with its 95 % interval.
///
/// Worked examples: `{value: 0.81, low: 0.74, high: 0.87, n: 120, why_undefined: None}`; an
/// arm that never thinks has no variance in cost, so its alignment is
/// `{value: None, low: None, high: None, n: 120, why_undefined: Some("no variance in model cost")}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate; `None` is undefined, never 0.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval, where one is defined.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Number of items (or samples, where the measure says so) behind it.
    pub n: usize,
    /// Why the value or the interval is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_undefined: Option<String>,
}

/// One arm on one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskFigures {
    /// Task name.
    pub task: String,
    /// Evaluated items that have a human time.
    pub items: usize,
    /// Share of samples that are right, truncated ones left out.
    pub accuracy: Estimate,
    /// Mean over the expected answers of the accuracy on each; a constant answer scores 0.5.
    pub balanced_accuracy: Estimate,
    /// Accuracy with truncated samples counted as wrong.
    pub accuracy_truncated_wrong: Estimate,
    /// Mean over items of the items' mean reasoning tokens.
    pub tokens: Estimate,
    /// Pearson correlation of model cost and human cost over items.
    pub alignment: Estimate,
    /// Spearman correlation of the same.
    pub spearman: Estimate,
    /// Pearson partial on ln(prompt tokens).
    pub partial: Estimate,
    /// Noise ceiling of the human data; `None` where there are no trials.
    pub ceiling: Option<f64>,
    /// Each item's mean over samples and seeds, for the scatter.
    pub points: Vec<ItemPoint>,
}

/// One item of one arm: a dot in the scatter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemPoint {
    /// Item name.
    pub item_id: String,
    /// Human cost: mean ln(milliseconds).
    pub human_cost: f64,
    /// Model cost: mean ln(1 + reasoning tokens).
    pub model_cost: f64,
    /// Mean reasoning tokens.
    pub tokens: f64,
    /// Share of right samples; `None` where nothing was graded.
    pub accuracy: Option<f64>,
}

/// One arm over all tasks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmFigures {
    /// Arm name (prefixed with the run's name where several runs are compared).
    pub name: String,
    /// Role in the design.
    pub role: Role,
    /// Seeds behind it.
    pub seeds: Vec<u64>,
    /// Mean over tasks.
    pub accuracy: Estimate,
    /// Mean over tasks.
    pub balanced_accuracy: Estimate,
    /// Mean over tasks of the tasks' mean reasoning tokens.
    pub tokens: Estimate,
    /// Plain mean of the defined task alignments.
    pub alignment: Estimate,
    /// Fisher-z mean of the same.
    pub alignment_fisher: Estimate,
    /// Truncated samples.
    pub truncated: usize,
    /// All samples.
    pub samples: usize,
    /// By task, in the order of the definition.
    pub tasks: Vec<TaskFigures>,
    /// Budget, mean over seeds.
    pub budget: Option<Budget>,
}

/// Which difference a contrast takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Mean alignment over tasks.
    Alignment,
    /// Mean accuracy over tasks.
    Accuracy,
    /// Mean balanced accuracy over tasks.
    BalancedAccuracy,
    /// Mean reasoning tokens over tasks.
    Tokens,
}

/// Where the 95 % interval of a difference lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Wholly below 0.
    Below,
    /// Wholly above 0.
    Above,
    /// Across 0.
    Across,
    /// No interval.
    Undefined,
}

/// A paired difference between two arms.
///
/// Worked example: `grpo - base` in accuracy, +0.27 \[0.24, 0.29\], p = 0.0001, `Above`.
/// A contrast that METRICS names (negative transfer, functional alignment
/// collapse) carries that name and the verdict by its written rule:
/// yes when the interval lies below 0, no when above, else inconclusive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Minuend arm.
    pub arm: String,
    /// Subtrahend arm.
    pub against: String,
    /// What is compared.
    pub measure: Measure,
    /// The question it answers, where it has a name: "negative transfer", "functional alignment collapse".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// arm minus against, joint bootstrap over items with seeds as the outer level.
    pub difference: Estimate,
    /// Paired permutation p (labels swapped within item), where defined.
    pub p: Option<f64>,
    /// The same by Holm's correction over the comparison's contrasts in this measure.
    #[serde(default)]
    pub p_holm: Option<f64>,
    /// The smallest true difference that these items would have shown: found at
    /// 5 %, two-sided, with a chance of 80 %.
    #[serde(default)]
    pub smallest: Option<f64>,
    /// The difference on a scale without a unit: Cohen's q for alignment, his h for
    /// shares, the natural logarithm of the ratio for tokens; means over tasks.
    #[serde(default)]
    pub effect: Option<f64>,
    /// Where the interval lies.
    pub direction: Direction,
    /// "yes", "no" or "inconclusive" for a contrast with a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// A contrast on one task alone; it answers no question by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskContrast {
    /// Task name.
    pub task: String,
    /// The contrast there, its p corrected for all tasks and arms in its measure.
    pub contrast: Contrast,
}

/// An accuracy that needs no model: what a constant answer scores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConstantAnswer {
    /// Task name.
    pub task: String,
    /// The answer given to every item.
    pub answer: String,
    /// Plain accuracy over the evaluation items.
    pub accuracy: f64,
    /// Balanced accuracy (0.5 with two possible answers).
    pub balanced_accuracy: f64,
}

/// One curve: a metric of one arm and seed over training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Arm name.
    pub arm: String,
    /// Training seed.
    pub seed: u64,
    /// Metric name, as in metrics.jsonl.
    pub metric: String,
    /// (optimizer step, value).
    pub points: Vec<(u64, f64)>,
}

/// One item with every arm's completions, for reading side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemCompletions {
    /// Task name.
    pub task: String,
    /// Item name.
    pub item_id: String,
    /// The prompt's text.
    pub prompt: String,
    /// The right answer.
    pub answer: String,
    /// Mean human time in milliseconds.
    pub human_ms: Option<f64>,
    /// Arm name to its completions.
    pub arms: BTreeMap<String, Vec<ShownCompletion>>,
}

/// A completion as the report shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShownCompletion {
    /// Training seed.
    pub seed: Option<u64>,
    /// Index among the samples of the item.
    pub sample: u32,
    /// The text.
    pub text: String,
    /// Reasoning tokens.
    pub reasoning_tokens: u32,
    /// The grade.
    pub correct: Option<bool>,
    /// Whether the cap cut it off.
    pub truncated: bool,
}

/// Everything the tables, figures and report show. `comparison.json` is this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Title for people.
    pub title: String,
    /// The hypothesis as written before the run.
    pub hypothesis: String,
    /// How the arms were evaluated.
    pub evaluation: EvaluationCard,
    /// Arms, in the order of the definition.
    pub arms: Vec<ArmFigures>,
    /// Contrasts, in the order in which they are read.
    pub contrasts: Vec<Contrast>,
    /// The same by task.
    #[serde(default)]
    pub task_contrasts: Vec<TaskContrast>,
    /// Baselines that need no model.
    pub constant_answers: Vec<ConstantAnswer>,
    /// What a reader must know before believing the table: pairing conditions
    /// that failed, truncation, unmoved weights, too few tasks or seeds.
    pub notes: Vec<String>,
    /// The conditions of a fair comparison, and which hold.
    #[serde(default)]
    pub fairness: Vec<Fairness>,
    /// Trained arms at matched budget, as far as the runs tell.
    #[serde(default)]
    pub matched: Vec<Matched>,
    /// How each arm was trained.
    #[serde(default)]
    pub recipes: Vec<Recipe>,
    /// Learning curves.
    pub curves: Vec<Curve>,
    /// Bootstrap and permutation draws behind the intervals and p values.
    pub draws: u32,
    /// Environment of the run, name to value.
    pub environment: BTreeMap<String, String>,
    /// The figures beside the table.
    #[serde(default)]
    pub further: Further,
}
