//! What the grammar reads, what it leaves alone, and its bounds. Whole pairs of
//! answers are judged in `tests/answer_pairs.rs`, properties in
//! `tests/answers.rs`.

use super::{MAX_BYTES, Value};
use crate::answers::normal::normal;

fn read(text: &str) -> Option<Value> {
    Value::read(&normal(text))
}

fn same(a: &str, b: &str) -> bool {
    let value = |text| read(text).unwrap_or_else(|| panic!("{text} has a value"));
    let (a, b) = (value(a), value(b));
    assert_eq!(a.same(&b, 0.0), b.same(&a, 0.0));
    a.same(&b, 0.0)
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::List(_, _, items) | Value::Set(items) | Value::Operation(_, items) => {
            items.iter().map(nodes).sum()
        }
        Value::Equation {
            variable, value, ..
        } => nodes(variable) + nodes(value),
        _ => 0,
    }
}

#[test]
fn spellings_of_one_value() {
    for spellings in [
        &[
            "3/4",
            r"\frac34",
            r"\dfrac{3}{4}",
            "0.75",
            "75%",
            "¾",
            "3 ÷ 4",
            "3⁄4",
        ][..],
        &[
            "3/2",
            "1 1/2",
            r"1\frac12",
            r"1 \tfrac{1}{2}",
            "1½",
            "1 ½",
            "150 \\%",
        ],
        &["-5/2", "- 2 1/2", r"-2\frac{1}{2}", "-2½", r"\frac{-5}{2}"],
        &[
            "1000", "1,000", "1{,}000", r"1\,000", r"1,\!000", "1e3", "10^3", "10³", "10^{3}",
        ],
        &[
            "0.05",
            r"5 \times 10^{-2}",
            "5*10^-2",
            "5·10⁻²",
            "5 x 10^(-2)",
            "5%",
        ],
        &[
            "2√3",
            r"2\sqrt{3}",
            r"2\sqrt3",
            "2 sqrt(3)",
            "2*sqrt 3",
            r"2 \cdot \sqrt { 3 }",
        ],
        &[
            "π/2",
            r"\frac{\pi}{2}",
            r"\frac\pi2",
            "pi / 2",
            r"{\pi}/{2}",
        ],
        &["x²", "x^2", "x^{2}", "x**2", "x ^ 2"],
        &["(0, 1]", r"\left( 0, 1 \right]", r"\bigl(0,\,1\bigr]"],
        &["{1, 2}", r"\{2, 1\}", r"\left\{ 1, 2, 2 \right\}"],
        &["∅", r"\emptyset", r"\varnothing", r"\{\}"],
        &["x ≤ 5", r"x \leq 5", r"x\le5", "x <= 5"],
        &[
            "45°",
            r"45^\circ",
            r"45^{\circ}",
            "45 degrees",
            r"45\degree",
            r"45\text{ degrees}",
        ],
        &["$5", r"\$5", "5 dollars", "5$", "5 USD", "$5.00"],
        &[
            "9 m²",
            "9 m^2",
            "9 square meters",
            "9 meters squared",
            r"9\text{ m}^2",
            "90000 cm²",
        ],
        &[
            "60 km/h",
            "60 km per hour",
            r"60\,\mathrm{km/h}",
            "1 km/min",
            "1000 m/minute",
        ],
        &["x = 5", "5 = x", "x = 5.0", "5"],
        &["x_1 = 2", "x_{1} = 2", "2"],
        &["(x, y) = (1, 2)", "(1, 2)"],
        &[
            "9.8 m/s^2",
            "9.8 meters per second squared",
            r"9.8~\text{m/s}^2",
        ],
        &["2 m^3", "2 cubic meters", "2 meters cubed", "2000000 cm^3"],
        &["0.5 hours", "1/2 hour", "30 min", r"\frac{1}{2}\text{ h}"],
        &[r"\log_2", r"\log_{2}", "log_2"],
    ] {
        for spelling in spellings {
            assert!(
                same(spellings[0], spelling),
                "{} and {spelling}",
                spellings[0]
            );
        }
    }
}

#[test]
fn what_differs_in_value_or_structure() {
    for (a, b) in [
        ("1 1/2", "11/2"),
        (r"2\frac{1}{2}", "1"),
        (r"2\cdot\frac{1}{2}", "2 1/2"),
        ("50%", "50"),
        ("1/3", "0.333333333333333333"),
        ("10^300", "10^301"),
        ("2^{10^{10}}", "2^{10^{11}}"),
        ("9**9", "387420489"),
        ("(1,234)", "1,234"),
        ("{1,200}", "1200"),
        ("1,234,5", "1234, 5"),
        ("(1, 2)", "[1, 2]"),
        ("(1, 2)", "1, 2"),
        ("5 m", "5"),
        ("5 mg", "5"),
        ("5 cm", "5 kg"),
        ("5 km", "5000"),
        ("5 m/s", "5 s/m"),
        ("50 cents", "$0.5"),
        ("x = 5", "y = 5"),
        ("x < 5", "5"),
        (r"x \in \{5\}", "5"),
        ("xy = 5", "5"),
        ("-2^2", "(-2)^2"),
        ("a-(b-c)", "a-b-c"),
        ("a/(b/c)", "a/b/c"),
        (r"\sin(x y)", r"\sin(x) y"),
        (r"\sqrt{2x}", r"\sqrt{2}x"),
        (r"\sqrt[3]{2}", r"\sqrt{2}"),
        ("x_1", "x^1"),
        ("x!", "x"),
        ("3!", "6"),
        (r"\pm 2", "2"),
        (r"\overline{ab}", "ab"),
        ("1010_2", "1010"),
        ("{1, 2}", "{1, 2, 3}"),
        ("(y, x) = (1, 2)", "(1, 2)"),
        ("x = 5", "5 m"),
        ("5 per cent", "5"),
        ("5 meters square", "5 meters"),
        ("5 meters per", "5 meters"),
        (r"-0y", "0y"),
    ] {
        assert!(!same(a, b), "{a} and {b}");
    }
}

#[test]
fn what_can_be_read_in_two_ways_or_none_has_no_value() {
    for text in [
        "",
        "1/2x",
        r"1/2\pi",
        "2^3^4",
        "9**9**9",
        r"\sqrt12",
        r"\frac123",
        "x^ab",
        "4 2",
        "x 2",
        "--1",
        "+-1",
        "1.2.3",
        "(1",
        "1)",
        "(1]",
        "()",
        "(1,)",
        ",",
        "1,,2",
        r"\frac{1}",
        r"\frac",
        r"\sqrt{",
        r"\text{a",
        "^2",
        "_",
        "x^",
        "/2",
        "2/",
        "=",
        "x =",
        "1 < 2 < 3 < 4",
        r"\{\{1\}\}",
        r"\{(\{1\}, 2)\}",
        "|x|",
        "~5",
        "x~y",
        r"0.\overline{3}",
        r"2.5 \overline{3}",
        r"0.33\ldots",
        "{5}{6}",
        r"\mathbf{5}\mathbf{6}",
        r"2\frac{5}{3}",
        "it's",
        "a\u{0301}",
        "7\u{00B2}^2",
        "\\",
        r"\\",
        r"1 \\ 2",
        "1e999999999999",
        "10^999",
        "\0",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}

#[test]
fn depth_length_and_number_of_elements_are_bounded() {
    let nested =
        |n: usize, open: &str, close: &str| format!("{}x{}", open.repeat(n), close.repeat(n));
    for (open, close) in [
        (r"\sqrt{", "}"),
        ("{", "}"),
        ("y(", ")"),
        (r"\text{", "}"),
        ("2^{", "}"),
        (r"\frac1{", "}"),
        (r"\sqrt[", "]2"),
    ] {
        assert_eq!(Value::read(&nested(40, open, close)), None, "{open}");
        assert_eq!(Value::read(&nested(200_000, open, close)), None, "{open}");
    }
    assert!(read(&nested(10, r"\sqrt{", "}")).is_some());
    let list = vec!["1"; 70].join(", ");
    assert_eq!(read(&list), None);
    for run in [
        "x+", "x/", "x*", "x", "√", r"\sqrt", "x_", "x!", "-", "^", "$", "~", r"\,",
    ] {
        for n in [10, 60, 100, 1_000_000] {
            let text = format!("{}x", run.repeat(n));
            assert!(read(&text).is_none_or(|value| nodes(&value) <= 2 * MAX_BYTES));
        }
    }
}
