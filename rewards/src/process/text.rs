//! Prompts and work as tokens: numbers, letters, words, signs.
//!
//! What it deliberately does not do: know a model's own tokens, or what the
//! tokens mean together.

use crate::answers::number::Number;

/// A piece of text without white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A whole number, in ASCII digits or as a word in lower case.
    Number(u32),
    /// A capital letter by itself, counted from A = 0.
    Letter(u32),
    /// Any other run of letters and digits.
    Word(&'a str),
    /// Any other character.
    Sign(char),
}

/// The tokens of `text`, in linear time.
///
/// A hyphen between letters belongs to the word (`twenty-one`), a point or comma
/// between digits to the number (`1.5`, which is then a word: not whole).
pub(super) fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = word_length(rest);
        let (token, end) = match length {
            0 => (Token::Sign(first), first.len_utf8()),
            length => (word(&rest[..length]), length),
        };
        tokens.push(token);
        rest = rest[end..].trim_start();
    }
    tokens
}

/// How many bytes at the start of `text` belong to one word.
fn word_length(text: &str) -> usize {
    let mut before: Option<char> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        let between = |is: fn(&char) -> bool| {
            before.as_ref().is_some_and(is) && next.as_ref().is_some_and(is)
        };
        let belongs = c.is_alphanumeric()
            || c == '-' && between(char::is_ascii_alphabetic)
            || matches!(c, '.' | ',') && between(char::is_ascii_digit);
        if !belongs {
            return at;
        }
        before = Some(c);
    }
    text.len()
}

/// What a run of letters and digits is.
fn word(word: &str) -> Token<'_> {
    if let [letter @ b'A'..=b'Z'] = word.as_bytes() {
        return Token::Letter(u32::from(letter - b'A'));
    }
    let first = word.as_bytes().first();
    // An exponent would make a number of `1e3`, and a comma one of `1,000`.
    let plain =
        first.is_some_and(u8::is_ascii_lowercase) || word.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| Number::read(word)).flatten();
    match number.and_then(Number::count) {
        Some(number) => Token::Number(number),
        None => Token::Word(word),
    }
}
