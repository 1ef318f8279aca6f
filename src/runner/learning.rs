//! What a comparison takes from what a training wrote on its way: of its
//! `metrics.jsonl` curves, and the sums that notes are made of; of its
//! `evaluations.jsonl` the records of every evaluation before its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result};
use experiments::alignment::cost::Counting;
use experiments::comparison::{Curve, OnTheWay, TrainingLog};
use experiments::manifest::{ArmRun, EvaluationPoint};
use experiments::record;
use experiments::record::recording::Recording;
use serde_json::{Map, Value};

use super::outcome::again;

/// Name of the list of a training's evaluations on the way.
pub(super) const EVALUATIONS: &str = "evaluations.jsonl";

/// An evaluation of a training on its way, with its records.
pub(super) struct EvaluatedAt {
    /// The arm's name.
    pub(super) arm: String,
    /// Training seed.
    pub(super) seed: u64,
    /// Where in its training.
    at: EvaluationPoint,
    /// Its records, without their texts.
    pub(super) recording: Recording,
}

impl EvaluatedAt {
    /// Its item means; `None` where it has no record of these tasks.
    pub(super) fn items(&self, tasks: &[String], counting: Counting) -> Option<OnTheWay> {
        let models: Vec<&str> = self.recording.models().iter().map(String::as_str).collect();
        let items = self.recording.items(&models, tasks, counting);
        let mut trainings = items.models.into_values().flatten();
        Some(OnTheWay {
            arm: self.arm.clone(),
            at: self.at.clone(),
            items: trainings.next()?,
        })
    }
}

/// The evaluations of a training that the run's manifest names; `files` are its hashes.
pub(super) fn evaluations(
    run: &Path,
    arm_run: &ArmRun,
    files: &BTreeMap<String, String>,
) -> Result<Vec<EvaluatedAt>> {
    let folder = run.join(&arm_run.folder);
    let is_named = |file: &str| files.contains_key(&format!("{}/{file}", arm_run.folder));
    if !is_named(EVALUATIONS) {
        return Ok(Vec::new());
    }
    let path = folder.join(EVALUATIONS);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at: EvaluationPoint = serde_json::from_str(line).with_context(|| {
            let place = format!("{}, line {}", path.display(), index + 1);
            format!("{place} is no evaluation; {}", again(&folder))
        })?;
        // Records that were changed are left out with their hash.
        if !is_named(&at.traces) {
            continue;
        }
        let path = folder.join(&at.traces);
        let mut traces = record::read(&path).with_context(|| again(&folder))?;
        for trace in &mut traces {
            trace.completion = None;
        }
        let mut recording = Recording::default();
        recording.extend(&path, &traces)?;
        found.push(EvaluatedAt {
            arm: arm_run.arm.clone(),
            seed: arm_run.seed,
            at,
            recording,
        });
    }
    Ok(found)
}

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

#[cfg(test)]
mod tests {
    use experiments::record::Trace;
    use serde_json::json;

    use super::*;

    fn arm_run() -> ArmRun {
        ArmRun {
            arm: "sft".into(),
            seed: 1,
            teacher: None,
            folder: "arms/sft/seed-1".into(),
            init: None,
            initial_weights: "w0".into(),
            final_weights: "w1".into(),
            problem_order: None,
            trained_on: Vec::new(),
            budget: None,
            pretraining_seconds: None,
            evaluation_seconds: None,
        }
    }

    #[test]
    fn evaluations_are_those_that_the_manifest_names() {
        let run = tempfile::tempdir().unwrap();
        let folder = run.path().join("arms/sft/seed-1");
        std::fs::create_dir_all(folder.join("evaluations")).unwrap();
        let trace = |tokens| Trace {
            model: "sft".into(),
            seed: Some(1),
            teacher: Some(100),
            task: "t".into(),
            item_id: "item".into(),
            sample: 0,
            prompt_tokens: 3,
            reasoning_tokens: tokens,
            completion_tokens: tokens + 3,
            correct: Some(true),
            truncated: false,
            answer: None,
            completion: Some("seven".into()),
        };
        let mut lines = String::new();
        for (step, point) in [(0, "0"), (50, "0.5 of flops")] {
            let traces = format!("evaluations/{step:06}.parquet");
            record::write(&folder.join(&traces), &[trace(step as u32)]).unwrap();
            let line = json!({
                "step": step, "point": point, "traces": traces, "kl_prompts": 0.5, "kl_samples": null,
                "weight_distance": 1.0, "relative_distance": 0.1,
                "budget": {
                    "optimizer_steps": step, "trained_tokens": 7, "generated_tokens": 0, "flops": 1e9, "seconds": 2.0
                },
            });
            lines.push_str(&line.to_string());
            lines.push('\n');
        }
        std::fs::write(folder.join(EVALUATIONS), &lines).unwrap();
        let named = |names: &[&str]| -> BTreeMap<String, String> {
            let path = |name: &&str| (format!("arms/sft/seed-1/{name}"), String::new());
            names.iter().map(path).collect()
        };
        let read = |names: &[&str]| evaluations(run.path(), &arm_run(), &named(names));
        let both = ["evaluations/000000.parquet", "evaluations/000050.parquet"];
        assert!(read(&both).unwrap().is_empty());
        assert_eq!(read(&[EVALUATIONS, both[0], both[1]]).unwrap().len(), 2);
        let second = read(&[EVALUATIONS, both[1]]).unwrap();
        assert_eq!(second.len(), 1);
        assert!(second[0].recording.shown().is_empty());
        let found = second[0].items(&["t".to_owned()], Counting::default());
        let found = found.expect("records of the task");
        assert_eq!(
            (found.arm.as_str(), found.at.point.as_str()),
            ("sft", "0.5 of flops")
        );
        assert_eq!(
            (found.items.seed, found.items.teacher),
            (Some(1), Some(100))
        );
        assert_eq!(found.items.task("t")["item"].tokens, Some(50.0));
        assert!(
            second[0]
                .items(&["u".to_owned()], Counting::default())
                .is_none()
        );
        std::fs::write(folder.join(EVALUATIONS), lines.replace("\"0\"", "0")).unwrap();
        let error = format!("{:#}", read(&[EVALUATIONS]).map(|_| ()).unwrap_err());
        assert!(error.contains("evaluations.jsonl, line 1"), "{error}");
    }
}
