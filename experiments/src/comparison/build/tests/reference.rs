//! The comparison of the reference records.

use std::path::Path;

use super::made::{Made, input};
use super::*;
use crate::alignment::cost::CutOff;
use crate::comparison::Verdict;
use crate::record;

/// The comparison on the reference records holds the reference's own values.
#[test]
fn reference_records_give_reference_values() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let dir = shared.join("fixtures/alignment");
    if !dir.is_dir() {
        println!("skipped: no reference figures at ../shared/fixtures/alignment");
        return;
    }
    let load = |name: &str| std::fs::read_to_string(dir.join(name)).expect("a file");
    let expected: serde_json::Value = serde_json::from_str(&load("expected.json")).expect("JSON");
    let arms: Vec<ArmCard> = serde_json::from_str(&load("models.json")).expect("JSON");
    let tasks: Vec<String> = serde_json::from_value(expected["tasks"].clone()).expect("names");
    let norms = Norms::read(&shared.join("human"), &tasks).expect("norms");
    let traces = record::read(&dir.join("traces.jsonl")).expect("records");
    let made = Made {
        arms,
        tasks,
        norms,
        traces,
        runs: Vec::new(),
    };
    let found = compare(Input {
        seeds: &[],
        counting: Counting {
            cut_off: CutOff::Drop,
            ..Counting::default()
        },
        ..input(&made)
    })
    .expect("compared");
    let close = |got: &crate::comparison::Estimate, expected: &serde_json::Value| {
        let (got, expected) = (
            got.value.expect("a value"),
            expected.as_f64().expect("a number"),
        );
        assert!((got - expected).abs() < 1e-9, "{got} {expected}");
    };
    for arm in &found.arms {
        let of = &expected["models"][&arm.name];
        close(&arm.alignment, &of["mean_r"]);
        close(&arm.alignment_fisher, &of["fisher_mean_r"]);
        for task in &arm.tasks {
            close(&task.spearman, &of["within"][&task.task]["spearman"]);
            close(&task.accuracy, &of["accuracy"][&task.task]);
            close(&task.tokens, &of["mean_tokens"][&task.task]);
        }
    }
    let named = |c: &&Contrast| c.question.is_some() && c.measure == Measure::Alignment;
    for c in found.contrasts.iter().filter(named) {
        let figure = if c.question.as_deref() == Some("negative transfer") {
            "transfer"
        } else {
            "collapse"
        };
        close(&c.difference, &expected["pairs"][&c.arm][figure]);
        assert_eq!(c.verdict, Verdict::Below, "{c:?}");
    }
    for found in &found.further.inflation {
        let of = &expected["pairs"][&found.arm];
        close(&found.tokens.slope, &of["inflation"]["slope"]);
        close(&found.iei.intercept, &of["iei_inflation"]["intercept"]);
    }
    for found in &found.further.surface {
        let of = &expected["pairs"][&found.arm];
        close(&found.relative_effort, &of["relative_effort"]);
    }
}
