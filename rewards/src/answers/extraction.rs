//! Where a completion reasons, and what it answers.
//!
//! # Reasoning
//!
//! Reasoning stands between `<think>` and `</think>`, written exactly so. The
//! last tag decides where the answer is, the first where reasoning begins:
//!
//! | tags, in order | [`Thinking`] | reasoning | answer |
//! |---|---|---|---|
//! | none | `Absent` | empty | everything |
//! | `<think>` `</think>` | `Closed` | between them | what follows |
//! | the last is `<think>` | `Unclosed` | from the first tag to the end | none: thought never ended |
//! | the first is `</think>`, the last also | `Unopened` | from the start to the last tag | what follows the last tag |
//! | anything else | `Repeated` | from the first tag to the last | what follows the last tag |
//!
//! Where the first tag is `</think>`, "from the first tag" means from the start
//! of the completion. Tags inside reasoning stay in it as text. Text before the
//! first `<think>` is neither reasoning nor answer. Some chat templates end the
//! prompt with `<think>`: then the completion is read as if it began with one.
//!
//! What follows the reasoning is read by [`super::announced`]; a mark inside the
//! reasoning is none. All of it takes linear time.

use super::marks::{Announced, announced};

const OPEN: &str = "<think>";
const CLOSE: &str = "</think>";

/// How the tags of a completion stand. See the module for the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// No tag.
    Absent,
    /// One opening tag and then one closing tag.
    Closed,
    /// The last tag opens.
    Unclosed,
    /// The first tag closes, and so does the last.
    Unopened,
    /// Any other sequence of tags.
    Repeated,
}

/// A completion taken apart; every part is a slice of it.
///
/// # Example
///
/// ```
/// use rewards::Extraction;
///
/// let read = Extraction::new("A + 2 = C ?", "<think> A 1 B 2 C </think> true");
/// assert_eq!(read.reasoning, " A 1 B 2 C ");
/// assert_eq!(read.answer(), "true");
///
/// let read = Extraction::new("3 + 4?", r"Let me see. \boxed{6}, no: \boxed{7}.");
/// assert_eq!((read.reasoning, read.answer()), ("", "7"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extraction<'a> {
    /// How the tags stand.
    pub thinking: Thinking,
    /// What comes before the first `<think>` that begins the reasoning; empty
    /// in most completions.
    pub before: &'a str,
    /// The reasoning without the tags around it, untrimmed.
    pub reasoning: &'a str,
    /// What follows the reasoning, untrimmed.
    pub after: &'a str,
}

impl<'a> Extraction<'a> {
    /// Reads a completion. Of the prompt only one thing matters: whether it
    /// ends with `<think>`, white space aside.
    pub fn new(prompt: &str, completion: &'a str) -> Self {
        // The tag a prompt ends with stands at the start and takes no room.
        let opened_by_prompt = prompt.trim_end().ends_with(OPEN).then_some(Tag {
            opens: true,
            start: 0,
            end: 0,
        });
        let mut tags = opened_by_prompt.into_iter().chain(tags(completion));
        let Some(first) = tags.next() else {
            return Self {
                thinking: Thinking::Absent,
                before: "",
                reasoning: "",
                after: completion,
            };
        };
        let (last, count) = tags.fold((first, 1), |(_, count), tag| (tag, count + 1));

        let thinking = match (first.opens, last.opens) {
            (_, true) => Thinking::Unclosed,
            (false, false) => Thinking::Unopened,
            (true, false) if count == 2 => Thinking::Closed,
            (true, false) => Thinking::Repeated,
        };
        let (before, start) = if first.opens {
            (&completion[..first.start], first.end)
        } else {
            ("", 0)
        };
        let (end, after) = if last.opens {
            (completion.len(), "")
        } else {
            (last.start, &completion[last.end..])
        };
        Self {
            thinking,
            before,
            reasoning: &completion[start..end],
            after,
        }
    }

    /// The answer, white space around it removed; empty where there is none.
    pub fn answer(&self) -> &'a str {
        self.announced().answer
    }

    /// The answer, and where in [`Self::after`] it is announced.
    pub fn announced(&self) -> Announced<'a> {
        announced(self.after)
    }
}

#[derive(Clone, Copy)]
struct Tag {
    opens: bool,
    start: usize,
    end: usize,
}

/// The tags of `text`, in order.
fn tags(text: &str) -> impl Iterator<Item = Tag> + '_ {
    text.match_indices('<').filter_map(|(start, _)| {
        let opens = text[start..].starts_with(OPEN);
        let length = if opens {
            OPEN.len()
        } else if text[start..].starts_with(CLOSE) {
            CLOSE.len()
        } else {
            return None;
        };
        Some(Tag {
            opens,
            start,
            end: start + length,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Noise;

    fn read(completion: &str) -> (Thinking, &str, &str, &str) {
        let read = Extraction::new("?", completion);
        (read.thinking, read.before, read.reasoning, read.after)
    }

    #[test]
    fn every_row_of_the_table() {
        use Thinking::{Absent, Closed, Repeated, Unclosed, Unopened};
        for (completion, expected) in [
            ("", (Absent, "", "", "")),
            ("a < b", (Absent, "", "", "a < b")),
            ("<think>a</think>b", (Closed, "", "a", "b")),
            ("x<think>a</think>b", (Closed, "x", "a", "b")),
            ("<think></think>", (Closed, "", "", "")),
            ("<think>a", (Unclosed, "", "a", "")),
            (
                "<think>a</think>b<think>c",
                (Unclosed, "", "a</think>b<think>c", ""),
            ),
            (
                "a</think>b<think>c",
                (Unclosed, "", "a</think>b<think>c", ""),
            ),
            ("a</think>b", (Unopened, "", "a", "b")),
            ("a</think>b</think>c", (Unopened, "", "a</think>b", "c")),
            (
                "a</think>b<think>c</think>d",
                (Unopened, "", "a</think>b<think>c", "d"),
            ),
            (
                "<think>a<think>b</think>c",
                (Repeated, "", "a<think>b", "c"),
            ),
            (
                "<think>a</think>b</think>c",
                (Repeated, "", "a</think>b", "c"),
            ),
            ("<<think>a<</think>>b", (Closed, "<", "a<", ">b")),
            ("<THINK>a</THINK>b", (Absent, "", "", "<THINK>a</THINK>b")),
            ("<think", (Absent, "", "", "<think")),
        ] {
            assert_eq!(read(completion), expected, "{completion}");
        }
    }

    #[test]
    fn a_prompt_that_opens_the_block_counts_as_an_opening_tag() {
        let prompt = "user: 3 + 4?\nassistant: <think>\n";
        for (completion, thinking, reasoning, after) in [
            ("a</think>b", Thinking::Closed, "a", "b"),
            ("a", Thinking::Unclosed, "a", ""),
            ("", Thinking::Unclosed, "", ""),
            ("<think>a</think>b", Thinking::Repeated, "<think>a", "b"),
        ] {
            let read = Extraction::new(prompt, completion);
            assert_eq!(
                (read.thinking, read.reasoning, read.after),
                (thinking, reasoning, after)
            );
        }
        let closed = Extraction::new("<think></think>", "7");
        assert_eq!((closed.thinking, closed.answer()), (Thinking::Absent, "7"));
    }

    #[test]
    fn a_marker_inside_the_reasoning_announces_nothing() {
        let thought = Extraction::new("?", r"<think>\boxed{1} Answer: 2</think> 3");
        assert_eq!(thought.answer(), "3");
        let endless = Extraction::new("?", "<think> Answer: 2");
        assert_eq!(endless.answer(), "");
    }

    /// Quadratic time would be minutes for each of these.
    #[test]
    fn megabytes_are_read_in_linear_time() {
        let pieces = r"< <think> </think> \boxed{ { } \ Answer: answer : * Answer* \n <answer>
                       </answer> <answer></answer> #### \fbox{ # \frac{ ^ \text{";
        for piece in pieces
            .split_whitespace()
            .chain([
                " ",
                "\n",
                "Answer:\n",
                "\u{1F600}",
                "if the answer is ",
                "Answer:\n- ",
            ])
            .chain([
                "\\boxed{1} or ",
                "\\boxed{1}, ",
                "the final ",
                "Answer: please ",
                "\u{FF21}",
            ])
            .chain([
                "feel free to. ",
                "- \\boxed{1}",
                "**Answer** ",
                "Answer: }",
                "Answer,\n",
                "w",
            ])
        {
            let text = piece.repeat(1_500_000 / piece.len());
            for prompt in ["", "<think>"] {
                let read = Extraction::new(prompt, &text);
                assert!(read.answer().len() <= read.after.len());
            }
        }
        let text = format!("<think>{}</think> Answer: 7", "a ".repeat(500_000));
        let read = Extraction::new("?", &text);
        assert_eq!((read.reasoning.len(), read.answer()), (1_000_000, "7"));
    }

    #[test]
    fn on_random_text_the_parts_are_in_order_and_account_for_every_byte() {
        let pieces = "<think> </think> <think think> < > / \\boxed{ \\ { } Answer: answer : * \
                      7 true \u{0667} \u{1F600} \n \0";
        let mut pieces: Vec<&str> = pieces.split(' ').collect();
        pieces.push(" ");
        let mut noise = Noise(5);
        let mut seen = [0; 5];
        for _ in 0..20_000 {
            let text = noise.text(&pieces, 12);
            let prompt = ["?", "<think>\n"][noise.below(2)];
            let read = Extraction::new(prompt, &text);
            seen[read.thinking as usize] += 1;

            let parts = [read.before, read.reasoning, read.after];
            let tags = text.len() - parts.concat().len();
            assert!([0, 7, 8, 15].contains(&tags), "{text:?}");
            assert!(text.starts_with(read.before), "{text:?}");
            assert!(text.ends_with(read.after), "{text:?}");
            assert!(text.contains(read.reasoning), "{text:?}");
            assert!(read.after.contains(read.answer()), "{text:?}");
            assert_eq!(read.answer().trim(), read.answer(), "{text:?}");

            // `Option` orders as positions do: no tag comes before any.
            let (opens, closes) = (text.rfind(OPEN), text.rfind(CLOSE));
            let expected = match closes {
                Some(at) if closes > opens => &text[at + CLOSE.len()..],
                None if opens.is_none() && prompt == "?" => &text,
                _ => "",
            };
            assert_eq!(read.after, expected, "{text:?}");
        }
        assert!(seen.iter().all(|count| *count > 300), "{seen:?}");
    }
}
