//! Alphabet arithmetic: is `A+3=D` true? Counting three letters on from A
//! tells, and people's times rise with the addend.
//!
//! People were timed on A to H with addends 1 to 5, the presented letter being
//! right or next to the right one. Here the pairs go on to Z and to an addend
//! of 9, so that canonical wording occurs in training as well.

use super::space::sum;
use super::sum::{Sum, Terms, Wording};
use super::{Counting, Notation, Rules};
use crate::tasks::Item;
use crate::tasks::reading::{Reading, indicator};

/// The task's name.
pub(in crate::tasks) const NAME: &str = "alphabet_arithmetic";

/// Z, counted from A = 0.
const LAST_LETTER: u32 = 25;
/// The largest addend in training.
const LARGEST_ADDEND: u32 = 9;
/// H: the last letter that people were asked to count from.
const LAST_EVALUATED_LETTER: u32 = 7;
/// The largest addend that people were asked to count.
const LARGEST_EVALUATED_ADDEND: u32 = 5;

/// The task with all its problems written out.
pub(in crate::tasks) fn task() -> Counting {
    let rules = Rules {
        name: NAME,
        family: NAME,
        notation: Notation {
            value: letter,
            step: |number| number.to_string(),
            values: 0..=LAST_LETTER,
            commutes: false,
        },
        evaluation_items,
        read,
    };
    Counting::new(rules, all())
}

/// The 120 items people were timed on: A to H, addends 1 to 5, and the
/// letter before the right one, the right one, the one after it.
fn evaluation_items() -> Vec<Item> {
    let mut items = Vec::new();
    for left in 0..=LAST_EVALUATED_LETTER {
        for right in 1..=LARGEST_EVALUATED_ADDEND {
            for presented in left + right - 1..=left + right + 1 {
                let truth = presented == left + right;
                let prompt = format!("{}+{right}={}", letter(left), letter(presented));
                items.push(Item {
                    task: NAME.to_owned(),
                    item_id: prompt.clone(),
                    prompt,
                    answer: truth.to_string(),
                    condition: condition_of(truth, right),
                    ..Item::default()
                });
            }
        }
    }
    items
}

/// Reads `A+3=D`, with any spaces. Covariates: `addend`; `letter`, the place
/// in the alphabet of the letter to count from, A being 1; `truth`, whether
/// the letter shown is right.
fn read(text: &str) -> Option<Reading> {
    let (expression, shown) = text.split_once('=')?;
    let (left, right) = expression.split_once('+')?;
    let addend = right.trim().parse().ok().filter(|n| *n <= LAST_LETTER)?;
    let terms = Terms {
        left: place(left)?,
        right: addend,
        presented: Some(place(shown)?),
    };
    Some(Reading {
        covariates: vec![
            ("addend", f64::from(addend)),
            ("letter", f64::from(terms.left + 1)),
            ("truth", indicator(terms.truth()?)),
        ],
        problem: None,
    })
}

/// The place after A of the letter that a text is.
fn place(text: &str) -> Option<u32> {
    let text = text.trim();
    (0..=LAST_LETTER).find(|number| letter(*number).eq_ignore_ascii_case(text))
}

fn condition_of(truth: bool, addend: u32) -> String {
    format!("{truth}/addend={addend}")
}

/// The condition in which people were timed on what `terms` say.
fn condition(terms: Terms) -> Option<String> {
    let truth = terms.truth()?;
    is_evaluated(terms.left, terms.right).then(|| condition_of(truth, terms.right))
}

/// The letter that stands `number` places after A.
fn letter(number: u32) -> String {
    debug_assert!(number <= LAST_LETTER, "no letter stands {number} after A");
    char::from(b'A' + number as u8).to_string()
}

fn is_evaluated(left: u32, right: u32) -> bool {
    left <= LAST_EVALUATED_LETTER && right <= LARGEST_EVALUATED_ADDEND
}

fn all() -> Vec<Sum> {
    let mut sums = Vec::new();
    for left in 0..LAST_LETTER {
        for right in 1..=LARGEST_ADDEND.min(LAST_LETTER - left) {
            let mut add = |wording, presented| {
                let terms = Terms {
                    left,
                    right,
                    presented,
                };
                let expression = format!("{}+{right}", letter(left));
                let condition = condition(terms);
                sums.push(sum(
                    (NAME, condition),
                    wording,
                    terms,
                    (&expression, "="),
                    letter,
                ));
            };
            add(Wording::Question, None);
            // Off by one, as people's were: the neighbours within the alphabet.
            let right_result = left + right;
            for presented in right_result - 1..=LAST_LETTER.min(right_result + 1) {
                for wording in Wording::OTHERS {
                    add(wording, Some(presented));
                }
                if !is_evaluated(left, right) {
                    add(Wording::Canonical, Some(presented));
                }
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_letters_is_read() {
        let covariates = |text| read(text).map(|reading| reading.covariates);
        let expected = |truth| vec![("addend", 3.0), ("letter", 2.0), ("truth", truth)];
        assert_eq!(covariates("B+3=E"), Some(expected(1.0)));
        assert_eq!(covariates("b + 3 = f"), Some(expected(0.0)));
        for text in [
            "",
            "B+3",
            "B+3= what",
            "E = B+3",
            "B+E=3",
            "BB+3=E",
            "B+-3=E",
            "B+99=E",
        ] {
            assert_eq!(covariates(text), None, "{text}");
        }
    }
}
