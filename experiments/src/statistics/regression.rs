//! Ordinary least squares with one predictor.
//!
//! No standard errors: the intervals of slopes are the jackknife's, as all others are ([`super::two_way`]).

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
    assert_eq!(x.len(), y.len(), "a point has both");
    if x.len() < 3 {
        return Err(Undefined::TooFew {
            what: "points",
            have: x.len(),
            need: 3,
        });
    }
    let n = x.len() as f64;
    let centre = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (mx, my) = (centre(x), centre(y));
    let (mut sxx, mut sxy, mut syy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (dx, dy) = (x - mx, y - my);
        sxx += dx * dx;
        sxy += dx * dy;
        syy += dy * dy;
    }
    let largest = |v: &[f64]| v.iter().fold(0.0, |m: f64, v| v.abs().max(m));
    if is_noise(sxx, n, largest(x)) {
        return Err(Undefined::NoVariance("x"));
    }
    let slope = sxy / sxx;
    let r2 = if is_noise(syy, n, largest(y)) {
        1.0
    } else {
        (sxy * sxy / (sxx * syy)).min(1.0)
    };
    Ok(Line {
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
