//! Several tests taken together.
//!
//! Holm's correction holds the chance of one false finding among a family of
//! tests, whatever their dependence.

/// Chance of a false finding that a family of questions may have.
pub const LEVEL: f64 = 0.05;

/// p values corrected for their number (Holm 1979), in the order given: the
/// smallest times n, the next times n - 1, and so on, never below the one
/// before and never above 1. Those that are undefined are not counted.
///
/// Worked example: 0.01, 0.04, 0.03 become 0.03, 0.06, 0.06.
pub fn holm(p: &[Option<f64>]) -> Vec<Option<f64>> {
    let mut order: Vec<(usize, f64)> = p
        .iter()
        .enumerate()
        .filter_map(|(at, p)| Some((at, (*p)?)))
        .collect();
    order.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut corrected = vec![None; p.len()];
    let mut largest: f64 = 0.0;
    let family = order.len();
    for (rank, (at, p)) in order.into_iter().enumerate() {
        largest = largest.max(((family - rank) as f64 * p).min(1.0));
        corrected[at] = Some(largest);
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_by_hand() {
        let corrected = holm(&[Some(0.01), None, Some(0.04), Some(0.03)]);
        let expected = [Some(0.03), None, Some(0.06), Some(0.06)];
        for (got, expected) in corrected.iter().zip(expected) {
            match (got, expected) {
                (Some(got), Some(expected)) => assert!((got - expected).abs() < 1e-15),
                (got, expected) => assert_eq!(*got, expected),
            }
        }
        assert_eq!(holm(&[Some(0.7), Some(0.8)]), [Some(1.0), Some(1.0)]);
        assert!(holm(&[]).is_empty());
    }
}
