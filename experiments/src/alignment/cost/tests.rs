//! Means over samples, order of the records, truncation.

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

/// What was cut off counts nothing.
const DROP: Counting = Counting {
    only_correct: false,
    cut_off: CutOff::Drop,
};

#[test]
fn means_of_the_worked_example() {
    let mut traces = vec![
        trace("m", "a", 0, 10, Some(true)),
        trace("m", "a", 1, 12, Some(false)),
        trace("m", "a", 2, 64, Some(false)),
    ];
    traces[2].truncated = true;
    let of = |counting| items(&traces, counting).models["m"][0].task("t")["a"].clone();
    let item = of(Counting::default());
    let ln = [11f64, 13.0, 65.0].map(f64::ln);
    let cost = ln.iter().sum::<f64>() / 3.0;
    assert!((item.cost.expect("samples") - cost).abs() < 1e-15);
    let squares: f64 = ln.iter().map(|v| (v - cost).powi(2)).sum();
    assert!((item.cost_variance.expect("samples") - squares / 2.0).abs() < 1e-15);
    assert_eq!((item.counted, item.right, item.graded), (3, 1, 2));
    assert_eq!((item.truncated, item.samples), (1, 3));
    let [even, odd] = item.cost_halves.map(|half| half.expect("samples"));
    assert!((even - f64::midpoint(ln[0], ln[2])).abs() < 1e-15 && (odd - ln[1]).abs() < 1e-15);
    assert_eq!(item.token_halves, [Some(37.0), Some(12.0)]);
    assert_eq!(
        (item.right_cost, item.wrong_cost),
        (Some(ln[0]), Some(ln[1]))
    );
    let dropped = of(DROP);
    assert_eq!(
        (dropped.tokens, dropped.counted, dropped.truncated),
        (Some(11.0), 2, 1)
    );
    let right = of(Counting {
        only_correct: true,
        ..Counting::default()
    });
    assert_eq!((right.tokens, right.graded), (Some(10.0), 2));
    assert_eq!((right.cost_variance, right.cost_halves[1]), (None, None));
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
    let forward = items(&traces, Counting::default());
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
    assert_eq!(items(&traces, Counting::default()), forward);
    traces.push(traces[0].clone());
    let again = items(&traces, Counting::default());
    assert_eq!((again.duplicates, again.models), (1, forward.models));
}

#[test]
fn an_item_of_truncated_samples_has_no_cost() {
    let mut cut = trace("m", "a", 0, 64, Some(false));
    cut.truncated = true;
    let found = items([&cut], DROP);
    let task = found.models["m"][0].task("t");
    assert_eq!((task["a"].cost, task["a"].graded), (None, 0));
    assert_eq!(task_tokens(task), None);
    assert!(found.models["m"][0].task("another").is_empty());
}
