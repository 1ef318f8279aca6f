//! Whether a completion has the form that was asked for.
//!
//! Formula: 1 if the completion is exactly one `<think>...</think>` block, with
//! nothing but white space before it and a non-empty answer after it; else 0.
//! With `answer_tags`, what follows the block must be exactly one
//! `<answer>...</answer>` pair with something in it and nothing but white space
//! around it. Range: {0, 1}. The block may be empty, and an opening tag at the end
//! of the prompt counts as the completion's own. A block that the prompt both
//! opens and closes does not.
//!
//! Source: the format reward of DeepSeek-R1 (arXiv 2501.12948), and TRL's
//! `think_format_reward`. Departures from TRL's: an answer is required (TRL
//! accepts a completion that ends with `</think>`), a second `</think>` is not
//! accepted, and white space may come first.
//!
//! What it deliberately does not do: look at what is thought or answered, or
//! at whether the completion was truncated.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::answers::Thinking;
use crate::answers::{CLOSE, OPEN};
use crate::{Extraction, Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "format";

/// Parameters of [`Format`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// Whether the answer must stand between `<answer>` and `</answer>`; default
    /// false.
    pub answer_tags: bool,
}

/// One think block and then an answer: 1, else 0.
///
/// Parts: `block` (0 or 1, exactly one block and nothing before it) and
/// `answered` (0 or 1, a non-empty answer, in its tags where they are asked for).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    answer_tags: bool,
}

impl Format {
    /// A judge with these parameters.
    pub fn new(parameters: &Parameters) -> Self {
        Self {
            answer_tags: parameters.answer_tags,
        }
    }

    fn judge(&self, item: &Scored<'_>) -> Score {
        let read = Extraction::new(item.prompt, item.completion);
        let block = read.thinking == Thinking::Closed && read.before.trim().is_empty();
        let tagged = !self.answer_tags || is_one_pair(read.after);
        let answered = tagged && !read.answer().is_empty();
        Score::new(f64::from(u8::from(block && answered)))
            .with_part("block", f64::from(u8::from(block)))
            .with_part("answered", f64::from(u8::from(answered)))
    }
}

/// Whether `text` is one pair of answer tags and nothing else.
fn is_one_pair(text: &str) -> bool {
    let inside = text.trim().strip_prefix(OPEN);
    let inside = inside.and_then(|text| text.strip_suffix(CLOSE));
    inside.is_some_and(|inside| !inside.contains(OPEN) && !inside.contains(CLOSE))
}

impl Reward for Format {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        Ok(batch.iter().map(|item| self.judge(item)).collect())
    }

    fn independent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{item, score};

    fn value(prompt: &str, completion: &str) -> f64 {
        judged(false, prompt, completion)
    }

    fn judged(answer_tags: bool, prompt: &str, completion: &str) -> f64 {
        let item = Scored {
            prompt,
            ..item(completion, "")
        };
        let score = score(&Format { answer_tags }, item).expect("format judges any text");
        score.value.expect("format applies to any text")
    }

    #[test]
    fn one_block_and_an_answer() {
        for completion in [
            "<think> A 1 B </think> true",
            "<think></think>7",
            " \n<think>a\nb</think>\nAnswer: 7",
            "<think> \u{1F914} </think> \u{0667}",
        ] {
            assert_eq!(
                value("?", completion).to_bits(),
                1.0_f64.to_bits(),
                "{completion}"
            );
        }
    }

    #[test]
    fn every_other_form_is_worth_nothing() {
        for completion in [
            "",
            "true",
            "<think> a </think>",
            "<think> a </think> \n\t",
            "<think> a </think> Answer:",
            r"<think> a </think> \boxed{ }",
            "<think> a true",
            "a </think> true",
            "Well. <think> a </think> true",
            "<think> a </think> b </think> true",
            "<think> a <think> b </think> true",
            "<think> a </think> true <think> b",
            "</think> <think> true",
            "<Think> a </Think> true",
            "<think > a </think > true",
        ] {
            assert_eq!(
                value("?", completion).to_bits(),
                0.0_f64.to_bits(),
                "{completion}"
            );
        }
    }

    #[test]
    fn a_prompt_may_open_the_block() {
        assert!(value("?\n<think>\n", "a </think> true") > 0.5);
        assert!(value("?\n<think>\n", "<think> a </think> true") < 0.5);
        assert!(value("?\n<think>\n", "true") < 0.5);
        assert!(value("?\n<think></think>", "true") < 0.5);
    }

    #[test]
    fn answer_tags_may_be_asked_for() {
        let asked = |completion: &str| judged(true, "?", completion) > 0.5;
        for completion in [
            "<think>a</think><answer>7</answer>",
            "<think>a</think>\n<answer> 7 </answer>\n",
            r"<think><answer>6</answer></think> <answer>\boxed{7}</answer>",
        ] {
            assert!(asked(completion), "{completion}");
            assert!(value("?", completion) > 0.5, "{completion}");
        }
        for completion in [
            "<think>a</think>7",
            "<think>a</think><answer></answer>",
            "<think>a</think><answer> </answer>",
            "<think>a</think><answer>7",
            "<think>a</think>7</answer>",
            "<think>a</think><answer>6</answer><answer>7</answer>",
            "<think>a</think><answer><answer>7</answer></answer>",
            "<think>a</think>so <answer>7</answer>",
            "<think>a</think><answer>7</answer>.",
            "<think>a</think><Answer>7</Answer>",
            "<answer>7</answer>",
            "<answer>6</answer><think>a</think><answer>7</answer>",
        ] {
            assert!(!asked(completion), "{completion}");
        }
    }
}
