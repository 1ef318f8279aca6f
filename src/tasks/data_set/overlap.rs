//! Whether problems that a model is judged on stand among those it is trained on.
//!
//! A problem stands there exactly where the texts are the same, white space and case
//! aside, and nearly where half of its sequences of eight words stand in one training
//! problem. Eight words and one half are those of Tülu 3 (Lambert et al. 2024,
//! arXiv 2411.15124; it counts words within such sequences); GPT-3's thirteen words (Brown et
//! al. 2020, appendix C) are more than many short problems have. A problem of fewer
//! than eight words has no near copies.
//!
//! Only the side that is judged is held in memory, as hashes; the training rows are
//! read one after the other.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use anyhow::Result;

use super::index::{Looked, number_of_text};
use super::{DataSet, Item, Split, Task};

/// Words of a sequence.
const WORDS: usize = 8;

/// The share of a problem's sequences, as a divisor, that makes a near copy.
const NEAR_ONE_IN: u32 = 2;

/// Problems that are named.
const SHOWN: usize = 3;

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Overlap {
    /// Held-out problems that are training problems.
    pub exact: usize,
    /// The first of them, named with the row of the training problem.
    pub exact_shown: Vec<String>,
    /// Evaluated problems that are near copies of training problems.
    pub near: usize,
    /// The first of them.
    pub near_shown: Vec<String>,
}

/// The side that is judged.
struct HeldOut<'a> {
    items: &'a [Item],
    /// Evaluated items by the number of their text.
    exact: HashMap<u64, u32>,
    /// Validation problems of data sets, likewise.
    validation: HashSet<u64>,
    /// Evaluated items by the sequences of words in them.
    sequences: HashMap<u64, Vec<u32>>,
    /// Sequences of each item.
    counts: Vec<u32>,
}

impl<'a> HeldOut<'a> {
    fn of(items: &'a [Item]) -> Self {
        let mut held_out = Self {
            items,
            exact: HashMap::new(),
            validation: HashSet::new(),
            sequences: HashMap::new(),
            counts: Vec::with_capacity(items.len()),
        };
        for (place, item) in (0..).zip(items) {
            let before = item.before.iter().map(|message| message.content.as_str());
            let hash = number_of_text(before.chain([item.prompt.as_str()]));
            held_out.exact.entry(hash).or_insert(place);
            let own: HashSet<u64> = sequences(&item.prompt).into_iter().collect();
            held_out.counts.push(own.len() as u32);
            for sequence in own {
                held_out.sequences.entry(sequence).or_default().push(place);
            }
        }
        held_out
    }

    /// The evaluated items that a training problem is nearly, but not exactly.
    fn near(&self, prompt: &str) -> Vec<u32> {
        let mut shared: HashMap<u32, u32> = HashMap::new();
        let own: HashSet<u64> = sequences(prompt).into_iter().collect();
        for sequence in own {
            for item in self.sequences.get(&sequence).into_iter().flatten() {
                *shared.entry(*item).or_default() += 1;
            }
        }
        let mut near: Vec<u32> = shared
            .into_iter()
            .filter(|(item, shared)| shared * NEAR_ONE_IN >= self.counts[*item as usize])
            .map(|(item, _)| item)
            .collect();
        near.sort_unstable();
        near
    }

    /// What one training row has to do with it.
    fn hit(&self, row: &Looked<'_>) -> Option<Hit> {
        if row.split != Split::Train {
            return None;
        }
        let of = self.exact.get(&row.hash).copied();
        if of.is_some() || self.validation.contains(&row.hash) {
            let (hash, place) = (row.hash, row.named());
            return Some(Hit::Exact { hash, of, place });
        }
        let of = self.near(&row.read.prompt);
        (!of.is_empty()).then(|| Hit::Near {
            of,
            place: row.named(),
        })
    }

    fn named(&self, item: u32) -> String {
        let item = &self.items[item as usize];
        format!("the evaluated item {} of {}", item.item_id, item.task)
    }
}

/// What one training row has to do with what is held out.
enum Hit {
    /// The number of its text, which item's it is (else a validation problem's), and
    /// the row's file and line.
    Exact {
        hash: u64,
        of: Option<u32>,
        place: String,
    },
    /// The items that it is nearly.
    Near { of: Vec<u32>, place: String },
}

/// The sequences of words in a text, as hashes.
fn sequences(text: &str) -> Vec<u64> {
    let text = text.to_lowercase();
    let words = text.split(|c: char| !c.is_alphanumeric());
    let words: Vec<u64> = words.filter(|word| !word.is_empty()).map(hashed).collect();
    words.windows(WORDS).map(hashed).collect()
}

/// A hash that is good for as long as the program runs.
fn hashed<T: Hash + ?Sized>(what: &T) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// Holds the training rows of all data sets among `tasks` to the evaluated `items`, in
/// the words of the tasks themselves, and to the validation rows of the data sets.
pub fn overlap(tasks: &[Arc<dyn Task>], items: &[Item]) -> Result<Overlap> {
    let trains = tasks.iter().filter(|task| task.trains());
    let sets: Vec<&DataSet> = trains.filter_map(|task| task.data_set()).collect();
    let mut found = Overlap::default();
    if sets.is_empty() {
        return Ok(found);
    }
    let mut held_out = HeldOut::of(items);
    for set in &sets {
        let validation = |row: Looked<'_>| Ok((row.split == Split::Validation).then_some(row.hash));
        set.scan(set.index()?, validation, |hash| {
            held_out.validation.extend(hash);
            Ok(())
        })?;
    }
    let (mut exact, mut near) = (HashSet::new(), HashSet::new());
    for set in &sets {
        let look = |row: Looked<'_>| Ok(held_out.hit(&row));
        set.scan(set.index()?, look, |hit| {
            match hit {
                None => {}
                Some(Hit::Exact { hash, of, place }) => {
                    let is_new = exact.insert(hash);
                    if is_new && found.exact_shown.len() < SHOWN {
                        let validation = || "a validation problem".to_owned();
                        let what = of.map_or_else(validation, |item| held_out.named(item));
                        found.exact_shown.push(format!("{place} is {what}"));
                    }
                }
                Some(Hit::Near { of, place }) => {
                    for item in of {
                        if near.insert(item) && found.near_shown.len() < SHOWN {
                            let what = held_out.named(item);
                            found
                                .near_shown
                                .push(format!("{place} is much like {what}"));
                        }
                    }
                }
            }
            Ok(())
        })?;
    }
    (found.exact, found.near) = (exact.len(), near.len());
    Ok(found)
}
