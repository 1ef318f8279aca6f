//! Inflation: a student's tokens on its base's, and whether the ratio rises with people's time.
//!
//! The base's item means are measured with noise, which pulls a least-squares slope towards 0
//! (a copy of the base would not give 1). Its even and odd samples are two measurements of the
//! same means with independent noise, so each serves as the other's instrument.
//!
//! A constant multiplier alone leaves every within-task r unchanged: these figures are to be
//! read beside the alignments, never for them.

use crate::statistics::{Undefined, is_noise};

/// Columns of values, each value minus its task's mean.
///
/// Takes (task, values) of each item, the items of a task together.
pub fn centred<const N: usize>(items: &[(usize, [f64; N])]) -> [Vec<f64>; N] {
    std::array::from_fn(|at| {
        let mut found = Vec::with_capacity(items.len());
        for task in items.chunk_by(|a, b| a.0 == b.0) {
            let sum: f64 = task.iter().map(|(_, values)| values[at]).sum();
            let centre = sum / task.len() as f64;
            found.extend(task.iter().map(|(_, values)| values[at] - centre));
        }
        found
    })
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Slope of the first column on what the second and third both measure:
/// (sum y A + sum y B) / (2 sum A B).
///
/// Undefined where the halves do not agree.
pub fn by_instruments([y, a, b]: &[Vec<f64>; 3]) -> Result<f64, Undefined> {
    if y.is_empty() {
        return Err(Undefined::Because(
            "no item has samples of even and of odd index from the base".into(),
        ));
    }
    let shared = product(a, b);
    let noise = (product(a, a) * product(b, b)).sqrt();
    if shared <= 1e-9 * noise || noise <= 0.0 {
        return Err(Undefined::Because(
            "the base's halves do not agree on which items are long".into(),
        ));
    }
    Ok((product(y, a) + product(y, b)) / (2.0 * shared))
}

/// Slope of the first column on the second, called `x`, by least squares.
pub fn least_squares([y, by]: &[Vec<f64>; 2], x: &'static str) -> Result<f64, Undefined> {
    if y.is_empty() {
        return Err(Undefined::Because("no item with tokens of both".into()));
    }
    let squares = product(by, by);
    let largest = by.iter().fold(0.0, |m: f64, v| v.abs().max(m));
    if by.len() < 3 || squares <= 0.0 || is_noise(squares, by.len() as f64, largest) {
        return Err(Undefined::NoVariance(x));
    }
    Ok(product(y, by) / squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_base_gives_one_by_instruments_and_less_by_least_squares() {
        // True means 1, 2, 3, 4, four times in each of two tasks; the halves err by -+1, unlike
        // the truth and unlike each other.
        let errors = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
        let items: Vec<(usize, [f64; 3])> = (0..32usize)
            .map(|i| {
                let truth = (1 + i % 4) as f64 + (i / 16) as f64 * 100.0;
                let [a, b] = errors[i / 4 % 4];
                (i / 16, [truth, truth + a, truth + b])
            })
            .collect();
        let columns = centred(&items);
        assert!((by_instruments(&columns).expect("defined") - 1.0).abs() < 1e-12);
        // In each task 20 of truth and 16 of noise: 20 / 36.
        let noisy: Vec<(usize, [f64; 2])> = items.iter().map(|(t, v)| (*t, [v[0], v[1]])).collect();
        let noisy = centred(&noisy);
        let slope = least_squares(&noisy, "x").expect("defined");
        assert!((slope - 20.0 / 36.0).abs() < 1e-12);
        // A task's level is no inflation: centring took the hundred out.
        assert!(columns[0].iter().all(|v| v.abs() < 2.0));
    }

    #[test]
    fn what_cannot_be_told_has_a_reason() {
        let flat = centred(&[0.0, 1.0, 2.0, 3.0].map(|i| (0, [i, 5.0])));
        assert_eq!(
            least_squares(&flat, "human cost"),
            Err(Undefined::NoVariance("human cost"))
        );
        let apart = centred(&[(0, [1.0, 1.0, -1.0]), (0, [2.0, -1.0, 1.0])]);
        assert!(by_instruments(&apart).is_err());
        assert!(by_instruments(&centred(&[])).is_err());
        assert!(least_squares(&centred(&[]), "x").is_err());
    }

    #[test]
    fn more_on_harder_items_is_a_positive_slope() {
        let items = [10.0, 20.0, 40.0].map(f64::ln);
        let columns = centred(&[0usize, 1, 2].map(|i| (0, [items[i], i as f64])));
        let slope = least_squares(&columns, "human cost").expect("defined");
        assert!((slope - std::f64::consts::LN_2).abs() < 1e-12);
    }
}
