//! The marks that are words: `Answer:`, a heading `## Answer`, "the answer is".
//!
//! The rules are those of [`crate::answers`]; here they are carried out. What is
//! looked at for each word is bounded or its own, so the whole is linear.

use std::ops::Range;

use super::around::{after_tag, before_openers, is_gap, is_room, line_start, narrow, unwrap};
use super::marks::Mark;

/// Words before the word `answer` that belong to the announcement.
const LEADS: [&str; 14] = [
    "the",
    "my",
    "our",
    "final",
    "correct",
    "right",
    "so",
    "therefore",
    "thus",
    "hence",
    "then",
    "and",
    "finally",
    "short",
];
/// What says of an answer that it is not the one.
const MISTAKEN: [&str; 6] = [
    "wrong",
    "incorrect",
    "mistaken",
    "tempting",
    "false",
    "naive",
];
/// Words of a clause in which "the answer is" announces nothing.
const DENIALS: [&str; 28] = [
    "not",
    "never",
    "no",
    "if",
    "whether",
    "unless",
    "doubt",
    "neither",
    "nor",
    "cannot",
    "why",
    "wrong",
    "incorrect",
    "until",
    "might",
    "may",
    "could",
    "unlikely",
    "false",
    "impossible",
    "suppose",
    "assume",
    "perhaps",
    "maybe",
    "implausible",
    "improbable",
    "doubtful",
    "dubious",
];
/// How closing sentences begin that say nothing of the answer, in lower case.
const CLOSINGS: [&str; 12] = [
    "i hope this help",
    "i hope that help",
    "i hope it help",
    "i hope it is correct",
    "hope this help",
    "hope that help",
    "let me know if you",
    "feel free to",
    "please let me know",
    "please feel free",
    "thank you",
    "is there anything else",
];
/// The signs of a list's items.
const BULLETS: [&str; 4] = ["- ", "* ", "+ ", "\u{2022} "];
/// An announcement longer than this is taken as it is.
const MAX_ANSWER: usize = 1024;
/// A clause longer than this is read from its end only.
const MAX_CLAUSE: usize = 100;

/// The last such mark of `text`.
pub(super) fn last(text: &str) -> Option<Mark<'_>> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    // The rarest letter of the word; 0xEF begins a letter of full width.
    let letter = |byte: &u8| matches!(byte, b'w' | b'W' | 0xEF);
    while let Some(at) = bytes[..end].iter().rposition(letter) {
        if let Some(mark) = word(text, at).and_then(|word| mark(text, word)) {
            return Some(mark);
        }
        end = at;
    }
    None
}

/// The word `answer` whose `w` stands at `at`, in any case and width.
fn word(text: &str, at: usize) -> Option<Range<usize>> {
    let mut before = text[..at].char_indices().rev();
    let mut start = at;
    for letter in ['s', 'n', 'a'] {
        let (place, _) = before.next().filter(|(_, c)| narrow(*c) == letter)?;
        start = place;
    }
    let mut after = text[at..].char_indices();
    for letter in ['w', 'e', 'r'] {
        after.next().filter(|(_, c)| narrow(*c) == letter)?;
    }
    let alone = before.next().is_none_or(|(_, c)| !c.is_alphanumeric());
    alone.then(|| start..text.len() - after.as_str().len())
}

/// The mark that the word `answer` at `word` makes, if it makes one.
fn mark(text: &str, word: Range<usize>) -> Option<Mark<'_>> {
    let rest = &text[word.end..];
    let after = after_closers(rest);
    let colon = |text: &'_ str| {
        let first = text.chars().next().filter(|c| narrow(*c) == ':')?;
        Some(first.len_utf8())
    };
    let place = |after: &str| text.len() - after.len();
    let (at, in_prose) = if let Some(colon) = colon(after) {
        (place(after) + colon, false)
    } else if let Some(is) = verb(after).filter(|_| after.len() < rest.len()) {
        let beyond = after_closers(is);
        (
            colon(beyond).map_or(place(is), |colon| place(beyond) + colon),
            true,
        )
    } else if is_heading(text, &word, after) {
        (place(after), false)
    } else {
        return None;
    };
    let (start, head) = lead(text, word.start);
    let before = last_word(head);
    if MISTAKEN
        .iter()
        .any(|word| before.eq_ignore_ascii_case(word))
        || (in_prose && denies(head))
    {
        return None;
    }
    let (answer, until) = content(text, at);
    Some(Mark {
        start,
        at,
        until,
        answer,
    })
}

/// What follows the room and the closing signs that `text` begins with, in its
/// line.
fn after_closers(text: &str) -> &str {
    let mut text = text;
    loop {
        let rest = text.trim_start_matches(|c: char| {
            is_gap(c)
                || matches!(
                    c,
                    '*' | '_'
                        | '`'
                        | '"'
                        | '\''
                        | '}'
                        | '\u{201C}'
                        | '\u{201D}'
                        | '\u{2019}'
                        | '\u{BB}'
                )
        });
        let rest = after_tag(rest).unwrap_or(rest);
        if rest.len() == text.len() {
            return text;
        }
        text = rest;
    }
}

/// What follows the word `is` that `text` begins with.
fn verb(text: &str) -> Option<&str> {
    let (word, rest) = text.split_at_checked(2)?;
    let ends = |c: char| c.is_alphanumeric() || matches!(c, '\'' | '\u{2019}');
    (word.eq_ignore_ascii_case("is") && !rest.starts_with(ends)).then_some(rest)
}

/// Whether the word is all of a line that is set as a heading: `## Answer`,
/// `**Final answer**`.
fn is_heading(text: &str, word: &Range<usize>, after: &str) -> bool {
    let after = after.trim_start_matches('#').trim_start_matches(is_gap);
    if !(after.is_empty() || after.starts_with('\n')) {
        return false;
    }
    let (start, _) = lead(text, word.start);
    let begins = start == 0 || text[..start].ends_with('\n');
    let line = text[start..word.start].trim_start_matches(is_gap);
    let emphasis = line.starts_with(['*', '_']) && text[word.end..].starts_with(['*', '_']);
    begins && (line.starts_with('#') || emphasis)
}

/// Where the announcement begins whose word `answer` stands at `at`, and what
/// comes before it.
fn lead(text: &str, at: usize) -> (usize, &str) {
    let mut head = before_openers(&text[..at]);
    loop {
        let word = last_word(head);
        let unended = head.strip_suffix(',').unwrap_or(head);
        let word = if word.is_empty() {
            last_word(unended)
        } else {
            word
        };
        if !LEADS.iter().any(|lead| word.eq_ignore_ascii_case(lead)) {
            break;
        }
        let end = if head.ends_with(',') { unended } else { head };
        head = before_openers(&end[..end.len() - word.len()]);
    }
    (line_start(head), head)
}

/// The word that `head` ends with; empty where it ends with anything else.
fn last_word(head: &str) -> &str {
    &head[head.trim_end_matches(char::is_alphabetic).len()..]
}

/// Whether the clause that ends with `head` denies or doubts what follows.
pub(super) fn denies(head: &str) -> bool {
    let mut from = head.len().saturating_sub(MAX_CLAUSE);
    while !head.is_char_boundary(from) {
        from += 1;
    }
    let clause = &head[from..];
    let ends = ['.', ',', ';', ':', '!', '?', '\n'];
    let clause = &clause[clause.rfind(ends).map_or(0, |end| end + 1)..];
    clause.split_whitespace().any(|word| {
        let known = DENIALS
            .iter()
            .any(|denial| word.eq_ignore_ascii_case(denial));
        known
            || ["n't", "n\u{2019}t", "N'T"]
                .iter()
                .any(|ending| word.ends_with(ending))
    })
}

/// What is announced from `at` on, and where its line ends: the rest of the line,
/// or the next line that says something with those that go on with it.
fn content(text: &str, at: usize) -> (&str, usize) {
    let before = &text[text[..at].rfind('\n').map_or(0, |end| end + 1)..at];
    let mut from = at;
    for line in text[at..].split_inclusive('\n') {
        let mut until = from + line.len();
        if !unwrap(line, before).trim_matches(is_quoting).is_empty() && !is_frame(line) {
            if from > at {
                from += line.len() - line.trim_start_matches(|c| is_room(c) || c == '>').len();
            }
            until = end_of_list(text, from, until);
            let mut answer = &text[from..until];
            // A list of one item is the item.
            if from > at && !answer.trim_end().contains('\n') {
                answer = BULLETS
                    .iter()
                    .find_map(|sign| answer.strip_prefix(sign))
                    .unwrap_or(answer);
            }
            return (without_closings(unwrap(answer, before)), until);
        }
        from = until;
    }
    ("", text.len())
}

/// Room, and signs that show a line as quoted, emphasised or as mathematics.
fn is_quoting(c: char) -> bool {
    is_room(c) || matches!(c, '>' | '$' | '`' | '#' | '_')
}

/// Whether a line opens or closes code or mathematics that stands alone.
fn is_frame(line: &str) -> bool {
    let line = line.trim_matches(|c| is_room(c) || c == '>');
    line.starts_with("```") || matches!(line, "\\[" | "\\]" | "\\(" | "\\)" | "**" | "*")
}

/// Where what begins at `from` ends, whose first line ends at `until`: with the
/// last item of a list, or of lines that a comma joins.
fn end_of_list(text: &str, from: usize, until: usize) -> usize {
    let is_item = |line: &str| {
        BULLETS
            .iter()
            .any(|sign| line.trim_start().starts_with(sign))
    };
    // A line that offers another answer goes on with this one.
    let next = text[until..].trim_start();
    let word = next.split(|c: char| !c.is_alphanumeric()).next();
    if word.is_some_and(|word| word.eq_ignore_ascii_case("or")) {
        return text.len() - next.len() + next.find('\n').unwrap_or(next.len());
    }
    let is_list = is_item(&text[from..until]);
    let mut end = until;
    for line in text[until..].split_inclusive('\n') {
        let goes_on = text[from..end].trim_end().ends_with([',', ';']);
        if !(goes_on || (is_list && is_item(line))) {
            break;
        }
        end += line.len();
    }
    end
}

/// `answer` without sentences after it that say nothing of it.
fn without_closings(answer: &str) -> &str {
    if answer.len() > MAX_ANSWER {
        return answer;
    }
    let mut from = 0;
    while let Some(end) = answer[from..].find(['.', '!']) {
        let end = from + end + 1;
        if answer[end..].starts_with(char::is_whitespace) && only_closes(&answer[end..]) {
            return &answer[..end];
        }
        from = end;
    }
    answer
}

/// Whether every sentence of `text` is a closing one, at least one being there.
fn only_closes(text: &str) -> bool {
    let mut rest = text.trim_start();
    let mut closes = false;
    while !rest.is_empty() {
        let begins = |closing: &&str| {
            let start = rest.get(..closing.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(closing))
        };
        if !CLOSINGS.iter().any(begins) {
            return false;
        }
        closes = true;
        let end = rest
            .find(['.', '!', '?', '\n'])
            .map_or(rest.len(), |end| end + 1);
        rest = rest[end..].trim_start();
    }
    closes
}
