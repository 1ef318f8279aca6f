//! The joint bootstrap: training seeds as the outer level, items within task
//! as the inner one.
//!
//! A draw resamples the seeds with replacement, then within each task the
//! items, once for all seeds and for both models of a contrast: the items are
//! the same whoever answers them (a crossed design). With one seed the outer
//! level is idle, and the intervals speak of items, not of training.
//!
//! A draw is handed on as multiplicities, so figures are computed from sums
//! weighted by them and no resample is copied. Beside the draws stands the
//! jackknife: the figures with one observation left out, from which the intervals
//! take their acceleration ([`super::interval`]).

use rayon::prelude::*;

use super::{draws, interval, mean, sample_sd};

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

/// Whether every item of a task occurs once. Where an item of another task is left
/// out, a task's figures are those of the sample, and need not be summed again.
pub(crate) fn is_whole(multiplicities: &[f64]) -> bool {
    multiplicities
        .iter()
        .all(|&times| times.to_bits() == 1f64.to_bits())
}

/// A statistic of the sample under every draw, and with each observation left out.
///
/// A statistic may be many figures at once; the methods are told which one is meant.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn<T> {
    /// Under each draw, in order.
    pub draws: Vec<T>,
    /// With one observation left out, by level: the seeds where there are several, then each task's items.
    left_out: Vec<Vec<T>>,
}

impl<T> Drawn<T> {
    /// 95 % interval of a figure whose value in the sample is `value`; `half` is
    /// its half-width ([`interval::half_width`]).
    ///
    /// `None` where the figure is undefined in more than 5 % of the draws.
    pub fn interval(
        &self,
        value: f64,
        half: f64,
        figure: impl Fn(&T) -> Option<f64>,
    ) -> Option<(f64, f64)> {
        let sorted = interval::sorted(self.draws.iter().map(&figure))?;
        let acceleration = self.acceleration(figure);
        Some(interval::of_draws(&sorted, value, acceleration, half))
    }

    /// Standard error of a figure: the standard deviation of its draws.
    pub fn standard_error(&self, figure: impl Fn(&T) -> Option<f64>) -> Option<f64> {
        sample_sd(&interval::sorted(self.draws.iter().map(figure))?)
    }

    /// A sixth of the skewness of the observations' influences, summed over
    /// levels as over independent samples (Davison and Hinkley 1997, 5.4): with
    /// l = (n - 1) / n times what leaving the observation out takes away,
    /// sum l^3 / (6 (sum l^2)^1.5). 0 where nothing has influence; `None` where
    /// leaving one out leaves no figure.
    fn acceleration(&self, figure: impl Fn(&T) -> Option<f64>) -> Option<f64> {
        let (mut squares, mut cubes) = (0.0, 0.0);
        for level in &self.left_out {
            let values: Option<Vec<f64>> = level.iter().map(&figure).collect();
            let values = values?;
            let n = values.len() as f64;
            let centre = mean(&values).unwrap_or_default();
            for value in values {
                let influence = (n - 1.0) / n * (centre - value);
                squares += influence * influence;
                cubes += influence.powi(3);
            }
        }
        Some(if squares > 0.0 {
            cubes / (6.0 * squares.powf(1.5))
        } else {
            0.0
        })
    }
}

/// The statistic under each of `number` draws, and with each observation left out.
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
) -> Drawn<T> {
    let without_seed = |at: usize| {
        let mut rest = Resample::identity(seeds, items);
        rest.seeds[at] = 0.0;
        statistic(&rest)
    };
    let without_item = |task: usize, at: usize| {
        let mut rest = Resample::identity(seeds, items);
        rest.items[task][at] = 0.0;
        statistic(&rest)
    };
    let of_seeds = (seeds > 1).then(|| (0..seeds).into_par_iter().map(without_seed).collect());
    let of_items = items.iter().enumerate().map(|(task, &n)| {
        let items = (0..n).into_par_iter();
        items.map(|at| without_item(task, at)).collect()
    });
    Drawn {
        left_out: of_seeds.into_iter().chain(of_items).collect(),
        draws: (0..u64::from(number))
            .into_par_iter()
            .map(|draw| statistic(&Resample::draw(seeds, items, seed, purpose, draw)))
            .collect(),
    }
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
        assert!(sums.draws.iter().all(|s| *s == (3.0, vec![4.0, 0.0, 9.0])));
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
        let (low, high) = central_95(draws.draws).expect("defined");
        assert!(
            (low - (49.5 - 5.66)).abs() < 0.4 && (high - (49.5 + 5.66)).abs() < 0.4,
            "{low} {high}"
        );
    }

    #[test]
    fn seeds_are_the_outer_level() {
        // Two seeds that differ by 1 in every item: the draws are 0, 1/2 or 1.
        let draws = bootstrap(4000, 3, "test", 2, &[10], |r| r.seeds[1] / 2.0);
        let half = draws
            .draws
            .iter()
            .filter(|d| (**d - 0.5).abs() < 1e-12)
            .count();
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

    /// Mean of the first task's values under a draw.
    fn mean_of(values: &[f64]) -> impl Fn(&Resample) -> f64 + Sync {
        move |draw| {
            let (mut sum, mut n) = (0.0, 0.0);
            for (weight, value) in draw.items[0].iter().zip(values) {
                sum += weight * value;
                n += weight;
            }
            sum / n
        }
    }

    #[test]
    fn the_acceleration_of_a_mean_is_a_sixth_of_its_skewness() {
        // Efron 1987: a = skewness / (6 sqrt n). 0, 0, 0, 4: deviations -1, -1, -1, 3;
        // sum of cubes 24, of squares 12: 24 / (6 * 12^1.5).
        let values = [0.0, 0.0, 0.0, 4.0];
        let drawn = bootstrap(10, 0, "test", 1, &[4], mean_of(&values));
        let found = drawn.acceleration(|m| Some(*m)).expect("defined");
        assert!((found - 24.0 / (6.0 * 12f64.powf(1.5))).abs() < 1e-12);
        assert_eq!(drawn.acceleration(|_| Some(1.0)), Some(0.0));
        assert_eq!(drawn.acceleration(|m| (*m > 0.0).then_some(*m)), None);
    }

    #[test]
    fn a_skewed_mean_has_an_interval_that_leans_its_way() {
        let values: Vec<f64> = (0..40).map(|i| (f64::from(i) / 8.0).exp()).collect();
        let mean = mean_of(&values)(&Resample::identity(1, &[40]));
        let drawn = bootstrap(4000, 1, "test", 1, &[40], mean_of(&values));
        let (low, high) = drawn
            .interval(mean, interval::half_width(40, 1), |m| Some(*m))
            .expect("defined");
        let (plain_low, plain_high) =
            central_95(drawn.draws.iter().map(|m| Some(*m))).expect("draws");
        assert!(low > plain_low && high > plain_high, "{low} {high}");
        let error = drawn.standard_error(|m| Some(*m)).expect("draws");
        assert!((error / 4.4 - 1.0).abs() < 0.5, "{error}");
    }
}
