//! Student's t distribution with any degrees of freedom of at least one, whole or not.
//!
//! The tail is the regularised incomplete beta function `I_x(df/2`, 1/2) at x = df / (df + t^2)
//! (Abramowitz and Stegun 1964, 26.7.1), by the continued fraction 26.5.8 in Lentz's form.
//! Small tails keep their relative precision: nothing is subtracted from 1 to make them.

/// Share of the distribution above `t`.
///
/// Worked example: `above(2.0, 5.0)` is 0.05097.
pub fn above(t: f64, df: f64) -> f64 {
    if t < 0.0 {
        return 1.0 - above(-t, df);
    }
    let square = t * t;
    if square.is_infinite() {
        return 0.0;
    }
    0.5 * beta(df / 2.0, 0.5, df / (df + square), square / (df + square))
}

/// The point with a share `tail` above it, for a tail of at most one half.
///
/// Worked example: `quantile_above(0.025, 3.0)` is 3.18245.
pub fn quantile_above(tail: f64, df: f64) -> f64 {
    super::crossing(|t| above(t, df) > tail)
}

/// `I_x(a`, b), with `y` = 1 - x given beside x because one of them may be tiny.
fn beta(a: f64, b: f64, x: f64, y: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if y <= 0.0 {
        return 1.0;
    }
    // The fraction converges quickly on this side alone (26.5.8); the other is its complement.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta(b, a, y, x);
    }
    let front = a * x.ln() + b * y.ln() + libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    front.exp() / a / fraction(a, b, x)
}

/// The continued fraction of 26.5.8, so that `I_x` = front / (a * fraction).
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const MOST: u32 = 100_000;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let (mut value, mut c, mut d) = (1.0, 1.0, 0.0);
    for step in 1..=MOST {
        let m = f64::from(step / 2);
        let term = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        d = 1.0 / away(1.0 + term * d);
        c = away(1.0 + term / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tails_are_scipys() {
        // scipy.stats.t.sf(t, df), 1.16.
        for (t, df, tail) in TAILS {
            assert!(
                (above(t, df) / tail - 1.0).abs() < 1e-12,
                "{t} {df}: {} {tail}",
                above(t, df)
            );
        }
        assert!((above(-1.5, 4.0) + above(1.5, 4.0) - 1.0).abs() < 1e-15);
        assert!((above(0.0, 2.5) - 0.5).abs() < 1e-15);
    }

    #[test]
    fn quantiles_are_scipys() {
        // scipy.stats.t.ppf(1 - tail, df), 1.16.
        for (tail, df, t) in QUANTILES {
            let found = quantile_above(tail, df);
            // Logarithms of gamma at thousands of degrees of freedom cancel to some 1e-12.
            assert!((found / t - 1.0).abs() < 1e-11, "{tail} {df}: {found} {t}");
        }
    }

    const TAILS: [(f64, f64, f64); 7] = [
        (0.3, 1.0, 0.407_226_420_922_257_7),
        (2.0, 5.0, 0.050_969_739_414_929_174),
        (12.7, 1.0, 0.025_012_163_844_672_083),
        (1.96, 421.5, 0.025_327_122_547_738_938),
        (8.0, 3.7, 0.000_912_545_481_337_366_7),
        (0.001, 12.3, 0.499_609_075_839_153_8),
        (25.0, 40.0, 2.481_671_722_239_161e-26),
    ];
    const QUANTILES: [(f64, f64, f64); 5] = [
        (0.025, 1.0, 12.706_204_736_174_705),
        (0.025, 3.3, 3.024_874_461_840_808_3),
        (0.05, 7.25, 1.884_795_718_084_103_5),
        (0.025, 62.0, 1.998_971_517_033_379),
        (0.05, 5000.5, 1.645_158_407_113_273_7),
    ];
}
