//! Spatial relations: two premises with compass directions, then where C lies
//! from A. "The school is east of the bank. The bank is north of the gym.
//! Where is the gym relative to the school?" `south-west`.
//!
//! Items and answers come with the norms (a folder); none is carried here, and
//! none is generated, because people's times are of these very sentences.
//!
//! An answer is a sentence or a bare direction. It is right where it names the
//! expected direction and no other: `southwest`, `south west` and `The gym is
//! south-west of the school.` are one answer, and an answer that names two
//! directions is none. Where the two premises cancel, the answer is `same
//! place`, and any text with the word `same` and no direction names it.

use super::Evaluated;
use super::grading;
use super::problem::EvaluationItem;
use super::reading::{Reading, indicator};

/// The task's name.
pub(super) const NAME: &str = "spatial_relations";

/// `spatial_relations`; see the file's head.
#[derive(Debug)]
pub(super) struct SpatialRelations;

impl Evaluated for SpatialRelations {
    fn name(&self) -> &'static str {
        NAME
    }

    fn evaluation_items(&self) -> Vec<EvaluationItem> {
        Vec::new()
    }

    /// Reads the premises: the sentences that end with a full stop and name one
    /// direction. Covariates: `premises`, how many; `diagonals`, how many of them
    /// name a direction between two others (north-east); `opposed`, on how many
    /// of the two axes the premises go both ways; `alike`, whether all name one
    /// direction.
    fn read(&self, text: &str) -> Option<Reading> {
        let sentences = text.split_inclusive(['.', '?', '!']);
        let premises: Vec<String> = sentences
            .filter(|sentence| sentence.ends_with('.'))
            .filter_map(direction)
            .filter(|direction| direction != NOWHERE)
            .collect();
        let named = |part: &str| premises.iter().any(|direction| direction.contains(part));
        let axes = [("north", "south"), ("east", "west")];
        let opposed = axes
            .iter()
            .filter(|(one, other)| named(one) && named(other));
        let is_diagonal = |direction: &&String| direction.len() > "north".len();
        let first = premises.first()?;
        Some(Reading {
            covariates: vec![
                ("premises", premises.len() as f64),
                (
                    "diagonals",
                    premises.iter().filter(is_diagonal).count() as f64,
                ),
                ("opposed", opposed.count() as f64),
                (
                    "alike",
                    indicator(premises.iter().all(|direction| direction == first)),
                ),
            ],
            problem: None,
        })
    }

    fn grade(&self, expected: &str, completion: &str) -> bool {
        let answer = grading::answer(completion).and_then(|answer| direction(&answer));
        answer.is_some() && answer == direction(expected)
    }
}

/// Where C is where A is, there is no direction to name.
const NOWHERE: &str = "same";

/// The one direction that a text names, `None` where it names none or several.
fn direction(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let mut named: Vec<String> = Vec::new();
    let mut joins = false;
    for word in text
        .split(|c: char| !c.is_ascii_alphabetic())
        .filter(|word| !word.is_empty())
    {
        let is_main = matches!(word, "north" | "south");
        let is_side = matches!(word, "east" | "west");
        let is_none = word == NOWHERE;
        let is_whole = matches!(word, "northeast" | "northwest" | "southeast" | "southwest");
        match named.last_mut() {
            Some(last) if is_side && joins => last.push_str(word),
            _ if is_main || is_side || is_whole || is_none => named.push(word.to_owned()),
            _ => {}
        }
        joins = is_main;
    }
    named.dedup();
    match named.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn premises_are_read_and_the_question_is_not() {
        let covariates = |one: &str, other: &str| {
            let text = format!(
                "The school is {one} of the bank. The bank is {other} of the gym. \
                 Where is the gym relative to the school?"
            );
            let covariates = SpatialRelations.read(&text).unwrap().covariates;
            covariates
                .into_iter()
                .map(|(_, value)| value)
                .collect::<Vec<_>>()
        };
        for (one, other, expected) in [
            ("east", "east", [2.0, 0.0, 0.0, 1.0]),
            ("east", "north-west", [2.0, 1.0, 1.0, 0.0]),
            ("north-east", "south west", [2.0, 2.0, 2.0, 0.0]),
            ("southeast", "South-East", [2.0, 2.0, 0.0, 1.0]),
        ] {
            assert_eq!(covariates(one, other), expected, "{one}, {other}");
        }
        for text in [
            "",
            "east+north",
            "Where is the gym?",
            "They are in the same place.",
        ] {
            assert_eq!(SpatialRelations.read(text), None, "{text}");
        }
    }

    #[test]
    fn the_same_place_is_an_answer_too() {
        for (answer, right) in [
            ("same place", true),
            ("They are in the same place.", true),
            ("the same side, east", false),
            ("east", false),
            ("nowhere", false),
        ] {
            assert_eq!(
                SpatialRelations.grade("same place", answer),
                right,
                "{answer}"
            );
        }
        assert!(!SpatialRelations.grade("east", "same place"));
    }

    #[test]
    fn one_direction_in_any_spelling_is_an_answer() {
        let right = |text: &str| SpatialRelations.grade("south-west", text);
        for answer in [
            "south-west",
            "Southwest.",
            "south west",
            "<think> east , north </think> The gym is south-west of the school.",
            "The gym is SOUTH-WEST. Answer: southwest",
        ] {
            assert!(right(answer), "{answer}");
        }
        for answer in [
            "south",
            "west",
            "north-west",
            "south-west or north-west",
            "south of the bank and west of it",
            "",
            "I cannot tell",
            "<think> south-west",
        ] {
            assert!(!right(answer), "{answer}");
        }
        assert!(SpatialRelations.grade("north", "It lies north."));
        assert!(!SpatialRelations.grade("north", "It lies north-east."));
    }
}
