//! The statistics behind every figure: correlations, least squares, and the one
//! interval of the lab, a jackknife over trainings and items ([`two_way`]).
//!
//! It knows nothing of models, tasks or people: numbers in, numbers out. A
//! figure that does not exist is an [`Undefined`] with its reason, never 0 and
//! never a NaN. All random draws are counter-based ([`draws`]): the same seed
//! gives the same bits whatever the number of threads.

pub mod chi_squared;
pub mod correlation;
pub mod draws;
pub mod family;
pub mod quantile;
pub mod regression;
pub mod student;
pub mod two_way;

use thiserror::Error;

/// Why a figure does not exist.
///
/// Worked example: the correlation of two points is
/// `TooFew { what: "items", have: 2, need: 3 }`, shown as "only 2 items, 3 are needed".
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Undefined {
    /// Too few observations.
    #[error("only {have} {what}, {need} are needed")]
    TooFew {
        /// What is counted, in the plural.
        what: &'static str,
        /// How many there are.
        have: usize,
        /// How many the figure needs.
        need: usize,
    },
    /// All values of one side are the same.
    #[error("no variance in {0}")]
    NoVariance(&'static str),
    /// Any other reason, in words.
    #[error("{0}")]
    Because(String),
}

impl Undefined {
    /// The same reason with the sides `x` and `y` called by their names.
    #[must_use]
    pub fn naming(self, x: &'static str, y: &'static str) -> Self {
        match self {
            Self::NoVariance("x") => Self::NoVariance(x),
            Self::NoVariance("y") => Self::NoVariance(y),
            other => other,
        }
    }
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    let count = values.len() as f64;
    let sum = values.iter().sum::<f64>();
    if values.is_empty() {
        None
    } else if sum.is_finite() {
        Some(sum / count)
    } else {
        // Of values whose sum is beyond all numbers.
        Some(values.iter().map(|value| value / count).sum())
    }
}

/// Sample variance (divisor n - 1); `None` below two values.
pub fn sample_variance(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    if values.len() < 2 {
        return None;
    }
    let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
    Some(squares / (values.len() - 1) as f64)
}

/// Sample standard deviation (divisor n - 1); `None` below two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    sample_variance(values).map(f64::sqrt)
}

/// The point above 0 up to which a condition holds, found by bisection: few calls an interval, and
/// no derivative to go wrong in a far tail.
fn crossing(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while holds(high) {
        low = high;
        high *= 2.0;
    }
    while high - low > 1e-15 * high {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            break;
        }
        if holds(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::midpoint(low, high)
}

/// Whether a sum of squared deviations is rounding noise beside values of the
/// given magnitude: equal values whose means were summed in another order
/// differ in the last bit, and that difference is no variance.
pub(crate) fn is_noise(squares: f64, n: f64, magnitude: f64) -> bool {
    squares <= n * (1e-12 * magnitude).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_sd_by_hand() {
        assert_eq!(mean(&[]), None);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(mean(&[1e308, 1e308]), Some(1e308));
        assert_eq!(mean(&[-1.5e308, -1.5e308, 0.0, 0.0]), Some(-7.5e307));
        assert_eq!(sample_sd(&[1.0]), None);
        // Deviations -2, -1, 3: squares 14, over 2.
        assert!((sample_sd(&[1.0, 2.0, 6.0]).expect("three values") - 7f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn reasons_are_sentences_with_names() {
        let few = Undefined::TooFew {
            what: "items",
            have: 2,
            need: 3,
        };
        assert_eq!(few.to_string(), "only 2 items, 3 are needed");
        let flat = Undefined::NoVariance("x").naming("model cost", "human cost");
        assert_eq!(flat.to_string(), "no variance in model cost");
    }
}
