//! The answer within what follows the reasoning.
//!
//! The rules are those of [`crate::extraction`], section "Answer"; here they
//! are carried out.

/// What opens a box.
const BOXES: [&str; 2] = ["\\boxed{", "\\fbox{"];
/// What stands before the answer in GSM8K's solutions.
pub(crate) const HASHES: &str = "####";
/// The tags around an answer.
pub(crate) const OPEN: &str = "<answer>";
pub(crate) const CLOSE: &str = "</answer>";
const ANSWER: &str = "answer";

/// What the last marker of `text` announces, or all of it.
pub(crate) fn announced(text: &str) -> &str {
    let announced = match tagged(text) {
        // Of a marker within a marker the inner counts.
        Some((inside, after)) => marked(after)
            .or_else(|| marked(inside))
            .map_or(inside, |(_, answer)| answer),
        None => marked(text).map_or(text, |(_, answer)| answer),
    };
    announced.trim()
}

/// What the last closed pair of answer tags encloses, and what follows it.
fn tagged(text: &str) -> Option<(&str, &str)> {
    // Few texts have tags, and this byte is found fast.
    text.find('<')?;
    let (before, _) = text.rsplit_once(CLOSE)?;
    let start = before.rfind(OPEN)? + OPEN.len();
    text[start..].split_once(CLOSE)
}

/// What the last marker other than tags announces, with the place it stands at.
fn marked(text: &str) -> Option<(usize, &str)> {
    let markers = [last_box(text), last_answer_line(text), last_line(text)];
    markers.into_iter().flatten().max_by_key(|(at, _)| *at)
}

/// What follows `####` on the last line that is not blank.
fn last_line(text: &str) -> Option<(usize, &str)> {
    let text = text.trim_end();
    let start = text.rfind('\n').map_or(0, |end| end + 1);
    let answer = text[start..].trim_start().strip_prefix(HASHES)?;
    // Five are a heading of another level.
    (!answer.starts_with('#')).then(|| (text.len() - answer.len(), answer))
}

/// The content of the closed box that opens last, with the place it opens at.
///
/// One pass with a stack: looking for the closing brace of every box in turn
/// would take quadratic time on text that only opens them.
fn last_box(text: &str) -> Option<(usize, &str)> {
    // Most completions of word-level models have no box at all.
    text.find('\\')?;
    let bytes = text.as_bytes();
    let mut open: Vec<(bool, usize)> = Vec::new();
    let mut last: Option<(usize, &str)> = None;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => {
                let opens = |name: &&&str| bytes[at..].starts_with(name.as_bytes());
                if let Some(name) = BOXES.iter().find(opens) {
                    at += name.len();
                    open.push((true, at));
                    continue;
                }
                // Whatever a backslash escapes is skipped with it.
                at += 1;
            }
            b'{' => open.push((false, at)),
            b'}' => {
                if let Some((true, start)) = open.pop()
                    && last.is_none_or(|(latest, _)| latest < start)
                {
                    last = Some((start, &text[start..at]));
                }
            }
            _ => {}
        }
        at += 1;
    }
    last
}

/// What follows the last `Answer:`, with the place it follows at.
fn last_answer_line(text: &str) -> Option<(usize, &str)> {
    let bytes = text.as_bytes();
    let mut end = bytes.len();
    // Backwards from colon to colon. What `trim_filler` looks at ends at the
    // colon before, so the whole is linear.
    while let Some(colon) = bytes[..end].iter().rposition(|byte| *byte == b':') {
        let head = trim_filler(&bytes[..colon]);
        if ends_with_word(head, ANSWER) {
            let start = colon + 1;
            let rest = text[start..].trim_start_matches('*').trim_start();
            return Some((start, rest.lines().next().unwrap_or("")));
        }
        end = colon;
    }
    None
}

/// `bytes` without the white space and asterisks at their end.
fn trim_filler(bytes: &[u8]) -> &[u8] {
    let filler = |byte: &u8| *byte == b'*' || byte.is_ascii_whitespace();
    let last = bytes.iter().rposition(|byte| !filler(byte));
    &bytes[..last.map_or(0, |last| last + 1)]
}

/// Whether `bytes` end with `word` in any case, as a word of its own.
fn ends_with_word(bytes: &[u8], word: &str) -> bool {
    let Some(start) = bytes.len().checked_sub(word.len()) else {
        return false;
    };
    // A byte outside ASCII before the word is taken for part of a letter.
    bytes[start..].eq_ignore_ascii_case(word.as_bytes())
        && bytes[..start]
            .last()
            .is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::announced;

    #[test]
    fn the_last_marker_announces_the_answer() {
        for (text, expected) in [
            (" true ", "true"),
            ("Answer: 7", "7"),
            ("The answer is 7", "The answer is 7"),
            ("so **Answer:** 7\nDone.", "7"),
            ("**Answer**: 7", "7"),
            ("ANSWER : 7", "7"),
            ("Answer:\n\n7\nDone.", "7"),
            ("Answer:", ""),
            ("Answer: 1\nAnswer: 2", "2"),
            ("Answer: at 12:30", "at 12:30"),
            ("MyAnswer: 7", "MyAnswer: 7"),
            ("\u{00E9}answer: 7", "\u{00E9}answer: 7"),
            (r"is \boxed{7}.", "7"),
            (r"\boxed{1} \boxed{2}", "2"),
            (r"\boxed{a \boxed{b} c}", "b"),
            (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
            (r"\boxed{\{1\}}", r"\{1\}"),
            (r"\boxed{a\}b}", r"a\}b"),
            (r"\boxed{1} \boxed{2", "1"),
            (r"\boxed{2", r"\boxed{2"),
            (r"} \boxed{2}", "2"),
            (r"\boxed{}", ""),
            (r"Answer: \boxed{7} cm", "7"),
            ("\\boxed{6}\nAnswer: 7", "7"),
            ("Answer: \u{4E03}\u{1F600}", "\u{4E03}\u{1F600}"),
            ("\\\u{1F600}\\boxed{\u{00E9}}", "\u{00E9}"),
            (r"\fbox{7}", "7"),
            ("so <answer> 7 </answer>.", "7"),
            ("<answer>6</answer> <answer>7</answer>", "7"),
            ("<answer>7</answer> <answer>8", "7"),
            ("<answer>7</answer></answer>", "7"),
            ("<answer>6<answer>7</answer></answer>", "7"),
            ("<answer>7", "<answer>7"),
            ("7</answer>", "7</answer>"),
            ("</answer>7<answer>", "</answer>7<answer>"),
            ("<answer></answer>", ""),
            ("<Answer>7</Answer>", "<Answer>7</Answer>"),
            ("<answer>Answer: 7</answer>", "7"),
            (r"<answer>so \boxed{7}, yes</answer>", "7"),
            (r"\boxed{<answer>7</answer>}", "7"),
            (r"\boxed{6} <answer>7</answer>", "7"),
            ("Answer: <answer>7</answer> cm", "7"),
            ("<answer>6</answer>\nAnswer: 7", "7"),
            (r"<answer>6</answer> no, \boxed{7}", "7"),
            ("6 * 7 = 42.\n#### 42", "42"),
            ("#### 42 \n\n", "42"),
            ("#### Answer: 42", "42"),
            ("#### Result\n42", "#### Result\n42"),
            ("##### 42", "##### 42"),
            ("6 #### 7", "6 #### 7"),
            ("####", ""),
            ("\\boxed{6}\n#### 7", "7"),
        ] {
            assert_eq!(announced(text), expected, "{text}");
        }
    }
}
