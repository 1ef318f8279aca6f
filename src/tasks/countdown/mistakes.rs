//! Wrong answers to a puzzle: a guess, and work with a slip in it.

use rand::seq::SliceRandom;
use rewards::answers::Expression;

use super::solver::put;
use super::work::{Step, Work, any_move};
use crate::random::Stream;

/// How far off a slip is at most, where there is any such.
const LARGEST_SLIP: u32 = 3;
/// Random expressions that are tried, one of which is wrong.
const GUESSES: usize = 20;

impl Work<'_> {
    /// A wrong expression of the numbers.
    pub(super) fn guess(&self, steps: &[Step], random: &mut Stream) -> String {
        for _ in 0..GUESSES {
            let mut board = self.numbers.to_vec();
            let mut guess = Vec::new();
            while let Some(step) = any_move(self.game, &board, random) {
                board = put(&board, step.0, step.1);
                guess.push(step);
            }
            if board.len() == 1 && !self.game.is_won(&board) {
                return self.expression(&guess);
            }
        }
        self.misread(steps)
    }

    /// The expression behind the steps, its first number misread. What is left where
    /// the signs allow no wrong expression, as `*` alone.
    fn misread(&self, steps: &[Step]) -> String {
        let mut wrong = false;
        let words = self.expression(steps);
        let words = words.split(' ').map(|word| match word.parse::<u32>() {
            Ok(number) if !wrong => {
                wrong = true;
                (number + 1).to_string()
            }
            _ => word.to_owned(),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Steps one of which makes another number than is written, and which are said
    /// to come to the target.
    pub(super) fn slip(&mut self, steps: &[Step], random: &mut Stream) {
        let mut places: Vec<usize> = (0..steps.len()).collect();
        let furthest = [LARGEST_SLIP, LARGEST_SLIP, LARGEST_SLIP, self.game.limit];
        let found = furthest.into_iter().find_map(|furthest| {
            places.shuffle(random);
            let mut tried = places.iter();
            tried.find_map(|at| self.slip_at(*at, furthest, random))
        });
        let answer = if let Some(wrong) = found {
            self.follow(&wrong)
        } else {
            self.follow(steps);
            self.misread(steps)
        };
        self.answer(&answer);
    }

    /// Steps whose slip is the one at that place, no further off than given; `None`
    /// where none were found.
    fn slip_at(&self, at: usize, furthest: u32, random: &mut Stream) -> Option<Vec<Step>> {
        let mut board = self.numbers.to_vec();
        let mut before = Vec::new();
        for _ in 0..at {
            let step = any_move(self.game, &board, random)?;
            board = put(&board, step.0, step.1);
            before.push(step);
        }
        let moves: Vec<Step> = self.game.moves(&board).collect();
        let around = |made: u32| made.saturating_sub(furthest)..=made + furthest;
        let slips = moves.into_iter().flat_map(|(next, made)| {
            let shown = around(made).filter(move |shown| *shown != made);
            shown.map(move |shown| (next, shown))
        });
        let mut slips: Vec<Step> = slips
            .filter(|(_, shown)| *shown <= self.game.limit)
            .collect();
        slips.shuffle(random);
        slips.into_iter().find_map(|slip| {
            let mut steps = before.clone();
            steps.push(slip);
            let mut board = put(&board, slip.0, slip.1);
            for next in self.game.solution(&board)? {
                let (_, made) = self.game.moves(&board).find(|(known, _)| *known == next)?;
                board = put(&board, next, made);
                steps.push((next, made));
            }
            let wrong = Expression::read(&self.expression(&steps));
            let target = i64::from(self.game.target);
            let is_right = wrong.is_some_and(|wrong| wrong.value.is(target));
            (!is_right).then_some(steps)
        })
    }
}
