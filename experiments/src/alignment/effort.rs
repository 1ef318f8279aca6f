//! Surface similarity to the teacher: relative effort and the divergence of its
//! distribution from the teacher's.
//!
//! Relative effort = an item's mean tokens / the teacher's mean tokens in that
//! task. High similarity here with low alignment is the cargo cult pattern.

use crate::statistics::{Undefined, mean};

/// Bins of the histogram on ln(relative effort).
pub const BINS: usize = 20;

/// Item means of tokens over the reference's mean in the same task, those of zero tokens left
/// out. Both sides are item means by task.
pub fn relative(tokens: &[Vec<f64>], reference: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let of_task = |(tokens, reference): (&Vec<f64>, &Vec<f64>)| match mean(reference) {
        Some(reference) if reference > 0.0 => {
            let tokens = tokens.iter().filter(|&&tokens| tokens > 0.0);
            tokens.map(|tokens| tokens / reference).collect()
        }
        _ => Vec::new(),
    };
    tokens.iter().zip(reference).map(of_task).collect()
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
fn histogram(logs: &[f64], low: f64, high: f64) -> [f64; BINS] {
    let step = (high - low) / BINS as f64;
    let edge = |at: usize| {
        if at == BINS {
            high
        } else {
            low + at as f64 * step
        }
    };
    let mut counts = [0.0; BINS];
    for log in logs {
        // The quotient finds the bin up to rounding; the edges themselves decide.
        let mut bin = (((log - low) / step) as usize).min(BINS - 1);
        if bin > 0 && *log < edge(bin) {
            bin -= 1;
        } else if bin + 1 < BINS && *log >= edge(bin + 1) {
            bin += 1;
        }
        counts[bin] += 1.0;
    }
    counts
}

/// KL(student || teacher) of relative effort in nats: histograms of 20 equal-width
/// bins on ln(relative effort) over the pooled range, one added to every bin.
pub fn divergence(student: &[f64], teacher: &[f64]) -> Result<f64, Undefined> {
    let logs = |efforts: &[f64]| -> Vec<f64> { efforts.iter().map(|e| e.ln()).collect() };
    let (a, b) = (logs(student), logs(teacher));
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
    let shares = |logs: &[f64]| {
        let total = (logs.len() + BINS) as f64;
        histogram(logs, low, high).map(|count| (count + 1.0) / total)
    };
    let (p, q) = (shares(&a), shares(&b));
    Ok(p.iter().zip(q).map(|(p, q)| p * (p / q).ln()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_by_hand() {
        let teacher = [vec![20.0, 60.0, 40.0], Vec::new()];
        let efforts = relative(&[vec![10.0, 30.0, 0.0], vec![7.0]], &teacher);
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
        let counts = histogram(&logs, 0.0, high);
        let whole: Vec<u32> = counts.iter().map(|&count| count as u32).collect();
        let mut expected = vec![1; BINS];
        expected[BINS - 1] = 2;
        assert_eq!(whole, expected);
    }
}
