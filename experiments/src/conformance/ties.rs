//! Rank correlations where the reference's rounding broke a tie.
//!
//! Two items whose answers took 71, 84, 73 and 73, 84, 71 tokens cost a model the
//! same. Sums of rounded logarithms may differ in the last bit, by the machine that
//! computed them, and ranks turn that bit into half a place. The lab ties such
//! costs. A reference that does not is right where its value is one of those that
//! breaking ties can give, and nothing between them.

use crate::statistics::correlation::{runs, spearman};

/// More ways to break ties than this are not tried.
const MOST: usize = 1 << 16;

/// Of the rank correlations that come of breaking ties among `x`, all ways of doing
/// so tried, the one nearest to `expected`; `None` without ties, or with too many.
pub(super) fn nearest(x: &[f64], y: &[f64], expected: f64) -> Option<f64> {
    let ties = runs(x);
    // Each run keeps its place; within it every member may have any of as many levels.
    let mut levels = vec![0.0; x.len()];
    let mut tied: Vec<&[usize]> = Vec::new();
    let mut ways = 1_usize;
    for (place, run) in ties.iter().enumerate() {
        for &item in run {
            levels[item] = (place * x.len()) as f64;
        }
        if run.len() > 1 {
            let of_run = run.len().checked_pow(u32::try_from(run.len()).ok()?)?;
            ways = ways.checked_mul(of_run).filter(|ways| *ways <= MOST)?;
            tied.push(run);
        }
    }
    let broken = |mut way: usize| {
        let mut broken = levels.clone();
        for run in &tied {
            for &item in *run {
                broken[item] += (way % run.len()) as f64;
                way /= run.len();
            }
        }
        spearman(&broken, y).ok()
    };
    (!tied.is_empty())
        .then(|| {
            (0..ways)
                .filter_map(broken)
                .min_by(|a, b| (a - expected).abs().total_cmp(&(b - expected).abs()))
        })
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const Y: [f64; 5] = [1.0, 4.0, 2.0, 3.0, 5.0];

    #[test]
    fn a_tie_may_be_broken_either_way_and_nothing_else_is_right() {
        let last_bit = f64::from_bits(2.0_f64.to_bits() + 1);
        let tied = [1.0, 2.0, last_bit, 3.0, 4.0];
        let plain = spearman(&tied, &Y).expect("defined");
        assert!((plain - spearman(&[1.0, 2.0, 2.0, 3.0, 4.0], &Y).expect("defined")).abs() < 1e-12);
        for broken in [[1.0, 2.0, 2.5, 3.0, 4.0], [1.0, 2.5, 2.0, 3.0, 4.0]] {
            let expected = spearman(&broken, &Y).expect("defined");
            assert!((expected - plain).abs() > 1e-3);
            let found = nearest(&tied, &Y, expected).expect("there is a tie");
            assert!(
                (found - expected).abs() < 1e-12,
                "{found} is not {expected}"
            );
        }
        let between = nearest(&tied, &Y, plain + 1e-3).expect("there is a tie");
        assert!((between - (plain + 1e-3)).abs() > 1e-4);
    }

    #[test]
    fn without_ties_or_with_too_many_there_is_nothing_to_break() {
        assert_eq!(nearest(&[1.0, 2.0, 3.0, 4.0, 5.0], &Y, 0.5), None);
        let many: Vec<f64> = (0..40).map(f64::from).collect();
        assert_eq!(nearest(&[1.0; 40], &many, 0.5), None);
    }
}
