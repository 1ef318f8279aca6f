//! Addition in digits: is `4 + 9 = 13` true?
//!
//! The pairs and the evaluation items are those of [`super::addition`].

use super::{Counting, addition};

/// The task's name.
pub(in crate::tasks) const NAME: &str = "addition_digit";

/// The task with all its problems written out.
pub(in crate::tasks) fn task() -> Counting {
    addition::task(NAME, digits, || addition::evaluation_items(NAME, digits))
}

fn digits(number: u32) -> String {
    number.to_string()
}
