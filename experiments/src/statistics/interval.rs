//! Intervals: Wilson's for a share, and those read from bootstrap draws.
//!
//! What is used where. A share of one task carries Wilson's interval, a
//! fingerprint's similarity Fisher's (it stands with the correlations), a
//! cross-task alignment the plain percentiles of its draws. Everything else is
//! resampled and carries the bias-corrected and accelerated interval (`BCa`, Efron
//! 1987), widened for a small sample ([`half_width`]); where `BCa` is not defined,
//! the percentiles, widened in the same way.
//!
//! Why not plain percentiles: over 32 items they cover a correlation in 92 to
//! 93 % of simulated samples, and `BCa` alone in 91 to 95 %; widened, `BCa` covers
//! it in 94 to 96 % (`examples/coverage.rs` prints these last).

use super::correlation::Z95;
use super::normal;

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

/// The draws in which the figure exists, sorted; `None` where they are fewer than
/// 95 % of all: the rest would be a selection.
pub(crate) fn sorted(draws: impl IntoIterator<Item = Option<f64>>) -> Option<Vec<f64>> {
    let (mut total, mut defined) = (0usize, Vec::new());
    for draw in draws {
        total += 1;
        defined.extend(draw);
    }
    if defined.is_empty() || (defined.len() as f64) < DEFINED_SHARE * total as f64 {
        return None;
    }
    defined.sort_unstable_by(f64::total_cmp);
    Some(defined)
}

/// Central 95 % of draws (the percentile interval), of those in which the
/// figure exists; `None` where these are fewer than 95 % of all.
pub fn central_95(draws: impl IntoIterator<Item = Option<f64>>) -> Option<(f64, f64)> {
    let sorted = sorted(draws)?;
    Some((quantile(&sorted, 0.025), quantile(&sorted, 0.975)))
}

/// Half the width of a 95 % interval in standard errors of the bootstrap, for a
/// figure that fits `parameters` to `items`: Student's quantile at items -
/// parameters times sqrt(items / (items - parameters)), after the expanded
/// percentiles of Hesterberg 2015.
///
/// Resampling n items varies a mean by sqrt((n - 1) / n) too little, and the
/// normal quantile takes that spread as known. A mean fits one parameter a task,
/// a line two, a correlation three, as in the variance 1 / (n - 3) of Fisher's z.
/// Worked example: a correlation over 32 items is 2.15 wide, over 425 items 1.97.
pub fn half_width(items: usize, parameters: usize) -> f64 {
    let free = items.saturating_sub(parameters).max(1) as f64;
    normal::student_975(free) * (items.max(1) as f64 / free).sqrt()
}

/// Largest correction for bias, in standard errors: beyond it the draws say
/// more of the resampling than of the figure, and `BCa` is taken as undefined.
const LARGEST_BIAS: f64 = 1.0;

/// The two shares of the draws between which the `BCa` interval lies; `None` where
/// it is not defined.
fn bca_shares(sorted: &[f64], value: f64, acceleration: f64, half: f64) -> Option<(f64, f64)> {
    // Equal but for rounding counts as equal: a figure of counts repeats itself.
    let near = 1e-12 * value.abs().max(1e-3);
    let under = sorted.partition_point(|&draw| draw < value - near) as f64;
    let up_to = sorted.partition_point(|&draw| draw <= value + near) as f64;
    let bias = normal::quantile(f64::midpoint(under, up_to) / sorted.len() as f64);
    if bias.abs() > LARGEST_BIAS {
        return None;
    }
    let share = |z: f64| {
        let scale = 1.0 - acceleration * (bias + z);
        (scale > 0.0).then(|| normal::below(bias + (bias + z) / scale))
    };
    Some((share(-half)?, share(half)?))
}

/// The 95 % interval of a figure from sorted bootstrap draws: `BCa` where
/// `acceleration` and the bias are defined, percentiles otherwise, both `half`
/// standard errors to either side.
pub(crate) fn of_draws(
    sorted: &[f64],
    value: f64,
    acceleration: Option<f64>,
    half: f64,
) -> (f64, f64) {
    let (low, high) = acceleration
        .and_then(|acceleration| bca_shares(sorted, value, acceleration, half))
        .unwrap_or_else(|| (normal::below(-half), normal::below(half)));
    (quantile(sorted, low), quantile(sorted, high))
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

    #[test]
    fn a_small_sample_widens() {
        // t at 29 degrees of freedom is 2.0452, times sqrt(32 / 29).
        assert!((half_width(32, 3) - 2.0452 * (32.0f64 / 29.0).sqrt()).abs() < 1e-4);
        assert!((half_width(1_000_000, 1) - Z95).abs() < 1e-5);
        assert!(half_width(3, 3) > half_width(5, 3) && half_width(0, 3).is_finite());
    }

    #[test]
    fn the_shares_of_bca_are_those_of_its_formula() {
        // z0 = 0.1 and a = 0.105, with scipy.special.ndtr.
        let draws: Vec<f64> = (0..=100_000).map(f64::from).collect();
        let value = quantile(&draws, normal::below(0.1));
        let (low, high) = bca_shares(&draws, value, 0.105, Z95).expect("defined");
        assert!(
            (low - 0.072_686_7).abs() < 2e-5 && (high - 0.996_818_8).abs() < 2e-5,
            "{low} {high}"
        );
    }

    #[test]
    fn without_bias_or_skew_bca_is_the_percentiles() {
        let draws: Vec<f64> = (0..=1000).map(f64::from).collect();
        let plain = of_draws(&draws, 500.0, None, Z95);
        let bca = of_draws(&draws, 500.0, Some(0.0), Z95);
        assert!((plain.0 - 25.0).abs() < 1e-9 && (plain.1 - 975.0).abs() < 1e-9);
        assert!((plain.0 - bca.0).abs() < 1e-9 && (plain.1 - bca.1).abs() < 1e-9);
        // A figure at the edge of its draws is not corrected, but for width.
        assert_eq!(of_draws(&draws, 990.0, Some(0.0), Z95), plain);
        // Draws that never vary leave no width.
        assert_eq!(of_draws(&[2.0; 9], 2.0, Some(0.0), Z95), (2.0, 2.0));
    }
}
