//! What the answer of a completion is.
//!
//! This is the lab's measurement, and it passes through no reward: an arm may be
//! rewarded for whatever its definition says, but all arms are graded here. Nothing
//! here looks at how the work was done, only at what was answered. Where
//! completions announce answers, and which answers say the same, is read by
//! [`rewards::answers`], as it is for the reward `correct`.

use rewards::Extraction;
use rewards::answers;

/// Opens the work of a completion.
pub const THINK: &str = "<think>";
/// Closes the work of a completion; the answer follows it.
pub const END_THINK: &str = "</think>";

/// More words than this are no bare answer.
const BARE_WORDS: usize = 5;

/// The answer of `completion`: what its last mark announces after its last
/// `</think>`, without the signs around it, or all that follows the work where no
/// mark is.
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
/// assert_eq!(answer("A 1 B </think> true"), Some("true".to_owned()));
/// assert_eq!(answer("A is 1, so yes.\n**Answer**: true."), Some("true".to_owned()));
/// assert_eq!(answer("<think> A 1 B true"), None);
/// assert_eq!(answer("<think> A 1 B </think>"), None);
/// ```
pub fn answer(completion: &str) -> Option<String> {
    let read = Extraction::new("", completion).announced();
    let answer = match read.mark {
        Some(_) => answers::bare(read.answer),
        None => read.answer,
    };
    (!answer.is_empty()).then(|| answer.to_owned())
}

/// Where the announcement of the answer begins in `text`, which has no work
/// between tags; `None` where there is no mark.
pub fn answer_mark(text: &str) -> Option<usize> {
    answers::announced(text).mark
}

/// Whether a completion answers in so many words that a mark should tell its
/// answer from them, and none is found.
pub(crate) fn lacks_mark(completion: &str) -> bool {
    let read = Extraction::new("", completion).announced();
    read.mark.is_none() && read.answer.split_whitespace().nth(BARE_WORDS).is_some()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::tasks::Item;

    fn graded(expected: &str, completion: &str) -> Option<bool> {
        let item = Item {
            answer: expected.to_owned(),
            ..Item::default()
        };
        item.grade(completion).unwrap()
    }

    fn grade(expected: &str, completion: &str) -> bool {
        graded(expected, completion) == Some(true)
    }

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
            assert_eq!(
                answer(completion).map(|answer| answer.to_lowercase()),
                Some("true".to_owned()),
                "{completion}"
            );
            assert!(grade("true", completion), "{completion}");
        }
        assert_eq!(answer("Answer: **"), None);
        assert_eq!(answer("Answer: not true"), Some("not true".to_owned()));
        // Without a mark the trace keeps what was written.
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

    #[test]
    fn many_words_need_a_mark() {
        assert!(lacks_mark("I add the two. Both sides are 13, so true"));
        assert!(!lacks_mark(
            "I add the two.\nBoth sides are 13.\nAnswer: true"
        ));
        assert!(!lacks_mark(
            "<think> Both sides are 13, as it seems </think> true"
        ));
        assert!(!lacks_mark("false"));
    }

    /// The table of the reward's own tests, so that both say the same of each.
    #[test]
    fn every_completion_is_graded_as_the_reward_judges_it() {
        let table = include_str!("../../rewards/tests/data/completions.jsonl");
        for line in table.lines() {
            let item: Value = serde_json::from_str(line).unwrap();
            let field = |name: &str| item[name].as_str().unwrap();
            let graded = graded(field("expected"), field("completion"));
            assert_eq!(graded, item["judged"].as_bool(), "{line}");
        }
    }
}
