//! What the answer of a completion is, and whether it is the expected one.
//!
//! This is the lab's measurement, and it is deliberately apart from every
//! reward: an arm may be rewarded for whatever its definition says, but all
//! arms are graded here. Nothing here looks at how the work was done, only at
//! what was answered.

/// Opens the work of a completion.
pub const THINK: &str = "<think>";
/// Closes the work of a completion; the answer follows it.
pub const END_THINK: &str = "</think>";
/// Marks the answer of a model that works in the open, in any case of letters.
pub const ANSWER: &str = "answer:";

/// The answer of `completion`: what follows its last `</think>`, or all of it
/// when it holds no think block, with the white space around it removed. Of
/// that, the line that follows the last [`ANSWER`] mark where there is one,
/// without a full stop at its end and without the signs of Markdown and the
/// quotation marks that models put around it.
///
/// `None` when there is no answer: nothing but white space is left, or a
/// `<think>` is still open at the end (the completion was cut off, or never
/// came to an answer). A `</think>` that nothing opened is taken as the end of
/// the work, because some chat templates put the `<think>` into the prompt.
///
/// ```
/// use qinglan::tasks::grading::answer;
///
/// assert_eq!(answer("<think> A 1 B </think> true"), Some("true".to_owned()));
/// assert_eq!(answer("true"), Some("true".to_owned()));
/// assert_eq!(answer("A 1 B </think> true"), Some("true".to_owned()));
/// assert_eq!(answer("A is 1, so yes.\nAnswer: true."), Some("true".to_owned()));
/// assert_eq!(answer("<think> A 1 B true"), None);
/// assert_eq!(answer("<think> A 1 B </think>"), None);
/// ```
pub fn answer(completion: &str) -> Option<String> {
    let rest = match completion.rfind(END_THINK) {
        Some(at) => &completion[at + END_THINK.len()..],
        None => completion,
    };
    let rest = match answer_mark(rest) {
        Some(at) => {
            let mut lines = rest[at + ANSWER.len()..].lines().map(bare);
            lines.find(|line| !line.is_empty()).unwrap_or_default()
        }
        None => rest.trim(),
    };
    (!rest.is_empty() && !rest.contains(THINK)).then(|| rest.to_owned())
}

/// A line without what may be written around an answer.
fn bare(line: &str) -> &str {
    let around = |c: char| c.is_whitespace() || matches!(c, '*' | '`' | '"');
    let line = line.trim_matches(around).trim_end_matches('.');
    line.trim_matches(around)
}

/// Where the last answer mark of `text` begins, whatever its case.
pub fn answer_mark(text: &str) -> Option<usize> {
    // ASCII lower case keeps every byte in its place.
    text.to_ascii_lowercase().rfind(ANSWER)
}

/// Whether the answer of `completion` is `expected`, upper and lower case
/// being the same. A completion that ends without an [`answer`] is wrong: people
/// who give no answer are not left out either.
///
/// ```
/// use qinglan::tasks::grading::grade;
///
/// assert!(grade("D", "<think> A 1 B 2 C 3 D </think> d"));
/// assert!(!grade("D", "<think> A 1 B 2 C </think> C"));
/// assert!(!grade("D", "<think> A 1 B 2"));
/// ```
pub fn grade(expected: &str, completion: &str) -> bool {
    answer(completion).is_some_and(|answer| answer.to_lowercase() == expected.trim().to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_follows_the_last_block() {
        assert_eq!(
            answer("<think> x </think> false <think> y </think>\n true "),
            Some("true".to_owned())
        );
        assert_eq!(answer("</think></think> 13"), Some("13".to_owned()));
    }

    #[test]
    fn what_is_around_a_marked_answer_is_no_part_of_it() {
        for completion in [
            "**Answer: true**",
            "**Answer:** True.",
            "Answer: `true`",
            "answer:\n\n\"true\".\n\nI hope this helps.",
            "First answer: false. No.\nAnswer: true",
        ] {
            assert!(grade("true", completion), "{completion}");
        }
        assert_eq!(answer("Answer: **"), None);
        assert_eq!(answer("Answer: not true"), Some("not true".to_owned()));
        // Without a mark nothing is taken away.
        assert_eq!(answer("**true**"), Some("**true**".to_owned()));
    }

    #[test]
    fn an_open_block_has_no_answer() {
        assert_eq!(answer("<think> true"), None);
        assert_eq!(answer("<think> x </think> true <think> wait"), None);
        assert_eq!(answer("true <think>"), None);
        assert!(!grade("true", "<think> true"));
    }

    #[test]
    fn silence_is_no_answer() {
        assert_eq!(answer(""), None);
        assert_eq!(answer(" \n\t"), None);
        assert_eq!(answer("<think></think> \n"), None);
    }

    #[test]
    fn only_the_whole_answer_counts() {
        assert!(grade("true", "TRUE\n"));
        assert!(grade(" true ", "true"));
        assert!(!grade("true", "not true"));
        assert!(!grade("1", "13"));
        // The expected word inside the work earns nothing.
        assert!(!grade("true", "<think> true </think> false"));
    }
}
