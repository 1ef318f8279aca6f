//! The figures beside the table: allocation, efficiency, inflation, similarity to the teacher
//! and of fingerprints, trivial predictors, and what the paper reports beside these.
//!
//! Each is taken of every training by itself and averaged; nothing is pooled over seeds.
//! They draw no verdict.

pub(crate) mod build;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Estimate;

pub(super) use build::further;

/// All figures beside the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Further {
    /// By arm, in the order of the table.
    pub arms: Vec<FurtherArm>,
    /// People's allocation of time, by task, where trials were given.
    #[serde(default)]
    pub people: Vec<TaskIndex>,
    /// Each student and rl arm against its base.
    pub inflation: Vec<Inflation>,
    /// Each student against its teacher.
    pub surface: Vec<Surface>,
    /// Similarity of fingerprints.
    pub similarity: SimilarityTable,
    /// What follows people's times without any model, by task.
    #[serde(default)]
    pub trivial: Vec<Trivial>,
    /// Tokens by level of difficulty, for the tasks that have levels; none in a
    /// comparison that was written before they were counted.
    #[serde(default)]
    pub effort: Vec<TaskEffort>,
}

/// How far people's times follow from what an item looks like, and what an arm's costs have in
/// common with them beyond that.
///
/// Worked example: digits, `predictors: [("size", 0.62), ("ln prompt tokens", 0.45)]`, `fitted` 0.68,
/// `beyond: [("grpo", 0.08)]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trivial {
    /// Task name.
    pub task: String,
    /// r with human cost of each covariate, and of ln(prompt tokens).
    pub predictors: Vec<NamedFigure>,
    /// Multiple correlation of human cost with all covariates together.
    pub fitted: Estimate,
    /// Each arm's partial r given all covariates.
    pub beyond: Vec<NamedFigure>,
    /// Human cost of each item as the covariates predict it; empty where they are unknown.
    pub expected: BTreeMap<String, f64>,
    /// Arm name to its cost of each item, mean over trainings, as the covariates predict it
    /// by least squares over the same items; empty in a comparison of before it was taken.
    #[serde(default)]
    pub expected_costs: BTreeMap<String, BTreeMap<String, f64>>,
}

/// A figure with a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NamedFigure {
    /// What it is of.
    pub name: String,
    /// The figure.
    pub value: Estimate,
}

/// How much every arm, and people, spend on each level of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskEffort {
    /// Task name.
    pub task: String,
    /// What the levels count, as the items' conditions name it: "addend".
    pub scale: String,
    /// The levels, the easiest by its number first.
    pub levels: Vec<EffortLevel>,
}

/// One level of difficulty.
///
/// Worked example: `from: 3.0, to: 3.0, items: 24, human_cost: Some(8.07)` and `tokens` of sft
/// 16.1 \[15.4, 16.9\]: on the 24 items that add 3, people take about e^8.07 ms.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EffortLevel {
    /// The level, or the first of several that were joined.
    pub from: f64,
    /// The last of them; the same for one level.
    pub to: f64,
    /// Items that any arm was evaluated on.
    pub items: usize,
    /// Mean human cost over the items that have one: ln(milliseconds).
    pub human_cost: Option<f64>,
    /// Arm name to the mean over items of the items' mean reasoning tokens.
    pub tokens: BTreeMap<String, Estimate>,
}

/// One arm by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherArm {
    /// Arm name.
    pub name: String,
    /// As the paper reports it: mean over draws of one item a task of the correlation across tasks.
    /// Low and high are the central 95 % of the draws, no confidence interval; `n` the tasks.
    pub cross_task: Estimate,
    /// Whether the tasks are fewer than four, so that `cross_task` is a demonstration.
    pub demonstrative: bool,
    /// Cohen's d of ln(1 + tokens), wrong minus right samples within item; `n` items with both.
    pub allocation: Estimate,
    /// Inverse efficiency index by task: mean tokens over accuracy; `n` items.
    pub iei: Vec<TaskIndex>,
}

/// A figure of one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskIndex {
    /// Task name.
    pub task: String,
    /// The figure.
    pub value: Estimate,
}

/// A least-squares line with intervals; `n` its points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LineFigures {
    /// Change in y for one unit of x.
    pub slope: Estimate,
    /// y at x = 0.
    pub intercept: Estimate,
    /// Share of y's variance that the line explains.
    pub r2: Estimate,
}

/// What training did to an arm's tokens.
///
/// Worked example: a slope of 2.4 and a heterogeneity of 0.01 \[-0.05, 0.07\]: a constant multiplier, which
/// alone leaves every correlation as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inflation {
    /// The trained arm.
    pub arm: String,
    /// Its base.
    pub against: String,
    /// Slope of the arm's item means of tokens on its base's, both centred within task, by the
    /// base's split halves as instruments: a copy of the base gives 1.
    pub slope: Estimate,
    /// The same by least squares, which noise in the base's means pulls towards 0.
    pub least_squares: Estimate,
    /// Slope of ln(arm's tokens / base's tokens) on human cost, both centred within task.
    pub heterogeneity: Estimate,
    /// As the paper reports it: the arm's tokens on the base's over all items, by least squares.
    pub tokens: LineFigures,
    /// As the paper reports it: the arm's inverse efficiency index on the base's over tasks.
    pub iei: LineFigures,
}

/// How like its teacher a student looks from outside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Surface {
    /// The student.
    pub arm: String,
    /// Its teacher.
    pub against: String,
    /// Mean over items of tokens over the teacher's mean tokens in the task.
    pub relative_effort: Estimate,
    /// KL(student || teacher) of relative effort in nats, of half the samples of one training
    /// against the other half of another's.
    pub divergence: Estimate,
    /// The same of the teacher's even samples against its odd ones: what equal laws give.
    pub floor: Estimate,
}

/// Representational similarity: Pearson between fingerprints, each training by itself and
/// even samples of one with odd samples of the other.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimilarityTable {
    /// Arms in the order of the table, then "human" where people have times.
    pub names: Vec<String>,
    /// Items that all arms share.
    pub items: usize,
    /// `matrix[i][j]` between `names[i]` and `names[j]` across halves; on the diagonal the
    /// halves' agreement with each other.
    pub matrix: Vec<Vec<Estimate>>,
    /// The same over the square root of both sides' agreement with themselves; people's own
    /// noise stays in.
    #[serde(default)]
    pub corrected: Vec<Vec<Estimate>>,
}

#[cfg(test)]
mod tests;
