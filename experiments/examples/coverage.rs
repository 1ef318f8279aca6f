//! How often the evaluator's 95 % intervals cover what they should, and whether
//! its p values are uniform where nothing differs.
//!
//! `cargo run --release -p experiments --example coverage` simulates 2,000
//! experiments a row with a known correlation of cost and human cost, puts each
//! through the evaluator as it stands ([`compare`]), and prints shares. The
//! arms of a simulation share items but nothing else, so their true difference
//! is 0. Numbers of items may be given as arguments; otherwise 32 and 120. It asserts nothing: the figures are for reading and recording, and the
//! small version in the statistics' tests is what fails.

use std::collections::BTreeMap;

use experiments::comparison::{Comparison, Estimate, Input, Measure, compare};
use experiments::manifest::{ArmCard, EvaluationCard, Role};
use experiments::norms::{NormItem, Norms};
use experiments::record::Trace;
use experiments::statistics::{draws, normal};
use rand::Rng;
use rayon::prelude::*;

const SIMULATIONS: u64 = 2000;
const DRAWS: u32 = 999;

/// How human cost and noise are distributed, each with mean 0 and variance 1.
#[derive(Clone, Copy, Debug)]
enum Shape {
    Normal,
    /// Human cost uniform, noise normal.
    Uniform,
    /// Both the sum of four exponentials: skewness 1.
    Skewed,
}

fn uniform(rng: &mut impl Rng) -> f64 {
    ((rng.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
}

fn gaussian(rng: &mut impl Rng) -> f64 {
    normal::quantile(uniform(rng))
}

fn gamma(rng: &mut impl Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| -uniform(rng).ln()).sum();
    sum / 2.0 - 2.0
}

/// One value of human cost, then one of noise for each arm.
fn values(shape: Shape, rng: &mut impl Rng) -> [f64; 3] {
    match shape {
        Shape::Normal => [gaussian(rng), gaussian(rng), gaussian(rng)],
        Shape::Uniform => [
            (uniform(rng) - 0.5) * 12f64.sqrt(),
            gaussian(rng),
            gaussian(rng),
        ],
        Shape::Skewed => [gamma(rng), gamma(rng), gamma(rng)],
    }
}

fn simulate(shape: Shape, r: f64, items: usize, simulation: u64) -> Option<Comparison> {
    let mut rng = draws::stream(simulation, "simulation", items as u64);
    let (mut norms, mut traces) = (Vec::new(), Vec::new());
    for at in 0..items {
        let [human, first, second] = values(shape, &mut rng);
        let id = format!("item {at}");
        for (model, noise) in [("base", first), ("rl", second)] {
            // About 22,000 tokens, so that whole tokens are no rounding to speak of.
            let cost = 10.0 + 0.5 * (r * human + (1.0 - r * r).sqrt() * noise);
            let tokens = (cost.exp() - 1.0).round() as u32;
            traces.push(Trace {
                model: model.into(),
                seed: None,
                task: "t".into(),
                item_id: id.clone(),
                sample: 0,
                prompt_tokens: 10,
                reasoning_tokens: tokens,
                completion_tokens: tokens,
                correct: Some(true),
                truncated: false,
                answer: None,
                completion: None,
            });
        }
        norms.push(NormItem {
            task: "t".into(),
            item_id: id,
            mean_log_rt: Some(7.0 + human),
            ..NormItem::default()
        });
    }
    let card = |name: &str, role, base: Option<&str>| ArmCard {
        name: name.into(),
        role,
        base: base.map(Into::into),
        init: None,
        teacher: None,
    };
    let found = compare(Input {
        title: String::new(),
        hypothesis: String::new(),
        arms: &[
            card("base", Role::Base, None),
            card("rl", Role::Rl, Some("base")),
        ],
        seeds: &[],
        tasks: &["t".to_owned()],
        norms: &Norms::new(norms, "simulated".into()),
        traces: &traces,
        evaluation: EvaluationCard {
            samples: 1,
            temperature: 1.0,
            max_new_tokens: 1 << 20,
            items: String::new(),
            norms: String::new(),
        },
        arm_runs: &[],
        curves: Vec::new(),
        training: &[],
        environment: BTreeMap::new(),
        draws: DRAWS,
        seed: simulation,
        only_correct: false,
        baseline: None,
        flaws: &[],
        recipes: Vec::new(),
    });
    found.ok()
}

fn covers(estimate: &Estimate, truth: f64) -> bool {
    matches!((estimate.low, estimate.high), (Some(low), Some(high)) if low <= truth && truth <= high)
}

/// What one simulation says: whether r, the rank correlation and the difference
/// are covered, and the p of the difference.
type Outcome = (bool, bool, bool, Option<f64>);

fn outcome(found: &Comparison, r: f64) -> Option<Outcome> {
    let task = found.arms.first()?.tasks.first()?;
    let contrast = found
        .contrasts
        .iter()
        .find(|c| c.measure == Measure::Alignment)?;
    // Of a bivariate normal population (Pearson 1907).
    let rank = 6.0 / std::f64::consts::PI * (r / 2.0).asin();
    Some((
        covers(&task.alignment, r),
        covers(&task.spearman, rank),
        covers(&contrast.difference, 0.0),
        contrast.p,
    ))
}

/// Chi-squared of p values over twenty bins; 30.1 is its 95th percentile, 36.2 its 99th.
fn chi_squared(p: &[f64]) -> f64 {
    let mut bins = [0.0; 20];
    let places = f64::from(DRAWS) + 1.0;
    for p in p {
        bins[((((p * places).round() - 1.0) / places * 20.0) as usize).min(19)] += 1.0;
    }
    let expected = p.len() as f64 / 20.0;
    bins.iter()
        .map(|count: &f64| (count - expected).powi(2) / expected)
        .sum()
}

fn main() {
    println!(
        "{SIMULATIONS} simulations a row, {DRAWS} draws each; shares in %, 0.5 their standard error"
    );
    println!(
        "items  shape      r    covers r  rank r (normal)  difference  p <= 0.05  chi-squared of p (19)"
    );
    let mut items: Vec<usize> = std::env::args().skip(1).flat_map(|n| n.parse()).collect();
    if items.is_empty() {
        items = vec![32, 120];
    }
    for items in items {
        for (shape, r) in [
            (Shape::Normal, 0.0),
            (Shape::Normal, 0.3),
            (Shape::Normal, 0.6),
            (Shape::Normal, 0.9),
            (Shape::Uniform, 0.6),
            (Shape::Skewed, 0.6),
        ] {
            let outcomes: Vec<Outcome> = (0..SIMULATIONS)
                .into_par_iter()
                .filter_map(|at| outcome(&simulate(shape, r, items, at)?, r))
                .collect();
            let share = |of: &dyn Fn(&Outcome) -> bool| {
                100.0 * outcomes.iter().filter(|o| of(o)).count() as f64 / outcomes.len() as f64
            };
            let p: Vec<f64> = outcomes.iter().filter_map(|o| o.3).collect();
            let ranks = match shape {
                Shape::Normal => format!("{:.1}", share(&|o| o.1)),
                Shape::Uniform | Shape::Skewed => "-".to_owned(),
            };
            println!(
                "{items:5}  {:8}  {r:.1}  {:8.1}  {ranks:>15}  {:10.1}  {:9.1}  {:21.1}",
                format!("{shape:?}").to_lowercase(),
                share(&|o| o.0),
                share(&|o| o.2),
                share(&|o| o.3.is_some_and(|p| p <= 0.05)),
                chi_squared(&p)
            );
        }
    }
}
