//! What an expression must come to, and from what: the expected answer of
//! countdown and of the game of 24.

use super::expression::Expression;

/// What the four numbers of an answer without a target come to.
const GAME: i64 = 24;
/// How many numbers a puzzle may have.
const COUNTS: std::ops::RangeInclusive<usize> = 2..=8;
/// The signs there are.
const SIGNS: [char; 4] = ['+', '-', '*', '/'];

/// A target and the numbers that must make it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Puzzle {
    target: i64,
    /// In ascending order.
    numbers: Vec<u32>,
    /// Whether some may be left out.
    some: bool,
    signs: Vec<char>,
}

impl Puzzle {
    /// Reads `24 from 1 1 4 6`, `24 from some of 1 1 4 6 with + - *`, or four
    /// numbers alone, which are to make 24. `None` where it is none of these.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Some((target, rest)) = text.split_once(" from ") else {
            let numbers = numbers(text)?;
            return (numbers.len() == 4).then_some(Self {
                target: GAME,
                numbers,
                some: false,
                signs: SIGNS.to_vec(),
            });
        };
        let rest = rest.trim();
        let (rest, some) = match rest.strip_prefix("some of ") {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let (list, signs) = match rest.split_once(" with ") {
            Some((list, signs)) => (list, signs_of(signs)?),
            None => (rest, SIGNS.to_vec()),
        };
        Some(Self {
            target: target.trim().parse().ok()?,
            numbers: numbers(list)?,
            some,
            signs,
        })
    }

    /// Whether the expression on the last line of `answer` solves it. Work in the
    /// open stands before that, a line a step.
    pub(super) fn is_solved_by(&self, answer: &str) -> bool {
        let line = answer.lines().rfind(|line| !line.trim().is_empty());
        let Some(mut expression) = line.and_then(Expression::read) else {
            return false;
        };
        expression.used.sort_unstable();
        let used = if self.some {
            is_among(&expression.used, &self.numbers)
        } else {
            expression.used == self.numbers
        };
        let allowed = |sign| self.signs.contains(sign);
        used && expression.signs.iter().all(allowed) && expression.value.is(self.target)
    }
}

/// The numbers of a list that has nothing else, in ascending order.
fn numbers(list: &str) -> Option<Vec<u32>> {
    let mut numbers: Vec<u32> = list
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().ok())
        .collect::<Option<_>>()?;
    numbers.sort_unstable();
    COUNTS.contains(&numbers.len()).then_some(numbers)
}

fn signs_of(list: &str) -> Option<Vec<char>> {
    let signs: Vec<char> = list.chars().filter(|c| !c.is_whitespace()).collect();
    let known = signs.iter().all(|sign| SIGNS.contains(sign));
    (known && !signs.is_empty()).then_some(signs)
}

/// Whether every one of `used` is another one of `numbers`; both ascending.
fn is_among(used: &[u32], numbers: &[u32]) -> bool {
    let mut left = numbers.iter();
    used.iter().all(|number| left.any(|other| other == number))
}
