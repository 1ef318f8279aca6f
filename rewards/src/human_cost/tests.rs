//! The agreement with human cost: by hand, and held to its definition.

use proptest::prelude::*;

use super::*;
use crate::testing::item;

/// A completion with its answer right, of `tokens` reasoning tokens.
fn spent<'a>(task: &'a str, problem: &'a str, tokens: usize, cost: Option<f64>) -> Scored<'a> {
    Scored {
        task,
        problem,
        reasoning_tokens: tokens,
        human_cost: cost,
        ..item("true", "true")
    }
}

fn judge(only_correct: bool, batch: &[Scored<'_>]) -> Scores {
    let parameters = Parameters {
        only_correct,
        ..Parameters::default()
    };
    let reward = HumanCost::new(&parameters).expect("valid");
    reward.score(batch).expect("can be judged")
}

fn values(only_correct: bool, batch: &[Scored<'_>]) -> Vec<Option<f64>> {
    let scores = judge(only_correct, batch);
    scores.each.iter().map(|score| score.value).collect()
}

fn metric(scores: &Scores, name: &str) -> Option<f64> {
    let metrics = &scores.metrics;
    Some(metrics.iter().find(|(known, _)| known == name)?.1)
}

#[test]
fn the_worked_example() {
    let batch = [
        spent("t", "1", 4, Some(6.9)),
        spent("t", "2", 9, Some(7.1)),
        spent("t", "3", 7, Some(7.3)),
    ];
    assert_eq!(values(false, &batch), [Some(1.0), Some(0.0), Some(0.0)]);
    let scores = judge(false, &batch);
    // Two pairs agree and one does not: (2 - 1) / 3.
    let tau = metric(&scores, "tau_b").expect("both vary");
    assert!((tau - 1.0 / 3.0).abs() < 1e-12, "{tau}");
    assert_eq!(metric(&scores, "pairs"), Some(1.0));
    assert_eq!(scores.each[0].parts, [("others".into(), 2.0)]);
}

#[test]
fn only_completions_of_the_same_task_and_another_cost_are_compared() {
    let batch = [
        spent("t", "1", 4, Some(7.0)),
        spent("t", "2", 9, Some(7.0)),
        spent("t", "3", 5, Some(8.0)),
        spent("u", "1", 1, Some(9.0)),
        spent("t", "4", 6, None),
        spent("t", "3", 4, Some(8.0)),
    ];
    let expected = [Some(0.5), Some(-1.0), Some(0.0), None, None, Some(-0.5)];
    assert_eq!(values(false, &batch), expected);
    // Of the six pairs of `t`, four differ in cost; `u` has no pair.
    let pairs = metric(&judge(false, &batch), "pairs").expect("there are pairs");
    assert!((pairs - 4.0 / 6.0).abs() < 1e-12, "{pairs}");
}

#[test]
fn it_may_be_kept_to_some_tasks() {
    let tasks = vec!["u".to_owned()];
    let parameters = Parameters {
        tasks,
        ..Parameters::default()
    };
    let batch = [
        spent("t", "1", 4, Some(7.0)),
        spent("t", "2", 9, Some(8.0)),
        spent("u", "1", 4, Some(7.0)),
        spent("u", "2", 9, Some(8.0)),
    ];
    let scores = HumanCost::new(&parameters).expect("valid").score(&batch);
    let scores = scores.expect("can be judged");
    let values: Vec<Option<f64>> = scores.each.iter().map(|score| score.value).collect();
    assert_eq!(values, [None, None, Some(1.0), Some(1.0)]);
    assert_eq!(metric(&scores, "pairs"), Some(1.0));
}

#[test]
fn a_completion_that_was_cut_off_is_left_out() {
    let mut batch = vec![spent("t", "1", 4, Some(7.0)), spent("t", "2", 9, Some(8.0))];
    batch.push(Scored {
        truncated: true,
        ..spent("t", "2", 1, Some(8.0))
    });
    assert_eq!(values(false, &batch), [Some(1.0), Some(1.0), None]);
}

#[test]
fn wrong_answers_are_left_out_on_demand() {
    let wrong = Scored {
        completion: "false",
        ..spent("t", "2", 1, Some(8.0))
    };
    let unknown = Scored {
        expected: None,
        ..spent("t", "2", 1, Some(8.0))
    };
    let right = [spent("t", "1", 4, Some(7.0)), spent("t", "2", 9, Some(8.0))];
    let batch = [right[0], wrong, right[1], unknown];
    assert_eq!(values(true, &batch), [Some(1.0), None, Some(1.0), None]);
    let all = values(false, &batch);
    assert!(all.iter().all(Option::is_some), "{all:?}");
}

#[test]
fn batches_with_nothing_to_compare() {
    assert_eq!(judge(false, &[]), Scores::default());
    let one = judge(false, &[spent("t", "1", 4, Some(7.0))]);
    assert_eq!(one.each, [Score::does_not_apply()]);
    assert!(one.metrics.is_empty(), "{:?}", one.metrics);
    // All tied in tokens: 0, not undefined; tau-b has no variance to divide by.
    let tied = [spent("t", "1", 4, Some(7.0)), spent("t", "2", 4, Some(8.0))];
    assert_eq!(values(false, &tied), [Some(0.0), Some(0.0)]);
    assert_eq!(metric(&judge(false, &tied), "tau_b"), None);
    // All tied in cost: not comparable.
    let same = [spent("t", "1", 4, Some(7.0)), spent("t", "2", 9, Some(7.0))];
    assert_eq!(values(false, &same), [None, None]);
    let zero = [
        spent("t", "1", 4, Some(0.0)),
        spent("t", "1", 9, Some(-0.0)),
    ];
    assert_eq!(values(false, &zero), [None, None]);
    assert_eq!(metric(&judge(false, &same), "pairs"), Some(0.0));
}

#[test]
fn a_cost_that_is_no_number_is_an_error_that_names_the_place() {
    let reward = HumanCost::new(&Parameters::default()).expect("valid");
    for cost in [f64::NAN, f64::INFINITY] {
        let batch = [
            spent("t", "1", 4, Some(7.0)),
            spent("t", "2", 9, Some(cost)),
        ];
        let message = reward.score(&batch).expect_err("not finite").to_string();
        assert!(
            message.contains("completion 1") && message.contains("problem `2`"),
            "{message}"
        );
    }
    let two = [spent("t", "1", 4, Some(7.0)), spent("t", "1", 9, Some(8.0))];
    let message = reward.score(&two).expect_err("two costs").to_string();
    assert!(message.contains("a problem has one"), "{message}");
}

/// The definition, pair by pair.
fn by_definition(batch: &[Scored<'_>]) -> Vec<Option<f64>> {
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    let value = |i: &Scored<'_>| {
        let signs: Vec<f64> = batch
            .iter()
            .filter(|j| !i.truncated && !j.truncated && j.task == i.task)
            .filter_map(|j| {
                let apart = i.human_cost? - j.human_cost?;
                let longer = i.reasoning_tokens as f64 - j.reasoning_tokens as f64;
                (apart != 0.0).then(|| sign(longer * apart))
            })
            .collect();
        (!signs.is_empty()).then(|| signs.iter().sum::<f64>() / signs.len() as f64)
    };
    batch.iter().map(value).collect()
}

/// Kendall's tau-b of tokens and costs, pair by pair.
fn tau_by_definition(points: &[(f64, f64)]) -> Option<f64> {
    let sign = |x: f64| if x == 0.0 { 0.0 } else { x.signum() };
    let (mut both, mut firsts, mut seconds) = (0.0, 0.0, 0.0);
    for a in points {
        for b in points {
            let (first, second) = (sign(a.0 - b.0), sign(a.1 - b.1));
            both += first * second;
            firsts += first.abs();
            seconds += second.abs();
        }
    }
    (firsts * seconds > 0.0).then(|| both / (firsts * seconds).sqrt())
}

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

proptest! {
    #[test]
    fn it_is_what_the_definition_says(
        // Task, problem, tokens, whether it was cut off; the problem has the cost.
        items in proptest::collection::vec((0_usize..2, 0_usize..6, 0_usize..6, 0_usize..8), 0..30),
        costs in proptest::collection::vec(proptest::option::of(-1_i32..4), 6),
    ) {
        let batch: Vec<Scored<'_>> = items
            .iter()
            .map(|(task, problem, tokens, cut)| Scored {
                truncated: *cut == 0,
                ..spent(NAMES[*task], NAMES[*problem], *tokens, costs[*problem].map(f64::from))
            })
            .collect();
        let expected = by_definition(&batch);
        for (got, expected) in values(false, &batch).iter().zip(&expected) {
            match (got, expected) {
                (Some(got), Some(expected)) => prop_assert!((got - expected).abs() < 1e-12),
                (got, expected) => prop_assert_eq!(got, expected),
            }
        }
        // Every answer is right here.
        prop_assert_eq!(values(true, &batch), values(false, &batch));
    }

    #[test]
    fn the_metric_is_kendalls_tau_b(
        points in proptest::collection::vec((0_i32..6, 0_i32..6), 0..20),
    ) {
        let points: Vec<(f64, f64)> = points
            .iter()
            .map(|(first, second)| (f64::from(*first), f64::from(*second)))
            .collect();
        match (tau_b(&points), tau_by_definition(&points)) {
            (Some(got), Some(expected)) => prop_assert!((got - expected).abs() < 1e-12),
            (got, expected) => prop_assert_eq!(got, expected),
        }
    }

    #[test]
    fn more_tokens_on_the_dearest_problem_are_never_worse(
        tokens in proptest::collection::vec(0_usize..9, 2..12),
        more in 1_usize..9,
    ) {
        let names: Vec<String> = (0..tokens.len()).map(|at| at.to_string()).collect();
        let mut batch: Vec<Scored<'_>> = tokens
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(at, (tokens, name))| spent("t", name, *tokens, Some(at as f64)))
            .collect();
        let last = batch.len() - 1;
        let before = values(false, &batch)[last];
        batch[last].reasoning_tokens += more;
        prop_assert!(values(false, &batch)[last] >= before);
    }
}
