//! The answer within what follows the reasoning, and where it is announced.
//!
//! The rules are those of [`crate::answers`]; here the last mark is chosen.

use super::around::{before_openers, is_room, line_start};
use super::{boxes, words};

/// What stands before the answer in GSM8K's solutions.
pub(super) const HASHES: &str = "####";
/// The tags around an answer.
pub(crate) const OPEN: &str = "<answer>";
pub(crate) const CLOSE: &str = "</answer>";

/// A mark within a text, and what it announces.
pub(super) struct Mark<'a> {
    /// Where the announcement begins, signs and words before the mark included.
    pub(super) start: usize,
    /// Where the mark ends. The mark that ends last counts.
    pub(super) at: usize,
    /// Where the line ends that it announces.
    pub(super) until: usize,
    pub(super) answer: &'a str,
}

/// What a text answers, and where it begins to.
///
/// # Example
///
/// ```
/// let read = rewards::answers::announced("3 and 4 make 7.\n**Answer:** 7");
/// assert_eq!((read.answer, read.mark), ("7", Some(16)));
/// let read = rewards::answers::announced("7");
/// assert_eq!((read.answer, read.mark), ("7", None));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced<'a> {
    /// What the last mark announces; without one, all of the text. White space
    /// around it is removed.
    pub answer: &'a str,
    /// The byte at which the announcement begins; `None` where there is no mark.
    pub mark: Option<usize>,
}

/// What `text`, a completion without its reasoning, announces as the answer.
pub fn announced(text: &str) -> Announced<'_> {
    let (answer, mark) = match tagged(text) {
        Some(Tagged {
            open,
            inside,
            after,
        }) => match marked(after) {
            Some(mark) => (mark.answer, Some(text.len() - after.len() + mark.start)),
            None => (
                // Of a mark within a mark the inner counts.
                marked(inside).map_or(inside, |mark| mark.answer),
                Some(before_tag(text, open)),
            ),
        },
        None => match marked(text) {
            Some(mark) => (mark.answer, Some(mark.start)),
            None => (text, None),
        },
    };
    Announced {
        answer: answer.trim_matches(is_room),
        mark,
    }
}

/// A closed pair of answer tags.
struct Tagged<'a> {
    open: usize,
    inside: &'a str,
    after: &'a str,
}

/// The last closed pair of answer tags.
fn tagged(text: &str) -> Option<Tagged<'_>> {
    // Few texts have tags, and this byte is found fast.
    text.find('<')?;
    let last = find_last(text, CLOSE)?;
    let open = find_last(&text[..last], OPEN)?;
    let start = open + OPEN.len();
    // The first that closes after it.
    let mut end = last;
    while let Some(earlier) = find_last(&text[start..end], CLOSE) {
        end = start + earlier;
    }
    Some(Tagged {
        open,
        inside: &text[start..end],
        after: &text[end + CLOSE.len()..],
    })
}

/// The place of the last `tag`, in any case.
fn find_last(text: &str, tag: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    while let Some(at) = bytes[..end].iter().rposition(|byte| *byte == b'<') {
        let here = bytes.get(at..at + tag.len());
        if here.is_some_and(|here| here.eq_ignore_ascii_case(tag.as_bytes())) {
            return Some(at);
        }
        end = at;
    }
    None
}

/// Where the announcement begins whose tag opens at `open`: at an `Answer:` that
/// nothing separates from it, else at the tag.
fn before_tag(text: &str, open: usize) -> usize {
    let head = before_openers(&text[..open]);
    match words::last(&text[..open]) {
        Some(mark) if mark.answer.is_empty() => mark.start,
        _ => line_start(head),
    }
}

/// What the last mark other than tags announces.
fn marked(text: &str) -> Option<Mark<'_>> {
    let word = words::last(text);
    let within = word.as_ref().map(|word| (word.start, word.at..word.until));
    let marks = [boxes::last(text), word, last_line(text)];
    let mut last = marks.into_iter().flatten().max_by_key(|mark| mark.at)?;
    // A box on the line of an `Answer:` is announced with it.
    if let Some((start, line)) = within
        && line.contains(&last.at)
    {
        last.start = last.start.min(start);
    }
    Some(last)
}

/// What follows `####` on the last line that is not blank.
fn last_line(text: &str) -> Option<Mark<'_>> {
    let text = text.trim_end_matches(is_room);
    let start = text.rfind('\n').map_or(0, |end| end + 1);
    let answer = text[start..]
        .trim_start_matches(is_room)
        .strip_prefix(HASHES)?;
    // Five are a heading of another level.
    (!answer.starts_with('#')).then(|| Mark {
        start,
        at: text.len() - answer.len(),
        until: text.len(),
        answer,
    })
}

#[cfg(test)]
mod tests;
