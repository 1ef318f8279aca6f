//! Cross-task alignment as the paper reports it: whether tasks that take people longer take
//! the model more tokens.
//!
//! 1000 draws of one item a task, Pearson of (model cost, human cost) across the
//! tasks; mean and central 95 % of the draws. The interval is the spread over
//! the choice of items, as the papers give it, not a bootstrap.

use crate::norms::Norms;
use crate::statistics::{Undefined, correlation, draws, mean, quantile};

use super::cost::ModelItems;

/// Draws of one item a task.
pub const DRAWS: u32 = 1000;

/// Fewest tasks for the figure to be more than a demonstration.
pub const FEWEST_TASKS: usize = 4;

/// Cross-task alignment of one model.
///
/// Worked example: four tasks, mean 0.91 \[0.72, 0.99\], not demonstrative.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CrossTask {
    /// Mean of the draws.
    pub mean: f64,
    /// Lower end of their central 95 %.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Tasks with an item that has both costs.
    pub tasks: usize,
    /// Whether there are fewer than four tasks.
    pub demonstrative: bool,
}

/// Cross-task alignment over the named tasks.
pub fn cross_task(
    model: &ModelItems,
    tasks: &[String],
    norms: &Norms,
    seed: u64,
) -> Result<CrossTask, Undefined> {
    let pairs = |task: &String| -> Vec<(f64, f64)> {
        let items = model.task(task).iter();
        items
            .filter_map(|(id, item)| Some((item.cost?, norms.human_cost(task, id)?)))
            .collect()
    };
    let tasks: Vec<Vec<(f64, f64)>> = tasks
        .iter()
        .map(pairs)
        .filter(|pairs| !pairs.is_empty())
        .collect();
    if tasks.len() < correlation::FEWEST {
        return Err(Undefined::TooFew {
            what: "tasks",
            have: tasks.len(),
            need: correlation::FEWEST,
        });
    }
    let drawn: Vec<Option<f64>> = (0..u64::from(DRAWS))
        .map(|draw| {
            let mut rng = draws::stream(seed, "cross-task", draw);
            let mut one = |pairs: &Vec<(f64, f64)>| {
                pairs[draws::below(&mut rng, pairs.len() as u32) as usize]
            };
            let (cost, human): (Vec<f64>, Vec<f64>) = tasks.iter().map(&mut one).unzip();
            correlation::pearson(&cost, &human).ok()
        })
        .collect();
    let (low, high) = quantile::central_95(drawn.iter().copied()).ok_or_else(|| {
        Undefined::Because("more than 5 % of the draws have no variance across tasks".into())
    })?;
    let mean = mean(&drawn.into_iter().flatten().collect::<Vec<_>>()).unwrap_or_default();
    Ok(CrossTask {
        mean,
        low,
        high,
        tasks: tasks.len(),
        demonstrative: tasks.len() < FEWEST_TASKS,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::ItemMeans;
    use crate::norms::NormItem;

    /// Tasks of one item each: every draw is the same.
    fn sample(costs: &[(f64, f64)]) -> (ModelItems, Norms, Vec<String>) {
        let mut model = ModelItems::default();
        let mut norm = Vec::new();
        for (at, &(cost, human)) in costs.iter().enumerate() {
            let item = ItemMeans {
                cost: Some(cost),
                ..ItemMeans::default()
            };
            model
                .tasks
                .entry(format!("task {at}"))
                .or_default()
                .insert("a".into(), item);
            norm.push(NormItem {
                task: format!("task {at}"),
                item_id: "a".into(),
                mean_log_rt: Some(human),
                ..NormItem::default()
            });
        }
        let tasks = model.tasks.keys().cloned().collect();
        (model, Norms::new(norm, String::new()), tasks)
    }

    #[test]
    fn one_item_a_task_is_a_plain_correlation() {
        let (model, norms, tasks) = sample(&[(1.0, 1.0), (2.0, 2.0), (3.0, 4.0)]);
        let found = cross_task(&model, &tasks, &norms, 0).expect("defined");
        // 3 / sqrt(2 * 42 / 9), as by hand.
        for value in [found.mean, found.low, found.high] {
            assert!((value - 0.981_980_506_061_965_7).abs() < 1e-12);
        }
        assert!(found.demonstrative);
        let (model, norms, tasks) = sample(&[(1.0, 1.0), (2.0, 2.0), (3.0, 4.0), (0.0, 0.5)]);
        assert!(
            !cross_task(&model, &tasks, &norms, 0)
                .expect("defined")
                .demonstrative
        );
    }

    #[test]
    fn two_tasks_or_one_cost_are_undefined() {
        let (model, norms, tasks) = sample(&[(1.0, 1.0), (2.0, 2.0)]);
        assert_eq!(
            cross_task(&model, &tasks, &norms, 0),
            Err(Undefined::TooFew {
                what: "tasks",
                have: 2,
                need: 3
            })
        );
        let (model, norms, tasks) = sample(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]);
        assert!(cross_task(&model, &tasks, &norms, 0).is_err());
    }
}
