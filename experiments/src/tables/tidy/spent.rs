//! What each arm spent, and two arms' spending beside each other.

use crate::comparison::Comparison;
use crate::tables::format::{self, Quantity};

use super::Row;

/// Adds budgets and ratios of budgets.
pub(super) fn rows<'a>(rows: &mut Vec<Row<'a>>, comparison: &'a Comparison) {
    for arm in &comparison.arms {
        let Some(budget) = &arm.budget else { continue };
        let count = |measure, count: u64| Row {
            shown: format::count(count),
            ..Row::of_number(measure, Some(count as f64), Quantity::Amount)
        };
        let of_arm = [
            count("optimizer_steps", budget.optimizer_steps),
            count("trained_tokens", budget.trained_tokens),
            count("generated_tokens", budget.generated_tokens),
            Row {
                shown: format::flops(budget.flops),
                ..Row::of_number("flops", Some(budget.flops), Quantity::Amount)
            },
            Row::of_number("seconds", Some(budget.seconds), Quantity::Amount),
            Row {
                why_undefined: if budget.peak_memory.is_none() {
                    "not recorded"
                } else {
                    ""
                },
                shown: format::mebibytes(budget.peak_memory),
                ..Row::of_number("peak_memory_bytes", budget.peak_memory, Quantity::Amount)
            },
        ];
        rows.extend(of_arm.map(|row| Row {
            kind: "budget",
            arm: &arm.name,
            ..row
        }));
    }
    for pair in &comparison.matched {
        let ratio = |measure, value| Row::of_number(measure, value, Quantity::Ratio);
        let share = |measure, value| Row::of_number(measure, value, Quantity::Share);
        let of_pair = [
            ratio("steps_ratio", pair.steps),
            ratio("tokens_ratio", pair.tokens),
            ratio("flops_ratio", pair.flops),
            ratio("seconds_ratio", pair.seconds),
            Row::of_number("at_tokens", pair.at_tokens, Quantity::Amount),
            share("validation_accuracy", pair.accuracy),
            share("validation_accuracy_against", pair.accuracy_against),
            Row::of(
                &pair.arm,
                "elasticity_at_matched_flops",
                &pair.alignment,
                Quantity::Signed,
            ),
        ];
        rows.extend(of_pair.map(|row| Row {
            kind: "matched",
            arm: &pair.arm,
            against: &pair.against,
            ..row
        }));
    }
}
