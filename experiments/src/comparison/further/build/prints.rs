//! Similarity of fingerprints: of each training, across halves of the samples.

use rayon::prelude::*;

use super::{figure, figure_of_arm, mean_over};
use crate::alignment::contrast::origins;
use crate::alignment::cost::ItemMeans;
use crate::alignment::design::{Design, Without};
use crate::alignment::fingerprint::{Agreement, Costs, HUMAN};
use crate::alignment::pairing::units;
use crate::alignment::training::Training;
use crate::comparison::Estimate;
use crate::comparison::further::SimilarityTable;
use crate::comparison::trained::Trained;
use crate::statistics::Undefined;

/// One side of the table: an arm's trainings, or people.
struct Side<'a, 'm> {
    name: &'a str,
    trainings: &'a [Training<'m>],
    /// Costs over even and over odd samples, by training; people's twice.
    halves: Vec<[Costs; 2]>,
    /// The halves' agreement with each other; `None` of people.
    own: Vec<Agreement>,
}

fn costs(design: &Design<'_>, of: impl Fn(usize, usize) -> Option<f64>) -> Costs {
    let on = |at: usize| {
        (0..design.tasks[at].ids.len())
            .map(|item| of(at, item))
            .collect()
    };
    (0..design.tasks.len()).map(on).collect()
}

/// Whether people have a time for any item.
fn has_people(design: &Design<'_>) -> bool {
    let mut times = design.tasks.iter().flat_map(|task| &task.human);
    times.any(Option::is_some)
}

/// Items that every training of every arm has both halves of, and people a time for, where they
/// have any.
fn shared(design: &Design<'_>, arms: &[(&str, &[Training<'_>])]) -> Vec<Vec<usize>> {
    let people = has_people(design);
    let both = |item: &ItemMeans| item.cost_halves.iter().all(Option::is_some);
    let on = |at: usize| {
        let everywhere = |item: &usize| {
            let mut all = arms.iter().flat_map(|(_, trainings)| trainings.iter());
            (!people || design.tasks[at].human[*item].is_some())
                && all.all(|t| t.cells[at][*item].is_some_and(both))
        };
        (0..design.tasks[at].ids.len()).filter(everywhere).collect()
    };
    (0..design.tasks.len()).map(on).collect()
}

fn side<'a, 'm>(
    design: &Design<'_>,
    shared: &[Vec<usize>],
    (name, trainings): (&'a str, &'a [Training<'m>]),
) -> Side<'a, 'm> {
    let halves: Vec<[Costs; 2]> = (trainings.iter())
        .map(|t| [0, 1].map(|half| costs(design, |at, item| t.cells[at][item]?.cost_halves[half])))
        .collect();
    let own = halves
        .iter()
        .map(|[a, b]| Agreement::new(design, shared, a, b));
    Side {
        own: own.collect(),
        name,
        trainings,
        halves,
    }
}

/// The table of all arms and of people.
pub(super) fn similarity(
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
    arms: &[(&str, &[Training<'_>])],
) -> SimilarityTable {
    let shared = shared(design, arms);
    let n: usize = shared.iter().map(Vec::len).sum();
    let mut sides: Vec<Side<'_, '_>> = (arms.iter())
        .map(|arm| side(design, &shared, *arm))
        .collect();
    let mut names: Vec<String> = arms.iter().map(|(name, _)| (*name).to_owned()).collect();
    if has_people(design) {
        let people = costs(design, |at, item| design.tasks[at].human[item]);
        sides.push(Side {
            name: HUMAN,
            trainings: &[],
            halves: vec![[people.clone(), people]],
            own: Vec::new(),
        });
        names.push(HUMAN.to_owned());
    }
    let here = |without: Without| {
        let stratum = &design.strata[without.stratum];
        let mut tasks = stratum.tasks.iter();
        tasks.any(|&at| {
            let mut items = shared[at].iter();
            items.any(|&item| design.tasks[at].cluster[item] == without.cluster)
        })
    };
    // The same for every pair, and asked often.
    let here: Vec<Vec<bool>> = (design.strata.iter().enumerate())
        .map(|(stratum, of)| {
            let cluster = |cluster| here(Without { stratum, cluster });
            (0..of.clusters).map(cluster).collect()
        })
        .collect();
    let table = Pairs {
        design,
        trained,
        shared: &shared,
        here: &here,
        n,
    };
    let places: Vec<(usize, usize)> = (0..sides.len())
        .flat_map(|row| (row..sides.len()).map(move |column| (row, column)))
        .collect();
    let found: Vec<[Estimate; 2]> = (places.par_iter())
        .map(|&(row, column)| table.pair(&sides[row], &sides[column], row == column))
        .collect();
    let empty = || vec![vec![Estimate::default(); sides.len()]; sides.len()];
    let (mut matrix, mut corrected) = (empty(), empty());
    for ((row, column), [across, free]) in places.into_iter().zip(found) {
        matrix[column][row] = across.clone();
        matrix[row][column] = across;
        corrected[column][row] = free.clone();
        corrected[row][column] = free;
    }
    SimilarityTable {
        names,
        items: n,
        matrix,
        corrected,
    }
}

/// What every pair is compared on.
struct Pairs<'a> {
    design: &'a Design<'a>,
    trained: &'a Trained<'a, 'a>,
    shared: &'a [Vec<usize>],
    here: &'a [Vec<bool>],
    n: usize,
}

impl Pairs<'_> {
    /// Similarity across halves, and over the root of both sides' agreement with themselves.
    fn pair(&self, a: &Side<'_, '_>, b: &Side<'_, '_>, same: bool) -> [Estimate; 2] {
        let concerned = |without: Without| self.here[without.stratum][without.cluster];
        let estimate =
            |units: usize, of: &dyn Fn(usize, Option<Without>) -> Result<f64, Undefined>| {
                figure(self.design, units, self.n, concerned, of)
            };
        if a.trainings.is_empty() {
            // People beside themselves.
            let one = || Estimate {
                value: Some(1.0),
                ..Estimate::undefined(
                    "no interval: people's halves are the noise ceiling's",
                    self.n,
                )
            };
            return [one(), one()];
        }
        if same {
            let own = figure_of_arm(self.design, a.trainings, self.n, concerned, |s, without| {
                a.own[s].get(without)
            });
            let one = Estimate {
                value: Some(1.0),
                ..Estimate::undefined("no interval: by definition", self.n)
            };
            return [own, one];
        }
        let units: Vec<Vec<(usize, usize)>> = if b.trainings.is_empty() {
            let units = units(&origins(a.trainings)).into_iter();
            units
                .map(|unit| unit.into_iter().map(|s| (s, 0)).collect())
                .collect()
        } else {
            self.trained.pairing([a.name, b.name]).units()
        };
        let agreement = |x: usize, y: usize| {
            let of = |own: usize| {
                Agreement::new(
                    self.design,
                    self.shared,
                    &a.halves[x][own],
                    &b.halves[y][1 - own],
                )
            };
            [of(0), of(1)]
        };
        let across: Vec<Vec<[Agreement; 2]>> = (units.iter())
            .map(|unit| unit.iter().map(|&(x, y)| agreement(x, y)).collect())
            .collect();
        let value = |unit: usize, other: usize, without| {
            let [one, two] = &across[unit][other];
            Ok(f64::midpoint(one.get(without)?, two.get(without)?))
        };
        let over = |unit: usize, of: &dyn Fn(usize) -> Result<f64, Undefined>| {
            let pairs: Vec<usize> = (0..units[unit].len()).collect();
            mean_over(&pairs, |&pair| of(pair))
        };
        let free = |unit: usize, other: usize, without| {
            let (x, y) = units[unit][other];
            let own = a.own[x].get(without)?;
            let theirs = match b.own.get(y) {
                Some(theirs) => theirs.get(without)?,
                None => 1.0,
            };
            if own.min(theirs) <= 0.0 {
                return Err(Undefined::Because(
                    "the halves of one side do not agree with each other".into(),
                ));
            }
            Ok(value(unit, other, without)? / (own * theirs).sqrt())
        };
        [
            estimate(units.len(), &|unit, without| {
                over(unit, &|y| value(unit, y, without))
            }),
            estimate(units.len(), &|unit, without| {
                over(unit, &|y| free(unit, y, without))
            }),
        ]
    }
}
