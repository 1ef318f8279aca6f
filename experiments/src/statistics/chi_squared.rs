//! The chi-squared distribution: how far a variance may be from its estimate.
//!
//! The lower tail is the regularised incomplete gamma function P(df/2, x/2), by its series
//! (Abramowitz and Stegun 1964, 6.5.29).

/// Share of the distribution below `x`.
pub fn below(x: f64, df: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let (a, x) = (df / 2.0, x / 2.0);
    let (mut term, mut sum, mut n) = (1.0, 1.0, a);
    while term > 1e-16 * sum {
        n += 1.0;
        term *= x / n;
        sum += term;
    }
    (a * x.ln() - x - libm::lgamma(a + 1.0)).exp() * sum
}

/// The point with a share `share` of the distribution below it.
///
/// Worked example: a variance estimated as 1 on one degree of freedom has the 95 % interval
/// 1 / `quantile(0.975, 1.0)` = 0.2 to 1 / `quantile(0.025, 1.0)` = 1018.
pub fn quantile(share: f64, df: f64) -> f64 {
    super::crossing(|x| below(x, df) < share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_scipys() {
        // scipy.stats.chi2.ppf(share, df), 1.17.
        for (share, df, x) in QUANTILES {
            let found = quantile(share, df);
            assert!((found / x - 1.0).abs() < 1e-10, "{share} {df}: {found} {x}");
        }
    }

    const QUANTILES: [(f64, f64, f64); 4] = [
        (0.025, 1.0, 0.000_982_069_117_175_255_5),
        (0.975, 1.0, 5.023_886_187_314_888),
        (0.025, 4.0, 0.484_418_557_087_929_9),
        (0.975, 11.0, 21.920_049_261_021_2),
    ];
}
