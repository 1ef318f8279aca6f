//! Answers judged one by one by hand.
//!
//! `data/answer-pairs.tsv` holds two hundred expected answers, a given one each,
//! whether it is right, how `correct` judges it, and the reason where that is not
//! the same. `scripts/compare-math-verify.py` puts these pairs to math-verify.
//! `data/completions.jsonl` holds the same of whole completions, by the kinds of
//! marks and of numbers that models write.

use std::path::Path;

use rewards::answers::Expected;
use rewards::{Extraction, Registry, Scored};
use serde::Deserialize;

const PAIRS: &str = include_str!("data/answer-pairs.tsv");
const COMPLETIONS: &str = include_str!("data/completions.jsonl");

/// A line of `completions.jsonl`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    /// Of what kind the difficulty is.
    kind: String,
    expected: String,
    completion: String,
    /// The truth.
    right: bool,
    /// What is said of it.
    judged: bool,
    /// Why a right one is refused.
    #[serde(default)]
    why: String,
}

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

#[test]
fn every_completion_is_judged_as_written_down_by_the_reward_and_by_the_answers() {
    let mut unlike = Vec::new();
    let mut count = 0;
    for line in COMPLETIONS.lines() {
        let item: Verdict = serde_json::from_str(line).expect("a line of the table");
        let rewarded = judge(&item.completion, &item.expected);
        let given = Extraction::new("", &item.completion).announced();
        let expected = Expected::new(&item.expected).expect("there is an answer");
        if rewarded != item.judged || expected.is(&given, 0.0) != item.judged {
            unlike.push(format!("{} | {line}", item.kind));
        }
        // No wrong answer is right, and every right one that is refused has a reason.
        assert!(item.right || !item.judged, "{line}");
        assert_eq!(item.right == item.judged, item.why.is_empty(), "{line}");
        count += 1;
    }
    assert!(count >= 1170, "{count}");
    assert!(
        unlike.is_empty(),
        "judged otherwise:\n{}",
        unlike.join("\n")
    );
}
