//! What evaluations on the way of the trainings show: figures of an arm at each point of its
//! training, and how far its weights and its answers have gone from its base.
//!
//! A point is what the definition names: a number of updates, or a share of a budget. It is
//! evaluated on the items of the evaluation at the end, with the same sampling keys in all arms
//! and, as a rule, fewer samples. Items that the evaluation at the end lacks do not count.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::build::Input;
use super::trained::Trained;
use super::{Estimate, arms, chains};
use crate::alignment::contrast::{OfArm, origins};
use crate::alignment::cost::ModelItems;
use crate::alignment::design::Design;
use crate::alignment::pairing::units;
use crate::alignment::training::{ACCURACY, ELASTICITY, TOKENS, Training, UNLIMITED};
use crate::manifest::{Budget, EvaluationPoint};
use crate::statistics::mean;
use crate::statistics::two_way::{Replicates, two_way};

/// One evaluation of one training, with its records as item means.
#[derive(Debug, Clone)]
pub struct OnTheWay {
    /// The arm's name.
    pub arm: String,
    /// Where in its training.
    pub at: EvaluationPoint,
    /// What it did on each item; its seed and its teacher are those of the training.
    pub items: ModelItems,
}

/// One arm at one point, over its trainings.
///
/// Worked example: `{arm: "grpo", point: "50", trainings: 3, budget: {optimizer_steps: 50, flops:
/// 2.5e11, ..}, accuracy: 0.71 [0.66, 0.76], kl_prompts: 0.012 [0.008, 0.016], ..}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waypoint {
    /// Arm name.
    pub arm: String,
    /// The point as the definition has it: "0", "50", "end", "0.25 of flops".
    pub point: String,
    /// Trainings that reached it.
    pub trainings: usize,
    /// What they had spent there, a mean over them; what a chain spent before is not in it.
    pub budget: Budget,
    /// Mean over tasks.
    pub accuracy: Estimate,
    /// Mean reasoning tokens over tasks.
    pub tokens: Estimate,
    /// Mean over tasks.
    pub elasticity: Estimate,
    /// Mean over tasks of r at unlimited samples.
    pub alignment_unlimited: Estimate,
    /// Mean KL(policy || its base) over the positions of the evaluation prompts, nats per token; its
    /// interval, like that of the three below, is over trainings alone.
    pub kl_prompts: Estimate,
    /// The same over its own completions.
    pub kl_samples: Estimate,
    /// L2 norm of the difference from the base's weights.
    pub weight_distance: Estimate,
    /// The same over the norm of the base's weights.
    pub relative_distance: Estimate,
}

/// One arm at one point: the trainings that reached it.
pub(super) struct Reached<'a> {
    pub(super) arm: &'a str,
    pub(super) point: &'a str,
    pub(super) budget: Budget,
    pub(super) trainings: Vec<Training<'a>>,
    at: Vec<&'a EvaluationPoint>,
}

impl Reached<'_> {
    /// Whether the point is a share of a budget, which is the same amount in every arm.
    pub(super) fn is_share(&self) -> bool {
        self.point.contains(" of ")
    }
}

/// Every point of every arm, by arm and in the order of updates.
pub(super) fn reached<'a>(
    input: &Input<'a>,
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
) -> Vec<Reached<'a>> {
    let mut found: Vec<(&'a str, &'a str, Vec<&'a OnTheWay>)> = Vec::new();
    for card in input.arms {
        let of_arm = input.on_the_way.iter().filter(|e| e.arm == card.name);
        let mut points: Vec<(&str, &str, Vec<&OnTheWay>)> = Vec::new();
        for entry in of_arm {
            let point = entry.at.point.as_str();
            match points.iter_mut().find(|known| known.1 == point) {
                Some(known) => known.2.push(entry),
                None => points.push((&card.name, point, vec![entry])),
            }
        }
        let steps = |entries: &[&OnTheWay]| {
            let steps: Vec<f64> = entries.iter().map(|e| e.at.step as f64).collect();
            mean(&steps).unwrap_or_default()
        };
        points.sort_by(|a, b| steps(&a.2).total_cmp(&steps(&b.2)));
        found.extend(points);
    }
    let of = |(arm, point, entries): (&'a str, &'a str, Vec<&'a OnTheWay>)| {
        let spent: Vec<Budget> = entries.iter().map(|e| e.at.budget.clone()).collect();
        let training = |entry: &&'a OnTheWay| {
            let mut training = Training::new(design, &entry.items);
            let of_arm = trained.of(arm).iter();
            let same = |t: &&Training<'_>| t.origin.seed == training.origin.seed;
            if let Some(whole) = of_arm.into_iter().find(same) {
                training.origin = whole.origin;
            }
            training
        };
        Some(Reached {
            arm,
            point,
            budget: chains::mean(&spent)?,
            trainings: entries.iter().map(training).collect(),
            at: entries.into_iter().map(|entry| &entry.at).collect(),
        })
    };
    found.into_par_iter().filter_map(of).collect()
}

/// What is shown of every point.
pub(super) fn waypoints(design: &Design<'_>, reached: &[Reached<'_>]) -> Vec<Waypoint> {
    reached.par_iter().map(|at| waypoint(design, at)).collect()
}

fn waypoint(design: &Design<'_>, reached: &Reached<'_>) -> Waypoint {
    let tasks: Vec<usize> = (0..design.tasks.len()).collect();
    let of_arm = OfArm::new(design, &reached.trainings);
    let counted = |timed: bool| {
        let of_task = |&at: &usize| {
            let counts = |item: &usize| {
                let mut all = reached.trainings.iter();
                all.any(|t| t.cells[at][*item].is_some())
                    && (!timed || design.tasks[at].human[*item].is_some())
            };
            (0..design.tasks[at].ids.len()).filter(counts).count()
        };
        tasks.iter().map(of_task).sum()
    };
    let figure = |figure: usize, timed: bool| {
        let found = Estimate::of(of_arm.figure(&tasks, figure).as_ref(), counted(timed));
        found.within(arms::range(figure))
    };
    let moved = |of: fn(&EvaluationPoint) -> Option<f64>| over_trainings(reached, of);
    Waypoint {
        arm: reached.arm.to_owned(),
        point: reached.point.to_owned(),
        trainings: reached.trainings.len(),
        budget: reached.budget.clone(),
        accuracy: figure(ACCURACY, false),
        tokens: figure(TOKENS, false),
        elasticity: figure(ELASTICITY, true),
        alignment_unlimited: figure(UNLIMITED, true),
        kl_prompts: moved(|at| at.kl_prompts),
        kl_samples: moved(|at| at.kl_samples),
        weight_distance: moved(|at| at.weight_distance),
        relative_distance: moved(|at| at.relative_distance),
    }
}

/// The mean over trainings of what each has one number of, which is not below 0, those of one teacher averaged first.
fn over_trainings(reached: &Reached<'_>, of: fn(&EvaluationPoint) -> Option<f64>) -> Estimate {
    let n = reached.at.len();
    let values: Option<Vec<f64>> = reached.at.iter().map(|at| of(at)).collect();
    let Some(values) = values.filter(|values| values.iter().all(|value| value.is_finite())) else {
        return Estimate::undefined("not measured", n);
    };
    let unit = |unit: Vec<usize>| {
        let of_unit: Vec<f64> = unit.into_iter().map(|at| values[at]).collect();
        mean(&of_unit)
    };
    let whole: Vec<f64> = units(&origins(&reached.trainings))
        .into_iter()
        .filter_map(unit)
        .collect();
    if let [only] = whole[..] {
        return Estimate {
            value: Some(only),
            ..Estimate::undefined("no interval: one training", n)
        };
    }
    let no_items = Replicates {
        whole,
        without: Some(Vec::new()),
    };
    Estimate::of(Ok(&two_way(&no_items, None)), n).within((0.0, f64::INFINITY))
}
