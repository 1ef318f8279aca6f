//! Computes the figures beside the table, with their intervals.

mod levels;
mod pairs;
mod prints;
mod trivial;

use rayon::prelude::*;

use super::{Further, FurtherArm, TaskIndex};
use crate::alignment::contrast::origins;
use crate::alignment::cost::ItemMeans;
use crate::alignment::design::{Design, Without};
use crate::alignment::pairing::units;
use crate::alignment::training::Training;
use crate::alignment::{allocation, cross_task, iei};
use crate::comparison::Estimate;
use crate::comparison::build::Input;
use crate::comparison::contrasts::base_of;
use crate::comparison::trained::Trained;
use crate::manifest::Role;
use crate::statistics::two_way::two_way;
use crate::statistics::{Undefined, mean};
use pairs::{inflation_of, surface};

/// Everything beside the table.
pub(in crate::comparison) fn further(
    input: &Input<'_>,
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
) -> Further {
    let of = |name: &str| trained.arms.get(name).map(Vec::as_slice);
    let learned = input
        .arms
        .iter()
        .filter(|arm| matches!(arm.role, Role::Student | Role::Rl));
    let from_base = learned.filter_map(|arm| {
        let base = base_of(arm, input.arms)?;
        Some([(arm.name.as_str(), of(&arm.name)?), (base, of(base)?)])
    });
    let from_base: Vec<_> = from_base.collect();
    let students = input.arms.iter().filter(|arm| arm.role == Role::Student);
    let from_teacher = students.filter_map(|arm| {
        let teacher = arm.teacher.as_deref()?;
        Some([(arm.name.as_str(), of(&arm.name)?), (teacher, of(teacher)?)])
    });
    let from_teacher: Vec<_> = from_teacher.collect();
    let named: Vec<(&str, &[Training<'_>])> = (input.arms.iter())
        .filter_map(|arm| Some((arm.name.as_str(), of(&arm.name)?)))
        .collect();
    Further {
        arms: (named.par_iter())
            .map(|(name, trainings)| of_arm(input, design, name, trainings))
            .collect(),
        people: people(input, design),
        inflation: (from_base.par_iter())
            .map(|pair| inflation_of(design, trained, *pair))
            .collect(),
        surface: (from_teacher.par_iter())
            .map(|pair| surface(design, trained, *pair))
            .collect(),
        similarity: prints::similarity(design, trained, &named),
        trivial: trivial::trivial(design, &named),
        effort: levels::effort(input, design, &named),
    }
}

/// A figure of each training, averaged, with its interval over trainings and items; `concerned`
/// says which clusters it can depend on.
fn figure(
    design: &Design<'_>,
    trainings: usize,
    n: usize,
    concerned: impl Fn(Without) -> bool,
    of: impl Fn(usize, Option<Without>) -> Result<f64, Undefined>,
) -> Estimate {
    let why = (0..trainings).find_map(|s| of(s, None).err());
    let found = design.replicates(trainings, concerned, |s, without| of(s, without).ok());
    match (found, why) {
        (Some(found), None) if trainings > 0 => Estimate::of(Ok(&two_way(&found, None)), n),
        (_, why) => Estimate::undefined(why.map_or("no record".into(), |w| w.to_string()), n),
    }
}

/// The same of an arm's trainings, those that are one draw averaged first.
fn figure_of_arm(
    design: &Design<'_>,
    trainings: &[Training<'_>],
    n: usize,
    concerned: impl Fn(Without) -> bool,
    of: impl Fn(usize, Option<Without>) -> Result<f64, Undefined>,
) -> Estimate {
    let units = units(&origins(trainings));
    figure(design, units.len(), n, concerned, |unit, without| {
        mean_over(&units[unit], |&training| of(training, without))
    })
}

/// The mean of what several have, or why one of them has nothing.
fn mean_over<P>(all: &[P], of: impl FnMut(&P) -> Result<f64, Undefined>) -> Result<f64, Undefined> {
    let values: Result<Vec<f64>, Undefined> = all.iter().map(of).collect();
    mean(&values?).ok_or_else(|| Undefined::Because("no record".into()))
}

/// Whether any of the trainings has an item of the cluster in one of the tasks.
fn concerns<'a>(
    design: &'a Design<'_>,
    trainings: &'a [Training<'_>],
    tasks: &'a [usize],
) -> impl Fn(Without) -> bool + 'a {
    move |without| trainings.iter().any(|t| t.concerns(design, tasks, without))
}

/// Numbers of all tasks.
fn all_tasks(design: &Design<'_>) -> Vec<usize> {
    (0..design.tasks.len()).collect()
}

/// Items of a training on some tasks that have something.
fn count(
    design: &Design<'_>,
    training: Option<&Training<'_>>,
    tasks: &[usize],
    has: impl Fn(&ItemMeans) -> bool,
) -> usize {
    let Some(training) = training else { return 0 };
    let of = |&at: &usize| {
        training
            .items(design, at, None)
            .filter(|(_, item)| has(item))
            .count()
    };
    tasks.iter().map(of).sum()
}

fn of_arm(
    input: &Input<'_>,
    design: &Design<'_>,
    name: &str,
    trainings: &[Training<'_>],
) -> FurtherArm {
    let tasks = all_tasks(design);
    let evaluated = |at: &usize| {
        trainings
            .iter()
            .any(|t| t.items(design, *at, None).next().is_some())
    };
    let (cross_task, demonstrative) = across(
        input,
        trainings,
        tasks.iter().filter(|at| evaluated(at)).count(),
    );
    let index = |at: usize| {
        let only = [at];
        TaskIndex {
            task: design.tasks[at].name.to_owned(),
            value: figure_of_arm(
                design,
                trainings,
                count(design, trainings.first(), &only, |_| true),
                concerns(design, trainings, &only),
                |s, without| {
                    iei::iei(
                        trainings[s]
                            .items(design, at, without)
                            .map(|(_, item)| item),
                    )
                },
            ),
        }
    };
    let both = |item: &ItemMeans| item.wrong_cost.is_some() && item.right_cost.is_some();
    FurtherArm {
        name: name.into(),
        cross_task,
        demonstrative,
        allocation: figure_of_arm(
            design,
            trainings,
            trainings
                .iter()
                .map(|t| count(design, Some(t), &tasks, both))
                .sum(),
            concerns(design, trainings, &tasks),
            |s, without| {
                let items = tasks
                    .iter()
                    .flat_map(|&at| trainings[s].items(design, at, without));
                allocation::cohens_d(&allocation::differences(items.map(|(_, item)| item)))
            },
        ),
        iei: tasks.iter().map(|&at| index(at)).collect(),
    }
}

/// Cross-task alignment of an arm as the paper reports it: means over trainings.
fn across(input: &Input<'_>, trainings: &[Training<'_>], tasks: usize) -> (Estimate, bool) {
    let of =
        |t: &Training<'_>| cross_task::cross_task(t.model, input.tasks, input.norms, input.seed);
    match trainings.iter().map(of).collect::<Result<Vec<_>, _>>() {
        Ok(found) => {
            let over = |of: fn(&cross_task::CrossTask) -> f64| {
                mean(&found.iter().map(of).collect::<Vec<_>>())
            };
            let estimate = Estimate {
                value: over(|c| c.mean),
                low: over(|c| c.low),
                high: over(|c| c.high),
                n: tasks,
                ..Estimate::default()
            };
            (estimate, found.iter().any(|c| c.demonstrative))
        }
        Err(why) => (
            Estimate::undefined(why.to_string(), tasks),
            tasks < cross_task::FEWEST_TASKS,
        ),
    }
}

/// People's wrong minus right trials within item, by task, where trials were given.
fn people(input: &Input<'_>, design: &Design<'_>) -> Vec<TaskIndex> {
    let of_task = |(at, task): (usize, &crate::alignment::design::TaskDesign<'_>)| {
        let known = input.norms.wrong_minus_right(task.name)?;
        let of_item: Vec<Option<f64>> = task.ids.iter().map(|id| known.get(*id).copied()).collect();
        let kept = |without| -> Vec<f64> {
            let items = of_item.iter().enumerate();
            items
                .filter(|(item, _)| task.keeps(*item, without))
                .filter_map(|(_, difference)| *difference)
                .collect()
        };
        let concerned = |without: Without| {
            without.stratum == task.stratum
                && (0..task.ids.len())
                    .any(|item| of_item[item].is_some() && task.cluster[item] == without.cluster)
        };
        Some(TaskIndex {
            task: design.tasks[at].name.to_owned(),
            value: figure(design, 1, kept(None).len(), concerned, |_, without| {
                allocation::cohens_d(&kept(without))
            }),
        })
    };
    design
        .tasks
        .iter()
        .enumerate()
        .filter_map(of_task)
        .collect()
}
