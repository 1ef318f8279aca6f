//! What a template leaves out of a conversation.
//!
//! A template may write the reasoning of the last turn alone, or no turn of a
//! role that it does not know, and says nothing of it. So the conversation is
//! rendered once more with a mark of its own after each piece of each turn, and
//! the marks that come out are counted: a short answer is not taken for found
//! because its letters stand elsewhere, and neither moved text nor other white
//! space is taken for lost.
//!
//! A piece ends at a line's end or before a tag such as `</think>`, so that no
//! tag is cut in two and what a template trims is trimmed as ever.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result};
use serde_json::Map;

use super::{ChatTemplate, Message};
use crate::tasks::grading::{END_THINK, THINK};

/// A turn that a rendering does not hold as a whole.
///
/// Worked example: where `<think>6 and 7</think>\n42` is written as `42`, it is
/// `{turn: 1, reasoning: true, rest: false, whole: false}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    /// Its place in the conversation, from 0.
    pub(crate) turn: usize,
    /// Whether reasoning is missing, which stands within think tags.
    pub(crate) reasoning: bool,
    /// Whether something else is.
    pub(crate) rest: bool,
    /// Whether nothing of the turn is there.
    pub(crate) whole: bool,
}

/// The marks of a turn: after pieces of its reasoning, and of the rest.
type Marks = [char; 2];

impl ChatTemplate {
    /// Turns that the template does not write as a whole, in order; none where it
    /// refuses the marks, as one does that only knows certain texts.
    pub(crate) fn left_out(&self, messages: &[Message]) -> Result<Vec<LeftOut>> {
        let texts = messages.iter().map(|message| &*message.content);
        let used: HashSet<char> = texts
            .chain([&*self.source])
            .flat_map(str::chars)
            .filter(|&character| is_private(character))
            .collect();
        let mut unused = private().filter(|character| !used.contains(character));
        let mut turns = Vec::with_capacity(messages.len());
        let mut marked = Vec::with_capacity(messages.len());
        for message in messages {
            let marks: Marks = unused
                .next()
                .zip(unused.next())
                .context("the conversation uses every private character there is")?
                .into();
            let (content, put) = with_marks(&message.content, marks);
            turns.push((marks, put));
            marked.push(Message {
                role: message.role.clone(),
                content,
            });
        }
        let Ok(text) = self.render(&marked, false, &Map::new()) else {
            return Ok(Vec::new());
        };
        let mut found: HashMap<char, usize> = HashMap::new();
        for character in text.chars().filter(|&character| is_private(character)) {
            *found.entry(character).or_default() += 1;
        }
        let left = turns.into_iter().enumerate().map(|(turn, (marks, put))| {
            let there = marks.map(|mark| found.get(&mark).copied().unwrap_or_default());
            LeftOut {
                turn,
                reasoning: there[0] < put[0],
                rest: there[1] < put[1],
                whole: there == [0, 0],
            }
        });
        Ok(left.filter(|left| left.reasoning || left.rest).collect())
    }
}

fn is_private(character: char) -> bool {
    matches!(character, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{ffffd}' | '\u{100000}'..='\u{10fffd}')
}

fn private() -> impl Iterator<Item = char> {
    ('\u{e000}'..='\u{f8ff}')
        .chain('\u{f0000}'..='\u{ffffd}')
        .chain('\u{100000}'..='\u{10fffd}')
}

/// A text with its marks, and how many there are of each.
fn with_marks(text: &str, marks: Marks) -> (String, [usize; 2]) {
    let mut out = String::with_capacity(text.len() + 16);
    let mut put = [0; 2];
    let mut mark = |out: &mut String, at: usize| {
        let part = usize::from(!is_reasoning(text, at));
        out.push(marks[part]);
        put[part] += 1;
    };
    let mut from = 0;
    let ends = text
        .char_indices()
        .filter(|(_, character)| matches!(character, '\n' | '<' | '['))
        .map(|(at, _)| at)
        .chain([text.len()]);
    for end in ends {
        let piece = &text[from..end];
        let written = piece.trim_end();
        out.push_str(written);
        if !written.trim_start().is_empty() && !written.ends_with(['<', '>', '[', ']']) {
            mark(&mut out, from + written.len());
        }
        out.push_str(&piece[written.len()..]);
        from = end;
    }
    let written = out.trim_end().len();
    if put_none(&out, marks) && written > 0 {
        // Nothing but tags.
        let rest = out.split_off(written);
        mark(&mut out, text.trim_end().len());
        out.push_str(&rest);
    }
    (out, put)
}

fn put_none(out: &str, marks: Marks) -> bool {
    !out.contains(marks)
}

/// Whether a place in a text is within think tags, the first of which may
/// stand in the prompt and the last may be missing.
fn is_reasoning(text: &str, at: usize) -> bool {
    let closes = text.rfind(END_THINK);
    if closes.is_some_and(|close| at <= close) {
        return true;
    }
    let opens = text[..at].rfind(THINK);
    opens.is_some_and(|open| closes.is_none_or(|close| close < open))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::tokenizer::SpecialTokens;

    /// Of an assistant's turn only what follows its reasoning; of the roles, these two.
    const STRIPS: &str = "{% for m in messages %}\
        {% if m.role == 'user' %}<U>{{ m.content | trim }}{% endif %}\
        {% if m.role == 'assistant' %}<A>{{ m.content.split('</think>')[-1] }}</s>{% endif %}{% endfor %}";
    /// The reasoning of the last turn alone, in words of its own.
    const LAST: &str = "{% for m in messages %}{% set c = m.content %}\
        {% if '</think>' in c and not loop.last %}{% set c = c.split('</think>')[-1].lstrip('\n') %}{% endif %}\
        {% if '</think>' in c %}[R]{{ c.split('</think>')[0].split('<think>')[-1].strip('\n') }}[/R]{{ c.split('</think>')[-1].lstrip('\n') }}\
        {% else %}{{ c }}{% endif %}{% endfor %}";

    fn left_out(template: &str, turns: &[(&str, &str)]) -> Vec<LeftOut> {
        let messages: Vec<Message> = turns
            .iter()
            .map(|(role, content)| Message {
                role: (*role).to_owned(),
                content: (*content).to_owned(),
            })
            .collect();
        let template = ChatTemplate::new(template, SpecialTokens::default()).unwrap();
        template.left_out(&messages).unwrap()
    }

    fn reasoning(turn: usize, whole: bool) -> LeftOut {
        LeftOut {
            turn,
            reasoning: true,
            rest: false,
            whole,
        }
    }

    #[test]
    fn reasoning_that_is_not_written_is_found_wherever_its_tags_stand() {
        let question = ("user", " What is 6 times 7? \n");
        for content in [
            "<think>\n6 and 7\n</think>\n\n42",
            "<think>6 and 7</think>42",
            "6 and 7</think> 42",
            "<think>4</think>4",
        ] {
            let found = left_out(STRIPS, &[question, ("assistant", content)]);
            assert_eq!(found, [reasoning(1, false)], "{content}");
            assert_eq!(left_out(LAST, &[question, ("assistant", content)]), []);
        }
        let thoughts = ("assistant", "<think>only thoughts</think>");
        assert_eq!(
            left_out(STRIPS, &[question, thoughts]),
            [reasoning(1, true)]
        );
        assert_eq!(left_out(STRIPS, &[question, ("assistant", "42")]), []);
        // Nothing was thought, so nothing is lost.
        let none = ("assistant", "<think>\n\n</think>\n\n42");
        assert_eq!(left_out(STRIPS, &[question, none]), []);
    }

    #[test]
    fn a_turn_that_vanishes_is_found_though_its_letters_stand_elsewhere() {
        let turns = [("developer", "A"), ("user", "A or B?"), ("assistant", "A")];
        let gone = LeftOut {
            turn: 0,
            reasoning: false,
            rest: true,
            whole: true,
        };
        assert_eq!(left_out(STRIPS, &turns), std::slice::from_ref(&gone));
        let tags = [("tool", "<done>"), ("user", "?")];
        assert_eq!(left_out(STRIPS, &tags), [gone]);
        assert_eq!(left_out(STRIPS, &[("tool", " \n"), ("user", "?")]), []);
    }

    #[test]
    fn earlier_turns_lose_their_reasoning_and_the_last_one_keeps_it() {
        let thought = ("assistant", "<think>a\nb</think>\nc");
        let turns = [("user", "x"), thought, ("user", "y"), thought];
        assert_eq!(left_out(LAST, &turns), [reasoning(1, false)]);
    }

    #[test]
    fn a_text_that_is_cut_off_loses_its_end() {
        let cut = "{% for m in messages %}{{ m.content[:6] }}{% endfor %}";
        let found = left_out(cut, &[("user", "first\nsecond\nthird")]);
        assert!(found[0].rest && !found[0].whole, "{found:?}");
        // One that knows its texts word by word tells nothing.
        let knows = "{% if messages[0].content != 'a' %}{{ raise_exception('what?') }}{% endif %}";
        assert_eq!(left_out(knows, &[("user", "a")]), []);
    }

    #[test]
    fn marks_keep_out_of_tags_and_white_space() {
        let (text, put) = with_marks("<think>\nx < y \n</think>\n[1] a\n", ['R', 'S']);
        assert_eq!(text, "<think>\nxR < yR \n</think>\n[1] aS\n");
        assert_eq!(put, [2, 1]);
    }
}
