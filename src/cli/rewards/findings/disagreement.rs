//! Where two rewards disagree.
//!
//! Of two rewards that both judge with 0 and 1 the completions are counted of
//! which they say different things, and one is shown; such pairs come first, the
//! greatest share first. Of other pairs a value's rank among all to which both
//! apply, from 0 to 1 with ties sharing, is compared between the two; the largest
//! gaps are shown, no pair of rewards more often than its share. Each completion
//! is shown once. A reward of one value throughout ranks nothing and is left out.
//!
//! What it deliberately does not do: say which of the two is right.

use experiments::statistics::correlation::average_ranks;
use serde::Serialize;

use super::super::given::Given;

/// Disagreements that are shown.
const SHOWN: usize = 5;

/// A completion of which two rewards say different things.
#[derive(Debug, Serialize)]
pub(in super::super) struct Disagreement {
    pub(in super::super) rewards: [String; 2],
    pub(in super::super) values: [f64; 2],
    /// Difference of the ranks, each from 0 to 1.
    pub(in super::super) gap: f64,
    /// Of rewards of 0 and 1: completions of which they say different things,
    /// and all to which both apply.
    pub(in super::super) count: Option<[usize; 2]>,
    pub(in super::super) task: String,
    pub(in super::super) problem: String,
    pub(in super::super) prompt: String,
    pub(in super::super) completion: String,
}

/// Gap, place and values of a completion.
type Found = (f64, usize, [f64; 2]);

/// Two rewards that do not agree.
struct Pair<'a> {
    rewards: [&'a str; 2],
    count: Option<[usize; 2]>,
    /// The completions of which they differ, the largest gap first.
    differ: Vec<Found>,
}

impl Pair<'_> {
    /// The share of completions of which two judges differ.
    fn share(&self) -> f64 {
        self.count
            .map_or(-1.0, |[differ, of]| differ as f64 / of as f64)
    }
}

pub(super) fn disagreements(
    given: &[&Given],
    columns: &[(&str, Vec<Option<f64>>)],
) -> Vec<Disagreement> {
    let (mut judges, others): (Vec<Pair<'_>>, Vec<Pair<'_>>) = pairs(columns)
        .into_iter()
        .partition(|pair| pair.count.is_some());
    judges.sort_by(|a, b| b.share().total_cmp(&a.share()));
    let mut shown = Shown {
        given,
        all: Vec::new(),
        places: Vec::new(),
    };
    for pair in &judges {
        let new = pair.differ.iter().find(|found| !shown.has(found.1));
        if let Some(found) = new.or(pair.differ.first()) {
            shown.add(pair, *found);
        }
    }
    let mut ranked: Vec<(&Pair<'_>, Found)> = (others.iter())
        .flat_map(|pair| pair.differ.iter().map(move |found| (pair, *found)))
        .collect();
    ranked.sort_by(|(_, a), (_, b)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let room = SHOWN.saturating_sub(shown.all.len());
    let share = room.div_ceil(others.len().max(1));
    for (pair, found) in ranked {
        let of_pair = |other: &&Disagreement| other.rewards == pair.rewards;
        if shown.all.iter().filter(of_pair).count() < share && !shown.has(found.1) {
            shown.add(pair, found);
        }
    }
    shown.all
}

fn pairs<'a>(columns: &[(&'a str, Vec<Option<f64>>)]) -> Vec<Pair<'a>> {
    let varies = |values: &&(&str, Vec<Option<f64>>)| {
        let mut values = values.1.iter().flatten();
        let first = values.next();
        values.any(|value| Some(value) != first)
    };
    let columns: Vec<_> = columns.iter().filter(varies).collect();
    let mut all = Vec::new();
    for (index, (a, first)) in columns.iter().enumerate() {
        for (b, second) in columns.iter().skip(index + 1) {
            let pair = pair([a, b], first, second);
            if !pair.differ.is_empty() {
                all.push(pair);
            }
        }
    }
    all
}

fn pair<'a>(rewards: [&'a str; 2], first: &[Option<f64>], second: &[Option<f64>]) -> Pair<'a> {
    let both: Vec<(usize, [f64; 2])> = (first.iter().zip(second).enumerate())
        .filter_map(|(place, (x, y))| Some((place, [(*x)?, (*y)?])))
        .collect();
    let judges = [first, second].iter().all(|values| {
        let mut values = values.iter().flatten();
        values.all(|value| [0.0, 1.0].contains(value))
    });
    let ranks = |side: fn(&[f64; 2]) -> f64| -> Vec<f64> {
        let values: Vec<f64> = both.iter().map(|(_, values)| side(values)).collect();
        average_ranks(&values)
    };
    let (x, y) = (ranks(|values| values[0]), ranks(|values| values[1]));
    let mut differ: Vec<Found> = (both.iter().zip(x).zip(y))
        .map(|(((place, values), x), y)| ((x - y).abs() / both.len() as f64, *place, *values))
        .filter(|(gap, _, [x, y])| {
            if judges {
                (x - y).abs() > 0.5
            } else {
                *gap > 0.0
            }
        })
        .collect();
    differ.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    Pair {
        rewards,
        count: judges.then_some([differ.len(), both.len()]),
        differ,
    }
}

/// What is shown so far.
struct Shown<'a> {
    given: &'a [&'a Given],
    all: Vec<Disagreement>,
    places: Vec<usize>,
}

impl Shown<'_> {
    /// Whether a completion, or one of the same words, is there already.
    fn has(&self, place: usize) -> bool {
        let text = |place: usize| {
            let given = self.given.get(place)?;
            Some((&given.prompt, &given.completion))
        };
        self.places.iter().any(|other| text(*other) == text(place))
    }

    fn add(&mut self, pair: &Pair<'_>, (gap, place, values): Found) {
        let Some(given) = self.given.get(place).filter(|_| self.all.len() < SHOWN) else {
            return;
        };
        self.places.push(place);
        self.all.push(Disagreement {
            rewards: pair.rewards.map(str::to_owned),
            values,
            gap,
            count: pair.count,
            task: given.task.clone(),
            problem: given.problem.clone(),
            prompt: given.prompt.clone(),
            completion: given.completion.clone(),
        });
    }
}
