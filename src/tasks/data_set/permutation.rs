//! An order of `n` things that is computed where it is needed: a bijection of
//! 0 ... n - 1, keyed by a seed and by what it is the order of.
//!
//! It is a balanced Feistel network on the smallest even number of bits that holds
//! `n`; what it maps beyond `n` is mapped again until it lies within (cycle walking:
//! Black and Rogaway 2002, Ciphers with Arbitrary Finite Domains). Fewer than four
//! steps are expected. The rounds' function is the finaliser of `SplitMix64` (Steele,
//! Lea and Flood 2014) of the half and the round's key, which is random.

use rand::RngExt;

use crate::random::stream;

/// More than the four that make a network of random functions look random.
const ROUNDS: usize = 8;

/// An order of `n` things.
#[derive(Debug, Clone)]
pub(super) struct Permutation {
    n: u64,
    /// Bits of one half.
    half: u32,
    keys: [u64; ROUNDS],
}

impl Permutation {
    /// The order of `n` things that belongs to `seed` and `indices`.
    pub(super) fn new(n: u64, seed: u64, indices: &[u64]) -> Self {
        let mut random = stream(seed, "data set order", indices);
        let bits = u64::BITS - n.saturating_sub(1).leading_zeros();
        Self {
            n,
            half: bits.div_ceil(2).max(1),
            keys: std::array::from_fn(|_| random.random()),
        }
    }

    /// What stands at a place; both are below `n`.
    pub(super) fn at(&self, place: u64) -> u64 {
        let mut value = self.mapped(place);
        while value >= self.n {
            value = self.mapped(value);
        }
        value
    }

    /// One step in all that the bits hold.
    fn mapped(&self, value: u64) -> u64 {
        let mask = (1_u64 << self.half) - 1;
        let (mut left, mut right) = (value >> self.half, value & mask);
        for key in self.keys {
            (left, right) = (right, left ^ (mixed(right.wrapping_add(key)) & mask));
        }
        left << self.half | right
    }
}

fn mixed(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn order(n: u64, seed: u64, epoch: u64) -> Vec<u64> {
        let permutation = Permutation::new(n, seed, &[0, epoch]);
        (0..n).map(|place| permutation.at(place)).collect()
    }

    #[test]
    fn every_order_has_everything_once() {
        let sizes = (1..300).chain([1023, 1024, 1025, 4096, 65_537]);
        for n in sizes {
            for epoch in 0..3 {
                let mut found = order(n, 7, epoch);
                found.sort_unstable();
                assert!(found.into_iter().eq(0..n), "{n}");
            }
        }
    }

    #[test]
    fn seeds_and_epochs_have_orders_of_their_own() {
        assert_eq!(order(1000, 1, 0), order(1000, 1, 0));
        let orders = [order(1000, 1, 0), order(1000, 1, 1), order(1000, 2, 0)];
        for (i, one) in orders.iter().enumerate() {
            for other in &orders[i + 1..] {
                let same = one.iter().zip(other).filter(|(a, b)| a == b).count();
                // One place in a thousand agrees by chance.
                assert!(same < 10, "{same}");
            }
        }
    }

    /// The sum of (found - expected)^2 / expected.
    fn chi_square(counts: impl Iterator<Item = u64>, expected: f64) -> f64 {
        counts
            .map(|count| (count as f64 - expected).powi(2) / expected)
            .sum()
    }

    #[test]
    fn all_orders_of_four_are_equally_frequent() {
        let mut counts: BTreeMap<Vec<u64>, u64> = BTreeMap::new();
        for seed in 0..12_000 {
            *counts.entry(order(4, seed, 0)).or_default() += 1;
        }
        assert_eq!(counts.len(), 24);
        // The .999 quantile at 23 degrees of freedom.
        assert!(chi_square(counts.into_values(), 500.0) < 49.7);
    }

    #[test]
    fn where_neighbours_go_is_uniform() {
        let (n, seeds) = (20_u64, 20_000_u64);
        let mut first = vec![0; n as usize];
        let mut apart = vec![0; n as usize - 1];
        for seed in 0..seeds {
            let permutation = Permutation::new(n, seed, &[0, 0]);
            let (one, next) = (permutation.at(5), permutation.at(6));
            first[one as usize] += 1;
            apart[((next + n - one) % n) as usize - 1] += 1;
        }
        let expected = |cells: usize| seeds as f64 / cells as f64;
        // The .999 quantiles at 19 and 18 degrees of freedom.
        assert!(chi_square(first.into_iter(), expected(20)) < 43.8);
        assert!(chi_square(apart.into_iter(), expected(19)) < 42.3);
    }
}
