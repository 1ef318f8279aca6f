//! The items of a comparison, and which of them are one piece of evidence.
//!
//! Items that share a cluster are left out together: the same problem in digits and in words,
//! or all items that carry the mean time of one condition. An item without a cluster is its
//! own. Tasks that share clusters form one stratum; strata are independent of each other.

use std::collections::{BTreeMap, BTreeSet};

use super::accuracy::expected_answer;
use super::among;
use super::cost::ModelItems;
use crate::norms::{NormItem, Norms};
use crate::statistics::two_way::Replicates;

/// A cluster of items that is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Without {
    /// Number of the stratum.
    pub stratum: usize,
    /// Number of the cluster in it.
    pub cluster: usize,
}

/// Tasks whose items are clustered together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stratum {
    /// Numbers of its tasks.
    pub tasks: Vec<usize>,
    /// Clusters of its items.
    pub clusters: usize,
}

/// The items of one task, in one order for every model.
#[derive(Debug, Clone)]
pub struct TaskDesign<'n> {
    /// Task name.
    pub name: &'n str,
    /// Item names.
    pub ids: Vec<&'n str>,
    /// What the norms have of each item.
    pub norms: Vec<Option<&'n NormItem>>,
    /// Human cost of each item.
    pub human: Vec<Option<f64>>,
    /// Number of each item's expected answer.
    pub answer: Vec<Option<usize>>,
    /// Different expected answers.
    pub answers: usize,
    /// Number of its stratum.
    pub stratum: usize,
    /// Each item's cluster within the stratum.
    pub cluster: Vec<usize>,
}

impl TaskDesign<'_> {
    /// Whether an item is there when a cluster is left out.
    pub fn keeps(&self, item: usize, without: Option<Without>) -> bool {
        without
            .is_none_or(|left| left.stratum != self.stratum || left.cluster != self.cluster[item])
    }
}

/// The items of every task that any of the models was evaluated on.
///
/// Worked example: 72 items of digits and words in 18 clusters and 30 letters alone are two
/// strata, of 18 and of 30 clusters.
#[derive(Debug, Clone)]
pub struct Design<'n> {
    /// Tasks in the order given.
    pub tasks: Vec<TaskDesign<'n>>,
    /// Strata in the order of their first task.
    pub strata: Vec<Stratum>,
    /// Numbers of samples at which items are looked at ([`among::sizes`]), up to the number that
    /// most items have.
    pub sizes: Vec<usize>,
}

/// What makes two items one cluster: its name, or the item itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'n> {
    Named(&'n str),
    Alone(usize, &'n str),
}

impl<'n> Design<'n> {
    /// Lays out the items that any of the models was evaluated on.
    pub fn new<'m: 'n>(
        tasks: &'n [String],
        norms: &'n Norms,
        models: impl IntoIterator<Item = &'m ModelItems>,
    ) -> Self {
        let mut ids: Vec<BTreeSet<&'n str>> = vec![BTreeSet::new(); tasks.len()];
        let mut of_samples: BTreeMap<usize, usize> = BTreeMap::new();
        for model in models {
            for (task, ids) in tasks.iter().zip(&mut ids) {
                for (id, item) in model.task(task) {
                    ids.insert(id);
                    *of_samples.entry(item.samples).or_default() += 1;
                }
            }
        }
        let most = of_samples.into_iter().max_by_key(|(_, items)| *items);
        let keys: Vec<Vec<Key<'n>>> = (tasks.iter().zip(&ids).enumerate())
            .map(|(at, (task, ids))| {
                let key = |id: &&'n str| {
                    let named = norms
                        .item(task, id)
                        .and_then(|item| item.cluster.as_deref());
                    named.map_or(Key::Alone(at, id), Key::Named)
                };
                ids.iter().map(key).collect()
            })
            .collect();
        let strata = strata(&keys);
        let mut found = Self {
            tasks: Vec::new(),
            strata: Vec::new(),
            sizes: among::sizes(most.map_or(0, |(samples, _)| samples)),
        };
        let mut of_task = vec![(0, Vec::new()); tasks.len()];
        for (number, members) in strata.into_iter().enumerate() {
            let all = members.iter().flat_map(|&task| keys[task].iter().copied());
            let numbers: BTreeMap<Key<'n>, usize> =
                all.collect::<BTreeSet<_>>().into_iter().zip(0..).collect();
            for &task in &members {
                of_task[task] = (number, keys[task].iter().map(|key| numbers[key]).collect());
            }
            found.strata.push(Stratum {
                tasks: members,
                clusters: numbers.len(),
            });
        }
        for ((task, ids), (stratum, cluster)) in tasks.iter().zip(ids).zip(of_task) {
            found
                .tasks
                .push(task_design(task, ids, norms, stratum, cluster));
        }
        found
    }

    /// Items of all tasks.
    pub fn items(&self) -> usize {
        self.tasks.iter().map(|task| task.ids.len()).sum()
    }

    /// A figure of each of so many trainings, with all items and with each cluster left out.
    ///
    /// `concerned` says which clusters of a stratum the figure can depend on; the others are no
    /// part of its sample. `None` where the figure does not exist with all items.
    pub fn replicates(
        &self,
        trainings: usize,
        concerned: impl Fn(Without) -> bool,
        figure: impl Fn(usize, Option<Without>) -> Option<f64>,
    ) -> Option<Replicates> {
        Self::replicates_without(&self.concerned(concerned), trainings, figure)
    }

    /// The clusters of each stratum that a figure can depend on.
    pub fn concerned(&self, concerned: impl Fn(Without) -> bool) -> Vec<Vec<Without>> {
        let of_stratum = |(stratum, of): (usize, &Stratum)| {
            (0..of.clusters)
                .map(|cluster| Without { stratum, cluster })
                .filter(|without| concerned(*without))
                .collect()
        };
        self.strata.iter().enumerate().map(of_stratum).collect()
    }

    /// [`Self::replicates`] with the clusters concerned found before, for many figures of them.
    pub fn replicates_without(
        concerned: &[Vec<Without>],
        trainings: usize,
        figure: impl Fn(usize, Option<Without>) -> Option<f64>,
    ) -> Option<Replicates> {
        let all = |without: Option<Without>| -> Option<Vec<f64>> {
            (0..trainings).map(|s| figure(s, without)).collect()
        };
        let whole = all(None)?;
        let of_stratum = |clusters: &Vec<Without>| -> Option<Vec<Vec<f64>>> {
            match clusters.as_slice() {
                // Without its only cluster there is no figure, and one deletion is no spread.
                [_] => Some(vec![whole.clone()]),
                clusters => clusters.iter().map(|without| all(Some(*without))).collect(),
            }
        };
        let without = concerned.iter().map(of_stratum).collect();
        Some(Replicates { whole, without })
    }
}

/// Tasks joined by shared clusters, each stratum and the strata in the order of the tasks.
fn strata(keys: &[Vec<Key<'_>>]) -> Vec<Vec<usize>> {
    let mut strata: Vec<(BTreeSet<Key<'_>>, Vec<usize>)> = Vec::new();
    for (task, keys) in keys.iter().enumerate() {
        let (mut clusters, mut members): (BTreeSet<Key<'_>>, Vec<usize>) =
            (keys.iter().copied().collect(), Vec::new());
        // A task may join several strata that had nothing in common before.
        let mut apart = Vec::new();
        for (other, of) in strata {
            if other.is_disjoint(&clusters) {
                apart.push((other, of));
            } else {
                clusters.extend(other);
                members.extend(of);
            }
        }
        members.push(task);
        members.sort_unstable();
        apart.push((clusters, members));
        strata = apart;
    }
    let mut strata: Vec<Vec<usize>> = strata.into_iter().map(|(_, members)| members).collect();
    strata.sort_unstable();
    strata
}

fn task_design<'n>(
    task: &'n str,
    ids: BTreeSet<&'n str>,
    norms: &'n Norms,
    stratum: usize,
    cluster: Vec<usize>,
) -> TaskDesign<'n> {
    let expected: Vec<Option<&str>> = (ids.iter())
        .map(|id| expected_answer(task, id, norms))
        .collect();
    let distinct: BTreeSet<&str> = expected.iter().copied().flatten().collect();
    let numbers: BTreeMap<&str, usize> = distinct.iter().copied().zip(0..).collect();
    let of_norms: Vec<Option<&NormItem>> = ids.iter().map(|id| norms.item(task, id)).collect();
    TaskDesign {
        name: task,
        human: of_norms
            .iter()
            .map(|item| item.as_ref()?.human_cost())
            .collect(),
        norms: of_norms,
        ids: ids.into_iter().collect(),
        answer: expected.iter().map(|e| Some(numbers[(*e)?])).collect(),
        answers: distinct.len(),
        stratum,
        cluster,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::ItemMeans;

    fn design_of(
        items: &[(&str, &str, Option<&str>)],
    ) -> (Vec<Vec<usize>>, Vec<usize>, Vec<Vec<usize>>) {
        let norms = items.iter().map(|(task, id, cluster)| NormItem {
            task: (*task).into(),
            item_id: (*id).into(),
            cluster: cluster.map(Into::into),
            ..NormItem::default()
        });
        let norms = Norms::new(norms.collect(), "made up".into());
        let mut model = ModelItems::default();
        for (task, id, _) in items {
            let of_task = model.tasks.entry((*task).into()).or_default();
            of_task.insert((*id).into(), ItemMeans::default());
        }
        let tasks: Vec<String> = model.tasks.keys().cloned().collect();
        let design = Design::new(&tasks, &norms, [&model]);
        (
            design.strata.iter().map(|s| s.tasks.clone()).collect(),
            design.strata.iter().map(|s| s.clusters).collect(),
            design.tasks.iter().map(|t| t.cluster.clone()).collect(),
        )
    }

    #[test]
    fn tasks_that_share_clusters_are_one_stratum() {
        let (tasks, clusters, of_items) = design_of(&[
            ("digits", "a", Some("one")),
            ("digits", "b", Some("two")),
            ("letters", "a", None),
            ("letters", "b", None),
            ("words", "a", Some("two")),
            ("words", "c", None),
        ]);
        assert_eq!(tasks, [vec![0, 2], vec![1]]);
        assert_eq!(clusters, [3, 2]);
        assert_eq!(of_items, [vec![0, 1], vec![0, 1], vec![1, 2]]);
    }

    #[test]
    fn a_task_may_join_two_strata() {
        let (tasks, clusters, _) = design_of(&[
            ("a", "1", Some("x")),
            ("b", "1", Some("y")),
            ("c", "1", Some("x")),
            ("c", "2", Some("y")),
        ]);
        assert_eq!((tasks, clusters), (vec![vec![0, 1, 2]], vec![2]));
    }
}
