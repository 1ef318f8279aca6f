//! The figures beside the table, a row each.

use crate::comparison::further::{Further, LineFigures};
use crate::tables::format::{self, Quantity};

use super::Row;

/// Adds every figure that stands beside the table.
pub(super) fn rows<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    for arm in &further.arms {
        for (measure, estimate) in [
            ("cross_task_r", &arm.cross_task),
            ("allocation_d", &arm.allocation),
        ] {
            rows.push(Row {
                kind: "arm",
                ..Row::of(&arm.name, measure, estimate, Quantity::Signed)
            });
        }
        for index in &arm.iei {
            rows.push(Row {
                kind: "task",
                task: &index.task,
                ..Row::of(&arm.name, "iei", &index.value, Quantity::Amount)
            });
        }
    }
    inflation(rows, further);
    for found in &further.surface {
        for (measure, estimate) in [
            ("relative_effort", &found.relative_effort),
            ("divergence", &found.divergence),
        ] {
            rows.push(Row {
                kind: "surface",
                against: &found.against,
                ..Row::of(&found.arm, measure, estimate, Quantity::Ratio)
            });
        }
    }
    paired(rows, further);
    similarity(rows, further);
}

fn inflation<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    let multiplier = [Quantity::Ratio, Quantity::SignedAmount];
    for found in &further.inflation {
        let lines = [
            (
                ["tokens_slope", "tokens_intercept", "tokens_r2"],
                &found.tokens,
                multiplier,
            ),
            (
                ["iei_slope", "iei_intercept", "iei_r2"],
                &found.iei,
                multiplier,
            ),
            (
                [
                    "heterogeneity_slope",
                    "heterogeneity_intercept",
                    "heterogeneity_r2",
                ],
                &found.heterogeneity,
                [Quantity::Signed; 2],
            ),
        ];
        for (names, line, quantities) in lines {
            rows.extend(of_line(names, line, quantities).map(|row| Row {
                kind: "inflation",
                arm: &found.arm,
                against: &found.against,
                ..row
            }));
        }
    }
}

fn of_line<'a>(
    names: [&'a str; 3],
    line: &'a LineFigures,
    [slope, intercept]: [Quantity; 2],
) -> [Row<'a>; 3] {
    let [of_slope, of_intercept, of_r2] = names;
    [
        Row::of("", of_slope, &line.slope, slope),
        Row::of("", of_intercept, &line.intercept, intercept),
        Row::of("", of_r2, &line.r2, Quantity::Share),
    ]
}

fn paired<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    for found in &further.paired {
        let of = |measure, value: Option<f64>| Row {
            kind: "paired",
            arm: &found.arm,
            against: &found.against,
            measure,
            value,
            n: Some(found.pairs),
            ..Row::default()
        };
        rows.push(Row {
            kind: "paired",
            against: &found.against,
            ..Row::of(
                &found.arm,
                "accuracy_clustered",
                &found.clustered,
                Quantity::Signed,
            )
        });
        for (measure, count) in [
            ("only_arm_right", found.only_arm),
            ("only_against_right", found.only_against),
        ] {
            rows.push(Row {
                shown: format::count(count as u64),
                ..of(measure, Some(count as f64))
            });
        }
        let none = found.mcnemar_p.is_none();
        rows.push(Row {
            p: found.mcnemar_p,
            shown: format::p_value(found.mcnemar_p),
            why_undefined: if none {
                "no pair of graded answers"
            } else {
                ""
            },
            ..of("mcnemar_p", found.mcnemar_p)
        });
    }
}

/// Each pair once; the matrix is symmetric.
fn similarity<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    let table = &further.similarity;
    for (at, (name, row)) in table.names.iter().zip(&table.matrix).enumerate() {
        for (other, value) in table.names.iter().zip(row).take(at) {
            rows.push(Row {
                kind: "similarity",
                against: other,
                ..Row::of(name, "rsa", value, Quantity::Signed)
            });
        }
    }
}
