//! The game of 24: make 24 from four numbers, each used once, with +, -, *, /
//! and brackets. `1 1 4 6` is answered by `1 * 1 * 4 * 6` or by any other
//! expression that comes to 24.
//!
//! There is no one answer, so an item's `answer` is the four numbers that the
//! expression must use; what the norms may say of an answer is not read. People
//! are known by their mean times alone (a folder of norms), so there is no
//! noise ceiling. Without norms the items are the 1362 puzzles of the numbers 1
//! to 13 that have a solution, and have no times.

mod solver;

use anyhow::{Result, bail};
use experiments::norms::NormItem;
use rewards::answers::Judge;

use super::reading::Reading;
use super::task::item_of;
use super::{Item, Place, Split, Task};
use crate::random::Stream;

/// The task's name.
pub(super) const NAME: &str = "game24";

/// What an expression must come to.
const GOAL: i64 = 24;
/// The largest number of a puzzle made here, as of the card game.
const LARGEST: u32 = 13;

/// `game24`; see the file's head.
#[derive(Debug)]
pub(super) struct Game24;

impl Task for Game24 {
    fn name(&self) -> &str {
        NAME
    }

    fn trains(&self) -> bool {
        false
    }

    fn draw(&self, _: Split, _: Place, _: &mut Stream) -> Result<Item> {
        bail!("{NAME} has no problems to train on")
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for a in 1..=LARGEST {
            for b in a..=LARGEST {
                for c in b..=LARGEST {
                    for d in c..=LARGEST {
                        if solver::search([a, b, c, d]).is_some() {
                            let puzzle = format!("{a} {b} {c} {d}");
                            items.push(Item {
                                task: NAME.to_owned(),
                                item_id: puzzle.clone(),
                                prompt: puzzle.clone(),
                                answer: puzzle,
                                judge: Judge::Expression,
                                ..Item::default()
                            });
                        }
                    }
                }
            }
        }
        Ok(items)
    }

    /// The puzzle's numbers, from its prompt or else its name; nothing where
    /// they are not four, or have no solution.
    fn of_norms(&self, item: &NormItem) -> Item {
        let numbers = [&item.prompt, &item.item_id]
            .into_iter()
            .find_map(|text| numbers(text))
            .filter(|numbers| solver::search(*numbers).is_some());
        Item {
            answer: numbers.map_or_else(String::new, |[a, b, c, d]| format!("{a} {b} {c} {d}")),
            judge: Judge::Expression,
            ..item_of(item)
        }
    }

    /// Reads four numbers that make 24. Covariates: `largest`, the largest number;
    /// `solutions`, how many there are; `search`, how many boards a search in a
    /// fixed order meets until the first.
    fn read(&self, text: &str) -> Option<Reading> {
        let numbers = numbers(text)?;
        let search = solver::search(numbers)?;
        Some(Reading {
            covariates: vec![
                ("largest", f64::from(numbers.into_iter().max()?)),
                ("solutions", solver::solutions(numbers) as f64),
                ("search", f64::from(search)),
            ],
            problem: None,
        })
    }
}

/// The numbers of a puzzle, where a text holds exactly four.
fn numbers(text: &str) -> Option<[u32; 4]> {
    let numbers: Vec<u32> = text
        .split(|c: char| !c.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().ok())
        .collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_puzzles_as_people_were_timed_on() {
        let items = Game24.evaluation_items().unwrap();
        assert_eq!(items.len(), 1362);
        assert!(items.iter().any(|item| item.item_id == "3 3 8 8"));
        assert!(!items.iter().any(|item| item.item_id == "1 1 1 1"));
    }

    #[test]
    fn a_puzzle_is_read_whatever_the_order_of_its_numbers() {
        let covariates = |text| Game24.read(text).map(|reading| reading.covariates);
        let found = covariates("3 3 8 8").unwrap();
        assert_eq!(found[..2], [("largest", 8.0), ("solutions", 1.0)]);
        assert_eq!(covariates("Use 8, 3, 8 and 3"), Some(found));
        for text in ["", "3 8 8", "1 1 1 1", "3 3 8 8 8"] {
            assert_eq!(covariates(text), None, "{text}");
        }
    }

    #[test]
    fn a_puzzle_of_the_norms_is_its_four_numbers() {
        let item = |item_id: &str, prompt: &str| NormItem {
            task: NAME.into(),
            item_id: item_id.into(),
            prompt: prompt.into(),
            mean_rt_ms: Some(4670.0),
            ..NormItem::default()
        };
        let answer = |item_id, prompt| Game24.of_norms(&item(item_id, prompt)).answer;
        assert_eq!(answer("1 1 4 6", "1 1 4 6"), "1 1 4 6");
        assert_eq!(answer("1 1 4 6", "Make 24 from these numbers."), "1 1 4 6");
        assert_eq!(answer("one", "Use 1, 1, 4 and 6"), "1 1 4 6");
        // Nobody could answer it, so nothing can be graded.
        assert_eq!(answer("1 1 1 1", "1 1 1 1"), "");
    }
}
