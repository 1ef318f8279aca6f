//! Fingerprints and representational similarity (METRICS 8): model costs,
//! standardised within task, over the items all models share; Pearson between
//! every two fingerprints and with people's.
//!
//! The standard deviation is the population's (divisor n).

use std::collections::BTreeSet;

use super::cost::ModelItems;
use crate::norms::Norms;
use crate::statistics::{Undefined, correlation, is_noise, mean};

/// Items that every model has a cost for and people a time, by task.
pub fn shared_items<'a>(
    models: &[&'a ModelItems],
    tasks: &[String],
    norms: &Norms,
) -> Vec<Vec<&'a str>> {
    let of_task = |task: &String| -> Vec<&'a str> {
        let Some((first, rest)) = models.split_first() else {
            return Vec::new();
        };
        let has = |model: &&ModelItems, id: &str| {
            model
                .task(task)
                .get(id)
                .is_some_and(|item| item.cost.is_some())
        };
        let ids: BTreeSet<&'a str> = first.task(task).keys().map(String::as_str).collect();
        ids.into_iter()
            .filter(|id| has(first, id) && rest.iter().all(|model| has(model, id)))
            .filter(|id| norms.human_cost(task, id).is_some())
            .collect()
    };
    tasks.iter().map(of_task).collect()
}

/// Costs by task, standardised within each and concatenated; tasks without items add nothing.
pub fn fingerprint(tasks: &[Vec<f64>]) -> Result<Vec<f64>, Undefined> {
    let mut all = Vec::new();
    for costs in tasks.iter().filter(|costs| !costs.is_empty()) {
        let centre = mean(costs).unwrap_or_default();
        let n = costs.len() as f64;
        let squares: f64 = costs.iter().map(|c| (c - centre).powi(2)).sum();
        if is_noise(
            squares,
            n,
            costs.iter().fold(0.0, |m: f64, c| c.abs().max(m)),
        ) {
            return Err(Undefined::NoVariance(
                "a task's costs over the shared items",
            ));
        }
        let sd = (squares / n).sqrt();
        all.extend(costs.iter().map(|c| (c - centre) / sd));
    }
    Ok(all)
}

/// Similarity of every two fingerprints.
///
/// Worked example: `names: ["base", "sft", "human"]`, `items: 362`, `matrix[0][2]`
/// the similarity of the base with people.
#[derive(Debug, Clone, PartialEq)]
pub struct Similarity {
    /// Models as given, then "human".
    pub names: Vec<String>,
    /// Shared items.
    pub items: usize,
    /// Pearson of fingerprints, symmetric, 1 on the diagonal where defined.
    pub matrix: Vec<Vec<Result<f64, Undefined>>>,
}

/// The name of people's fingerprint.
pub const HUMAN: &str = "human";

/// Representational similarity of the named models and of people.
pub fn similarity(models: &[(&str, &ModelItems)], tasks: &[String], norms: &Norms) -> Similarity {
    let of_models: Vec<&ModelItems> = models.iter().map(|(_, model)| *model).collect();
    let shared = shared_items(&of_models, tasks, norms);
    let costs = |cost: &dyn Fn(&str, &str) -> Option<f64>| -> Vec<Vec<f64>> {
        let of_task = |(task, ids): (&String, &Vec<&str>)| {
            ids.iter().filter_map(|id| cost(task, id)).collect()
        };
        tasks.iter().zip(&shared).map(of_task).collect()
    };
    let mut prints: Vec<Result<Vec<f64>, Undefined>> = of_models
        .iter()
        .map(|model| fingerprint(&costs(&|task, id| model.task(task).get(id)?.cost)))
        .collect();
    prints.push(fingerprint(&costs(&|task, id| norms.human_cost(task, id))));
    let pair = |a: &Result<Vec<f64>, Undefined>, b: &Result<Vec<f64>, Undefined>| {
        correlation::pearson(
            a.as_ref().map_err(Clone::clone)?,
            b.as_ref().map_err(Clone::clone)?,
        )
    };
    Similarity {
        names: models
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .chain([HUMAN.to_owned()])
            .collect(),
        items: shared.iter().map(Vec::len).sum(),
        matrix: prints
            .iter()
            .map(|a| prints.iter().map(|b| pair(a, b)).collect())
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::ItemMeans;
    use crate::norms::NormItem;

    fn model(costs: &[Option<f64>]) -> ModelItems {
        let mut model = ModelItems::default();
        for (at, &cost) in costs.iter().enumerate() {
            let item = ItemMeans {
                cost,
                ..ItemMeans::default()
            };
            model
                .tasks
                .entry("t".into())
                .or_default()
                .insert(at.to_string(), item);
        }
        model
    }

    fn norms(costs: &[f64]) -> Norms {
        let item = |(at, &cost): (usize, &f64)| NormItem {
            task: "t".into(),
            item_id: at.to_string(),
            mean_log_rt: Some(cost),
            ..NormItem::default()
        };
        Norms::new(costs.iter().enumerate().map(item).collect(), String::new())
    }

    #[test]
    fn standardised_by_the_population_sd() {
        // 1, 2, 3: sd sqrt(2/3).
        let print =
            fingerprint(&[vec![1.0, 2.0, 3.0], Vec::new(), vec![0.0, 10.0]]).expect("defined");
        let expected = [-1.5f64.sqrt(), 0.0, 1.5f64.sqrt(), -1.0, 1.0];
        assert!(
            print
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-12),
            "{print:?}"
        );
        assert!(fingerprint(&[vec![2.0, 2.0]]).is_err());
    }

    #[test]
    fn only_shared_items_count() {
        let a = model(&[Some(1.0), Some(2.0), Some(3.0), None, Some(9.0)]);
        let b = model(&[Some(6.0), Some(4.0), Some(2.0), Some(1.0), Some(9.0)]);
        let flat = model(&[Some(1.0); 5]);
        // People have times for the first four items only; a has no cost for the fourth.
        let norms = norms(&[1.0, 2.0, 4.0, 8.0]);
        let found = similarity(
            &[("a", &a), ("b", &b), ("flat", &flat)],
            &["t".into()],
            &norms,
        );
        assert_eq!((found.items, found.names.len()), (3, 4));
        let value = |i: usize, j: usize| found.matrix[i][j].clone().expect("defined");
        assert!((value(0, 1) + 1.0).abs() < 1e-12 && (value(0, 0) - 1.0).abs() < 1e-12);
        assert!((value(0, 3) - 0.981_980_506_061_965_7).abs() < 1e-12);
        assert!(found.matrix[2].iter().all(Result::is_err));
    }
}
