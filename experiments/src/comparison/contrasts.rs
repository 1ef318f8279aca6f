//! The contrasts of a comparison: which are taken, and their figures.

use std::collections::BTreeSet;

use super::build::Input;
use super::{ArmFigures, Contrast, Measure, arms};
use crate::alignment::contrast::{self, Resampling};
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::layout::MEASURES;
use crate::manifest::{ArmCard, Role};
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
pub(super) fn planned(arms: &[ArmCard]) -> Vec<Planned<'_>> {
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
    plan
}

/// All of them, each in the four measures.
pub(super) fn contrasts(input: &Input<'_>, items: &Items, arms: &[ArmFigures]) -> Vec<Contrast> {
    let resampling = Resampling {
        draws: input.draws,
        seed: input.seed,
    };
    let mut found = Vec::new();
    for (arm, against, question) in planned(input.arms) {
        let (first, second) = (&items.models[arm], &items.models[against]);
        let differences =
            contrast::differences(first, second, input.tasks, input.norms, resampling);
        let sizes = union_sizes(first, second, input);
        for (at, measure) in MEASURES.into_iter().enumerate() {
            let (difference, interval, p, smallest) = match &differences {
                Ok(all) => (
                    all[at]
                        .value
                        .ok_or_else(|| why_missing(arms, [arm, against], measure)),
                    all[at].interval,
                    all[at].p,
                    all[at].smallest,
                ),
                Err(why) => (Err(why.to_string()), None, None, None),
            };
            let direction = contrast::direction(interval);
            let question = question.filter(|_| measure == Measure::Alignment);
            found.push(Contrast {
                arm: arm.into(),
                against: against.into(),
                measure,
                question: question.map(Into::into),
                difference: arms::estimate(
                    difference,
                    interval,
                    sizes[usize::from(measure != Measure::Alignment)],
                ),
                p,
                p_holm: None,
                smallest,
                direction,
                verdict: question.map(|_| contrast::verdict(direction).into()),
            });
        }
    }
    for measure in MEASURES {
        correct(&mut found, measure);
    }
    found
}

/// Corrects the p values of one measure for their number: the contrasts of a
/// measure are one family, since each measure is a question of its own.
fn correct(contrasts: &mut [Contrast], measure: Measure) {
    let mut family: Vec<&mut Contrast> = contrasts
        .iter_mut()
        .filter(|contrast| contrast.measure == measure)
        .collect();
    let p: Vec<Option<f64>> = family.iter().map(|contrast| contrast.p).collect();
    for (contrast, corrected) in family.iter_mut().zip(holm(&p)) {
        contrast.p_holm = corrected;
    }
}

/// Items that either arm has: with a human time, and all.
fn union_sizes(first: &[ModelItems], second: &[ModelItems], input: &Input<'_>) -> [usize; 2] {
    let mut sizes = [0; 2];
    for task in input.tasks {
        let models = first.iter().chain(second);
        let ids: BTreeSet<&String> = models
            .flat_map(|m| m.task(task))
            .filter(|(_, item)| item.cost.is_some())
            .map(|(id, _)| id)
            .collect();
        sizes[0] += ids
            .iter()
            .filter(|id| input.norms.human_cost(task, id).is_some())
            .count();
        sizes[1] += ids.len();
    }
    sizes
}

/// Which side's figure is missing, and why.
fn why_missing(arms: &[ArmFigures], names: [&str; 2], measure: Measure) -> String {
    let reason = |name: &str| {
        let arm = arms.iter().find(|arm| arm.name == name)?;
        let figure = match measure {
            Measure::Alignment => &arm.alignment,
            Measure::Accuracy => &arm.accuracy,
            Measure::BalancedAccuracy => &arm.balanced_accuracy,
            Measure::Tokens => &arm.tokens,
        };
        figure.value.is_none().then(|| {
            format!(
                "{name}: {}",
                figure.why_undefined.clone().unwrap_or_default()
            )
        })
    };
    let reasons: Vec<String> = names.into_iter().filter_map(reason).collect();
    if reasons.is_empty() {
        "undefined in the paired seeds".into()
    } else {
        reasons.join("; ")
    }
}
