//! How much of the work on one of the lab's own additions is right.
//!
//! The work it knows is counting on: `A + 3 ? A 1 B 2 C 3 D ; D , D same` for
//! `D = A+3`. A count starts at an operand; each step after it is a number and
//! the value reached; `;` ends it with the result, and `, D same` (or `differ`)
//! compares that with what the prompt presents, if anything.
//!
//! Formula: (r + c) / (max(n, m) + 1), for the n steps there are to count, the m
//! steps counted, the r right ones among the first n, and c, 1 if the count is
//! complete, else 0. A step is right if its number and its value are each the
//! next after those before, so one slip costs one step. A count is complete if it
//! has n right steps and no more, its result is the value it came to, and the
//! comparison is with what was presented and true. Range: \[0, 1\].
//!
//! | work on `D = A+3` | value |
//! |---|---|
//! | `A 1 B 2 C 3 D ; D , D same` | (3 + 1) / 4 |
//! | `A 1 B hmm . A 1 B 2 C 3 D ; D , D same` | (3 + 1) / 4 |
//! | `A 1 B 2 C 3 C ; C , D differ` (a value repeated) | 2 / 4 |
//! | `A 1 B 2 C ; C , D differ` (a step too few) | 2 / 4 |
//! | `A 1 B 2 C 3 D 4 E ; E , D differ` (one too many) | 3 / 5 |
//! | `B 1 C 2 D ; D , D same`, or no count at all | 0 |
//!
//! Of several counts the last that has a result is judged, else the last: a false
//! start or a second count costs nothing and earns nothing. Numbers may be added
//! in either order, so a count may start at either and has the other's steps.
//! Where a completion has no tags, all of it is taken for work.
//!
//! It does not apply to a prompt without a problem to read. That is the last
//! `V + N` in it, with V a capital letter, a number or a number word and N a
//! number or number word, neither an operand of another sign; `= P` or `is P`
//! after it, or `P =` before it, presents P. Instructions and chat templates may
//! stand around. A letter plus a number that goes past Z is no problem.
//!
//! Source: the work that the lab's pre-training corpus is made of; a step is
//! judged by the one before it as in process supervision (Lightman et al. 2023,
//! arXiv 2305.20050), departure: by rule, and with the mean in place of a model's
//! product.
//!
//! What it deliberately does not do: look at the answer, which is for `correct`,
//! or at length; tell an idle restart from a needed one; read work in another
//! form, such as prose, which is worth 0. It reads any prompt with a sum in it,
//! so it belongs with the tasks that are such sums.

#[cfg(test)]
mod tests;
mod text;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::Thinking;
use crate::{Extraction, Reward, RewardError, Score, Scored, Scores};
use text::{Token, tokens};

/// The name in the registry.
pub const NAME: &str = "process";

/// Z, counted from A = 0.
const LAST_LETTER: u32 = 25;

/// Parameters of [`Process`]: none.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Parameters {}

/// The share of the work that is right.
///
/// Parts: `start` (0 or 1, whether the count starts at an operand), `steps` (the
/// share of right steps, r / max(n, m), 1 where there are none to count) and
/// `complete` (0 or 1, c).
#[derive(Debug, Clone, PartialEq)]
pub struct Process;

impl Reward for Process {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        Ok(batch.iter().map(judge).collect())
    }

    fn independent(&self) -> bool {
        true
    }
}

fn judge(item: &Scored<'_>) -> Score {
    let Some(problem) = Problem::read(&tokens(item.prompt)) else {
        return Score::does_not_apply();
    };
    let read = Extraction::new(item.prompt, item.completion);
    let work = match read.thinking {
        Thinking::Absent => item.completion,
        _ => read.reasoning,
    };
    let tokens = tokens(work);
    let start = last_count(&tokens, problem.notation)
        .and_then(|count| Some((problem.steps_from(count.first)?, count)));
    let Some((due, count)) = start else {
        return Score::new(0.0)
            .with_part("start", 0.0)
            .with_part("steps", 0.0)
            .with_part("complete", 0.0);
    };
    let right = count.right(due, problem.notation);
    let all = count.steps().len().max(due);
    let complete = f64::from(u8::from(right == all && problem.concludes(&count)));
    let (right, all) = (right as f64, all as f64);
    Score::new((right + complete) / (all + 1.0))
        .with_part("start", 1.0)
        .with_part("steps", if all > 0.0 { right / all } else { 1.0 })
        .with_part("complete", complete)
}

/// What the values of a problem are. Its steps are numbers either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Letters,
    Numbers,
}

impl Notation {
    fn value(self, token: Option<&Token<'_>>) -> Option<u32> {
        match (self, token?) {
            (Self::Letters, Token::Letter(value)) | (Self::Numbers, Token::Number(value)) => {
                Some(*value)
            }
            _ => None,
        }
    }
}

fn number(token: Option<&Token<'_>>) -> Option<u32> {
    Notation::Numbers.value(token)
}

/// A sum.
///
/// `D = A+3`, letters counted from 0:
///
/// ```text
/// Problem { notation: Letters, left: 0, right: 3, presented: Some(3) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Problem {
    notation: Notation,
    left: u32,
    right: u32,
    presented: Option<u32>,
}

impl Problem {
    /// The last problem of a prompt.
    fn read(tokens: &[Token<'_>]) -> Option<Self> {
        (0..tokens.len()).rev().find_map(|at| Self::at(tokens, at))
    }

    /// The problem whose `+` stands at `at`.
    fn at(tokens: &[Token<'_>], at: usize) -> Option<Self> {
        // The token so many places before the plus, or after it.
        let before = |places: usize| tokens.get(at.checked_sub(places)?);
        let after = |places: usize| tokens.get(at + places);
        if tokens.get(at) != Some(&Token::Sign('+')) {
            return None;
        }
        let notation = match before(1)? {
            Token::Letter(_) => Notation::Letters,
            _ => Notation::Numbers,
        };
        let problem = Self {
            notation,
            left: notation.value(before(1))?,
            right: number(after(1))?,
            presented: None,
        };
        let operates =
            |token: Option<&Token<'_>>| matches!(token, Some(Token::Sign('+' | '-' | '*' | '/')));
        let longer = operates(before(2)) && notation.value(before(3)).is_some()
            || operates(after(2)) && number(after(3)).is_some();
        let beyond =
            notation == Notation::Letters && problem.left.checked_add(problem.right)? > LAST_LETTER;
        if longer || beyond {
            return None;
        }
        let shown_after = match after(2) {
            Some(Token::Sign('=') | Token::Word("is")) => notation.value(after(3)),
            _ => None,
        };
        let shown_before = match before(2) {
            Some(Token::Sign('=')) => notation.value(before(3)),
            _ => None,
        };
        Some(Self {
            presented: shown_after.or(shown_before),
            ..problem
        })
    }

    /// How many steps there are to count from `first`, if one may start there.
    fn steps_from(&self, first: u32) -> Option<usize> {
        let steps = if first == self.left {
            self.right
        } else if self.notation == Notation::Numbers && first == self.right {
            self.left
        } else {
            return None;
        };
        usize::try_from(steps).ok()
    }

    /// Whether what follows a count says what it came to, and compares that
    /// truly with what was presented.
    fn concludes(&self, count: &Count<'_>) -> bool {
        let value = |at: usize| self.notation.value(count.after.get(at));
        let result = value(1);
        if !count.ends() || result != Some(count.last(self.notation)) {
            return false;
        }
        let Some(presented) = self.presented else {
            return true;
        };
        let verdict = if result == Some(presented) {
            "same"
        } else {
            "differ"
        };
        count.after.get(2) == Some(&Token::Sign(','))
            && value(3) == Some(presented)
            && count.after.get(4) == Some(&Token::Word(verdict))
    }
}

/// A count as it is written.
struct Count<'a> {
    first: u32,
    /// Numbers and values in turn.
    steps: &'a [Token<'a>],
    /// What follows, to the end of the work.
    after: &'a [Token<'a>],
}

impl Count<'_> {
    fn steps(&self) -> std::slice::ChunksExact<'_, Token<'_>> {
        self.steps.chunks_exact(2)
    }

    /// How many of the first `due` steps follow from the one before.
    fn right(&self, due: usize, notation: Notation) -> usize {
        let mut before = (Some(0), Some(self.first));
        let mut right = 0;
        for step in self.steps().take(due) {
            let next = (number(step.first()), notation.value(step.last()));
            let follows = |before: Option<u32>, next| before.and_then(|n| n.checked_add(1)) == next;
            right += usize::from(follows(before.0, next.0) && follows(before.1, next.1));
            before = next;
        }
        right
    }

    /// The value it comes to.
    fn last(&self, notation: Notation) -> u32 {
        notation.value(self.steps.last()).unwrap_or(self.first)
    }

    /// Whether it is ended, with a result or something in its place.
    fn ends(&self) -> bool {
        self.after.first() == Some(&Token::Sign(';'))
    }
}

/// The last count that is ended, else the last. A value alone is a count, of no
/// steps, only after the question that begins one.
fn last_count<'a>(tokens: &'a [Token<'a>], notation: Notation) -> Option<Count<'a>> {
    let mut last: Option<Count<'a>> = None;
    let mut at = 0;
    while at < tokens.len() {
        let Some(first) = notation.value(tokens.get(at)) else {
            at += 1;
            continue;
        };
        let asked = at > 0 && tokens.get(at - 1) == Some(&Token::Sign('?'));
        let start = at + 1;
        at = start;
        while number(tokens.get(at)).is_some() && notation.value(tokens.get(at + 1)).is_some() {
            at += 2;
        }
        let count = Count {
            first,
            steps: &tokens[start..at],
            after: &tokens[at..],
        };
        let is_count = asked || !count.steps.is_empty();
        if is_count && (count.ends() || !last.as_ref().is_some_and(Count::ends)) {
            last = Some(count);
        }
    }
    last
}
