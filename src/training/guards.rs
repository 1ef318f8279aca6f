//! What a training says when it does not learn: batches whose loss or gradient
//! is not finite, and batches that hold nothing to train on.

use std::fmt::Write;
use std::path::Path;

use algorithms::{Batch, Example, Metrics};
use anyhow::{Error, Result, anyhow};
use serde::Serialize;

use crate::files;

/// Completion and prompt tokens that are written of a batch at most; bounds the file
/// to some ten megabytes.
const TOKENS_KEPT: usize = 100_000;

/// A batch as `skipped-batch-000123.json` has it. A number in an example that
/// is not finite is `null`; loss and norm are words, such as `"NaN"`.
#[derive(Serialize)]
struct Skipped<'a> {
    update: u64,
    loss: String,
    grad_norm: String,
    normaliser: f64,
    tokens: usize,
    /// Examples beyond the file's bound.
    left_out: usize,
    examples: Vec<&'a Example>,
}

/// The error that ends a run whose updates are skipped again and again; what
/// was in the batch is written into the folder. `update` counts from 1, as the
/// log does.
pub(super) fn stop(
    folder: &Path,
    update: u64,
    in_a_row: u64,
    metrics: &Metrics,
    batch: &Batch,
) -> Error {
    let value = |name: &str| {
        metrics
            .get(name)
            .map_or("unknown".to_owned(), f64::to_string)
    };
    let (loss, norm) = (value("loss"), value("grad_norm"));
    let mut text = format!(
        "update {update} was skipped, which makes {in_a_row} in a row: its loss is {loss} and the norm of its gradient {norm}. {}",
        describe(&batch.examples)
    );
    let path = folder.join(format!("skipped-batch-{update:06}.json"));
    let kept = keep(&path, update, loss, norm, batch);
    // A string takes every write.
    let _ = match kept {
        Ok(()) => write!(text, "; it is in {}. ", path.display()),
        Err(error) => write!(text, "; it could not be kept ({error:#}). "),
    };
    anyhow!(
        "{text}Lower learning_rate or max_grad_norm, or allow more with max_skipped_updates, \
         in a run with another --out"
    )
}

/// The rows' lengths and the largest weight, in words.
fn describe(examples: &[Example]) -> String {
    let lengths = examples.iter().map(|e| e.prompt.len() + e.completion.len());
    let (shortest, longest) = (
        lengths.clone().min().unwrap_or(0),
        lengths.max().unwrap_or(0),
    );
    let weights = || examples.iter().flat_map(|example| &example.weights);
    let largest = weights().fold(0.0f32, |largest, weight| largest.max(weight.abs()));
    let odd = weights().filter(|weight| !weight.is_finite()).count();
    let odd = match odd {
        0 => String::new(),
        count => format!(", and {count} that are not finite"),
    };
    format!(
        "The batch has {} rows of {shortest} to {longest} tokens, the largest weight is {largest}{odd}",
        examples.len()
    )
}

fn keep(path: &Path, update: u64, loss: String, norm: String, batch: &Batch) -> Result<()> {
    let mut room = TOKENS_KEPT;
    let examples: Vec<&Example> = batch
        .examples
        .iter()
        .take_while(|example| {
            let length = example.prompt.len() + example.completion.len();
            let fits = length <= room;
            room = room.saturating_sub(length);
            fits
        })
        .collect();
    let skipped = Skipped {
        update,
        loss,
        grad_norm: norm,
        normaliser: batch.normaliser,
        tokens: batch.tokens,
        left_out: batch.examples.len() - examples.len(),
        examples,
    };
    files::write_whole(path, &serde_json::to_vec(&skipped)?)
}

/// Says on the console that an update was skipped, the first time in a training.
pub(super) fn warn_skipped(folder: &Path, update: u64) {
    tracing::warn!(
        "{}: update {update} is skipped, its loss or gradient is not finite; skipped_updates counts those to come",
        folder.display()
    );
}

/// Why a batch may have held nothing to train on, from the metrics of its
/// rollouts.
fn reason(collection: &Metrics) -> &'static str {
    let is = |name: &str, value: f64| {
        collection
            .get(name)
            .is_some_and(|found| (found - value).abs() < 1e-12)
    };
    if collection.contains_key("frac_reward_zero_std") && !collection.contains_key("reward") {
        "no reward applied to any completion"
    } else if is("rft/imitated_ratio", 0.0) {
        "no completion was good enough to be imitated"
    } else if is("completions/clipped_ratio", 1.0) {
        "the token cap cut off every completion"
    } else if is("frac_reward_zero_std", 1.0) {
        "within every group all rewards are alike"
    } else {
        "none of its completions has an advantage"
    }
}

/// Says once a training that an update had nothing to train on.
pub(super) fn warn_idle(folder: &Path, update: u64, collection: &Metrics) {
    tracing::warn!(
        "{}: update {update} has nothing to train on and leaves the weights as they are: {}; \
         the metric nothing_to_train marks such updates, and this is said only once",
        folder.display(),
        reason(collection)
    );
}

/// Says at the end of a training that its weights never moved.
pub(super) fn warn_unmoved(folder: &Path, steps: u64, idle: u64) {
    tracing::warn!(
        "{}: the weights are those it began with: of {steps} updates, {idle} had nothing to train on \
         and {} were skipped",
        folder.display(),
        steps - idle
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(rows: usize, length: usize) -> Batch {
        let example = Example {
            prompt: vec![1, 5],
            completion: vec![3; length],
            weights: vec![-2.5; length],
            ..Example::default()
        };
        Batch {
            examples: vec![example; rows],
            normaliser: 1.0,
            tokens: rows * length,
            ..Batch::default()
        }
    }

    fn metrics() -> Metrics {
        Metrics::from([
            ("loss".to_owned(), f64::NAN),
            ("grad_norm".to_owned(), f64::INFINITY),
        ])
    }

    #[test]
    fn a_stopped_run_says_what_was_in_the_batch() {
        let folder = tempfile::tempdir().unwrap();
        let mut batch = batch(3, 4);
        batch.examples[1].weights[2] = f32::NAN;
        let told = stop(folder.path(), 123, 11, &metrics(), &batch).to_string();
        for word in [
            "update 123",
            "11 in a row",
            "loss is NaN",
            "gradient inf",
            "3 rows of 6 to 6 tokens",
            "weight is 2.5, and 1 that are not finite",
            "skipped-batch-000123.json",
            "max_skipped_updates",
        ] {
            assert!(told.contains(word), "{word} in {told}");
        }
        let path = folder.path().join("skipped-batch-000123.json");
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(kept["examples"][2]["completion"][3], 3);
        assert!(kept["examples"][1]["weights"][2].is_null());
        assert_eq!(kept["grad_norm"], "inf");
    }

    #[test]
    fn a_large_batch_is_kept_in_part() {
        let folder = tempfile::tempdir().unwrap();
        stop(folder.path(), 5, 1, &metrics(), &batch(4, TOKENS_KEPT / 3));
        let path = folder.path().join("skipped-batch-000005.json");
        let kept: serde_json::Value =
            serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(kept["left_out"], 2);
        assert_eq!(kept["examples"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_cannot_be_written_hides_no_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let told = stop(&file, 5, 1, &metrics(), &batch(1, 1)).to_string();
        assert!(told.contains("loss is NaN") && told.contains("could not be kept"));
    }

    #[test]
    fn an_idle_update_has_a_reason() {
        let of = |pairs: &[(&str, f64)]| {
            reason(&pairs.iter().map(|&(k, v)| (k.to_owned(), v)).collect())
        };
        let alike = ("frac_reward_zero_std", 1.0);
        assert!(of(&[alike]).contains("no reward"));
        assert!(of(&[alike, ("reward", 0.0)]).contains("alike"));
        let cut = ("completions/clipped_ratio", 1.0);
        assert!(of(&[alike, ("reward", 0.0), cut]).contains("cap"));
        assert!(of(&[("reward", 0.0), ("rft/imitated_ratio", 0.0)]).contains("imitated"));
        assert!(of(&[]).contains("advantage"));
    }
}
