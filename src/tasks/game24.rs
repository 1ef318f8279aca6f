//! The game of 24: make 24 from four numbers, each used once, with +, -, *, /
//! and brackets. `1 1 4 6` is answered by `1 * 1 * 4 * 6` or by any other
//! expression that comes to 24.
//!
//! There is no one answer, so an item's `answer` is the four numbers that the
//! expression must use; what the norms may say of an answer is not read. People
//! are known by their mean times alone (a folder of norms), so there is no
//! noise ceiling. Without norms the items are the 1362 puzzles of the numbers 1
//! to 13 that have a solution, and have no times.
//!
//! All of those are evaluated. What is trained on are puzzles of [`super::countdown`]
//! with four numbers of 1 to 13 and other targets, which are worded with their
//! target (`countdown 1 1 4 6 make 30`) and solved in whole numbers; the puzzles
//! that countdown keeps for its evaluation are left out.

use anyhow::{Context, Result};
use experiments::norms::NormItem;
use rewards::answers::{Fraction, Judge};

use super::corpus::{Habit, Shares, Worked, Written};
use super::countdown::{Countdown, Game, Puzzle, Settings, Work};
use super::reading::Reading;
use super::task::{drawn, item_of};
use super::{Item, Place, Split, Task};
use crate::random::Stream;

/// The task's name.
pub(super) const NAME: &str = "game24";

/// What an expression must come to.
const GOAL: u32 = 24;
/// The largest number of a puzzle made here, as of the card game.
const LARGEST: u32 = 13;
/// The signs, in the order in which they are tried.
const SIGNS: [char; 4] = ['+', '-', '*', '/'];
/// The targets of training, of which [`GOAL`] is none.
const TARGETS: [u32; 2] = [10, 60];

/// `game24`; see the file's head.
#[derive(Debug)]
pub(super) struct Game24 {
    training: Countdown,
}

impl Game24 {
    pub(super) fn new() -> Result<Self> {
        let training = Countdown::new(Settings {
            numbers: 4,
            largest: LARGEST,
            target: TARGETS,
            operations: SIGNS.iter().collect(),
        })?;
        Ok(Self { training })
    }

    fn game(&self) -> Game {
        self.training.game(GOAL)
    }

    /// The puzzle of an item of any split, and its rules.
    fn of(&self, item: &Item) -> Result<(Puzzle, Game)> {
        let id = &item.item_id;
        let puzzle = Puzzle::read(id).or_else(|| Some(puzzle(&numbers(id)?)));
        let puzzle = puzzle.with_context(|| format!("{id} is no puzzle of {NAME}"))?;
        let game = self.training.game(puzzle.target);
        Ok((puzzle, game))
    }
}

/// The puzzle that makes 24 from these numbers.
fn puzzle(numbers: &[u32; 4]) -> Puzzle {
    Puzzle::new(numbers.to_vec(), GOAL)
}

/// Whether the numbers make 24.
fn is_solvable(game: &Game, numbers: [u32; 4]) -> bool {
    game.search(&numbers.map(Fraction::whole)).is_some()
}

impl Task for Game24 {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, _: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        loop {
            let puzzle = self.training.puzzle(split, random)?;
            if puzzle.target != GOAL {
                return Ok(puzzle.item(NAME, &SIGNS));
            }
        }
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let game = self.game();
        let mut items = Vec::new();
        for a in 1..=LARGEST {
            for b in a..=LARGEST {
                for c in b..=LARGEST {
                    for d in c..=LARGEST {
                        if is_solvable(&game, [a, b, c, d]) {
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

    fn find(&self, id: &str) -> Result<Option<Item>> {
        let puzzle = Puzzle::read(id).filter(|puzzle| puzzle.target != GOAL);
        let known = puzzle.filter(|puzzle| self.training.has(puzzle));
        Ok(known.map(|puzzle| puzzle.item(NAME, &SIGNS)))
    }

    /// The puzzle's numbers, from its prompt or else its name; nothing where
    /// they are not four, or have no solution.
    fn of_norms(&self, item: &NormItem) -> Item {
        let game = self.game();
        let numbers = [&item.prompt, &item.item_id]
            .into_iter()
            .find_map(|text| numbers(text))
            .filter(|numbers| is_solvable(&game, *numbers));
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
        puzzle(&numbers(text)?).reading::<Fraction>(&self.game())
    }

    fn worked(&self) -> Option<&dyn Worked> {
        Some(self)
    }

    fn words(&self) -> Vec<String> {
        self.training.words()
    }
}

impl Worked for Game24 {
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

    fn exercise(&self, random: &mut Stream) -> Option<(String, Written)> {
        self.training.exercise(random)
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

    fn task() -> Game24 {
        Game24::new().unwrap()
    }

    #[test]
    fn there_are_as_many_puzzles_as_people_were_timed_on() {
        let items = task().evaluation_items().unwrap();
        assert_eq!(items.len(), 1362);
        assert!(items.iter().any(|item| item.item_id == "3 3 8 8"));
        assert!(!items.iter().any(|item| item.item_id == "1 1 1 1"));
    }

    #[test]
    fn a_puzzle_of_training_is_found_by_its_name() {
        let task = task();
        let item = task.find("1 1 4 6 make 30").unwrap().unwrap();
        assert_eq!(item.prompt, "countdown 1 1 4 6 make 30");
        assert_eq!(item.answer, "30 from 1 1 4 6");
        for absent in [
            "1 1 4 6 make 24",
            "1 1 1 1 make 60",
            "1 4 6 make 30",
            "1 1 4 6",
        ] {
            assert_eq!(task.find(absent).unwrap(), None, "{absent}");
        }
    }

    #[test]
    fn a_puzzle_is_read_whatever_the_order_of_its_numbers() {
        let task = task();
        let covariates = |text| task.read(text).map(|reading| reading.covariates);
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
        let task = task();
        let answer = |item_id, prompt| task.of_norms(&item(item_id, prompt)).answer;
        assert_eq!(answer("1 1 4 6", "1 1 4 6"), "1 1 4 6");
        assert_eq!(answer("1 1 4 6", "Make 24 from these numbers."), "1 1 4 6");
        assert_eq!(answer("one", "Use 1, 1, 4 and 6"), "1 1 4 6");
        // Nobody could answer it, so nothing can be graded.
        assert_eq!(answer("1 1 1 1", "1 1 1 1"), "");
    }

    #[test]
    fn puzzles_of_people_are_worked_where_whole_numbers_suffice() {
        let task = task();
        let items = task.evaluation_items().unwrap();
        let solution =
            |item: &Item| Worked::solution(&task, item).map(|written| written.completion);
        let worked = items
            .iter()
            .filter_map(|item| Some((item, solution(item).ok()?)));
        let mut count = 0;
        for (item, solution) in worked {
            assert_eq!(item.grade(&solution).unwrap(), Some(true), "{solution}");
            count += 1;
        }
        assert!(count > 1200, "{count}");
        let famous = items.iter().find(|item| item.item_id == "3 3 8 8").unwrap();
        let refused = Worked::solution(&task, famous).unwrap_err().to_string();
        assert!(refused.contains("whole numbers"), "{refused}");
    }
}
