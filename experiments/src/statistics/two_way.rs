//! The one interval of the lab: a jackknife over two crossed sources of chance, the trainings
//! and the items.
//!
//! Trainings differ by their seed, and the items are a sample of those that could have been
//! asked. An arm is an average over both, so its variance is V = `V_training` + `V_items` -
//! `V_interaction`, each estimated by itself, and never below `V_items` or `V_interaction`:
//!
//! - `V_training` = Var over trainings / S.
//! - `V_items` deletes each cluster of items in all trainings at once: (G - 1) / G times the sum
//!   of squares of the figure about its mean over deletions, summed over strata.
//! - `V_interaction`, which both of these contain, from pseudo-values G `d_s` - (G - 1) d_s(-g):
//!   residuals after row and column means, sum of squares / ((S - 1)(G - 1) S G), summed over strata.
//!
//! Degrees of freedom by Satterthwaite 1946; interval, p and equivalence by Student's t. With
//! one training `V_items` stands alone, and the figure is of that training. METHODOLOGY.md tells
//! what such intervals cover.

use serde::{Deserialize, Serialize};

use super::{Undefined, mean, sample_variance, student};

/// A figure of each training with all items, and with each cluster of items left out.
///
/// Worked example: two trainings, one stratum of three clusters: `whole: [0.5, 0.7]`,
/// `without: [[[0.4, 0.7], [0.6, 0.7], [0.5, 0.7]]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Replicates {
    /// By training.
    pub whole: Vec<f64>,
    /// By stratum, by cluster, by training; `None` where the figure does not exist without a cluster.
    pub without: Option<Vec<Vec<Vec<f64>>>>,
}

/// The variance of a mean over trainings that are not those of the figure (a teacher's).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Against {
    /// Var / trainings; 0 for a single training, whose chance cannot be seen.
    pub variance: f64,
    /// How many there are.
    pub trainings: usize,
}

/// The variance of a figure by source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Components {
    /// Of the mean over trainings.
    pub training: f64,
    /// Of the mean over the other arm's own trainings; 0 where trainings are paired.
    pub training_against: f64,
    /// Of the items.
    pub items: f64,
    /// Of items by trainings, which the two above contain both.
    pub interaction: f64,
}

/// A mean over trainings with its uncertainty.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoWay {
    /// Mean over trainings.
    pub value: f64,
    /// Its uncertainty, or why there is none.
    pub spread: Result<Spread, Undefined>,
}

/// The uncertainty of a figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// By source.
    pub components: Components,
    /// Standard error.
    pub se: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// Degrees of freedom of the items' component alone.
    pub items_df: f64,
}

impl Spread {
    /// The uncertainty that these components make. `uncertain` is the sum of their squares, each
    /// over its degrees of freedom.
    pub(crate) fn of(components: Components, uncertain: f64, items_df: f64) -> Self {
        let Components {
            training,
            training_against,
            items,
            interaction,
        } = components;
        let total = (training + training_against + items - interaction)
            .max(items)
            .max(interaction);
        Self {
            components,
            se: total.sqrt(),
            df: (total * total / uncertain).max(1.0),
            items_df,
        }
    }

    /// Half the width of the interval that leaves `tail` out on either side.
    pub fn half_width(&self, tail: f64) -> f64 {
        student::quantile_above(tail, self.df) * self.se
    }

    /// Two-sided p of a value against 0.
    pub fn p(&self, value: f64) -> f64 {
        2.0 * student::above(value.abs() / self.se, self.df)
    }

    /// p of the two one-sided tests that the truth lies within (-d, d) (Schuirmann 1987).
    pub fn p_equivalence(&self, value: f64, d: f64) -> f64 {
        let above = student::above((value + d) / self.se, self.df);
        let below = student::above((d - value) / self.se, self.df);
        above.max(below)
    }
}

/// The mean over trainings with its variance.
pub fn two_way(replicates: &Replicates, against: Option<Against>) -> TwoWay {
    let value = mean(&replicates.whole).unwrap_or(f64::NAN);
    TwoWay {
        value,
        spread: spread(replicates, against),
    }
}

/// 0 of a single value.
fn variance(values: &[f64]) -> f64 {
    sample_variance(values).unwrap_or_default()
}

fn spread(replicates: &Replicates, against: Option<Against>) -> Result<Spread, Undefined> {
    let whole = &replicates.whole;
    let strata = replicates.without.as_ref().ok_or_else(|| {
        Undefined::Because("no interval: undefined once some items are left out".into())
    })?;
    let trainings = whole.len();
    // Sum of squared components over their degrees of freedom.
    let mut uncertain = 0.0;
    let (mut items, mut interaction, mut items_uncertain) = (0.0, 0.0, 0.0);
    for clusters in strata.iter().filter(|clusters| !clusters.is_empty()) {
        let groups = clusters.len();
        if groups < 2 {
            return Err(Undefined::Because(
                "no interval: all items are one cluster".into(),
            ));
        }
        let g = groups as f64;
        let of_items = items_variance(clusters);
        items += of_items;
        items_uncertain += of_items.powi(2) / (g - 1.0);
        if trainings > 1 {
            let of_both = residual_squares(whole, clusters)
                / ((trainings - 1) as f64 * (g - 1.0) * trainings as f64 * g);
            interaction += of_both;
            uncertain += of_both.powi(2) / ((trainings - 1) as f64 * (g - 1.0));
        }
    }
    uncertain += items_uncertain;
    let mut training = 0.0;
    if trainings > 1 {
        training = variance(whole) / trainings as f64;
        uncertain += training.powi(2) / (trainings - 1) as f64;
    }
    let mut training_against = 0.0;
    if let Some(against) = against.filter(|against| against.trainings > 1) {
        training_against = against.variance;
        uncertain += against.variance.powi(2) / (against.trainings - 1) as f64;
    }
    let components = Components {
        training,
        training_against,
        items,
        interaction,
    };
    let items_df = if items_uncertain > 0.0 {
        items * items / items_uncertain
    } else {
        // Of a component that is 0.
        strata
            .iter()
            .map(|c| c.len().saturating_sub(1))
            .sum::<usize>() as f64
    };
    let found = Spread::of(components, uncertain, items_df);
    // Equal values whose sums were taken in another order differ in the last bit.
    // A figure that is 0 but for rounding has no magnitude of its own.
    let magnitude = whole.iter().fold(1e-6, |m: f64, v| v.abs().max(m));
    if found.se <= 1e-13 * magnitude {
        return Err(Undefined::Because(
            "no interval: nothing varies between items or trainings".into(),
        ));
    }
    Ok(found)
}

/// `V_items` of one stratum, by cluster and training: of the mean over trainings.
pub(crate) fn items_variance(clusters: &[Vec<f64>]) -> f64 {
    let g = clusters.len() as f64;
    let means: Vec<f64> = clusters.iter().filter_map(|d| mean(d)).collect();
    (g - 1.0) * (g - 1.0) / g * variance(&means)
}

/// Sum of squares of pseudo-values after the means of trainings and of clusters are taken out.
fn residual_squares(whole: &[f64], clusters: &[Vec<f64>]) -> f64 {
    let g = clusters.len() as f64;
    let pseudo = |cluster: usize, s: usize| g * whole[s] - (g - 1.0) * clusters[cluster][s];
    let by_training: Vec<f64> = (0..whole.len())
        .map(|s| (0..clusters.len()).map(|c| pseudo(c, s)).sum::<f64>() / g)
        .collect();
    let grand = mean(&by_training).unwrap_or_default();
    let mut squares = 0.0;
    for cluster in 0..clusters.len() {
        let row: Vec<f64> = (0..whole.len()).map(|s| pseudo(cluster, s)).collect();
        let of_cluster = mean(&row).unwrap_or_default();
        for (value, of_training) in row.iter().zip(&by_training) {
            squares += (value - of_cluster - of_training + grand).powi(2);
        }
    }
    squares
}

#[cfg(test)]
mod coverage;

#[cfg(test)]
mod tests {
    use super::*;

    /// Means of the columns of a table `[cluster][training]`, and with each row left out.
    fn of_table(table: &[Vec<f64>]) -> Replicates {
        let trainings = table[0].len();
        let column = |skip: Option<usize>| -> Vec<f64> {
            let rows: Vec<&Vec<f64>> = (table.iter().enumerate())
                .filter(|(at, _)| Some(*at) != skip)
                .map(|(_, row)| row)
                .collect();
            (0..trainings)
                .map(|s| rows.iter().map(|row| row[s]).sum::<f64>() / rows.len() as f64)
                .collect()
        };
        Replicates {
            whole: column(None),
            without: Some(vec![(0..table.len()).map(|at| column(Some(at))).collect()]),
        }
    }

    #[test]
    fn of_means_it_is_the_two_way_analysis_of_variance() {
        // Three items by two trainings: rows 1 3, 2 6, 6 6; column means 3 and 5, row means 2, 4, 6.
        let found = two_way(
            &of_table(&[vec![1.0, 3.0], vec![2.0, 6.0], vec![6.0, 6.0]]),
            None,
        );
        let spread = found.spread.expect("varies");
        assert!((found.value - 4.0).abs() < 1e-12);
        // Var(3, 5) / 2 = 1; Var(2, 4, 6) / 3 = 4/3; residuals -+0, -+1, -+1... squared 4, over (1 * 2 * 2 * 3).
        let Components {
            training,
            items,
            interaction,
            ..
        } = spread.components;
        assert!((training - 1.0).abs() < 1e-12 && (items - 4.0 / 3.0).abs() < 1e-12);
        let residuals = [0.0f64, 0.0, -1.0, 1.0, 1.0, -1.0];
        let squares: f64 = residuals.iter().map(|r| r * r).sum();
        assert!(
            (interaction - squares / 12.0).abs() < 1e-12,
            "{interaction}"
        );
        let total = 1.0 + 4.0 / 3.0 - interaction;
        assert!((spread.se - total.sqrt()).abs() < 1e-12);
        let uncertain = 1.0 + (4.0f64 / 3.0).powi(2) / 2.0 + interaction.powi(2) / 2.0;
        assert!((spread.df - total * total / uncertain).abs() < 1e-12);
    }

    #[test]
    fn one_training_has_the_variance_of_its_items() {
        let found = two_way(&of_table(&[vec![1.0], vec![2.0], vec![6.0]]), None);
        let spread = found.spread.expect("varies");
        // Var(1, 2, 6) / 3 = 7/3, 2 degrees of freedom.
        assert!((spread.se.powi(2) - 7.0 / 3.0).abs() < 1e-12 && (spread.df - 2.0).abs() < 1e-12);
        assert!(spread.components.training.abs() < 1e-15);
    }

    #[test]
    fn what_cannot_be_resampled_has_no_interval_and_says_why() {
        let why = |replicates: &Replicates| {
            let found = two_way(replicates, None).spread;
            found.expect_err("no interval").to_string()
        };
        assert!(why(&of_table(&[vec![1.0, 2.0]])).contains("one cluster"));
        assert!(why(&of_table(&vec![vec![0.1, 0.1]; 4])).contains("nothing varies"));
        let gone = Replicates {
            whole: vec![1.0],
            without: None,
        };
        assert!(why(&gone).contains("left out"));
    }

    #[test]
    fn another_arms_trainings_add_their_variance() {
        let table = of_table(&[vec![1.0, 3.0], vec![2.0, 6.0], vec![6.0, 6.0]]);
        let with = |trainings| {
            let against = Against {
                variance: 0.5,
                trainings,
            };
            two_way(&table, Some(against)).spread.expect("varies")
        };
        assert!((with(3).se.powi(2) - with(1).se.powi(2) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn tests_by_students_t() {
        let spread = Spread {
            components: Components::default(),
            se: 0.05,
            df: 5.0,
            items_df: 5.0,
        };
        assert!((spread.p(0.1) - 2.0 * 0.050_969_739_414_929_174).abs() < 1e-12);
        assert!((spread.half_width(0.025) / 0.05 - 2.570_581_835_636_314).abs() < 1e-9);
        assert!((spread.p_equivalence(0.0, 0.1) - 0.050_969_739_414_929_174).abs() < 1e-12);
        assert!(spread.p_equivalence(0.2, 0.1) > 0.5);
    }
}
