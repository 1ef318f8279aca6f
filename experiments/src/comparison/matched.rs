//! Trained arms held against each other at matched budget, as far as the runs
//! tell.
//!
//! Two arms are compared where both were evaluated at nearly the same budget: where the trainings
//! ended, or on the way. A share of a budget is the same amount in every arm; of other points the
//! pair with the largest FLOPs counts. Nothing is interpolated: where no two evaluations are near,
//! the difference is undefined. What is known besides is accuracy on the validation problems: each
//! arm's last validation at or before the tokens at which the thriftier arm ended.

use serde::{Deserialize, Serialize};

use super::build::Input;
use super::contrasts::{items_of, planned};
use super::on_the_way::Reached;
use super::trained::Trained;
use super::{ArmFigures, Contrast, Estimate, Measure, TrainingLog};
use crate::alignment::contrast::difference;
use crate::alignment::design::Design;
use crate::alignment::training::place;
use crate::manifest::{Budget, Role};
use crate::statistics::mean;

/// Budgets that differ by no more than this share are taken as matched.
pub const MATCHED_WITHIN: f64 = 0.1;

/// A validation on the way of a training.
///
/// Worked example: `{tokens: 45808.0, accuracy: 0.67}` stands in the log at update 10.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Validated {
    /// Tokens trained and generated until then.
    pub tokens: f64,
    /// Accuracy on the validation problems.
    pub accuracy: f64,
}

/// Two trained arms and what each spent.
///
/// Worked example: `grpo` made 120 updates with 460,193 tokens and 6.0e11 FLOPs,
/// `sft` 200 with 142,446 and 3.6e11: ratios 0.6, 3.23 and 1.65. `grpo` was evaluated at 3.5e11 on
/// the way, so `at` has the differences there; at 142,446 tokens their validation accuracies were
/// 0.68 and 0.79.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Matched {
    /// First arm.
    pub arm: String,
    /// Second arm.
    pub against: String,
    /// Updates, the first arm's over the second's.
    pub steps: Option<f64>,
    /// Tokens trained and generated, likewise.
    pub tokens: Option<f64>,
    /// Floating-point operations, likewise.
    pub flops: Option<f64>,
    /// Seconds, likewise.
    pub seconds: Option<f64>,
    /// Difference in elasticity at matched FLOPs, where there is one.
    pub alignment: Estimate,
    /// Differences at matched budgets; none where neither arm was evaluated on the way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at: Vec<AtBudget>,
    /// Tokens at which the validations are matched, mean over seeds.
    pub at_tokens: Option<f64>,
    /// Validation accuracy of the first arm there, mean over the seeds of both.
    pub accuracy: Option<f64>,
    /// Validation accuracy of the second.
    pub accuracy_against: Option<f64>,
}

/// Two arms at one budget.
///
/// Worked example: `{budget: "flops", points: ["50", "end"], flops: [3.5e11, 3.6e11], accuracy: -0.04
/// [-0.09, 0.01], ..}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AtBudget {
    /// The share of a budget, "0.25 of flops", or "flops" for the most FLOPs at which both were evaluated.
    pub budget: String,
    /// The point of either arm; `None` where it has none.
    pub points: [Option<String>; 2],
    /// What either had spent there in FLOPs, mean over trainings.
    pub flops: [Option<f64>; 2],
    /// Difference in accuracy.
    pub accuracy: Estimate,
    /// Difference in reasoning tokens.
    pub tokens: Estimate,
    /// Difference in elasticity.
    pub elasticity: Estimate,
}

/// What budgets are matched by.
pub(super) struct Known<'k, 'i> {
    pub(super) input: &'k Input<'i>,
    pub(super) design: &'k Design<'k>,
    pub(super) trained: &'k Trained<'k, 'k>,
    pub(super) arms: &'k [ArmFigures],
    pub(super) contrasts: &'k [Contrast],
    pub(super) reached: &'k [Reached<'i>],
}

/// Every contrast of two trained arms whose budgets are known.
pub(super) fn matched(known: &Known<'_, '_>) -> Vec<Matched> {
    let trained = |name: &str| {
        let mut arms = known.arms.iter();
        arms.find(|arm| arm.name == name && matches!(arm.role, Role::Student | Role::Rl))
    };
    let pair = |arm: &str, against: &str| {
        let (first, second) = (trained(arm)?, trained(against)?);
        let budgets = [first.budget.as_ref()?, second.budget.as_ref()?];
        let ratio = |of: fn(&Budget) -> f64| ratio(budgets.map(of));
        let along = along(known.input, arm, against);
        let at = known.at([arm, against], budgets);
        Some(Matched {
            arm: arm.to_owned(),
            against: against.to_owned(),
            steps: ratio(|budget| budget.optimizer_steps as f64),
            tokens: ratio(|budget| budget.trained_tokens as f64 + budget.generated_tokens as f64),
            flops: ratio(|budget| budget.flops),
            seconds: ratio(|budget| budget.seconds),
            alignment: match at.iter().find(|at| at.budget == FLOPS) {
                Some(at) => at.elasticity.clone(),
                None => known.at_flops([arm, against], budgets).elasticity,
            },
            at,
            at_tokens: along.map(|found| found.0),
            accuracy: along.map(|found| found.1),
            accuracy_against: along.map(|found| found.2),
        })
    };
    let planned = planned(known.input).into_iter();
    planned
        .filter_map(|(arm, against, _)| pair(arm, against))
        .collect()
}

/// What [`AtBudget::budget`] calls the most FLOPs that both arms were evaluated at.
const FLOPS: &str = "flops";

/// Why nothing is known on the way of two arms whose ends are not near.
const NOT_ON_THE_WAY: &str = "the FLOPs of the two differ by more than 10 %, and neither was evaluated on the way; evaluation.at = \
     { flops = N, shares = [0.5, 1.0] } evaluates both at the same FLOPs";

/// The first over the second, where both are above 0.
fn ratio([own, other]: [f64; 2]) -> Option<f64> {
    let ratio = (own > 0.0 && other > 0.0).then(|| own / other);
    ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0)
}

/// Whether two amounts are taken as the same.
fn near(amounts: [f64; 2]) -> bool {
    ratio(amounts).is_some_and(|ratio| ratio.max(ratio.recip()) <= 1.0 + MATCHED_WITHIN)
}

impl Known<'_, '_> {
    /// Every budget at which either arm was evaluated on the way.
    fn at(&self, arms: [&str; 2], budgets: [&Budget; 2]) -> Vec<AtBudget> {
        let of = arms.map(|arm| self.of(arm));
        if of.iter().all(Vec::is_empty) {
            return Vec::new();
        }
        let mut shares: Vec<&Reached<'_>> = Vec::new();
        for at in of.iter().flatten().filter(|at| at.is_share()) {
            if shares.iter().all(|known| known.point != at.point) {
                shares.push(at);
            }
        }
        let share = |at: &&Reached<'_>| {
            let there = |side: usize| of[side].iter().copied().find(|r| r.point == at.point);
            let sides = [there(0), there(1)];
            let lacks = sides.iter().zip(arms).find(|(side, _)| side.is_none());
            let why = self.is_chain(arms).map_or_else(
                || {
                    let never = |(_, arm): (_, &str)| {
                        if self.of(arm).is_empty() {
                            format!("{arm} was not evaluated on the way")
                        } else {
                            format!("{arm} never reached {}", at.point)
                        }
                    };
                    lacks.map(never)
                },
                Some,
            );
            self.between(at.point, arms, sides, why.as_deref())
        };
        let mut found: Vec<AtBudget> = shares.iter().map(share).collect();
        found.push(self.at_flops(arms, budgets));
        found
    }

    /// The difference of two arms by the evaluation at the end.
    fn contrast(&self, [arm, against]: [&str; 2], measure: Measure) -> Option<&Contrast> {
        let mut contrasts = self.contrasts.iter();
        contrasts.find(|c| c.arm == arm && c.against == against && c.measure == measure)
    }

    /// The points of an arm.
    fn of(&self, arm: &str) -> Vec<&Reached<'_>> {
        let of_arm = self.reached.iter().filter(|at| at.arm == arm);
        of_arm.collect()
    }

    /// Why the budgets of evaluations on the way say nothing, where one arm goes on from another.
    fn is_chain(&self, arms: [&str; 2]) -> Option<String> {
        let mut cards = self.input.arms.iter();
        let chain = cards.find(|card| arms.contains(&card.name.as_str()) && card.init.is_some())?;
        Some(format!(
            "{} goes on from another arm, and evaluations on the way do not count what that arm spent",
            chain.name
        ))
    }

    /// The most FLOPs at which both were evaluated: where the trainings ended, if these are near,
    /// else on the way.
    fn at_flops(&self, arms: [&str; 2], budgets: [&Budget; 2]) -> AtBudget {
        let ends = budgets.map(|budget| budget.flops);
        if near(ends) {
            let of = |measure| {
                let found = self.contrast(arms, measure);
                found.map_or_else(
                    || Estimate::undefined("no such contrast is taken", 0),
                    |found| found.difference.clone(),
                )
            };
            return AtBudget {
                budget: FLOPS.to_owned(),
                points: [(); 2].map(|()| Some("end".to_owned())),
                flops: ends.map(Some),
                accuracy: of(Measure::Accuracy),
                tokens: of(Measure::Tokens),
                elasticity: of(Measure::Elasticity),
            };
        }
        let [own, other] = arms.map(|arm| self.of(arm));
        let pairs = own.iter().flat_map(|&a| other.iter().map(move |&b| [a, b]));
        let least = |pair: &[&Reached<'_>; 2]| pair[0].budget.flops.min(pair[1].budget.flops);
        let apart = |pair: &[&Reached<'_>; 2]| (pair[0].budget.flops - pair[1].budget.flops).abs();
        let best = pairs
            .filter(|pair| near(pair.map(|at| at.budget.flops)))
            .max_by(|a, b| {
                let more = least(a).total_cmp(&least(b));
                more.then(apart(b).total_cmp(&apart(a)))
            });
        let why = if ratio(ends).is_none() {
            Some("the FLOPs of one arm were not measured".to_owned())
        } else if let Some(why) = self.is_chain(arms) {
            Some(why)
        } else if own.is_empty() && other.is_empty() {
            Some(NOT_ON_THE_WAY.to_owned())
        } else if best.is_none() {
            let [dear, thrifty] = if ends[0] > ends[1] { [0, 1] } else { [1, 0] };
            Some(format!(
                "no evaluation of {} lies within {:.0} % of an evaluation of {}, which ended at {end:.1e} FLOPs; evaluate \
                 on the way with evaluation.at = {{ flops = {end:.1e}, shares = [0.5, 1.0] }}",
                arms[dear],
                100.0 * MATCHED_WITHIN,
                arms[thrifty],
                end = ends[thrifty],
            ))
        } else {
            None
        };
        let sides = best.map_or([None, None], |pair| pair.map(Some));
        self.between(FLOPS, arms, sides, why.as_deref())
    }

    /// The differences between two points, or why there are none.
    fn between(
        &self,
        budget: &str,
        arms: [&str; 2],
        sides: [Option<&Reached<'_>>; 2],
        why: Option<&str>,
    ) -> AtBudget {
        let tasks: Vec<usize> = (0..self.design.tasks.len()).collect();
        let of = |measure| {
            let ([Some(own), Some(other)], None) = (sides, why) else {
                let n = self
                    .contrast(arms, measure)
                    .map_or(0, |found| found.difference.n);
                return Estimate::undefined(why.unwrap_or("no evaluation"), n);
            };
            let pair = [own.trainings.as_slice(), other.trainings.as_slice()];
            let tie = self.trained.tie(arms);
            let found = difference(self.design, pair, tie, &tasks, place(measure));
            let n = items_of(self.design, pair[0], pair[1], &tasks, measure);
            Estimate::of(found.as_ref().map(|found| &found.found), n)
        };
        AtBudget {
            budget: budget.to_owned(),
            points: sides.map(|side| Some(side?.point.to_owned())),
            flops: sides.map(|side| Some(side?.budget.flops)),
            accuracy: of(Measure::Accuracy),
            tokens: of(Measure::Tokens),
            elasticity: of(Measure::Elasticity),
        }
    }
}

/// Tokens, and both arms' validation accuracy there; `None` for an arm that goes
/// on from another, whose log knows nothing of what came before.
fn along(input: &Input<'_>, arm: &str, against: &str) -> Option<(f64, f64, f64)> {
    let card = |name: &str| input.arms.iter().find(|card| card.name == name);
    if card(arm)?.init.is_some() || card(against)?.init.is_some() {
        return None;
    }
    let logs = |name: &str| -> Vec<&TrainingLog> {
        input
            .training
            .iter()
            .filter(|log| log.arm == name)
            .collect()
    };
    let (first, second) = (logs(arm), logs(against));
    let found: Vec<(f64, f64, f64)> = first
        .iter()
        .filter_map(|own| {
            let other = second.iter().find(|other| other.seed == own.seed)?;
            let tokens = own.tokens?.min(other.tokens?);
            Some((tokens, own.accuracy_at(tokens)?, other.accuracy_at(tokens)?))
        })
        .collect();
    let over = |of: fn(&(f64, f64, f64)) -> f64| mean(&found.iter().map(of).collect::<Vec<_>>());
    Some((over(|f| f.0)?, over(|f| f.1)?, over(|f| f.2)?))
}

impl TrainingLog {
    /// Accuracy of the last validation at or before so many tokens.
    fn accuracy_at(&self, tokens: f64) -> Option<f64> {
        let before = self.validated.iter().rev();
        let mut before = before.filter(|validated| validated.tokens <= tokens);
        Some(before.next()?.accuracy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_validation_at_or_before_is_taken_and_none_is_made_up() {
        let log = TrainingLog {
            validated: [(0.0, 0.5), (100.0, 0.6), (200.0, 0.9)]
                .map(|(tokens, accuracy)| Validated { tokens, accuracy })
                .to_vec(),
            ..TrainingLog::default()
        };
        assert_eq!(log.accuracy_at(199.0), Some(0.6));
        assert_eq!(log.accuracy_at(200.0), Some(0.9));
        assert_eq!(log.accuracy_at(-1.0), None);
        assert_eq!(TrainingLog::default().accuracy_at(1e9), None);
    }

    #[test]
    fn budgets_within_a_tenth_are_the_same() {
        assert!(near([1.0, 1.1]) && near([1.1, 1.0]) && !near([1.0, 1.11]));
        assert!(!near([0.0, 0.0]) && !near([f64::NAN, 1.0]));
    }
}
