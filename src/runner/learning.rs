//! What a comparison takes from a training's `metrics.jsonl`: curves, and the
//! sums that notes are made of.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use experiments::comparison::{Curve, TrainingLog};
use serde_json::{Map, Value};

/// Metrics whose curves a comparison keeps, beside those of the rewards.
const CURVES: [&str; 9] = [
    "validation/accuracy",
    "validation/reasoning_tokens",
    "validation/loss",
    "reward",
    "loss",
    "entropy",
    "mean_token_accuracy",
    "frac_reward_zero_std",
    "completions/clipped_ratio",
];

/// Whether it says what a reward, a part of one, or what one tells of a batch came to.
fn is_of_rewards(metric: &str) -> bool {
    metric.starts_with("rewards/") && !metric.ends_with("/std")
}

/// The curves of one training, by name, and its sums.
pub(super) fn read(path: &Path, arm: &str, seed: u64) -> Result<(Vec<Curve>, TrainingLog)> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let mut lines: Vec<Map<String, Value>> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = serde_json::from_str(line)
            .with_context(|| format!("{}, line {}", path.display(), index + 1))?;
        lines.push(line);
    }
    let value = |line: &Map<String, Value>, name: &str| line.get(name)?.as_f64();
    let mut names: BTreeSet<&str> = CURVES.into();
    let logged = lines.iter().flat_map(Map::keys);
    names.extend(
        logged
            .map(String::as_str)
            .filter(|name| is_of_rewards(name)),
    );
    let curve = |metric: &str| {
        let points: Vec<(u64, f64)> = lines
            .iter()
            .filter_map(|line| Some((line.get("step")?.as_u64()?, value(line, metric)?)))
            .collect();
        (!points.is_empty()).then(|| Curve {
            arm: arm.to_owned(),
            seed,
            metric: metric.to_owned(),
            points,
        })
    };
    let curves = names.into_iter().filter_map(curve).collect();
    Ok((curves, TrainingLog::of(arm, seed, &lines, value)))
}
