//! Additions by counting, in three notations: letters, digits, words.
//!
//! **What is held out.** No training or validation problem has the wording of
//! an evaluation item, spaces aside: `A+3=D` is nowhere but in the evaluation.
//! The *pair* A, 3 is in training, in other wordings (`D = A+3`, `A+3 is D`)
//! and as production (`A+3= what`). Holding out the pairs altogether teaches a
//! small model that such pairs never stand in canonical wording, and it then
//! misreads an operand of every evaluation item.

mod addition;
pub(super) mod addition_digit;
pub(super) mod addition_word;
pub(super) mod alphabet_arithmetic;
mod space;
mod sum;
#[cfg(test)]
pub(in crate::tasks) mod tests;
mod work;

use std::ops::RangeInclusive;

use anyhow::{Context, Result};
use rand::RngExt;

pub use addition::LARGEST_NUMBER;
pub use addition_word::number_word;
pub use space::Space;
pub use sum::{Kind, Sum, Terms, Wording};

use super::corpus::{Habit, Shares, Worked, Written};
use super::reading::Reading;
use super::task::drawn;
use super::{Item, Place, Split, Task};
use crate::random::Stream;
use space::Pool;
use work::Work;

/// How a task writes the numbers it counts, for whoever writes work out.
///
/// In alphabet arithmetic `(notation.value)(3)` is `D` and `(notation.step)(3)`
/// is `3`, so the third step from A reads `3 D`.
#[derive(Clone, Debug)]
pub struct Notation {
    /// Writes a value: a letter, a digit, a word.
    pub value: fn(u32) -> String,
    /// Writes the number of steps counted so far.
    pub step: fn(u32) -> String,
    /// The values that can be written.
    pub values: RangeInclusive<u32>,
    /// Whether the operands may change places, so that counting can start from
    /// the larger.
    pub commutes: bool,
}

/// What makes one counting task another than the next.
#[derive(Debug)]
struct Rules {
    name: &'static str,
    family: &'static str,
    notation: Notation,
    evaluation_items: fn() -> Vec<Item>,
    read: fn(&str) -> Option<Reading>,
}

/// A counting task: its problems are written out, and people's conditions known.
#[derive(Debug)]
pub struct Counting {
    rules: Rules,
    space: Space,
}

impl Counting {
    fn new(rules: Rules, sums: impl IntoIterator<Item = Sum>) -> Self {
        Self {
            rules,
            space: Space::new(sums),
        }
    }

    /// Every problem there is to learn from and to tune on.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// How the task writes the numbers it counts.
    pub fn notation(&self) -> &Notation {
        &self.rules.notation
    }

    fn sum(&self, item: &Item) -> Result<&Sum> {
        let sum = self.space.find(&item.item_id);
        sum.with_context(|| format!("{} is no problem of {}", item.item_id, self.rules.name))
    }
}

impl Task for Counting {
    fn name(&self) -> &str {
        self.rules.name
    }

    fn draw(&self, split: Split, place: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        let pool = if random.random_bool(place.proportions.production) {
            Pool::Production
        } else if random.random_bool(place.proportions.other_wordings) {
            Pool::Other(random.random_bool(0.5))
        } else {
            Pool::Canonical(random.random_bool(0.5))
        };
        Ok(self.space.draw(split, pool, random).item.clone())
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        Ok((self.rules.evaluation_items)())
    }

    fn find(&self, id: &str) -> Result<Option<Item>> {
        Ok(self.space.find(id).map(|sum| sum.item.clone()))
    }

    fn read(&self, text: &str) -> Option<Reading> {
        (self.rules.read)(text)
    }

    fn family(&self) -> &str {
        self.rules.family
    }

    fn worked(&self) -> Option<&dyn Worked> {
        Some(self)
    }
}

/// A false comparison is off by this much at most.
const LARGEST_DIFFERENCE: u32 = 2;

impl Worked for Counting {
    /// Counts from the larger operand where the task allows it.
    fn solution(&self, item: &Item) -> Result<Written> {
        let mut work = Work::new(self.sum(item)?, self.notation(), false);
        work.solve();
        Ok(work.finish())
    }

    fn work(
        &self,
        item: &Item,
        habit: Habit,
        shares: &Shares,
        random: &mut Stream,
    ) -> Result<Written> {
        let (sum, notation) = (self.sum(item)?, self.notation());
        if habit == Habit::Direct {
            let right = random.random_bool(shares.direct_right);
            return Ok(direct(sum, notation, right, random));
        }
        let from_first = random.random_bool(shares.from_first);
        let mut work = Work::new(sum, notation, from_first);
        match habit {
            Habit::Padded => work.pad(random),
            Habit::Wrong => work.miscount(random),
            _ => work.solve(),
        }
        Ok(work.finish())
    }

    /// Two values, the same or not, because a small model otherwise learns the
    /// comparison last or never.
    fn exercise(&self, random: &mut Stream) -> Option<(String, Written)> {
        let notation = self.notation();
        let one = random.random_range(notation.values.clone());
        let (other, verdict) = if random.random_bool(0.5) {
            (one, work::SAME)
        } else {
            let other = another(one, LARGEST_DIFFERENCE, notation, random);
            (other, work::DIFFER)
        };
        let value = notation.value;
        let prompt = format!("{} , {}", value(one), value(other));
        let completion = verdict.to_owned();
        let focus = vec![0];
        Some((prompt, Written { completion, focus }))
    }
}

/// The answer alone.
fn direct(sum: &Sum, notation: &Notation, right: bool, random: &mut Stream) -> Written {
    let completion = match (right, sum.kind) {
        (true, _) => sum.item.answer.clone(),
        (false, Kind::Verification) => (sum.item.answer != "true").to_string(),
        (false, Kind::Production) => {
            let answer = another(sum.terms.sum(), LARGEST_DIFFERENCE, notation, random);
            (notation.value)(answer)
        }
    };
    Written {
        completion,
        focus: Vec::new(),
    }
}

/// A value other than `one`, at most `furthest` from it.
fn another(one: u32, furthest: u32, notation: &Notation, random: &mut Stream) -> u32 {
    let difference = random.random_range(1..=furthest);
    let up = random.random_bool(0.5);
    // The range of values is wider than twice the difference, so one of the
    // two directions always stays inside it.
    match one.checked_sub(difference) {
        Some(below) if notation.values.contains(&below) && !up => below,
        below => match one + difference {
            above if notation.values.contains(&above) => above,
            _ => below.unwrap_or(one + difference),
        },
    }
}
