//! Fingerprints and representational similarity: costs standardised within task and
//! concatenated over tasks; Pearson's r between two of them.
//!
//! Within a task a standardised cost has mean 0 and variance 1, so the r of two fingerprints is
//! the mean of the tasks' own r, weighted by their numbers of items. That is how it is computed
//! here: from sums, out of which a cluster's items can be taken.

use super::design::{Design, Without};
use crate::statistics::{Undefined, mean};

/// The name of people's fingerprint.
pub const HUMAN: &str = "human";

/// Sums of one task from which its r follows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Moments {
    n: f64,
    x: f64,
    y: f64,
    xx: f64,
    yy: f64,
    xy: f64,
}

impl Moments {
    fn add(&mut self, x: f64, y: f64) {
        self.n += 1.0;
        self.x += x;
        self.y += y;
        self.xx += x * x;
        self.yy += y * y;
        self.xy += x * y;
    }

    fn less(&self, other: &Self) -> Self {
        Self {
            n: self.n - other.n,
            x: self.x - other.x,
            y: self.y - other.y,
            xx: self.xx - other.xx,
            yy: self.yy - other.yy,
            xy: self.xy - other.xy,
        }
    }

    /// n times Pearson's r; `None` where one side does not vary. The values come centred.
    fn weighted_r(&self) -> Option<f64> {
        let xx = self.xx - self.x * self.x / self.n;
        let yy = self.yy - self.y * self.y / self.n;
        let xy = self.xy - self.x * self.y / self.n;
        let least = 1e-20;
        (xx > least && yy > least).then(|| self.n * xy / (xx.sqrt() * yy.sqrt()))
    }
}

/// Costs of one side on every item of a design, by task; `None` where it has none.
pub type Costs = Vec<Vec<Option<f64>>>;

/// The similarity of two sides, with all items and with each cluster left out.
///
/// Worked example: `whole: 0.61` over 312 items of two strata.
#[derive(Debug, Clone, PartialEq)]
pub struct Agreement {
    whole: Result<f64, Undefined>,
    without: Vec<Vec<Option<f64>>>,
}

impl Agreement {
    /// Of the items that `shared` names, by task; tasks without any add nothing.
    pub fn new(design: &Design<'_>, shared: &[Vec<usize>], x: &Costs, y: &Costs) -> Self {
        let mut whole = vec![Moments::default(); shared.len()];
        let mut clusters: Vec<Vec<Vec<(usize, Moments)>>> = (design.strata.iter())
            .map(|stratum| vec![Vec::new(); stratum.clusters])
            .collect();
        for (at, items) in shared.iter().enumerate() {
            let task = &design.tasks[at];
            let pairs: Vec<(usize, f64, f64)> = (items.iter())
                .filter_map(|&item| Some((task.cluster[item], x[at][item]?, y[at][item]?)))
                .collect();
            let centre = |of: fn(&(usize, f64, f64)) -> f64| {
                mean(&pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
            };
            let (mx, my) = (centre(|p| p.1), centre(|p| p.2));
            for (cluster, x, y) in pairs {
                whole[at].add(x - mx, y - my);
                let of_cluster = &mut clusters[task.stratum][cluster];
                if of_cluster.last().is_none_or(|(task, _)| *task != at) {
                    of_cluster.push((at, Moments::default()));
                }
                if let Some((_, moments)) = of_cluster.last_mut() {
                    moments.add(x - mx, y - my);
                }
            }
        }
        let of = |left_out: &[(usize, Moments)]| -> Option<f64> {
            let (mut sum, mut n) = (0.0, 0.0);
            for (at, whole) in whole.iter().enumerate() {
                let left = left_out.iter().find(|(task, _)| *task == at);
                let moments = left.map_or(*whole, |(_, left)| whole.less(left));
                if moments.n > 0.0 {
                    sum += moments.weighted_r()?;
                    n += moments.n;
                }
            }
            (n > 0.0).then(|| sum / n)
        };
        let why = Undefined::NoVariance("a task's costs over the shared items");
        Self {
            whole: of(&[]).ok_or(why),
            without: (clusters.iter())
                .map(|stratum| stratum.iter().map(|left_out| of(left_out)).collect())
                .collect(),
        }
    }

    /// The similarity, with all items or without some.
    pub fn get(&self, without: Option<Without>) -> Result<f64, Undefined> {
        match without {
            None => self.whole.clone(),
            Some(left) => self.without[left.stratum][left.cluster].ok_or(Undefined::NoVariance(
                "a task's costs over the shared items",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::{ItemMeans, ModelItems};
    use crate::norms::{NormItem, Norms};
    use crate::statistics::correlation::pearson;

    #[test]
    fn it_is_the_correlation_of_concatenated_standardised_costs() {
        let ids = ["a", "b", "c", "d", "e"];
        let mut model = ModelItems::default();
        for task in ["s", "t"] {
            for id in ids {
                let of_task = model.tasks.entry(task.into()).or_default();
                of_task.insert(id.into(), ItemMeans::default());
            }
        }
        let norms = Norms::new(vec![NormItem::default()], String::new());
        let tasks = ["s".to_owned(), "t".to_owned()];
        let design = Design::new(&tasks, &norms, [&model]);
        let x = [
            vec![1.0, 2.0, 4.0, 3.0, 7.0],
            vec![10.0, 30.0, 20.0, 25.0, 0.0],
        ];
        let y = [
            vec![2.0, 2.5, 3.0, 9.0, 1.0],
            vec![5.0, 1.0, 2.0, 2.5, 2.25],
        ];
        let costs = |of: &[Vec<f64>; 2]| {
            of.iter()
                .map(|v| v.iter().map(|v| Some(*v)).collect())
                .collect()
        };
        let shared = vec![vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3]];
        let found = Agreement::new(&design, &shared, &costs(&x), &costs(&y));
        let print = |of: &[Vec<f64>; 2], skip: Option<usize>| -> Vec<f64> {
            let standardised = |(task, items): (usize, &Vec<usize>)| {
                let kept = items
                    .iter()
                    .filter(|item| task != 0 || Some(**item) != skip);
                let values: Vec<f64> = kept.map(|&item| of[task][item]).collect();
                let centre = mean(&values).unwrap();
                let squares: f64 = values.iter().map(|v| (v - centre).powi(2)).sum();
                let sd = (squares / values.len() as f64).sqrt();
                values
                    .into_iter()
                    .map(move |v| (v - centre) / sd)
                    .collect::<Vec<_>>()
            };
            shared.iter().enumerate().flat_map(standardised).collect()
        };
        let whole = pearson(&print(&x, None), &print(&y, None)).unwrap();
        assert!((found.get(None).unwrap() - whole).abs() < 1e-12);
        let left = Without {
            stratum: 0,
            cluster: 2,
        };
        let without = pearson(&print(&x, Some(2)), &print(&y, Some(2))).unwrap();
        assert!((found.get(Some(left)).unwrap() - without).abs() < 1e-12);
        let flat = costs(&[vec![1.0; 5], vec![1.0; 5]]);
        assert!(
            Agreement::new(&design, &shared, &flat, &costs(&y))
                .get(None)
                .is_err()
        );
    }
}
