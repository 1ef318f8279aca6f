//! Right answers, and what a model may write instead of them, by judge.

use super::super::Fraction;
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

#[test]
fn an_expression_uses_its_numbers_and_signs_and_comes_to_its_target() {
    for (expected, answer, is_right) in [
        ("10 from 2 3 4", "2 * 3 + 4", true),
        ("10 from 2, 3, 4", "Answer: 4 + 3 \\times 2 = 10", true),
        ("10 from 2 3 4", "2 * 3 + 4 = 11", false),
        ("10 from 2 3 4", "2 + 4 + 4", false),
        ("10 from 2 3 4", "2 * 3 + 4 * 1", false),
        ("-5 from 3 8", "3 - 8", true),
        ("-5 from 3 8", "3 - 8 = -5", true),
        ("-5 from 3 8", "8 - 3", false),
        ("6 from 2 3 4", "2 * 3", false),
        ("6 from some of 2 3 4", "2 * 3", true),
        ("6 from some of 2 3 4", "2 + 4", true),
        ("6 from some of 2 3 4", "3 + 3", false),
        ("4 from some of 2 3 4", "4", true),
        ("8 from some of 2 3 4 with + -", "2 * 4", false),
        ("6 from some of 2 3 4 with + -", "2 + 4", true),
        ("6 from some of 2 3 4 with +-", "2 + 4", true),
        ("6 from 4 2 with *", "2 + 4", false),
        (
            "24 from 1 1 1 1 1 1 4 6",
            "(1 + 1 - 1) * (1 + 1 - 1) * 4 * 6",
            true,
        ),
        ("2 from 3 6 with + - * /", "6 / 3", true),
        ("2 from 3 6", "3 / 6", false),
        ("1 from 7 7", "7 / (7 - 7)", false),
    ] {
        assert_eq!(
            right(Judge::Expression, expected, answer),
            is_right,
            "{expected}: {answer}"
        );
    }
}

#[test]
fn fractions_stay_exact_and_never_wrap() {
    let of = |sign, a: u32, b: u32| Fraction::whole(a).apply(sign, Fraction::whole(b));
    assert_eq!(of('/', 6, 4), of('/', 3, 2));
    assert!(of('-', 3, 8).is_some_and(|five| five.is(-5)));
    assert!(of('/', 6, 3).is_some_and(|two| two.is(2)));
    assert!(of('/', 0, 3).is_some_and(|none| none.is(0)));
    assert_eq!(of('/', 3, 0), None);
    assert_eq!(of('^', 3, 2), None);
    let negative = of('-', 0, 3).and_then(|three| Fraction::whole(6).apply('/', three));
    assert!(negative.is_some_and(|two| two.is(-2)));
    let mut huge = Fraction::whole(u32::MAX);
    for _ in 0..3 {
        huge = huge.apply('*', Fraction::whole(u32::MAX)).unwrap_or(huge);
    }
    assert_eq!(huge.apply('*', huge), None);
}

#[test]
fn one_direction_in_any_spelling_is_an_answer() {
    for (expected, answer, is_right) in [
        ("south-west", "south-west", true),
        ("south-west", "Southwest.", true),
        ("south-west", "south west", true),
        (
            "south-west",
            "<think> east , north </think> The gym is south-west of the school.",
            true,
        ),
        (
            "south-west",
            "The gym is SOUTH-WEST. Answer: southwest",
            true,
        ),
        ("south-west", "south", false),
        ("south-west", "west", false),
        ("south-west", "north-west", false),
        ("south-west", "south-west or north-west", false),
        ("south-west", "south of the bank and west of it", false),
        ("south-west", "", false),
        ("south-west", "I cannot tell", false),
        ("south-west", "<think> south-west", false),
        ("north", "It lies north.", true),
        ("north", "It lies north-east.", false),
        ("same place", "same place", true),
        ("same place", "They are in the same place.", true),
        ("same place", "the same side, east", false),
        ("same place", "east", false),
        ("same place", "nowhere", false),
        ("east", "same place", false),
    ] {
        assert_eq!(
            right(Judge::Direction, expected, answer),
            is_right,
            "{expected}: {answer}"
        );
    }
}

#[test]
fn a_choice_is_its_letter_with_its_text_or_without() {
    for answer in [
        "B",
        "b",
        "(B)",
        "[b]",
        "B.",
        "B)",
        "B:",
        "**B**",
        "$\\boxed{B}$",
        "\\boxed{\\text{(B)}}",
        "Answer: B",
        "The answer is (B).",
        "option B",
        "Choice (B)",
        "B) Paris",
        "B. Paris, the capital",
        "(B) A town of the north",
        "B: it is not possible to tell",
        "B) x + 1",
        "<think> A or C? </think> B) I think, therefore I am",
    ] {
        assert!(right(Judge::Choice, "B", answer), "{answer}");
        assert!(right(Judge::Choice, "(b)", answer), "{answer}");
    }
    for answer in [
        "",
        "A",
        "A) B",
        "Bravo",
        "Paris",
        "B or C",
        "B, C",
        "B/C",
        "B. C",
        "B and C",
        "B) or C)",
        "(B) or (C)",
        "B) Paris or C) Rome",
        "B) Paris\nC) Rome",
        "B) A",
        "B: A, C",
        "B) is wrong",
        "B) Paris is wrong",
        "B) isn\u{2019}t it, C is",
        "B) Paris is not correct",
        "B) Paris - no, Rome",
        "B) Paris? No, C.",
        "B. Hmm. It must be Rome.",
        "B) Paris; actually C",
        "B) Paris, no Rome",
        "B -> C",
        "B?",
        "B) Paris, or rather Rome",
        "not B",
        "B is wrong",
        "C. B",
        "<think> B </think> C",
        "<think> B",
        "option C, not option B",
        "BB",
        "8",
    ] {
        assert!(!right(Judge::Choice, "B", answer), "{answer}");
    }
    // The article is no option, and alone it is.
    assert!(!right(Judge::Choice, "A", "a town"));
    assert!(right(Judge::Choice, "A", "a"));
}

fn people() -> Map<String, Value> {
    let columns = serde_json::json!({"terms": ["artists", "beekeepers", "chemists"]});
    columns.as_object().cloned().unwrap_or_default()
}

#[test]
fn conclusions_are_right_where_all_and_no_others_are_named() {
    let people = people();
    let right = |expected: &str, answer: &str| {
        let judged = Judge::Conclusions.judge(expected, Some(&people), answer);
        judged.expect("readable").expect("something is expected")
    };
    for (expected, answer) in [
        ("aac iac ica", "Aac Iac Ica"),
        ("Aac Iac Ica", "ica, aac, iac"),
        ("aac iac ica", "Answer: Ica and Aac, Iac."),
        (
            "aac iac ica",
            "All artists are chemists.\nSome artists are chemists.\nSome chemists are artists.",
        ),
        (
            "aac iac ica",
            "Answer:\n- All artists are chemists.\n- Some artists are chemists.\n- Some chemists are artists.",
        ),
        (
            "aac iac ica",
            "Answer: All artists are chemists.\nSome artists are chemists.\nSome chemists are artists.\nI hope this helps!",
        ),
        (
            "oac",
            "<think> no b </think> So it follows that some artists are not chemists.",
        ),
        ("oac", "**Answer:** Oac"),
        ("oac", "\\boxed{Oac}"),
        (
            "eac eca",
            "No artists are chemists, and no chemists are artists.",
        ),
        ("nvc", "nvc"),
        ("nvc", "NVC."),
        ("nvc", "Nothing follows."),
        ("nvc", "Answer: No valid conclusion."),
        ("nvc", "Nothing follows about artists and chemists."),
        (
            "nvc",
            "Answer: nvc\nAll artists are beekeepers. No beekeepers are chemists.",
        ),
    ] {
        assert!(right(expected, answer), "{expected}: {answer}");
    }
    for (expected, answer) in [
        ("aac iac ica", "Aac Iac"),
        ("aac iac ica", "Aac Iac Ica Aca"),
        ("aac iac ica", "Aac Iac Ica or nvc"),
        ("aac iac ica", "Aac Iac Ica nvc"),
        ("aac iac ica", "Aac Iac Ica, nothing follows"),
        ("aac iac ica", "nvc"),
        ("aac iac ica", ""),
        ("aac iac ica", "<think> Aac Iac Ica"),
        ("oac", "Oca"),
        ("oac", "not Oac"),
        ("oac", "Oac or Oca"),
        ("oac", "Some chemists are not artists."),
        ("oac", "All artists are not chemists."),
        ("oac", "Some artists are not beekeepers."),
        ("oac", "It is false that some artists are not chemists."),
        (
            "oac",
            "Answer:\nSome artists are not chemists.\nAll artists are chemists.",
        ),
        (
            "oac",
            "Answer: Some artists are not chemists.\n\nNo artists are chemists.",
        ),
        ("nvc", "Answer: nvc\nSome artists are chemists."),
        ("nvc", "something follows"),
        ("nvc", ""),
        ("nvc", "..."),
        ("iac", "Aac"),
    ] {
        assert!(!right(expected, answer), "{expected}: {answer}");
    }
}

#[test]
fn sentences_are_read_only_where_the_words_are_known() {
    let judge = |columns: Option<&Map<String, Value>>, answer| {
        Judge::Conclusions
            .judge("oac", columns, answer)
            .expect("readable")
    };
    let sentence = "Some artists are not chemists.";
    assert_eq!(judge(None, "Oac"), Some(true));
    assert_eq!(judge(None, sentence), Some(false));
    assert_eq!(judge(Some(&people()), sentence), Some(true));
    for terms in [
        serde_json::json!(["artists", "chemists"]),
        serde_json::json!(["artists", "artists", "chemists"]),
        serde_json::json!("artists"),
    ] {
        let columns = Map::from_iter([("terms".to_owned(), terms)]);
        let error = Judge::Conclusions
            .check("oac", Some(&columns))
            .expect_err("no terms");
        assert!(error.to_string().contains("`terms`"), "{error}");
    }
}

#[test]
fn every_set_of_conclusions_is_told_from_every_other() {
    let codes = ["Aac", "Aca", "Eac", "Eca", "Iac", "Ica", "Oac", "Oca"];
    let named = |set: u32| {
        let names = codes
            .iter()
            .enumerate()
            .filter(|(place, _)| set >> place & 1 == 1);
        let names: Vec<&str> = names.map(|(_, name)| *name).collect();
        if names.is_empty() {
            "nvc".to_owned()
        } else {
            names.join(" ")
        }
    };
    for expected in 0..256 {
        for given in 0..256 {
            let judged = right(Judge::Conclusions, &named(expected), &named(given));
            assert_eq!(judged, expected == given);
        }
    }
}

#[test]
fn whatever_a_model_writes_is_judged_and_takes_linear_time() {
    for (judge, expected) in [
        (Judge::Same, "7"),
        (Judge::Expression, "24 from 1 1 4 6"),
        (Judge::Direction, "north"),
        (Judge::Choice, "B"),
        (Judge::Conclusions, "nvc"),
    ] {
        let people = people();
        for piece in [
            "(",
            "C) ",
            "all ",
            "and ",
            "north",
            "\u{1F600}",
            "\\",
            "1+",
            ", ",
            "\n",
            ".",
        ] {
            let text = piece.repeat(200_000 / piece.len());
            let judged = judge.judge(expected, Some(&people), &text);
            assert_eq!(judged.expect("judged"), Some(false), "{judge:?} {piece}");
        }
    }
}

#[test]
fn the_reward_asks_the_judge_of_each_item() {
    use crate::testing::{item, score};
    let reward = crate::Registry::builtin()
        .build("correct", &toml::Table::new(), std::path::Path::new("."))
        .expect("defaults");
    let value = |judge, completion, expected| {
        let item = crate::Scored {
            judge,
            ..item(completion, expected)
        };
        score(reward.as_ref(), item).expect("judged")
    };
    let solved = value(Judge::Expression, "1 * 1 * 4 * 6", "1 1 4 6");
    assert_eq!(solved, crate::Score::new(1.0).with_part("answered", 1.0));
    assert_eq!(
        value(Judge::Same, "1 * 1 * 4 * 6", "1 1 4 6").value,
        Some(0.0)
    );
    let silent = value(Judge::Direction, "<think> north", "north");
    assert_eq!(silent, crate::Score::new(0.0).with_part("answered", 0.0));
    assert_eq!(value(Judge::Choice, "B", " ").value, None);
    let unreadable = crate::Scored {
        judge: Judge::Choice,
        ..item("B", "Paris")
    };
    let error = reward
        .score(&[unreadable])
        .expect_err("no letter")
        .to_string();
    assert!(
        error.contains("`test/1`") && error.contains("\"Paris\""),
        "{error}"
    );
}
