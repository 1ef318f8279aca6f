//! Addition in words: is `four + nine = thirteen` true?
//!
//! The pairs and the evaluation items are those of [`super::addition`].

use super::{Counting, addition};

/// The task's name.
pub(in crate::tasks) const NAME: &str = "addition_word";

/// The task with all its problems written out.
pub(in crate::tasks) fn task() -> Counting {
    addition::task(NAME, number_word, || {
        addition::evaluation_items(NAME, number_word)
    })
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
