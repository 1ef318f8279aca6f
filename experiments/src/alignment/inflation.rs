//! Linear inflation (METRICS 7): a student's tokens as a line of its base's, and
//! the heterogeneity slope.
//!
//! A constant multiplier alone leaves every within-task r unchanged: the two
//! lines are to be read beside the alignments, never for them. The line over the
//! inverse efficiency index stands with that index.

use super::cost::{ItemMeans, ModelItems};
use crate::norms::Norms;
use crate::statistics::Undefined;
use crate::statistics::regression::{Line, ols};

/// Points of a regression over items.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    /// Predictor.
    pub x: Vec<f64>,
    /// Response.
    pub y: Vec<f64>,
    /// Number of points of each task, in order: the strata of a bootstrap.
    pub by_task: Vec<usize>,
}

impl Points {
    /// The least-squares line through them.
    pub fn line(&self) -> Result<Line, Undefined> {
        ols(&self.x, &self.y)
    }
}

/// Points of the items both models have, as `pair(task, id, student, base)` makes them.
fn points(
    student: &ModelItems,
    base: &ModelItems,
    tasks: &[String],
    pair: impl Fn(&str, &str, &ItemMeans, &ItemMeans) -> Option<(f64, f64)>,
) -> Points {
    let mut found = Points::default();
    for task in tasks {
        let before = found.x.len();
        for (id, item) in student.task(task) {
            let of_base = base.task(task).get(id);
            if let Some((x, y)) = of_base.and_then(|of_base| pair(task, id, item, of_base)) {
                found.x.push(x);
                found.y.push(y);
            }
        }
        found.by_task.push(found.x.len() - before);
    }
    found
}

/// Student tokens (y) on base tokens (x), item means, over the items both have.
pub fn tokens(student: &ModelItems, base: &ModelItems, tasks: &[String]) -> Points {
    points(student, base, tasks, |_, _, student, base| {
        Some((base.tokens?, student.tokens?))
    })
}

/// ln(student tokens / base tokens) (y) on human cost (x): slope 0 is a constant
/// multiplier whatever the difficulty. Items with zero tokens are left out.
pub fn heterogeneity(
    student: &ModelItems,
    base: &ModelItems,
    tasks: &[String],
    norms: &Norms,
) -> Points {
    points(student, base, tasks, |task, id, student, base| {
        let (student, base) = (student.tokens?, base.tokens?);
        let human = norms.human_cost(task, id)?;
        (student > 0.0 && base > 0.0).then(|| (human, (student / base).ln()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norms::NormItem;

    fn model(tokens: &[f64]) -> ModelItems {
        let mut model = ModelItems::default();
        for (at, &tokens) in tokens.iter().enumerate() {
            let item = ItemMeans {
                tokens: Some(tokens),
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
    fn a_constant_multiplier_has_no_heterogeneity() {
        let (base, student) = (
            model(&[10.0, 20.0, 40.0, 0.0]),
            model(&[25.0, 50.0, 100.0, 0.0, 7.0]),
        );
        let tasks = ["t".to_owned()];
        let line = tokens(&student, &base, &tasks).line().expect("defined");
        assert!(
            (line.slope - 2.5).abs() < 1e-12
                && line.intercept.abs() < 1e-12
                && (line.r2 - 1.0).abs() < 1e-12
        );
        // The item of zero tokens has no ratio; the item the base lacks is no point.
        let points = heterogeneity(&student, &base, &tasks, &norms(&[7.0, 8.0, 9.0, 9.5, 9.9]));
        assert_eq!(points.by_task, [3]);
        let line = points.line().expect("defined");
        assert!(line.slope.abs() < 1e-12 && (line.intercept - 2.5f64.ln()).abs() < 1e-12);
    }

    #[test]
    fn more_on_harder_items_is_a_positive_slope() {
        let (base, student) = (model(&[10.0; 3]), model(&[10.0, 20.0, 40.0]));
        let points = heterogeneity(&student, &base, &["t".into()], &norms(&[1.0, 2.0, 3.0]));
        assert!((points.line().expect("defined").slope - std::f64::consts::LN_2).abs() < 1e-12);
    }
}
