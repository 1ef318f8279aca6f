//! Counts, right and wrong, and prompts that can and cannot be read.

use proptest::prelude::*;

use super::*;
use crate::testing::{item, score};

fn judged(prompt: &str, completion: &str) -> Score {
    let item = Scored {
        prompt,
        ..item(completion, "")
    };
    score(&Process, item).expect("any text can be judged")
}

fn value(prompt: &str, work: &str) -> Option<f64> {
    judged(prompt, &format!("<think> {work} </think> true")).value
}

fn part(score: &Score, name: &str) -> f64 {
    let part = score.parts.iter().find(|(known, _)| known == name);
    part.expect("all parts are there").1
}

#[test]
fn work_at_hand_computed_values() {
    for (prompt, work, expected) in [
        ("D = A+3", "A + 3 ? A 1 B 2 C 3 D ; D , D same", 1.0),
        ("D = A+3", "A 1 B hmm . A 1 B 2 C 3 D ; D , D same", 1.0),
        ("A+3=E", "A + 3 ? A 1 B 2 C 3 D ; D , E differ", 1.0),
        ("A+3= what", "A + 3 ? A 1 B 2 C 3 D ; D", 1.0),
        // Slips: a value repeated, one passed over, a step too few and too many.
        ("D = A+3", "A 1 B 2 C 3 C ; C , D differ", 0.5),
        ("D = A+3", "A 1 C 2 D 3 E ; E , D differ", 0.5),
        ("D = A+3", "A 1 B 2 C ; C , D differ", 0.5),
        ("D = A+3", "A 1 B 2 C 3 D 4 E ; E , D differ", 0.6),
        ("D = A+3", "A 1 B 3 C 4 D ; D , D same", 0.5),
        // Steps are right; the result, the comparison or its end is not.
        ("D = A+3", "A 1 B 2 C 3 D ; E , D differ", 0.75),
        ("D = A+3", "A 1 B 2 C 3 D ; D , D differ", 0.75),
        ("D = A+3", "A 1 B 2 C 3 D ; D , E differ", 0.75),
        ("D = A+3", "A 1 B 2 C 3 D ; D", 0.75),
        ("D = A+3", "A 1 B 2 C 3 D", 0.75),
        ("D = A+3", "A 1 B 2 C 3", 0.5),
        // Not the problem's count, or none.
        ("D = A+3", "B 1 C 2 D ; D , D same", 0.0),
        ("D = A+3", "D 1 E 2 F 3 G ; G", 0.0),
        ("D = A+3", "A + 3 ? A ; A , D differ", 0.0),
        ("D = A+3", "", 0.0),
        ("D = A+3", "three letters on from A comes D", 0.0),
        // Of several counts, the last with a result.
        (
            "A+2=C",
            "A 1 B 2 C ; C , C same . again . A + 2 ? A 1 B",
            1.0,
        ),
        (
            "A+2=C",
            "A 1 B 2 C ; C , C same . again . A + 2 ? A 1 B ; B",
            1.0 / 3.0,
        ),
        // Numbers in either order, digits and words.
        ("4 + 2 = 6", "4 + 2 ? 4 1 5 2 6 ; 6 , 6 same", 1.0),
        ("2 + 4 = 6", "4 + 2 ? 4 1 5 2 6 ; 6 , 6 same", 1.0),
        ("2 + 4 = 6", "2 + 4 ? 2 1 3 2 4 3 5 4 6 ; 6 , 6 same", 1.0),
        ("2 + 4 = 6", "2 1 3 2 4 ; 4 , 6 differ", 0.4),
        ("nine + twelve = twenty-one", "twelve 1 thirteen", 0.1),
        (
            "one + twenty is twenty-two",
            "twenty one twenty-one ; twenty-one , twenty-two differ",
            1.0,
        ),
        ("3 + 0 = 3", "3 + 0 ? 3 ; 3 , 3 same", 1.0),
    ] {
        let got = value(prompt, work).expect(prompt);
        assert!((got - expected).abs() < 1e-12, "{prompt}: {work}: {got}");
    }
}

#[test]
fn parts_say_what_the_value_is_made_of() {
    for (work, start, steps, complete) in [
        ("A 1 B 2 C 3 D ; D , D same", 1.0, 1.0, 1.0),
        ("A 1 B 2 C 3 D 4 E ; E", 1.0, 0.75, 0.0),
        ("A + 3 ? A", 1.0, 0.0, 0.0),
        ("B 1 C", 0.0, 0.0, 0.0),
        ("", 0.0, 0.0, 0.0),
    ] {
        let score = judged("D = A+3", work);
        for (name, expected) in [("start", start), ("steps", steps), ("complete", complete)] {
            let got = part(&score, name);
            assert!((got - expected).abs() < 1e-12, "{work}: {name} is {got}");
        }
    }
}

#[test]
fn problems_are_read_out_of_what_surrounds_them() {
    use Notation::{Letters, Numbers};
    for (prompt, notation, left, right, presented) in [
        ("A+3=D", Letters, 0, 3, Some(3)),
        ("D = A+3", Letters, 0, 3, Some(3)),
        ("A+3 is D", Letters, 0, 3, Some(3)),
        ("A+3= what", Letters, 0, 3, None),
        ("4 + 9 = 13", Numbers, 4, 9, Some(13)),
        ("13 = 4 + 9", Numbers, 4, 9, Some(13)),
        ("4 + 9 is 13", Numbers, 4, 9, Some(13)),
        ("4 + 9 = what", Numbers, 4, 9, None),
        ("thirteen = four + nine", Numbers, 4, 9, Some(13)),
        (
            "Is it true that A+3=D? Answer true or false.",
            Letters,
            0,
            3,
            Some(3),
        ),
        (
            "<|user|>13 = 4 + 9<|end|>\n<|assistant|><think>",
            Numbers,
            4,
            9,
            Some(13),
        ),
        (
            "Example: 1 + 1 = 2.\n\n- 4 + 9 = 12.",
            Numbers,
            4,
            9,
            Some(12),
        ),
        ("B+1 is it C?", Letters, 1, 1, None),
        ("Y+1=Z", Letters, 24, 1, Some(25)),
    ] {
        let expected = Problem {
            notation,
            left,
            right,
            presented,
        };
        assert_eq!(Problem::read(&tokens(prompt)), Some(expected), "{prompt}");
    }
}

#[test]
fn it_does_not_apply_where_no_problem_is_read() {
    for prompt in [
        "",
        "+",
        "A+",
        "+3",
        "What is the capital of France?",
        "1 + 2 + 3 = 6",
        "2 * 4 + 9 = 17",
        "4 + 9 / 3",
        "1.5 + 2 = 3.5",
        "1 + 2.5",
        "4 - 3",
        "A+B=C",
        "3+A=D",
        "Y+2=A",
        "A+4294967295=B",
        "A+99999999999999999999=B",
        "\u{0664} + \u{0669}",
        "\u{00C4}+3",
    ] {
        assert_eq!(judged(prompt, "A 1 B"), Score::does_not_apply(), "{prompt}");
    }
}

#[test]
fn the_work_is_what_stands_in_the_tags_or_everything_without() {
    let work = "A 1 B 2 C ; C , C same";
    for completion in [
        format!("<think> {work} </think> true"),
        format!("<think> {work}"),
        format!("{work} </think> true"),
        format!("{work} . Answer: true"),
    ] {
        assert_eq!(
            judged("A+2=C", &completion).value,
            Some(1.0),
            "{completion}"
        );
    }
    let outside = format!("<think> </think> {work}");
    assert_eq!(judged("A+2=C", &outside).value, Some(0.0));
    // A tokenizer may leave spaces out.
    assert_eq!(value("A+2=C", "A 1 B 2 C; C, C same."), Some(1.0));
}

#[test]
fn a_megabyte_is_judged_in_linear_time() {
    let steps = "A 1 ".repeat(250_000);
    let long = value("A+2=C", &steps).expect("applies");
    assert!((0.0..1e-5).contains(&long), "{long}");
    for noise in ["+", "A ", "1,", "\u{1F600}", "a-"] {
        let text = noise.repeat(200_000);
        assert_eq!(value("A+2=C", &text), Some(0.0), "{noise}");
        assert_eq!(judged(&text, "").value, None, "{noise}");
    }
    let huge = value("4000000000 + 1 = 3", "1 1 2").expect("applies");
    assert!(huge > 0.0 && huge < 1e-9, "{huge}");
    assert_eq!(
        value("1 + 4294967295 = 3", "4294967295 1 4294967296"),
        Some(0.0)
    );
}

/// The work on a letter plus a number, with what the count says at each step.
fn written(start: u32, values: &[u32], presented: u32) -> String {
    let letter = |value: u32| char::from_u32(u32::from('A') + value).expect("a letter");
    let steps: Vec<String> = (1..)
        .zip(values)
        .map(|(step, value): (u32, _)| format!(" {step} {}", letter(*value)))
        .collect();
    let text = format!("{}{}", letter(start), steps.concat());
    let last = *values.last().unwrap_or(&start);
    let verdict = if last == presented { "same" } else { "differ" };
    let (last, presented) = (letter(last), letter(presented));
    format!("{text} ; {last} , {presented} {verdict}")
}

proptest! {
    #[test]
    fn right_work_is_worth_one_and_a_slip_less(
        start in 0_u32..15,
        steps in 1_u32..9,
        presented in 0_u32..25,
        slip in 0_usize..8,
        by in 1_u32..3,
    ) {
        let letter = |value: u32| char::from_u32(u32::from('A') + value).expect("a letter");
        let prompt = format!("{}+{steps}={}", letter(start), letter(presented));
        let mut values: Vec<u32> = (1..=steps).map(|step| start + step).collect();
        let right = written(start, &values, presented);
        prop_assert_eq!(value(&prompt, &right), Some(1.0));
        // Padding and restarts change nothing.
        let padded = format!("hmm . {} ? {} wait . {right}", letter(start), letter(start));
        prop_assert_eq!(value(&prompt, &padded), Some(1.0));
        // From the slip on, everything is further by the same.
        let slip = slip % values.len();
        for value in &mut values[slip..] {
            *value += by;
        }
        let wrong = value(&prompt, &written(start, &values, presented)).expect("applies");
        let expected = f64::from(steps - 1) / f64::from(steps + 1);
        prop_assert!((wrong - expected).abs() < 1e-12);
    }

    #[test]
    fn any_texts_are_in_range(prompt in ".*", completion in ".*") {
        if let Some(value) = judged(&prompt, &completion).value {
            prop_assert!((0.0..=1.0).contains(&value));
        }
    }

    #[test]
    fn any_text_of_the_tasks_own_words_is_in_range(
        words in proptest::collection::vec(
            prop::sample::select(vec![
                "A", "B", "C", "1", "2", "3", ";", ",", "same", "differ", "?", "+", "one", "two",
                "<think>", "</think>", "=", "is",
            ]),
            0..30,
        ),
        prompt in prop::sample::select(vec!["A+2=C", "1 + 2 = 3", "one + two = two", "B+1= what"]),
    ) {
        let score = judged(prompt, &words.join(" "));
        let value = score.value.expect("applies");
        prop_assert!((0.0..=1.0).contains(&value));
        prop_assert_eq!(value >= 1.0, part(&score, "complete") > 0.5);
    }
}
