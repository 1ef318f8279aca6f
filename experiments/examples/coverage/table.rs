//! Shares over simulations, and the tables of them.

use experiments::statistics::{mean, sample_variance};

use crate::scenario::Scenario;
use crate::simulate::{Found, MEASURES, Outcome, World};

/// Names of the measures, in their order.
const NAMES: [&str; 5] = [
    "elasticity",
    "r, unlimited samples",
    "r, observed",
    "accuracy",
    "tokens",
];

/// What of a row may lie outside its range.
const JUDGED: [(&str, [f64; 2]); 5] = [
    ("like arms", [93.0, 98.0]),
    ("arms that differ", [93.0, 98.0]),
    ("one arm", [93.0, 98.0]),
    ("p <= .05", [3.0, 7.0]),
    ("called equivalent", [0.0, 5.0]),
];

/// One measure in one scenario; shares in per cent.
pub(crate) struct Row {
    family: &'static str,
    name: String,
    measure: usize,
    /// As in [`JUDGED`]; `None` where the scenario's truth leaves nothing to count.
    shares: [Option<f64>; 5],
    df: Option<f64>,
    width: Option<f64>,
    /// Mean error of the difference of like arms.
    error: Option<f64>,
    /// Mean squared standard error over the variance of that difference.
    calibration: Option<f64>,
    /// Simulations without an interval of one of the differences.
    undefined: f64,
}

fn average(found: &[Found], of: impl Fn(&Found) -> f64) -> Option<f64> {
    mean(&found.iter().map(of).collect::<Vec<_>>())
}

fn share(found: &[Found], of: impl Fn(&Found) -> bool) -> Option<f64> {
    average(found, |found| if of(found) { 100.0 } else { 0.0 })
}

/// A number to so many places; a dash where nothing was found.
fn number(value: Option<f64>, places: usize) -> String {
    value.map_or("-".into(), |value| format!("{value:.places$}"))
}

impl Row {
    pub(crate) fn new(
        scenario: &Scenario,
        world: &World,
        measure: usize,
        outcomes: &[Outcome],
    ) -> Self {
        // What hardly ever exists is not shown: its few intervals are a choice of the odd ones.
        let all = |of: fn(&Outcome) -> Option<Found>| {
            let found: Vec<Found> = outcomes.iter().filter_map(of).collect();
            if 2 * found.len() < outcomes.len() {
                Vec::new()
            } else {
                found
            }
        };
        let alike = all(|o| o.alike);
        let beyond = all(|o| o.beyond);
        let own = all(|o| o.own);
        let smallest = world.smallest(measure);
        let is = |arm: usize, truth: f64| {
            (world.difference(arm, measure) - truth).abs() < 1e-4 * smallest
        };
        // A single training is judged by itself, and its own seed makes it differ.
        let single = scenario.seeds == 1 || scenario.teachers == Some(1);
        let null = is(1, 0.0) && !(single && scenario.seed_sd > 0.0);
        let edge = is(2, smallest) && !(single && scenario.seed_sd > 0.0);
        let errors: Vec<f64> = alike.iter().map(|found| found.error).collect();
        let none = outcomes
            .iter()
            .filter(|o| o.alike.is_none() || o.beyond.is_none());
        Self {
            family: scenario.family,
            name: scenario.name.clone(),
            measure,
            shares: [
                share(&alike, |f| f.covers),
                share(&beyond, |f| f.covers),
                share(&own, |f| f.covers),
                share(&alike, |f| f.differs).filter(|_| null),
                share(&beyond, |f| f.equivalent).filter(|_| edge),
            ],
            df: average(&alike, |f| f.df),
            width: average(&alike, |f| f.width),
            error: average(&alike, |f| f.error),
            calibration: average(&alike, |f| f.se * f.se)
                .zip(sample_variance(&errors))
                .map(|(estimated, variance)| estimated / variance),
            undefined: 100.0 * none.count() as f64 / outcomes.len() as f64,
        }
    }

    /// A share, marked where it lies outside its range.
    fn cell(&self, at: usize) -> String {
        let mark = if self.is_outside(at) { "*" } else { "" };
        format!("{}{mark}", number(self.shares[at], 1))
    }

    fn is_outside(&self, at: usize) -> bool {
        let [low, high] = JUDGED[at].1;
        self.shares[at].is_some_and(|share| share < low || share > high)
    }
}

/// The least and the most of some values.
fn ends(values: impl Iterator<Item = f64>) -> Option<[f64; 2]> {
    values.fold(None, |ends, value| {
        let [low, high] = ends.unwrap_or([value, value]);
        Some([value.min(low), value.max(high)])
    })
}

fn range(values: impl Iterator<Item = f64>, places: usize) -> String {
    ends(values).map_or("-".into(), |[low, high]| {
        format!("{low:.places$}-{high:.places$}")
    })
}

/// The range of shares over rows, marked where one lies outside its own.
fn shares<'a>(rows: impl Iterator<Item = &'a Row> + Clone, places: &[usize]) -> String {
    let outside = |row: &Row| places.iter().any(|&at| row.is_outside(at));
    let mark = if rows.clone().any(outside) { "*" } else { "" };
    let all = rows.flat_map(|row| places.iter().filter_map(|&at| row.shares[at]));
    format!("{}{mark}", range(all, 1))
}

/// One line a family: the least and the most over its scenarios.
pub(crate) fn families(rows: &[Row]) {
    println!(
        "| scenarios | {} | one arm | p <= .05 at 0 | equivalent at d | df | width |",
        NAMES.join(" | ")
    );
    println!("|{}", "---|".repeat(NAMES.len() + 6));
    for of_family in rows.chunk_by(|a, b| a.family == b.family) {
        let of = |measure: usize| of_family.iter().filter(move |row| row.measure == measure);
        let cells: Vec<String> = (0..MEASURES.len())
            .map(|measure| shares(of(measure), &[0, 1]))
            .chain([2, 3, 4].map(|at| shares(of_family.iter(), &[at])))
            .chain([
                range(of(0).filter_map(|row| row.df), 0),
                range(of(0).filter_map(|row| row.width), 2),
            ])
            .collect();
        println!("| {} | {} |", of_family[0].family, cells.join(" | "));
    }
}

/// Every scenario with a share outside its range: the least or the most coverage of a measure,
/// and beside it the share of p at or below .05.
pub(crate) fn outside(rows: &[Row]) {
    println!(
        "| scenario | too narrow: coverage (p <= .05) | too wide: coverage (p <= .05) | equivalent at d |"
    );
    println!("|---|---|---|---|");
    for of_scenario in rows.chunk_by(|a, b| a.family == b.family && a.name == b.name) {
        let mut cells: [Vec<String>; 3] = Default::default();
        for row in of_scenario {
            let name = NAMES[row.measure];
            let covered = ends(row.shares[..3].iter().copied().flatten());
            let Some([least, most]) = covered else {
                continue;
            };
            let p = row.shares[3];
            let beside = p.map_or(String::new(), |p| format!(" ({p:.1})"));
            if least < JUDGED[0].1[0] || p.is_some_and(|p| p > JUDGED[3].1[1]) {
                cells[0].push(format!("{name} {least:.1}{beside}"));
            }
            if most > JUDGED[0].1[1] || p.is_some_and(|p| p < JUDGED[3].1[0]) {
                cells[1].push(format!("{name} {most:.1}{beside}"));
            }
            if row.is_outside(4) {
                cells[2].push(format!("{name} {}", number(row.shares[4], 1)));
            }
        }
        if cells.iter().any(|cell| !cell.is_empty()) {
            println!(
                "| {}: {} | {} |",
                of_scenario[0].family,
                of_scenario[0].name,
                cells.map(|cell| cell.join("; ")).join(" | ")
            );
        }
    }
}

/// Every row.
pub(crate) fn every(rows: &[Row]) {
    println!(
        "| scenario | measure | {} | average df | mean width | mean error | variance, estimated over true | undefined |",
        JUDGED.map(|(what, _)| what).join(" | ")
    );
    println!("|{}", "---|".repeat(JUDGED.len() + 7));
    for row in rows {
        let cells: Vec<String> = (0..JUDGED.len()).map(|at| row.cell(at)).collect();
        println!(
            "| {}: {} | {} | {} | {} | {} | {} | {} | {:.1} |",
            row.family,
            row.name,
            NAMES[row.measure],
            cells.join(" | "),
            number(row.df, 1),
            number(row.width, 3),
            number(row.error, 4),
            number(row.calibration, 2),
            row.undefined
        );
    }
}
