//! Accuracy: plain, with samples that were cut off as wrong, balanced over the expected
//! answers; the share that was cut off; what a constant answer scores.
//!
//! A sample without a grade is in no accuracy.

use std::collections::BTreeMap;

use super::cost::ItemMeans;
use crate::norms::Norms;
use crate::statistics::{Undefined, mean};

/// The grades of several items, summed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grades {
    right: usize,
    graded: usize,
    cut_off: usize,
    samples: usize,
    /// Right and graded samples by the number of the expected answer.
    by_answer: Vec<(usize, usize)>,
}

fn share(part: usize, of: usize, lacks: &str) -> Result<f64, Undefined> {
    if of == 0 {
        return Err(Undefined::Because(lacks.into()));
    }
    Ok(part as f64 / of as f64)
}

const NO_GRADE: &str = "no graded sample";

impl Grades {
    /// No grades yet, of items with so many different expected answers.
    pub fn new(answers: usize) -> Self {
        Self {
            right: 0,
            graded: 0,
            cut_off: 0,
            samples: 0,
            by_answer: vec![(0, 0); answers],
        }
    }

    /// Takes an item in, with the number of its expected answer where that is known.
    pub fn add(&mut self, item: &ItemMeans, answer: Option<usize>) {
        self.right += item.right;
        self.graded += item.graded;
        self.cut_off += item.truncated;
        self.samples += item.samples;
        if let Some((right, graded)) = answer.and_then(|answer| self.by_answer.get_mut(answer)) {
            *right += item.right;
            *graded += item.graded;
        }
    }

    /// Share of right among the graded samples that were not cut off.
    pub fn plain(&self) -> Result<f64, Undefined> {
        share(self.right, self.graded, NO_GRADE)
    }

    /// Share of right with every sample that was cut off counted as wrong.
    pub fn cut_off_wrong(&self) -> Result<f64, Undefined> {
        self.plain()?;
        share(self.right, self.graded + self.cut_off, NO_GRADE)
    }

    /// Share of all samples that were cut off.
    pub fn cut_off(&self) -> Result<f64, Undefined> {
        share(self.cut_off, self.samples, "no sample")
    }

    /// Mean over the expected answers of the accuracy on each.
    pub fn balanced(&self) -> Result<f64, Undefined> {
        let graded = self.by_answer.iter().filter(|(_, graded)| *graded > 0);
        let shares: Vec<f64> = graded
            .map(|&(right, graded)| right as f64 / graded as f64)
            .collect();
        let lacks = match self.graded {
            0 => NO_GRADE,
            _ => "the expected answers are not known",
        };
        mean(&shares).ok_or_else(|| Undefined::Because(lacks.into()))
    }
}

/// The expected answer of an item, where the norms give one.
pub fn expected_answer<'a>(task: &str, item_id: &str, norms: &'a Norms) -> Option<&'a str> {
    norms
        .item(task, item_id)
        .map(|item| item.answer.as_str())
        .filter(|answer| !answer.is_empty())
}

/// What each constant answer scores on items with these expected answers, the
/// most frequent first: the answer and its plain accuracy. Its balanced accuracy
/// is 1 over the number of distinct answers.
pub fn constant_answers<'a>(expected: impl IntoIterator<Item = &'a str>) -> Vec<(&'a str, f64)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    expected
        .into_iter()
        .for_each(|answer| *counts.entry(answer).or_default() += 1);
    let total: usize = counts.values().sum();
    let mut shares: Vec<(&str, f64)> = counts
        .into_iter()
        .map(|(answer, count)| (answer, count as f64 / total as f64))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(right: usize, truncated: usize) -> ItemMeans {
        ItemMeans {
            right,
            graded: 2,
            truncated,
            samples: 2 + truncated,
            ..ItemMeans::default()
        }
    }

    #[test]
    fn plain_cut_off_and_balanced() {
        // One item of "true" is answered wrongly, two of "false" rightly: 4 of 6, but (0 + 1) / 2 balanced.
        let mut grades = Grades::new(2);
        grades.add(&item(0, 2), Some(0));
        grades.add(&item(2, 0), Some(1));
        grades.add(&item(2, 0), Some(1));
        assert_eq!(grades.plain(), Ok(4.0 / 6.0));
        assert_eq!(grades.balanced(), Ok(0.5));
        assert_eq!(grades.cut_off_wrong(), Ok(0.5));
        assert_eq!(grades.cut_off(), Ok(0.25));
        let mut unknown = Grades::new(2);
        unknown.add(&item(1, 0), None);
        let why = unknown
            .balanced()
            .expect_err("no expected answer")
            .to_string();
        assert_eq!(why, "the expected answers are not known");
        let none = Grades::new(2);
        assert!(none.plain().is_err() && none.balanced().is_err() && none.cut_off_wrong().is_err());
    }

    #[test]
    fn constant_answers_by_frequency() {
        assert_eq!(
            constant_answers(["true", "false", "false", "false"]),
            [("false", 0.75), ("true", 0.25)]
        );
        assert!(constant_answers([]).is_empty());
    }
}
