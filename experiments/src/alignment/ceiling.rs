//! Noise ceiling: how well people's times agree with themselves.
//!
//! The subjects are split at random into halves, 1000 times; each half gives
//! every item a mean ln(ms); r is the mean of the halves' correlations over
//! items; reliability = 2 r / (1 + r) (Spearman and Brown 1910); ceiling =
//! sqrt(reliability). The correlations are averaged before the correction.
//!
//! Not here: an alignment divided by its ceiling, which is one division where
//! it is shown. The ceiling is that of all items of the task.

use std::collections::HashMap;

use rayon::prelude::*;

use crate::norms::{Trial, Window};
use crate::statistics::{Undefined, correlation, draws, mean};

/// Random splits behind a ceiling.
pub const SPLITS: u32 = 1000;

/// A task's noise ceiling.
///
/// Worked example: halves that correlate at 0.90 give a reliability of 0.947
/// and a ceiling of 0.973.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Ceiling {
    /// Spearman-Brown corrected split-half correlation.
    pub reliability: f64,
    /// Its square root: the largest correlation a perfect model can expect.
    pub ceiling: f64,
    /// Subjects split.
    pub subjects: usize,
    /// Items with a trial that counts.
    pub items: usize,
}

/// The noise ceiling of a task's trials, those inside the window. The splits are
/// the same every time: they belong to the norms, not to an experiment's seed.
pub fn noise_ceiling(trials: &[Trial], window: Window) -> Result<Ceiling, Undefined> {
    let (mut subjects, mut items) = (HashMap::new(), HashMap::new());
    let mut cells = Vec::new();
    for trial in trials.iter().filter(|trial| window.keeps(trial)) {
        let next = subjects.len();
        let subject = *subjects.entry(trial.subject.as_str()).or_insert(next);
        let next = items.len();
        let item = *items.entry(trial.item_id.as_str()).or_insert(next);
        cells.push((subject, item, trial.rt_ms.ln()));
    }
    if subjects.len() < 2 {
        return Err(Undefined::TooFew {
            what: "subjects with trials",
            have: subjects.len(),
            need: 2,
        });
    }
    let correlations: Vec<f64> = (0..u64::from(SPLITS))
        .into_par_iter()
        .filter_map(|split| split_correlation(&cells, subjects.len(), items.len(), split))
        .collect();
    let r = mean(&correlations)
        .filter(|_| correlations.len() == SPLITS as usize)
        .ok_or_else(|| {
            Undefined::Because(
                "some halves of the subjects share fewer than 3 items that vary".into(),
            )
        })?;
    if r <= 0.0 {
        return Err(Undefined::Because(format!(
            "halves of the subjects correlate at {r:.3}, not above 0"
        )));
    }
    let reliability = 2.0 * r / (1.0 + r);
    Ok(Ceiling {
        reliability,
        ceiling: reliability.sqrt(),
        subjects: subjects.len(),
        items: items.len(),
    })
}

/// Correlation over items of the two halves' means; items that a half lacks are left out.
fn split_correlation(
    cells: &[(usize, usize, f64)],
    subjects: usize,
    items: usize,
    split: u64,
) -> Option<f64> {
    let order = draws::shuffled(&mut draws::stream(0, "noise ceiling", split), subjects);
    let mut half = vec![0; subjects];
    for &subject in &order[subjects / 2..] {
        half[subject] = 1;
    }
    let mut sums = vec![[(0.0, 0.0); 2]; items];
    for &(subject, item, ln_ms) in cells {
        let (sum, count) = &mut sums[item][half[subject]];
        *sum += ln_ms;
        *count += 1.0;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = sums
        .iter()
        .filter(|[a, b]| a.1 > 0.0 && b.1 > 0.0)
        .map(|[a, b]| (a.0 / a.1, b.0 / b.1))
        .unzip();
    correlation::pearson(&x, &y).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Window = Window {
        low_ms: 1.0,
        high_ms: 1e9,
        right_only: true,
        first_meeting: false,
    };

    fn trials(noise: f64) -> Vec<Trial> {
        let mut rng = draws::stream(9, "test", 0);
        let mut uniform = move || f64::from(draws::below(&mut rng, 1_000_000)) / 1e6 - 0.5;
        let mut all = Vec::new();
        for subject in 0..20 {
            for item in 0..40 {
                let ln_ms = 7.0 + 0.05 * f64::from(item) + noise * uniform();
                all.push(Trial {
                    item_id: item.to_string(),
                    subject: subject.to_string(),
                    rt_ms: ln_ms.exp(),
                    correct: true,
                    repeat: 0,
                });
            }
        }
        all
    }

    #[test]
    fn without_noise_the_ceiling_is_one() {
        let found = noise_ceiling(&trials(0.0), ALL).expect("defined");
        assert!((found.ceiling - 1.0).abs() < 1e-9);
        assert_eq!((found.subjects, found.items), (20, 40));
    }

    #[test]
    fn reliability_is_the_share_of_true_variance() {
        // Items: 0.05^2 (40^2 - 1) / 12 = 0.3331. Noise: 6^2 / 12 = 3 a trial, 0.15 over 20 subjects.
        let found = noise_ceiling(&trials(6.0), ALL).expect("defined");
        let expected: f64 = 0.3331 / (0.3331 + 0.15);
        assert!(
            (found.reliability - expected).abs() < 0.12,
            "{} against {expected}",
            found.reliability
        );
        assert!((found.ceiling.powi(2) - found.reliability).abs() < 1e-12);
    }

    #[test]
    fn one_subject_has_no_halves() {
        let one: Vec<Trial> = trials(0.0)
            .into_iter()
            .filter(|t| t.subject == "0")
            .collect();
        assert_eq!(
            noise_ceiling(&one, ALL),
            Err(Undefined::TooFew {
                what: "subjects with trials",
                have: 1,
                need: 2
            })
        );
    }
}
