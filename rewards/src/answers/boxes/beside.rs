//! What stands beside a box, and whether the box is the whole answer for it.

use crate::answers::around::is_gap;
use crate::answers::scaling::{changes, scales};
use crate::answers::words::denies;

/// More before a box is not looked at.
const MAX_BYTES: usize = 200;
/// Commands of LaTeX that are room.
const ROOM: [&str; 10] = [
    "\\,",
    "\\;",
    "\\:",
    "\\!",
    "\\ ",
    "\\quad",
    "\\qquad",
    "\\(",
    "\\[",
    "\\displaystyle",
];
/// Commands whose argument is set as text.
const TEXT: [&str; 8] = [
    "\\text",
    "\\textbf",
    "\\textit",
    "\\textrm",
    "\\mathrm",
    "\\mathbf",
    "\\underline",
    "\\mbox",
];
/// Commands after which a result stands.
const RESULTS: [&str; 7] = [
    "\\implies",
    "\\Rightarrow",
    "\\Longrightarrow",
    "\\therefore",
    "\\rightarrow",
    "\\to",
    "\\iff",
];

fn is_sign(c: char) -> bool {
    is_gap(c) || matches!(c, '$' | '*' | '`' | '"' | '\u{201C}' | '\u{201D}')
}

/// Whether a box after `head` does not belong to something larger before it.
pub(super) fn is_free_before(head: &str) -> bool {
    let mut from = head.len().saturating_sub(MAX_BYTES);
    while !head.is_char_boundary(from) {
        from += 1;
    }
    let head = &head[from..];
    let line = &head[head.rfind('\n').map_or(0, |at| at + 1)..];
    let mut rest = line;
    loop {
        let before = rest.len();
        rest = rest.trim_end_matches(is_sign);
        // An escaped dollar is money.
        if line[rest.len()..].starts_with('$') {
            rest = rest.strip_suffix('\\').unwrap_or(rest);
        }
        if let Some(shorter) = ROOM.iter().find_map(|room| rest.strip_suffix(room)) {
            rest = shorter;
        } else if let Some(command) = rest.strip_suffix('{') {
            match TEXT.iter().find_map(|text| command.strip_suffix(text)) {
                Some(shorter) => rest = shorter,
                None => return false,
            }
        } else if let Some(inside) = rest.strip_suffix('}') {
            let Some((command, inside)) = inside.rsplit_once('{') else {
                return false;
            };
            if !TEXT.iter().any(|text| command.ends_with(text)) {
                return false;
            }
            rest = inside;
        } else if let Some(shorter) = RESULTS.iter().find_map(|to| rest.strip_suffix(to)) {
            rest = shorter;
            return !denies(rest);
        } else if let Some(shorter) = rest.strip_suffix(['(', '[', '_']) {
            // A function's or a command's bracket, or a subscript.
            if shorter.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '}' | ')' | ']')) {
                return false;
            }
            rest = shorter;
        }
        if rest.len() == before {
            break;
        }
    }
    let Some(last) = rest.chars().next_back() else {
        return true;
    };
    let shorter = &rest[..rest.len() - last.len_utf8()];
    match last {
        '=' => {
            let sign = shorter.trim_end_matches(is_gap);
            !sign.ends_with(['<', '>', '!', '/', '+', '-', '*', '=', '~'])
                && !sign.ends_with("\\not")
        }
        '&' => shorter.trim_end().is_empty(),
        ':' | ',' | ';' | '.' | '!' | '?' | '\u{2022}' | '#' | '\u{2014}' | '\u{2192}' => true,
        // A tag's end, or the sign of a quoted line.
        '>' => {
            let name = shorter.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
            let is_tag = name.ends_with('<') || name.ends_with("</");
            shorter
                .trim_end_matches(|c| c == '>' || is_gap(c))
                .is_empty()
                || is_tag
        }
        '-' | '\u{2013}' => {
            let begins = shorter.trim_end_matches(is_gap).is_empty();
            let is_apart = line[rest.len()..].starts_with(' ') && !line.contains(['$', '\\']);
            let prose = shorter.ends_with(is_gap) && last_word(shorter).chars().count() > 1;
            is_apart && (begins || prose)
        }
        _ if last.is_alphabetic() => is_prose_before(rest),
        _ => false,
    }
}

fn last_word(text: &str) -> &str {
    let text = text.trim_end_matches(is_gap);
    let letter = |c: char| c.is_alphabetic() || matches!(c, '\'' | '\u{2019}');
    &text[text.trim_end_matches(letter).len()..]
}

/// Whether the word that `rest` ends with leaves the box alone.
fn is_prose_before(rest: &str) -> bool {
    let word = last_word(rest);
    let command = rest[..rest.len() - word.len()].ends_with(['\\', '^', '_', '/']);
    let is_name = word.chars().count() == 1 && !word.eq_ignore_ascii_case("a");
    let words: Vec<String> = rest.split_whitespace().map(str::to_lowercase).collect();
    !command && !is_name && !changes(&words) && !denies(rest)
}

/// Whether a box before `tail` does not belong to something larger after it.
pub(super) fn is_free_after(tail: &str) -> bool {
    let line = &tail[..tail.find('\n').unwrap_or(tail.len())];
    let touches = line.starts_with(char::is_alphanumeric);
    let mut rest = line;
    loop {
        let before = rest.len();
        rest = rest.trim_start_matches(|c| is_sign(c) || matches!(c, ')' | ']' | '}' | '_'));
        for room in ROOM.iter().chain(&["\\)", "\\]"]) {
            rest = rest.strip_prefix(room).unwrap_or(rest);
        }
        for text in TEXT {
            if let Some(inside) = rest
                .strip_prefix(text)
                .and_then(|rest| rest.strip_prefix('{'))
            {
                rest = inside;
            }
        }
        if rest.len() == before {
            break;
        }
    }
    let Some(first) = rest.chars().next() else {
        return true;
    };
    let after = &rest[first.len_utf8()..];
    match first {
        '.' | ',' => !after.starts_with(char::is_numeric),
        ';' | ':' | '!' | '\u{3002}' | '\u{2014}' => true,
        '<' => after.starts_with('/'),
        '\\' => after.starts_with('\\') || after.starts_with("end{"),
        '-' | '\u{2013}' => after.starts_with(' ') && is_prose_after(after.trim_start()),
        _ if first.is_alphabetic() => !touches && is_prose_after(rest),
        _ => false,
    }
}

/// Whether the clause that `rest` begins with leaves the box alone.
fn is_prose_after(rest: &str) -> bool {
    let letters = |c: char| !c.is_alphabetic();
    let word = rest[..rest.find(letters).unwrap_or(rest.len())].to_lowercase();
    let clause = &rest[..rest
        .find(['.', ',', ';', ':', '!', '?'])
        .unwrap_or(rest.len())];
    let asked = rest[clause.len()..].starts_with('?');
    word.chars().count() > 1 && !scales(&word) && !asked && !denies(clause)
}
