//! What an arm truly does: the laws that tokens and answers are drawn from, and the figures
//! that would be found with unlimited items, samples and trainings.
//!
//! Cost of a sample: level + slope h + rest z + noise e, with h, z and e normal. All figures of
//! such a law are known. Where samples are cut off, cost is min(cost, cap): its moments are
//! those of a censored normal, its covariance with h is slope Var(h) P(not cut off) (Stein's
//! lemma), and the variance of the items' own means is summed over a grid.

use std::f64::consts::{PI, SQRT_2};

/// SD of human cost, in ln milliseconds.
pub(crate) const HUMAN_SD: f64 = 0.4;

/// Variance between items of the probit of a right answer: all arms', and one training's own.
pub(crate) const ABILITY_VARIANCE: [f64; 2] = [0.64, 0.16];

/// Elasticity, r at unlimited samples, r as observed, accuracy, tokens.
pub(crate) type Figures = [f64; 5];

/// One arm, or one training of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Law {
    /// Mean cost.
    pub(crate) level: f64,
    /// Of cost on human cost, without a cap.
    pub(crate) slope: f64,
    /// SD of the items' own costs about that line.
    pub(crate) rest: f64,
    /// SD between samples.
    pub(crate) noise: f64,
    /// Probit of a right answer to the middle item.
    pub(crate) ability: f64,
}

/// How a law is sampled.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampling {
    /// Samples an item.
    pub(crate) samples: u32,
    /// Cost at which a sample is cut off; infinite where none is.
    pub(crate) cap: f64,
}

/// What a seed does to a law, or the SD of what seeds do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shift {
    pub(crate) slope: f64,
    pub(crate) level: f64,
    pub(crate) ability: f64,
}

impl Shift {
    /// SD over seeds: of the slope as given, of ln tokens the same, of the probit twice that.
    pub(crate) fn sd(of_slope: f64) -> Self {
        Self {
            slope: of_slope,
            level: of_slope,
            ability: 2.0 * of_slope,
        }
    }
}

fn density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / (2.0 * PI).sqrt()
}

/// Share of the standard normal distribution below z.
pub(crate) fn below(z: f64) -> f64 {
    libm::erfc(-z / SQRT_2) / 2.0
}

/// The point with a share of the standard normal distribution below it.
pub(crate) fn quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-10.0, 10.0);
    for _ in 0..100 {
        let middle = f64::midpoint(low, high);
        if below(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

/// The standard normal distribution as points with weights; sums of smooth functions over it
/// are exact to about 1e-5.
fn grid() -> Vec<(f64, f64)> {
    let points: Vec<f64> = (-12..=12).map(|at| f64::from(at) * 0.4).collect();
    let all: f64 = points.iter().map(|z| density(*z)).sum();
    points.iter().map(|&z| (z, density(z) / all)).collect()
}

/// E min(X, cap) and E min(X, cap)^2 of a normal X, and P(X < cap).
fn censored(mean: f64, sd: f64, cap: f64) -> [f64; 3] {
    if cap.is_infinite() {
        return [mean, mean * mean + sd * sd, 1.0];
    }
    let z = (cap - mean) / sd;
    let (under, at) = (below(z), density(z));
    [
        mean * under + cap * (1.0 - under) - sd * at,
        (mean * mean + sd * sd) * under - sd * at * (mean + cap) + cap * cap * (1.0 - under),
        under,
    ]
}

impl Law {
    pub(crate) fn shifted(self, by: Shift) -> Self {
        Self {
            slope: self.slope + by.slope,
            level: self.level + by.level,
            ability: self.ability + by.ability,
            ..self
        }
    }

    /// Its figures with unlimited items.
    pub(crate) fn figures(self, sampling: Sampling) -> Figures {
        let cap = sampling.cap;
        let signal = (self.slope * HUMAN_SD).hypot(self.rest);
        let all = signal.hypot(self.noise);
        let [mean, square, under] = censored(self.level, all, cap);
        let own = if cap.is_infinite() {
            signal * signal
        } else {
            let of = |(z, weight): &(f64, f64)| {
                let item = censored(self.level + signal * z, self.noise, cap)[0];
                weight * (item - mean).powi(2)
            };
            grid().iter().map(of).sum()
        };
        let within = square - mean * mean - own;
        let elasticity = self.slope * under;
        let with = |noise: f64| elasticity * HUMAN_SD / (own + noise).sqrt();
        // E exp(min(X, cap)) of a normal X, whose part under the cap is that of a normal shifted by its variance.
        let grown = (self.level + all * all / 2.0).exp();
        let tokens = if cap.is_infinite() {
            grown
        } else {
            grown * below((cap - self.level) / all - all) + cap.exp() * (1.0 - under)
        };
        [
            elasticity,
            with(0.0),
            with(within / f64::from(sampling.samples)),
            self.accuracy(0.0),
            tokens - 1.0,
        ]
    }

    /// Its mean figures over seeds that shift it with this SD.
    pub(crate) fn expected(self, sampling: Sampling, sd: Shift) -> Figures {
        let mut sum = [0.0; 5];
        let grid = grid();
        for (slope, w) in &grid {
            for (level, v) in &grid {
                let by = Shift {
                    slope: sd.slope * slope,
                    level: sd.level * level,
                    ability: 0.0,
                };
                let of = self.shifted(by).figures(sampling);
                (0..5).for_each(|at| sum[at] += w * v * of[at]);
            }
        }
        sum[3] = self.accuracy(sd.ability);
        sum
    }

    /// Share of right answers where seeds shift the probit with this SD.
    fn accuracy(self, seeds: f64) -> f64 {
        let [shared, own] = ABILITY_VARIANCE;
        below(self.ability / (1.0 + shared + own + seeds * seeds).sqrt())
    }

    /// The law whose expected figures are these, sought from this one.
    pub(crate) fn solved(mut self, wanted: Figures, sampling: Sampling, sd: Shift) -> Self {
        let over = |r: f64| r.powi(-2) - 1.0;
        for _ in 0..30 {
            let [elasticity, unlimited, observed, accuracy, tokens] = self.expected(sampling, sd);
            self.slope += wanted[0] - elasticity;
            self.rest *= (over(wanted[1]) / over(unlimited)).sqrt() * wanted[0] / elasticity;
            let noise = |unlimited: f64, observed: f64| observed.powi(-2) - unlimited.powi(-2);
            self.noise *= (noise(wanted[1], wanted[2]) / noise(unlimited, observed)).sqrt();
            self.level += (wanted[4] / tokens).ln();
            self.ability += (quantile(wanted[3]) - quantile(accuracy)) * 1.3;
        }
        self
    }
}
