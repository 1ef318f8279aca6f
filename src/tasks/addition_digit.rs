//! Addition in digits: is `4 + 9 = 13` true?
//!
//! The pairs and the evaluation items are those of [`super::addition`].

use super::problem::{EvaluationItem, Problem};
use super::reading::Reading;
use super::space::Space;
use super::{Evaluated, Notation, Task, addition};

/// The task's name.
pub(super) const NAME: &str = "addition_digit";

/// `addition_digit`; see the file's head.
#[derive(Debug)]
pub struct AdditionDigit {
    space: Space,
}

impl AdditionDigit {
    /// The task with all its problems written out.
    pub fn new() -> Self {
        Self {
            space: Space::new(addition::all(NAME, digits)),
        }
    }
}

impl Default for AdditionDigit {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluated for AdditionDigit {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluation_items(&self) -> Vec<EvaluationItem> {
        addition::evaluation_items(NAME, digits)
    }

    fn read(&self, text: &str) -> Option<Reading> {
        addition::read(text)
    }

    fn family(&self) -> &'static str {
        addition::FAMILY
    }
}

impl Task for AdditionDigit {
    fn space(&self) -> &Space {
        &self.space
    }

    fn notation(&self) -> Notation {
        addition::notation(digits)
    }

    fn condition(&self, problem: &Problem) -> Option<String> {
        addition::condition(problem.terms)
    }
}

fn digits(number: u32) -> String {
    number.to_string()
}
