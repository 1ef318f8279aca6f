//! A comparison: arms by measures, and contrasts between arms, each figure
//! with its interval and what it is based on.

mod answer;
mod arms;
pub mod build;
mod chains;
pub mod contrasts;
mod error;
pub mod fairness;
pub mod further;
pub mod items;
pub mod matched;
mod notes;
pub mod on_the_way;
pub mod question;
pub mod recipe;
mod sorted;
mod teachers;
pub mod trained;
mod training;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::manifest::{Budget, EvaluationCard, Role};

pub use crate::statistics::two_way::Components;
pub use answer::Answer;
pub use build::{Input, compare};
pub use error::ComparisonError;
pub use fairness::{Condition, Fairness, Flaw};
pub use further::Further;
pub use matched::{AtBudget, Matched};
pub use on_the_way::{OnTheWay, Waypoint};
pub use question::{Asked, Question, When};
pub use recipe::Recipe;
pub use training::TrainingLog;

/// One figure with its 95 % interval over trainings and items
/// ([`crate::statistics::two_way`]).
///
/// Worked examples: `{value: 0.81, low: 0.74, high: 0.87, se: 0.03, df: 11.2, n: 120}`; an
/// arm that never thinks has no variance in cost, so its alignment is
/// `{value: None, n: 120, why_undefined: Some("no variance in model cost")}`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The point estimate; `None` is undefined, never 0.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval, where one is defined.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub se: Option<f64>,
    /// Degrees of freedom of Student's t.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub df: Option<f64>,
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
    /// Evaluated items.
    pub items: usize,
    /// Those of them that people have a time for: of none, alignment is undefined.
    pub timed: usize,
    /// Share of samples that are right, truncated ones left out.
    pub accuracy: Estimate,
    /// Mean over the expected answers of the accuracy on each; a constant answer scores 0.5.
    pub balanced_accuracy: Estimate,
    /// Accuracy with truncated samples counted as wrong.
    pub accuracy_truncated_wrong: Estimate,
    /// Mean over items of the items' mean reasoning tokens.
    pub tokens: Estimate,
    /// Share of samples that the token cap cut off.
    pub cut_off: Estimate,
    /// What some of an item's samples are worth, by their number.
    pub among: Vec<Among>,
    /// Cov(model cost, human cost) / Var(human cost).
    pub elasticity: Estimate,
    /// The correlation as it would be with unlimited samples.
    pub alignment_unlimited: Estimate,
    /// Share of the variance of item means that is not sampling noise.
    pub reliability: Estimate,
    /// r(k), mean over trainings: the correlation with k samples an item; empty where undefined.
    pub curve: Vec<(u32, f64)>,
    /// Pearson correlation of model cost and human cost over items.
    pub alignment: Estimate,
    /// Spearman correlation of the same.
    pub spearman: Estimate,
    /// Pearson partial on ln(prompt tokens).
    pub partial: Estimate,
    /// Noise ceiling of the human data; `None` where there are no trials.
    pub ceiling: Option<f64>,
    /// Each item's mean over samples and seeds.
    pub points: Vec<ItemPoint>,
}

/// What k samples of an item are worth, mean over items ([`crate::alignment::among`]).
///
/// Worked example: `{k: 4, pass: 0.91, majority: 0.72}`: of four samples one at least is right on
/// 91 % of the items, and the answer that most of them give on 72 %.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Among {
    /// Samples drawn.
    pub k: usize,
    /// pass@k: one of them is right.
    pub pass: Estimate,
    /// majority@k: their most frequent answer is right.
    pub majority: Estimate,
}

/// One item of one arm: a dot in a figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemPoint {
    /// Item name.
    pub item_id: String,
    /// Human cost: mean ln(milliseconds); `None` where no time is known.
    pub human_cost: Option<f64>,
    /// Model cost: mean ln(1 + reasoning tokens).
    pub model_cost: f64,
    /// Mean reasoning tokens.
    pub tokens: f64,
    /// Share of right samples; `None` where nothing was graded.
    pub accuracy: Option<f64>,
}

impl ItemPoint {
    /// Human cost and model cost, where both are numbers.
    pub(crate) fn costs(&self) -> Option<(f64, f64)> {
        let human = self.human_cost.filter(|cost| cost.is_finite())?;
        self.model_cost
            .is_finite()
            .then_some((human, self.model_cost))
    }
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
    /// Training seeds of the teachers that it learned from, where they are several: trainings of
    /// one teacher are averaged first, and intervals are over teachers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teachers: Vec<u64>,
    /// Mean over tasks.
    pub accuracy: Estimate,
    /// Mean over tasks.
    pub balanced_accuracy: Estimate,
    /// Mean over tasks of the tasks' mean reasoning tokens.
    pub tokens: Estimate,
    /// Mean over tasks of the share of samples that the token cap cut off.
    pub cut_off: Estimate,
    /// Mean over tasks of what some of an item's samples are worth.
    pub among: Vec<Among>,
    /// Mean over tasks: the primary outcome.
    pub elasticity: Estimate,
    /// Mean over tasks of r at unlimited samples.
    pub alignment_unlimited: Estimate,
    /// Mean over tasks.
    pub reliability: Estimate,
    /// Mean over tasks of the r observed.
    pub alignment: Estimate,
    /// As the paper reports it beside: Fisher-z mean of the same, without an interval.
    pub alignment_fisher: Estimate,
    /// Truncated samples.
    pub truncated: usize,
    /// All samples.
    pub samples: usize,
    /// By task, in the order of the definition.
    pub tasks: Vec<TaskFigures>,
    /// Tasks that it, or an arm it started from, learned from; empty where nobody said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trained_on: Vec<String>,
    /// Budget, mean over seeds.
    pub budget: Option<Budget>,
}

/// Which difference a contrast takes. The primary outcome comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// By how many per cent spending rises where people take one per cent longer.
    Elasticity,
    /// r at unlimited samples.
    AlignmentUnlimited,
    /// Mean r over tasks, as observed.
    Alignment,
    /// Mean accuracy over tasks.
    Accuracy,
    /// Mean balanced accuracy over tasks.
    BalancedAccuracy,
    /// Mean reasoning tokens over tasks.
    Tokens,
}

impl Measure {
    /// Smallest effect of interest where nobody names another: in tokens a share of the
    /// subtrahend's.
    pub fn smallest_effect(self) -> f64 {
        match self {
            Self::Elasticity | Self::AlignmentUnlimited | Self::Alignment | Self::Tokens => 0.1,
            Self::Accuracy | Self::BalancedAccuracy => 0.05,
        }
    }

    /// Whether it is a correlation, which sampling noise bends and not only blurs.
    pub fn is_correlation(self) -> bool {
        matches!(self, Self::AlignmentUnlimited | Self::Alignment)
    }

    /// Whether it is about people's times.
    pub fn is_alignment(self) -> bool {
        matches!(
            self,
            Self::Elasticity | Self::AlignmentUnlimited | Self::Alignment
        )
    }
}

/// What a difference says against the smallest effect of interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The 95 % interval lies below 0.
    Below,
    /// It lies above 0.
    Above,
    /// The 90 % interval lies within the smallest effect of interest.
    Equivalent,
    /// Neither.
    Unresolved,
    /// There is no interval.
    Undefined,
}

/// What a figure can be said of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Trainings like these, on items like these.
    #[default]
    Trainings,
    /// Teachers like these: trainings that share a teacher are one draw.
    Teachers,
    /// The one training of the arm that is subtracted, a teacher's.
    ThisAgainst,
    /// The one training there is.
    ThisTraining,
}

/// A difference between two arms.
///
/// Worked example: `grpo - base` in elasticity, +0.07 \[0.04, 0.10\], p = 0.0001, `Above`.
/// A contrast that has a name of its own (negative transfer, functional alignment
/// collapse) carries it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// Minuend arm.
    pub arm: String,
    /// Subtrahend arm.
    pub against: String,
    /// What is compared.
    pub measure: Measure,
    /// The name of the question it answers, where it has one: "negative transfer", "functional alignment collapse".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// arm minus against.
    pub difference: Estimate,
    /// Lower end of the 90 % interval, which decides equivalence.
    pub low90: Option<f64>,
    /// Upper end.
    pub high90: Option<f64>,
    /// The variance of the difference by source.
    pub components: Option<Components>,
    /// Two-sided p against 0.
    pub p: Option<f64>,
    /// p of the two one-sided tests against the smallest effect of interest.
    pub p_equivalence: Option<f64>,
    /// The smallest effect of interest, in the measure's unit.
    pub smallest_effect: Option<f64>,
    /// The difference on a scale without a unit: Cohen's q for correlations, his h for
    /// shares, the natural logarithm of the ratio for tokens; means over tasks.
    pub effect: Option<f64>,
    /// What the intervals say.
    pub verdict: Verdict,
    /// What it can be said of.
    #[serde(default)]
    pub scope: Scope,
    /// Draws behind it: pairs of a seed, or the first arm's trainings; teachers, where the
    /// trainings of one teacher are averaged.
    #[serde(default)]
    pub trainings: usize,
}

impl Contrast {
    /// Whether it rests on two trainings, or two teachers, which cannot decide: METHODOLOGY.md tells what their
    /// intervals cover.
    pub fn is_of_two(&self) -> bool {
        self.trainings == 2
    }
}

/// A contrast on one task alone; it answers no question by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskContrast {
    /// Task name.
    pub task: String,
    /// The contrast there.
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
    /// Human cost: mean ln(milliseconds).
    pub human_cost: Option<f64>,
    /// What makes it no evidence independent of other items, where anything does.
    pub cluster: Option<String>,
    /// What it says of itself before anybody answers it, by name.
    pub covariates: BTreeMap<String, f64>,
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
    /// The questions that were asked, answered, in their order.
    #[serde(default)]
    pub answers: Vec<Answer>,
    /// Contrasts, in the order in which they are read: exploratory, all of them.
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
    /// Each arm at each point of its training at which it was evaluated, by arm and in order of
    /// updates; none where no training was evaluated on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on_the_way: Vec<Waypoint>,
    /// Environment of the run, name to value.
    pub environment: BTreeMap<String, String>,
    /// The figures beside the table.
    #[serde(default)]
    pub further: Further,
}

impl Comparison {
    /// Whether people have a time for any evaluated item of a task.
    pub fn is_timed(&self, task: &str) -> bool {
        let mut tasks = self.arms.iter().flat_map(|arm| &arm.tasks);
        tasks.any(|of| of.task == task && of.timed > 0)
    }

    /// Whether people have a time for any evaluated item. Without one there is no alignment, and
    /// nothing that shows it has a place.
    pub fn has_times(&self) -> bool {
        let mut tasks = self.arms.iter().flat_map(|arm| &arm.tasks);
        tasks.any(|task| task.timed > 0)
    }

    /// Whether a measure has a place: not where nobody has times, or no expected answer is known,
    /// that it could be taken of.
    pub fn shows(&self, measure: Measure) -> bool {
        let tasks = self.arms.iter().flat_map(|arm| &arm.tasks);
        shown_of(tasks, measure)
    }

    /// The same on one task.
    pub fn shows_on(&self, task: &str, measure: Measure) -> bool {
        let tasks = self.arms.iter().flat_map(|arm| &arm.tasks);
        shown_of(tasks.filter(|of| of.task == task), measure)
    }
}

fn shown_of<'c>(mut tasks: impl Iterator<Item = &'c TaskFigures>, measure: Measure) -> bool {
    match measure {
        Measure::Elasticity | Measure::AlignmentUnlimited | Measure::Alignment => {
            tasks.any(|task| task.timed > 0)
        }
        Measure::BalancedAccuracy => tasks.any(|task| task.balanced_accuracy.value.is_some()),
        Measure::Accuracy | Measure::Tokens => true,
    }
}
