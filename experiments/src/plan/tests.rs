//! The plan against simulated tables of trainings by items, and what it refuses.

use std::collections::BTreeMap;

use rand::Rng as _;

use super::outlook::outlook;
use super::pilot::Pilot;
use super::*;
use crate::alignment::cost::{ItemMeans, Items, ModelItems};
use crate::comparison::Measure;
use crate::norms::Norms;
use crate::statistics::draws::stream;
use crate::statistics::two_way::{Replicates, two_way};
use crate::statistics::{mean, student};

/// A standard normal deviate that follows from what it is of.
fn deviate(of: &str, numbers: [usize; 4]) -> f64 {
    let key = numbers.iter().fold(1u64, |key, n| key * 1009 + *n as u64);
    let mut rng = stream(key, of, 0);
    let mut uniform = || ((rng.next_u64() >> 12) as f64 + 0.5) / (1u64 << 52) as f64;
    let (radius, angle) = (uniform(), uniform());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

const SEEDS: usize = 30;
const ITEMS: usize = 60;
const SAMPLES: usize = 4;

/// Item means of tokens over the samples that are kept: those of the base are 1000; an arm has
/// standard deviations of 3 between trainings, 10 between items, 6 of both and 8 of samples; a
/// teacher of one training the last and 5 between items.
fn items(keeps: impl Fn(usize) -> bool) -> Items {
    let kept: Vec<usize> = (0..SAMPLES).filter(|k| keeps(*k)).collect();
    let model = |name: usize, seed: usize| {
        let item = |item: usize| {
            let tokens = |k: &usize| match name {
                0 => 1000.0,
                1 => {
                    1000.0
                        + 3.0 * deviate("training", [seed, 0, 0, 0])
                        + 10.0 * deviate("item", [item, 0, 0, 0])
                        + 6.0 * deviate("both", [seed, item, 0, 0])
                        + 8.0 * deviate("sample", [seed, item, *k, 0])
                }
                _ => {
                    1000.0
                        + 5.0 * deviate("teacher's item", [item, 0, 0, 0])
                        + 8.0 * deviate("teacher's sample", [item, *k, 0, 0])
                }
            };
            let means = ItemMeans {
                tokens: mean(&kept.iter().map(tokens).collect::<Vec<f64>>()),
                samples: kept.len(),
                ..ItemMeans::default()
            };
            (format!("{item:02}"), means)
        };
        ModelItems {
            seed: (name < 2).then_some(seed as u64),
            teacher: None,
            tasks: BTreeMap::from([("t".to_owned(), (0..ITEMS).map(item).collect())]),
        }
    };
    let trained = |name| (0..SEEDS).map(|seed| model(name, seed)).collect();
    Items {
        models: BTreeMap::from([
            ("base".to_owned(), trained(0)),
            ("rl".to_owned(), trained(1)),
            ("teacher".to_owned(), vec![model(2, 0)]),
        ]),
        duplicates: 0,
    }
}

fn question(contrast: &str, measure: Measure) -> Question {
    Question {
        name: contrast.to_owned(),
        contrast: contrast.to_owned(),
        measure,
        direction: Expected::Above,
        smallest_effect: 0.1,
        family: "main".to_owned(),
    }
}

fn planned(questions: &[Question], sizes: &[Size]) -> Plan {
    let (whole, halves) = (items(|_| true), [0, 1].map(|half| items(|k| k % 2 == half)));
    let pilot = Pilot {
        arms: &["base", "rl", "teacher"],
        tasks: &["t".to_owned()],
        norms: &Norms::new(Vec::new(), "made up".into()),
        samples: SAMPLES as u32,
        items: &whole,
        halves: &halves,
    };
    let cost = Cost {
        once: 60.0,
        per_seed: 60.0,
        answer_once: 0.0,
        answer_per_seed: 0.01,
        side_by_side: 1,
    };
    plan(&pilot, questions, sizes, Ok(cost))
}

fn near(found: f64, expected: f64, share: f64) {
    assert!((found / expected - 1.0).abs() < share, "{found} {expected}");
}

#[test]
fn a_pilots_variances_are_those_that_made_it() {
    let found = planned(&[question("rl - base", Measure::Tokens)], &[]);
    let found = found.questions[0].variances.clone().expect("defined");
    let g = ITEMS as f64;
    // Three standard errors or so: of n - 1 degrees of freedom each sqrt(2 / (n - 1)).
    near(found.training, 9.0, 0.8);
    near(found.items, 100.0 / g, 0.55);
    near(found.interaction, 36.0 / g, 0.2);
    near(found.sampling.expect("sampled"), 64.0 / g, 0.1);
    near(found.smallest_effect, 100.0, 1e-9);
    near(found.items_df, g - 1.0, 1e-9);
    assert_eq!((found.apart, found.training_df), (None, SEEDS - 1));
    assert!(found.sampling_against.abs() < 1e-15);
    let [low, high] = found.training_95;
    assert!(
        low < found.training && found.training < high,
        "{low} {high}"
    );
}

#[test]
fn a_teachers_sampling_noise_is_shared_by_all_seeds() {
    let found = planned(&[question("rl - teacher", Measure::Tokens)], &[]);
    let found = found.questions[0].variances.clone().expect("defined");
    let g = ITEMS as f64;
    near(found.sampling.expect("sampled"), 64.0 / g, 0.1);
    near(found.sampling_against, 64.0 / g, 0.55);
    near(found.items, 125.0 / g, 0.55);
    assert_eq!(found.apart, Some(1));
    // At unlimited seeds and samples what is left is between items.
    let most = Size {
        seeds: 1_000_000,
        items: ITEMS,
        samples: 1_000_000,
    };
    near(found.at(most).variance, found.items, 1e-3);
}

#[test]
fn at_its_own_size_a_pilot_is_expected_as_it_was() {
    let own = Size {
        seeds: SEEDS,
        items: ITEMS,
        samples: SAMPLES as u32,
    };
    let found = planned(&[question("rl - base", Measure::Tokens)], &[own]);
    let variances = found.questions[0].variances.clone().expect("defined");
    let expected = variances.at(own);
    let components = expected.components;
    // V_training = A / S + C / (S G), V_items = B / G + C / (S G).
    let both = components.interaction;
    let s = SEEDS as f64;
    near(components.training - both, variances.training / s, 1e-9);
    near(components.items - both, variances.items, 1e-9);
    near(
        expected.variance,
        components.training + components.items - both,
        1e-9,
    );
    near(
        variances.shares(own).iter().sum::<f64>(),
        1.0 - variances.interaction / s / expected.variance,
        1e-9,
    );
    // Four times the items leave a quarter of all but the trainings' own.
    let more = variances.at(Size {
        items: 4 * ITEMS,
        ..own
    });
    near(more.components.interaction, both / 4.0, 1e-9);
    near(more.items_df, 4.0 * ITEMS as f64 - 1.0, 1e-9);
}

/// Records drawn table by table and judged by the rule of a comparison: the median half-width,
/// and the shares that tell `d` from 0 and that call 0 equivalent.
fn simulated(size: Size, [a, b, c]: [f64; 3], d: f64, family: f64) -> [f64; 3] {
    const RECORDS: usize = 1500;
    let (mut widths, mut told, mut equivalent) = (Vec::new(), 0, 0);
    for record in 0..RECORDS {
        let cell = |s: usize, g: usize| {
            a * deviate("a", [record, s, 0, 0])
                + b * deviate("b", [record, g, 0, 0])
                + c * deviate("c", [record, s, g, 0])
        };
        let of = |without: Option<usize>| -> Vec<f64> {
            let rows = (0..size.items).filter(|g| Some(*g) != without);
            let rows: Vec<usize> = rows.collect();
            let column = |s: usize| rows.iter().map(|g| cell(s, *g)).sum::<f64>();
            (0..size.seeds)
                .map(|s| column(s) / rows.len() as f64)
                .collect()
        };
        let replicates = Replicates {
            whole: of(None),
            without: Some(vec![(0..size.items).map(|g| of(Some(g))).collect()]),
        };
        let found = two_way(&replicates, None);
        let spread = found.spread.expect("varies");
        widths.push(spread.half_width(0.025));
        told += usize::from(found.value + d > spread.half_width(0.025 / family));
        let narrow = student::quantile_above(0.05 / family, spread.df) * spread.se;
        let not_told = found.value.abs() <= spread.half_width(0.025 / family);
        equivalent += usize::from(not_told && found.value.abs() + narrow < d);
    }
    widths.sort_unstable_by(f64::total_cmp);
    let share = |count: usize| count as f64 / RECORDS as f64;
    [widths[RECORDS / 2], share(told), share(equivalent)]
}

#[test]
fn widths_and_power_are_those_of_simulated_records() {
    for (seeds, d, family) in [(2, 0.3, 1), (4, 0.14, 2)] {
        let size = Size {
            seeds,
            items: 24,
            samples: 1,
        };
        let [a, b, c] = [0.03, 0.12, 0.2];
        let g = size.items as f64;
        let variances = Variances {
            training: a * a,
            training_95: [0.0, 0.0],
            training_df: 9,
            training_against: 0.0,
            against_df: 1.0,
            items: b * b / g,
            items_df: g - 1.0,
            interaction: c * c / g,
            sampling: None,
            sampling_against: 0.0,
            of_items: size.items,
            smallest_effect: d,
            apart: None,
        };
        let found = outlook(&variances, Measure::Elasticity, size, family).expect("defined");
        let expected = simulated(size, [a, b, c], d, family as f64);
        // The standard error of a share of 1,500 records is 1.3 % at most.
        near(found.half_width, expected[0], 0.05);
        assert!(
            (found.difference - expected[1]).abs() < 0.045,
            "{found:?} {expected:?}"
        );
        assert!(
            (found.equivalence - expected[2]).abs() < 0.045,
            "{found:?} {expected:?}"
        );
        // A test that could not fail would say nothing.
        assert!((0.2..0.97).contains(&expected[1]), "{expected:?}");
    }
}

#[test]
fn the_cheapest_size_that_decides_is_marked() {
    let sizes = [(12, 64), (3, 4), (2, 1), (3, 64)].map(|(seeds, samples)| Size {
        seeds,
        items: ITEMS,
        samples,
    });
    let mut asked = question("rl - base", Measure::Tokens);
    asked.smallest_effect = 0.01;
    let found = planned(&[asked.clone()], &sizes);
    let rows = &found.questions[0].rows;
    let marked: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].cheapest).collect();
    let decides = |row: &Row| row.outlook.expect("defined").difference >= POWER;
    let cheapest = (0..rows.len())
        .filter(|at| decides(&rows[*at]))
        .min_by(|a, b| {
            rows[*a]
                .minutes
                .partial_cmp(&rows[*b].minutes)
                .expect("numbers")
        });
    assert_eq!(marked, cheapest.into_iter().collect::<Vec<_>>());
    assert!(decides(&rows[0]) && !decides(&rows[2]), "{rows:?}");
    // More of anything never makes an interval wider.
    let width = |at: usize| rows[at].outlook.expect("defined").half_width;
    assert!(width(0) < width(3) && width(3) < width(1));
    asked.smallest_effect = 1e-6;
    let found = planned(&[asked], &sizes);
    assert!(found.questions[0].rows.iter().all(|row| !row.cheapest));
}

#[test]
fn what_a_pilot_does_not_say_has_its_reason() {
    let of = |contrast: &str, measure| {
        let found = planned(&[question(contrast, measure)], &[]);
        found.questions[0]
            .variances
            .clone()
            .expect_err("nothing to plan by")
            .to_string()
    };
    assert!(of("teacher - rl", Measure::Tokens).contains("one training of teacher"));
    assert!(of("rl - base", Measure::Elasticity).contains("times are not known"));
    let one = Size {
        seeds: 2,
        items: ITEMS,
        samples: 1,
    };
    let found = planned(&[question("rl - base", Measure::Tokens)], &[one]);
    let variances = found.questions[0].variances.as_ref().expect("defined");
    assert_eq!(
        outlook(variances, Measure::AlignmentUnlimited, one, 1),
        None
    );
}

#[test]
fn minutes_are_those_of_the_worked_example() {
    let cost = Cost {
        once: 50.0,
        per_seed: 40.0,
        answer_once: 1e-4,
        answer_per_seed: 3e-4,
        side_by_side: 2,
    };
    let size = Size {
        seeds: 5,
        items: 376,
        samples: 16,
    };
    let seconds: f64 = 50.0 + 200.0 + 376.0 * 16.0 * 0.0016;
    assert!((cost.minutes(size) - seconds / 120.0).abs() < 1e-12);
    assert!((cost.minutes(size) - 2.16).abs() < 0.005);
}
