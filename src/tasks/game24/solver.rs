//! Which expressions of four numbers come to 24: any two are put together by
//! any of the four signs, in any order, until one is left.

use std::collections::BTreeSet;

use rewards::answers::Fraction;

use super::GOAL;

/// How many boards a search meets until the first that is 24, that one and the
/// puzzle included; `None` where there is no solution. The search goes to the
/// depth first and in one order: numbers ascending, each pair by its places,
/// then +, -, * and /, what a pair makes coming last on the board.
///
/// Worked example: of `5 3 2 1` the boards are 1 2 3 5, 3 5 3 (1 + 2), 3 8 (3 + 5),
/// 11 (3 + 8), -5 (3 - 8) and 24 (3 * 8): 6.
pub(super) fn search(mut numbers: [u32; 4]) -> Option<u32> {
    numbers.sort_unstable();
    let mut met = 0;
    let found = walk(
        &numbers.map(Fraction::whole),
        &mut Vec::new(),
        &mut |board, _| {
            met += 1;
            is_goal(board)
        },
    );
    found.then_some(met)
}

/// How many expressions come to 24 that differ in more than the order and the
/// grouping of sums and of products.
///
/// Worked example: `3 3 8 8` has one, `8 / (3 - 8 / 3)`. Of `1 * 1 * 4 * 6` and
/// `6 * (4 * 1) * 1` one is counted, and `4 * 6 * 1 / 1` is another.
pub(super) fn solutions(numbers: [u32; 4]) -> usize {
    let mut found = BTreeSet::new();
    walk(
        &numbers.map(Fraction::whole),
        &mut Vec::new(),
        &mut |board, moves| {
            if is_goal(board) {
                found.insert(Form::after(numbers, moves));
            }
            false
        },
    );
    found.len()
}

fn is_goal(board: &[Fraction]) -> bool {
    matches!(board, [last] if last.is(GOAL))
}

/// Two numbers to put together, by their places on the board, and the sign.
type Move = (usize, usize, char);

/// Shows `visit` every board that moves lead to, with the moves, until it is
/// satisfied; says whether it was.
fn walk(
    board: &[Fraction],
    done: &mut Vec<Move>,
    visit: &mut dyn FnMut(&[Fraction], &[Move]) -> bool,
) -> bool {
    if visit(board, done) {
        return true;
    }
    moves(board.len()).any(|next| {
        let (i, j, sign) = next;
        board[i].apply(sign, board[j]).is_some_and(|made| {
            done.push(next);
            // Most boards are the last of a game, for which no list is made.
            let satisfied = match board.len() {
                2 => visit(&[made], done),
                _ => walk(&put(board, i, j, made), done, visit),
            };
            done.pop();
            satisfied
        })
    })
}

/// The board on which what the numbers at two places make stands for them, last.
fn put<T: Clone>(board: &[T], i: usize, j: usize, made: T) -> Vec<T> {
    let others = board.iter().enumerate();
    let others = others.filter(|(place, _)| *place != i && *place != j);
    let others = others.map(|(_, number)| number.clone());
    others.chain([made]).collect()
}

/// Every way to put two of so many numbers together.
fn moves(count: usize) -> impl Iterator<Item = Move> {
    let pairs = (0..count).flat_map(move |i| (0..count).map(move |j| (i, j)));
    pairs.filter(|(i, j)| i != j).flat_map(|(i, j)| {
        // A sum and a product of two are the same either way round.
        let signs: &[char] = if i < j {
            &['+', '-', '*', '/']
        } else {
            &['-', '/']
        };
        signs.iter().map(move |sign| (i, j, *sign))
    })
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
    fn after(numbers: [u32; 4], moves: &[Move]) -> Option<Self> {
        let mut board = numbers.map(Self::Number).to_vec();
        for (i, j, sign) in moves {
            let made = Self::of(*sign, &board[*i], &board[*j]);
            board = put(&board, *i, *j, made);
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
            assert_eq!(solutions(numbers), count, "{numbers:?}");
        }
    }

    #[test]
    fn a_search_ends_at_the_first_solution_whatever_the_order_of_the_numbers() {
        // 1 2 8 13, 8 13 3, 3 21, 24.
        assert_eq!(search([1, 2, 8, 13]), Some(4));
        for numbers in [[1, 2, 3, 5], [5, 3, 2, 1]] {
            assert_eq!(search(numbers), Some(6));
        }
        assert_eq!(search([1, 1, 1, 1]), None);
    }

    #[test]
    fn a_puzzle_has_a_search_exactly_where_it_has_solutions() {
        for numbers in [[1, 1, 4, 6], [3, 3, 8, 8], [1, 1, 1, 2], [13, 13, 13, 13]] {
            assert_eq!(
                search(numbers).is_some(),
                solutions(numbers) > 0,
                "{numbers:?}"
            );
        }
    }
}
