//! Trained arms held against each other at matched budget, as far as the runs
//! tell.
//!
//! A run evaluates alignment where a training ends and nowhere before, so the
//! alignment of two arms at matched budget is known only where their budgets are
//! nearly the same; else it is said to be unknown. Nothing is interpolated. What
//! is known along the way is accuracy on the validation problems: each arm's last
//! validation at or before the tokens at which the thriftier arm ended.

use serde::{Deserialize, Serialize};

use super::build::Input;
use super::contrasts::planned;
use super::{ArmFigures, Contrast, Estimate, Measure, TrainingLog};
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
/// `sft` 200 with 142,446 and 3.6e11: ratios 0.6, 3.23 and 1.65. The alignment at
/// matched budget is unknown; at 142,446 tokens their validation accuracies were
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
    /// Difference in alignment at matched FLOPs, where there is one.
    pub alignment: Estimate,
    /// Tokens at which the validations are matched, mean over seeds.
    pub at_tokens: Option<f64>,
    /// Validation accuracy of the first arm there, mean over the seeds of both.
    pub accuracy: Option<f64>,
    /// Validation accuracy of the second.
    pub accuracy_against: Option<f64>,
}

/// Every contrast of two trained arms whose budgets are known.
pub(super) fn matched(
    input: &Input<'_>,
    arms: &[ArmFigures],
    contrasts: &[Contrast],
) -> Vec<Matched> {
    let trained = |name: &str| {
        arms.iter()
            .find(|arm| arm.name == name && matches!(arm.role, Role::Student | Role::Rl))
    };
    let pair = |arm: &str, against: &str| {
        let (first, second) = (trained(arm)?, trained(against)?);
        let (own, other) = (first.budget.as_ref()?, second.budget.as_ref()?);
        let ratio = |of: fn(&Budget) -> f64| {
            let (own, other) = (of(own), of(other));
            let ratio = (own > 0.0 && other > 0.0).then(|| own / other);
            ratio.filter(|ratio| ratio.is_finite() && *ratio > 0.0)
        };
        let flops = ratio(|budget| budget.flops);
        let along = along(input, arm, against);
        Some(Matched {
            arm: arm.to_owned(),
            against: against.to_owned(),
            steps: ratio(|budget| budget.optimizer_steps as f64),
            tokens: ratio(|budget| budget.trained_tokens as f64 + budget.generated_tokens as f64),
            flops,
            seconds: ratio(|budget| budget.seconds),
            alignment: alignment(contrasts, [arm, against], flops),
            at_tokens: along.map(|found| found.0),
            accuracy: along.map(|found| found.1),
            accuracy_against: along.map(|found| found.2),
        })
    };
    let planned = planned(input);
    planned
        .into_iter()
        .filter_map(|(arm, against, _)| pair(arm, against))
        .collect()
}

/// The contrast in elasticity where the FLOPs are nearly the same, else why there is none.
fn alignment(contrasts: &[Contrast], [arm, against]: [&str; 2], flops: Option<f64>) -> Estimate {
    let of_pair =
        |c: &&Contrast| c.arm == arm && c.against == against && c.measure == Measure::Elasticity;
    let contrast = contrasts.iter().find(of_pair);
    let near = flops.is_some_and(|ratio| ratio.max(ratio.recip()) <= 1.0 + MATCHED_WITHIN);
    match contrast {
        Some(contrast) if near => contrast.difference.clone(),
        _ => Estimate::undefined(
            match flops {
                Some(_) => {
                    "not recorded: the budgets differ, and alignment was evaluated where the trainings ended and \
                     at no checkpoint before"
                }
                None => "the FLOPs of one arm were not measured",
            },
            contrast.map_or(0, |contrast| contrast.difference.n),
        ),
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
    fn alignment_is_told_only_where_the_budgets_are_nearly_the_same() {
        let why = alignment(&[], ["a", "b"], Some(3.0)).why_undefined;
        assert!(why.is_some_and(|why| why.contains("not recorded")));
        let why = alignment(&[], ["a", "b"], None).why_undefined;
        assert!(why.is_some_and(|why| why.contains("not measured")));
    }
}
