//! Similarity of fingerprints: of each training, across halves of the samples.

use rayon::prelude::*;

use super::figure;
use crate::alignment::contrast::{Pairing, pairing};
use crate::alignment::cost::ItemMeans;
use crate::alignment::design::{Design, Without};
use crate::alignment::fingerprint::{Agreement, Costs, HUMAN};
use crate::alignment::training::Training;
use crate::comparison::Estimate;
use crate::comparison::further::SimilarityTable;
use crate::statistics::{Undefined, mean};

/// One side of the table: an arm's trainings, or people.
struct Side<'a, 'm> {
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
    trainings: &'a [Training<'m>],
) -> Side<'a, 'm> {
    let halves: Vec<[Costs; 2]> = (trainings.iter())
        .map(|t| [0, 1].map(|half| costs(design, |at, item| t.cells[at][item]?.cost_halves[half])))
        .collect();
    let own = halves
        .iter()
        .map(|[a, b]| Agreement::new(design, shared, a, b));
    Side {
        own: own.collect(),
        trainings,
        halves,
    }
}

/// The table of all arms and of people.
pub(super) fn similarity(design: &Design<'_>, arms: &[(&str, &[Training<'_>])]) -> SimilarityTable {
    let shared = shared(design, arms);
    let n: usize = shared.iter().map(Vec::len).sum();
    let mut sides: Vec<Side<'_, '_>> = (arms.iter())
        .map(|(_, trainings)| side(design, &shared, trainings))
        .collect();
    let mut names: Vec<String> = arms.iter().map(|(name, _)| (*name).to_owned()).collect();
    if has_people(design) {
        let people = costs(design, |at, item| design.tasks[at].human[item]);
        sides.push(Side {
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
            let own = estimate(a.own.len(), &|s, without| a.own[s].get(without));
            let one = Estimate {
                value: Some(1.0),
                ..Estimate::undefined("no interval: by definition", self.n)
            };
            return [own, one];
        }
        let units: Vec<(usize, Vec<usize>)> = if b.trainings.is_empty() {
            (0..a.halves.len()).map(|s| (s, vec![0])).collect()
        } else {
            match pairing(a.trainings, b.trainings) {
                Pairing::Seeds(pairs) => pairs.into_iter().map(|(x, y)| (x, vec![y])).collect(),
                Pairing::Apart => {
                    let all: Vec<usize> = (0..b.halves.len()).collect();
                    (0..a.halves.len()).map(|s| (s, all.clone())).collect()
                }
            }
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
            .map(|(x, others)| others.iter().map(|&y| agreement(*x, y)).collect())
            .collect();
        let value = |unit: usize, other: usize, without| {
            let [one, two] = &across[unit][other];
            Ok(f64::midpoint(one.get(without)?, two.get(without)?))
        };
        let over = |unit: usize, of: &dyn Fn(usize) -> Result<f64, Undefined>| {
            let values: Result<Vec<f64>, Undefined> = (0..units[unit].1.len()).map(of).collect();
            mean(&values?).ok_or_else(|| Undefined::Because("no record".into()))
        };
        let free = |unit: usize, other: usize, without| {
            let own = a.own[units[unit].0].get(without)?;
            let theirs = match b.own.get(units[unit].1[other]) {
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
