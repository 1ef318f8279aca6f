//! Accuracy (METRICS 11): plain, with truncated samples as wrong, balanced over
//! the expected answers; what a constant answer scores; paired tests.
//!
//! A sample without a grade is in none of these.

use std::collections::BTreeMap;

use super::cost::TaskItems;
use crate::norms::Norms;
use crate::statistics::{mcnemar, regression};

/// A share of right samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// Right samples over `n`.
    pub value: f64,
    /// Samples.
    pub n: usize,
}

fn share(right: usize, n: usize) -> Option<Share> {
    (n > 0).then(|| Share {
        value: right as f64 / n as f64,
        n,
    })
}

/// Share of right among the graded samples that are not truncated.
pub fn plain(items: &TaskItems) -> Option<Share> {
    share(
        items.values().map(|i| i.right).sum(),
        items.values().map(|i| i.graded).sum(),
    )
}

/// Share of right with every truncated sample counted as wrong.
///
/// `None` where the task graded nothing at all.
pub fn truncated_as_wrong(items: &TaskItems) -> Option<Share> {
    plain(items)?;
    share(
        items.values().map(|i| i.right).sum(),
        items.values().map(|i| i.graded + i.truncated).sum(),
    )
}

/// Mean over the expected answers of the accuracy on each; `n` counts the samples behind it.
///
/// Items whose expected answer the norms do not give are left out.
pub fn balanced(task: &str, items: &TaskItems, norms: &Norms) -> Option<Share> {
    let mut answers: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (id, item) in items.iter().filter(|(_, item)| item.graded > 0) {
        if let Some(answer) = expected_answer(task, id, norms) {
            let (right, graded) = answers.entry(answer).or_default();
            *right += item.right;
            *graded += item.graded;
        }
    }
    let shares: Vec<f64> = answers
        .values()
        .map(|&(right, graded)| right as f64 / graded as f64)
        .collect();
    let n = answers.values().map(|&(_, graded)| graded).sum();
    crate::statistics::mean(&shares).map(|value| Share { value, n })
}

/// The expected answer of an item, where the norms give one.
pub fn expected_answer<'a>(task: &str, item_id: &str, norms: &'a Norms) -> Option<&'a str> {
    norms
        .item(task, item_id)
        .map(|item| item.answer.as_str())
        .filter(|answer| !answer.is_empty())
}

/// What each constant answer scores on items with these expected answers, the
/// most frequent first: the answer and its plain accuracy. Its balanced accuracy
/// is 1 over the number of distinct answers.
pub fn constant_answers<'a>(expected: impl IntoIterator<Item = &'a str>) -> Vec<(&'a str, f64)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    expected
        .into_iter()
        .for_each(|answer| *counts.entry(answer).or_default() += 1);
    let total: usize = counts.values().sum();
    let mut shares: Vec<(&str, f64)> = counts
        .into_iter()
        .map(|(answer, count)| (answer, count as f64 / total as f64))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// Paired accuracy of two models on the same task, over samples and over items.
///
/// Worked example: 240 answers of which 12 are right in the first model alone and
/// 3 in the second alone: `only_first: 12, only_second: 3, p: 0.0352`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PairedAccuracy {
    /// Pairs (same item, same sample index) where only the first model is right.
    pub only_first: usize,
    /// Pairs where only the second is right.
    pub only_second: usize,
    /// All graded pairs.
    pub pairs: usize,
    /// Exact two-sided p of `McNemar`'s test over the pairs. Samples of one item are
    /// not independent: with more than one an item, the clustered difference is the safer of the two.
    pub p: f64,
    /// Mean over items of the difference in accuracy, first minus second, and its
    /// standard error with items as clusters; `None` below two shared items.
    pub clustered: Option<(f64, f64)>,
}

/// Pairs two models' graded samples, by task, item and sample index.
pub fn paired<'a>(
    tasks: impl IntoIterator<Item = (&'a TaskItems, &'a TaskItems)>,
) -> PairedAccuracy {
    let (mut only_first, mut only_second, mut pairs) = (0, 0, 0);
    let (mut of_first, mut of_second) = (Vec::new(), Vec::new());
    for (first, second) in tasks {
        for (id, a) in first.iter().filter(|(_, item)| item.graded > 0) {
            let Some(b) = second.get(id).filter(|item| item.graded > 0) else {
                continue;
            };
            of_first.push(a.right as f64 / a.graded as f64);
            of_second.push(b.right as f64 / b.graded as f64);
            let grades: BTreeMap<u32, bool> = b.grades.iter().copied().collect();
            for (sample, right) in &a.grades {
                if let Some(other) = grades.get(sample) {
                    pairs += 1;
                    only_first += usize::from(*right && !other);
                    only_second += usize::from(!right && *other);
                }
            }
        }
    }
    PairedAccuracy {
        only_first,
        only_second,
        pairs,
        p: mcnemar::exact(only_first, only_second),
        clustered: regression::paired_difference(&of_second, &of_first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::{items, tests::trace};
    use crate::norms::NormItem;
    use crate::record::Trace;

    fn norms() -> Norms {
        let item = |(id, answer): (&str, &str)| NormItem {
            task: "t".into(),
            item_id: id.into(),
            answer: answer.into(),
            ..NormItem::default()
        };
        Norms::new(
            [("a", "true"), ("b", "false"), ("c", "false")]
                .map(item)
                .into(),
            String::new(),
        )
    }

    fn graded(model: &str, grades: [[bool; 2]; 3]) -> TaskItems {
        let mut traces: Vec<Trace> = Vec::new();
        for (id, grades) in ["a", "b", "c"].iter().zip(grades) {
            traces.extend(
                (0..)
                    .zip(grades)
                    .map(|(s, right)| trace(model, id, s, 1, Some(right))),
            );
        }
        items(&traces, false).models[model][0].task("t").clone()
    }

    #[test]
    fn plain_truncated_and_balanced() {
        // "a" is answered wrongly, "b" and "c" rightly: 4 of 6, but (0 + 1) / 2 balanced.
        let mut task = graded("m", [[false; 2], [true; 2], [true; 2]]);
        assert_eq!(
            plain(&task),
            Some(Share {
                value: 4.0 / 6.0,
                n: 6
            })
        );
        assert_eq!(
            balanced("t", &task, &norms()),
            Some(Share { value: 0.5, n: 6 })
        );
        task.get_mut("a").expect("an item").truncated = 2;
        assert_eq!(truncated_as_wrong(&task), Some(Share { value: 0.5, n: 8 }));
        assert_eq!(plain(&TaskItems::new()), None);
        assert_eq!(balanced("another", &task, &norms()), None);
    }

    #[test]
    fn constant_answers_by_frequency() {
        assert_eq!(
            constant_answers(["true", "false", "false", "false"]),
            [("false", 0.75), ("true", 0.25)]
        );
        assert!(constant_answers([]).is_empty());
    }

    #[test]
    fn paired_by_hand() {
        let first = graded("m", [[true; 2], [true, false], [true; 2]]);
        let second = graded("n", [[false; 2], [false, true], [true; 2]]);
        let found = paired([(&first, &second)]);
        assert_eq!(
            (found.only_first, found.only_second, found.pairs),
            (3, 1, 6)
        );
        assert!((found.p - 10.0 / 16.0).abs() < 1e-12);
        // Item differences 1, 0, 0: mean 1/3, sd 1/sqrt 3, standard error 1/3.
        let (difference, error) = found.clustered.expect("three items");
        assert!((difference - 1.0 / 3.0).abs() < 1e-12 && (error - 1.0 / 3.0).abs() < 1e-12);
    }
}
