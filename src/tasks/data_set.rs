//! Data sets of the user's: any task that no file here knows, whose items come
//! with its norms or with a table of prompts and answers.
//!
//! An answer is right where it is the expected text, case and a full stop
//! aside, or, where the expected answer is a number, where the last number of
//! the answer is that number: `#### 1200` is answered by `That makes $1,200.`
//! Numbers are compared in decimal, as written, so 18 is 18.00 and nothing is
//! rounded. A formula is no number here; what needs one has a task of its own.

use super::grading;

/// Whether the answer of `completion` is `expected`.
pub(super) fn grade(expected: &str, completion: &str) -> bool {
    let Some(answer) = grading::answer(completion) else {
        return false;
    };
    let answer = boxed(&answer).unwrap_or(&answer).trim();
    let plain = |text: &str| text.trim().trim_end_matches('.').to_lowercase();
    if plain(answer) == plain(expected) {
        return true;
    }
    match (number(expected.trim()), last_number(answer)) {
        (Some(wanted), Some(found)) => wanted == found,
        _ => false,
    }
}

/// What the last `\boxed{}` of a text holds.
fn boxed(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("\\boxed{")?;
    let mut depth = 1_u32;
    let end = rest.find(|c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        depth == 0
    })?;
    Some(&rest[..end])
}

/// A number as sign, whole part and fraction, without what does not count.
fn number(text: &str) -> Option<(bool, String, String)> {
    let (minus, rest) = match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let rest = rest.strip_prefix('$').unwrap_or(rest);
    let rest = rest.strip_suffix('%').unwrap_or(rest);
    let (whole, fraction) = rest.split_once('.').unwrap_or((rest, ""));
    let whole: String = whole.chars().filter(|c| *c != ',').collect();
    let is_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if !is_digits(&whole) || !is_digits(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    let (whole, fraction) = (
        whole.trim_start_matches('0').to_owned(),
        fraction.trim_end_matches('0').to_owned(),
    );
    let zero = whole.is_empty() && fraction.is_empty();
    Some((minus && !zero, whole, fraction))
}

/// The last number that stands in a text, with its sign where one is before it.
fn last_number(text: &str) -> Option<(bool, String, String)> {
    text.split(|c: char| {
        !(c.is_ascii_digit() || matches!(c, '.' | ',' | '-' | '\u{2212}' | '$' | '%'))
    })
    .filter(|word| word.contains(|c: char| c.is_ascii_digit()))
    .filter_map(|word| {
        let word = word.trim_end_matches(['.', ',', '-']);
        // A range or a sum of digits: what follows the last sign.
        let from = word.rfind(['-', '\u{2212}']).unwrap_or(0);
        number(word).or_else(|| number(word[from..].trim_start_matches(['-', '\u{2212}'])))
    })
    .next_back()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_held_to_text_and_a_number_to_the_last_number() {
        for (expected, completion) in [
            ("18", "18"),
            ("18", "She makes 9 * 2 = $18 every day."),
            ("1200", "<think> 3 * 400 </think> That makes $1,200.00."),
            ("-3", "Answer: -3"),
            ("0.5", "\\boxed{.50}"),
            ("70000", "The profit is \\boxed{70,000}"),
            ("Paris", "paris."),
            ("a \\frac{1}{2} b", "\\boxed{a \\frac{1}{2} b}"),
        ] {
            assert!(grade(expected, completion), "{expected}: {completion}");
        }
        for (expected, completion) in [
            ("18", "180"),
            ("18", "18 or 19"),
            ("18", "1.8"),
            ("18", "-18"),
            ("18", "eighteen"),
            ("18", "<think> 18"),
            ("18", ""),
            ("Paris", "Paris or Rome"),
            ("18", "\\boxed{17"),
        ] {
            assert!(!grade(expected, completion), "{expected}: {completion}");
        }
    }
}
