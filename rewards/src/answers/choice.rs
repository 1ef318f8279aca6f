//! Which option of a multiple choice is chosen.

use super::normal::normal;

/// Words that an option's letter may stand after.
const BEFORE: [&str; 4] = ["option ", "choice ", "answer ", "the answer is "];
/// Words after an option's letter that deny it or name another one.
const AFTER: [&str; 14] = [
    "or",
    "and",
    "nor",
    "but",
    "not",
    "is",
    "isn't",
    "isn\u{2019}t",
    "was",
    "cannot",
    "can't",
    "can\u{2019}t",
    "may",
    "if",
];

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
    let text = normal(answer);
    let text = BEFORE
        .iter()
        .find_map(|word| text.strip_prefix(word))
        .unwrap_or(&text);
    let text = text.strip_prefix(['(', '[']).unwrap_or(text);
    let Some(rest) = text.strip_prefix(letter) else {
        return false;
    };
    let words = rest.trim_start_matches([')', ']', '.', ':']);
    if words.is_empty() {
        return true;
    }
    if words.len() == rest.len() || !words.starts_with(' ') || answer.trim().contains('\n') {
        return false;
    }
    let first = words.trim_start().split(' ').next().unwrap_or_default();
    let first = first.trim_end_matches([',', ':', ';']);
    let is_word = first.chars().any(char::is_alphanumeric);
    is_word && !AFTER.contains(&first) && !names_another(words, letter)
}

/// Whether `words` have another option's letter before a bracket, `(c)` or `c)`, or
/// after a word for an option or for another one, `or c`.
fn names_another(words: &str, letter: char) -> bool {
    let mut before = "";
    words
        .split(' ')
        .filter(|word| !word.is_empty())
        .any(|word| {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
            let mut letters = bare.chars();
            let other = matches!(
                (letters.next(), letters.next()),
                (Some(other), None) if other.is_ascii_alphabetic() && other != letter
            );
            let marked = word.contains([')', ']', ':']) || word.ends_with('.') && word.len() == 2;
            let named = matches!(
                before,
                "or" | "and" | "option" | "choice" | "answer" | "not" | "/"
            );
            before = word;
            other && (marked || named)
        })
}
