//! What the intervals cover where the truth is known: means of a table of items by trainings,
//! with effects of trainings, of items and of both together.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::super::draws;
use super::*;

const SIMULATIONS: u64 = 1000;

/// SD of the effects of a training, of an item, and of one on the other.
struct Effects {
    training: f64,
    item: f64,
    both: f64,
}

/// Shares of simulations.
#[derive(Debug)]
struct Shares {
    /// The interval holds the truth.
    covered: f64,
    /// A truth at the smallest effect of interest is called equivalent.
    called_equivalent: f64,
}

/// A normal number (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let mut uniform = || ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
    (-2.0 * uniform().ln()).sqrt() * (std::f64::consts::TAU * uniform()).cos()
}

fn drawn(rng: &mut ChaCha8Rng, effects: &Effects, trainings: usize, items: usize) -> Replicates {
    let of_training: Vec<f64> = (0..trainings)
        .map(|_| effects.training * normal(rng))
        .collect();
    let mut table = Vec::new();
    for _ in 0..items {
        let of_item = effects.item * normal(rng);
        let cell = |a: &f64| a + of_item + effects.both * normal(rng);
        table.push(of_training.iter().map(cell).collect::<Vec<f64>>());
    }
    let sums: Vec<f64> = (0..trainings)
        .map(|s| table.iter().map(|row| row[s]).sum())
        .collect();
    let (all, rest) = (items as f64, (items - 1) as f64);
    let without = |row: &Vec<f64>| -> Vec<f64> {
        let left = sums.iter().zip(row);
        left.map(|(sum, value)| (sum - value) / rest).collect()
    };
    Replicates {
        whole: sums.iter().map(|sum| sum / all).collect(),
        without: Some(vec![table.iter().map(without).collect()]),
    }
}

/// Of a true mean of 0, and of the same as a difference of `d` that is said to lie within it.
fn shares(effects: &Effects, trainings: usize, items: usize, d: f64) -> Shares {
    let (mut covered, mut called_equivalent) = (0, 0);
    for number in 0..SIMULATIONS {
        let rng = &mut draws::stream(number, "coverage", trainings as u64);
        let found = two_way(&drawn(rng, effects, trainings, items), None);
        let spread = found.spread.expect("normal numbers differ");
        covered += u32::from(found.value.abs() <= spread.half_width(0.025));
        called_equivalent += u32::from(spread.p_equivalence(found.value + d, d) < 0.05);
    }
    let share = |count: u32| f64::from(count) / SIMULATIONS as f64;
    Shares {
        covered: share(covered),
        called_equivalent: share(called_equivalent),
    }
}

/// Each source by itself is the larger part of the variance once, so that none can be forgotten
/// or counted twice unseen.
#[test]
fn intervals_cover_whatever_the_source_of_chance() {
    for (effects, trainings) in [
        // Trainings: by items alone the standard error would be half the true one or less.
        ((0.3, 0.3, 0.3), 5),
        ((0.3, 0.3, 0.3), 12),
        // Items.
        ((0.02, 1.0, 0.3), 5),
        // Both together: without the subtraction the variance would be nearly twice what it is.
        ((0.0, 0.1, 1.0), 12),
        // A little of each.
        ((0.05, 0.3, 0.5), 5),
    ] {
        let (training, item, both) = effects;
        let of = Effects {
            training,
            item,
            both,
        };
        let se = (training.powi(2) / trainings as f64
            + (item.powi(2) + both.powi(2) / trainings as f64) / 40.0)
            .sqrt();
        let found = shares(&of, trainings, 40, 4.0 * se);
        assert!(
            (0.93..=0.98).contains(&found.covered),
            "{effects:?}, {trainings} trainings: {found:?}"
        );
        assert!(
            found.called_equivalent <= 0.065,
            "{effects:?}, {trainings} trainings: {found:?}"
        );
    }
}
