//! What a row of a data set is: its problem, its answer and how that is judged, by
//! the form of its columns ([`super`] lists them).

use std::fmt::Write;

use anyhow::{Context, Result, bail, ensure};
use experiments::dataset;
use rewards::answers::Judge;
use serde_json::{Map, Value};

use crate::model::chat::Message;

/// A row, by column.
pub(super) type Row = Map<String, Value>;

/// Columns that hold the problem, and those that hold the answer; of several the
/// first counts.
const PROBLEMS: [&str; 3] = ["prompt", "question", "problem"];
const ANSWERS: [&str; 4] = ["answer", "solution", "ground_truth", "expected"];
/// Columns that name the item.
pub(super) const IDS: [&str; 2] = ["id", "item_id"];

const HASHES: &str = "####";
const BOXES: [&str; 2] = ["\\boxed", "\\fbox"];

/// The form of a data set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A problem and, where there is one, a column with its answer.
    Problem {
        problem: &'static str,
        answer: Option<(&'static str, Marked)>,
    },
    /// Options to choose from; the column that says which is right.
    Choice { key: &'static str },
    /// A problem and a reward model's ground truth.
    Verl(Marked),
}

/// Where in an answer its result stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marked {
    /// It is all of it.
    Whole,
    /// After `####`.
    AfterHashes,
    /// In the last box.
    Boxed,
}

/// What a row says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Read {
    /// What comes before the problem in its conversation.
    pub(super) before: Vec<Message>,
    pub(super) prompt: String,
    /// Empty where nobody can tell a right answer.
    pub(super) answer: String,
    pub(super) judge: Judge,
    /// The item's name, where the row has one.
    pub(super) id: Option<String>,
}

impl Read {
    /// Bytes of the problem and what comes before it.
    pub(super) fn length(&self) -> usize {
        let before = self.before.iter().map(|message| message.content.len());
        before.sum::<usize>() + self.prompt.len()
    }
}

impl Form {
    /// The form of the first row.
    pub(super) fn of(row: &Row) -> Result<Self> {
        let has = |name: &str| row.get(name).is_some_and(|value| !value.is_null());
        let first = |names: &[&'static str]| names.iter().find(|name| has(name)).copied();
        if has("prompt") && has("reward_model") {
            let result = truth(row).ok().as_ref().map_or(Marked::Whole, Marked::of);
            return Ok(Self::Verl(result));
        }
        if has("question") && has("choices") {
            let key = first(&["answerKey", "answer"]);
            let key = key.context(
                "there are `choices` but no `answer` and no `answerKey` that says which is right",
            )?;
            return Ok(Self::Choice { key });
        }
        let Some(problem) = first(&PROBLEMS) else {
            let columns: Vec<&str> = row.keys().map(String::as_str).collect();
            bail!(
                "no problem is found: the columns are {}; the forms that are read are `prompt` with or \
                 without an answer, `question` and `answer` (GSM8K), `problem` and `solution` (MATH), \
                 `prompt` and `reward_model` (verl), and `question`, `choices` and `answer`; rename the columns",
                if columns.is_empty() {
                    "none".to_owned()
                } else {
                    columns.join(", ")
                }
            );
        };
        let answer = first(&ANSWERS).map(|name| {
            // A solution is work, whose result has a mark.
            let marked = (problem, name) == ("problem", "solution");
            let found = row.get(name).map_or(Marked::Whole, Marked::of);
            let unmarked = marked && found == Marked::Whole;
            (name, if unmarked { Marked::Boxed } else { found })
        });
        Ok(Self::Problem { problem, answer })
    }

    /// Its name, for people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Verl(_) => "verl",
            Self::Choice { .. } => "multiple choice",
            Self::Problem { problem, answer } => match (problem, answer) {
                ("question", Some((_, Marked::AfterHashes))) => "GSM8K",
                ("problem", Some((_, Marked::Boxed))) => "MATH",
                _ => "prompt-only",
            },
        }
    }

    /// The columns that it is made of.
    pub(super) fn columns(self) -> Vec<&'static str> {
        let own = match self {
            Self::Verl(_) => vec!["prompt", "reward_model"],
            Self::Choice { key } => vec!["question", "choices", key],
            Self::Problem { problem, answer } => {
                let answer = answer.map(|(name, _)| name);
                [problem].into_iter().chain(answer).collect()
            }
        };
        own.into_iter().chain(IDS).collect()
    }

    /// What a row says; an error says what is wrong with it, and what to do.
    pub(super) fn read(self, row: &Row) -> Result<Read> {
        let read = match self {
            Self::Verl(result) => {
                let (before, prompt) = conversation(row, "prompt")?;
                answered(
                    before,
                    prompt,
                    Some(truth(row)?),
                    "reward_model.ground_truth",
                    result,
                )?
            }
            Self::Choice { key } => choice(row, key)?,
            Self::Problem { problem, answer } => {
                let (before, prompt) = conversation(row, problem)?;
                let (name, result) = answer.unwrap_or(("answer", Marked::Whole));
                let given = row.get(name).filter(|_| answer.is_some());
                answered(before, prompt, given.cloned(), name, result)?
            }
        };
        let id = IDS.iter().find_map(|name| {
            let value = row.get(*name).filter(|value| !value.is_null())?;
            Some((name, dataset::text_of(value)))
        });
        let id = match id {
            Some((name, None)) => bail!("`{name}` is neither a text nor a number"),
            Some((_, id)) => id,
            None => None,
        };
        let columns = Some(row);
        read.judge.check(&read.answer, columns)?;
        Ok(Read { id, ..read })
    }
}

impl Form {
    /// The worked solution of a row, where it has one.
    pub(super) fn solution(self, row: &Row) -> Option<String> {
        let name = match self {
            Self::Problem {
                answer: Some((name, result)),
                ..
            } if result != Marked::Whole => name,
            // A solution beside the answer.
            Self::Problem { .. } => "solution",
            Self::Choice { .. } | Self::Verl(_) => return None,
        };
        let text = row.get(name).and_then(Value::as_str);
        text.filter(|text| !text.trim().is_empty())
            .map(str::to_owned)
    }
}

impl Marked {
    /// Where it stands in the answer of the first row.
    fn of(answer: &Value) -> Self {
        let text = answer.as_str().unwrap_or_default();
        if text.contains(HASHES) {
            Self::AfterHashes
        } else if BOXES.iter().any(|name| text.contains(name)) {
            Self::Boxed
        } else {
            Self::Whole
        }
    }
}

fn truth(row: &Row) -> Result<Value> {
    let model = row.get("reward_model").filter(|value| !value.is_null());
    let truth = model.and_then(|model| model.get("ground_truth"));
    truth
        .cloned()
        .context("`reward_model` has no `ground_truth`: give it one, or remove the row")
}

/// A problem in a column, and what comes before it where it ends a conversation.
fn conversation(row: &Row, name: &str) -> Result<(Vec<Message>, String)> {
    let value = row.get(name).filter(|value| !value.is_null());
    let value = value.with_context(|| format!("it has no `{name}`; the first row has"))?;
    let (before, prompt) = if let Value::Array(list) = value {
        let mut messages = Message::list(name, list)?;
        let last = messages.pop();
        let last = last.with_context(|| format!("`{name}` is a conversation of no messages"))?;
        ensure!(
            last.role == "user",
            "`{name}` ends with a message of the role {:?}: a problem is asked by the user, so its last message must be",
            last.role
        );
        (messages, last.content)
    } else {
        let text = dataset::text_of(value);
        let text =
            text.with_context(|| format!("`{name}` is neither a text nor a list of messages"))?;
        (Vec::new(), text)
    };
    ensure!(
        !prompt.trim().is_empty(),
        "`{name}` is empty: nobody can be asked it; write the problem, or remove the row"
    );
    Ok((before, prompt))
}

/// A row whose answer, where there is one, is `given` in the column `name`.
fn answered(
    before: Vec<Message>,
    prompt: String,
    given: Option<Value>,
    name: &str,
    result: Marked,
) -> Result<Read> {
    let text = match given.filter(|value| !value.is_null()) {
        None => None,
        Some(value) => Some(dataset::text_of(&value).with_context(|| {
            format!("`{name}` is no text: write the answer as one, or rename the column")
        })?),
    };
    let text = text.unwrap_or_default();
    let answer = match result {
        Marked::Whole => text.trim(),
        Marked::AfterHashes => {
            let after = text.rsplit_once(HASHES).map(|(_, after)| after.trim());
            after.filter(|after| !after.is_empty()).with_context(|| {
                format!("`{name}` has no result after `{HASHES}`, as that of the first row has; write it there, or remove the row")
            })?
        }
        Marked::Boxed => {
            let inside = boxed(&text).filter(|inside| !inside.is_empty());
            inside.with_context(|| {
                format!("`{name}` has no `\\boxed{{...}}` that closes and holds a result; write one around it, or remove the row")
            })?
        }
    };
    let answer = answer.to_owned();
    Ok(Read {
        before,
        prompt,
        answer,
        judge: Judge::Same,
        id: None,
    })
}

/// What the last box of a solution holds; `\boxed 2`, without braces, goes on to
/// the end of the formula. `None` where there is no box, or it never closes.
fn boxed(text: &str) -> Option<&str> {
    let begin = BOXES
        .iter()
        .filter_map(|name| Some(text.rfind(name)? + name.len()))
        .max()?;
    let rest = text[begin..].trim_start();
    let Some(inside) = rest.strip_prefix('{') else {
        let end = rest.find(['$', '\n']).unwrap_or(rest.len());
        return Some(rest[..end].trim());
    };
    let mut depth = 1;
    let mut escaped = false;
    for (at, character) in inside.char_indices() {
        match character {
            '{' if !escaped => depth += 1,
            '}' if !escaped => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(inside[..at].trim());
        }
        escaped = character == '\\' && !escaped;
    }
    None
}

/// The letter of the option at `index`, below 26.
fn letter(index: usize) -> char {
    char::from(b'A' + index as u8)
}

fn choice(row: &Row, key: &str) -> Result<Read> {
    let (before, question) = conversation(row, "question")?;
    let (texts, labels) = options(row.get("choices").unwrap_or(&Value::Null))?;
    ensure!(
        (2..=26).contains(&texts.len()),
        "`choices` has {} options: give 2 to 26",
        texts.len()
    );
    let given = row.get(key).unwrap_or(&Value::Null);
    let index = right(given, &texts, &labels).with_context(|| {
        format!(
            "`{key}` is {given}, which is none of the {} options: write the letter of one, or its index from 0",
            texts.len()
        )
    })?;
    let mut prompt = question;
    for (index, text) in texts.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(prompt, "\n{}) {text}", letter(index));
    }
    Ok(Read {
        before,
        prompt,
        answer: letter(index).to_string(),
        judge: Judge::Choice,
        id: None,
    })
}

/// The texts of the options, and their labels where they have any.
fn options(choices: &Value) -> Result<(Vec<String>, Vec<String>)> {
    let texts = |name: &str, value: Option<&Value>| -> Result<Vec<String>> {
        let list = value.and_then(Value::as_array);
        let list = list.with_context(|| format!("{name} is no list of texts"))?;
        let text = |value| dataset::text_of(value).filter(|text| !text.trim().is_empty());
        let each = list.iter().map(text).collect::<Option<_>>();
        each.with_context(|| format!("{name} has an option that is empty or no text"))
    };
    if choices.is_object() {
        let labels = texts("`choices.label`", choices.get("label"))?;
        let texts = texts("`choices.text`", choices.get("text"))?;
        ensure!(
            labels.len() == texts.len(),
            "`choices` has {} labels of {} options",
            labels.len(),
            texts.len()
        );
        return Ok((texts, labels));
    }
    Ok((texts("`choices`", Some(choices))?, Vec::new()))
}

/// The index of the right option: a label, an index from 0, a letter, or the text of
/// one option alone.
fn right(given: &Value, texts: &[String], labels: &[String]) -> Option<usize> {
    let only = |found: &[String], text: &str| {
        let mut alike = (0..found.len()).filter(|index| found[*index] == text);
        alike.next().filter(|_| alike.next().is_none())
    };
    let text = dataset::text_of(given)?;
    let text = text.trim();
    if let Some(index) = only(labels, text) {
        return Some(index);
    }
    if given.is_number() {
        let index = usize::try_from(dataset::count_of(given)?).ok()?;
        return (index < texts.len()).then_some(index);
    }
    let mut letters = text.chars();
    let by_letter = match (letters.next(), letters.next()) {
        (Some(only), None) => {
            (0..texts.len()).find(|index| letter(*index) == only.to_ascii_uppercase())
        }
        _ => None,
    };
    by_letter.or_else(|| only(texts, text))
}

#[cfg(test)]
mod tests;
