//! All problems of a task, written out: a split is a filter over the list and
//! a draw an index into it, so what can occur in training can be enumerated,
//! and a test does.
//!
//! Which problems are listed is each task's own matter. This file decides only
//! the split of a wording, and how a draw is balanced.

use std::collections::HashMap;

use rand::RngExt;

use super::sum::{Kind, Sum, Terms, Wording};
use crate::random::Stream;
use crate::tasks::item::split_of;
use crate::tasks::{Item, Split, squeeze};

/// Which problems a draw is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pool {
    /// Production.
    Production,
    /// Verification in canonical wording of a true or a false result.
    Canonical(bool),
    /// Verification in another wording of a true or a false result.
    Other(bool),
}

impl Pool {
    const ALL: [Self; 5] = [
        Self::Production,
        Self::Canonical(true),
        Self::Canonical(false),
        Self::Other(true),
        Self::Other(false),
    ];

    fn of(sum: &Sum) -> Self {
        match (sum.terms.truth(), sum.wording) {
            (None, _) => Self::Production,
            (Some(truth), Wording::Canonical) => Self::Canonical(truth),
            (Some(truth), _) => Self::Other(truth),
        }
    }
}

/// The sums of one task, by split and pool.
#[derive(Clone, Debug)]
pub struct Space {
    /// `pools[split][pool]`, in the orders of training and validation and of
    /// [`Pool::ALL`].
    pools: [[Vec<Sum>; 5]; 2],
    /// Where a sum stands, by its name.
    places: HashMap<String, (usize, usize, usize)>,
}

impl Space {
    /// Sorts `sums` into splits and pools.
    pub(super) fn new(sums: impl IntoIterator<Item = Sum>) -> Self {
        let mut pools: [[Vec<Sum>; 5]; 2] = Default::default();
        let mut places = HashMap::new();
        for sum in sums {
            let (split, pool) = (sum.item.split as usize, place(Pool::of(&sum)));
            let list = &mut pools[split][pool];
            places.insert(sum.item.item_id.clone(), (split, pool, list.len()));
            list.push(sum);
        }
        for pool in pools.iter().flatten() {
            assert!(!pool.is_empty(), "a task lists sums of every pool");
        }
        Self { pools, places }
    }

    /// Every sum of the training or the validation split, each once; none is of the
    /// evaluation.
    pub fn sums(&self, split: Split) -> impl Iterator<Item = &Sum> {
        self.pools
            .get(split as usize)
            .into_iter()
            .flatten()
            .flatten()
    }

    /// The sum of that name.
    pub(super) fn find(&self, id: &str) -> Option<&Sum> {
        let (split, pool, index) = *self.places.get(id)?;
        self.pools[split][pool].get(index)
    }

    /// One sum of a pool of the training or the validation split, all being equally
    /// likely.
    pub(super) fn draw(&self, split: Split, pool: Pool, random: &mut Stream) -> &Sum {
        let pool = &self.pools[split as usize][place(pool)];
        &pool[random.random_range(0..pool.len() as u64) as usize]
    }
}

fn place(pool: Pool) -> usize {
    // `ALL` names every pool, so the search cannot fail.
    Pool::ALL.iter().position(|p| *p == pool).unwrap_or(0)
}

/// A sum of a task, in the condition that people were timed in if any.
///
/// `expression` is the sum as the task writes it (`A+3`), `equals` its equals
/// sign with its own spaces (`=` or ` = `), `result` writes a result.
pub(super) fn sum(
    (task, condition): (&'static str, Option<String>),
    wording: Wording,
    terms: Terms,
    (expression, equals): (&str, &str),
    result: impl Fn(u32) -> String,
) -> Sum {
    let shown = terms.presented.map_or_else(String::new, &result);
    let prompt = match wording {
        Wording::Canonical => format!("{expression}{equals}{shown}"),
        Wording::ResultFirst => format!("{shown} = {expression}"),
        Wording::Is => format!("{expression} is {shown}"),
        Wording::Question => format!("{expression}{} what", equals.trim_end()),
    };
    Sum {
        item: Item {
            task: task.to_owned(),
            item_id: squeeze(&prompt),
            answer: match terms.truth() {
                Some(truth) => truth.to_string(),
                None => result(terms.sum()),
            },
            split: split_of(task, &prompt),
            condition: condition.unwrap_or_default(),
            prompt,
            ..Item::default()
        },
        kind: match terms.presented {
            Some(_) => Kind::Verification,
            None => Kind::Production,
        },
        wording,
        terms,
    }
}
