//! What the two addition tasks share: the pairs, the false results, and the
//! evaluation items. Digits or words is the one difference between the tasks,
//! and it is handed in as a function.
//!
//! People were timed on all pairs of 2 to 9. Here an operand may also be 1 or
//! go on to 13, the other being at most 9, so that canonical wording occurs in
//! training as well and counting up from the larger takes nine steps at most.

use super::space::sum;
use super::sum::{Sum, Terms, Wording};
use super::{Counting, Notation, Rules, number_word};
use crate::tasks::Item;
use crate::tasks::reading::{Reading, indicator};

/// The larger operand goes up to this.
const LARGEST_OPERAND: u32 = 13;
/// The smaller operand goes up to this.
const LARGEST_SMALLER: u32 = 9;
/// A false result in training is off by this much at most.
const LARGEST_ERROR: u32 = 6;
/// The largest number in any problem.
pub const LARGEST_NUMBER: u32 = LARGEST_OPERAND + LARGEST_SMALLER + LARGEST_ERROR;

/// The operands people were timed on.
const EVALUATED: std::ops::RangeInclusive<u32> = 2..=9;
/// The results people were shown, true and false.
const SHOWN: std::ops::RangeInclusive<u32> = 4..=18;

/// How a task writes a number.
pub(super) type Write = fn(u32) -> String;

/// The addition task `name`: numbers and steps are written alike.
pub(super) fn task(
    name: &'static str,
    write: Write,
    evaluation_items: fn() -> Vec<Item>,
) -> Counting {
    let rules = Rules {
        name,
        family: FAMILY,
        notation: Notation {
            value: write,
            step: write,
            values: 1..=LARGEST_NUMBER,
            commutes: true,
        },
        evaluation_items,
        read,
    };
    Counting::new(rules, all(name, write))
}

/// All problems of the addition task `name`.
fn all(name: &'static str, write: Write) -> Vec<Sum> {
    let mut sums = Vec::new();
    for left in 1..=LARGEST_OPERAND {
        for right in 1..=LARGEST_OPERAND {
            if left.min(right) > LARGEST_SMALLER {
                continue;
            }
            let mut add = |wording, presented| {
                let terms = Terms {
                    left,
                    right,
                    presented,
                };
                let expression = format!("{} + {}", write(left), write(right));
                let condition = condition(terms);
                sums.push(sum(
                    (name, condition),
                    wording,
                    terms,
                    (&expression, " = "),
                    write,
                ));
            };
            add(Wording::Question, None);
            let right_result = left + right;
            let lowest = right_result.saturating_sub(LARGEST_ERROR).max(1);
            for presented in lowest..=right_result + LARGEST_ERROR {
                for wording in Wording::OTHERS {
                    add(wording, Some(presented));
                }
                if !(EVALUATED.contains(&left) && EVALUATED.contains(&right)) {
                    add(Wording::Canonical, Some(presented));
                }
            }
        }
    }
    sums
}

/// The evaluation items of the addition task `name`: every ordered pair of 2
/// to 9 with its sum and with one [`foil`].
pub(super) fn evaluation_items(name: &'static str, write: Write) -> Vec<Item> {
    let mut items = Vec::new();
    for left in EVALUATED {
        for right in EVALUATED {
            let sum = left + right;
            for presented in [sum, foil(left, right)] {
                let truth = presented == sum;
                let prompt = format!("{} + {} = {}", write(left), write(right), write(presented));
                items.push(Item {
                    task: name.to_owned(),
                    item_id: prompt.clone(),
                    prompt,
                    answer: truth.to_string(),
                    condition: condition_of(left, right, truth),
                    ..Item::default()
                });
            }
        }
    }
    items
}

/// What both tasks call their clusters after: they pose the same problems.
const FAMILY: &str = "addition";

/// Reads `4 + 9 = 13` and `four + nine = thirteen`, with any spaces.
///
/// Covariates: `size`, the sum of the operands; `larger` and `smaller`, the
/// operands; `tie`, whether they are equal; `truth`, whether the result shown
/// is right.
fn read(text: &str) -> Option<Reading> {
    let (expression, shown) = text.split_once('=')?;
    let (left, right) = expression.split_once('+')?;
    let terms = Terms {
        left: number(left)?,
        right: number(right)?,
        presented: Some(number(shown)?),
    };
    let Terms { left, right, .. } = terms;
    Some(Reading {
        covariates: vec![
            ("size", f64::from(terms.sum())),
            ("larger", f64::from(left.max(right))),
            ("smaller", f64::from(left.min(right))),
            ("tie", indicator(left == right)),
            ("truth", indicator(terms.truth()?)),
        ],
        problem: Some(format!("{left} + {right}")),
    })
}

/// The largest operand that is read: two of them have a sum.
const LARGEST_READ: u32 = u32::MAX / 2;

/// The number that a text writes in digits or, below a hundred, in words.
fn number(text: &str) -> Option<u32> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().filter(|number| *number <= LARGEST_READ);
    }
    (0..100).find(|number| number_word(*number).eq_ignore_ascii_case(text))
}

fn condition_of(left: u32, right: u32, truth: bool) -> String {
    let tie = if left == right { "tie" } else { "nontie" };
    format!("{truth}/{tie}/sum={}", left + right)
}

/// The condition in which people were timed on what `terms` say: a pair of 2 to
/// 9 with a result as far off as those that people were shown.
fn condition(terms: Terms) -> Option<String> {
    let Terms {
        left,
        right,
        presented,
    } = terms;
    let shown = presented?;
    let timed = EVALUATED.contains(&left)
        && EVALUATED.contains(&right)
        && SHOWN.contains(&shown)
        && shown.abs_diff(terms.sum()) <= LARGEST_SHOWN_ERROR;
    timed.then(|| condition_of(left, right, shown == terms.sum()))
}

/// How far off the false results that people were shown are at most.
const LARGEST_SHOWN_ERROR: u32 = 4;

/// How far off the false results of the evaluation are: by 1 to 4 either way,
/// as people's were. Ordered so that an even and an odd first operand meet
/// every distance.
const ERRORS: [i32; 8] = [-1, 1, 2, -2, -3, 3, 4, -4];

/// The false result shown for an evaluated pair: off by the entry of
/// [`ERRORS`] at place `(left + 2 * right) mod 8`, or as much the other way
/// where that would leave the 4 to 18 that people were shown.
fn foil(left: u32, right: u32) -> u32 {
    let sum = left + right;
    // The results shown are 15 in a row and hold the sum, so a step of at most
    // 4 stays among them in one direction at least.
    let error = ERRORS[(left + 2 * right) as usize % ERRORS.len()];
    [error, -error]
        .into_iter()
        .filter_map(|error| sum.checked_add_signed(error))
        .find(|shown| SHOWN.contains(shown))
        .unwrap_or(sum + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_read_in_digits_and_in_words() {
        let expected = Reading {
            covariates: vec![
                ("size", 13.0),
                ("larger", 9.0),
                ("smaller", 4.0),
                ("tie", 0.0),
                ("truth", 1.0),
            ],
            problem: Some("4 + 9".to_owned()),
        };
        for text in [
            "4 + 9 = 13",
            "4+9=13",
            "four + nine = thirteen",
            "Four+nine =Thirteen ",
        ] {
            assert_eq!(read(text), Some(expected.clone()), "{text}");
        }
        let tie = read("twenty-one + 21 = 41").unwrap();
        assert_eq!(tie.covariates[3..], [("tie", 1.0), ("truth", 0.0)]);
        for text in [
            "",
            "4 + 9",
            "4 + 9 = what",
            "13 = 4 + 9",
            "4 + 9 + 1 = 14",
            "4 + = 4",
            "-4 + 9 = 5",
            "4.5 + 9 = 13.5",
            "4294967295 + 1 = 3",
            "99999999999 + 1 = 3",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn foils_are_false_and_as_far_off_as_peoples() {
        let mut errors = std::collections::BTreeMap::<i64, u32>::new();
        for left in EVALUATED {
            for right in EVALUATED {
                let foil = foil(left, right);
                assert!(SHOWN.contains(&foil), "{left} + {right} = {foil}");
                let error = i64::from(foil) - i64::from(left + right);
                assert!((1..=4).contains(&error.abs()), "{left} + {right} = {foil}");
                *errors.entry(error).or_default() += 1;
            }
        }
        // No distance or direction stands for nearly all of them.
        assert!(
            errors.len() == 8 && errors.values().all(|n| *n <= 16),
            "{errors:?}"
        );
    }
}
