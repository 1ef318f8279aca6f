//! Surface similarity to the teacher (METRICS 9): relative effort and the
//! divergence of its distribution from the teacher's.
//!
//! Relative effort = an item's mean tokens / the teacher's mean tokens in that
//! task. High similarity here with low alignment is the cargo cult pattern.

use super::cost::{ModelItems, task_tokens};
use crate::statistics::{Undefined, mean};

/// Bins of the histogram on ln(relative effort).
pub const BINS: usize = 20;

/// Relative efforts of a model's items by task, those of zero tokens left out.
pub fn relative_efforts(
    model: &ModelItems,
    teacher: &ModelItems,
    tasks: &[String],
) -> Vec<Vec<f64>> {
    let of_task = |task: &String| -> Vec<f64> {
        match task_tokens(teacher.task(task)) {
            Some(reference) if reference > 0.0 => {
                let tokens = model
                    .task(task)
                    .values()
                    .filter_map(|item| item.tokens)
                    .filter(|&t| t > 0.0);
                tokens.map(|tokens| tokens / reference).collect()
            }
            _ => Vec::new(),
        }
    };
    tasks.iter().map(of_task).collect()
}

/// Mean relative effort over items.
pub fn mean_effort(efforts: &[f64]) -> Result<f64, Undefined> {
    mean(efforts).ok_or(Undefined::TooFew {
        what: "items with tokens",
        have: 0,
        need: 1,
    })
}

/// Counts of logarithms in equal-width bins over \[low, high\], the last bin closed on both sides.
fn histogram(logs: &[f64], low: f64, high: f64, weights: &[f64]) -> [f64; BINS] {
    let step = (high - low) / BINS as f64;
    let edge = |at: usize| {
        if at == BINS {
            high
        } else {
            low + at as f64 * step
        }
    };
    let mut counts = [0.0; BINS];
    for (log, weight) in logs.iter().zip(weights) {
        // The quotient finds the bin up to rounding; the edges themselves decide.
        let mut bin = (((log - low) / step) as usize).min(BINS - 1);
        if bin > 0 && *log < edge(bin) {
            bin -= 1;
        } else if bin + 1 < BINS && *log >= edge(bin + 1) {
            bin += 1;
        }
        counts[bin] += weight;
    }
    counts
}

/// KL(student || teacher) of relative effort in nats: histograms of 20 equal-width
/// bins on ln(relative effort) over the pooled range, one added to every bin.
pub fn divergence(student: &[f64], teacher: &[f64]) -> Result<f64, Undefined> {
    weighted_divergence(
        (student, &vec![1.0; student.len()]),
        (teacher, &vec![1.0; teacher.len()]),
    )
}

/// The same with item i occurring `weights[i]` times.
pub fn weighted_divergence(
    student: (&[f64], &[f64]),
    teacher: (&[f64], &[f64]),
) -> Result<f64, Undefined> {
    let logs = |(efforts, weights): (&[f64], &[f64])| -> (Vec<f64>, Vec<f64>) {
        efforts
            .iter()
            .zip(weights)
            .filter(|(_, w)| **w > 0.0)
            .map(|(e, w)| (e.ln(), *w))
            .unzip()
    };
    let (a, wa) = logs(student);
    let (b, wb) = logs(teacher);
    if a.is_empty() || b.is_empty() {
        return Err(Undefined::TooFew {
            what: "items with tokens",
            have: 0,
            need: 1,
        });
    }
    let pooled = || a.iter().chain(&b).copied();
    let (low, high) = (
        pooled().fold(f64::INFINITY, f64::min),
        pooled().fold(f64::NEG_INFINITY, f64::max),
    );
    if high <= low {
        return Err(Undefined::NoVariance("relative effort"));
    }
    let shares = |logs: &[f64], weights: &[f64]| {
        let total: f64 = weights.iter().sum::<f64>() + BINS as f64;
        histogram(logs, low, high, weights).map(|count| (count + 1.0) / total)
    };
    let (p, q) = (shares(&a, &wa), shares(&b, &wb));
    Ok(p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::ItemMeans;

    fn model(tokens: &[f64]) -> ModelItems {
        let mut model = ModelItems::default();
        for (at, &tokens) in tokens.iter().enumerate() {
            let item = ItemMeans {
                tokens: Some(tokens),
                ..ItemMeans::default()
            };
            model
                .tasks
                .entry("t".into())
                .or_default()
                .insert(at.to_string(), item);
        }
        model
    }

    #[test]
    fn effort_by_hand() {
        let (student, teacher) = (model(&[10.0, 30.0, 0.0]), model(&[20.0, 60.0, 40.0]));
        let efforts = relative_efforts(&student, &teacher, &["t".into(), "absent".into()]);
        assert_eq!(efforts, [vec![0.25, 0.75], Vec::new()]);
        assert_eq!(mean_effort(&efforts[0]), Ok(0.5));
        assert!(mean_effort(&[]).is_err());
    }

    #[test]
    fn divergence_by_hand() {
        // One item each at the two ends: 2/21 against 1/21 in one bin, 1/21 against 2/21 in another.
        let found = divergence(&[1.0], &[2.0]).expect("defined");
        assert!(
            (found - std::f64::consts::LN_2 / 21.0).abs() < 1e-12,
            "{found}"
        );
        assert!(
            divergence(&[1.0, 3.0, 2.0], &[2.0, 1.0, 3.0])
                .expect("defined")
                .abs()
                < 1e-15
        );
        assert_eq!(
            divergence(&[1.0], &[1.0]),
            Err(Undefined::NoVariance("relative effort"))
        );
        assert!(divergence(&[], &[1.0]).is_err());
    }

    #[test]
    fn edges_belong_to_the_bin_above_but_for_the_last() {
        let logs: Vec<f64> = (0..=BINS).map(|at| at as f64 * 0.1).collect();
        let high = logs[BINS];
        let counts = histogram(&logs, 0.0, high, &[1.0; BINS + 1]);
        let whole: Vec<u32> = counts.iter().map(|&count| count as u32).collect();
        let mut expected = vec![1; BINS];
        expected[BINS - 1] = 2;
        assert_eq!(whole, expected);
    }
}
