//! Spatial relations: two premises with compass directions, then where C lies
//! from A. "The school is east of the bank. The bank is north of the gym.
//! Where is the gym relative to the school?" `south-west`.
//!
//! People's items and answers come with the norms (a folder). Without it the same 64
//! sentences are made by rule, and have no times: two premises, each with one of eight
//! directions, `A` lying one step from `B` and `B` one from `C`. Training has other
//! places, and other wordings as well.
//!
//! An answer is a sentence or a bare direction. It is right where it names the
//! expected direction and no other: `southwest`, `south west` and `The gym is
//! south-west of the school.` are one answer, and an answer that names two
//! directions is none. Where the two premises cancel, the answer is `same
//! place`, and any text with the word `same` and no direction names it.

use anyhow::Result;
use experiments::norms::NormItem;
use rand::RngExt;
use rand::seq::SliceRandom;
use rewards::answers::{Judge, NOWHERE, direction};

use super::item::split_of;
use super::reading::{Reading, indicator};
use super::task::{drawn, item_of};
use super::{Item, Place, Split, Task};
use crate::random::Stream;

/// The task's name.
pub(super) const NAME: &str = "spatial_relations";

/// The directions, each with its steps to the east and to the north.
const DIRECTIONS: [(&str, i8, i8); 8] = [
    ("north", 0, 1),
    ("north-east", 1, 1),
    ("east", 1, 0),
    ("south-east", 1, -1),
    ("south", 0, -1),
    ("south-west", -1, -1),
    ("west", -1, 0),
    ("north-west", -1, 1),
];

/// The places that people read of.
const PLACES: [&str; 3] = ["school", "bank", "gym"];

/// Those of training and validation, three of them at a time.
const OTHER_PLACES: [&str; 14] = [
    "bakery", "bridge", "castle", "church", "harbour", "library", "market", "mill", "museum",
    "park", "station", "theatre", "tower", "well",
];

/// How a problem is put: a first premise, a second one and the question, where `{a}`,
/// `{b}` and `{c}` stand for places and `{one}` and `{other}` for directions.
const WORDINGS: [[&str; 3]; 3] = [
    [
        "The {a} is {one} of the {b}.",
        "The {b} is {other} of the {c}.",
        "Where is the {c} relative to the {a}?",
    ],
    [
        "Seen from the {b}, the {a} lies to the {one}.",
        "Seen from the {c}, the {b} lies to the {other}.",
        "In which direction does the {c} lie, seen from the {a}?",
    ],
    [
        "Whoever goes {one} from the {b} comes to the {a}.",
        "Whoever goes {other} from the {c} comes to the {b}.",
        "In which direction must one go from the {a} to come to the {c}?",
    ],
];

/// The problem of two directions.
fn item(one: usize, other: usize, [a, b, c]: [&str; 3], wording: [&str; 3]) -> Item {
    let ((one, x, y), (other, u, v)) = (DIRECTIONS[one], DIRECTIONS[other]);
    // From A it is back along both premises to C; how far is not asked.
    let (east, north) = (-(x + u).signum(), -(y + v).signum());
    let towards = DIRECTIONS
        .iter()
        .find(|(_, x, y)| (*x, *y) == (east, north));
    let prompt = wording.join(" ");
    let filled = [
        ("{a}", a),
        ("{b}", b),
        ("{c}", c),
        ("{one}", one),
        ("{other}", other),
    ];
    Item {
        task: NAME.to_owned(),
        item_id: format!("{one}+{other}"),
        prompt: filled
            .iter()
            .fold(prompt, |text, (mark, word)| text.replace(mark, word)),
        answer: towards.map_or("same place", |(name, ..)| name).to_owned(),
        judge: Judge::Direction,
        ..Item::default()
    }
}

/// `spatial_relations`; see the file's head.
#[derive(Debug)]
pub(super) struct SpatialRelations;

impl Task for SpatialRelations {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, _: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        loop {
            let mut any = |count: usize| random.random_range(0..count as u64) as usize;
            let (one, other) = (any(DIRECTIONS.len()), any(DIRECTIONS.len()));
            let wording = WORDINGS[any(WORDINGS.len())];
            let mut places = OTHER_PLACES;
            let (three, _) = places.partial_shuffle(random, 3);
            let item = item(one, other, [three[0], three[1], three[2]], wording);
            if split_of(NAME, &item.prompt) == split {
                return Ok(Item {
                    item_id: item.prompt.clone(),
                    split,
                    ..item
                });
            }
        }
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let directions = 0..DIRECTIONS.len();
        let pairs = directions.flat_map(|one| (0..DIRECTIONS.len()).map(move |other| (one, other)));
        let items = pairs.map(|(one, other)| item(one, other, PLACES, WORDINGS[0]));
        Ok(items.collect())
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
    use std::path::Path;

    use experiments::norms::Norms;

    use super::*;

    #[test]
    fn made_items_are_those_that_people_were_asked() {
        let items = SpatialRelations.evaluation_items().unwrap();
        assert_eq!(items.len(), 64);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/human");
        if !folder.is_dir() {
            println!("skipped: no human data at ../shared/human");
            return;
        }
        let norms = Norms::read(&folder, &[NAME.to_owned()]).unwrap();
        for item in items {
            let norm = norms.item(NAME, &item.item_id).unwrap();
            assert_eq!((&item.prompt, &item.answer), (&norm.prompt, &norm.answer));
        }
    }

    #[test]
    fn two_premises_lead_back_to_where_they_say() {
        let of = |one: &str, other: &str, wording: usize| {
            let place = |name| DIRECTIONS.iter().position(|(known, ..)| *known == name);
            let (one, other) = (place(one).unwrap(), place(other).unwrap());
            item(one, other, PLACES, WORDINGS[wording])
        };
        for (one, other, answer) in [
            ("east", "north", "south-west"),
            ("east", "west", "same place"),
            ("north-east", "south", "west"),
            ("south", "south", "north"),
            ("east", "north-west", "south"),
        ] {
            for wording in 0..WORDINGS.len() {
                let item = of(one, other, wording);
                assert_eq!(item.answer, answer, "{item:?}");
                assert_eq!(item.grade(answer).unwrap(), Some(true));
                let covariates = SpatialRelations.read(&item.prompt).unwrap().covariates;
                assert_eq!(covariates[0], ("premises", 2.0), "{item:?}");
            }
        }
        assert_eq!(
            of("east", "north", 1).prompt,
            "Seen from the bank, the school lies to the east. Seen from the gym, the bank \
             lies to the north. In which direction does the gym lie, seen from the school?"
        );
    }

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
