//! Rows of which the chat template does not write everything, by what is lost.
//!
//! The lab exists to imitate reasoning, so a row that would be imitated without
//! what the assistant wrote is refused. What else is lost is told: of the turns
//! before it a template leaves out reasoning by design, as it does where the
//! model is asked, and a role that it does not know is no turn to it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};

use super::tokens::Loss;
use super::{Body, named};
use crate::model::Text;

/// What one row loses.
#[derive(Debug, Default)]
pub(super) struct Lost {
    /// Reasoning that is to be imitated.
    reasoning: bool,
    /// Something else of what is to be imitated.
    written: bool,
    /// Reasoning of the assistant that the rest goes on from.
    earlier: bool,
    /// Roles of turns that are not there, or not as a whole.
    roles: BTreeSet<String>,
}

impl Lost {
    /// Of one row; nothing of one that no template writes.
    pub(super) fn of(body: &Body, loss: Loss, text: &Text) -> Result<Self> {
        let joint;
        let (turns, completion) = match body {
            Body::Turns { prompt, completion } => {
                joint = [&**prompt, completion].concat();
                (&joint, prompt.len())
            }
            Body::Messages(messages) => (messages, 0),
            Body::Asked { .. } | Body::Strings { .. } | Body::Text(_) => return Ok(Self::default()),
        };
        let Some(chat) = &text.chat else {
            return Ok(Self::default());
        };
        let trained_from = match loss.completion_only {
            Some(false) => 0,
            _ => completion,
        };
        let mut lost = Self::default();
        for left in chat.left_out(turns)? {
            let role = &turns[left.turn].role;
            // A completion ends with what is imitated, whatever its role is called.
            let ends = completion > 0 && left.turn + 1 == turns.len();
            if left.turn >= trained_from && (role == "assistant" || ends) {
                lost.reasoning |= left.reasoning;
                lost.written |= left.rest;
            } else if role == "assistant" && !left.rest && !left.whole {
                lost.earlier = true;
            } else {
                lost.roles.insert(role.clone());
            }
        }
        Ok(lost)
    }
}

/// What the rows of a source lose, by their numbers.
#[derive(Default)]
pub(super) struct Losses {
    reasoning: Vec<usize>,
    written: Vec<usize>,
    earlier: Vec<usize>,
    roles: BTreeMap<String, Vec<usize>>,
}

impl Losses {
    pub(super) fn add(&mut self, number: usize, lost: Lost) {
        if lost.reasoning {
            self.reasoning.push(number);
        } else if lost.written {
            self.written.push(number);
        }
        if lost.earlier {
            self.earlier.push(number);
        }
        for role in lost.roles {
            self.roles.entry(role).or_default().push(number);
        }
    }

    /// Refuses a source that would be imitated without what the assistant wrote.
    pub(super) fn refuse(&self, path: &Path, total: usize) -> Result<()> {
        let (rows, imitated) = match (&*self.reasoning, &*self.written) {
            ([], []) => return Ok(()),
            ([], written) => (written, "less than that"),
            (reasoning, _) => (reasoning, "answers without reasoning"),
        };
        bail!(
            "{}: of {} of {total} rows the template leaves out part of what the assistant wrote: \
             the model would imitate {imitated}; put a template that writes all of it into the \
             model's chat_template.jinja, give each turn as the \"completion\" of a row of its own \
             where only earlier turns lose it, or remove the rows: {}",
            path.display(),
            rows.len(),
            named(rows)
        );
    }

    /// What else is lost, a sentence each.
    pub(super) fn notes(&self, path: &Path, total: usize) -> Vec<String> {
        let path = path.display();
        let of_role = |(role, rows): (&String, &Vec<usize>)| {
            format!(
                "{path}: of {} of {total} rows the template leaves out what `{role}` says, or part \
                 of it: the model is not told that; give it in a turn that the template knows: {}",
                rows.len(),
                named(rows)
            )
        };
        let mut notes: Vec<String> = self.roles.iter().map(of_role).collect();
        if !self.earlier.is_empty() {
            notes.push(format!(
                "{path}: of {} of {total} rows the template leaves out the reasoning of the \
                 assistant's earlier turns, as it does where the model is asked: {}",
                self.earlier.len(),
                named(&self.earlier)
            ));
        }
        notes
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{messages, settings, source, text_side, turns};
    use super::*;
    use crate::model::chat::ChatTemplate;
    use crate::model::tokenizer::SpecialTokens;

    /// The reasoning of no turn, and two roles.
    const STRIPS: &str = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}\
        {% if m.role == 'assistant' %} {{ m.content.split('</think>')[-1] }}<|im_end|>{% endif %}{% endfor %}";

    const ASKED: (&str, &str) = ("user", "What is 17 + 25?");
    const THOUGHT: (&str, &str) = ("assistant", "<think>17 and 25</think> 42");
    const THOUGHTS: (&str, &str) = ("assistant", "<think>only thoughts</think>");

    fn stripping() -> Text {
        let mut text = text_side();
        text.chat = Some(ChatTemplate::new(STRIPS, SpecialTokens::default()).unwrap());
        text
    }

    fn refusal(bodies: Vec<Body>, toml: &str) -> String {
        let prepared = source(bodies).prepare(&settings(toml), &stripping(), 200);
        format!("{:#}", prepared.unwrap_err())
    }

    fn notes(bodies: Vec<Body>, toml: &str) -> Vec<String> {
        let prepared = source(bodies).prepare(&settings(toml), &stripping(), 200);
        let mut notes = prepared.unwrap().notes;
        notes.retain(|note| note.contains("the template leaves out"));
        notes
    }

    #[test]
    fn answers_are_never_imitated_without_their_reasoning() {
        for row in [
            turns(&[ASKED], &[THOUGHT]),
            turns(&[ASKED], &[THOUGHTS]),
            turns(&[ASKED], &[THOUGHT, ASKED, ("assistant", "42")]),
            messages(&[ASKED, THOUGHT]),
            messages(&[ASKED, THOUGHT, ASKED, ("assistant", "42")]),
        ] {
            let plain = messages(&[ASKED, ("assistant", "42")]);
            let plain = match row {
                Body::Turns { .. } => turns(&[ASKED], &[("assistant", "42")]),
                _ => plain,
            };
            let error = refusal(vec![row.clone()], "");
            let words = "rows.jsonl: of 1 of 1 rows the template leaves out part of what the \
                         assistant wrote: the model would imitate answers without reasoning";
            assert!(error.contains(words), "{row:?}: {error}");
            let error = refusal(vec![plain.clone(), row, plain], "");
            assert!(
                error.contains("of 1 of 3 rows") && error.ends_with(": 2"),
                "{error}"
            );
        }
        let prompt = turns(&[ASKED, THOUGHT, ASKED], &[("assistant", "42")]);
        let error = refusal(vec![prompt], "completion_only_loss = false");
        assert!(error.contains("answers without reasoning"), "{error}");
        let other = turns(&[ASKED], &[("gpt", "42")]);
        let error = refusal(vec![other], "");
        assert!(
            error.contains("the model would imitate less than that"),
            "{error}"
        );
    }

    #[test]
    fn what_else_is_lost_is_told_by_role_and_count() {
        let developer = messages(&[("developer", "Be brief."), ASKED, ("assistant", "42")]);
        let plain = messages(&[ASKED, ("assistant", "42")]);
        let told = notes(vec![plain.clone(), developer.clone(), developer], "");
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("of 2 of 3 rows the template leaves out what `developer` says"));
        assert!(told[0].ends_with(": 2, 3"), "{told:?}");
        let tool = turns(
            &[ASKED, ("tool", "42"), ("system", "x")],
            &[("assistant", "42")],
        );
        let told = notes(vec![tool], "");
        assert!(
            told[0].contains("`system`") && told[1].contains("`tool`"),
            "{told:?}"
        );
        let earlier = turns(&[ASKED, THOUGHT, ASKED], &[("assistant", "42")]);
        let told = notes(vec![earlier], "");
        assert!(told[0].contains("of the assistant's earlier turns") && told.len() == 1);
        let vanished = turns(&[ASKED, THOUGHTS, ASKED], &[("assistant", "42")]);
        assert!(notes(vec![vanished], "")[0].contains("`assistant`"));
        assert_eq!(notes(vec![plain], ""), [""; 0]);
    }
}
