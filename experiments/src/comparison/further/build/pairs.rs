//! Figures of an arm beside another: inflation on its base, likeness to its teacher.

use std::cell::RefCell;
use std::collections::HashMap;

use super::{all_tasks, figure, mean_over};
use crate::alignment::cost::ItemMeans;
use crate::alignment::design::{Design, Without};
use crate::alignment::training::Training;
use crate::alignment::{effort, iei, inflation};
use crate::comparison::Estimate;
use crate::comparison::further::{Inflation, LineFigures, Surface};
use crate::comparison::trained::Trained;
use crate::statistics::Undefined;
use crate::statistics::regression::{Line, ols};

type Arm<'a, 'm> = (&'a str, &'a [Training<'m>]);

/// An item that both of two trainings were asked.
struct Shared<'m> {
    task: usize,
    human: Option<f64>,
    arm: &'m ItemMeans,
    against: &'m ItemMeans,
}

fn shared<'m>(
    design: &Design<'_>,
    arm: &Training<'m>,
    against: &Training<'m>,
    without: Option<Without>,
) -> Vec<Shared<'m>> {
    let on = |task: usize| {
        let of = arm.items(design, task, without);
        of.filter_map(move |(item, of_arm)| {
            Some(Shared {
                task,
                human: design.tasks[task].human[item],
                arm: of_arm,
                against: against.cells[task][item]?,
            })
        })
        .collect::<Vec<_>>()
    };
    (0..design.tasks.len()).flat_map(on).collect()
}

/// A figure of two arms' trainings, averaged over those that stand beside each other: those of
/// one seed, a student and its teacher, or each with all of the other arm.
fn pair_figure(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    [arm, against]: [Arm<'_, '_>; 2],
    of: impl Fn(&Training<'_>, &Training<'_>, Option<Without>) -> Result<f64, Undefined>,
) -> Estimate {
    let units = trained.pairing([arm.0, against.0]).units();
    let (arm, against) = (arm.1, against.1);
    let tasks = all_tasks(design);
    let n = match (arm.first(), against.first()) {
        (Some(a), Some(b)) => shared(design, a, b, None).len(),
        _ => 0,
    };
    let concerned = |without| {
        let mut all = arm.iter().chain(against);
        all.any(|t| t.concerns(design, &tasks, without))
    };
    figure(design, units.len(), n, concerned, |unit, without| {
        mean_over(&units[unit], |&(a, b)| of(&arm[a], &against[b], without))
    })
}

/// A line's three figures; the line of each pair and cluster is drawn once.
fn lines(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    pair: [Arm<'_, '_>; 2],
    line: impl Fn(&Training<'_>, &Training<'_>, Option<Without>) -> Result<Line, Undefined>,
) -> LineFigures {
    let drawn = RefCell::new(HashMap::new());
    let of = |part: fn(&Line) -> f64| {
        pair_figure(design, trained, pair, |a, b, without| {
            let place = without.map(|left| (left.stratum, left.cluster));
            let key = (a.model.seed, b.model.seed, place);
            let mut drawn = drawn.borrow_mut();
            let line = drawn.entry(key).or_insert_with(|| line(a, b, without));
            line.as_ref().map(part).map_err(Clone::clone)
        })
    };
    LineFigures {
        slope: of(|l| l.slope),
        intercept: of(|l| l.intercept),
        r2: of(|l| l.r2),
    }
}

/// Values of the items that two trainings share, centred within task.
fn columns<const N: usize>(
    design: &Design<'_>,
    of: fn(&Shared<'_>) -> Option<[f64; N]>,
) -> impl Fn(&Training<'_>, &Training<'_>, Option<Without>) -> [Vec<f64>; N] {
    move |a, b, without| {
        let items = shared(design, a, b, without);
        let values = items.iter().filter_map(|item| Some((item.task, of(item)?)));
        inflation::centred(&values.collect::<Vec<_>>())
    }
}

/// An arm's tokens on its base's.
pub(super) fn inflation_of(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    pair: [Arm<'_, '_>; 2],
) -> Inflation {
    let [arm, base] = pair;
    let halves = columns(design, |item| {
        let [even, odd] = item.against.token_halves;
        Some([item.arm.tokens?, even?, odd?])
    });
    let means = columns(design, |item| {
        Some([item.arm.tokens?, item.against.tokens?])
    });
    let ratios = columns(design, |item| {
        let (own, other) = (item.arm.tokens?, item.against.tokens?);
        (own > 0.0 && other > 0.0).then_some([(own / other).ln(), item.human?])
    });
    let index = |t: &Training<'_>, at, without| {
        iei::iei(t.items(design, at, without).map(|(_, item)| item)).ok()
    };
    let indices = |a: &Training<'_>, b: &Training<'_>, without| -> Vec<(f64, f64)> {
        (0..design.tasks.len())
            .filter_map(|at| Some((index(b, at, without)?, index(a, at, without)?)))
            .collect()
    };
    let mut over_tasks = lines(design, trained, pair, |a, b, without| {
        let (x, y): (Vec<f64>, Vec<f64>) = indices(a, b, without).into_iter().unzip();
        ols(&x, &y)
    });
    // These points are tasks.
    let tasks = match (arm.1.first(), base.1.first()) {
        (Some(a), Some(b)) => indices(a, b, None).len(),
        _ => 0,
    };
    for figure in [
        &mut over_tasks.slope,
        &mut over_tasks.intercept,
        &mut over_tasks.r2,
    ] {
        figure.n = tasks;
    }
    Inflation {
        arm: arm.0.into(),
        against: base.0.into(),
        slope: pair_figure(design, trained, pair, |a, b, without| {
            inflation::by_instruments(&halves(a, b, without))
        }),
        least_squares: pair_figure(design, trained, pair, |a, b, without| {
            inflation::least_squares(&means(a, b, without), "the base's tokens")
        }),
        heterogeneity: pair_figure(design, trained, pair, |a, b, without| {
            inflation::least_squares(&ratios(a, b, without), "human cost")
        }),
        tokens: lines(design, trained, pair, |a, b, without| {
            let items = shared(design, a, b, without);
            let points = items
                .iter()
                .filter_map(|i| Some((i.against.tokens?, i.arm.tokens?)));
            let (x, y): (Vec<f64>, Vec<f64>) = points.unzip();
            ols(&x, &y)
        }),
        iei: over_tasks,
    }
}

/// Which samples of an item are meant.
#[derive(Clone, Copy)]
enum Part {
    All,
    Half(usize),
}

/// Item means of tokens by task.
fn tokens(
    design: &Design<'_>,
    training: &Training<'_>,
    part: Part,
    without: Option<Without>,
) -> Vec<Vec<f64>> {
    let of = |item: &ItemMeans| match part {
        Part::All => item.tokens,
        Part::Half(half) => item.token_halves[half],
    };
    let on = |at| {
        training
            .items(design, at, without)
            .filter_map(|(_, i)| of(i))
            .collect()
    };
    (0..design.tasks.len()).map(on).collect()
}

/// A student beside its teacher.
pub(super) fn surface(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    pair: [Arm<'_, '_>; 2],
) -> Surface {
    let [arm, teacher] = pair;
    // The halves of one training and the other halves of another: equal numbers of samples, and
    // no sample on both sides.
    let across = |a: &Training<'_>, b: &Training<'_>, without| {
        let one_way = |own: usize| {
            let reference = tokens(design, b, Part::Half(1 - own), without);
            let student = tokens(design, a, Part::Half(own), without);
            let relative = |of: &[Vec<f64>]| effort::relative(of, &reference).concat();
            effort::divergence(&relative(&student), &relative(&reference))
        };
        Ok(f64::midpoint(one_way(0)?, one_way(1)?))
    };
    Surface {
        arm: arm.0.into(),
        against: teacher.0.into(),
        relative_effort: pair_figure(design, trained, pair, |a, b, without| {
            let reference = tokens(design, b, Part::All, without);
            let student = tokens(design, a, Part::All, without);
            effort::mean_effort(&effort::relative(&student, &reference).concat())
        }),
        divergence: pair_figure(design, trained, pair, across),
        floor: pair_figure(design, trained, [teacher, teacher], across),
    }
}
