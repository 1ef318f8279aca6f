//! What every task has: items of each split, and what it reads in them.

use std::fmt::Debug;

use anyhow::{Result, bail};
use experiments::norms::NormItem;

use super::corpus::Worked;
use super::data_set::DataSet;
use super::item::{Item, Split};
use super::mix::Proportions;
use super::reading::Reading;
use crate::random::Stream;

/// Where in the endless list of a seed an item stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The seed of the training.
    pub seed: u64,
    /// The place in its list, from 0 on.
    pub index: u64,
    /// How many of its items are of which kind, where the task has several.
    pub proportions: Proportions,
}

/// A kind of problem: what there is to learn from, to tune on, and to be judged on.
///
/// A task does not know which arm uses it, how a model is prompted, or what is
/// rewarded. How an answer is told right from wrong is said by each of its items
/// ([`Item::judge`]).
pub trait Task: Debug + Send + Sync {
    /// The name in definitions, records and norms.
    fn name(&self) -> &str;

    /// Whether there are problems to train on; otherwise models are judged on it
    /// alone.
    fn trains(&self) -> bool {
        true
    }

    /// An item of the training or the validation split: a pure function of the
    /// split, the place and the stream, which the place has made. No such item has
    /// the wording of an evaluation item, spaces aside.
    ///
    /// A generator draws from `random`; a data set, which is visited without
    /// repetition, goes by the place.
    fn draw(&self, split: Split, place: Place, random: &mut Stream) -> Result<Item>;

    /// The items of the evaluation, by rule from the conditions people were timed
    /// in, or those of the data set; given norms of the task replace them. None
    /// where the items come with their norms alone.
    fn evaluation_items(&self) -> Result<Vec<Item>>;

    /// The item that the task calls `id`, where it can tell it from its name.
    fn find(&self, _id: &str) -> Result<Option<Item>> {
        Ok(None)
    }

    /// An item of given norms, to be asked and to be held to what the task says its
    /// answer is; to the norms' own answer as a rule.
    fn of_norms(&self, item: &NormItem) -> Item {
        item_of(item)
    }

    /// What people needed for an item of the evaluation, where the item says it itself.
    fn norm(&self, _item: &Item) -> Option<NormItem> {
        None
    }

    /// The correct work on an item, its answer included; `None` where nobody has
    /// written any.
    fn solution(&self, item: &Item) -> Result<Option<String>> {
        let solution = self.worked().map(|worked| worked.solution(item));
        Ok(solution.transpose()?.map(|written| written.completion))
    }

    /// The task as a data set, where it is one.
    fn data_set(&self) -> Option<&DataSet> {
        None
    }

    /// What the task reads in an item before anybody answers it, `text` being
    /// the item's prompt or its name; `None` where it is neither of its making.
    fn read(&self, _text: &str) -> Option<Reading> {
        None
    }

    /// What clusters are called after: one name where tasks pose the same
    /// problems.
    fn family(&self) -> &str {
        self.name()
    }

    /// How its problems are worked out in so many words; `None` where nobody has
    /// written that.
    fn worked(&self) -> Option<&dyn Worked> {
        None
    }

    /// The words that its texts and its worked solutions need in the lab's own
    /// vocabulary beyond those that are always there.
    fn words(&self) -> Vec<String> {
        Vec::new()
    }
}

/// An item of given norms, to be asked and to be held to the norms' own answer.
pub(super) fn item_of(item: &NormItem) -> Item {
    Item {
        task: item.task.clone(),
        item_id: item.item_id.clone(),
        prompt: item.prompt.clone(),
        answer: item.answer.clone(),
        condition: item.condition.clone().unwrap_or_default(),
        cluster: item.cluster.clone(),
        ..Item::default()
    }
}

/// Refuses to draw an item of the evaluation: those are listed, not drawn.
pub(super) fn drawn(split: Split) -> Result<()> {
    if split == Split::Evaluation {
        bail!("items of the evaluation are listed, not drawn");
    }
    Ok(())
}
