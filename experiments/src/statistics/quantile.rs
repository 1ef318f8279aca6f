//! Quantiles of values and of draws.

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
fn sorted(draws: impl IntoIterator<Item = Option<f64>>) -> Option<Vec<f64>> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
