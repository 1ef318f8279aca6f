//! What is read, refused, and known to have been asked before.

use super::*;

fn parsed(text: &str) -> Result<Question, String> {
    toml::from_str(text).map_err(|error| error.to_string())
}

fn question(name: &str, contrast: &str) -> Question {
    parsed(&format!(
        "name = {name:?}\ncontrast = {contrast:?}\ndirection = \"below\"\n"
    ))
    .unwrap()
}

const ARMS: [&str; 3] = ["base", "teacher", "sft"];

#[test]
fn what_is_left_out_depends_on_the_measure() {
    let short = question("collapse", "sft - teacher");
    assert_eq!(
        (short.measure, short.smallest_effect, short.family.as_str()),
        (Measure::Elasticity, 0.1, "main")
    );
    let of = |measure: &str| {
        let text = format!(
            "name = 'q'\ncontrast = 'sft - base'\ndirection = 'equivalent'\nmeasure = '{measure}'"
        );
        parsed(&text).unwrap().smallest_effect
    };
    for (measure, smallest) in [
        ("alignment_unlimited", 0.1),
        ("alignment", 0.1),
        ("accuracy", 0.05),
        ("balanced_accuracy", 0.05),
        ("tokens", 0.1),
    ] {
        assert_eq!(of(measure).to_bits(), f64::to_bits(smallest), "{measure}");
    }
    // What was left out is written down, so that a later default changes nothing.
    let json = serde_json::to_string(&short).unwrap();
    assert!(json.contains(r#""smallest_effect":0.1"#), "{json}");
    assert_eq!(serde_json::from_str::<Question>(&json).unwrap(), short);
}

#[test]
fn unknown_keys_and_words_are_refused_by_name() {
    let base = "name = 'q'\ncontrast = 'sft - base'\n";
    for (text, word) in [
        ("direction = 'lower'", "`below`, `above`, `equivalent`"),
        ("direction = 'below'\nmesure = 'tokens'", "mesure"),
        (
            "direction = 'below'\nmeasure = 'speed'",
            "balanced_accuracy",
        ),
        ("", "direction"),
    ] {
        let error = parsed(&format!("{base}{text}")).unwrap_err();
        assert!(error.contains(word), "{word}: {error}");
    }
}

#[test]
fn a_question_that_cannot_be_asked_says_which_and_why() {
    let effect = |smallest_effect: f64| Question {
        smallest_effect,
        ..question("q", "sft - base")
    };
    let family = Question {
        family: " ".to_owned(),
        ..question("q", "sft - base")
    };
    let escaped = Question {
        name: "a\u{1b}[2J".to_owned(),
        ..question("q", "sft - base")
    };
    let sound = || question("sound", "sft - base");
    for (questions, words) in [
        (
            vec![question("q", "sft - tacher")],
            "\"q\", contrast = \"sft - tacher\": there is no arm \"tacher\" (there are: base, teacher, sft); did you mean teacher?",
        ),
        (
            vec![question("q", "xyz - base")],
            "there is no arm \"xyz\" (there are: base, teacher, sft)",
        ),
        (
            vec![question("q", "sft-base")],
            "write one arm minus another",
        ),
        (vec![question("q", "sft - sft")], "sft minus itself"),
        (vec![sound(), sound()], "question \"sound\" is asked twice"),
        (
            vec![sound(), question("", "sft - base")],
            "question 2, name",
        ),
        (vec![escaped], "question 1, name"),
        (vec![effect(0.0)], "\"q\", smallest_effect = 0"),
        (vec![effect(-0.1)], "smallest_effect = -0.1"),
        (vec![effect(f64::NAN)], "smallest_effect = NaN"),
        (vec![effect(f64::INFINITY)], "smallest_effect = inf"),
        (vec![family], "\"q\", family = \" \""),
    ] {
        let error = check(&questions, &ARMS).unwrap_err();
        assert!(error.contains(words), "{words}: {error}");
    }
    check(&[sound(), question("q", "sft - teacher")], &ARMS).unwrap();
}

#[test]
fn names_that_hold_a_minus_are_told_apart_by_the_arms() {
    let arms = ["a - b", "c", "b - c", "a"];
    let of = |contrast: &str| {
        let question = question("q", contrast);
        let (arm, against) = question.sides(&arms).unwrap();
        (arm.to_owned(), against.to_owned())
    };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(of("c - a - b"), pair("c", "a - b"));
    assert_eq!(of("a - b - a"), pair("a - b", "a"));
    // Both splits are arms; the first is taken.
    assert_eq!(of("a - b - c"), pair("a", "b - c"));
    assert_eq!(question("q", "c - d").sides(&arms), None);
}

#[test]
fn a_changed_question_stands_beside_what_was_asked_first() {
    let first = [question("a", "sft - base"), question("b", "sft - teacher")];
    let changed = Question {
        direction: Expected::Above,
        ..first[0].clone()
    };
    let found = asked(&first, &[changed.clone(), question("c", "sft - base")]);
    let told: Vec<(&str, Expected, When)> = found
        .iter()
        .map(|a| (a.question.name.as_str(), a.question.direction, a.when))
        .collect();
    assert_eq!(
        told,
        [
            ("a", Expected::Below, When::Before),
            ("b", Expected::Below, When::Before),
            ("a", Expected::Above, When::After),
            ("c", Expected::Below, When::After),
        ]
    );
    assert!(asked(&first, &first).iter().all(|a| a.when == When::Before));
    // Asked before of one seed alone is not asked before.
    let (one, other) = (asked(&first, &[]), asked(&first[..1], &first));
    let both = of_both(&one, &other);
    let whens: Vec<When> = both.iter().map(|asked| asked.when).collect();
    assert_eq!((both.len(), whens), (2, vec![When::Before, When::After]));
    assert_eq!(of_both(&other[..1], &one), both);
}

#[test]
fn a_run_s_name_goes_before_both_arms() {
    let mut asked = Asked {
        question: question("q", "sft - base"),
        when: When::Before,
    };
    asked.prefix("my - run", &ARMS);
    assert_eq!(asked.question.contrast, "my - run/sft - my - run/base");
    let arms = ["my - run/base", "my - run/sft"];
    assert_eq!(
        asked.question.sides(&arms),
        Some(("my - run/sft", "my - run/base"))
    );
}
