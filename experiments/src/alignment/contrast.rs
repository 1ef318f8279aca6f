//! An arm's figure over its trainings, and the difference of two arms, each with its
//! uncertainty over trainings and items.
//!
//! An arm's figure is the mean over its trainings of the plain mean over tasks. Arms that were
//! trained from the same seeds differ seed by seed; where the other arm has other trainings (a
//! teacher), it is the difference of the means, and the other's variance between trainings adds.
//! Trainings that are one draw ([`super::pairing`]) are averaged before that, with all items and
//! without each cluster alike.

use std::cell::RefCell;
use std::collections::HashMap;

use super::design::{Design, Without};
use super::pairing::{Origin, Pairing, Tie, pairing, units};
use super::training::{ALIGNMENT, RELIABILITY, Training, UNLIMITED};
use crate::comparison::{Measure, Scope, Verdict};
use crate::statistics::two_way::{Against, TwoWay, two_way};
use crate::statistics::{Undefined, mean, sample_variance};

/// The tasks over which a figure of all these trainings is a mean.
///
/// Those on which it exists in each of them. A correlation at unlimited samples is refused as a
/// whole where one training on one task is too unreliable: a mean over the others would be a
/// choice of the reliable ones.
pub fn defined_tasks(
    design: &Design<'_>,
    trainings: &[&Training<'_>],
    among: &[usize],
    figure: usize,
) -> Result<Vec<usize>, Undefined> {
    let asked = match figure {
        UNLIMITED | RELIABILITY => ALIGNMENT,
        other => other,
    };
    let on = |task: &usize| trainings.iter().all(|t| t.whole(*task, asked).is_ok());
    let tasks: Vec<usize> = among.iter().copied().filter(on).collect();
    let looked_at: &[usize] = if tasks.is_empty() { among } else { &tasks };
    let mut why: Vec<(String, &Undefined)> = Vec::new();
    for &task in looked_at {
        for training in trainings {
            let figure = if tasks.is_empty() { asked } else { figure };
            if let Err(reason) = training.whole(task, figure) {
                let task = design.tasks[task].name;
                let place = match training.model.seed {
                    Some(seed) => format!("seed {seed}, {task}"),
                    None => task.to_owned(),
                };
                why.push((place, reason));
            }
        }
    }
    match why.as_slice() {
        [] if tasks.is_empty() => Err(Undefined::Because("no record".into())),
        [] => Ok(tasks),
        [(_, reason), rest @ ..]
            if why.len() == looked_at.len() * trainings.len()
                && rest.iter().all(|(_, other)| other == reason) =>
        {
            Err((*reason).clone())
        }
        [(place, reason)] => Err(Undefined::Because(format!("{place}: {reason}"))),
        [(place, reason), rest @ ..] => Err(Undefined::Because(format!(
            "{place}: {reason}, and so in {} more",
            rest.len()
        ))),
    }
}

/// What tells an arm's trainings apart.
pub fn origins(trainings: &[Training<'_>]) -> Vec<Origin> {
    trainings.iter().map(|training| training.origin).collect()
}

/// The mean of what places have; `None` where one has nothing.
fn mean_of<P: Copy>(places: &[P], of: impl Fn(P) -> Option<f64>) -> Option<f64> {
    let values: Option<Vec<f64>> = places.iter().map(|&place| of(place)).collect();
    mean(&values?)
}

/// The trainings of an arm, whose figures are taken one after another.
pub struct OfArm<'d, 't, 'm> {
    design: &'d Design<'d>,
    trainings: &'t [Training<'m>],
    /// Places of the trainings that are one draw.
    units: Vec<Vec<usize>>,
    /// The clusters that the arm has items of, by the tasks that they are of.
    concerned: RefCell<HashMap<Vec<usize>, Vec<Vec<Without>>>>,
}

impl<'d, 't, 'm> OfArm<'d, 't, 'm> {
    /// An arm before any figure is taken.
    pub fn new(design: &'d Design<'d>, trainings: &'t [Training<'m>]) -> Self {
        Self {
            design,
            trainings,
            units: units(&origins(trainings)),
            concerned: RefCell::default(),
        }
    }

    /// The mean of a figure over trainings and over the tasks on which it exists.
    pub fn figure(&self, among: &[usize], figure: usize) -> Result<TwoWay, Undefined> {
        let (design, trainings) = (self.design, self.trainings);
        let all: Vec<&Training<'_>> = trainings.iter().collect();
        let tasks = defined_tasks(design, &all, among, figure)?;
        let mut known = self.concerned.borrow_mut();
        let concerned = known.entry(tasks.clone()).or_insert_with(|| {
            design.concerned(|without| {
                let mut all = trainings.iter();
                all.any(|t| t.concerns(design, &tasks, without))
            })
        });
        let found = Design::replicates_without(concerned, self.units.len(), |unit, without| {
            mean_of(&self.units[unit], |s| {
                trainings[s].over_tasks(design, &tasks, figure, without)
            })
        });
        let found = found.ok_or_else(|| Undefined::Because("no record".into()))?;
        Ok(two_way(&found, None))
    }
}

/// The difference of two arms in a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// arm minus against.
    pub found: TwoWay,
    /// What it can be said of.
    pub scope: Scope,
    /// Draws behind it: trainings, or teachers where those of one teacher are averaged.
    pub trainings: usize,
    /// The arm's and the other's mean on each task that counts, for an effect size.
    pub tasks: [Vec<f64>; 2],
}

/// `arm` minus `against` in a figure, over the tasks on which both have it.
pub fn difference(
    design: &Design<'_>,
    [arm, against]: [&[Training<'_>]; 2],
    tie: Tie,
    among: &[usize],
    figure: usize,
) -> Result<Difference, Undefined> {
    let sides = [origins(arm), origins(against)];
    let pairing = pairing(&sides[0], &sides[1], tie);
    let [first, second] = pairing.places();
    if first.is_empty() || second.is_empty() {
        return Err(Undefined::Because(
            "no training of the one arm belongs to one of the other".into(),
        ));
    }
    let all: Vec<&Training<'_>> = (first.iter().map(|&at| &arm[at]))
        .chain(second.iter().map(|&at| &against[at]))
        .collect();
    let tasks = defined_tasks(design, &all, among, figure)?;
    let value =
        |training: &Training<'_>, without| training.over_tasks(design, &tasks, figure, without);
    let of_unit = |unit: &Vec<usize>, without| mean_of(unit, |at| value(&against[at], without));
    let replicate = |unit: usize, without| match &pairing {
        Pairing::Pairs(units) => mean_of(&units[unit], |(a, b)| {
            Some(value(&arm[a], without)? - value(&against[b], without)?)
        }),
        Pairing::Apart([first, second]) => {
            let own = mean_of(&first[unit], |at| value(&arm[at], without))?;
            let others: Option<Vec<f64>> =
                second.iter().map(|unit| of_unit(unit, without)).collect();
            Some(own - mean(&others?)?)
        }
    };
    let (units, apart) = match &pairing {
        Pairing::Pairs(units) => (units.len(), None),
        Pairing::Apart([first, second]) => {
            let own: Vec<f64> = second.iter().filter_map(|u| of_unit(u, None)).collect();
            let apart = Against {
                variance: sample_variance(&own).unwrap_or_default() / own.len() as f64,
                trainings: own.len(),
            };
            (first.len(), Some(apart))
        }
    };
    let concerned = |without| all.iter().any(|t| t.concerns(design, &tasks, without));
    let replicates = design.replicates(units, concerned, replicate);
    let replicates = replicates.ok_or_else(|| Undefined::Because("no record".into()))?;
    let scope = match (units, second.len()) {
        (1, _) => Scope::ThisTraining,
        (_, 1) => Scope::ThisAgainst,
        _ if pairing.is_by_teacher([&sides[0], &sides[1]]) => Scope::Teachers,
        _ => Scope::Trainings,
    };
    let by_task = |trainings: &[Training<'_>], units: &Vec<Vec<usize>>| -> Vec<f64> {
        let of =
            |at: usize, task: usize| trainings[at].figure(&design.tasks[task], task, figure, None);
        let on = |&task: &usize| {
            let means: Option<Vec<f64>> = units
                .iter()
                .map(|unit| mean_of(unit, |at| of(at, task)))
                .collect();
            mean(&means?)
        };
        tasks.iter().filter_map(on).collect()
    };
    let [own, other] = pairing.sides();
    Ok(Difference {
        found: two_way(&replicates, apart),
        scope,
        trainings: units,
        tasks: [by_task(arm, &own), by_task(against, &other)],
    })
}

/// Where a difference lies, by its intervals and the smallest effect of interest: `Below` or
/// `Above` where the 95 % interval leaves 0 out, else `Equivalent` where the 90 % interval lies
/// within (-d, d).
///
/// Worked example: 0.02 \[-0.05, 0.09\] with a 90 % interval of \[-0.04, 0.08\] and d = 0.1 is `Equivalent`.
pub fn verdict(found: &TwoWay, smallest_effect: f64) -> Verdict {
    let Ok(spread) = &found.spread else {
        return Verdict::Undefined;
    };
    let (wide, narrow) = (spread.half_width(0.025), spread.half_width(0.05));
    if found.value + wide < 0.0 {
        Verdict::Below
    } else if found.value - wide > 0.0 {
        Verdict::Above
    } else if found.value - narrow > -smallest_effect && found.value + narrow < smallest_effect {
        Verdict::Equivalent
    } else {
        Verdict::Unresolved
    }
}

/// Effect size of a difference: the two sides' task values on a scale where a
/// step means the same everywhere, averaged over tasks, and subtracted.
///
/// Correlations: Fisher's z, so Cohen's q. Shares: 2 arcsin of the root, so Cohen's
/// h (Cohen 1988). Tokens: the natural logarithm, so the log of a ratio. An elasticity has no
/// unit already.
/// Undefined where a value lies at the end of its scale.
///
/// Worked example: accuracies 0.9 and 0.5 give h = 2.498 - 1.571 = 0.927;
/// 20 tokens against 10 give ln 2 = 0.693.
pub fn effect(measure: Measure, [first, second]: &[Vec<f64>; 2]) -> Option<f64> {
    let scale: fn(f64) -> f64 = match measure {
        Measure::Elasticity => |value| value,
        Measure::Alignment | Measure::AlignmentUnlimited => libm::atanh,
        Measure::Accuracy | Measure::BalancedAccuracy => |share| 2.0 * libm::asin(share.sqrt()),
        Measure::Tokens => libm::log,
    };
    let side = |values: &Vec<f64>| {
        let scaled: Vec<f64> = values.iter().map(|value| scale(*value)).collect();
        mean(&scaled)
    };
    Some(side(first)? - side(second)?).filter(|effect| effect.is_finite())
}
