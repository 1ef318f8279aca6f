//! Evaluations on the way, and differences at matched budgets.

use crate::comparison::Comparison;
use crate::tables::format::Quantity;

use super::Row;

/// Adds each arm at each point, then two arms at each budget.
pub(super) fn rows<'a>(rows: &mut Vec<Row<'a>>, comparison: &'a Comparison) {
    for at in &comparison.on_the_way {
        let figures = [
            ("accuracy", &at.accuracy, Quantity::Share),
            ("tokens", &at.tokens, Quantity::Amount),
            ("elasticity", &at.elasticity, Quantity::Signed),
            (
                "alignment_unlimited",
                &at.alignment_unlimited,
                Quantity::Signed,
            ),
            ("kl_prompts", &at.kl_prompts, Quantity::Small),
            ("kl_samples", &at.kl_samples, Quantity::Small),
            ("weight_distance", &at.weight_distance, Quantity::Small),
            ("relative_distance", &at.relative_distance, Quantity::Small),
        ];
        let spent = &at.budget;
        rows.extend(figures.map(|(measure, estimate, quantity)| Row {
            kind: "on_the_way",
            point: &at.point,
            steps: Some(spent.optimizer_steps as usize),
            spent_tokens: Some((spent.trained_tokens + spent.generated_tokens) as usize),
            flops: Some(spent.flops),
            trainings: Some(at.trainings),
            ..Row::of(&at.arm, measure, estimate, quantity)
        }));
    }
    for pair in &comparison.matched {
        for at in &pair.at {
            let figures = [
                ("accuracy", &at.accuracy, Quantity::Signed),
                ("tokens", &at.tokens, Quantity::SignedAmount),
                ("elasticity", &at.elasticity, Quantity::Signed),
            ];
            rows.extend(figures.map(|(measure, estimate, quantity)| Row {
                kind: "at_budget",
                against: &pair.against,
                point: &at.budget,
                flops: at.flops[0],
                ..Row::of(&pair.arm, measure, estimate, quantity)
            }));
        }
    }
}
