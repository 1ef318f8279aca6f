//! The mark `\boxed{...}`, with the signs beside it that change what it says.
//!
//! What stands in a box is the answer, but for `-\boxed{5}`, `\boxed{3}^2`, `not
//! \boxed{7}` and `\boxed{7} or \boxed{8}`: of these the whole is. Where anything
//! else than prose, punctuation or `=` stands beside it (see [`beside`]), the box is
//! part of something larger, and the answer is empty, which is never right.

mod beside;

use super::around::{before_openers, is_gap, line_start};
use super::marks::Mark;

/// What opens a box, before its brace.
const BOXES: [&str; 2] = ["\\boxed", "\\fbox"];
/// Words before a box that say that it is not, or not alone, the answer.
const DENIALS: [&str; 9] = [
    "not",
    "never",
    "nor",
    "or",
    "isn't",
    "isn\u{2019}t",
    "cannot",
    "than",
    "neither",
];
/// Commands of LaTeX that go on with a box that they follow.
const GOING_ON: [&str; 7] = [
    "\\%", "\\times", "\\cdot", "\\sqrt", "\\pi", "\\frac", "\\div",
];

/// A box that is closed, by the places of its backslash and its content.
#[derive(Clone, Copy)]
struct Closed {
    command: usize,
    start: usize,
    end: usize,
}

/// The closed box that opens last.
pub(super) fn last(text: &str) -> Option<Mark<'_>> {
    // Most completions of word-level models have no box at all.
    text.find('\\')?;
    let boxes = closed(text);
    let last = *boxes.iter().max_by_key(|closed| closed.start)?;
    let first = first_of_list(text, &boxes, last);
    let (head, from) = beginning(text, first.command);
    let to = ending(text, last.end + 1);
    let larger = first.command < last.command || from < first.command || to > last.end + 1;
    let answer = if !beside::is_free_before(&text[..from]) || !beside::is_free_after(&text[to..]) {
        ""
    } else if larger {
        &text[from..to]
    } else {
        &text[last.start..last.end]
    };
    Some(Mark {
        start: line_start(head),
        at: last.start,
        until: to,
        answer,
    })
}

/// All closed boxes, in the order in which they close.
///
/// One pass with a stack: looking for the closing brace of every box in turn
/// would take quadratic time on text that only opens them.
fn closed(text: &str) -> Vec<Closed> {
    let bytes = text.as_bytes();
    let mut open: Vec<Option<(usize, usize)>> = Vec::new();
    let mut closed = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                let name = BOXES
                    .iter()
                    .find(|name| bytes[at..].starts_with(name.as_bytes()));
                if let Some(name) = name {
                    let after = at + name.len();
                    let gap = bytes[after..].iter().take_while(|b| **b == b' ').count();
                    if bytes.get(after + gap) == Some(&b'{') {
                        open.push(Some((at, after + gap + 1)));
                        at = after + gap + 1;
                        continue;
                    }
                }
                // Whatever a backslash escapes is skipped with it.
                at += 1;
            }
            b'{' => open.push(None),
            b'}' => {
                if let Some(Some((command, start))) = open.pop() {
                    closed.push(Closed {
                        command,
                        start,
                        end: at,
                    });
                }
            }
            _ => {}
        }
        at += 1;
    }
    closed
}

/// The first of the boxes that are one list with `last`: `\boxed{1} and
/// \boxed{2}`.
fn first_of_list(text: &str, boxes: &[Closed], last: Closed) -> Closed {
    let mut first = last;
    for before in boxes.iter().rev() {
        if before.end >= first.command {
            continue;
        }
        let between = &text[before.end + 1..first.command];
        let letters: String = between
            .chars()
            .filter(|c| c.is_alphabetic())
            .take(20)
            .collect();
        let lists = matches!(letters.as_str(), "" | "or" | "and" | "textor" | "textand");
        // Two boxes on two lines are two tries.
        let tries = letters.is_empty() && between.contains('\n') && !between.contains(',');
        if !lists || tries || between.len() > 40 || between.contains(['.', '=']) {
            break;
        }
        first = *before;
    }
    first
}

/// What comes before a box at `command` and the signs around it, and where what
/// it says begins: at a minus sign, or at a word that denies it.
fn beginning(text: &str, command: usize) -> (&str, usize) {
    let head = before_openers(&text[..command]);
    let attached = head.len() == command;
    for sign in ['-', '\u{2212}', '\u{2013}'] {
        let Some(before) = head.strip_suffix(sign) else {
            continue;
        };
        // With room around it, it is a list's sign or a dash.
        let operand = before.trim_end_matches(is_gap).chars().next_back();
        let is_dash = operand.is_none_or(|c| c == '\n' || c.is_alphabetic());
        if attached || text[head.len()..command].starts_with(['$', '(', '\\']) || !is_dash {
            return (before_openers(before), before.len());
        }
    }
    for sign in ["\u{2260}", "\\neq", "\\ne"] {
        if let Some(before) = head.strip_suffix(sign) {
            return (head, before.len());
        }
    }
    let letter = |c: char| c.is_alphabetic() || matches!(c, '\'' | '\u{2019}');
    let word = head.trim_end_matches(letter).len();
    if DENIALS
        .iter()
        .any(|denial| head[word..].eq_ignore_ascii_case(denial))
    {
        return (head, word);
    }
    (head, command)
}

/// Where what a box says ends whose brace closes before `end`: after signs that
/// go on with it, or at the end of a line that has another answer.
fn ending(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    let goes_on = GOING_ON.iter().any(|command| rest.starts_with(command));
    if goes_on || rest.starts_with(['^', '/', '!', '%', '_']) {
        let stop = |c: char| c.is_whitespace() || matches!(c, '$' | ',' | ';');
        return end + rest.find(stop).unwrap_or(rest.len());
    }
    let closers = |c: char| is_gap(c) || matches!(c, '$' | ')' | ']' | '*' | '\\');
    let next = rest.trim_start_matches(closers);
    let is_or = next
        .strip_prefix("or")
        .is_some_and(|rest| rest.starts_with(' '));
    if is_or {
        return end + rest.find('\n').unwrap_or(rest.len());
    }
    end
}
