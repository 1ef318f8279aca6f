//! The lab's own traces with their work made longer: work that is repeated, more
//! often where it is long or as often but anywhere, or stretched evenly.
//!
//! What an arm learns from such traces is known beforehand, so that they tell what
//! the evaluation can see: length that follows difficulty, the same length without
//! that ("yoked"), and the same relation to difficulty at another scale.
//!
//! A trace is words between single spaces, its work stands between `<think>` and
//! `</think>`. Draws are named by the seed and the trace's place.

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::{Body, Row};
use crate::random::stream;
use crate::tasks::grading::{END_THINK, THINK};

/// How traces are altered.
///
/// Worked examples: `altered = { recounts = "difficulty" }`,
/// `altered = { stretch = 2.44 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Altered {
    /// Work is done again, none to three times.
    Recounts(Recounts),
    /// Work takes so many times its words: after each of them come words that say
    /// nothing, as many as make up the rest on average.
    Stretch(f64),
}

/// Which work is done again how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Recounts {
    /// The longer the work, the more often: a trace's rank by words, in as many parts
    /// of equal size as there are numbers.
    Difficulty,
    /// As often, each number given to a trace drawn at random: the form of the
    /// same traces without its function.
    Yoked,
}

/// Work is repeated this often at most.
const MOST_RECOUNTS: usize = 3;

/// What comes before work that is done again, as the corpus writes it.
const AGAIN: &str = ". let me check .";

/// A word that says nothing, as the corpus writes it.
const FILLER: &str = "hmm";

/// The largest stretch: beyond it a trace is words that say nothing.
const LARGEST_STRETCH: f64 = 10.0;

impl Altered {
    /// Refuses a stretch that is none.
    pub fn check(&self) -> Result<()> {
        let Self::Stretch(times) = self else {
            return Ok(());
        };
        ensure!(
            (1.0..=LARGEST_STRETCH).contains(times),
            "stretch = {times}: it lies between 1 and {LARGEST_STRETCH}"
        );
        Ok(())
    }

    /// Alters the work of each row in place.
    pub(super) fn apply(self, rows: &mut [Row], seed: u64) -> Result<()> {
        let lengths = rows
            .iter()
            .map(|row| Ok(work(row)?.split(' ').count()))
            .collect::<Result<Vec<_>>>()?;
        let times = match self {
            Self::Recounts(Recounts::Difficulty) => recounts(&lengths),
            Self::Recounts(Recounts::Yoked) => {
                let mut times = recounts(&lengths);
                times.shuffle(&mut stream(seed, "yoked recounts", &[]));
                times
            }
            Self::Stretch(_) => vec![0; rows.len()],
        };
        for ((row, times), index) in rows.iter_mut().zip(times).zip(0..) {
            let before = work(row)?.to_owned();
            let after = match self {
                Self::Recounts(_) => vec![before.as_str(); times + 1].join(&format!(" {AGAIN} ")),
                Self::Stretch(factor) => stretched(&before, factor, seed, index),
            };
            if let Body::Asked { completion, .. } = &mut row.body {
                *completion = completion.replacen(&before, &after, 1);
            }
        }
        Ok(())
    }
}

/// The work of a trace of the lab's.
fn work(row: &Row) -> Result<&str> {
    let Body::Asked { completion, .. } = &row.body else {
        anyhow::bail!("only the lab's own traces can be altered, not those of a recording");
    };
    let work = completion.strip_prefix(&format!("{THINK} "));
    let work = work.and_then(|rest| rest.split_once(&format!(" {END_THINK}")));
    let (work, _) = work.with_context(|| {
        format!(
            "trace {} has no work between {THINK} and {END_THINK} at its beginning, so it cannot be altered: {completion}",
            row.number
        )
    })?;
    Ok(work)
}

/// How often each work is done again, by the rank of its length; work of one length
/// is done again equally often.
fn recounts(lengths: &[usize]) -> Vec<usize> {
    let shorter = |length: usize| lengths.iter().filter(|other| **other < length).count();
    let equal = |length: usize| lengths.iter().filter(|other| **other == length).count();
    // By length, as there are few lengths and many traces.
    let mut known = std::collections::BTreeMap::new();
    lengths
        .iter()
        .map(|&length| {
            *known.entry(length).or_insert_with(|| {
                let middle = 2 * shorter(length) + equal(length);
                (MOST_RECOUNTS + 1) * middle / (2 * lengths.len())
            })
        })
        .collect()
}

/// The words of `work`, each with `factor - 1` fillers after it on average.
fn stretched(work: &str, factor: f64, seed: u64, index: u64) -> String {
    let mut random = stream(seed, "stretched work", &[index]);
    let (whole, rest) = ((factor - 1.0).floor(), (factor - 1.0).fract());
    let mut words = Vec::new();
    for word in work.split(' ') {
        words.push(word);
        let fillers = whole as usize + usize::from(random.random_bool(rest));
        words.extend(std::iter::repeat_n(FILLER, fillers));
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |number: usize| {
            let count: Vec<String> = (0..=number % 40).map(|n| n.to_string()).collect();
            Row {
                body: Body::Asked {
                    before: Vec::new(),
                    prompt: number.to_string(),
                    completion: format!("{THINK} {} {END_THINK} true", count.join(" ")),
                },
                task: None,
                held_out: false,
                number,
            }
        };
        (1..=400).map(row).collect()
    }

    fn words(rows: &[Row]) -> Vec<usize> {
        rows.iter()
            .map(|row| work(row).unwrap().split(' ').count())
            .collect()
    }

    fn altered(how: Altered) -> Vec<Row> {
        let mut rows = rows();
        how.apply(&mut rows, 7).unwrap();
        rows
    }

    fn times(before: &[Row], after: &[Row]) -> Vec<usize> {
        let phrase = format!(" {AGAIN} ");
        let pairs = before.iter().zip(after);
        pairs
            .map(|(before, after)| {
                let parts: Vec<&str> = work(after).unwrap().split(&phrase).collect();
                assert!(parts.iter().all(|part| *part == work(before).unwrap()));
                parts.len() - 1
            })
            .collect()
    }

    #[test]
    fn long_work_is_done_again_more_often_and_yoked_work_as_often_anywhere() {
        let before = rows();
        let by_difficulty = altered(Altered::Recounts(Recounts::Difficulty));
        let yoked = altered(Altered::Recounts(Recounts::Yoked));
        let (functional, other) = (times(&before, &by_difficulty), times(&before, &yoked));
        let mut pairs: Vec<_> = words(&before).into_iter().zip(&functional).collect();
        pairs.sort_unstable();
        assert!(pairs.is_sorted_by_key(|(_, times)| **times));
        let count = |times: &[usize], n| times.iter().filter(|&&times| times == n).count();
        for n in 0..=MOST_RECOUNTS {
            assert_eq!(count(&functional, n), 100);
            assert_eq!(count(&other, n), 100);
        }
        assert_ne!(functional, other);
        assert_eq!(altered(Altered::Recounts(Recounts::Yoked)), yoked);
    }

    #[test]
    fn stretched_work_keeps_its_words_and_takes_so_many_times_as_many() {
        let (before, after) = (rows(), altered(Altered::Stretch(2.44)));
        let sum = |rows: &[Row]| words(rows).iter().sum::<usize>() as f64;
        assert!((sum(&after) / sum(&before) - 2.44).abs() < 0.02);
        for (before, after) in before.iter().zip(&after) {
            let kept = work(after)
                .unwrap()
                .split(' ')
                .filter(|word| *word != FILLER);
            assert_eq!(kept.collect::<Vec<_>>().join(" "), work(before).unwrap());
        }
        assert_eq!(altered(Altered::Stretch(1.0)), before);
        for times in [0.5, 11.0, f64::NAN] {
            assert!(Altered::Stretch(times).check().is_err(), "{times}");
        }
    }

    #[test]
    fn what_has_no_work_is_named() {
        let mut rows = rows();
        if let Body::Asked { completion, .. } = &mut rows[4].body {
            *completion = "true".to_owned();
        }
        let error = Altered::Stretch(2.0).apply(&mut rows, 1).unwrap_err();
        assert!(error.to_string().contains("trace 5"), "{error}");
    }
}
