//! The figures beside the table, a row each.

use crate::comparison::further::{Further, LineFigures};
use crate::tables::format::{self, Quantity};

use super::Line;

/// Appends every figure that stands beside the table.
pub(super) fn lines(out: &mut String, further: &Further) {
    for arm in &further.arms {
        for (measure, estimate) in [
            ("cross_task_r", &arm.cross_task),
            ("allocation_d", &arm.allocation),
        ] {
            Line {
                kind: "arm",
                ..Line::of(&arm.name, measure, estimate, Quantity::Signed)
            }
            .write(out);
        }
        for index in &arm.iei {
            Line {
                kind: "task",
                task: &index.task,
                ..Line::of(&arm.name, "iei", &index.value, Quantity::Amount)
            }
            .write(out);
        }
    }
    inflation(out, further);
    for found in &further.surface {
        for (measure, estimate) in [
            ("relative_effort", &found.relative_effort),
            ("divergence", &found.divergence),
        ] {
            Line {
                kind: "surface",
                against: &found.against,
                ..Line::of(&found.arm, measure, estimate, Quantity::Ratio)
            }
            .write(out);
        }
    }
    paired(out, further);
    similarity(out, further);
}

fn inflation(out: &mut String, further: &Further) {
    for found in &further.inflation {
        let multiplier = [Quantity::Ratio, Quantity::SignedAmount];
        let mut line = |names: [&str; 3], line: &LineFigures, [slope, intercept]: [Quantity; 2]| {
            for (measure, estimate, quantity) in [
                (names[0], &line.slope, slope),
                (names[1], &line.intercept, intercept),
                (names[2], &line.r2, Quantity::Share),
            ] {
                Line {
                    kind: "inflation",
                    against: &found.against,
                    ..Line::of(&found.arm, measure, estimate, quantity)
                }
                .write(out);
            }
        };
        line(
            ["tokens_slope", "tokens_intercept", "tokens_r2"],
            &found.tokens,
            multiplier,
        );
        line(
            ["iei_slope", "iei_intercept", "iei_r2"],
            &found.iei,
            multiplier,
        );
        line(
            [
                "heterogeneity_slope",
                "heterogeneity_intercept",
                "heterogeneity_r2",
            ],
            &found.heterogeneity,
            [Quantity::Signed; 2],
        );
    }
}

fn paired(out: &mut String, further: &Further) {
    for found in &further.paired {
        let of = |measure, value: Option<f64>| Line {
            kind: "paired",
            arm: &found.arm,
            against: &found.against,
            measure,
            value,
            n: Some(found.pairs),
            ..Line::default()
        };
        Line {
            kind: "paired",
            against: &found.against,
            ..Line::of(
                &found.arm,
                "accuracy_clustered",
                &found.clustered,
                Quantity::Signed,
            )
        }
        .write(out);
        for (measure, count) in [
            ("only_arm_right", found.only_arm),
            ("only_against_right", found.only_against),
        ] {
            Line {
                shown: format::count(count as u64),
                ..of(measure, Some(count as f64))
            }
            .write(out);
        }
        let none = found.mcnemar_p.is_none();
        Line {
            p: found.mcnemar_p,
            shown: format::p_value(found.mcnemar_p),
            why_undefined: if none {
                "no pair of graded answers"
            } else {
                ""
            },
            ..of("mcnemar_p", found.mcnemar_p)
        }
        .write(out);
    }
}

/// Each pair once; the matrix is symmetric.
fn similarity(out: &mut String, further: &Further) {
    let table = &further.similarity;
    for (at, (name, row)) in table.names.iter().zip(&table.matrix).enumerate() {
        for (other, value) in table.names.iter().zip(row).take(at) {
            Line {
                kind: "similarity",
                against: other,
                ..Line::of(name, "rsa", value, Quantity::Signed)
            }
            .write(out);
        }
    }
}
