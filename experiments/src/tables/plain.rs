//! Text that a model or a file brought, made fit for a terminal: names, titles
//! and notes are shown by it and obeyed by nothing.

/// The text in one line that a terminal shows and does not obey: an escape
/// becomes `␛`, a line break `⏎`, and marks that turn the direction of all that
/// follows are replaced. Letters of every script stay as they are.
pub fn line(text: &str) -> String {
    text.chars().map(letter).collect()
}

/// The same with its line breaks.
pub fn lines(text: &str) -> String {
    let kept = |c| if c == '\n' { c } else { letter(c) };
    text.chars().map(kept).collect()
}

/// What is shown of a character.
pub fn letter(c: char) -> char {
    match c {
        '\n' | '\u{2028}' | '\u{2029}' => '⏎',
        '\t' => ' ',
        // Unicode has a picture of each of these, in their order.
        '\0'..='\x1f' => char::from_u32(0x2400 + c as u32).unwrap_or('\u{fffd}'),
        '\x7f' => '␡',
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200b}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' => '\u{fffd}',
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_nothing_by_a_text() {
        let written = "a\x1b[2J\r\n\u{9b}31m\x07\u{202e}cba\u{2066}\x7f";
        let shown = line(written);
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        assert_eq!(shown, "a␛[2J␍⏎\u{fffd}31m␇\u{fffd}cba\u{fffd}␡");
        assert_eq!(lines(written), shown.replace('⏎', "\n"));
    }

    #[test]
    fn letters_of_every_script_stay() {
        for text in ["晴嵐 3 + 4", "שלום", "مرحبا", "e\u{301}", "👩‍🔬"] {
            assert_eq!(line(text), text);
            assert_eq!(lines(text), text);
        }
    }
}
