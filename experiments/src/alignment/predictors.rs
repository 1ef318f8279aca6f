//! Trivial predictors: how far a cost follows from what an item looks like before anybody has
//! answered it, and what is left beyond that.

use crate::statistics::{Undefined, correlation, mean};

/// An orthonormal basis of some predictors about their means: what they explain of anything.
///
/// Worked example: of size and tie, two columns; of two columns of which one is twice the other,
/// one.
#[derive(Debug, Clone, PartialEq)]
pub struct Span {
    columns: Vec<Vec<f64>>,
}

impl Span {
    /// Spans columns of equal length; what does not vary, or follows from the others, adds nothing.
    pub fn of(columns: &[Vec<f64>]) -> Self {
        let mut found = Self {
            columns: Vec::new(),
        };
        for column in columns {
            let centred = centred(column);
            let size = norm(&centred);
            // Twice, since once leaves rounding where columns are nearly alike.
            let left = found.residuals(&found.residuals(&centred));
            let length = norm(&left);
            if length > 1e-9 * size && size > 1e-12 * norm(column) {
                found
                    .columns
                    .push(left.iter().map(|v| v / length).collect());
            }
        }
        found
    }

    /// Whether nothing varies.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// What is left of values about their mean.
    pub fn residuals(&self, values: &[f64]) -> Vec<f64> {
        let mut left = centred(values);
        for column in &self.columns {
            let along: f64 = left.iter().zip(column).map(|(v, q)| v * q).sum();
            for (v, q) in left.iter_mut().zip(column) {
                *v -= along * q;
            }
        }
        left
    }

    /// Multiple correlation of values with all predictors: sqrt(1 - residual / total).
    pub fn multiple_r(&self, values: &[f64]) -> Result<f64, Undefined> {
        if self.is_empty() {
            return Err(Undefined::Because("no covariate varies".into()));
        }
        let total = norm(&centred(values)).powi(2);
        if values.len() < correlation::FEWEST || total <= 0.0 {
            return Err(Undefined::NoVariance("human cost"));
        }
        let left = norm(&self.residuals(values)).powi(2);
        Ok((1.0 - left / total).max(0.0).sqrt())
    }

    /// Correlation of two sides beyond the predictors, that of their residuals.
    pub fn partial(&self, x: &[f64], y: &[f64]) -> Result<f64, Undefined> {
        if self.is_empty() {
            return Err(Undefined::Because("no covariate varies".into()));
        }
        let left = |values: &[f64], side: &'static str| {
            let left = self.residuals(values);
            if norm(&left) <= 1e-10 * norm(&centred(values)) {
                return Err(Undefined::NoVariance(side));
            }
            Ok(left)
        };
        let x = left(x, "model cost beyond the covariates")?;
        let y = left(
            y,
            "human cost beyond the covariates, which explain it wholly",
        )?;
        correlation::pearson(&x, &y)
    }
}

fn centred(values: &[f64]) -> Vec<f64> {
    let centre = mean(values).unwrap_or_default();
    values.iter().map(|v| v - centre).collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    const Z: [f64; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 7.0];
    const X: [f64; 6] = [0.3, 1.1, 0.2, 2.5, 1.9, 2.2];
    const Y: [f64; 6] = [7.0, 7.3, 7.1, 7.9, 7.2, 8.0];

    #[test]
    fn one_predictor_is_the_textbooks_partial_correlation() {
        let span = Span::of(&[Z.to_vec()]);
        let plain = correlation::partial(&X, &Y, &Z).expect("defined");
        assert!((span.partial(&X, &Y).expect("defined") - plain).abs() < 1e-12);
        let r = correlation::pearson(&Z, &Y).expect("defined");
        assert!((span.multiple_r(&Y).expect("defined") - r.abs()).abs() < 1e-12);
    }

    #[test]
    fn what_adds_nothing_is_left_out_and_what_explains_all_leaves_nothing() {
        let twice: Vec<f64> = Z.iter().map(|z| 2.0 * z + 1.0).collect();
        let span = Span::of(&[vec![3.0; 6], Z.to_vec(), twice]);
        assert_eq!(span.columns.len(), 1);
        assert!(Span::of(&[vec![3.0; 6]]).is_empty());
        let why = span.partial(&X, &Z).expect_err("nothing left").to_string();
        assert!(why.contains("explain it wholly"), "{why}");
        assert!((span.multiple_r(&Z).expect("defined") - 1.0).abs() < 1e-9);
        assert!(Span::of(&[vec![0.0; 6]]).multiple_r(&Y).is_err());
    }
}
