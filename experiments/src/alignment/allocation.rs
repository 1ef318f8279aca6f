//! Allocation of effort: whether a model spends more tokens on its
//! wrong answers than on its right ones to the same item.

use super::cost::ItemMeans;
use crate::statistics::{Undefined, mean, sample_sd};

/// Fewest items with both right and wrong samples.
pub const FEWEST: usize = 3;

/// Mean ln(1 + tokens) of wrong minus of right samples, for each item that has both.
pub fn differences<'a>(items: impl IntoIterator<Item = &'a ItemMeans>) -> Vec<f64> {
    let of = |item: &ItemMeans| Some(item.wrong_cost? - item.right_cost?);
    items.into_iter().filter_map(of).collect()
}

/// Cohen's d of the differences: their mean over their sample standard deviation.
///
/// Worked example: differences 1, 2, 3 give 2 / 1 = 2. Undefined below three items.
pub fn cohens_d(differences: &[f64]) -> Result<f64, Undefined> {
    if differences.len() < FEWEST {
        return Err(Undefined::TooFew {
            what: "items with both right and wrong samples",
            have: differences.len(),
            need: FEWEST,
        });
    }
    match (mean(differences), sample_sd(differences)) {
        (Some(mean), Some(sd)) if sd > 1e-12 => Ok(mean / sd),
        _ => Err(Undefined::NoVariance(
            "the differences between wrong and right",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::{Counting, items, tests::trace};

    #[test]
    fn only_items_with_both_count() {
        let traces = [
            trace("m", "a", 0, 9, Some(true)),
            trace("m", "a", 1, 99, Some(false)),
            trace("m", "a", 2, 99, None),
            trace("m", "b", 0, 50, Some(true)),
            trace("m", "c", 0, 50, Some(false)),
        ];
        let found = items(&traces, Counting::default());
        let differences = differences(found.models["m"][0].task("t").values());
        assert_eq!(differences.len(), 1);
        assert!((differences[0] - 10f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn d_by_hand() {
        assert_eq!(cohens_d(&[1.0, 2.0, 3.0]), Ok(2.0));
        assert!(cohens_d(&[1.0, 2.0]).is_err());
        assert!(cohens_d(&[1.0; 4]).is_err());
    }
}
