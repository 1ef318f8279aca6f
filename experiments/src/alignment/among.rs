//! What k samples of an item are worth: pass@k and majority@k, both the expectation over k of
//! its n samples drawn without replacement.
//!
//! pass@k, that one of the k is right, is the unbiased 1 - C(n - c, k) / C(n, k) of Chen et al.
//! 2021 (arXiv 2107.03374), c the right samples. majority@k (Wang et al. 2022, arXiv 2203.11171)
//! is the chance that the most frequent answer among the k is right; answers that are equally
//! frequent share it. A sample that was cut off, or gave no answer, is wrong and has no vote.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use super::cost::{ItemMeans, Sampled};
use crate::statistics::{Undefined, draws, mean};

/// Most multiplications, about, that an exact majority may take: less than a millisecond's.
const EXACT: usize = 1 << 20;

/// Samples beyond which binomial coefficients leave the range of a double.
const MOST: usize = 1000;

/// Draws that take the place of an exact majority that would be too long in coming.
const DRAWS: u64 = 1000;

/// The samples of one item that gave the same answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Votes {
    /// How many they are.
    pub samples: usize,
    /// How many of them were graded right: all or none, where grades go by the answer.
    pub right: usize,
}

impl Votes {
    fn share(self) -> f64 {
        self.right as f64 / self.samples as f64
    }
}

/// The answers of an item's samples, the most frequent first.
pub(super) fn votes(samples: &[Sampled]) -> Vec<Votes> {
    let mut groups: BTreeMap<NonZeroU64, Votes> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| !sample.truncated) {
        let Some(answer) = sample.answer else {
            continue;
        };
        let group = groups.entry(answer).or_insert(Votes {
            samples: 0,
            right: 0,
        });
        group.samples += 1;
        group.right += usize::from(sample.correct == Some(true));
    }
    let mut votes: Vec<Votes> = groups.into_values().collect();
    votes.sort_unstable_by(|a, b| b.cmp(a));
    votes
}

/// Numbers of samples at which an item that has `most` is looked at: the powers of two up to
/// that, and the number itself.
///
/// Worked example: 6 samples give 1, 2, 4 and 6.
pub fn sizes(most: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|power| 1usize << power);
    let mut sizes: Vec<usize> = powers.take_while(|size| *size < most).collect();
    sizes.extend((most > 0).then_some(most));
    sizes
}

impl ItemMeans {
    /// Whether all of so many samples can be drawn and each is right or wrong.
    fn drawable(&self, k: usize) -> Result<(), Undefined> {
        if self.samples < k {
            return Err(Undefined::Because(format!(
                "an item has fewer than {k} samples"
            )));
        }
        // What was cut off came to no answer, whatever its grade.
        if self.samples > self.graded + self.truncated {
            return Err(Undefined::Because("a sample has no grade".into()));
        }
        Ok(())
    }

    /// The chance that one of `k` samples is right.
    ///
    /// Undefined of an item with fewer samples, or with one that nobody graded.
    ///
    /// Worked example: 2 right of 4 samples, k = 2: 1 - C(2, 2) / C(4, 2) = 5/6.
    pub fn pass_at(&self, k: usize) -> Result<f64, Undefined> {
        self.drawable(k)?;
        Ok(1.0 - without(self.samples, self.right, k))
    }

    /// The chance that the most frequent answer of `k` samples is right.
    ///
    /// Undefined as [`Self::pass_at`] is, and where a right sample has no recorded answer.
    ///
    /// Worked example: of 4 samples two say 7, which is right, one 8 and one nothing; k = 2: both
    /// 7 (1 draw of 6) or 7 and nothing (2) are right, 7 and 8 (2) half: 4/6.
    pub fn majority_at(&self, k: usize) -> Result<f64, Undefined> {
        self.drawable(k)?;
        let voted: usize = self.votes.iter().map(|votes| votes.right).sum();
        if voted < self.right {
            return Err(Undefined::Because(
                "a right sample has no recorded answer".into(),
            ));
        }
        let answered: usize = self.votes.iter().map(|votes| votes.samples).sum();
        if voted == 0 {
            return Ok(0.0);
        }
        if voted == answered {
            return Ok(1.0 - without(self.samples, answered, k));
        }
        let n = self.samples;
        if k == n {
            return Ok(winners(&self.votes));
        }
        if n <= MOST && effort(&self.votes, n, k) <= EXACT {
            Ok(exact(&self.votes, n, k))
        } else {
            Ok(drawn(&self.votes, n, k))
        }
    }
}

/// The share of the most frequent answers that is right; the votes are in that order.
fn winners(votes: &[Votes]) -> f64 {
    let most = votes.first().map_or(0, |group| group.samples);
    let tied = votes.iter().take_while(|group| group.samples == most);
    let shares: Vec<f64> = tied.map(|group| group.share()).collect();
    mean(&shares).unwrap_or_default()
}

/// The chance that none of `c` among `n` is among `k` drawn: C(n - c, k) / C(n, k).
fn without(n: usize, c: usize, k: usize) -> f64 {
    if n - c < k {
        return 0.0;
    }
    (n - c + 1..=n).map(|i| 1.0 - k as f64 / i as f64).product()
}

/// Answers that may be drawn `m` times each among `k`: how many, at most.
fn most_tied(votes: &[Votes], k: usize, m: usize) -> usize {
    let able = votes.iter().take_while(|group| group.samples >= m).count();
    able.min(k / m)
}

/// The most votes that an answer has which is right, and one which is wrong.
fn most_votes(votes: &[Votes]) -> [usize; 2] {
    let most = |of: fn(&Votes) -> usize| {
        let some = votes.iter().filter(|group| of(group) > 0);
        some.map(|group| group.samples).max().unwrap_or(0)
    };
    [
        most(|group| group.right),
        most(|group| group.samples - group.right),
    ]
}

/// Multiplications of [`exact`], about.
fn effort(votes: &[Votes], n: usize, k: usize) -> usize {
    let [right, wrong] = most_votes(votes);
    let answered: usize = votes.iter().map(|group| group.samples).sum();
    let of = |m: usize| {
        let mut reach = (n - answered).min(k);
        let lengths = votes.iter().rev().map(|group| {
            reach = (reach + group.samples).min(k);
            m.min(group.samples + 1) * (reach + 1)
        });
        lengths.sum::<usize>() * 2 * (most_tied(votes, k, m) + 1)
    };
    let most = right.min(wrong).min(k);
    (1..=most).map(of).fold(0, usize::saturating_add)
}

/// Coefficients C(n, 0), ..., C(n, most).
fn binomials(n: usize, most: usize) -> Vec<f64> {
    let mut row = vec![1.0];
    for i in 1..=most.min(n) {
        let before = row[i - 1];
        row.push(before * (n + 1 - i) as f64 / i as f64);
    }
    row
}

/// By counting draws. Right winners are counted, or wrong ones, whichever have fewer votes.
fn exact(votes: &[Votes], n: usize, k: usize) -> f64 {
    let answered: usize = votes.iter().map(|group| group.samples).sum();
    let silent = n - answered;
    let [right, wrong] = most_votes(votes);
    if right <= wrong {
        return won(votes, silent, k, right) / binomials(n, k)[k];
    }
    let turned = |group: &Votes| Votes {
        right: group.samples - group.right,
        ..*group
    };
    let turned: Vec<Votes> = votes.iter().map(turned).collect();
    let lost = won(&turned, silent, k, wrong) / binomials(n, k)[k];
    1.0 - without(n, answered, k) - lost
}

/// Draws of `k` that a right answer wins, those of several winners by its share, where no right
/// answer has more than `most` votes: for each m that the winners may have been drawn, the
/// coefficient of z^k in the product over answers of (sum over x < m of C(g, x) z^x, plus y C(g, m)
/// z^m), times (1 + z) for each silent sample. The power of y is the number of winners; a second
/// product carries how many of them are right.
fn won(votes: &[Votes], silent: usize, k: usize, most: usize) -> f64 {
    let none = binomials(silent, k);
    let ways = votes.iter().rev();
    let ways: Vec<(&Votes, Vec<f64>)> = ways
        .map(|group| (group, binomials(group.samples, k)))
        .collect();
    let mut draws = 0.0;
    for m in 1..=most.min(k) {
        let tied = most_tied(votes, k, m);
        // By winners so far and samples drawn: the draws, and the right winners in them.
        let mut all = vec![vec![0.0; k + 1]; tied + 1];
        let mut good = all.clone();
        all[0][..none.len()].copy_from_slice(&none);
        // Samples that those so far may have drawn; beyond that all is 0.
        let mut reach = silent.min(k);
        for (group, ways) in &ways {
            let before = reach;
            reach = (reach + group.samples).min(k);
            let less = &ways[..m.min(ways.len())];
            let wins = ways.get(m).copied();
            for t in (0..=tied).rev() {
                for z in (0..=reach).rev() {
                    let (mut sum, mut of_right) = (0.0, 0.0);
                    let first = z.saturating_sub(before);
                    for (x, ways) in less.iter().enumerate().take(z + 1).skip(first) {
                        sum += ways * all[t][z - x];
                        of_right += ways * good[t][z - x];
                    }
                    if let Some(wins) = wins.filter(|_| t > 0 && z >= m) {
                        let before = all[t - 1][z - m];
                        sum += wins * before;
                        of_right += wins * (good[t - 1][z - m] + group.share() * before);
                    }
                    all[t][z] = sum;
                    good[t][z] = of_right;
                }
            }
        }
        let of_m = good.iter().enumerate().skip(1);
        draws += of_m.map(|(t, good)| good[k] / t as f64).sum::<f64>();
    }
    draws
}

/// By draws whose keys are the counts themselves, so that like counts give like figures.
fn drawn(votes: &[Votes], n: usize, k: usize) -> f64 {
    let purpose = format!("majority@{k} of {n}: {votes:?}");
    let group_of: Vec<usize> = (votes.iter().enumerate())
        .flat_map(|(at, group)| std::iter::repeat_n(at, group.samples))
        .collect();
    let mut right = 0.0;
    for draw in 0..DRAWS {
        let mut rng = draws::stream(0, &purpose, draw);
        let mut order: Vec<usize> = (0..n).collect();
        let mut counts = vec![0usize; votes.len()];
        for at in 0..k {
            let other = at + draws::below(&mut rng, (n - at) as u32) as usize;
            order.swap(at, other);
            // Samples beyond the last group gave no answer.
            if let Some(group) = group_of.get(order[at]) {
                counts[*group] += 1;
            }
        }
        let most = counts.iter().copied().max().unwrap_or(0);
        if most > 0 {
            let winners = || votes.iter().zip(&counts).filter(|(_, c)| **c == most);
            let shares: f64 = winners().map(|(group, _)| group.share()).sum();
            right += shares / winners().count() as f64;
        }
    }
    right / DRAWS as f64
}

#[cfg(test)]
mod tests;
