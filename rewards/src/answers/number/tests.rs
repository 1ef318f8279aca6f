//! One number in its spellings, exact distances, and what is no number.

use super::*;

fn apart(a: &str, b: &str) -> f64 {
    let read = |text| Number::read(text).unwrap_or_else(|| panic!("{text} is a number"));
    read(a).distance(read(b))
}

#[test]
fn one_number_has_many_spellings() {
    for (a, b) in [
        ("7", "007"),
        ("7", "+7.0"),
        ("0", "-0"),
        ("-3", "- 3"),
        ("0.5", ".5"),
        ("1,234,567", "1234567"),
        ("1e3", "1000"),
        ("1.5e-3", "0.0015"),
        ("5e+2", "five hundred"),
        ("0", "zero"),
        ("13", "thirteen"),
        ("69", "sixty-nine"),
        ("69", "sixty nine"),
        ("-40", "minus forty"),
        ("105", "one hundred and five"),
        ("2000", "two thousand"),
        ("3017", "three thousand and seventeen"),
        (
            "999999",
            "nine hundred ninety-nine thousand nine hundred and ninety-nine",
        ),
    ] {
        assert_eq!(apart(a, b).to_bits(), 0, "{a} and {b}");
    }
}

#[test]
fn distances_are_exact_in_decimal() {
    for (a, b, distance) in [
        ("0.3", "0.2", 0.1_f64),
        ("3.15", "3.14", 0.01),
        ("9007199254740993", "9007199254740992", 1.0),
        (
            "123456789012345678901234567890.5",
            "123456789012345678901234567890.4",
            0.1,
        ),
        ("0", "1e200", 1e200),
        ("5e-200", "0", 5e-200),
        ("-2", "2", 4.0),
    ] {
        assert_eq!(apart(a, b).to_bits(), distance.to_bits(), "{a} and {b}");
        assert_eq!(apart(b, a).to_bits(), distance.to_bits(), "{b} and {a}");
    }
    let far = apart("1e200", "1e-200");
    assert!((far / 1e200 - 1.0).abs() < 1e-12);
}

#[test]
fn fractions_are_exact() {
    let whole = |value: i128| Number::decimal(value, 0);
    let third = whole(1).over(whole(3)).expect("3 is not 0");
    assert_eq!(whole(-2).over(whole(-6)), Some(third));
    assert_eq!(third.over(whole(0)), None);
    assert_eq!(third.distance(third).to_bits(), 0);
    let digits = Number::read("0.33333333333333333333333333333333333").expect("a number");
    assert!(digits.distance(third) > 0.0);
    assert_eq!(
        whole(1).and_fraction(whole(1), whole(3)),
        whole(4).over(whole(3))
    );
    assert_eq!(whole(1).and_fraction(whole(3), whole(3)), None);
    assert_eq!(whole(1).and_fraction(whole(1), whole(0)), None);
    // 1/3 + 1/10: the distance ends in decimal, though neither number does.
    let later = whole(13).over(whole(30)).expect("30 is not 0");
    assert_eq!(later.distance(third).to_bits(), 0.1_f64.to_bits());
}

#[test]
fn what_does_not_fit_is_none_and_never_equal() {
    let long = Number::read(&"9".repeat(36)).expect("a number");
    assert_eq!(long.times(long), None);
    assert_eq!(long.scaled(i32::MAX), None);
    let third = Number::decimal(1, 0).over(long).expect("not 0");
    let other = Number::decimal(2, 0).over(long).expect("not 0");
    assert!(third.distance(other) > 0.0);
    let tiny = [Number::decimal(1, -400), Number::decimal(2, -400)];
    assert!(tiny[0].distance(tiny[1]) > 0.0);
}

#[test]
fn whatever_else_is_no_number() {
    let long = "1".repeat(37);
    let huge = "1".repeat(1_000_000);
    for text in [
        "",
        "-",
        "+",
        ".",
        "-.",
        "e5",
        "1e",
        "1e+",
        "1e201",
        "1e-99999999999",
        "1e1e1",
        "+-1",
        "--1",
        "1.2.3",
        "1,2",
        "1,2345",
        ",123",
        "0,123",
        "1234,567",
        "1,234,",
        "0x10",
        "1_000",
        "1 2",
        "9**9**9",
        "1/2",
        "5!",
        "7%",
        "nan",
        "inf",
        "infinity",
        "true",
        "minus",
        "minus -five",
        "hundred",
        "one two",
        "twenty zero",
        "zero one",
        "ten five",
        "twenty eleven",
        "one thousand and",
        "one hundred thousand thousand",
        "twenty--one",
        "\u{00B2}",
        "7\u{0301}",
        &long,
        &huge,
    ] {
        assert_eq!(Number::read(text), None, "{text}");
    }
}
