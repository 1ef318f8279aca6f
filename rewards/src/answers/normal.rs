//! The form in which answers are compared.
//!
//! [`normal`] takes off what is around an answer and says nothing, and makes
//! one spelling out of several: white space, signs of full width, the decimal
//! digits of any script, hyphens and minus signs, case; signs without width go.
//! Digits are those of Unicode's category Nd; superscripts, Roman numerals and
//! fractions in one character are not digits and stay.
//!
//! At most eight enclosing pairs are taken off, so that the time is linear in
//! the length. A bracket is taken off with the one that closes it:
//! `(x+1)(x-1)` keeps its own.
//!
//! Deliberately not done: canonical equivalence (an accent composed and one
//! combined differ), synonyms (`yes` is not `true`). What a spelling of
//! mathematics is worth is for [`crate::answers::value`].

use std::borrow::Cow;

use super::around::{is_room, is_unseen, narrow};

/// What may enclose an answer, with what closes it.
const PAIRS: [(&str, &str); 22] = [
    ("**", "**"),
    ("*", "*"),
    ("__", "__"),
    ("_", "_"),
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("\u{201C}", "\u{201D}"),
    ("\u{201E}", "\u{201C}"),
    ("\u{201E}", "\u{201D}"),
    ("\u{2018}", "\u{2019}"),
    ("\u{201A}", "\u{2018}"),
    ("\u{AB}", "\u{BB}"),
    ("\u{300C}", "\u{300D}"),
    ("<b>", "</b>"),
    ("<i>", "</i>"),
    ("<u>", "</u>"),
    ("<em>", "</em>"),
    ("<strong>", "</strong>"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
];

/// Commands whose one argument is what they show.
const SHOWN: [&str; 13] = [
    "\\text{",
    "\\texttt{",
    "\\emph{",
    "\\underline{",
    "\\mathsf{",
    "\\textbf{",
    "\\textit{",
    "\\textrm{",
    "\\mathrm{",
    "\\mathbf{",
    "\\mbox{",
    "\\boxed{",
    "\\fbox{",
];

/// Letters of a word that cannot be a product of variables.
const MIN_WORD: usize = 3;
/// More enclosing pairs than this are part of the answer.
const MAX_PAIRS: usize = 8;

/// The code point of the zero of every run of decimal digits outside ASCII
/// (category Nd of Unicode 14), ascending; the nine others follow each zero.
const ZEROS: [u32; 65] = [
    0x0660, 0x06F0, 0x07C0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0B66, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66,
    0x0DE6, 0x0E50, 0x0ED0, 0x0F20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90,
    0x1B50, 0x1BB0, 0x1C40, 0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    0x104A0, 0x10D30, 0x11066, 0x110F0, 0x11136, 0x111D0, 0x112F0, 0x11450, 0x114D0, 0x11650,
    0x116C0, 0x11730, 0x118E0, 0x11950, 0x11C50, 0x11D50, 0x11DA0, 0x16A60, 0x16AC0, 0x16B50,
    0x1D7CE, 0x1D7D8, 0x1D7E2, 0x1D7EC, 0x1D7F6, 0x1E140, 0x1E2F0, 0x1E950, 0x1FBF0,
];

/// The form of `text` that is compared; in linear time.
pub(crate) fn normal(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() && text.contains(is_odd) {
        let narrowed: String = (text.chars())
            .filter(|c| !is_unseen(*c))
            .map(|c| if is_wide(c) { narrow(c) } else { c })
            .collect();
        return Cow::Owned(normal_of_narrow(&narrowed).into_owned());
    }
    normal_of_narrow(text)
}

/// Whether `c` has full width or none.
fn is_odd(c: char) -> bool {
    is_wide(c) || is_unseen(c)
}

fn is_wide(c: char) -> bool {
    matches!(c, '\u{FF01}'..='\u{FF5E}')
}

fn normal_of_narrow(text: &str) -> Cow<'_, str> {
    let text = bare(text);
    if is_normal(text) {
        return Cow::Borrowed(text);
    }
    let mut normal = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !normal.is_empty() {
            normal.push(' ');
        }
        for c in word.chars() {
            match c {
                _ if c.is_ascii() => normal.push(c.to_ascii_lowercase()),
                // The minus sign, and the hyphens and dashes written for it.
                '\u{2212}' | '\u{2010}'..='\u{2013}' | '\u{FE63}' => normal.push('-'),
                _ => match digit(c) {
                    Some(digit) => normal.push(digit),
                    None => normal.extend(c.to_lowercase()),
                },
            }
        }
    }
    Cow::Owned(normal)
}

/// Whether a bare text is its own normal form, as most answers are.
fn is_normal(text: &str) -> bool {
    let mut before = b'.';
    text.bytes().all(|byte| {
        let spaces = byte == b' ' && before == b' ';
        before = byte;
        matches!(byte, b' '..=b'~') && !byte.is_ascii_uppercase() && !spaces
    })
}

/// `text` without white space, closing punctuation and enclosing pairs.
pub(super) fn bare(text: &str) -> &str {
    let mut text = ended(text);
    // Brackets around a list stay: `(1, 2)` and `[1, 2]` are different answers.
    let is_list = text.contains(',');
    for _ in 0..MAX_PAIRS {
        text = ended(text.trim_start_matches(is_room));
        match inside(text, is_list) {
            Some(inside) => text = inside,
            None => return text,
        }
    }
    ended(text.trim_start_matches(is_room))
}

/// `text` without closing punctuation and white space at its end.
fn ended(text: &str) -> &str {
    let rest = text.trim_end_matches(edge);
    let gone = &text[rest.len()..];
    // An exclamation; after a letter it would be a factorial.
    if let Some(said) = rest.strip_suffix('!') {
        let letters = said.chars().rev().take_while(|c| c.is_alphabetic());
        if letters.take(MIN_WORD).count() == MIN_WORD {
            return said;
        }
    }
    // The digits of 0.333... go on.
    if gone.starts_with("...") && rest.ends_with(char::is_numeric) {
        return text.trim_end_matches(is_room);
    }
    // Room in LaTeX is written with a backslash.
    match rest.strip_suffix('\\') {
        Some(before) if gone.starts_with([',', ';', ':']) && !before.ends_with('\\') => {
            before.trim_end_matches(edge)
        }
        _ => rest,
    }
}

/// What the outermost pair of `text` encloses.
fn inside(text: &str, is_list: bool) -> Option<&str> {
    let first = text.bytes().next()?;
    if first.is_ascii_alphanumeric() {
        return None;
    }
    let bracketed = match first {
        b'(' if !is_list => enclosed(text, "(", b'(', b')'),
        b'[' if !is_list => enclosed(text, "[", b'[', b']'),
        b'\\' if text.ends_with('}') => {
            let mut shown = SHOWN.iter();
            shown.find_map(|open| enclosed(text, open, b'{', b'}'))
        }
        _ => None,
    };
    bracketed.or_else(|| {
        let mut pairs = PAIRS.iter();
        pairs.find_map(|(open, close)| text.strip_prefix(open)?.strip_suffix(close))
    })
}

/// What stands between `prefix`, which ends with an opening bracket, and the
/// end of `text`, if that is the bracket's own closing one.
fn enclosed<'a>(text: &'a str, prefix: &str, open: u8, close: u8) -> Option<&'a str> {
    let inside = text.strip_prefix(prefix)?.strip_suffix(char::from(close))?;
    let mut depth = 0_usize;
    for byte in inside.bytes() {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
        }
    }
    (depth == 0).then_some(inside)
}

/// What is dropped from the end of an answer.
fn edge(c: char) -> bool {
    is_room(c) || matches!(c, '.' | ',' | ';' | ':' | '\u{3002}')
}

/// The ASCII digit for a decimal digit of another script.
fn digit(c: char) -> Option<char> {
    let code = u32::from(c);
    let run = ZEROS.partition_point(|zero| *zero <= code).checked_sub(1)?;
    char::from_digit(code - ZEROS[run], 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_surrounds_an_answer_goes() {
        for (text, expected) in [
            ("  True. ", "true"),
            ("(B).", "b"),
            ("**$12$**", "12"),
            (r"\(\text{False}\)", "false"),
            ("\u{201C}Yes\u{201D}\u{3002}", "yes"),
            ("two\n  words", "two words"),
            ("(1, 2)", "(1, 2)"),
            ("(x+1)(x-1)", "(x+1)(x-1)"),
            ("((x+1)(x-1))", "(x+1)(x-1)"),
            (r"\text{a} or \text{b}", r"\text{a} or \text{b}"),
            (r"\mathrm{B}", "b"),
            ("((((((((7))))))))", "7"),
            ("(((((((((7)))))))))", "(7)"),
            ("[1, 2]", "[1, 2]"),
            (".5", ".5"),
            ("5!", "5!"),
            ("xy!", "xy!"),
            ("True!", "true"),
            ("()", ""),
            ("(", "("),
            ("'", "'"),
            ("", ""),
            ("...", ""),
            ("true...", "true"),
            ("0.3...", "0.3..."),
            (r"\,7\,", r"\,7"),
            (r"7\\", r"7\\"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
    }

    #[test]
    fn the_digits_of_any_script_count_and_nothing_else_does() {
        for (text, expected) in [
            ("\u{FF17}", "7"),
            ("\u{0664}\u{0662}", "42"),
            ("\u{096F}", "9"),
            ("\u{1D7CE}\u{1D7FF}", "09"),
            ("\u{2212}3", "-3"),
            ("\u{00B2}", "\u{00B2}"),
            ("\u{2166}", "\u{2176}"),
            ("\u{00BD}", "\u{00BD}"),
            ("\u{FF1A}", ""),
            ("\u{FF08}\u{FF22}\u{FF09}", "b"),
            ("\u{FF54}\u{FF52}\u{FF55}\u{FF45}\u{FF0E}", "true"),
            ("\u{200B}7\u{FEFF}", "7"),
            ("1\u{2013}3", "1-3"),
            ("twenty\u{2011}one", "twenty-one"),
        ] {
            assert_eq!(normal(text), expected, "{text}");
        }
        assert!(ZEROS.windows(2).all(|pair| pair[0] + 10 <= pair[1]));
        let numeric =
            |zero: &u32| (0..10).all(|n| char::from_u32(zero + n).is_some_and(char::is_numeric));
        assert!(ZEROS.iter().all(numeric));
    }

    #[test]
    fn a_megabyte_of_brackets_takes_linear_time() {
        let deep = format!("{}7{}", "(".repeat(500_000), ")".repeat(500_000));
        assert_eq!(normal(&deep).len(), deep.len() - 2 * MAX_PAIRS);
        let open = "(".repeat(1_000_000);
        assert_eq!(normal(&open), open);
    }
}
