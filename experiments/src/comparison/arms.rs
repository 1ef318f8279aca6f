//! One arm's figures over its trainings and tasks, each with its interval.
//!
//! A figure of an arm is the mean over its trainings of the plain mean over tasks, with the
//! uncertainty of both ([`crate::statistics::two_way`]). All figures carry this one interval.

use crate::alignment::contrast::{OfArm, origins};
use crate::alignment::design::Design;
use crate::alignment::pairing::{teachers, units};
use crate::alignment::training::{
    ACCURACY, ALIGNMENT, BALANCED, CUT_OFF, CUT_OFF_WRONG, ELASTICITY, FIGURES, PARTIAL,
    RELIABILITY, SPEARMAN, TOKENS, Training, UNLIMITED, majority, pass,
};
use crate::alignment::within_task::{CURVE, Pairs};
use crate::manifest::{ArmCard, ArmRun, Budget};
use crate::norms::Norms;
use crate::statistics::two_way::TwoWay;
use crate::statistics::{Undefined, correlation, mean};

use super::{Among, ArmFigures, Estimate, ItemPoint, TaskFigures, chains};

impl Estimate {
    /// A figure that does not exist, with the reason.
    pub fn undefined(why: impl Into<String>, n: usize) -> Self {
        Self {
            n,
            why_undefined: Some(why.into()),
            ..Self::default()
        }
    }

    /// The same with the interval cut to the values that the figure can have, which takes nothing
    /// from what it covers.
    #[must_use]
    pub(super) fn within(mut self, (least, most): (f64, f64)) -> Self {
        self.low = self.low.map(|low| low.max(least));
        self.high = self.high.map(|high| high.min(most));
        self
    }

    /// A figure with its 95 % interval, or the reason that one of the two is missing.
    pub fn of(found: Result<&TwoWay, &Undefined>, n: usize) -> Self {
        let found = match found {
            Ok(found) => found,
            Err(why) => return Self::undefined(why.to_string(), n),
        };
        let value = Some(found.value);
        match &found.spread {
            Ok(spread) => {
                let half = spread.half_width(0.025);
                Self {
                    value,
                    low: Some(found.value - half),
                    high: Some(found.value + half),
                    se: Some(spread.se),
                    df: Some(spread.df),
                    n,
                    why_undefined: None,
                }
            }
            Err(why) => Self {
                value,
                ..Self::undefined(why.to_string(), n)
            },
        }
    }
}

fn points(design: &Design<'_>, at: usize, trainings: &[Training<'_>]) -> Vec<ItemPoint> {
    let task = &design.tasks[at];
    let point = |(item, id): (usize, &&str)| {
        let of: Vec<_> = trainings.iter().filter_map(|t| t.cells[at][item]).collect();
        let means = |value: &dyn Fn(usize) -> Option<f64>| {
            mean(&(0..of.len()).filter_map(value).collect::<Vec<_>>())
        };
        let graded: usize = of.iter().map(|i| i.graded).sum();
        let right: usize = of.iter().map(|i| i.right).sum();
        Some(ItemPoint {
            item_id: (*id).to_owned(),
            human_cost: task.human[item],
            model_cost: means(&|i| of[i].cost)?,
            tokens: means(&|i| of[i].tokens)?,
            accuracy: (graded > 0).then(|| right as f64 / graded as f64),
        })
    };
    task.ids.iter().enumerate().filter_map(point).collect()
}

/// Mean budget over the arm's seeds, of those that were measured (of memory the
/// most); what an arm started from is counted with it.
fn mean_budget(name: &str, runs: &[ArmRun]) -> Option<Budget> {
    let of_arm = runs.iter().filter(|run| run.arm == name);
    let spent: Vec<Budget> = of_arm.filter_map(|run| chains::spent(run, runs)).collect();
    chains::mean(&spent)
}

/// r(k) of a task, mean over trainings as every figure is; empty where it is undefined in one of them.
fn curve(design: &Design<'_>, at: usize, trainings: &[Training<'_>]) -> Vec<(u32, f64)> {
    let task = &design.tasks[at];
    let of = |training: &Training<'_>| {
        let mut pairs = Pairs::default();
        for (item, means) in training.items(design, at, None) {
            pairs.push(means, task.human[item]);
        }
        pairs.curve().ok()
    };
    let Some(curves) = trainings.iter().map(of).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let units = units(&origins(trainings));
    let point = |(place, k): (usize, u32)| {
        let of_unit = |unit: &Vec<usize>| {
            let at_k = unit.iter().map(|&training| curves[training][place]);
            mean(&at_k.collect::<Vec<f64>>())
        };
        let at_k: Vec<f64> = units.iter().filter_map(of_unit).collect();
        Some((k, mean(&at_k)?))
    };
    CURVE.into_iter().enumerate().filter_map(point).collect()
}

/// What values a figure can have.
pub(super) fn range(figure: usize) -> (f64, f64) {
    match figure {
        ACCURACY | BALANCED | CUT_OFF_WRONG | CUT_OFF | FIGURES.. => (0.0, 1.0),
        ALIGNMENT | SPEARMAN | PARTIAL => (-1.0, 1.0),
        RELIABILITY => (f64::NEG_INFINITY, 1.0),
        TOKENS => (0.0, f64::INFINITY),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

/// Everything the comparison says of one arm.
pub(super) fn figures(
    card: &ArmCard,
    design: &Design<'_>,
    trainings: &[Training<'_>],
    norms: &Norms,
    runs: &[ArmRun],
) -> ArmFigures {
    let of_arm = OfArm::new(design, trainings);
    let figure = |tasks: &[usize], figure: usize, n: usize| {
        let found = Estimate::of(of_arm.figure(tasks, figure).as_ref(), n);
        found.within(range(figure))
    };
    // Samples, or items of one training or more, that a figure is over.
    let samples = |tasks: &[usize], of: fn(&crate::alignment::cost::ItemMeans) -> usize| -> usize {
        let all = tasks
            .iter()
            .flat_map(|&at| trainings.iter().map(move |t| (at, t)));
        all.flat_map(|(at, t)| t.items(design, at, None).map(move |(_, item)| of(item)))
            .sum()
    };
    let there = |at: usize, item: usize| trainings.iter().any(|t| t.cells[at][item].is_some());
    let asked = |tasks: &[usize]| -> usize {
        let of_task = |&at: &usize| {
            let items = 0..design.tasks[at].ids.len();
            items.filter(|&item| there(at, item)).count()
        };
        tasks.iter().map(of_task).sum()
    };
    let among = |tasks: &[usize], items: usize| -> Vec<Among> {
        let at = |(size, k): (usize, &usize)| Among {
            k: *k,
            pass: figure(tasks, pass(size), items),
            majority: figure(tasks, majority(size), items),
        };
        design.sizes.iter().enumerate().map(at).collect()
    };
    let mut table = Vec::new();
    for (at, task) in design.tasks.iter().enumerate() {
        let points = points(design, at, trainings);
        let only = &[at][..];
        // Alignment is over these.
        let items = points.iter().filter(|p| p.human_cost.is_some()).count();
        let graded = samples(only, |item| item.graded);
        let evaluated = asked(only);
        let human = (0..task.ids.len()).filter(|&item| task.human[item].is_some());
        table.push(TaskFigures {
            task: task.name.to_owned(),
            items: evaluated,
            timed: human.filter(|item| there(at, *item)).count(),
            accuracy: figure(only, ACCURACY, graded),
            balanced_accuracy: figure(only, BALANCED, graded),
            accuracy_truncated_wrong: figure(
                only,
                CUT_OFF_WRONG,
                samples(only, |item| item.graded + item.truncated),
            ),
            tokens: figure(only, TOKENS, evaluated),
            cut_off: figure(only, CUT_OFF, samples(only, |item| item.samples)),
            among: among(only, evaluated),
            elasticity: figure(only, ELASTICITY, items),
            alignment_unlimited: figure(only, UNLIMITED, items),
            reliability: figure(only, RELIABILITY, items),
            curve: curve(design, at, trainings),
            alignment: figure(only, ALIGNMENT, items),
            spearman: figure(only, SPEARMAN, items),
            partial: figure(only, PARTIAL, items),
            ceiling: norms.ceiling(task.name).map(|c| c.ceiling),
            points,
        });
    }
    let all: Vec<usize> = (0..design.tasks.len()).collect();
    let points = table.iter().flat_map(|task| &task.points);
    let items = points.filter(|point| point.human_cost.is_some()).count();
    let graded = samples(&all, |item| item.graded);
    let alignments: Vec<f64> = table.iter().filter_map(|t| t.alignment.value).collect();
    ArmFigures {
        name: card.name.clone(),
        role: card.role,
        seeds: trainings.iter().filter_map(|t| t.model.seed).collect(),
        teachers: Some(teachers(&origins(trainings)))
            .filter(|of| of.len() > 1)
            .unwrap_or_default(),
        accuracy: figure(&all, ACCURACY, graded),
        balanced_accuracy: figure(&all, BALANCED, graded),
        tokens: figure(&all, TOKENS, asked(&all)),
        cut_off: figure(&all, CUT_OFF, samples(&all, |item| item.samples)),
        among: among(&all, asked(&all)),
        elasticity: figure(&all, ELASTICITY, items),
        alignment_unlimited: figure(&all, UNLIMITED, items),
        reliability: figure(&all, RELIABILITY, items),
        alignment: figure(&all, ALIGNMENT, items),
        alignment_fisher: match correlation::fisher_mean(&alignments) {
            Ok(value) => Estimate {
                value: Some(value),
                ..Estimate::undefined("no interval: a figure of the paper's", items)
            },
            Err(why) => Estimate::undefined(why.to_string(), items),
        },
        truncated: samples(&all, |item| item.truncated),
        samples: samples(&all, |item| item.samples),
        trained_on: chains::trained_on(&card.name, runs),
        budget: mean_budget(&card.name, runs),
        tasks: table,
    }
}
