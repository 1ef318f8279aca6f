//! What stands around answers and marks and says nothing: emphasis, quotes,
//! brackets of LaTeX and HTML, room.
//!
//! A mark may be written within such signs (`**Answer: 7**`), as may the answer
//! (`Answer: **7**`). Signs that enclose the answer alone are left to
//! [`super::normal`]; here go those that were opened before the answer and close
//! beside it, and here is found where the signs before a mark begin.

/// More signs than this around an answer are part of it.
const MAX_SIGNS: usize = 8;
/// No tag of emphasis has a longer name.
const MAX_NAME: usize = 10;

/// Room, and signs that have no width.
pub(super) fn is_room(c: char) -> bool {
    c.is_whitespace() || is_unseen(c)
}

/// Signs without width: joiners, and the byte order mark.
pub(super) fn is_unseen(c: char) -> bool {
    matches!(c, '\u{200B}'..='\u{200D}' | '\u{2060}' | '\u{FEFF}')
}

/// Room within a line.
pub(super) fn is_gap(c: char) -> bool {
    is_room(c) && c != '\n'
}

/// The character of ordinary width, in lower case where it is a letter of
/// ASCII's.
pub(super) fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '\u{FE55}' | '\u{FE13}' | '\u{2236}' => ':',
        _ => c,
    }
    .to_ascii_lowercase()
}

/// Whether `c` is a quotation mark that can close.
fn is_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '\u{201C}' | '\u{201D}' | '\u{2019}' | '\u{BB}'
    )
}

/// `line` without what was opened in `before`, the line up to it, and closes at
/// its beginning or at its end.
///
/// ```text
/// before       line        left
/// **Answer:    ** 7        7
/// **Answer:    7**         7
/// \text{Answer:   } 7      7
/// Answer:      **7**       **7**
/// ```
pub(super) fn unwrap<'a>(line: &'a str, before: &str) -> &'a str {
    let mut text = line.trim_matches(is_room);
    for _ in 0..MAX_SIGNS {
        let Some(rest) = without_first(text, before) else {
            break;
        };
        text = rest.trim_start_matches(is_room);
    }
    for _ in 0..MAX_SIGNS {
        let Some(rest) = without_last(text, before) else {
            break;
        };
        text = rest.trim_end_matches(is_room);
    }
    text
}

/// `text` without a closing sign that it begins with.
fn without_first<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let first = text.chars().next()?;
    let rest = match first {
        '*' | '_' | '`' => text.trim_start_matches(first),
        '\\' => text.strip_prefix("\\)").or(text.strip_prefix("\\]"))?,
        '<' => return after_tag(text),
        _ => &text[first.len_utf8()..],
    };
    let closes = rest.is_empty() || rest.starts_with(char::is_whitespace);
    let opened = before.contains(first) || (is_quote(first) && before.contains(is_opening_quote));
    let gone = match first {
        '}' | '\\' => true,
        '*' => closes || (opened && is_odd(text, first)),
        '_' | '`' | '$' => opened && (closes || is_odd(text, first)),
        _ if is_quote(first) => opened && (closes || is_odd(text, first)),
        _ => false,
    };
    gone.then_some(rest)
}

/// `text` without a closing sign that it ends with, and what follows that.
fn without_last<'a>(text: &'a str, before: &str) -> Option<&'a str> {
    let text =
        text.trim_end_matches(|c| is_room(c) || matches!(c, '.' | ',' | ';' | ':' | '\u{3002}'));
    let last = text.chars().next_back()?;
    let rest = &text[..text.len() - last.len_utf8()];
    match last {
        '*' | '_' | '`' | '$' if before.contains(last) && is_odd(text, last) => {
            Some(text.trim_end_matches(last))
        }
        _ if is_quote(last) => {
            let opened = before.contains(last) || before.contains(is_opening_quote);
            let quoted = rest.starts_with(is_opening_quote) && rest.ends_with(is_quote);
            let stray = quoted || (is_odd(text, last) && !rest.contains(is_opening_quote));
            (opened && stray).then_some(rest)
        }
        '}' if !rest.ends_with('\\') => (surplus(text, '{', '}')).then_some(rest),
        ')' | ']' => {
            let open = if last == ')' { '(' } else { '[' };
            let opened = before.contains(open) && surplus(text, open, last);
            opened.then(|| rest.strip_suffix('\\').unwrap_or(rest))
        }
        '>' => {
            let start = text.rfind("</")?;
            let name = &text[start + 2..text.len() - 1];
            let is_pair = text[..start].contains(&format!("<{name}>"));
            (is_name(name) && !is_pair).then(|| &text[..start])
        }
        _ => None,
    }
}

fn is_opening_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '\'' | '\u{201C}' | '\u{201E}' | '\u{2018}' | '\u{201A}' | '\u{AB}'
    )
}

/// Whether `text` has an odd number of runs of `sign` that are as long as the run
/// it begins or ends with: the sign of `2 * 3**` is no emphasis. Quotes have no length.
fn is_odd(text: &str, sign: char) -> bool {
    let run = |text: &str, rest: &str| (text.len() - rest.len()) / sign.len_utf8();
    let length = match run(text, text.trim_end_matches(sign)) {
        0 => run(text, text.trim_start_matches(sign)),
        length => length,
    };
    let mut runs = 0_usize;
    let mut rest = text;
    while let Some(at) = rest.find(sign) {
        let after = rest[at..].trim_start_matches(sign);
        runs += usize::from(is_quote(sign) || run(&rest[at..], after) == length);
        rest = after;
    }
    runs % 2 == 1
}

/// Whether `text` closes more brackets than it opens.
fn surplus(text: &str, open: char, close: char) -> bool {
    text.matches(close).count() > text.matches(open).count()
}

/// What follows a closing tag of HTML that `text` begins with.
pub(super) fn after_tag(text: &str) -> Option<&str> {
    let inside = text.strip_prefix("</")?;
    let end = inside.bytes().take(MAX_NAME + 1).position(|b| b == b'>')?;
    let (name, rest) = inside.split_at(end);
    is_name(name).then(|| &rest[1..])
}

/// Whether `name` names a tag of emphasis.
fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `head` without the signs at its end that open emphasis, quotes, mathematics
/// or a command with text, and without the room between them.
pub(super) fn before_openers(head: &str) -> &str {
    let mut head = head;
    loop {
        let before = head.len();
        head = head.trim_end_matches(|c: char| {
            is_gap(c) || is_opening_quote(c) || matches!(c, '*' | '_' | '`' | '(' | '[' | '$')
        });
        if let Some(command) = head.strip_suffix('{') {
            let name = command.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            head = name.strip_suffix('\\').unwrap_or(head);
        } else if let Some(rest) = head.strip_suffix('\\') {
            head = rest;
        } else if let Some(tag) = head.strip_suffix('>') {
            // A tag is short; a quoted line's sign has no name before it.
            let name = tag.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
            head = match name.strip_suffix('<') {
                Some(rest) if is_name(&tag[name.len()..]) => rest,
                _ => head,
            };
        }
        if head.len() == before {
            return head;
        }
    }
}

/// The start of the line that ends with `head`, where signs of lists, quotes
/// and headings are all that it holds; else the end of `head`.
pub(super) fn line_start(head: &str) -> usize {
    let signs = ['>', '#', '-', '+', '|', '\u{2022}'];
    let before = head.trim_end_matches(|c: char| is_gap(c) || signs.contains(&c));
    if before.is_empty() || before.ends_with('\n') {
        before.len()
    } else {
        head.len()
    }
}
