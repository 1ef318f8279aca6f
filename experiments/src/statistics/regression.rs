//! Ordinary least squares with one predictor.
//!
//! No standard errors: the intervals of slopes come from the bootstrap over
//! items, as all others do.

use super::{Undefined, is_noise};

/// A least-squares line.
///
/// Worked example: (1, 3), (2, 5), (3, 7) is slope 2, intercept 1, R^2 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Change in y for one unit of x.
    pub slope: f64,
    /// y at x = 0.
    pub intercept: f64,
    /// Share of y's variance the line explains; 1 where y does not vary and the line is exact.
    pub r2: f64,
}

/// Least squares of `y` on `x`.
///
/// Undefined below three points, or where `x` does not vary.
pub fn ols(x: &[f64], y: &[f64]) -> Result<Line, Undefined> {
    let weights = vec![1.0; x.len()];
    let why = if x.len() < 3 {
        Undefined::TooFew {
            what: "points",
            have: x.len(),
            need: 3,
        }
    } else {
        Undefined::NoVariance("x")
    };
    weighted_ols(x, y, &weights).ok_or(why)
}

/// Least squares where point i occurs `weights[i]` times; `None` where undefined.
pub fn weighted_ols(x: &[f64], y: &[f64], weights: &[f64]) -> Option<Line> {
    assert!(
        x.len() == y.len() && x.len() == weights.len(),
        "one weight a point"
    );
    let n: f64 = weights.iter().sum();
    if n < 3.0 {
        return None;
    }
    let centre = |v: &[f64]| v.iter().zip(weights).map(|(v, w)| v * w).sum::<f64>() / n;
    let (mx, my) = (centre(x), centre(y));
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for ((x, y), w) in x.iter().zip(y).zip(weights) {
        let (dx, dy) = (x - mx, y - my);
        sxx += w * dx * dx;
        sxy += w * dx * dy;
        syy += w * dy * dy;
    }
    let largest = |v: &[f64]| v.iter().fold(0.0, |m: f64, v| v.abs().max(m));
    if is_noise(sxx, n, largest(x)) {
        return None;
    }
    let slope = sxy / sxx;
    let r2 = if is_noise(syy, n, largest(y)) {
        1.0
    } else {
        (sxy * sxy / (sxx * syy)).min(1.0)
    };
    Some(Line {
        slope,
        intercept: my - slope * mx,
        r2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anscombe_by_the_published_line() {
        let x = [10.0, 8.0, 13.0, 9.0, 11.0, 14.0, 6.0, 4.0, 12.0, 7.0, 5.0];
        let y = [
            8.04, 6.95, 7.58, 8.81, 8.33, 9.96, 7.24, 4.26, 10.84, 4.82, 5.68,
        ];
        let line = ols(&x, &y).expect("defined");
        // scipy.stats.linregress: 0.50009090909, 3.00009090909, 0.66654245951.
        assert!((line.slope - 0.500_090_909_090_909).abs() < 1e-12);
        assert!((line.intercept - 3.000_090_909_090_909).abs() < 1e-12);
        assert!((line.r2 - 0.666_542_459_508_775).abs() < 1e-12);
    }

    #[test]
    fn weights_are_repetitions() {
        let line =
            weighted_ols(&[1.0, 2.0, 9.0], &[3.0, 4.0, 1.0], &[2.0, 2.0, 0.0]).expect("defined");
        assert!((line.slope - 1.0).abs() < 1e-12 && (line.intercept - 2.0).abs() < 1e-12);
    }

    #[test]
    fn undefined_without_spread() {
        assert_eq!(
            ols(&[1.0; 4], &[1.0, 2.0, 3.0, 4.0]),
            Err(Undefined::NoVariance("x"))
        );
        assert!(ols(&[1.0, 2.0], &[1.0, 2.0]).is_err());
        // A flat y is a line that explains all there is.
        assert_eq!(
            ols(&[1.0, 2.0, 3.0], &[4.0; 3]),
            Ok(Line {
                slope: 0.0,
                intercept: 4.0,
                r2: 1.0
            })
        );
    }
}
