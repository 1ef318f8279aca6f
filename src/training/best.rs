//! The policy of the best validation, kept beside the last one.
//!
//! Validation problems and held-out demonstrations choose; evaluation items
//! never do. What is evaluated and compared is the last update's policy all the
//! same: the best one is kept as a model to look at, in `best/`, and
//! `best.json` says which update it is.

use std::path::Path;

use algorithms::Metrics;
use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::files::{self, Hashes};

/// Which update was best, and by what.
///
/// Worked example: `{step: 60, metric: "validation/accuracy", value: 0.875}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Updates made when it was validated.
    pub step: u64,
    /// What was compared.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// Hashes of its model's files; none of an earlier version's.
    #[serde(default)]
    pub(crate) files: Hashes,
}

/// The folder, beside the checkpoints.
const FOLDER: &str = "best";

/// What says which update it is.
const CARD: &str = "best.json";

impl Best {
    /// What a validation says: its held-out loss where it measured one, else
    /// its accuracy; `None` where it measured neither, or no finite one.
    fn of(step: u64, validation: &Metrics) -> Option<Self> {
        ["validation/loss", "validation/accuracy"]
            .into_iter()
            .find_map(|metric| {
                let value = *validation.get(metric)?;
                Some(Self {
                    step,
                    metric: metric.to_owned(),
                    value,
                    files: Hashes::new(),
                })
            })
            .filter(|best| best.value.is_finite())
    }

    fn write(&self, at: &Path) -> Result<()> {
        files::write_whole(&at.join(CARD), &serde_json::to_vec_pretty(self)?)
    }

    /// Whether it is strictly better, so that the earliest of equals stays.
    fn beats(&self, other: &Self) -> bool {
        if self.metric == "validation/loss" {
            self.value < other.value
        } else {
            self.value > other.value
        }
    }
}

/// Keeps the policy, which `save` writes as a model folder, if its validation
/// is the best so far.
pub(super) fn keep(
    at: &Path,
    best: &mut Option<Best>,
    step: u64,
    validation: &Metrics,
    save: &dyn Fn(&Path) -> Result<()>,
) -> Result<()> {
    let Some(mut now) = Best::of(step, validation) else {
        return Ok(());
    };
    if best.as_ref().is_some_and(|best| !now.beats(best)) {
        return Ok(());
    }
    save(&at.join(FOLDER))?;
    now.files = files::hash_all(at, &[FOLDER])?;
    now.write(at)?;
    *best = Some(now);
    Ok(())
}

/// Forgets a best policy that is no longer there as it was kept.
///
/// A run killed after a better one took its place meets that better one again.
pub(super) fn confirm(at: &Path, best: &mut Option<Best>) -> Result<()> {
    let Some(known) = best else {
        return Ok(());
    };
    let there = at.join(FOLDER).exists();
    let is_kept = |best: &Best| there && files::check_hashes(at, &best.files).is_ok();
    let card = std::fs::read(at.join(CARD)).ok();
    let card = card.and_then(|text| serde_json::from_slice::<Best>(&text).ok());
    if is_kept(known) {
        if card.as_ref() != Some(known) {
            known.write(at)?;
        }
    } else if !card.is_some_and(|later| later.step > known.step && is_kept(&later)) {
        tracing::warn!(
            "{} is gone or was changed, the policy of update {}; \
             from here on the best of the updates still to come is kept",
            at.join(FOLDER).display(),
            known.step
        );
        *best = None;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation(metric: &str, value: f64) -> Metrics {
        Metrics::from([(metric.to_owned(), value)])
    }

    /// The updates that are saved when validations come one after the other.
    fn saved(metric: &str, values: &[f64]) -> Vec<u64> {
        let folder = tempfile::tempdir().unwrap();
        let (mut best, mut saved) = (None, Vec::new());
        for (step, &value) in (1..).zip(values) {
            let validation = validation(metric, value);
            let save = |at: &Path| Ok(std::fs::write(at, step.to_string())?);
            keep(folder.path(), &mut best, step, &validation, &save).unwrap();
            let kept = best.as_ref().map_or(0, |best| best.step);
            if kept == step {
                saved.push(step);
                let text = std::fs::read_to_string(folder.path().join("best.json")).unwrap();
                assert_eq!(serde_json::from_str::<Best>(&text).unwrap().step, step);
            }
        }
        saved
    }

    #[test]
    fn the_highest_accuracy_and_the_lowest_loss_are_kept() {
        let values = [0.5, 0.4, 0.5, f64::NAN, 0.6, 0.3];
        assert_eq!(saved("validation/accuracy", &values), [1, 5]);
        assert_eq!(saved("validation/loss", &values), [1, 2, 6]);
        assert_eq!(saved("reward", &values), [0; 0]);
    }

    #[test]
    fn a_held_out_loss_decides_before_accuracy() {
        let mut both = validation("validation/loss", 1.5);
        both.extend(validation("validation/accuracy", 0.5));
        assert_eq!(Best::of(3, &both).unwrap().metric, "validation/loss");
    }

    #[test]
    fn a_best_policy_that_was_removed_or_changed_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        let mut gone = Best::of(3, &validation("validation/loss", 1.5));
        confirm(at, &mut gone).unwrap();
        assert_eq!(gone, None);
        let kept = |step: u64, value: f64| {
            let save = |at: &Path| Ok(std::fs::write(at, step.to_string())?);
            let mut best = None;
            let validation = validation("validation/loss", value);
            keep(at, &mut best, step, &validation, &save).unwrap();
            best
        };
        let mut earlier = kept(3, 1.5);
        let before = earlier.clone();
        // Its card is written from what the checkpoint says of it.
        std::fs::write(at.join(CARD), "{").unwrap();
        confirm(at, &mut earlier).unwrap();
        assert_eq!(earlier, before);
        let card = std::fs::read(at.join(CARD)).unwrap();
        assert_eq!(serde_json::from_slice::<Best>(&card).ok(), before);
        // A better one, kept after the last checkpoint, will be met again.
        kept(5, 1.0);
        confirm(at, &mut earlier).unwrap();
        assert_eq!(earlier, before);
        std::fs::write(at.join(FOLDER), "6").unwrap();
        confirm(at, &mut earlier).unwrap();
        assert_eq!(earlier, None);
    }
}
