//! What of the items' samples and completions stands in the page.
//!
//! Every item stands there with the counts of every arm, over all its samples.
//! Of single samples, and of completions, a page has room for some; which ones is a
//! rule, [`RULE`], that the page repeats.

use std::collections::BTreeSet;

use crate::comparison::{Comparison, ItemCompletions, ShownCompletion};

use super::distance::{Apart, Cost, Known};
use super::samples::{self, Run};

/// How completions are chosen where not all of them fit, in words.
pub(super) const RULE: &str = "Chosen by turns: from each task one item on which the arms differ, one that no arm gets \
     right, one that every arm gets right and one that nobody graded, the item on which the arms are furthest apart \
     first; of each arm its first right and its first wrong sample there. Of a long text the middle is left out.";

/// Characters that a text keeps at its beginning and at its end where not all completions fit.
const ENDS: usize = 2000;

/// What one arm did on one item, over all its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Tally {
    pub(super) right: usize,
    pub(super) graded: usize,
    pub(super) samples: usize,
    pub(super) cut_off: usize,
    /// Mean reasoning tokens.
    pub(super) tokens: f64,
    /// `None` where the comparison has none of it.
    pub(super) cost: Option<Cost>,
}

/// Which arms are right on an item, by more than half of their graded samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Differ,
    Wrong,
    Right,
    Ungraded,
}

/// One item as the page holds it.
pub(super) struct Item<'a> {
    pub(super) of: &'a ItemCompletions,
    /// By arm; `None` where it has no completion of the item.
    pub(super) tallies: Vec<Option<Tally>>,
    pub(super) apart: Apart,
    /// Human cost as the covariates predict it.
    pub(super) expected: Option<f64>,
    /// By arm, its single samples; `None` where the page has no room for them.
    pub(super) samples: Option<Vec<Vec<Run>>>,
    /// By arm, the completions that stand in the page; `None` where the item has none there.
    pub(super) kept: Option<Vec<Vec<&'a ShownCompletion>>>,
}

/// The items in their given order, with what a page has room for.
pub(super) struct Choice<'a> {
    /// Names of the arms, in the order of the tallies.
    pub(super) arms: Vec<&'a str>,
    pub(super) items: Vec<Item<'a>>,
    /// Whether every completion stands in the page.
    pub(super) whole: bool,
}

impl<'a> Choice<'a> {
    /// The items with their counts alone.
    pub(super) fn of(comparison: &'a Comparison, items: &'a [ItemCompletions]) -> Self {
        let arms = arm_names(comparison, items);
        let known = Known::of(comparison);
        let of_item = |item: &'a ItemCompletions| {
            let of = |arm: &&str| item.arms.get(*arm).map_or(&[][..], Vec::as_slice);
            let samples: Vec<&[ShownCompletion]> = arms.iter().map(of).collect();
            let tallies = arms.iter().zip(&samples);
            Item {
                of: item,
                tallies: tallies
                    .map(|(arm, samples)| tally(samples, known.cost(arm, item)))
                    .collect(),
                apart: known.apart(item, &arms, &samples),
                expected: known.expected(item),
                samples: None,
                kept: None,
            }
        };
        Self {
            items: items.iter().map(of_item).collect(),
            arms,
            whole: false,
        }
    }

    /// Adds single samples, item by item as the rule takes them, until the next has no room;
    /// the bytes that they take.
    pub(super) fn add_samples(&mut self, room: usize) -> usize {
        let mut used = 0;
        for at in self.turns() {
            let item = &mut self.items[at];
            let of = |arm: &&str| item.of.arms.get(*arm).map_or(&[][..], Vec::as_slice);
            let runs: Vec<Vec<Run>> = self.arms.iter().map(|a| samples::runs(of(a))).collect();
            let bytes: usize = runs.iter().map(|runs| samples::bytes(runs)).sum();
            if used + bytes > room {
                break;
            }
            used += bytes;
            item.samples = Some(runs);
        }
        used
    }

    /// Adds all completions, or where these have no room, some by the rule.
    pub(super) fn add_completions(&mut self, room: usize) {
        self.whole = self.fill((0..self.items.len()).collect(), usize::MAX, room);
        if !self.whole {
            for item in &mut self.items {
                item.kept = None;
            }
            self.fill(self.turns(), ENDS, room);
        }
    }

    /// Keeps completions of the items in this order until the next one has no
    /// room; false where one had none.
    fn fill(&mut self, order: Vec<usize>, ends: usize, room: usize) -> bool {
        let mut known: BTreeSet<&str> = BTreeSet::new();
        let mut used = 0;
        for at in order {
            let Some(item) = self.items.get_mut(at) else {
                continue;
            };
            let samples = |arm: &&str| -> Vec<&'a ShownCompletion> {
                let all = item.of.arms.get(*arm).map_or(&[][..], Vec::as_slice);
                if ends == usize::MAX {
                    return all.iter().collect();
                }
                few(all)
            };
            let kept: Vec<Vec<&ShownCompletion>> = self.arms.iter().map(samples).collect();
            let completions = || kept.iter().flatten();
            // A text that is there already costs its number alone.
            let mut new: BTreeSet<&str> = completions().map(|c| c.text.as_str()).collect();
            new.retain(|text| !known.contains(text));
            let texts: usize = new.iter().map(|text| bytes(text, ends)).sum();
            used += texts + completions().count() * NUMBERS;
            if used > room {
                return false;
            }
            known.append(&mut new);
            item.kept = Some(kept);
        }
        true
    }

    /// All items in the order in which the rule takes them.
    fn turns(&self) -> Vec<usize> {
        let mut queues: Vec<((&str, Outcome), Vec<usize>)> = Vec::new();
        for (at, item) in self.items.iter().enumerate() {
            let key = (item.of.task.as_str(), item.outcome());
            match queues.iter_mut().find(|(other, _)| *other == key) {
                Some((_, queue)) => queue.push(at),
                None => queues.push((key, vec![at])),
            }
        }
        // Differences of every task first, then what all get wrong, and so on.
        queues.sort_by_key(|((_, outcome), _)| *outcome);
        for (_, queue) in &mut queues {
            queue.sort_by(|a, b| self.distance(*b).total_cmp(&self.distance(*a)));
        }
        let longest = queues.iter().map(|(_, queue)| queue.len()).max();
        (0..longest.unwrap_or(0))
            .flat_map(|turn| queues.iter().filter_map(move |(_, queue)| queue.get(turn)))
            .copied()
            .collect()
    }

    /// By outcomes where these differ, by tokens otherwise.
    fn distance(&self, at: usize) -> f64 {
        let apart = self.items.get(at).map(|item| item.apart);
        let outcomes = apart.and_then(|a| a.outcomes).unwrap_or(0.0);
        let tokens = apart.and_then(|a| a.tokens).unwrap_or(0.0);
        // Outcomes lie between 0 and 1, and tokens never reach e^1000.
        outcomes * 1000.0 + tokens
    }
}

/// Bytes of a completion's numbers in the page, about.
const NUMBERS: usize = 16;

/// Bytes of a text in the page, at most about.
fn bytes(text: &str, ends: usize) -> usize {
    let (head, tail) = match cut(text, ends) {
        Some((head, _, tail)) => (head, tail),
        None => (text, ""),
    };
    let of = |part: &str| -> usize {
        let escaped = |c: char| match c {
            '<' | '\u{0}'..='\u{1f}' => 6,
            '"' | '\\' => 2,
            c => c.len_utf8(),
        };
        part.chars().map(escaped).sum()
    };
    of(head) + of(tail) + 3
}

/// A long text as its beginning, the number of characters left out and its end.
pub(super) fn cut(text: &str, ends: usize) -> Option<(&str, usize, &str)> {
    if text.len() <= ends.saturating_mul(2) {
        return None;
    }
    let (head, _) = text.char_indices().nth(ends)?;
    let (tail, _) = text.char_indices().nth_back(ends.checked_sub(1)?)?;
    let (before, middle) = (text.get(..head)?, text.get(head..tail)?);
    let left_out = middle.chars().count();
    (left_out > 0).then_some((before, left_out, text.get(tail..)?))
}

/// The ends that a text keeps in this choice; see [`cut`].
pub(super) fn ends(whole: bool) -> usize {
    if whole { usize::MAX } else { ENDS }
}

/// The first right and the first wrong sample, or the first two of one kind.
fn few(all: &[ShownCompletion]) -> Vec<&ShownCompletion> {
    let Some((first, rest)) = all.split_first() else {
        return Vec::new();
    };
    let other = rest.iter().find(|c| c.correct != first.correct);
    [first].into_iter().chain(other.or(rest.first())).collect()
}

/// The arms of the comparison, then others that have completions.
fn arm_names<'a>(comparison: &'a Comparison, items: &'a [ItemCompletions]) -> Vec<&'a str> {
    let mut names: Vec<&str> = comparison.arms.iter().map(|a| a.name.as_str()).collect();
    for name in items.iter().flat_map(|item| item.arms.keys()) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

fn tally(samples: &[ShownCompletion], cost: Option<Cost>) -> Option<Tally> {
    if samples.is_empty() {
        return None;
    }
    let count = |of: fn(&ShownCompletion) -> bool| samples.iter().filter(|c| of(c)).count();
    let tokens: f64 = samples.iter().map(|c| f64::from(c.reasoning_tokens)).sum();
    Some(Tally {
        right: count(|c| c.correct == Some(true)),
        graded: count(|c| c.correct.is_some()),
        samples: samples.len(),
        cut_off: count(|c| c.truncated),
        tokens: tokens / samples.len() as f64,
        cost,
    })
}

impl Tally {
    fn share(&self) -> Option<f64> {
        (self.graded > 0).then(|| self.right as f64 / self.graded as f64)
    }
}

impl Item<'_> {
    pub(super) fn outcome(&self) -> Outcome {
        let verdict = |tally: &Tally| Some(tally.share()? > 0.5);
        let arms = self.tallies.iter().flatten();
        let verdicts: BTreeSet<bool> = arms.filter_map(verdict).collect();
        match (verdicts.contains(&true), verdicts.contains(&false)) {
            (true, true) => Outcome::Differ,
            (false, true) => Outcome::Wrong,
            (true, false) => Outcome::Right,
            (false, false) => Outcome::Ungraded,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fixture;

    fn shown(seed: u64, correct: Option<bool>, tokens: u32, text: &str) -> ShownCompletion {
        ShownCompletion {
            seed: Some(seed),
            sample: 0,
            text: text.to_owned(),
            reasoning_tokens: tokens,
            correct,
            truncated: false,
        }
    }

    fn chosen<'a>(
        comparison: &'a Comparison,
        items: &'a [ItemCompletions],
        room: usize,
    ) -> Choice<'a> {
        let mut choice = Choice::of(comparison, items);
        choice.add_completions(room);
        choice
    }

    /// An item on which arms are right in so many of four samples.
    fn item(task: &str, id: usize, right: &[(&str, usize)]) -> ItemCompletions {
        let of = |right: usize| -> Vec<ShownCompletion> {
            let sample =
                |n: usize| shown(1, Some(n < right), 12, &format!("{task} {id} {n} {right}"));
            (0..4).map(sample).collect()
        };
        ItemCompletions {
            task: task.to_owned(),
            item_id: format!("{id}"),
            prompt: String::new(),
            answer: String::new(),
            human_ms: None,
            human_cost: None,
            cluster: None,
            covariates: BTreeMap::new(),
            arms: right
                .iter()
                .map(|(arm, n)| ((*arm).to_owned(), of(*n)))
                .collect(),
        }
    }

    #[test]
    fn all_completions_stand_there_while_there_is_room() {
        let (comparison, items) = (fixture::comparison(), fixture::items());
        let choice = chosen(&comparison, &items, 1 << 20);
        assert!(choice.whole);
        let kept: usize = choice
            .items
            .iter()
            .flat_map(|i| i.kept.iter().flatten())
            .map(Vec::len)
            .sum();
        assert_eq!(kept, 4);
        assert!(!chosen(&comparison, &items, 100).whole);
    }

    #[test]
    fn tasks_take_turns_and_differences_come_first_the_largest_ahead() {
        let comparison = fixture::comparison();
        let items = [
            item("a", 0, &[("sft", 4), ("grpo", 4)]),
            item("a", 1, &[("sft", 1), ("grpo", 3)]),
            item("a", 2, &[("sft", 0), ("grpo", 4)]),
            item("b", 3, &[("sft", 0), ("grpo", 0)]),
            item("b", 4, &[("sft", 4), ("grpo", 1)]),
        ];
        let mut choice = chosen(&comparison, &items, 1 << 20);
        assert_eq!(choice.turns(), [2, 4, 3, 0, 1]);
        // One item costs eight short texts; of each arm two samples are kept here.
        choice = chosen(&comparison, &items, 130);
        let kept: Vec<bool> = choice
            .items
            .iter()
            .map(|item| item.kept.is_some())
            .collect();
        assert_eq!(kept, [false, false, true, false, false]);
        let of_item = choice.items[2].kept.as_ref().unwrap();
        assert_eq!(
            of_item.iter().map(Vec::len).collect::<Vec<_>>(),
            [0, 0, 2, 2]
        );
        // What is counted is everything all the same.
        assert_eq!(choice.items[0].tallies[2].unwrap().right, 4);
    }

    #[test]
    fn the_first_right_and_the_first_wrong_sample_are_kept() {
        let all = [
            shown(1, Some(true), 1, "first"),
            shown(1, Some(true), 1, "second"),
            shown(2, Some(false), 1, "third"),
        ];
        let texts =
            |of: &[ShownCompletion]| few(of).iter().map(|c| c.text.clone()).collect::<Vec<_>>();
        assert_eq!(texts(&all), ["first", "third"]);
        assert_eq!(texts(&all[..2]), ["first", "second"]);
        assert_eq!(texts(&all[..1]), ["first"]);
        assert!(few(&[]).is_empty());
    }

    #[test]
    fn single_samples_stand_there_by_turns_until_there_is_no_room() {
        let comparison = fixture::comparison();
        let items = [
            item("a", 0, &[("sft", 4), ("grpo", 4)]),
            item("a", 1, &[("sft", 1), ("grpo", 3)]),
        ];
        let mut choice = Choice::of(&comparison, &items);
        let used = choice.add_samples(1 << 20);
        assert!(choice.items.iter().all(|item| item.samples.is_some()));
        choice = Choice::of(&comparison, &items);
        assert!(choice.add_samples(used - 1) <= used / 2);
        let there: Vec<bool> = choice.items.iter().map(|i| i.samples.is_some()).collect();
        assert_eq!(there, [false, true]);
    }

    #[test]
    fn a_long_text_loses_its_middle_between_letters() {
        let text = "\u{5e9}".repeat(30);
        let (head, left_out, tail) = cut(&text, 10).unwrap();
        assert_eq!(
            (head.chars().count(), left_out, tail.chars().count()),
            (10, 10, 10)
        );
        assert_eq!(cut(&text, 15), None);
        assert_eq!(cut(&text, usize::MAX), None);
        assert_eq!(cut("", 0), None);
    }
}
