//! Distributions by hand, and when a reward is said to pay for length.

use super::length::{Cells, length};
use super::*;

/// Eight completions, half of them right, of the lengths 1 to 4 each.
const VERDICTS: [f64; 8] = [1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0];
const TOKENS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0];

/// All of one problem.
fn alike() -> Cells {
    Cells {
        of: VERDICTS.map(|verdict| Some((0, verdict))).to_vec(),
        within_problem: false,
    }
}

fn of(value: impl Fn(f64, f64) -> f64) -> Length {
    let values: Vec<Option<f64>> = VERDICTS
        .iter()
        .zip(TOKENS)
        .map(|(verdict, tokens)| Some(value(*verdict, tokens)))
        .collect();
    length("r", &values, &TOKENS, &alike())
}

#[test]
fn only_what_pays_for_being_right_and_for_length_pays_in_secret() {
    assert!(!of(|verdict, _| verdict).secretly);
    assert!(of(|verdict, _| verdict).given_verdict.is_none());
    let noise = |tokens: f64| 0.005 * tokens * tokens;
    assert!(of(|verdict, tokens| verdict + 0.1 * tokens + noise(tokens)).secretly);
    assert!(of(|verdict, tokens| verdict - 0.1 * tokens + noise(tokens)).secretly);
    // Length alone is paid for openly.
    assert!(!of(|_, tokens| 0.1 * tokens + noise(tokens)).secretly);
    // What goes with length only because right answers are longer.
    let longer: Vec<f64> = TOKENS
        .iter()
        .zip(VERDICTS)
        .map(|(t, v)| t + 9.0 * v)
        .collect();
    let values = VERDICTS.map(|verdict| Some(0.5 * verdict));
    let found = length("r", &values, &longer, &alike());
    assert!(found.pearson.is_some_and(|found| found.r > 0.9));
    assert!(!found.secretly && found.given_verdict.is_none());
}

#[test]
fn a_distribution_by_hand() {
    let found = distribution("r", vec![1.0, 0.0, 0.0, 0.0]);
    assert_eq!((found.n, found.mean, found.sd), (4, Some(0.25), Some(0.5)));
    assert_eq!(found.quartiles, Some([0.0, 0.0, 0.0, 0.25, 1.0]));
    assert_eq!(found.histogram.first(), Some(&3));
    assert_eq!(found.histogram.last(), Some(&1));
    assert_eq!(found.histogram.iter().sum::<usize>(), 4);
    let alike = distribution("r", vec![0.5; 3]);
    assert_eq!(alike.histogram.first(), Some(&3));
    let none = distribution("r", Vec::new());
    assert_eq!((none.n, none.mean, none.quartiles), (0, None, None));
    assert!(none.histogram.is_empty());
}

#[test]
fn what_only_differs_between_problems_does_not_go_with_length_within_them() {
    // The second problem is longer and its right answers are worth more.
    let value = [1.0, 1.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0].map(Some);
    let tokens = [1.0, 2.0, 1.0, 2.0, 8.0, 9.0, 8.0, 9.0];
    let right = [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0].map(Some);
    let two = Cells::new(&[0, 0, 0, 0, 1, 1, 1, 1], &right);
    assert!(two.within_problem);
    assert!(length("r", &value, &tokens, &two).given_verdict.is_none());
    let alone = Cells::new(&[0, 1, 2, 3, 4, 5, 6, 7], &right);
    assert!(!alone.within_problem);
    let found = length("r", &value, &tokens, &alone).given_verdict;
    assert!(found.is_some_and(|found| found.r > 0.4));
}

#[test]
fn judges_of_right_and_wrong_are_counted_and_what_is_constant_is_left_out() {
    let zeros = [1.0, 1.0, 0.0, 0.0].map(Some).to_vec();
    let other = [1.0, 0.0, 1.0, 0.0].map(Some).to_vec();
    let constant = [1.0; 4].map(Some).to_vec();
    let pairs = [("a", zeros), ("b", other), ("c", constant)];
    let completions: Vec<Given> = ["w", "x", "y", "z"].map(Given::of_text).into();
    let given: Vec<&Given> = completions.iter().collect();
    let found = disagreement::disagreements(&given, &pairs);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].rewards, ["a", "b"]);
    assert_eq!(found[0].count, Some([2, 4]));
    assert_eq!(found[0].completion, "x");
}
