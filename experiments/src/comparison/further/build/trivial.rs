//! What follows people's times without any model: covariates of the items, the length of the
//! prompt, and what each arm has in common with people beyond the covariates.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::{figure, mean_over};
use crate::alignment::contrast::origins;
use crate::alignment::design::{Design, TaskDesign, Without};
use crate::alignment::pairing::units;
use crate::alignment::predictors::Span;
use crate::alignment::training::Training;
use crate::comparison::Estimate;
use crate::comparison::further::{NamedFigure, Trivial};
use crate::statistics::{Undefined, correlation, mean};

/// The name of the predictor that every item has.
const PROMPT: &str = "ln prompt tokens";

/// A task's trivial predictors.
struct Task<'a> {
    at: usize,
    of: &'a TaskDesign<'a>,
    names: Vec<&'a str>,
    /// Mean ln(prompt tokens) over the arms, by item.
    prompt: Vec<Option<f64>>,
    /// Covariates in the order of the names, of the items that have all and that people have a time
    /// for; `None` of the others.
    covariates: Vec<Option<Vec<f64>>>,
    /// What the covariates of these items span, with all of them and without each cluster: asked
    /// for by every training.
    whole: Span,
    without: Vec<Span>,
}

/// The predictors of every task that people have times for.
pub(super) fn trivial(design: &Design<'_>, arms: &[(&str, &[Training<'_>])]) -> Vec<Trivial> {
    let timed = |(_, task): &(usize, &TaskDesign<'_>)| task.human.iter().any(Option::is_some);
    let tasks = design.tasks.iter().enumerate().filter(timed);
    tasks
        .map(|(at, of)| of_task(design, arms, at, of))
        .collect()
}

fn of_task(
    design: &Design<'_>,
    arms: &[(&str, &[Training<'_>])],
    at: usize,
    of: &TaskDesign<'_>,
) -> Trivial {
    let names: BTreeSet<&str> = (of.norms.iter().flatten())
        .flat_map(|item| item.covariates.keys().map(String::as_str))
        .collect();
    let prompt = |item: usize| {
        let cells = arms
            .iter()
            .flat_map(|(_, t)| t.iter())
            .filter_map(|t| t.cells[at][item]);
        let known = cells
            .map(|cell| cell.prompt_tokens)
            .filter(|tokens| *tokens > 0.0);
        mean(&known.map(f64::ln).collect::<Vec<_>>())
    };
    let names: Vec<&str> = names.into_iter().collect();
    let covariates = |item: usize| -> Option<Vec<f64>> {
        of.human[item]?;
        let known = &of.norms[item]?.covariates;
        names.iter().map(|name| known.get(*name).copied()).collect()
    };
    let mut task = Task {
        at,
        of,
        prompt: (0..of.ids.len()).map(prompt).collect(),
        covariates: (0..of.ids.len()).map(covariates).collect(),
        names,
        whole: Span::of(&[]),
        without: Vec::new(),
    };
    let span = |without| task.span(&task.complete(without));
    let (stratum, clusters) = (of.stratum, design.strata[of.stratum].clusters);
    let without = (0..clusters)
        .into_par_iter()
        .map(|cluster| span(Some(Without { stratum, cluster })));
    (task.whole, task.without) = (span(None), without.collect());
    let named = |name: &str, value: Estimate| NamedFigure {
        name: name.to_owned(),
        value,
    };
    let mut predictors: Vec<NamedFigure> = (task.names.iter())
        .map(|name| {
            named(
                name,
                task.predictor(design, name, |item| task.covariate(item, name)),
            )
        })
        .collect();
    predictors.push(named(
        PROMPT,
        task.predictor(design, PROMPT, |item| task.prompt[item]),
    ));
    Trivial {
        task: of.name.to_owned(),
        fitted: task.estimate(design, 1, |_, without| {
            let kept = task.complete(without);
            let human: Vec<f64> = kept.iter().filter_map(|&item| of.human[item]).collect();
            task.spanned(without).multiple_r(&human)
        }),
        beyond: (arms.par_iter())
            .map(|(name, trainings)| named(name, task.beyond(design, trainings)))
            .collect(),
        expected: task.expected(|item| of.human[item]),
        expected_costs: (arms.iter())
            .map(|(name, trainings)| ((*name).to_owned(), task.expected(task.cost(trainings))))
            .collect(),
        predictors,
    }
}

impl Task<'_> {
    fn covariate(&self, item: usize, name: &str) -> Option<f64> {
        self.of.norms[item]?.covariates.get(name).copied()
    }

    /// Items that people have a time for, with every covariate.
    fn complete(&self, without: Option<Without>) -> Vec<usize> {
        (0..self.of.ids.len())
            .filter(|&item| self.of.keeps(item, without) && self.covariates[item].is_some())
            .collect()
    }

    fn span(&self, items: &[usize]) -> Span {
        let column = |name: usize| {
            let values = items
                .iter()
                .filter_map(|&item| Some(self.covariates[item].as_ref()?[name]));
            values.collect::<Vec<f64>>()
        };
        Span::of(&(0..self.names.len()).map(column).collect::<Vec<_>>())
    }

    /// What all complete items span, with all or without a cluster.
    fn spanned(&self, without: Option<Without>) -> &Span {
        match without.filter(|without| without.stratum == self.of.stratum) {
            Some(without) => &self.without[without.cluster],
            None => &self.whole,
        }
    }

    fn estimate(
        &self,
        design: &Design<'_>,
        trainings: usize,
        of: impl Fn(usize, Option<Without>) -> Result<f64, Undefined>,
    ) -> Estimate {
        let here: BTreeSet<usize> = (0..self.of.ids.len())
            .filter(|&item| self.of.human[item].is_some())
            .map(|item| self.of.cluster[item])
            .collect();
        let concerned = |without: Without| {
            without.stratum == self.of.stratum && here.contains(&without.cluster)
        };
        figure(
            design,
            trainings,
            self.of.human.iter().flatten().count(),
            concerned,
            of,
        )
    }

    /// r of a predictor with human cost.
    fn predictor(
        &self,
        design: &Design<'_>,
        name: &str,
        value: impl Fn(usize) -> Option<f64>,
    ) -> Estimate {
        self.estimate(design, 1, |_, without| {
            let kept = (0..self.of.ids.len()).filter(|&item| self.of.keeps(item, without));
            let pairs = kept.filter_map(|item| Some((value(item)?, self.of.human[item]?)));
            let (x, y): (Vec<f64>, Vec<f64>) = pairs.unzip();
            correlation::pearson(&x, &y).map_err(|why| match why {
                Undefined::NoVariance("x") => Undefined::Because(format!("no variance in {name}")),
                other => other.naming("x", "human cost"),
            })
        })
    }

    /// An arm's partial r with human cost, given all covariates.
    fn beyond(&self, design: &Design<'_>, trainings: &[Training<'_>]) -> Estimate {
        let partial = |s: usize, without| {
            let complete = self.complete(without);
            let cost = |item: &usize| trainings[s].cells[self.at][*item]?.cost;
            let items: Vec<usize> = (complete.iter().copied())
                .filter(|item| cost(item).is_some())
                .collect();
            let costs: Vec<f64> = items.iter().filter_map(cost).collect();
            let human: Vec<f64> = items
                .iter()
                .filter_map(|&item| self.of.human[item])
                .collect();
            if items.len() == complete.len() {
                self.spanned(without).partial(&costs, &human)
            } else {
                self.span(&items).partial(&costs, &human)
            }
        };
        let units = units(&origins(trainings));
        self.estimate(design, units.len(), |unit, without| {
            mean_over(&units[unit], |&training| partial(training, without))
        })
    }

    /// An arm's cost of each item, mean over the trainings that have one.
    fn cost<'t>(&'t self, trainings: &'t [Training<'_>]) -> impl Fn(usize) -> Option<f64> + 't {
        |item| {
            let cells = trainings.iter().filter_map(|t| t.cells[self.at][item]);
            mean(&cells.filter_map(|cell| cell.cost).collect::<Vec<_>>())
        }
    }

    /// What the covariates predict, by item, of values that items have.
    fn expected(&self, of: impl Fn(usize) -> Option<f64>) -> BTreeMap<String, f64> {
        let kept = self
            .complete(None)
            .into_iter()
            .filter_map(|item| Some((item, of(item)?)));
        let (items, values): (Vec<usize>, Vec<f64>) = kept.unzip();
        let span = self.span(&items);
        if span.is_empty() {
            return BTreeMap::new();
        }
        let left = span.residuals(&values);
        let of = |((&item, value), left): ((&usize, &f64), &f64)| {
            (self.of.ids[item].to_owned(), value - left)
        };
        items.iter().zip(&values).zip(&left).map(of).collect()
    }
}
