//! Pearson, Spearman and partial correlation, and the Fisher transformation.
//!
//! Sources: Pearson's product-moment coefficient; Spearman with average ranks
//! for ties; partial correlation as the correlation of least-squares residuals
//! (one covariate); Fisher 1915 for the transformation.

use super::{Undefined, is_noise, mean};

/// Smallest number of observations a correlation is taken over.
pub const FEWEST: usize = 3;

fn check(x: &[f64], y: &[f64]) -> Result<(), Undefined> {
    assert_eq!(x.len(), y.len(), "both sides are taken over the same items");
    if x.len() < FEWEST {
        return Err(Undefined::TooFew {
            what: "items",
            have: x.len(),
            need: FEWEST,
        });
    }
    Ok(())
}

fn magnitude(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, v| v.abs().max(largest))
}

/// Deviations from the mean and their sum of squares; an error where there is no variance.
fn centred(values: &[f64], side: &'static str) -> Result<(Vec<f64>, f64), Undefined> {
    let centre = mean(values).unwrap_or_default();
    let deviations: Vec<f64> = values.iter().map(|v| v - centre).collect();
    let squares: f64 = deviations.iter().map(|d| d * d).sum();
    if is_noise(squares, values.len() as f64, magnitude(values)) {
        return Err(Undefined::NoVariance(side));
    }
    Ok((deviations, squares))
}

/// Pearson's correlation of `x` and `y`.
///
/// Undefined below three pairs, or where one side does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    let (dx, sxx) = centred(x, "x")?;
    let (dy, syy) = centred(y, "y")?;
    let sxy: f64 = dx.iter().zip(&dy).map(|(a, b)| a * b).sum();
    Ok((sxy / (sxx.sqrt() * syy.sqrt())).clamp(-1.0, 1.0))
}

/// Ranks from 1; equal values share the average of their ranks.
///
/// Worked example: `[10, 20, 20, 30]` has the ranks `[1, 2.5, 2.5, 4]`.
pub fn average_ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0;
    for run in order.chunk_by(|&a, &b| nearly(values[a], values[b])) {
        let shared = before as f64 + (run.len() + 1) as f64 / 2.0;
        before += run.len();
        for &at in run {
            ranks[at] = shared;
        }
    }
    ranks
}

/// Whether two values differ by rounding alone: sums in another order give another last bit.
fn nearly(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-13 * a.abs().max(b.abs())
}

/// Places of the values in ascending order, equal ones together.
pub(crate) fn runs(values: &[f64]) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let runs = order.chunk_by(|&a, &b| nearly(values[a], values[b]));
    runs.map(<[usize]>::to_vec).collect()
}

/// Slope of the least-squares line of `y` on `x`: Cov(x, y) / Var(x).
///
/// Undefined below three pairs, or where x does not vary.
pub fn slope(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    let (dx, sxx) = centred(x, "x")?;
    let centre = mean(y).unwrap_or_default();
    let sxy: f64 = dx.iter().zip(y).map(|(a, b)| a * (b - centre)).sum();
    Ok(sxy / sxx)
}

/// Sample variance (divisor n - 1), called `side` where there is none.
pub fn variance(values: &[f64], side: &'static str) -> Result<f64, Undefined> {
    check(values, values)?;
    Ok(centred(values, side)?.1 / (values.len() - 1) as f64)
}

/// Spearman's rank correlation with average ranks.
pub fn spearman(x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    pearson(&average_ranks(x), &average_ranks(y))
}

/// Residuals of the least-squares line of `v` on the centred covariate.
fn residuals(v: &[f64], dz: &[f64], szz: f64, side: &'static str) -> Result<Vec<f64>, Undefined> {
    let (dv, svv) = centred(v, side)?;
    let slope = dv.iter().zip(dz).map(|(a, b)| a * b).sum::<f64>() / szz;
    let left: Vec<f64> = dv.iter().zip(dz).map(|(a, b)| a - slope * b).collect();
    let squares: f64 = left.iter().map(|d| d * d).sum();
    // What the covariate explains wholly leaves rounding noise, not a side to correlate.
    if squares <= 1e-20 * svv {
        return Err(Undefined::NoVariance(side));
    }
    Ok(left)
}

/// Pearson's correlation of `x` and `y` given `z`: that of their residuals on `z`.
///
/// Equal to the plain one where `z` does not vary.
pub fn partial(x: &[f64], y: &[f64], z: &[f64]) -> Result<f64, Undefined> {
    check(x, y)?;
    check(x, z)?;
    let Ok((dz, szz)) = centred(z, "z") else {
        return pearson(x, y);
    };
    let (rx, ry) = (residuals(x, &dz, szz, "x")?, residuals(y, &dz, szz, "y")?);
    let product: f64 = rx.iter().zip(&ry).map(|(a, b)| a * b).sum();
    let squares = |r: &[f64]| r.iter().map(|d| d * d).sum::<f64>();
    Ok((product / (squares(&rx).sqrt() * squares(&ry).sqrt())).clamp(-1.0, 1.0))
}

/// Mean correlation by way of Fisher's z: tanh of the mean of atanh r.
///
/// Undefined of nothing, and where one r is -1 or 1 (its z is infinite).
pub fn fisher_mean(correlations: &[f64]) -> Result<f64, Undefined> {
    if correlations.iter().any(|r| r.abs() >= 1.0) {
        return Err(Undefined::Because(
            "a correlation of exactly -1 or 1 has an infinite Fisher z".into(),
        ));
    }
    let z: Vec<f64> = correlations.iter().map(|r| r.atanh()).collect();
    mean(&z).map(f64::tanh).ok_or(Undefined::TooFew {
        what: "correlations",
        have: 0,
        need: 1,
    })
}

/// 95 % interval of a correlation over `n` independent pairs by Fisher's z: tanh(atanh r -+ 1.96 / sqrt(n - 3)).
///
/// `None` below four pairs, and at r = -1 or 1.
pub fn fisher_interval(r: f64, n: usize) -> Option<(f64, f64)> {
    /// The 97.5 % quantile of the normal distribution.
    const Z95: f64 = 1.959_963_984_540_054;
    if n < 4 || r.abs() >= 1.0 {
        return None;
    }
    let half = Z95 / ((n - 3) as f64).sqrt();
    Some(((r.atanh() - half).tanh(), (r.atanh() + half).tanh()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} is not {b}");
    }

    // Anscombe's first set: r = 0.81642051634484 (scipy.stats.pearsonr).
    const X: [f64; 11] = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
    const Y: [f64; 11] = [
        8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68,
    ];

    #[test]
    fn pearson_of_anscombe() {
        close(pearson(&X, &Y).expect("defined"), 0.816_420_516_344_840_1);
        close(spearman(&X, &Y).expect("defined"), 9.0 / 11.0);
    }

    #[test]
    fn ranks_share_ties() {
        assert_eq!(
            average_ranks(&[20.0, 10.0, 30.0, 20.0]),
            [2.5, 1.0, 4.0, 2.5]
        );
        // Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 4.5 / sqrt(4.5 * 5).
        close(
            spearman(&[1.0, 2.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 4.0]).expect("defined"),
            4.5 / 22.5f64.sqrt(),
        );
    }

    #[test]
    fn undefined_is_never_a_number() {
        assert_eq!(
            pearson(&[1.0, 2.0], &[1.0, 2.0]),
            Err(Undefined::TooFew {
                what: "items",
                have: 2,
                need: 3
            })
        );
        assert_eq!(
            pearson(&[0.1; 4], &[1.0, 2.0, 3.0, 4.0]),
            Err(Undefined::NoVariance("x"))
        );
        // The same mean summed in two orders differs in the last bit; it does not vary.
        let almost = [0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.6, 0.6];
        assert_eq!(
            pearson(&[1.0, 2.0, 3.0, 4.0], &almost),
            Err(Undefined::NoVariance("y"))
        );
        assert!(fisher_mean(&[0.2, 1.0]).is_err());
        assert!(fisher_mean(&[]).is_err());
    }

    #[test]
    fn partial_equals_the_textbook_formula() {
        let z: Vec<f64> = (0..11).map(|i| f64::from(i * i % 7)).collect();
        let (xy, xz, yz) = (
            pearson(&X, &Y).expect("defined"),
            pearson(&X, &z).expect("defined"),
            pearson(&Y, &z).expect("defined"),
        );
        let textbook = (xy - xz * yz) / ((1.0 - xz * xz) * (1.0 - yz * yz)).sqrt();
        close(partial(&X, &Y, &z).expect("defined"), textbook);
        close(partial(&X, &Y, &[3.0; 11]).expect("defined"), xy);
        // A side that the covariate explains wholly has nothing left.
        assert_eq!(partial(&X, &Y, &X), Err(Undefined::NoVariance("x")));
    }

    #[test]
    fn fisher_by_hand() {
        close(fisher_mean(&[0.5, 0.5]).expect("defined"), 0.5);
        close(fisher_mean(&[0.0, 0.8]).expect("defined"), 0.5);
        let (low, high) = fisher_interval(0.0, 28).expect("28 pairs");
        close(low, -(1.959_963_984_540_054f64 / 5.0).tanh());
        close(high, -low);
        assert_eq!(fisher_interval(0.5, 3), None);
    }
}
