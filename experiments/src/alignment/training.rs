//! The figures of one training on every task, with all items and with each cluster of items
//! left out: what every mean, difference and interval of a comparison is made from.

use super::accuracy::Grades;
use super::cost::{ItemMeans, ModelItems};
use super::design::{Design, TaskDesign, Without};
use super::pairing::Origin;
use super::within_task::Pairs;
use crate::comparison::Measure;
use crate::statistics::{Undefined, mean};

/// Figures of a training on a task: the measures that contrasts are taken in, then those that
/// the tables alone show.
pub const FIGURES: usize = 11;

/// The measures, in the order of the arrays below.
pub const MEASURES: [Measure; 6] = [
    Measure::Elasticity,
    Measure::AlignmentUnlimited,
    Measure::Alignment,
    Measure::Accuracy,
    Measure::BalancedAccuracy,
    Measure::Tokens,
];

/// Places in the arrays below.
pub const ELASTICITY: usize = 0;
/// r at unlimited samples.
pub const UNLIMITED: usize = 1;
/// Pearson's r as observed.
pub const ALIGNMENT: usize = 2;
/// Share of right samples.
pub const ACCURACY: usize = 3;
/// Mean over the expected answers of the accuracy on each.
pub const BALANCED: usize = 4;
/// Mean over items of the items' mean reasoning tokens.
pub const TOKENS: usize = 5;
/// Reliability of the item means.
pub const RELIABILITY: usize = 6;
/// Spearman's r.
pub const SPEARMAN: usize = 7;
/// Pearson's r given ln(prompt tokens).
pub const PARTIAL: usize = 8;
/// Accuracy with samples that were cut off counted as wrong.
pub const CUT_OFF_WRONG: usize = 9;

/// Share of samples that were cut off.
pub const CUT_OFF: usize = 10;

/// The place of pass@k, beyond those arrays: k is the number at `size` of [`Design::sizes`].
pub fn pass(size: usize) -> usize {
    FIGURES + 2 * size
}

/// The same of majority@k.
pub fn majority(size: usize) -> usize {
    pass(size) + 1
}

/// The place of a measure.
pub fn place(measure: Measure) -> usize {
    match measure {
        Measure::Elasticity => ELASTICITY,
        Measure::AlignmentUnlimited => UNLIMITED,
        Measure::Alignment => ALIGNMENT,
        Measure::Accuracy => ACCURACY,
        Measure::BalancedAccuracy => BALANCED,
        Measure::Tokens => TOKENS,
    }
}

/// The figures of one task with some items left out.
type Figures = [Option<f64>; FIGURES];

/// One training of one model.
#[derive(Debug, Clone)]
pub struct Training<'m> {
    /// The training itself.
    pub model: &'m ModelItems,
    /// What tells it apart from the others of its arm.
    pub origin: Origin,
    /// What it did on each item of the design, by task; `None` where it was not asked.
    pub cells: Vec<Vec<Option<&'m ItemMeans>>>,
    /// By task, with all items.
    whole: Vec<[Result<f64, Undefined>; FIGURES]>,
    /// By task and cluster of the task's stratum; `None` where the task has no item in it.
    without: Vec<Vec<Option<Figures>>>,
    /// By task, pass@k and majority@k in the order of their places.
    among: Vec<Vec<ItemMean>>,
}

/// A mean over items of what each item has for itself. Without a cluster it is a difference of
/// sums, so that of very many clusters none takes the items through again.
#[derive(Debug, Clone)]
struct ItemMean {
    whole: Result<f64, Undefined>,
    sum: f64,
    items: usize,
    /// Of each cluster of the stratum.
    of_cluster: Vec<(f64, usize)>,
}

impl ItemMean {
    fn of(
        task: &TaskDesign<'_>,
        cells: &[Option<&ItemMeans>],
        clusters: usize,
        figure: impl Fn(&ItemMeans) -> Result<f64, Undefined>,
    ) -> Self {
        let mut found = Self {
            whole: Err(Undefined::Because("no sample".into())),
            sum: 0.0,
            items: 0,
            of_cluster: vec![(0.0, 0); clusters],
        };
        for (item, cluster) in cells.iter().zip(&task.cluster) {
            let Some(item) = item else { continue };
            match figure(item) {
                Ok(value) => {
                    found.sum += value;
                    found.items += 1;
                    found.of_cluster[*cluster].0 += value;
                    found.of_cluster[*cluster].1 += 1;
                }
                // A mean over the other items would be a choice among them.
                Err(why) => {
                    found.whole = Err(why);
                    return found;
                }
            }
        }
        if found.items > 0 {
            found.whole = Ok(found.sum / found.items as f64);
        }
        found
    }

    /// Without a cluster, where the figure exists with all items.
    fn without(&self, cluster: usize) -> Option<f64> {
        let whole = *self.whole.as_ref().ok()?;
        let (sum, items) = self.of_cluster[cluster];
        match self.items - items {
            _ if items == 0 => Some(whole),
            0 => None,
            left => Some((self.sum - sum) / left as f64),
        }
    }
}

impl<'m> Training<'m> {
    /// All figures of a training.
    pub fn new(design: &Design<'_>, model: &'m ModelItems) -> Self {
        let cells: Vec<Vec<Option<&ItemMeans>>> = (design.tasks.iter())
            .map(|task| {
                let of_model = model.task(task.name);
                task.ids.iter().map(|id| of_model.get(*id)).collect()
            })
            .collect();
        let of_task = |(task, cells): (&TaskDesign<'_>, &Vec<Option<&ItemMeans>>)| {
            let stratum = task.stratum;
            let mut here = vec![false; design.strata[stratum].clusters];
            for (cluster, _) in task.cluster.iter().zip(cells).filter(|(_, c)| c.is_some()) {
                here[*cluster] = true;
            }
            let left_out = |(cluster, here): (usize, bool)| {
                here.then(|| replicate(task, cells, Without { stratum, cluster }))
            };
            here.into_iter().enumerate().map(left_out).collect()
        };
        let tasks = || design.tasks.iter().zip(&cells);
        let among = |(task, cells): (&TaskDesign<'_>, &Vec<Option<&ItemMeans>>)| {
            let clusters = design.strata[task.stratum].clusters;
            let at = |k: usize| {
                [
                    ItemMean::of(task, cells, clusters, |item| item.pass_at(k)),
                    ItemMean::of(task, cells, clusters, |item| item.majority_at(k)),
                ]
            };
            design.sizes.iter().flat_map(|k| at(*k)).collect()
        };
        Self {
            among: tasks().map(among).collect(),
            origin: Origin {
                seed: model.seed,
                teacher: model.teacher,
            },
            model,
            whole: tasks().map(|(task, cells)| whole(task, cells)).collect(),
            without: tasks().map(of_task).collect(),
            cells,
        }
    }

    /// A figure on a task with all items.
    pub fn whole(&self, task: usize, figure: usize) -> &Result<f64, Undefined> {
        match figure.checked_sub(FIGURES) {
            Some(among) => &self.among[task][among].whole,
            None => &self.whole[task][figure],
        }
    }

    /// A figure on a task, with all items or without some.
    pub fn figure(
        &self,
        task: &TaskDesign<'_>,
        at: usize,
        figure: usize,
        without: Option<Without>,
    ) -> Option<f64> {
        let without = without.filter(|without| without.stratum == task.stratum);
        if let Some(among) = figure.checked_sub(FIGURES) {
            let found = &self.among[at][among];
            return match without {
                Some(without) => found.without(without.cluster),
                None => found.whole.as_ref().ok().copied(),
            };
        }
        let left_out = without.and_then(|without| self.without[at][without.cluster].as_ref());
        match left_out {
            Some(figures) => figures[figure],
            None => self.whole[at][figure].as_ref().ok().copied(),
        }
    }

    /// The plain mean of a figure over some tasks, with all items or without some.
    pub fn over_tasks(
        &self,
        design: &Design<'_>,
        tasks: &[usize],
        figure: usize,
        without: Option<Without>,
    ) -> Option<f64> {
        let mut sum = 0.0;
        for &at in tasks {
            sum += self.figure(&design.tasks[at], at, figure, without)?;
        }
        (!tasks.is_empty()).then(|| sum / tasks.len() as f64)
    }

    /// Whether the training has an item of a cluster in one of these tasks.
    pub fn concerns(&self, design: &Design<'_>, tasks: &[usize], without: Without) -> bool {
        tasks.iter().any(|&at| {
            design.tasks[at].stratum == without.stratum
                && self.without[at][without.cluster].is_some()
        })
    }

    /// The items of a task that are there, with their place.
    pub fn items<'a>(
        &'a self,
        design: &'a Design<'_>,
        at: usize,
        without: Option<Without>,
    ) -> impl Iterator<Item = (usize, &'m ItemMeans)> + 'a {
        let task = &design.tasks[at];
        let cells = self.cells[at].iter().enumerate();
        cells
            .filter(move |(item, _)| task.keeps(*item, without))
            .filter_map(|(item, cell)| Some((item, (*cell)?)))
    }
}

/// What the figures of a task are made from.
struct Sums {
    grades: Grades,
    tokens: Vec<f64>,
    pairs: Pairs,
}

fn sums(task: &TaskDesign<'_>, cells: &[Option<&ItemMeans>], without: Option<Without>) -> Sums {
    let mut sums = Sums {
        grades: Grades::new(task.answers),
        tokens: Vec::with_capacity(cells.len()),
        pairs: Pairs::default(),
    };
    for (at, cell) in cells.iter().enumerate() {
        if let Some(item) = cell.filter(|_| task.keeps(at, without)) {
            sums.grades.add(item, task.answer[at]);
            sums.tokens.extend(item.tokens);
            sums.pairs.push(item, task.human[at]);
        }
    }
    sums
}

/// All figures of a task, each with its reason where it is undefined.
fn whole(task: &TaskDesign<'_>, cells: &[Option<&ItemMeans>]) -> [Result<f64, Undefined>; FIGURES] {
    let sums = sums(task, cells, None);
    let pairs = &sums.pairs;
    let timed = |figure: Result<f64, Undefined>| {
        if task.human.iter().all(Option::is_none) {
            return Err(Undefined::Because("people's times are not known".into()));
        }
        figure
    };
    [
        timed(pairs.elasticity()),
        timed(pairs.unlimited()),
        timed(pairs.pearson()),
        sums.grades.plain(),
        sums.grades.balanced(),
        mean(&sums.tokens).ok_or_else(|| Undefined::Because("no sample".into())),
        timed(pairs.reliability()),
        timed(pairs.spearman()),
        timed(pairs.partial()),
        sums.grades.cut_off_wrong(),
        sums.grades.cut_off(),
    ]
}

/// The same without a cluster.
fn replicate(task: &TaskDesign<'_>, cells: &[Option<&ItemMeans>], without: Without) -> Figures {
    let sums = sums(task, cells, Some(without));
    let pairs = &sums.pairs;
    [
        pairs.elasticity().ok(),
        pairs.unlimited_replicate(),
        pairs.pearson().ok(),
        sums.grades.plain().ok(),
        sums.grades.balanced().ok(),
        mean(&sums.tokens),
        pairs.reliability().ok(),
        pairs.spearman().ok(),
        pairs.partial().ok(),
        sums.grades.cut_off_wrong().ok(),
        sums.grades.cut_off().ok(),
    ]
}
