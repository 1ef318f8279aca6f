//! The figures beside the table, a row each.

use crate::comparison::further::{Further, LineFigures};
use crate::tables::format::Quantity;

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
            ("divergence_floor", &found.floor),
        ] {
            rows.push(Row {
                kind: "surface",
                against: &found.against,
                ..Row::of(&found.arm, measure, estimate, Quantity::Ratio)
            });
        }
    }
    trivial(rows, further);
    similarity(rows, further);
}

fn inflation<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    let multiplier = [Quantity::Ratio, Quantity::SignedAmount];
    for found in &further.inflation {
        for (measure, estimate, quantity) in [
            ("slope", &found.slope, Quantity::Ratio),
            ("heterogeneity", &found.heterogeneity, Quantity::Signed),
            ("slope_least_squares", &found.least_squares, Quantity::Ratio),
        ] {
            rows.push(Row {
                kind: "inflation",
                against: &found.against,
                ..Row::of(&found.arm, measure, estimate, quantity)
            });
        }
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

/// What follows people's times without any model, and arms beyond it; people's allocation.
fn trivial<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    for found in &further.trivial {
        let of = |kind, name, measure, value| Row {
            kind,
            task: &found.task,
            ..Row::of(name, measure, value, Quantity::Signed)
        };
        let predictors = found.predictors.iter();
        rows.extend(predictors.map(|p| of("predictor", &p.name, "r", &p.value)));
        rows.push(of("predictor", "all covariates", "fitted_r", &found.fitted));
        let beyond = found.beyond.iter();
        rows.extend(beyond.map(|arm| of("task", &arm.name, "r_beyond_covariates", &arm.value)));
    }
    for found in &further.people {
        rows.push(Row {
            kind: "people",
            task: &found.task,
            ..Row::of("people", "allocation_d", &found.value, Quantity::Signed)
        });
    }
}

/// Each pair once; the matrix is symmetric.
fn similarity<'a>(rows: &mut Vec<Row<'a>>, further: &'a Further) {
    let table = &further.similarity;
    for (at, (name, row)) in table.names.iter().zip(&table.matrix).enumerate() {
        for (place, (other, value)) in table.names.iter().zip(row).take(at).enumerate() {
            rows.push(Row {
                kind: "similarity",
                against: other,
                ..Row::of(name, "similarity", value, Quantity::Signed)
            });
            if let Some(free) = table.corrected.get(at).and_then(|row| row.get(place)) {
                rows.push(Row {
                    kind: "similarity",
                    against: other,
                    ..Row::of(name, "similarity_corrected", free, Quantity::Signed)
                });
            }
        }
    }
}
