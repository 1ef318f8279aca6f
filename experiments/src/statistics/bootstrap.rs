//! The joint bootstrap: training seeds as the outer level, items within task
//! as the inner one.
//!
//! A draw resamples the seeds with replacement, then within each task the
//! items, once for all seeds and for both models of a contrast: the items are
//! the same whoever answers them (a crossed design). With one seed the outer
//! level is idle, and the intervals speak of items, not of training.
//!
//! A draw is handed on as multiplicities, so figures are computed from sums
//! weighted by them and no resample is copied. Percentile intervals
//! ([`super::interval::central_95`]); no bias correction.

use rayon::prelude::*;

use super::draws;

/// How often each seed and each item occurs in one draw.
///
/// Worked example: two seeds, one task of three items; `seeds: [0, 2]`,
/// `items: [[1, 2, 0]]` drew the second seed twice, the first item once and
/// the second item twice.
#[derive(Debug, Clone, PartialEq)]
pub struct Resample {
    /// Multiplicity of each seed; sums to their number.
    pub seeds: Vec<f64>,
    /// Multiplicity of each item, by task; sums to the task's number of items.
    pub items: Vec<Vec<f64>>,
}

impl Resample {
    /// Everything once: the sample itself.
    pub fn identity(seeds: usize, items: &[usize]) -> Self {
        Self {
            seeds: vec![1.0; seeds],
            items: items.iter().map(|&n| vec![1.0; n]).collect(),
        }
    }

    /// One random draw.
    fn draw(seeds: usize, items: &[usize], seed: u64, purpose: &str, number: u64) -> Self {
        let mut rng = draws::stream(seed, purpose, number);
        let mut multiplicities = |n: usize| {
            let mut counts = vec![0.0; n];
            (0..n).for_each(|_| counts[draws::below(&mut rng, n as u32) as usize] += 1.0);
            counts
        };
        Self {
            seeds: multiplicities(seeds),
            items: items.iter().map(|&n| multiplicities(n)).collect(),
        }
    }
}

/// The statistic under each of `number` draws, in order.
///
/// `seeds` is their number, `items` the number of items of each task. The same
/// `seed` and `purpose` give the same resamples wherever the shape is the same,
/// which is what makes a draw joint.
pub fn bootstrap<T: Send>(
    number: u32,
    seed: u64,
    purpose: &str,
    seeds: usize,
    items: &[usize],
    statistic: impl Fn(&Resample) -> T + Sync,
) -> Vec<T> {
    (0..u64::from(number))
        .into_par_iter()
        .map(|draw| statistic(&Resample::draw(seeds, items, seed, purpose, draw)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::interval::central_95;

    #[test]
    fn multiplicities_sum_to_what_was_there() {
        let sums = bootstrap(50, 1, "test", 3, &[4, 0, 9], |r| {
            (
                r.seeds.iter().sum::<f64>(),
                r.items.iter().map(|t| t.iter().sum()).collect::<Vec<f64>>(),
            )
        });
        assert!(sums.iter().all(|s| *s == (3.0, vec![4.0, 0.0, 9.0])));
    }

    #[test]
    fn the_interval_of_a_mean_has_its_textbook_width() {
        // 0..99: standard error of the mean 28.866 / 10 = 2.887; 95 % is -+ 5.66.
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        let draws = bootstrap(4000, 2, "test", 1, &[100], |r| {
            Some(
                r.items[0]
                    .iter()
                    .zip(&values)
                    .map(|(w, v)| w * v)
                    .sum::<f64>()
                    / 100.0,
            )
        });
        let (low, high) = central_95(draws).expect("defined");
        assert!(
            (low - (49.5 - 5.66)).abs() < 0.4 && (high - (49.5 + 5.66)).abs() < 0.4,
            "{low} {high}"
        );
    }

    #[test]
    fn seeds_are_the_outer_level() {
        // Two seeds that differ by 1 in every item: the draws are 0, 1/2 or 1.
        let draws = bootstrap(4000, 3, "test", 2, &[10], |r| r.seeds[1] / 2.0);
        let half = draws.iter().filter(|d| (**d - 0.5).abs() < 1e-12).count();
        assert!(
            (1900..2100).contains(&half),
            "{half} of 4000 drew each seed once"
        );
    }

    #[test]
    fn threads_do_not_matter() {
        let run = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .expect("a small pool")
                .install(|| bootstrap(200, 4, "test", 2, &[30, 5], Clone::clone))
        };
        assert_eq!(run(1), run(3));
    }
}
