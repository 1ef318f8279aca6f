//! Which conclusions follow from the premises of a syllogism.
//!
//! A conclusion relates the terms a and c in one of four moods: A (all are), E (no
//! ... are), I (some are), O (some are not). `Aac` says that all a are c, `Oca`
//! that some c are not a; `nvc` that no conclusion is valid.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// A conclusion in lower case: its mood, first and last term.
type Code = [char; 3];

/// What says that nothing follows.
const NOTHING: [&str; 11] = [
    "nvc",
    "nothing",
    "nothing follows",
    "nothing follows from the premises",
    "no conclusion",
    "no conclusion follows",
    "no valid conclusion",
    "no valid conclusion follows",
    "no valid conclusion can be drawn",
    "there is no valid conclusion",
    "none of them follows",
];
/// Words before a conclusion that change nothing about it.
const BEFORE: [&str; 6] = [
    "it follows that ",
    "therefore ",
    "so ",
    "thus ",
    "and ",
    "that ",
];

/// The conclusions of an expected answer, none for `nvc`; `None` where it is no
/// list of their names.
pub(super) fn expected(text: &str) -> Option<BTreeSet<Code>> {
    let text = text.trim().to_lowercase();
    if text == "nvc" {
        return Some(BTreeSet::new());
    }
    let words = text.split(is_separator).filter(|word| !word.is_empty());
    let codes: BTreeSet<Code> = words.map(code).collect::<Option<_>>()?;
    (!codes.is_empty()).then_some(codes)
}

/// The words for a, b and c, from the item's column `terms`; without it only names
/// are read. An error says what is wrong with it.
pub(super) fn terms(columns: Option<&Map<String, Value>>) -> Result<Option<[String; 3]>, String> {
    let Some(column) = columns.and_then(|columns| columns.get("terms")) else {
        return Ok(None);
    };
    let words = column.as_array().map(|list| {
        let words = list.iter().filter_map(Value::as_str);
        words
            .map(|word| word.trim().to_lowercase())
            .collect::<Vec<_>>()
    });
    match words.map(<[String; 3]>::try_from) {
        Some(Ok(terms))
            if terms.iter().collect::<BTreeSet<_>>().len() == 3
                && !terms.iter().any(String::is_empty) =>
        {
            Ok(Some(terms))
        }
        _ => Err(format!(
            "its column `terms` is {column}: give the three words for a, b and c, \
             such as [\"artists\", \"beekeepers\", \"chemists\"]"
        )),
    }
}

/// Whether an answer names all of `expected` and nothing else. Of `after`, what
/// follows the announced answer, conclusions count too, and anything else does not.
pub(super) fn are(
    expected: &BTreeSet<Code>,
    terms: Option<&[String; 3]>,
    answer: &str,
    after: &str,
) -> bool {
    let mut named = BTreeSet::new();
    let mut nothing = false;
    for piece in pieces(answer, terms) {
        match read(&piece, terms) {
            Some(Said::Nothing) => nothing = true,
            Some(Said::Conclusions(codes)) => named.extend(codes),
            None => return false,
        }
    }
    for piece in pieces(after, terms) {
        match read(&piece, terms) {
            Some(Said::Nothing) => nothing = true,
            Some(Said::Conclusions(codes)) => named.extend(codes),
            None => {}
        }
    }
    // An answer that says neither is none.
    nothing == named.is_empty() && named == *expected
}

enum Said {
    Nothing,
    Conclusions(Vec<Code>),
}

/// Sentences, lines and members of lists, in lower case, without the signs of lists.
fn pieces(text: &str, terms: Option<&[String; 3]>) -> Vec<String> {
    let mut text = text.to_lowercase();
    // "Nothing follows about artists and chemists" is one sentence.
    if let Some([first, _, last]) = terms {
        for (one, other) in [(first, last), (last, first)] {
            text = text.replace(&format!(" about {one} and {other}"), "");
        }
    }
    text.replace(" and ", "\n")
        .split(['\n', '.', ',', ';'])
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphabetic()))
        .filter(|piece| !piece.is_empty())
        .map(|piece| piece.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

fn read(piece: &str, terms: Option<&[String; 3]>) -> Option<Said> {
    if NOTHING.contains(&piece) {
        return Some(Said::Nothing);
    }
    let codes = piece.split(is_separator).filter(|word| !word.is_empty());
    if let Some(codes) = codes.map(code).collect::<Option<Vec<_>>>() {
        return Some(Said::Conclusions(codes));
    }
    let mut piece = piece;
    while let Some(rest) = BEFORE.iter().find_map(|word| piece.strip_prefix(word)) {
        piece = rest;
    }
    let (quantity, rest) = piece.split_once(' ')?;
    let (first, last) = rest.split_once(" are ")?;
    let (mood, last) = match (quantity, last.strip_prefix("not ")) {
        ("all", None) => ('a', last),
        ("no", None) => ('e', last),
        ("some", None) => ('i', last),
        ("some", Some(last)) => ('o', last),
        _ => return None,
    };
    let terms = terms?;
    let letter = |word: &str| {
        let at = terms.iter().position(|term| term == word)?;
        ['a', 'b', 'c'].get(at).copied()
    };
    code(&String::from_iter([mood, letter(first)?, letter(last)?]))
        .map(|code| Said::Conclusions(vec![code]))
}

/// A conclusion by its name in lower case.
fn code(word: &str) -> Option<Code> {
    let letters: Vec<char> = word.chars().collect();
    match letters[..] {
        [mood @ ('a' | 'e' | 'i' | 'o'), first, last]
            if matches!((first, last), ('a', 'c') | ('c', 'a')) =>
        {
            Some([mood, first, last])
        }
        _ => None,
    }
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || c == ','
}
