//! The number that a sentence states, for answers that nothing announces.
//!
//! A sentence may hold more than one number, deny one or bound one; then it
//! states none. So `She makes 9 * 2 = $18 every day.` states 18, and `It is 7 or
//! 8.`, `It is not 7.`, `It is half of 14.` and `A third of the 12 is 4.` state
//! nothing. After the number only an end, a unit or a plural that does not scale
//! it may stand: `It is 5 dozens.` and `It is 18 pi.` state nothing. Only the last sentence is read, and only where it has ended: the
//! number at the end of a text that was cut off may be half of one.
//!
//! Deliberately not done: numbers in words, formulas, names.

use std::ops::Range;

use super::around::is_room;
use super::normal::normal;
use super::number::Number;
use super::scaling::{changes, scales};
use super::value::Value;
use super::words::denies;

/// A longer sentence is not read.
const MAX_BYTES: usize = 400;

/// Words with which a sentence does not say what a number is.
const DOUBTS: [&str; 85] = [
    "not",
    "no",
    "never",
    "neither",
    "nor",
    "cannot",
    "or",
    "either",
    "between",
    "about",
    "around",
    "approximately",
    "approx",
    "roughly",
    "almost",
    "nearly",
    "least",
    "most",
    "than",
    "over",
    "under",
    "up",
    "above",
    "below",
    "exceeds",
    "from",
    "until",
    "if",
    "unless",
    "maybe",
    "perhaps",
    "might",
    "could",
    "possibly",
    "probably",
    "wrong",
    "incorrect",
    "false",
    "except",
    "but",
    "minus",
    "negative",
    "plus",
    "times",
    "divided",
    "squared",
    "cubed",
    "root",
    "half",
    "third",
    "quarter",
    "twice",
    "double",
    "triple",
    "percent",
    "cent",
    "dozen",
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "instead",
    "less",
    "fewer",
    "more",
    "before",
    "guess",
    "another",
    "let",
    "suppose",
    "assume",
    "given",
    "step",
    "problem",
    "question",
    "equation",
    "page",
    "chapter",
    "section",
    "case",
    "example",
    "option",
    "version",
    "part",
];
/// Words that may follow the number, beside units and plurals.
const FOLLOWING: [&str; 22] = [
    "a",
    "an",
    "per",
    "each",
    "every",
    "in",
    "for",
    "on",
    "at",
    "people",
    "children",
    "men",
    "women",
    "left",
    "altogether",
    "total",
    "today",
    "remaining",
    "so",
    "because",
    "after",
    "with",
];
/// Abbreviations whose full stop ends no sentence.
const SHORT: [&str; 9] = ["mr", "mrs", "ms", "dr", "st", "vs", "no", "approx", "e.g"];

/// The number that the last sentence of `text` states.
pub(super) fn stated(text: &str) -> Option<Value> {
    let sentence = last_sentence(text)?;
    let words: Vec<&str> = sentence.split_whitespace().collect();
    let expression = only_expression(&words)?;
    let before: Vec<String> = words[..expression.start]
        .iter()
        .map(|word| word.to_lowercase())
        .collect();
    if changes(&before) || denies(sentence) {
        return None;
    }
    let written = words.get(expression.clone())?.join(" ");
    if written.contains([
        '<', '>', '~', '\u{2248}', '\u{2264}', '\u{2265}', '\u{B1}', '\\',
    ]) {
        return None;
    }
    let result = normal(written.rsplit('=').next()?).into_owned();
    // A unit may stand in the next word.
    let with_unit = words.get(expression.end).and_then(|next| {
        let value = Value::read(&normal(&format!("{result} {next}")))?;
        matches!(value, Value::Quantity(..)).then_some(value)
    });
    if with_unit.is_none() && !may_follow(&written, &words[expression.end..]) {
        return None;
    }
    let value = with_unit.or_else(|| Value::read(&result))?;
    matches!(value, Value::Number(_) | Value::Quantity(..)).then_some(value)
}

/// Whether `next` leaves the number before it as it is: an end, a thing in the
/// plural or a word of a short list.
fn may_follow(written: &str, rest: &[&str]) -> bool {
    let Some(next) = rest.first() else {
        return true;
    };
    if written.ends_with([',', ';', ':']) {
        return true;
    }
    let word = next
        .trim_matches(|c: char| !c.is_alphanumeric())
        .to_lowercase();
    let is_plural = word.len() > 3
        && word.ends_with('s')
        && !word.ends_with("ss")
        && word.bytes().all(|byte| byte.is_ascii_lowercase());
    let beyond = rest.get(1).map(|word| {
        word.trim_matches(|c: char| !c.is_alphabetic())
            .to_lowercase()
    });
    let is_scaled = beyond.is_some_and(|word| scales(&word));
    matches!(rest, ["of", "them", ..])
        || (FOLLOWING.contains(&word.as_str()) && !is_scaled)
        || (is_plural && !scales(&word))
}

/// The words of the one expression with a number in it, where there is no other
/// and no word that casts doubt on it.
fn only_expression(words: &[&str]) -> Option<Range<usize>> {
    let mut found = None;
    let mut has_words = false;
    let mut at = 0;
    while let Some(word) = words.get(at) {
        if !is_mathematics(word) {
            if is_doubt(word) {
                return None;
            }
            has_words = true;
            at += 1;
            continue;
        }
        let from = at;
        // What follows a comma is another expression.
        while words.get(at).is_some_and(|word| is_mathematics(word)) {
            at += 1;
            if words[at - 1].ends_with([',', ';', ':']) {
                break;
            }
        }
        let run = &words[from..at];
        if run.iter().any(|word| word.contains(char::is_numeric)) {
            // A sign apart may be a dash.
            let is_dash = matches!(*word, "-" | "\u{2013}" | "\u{2212}");
            if is_dash || found.replace(from..at).is_some() {
                return None;
            }
        }
    }
    found.filter(|_| has_words)
}

/// Whether a word holds a digit or nothing but signs of mathematics.
fn is_mathematics(word: &str) -> bool {
    let signs =
        "=+-*/^<>$%~\u{D7}\u{F7}\u{B7}\u{2212}\u{2013}\u{2248}\u{2264}\u{2265}\u{20AC}\u{A3}";
    word.contains(char::is_numeric)
        || word.starts_with('\\')
        || (word.contains(|c| signs.contains(c)) && !word.contains(char::is_alphabetic))
}

fn is_doubt(word: &str) -> bool {
    let word = word
        .trim_matches(|c: char| !c.is_alphabetic())
        .to_lowercase();
    DOUBTS.contains(&word.as_str())
        || word.ends_with("n't")
        || word.ends_with("n\u{2019}t")
        || Number::read(&word).is_some()
}

/// The last sentence of `text`, without the stop that ends it; nothing where the
/// text does not end with one.
fn last_sentence(text: &str) -> Option<&str> {
    let closers = |c: char| is_room(c) || matches!(c, '*' | '_' | '"' | '\u{201D}' | '`');
    let text = text.trim_matches(closers);
    let body = text.strip_suffix(['.', '!', '\u{3002}'])?;
    // A number with an exclamation mark may be a factorial.
    let is_factorial = text.ends_with('!') && body.ends_with(char::is_numeric);
    if body.is_empty() || body.ends_with(is_room) || is_factorial {
        return None;
    }
    let mut end = body.len();
    while let Some(at) = body[..end].rfind(['.', '!', '?', '\n', '\u{3002}']) {
        if body.len() - at > MAX_BYTES {
            return None;
        }
        let (before, after) = body.split_at(at);
        let is_end = match after.chars().next() {
            Some('\n') => after[1..]
                .trim_start_matches([' ', '\t', '\r'])
                .starts_with('\n'),
            Some('.') => after[1..].starts_with(char::is_whitespace) && !is_short(before),
            Some('\u{3002}') => true,
            _ => after[1..].starts_with(char::is_whitespace),
        };
        if is_end {
            return Some(after.trim_start_matches(['.', '!', '?', '\u{3002}']));
        }
        end = at;
    }
    (body.len() <= MAX_BYTES).then_some(body)
}

/// Whether a full stop after `head` belongs to its last word.
fn is_short(head: &str) -> bool {
    let word = &head[head.rfind(char::is_whitespace).map_or(0, |at| at + 1)..];
    let initial = word.len() == 1 && word.starts_with(char::is_alphabetic);
    initial || SHORT.iter().any(|short| word.eq_ignore_ascii_case(short))
}

#[cfg(test)]
mod tests {
    use super::{Value, stated};
    use crate::answers::normal::normal;

    #[test]
    fn the_one_number_of_the_last_sentence_is_stated() {
        for (text, number) in [
            ("She makes $18.00 a day.", "18"),
            ("She makes 9 * 2 = $18 every day.", "18"),
            ("First 3 + 4. That makes $1,200.", "1200"),
            ("That makes **18** eggs!", "18"),
            ("**So he needs 18.**", "18"),
            ("Mr. Smith has 5.", "5"),
            ("It is -5 degrees.", "-5"),
            ("There were 1 200 people.", "1200"),
            ("It takes 1.5 h.", "1.5 h"),
            ("That is 1/2.", "0.5"),
        ] {
            let wanted = Value::read(&normal(number)).expect("a number");
            let found = stated(text).unwrap_or_else(|| panic!("{text} states a number"));
            assert!(found.same(&wanted, 0.0), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_cut_off_denied_bounded_or_in_company_is_not() {
        for text in [
            "",
            ".",
            "18",
            "18.",
            "She makes $18",
            "It is 7 or 8.",
            "It is not 7.",
            "It isn't 7.",
            "It is 3 + 4.",
            "At least 7 came.",
            "Less than 7 came.",
            "It is x > 7.",
            "It is x^2.",
            "It is half of 14.",
            "Two of the 12 came.",
            "Of 12, 4 came.",
            "Is it 7?",
            "It is 7. I think so.",
            "It is (1, 2).",
            "It is 5:30.",
            "It is 1-3.",
            "It is minus 7.",
            "It is 7 million.",
            "So - 18.",
            "The 2nd came.",
            "It is not, as Mr. Smith says, 7.",
            "It is \\frac{1}{2}.",
            "true 13 .",
            "Is it\nnot\n7 or so.",
        ] {
            assert_eq!(stated(text), None, "{text}");
        }
    }
}
