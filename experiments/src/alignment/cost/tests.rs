//! Means over samples, order of the records, pooling over seeds, truncation.

use super::*;

pub(crate) fn trace(
    model: &str,
    item: &str,
    sample: u32,
    tokens: u32,
    correct: Option<bool>,
) -> Trace {
    Trace {
        model: model.into(),
        seed: None,
        teacher: None,
        task: "t".into(),
        item_id: item.into(),
        sample,
        prompt_tokens: 6,
        reasoning_tokens: tokens,
        completion_tokens: tokens + 3,
        correct,
        truncated: false,
        answer: None,
        completion: None,
    }
}

#[test]
fn means_of_the_worked_example() {
    let mut traces = vec![
        trace("m", "a", 0, 10, Some(true)),
        trace("m", "a", 1, 12, Some(false)),
        trace("m", "a", 2, 64, Some(false)),
    ];
    traces[2].truncated = true;
    let found = items(&traces, false);
    let item = &found.models["m"][0].task("t")["a"];
    assert!((item.cost.expect("samples") - f64::midpoint(11f64.ln(), 13f64.ln())).abs() < 1e-15);
    assert_eq!((item.tokens, item.right, item.graded), (Some(11.0), 1, 2));
    assert_eq!((item.truncated, item.samples), (1, 3));
    assert_eq!(
        (item.right_cost, item.wrong_cost),
        (Some(11f64.ln()), Some(13f64.ln()))
    );
    let right = items(&traces, true);
    assert_eq!(right.models["m"][0].task("t")["a"].tokens, Some(10.0));
    assert_eq!(right.models["m"][0].task("t")["a"].graded, 2);
}

#[test]
fn order_does_not_matter_and_duplicates_are_counted() {
    let mut traces: Vec<Trace> = (0..5)
        .map(|s| trace("m", "a", s, 3 * s + 1, None))
        .collect();
    traces.extend((0..5).map(|s| trace("m", "b", s, 9 * s, Some(true))));
    traces.push(Trace {
        seed: Some(2),
        ..trace("m", "a", 0, 4, None)
    });
    let forward = items(&traces, false);
    assert_eq!(forward.duplicates, 0);
    assert_eq!(
        forward.models["m"]
            .iter()
            .map(|m| m.seed)
            .collect::<Vec<_>>(),
        [None, Some(2)]
    );
    assert_eq!(forward.models["m"][0].task("t")["a"].graded, 0);
    traces.reverse();
    assert_eq!(items(&traces, false), forward);
    traces.push(traces[0].clone());
    let again = items(&traces, false);
    assert_eq!((again.duplicates, again.models), (1, forward.models));
}

#[test]
fn pooling_averages_over_seeds() {
    let traces = [
        Trace {
            seed: Some(1),
            ..trace("m", "a", 0, 10, Some(true))
        },
        Trace {
            seed: Some(2),
            ..trace("m", "a", 0, 20, Some(false))
        },
        Trace {
            seed: Some(2),
            ..trace("m", "b", 0, 5, None)
        },
    ];
    let found = items(&traces, false);
    let pooled = pooled(&found.models["m"]);
    let a = &pooled.task("t")["a"];
    assert_eq!(
        (a.tokens, a.right, a.graded, a.samples),
        (Some(15.0), 1, 2, 2)
    );
    assert_eq!(pooled.task("t")["b"].tokens, Some(5.0));
}

#[test]
fn an_item_of_truncated_samples_has_no_cost() {
    let mut cut = trace("m", "a", 0, 64, Some(false));
    cut.truncated = true;
    let found = items([&cut], false);
    let task = found.models["m"][0].task("t");
    assert_eq!((task["a"].cost, task["a"].graded), (None, 0));
    assert_eq!(task_tokens(task), None);
    assert!(found.models["m"][0].task("another").is_empty());
}
