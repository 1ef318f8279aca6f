//! The correlations of people's times with a reasoner's tokens that de Varda et
//! al. 2025 (PNAS 122(47), doi 10.1073/pnas.2520077122) printed in their figure,
//! recomputed from the points of that figure.
//!
//! The points are read where they lie and are no part of the project: they carry
//! no licence. What is held is Pearson of ln(tokens) with ln(seconds), as
//! printed, to three decimals.

use std::path::Path;

use super::{ConformanceError, Deviation, deviation};
use crate::statistics::{Undefined, correlation, mean};
use crate::text;

/// Task and printed correlation.
const PRINTED: [(&str, f64); 6] = [
    ("Arith_n", 0.628),
    ("Arith_v", 0.602),
    ("Syllogisms", 0.566),
    ("Logic-ALE", 0.894),
    ("Relational", 0.609),
    ("H-ARC", 0.371),
];

/// Their printed mean.
const MEAN: f64 = 0.612;

/// Half of the last printed decimal.
const TOLERANCE: f64 = 5e-4;

/// Holds the correlation to the printed values; `points` is a CSV of
/// `task,reasoning_tokens,mean_rt_s`.
pub fn devarda(points: &Path) -> Result<Vec<Deviation>, ConformanceError> {
    let error = |detail: String| ConformanceError::Points {
        path: points.into(),
        detail,
    };
    let text = text::string(points).map_err(|e| error(e.to_string()))?;
    let mut lines = text.lines();
    if lines.next() != Some("task,reasoning_tokens,mean_rt_s") {
        return Err(error("the first line names other columns".into()));
    }
    let mut rows = Vec::new();
    for (at, line) in lines.enumerate() {
        let row = row(line)
            .ok_or_else(|| error(format!("line {}: no task with two numbers above 0", at + 2)))?;
        rows.push(row);
    }
    let of_task = |task: &str| -> Result<f64, Undefined> {
        let points = rows.iter().filter(|row| row.0 == task);
        let (tokens, seconds): (Vec<f64>, Vec<f64>) =
            points.map(|row| (row.1.ln(), row.2.ln())).unzip();
        correlation::pearson(&tokens, &seconds)
    };
    let found: Vec<Option<f64>> = PRINTED.iter().map(|(task, _)| of_task(task).ok()).collect();
    let all: Option<Vec<f64>> = found.iter().copied().collect();
    let mut held: Vec<Deviation> = PRINTED
        .into_iter()
        .zip(found)
        .map(|((task, printed), got)| held(task, printed, got))
        .collect();
    held.push(self::held("mean", MEAN, all.and_then(|all| mean(&all))));
    Ok(held)
}

fn held(task: &str, printed: f64, got: Option<f64>) -> Deviation {
    deviation("published", task.to_owned(), Some(printed), got, TOLERANCE)
}

/// Task, tokens and seconds of a line.
fn row(line: &str) -> Option<(&str, f64, f64)> {
    let mut fields = line.split(',');
    let task = fields.next()?;
    let mut number = || -> Option<f64> {
        let value: f64 = fields.next()?.trim().parse().ok()?;
        (value > 0.0 && value.is_finite()).then_some(value)
    };
    Some((task, number()?, number()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_correlations_come_out_of_the_printed_points() {
        let points = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../shared/human/devarda2025_figure/points.csv");
        if !points.is_file() {
            println!("skipped: no points at ../shared/human/devarda2025_figure");
            return;
        }
        let found = devarda(&points).expect("read");
        assert_eq!(found.len(), 7);
        let failed: Vec<&Deviation> = found.iter().filter(|d| !d.holds()).collect();
        assert!(failed.is_empty(), "{failed:#?}");
    }

    #[test]
    fn other_points_are_refused_or_differ() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("points.csv");
        let header = "task,reasoning_tokens,mean_rt_s\n";
        std::fs::write(&path, format!("{header}Arith_n,0,1.5\n")).expect("written");
        let refused = devarda(&path).expect_err("zero tokens").to_string();
        assert!(refused.contains("line 2"), "{refused}");
        std::fs::write(&path, "a,b,c\n").expect("written");
        assert!(devarda(&path).is_err());
        // Three points on a line: 1, which is not what was printed; no mean without the others.
        let line = "Arith_n,1,1\nArith_n,2,2\nArith_n,4,4\n";
        std::fs::write(&path, format!("{header}{line}")).expect("written");
        let found = devarda(&path).expect("read");
        assert!(found.iter().all(|d| !d.holds()));
        assert!((found[0].got.expect("defined") - 1.0).abs() < 1e-12);
        assert_eq!(found[6].got, None);
    }
}
