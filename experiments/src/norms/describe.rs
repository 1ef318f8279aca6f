//! What norms hold of each task, in figures: items, clusters, covariates,
//! subjects, trials, window, reliability, range of times.
//!
//! Nothing is judged here; see [`super::check`] for what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::{NormItem, Norms, Window, conditions};
use crate::alignment::ceiling::{self, Ceiling};

/// A task of some norms.
///
/// Worked example: `alphabet_arithmetic` of Morey, Lu and Rouder: 120 items, all
/// with times, 28197 trials of 91 subjects, 10 conditions, means of 1496 to
/// 5187 ms, reliability 0.983.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskDescription {
    /// Task name.
    pub task: String,
    /// Items.
    pub items: usize,
    /// Items with a time.
    pub timed: usize,
    /// Items with an answer to grade by.
    pub answered: usize,
    /// Names of conditions.
    pub conditions: usize,
    /// Names of clusters.
    pub clusters: usize,
    /// Items in a cluster; each of the others is its own.
    pub clustered: usize,
    /// By name of the covariate, the items that have it.
    pub covariates: BTreeMap<String, usize>,
    /// Subjects; `None` without trials.
    pub subjects: Option<usize>,
    /// Trials, and those of them that count; `None` without trials.
    pub trials: Option<(usize, usize)>,
    /// Which trials count.
    pub window: Window,
    /// Shortest and longest mean time of an item, in milliseconds.
    pub range_ms: Option<(f64, f64)>,
    /// Mean accuracy of people over items, where it is known.
    pub accuracy: Option<f64>,
    /// The noise ceiling, or why there is none.
    pub ceiling: Result<Ceiling, String>,
}

/// Describes every task of some norms, by name.
pub fn describe(norms: &Norms) -> Vec<TaskDescription> {
    let tasks = norms.tasks().into_iter();
    tasks.map(|task| of_task(norms, task)).collect()
}

fn of_task(norms: &Norms, task: &str) -> TaskDescription {
    let items = norms.items(task);
    let trials = norms.trials(task);
    let window = Window::of(task);
    let times = || items.iter().filter_map(time_ms);
    let accuracies: Vec<f64> = items.iter().filter_map(|item| item.accuracy).collect();
    let names = |of: fn(&NormItem) -> Option<&str>| -> BTreeSet<&str> {
        items.iter().filter_map(of).collect()
    };
    let mut covariates = BTreeMap::new();
    for name in items.iter().flat_map(|item| item.covariates.keys()) {
        *covariates.entry(name.clone()).or_default() += 1;
    }
    TaskDescription {
        task: task.into(),
        items: items.len(),
        timed: times().count(),
        answered: items.iter().filter(|i| !i.answer.is_empty()).count(),
        conditions: names(|item| item.condition.as_deref()).len(),
        clusters: names(|item| item.cluster.as_deref()).len(),
        clustered: items.iter().filter(|i| i.cluster.is_some()).count(),
        covariates,
        subjects: (!trials.is_empty()).then(|| {
            let subjects: BTreeSet<&str> = trials.iter().map(|t| t.subject.as_str()).collect();
            subjects.len()
        }),
        trials: (!trials.is_empty()).then(|| {
            let kept = trials.iter().filter(|trial| window.keeps(trial)).count();
            (trials.len(), kept)
        }),
        window,
        range_ms: times().reduce(f64::min).zip(times().reduce(f64::max)),
        accuracy: crate::statistics::mean(&accuracies),
        ceiling: match norms.ceiling(task) {
            Some(ceiling) => Ok(*ceiling),
            None if trials.is_empty() => Err("there are no trials to split".into()),
            None => ceiling::noise_ceiling(trials, window).map_err(|why| why.to_string()),
        },
    }
}

/// Mean time of an item; its geometric mean where the logarithms alone are known.
fn time_ms(item: &NormItem) -> Option<f64> {
    item.mean_rt_ms.or_else(|| item.mean_log_rt.map(f64::exp))
}

impl fmt::Display for TaskDescription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.task)?;
        let part = |count: usize| match count {
            0 => "none".to_owned(),
            all if all == self.items => "all".to_owned(),
            some => some.to_string(),
        };
        writeln!(
            f,
            "  items        {} ({} with times, {} with answers); conditions: {}",
            self.items,
            part(self.timed),
            part(self.answered),
            self.conditions
        )?;
        match (self.clusters, self.items - self.clustered) {
            (0, _) => writeln!(f, "  clusters     none: each item is its own")?,
            (clusters, 0) => writeln!(f, "  clusters     {clusters}, of all items")?,
            (clusters, alone) => writeln!(
                f,
                "  clusters     {clusters}, of {} items; {alone} items alone",
                self.clustered
            )?,
        }
        if !self.covariates.is_empty() {
            let named = |(name, count): (&String, &usize)| format!("{name} ({})", part(*count));
            let names: Vec<String> = self.covariates.iter().map(named).collect();
            writeln!(f, "  covariates   {}", names.join(", "))?;
        }
        if let (Some(subjects), Some((trials, kept))) = (self.subjects, self.trials) {
            writeln!(f, "  subjects     {subjects}")?;
            writeln!(f, "  trials       {trials}, of which {kept} count")?;
            writeln!(f, "  window       {}", self.window)?;
        }
        if let Some((low, high)) = self.range_ms {
            writeln!(f, "  times        means of {low:.0} to {high:.0} ms")?;
        }
        if let Some(accuracy) = self.accuracy {
            writeln!(
                f,
                "  accuracy     {:.1} % of people's answers",
                100.0 * accuracy
            )?;
        }
        match &self.ceiling {
            Ok(found) => writeln!(
                f,
                "  reliability  {:.3} (split halves), noise ceiling {:.3}",
                found.reliability, found.ceiling
            ),
            Err(why) => writeln!(f, "  reliability  not computable: {why}"),
        }
    }
}

/// A task of the built-in norms: its conditions and the range of their means.
///
/// Worked example: `alphabet_arithmetic`, 10 conditions, 2062 to 4660 ms.
#[derive(Debug, Clone, PartialEq)]
pub struct BuiltIn {
    /// Task name.
    pub task: &'static str,
    /// Conditions with a mean.
    pub conditions: usize,
    /// Trials behind them, where the source has them.
    pub trials: Option<u32>,
    /// Shortest and longest mean.
    pub range_ms: (f64, f64),
}

/// The built-in norms, by task.
pub fn built_in() -> Vec<BuiltIn> {
    let tasks: BTreeSet<&str> = conditions::all().iter().map(|c| c.task.as_str()).collect();
    tasks
        .into_iter()
        .map(|task| {
            let of = || conditions::all().iter().filter(move |c| c.task == task);
            let bounds = of().fold((f64::INFINITY, 0.0_f64), |(low, high), c| {
                (low.min(c.mean_rt_ms), high.max(c.mean_rt_ms))
            });
            BuiltIn {
                task,
                conditions: of().count(),
                trials: of().map(|c| c.trials).sum(),
                range_ms: bounds,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::norms::Trial;

    #[test]
    fn a_task_is_described_with_and_without_trials() {
        let item = |id: &str, ms: Option<f64>| NormItem {
            task: "t".into(),
            item_id: id.into(),
            prompt: "p".into(),
            answer: if id == "a" { "x".into() } else { String::new() },
            condition: Some("c".into()),
            mean_rt_ms: ms,
            accuracy: ms.map(|_| 0.5),
            ..NormItem::default()
        };
        let mut items = vec![
            item("a", Some(900.0)),
            item("b", Some(700.0)),
            item("c", None),
        ];
        items[0].cluster = Some("pair".into());
        items[2].cluster = Some("pair".into());
        items[2].covariates = [("size".to_owned(), 3.0)].into();
        let norms = Norms::new(items, "made up".into());
        let told = &describe(&norms)[0];
        assert_eq!((told.items, told.timed, told.answered), (3, 2, 1));
        assert_eq!((told.clusters, told.clustered), (1, 2));
        assert_eq!(told.covariates, [("size".to_owned(), 1)].into());
        assert_eq!(told.range_ms, Some((700.0, 900.0)));
        let text = told.to_string();
        assert!(
            text.contains("3 (2 with times, 1 with answers); conditions: 1"),
            "{text}"
        );
        assert!(
            text.contains("clusters     1, of 2 items; 1 items alone\n  covariates   size (1)\n"),
            "{text}"
        );
        assert!(
            text.contains("not computable: there are no trials"),
            "{text}"
        );
        let trial = |item_id: &str, correct| Trial {
            item_id: item_id.into(),
            subject: "s".into(),
            rt_ms: 900.0,
            correct,
            repeat: 0,
        };
        let norms = norms.with_trials("t", vec![trial("a", true), trial("a", false)]);
        let told = &describe(&norms)[0];
        assert_eq!((told.subjects, told.trials), (Some(1), Some((2, 1))));
        let text = told.to_string();
        assert!(
            text.contains("2, of which 1 count") && text.contains("right answers"),
            "{text}"
        );
        assert!(text.contains("not computable: "), "{text}");
    }

    #[test]
    fn the_built_in_norms_are_told_by_task() {
        let told = built_in();
        let names: Vec<&str> = told.iter().map(|t| t.task).collect();
        assert_eq!(
            names,
            [
                "addition_digit",
                "addition_word",
                "alphabet_arithmetic",
                "spatial_relations",
                "sternberg"
            ]
        );
        assert_eq!((told[2].conditions, told[2].range_ms.1), (10, 4660.0));
        assert_eq!(told[4].trials, None);
    }
}
