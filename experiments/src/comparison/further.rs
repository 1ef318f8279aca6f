//! The figures beside the table: cross-task alignment, allocation, efficiency,
//! inflation, similarity to the teacher and of fingerprints, paired accuracy
//! (METRICS 5 and 7 to 11).
//!
//! They describe each arm as one model: items are means over its seeds, and the
//! intervals resample items within task, not seeds. They draw no verdict.

mod build;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Estimate;

pub(super) use build::further;

/// All figures beside the table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Further {
    /// By arm, in the order of the table.
    pub arms: Vec<FurtherArm>,
    /// Each student and rl arm against its base.
    pub inflation: Vec<Inflation>,
    /// Each student against its teacher.
    pub surface: Vec<Surface>,
    /// Every contrast's accuracy as paired answers.
    pub paired: Vec<PairedAnswers>,
    /// Similarity of fingerprints.
    pub similarity: SimilarityTable,
    /// Tokens by level of difficulty, for the tasks that have levels; none in a
    /// comparison that was written before they were counted.
    #[serde(default)]
    pub effort: Vec<TaskEffort>,
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
    /// Arm name to the mean over items of the items' mean reasoning tokens; the
    /// interval resamples items within the level.
    pub tokens: BTreeMap<String, Estimate>,
}

/// One arm by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FurtherArm {
    /// Arm name.
    pub name: String,
    /// Mean over draws of one item a task of the correlation across tasks; its
    /// interval is the central 95 % of the draws, `n` the tasks.
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
/// Worked example: slope 2.4, intercept 3, R^2 0.2 in `tokens` and 0.01 \[-0.05, 0.07\] in the slope of
/// `heterogeneity`: a constant multiplier, which alone leaves alignment as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inflation {
    /// The trained arm.
    pub arm: String,
    /// Its base.
    pub against: String,
    /// The arm's tokens on the base's over items.
    pub tokens: LineFigures,
    /// The arm's inverse efficiency index on the base's over tasks.
    pub iei: LineFigures,
    /// ln(arm's tokens / base's tokens) on human cost over items.
    pub heterogeneity: LineFigures,
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
    /// KL(student || teacher) of relative effort in nats; 0 is the same distribution. Its interval
    /// leans upwards: a resample is rougher than the sample.
    pub divergence: Estimate,
}

/// Two arms' answers to the same items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairedAnswers {
    /// First arm.
    pub arm: String,
    /// Second arm.
    pub against: String,
    /// Pairs (seed, item, sample) where only the first is right.
    pub only_arm: usize,
    /// Pairs where only the second is right.
    pub only_against: usize,
    /// All graded pairs.
    pub pairs: usize,
    /// Exact two-sided p of `McNemar`'s test; `None` without pairs. It takes pairs as independent.
    pub mcnemar_p: Option<f64>,
    /// Mean over items of the difference in accuracy, with items as clusters:
    /// the interval is 1.96 standard errors to either side; `n` items.
    pub clustered: Estimate,
}

/// Representational similarity: Pearson between fingerprints.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SimilarityTable {
    /// Arms in the order of the table, then "human".
    pub names: Vec<String>,
    /// Items that all arms share.
    pub items: usize,
    /// `matrix[i][j]` between `names[i]` and `names[j]`, with Fisher's interval.
    pub matrix: Vec<Vec<Estimate>>,
}

#[cfg(test)]
mod tests;
