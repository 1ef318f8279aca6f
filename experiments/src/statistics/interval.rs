//! Intervals: Wilson's for a share, percentiles of draws.
//!
//! Not here: Fisher's interval of a correlation, which stands with the
//! correlations.

use super::correlation::Z95;

/// Wilson's 95 % score interval of a share of `n` trials (Wilson 1927):
/// (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
///
/// `None` of no trials. Worked example: 8 of 10 is \[0.490, 0.943\].
pub fn wilson(share: f64, n: usize) -> Option<(f64, f64)> {
    if n == 0 {
        return None;
    }
    let n = n as f64;
    let squared = Z95 * Z95;
    let centre = share + squared / (2.0 * n);
    let half = Z95 * (share * (1.0 - share) / n + squared / (4.0 * n * n)).sqrt();
    let scale = 1.0 + squared / n;
    Some((
        ((centre - half) / scale).max(0.0),
        ((centre + half) / scale).min(1.0),
    ))
}

/// Quantile of sorted values with linear interpolation (Hyndman and Fan's type 7, numpy's default).
/// There must be a value.
pub fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = q * (sorted.len() - 1) as f64;
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (at - below as f64) * (sorted[above] - sorted[below])
}

/// Share of draws that must be defined for their percentiles to be an interval.
pub const DEFINED_SHARE: f64 = 0.95;

/// Central 95 % of draws (the percentile interval).
///
/// Draws in which the figure does not exist are left out; where they are more
/// than 5 % of all, there is no interval: the rest would be a selection.
pub fn central_95(draws: impl IntoIterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let (mut total, mut defined) = (0usize, Vec::new());
    for draw in draws {
        total += 1;
        defined.extend(draw);
    }
    if defined.is_empty() || (defined.len() as f64) < DEFINED_SHARE * total as f64 {
        return None;
    }
    defined.sort_by(f64::total_cmp);
    Some((quantile(&defined, 0.025), quantile(&defined, 0.975)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_of_published_cases() {
        // Newcombe 1998, table I: 81 of 263 is [0.2553, 0.3662], 0 of 20 is [0, 0.1611].
        let (low, high) = wilson(81.0 / 263.0, 263).expect("trials");
        assert!((low - 0.2553).abs() < 5e-5 && (high - 0.3662).abs() < 5e-5);
        let (low, high) = wilson(0.0, 20).expect("trials");
        assert!(low.abs() < 1e-15 && (high - 0.1611).abs() < 5e-5);
        assert_eq!(wilson(0.5, 0), None);
    }

    #[test]
    fn percentiles_interpolate() {
        let (low, high) = central_95((0..=100).rev().map(|v| Some(f64::from(v)))).expect("draws");
        assert!((low - 2.5).abs() < 1e-12 && (high - 97.5).abs() < 1e-12);
    }

    #[test]
    fn too_many_undefined_draws_are_no_interval() {
        let draws = |undefined: usize| (0..100).map(move |i| (i >= undefined).then_some(i as f64));
        assert!(central_95(draws(5)).is_some());
        assert_eq!(central_95(draws(6)), None);
        assert_eq!(central_95([]), None);
    }
}
