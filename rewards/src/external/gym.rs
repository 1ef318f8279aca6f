//! `reasoning_gym`'s word on answers to its entries.

use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::python::{Calls, Parameters, Python};
use crate::{Reward, RewardError, Scored};

/// The score that `reasoning_gym` gives `answer` to `entry` (its question, answer and
/// metadata).
///
/// # Errors
///
/// Where Python cannot be started, lacks the package, or fails on the entry.
pub fn score(entry: &Map<String, Value>, answer: &str) -> Result<f64, RewardError> {
    static JUDGE: OnceLock<Python> = OnceLock::new();
    let judge = match JUDGE.get() {
        Some(judge) => judge,
        None => {
            let parameters = Parameters {
                calls: Calls::ReasoningGym,
                ..Parameters::default()
            };
            let judge = Python::new(&parameters, Path::new("."))?;
            JUDGE.get_or_init(|| judge)
        }
    };
    let item = Scored {
        completion: answer,
        columns: Some(entry),
        ..Scored::default()
    };
    let scores = judge.score(&[item])?;
    let score = scores.each.first().and_then(|score| score.value);
    score.ok_or_else(|| RewardError::Answer {
        message: "reasoning_gym gave no score".to_owned(),
    })
}
