//! `McNemar`'s exact test of paired right and wrong answers.
//!
//! Not here: which answers are paired (see [`crate::alignment::accuracy`]).

/// Two-sided exact p of `McNemar`'s test (`McNemar` 1947): `b` pairs where only the
/// first is right, `c` where only the second is. Under the null hypothesis b is
/// binomial(b + c, 1/2); p = min(1, 2 P(X <= min(b, c))), which is 1 without
/// discordant pairs.
///
/// Worked example: b = 1, c = 5 gives 2 (1 + 6) / 64 = 0.21875.
pub fn exact(b: usize, c: usize) -> f64 {
    let (n, least) = (b + c, b.min(c));
    // Terms by their ratio, in logarithms: 0.5^n underflows beyond 1074 pairs.
    let mut ln_term = -(n as f64) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for k in 0..=least {
        sum += ln_term.exp();
        ln_term += ((n - k) as f64).ln() - ((k + 1) as f64).ln();
    }
    (2.0 * sum).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_by_hand_and_by_scipy() {
        assert!((exact(1, 5) - 0.21875).abs() < 1e-12);
        assert!((exact(0, 10) - 2.0 / 1024.0).abs() < 1e-15);
        assert!((exact(0, 0) - 1.0).abs() < 1e-15);
        assert!((exact(7, 7) - 1.0).abs() < 1e-15);
        // The two sides are symmetric.
        assert!((exact(12, 3) - exact(3, 12)).abs() < 1e-15);
        // 2 (1 + 15 + 105 + 455) / 2^15.
        assert!((exact(12, 3) - 1152.0 / 32768.0).abs() < 1e-12);
    }

    #[test]
    fn many_pairs_do_not_underflow() {
        let p = exact(1400, 1600);
        // Normal approximation with continuity correction: z = 199 / sqrt(3000), p = 0.000280.
        assert!((p - 0.000_280).abs() < 2e-5, "{p}");
    }
}
