//! Within-task alignment (METRICS 2) and the alignment of a model (METRICS 3).

use super::cost::{ModelItems, TaskItems};
use crate::norms::Norms;
use crate::statistics::{Undefined, correlation, mean};

/// How a model's costs go with people's on one task.
///
/// Worked example: 120 items, `pearson: Ok(0.62)`; a model that never thinks has
/// `Err(NoVariance("model cost"))`.
#[derive(Debug, Clone, PartialEq)]
pub struct WithinTask {
    /// Items with a model cost and a human cost.
    pub n: usize,
    /// Pearson correlation of model cost and human cost over items: the alignment r.
    pub pearson: Result<f64, Undefined>,
    /// Spearman correlation of the same.
    pub spearman: Result<f64, Undefined>,
    /// Pearson given ln(prompt tokens); the plain one where these do not vary.
    pub partial: Result<f64, Undefined>,
}

/// Alignment of one model of one seed on one task.
pub fn within_task(task: &str, items: &TaskItems, norms: &Norms) -> WithinTask {
    let (mut cost, mut human, mut prompt) = (Vec::new(), Vec::new(), Vec::new());
    for (id, item) in items {
        if let (Some(c), Some(h)) = (item.cost, norms.human_cost(task, id)) {
            cost.push(c);
            human.push(h);
            prompt.push(item.prompt_tokens);
        }
    }
    let named = |r: Result<f64, Undefined>| r.map_err(|why| why.naming("model cost", "human cost"));
    let partial = if prompt.iter().all(|&tokens| tokens > 0.0) {
        let ln: Vec<f64> = prompt.iter().map(|tokens| tokens.ln()).collect();
        named(correlation::partial(&cost, &human, &ln))
    } else {
        Err(Undefined::Because(
            "a prompt of 0 tokens has no logarithm".into(),
        ))
    };
    WithinTask {
        n: cost.len(),
        pearson: named(correlation::pearson(&cost, &human)),
        spearman: named(correlation::spearman(&cost, &human)),
        partial,
    }
}

/// Alignment of a model over tasks: the plain mean of its defined r, and the Fisher-z mean of the same.
pub fn model_alignment(
    of_tasks: &[Result<f64, Undefined>],
) -> (Result<f64, Undefined>, Result<f64, Undefined>) {
    let defined: Vec<f64> = of_tasks
        .iter()
        .filter_map(|r| r.as_ref().ok().copied())
        .collect();
    let none = || {
        let mut reasons: Vec<String> = of_tasks
            .iter()
            .filter_map(|r| r.as_ref().err().map(ToString::to_string))
            .collect();
        reasons.dedup();
        Undefined::Because(format!("undefined on every task: {}", reasons.join("; ")))
    };
    let plain = mean(&defined).ok_or_else(none);
    let fisher = if defined.is_empty() {
        Err(none())
    } else {
        correlation::fisher_mean(&defined)
    };
    (plain, fisher)
}

/// The r of every named task, for one model of one seed.
pub fn task_alignments(model: &ModelItems, tasks: &[String], norms: &Norms) -> Vec<WithinTask> {
    tasks
        .iter()
        .map(|task| within_task(task, model.task(task), norms))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alignment::cost::{items, tests::trace};
    use crate::norms::NormItem;

    fn norms(times: &[(&str, f64)]) -> Norms {
        let item = |&(id, log): &(&str, f64)| NormItem {
            task: "t".into(),
            item_id: id.into(),
            mean_log_rt: Some(log),
            ..NormItem::default()
        };
        Norms::new(times.iter().map(item).collect(), String::new())
    }

    #[test]
    fn alignment_by_hand() {
        // Costs ln 2, ln 4, ln 8 against 1, 2, 4: x = -1, 0, 1 (scaled), y = -4/3, -1/3, 5/3:
        // 3 / sqrt(2 * 42/9) = 0.981980506.
        let traces = [
            trace("m", "a", 0, 1, None),
            trace("m", "b", 0, 3, None),
            trace("m", "c", 0, 7, None),
        ];
        let found = items(&traces, false);
        let norms = norms(&[("a", 1.0), ("b", 2.0), ("c", 4.0), ("unseen", 9.0)]);
        let within = within_task("t", found.models["m"][0].task("t"), &norms);
        assert_eq!(within.n, 3);
        assert!((within.pearson.clone().expect("defined") - 0.981_980_506_061_965_7).abs() < 1e-12);
        assert!((within.spearman.expect("defined") - 1.0).abs() < 1e-12);
        // The prompts are equally long.
        assert_eq!(within.partial, within.pearson);
    }

    #[test]
    fn a_model_that_never_thinks_is_undefined() {
        let traces: Vec<_> = ["a", "b", "c"]
            .iter()
            .map(|id| trace("m", id, 0, 0, None))
            .collect();
        let found = items(&traces, false);
        let norms = norms(&[("a", 1.0), ("b", 2.0), ("c", 4.0)]);
        let within = within_task("t", found.models["m"][0].task("t"), &norms);
        assert_eq!(within.pearson, Err(Undefined::NoVariance("model cost")));
        let (plain, fisher) = model_alignment(&[within.pearson]);
        assert_eq!(
            plain.expect_err("undefined").to_string(),
            "undefined on every task: no variance in model cost"
        );
        assert!(fisher.is_err());
    }

    #[test]
    fn the_mean_is_over_defined_tasks() {
        let (plain, fisher) =
            model_alignment(&[Ok(0.0), Err(Undefined::NoVariance("model cost")), Ok(0.8)]);
        assert!((plain.expect("defined") - 0.4).abs() < 1e-15);
        assert!((fisher.expect("defined") - 0.5).abs() < 1e-12);
    }
}
