//! The contrasts of a comparison: which are taken, and their figures.

use rayon::prelude::*;

use super::build::Input;
use super::trained::Trained;
use super::{Contrast, Estimate, Measure, Scope, TaskContrast, Verdict};
use crate::alignment::contrast::{Difference, difference, effect, verdict};
use crate::alignment::design::Design;
use crate::alignment::training::{MEASURES, Training, place};
use crate::manifest::{ArmCard, Role};
use crate::statistics::mean;

/// The base an arm started from: the one it names, else the only base there is.
pub(super) fn base_of<'a>(arm: &'a ArmCard, arms: &'a [ArmCard]) -> Option<&'a str> {
    let mut bases = arms
        .iter()
        .filter(|a| a.role == Role::Base && a.name != arm.name);
    let only = match (bases.next(), bases.next()) {
        (Some(base), None) => Some(base.name.as_str()),
        _ => None,
    };
    arm.base.as_deref().or(only)
}

/// One contrast to take: arm, against, and its name where it has one.
type Planned<'a> = (&'a str, &'a str, Option<&'static str>);

/// Every contrast, in the order in which they are read.
pub(super) fn planned<'a>(input: &Input<'a>) -> Vec<Planned<'a>> {
    let arms = input.arms;
    let of = |role: Role| arms.iter().filter(move |arm| arm.role == role);
    let mut plan = Vec::new();
    plan.extend(of(Role::Rl).filter_map(|rl| Some((rl.name.as_str(), base_of(rl, arms)?, None))));
    plan.extend(of(Role::Student).filter_map(|student| {
        Some((
            student.name.as_str(),
            base_of(student, arms)?,
            Some("negative transfer"),
        ))
    }));
    plan.extend(of(Role::Student).filter_map(|student| {
        Some((
            student.name.as_str(),
            student.teacher.as_deref()?,
            Some("functional alignment collapse"),
        ))
    }));
    for rl in of(Role::Rl) {
        let same = |student: &&ArmCard| base_of(student, arms) == base_of(rl, arms);
        plan.extend(
            of(Role::Student)
                .filter(same)
                .map(|student| (rl.name.as_str(), student.name.as_str(), None)),
        );
    }
    for role in [Role::Rl, Role::Student] {
        plan.extend(alike(&of(role).collect::<Vec<_>>(), arms));
    }
    if let Some(baseline) = input.baseline {
        hold_against(baseline, arms, &mut plan);
    }
    plan
}

/// Arms of one role that started from the same base: the later minus the earlier.
fn alike<'a>(of_role: &[&'a ArmCard], arms: &'a [ArmCard]) -> Vec<Planned<'a>> {
    let mut pairs = Vec::new();
    for (at, later) in of_role.iter().enumerate() {
        let Some(base) = base_of(later, arms) else {
            continue;
        };
        let same = |earlier: &&&ArmCard| base_of(earlier, arms) == Some(base);
        let earlier = of_role.iter().take(at).filter(same);
        pairs.extend(earlier.map(|earlier| (later.name.as_str(), earlier.name.as_str(), None)));
    }
    pairs
}

/// Adds every other arm minus the baseline. A pair that is there the other way
/// round is turned, unless a question is asked of it: a question has its sign.
fn hold_against<'a>(baseline: &'a str, arms: &'a [ArmCard], plan: &mut Vec<Planned<'a>>) {
    for arm in arms.iter().map(|arm| arm.name.as_str()) {
        if arm == baseline {
            continue;
        }
        let known = |&(a, b, _): &Planned<'_>| [(a, b), (b, a)].contains(&(arm, baseline));
        match plan.iter_mut().find(|pair| known(pair)) {
            Some(pair) if pair.2.is_none() => *pair = (arm, baseline, None),
            Some(_) => {}
            None => plan.push((arm, baseline, None)),
        }
    }
}

/// All of them, each in every measure: over tasks, and by task.
pub(super) fn contrasts(
    input: &Input<'_>,
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
) -> (Vec<Contrast>, Vec<TaskContrast>) {
    let all: Vec<usize> = (0..design.tasks.len()).collect();
    let of_pair = |(arm, against, name): &Planned<'_>| {
        let (mut found, mut by_task) = (Vec::new(), Vec::new());
        for measure in MEASURES {
            let contrast = self::contrast(design, trained, [arm, against], measure, &all, None);
            found.push(Contrast {
                question: name.filter(|_| measure.is_alignment()).map(Into::into),
                ..contrast
            });
            for (at, task) in design.tasks.iter().enumerate() {
                by_task.push(TaskContrast {
                    task: task.name.to_owned(),
                    contrast: self::contrast(design, trained, [arm, against], measure, &[at], None),
                });
            }
        }
        (found, by_task)
    };
    let (found, by_task): (Vec<_>, Vec<_>) = planned(input).par_iter().map(of_pair).unzip();
    (found.concat(), by_task.concat())
}

/// One contrast in one measure over some tasks. `smallest_effect` is in the measure's unit, of
/// tokens a share of the subtrahend's; the measure's own where it is `None`.
pub fn contrast(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    [arm, against]: [&str; 2],
    measure: Measure,
    tasks: &[usize],
    smallest_effect: Option<f64>,
) -> Contrast {
    let (first, second) = (trained.of(arm), trained.of(against));
    let tie = trained.tie([arm, against]);
    let found = difference(design, [first, second], tie, tasks, place(measure));
    let share = smallest_effect.unwrap_or_else(|| measure.smallest_effect());
    let smallest = match &found {
        Ok(found) => in_units(measure, share, found),
        Err(_) => (measure != Measure::Tokens).then_some(share),
    };
    let n = items_of(design, first, second, tasks, measure);
    let spread = found
        .as_ref()
        .ok()
        .and_then(|f| f.found.spread.as_ref().ok());
    let value = found.as_ref().map_or(f64::NAN, |found| found.found.value);
    let narrow = spread.map(|spread| spread.half_width(0.05));
    Contrast {
        arm: arm.into(),
        against: against.into(),
        measure,
        question: None,
        difference: Estimate::of(found.as_ref().map(|found| &found.found), n),
        low90: narrow.map(|half| value - half),
        high90: narrow.map(|half| value + half),
        components: spread.map(|spread| spread.components),
        p: spread.map(|spread| spread.p(value)),
        p_equivalence: spread.zip(smallest).map(|(s, d)| s.p_equivalence(value, d)),
        smallest_effect: smallest,
        effect: found
            .as_ref()
            .ok()
            .and_then(|found| effect(measure, &found.tasks)),
        // Without a size of interest nothing is equivalent, but it may lie below or above 0.
        verdict: (found.as_ref()).map_or(Verdict::Undefined, |found| {
            verdict(&found.found, smallest.unwrap_or_default())
        }),
        trainings: found.as_ref().map_or(0, |found| found.trainings),
        scope: found.as_ref().map_or(Scope::default(), |found| found.scope),
    }
}

/// A smallest effect in the measure's unit: that of tokens is a share of the subtrahend's.
pub(crate) fn in_units(measure: Measure, share: f64, found: &Difference) -> Option<f64> {
    match measure {
        // A share of no tokens is no size.
        Measure::Tokens => mean(&found.tasks[1])
            .map(|tokens| share * tokens)
            .filter(|size| *size > 0.0),
        _ => Some(share),
    }
}

/// Items of some tasks that either arm was asked; those that people have a time for, where the
/// measure is about these.
pub(super) fn items_of(
    design: &Design<'_>,
    first: &[Training<'_>],
    second: &[Training<'_>],
    tasks: &[usize],
    measure: Measure,
) -> usize {
    let of_task = |&at: &usize| {
        let counts = |item: &usize| {
            let mut all = first.iter().chain(second);
            let costs = |t: &Training<'_>| t.cells[at][*item].is_some_and(|i| i.cost.is_some());
            all.any(costs) && (!measure.is_alignment() || design.tasks[at].human[*item].is_some())
        };
        (0..design.tasks[at].ids.len()).filter(counts).count()
    };
    tasks.iter().map(of_task).sum()
}
