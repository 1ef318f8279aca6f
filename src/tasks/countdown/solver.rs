//! Which expressions of some numbers come to a target: any two are put together by
//! any of the signs, in any order, until one is left.

use std::collections::BTreeSet;

use rewards::answers::Fraction;

/// What may be done with the numbers, and what they are to make.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tasks) struct Game {
    /// The signs, of `+`, `-`, `*` and `/`, in the order in which they are tried.
    pub signs: Vec<char>,
    /// No two whole numbers make more than this.
    pub limit: u32,
    /// What all numbers together come to.
    pub target: u32,
}

/// What a game counts in.
pub(in crate::tasks) trait Number: Copy {
    /// One of the numbers that a puzzle gives.
    fn given(number: u32) -> Self;

    /// What the sign makes of the two; `None` where that is no move of the game.
    fn make(self, sign: char, other: Self, game: &Game) -> Option<Self>;

    /// Whether it is this whole number.
    fn is(self, number: u32) -> bool;
}

/// Fractions and numbers below 0 are in the game.
impl Number for Fraction {
    fn given(number: u32) -> Self {
        Self::whole(number)
    }

    fn make(self, sign: char, other: Self, _: &Game) -> Option<Self> {
        self.apply(sign, other)
    }

    fn is(self, number: u32) -> bool {
        self.is(i64::from(number))
    }
}

/// Only whole numbers from 0 to the game's limit are in it.
impl Number for u32 {
    fn given(number: u32) -> Self {
        number
    }

    fn make(self, sign: char, other: Self, game: &Game) -> Option<Self> {
        let made = match sign {
            '+' => self.checked_add(other),
            '-' => self.checked_sub(other),
            '*' => self.checked_mul(other),
            '/' if other != 0 && self.is_multiple_of(other) => Some(self / other),
            _ => None,
        };
        made.filter(|made| *made <= game.limit)
    }

    fn is(self, number: u32) -> bool {
        self == number
    }
}

/// Two numbers to put together, by their places on the board, and the sign.
pub(in crate::tasks) type Move = (usize, usize, char);

impl Game {
    /// How many boards a search meets until the first that is the target, that one
    /// and the puzzle included; `None` where there is no solution. The search goes
    /// to the depth first and in one order: numbers as they stand, each pair by its
    /// places, then +, -, * and /, what a pair makes coming last on the board.
    ///
    /// Worked example: of `1 2 3 5`, which are to make 24, the boards are 1 2 3 5,
    /// 3 5 3 (1 + 2), 3 8 (3 + 5), 11 (3 + 8), -5 (3 - 8; not among whole numbers)
    /// and 24 (3 * 8): 6.
    pub(in crate::tasks) fn search<N: Number>(&self, numbers: &[N]) -> Option<u32> {
        let mut met = 0;
        let found = self.walk(numbers, &mut Vec::new(), &mut |board, _| {
            met += 1;
            self.is_won(board)
        });
        found.then_some(met)
    }

    /// How many expressions come to the target that differ in more than the order
    /// and the grouping of sums and of products.
    ///
    /// Worked example: `3 3 8 8` has one that makes 24, `8 / (3 - 8 / 3)`. Of
    /// `1 * 1 * 4 * 6` and `6 * (4 * 1) * 1` one is counted, and `4 * 6 * 1 / 1` is
    /// another.
    pub(in crate::tasks) fn solutions<N: Number>(&self, numbers: &[u32]) -> usize {
        let board: Vec<N> = numbers.iter().map(|number| N::given(*number)).collect();
        let mut found = BTreeSet::new();
        self.walk(&board, &mut Vec::new(), &mut |board, moves| {
            if self.is_won(board) {
                found.insert(Form::after(numbers, moves));
            }
            false
        });
        found.len()
    }

    /// The moves of the first solution that [`Game::search`] comes to.
    pub(super) fn solution(&self, numbers: &[u32]) -> Option<Vec<Move>> {
        let mut solution = None;
        self.walk(numbers, &mut Vec::new(), &mut |board, moves| {
            let won = self.is_won(board);
            if won {
                solution = Some(moves.to_vec());
            }
            won
        });
        solution
    }

    /// Whether one number is left and is the target.
    pub(super) fn is_won<N: Number>(&self, board: &[N]) -> bool {
        matches!(board, [last] if last.is(self.target))
    }

    /// The moves from a board, each with what it makes.
    pub(super) fn moves<'a, N: Number>(
        &'a self,
        board: &'a [N],
    ) -> impl Iterator<Item = (Move, N)> + 'a {
        let places = 0..board.len();
        let pairs = places.flat_map(|i| (0..board.len()).map(move |j| (i, j)));
        let pairs = pairs.filter(|(i, j)| i != j);
        let moves = pairs.flat_map(|(i, j)| {
            // A sum and a product of two are the same either way round.
            let signs = self.signs.iter();
            let signs = signs.filter(move |sign| i < j || matches!(sign, '-' | '/'));
            signs.map(move |sign| (i, j, *sign))
        });
        moves.filter_map(|(i, j, sign)| {
            let made = board[i].make(sign, board[j], self)?;
            Some(((i, j, sign), made))
        })
    }

    /// Shows `visit` every board that moves lead to, with the moves, until it is
    /// satisfied; says whether it was.
    fn walk<N: Number>(
        &self,
        board: &[N],
        done: &mut Vec<Move>,
        visit: &mut dyn FnMut(&[N], &[Move]) -> bool,
    ) -> bool {
        if visit(board, done) {
            return true;
        }
        self.moves(board).any(|(next, made)| {
            done.push(next);
            // Most boards are the last of a game, for which no list is made.
            let satisfied = match board.len() {
                2 => visit(&[made], done),
                _ => self.walk(&put(board, next, made), done, visit),
            };
            done.pop();
            satisfied
        })
    }
}

/// The board on which what the numbers at two places make stands for them, last.
pub(super) fn put<T: Clone>(board: &[T], (i, j, _): Move, made: T) -> Vec<T> {
    let others = board.iter().enumerate();
    let others = others.filter(|(place, _)| *place != i && *place != j);
    let others = others.map(|(_, number)| number.clone());
    others.chain([made]).collect()
}

/// An expression without the order and the grouping of its sums and products.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    Number(u32),
    /// Terms in order, each with whether it is subtracted.
    Sum(Vec<(bool, Form)>),
    /// Factors in order, each with whether it is divided by.
    Product(Vec<(bool, Form)>),
}

impl Form {
    /// What the moves make of the numbers.
    fn after(numbers: &[u32], moves: &[Move]) -> Option<Self> {
        let mut board: Vec<Self> = numbers.iter().copied().map(Self::Number).collect();
        for next in moves {
            let (i, j, sign) = *next;
            let made = Self::of(sign, &board[i], &board[j]);
            board = put(&board, *next, made);
        }
        board.pop()
    }

    fn of(sign: char, left: &Self, right: &Self) -> Self {
        let is_sum = matches!(sign, '+' | '-');
        let inverts = matches!(sign, '-' | '/');
        let mut parts = left.parts(is_sum);
        let right = right.parts(is_sum).into_iter();
        parts.extend(right.map(|(inverse, part)| (inverse != inverts, part)));
        parts.sort_unstable();
        if is_sum {
            Self::Sum(parts)
        } else {
            Self::Product(parts)
        }
    }

    /// Its terms where it is a sum, or its factors where it is a product; else
    /// itself alone.
    fn parts(&self, of_sum: bool) -> Vec<(bool, Self)> {
        match self {
            Self::Sum(parts) if of_sum => parts.clone(),
            Self::Product(parts) if !of_sum => parts.clone(),
            other => vec![(false, other.clone())],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn game(target: u32) -> Game {
        Game {
            signs: vec!['+', '-', '*', '/'],
            limit: 99,
            target,
        }
    }

    fn search<N: Number>(numbers: &[u32], target: u32) -> Option<u32> {
        let board: Vec<N> = numbers.iter().map(|number| N::given(*number)).collect();
        game(target).search(&board)
    }

    #[test]
    fn solutions_are_counted_without_their_order_and_grouping() {
        for (numbers, count) in [
            // 8 / (3 - 8 / 3) and 6 / (1 - 3 / 4), the famous ones.
            ([3, 3, 8, 8], 1),
            ([1, 3, 4, 6], 1),
            // 5 * (5 - 1 / 5), which is (5 - 1 / 5) * 5.
            ([1, 5, 5, 5], 1),
            // 1 * 2 * 3 * 4, 2 * 3 * 4 / 1, (1 + 2 + 3) * 4 and (1 + 3) * (2 + 4).
            ([1, 2, 3, 4], 4),
            // 1 * 1 * 4 * 6, with one of the 1 or both below the line, 4 * 6 + 1 - 1,
            // and 1 - 1 added to the 4 or to the 6.
            ([6, 1, 4, 1], 6),
            ([1, 1, 1, 1], 0),
        ] {
            let found = game(24).solutions::<Fraction>(&numbers);
            assert_eq!(found, count, "{numbers:?}");
        }
        // Without fractions none of the famous ones is left.
        assert_eq!(game(24).solutions::<u32>(&[3, 3, 8, 8]), 0);
        assert_eq!(game(24).solutions::<u32>(&[1, 2, 3, 4]), 4);
    }

    #[test]
    fn a_search_ends_at_the_first_solution() {
        // 1 2 8 13, 8 13 3, 3 21, 24.
        assert_eq!(search::<Fraction>(&[1, 2, 8, 13], 24), Some(4));
        assert_eq!(search::<u32>(&[1, 2, 8, 13], 24), Some(4));
        assert_eq!(search::<Fraction>(&[1, 2, 3, 5], 24), Some(6));
        // 3 - 8 is no whole number above 0; 8 - 3 comes later than 3 * 8.
        assert_eq!(search::<u32>(&[1, 2, 3, 5], 24), Some(5));
        assert_eq!(search::<Fraction>(&[1, 1, 1, 1], 24), None);
    }

    #[test]
    fn whole_numbers_stay_within_the_limit() {
        let game = game(24);
        assert_eq!(20.make('*', 5, &game), None);
        assert_eq!(9.make('*', 11, &game), Some(99));
        assert_eq!(3.make('-', 4, &game), None);
        assert_eq!(3.make('-', 3, &game), Some(0));
        assert_eq!(7.make('/', 2, &game), None);
        assert_eq!(7.make('/', 0, &game), None);
        assert_eq!(u32::MAX.make('+', 1, &game), None);
    }

    #[test]
    fn a_puzzle_has_a_search_exactly_where_it_has_solutions() {
        for numbers in [[1, 1, 4, 6], [3, 3, 8, 8], [1, 1, 1, 2], [13, 13, 13, 13]] {
            let count = game(24).solutions::<Fraction>(&numbers);
            let met = search::<Fraction>(&numbers, 24);
            assert_eq!(met.is_some(), count > 0, "{numbers:?}");
            let solution = game(24).solution(&numbers);
            let count = game(24).solutions::<u32>(&numbers);
            assert_eq!(solution.is_some(), count > 0, "{numbers:?}");
        }
    }
}
