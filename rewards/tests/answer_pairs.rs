//! Two hundred answer pairs, judged one by one by hand.
//!
//! `data/answer-pairs.tsv` holds an expected answer, a given one, whether it is
//! right, how `correct` judges it, and the reason where that is not the same.
//! `scripts/math-verify-agreement.py` puts the same pairs to math-verify.

use std::path::Path;

use rewards::{Registry, Scored};

const PAIRS: &str = include_str!("data/answer-pairs.tsv");

struct Pair<'a> {
    expected: &'a str,
    given: &'a str,
    right: bool,
    judged: bool,
    reason: &'a str,
}

fn pairs() -> Vec<Pair<'static>> {
    let verdict = |text: &str| match text {
        "right" => true,
        "wrong" => false,
        other => panic!("{other:?} is no verdict"),
    };
    // The first line names the columns.
    let lines = PAIRS.lines().skip(1);
    lines
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [expected, given, right, judged, reason] = fields[..] else {
                panic!("{line:?} has not five fields");
            };
            Pair {
                expected,
                given,
                right: verdict(right),
                judged: verdict(judged),
                reason,
            }
        })
        .collect()
}

/// Whether `correct` says that `completion` answers rightly.
fn judge(completion: &str, expected: &str) -> bool {
    let correct = Registry::builtin()
        .build("correct", &toml::Table::new(), Path::new("."))
        .expect("no parameters are needed");
    let item = Scored {
        completion,
        expected: Some(expected),
        ..Scored::default()
    };
    let scores = correct.score(&[item]).expect("every answer can be judged");
    scores.each[0].value == Some(1.0)
}

#[test]
fn every_pair_is_judged_as_written_down() {
    let pairs = pairs();
    assert_eq!(pairs.len(), 200);
    let mut wrong = Vec::new();
    for pair in &pairs {
        let boxed = format!(r"<think> hm </think> So it is \boxed{{{}}}.", pair.given);
        for completion in [format!("Answer: {}", pair.given), boxed] {
            if judge(&completion, pair.expected) != pair.judged {
                wrong.push(format!("{} | {completion}", pair.expected));
            }
        }
    }
    assert!(wrong.is_empty(), "judged otherwise:\n{}", wrong.join("\n"));
}

#[test]
fn no_wrong_answer_of_the_pairs_is_right_and_every_difference_has_a_reason() {
    for pair in pairs() {
        let text = format!("{} | {}", pair.expected, pair.given);
        assert!(pair.right || !pair.judged, "{text}");
        assert_eq!(pair.right == pair.judged, pair.reason.is_empty(), "{text}");
    }
}
