//! Whether intervals cover and p values are uniform, in small: fixed seeds, so
//! each test either holds or does not. `examples/coverage.rs` is the large version.

use super::bootstrap::{Resample, bootstrap};
use super::interval::{central_95, half_width};
use super::permutation::{permute, two_sided};
use super::weighted::Moments;
use super::{correlation, draws, normal};

/// Pairs of standard normal values that correlate at `r` in the population.
fn pairs(r: f64, n: usize, simulation: u64) -> (Vec<f64>, Vec<f64>) {
    let mut rng = draws::stream(1, "coverage", simulation);
    let mut one = || {
        normal::quantile((f64::from(draws::below(&mut rng, 1 << 24)) + 0.5) / f64::from(1 << 24))
    };
    (0..n)
        .map(|_| {
            let (x, noise) = (one(), one());
            (x, r * x + (1.0 - r * r).sqrt() * noise)
        })
        .unzip()
}

fn drawn_r(x: &[f64], y: &[f64], draw: &Resample) -> Option<f64> {
    let mut sums = Moments::default();
    for ((w, x), y) in draw.items[0].iter().zip(x).zip(y) {
        sums.add(*w, *x, *y);
    }
    sums.pearson()
}

#[test]
fn a_widened_interval_covers_a_correlation_where_percentiles_do_not() {
    const SIMULATIONS: u64 = 400;
    const ITEMS: usize = 32;
    let (mut covered, mut by_percentiles) = (0, 0);
    for simulation in 0..SIMULATIONS {
        let (x, y) = pairs(0.6, ITEMS, simulation);
        let r = correlation::pearson(&x, &y).expect("defined");
        let drawn = bootstrap(400, simulation, "bootstrap", 1, &[ITEMS], |draw| {
            drawn_r(&x, &y, draw)
        });
        let holds = |(low, high): (f64, f64)| u32::from(low <= 0.6 && 0.6 <= high);
        let half = half_width(ITEMS, 3);
        covered += holds(drawn.interval(r, half, |r| *r).expect("defined"));
        by_percentiles += holds(central_95(drawn.draws).expect("defined"));
    }
    // 95 % of 400 is 380, with a standard error of 4.4.
    assert!((367..=393).contains(&covered), "{covered} of 400");
    assert!(by_percentiles < covered, "{by_percentiles} of 400");
}

#[test]
fn permutation_p_is_uniform_where_nothing_differs() {
    const SIMULATIONS: u64 = 400;
    let mut bins = [0u32; 10];
    for simulation in 0..SIMULATIONS {
        let (x, y) = pairs(0.3, 24, simulation);
        let observed: f64 = x.iter().zip(&y).map(|(x, y)| x - y).sum();
        let permuted = permute(199, simulation, "permutation", &[24], |swaps| {
            let signed = swaps[0].iter().zip(x.iter().zip(&y));
            Some(
                signed
                    .map(|(&swap, (x, y))| if swap { y - x } else { x - y })
                    .sum(),
            )
        });
        let p = two_sided(observed, &permuted).expect("defined");
        // p is one of 1 / 200 to 200 / 200, twenty of them a bin.
        bins[(((p * 200.0).round() - 1.0) / 20.0) as usize] += 1;
    }
    // Chi-squared with 9 degrees of freedom: 21.67 is its 99th percentile.
    let expected = SIMULATIONS as f64 / 10.0;
    let chi: f64 = bins
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    assert!(chi < 21.67, "{bins:?}");
}
