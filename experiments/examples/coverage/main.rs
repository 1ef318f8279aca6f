//! What the lab's 95 % intervals cover, how often p falls to .05 where nothing differs, and how
//! often a difference that matters is called equivalent.
//!
//! ```text
//! cargo run --release -p experiments --example coverage -- 2000
//! ```
//!
//! Every simulation draws new items, new seeds and new samples from laws whose figures are
//! known ([`law`]), and is judged by the code that judges every comparison. The truth is that
//! of the population: unlimited items, and unlimited trainings where there is more than one.
//! Where samples are cut off, it is the figure of the capped costs. Two tables are printed for
//! METHODOLOGY.md, then every row by itself.

mod law;
mod scenario;
mod simulate;
mod table;

use rayon::prelude::*;

use table::Row;

fn main() {
    let simulations = match std::env::args().nth(1).map(|given| given.parse::<u64>()) {
        None => 2000,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => {
            eprintln!("the number of simulations is a whole number of at least 1, such as 2000");
            std::process::exit(2);
        }
    };
    let mut rows: Vec<Row> = Vec::new();
    for scenario in scenario::all() {
        let world = simulate::World::new(&scenario);
        let outcomes: Vec<_> = (0..simulations)
            .into_par_iter()
            .map(|number| simulate::simulate(&scenario, &world, number))
            .collect();
        for at in 0..simulate::MEASURES.len() {
            let of_measure: Vec<_> = outcomes.iter().map(|all| all[at]).collect();
            rows.push(Row::new(&scenario, &world, at, &of_measure));
        }
        eprintln!("{}: {}", scenario.family, scenario.name);
    }
    table::families(&rows);
    println!();
    table::outside(&rows);
    println!();
    table::every(&rows);
}
