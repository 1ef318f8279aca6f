//! The contrasts of a comparison: which are taken, and their figures.

use std::collections::BTreeSet;

use super::build::Input;
use super::{ArmFigures, Contrast, Estimate, Measure, TaskContrast, arms};
use crate::alignment::contrast::{self, Difference, Resampling};
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::layout::MEASURES;
use crate::manifest::{ArmCard, Role};
use crate::statistics::Undefined;
use crate::statistics::family::holm;

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

/// All of them, each in the four measures: over tasks, and by task.
pub(super) fn contrasts(
    input: &Input<'_>,
    items: &Items,
    arms: &[ArmFigures],
) -> (Vec<Contrast>, Vec<TaskContrast>) {
    let resampling = Resampling {
        draws: input.draws,
        seed: input.seed,
    };
    let (mut found, mut by_task) = (Vec::new(), Vec::new());
    for (arm, against, question) in planned(input) {
        let (first, second) = (&items.models[arm], &items.models[against]);
        let differences =
            contrast::differences(first, second, input.tasks, input.norms, resampling);
        let sizes = union_sizes(first, second, input);
        let total = |of: usize| sizes.iter().map(|size| size[of]).sum();
        for (at, measure) in MEASURES.into_iter().enumerate() {
            let with_times = usize::from(measure != Measure::Alignment);
            let question = question.filter(|_| measure == Measure::Alignment);
            let missing = || why_missing(arms, [arm, against], measure);
            let all = differences.as_ref().map(|found| found.overall[at]);
            let contrast = of_difference([arm, against], measure, all, missing, total(with_times));
            found.push(Contrast {
                question: question.map(Into::into),
                verdict: question.map(|_| contrast::verdict(contrast.direction).into()),
                ..contrast
            });
            for (task, name) in input.tasks.iter().enumerate() {
                let of_task = differences.as_ref().map(|found| found.tasks[task][at]);
                let missing = || why_missing_in(arms, [arm, against], measure, name);
                let size = sizes[task][with_times];
                by_task.push(TaskContrast {
                    task: name.clone(),
                    contrast: of_difference([arm, against], measure, of_task, missing, size),
                });
            }
        }
    }
    for measure in MEASURES {
        correct(found.iter_mut(), measure);
        correct(by_task.iter_mut().map(|of| &mut of.contrast), measure);
    }
    (found, by_task)
}

/// One contrast in one measure, before its p is corrected.
fn of_difference(
    [arm, against]: [&str; 2],
    measure: Measure,
    found: Result<Difference, &Undefined>,
    missing: impl FnOnce() -> String,
    n: usize,
) -> Contrast {
    let (value, found) = match found {
        Ok(found) => (found.value.ok_or_else(missing), found),
        Err(why) => (Err(why.to_string()), Difference::default()),
    };
    Contrast {
        arm: arm.into(),
        against: against.into(),
        measure,
        question: None,
        difference: arms::estimate(value, found.interval, n),
        p: found.p,
        p_holm: None,
        smallest: found.smallest,
        effect: found.effect,
        direction: contrast::direction(found.interval),
        verdict: None,
    }
}

/// Corrects the p values of one measure for their number: the contrasts of a
/// measure are one family, since each measure is a question of its own.
fn correct<'a>(contrasts: impl Iterator<Item = &'a mut Contrast>, measure: Measure) {
    let of_measure = contrasts.filter(|contrast| contrast.measure == measure);
    let mut family: Vec<&mut Contrast> = of_measure.collect();
    let p: Vec<Option<f64>> = family.iter().map(|contrast| contrast.p).collect();
    for (contrast, corrected) in family.iter_mut().zip(holm(&p)) {
        contrast.p_holm = corrected;
    }
}

/// Items of each task that either arm has: with a human time, and all.
fn union_sizes(first: &[ModelItems], second: &[ModelItems], input: &Input<'_>) -> Vec<[usize; 2]> {
    let of_task = |task: &String| {
        let models = first.iter().chain(second);
        let ids: BTreeSet<&String> = models
            .flat_map(|m| m.task(task))
            .filter(|(_, item)| item.cost.is_some())
            .map(|(id, _)| id)
            .collect();
        let timed = ids
            .iter()
            .filter(|id| input.norms.human_cost(task, id).is_some());
        [timed.count(), ids.len()]
    };
    input.tasks.iter().map(of_task).collect()
}

/// Which side's figure is missing, and why.
fn why_missing(arms: &[ArmFigures], names: [&str; 2], measure: Measure) -> String {
    why(arms, names, |arm| {
        Some(match measure {
            Measure::Alignment => &arm.alignment,
            Measure::Accuracy => &arm.accuracy,
            Measure::BalancedAccuracy => &arm.balanced_accuracy,
            Measure::Tokens => &arm.tokens,
        })
    })
}

/// The same of one task.
fn why_missing_in(arms: &[ArmFigures], names: [&str; 2], measure: Measure, task: &str) -> String {
    why(arms, names, |arm| {
        let of_task = arm.tasks.iter().find(|found| found.task == task)?;
        Some(match measure {
            Measure::Alignment => &of_task.alignment,
            Measure::Accuracy => &of_task.accuracy,
            Measure::BalancedAccuracy => &of_task.balanced_accuracy,
            Measure::Tokens => &of_task.tokens,
        })
    })
}

fn why(
    arms: &[ArmFigures],
    names: [&str; 2],
    figure: impl Fn(&ArmFigures) -> Option<&Estimate>,
) -> String {
    let reason = |name: &str| {
        let arm = arms.iter().find(|arm| arm.name == name)?;
        let figure = figure(arm)?;
        figure.value.is_none().then(|| {
            let why = figure.why_undefined.clone().unwrap_or_default();
            format!("{name}: {why}")
        })
    };
    let reasons: Vec<String> = names.into_iter().filter_map(reason).collect();
    if reasons.is_empty() {
        "undefined in the paired seeds".into()
    } else {
        reasons.join("; ")
    }
}
