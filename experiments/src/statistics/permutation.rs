//! The paired permutation test: under the null hypothesis the labels of two
//! models are exchangeable within an item.
//!
//! A draw swaps or keeps the labels of each item, all samples and all seeds of
//! the item together: answers to one item are one cluster.

use rand::Rng;
use rayon::prelude::*;

use super::draws;

/// The statistic under each of `number` draws, in order; it is given, by task,
/// whether each item's labels are swapped.
pub fn permute<T: Send>(
    number: u32,
    seed: u64,
    purpose: &str,
    items: &[usize],
    statistic: impl Fn(&[Vec<bool>]) -> T + Sync,
) -> Vec<T> {
    (0..u64::from(number))
        .into_par_iter()
        .map(|draw| {
            let mut rng = draws::stream(seed, purpose, draw);
            let mut swaps =
                |n: usize| -> Vec<bool> { (0..n).map(|_| rng.next_u32() & 1 == 1).collect() };
            let swaps: Vec<Vec<bool>> = items.iter().map(|&n| swaps(n)).collect();
            statistic(&swaps)
        })
        .collect()
}

/// Two-sided p: (1 + draws at least as far from 0 as the observed difference) /
/// (1 + draws), so never 0 (Phipson and Smyth 2010).
///
/// `None` where fewer than 95 % of the draws are defined. Differences equal but
/// for rounding count as equally far.
pub fn two_sided(observed: f64, draws: &[Option<f64>]) -> Option<f64> {
    let defined: Vec<f64> = draws.iter().copied().flatten().collect();
    if defined.is_empty()
        || (defined.len() as f64) < super::interval::DEFINED_SHARE * draws.len() as f64
    {
        return None;
    }
    let far = observed.abs() * (1.0 - 1e-9) - 1e-12;
    let extreme = defined.iter().filter(|d| d.abs() >= far).count();
    Some((extreme + 1) as f64 / (defined.len() + 1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sign_test_has_its_exact_p() {
        // Ten items that all differ by 1: only the two extreme labellings reach a mean of 1, p = 2 / 1024.
        let draws = permute(40_000, 5, "test", &[10], |swaps| {
            let signed: i32 = swaps[0].iter().map(|&s| if s { -1 } else { 1 }).sum();
            Some(f64::from(signed) / 10.0)
        });
        let p = two_sided(1.0, &draws).expect("defined");
        assert!((p - 2.0 / 1024.0).abs() < 7e-4, "{p}");
        // A difference of 0 is never surprising.
        assert!((two_sided(0.0, &draws).expect("defined") - 1.0).abs() < 1e-12);
    }

    #[test]
    fn undefined_draws_are_no_p() {
        assert_eq!(two_sided(1.0, &[None, Some(0.0)]), None);
        assert_eq!(two_sided(1.0, &[]), None);
    }
}
