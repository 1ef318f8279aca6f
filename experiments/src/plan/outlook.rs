//! What to expect of a record of a given size.
//!
//! The components of a record are drawn as they would come out: each an independent chi-squared
//! about its expectation, as in a balanced two-way analysis of variance of normal deviates, and
//! the difference itself normal about the truth. The rule that a comparison applies
//! ([`crate::statistics::two_way`]) is then applied to every draw, with its Satterthwaite degrees
//! of freedom and its bounds. So widths and power hold for few seeds too, where the degrees of
//! freedom are themselves a matter of chance.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Variances;
use crate::comparison::{Components, Measure};
use crate::statistics::draws::stream;
use crate::statistics::family::LEVEL;
use crate::statistics::quantile::quantile;
use crate::statistics::student;
use crate::statistics::two_way::Spread;

/// Draws of a record: the standard error of a power is half a per cent at most.
const DRAWS: u64 = 10_000;

/// How large a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Seeds, and so trainings an arm: 2 or more.
    pub seeds: usize,
    /// Evaluated items over all tasks.
    pub items: usize,
    /// Samples an item.
    pub samples: u32,
}

/// What to expect of a record.
///
/// Worked example: `{half_width: 0.06, difference: 0.93, equivalence: 0.81}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Half the width of the 95 % interval, in the measure's unit: the median over records.
    pub half_width: f64,
    /// Share of records that tell a true difference as large as the smallest effect of interest
    /// from 0, on its side, after the correction for the family.
    pub difference: f64,
    /// Share that call a true difference of 0 equivalent, after the same.
    pub equivalence: f64,
}

/// A component's expectation and its degrees of freedom.
#[derive(Debug, Clone, Copy)]
struct Expected {
    mean: f64,
    df: f64,
}

impl Expected {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        if self.mean > 0.0 {
            self.mean * chi_squared(rng, self.df) / self.df
        } else {
            0.0
        }
    }

    fn uncertain(self, drawn: f64) -> f64 {
        drawn * drawn / self.df
    }
}

/// What a record of this size will be like; `None` where the measure needs more samples.
///
/// Holm's correction within a family of m tests is at least as powerful as testing each at
/// 1 / m of the level, which is what is counted here.
pub(super) fn outlook(
    of: &Variances,
    measure: Measure,
    size: Size,
    family: usize,
) -> Option<Outlook> {
    if measure == Measure::AlignmentUnlimited && size.samples < 2 {
        return None;
    }
    let expected = of.at(size);
    let seeds = size.seeds as f64;
    let freedom = expected.items_df;
    let training = Expected {
        mean: expected.components.training,
        df: seeds - 1.0,
    };
    let items = Expected {
        mean: expected.components.items,
        df: freedom,
    };
    let interaction = Expected {
        mean: expected.components.interaction,
        df: (seeds - 1.0) * freedom,
    };
    let against = Expected {
        mean: expected.components.training_against,
        df: of.against_df,
    };
    let family = family.max(1) as f64;
    let wide = Quantiles::new(LEVEL / 2.0);
    let decides = Quantiles::new(LEVEL / 2.0 / family);
    let narrow = Quantiles::new(LEVEL / family);
    let deviation = expected.variance.sqrt();
    let record = |draw: u64| {
        let mut rng = stream(0, "plan", draw);
        let from_truth = deviation * normal(&mut rng);
        let components = Components {
            training: training.draw(&mut rng),
            training_against: against.draw(&mut rng),
            items: items.draw(&mut rng),
            interaction: interaction.draw(&mut rng),
        };
        let uncertain = training.uncertain(components.training)
            + items.uncertain(components.items)
            + interaction.uncertain(components.interaction)
            + if against.mean > 0.0 {
                against.uncertain(components.training_against)
            } else {
                0.0
            };
        let found = Spread::of(components, uncertain, freedom);
        let half = found.se * decides.at(found.df);
        let smallest = of.smallest_effect;
        let told = from_truth + smallest > half;
        let within = from_truth.abs() + found.se * narrow.at(found.df) < smallest;
        let equivalent = within && from_truth.abs() <= half;
        (found.se * wide.at(found.df), told, equivalent)
    };
    let records: Vec<(f64, bool, bool)> = (0..DRAWS).into_par_iter().map(record).collect();
    let share = |is: fn(&&(f64, bool, bool)) -> bool| {
        records.iter().filter(is).count() as f64 / DRAWS as f64
    };
    let mut widths: Vec<f64> = records.iter().map(|record| record.0).collect();
    widths.sort_unstable_by(f64::total_cmp);
    Some(Outlook {
        half_width: quantile(&widths, 0.5),
        difference: share(|record| record.1),
        equivalence: share(|record| record.2),
    })
}

/// Student's t above which a share lies, by 1 / df from 0 to 1, so that ten thousand intervals
/// cost no more than a few hundred.
struct Quantiles(Vec<f64>);

impl Quantiles {
    const STEPS: usize = 256;
    /// Stands for unlimited degrees of freedom.
    const MANY: f64 = 1e6;

    fn new(tail: f64) -> Self {
        let at = |step: usize| {
            let inverse = step as f64 / Self::STEPS as f64;
            student::quantile_above(tail, inverse.recip().min(Self::MANY))
        };
        Self((0..=Self::STEPS).map(at).collect())
    }

    fn at(&self, df: f64) -> f64 {
        quantile(&self.0, df.recip().clamp(0.0, 1.0))
    }
}

/// Uniform in (0, 1).
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64
}

/// A standard normal deviate (Box and Muller 1958).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (uniform(rng), uniform(rng));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// A chi-squared deviate of any degrees of freedom: twice a gamma deviate (Marsaglia and Tsang
/// 2000, with their way to shapes below 1).
fn chi_squared(rng: &mut ChaCha8Rng, df: f64) -> f64 {
    let shape = df / 2.0;
    if shape < 1.0 {
        let boost = uniform(rng).powf(shape.recip());
        return boost * chi_squared(rng, df + 2.0);
    }
    let d = shape - 1.0 / 3.0;
    let c = (9.0 * d).sqrt().recip();
    loop {
        let z = normal(rng);
        let v = (1.0 + c * z).powi(3);
        if v > 0.0 && uniform(rng).ln() < 0.5 * z * z + d * (1.0 - v + v.ln()) {
            return 2.0 * d * v;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::{mean, sample_variance};

    #[test]
    fn deviates_have_the_moments_of_their_laws() {
        for df in [1.0, 2.0, 7.5, 60.0] {
            let drawn: Vec<f64> = (0..40_000)
                .map(|draw| chi_squared(&mut stream(1, "test", draw), df))
                .collect();
            // Mean df with variance 2 df; five standard errors.
            let centre = mean(&drawn).expect("drawn");
            assert!(
                (centre - df).abs() < 5.0 * (2.0 * df / 4e4).sqrt(),
                "{centre} {df}"
            );
            let spread = sample_variance(&drawn).expect("drawn") / (2.0 * df);
            assert!((spread - 1.0).abs() < 0.1, "{spread} {df}");
        }
    }

    #[test]
    fn quantiles_are_those_of_students_t() {
        for tail in [0.025, 0.00625] {
            let table = Quantiles::new(tail);
            for df in [1.0, 1.37, 2.2, 11.3, 240.0] {
                let exact = student::quantile_above(tail, df);
                assert!((table.at(df) / exact - 1.0).abs() < 1e-3, "{tail} {df}");
            }
        }
    }
}
