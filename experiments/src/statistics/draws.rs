//! Counter-based random numbers.
//!
//! Draw number d of a purpose is a `ChaCha8` stream whose 256-bit key holds the
//! seed, a hash of the purpose's name and d. So a draw depends on nothing but
//! these three: not on the thread that computes it, nor on the draws before it.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// FNV-1a, 64 bits: it is taken of names and answers, which nobody chooses so that they collide.
pub(crate) fn fnv1a(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The stream of draw `draw` for a purpose under a seed.
pub fn stream(seed: u64, purpose: &str, draw: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&fnv1a(purpose).to_le_bytes());
    key[16..24].copy_from_slice(&draw.to_le_bytes());
    key[24..].copy_from_slice(b"qinglan1");
    ChaCha8Rng::from_seed(key)
}

/// A uniform integer below `bound`, exactly (Lemire 2019: multiply, reject the uneven rest).
pub fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    assert!(bound > 0, "there is no integer below 0");
    let uneven = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(bound);
        if product as u32 >= uneven {
            return (product >> 32) as u32;
        }
    }
}

/// A uniformly shuffled order of `0..n` (Fisher and Yates).
pub fn shuffled(rng: &mut ChaCha8Rng, n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for last in (1..n).rev() {
        order.swap(last, below(rng, last as u32 + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_is_its_key() {
        let first = |seed, purpose, draw| stream(seed, purpose, draw).next_u64();
        assert_eq!(first(1, "bootstrap", 7), first(1, "bootstrap", 7));
        assert_ne!(first(1, "bootstrap", 7), first(2, "bootstrap", 7));
        assert_ne!(first(1, "bootstrap", 7), first(1, "permutation", 7));
        assert_ne!(first(1, "bootstrap", 7), first(1, "bootstrap", 8));
    }

    #[test]
    fn below_is_uniform() {
        let mut rng = stream(0, "test", 0);
        let mut counts = [0u32; 7];
        (0..70_000).for_each(|_| counts[below(&mut rng, 7) as usize] += 1);
        // Chi-squared with 6 degrees of freedom: 22.46 is its 99.9th percentile.
        let chi: f64 = counts
            .iter()
            .map(|&c| (f64::from(c) - 10_000.0).powi(2) / 10_000.0)
            .sum();
        assert!(chi < 22.46, "{counts:?}");
    }

    #[test]
    fn shuffles_are_permutations() {
        let mut order = shuffled(&mut stream(3, "test", 0), 50);
        assert_ne!(order, (0..50).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }
}
