//! Which option of a multiple choice is chosen.
//!
//! A letter with a bracket, a full stop or a colon after it may be followed by its
//! option's text, which is not known here. Text that could name or prefer another
//! option, or deny this one, makes the answer wrong.

use super::normal::normal;

/// Words that an option's letter may stand after.
const BEFORE: [&str; 3] = ["option ", "choice ", "answer "];
/// Words that no option's text begins with.
const NO_BEGINNING: [&str; 11] = [
    "or", "and", "nor", "but", "not", "is", "isn't", "was", "cannot", "can't", "if",
];
/// What denies an option, or turns to another, and what may lead to such words: the
/// end of a sentence or of a clause.
const DENIALS: [&str; 24] = [
    "wrong",
    "incorrect",
    "not right",
    "not correct",
    "not the",
    "isn't",
    "rather",
    "instead",
    "excluded",
    "eliminated",
    "ruled out",
    "neither",
    "actually",
    "unlike",
    ", no ",
    ", not ",
    ". ",
    "? ",
    "! ",
    "; ",
    " - ",
    " -- ",
    " -> ",
    " / ",
];
/// The last letter that a word of one letter names an option by.
const LAST: char = 'j';

/// The letter of an expected answer, in lower case; `None` where it is anything
/// else than one letter.
pub(super) fn letter(expected: &str) -> Option<char> {
    let text = normal(expected);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Some(letter),
        _ => None,
    }
}

/// Whether `answer` chooses the option called `letter`, and no other.
pub(super) fn is_chosen(letter: char, answer: &str) -> bool {
    let text = normal(answer).replace('\u{2019}', "'");
    let named = BEFORE.iter().find_map(|word| text.strip_prefix(word));
    let text = named.unwrap_or(&text);
    let text = text.strip_prefix(['(', '[']).unwrap_or(text);
    let Some(rest) = text.strip_prefix(letter) else {
        return false;
    };
    let words = rest.trim_start_matches([')', ']', '.', ':']);
    if words.is_empty() {
        return true;
    }
    let is_text = words.len() < rest.len() && words.starts_with(' ');
    is_text && !answer.trim().contains('\n') && is_of_one_option(words, letter)
}

/// Whether words after the letter can only be the text of its own option.
fn is_of_one_option(words: &str, letter: char) -> bool {
    let bare = |word: &str| -> String {
        let is_edge = |c: char| !c.is_alphanumeric();
        word.trim_matches(is_edge).to_owned()
    };
    let list: Vec<&str> = words.split_whitespace().collect();
    let first = list.first().map(|word| bare(word)).unwrap_or_default();
    if first.is_empty() || NO_BEGINNING.contains(&first.as_str()) {
        return false;
    }
    if DENIALS.iter().any(|denial| words.contains(denial)) {
        return false;
    }
    !list.iter().enumerate().any(|(place, word)| {
        let name = bare(word);
        let is_other = match name.chars().next() {
            Some(other) => name.len() == 1 && ('a'..=LAST).contains(&other) && other != letter,
            None => false,
        };
        // "a" and "i" are words too, where another follows.
        let is_word = matches!(*word, "a" | "i") && place + 1 < list.len();
        let after = |words: [&str; 4]| place > 0 && words.contains(&list[place - 1]);
        is_other && (!is_word || after(["or", "and", "option", "choice"]))
    })
}
