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

use anyhow::{Result, bail};
use experiments::norms::NormItem;
use rewards::answers::{Judge, NOWHERE, direction};

use super::reading::{Reading, indicator};
use super::task::item_of;
use super::{Item, Place, Split, Task};
use crate::random::Stream;

/// The task's name.
pub(super) const NAME: &str = "spatial_relations";

/// `spatial_relations`; see the file's head.
#[derive(Debug)]
pub(super) struct SpatialRelations;

impl Task for SpatialRelations {
    fn name(&self) -> &str {
        NAME
    }

    fn trains(&self) -> bool {
        false
    }

    fn draw(&self, _: Split, _: Place, _: &mut Stream) -> Result<Item> {
        bail!("{NAME} has no problems to train on")
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        Ok(Vec::new())
    }

    fn of_norms(&self, item: &NormItem) -> Item {
        Item {
            judge: Judge::Direction,
            ..item_of(item)
        }
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
}
