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

use anyhow::{Result, bail};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::reading::{Reading, indicator};
use super::{Item, Place, Split, Task};
use crate::random::Stream;
use crate::random::stream;

/// The task's name.
pub(super) const NAME: &str = "sternberg";

/// The longest list.
const LARGEST_SIZE: usize = 6;
/// Lists of each size, each asked once for a digit of it and once for another.
const LISTS: u64 = 10;

/// `sternberg`; see the file's head.
#[derive(Debug)]
pub(super) struct Sternberg;

impl Task for Sternberg {
    fn name(&self) -> &str {
        NAME
    }

    fn trains(&self) -> bool {
        false
    }

    fn draw(&self, _: Split, _: Place, _: &mut Stream) -> Result<Item> {
        bail!("{NAME} has no problems to train on")
    }

    /// 120 items: ten lists of each of six sizes, with a digit that is there
    /// and one that is not.
    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for size in 1..=LARGEST_SIZE {
            for list in 0..LISTS {
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
                let shown: Vec<String> = digits[..size].iter().map(usize::to_string).collect();
                for (digit, truth) in [(there, true), (absent, false)] {
                    items.push(Item {
                        task: NAME.to_owned(),
                        item_id: format!("{} : {digit}", shown.join(" ")),
                        prompt: format!("The list {} contains {digit}.", shown.join(" ")),
                        answer: truth.to_string(),
                        condition: format!("{truth}/size={size}"),
                        ..Item::default()
                    });
                }
            }
        }
        Ok(items)
    }

    /// Reads `3 7 1 : 7` and `The list 3 7 1 contains 7.` Covariates: `size`, the
    /// digits of the list; `present`, whether the digit asked for is one of them.
    fn read(&self, text: &str) -> Option<Reading> {
        let text = text.trim();
        let sentence = text.strip_prefix("The list ");
        let (list, digit) = match sentence.and_then(|text| text.strip_suffix('.')) {
            Some(sentence) => sentence.split_once(" contains ")?,
            None => text.split_once(" : ")?,
        };
        let list: Vec<&str> = list.split_whitespace().collect();
        let is_digit = |text: &&str| matches!(text.as_bytes(), [b'0'..=b'9']);
        let all_digits = list.iter().chain([&digit]).all(is_digit);
        (all_digits && !list.is_empty()).then(|| Reading {
            covariates: vec![
                ("size", list.len() as f64),
                ("present", indicator(list.contains(&digit))),
            ],
            problem: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use experiments::norms::conditions;

    use super::*;

    #[test]
    fn every_list_has_distinct_digits_and_the_answer_is_what_it_says() {
        let items = Sternberg.evaluation_items().unwrap();
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
            let covariates = Sternberg.read(text).unwrap().covariates;
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
            assert_eq!(Sternberg.read(text), None, "{text}");
        }
        for item in Sternberg.evaluation_items().unwrap() {
            let of_prompt = Sternberg.read(&item.prompt);
            assert_eq!(of_prompt, Sternberg.read(&item.item_id), "{item:?}");
            let present = f64::from(u8::from(item.answer == "true"));
            assert_eq!(of_prompt.unwrap().covariates[1], ("present", present));
        }
    }

    #[test]
    fn the_built_in_times_are_the_published_line() {
        for item in Sternberg.evaluation_items().unwrap() {
            let found = conditions::lookup(NAME, &item.condition).unwrap();
            let size = item.condition.rsplit('=').next().unwrap();
            let line = 397.2 + 37.9 * size.parse::<f64>().unwrap();
            assert!((found.mean_rt_ms - line).abs() < 0.051, "{found:?}");
            assert_eq!(found.mean_log_rt, None);
        }
    }
}
