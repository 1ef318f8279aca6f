//! Properties of extraction and of the reading of answers, on generated text.
//!
//! What a run of these finds is kept in `data/answers.proptest`, and tried first
//! by every later run. `PROPTEST_CASES=1000000 cargo test --release -p rewards
//! --test answers` searches further than the default of 256 cases each.

use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use rewards::{Extraction, Registry, Reward, Scored};

/// Everything the grammar knows, and what it does not.
const PIECES: [&str; 84] = [
    "0",
    "1",
    "2",
    "7",
    "10",
    "12",
    "100",
    "000",
    ".",
    ",",
    "-",
    "+",
    "*",
    "/",
    "^",
    "_",
    "!",
    "%",
    "=",
    "<",
    ">",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    "|",
    "$",
    " ",
    "  ",
    "x",
    "y",
    "e",
    "pi",
    "a",
    "m",
    "cm",
    "km",
    "h",
    "per",
    "degrees",
    "percent",
    "dollars",
    "true",
    "seven",
    "twenty",
    "sqrt",
    "\\frac",
    "\\sqrt",
    "\\pi",
    "\\cdot",
    "\\times",
    "\\left",
    "\\right",
    "\\text",
    "\\text{",
    "\\frac{1}{2}",
    "\\{",
    "\\}",
    "\\,",
    "\\!",
    "{,}",
    "\\circ",
    "^\\circ",
    "\\in",
    "\\cup",
    "\\%",
    "\\$",
    "\\",
    "\\\\",
    "**",
    "½",
    "²",
    "⁻",
    "√",
    "π",
    "×",
    "−",
    "∞",
    "٣",
    "é",
    "10^",
];

fn config() -> ProptestConfig {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/answers.proptest");
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        // Whoever asks for millions of cases gets them.
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    }
}

/// Text that looks like mathematics.
fn pieces(most: usize) -> impl Strategy<Value = String> {
    let piece = prop::sample::select(&PIECES[..]);
    prop::collection::vec(piece, 1..=most).prop_map(|pieces| pieces.concat())
}

/// Any text at all, and text with markers.
fn text() -> impl Strategy<Value = String> {
    let markers = [
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "\\boxed{",
        "\\fbox{",
        "}",
        "{",
        "Answer:",
        "\n####",
        "\n",
        " ",
        "7",
        "\\",
        "true",
        "\u{0667}",
        "\u{1F600}",
    ];
    let marker = prop::sample::select(markers.to_vec());
    prop_oneof![
        pieces(16),
        any::<String>(),
        prop::collection::vec(marker, 0..16).prop_map(|pieces| pieces.concat()),
    ]
}

static CORRECT: LazyLock<Box<dyn Reward>> = LazyLock::new(|| {
    Registry::builtin()
        .build("correct", &toml::Table::new(), Path::new("."))
        .expect("no parameters are needed")
});

/// What `completion` is worth; `None` where the expected answer is empty.
fn value(completion: &str, expected: &str) -> Option<f64> {
    let item = Scored {
        completion,
        expected: Some(expected),
        ..Scored::default()
    };
    let scores = CORRECT.score(&[item]).ok()?;
    scores.each[0].value
}

fn right(given: &str, expected: &str) -> bool {
    value(&format!("<answer>{given}</answer>"), expected) == Some(1.0)
}

/// Whether braces around `text` enclose all of it and nothing else.
fn fits_a_box(text: &str) -> bool {
    let mut depth = 0_usize;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if chars.next().is_none() => return false,
            '{' => depth += 1,
            '}' if depth == 0 => return false,
            '}' => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}

/// Ways to write `over` / `under` that say the same.
fn fraction(over: i64, under: i64, way: usize) -> String {
    let sign = if over < 0 { "-" } else { "" };
    let (size, whole) = (over.abs(), over.abs() / under);
    let rest = size % under;
    match way % 8 {
        0 => format!("{over}/{under}"),
        1 => format!(r"{sign}\frac{{{size}}}{{{under}}}"),
        2 => format!(r"\dfrac{{{over}}}{{{under}}}"),
        3 => format!("{}/{}", over * 3, under * 3),
        4 if rest > 0 => format!("{sign}{whole} {rest}/{under}"),
        5 if rest > 0 => format!(r"{sign}{whole}\tfrac{{{rest}}}{{{under}}}"),
        6 if 1000 % under == 0 => {
            let thousandths = size * (1000 / under);
            format!("{sign}{}.{:03}", thousandths / 1000, thousandths % 1000)
        }
        7 if 1000 % under == 0 => {
            let thousandths = size * (1000 / under);
            format!(r"{sign}{}.{}\%", thousandths / 10, thousandths % 10)
        }
        _ => format!("${over} / {under}$"),
    }
}

/// A formula, to be written in several ways and worked out by the test alone.
#[derive(Debug, Clone)]
enum Formula {
    Number(u32),
    Variable(char),
    Negative(Box<Formula>),
    Root(Box<Formula>),
    Binary(char, Box<Formula>, Box<Formula>),
}

fn formula() -> impl Strategy<Value = Formula> {
    let leaf = prop_oneof![
        (1..5_u32).prop_map(Formula::Number),
        prop::sample::select(vec!['x', 'y']).prop_map(Formula::Variable),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        let signs = prop::sample::select(vec!['+', '-', '*', '/', '^']);
        prop_oneof![
            (signs, pair).prop_map(|(sign, (a, b))| Formula::Binary(sign, a.into(), b.into())),
            inner.clone().prop_map(|a| Formula::Root(a.into())),
            inner.prop_map(|a| Formula::Negative(a.into())),
        ]
    })
}

impl Formula {
    fn at(&self, x: f64, y: f64) -> f64 {
        match self {
            Self::Number(number) => f64::from(*number),
            Self::Variable('x') => x,
            Self::Variable(_) => y,
            Self::Negative(a) => -a.at(x, y),
            Self::Root(a) => a.at(x, y).sqrt(),
            Self::Binary(sign, a, b) => {
                let (a, b) = (a.at(x, y), b.at(x, y));
                match sign {
                    '+' => a + b,
                    '-' => a - b,
                    '*' => a * b,
                    '/' => a / b,
                    _ => a.powf(b),
                }
            }
        }
    }

    /// How tightly it binds when written.
    fn strength(&self, latex: bool) -> u32 {
        match self {
            Self::Number(_) | Self::Variable(_) | Self::Root(_) => 4,
            Self::Binary('/', ..) if latex => 4,
            Self::Binary('^', ..) => 3,
            Self::Binary('*' | '/', ..) => 2,
            Self::Negative(_) | Self::Binary(..) => 1,
        }
    }

    fn bracketed(&self, least: u32, latex: bool) -> String {
        let text = self.written(latex);
        if self.strength(latex) < least {
            format!("({text})")
        } else {
            text
        }
    }

    fn written(&self, latex: bool) -> String {
        let of = |formula: &Self, least| formula.bracketed(least, latex);
        match self {
            Self::Number(number) => number.to_string(),
            Self::Variable(letter) => letter.to_string(),
            Self::Negative(a) => format!("-{}", of(a, 2)),
            Self::Root(a) if latex => format!(r"\sqrt{{{}}}", a.written(latex)),
            Self::Root(a) => format!("√({})", a.written(latex)),
            Self::Binary('/', a, b) if latex => {
                format!(r"\frac{{{}}}{{{}}}", a.written(latex), b.written(latex))
            }
            Self::Binary('^', a, b) if latex => format!("{}^{{{}}}", of(a, 4), b.written(latex)),
            Self::Binary('^', a, b) => format!("{}^({})", of(a, 4), b.written(latex)),
            Self::Binary('*', a, b) if latex => format!(r"{} \cdot {}", of(a, 2), of(b, 3)),
            Self::Binary('*', a, b) => format!("{}*{}", of(a, 2), of(b, 3)),
            Self::Binary('/', a, b) => format!("{}/{}", of(a, 2), of(b, 3)),
            Self::Binary(sign, a, b) => format!("{} {sign} {}", of(a, 1), of(b, 2)),
        }
    }
}

fn near(a: f64, b: f64) -> bool {
    let same = a.to_bits() == b.to_bits();
    same || a.is_nan() || b.is_nan() || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_completion_is_worth_0_or_1_by_any_expected_answer(
        completion in text(), expected in text(),
    ) {
        if let Some(value) = value(&completion, &expected) {
            prop_assert!([0.0, 1.0].contains(&value));
        } else {
            prop_assert!(!expected.contains(|c: char| c.is_ascii_alphanumeric())
                || expected.contains("####") || expected.contains('\\'));
        }
        let read = Extraction::new(&expected, &completion);
        prop_assert!(read.after.contains(read.answer()));
    }

    #[test]
    fn an_expected_answer_in_a_box_or_in_tags_is_right(expected in pieces(12)) {
        prop_assume!(value("", &expected).is_some());
        prop_assert!(right(&expected, &expected));
        prop_assume!(fits_a_box(&expected));
        let boxed = format!(r"<think> 1 </think> so \boxed{{{expected}}}.");
        prop_assert_eq!(value(&boxed, &expected), Some(1.0));
    }

    #[test]
    fn the_given_and_the_expected_answer_may_change_places(a in pieces(4), b in pieces(4)) {
        prop_assume!(value("", &a).is_some() && value("", &b).is_some());
        prop_assert_eq!(right(&a, &b), right(&b, &a));
    }

    #[test]
    fn white_space_makes_no_difference(a in pieces(6), b in pieces(6)) {
        let spaced = format!("\n \t{}\u{A0} ", a.replace(' ', " \n\t "));
        prop_assert_eq!(right(&a, &b), right(&spaced, &b));
    }

    #[test]
    fn the_script_of_digits_makes_no_difference(a in pieces(6), b in pieces(6)) {
        let script = |c: char| match c.to_digit(10) {
            Some(digit) => char::from_u32(0x966 + digit).unwrap_or(c),
            None => c,
        };
        let written: String = a.chars().map(script).collect();
        prop_assert_eq!(right(&a, &b), right(&written, &b));
        prop_assume!(value("", &a).is_some());
        prop_assert!(right(&written, &a));
    }

    #[test]
    fn fractions_are_equal_if_their_values_are(
        a in -3000..3000_i64, b in 1..60_i64, c in -3000..3000_i64, d in 1..60_i64,
        (ours, theirs) in (0..8_usize, 0..8_usize),
    ) {
        let (given, expected) = (fraction(a, b, ours), fraction(c, d, theirs));
        prop_assert_eq!(right(&given, &expected), a * d == c * b, "{} {}", given, expected);
        let again = fraction(a, b, theirs);
        prop_assert!(right(&given, &again), "{} {}", given, again);
    }

    #[test]
    fn formulas_that_are_the_same_have_the_same_value(
        a in formula(), b in formula(), latex in any::<[bool; 2]>(),
    ) {
        let (given, expected) = (a.written(latex[0]), b.written(latex[1]));
        if right(&given, &expected) {
            for (x, y) in [(1.37, 2.11), (0.61, 0.83), (2.7, 1.9)] {
                prop_assert!(near(a.at(x, y), b.at(x, y)), "{} {}", given, expected);
            }
        }
    }

    #[test]
    fn another_grouping_is_right_only_with_the_same_value(
        (a, b, c) in (formula(), formula(), formula()),
        signs in prop::collection::vec(prop::sample::select(vec!['+', '-', '*', '/', '^']), 2),
        latex in any::<[bool; 2]>(),
    ) {
        let binary = |sign, a: &Formula, b: &Formula| {
            Formula::Binary(sign, a.clone().into(), b.clone().into())
        };
        let left = binary(signs[1], &binary(signs[0], &a, &b), &c);
        let grouped = binary(signs[0], &a, &binary(signs[1], &b, &c));
        let (given, expected) = (left.written(latex[0]), grouped.written(latex[1]));
        if right(&given, &expected) {
            for (x, y) in [(1.37, 2.11), (0.61, 0.83), (2.7, 1.9)] {
                prop_assert!(near(left.at(x, y), grouped.at(x, y)), "{} {}", given, expected);
            }
        }
    }

    #[test]
    fn a_formula_is_the_same_in_latex_and_in_plain_spelling(a in formula()) {
        let (latex, plain) = (a.written(true), a.written(false));
        prop_assert!(right(&latex, &plain), "{} {}", latex, plain);
    }

    #[test]
    fn a_list_is_the_same_if_its_elements_are(
        items in prop::collection::vec((0..4_i64, 1..4_i64), 2..5), change in any::<bool>(),
    ) {
        let list = |way: usize, change: bool| {
            let mut written: Vec<String> = (items.iter().enumerate())
                .map(|(i, (over, under))| fraction(*over, *under, if way == 0 { 0 } else { 1 + i % 5 }))
                .collect();
            if change {
                written[0] = fraction(items[0].0 + 1, items[0].1, way);
            }
            format!("({})", written.join(", "))
        };
        let (given, expected) = (list(0, change), list(1, false));
        prop_assert_eq!(right(&given, &expected), !change, "{} {}", given, expected);
        let sets = [given, expected].map(|list| list.replace('(', r"\{").replace(')', r"\}"));
        prop_assert!(change || right(&sets[0], &sets[1]));
    }
}
