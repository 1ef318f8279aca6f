use super::*;

/// Whether a completion is right, where it can be judged.
fn right(judge: Judge, expected: &str, completion: &str) -> bool {
    let judged = judge.judge(expected, None, completion);
    judged.expect("readable").expect("something is expected")
}

#[test]
fn an_item_that_expects_nothing_is_not_judged() {
    for judge in [
        Judge::Same,
        Judge::Expression,
        Judge::Direction,
        Judge::Choice,
        Judge::Conclusions,
        Judge::ReasoningGym,
    ] {
        assert_eq!(judge.judge(" ", None, "true").expect("readable"), None);
        assert!(judge.check("", None).is_ok());
    }
}

#[test]
fn an_expected_answer_that_no_judge_can_read_is_an_error() {
    for (judge, expected, says) in [
        (Judge::Same, " . ", "to compare"),
        (Judge::Expression, "1 1 4", "24 from 1 1 4 6"),
        (Judge::Expression, "24 from 3", "2 to 8 numbers"),
        (Judge::Expression, "x from 3 4", "2 to 8 numbers"),
        (Judge::Expression, "7 from 3 4 with ^", "2 to 8 numbers"),
        (Judge::Direction, "north or south", "one direction"),
        (Judge::Choice, "Paris", "letter"),
        (Judge::Conclusions, "Aab", "nvc"),
        (Judge::ReasoningGym, "7", "`entry`"),
    ] {
        let error = judge.check(expected, None).expect_err(expected).to_string();
        assert!(error.contains(says), "{error}");
        let judged = judge.judge(expected, None, "7");
        // As it was before there were judges: nothing is the same as no sign at all.
        assert_eq!(judged.is_err(), judge != Judge::Same, "{expected}");
    }
}

#[test]
fn four_numbers_alone_are_to_make_24() {
    for (puzzle, answer) in [
        ("1 1 4 6", "1 * 1 * 4 * 6"),
        (
            "1 1 4 6",
            "<think> 6 times 4 </think> (6 × 4) ÷ (1 ÷ 1) = 24",
        ),
        ("3 3 8 8", "8 / (3 - 8 / 3)"),
        ("1 3 4 6", "6/(1-3/4)=24."),
        ("4 6 1 1", "First 4 * 6 = 24.\nAnswer: 6 * 4 * (1 / 1) = 24"),
        ("2 2 6 6", "\\(6 \\times 2 + 6 \\times 2 = 24\\)"),
        ("2 2 6 6", "$\\boxed{6 \\times 2 + 6 \\times 2}$"),
    ] {
        assert!(
            right(Judge::Expression, puzzle, answer),
            "{puzzle}: {answer}"
        );
    }
    let long = format!("{}4{} * 6 * 1 * 1", "(".repeat(5000), ")".repeat(5000));
    for answer in [
        "24",
        "4 * 6",
        "4 * 6 * 1",
        "4 * 6 * 1 * 1 * 1",
        "4 * 6 + 1 - 1 = 25",
        "4 + 6 + 1 + 1",
        "4 * 6 * (1 - 1)",
        "4 / (1 - 1) * 6",
        "46 - 11 - 11",
        "4 ** 6",
        "4 * 6 * 1 * 1)",
        "((4 * 6 * 1 * 1",
        "-4 * -6 * 1 * 1",
        "it is 4 * 6 * 1 * 1, I think",
        "<think> 4 * 6 * 1 * 1",
        "",
        "9999999999999999999999999999999999999999 * 1",
        &long,
    ] {
        assert!(!right(Judge::Expression, "1 1 4 6", answer), "{answer}");
    }
}
