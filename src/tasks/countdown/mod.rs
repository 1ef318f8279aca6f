//! Countdown: make a target from some numbers, each used once. `countdown 3 5 7 make
//! 22` is answered by `3 * 5 + 7`, or by any other expression that comes to 22.
//!
//! ```toml
//! [tasks.settings.countdown]
//! numbers = 3          # how many, 2 to 5
//! largest = 20         # each is one of 1 to this, at most 100
//! target = [10, 99]    # from and to, at most 999
//! operations = "+-*"   # of + - * /
//! ```
//!
//! These are what holds where nothing is said; they make 10,679 puzzles.
//!
//! Every puzzle has a solution that never leaves the whole numbers from 0 to 99, or
//! to the largest target where that is more. The numbers stand in ascending order,
//! so a puzzle has one wording, and a hash of the wording alone says where it
//! belongs: one in ten is for the evaluation, one in ten for validation, the others
//! are trained on. Of those for the evaluation 200 are asked at most, as many of
//! each difficulty as there are, which is how many boards a search meets before the
//! first solution ([`Game::search`]), by powers of two.
//!
//! A model with a vocabulary of its own needs to be told the rules, by an
//! instruction. Nobody's times are here.

mod mistakes;
mod puzzle;
mod solver;
mod term;
#[cfg(test)]
mod tests;
mod work;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use serde::Deserialize;

pub(super) use puzzle::Puzzle;
pub(super) use solver::Game;
pub(super) use work::Work;

use super::corpus::{Habit, Shares, Worked, Written};
use super::reading::Reading;
use super::task::drawn;
use super::{Item, Place, Split, Task};
use crate::random::{Stream, stream};

/// The task's name.
pub(super) const NAME: &str = "countdown";

/// Items of the evaluation at most.
const EVALUATED: usize = 200;
/// Draws that the items of the evaluation are chosen from.
const CANDIDATES: u64 = 1000;
/// Puzzles of a split that are tried, one of which has a solution.
const TRIES: usize = 1000;
/// Puzzles that are tried, one of which is of the split.
const DRAWS: usize = 1000;

/// `[tasks.settings.countdown]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Settings {
    /// How many numbers a puzzle has.
    pub numbers: usize,
    /// The largest number; the smallest is 1.
    pub largest: u32,
    /// The smallest and the largest target.
    pub target: [u32; 2],
    /// The signs that may be used.
    pub operations: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            numbers: 3,
            largest: 20,
            target: [10, 99],
            operations: "+-*".to_owned(),
        }
    }
}

impl Settings {
    fn check(&self) -> Result<()> {
        ensure!(
            (2..=5).contains(&self.numbers),
            "numbers = {}: 2 to 5 numbers can be put together",
            self.numbers
        );
        ensure!(
            (1..=100).contains(&self.largest),
            "largest = {}: the numbers go from 1 to 100 at most",
            self.largest
        );
        let [from, to] = self.target;
        ensure!(
            from >= 1 && from <= to && to <= 999,
            "target = [{from}, {to}]: give the smallest and the largest target, of 1 to 999"
        );
        let signs: BTreeSet<char> = self.operations.chars().collect();
        ensure!(
            !signs.is_empty()
                && signs.len() == self.operations.len()
                && signs.iter().all(|sign| "+-*/".contains(*sign)),
            "operations = {:?}: give some of +, -, * and /, each once",
            self.operations
        );
        Ok(())
    }

    /// No step of a solution makes more than this.
    fn limit(&self) -> u32 {
        self.target[1].max(99)
    }
}

/// `countdown`; see the file's head.
#[derive(Debug)]
pub(super) struct Countdown {
    settings: Settings,
    /// The signs in the order in which they are tried.
    signs: Vec<char>,
}

impl Countdown {
    /// The task by its table of a definition.
    pub(super) fn open(settings: &toml::Table) -> Result<Self> {
        Self::new(settings.clone().try_into()?)
    }

    pub(super) fn new(settings: Settings) -> Result<Self> {
        settings.check()?;
        let signs = "+-*/".chars();
        let signs = signs.filter(|sign| settings.operations.contains(*sign));
        let task = Self {
            signs: signs.collect(),
            settings,
        };
        for split in [Split::Train, Split::Validation, Split::Evaluation] {
            task.puzzle(split, &mut stream(0, NAME, &[split as u64]))?;
        }
        Ok(task)
    }

    /// The rules by which a target is made.
    pub(super) fn game(&self, target: u32) -> Game {
        Game {
            signs: self.signs.clone(),
            limit: self.settings.limit(),
            target,
        }
    }

    /// A puzzle of the split that has a solution, all being equally likely but for
    /// numbers that are alike.
    pub(super) fn puzzle(&self, split: Split, random: &mut Stream) -> Result<Puzzle> {
        for _ in 0..TRIES {
            let [from, to] = self.settings.target;
            let mut any = || {
                let numbers = (0..self.settings.numbers)
                    .map(|_| random.random_range(1..=self.settings.largest))
                    .collect();
                Puzzle::new(numbers, random.random_range(from..=to))
            };
            let of_split = (0..DRAWS)
                .map(|_| any())
                .find(|found| found.split() == split);
            if let Some(found) = of_split
                && self.game(found.target).search(&found.numbers).is_some()
            {
                return Ok(found);
            }
        }
        anyhow::bail!(
            "hardly any {split} puzzle of these numbers, targets and operations has a solution: \
             allow more targets or operations"
        )
    }

    /// Whether it may be drawn or listed.
    pub(super) fn has(&self, puzzle: &Puzzle) -> bool {
        let [from, to] = self.settings.target;
        puzzle.numbers.len() == self.settings.numbers
            && puzzle
                .numbers
                .iter()
                .all(|number| (1..=self.settings.largest).contains(number))
            && (from..=to).contains(&puzzle.target)
            && self.game(puzzle.target).search(&puzzle.numbers).is_some()
    }

    fn item(&self, puzzle: &Puzzle) -> Item {
        puzzle.item(NAME, &self.signs)
    }

    fn of(&self, item: &Item) -> Result<(Puzzle, Game)> {
        let puzzle = Puzzle::read(&item.item_id)
            .with_context(|| format!("{} is no puzzle of {NAME}", item.item_id))?;
        let game = self.game(puzzle.target);
        Ok((puzzle, game))
    }
}

impl Task for Countdown {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, _: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        Ok(self.item(&self.puzzle(split, random)?))
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let mut candidates = BTreeSet::new();
        for index in 0..CANDIDATES {
            let mut random = stream(0, "countdown evaluation", &[index]);
            candidates.insert(self.puzzle(Split::Evaluation, &mut random)?);
        }
        // By difficulty, each in the order of the hash.
        let mut strata: BTreeMap<u32, Vec<&Puzzle>> = BTreeMap::new();
        for puzzle in &candidates {
            let met = self.game(puzzle.target).search(&puzzle.numbers);
            let stratum = met.unwrap_or(1).ilog2();
            strata.entry(stratum).or_default().push(puzzle);
        }
        for stratum in strata.values_mut() {
            stratum.sort_by_key(|puzzle| puzzle.key());
        }
        let longest = strata.values().map(Vec::len).max().unwrap_or_default();
        let rounds = (0..longest).flat_map(|round| strata.values().map(move |of| of.get(round)));
        let chosen: BTreeSet<&Puzzle> = rounds.flatten().copied().take(EVALUATED).collect();
        Ok(chosen.into_iter().map(|puzzle| self.item(puzzle)).collect())
    }

    fn find(&self, id: &str) -> Result<Option<Item>> {
        let puzzle = Puzzle::read(id).filter(|puzzle| self.has(puzzle));
        Ok(puzzle.map(|puzzle| self.item(&puzzle)))
    }

    /// Reads `3 5 7 make 22`, with the task's name before it or without. Covariates:
    /// `largest`, the largest number; `solutions`, how many there are; `search`, how
    /// many boards a search in a fixed order meets until the first.
    fn read(&self, text: &str) -> Option<Reading> {
        let puzzle = Puzzle::read(text)?;
        puzzle.reading::<u32>(&self.game(puzzle.target))
    }

    fn worked(&self) -> Option<&dyn Worked> {
        Some(self)
    }

    fn words(&self) -> Vec<String> {
        work::words(&self.signs, self.settings.limit())
    }
}

impl Worked for Countdown {
    fn solution(&self, item: &Item) -> Result<Written> {
        let (puzzle, game) = self.of(item)?;
        Work::solution(&game, &puzzle.numbers)
    }

    fn work(
        &self,
        item: &Item,
        habit: Habit,
        shares: &Shares,
        random: &mut Stream,
    ) -> Result<Written> {
        let (puzzle, game) = self.of(item)?;
        Work::written(&game, &puzzle.numbers, habit, shares, random)
    }

    /// One step of some puzzle, `7 * 8 =`, because steps are what work is made of.
    fn exercise(&self, random: &mut Stream) -> Option<(String, Written)> {
        let puzzle = self.puzzle(Split::Train, random).ok()?;
        Work::exercise(&self.game(puzzle.target), &puzzle.numbers, random)
    }
}
