//! Memory search: is a digit one of a list just read? `The list 3 7 1 contains
//! 7.`: `true`. People's times rise by the same step with every digit of the
//! list, whether the digit is there or not.
//!
//! Source: Sternberg, S. (1966), High-speed scanning in human memory, Science
//! 153, 652-654, experiment 1: lists of one to six digits, and the line of the
//! built-in norms (397.2 ms + 37.9 ms a digit). The lists here are drawn anew;
//! those that his subjects saw are not published. A model reads the list and
//! the digit at once, where people had to keep the list: the norm is of the
//! search alone.
//!
//! Training has other lists, and other wordings (`Does the list 3 7 1 contain 7?`,
//! `7 is in the list 3 7 1.`), in which alone lists of one digit occur there, all ten
//! of those being evaluated. The work compares the digit with every one of the list,
//! whether it has been found or not, as Sternberg concluded of people:
//! `<think> 7 ? 3 differ 7 same 1 differ </think> true`.

mod work;

use std::collections::HashSet;

use anyhow::Result;
use rand::RngExt;
use rand::seq::SliceRandom;

use super::corpus::Worked;
use super::item::split_of;
use super::reading::{Reading, indicator};
use super::task::drawn;
use super::{Item, Place, Split, Task};
use crate::random::{Stream, stream};

/// The task's name.
pub(super) const NAME: &str = "sternberg";

/// The longest list.
const LARGEST_SIZE: usize = 6;
/// Lists of each size, each asked once for a digit of it and once for another.
const LISTS: u64 = 10;

/// `sternberg`; see the file's head.
#[derive(Debug)]
pub(super) struct Sternberg {
    /// The lists of the evaluation, as they are written.
    evaluated: HashSet<String>,
}

/// How a problem is put, shown for the list 3 7 1 and the digit 7.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wording {
    /// `The list 3 7 1 contains 7.`, the wording of the evaluation.
    Contains,
    /// `Does the list 3 7 1 contain 7?`
    Does,
    /// `7 is in the list 3 7 1.`
    In,
}

impl Wording {
    fn ask(self, list: &str, digit: usize) -> String {
        match self {
            Self::Contains => format!("The list {list} contains {digit}."),
            Self::Does => format!("Does the list {list} contain {digit}?"),
            Self::In => format!("{digit} is in the list {list}."),
        }
    }
}

/// A list and a digit.
#[derive(Clone, Debug, PartialEq)]
struct Search {
    list: Vec<u8>,
    digit: u8,
}

impl Search {
    /// Reads a problem in any wording, and `3 7 1 : 7`.
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let between = |from: &str, to: &str| text.strip_prefix(from)?.strip_suffix(to);
        let (list, digit) = if let Some(text) = between("The list ", ".") {
            text.split_once(" contains ")?
        } else if let Some(text) = between("Does the list ", "?") {
            text.split_once(" contain ")?
        } else if let Some(text) = text.strip_suffix('.') {
            let (digit, list) = text.split_once(" is in the list ")?;
            (list, digit)
        } else {
            text.split_once(" : ")?
        };
        let digit_of = |text: &str| match text.as_bytes() {
            [digit @ b'0'..=b'9'] => Some(digit - b'0'),
            _ => None,
        };
        let list: Vec<u8> = list
            .split_whitespace()
            .map(digit_of)
            .collect::<Option<_>>()?;
        let digit = digit_of(digit)?;
        (!list.is_empty()).then_some(Self { list, digit })
    }

    fn is_there(&self) -> bool {
        self.list.contains(&self.digit)
    }
}

impl Sternberg {
    pub(super) fn new() -> Self {
        let evaluated = lists().map(|(_, list, ..)| list).collect();
        Self { evaluated }
    }
}

/// The lists of the evaluation, each with its size, a digit of it and another one.
fn lists() -> impl Iterator<Item = (usize, String, usize, usize)> {
    (1..=LARGEST_SIZE).flat_map(|size| {
        (0..LISTS).map(move |list| {
            // Ten digits in an order of their own: the first are the list.
            // Of one digit there are ten lists, all of them used.
            let mut digits: Vec<usize> = (0..10).collect();
            let mut rng = stream(0, NAME, &[size as u64, list]);
            digits.shuffle(&mut rng);
            if size == 1
                && let Some(at) = digits.iter().position(|&digit| digit as u64 == list)
            {
                digits.swap(0, at);
            }
            let there = digits[rng.random_range(0..size as u64) as usize];
            let absent = digits[rng.random_range(size as u64..10) as usize];
            (size, written(&digits[..size]), there, absent)
        })
    })
}

fn written(list: &[usize]) -> String {
    let digits: Vec<String> = list.iter().map(usize::to_string).collect();
    digits.join(" ")
}

fn item(list: &str, size: usize, digit: usize, truth: bool, wording: Wording) -> Item {
    Item {
        task: NAME.to_owned(),
        item_id: format!("{list} : {digit}"),
        prompt: wording.ask(list, digit),
        answer: truth.to_string(),
        condition: format!("{truth}/size={size}"),
        ..Item::default()
    }
}

impl Task for Sternberg {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, place: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        loop {
            let size = random.random_range(1..=LARGEST_SIZE as u64) as usize;
            let mut digits: Vec<usize> = (0..10).collect();
            digits.shuffle(random);
            let list = written(&digits[..size]);
            let truth = random.random_bool(0.5);
            let digit = if truth {
                digits[random.random_range(0..size as u64) as usize]
            } else {
                digits[random.random_range(size as u64..10) as usize]
            };
            let other = random.random_bool(place.proportions.other_wordings);
            let wording = match (other || size == 1, random.random_bool(0.5)) {
                (false, _) => Wording::Contains,
                (true, false) => Wording::Does,
                (true, true) => Wording::In,
            };
            let item = item(&list, size, digit, truth, wording);
            let is_evaluated = size > 1 && self.evaluated.contains(&list);
            if !is_evaluated && split_of(NAME, &item.prompt) == split {
                return Ok(Item {
                    item_id: item.prompt.clone(),
                    split,
                    ..item
                });
            }
        }
    }

    /// 120 items: ten lists of each of six sizes, with a digit that is there
    /// and one that is not.
    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let items = lists().flat_map(|(size, list, there, absent)| {
            [(there, true), (absent, false)]
                .map(|(digit, truth)| item(&list, size, digit, truth, Wording::Contains))
        });
        Ok(items.collect())
    }

    /// Reads `3 7 1 : 7` and `The list 3 7 1 contains 7.` Covariates: `size`, the
    /// digits of the list; `present`, whether the digit asked for is one of them.
    fn read(&self, text: &str) -> Option<Reading> {
        let search = Search::read(text)?;
        Some(Reading {
            covariates: vec![
                ("size", search.list.len() as f64),
                ("present", indicator(search.is_there())),
            ],
            problem: None,
        })
    }

    fn worked(&self) -> Option<&dyn Worked> {
        Some(self)
    }

    /// The pieces of the prompts: a capital is a piece of its own.
    fn words(&self) -> Vec<String> {
        let pieces = ["he", "the", "list", "contains", "oes", "contain", "in"];
        pieces.map(str::to_owned).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use experiments::norms::conditions;

    use super::*;
    use crate::tasks::{Mix, Proportions};

    #[test]
    fn every_list_has_distinct_digits_and_the_answer_is_what_it_says() {
        let items = Sternberg::new().evaluation_items().unwrap();
        let names: BTreeSet<&str> = items.iter().map(|item| item.item_id.as_str()).collect();
        assert_eq!((items.len(), names.len()), (120, 120));
        for item in &items {
            let (list, digit) = item.item_id.split_once(" : ").unwrap();
            let digits: BTreeSet<&str> = list.split(' ').collect();
            assert_eq!(digits.len(), list.split(' ').count(), "{item:?}");
            assert_eq!(item.answer, digits.contains(digit).to_string(), "{item:?}");
            assert!(item.prompt.contains(list) && item.prompt.ends_with(&format!(" {digit}.")));
        }
    }

    #[test]
    fn a_list_is_read_in_its_prompt_and_in_its_name() {
        for (text, size, present) in [
            ("The list 3 7 1 contains 7.", 3.0, 1.0),
            ("3 7 1 : 7", 3.0, 1.0),
            ("The list 3 contains 7.", 1.0, 0.0),
            ("3 : 7", 1.0, 0.0),
        ] {
            let covariates = Sternberg::new().read(text).unwrap().covariates;
            assert_eq!(covariates, [("size", size), ("present", present)], "{text}");
        }
        for text in [
            "",
            "3 7 1",
            "Was 7 in 3 7 1?",
            "a b : a",
            "3 12 : 3",
            "The list  contains 7.",
        ] {
            assert_eq!(Sternberg::new().read(text), None, "{text}");
        }
        for item in Sternberg::new().evaluation_items().unwrap() {
            let of_prompt = Sternberg::new().read(&item.prompt);
            assert_eq!(of_prompt, Sternberg::new().read(&item.item_id), "{item:?}");
            let present = f64::from(u8::from(item.answer == "true"));
            assert_eq!(of_prompt.unwrap().covariates[1], ("present", present));
        }
    }

    #[test]
    fn other_lists_are_trained_on_and_every_size_occurs() {
        let task = Sternberg::new();
        let mix = Mix::new(&[NAME], Proportions::default()).unwrap();
        let (mut sizes, mut canonical) = (BTreeSet::new(), 0);
        for index in 0..2000 {
            let item = mix.item(1, Split::Train, index).unwrap();
            let search = Search::read(&item.prompt).unwrap();
            let digits: Vec<usize> = search.list.iter().map(|d| usize::from(*d)).collect();
            assert!(digits.len() == 1 || !task.evaluated.contains(&written(&digits)));
            assert_eq!(item.answer, search.is_there().to_string(), "{item:?}");
            assert!(conditions::lookup(NAME, &item.condition).is_some());
            sizes.insert((digits.len(), search.is_there()));
            canonical += usize::from(item.prompt.starts_with("The list"));
        }
        assert_eq!(sizes.len(), 2 * LARGEST_SIZE);
        // Two in three of five sizes of six.
        assert!((canonical as f64 / 2000.0 - 5.0 / 9.0).abs() < 0.05);
    }

    #[test]
    fn the_built_in_times_are_the_published_line() {
        for item in Sternberg::new().evaluation_items().unwrap() {
            let found = conditions::lookup(NAME, &item.condition).unwrap();
            let size = item.condition.rsplit('=').next().unwrap();
            let line = 397.2 + 37.9 * size.parse::<f64>().unwrap();
            assert!((found.mean_rt_ms - line).abs() < 0.051, "{found:?}");
            assert_eq!(found.mean_log_rt, None);
        }
    }
}
