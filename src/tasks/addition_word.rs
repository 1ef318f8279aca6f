//! Addition in words: is `four + nine = thirteen` true?
//!
//! The pairs and the evaluation items are those of [`super::addition`].

use super::problem::{EvaluationItem, Problem};
use super::reading::Reading;
use super::space::Space;
use super::{Evaluated, Notation, Task, addition};

/// The task's name.
pub(super) const NAME: &str = "addition_word";

/// `addition_word`; see the file's head.
#[derive(Debug)]
pub struct AdditionWord {
    space: Space,
}

impl AdditionWord {
    /// The task with all its problems written out.
    pub fn new() -> Self {
        Self {
            space: Space::new(addition::all(NAME, number_word)),
        }
    }
}

impl Default for AdditionWord {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluated for AdditionWord {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluation_items(&self) -> Vec<EvaluationItem> {
        addition::evaluation_items(NAME, number_word)
    }

    fn read(&self, text: &str) -> Option<Reading> {
        addition::read(text)
    }

    fn family(&self) -> &'static str {
        addition::FAMILY
    }
}

impl Task for AdditionWord {
    fn space(&self) -> &Space {
        &self.space
    }

    fn notation(&self) -> Notation {
        addition::notation(number_word)
    }

    fn condition(&self, problem: &Problem) -> Option<String> {
        addition::condition(problem.terms)
    }
}

/// `number` (up to 99) as one English word.
///
/// ```
/// use qinglan::tasks::number_word;
///
/// assert_eq!(number_word(13), "thirteen");
/// assert_eq!(number_word(21), "twenty-one");
/// ```
pub fn number_word(number: u32) -> String {
    const ONES: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = [
        "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
    ];
    debug_assert!(number < 100, "{number} has no word here");
    let (tens, ones) = ((number / 10) as usize, (number % 10) as usize);
    match (tens, ones) {
        (0 | 1, _) => ONES[number as usize].to_owned(),
        (_, 0) => TENS[tens - 2].to_owned(),
        _ => format!("{}-{}", TENS[tens - 2], ONES[ones]),
    }
}
