//! One puzzle: some numbers and what they are to make.

use rewards::answers::Judge;

use super::NAME;
use super::solver::{Game, Number};
use crate::tasks::item::number_of;
use crate::tasks::reading::Reading;
use crate::tasks::{Item, Split};

/// Stands between the numbers and the target.
const MAKE: &str = " make ";

/// Some numbers and what they are to make.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::tasks) struct Puzzle {
    /// In ascending order.
    pub numbers: Vec<u32>,
    pub target: u32,
}

impl Puzzle {
    /// The numbers may stand in any order.
    pub(in crate::tasks) fn new(mut numbers: Vec<u32>, target: u32) -> Self {
        numbers.sort_unstable();
        Self { numbers, target }
    }

    /// Reads `3 5 7 make 22`, with `countdown` before it or without.
    pub(in crate::tasks) fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix(NAME).unwrap_or(text);
        let (numbers, target) = text.split_once(MAKE)?;
        let numbers = numbers.split_whitespace().map(|number| number.parse().ok());
        let numbers: Vec<u32> = numbers.collect::<Option<_>>()?;
        let is_puzzle = (2..=5).contains(&numbers.len());
        is_puzzle.then_some(Self::new(numbers, target.trim().parse().ok()?))
    }

    /// `3 5 7 make 22`.
    fn text(&self) -> String {
        format!("{}{MAKE}{}", self.list(), self.target)
    }

    /// `3 5 7`.
    fn list(&self) -> String {
        let numbers: Vec<String> = self.numbers.iter().map(u32::to_string).collect();
        numbers.join(" ")
    }

    /// A number that the puzzle has for good.
    pub(super) fn key(&self) -> u64 {
        number_of(NAME, &self.text())
    }

    /// Where the puzzle belongs, whatever the task that asks it.
    pub(in crate::tasks) fn split(&self) -> Split {
        match self.key() % 10 {
            0 => Split::Evaluation,
            1 => Split::Validation,
            _ => Split::Train,
        }
    }

    /// The item of `task` that asks it, to be answered with these signs.
    pub(in crate::tasks) fn item(&self, task: &str, signs: &[char]) -> Item {
        let allowed: Vec<String> = signs.iter().map(char::to_string).collect();
        let with = match signs.len() {
            4 => String::new(),
            _ => format!(" with {}", allowed.join(" ")),
        };
        Item {
            task: task.to_owned(),
            item_id: self.text(),
            prompt: format!("{NAME} {}", self.text()),
            answer: format!("{} from {}{with}", self.target, self.list()),
            judge: Judge::Expression,
            split: self.split(),
            ..Item::default()
        }
    }

    /// What is known of it before anybody answers it; `None` where it has no
    /// solution in numbers of the kind.
    pub(in crate::tasks) fn reading<N: Number>(&self, game: &Game) -> Option<Reading> {
        let board: Vec<N> = self
            .numbers
            .iter()
            .map(|number| N::given(*number))
            .collect();
        let search = game.search(&board)?;
        Some(Reading {
            covariates: vec![
                ("largest", f64::from(*self.numbers.last()?)),
                ("solutions", game.solutions::<N>(&self.numbers) as f64),
                ("search", f64::from(search)),
            ],
            problem: None,
        })
    }
}
