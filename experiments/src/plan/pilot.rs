//! What a pilot says of the variance of every question's difference.

use std::collections::BTreeMap;

use super::Size;
use crate::alignment::contrast::{defined_tasks, difference, origins};
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::design::Design;
use crate::alignment::pairing::{Pairing, Tie, pairing};
use crate::alignment::training::{Training, place};
use crate::comparison::contrasts::in_units;
use crate::comparison::{Components, Question};
use crate::norms::Norms;
use crate::statistics::two_way::items_variance;
use crate::statistics::{Undefined, chi_squared, mean};

/// A run, as a plan looks at it.
#[derive(Debug, Clone, Copy)]
pub struct Pilot<'a> {
    /// Its arms.
    pub arms: &'a [&'a str],
    /// Its tasks.
    pub tasks: &'a [String],
    /// People's times of its items.
    pub norms: &'a Norms,
    /// Samples an item.
    pub samples: u32,
    /// Item means over all samples.
    pub items: &'a Items,
    /// The same over samples of even and of odd index.
    pub halves: &'a [Items; 2],
}

/// The variance of a question's difference by source. What items take part in is that of as many
/// items as the pilot had, so that a plan multiplies by how many more there will be.
#[derive(Debug, Clone, PartialEq)]
pub struct Variances {
    /// A: between trainings.
    pub training: f64,
    /// Its 95 % interval, by chi-squared of its degrees of freedom.
    pub training_95: [f64; 2],
    /// Degrees of freedom of A: the pilot's seeds less one.
    pub training_df: usize,
    /// The variance of the mean of the other arm's own trainings; 0 where trainings are paired,
    /// and where there is one such training.
    pub training_against: f64,
    /// Its degrees of freedom.
    pub against_df: f64,
    /// B / G at unlimited samples.
    pub items: f64,
    /// Degrees of freedom of the items.
    pub items_df: f64,
    /// C0 / G.
    pub interaction: f64,
    /// C1 / G; `None` where the pilot had one sample an item, whose noise is then in C0.
    pub sampling: Option<f64>,
    /// The same of the other arm where its trainings are its own; it divides by samples alone.
    pub sampling_against: f64,
    /// Items of the pilot, over all tasks.
    pub of_items: usize,
    /// Smallest effect of interest, in the measure's unit.
    pub smallest_effect: f64,
    /// Whether the other arm has trainings of its own, and how many.
    pub apart: Option<usize>,
}

/// What a record of some size is expected to have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expectation {
    pub components: Components,
    pub items_df: f64,
    /// Of the difference.
    pub variance: f64,
}

impl Variances {
    /// What is expected of a record of this size.
    pub(super) fn at(&self, size: Size) -> Expectation {
        let (s, k) = (size.seeds as f64, f64::from(size.samples));
        let more = size.items as f64 / self.of_items as f64;
        let interaction = (self.interaction + self.sampling.unwrap_or(0.0) / k) / (s * more);
        let training = self.training / s + interaction;
        let items = (self.items + self.sampling_against / k) / more + interaction;
        Expectation {
            components: Components {
                training,
                training_against: self.training_against,
                items,
                interaction,
            },
            // Of G clusters: G - 1.
            items_df: (more * (self.items_df + 1.0) - 1.0).max(1.0),
            variance: training + self.training_against + items - interaction,
        }
    }

    /// Share of the variance at a size that more seeds, more items and more samples would take
    /// away: A, B, and C1.
    pub fn shares(&self, size: Size) -> [f64; 3] {
        let all = self.at(size);
        let k = f64::from(size.samples);
        let more = size.items as f64 / self.of_items as f64;
        let sampling = self.sampling.unwrap_or(0.0) / (size.seeds as f64 * k * more);
        [
            self.training / size.seeds as f64,
            self.items / more,
            sampling + self.sampling_against / (k * more),
        ]
        .map(|part| part / all.variance)
    }
}

/// The trainings of a pilot on one design of items.
struct Trained<'m, 'n> {
    design: Design<'n>,
    whole: Arms<'m>,
    halves: [Arms<'m>; 2],
}

type Arms<'m> = BTreeMap<&'m str, Vec<Training<'m>>>;

/// What of a training counts in a question: itself, and what is subtracted from it.
type Strand<'a> = (&'a Training<'a>, Option<&'a Training<'a>>);

impl Pilot<'_> {
    /// Items over all tasks that any arm was asked.
    pub fn answered(&self) -> usize {
        let models = self.items.models.values().flatten();
        Design::new(self.tasks, self.norms, models).items()
    }

    /// Trainings of the arm that has most.
    pub(super) fn seeds(&self) -> usize {
        self.items.most_seeds()
    }

    /// What the pilot says of each question, or why it says nothing.
    pub(super) fn variances(&self, questions: &[Question]) -> Vec<Result<Variances, Undefined>> {
        let design = Design::new(self.tasks, self.norms, self.items.models.values().flatten());
        let whole = arms(&design, self.items);
        let halves = [0, 1].map(|half| arms(&design, &self.halves[half]));
        let trained = Trained {
            design,
            whole,
            halves,
        };
        let of = |question| self.of_question(&trained, question);
        questions.iter().map(of).collect()
    }

    fn of_question(
        &self,
        trained: &Trained<'_, '_>,
        question: &Question,
    ) -> Result<Variances, Undefined> {
        let lacks = |arm: &str| Undefined::Because(format!("the pilot has no answers of {arm}"));
        let sides = question.sides(self.arms);
        let (arm, against) = sides.ok_or_else(|| lacks(&question.contrast))?;
        let first = trained.whole.get(arm).ok_or_else(|| lacks(arm))?;
        let second = trained.whole.get(against).ok_or_else(|| lacks(against))?;
        let design = &trained.design;
        let figure = place(question.measure);
        let among: Vec<usize> = (0..design.tasks.len()).collect();
        // A pilot of several teachers is refused before.
        let pairing = pairing(&origins(first), &origins(second), Tie::Seed);
        let seeds = pairing.units().len();
        if seeds < 2 {
            return Err(Undefined::Because(format!(
                "the pilot has one training of {arm}, so how much trainings differ is not known"
            )));
        }
        let found = difference(design, [first, second], Tie::Seed, &among, figure)?;
        let spread = found.found.spread.clone()?;
        let (sampling, sampling_against) = if self.samples < 2 {
            (None, 0.0)
        } else {
            let all: Vec<&Training<'_>> = first.iter().chain(second).collect();
            let tasks = defined_tasks(design, &all, &among, figure)?;
            let noise = |arm: &str, of: &[[usize; 2]], minus: Option<&str>| {
                self.noise(trained, &tasks, figure, (arm, minus), of)
            };
            match &pairing {
                Pairing::Pairs(pairs) => {
                    let pairs = pairs.iter().flatten();
                    let pairs: Vec<[usize; 2]> = pairs.map(|&(a, b)| [a, b]).collect();
                    (Some(noise(arm, &pairs, Some(against))?), 0.0)
                }
                Pairing::Apart(_) => {
                    let alone = |count: usize| (0..count).map(|at| [at, at]).collect::<Vec<_>>();
                    let own = noise(arm, &alone(first.len()), None)?;
                    let other = noise(against, &alone(second.len()), None)?;
                    (Some(own), other / second.len() as f64)
                }
            }
        };
        let smallest_effect = in_units(question.measure, question.smallest_effect, &found)
            .ok_or_else(|| Undefined::Because(format!("{against} has no tokens")))?;
        let k = f64::from(self.samples);
        let Components {
            training,
            training_against,
            items,
            interaction,
        } = spread.components;
        let (s, df) = (seeds as f64, seeds - 1);
        let interaction = interaction * s;
        let bound = |below: f64| {
            let between = training * s * df as f64 / chi_squared::quantile(below, df as f64);
            (between - interaction).max(0.0)
        };
        Ok(Variances {
            training: (training * s - interaction).max(0.0),
            training_95: [bound(0.975), bound(0.025)],
            training_df: df,
            training_against,
            against_df: second.len().saturating_sub(1).max(1) as f64,
            items: (items - interaction / s - sampling_against / k).max(0.0),
            items_df: spread.items_df,
            interaction: (interaction - sampling.unwrap_or(0.0) / k).max(0.0),
            sampling,
            sampling_against,
            of_items: design.items(),
            smallest_effect,
            apart: matches!(pairing, Pairing::Apart(_)).then_some(second.len()),
        })
    }

    /// C1 / G: the mean over these trainings of what sampling adds to their figure's variance,
    /// times the samples. Trainings are given by their places among all of the arm, and of the
    /// arm that is subtracted.
    fn noise(
        &self,
        trained: &Trained<'_, '_>,
        tasks: &[usize],
        figure: usize,
        (arm, against): (&str, Option<&str>),
        of: &[[usize; 2]],
    ) -> Result<f64, Undefined> {
        let gone = || {
            Undefined::Because(
                "undefined in half of the pilot's samples, so what sampling adds is not known; \
                 give a pilot of more samples an item"
                    .into(),
            )
        };
        let design = &trained.design;
        let [even, odd] = [self.samples.div_ceil(2), self.samples / 2].map(f64::from);
        let mut noise = Vec::new();
        for &[first, second] in of {
            let strand = |half: usize| -> Option<Strand<'_>> {
                let arms = &trained.halves[half];
                let same = |arm: &str, at: usize| {
                    let seed = trained.whole[arm][at].model.seed;
                    arms.get(arm)?.iter().find(|t| t.model.seed == seed)
                };
                let minus = against.map(|against| same(against, second));
                Some((
                    same(arm, first)?,
                    minus.map_or(Some(None), |m| m.map(Some))?,
                ))
            };
            let strands = [strand(0).ok_or_else(gone)?, strand(1).ok_or_else(gone)?];
            let value = |(plus, minus): Strand<'_>, without| {
                let minus = minus.map_or(Some(0.0), |minus| {
                    minus.over_tasks(design, tasks, figure, without)
                });
                Some(plus.over_tasks(design, tasks, figure, without)? - minus?)
            };
            let replicates = design.replicates(
                1,
                |without| {
                    let trainings = strands
                        .iter()
                        .flat_map(|(plus, minus)| minus.iter().chain([plus]));
                    trainings
                        .into_iter()
                        .any(|t| t.concerns(design, tasks, without))
                },
                |_, without| Some(value(strands[0], without)? - value(strands[1], without)?),
            );
            let strata = replicates
                .and_then(|found| found.without)
                .ok_or_else(gone)?;
            let strata = strata.iter().filter(|clusters| clusters.len() > 1);
            let variance: f64 = strata.map(|clusters| items_variance(clusters)).sum();
            noise.push(variance / (even.recip() + odd.recip()));
        }
        mean(&noise).ok_or_else(gone)
    }
}

fn arms<'m>(design: &Design<'_>, items: &'m Items) -> Arms<'m> {
    let trainings = |models: &'m Vec<ModelItems>| {
        let trained = models.iter().map(|model| Training::new(design, model));
        trained.collect()
    };
    let arms = items.models.iter();
    arms.map(|(name, models)| (name.as_str(), trainings(models)))
        .collect()
}
