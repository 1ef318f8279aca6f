//! What of the completions stands in the page, and how its items are ordered.
//!
//! Every item stands there with the counts of every arm, over all its samples.
//! Of the completions themselves a page has room for some; which ones is a
//! rule, [`RULE`], that the page repeats. Apart from that this computes how far
//! the arms are apart on an item, by which the browser sorts, and no statistic.

use std::collections::{BTreeSet, HashMap};

use crate::comparison::{Comparison, ItemCompletions, ItemPoint, ShownCompletion};

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
    pub(super) truncated: usize,
    /// Mean reasoning tokens.
    pub(super) tokens: f64,
}

/// How far the arms are apart on an item; `None` where that is undefined.
///
/// Worked example: right in 4 of 4 samples and in 1 of 4, 12 tokens and 24 each time:
/// `{outcomes: Some(0.75), tokens: Some(ln(25 / 13) = 0.65), people: None}`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Apart {
    /// Largest less smallest share of right samples.
    pub(super) outcomes: Option<f64>,
    /// Largest less smallest mean ln(1 + reasoning tokens), truncated samples left out.
    pub(super) tokens: Option<f64>,
    /// Mean over arms of |z(model cost) - z(human cost)|, both within the task.
    pub(super) people: Option<f64>,
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
    /// By arm, the completions that stand in the page; `None` where the item has none there.
    pub(super) kept: Option<Vec<Vec<&'a ShownCompletion>>>,
}

/// The items in their given order, with what `room` bytes hold of their completions.
pub(super) struct Choice<'a> {
    /// Names of the arms, in the order of the tallies.
    pub(super) arms: Vec<&'a str>,
    pub(super) items: Vec<Item<'a>>,
    /// Whether every completion stands in the page.
    pub(super) whole: bool,
}

impl<'a> Choice<'a> {
    pub(super) fn of(
        comparison: &'a Comparison,
        items: &'a [ItemCompletions],
        room: usize,
    ) -> Self {
        let arms = arm_names(comparison, items);
        let people = from_people(comparison);
        let items: Vec<Item<'_>> = items
            .iter()
            .map(|item| {
                let of = |arm: &&str| item.arms.get(*arm).map_or(&[][..], Vec::as_slice);
                let samples: Vec<&[ShownCompletion]> = arms.iter().map(of).collect();
                let tallies: Vec<Option<Tally>> = samples.iter().map(|of| tally(of)).collect();
                let people = people.get(&(item.task.as_str(), item.item_id.as_str()));
                Item {
                    of: item,
                    apart: Apart {
                        outcomes: spread(tallies.iter().flatten().filter_map(Tally::share)),
                        tokens: spread(samples.iter().filter_map(|of| cost(of))),
                        people: people.copied(),
                    },
                    tallies,
                    kept: None,
                }
            })
            .collect();
        let mut choice = Self {
            arms,
            items,
            whole: true,
        };
        let all = 0..choice.items.len();
        if choice.fill(all.collect(), usize::MAX, room) {
            return choice;
        }
        for item in &mut choice.items {
            item.kept = None;
        }
        choice.whole = false;
        let turns = choice.turns();
        choice.fill(turns, ENDS, room);
        choice
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

fn tally(samples: &[ShownCompletion]) -> Option<Tally> {
    if samples.is_empty() {
        return None;
    }
    let count = |of: fn(&ShownCompletion) -> bool| samples.iter().filter(|c| of(c)).count();
    let tokens: f64 = samples.iter().map(|c| f64::from(c.reasoning_tokens)).sum();
    Some(Tally {
        right: count(|c| c.correct == Some(true)),
        graded: count(|c| c.correct.is_some()),
        samples: samples.len(),
        truncated: count(|c| c.truncated),
        tokens: tokens / samples.len() as f64,
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

/// Mean ln(1 + reasoning tokens) of the samples that ended by themselves.
fn cost(samples: &[ShownCompletion]) -> Option<f64> {
    let ended = samples.iter().filter(|c| !c.truncated);
    let costs: Vec<f64> = ended
        .map(|c| f64::from(c.reasoning_tokens).ln_1p())
        .collect();
    crate::statistics::mean(&costs)
}

/// Largest less smallest of at least two values.
fn spread(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    let largest = values.iter().copied().reduce(f64::max)?;
    let smallest = values.iter().copied().reduce(f64::min)?;
    (values.len() > 1).then_some(largest - smallest)
}

/// Mean over arms of how many standard deviations lie between an item's place
/// among the items of its task for the arm, and its place there for people.
fn from_people(comparison: &Comparison) -> HashMap<(&str, &str), f64> {
    let mut sums: HashMap<(&str, &str), (f64, u32)> = HashMap::new();
    for task in comparison.arms.iter().flat_map(|arm| &arm.tasks) {
        let finite = |p: &&ItemPoint| p.human_cost.is_finite() && p.model_cost.is_finite();
        let points: Vec<&ItemPoint> = task.points.iter().filter(finite).collect();
        let human = standard(&points.iter().map(|p| p.human_cost).collect::<Vec<_>>());
        let model = standard(&points.iter().map(|p| p.model_cost).collect::<Vec<_>>());
        // An arm that spends the same on every item has no place to compare.
        let (Some(human), Some(model)) = (human, model) else {
            continue;
        };
        for ((point, h), m) in points.iter().zip(human).zip(model) {
            let sum = sums.entry((&task.task, &point.item_id)).or_default();
            *sum = (sum.0 + (m - h).abs(), sum.1 + 1);
        }
    }
    let mean = |(key, (sum, n)): ((_, _), (f64, u32))| (key, sum / f64::from(n));
    sums.into_iter().map(mean).collect()
}

/// The values less their mean, in population standard deviations.
fn standard(values: &[f64]) -> Option<Vec<f64>> {
    let mean = crate::statistics::mean(values)?;
    let squares = values.iter().map(|v| (v - mean).powi(2));
    let deviation = (squares.sum::<f64>() / values.len() as f64).sqrt();
    let varies = deviation > f64::EPSILON * mean.abs();
    varies.then(|| values.iter().map(|v| (v - mean) / deviation).collect())
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
            arms: right
                .iter()
                .map(|(arm, n)| ((*arm).to_owned(), of(*n)))
                .collect(),
        }
    }

    #[test]
    fn all_completions_stand_there_while_there_is_room() {
        let (comparison, items) = (fixture::comparison(), fixture::items());
        let choice = Choice::of(&comparison, &items, 1 << 20);
        assert!(choice.whole);
        let kept: usize = choice
            .items
            .iter()
            .flat_map(|i| i.kept.iter().flatten())
            .map(Vec::len)
            .sum();
        assert_eq!(kept, 4);
        assert!(!Choice::of(&comparison, &items, 100).whole);
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
        let mut choice = Choice::of(&comparison, &items, 1 << 20);
        assert_eq!(choice.turns(), [2, 4, 3, 0, 1]);
        // One item costs eight short texts; of each arm two samples are kept here.
        choice = Choice::of(&comparison, &items, 130);
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
    fn how_far_arms_are_apart() {
        let comparison = fixture::comparison();
        let mut items = [item("a", 0, &[("sft", 1), ("grpo", 4)])];
        for completion in items[0].arms.get_mut("grpo").unwrap() {
            completion.reasoning_tokens = 24;
        }
        let apart = Choice::of(&comparison, &items, 1 << 20).items[0].apart;
        assert_eq!(apart.outcomes, Some(0.75));
        assert!((apart.tokens.unwrap() - (25.0_f64 / 13.0).ln()).abs() < 1e-12);
        assert_eq!(apart.people, None);
        // One arm is apart from nobody.
        items[0].arms = BTreeMap::from([("sft".to_owned(), items[0].arms["sft"].clone())]);
        let apart = Choice::of(&comparison, &items, 1 << 20).items[0].apart;
        assert_eq!((apart.outcomes, apart.tokens), (None, None));
    }

    #[test]
    fn the_distance_from_people_is_that_of_places_within_a_task() {
        let mut comparison = fixture::comparison();
        comparison.arms.truncate(1);
        let task = &mut comparison.arms[0].tasks[0];
        let point = |id: &str, human, model| ItemPoint {
            item_id: id.to_owned(),
            human_cost: human,
            model_cost: model,
            tokens: 0.0,
            accuracy: None,
        };
        task.points = vec![point("x", 1.0, 7.0), point("y", 3.0, 9.0)];
        let name = task.task.clone();
        let far =
            |comparison: &Comparison| from_people(comparison).get(&(name.as_str(), "x")).copied();
        assert_eq!(far(&comparison), Some(0.0));
        comparison.arms[0].tasks[0].points[0].model_cost = 11.0;
        assert_eq!(far(&comparison), Some(2.0));
        // An arm that never varies has no place.
        comparison.arms[0].tasks[0].points[0].model_cost = 9.0;
        assert_eq!(far(&comparison), None);
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
