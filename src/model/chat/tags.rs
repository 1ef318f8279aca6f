//! `{% generation %}` blocks, which the template engine does not know, become
//! filtered blocks, which it does.
//!
//! The new tags stand in the place of the old, so lines and trimmed white space
//! stay what they are in transformers; `with` gives the block its own scope.

/// The filter that a block becomes the content of.
pub(super) const FILTER: &str = "__generation__";

/// The template with its generation blocks filtered, and whether it had any.
/// Its ends of lines become `\n`, as Jinja makes them.
pub(super) fn as_filters(source: &str) -> (String, bool) {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let mut out = String::with_capacity(source.len());
    let mut found = false;
    let mut rest = &*source;
    while let Some(at) = next_tag(rest) {
        let (before, tag) = rest.split_at(at);
        out.push_str(before);
        if tag.starts_with("{#") {
            rest = copy(&mut out, tag, comment_length(tag));
            continue;
        }
        let block = tag.starts_with("{%");
        let head = if block { head_length(tag) } else { 2 };
        let after = copy(&mut out, tag, head);
        let word = if block { word(after) } else { "" };
        match word {
            "generation" => {
                out.push_str("filter ");
                out.push_str(FILTER);
                out.push_str(" %}{% with ");
                found = true;
            }
            "endgeneration" => out.push_str("endwith %}{% endfilter "),
            _ => out.push_str(word),
        }
        let after = &after[word.len()..];
        let end = if block { "%}" } else { "}}" };
        let after = copy(&mut out, after, expression_length(after, end));
        rest = if word == "raw" {
            copy(&mut out, after, raw_length(after))
        } else {
            after
        };
    }
    out.push_str(rest);
    (out, found)
}

/// Takes the beginning of a text over; what is left of it.
fn copy<'a>(out: &mut String, text: &'a str, length: usize) -> &'a str {
    let (taken, rest) = text.split_at(length);
    out.push_str(taken);
    rest
}

fn next_tag(text: &str) -> Option<usize> {
    text.as_bytes()
        .windows(2)
        .position(|pair| matches!(pair, b"{%" | b"{{" | b"{#"))
}

/// Length of `{%`, a sign of white space control, and white space.
fn head_length(tag: &str) -> usize {
    let rest = &tag[2..];
    let rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    tag.len() - rest.trim_start().len()
}

fn word(text: &str) -> &str {
    let end = text
        .find(|character: char| !character.is_alphanumeric() && character != '_')
        .unwrap_or(text.len());
    &text[..end]
}

fn comment_length(tag: &str) -> usize {
    // After the opening, or "{#}" would be a whole comment.
    tag[2..].find("#}").map_or(tag.len(), |end| 2 + end + 2)
}

/// Length of an expression and the end of its tag. Neither in a string nor
/// within brackets is the end an end.
fn expression_length(text: &str, end: &str) -> usize {
    let mut depth = 0usize;
    let mut quote = None;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if let Some(open) = quote {
            if byte == open && !escaped {
                quote = None;
            }
            escaped = byte == b'\\' && !escaped;
            continue;
        }
        if depth == 0 && text.as_bytes()[at..].starts_with(end.as_bytes()) {
            return at + end.len();
        }
        match byte {
            b'"' | b'\'' => quote = Some(byte),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    text.len()
}

/// Length of what is up to the tag that ends a raw block.
fn raw_length(text: &str) -> usize {
    let mut from = 0;
    while let Some(at) = text[from..].find("{%") {
        let tag = &text[from + at..];
        if word(&tag[head_length(tag)..]) == "endraw" {
            return from + at;
        }
        from += at + 2;
    }
    text.len()
}
