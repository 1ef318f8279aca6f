//! How far an item lies from what is expected of it: people and arms from what the covariates
//! predict, arms from people and from each other. The explorer shows these and sorts by them.
//!
//! The predictions are the comparison's ([`crate::comparison::further::Trivial`]); here they
//! are only found by item.

use std::collections::HashMap;

use crate::comparison::{Comparison, ItemCompletions, ItemPoint, ShownCompletion};
use crate::statistics::mean;

/// An arm's cost of an item.
///
/// Worked example: `{mean: 2.71, expected: Some(2.64)}`: 1 + tokens is e^0.07 = 1.07 times what
/// the covariates predict.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    /// Mean over trainings of the mean ln(1 + reasoning tokens).
    pub(super) mean: f64,
    /// The same as the covariates predict it; `None` where they are unknown.
    pub(super) expected: Option<f64>,
}

/// How far an item is apart; `None` where that is undefined.
///
/// Worked example: right in 4 of 4 samples and in 1 of 4, 12 tokens and 24 each time:
/// `outcomes: Some(0.75), tokens: Some(ln(25 / 13) = 0.65)`, and no time of people.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Apart {
    /// Largest less smallest share of right samples.
    pub(super) outcomes: Option<f64>,
    /// Largest less smallest mean ln(1 + reasoning tokens) over all samples.
    pub(super) tokens: Option<f64>,
    /// Mean over arms of |z(model cost) - z(human cost)|, both within the task.
    pub(super) people: Option<f64>,
    /// |human cost - what the covariates predict of it|.
    pub(super) people_predicted: Option<f64>,
    /// Mean over arms of |model cost - what the covariates predict of it|.
    pub(super) arms_predicted: Option<f64>,
}

/// Task and item.
type Key<'a> = (&'a str, &'a str);

/// What a comparison knows of its items.
pub(super) struct Known<'a> {
    expected: HashMap<Key<'a>, f64>,
    costs: HashMap<(&'a str, Key<'a>), Cost>,
    from_people: HashMap<Key<'a>, f64>,
}

impl<'a> Known<'a> {
    pub(super) fn of(comparison: &'a Comparison) -> Self {
        let mut found = Self {
            expected: HashMap::new(),
            costs: HashMap::new(),
            from_people: from_people(comparison),
        };
        let trivial = &comparison.further.trivial;
        for task in trivial {
            let of = |(id, cost): (&'a String, &f64)| ((task.task.as_str(), id.as_str()), *cost);
            found.expected.extend(task.expected.iter().map(of));
        }
        for arm in &comparison.arms {
            for task in &arm.tasks {
                let predicted = trivial.iter().find(|t| t.task == task.task);
                let predicted = predicted.and_then(|t| t.expected_costs.get(&arm.name));
                for point in &task.points {
                    let key = (task.task.as_str(), point.item_id.as_str());
                    let cost = Cost {
                        mean: point.model_cost,
                        expected: predicted.and_then(|p| p.get(&point.item_id)).copied(),
                    };
                    found.costs.insert((&arm.name, key), cost);
                }
            }
        }
        found
    }

    /// Human cost of an item as the covariates predict it.
    pub(super) fn expected(&self, item: &ItemCompletions) -> Option<f64> {
        self.expected.get(&key(item)).copied()
    }

    /// An arm's cost of an item.
    pub(super) fn cost(&self, arm: &str, item: &ItemCompletions) -> Option<Cost> {
        self.costs.get(&(arm, key(item))).copied()
    }

    /// How far an item is apart; `samples` are those of each of `arms`.
    pub(super) fn apart(
        &self,
        item: &ItemCompletions,
        arms: &[&str],
        samples: &[&[ShownCompletion]],
    ) -> Apart {
        let far = |cost: Cost| Some((cost.mean - cost.expected?).abs());
        let arms = arms
            .iter()
            .filter_map(|arm| self.cost(arm, item).and_then(far));
        Apart {
            outcomes: spread(samples.iter().filter_map(|of| share(of))),
            tokens: spread(samples.iter().filter_map(|of| cost(of))),
            people: self.from_people.get(&key(item)).copied(),
            people_predicted: (item.human_cost)
                .and_then(|human| Some((human - self.expected(item)?).abs())),
            arms_predicted: mean(&arms.collect::<Vec<_>>()),
        }
    }
}

fn key(item: &ItemCompletions) -> Key<'_> {
    (&item.task, &item.item_id)
}

/// Share of the graded samples that are right.
fn share(samples: &[ShownCompletion]) -> Option<f64> {
    let graded = samples.iter().filter_map(|c| c.correct);
    mean(
        &graded
            .map(|right| f64::from(u8::from(right)))
            .collect::<Vec<_>>(),
    )
}

/// Mean ln(1 + reasoning tokens).
fn cost(samples: &[ShownCompletion]) -> Option<f64> {
    let costs = samples
        .iter()
        .map(|c| f64::from(c.reasoning_tokens).ln_1p());
    mean(&costs.collect::<Vec<_>>())
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
fn from_people(comparison: &Comparison) -> HashMap<Key<'_>, f64> {
    let mut sums: HashMap<Key<'_>, (f64, u32)> = HashMap::new();
    for task in comparison.arms.iter().flat_map(|arm| &arm.tasks) {
        let costs = task.points.iter().filter_map(|p| Some((p, p.costs()?)));
        let (points, costs): (Vec<&ItemPoint>, Vec<(f64, f64)>) = costs.unzip();
        let human = standard(&costs.iter().map(|c| c.0).collect::<Vec<_>>());
        let model = standard(&costs.iter().map(|c| c.1).collect::<Vec<_>>());
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
    let mean = mean(values)?;
    let squares = values.iter().map(|v| (v - mean).powi(2));
    let deviation = (squares.sum::<f64>() / values.len() as f64).sqrt();
    let varies = deviation > f64::EPSILON * mean.abs();
    varies.then(|| values.iter().map(|v| (v - mean) / deviation).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn apart(comparison: &Comparison, item: &ItemCompletions) -> Apart {
        let arms: Vec<&str> = item.arms.keys().map(String::as_str).collect();
        let samples: Vec<&[ShownCompletion]> = item.arms.values().map(Vec::as_slice).collect();
        Known::of(comparison).apart(item, &arms, &samples)
    }

    /// The item of the fixture that its comparison has a point of.
    fn item() -> ItemCompletions {
        let mut item = fixture::items().remove(0);
        item.item_id = "alphabet_arithmetic-4".to_owned();
        item
    }

    #[test]
    fn arms_are_apart_in_outcome_and_tokens() {
        let mut item = item();
        item.arms.remove("base");
        let of = |tokens, correct| ShownCompletion {
            reasoning_tokens: tokens,
            correct,
            // A sample that was cut off counts with the tokens it had.
            truncated: tokens == 24,
            ..item.arms["sft"][0].clone()
        };
        let (few, many) = (of(12, Some(false)), of(24, Some(true)));
        let right = ShownCompletion {
            correct: Some(true),
            ..few.clone()
        };
        item.arms = [
            ("sft".to_owned(), vec![right, few.clone(), few.clone(), few]),
            ("grpo".to_owned(), vec![many; 4]),
        ]
        .into();
        let found = apart(&fixture::comparison(), &item);
        assert_eq!(found.outcomes, Some(0.75));
        assert!((found.tokens.unwrap() - (25.0_f64 / 13.0).ln()).abs() < 1e-12);
        // One arm is apart from nobody.
        item.arms.remove("sft");
        let found = apart(&fixture::comparison(), &item);
        assert_eq!((found.outcomes, found.tokens), (None, None));
    }

    #[test]
    fn people_and_arms_lie_as_far_from_the_prediction_as_their_residuals_say() {
        let (comparison, mut item) = (fixture::comparison(), item());
        item.human_cost = Some(7.0);
        let expected = comparison.further.trivial[0].expected[&item.item_id];
        let found = apart(&comparison, &item);
        assert!((found.people_predicted.unwrap() - (7.0 - expected).abs()).abs() < 1e-12);
        let residual = |arm: &str| {
            let figures = comparison.arms.iter().find(|a| a.name == arm).unwrap();
            let costs = &comparison.further.trivial[0].expected_costs[arm];
            (figures.tasks[0].points[4].model_cost - costs[&item.item_id]).abs()
        };
        let all = ["base", "grpo", "sft"].map(residual);
        assert!((found.arms_predicted.unwrap() - mean(&all).unwrap()).abs() < 1e-12);
        item.human_cost = None;
        assert_eq!(apart(&comparison, &item).people_predicted, None);
        // The other task says nothing of its items.
        item.task = "mental_addition".to_owned();
        item.item_id = "mental_addition-1".to_owned();
        assert_eq!(apart(&comparison, &item).arms_predicted, None);
    }

    #[test]
    fn the_distance_from_people_is_that_of_places_within_a_task() {
        let mut comparison = fixture::comparison();
        comparison.arms.truncate(1);
        let task = &mut comparison.arms[0].tasks[0];
        let point = |id: &str, human, model| ItemPoint {
            item_id: id.to_owned(),
            human_cost: Some(human),
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
}
