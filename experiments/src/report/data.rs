//! The items as JSON inside the page.
//!
//! Text from models stands here and nowhere in the page's markup. The script
//! puts it in place as text, so that no completion is ever parsed as HTML.
//!
//! Completions repeat each other, so each text stands here once and a
//! completion is `[seed, sample, reasoning tokens, grade, number of its text]`,
//! the grade 0 wrong, 1 right, 2 not graded, and 3 more where the cap cut it off.
//! Tallies are `[right, graded, samples, truncated, mean tokens]`. An item,
//! with two arms of which the second has no sample of it:
//!
//! ```json
//! {"task": 0, "id": "A+3=D", "prompt": "A + 3 = D ?", "answer": "true", "human": 1523.4,
//!  "apart": [0.5, null, 0.81], "tallies": [[1, 2, 2, 0, 3.5], null],
//!  "kept": [[[1, 0, 0, 0, 0], [2, 1, 7, 1, 1]], []]}
//! ```

use std::collections::HashMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::comparison::{Comparison, ShownCompletion};
use crate::figures::palette::Palette;

use super::choice::{self, Choice, Tally};

#[derive(Serialize)]
struct Data<'a> {
    arms: Vec<Arm<'a>>,
    tasks: Vec<&'a str>,
    items: Vec<Item<'a>>,
    texts: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Arm<'a> {
    name: &'a str,
    color: String,
}

#[derive(Serialize)]
struct Item<'a> {
    task: usize,
    id: &'a str,
    prompt: &'a str,
    answer: &'a str,
    human: Option<f64>,
    apart: [Option<f64>; 3],
    tallies: Vec<Option<Counts>>,
    kept: Option<Vec<Vec<Completion>>>,
}

type Counts = (usize, usize, usize, usize, f64);
type Completion = (Option<u64>, u32, u32, u8, usize);

/// A text, or its ends with the number of characters between them.
#[derive(Serialize)]
#[serde(untagged)]
enum Text<'a> {
    Whole(&'a str),
    Cut((&'a str, usize, &'a str)),
}

/// The data block, safe between `<script>` tags.
pub(super) fn json(comparison: &Comparison, choice: &Choice<'_>) -> String {
    let colors = Palette::of(comparison);
    let mut tasks: Vec<&str> = Vec::new();
    let mut texts = Texts {
        ends: choice::ends(choice.whole),
        ..Texts::default()
    };
    let mut items = Vec::with_capacity(choice.items.len());
    for chosen in &choice.items {
        let item = chosen.of;
        let task = tasks.iter().position(|task| *task == item.task);
        let task = task.unwrap_or_else(|| {
            tasks.push(&item.task);
            tasks.len() - 1
        });
        let apart = chosen.apart;
        let arms = chosen.kept.iter().flatten();
        let kept: Vec<Vec<Completion>> = arms
            .map(|kept| kept.iter().map(|c| texts.completion(c)).collect())
            .collect();
        items.push(Item {
            task,
            id: &item.item_id,
            prompt: &item.prompt,
            answer: &item.answer,
            human: item.human_ms.map(|ms| rounded(ms, 10.0)),
            apart: [apart.outcomes, apart.tokens, apart.people]
                .map(|value| value.map(|v| rounded(v, 1000.0))),
            tallies: chosen.tallies.iter().map(|t| t.map(numbers)).collect(),
            kept: chosen.kept.is_some().then_some(kept),
        });
    }
    let arms = choice.arms.iter().map(|name| Arm {
        name,
        color: colors.hex(name),
    });
    let data = Data {
        arms: arms.collect(),
        tasks,
        items,
        texts: texts.all,
    };
    // Strings, numbers and lists: serde_json has no cause to fail on them.
    escape(&serde_json::to_string(&data).unwrap_or_else(|_| "{}".to_owned()))
}

fn numbers(tally: Tally) -> Counts {
    let tokens = rounded(tally.tokens, 10.0);
    (
        tally.right,
        tally.graded,
        tally.samples,
        tally.truncated,
        tokens,
    )
}

/// To a tenth where `parts` is 10: no more is ever shown.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}

/// The texts so far, and where each is.
#[derive(Default)]
struct Texts<'a> {
    ends: usize,
    all: Vec<Text<'a>>,
    places: HashMap<&'a str, usize>,
}

impl<'a> Texts<'a> {
    fn completion(&mut self, shown: &'a ShownCompletion) -> Completion {
        let text = shown.text.as_str();
        let all = &mut self.all;
        let at = *self.places.entry(text).or_insert_with(|| {
            all.push(choice::cut(text, self.ends).map_or(Text::Whole(text), Text::Cut));
            all.len() - 1
        });
        let grade = shown.correct.map_or(2, u8::from) + if shown.truncated { 3 } else { 0 };
        (shown.seed, shown.sample, shown.reasoning_tokens, grade, at)
    }
}

/// Outside strings JSON has no `<`, and inside them the escape means the same;
/// so no text can end the script element or open a comment in it.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '<' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn reads_back_what_it_holds() {
        let (comparison, items) = (fixture::comparison(), fixture::items());
        let text = json(&comparison, &Choice::of(&comparison, &items, 1 << 20));
        assert!(!text.contains('<'));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["arms"][3]["color"], "#0072B2");
        for (read, item) in value["items"].as_array().unwrap().iter().zip(&items) {
            let task = read["task"].as_u64().unwrap() as usize;
            assert_eq!(value["tasks"][task], item.task.as_str());
            assert_eq!(read["id"], item.item_id.as_str());
            for (at, arm) in comparison.arms.iter().enumerate() {
                let kept = read["kept"][at].as_array().unwrap();
                let expected = item.arms.get(&arm.name).map_or(&[][..], Vec::as_slice);
                assert_eq!(kept.len(), expected.len());
                for (kept, shown) in kept.iter().zip(expected) {
                    let text = kept[4].as_u64().unwrap() as usize;
                    assert_eq!(value["texts"][text], shown.text.as_str());
                    assert_eq!(kept[2], shown.reasoning_tokens);
                }
            }
        }
    }

    #[test]
    fn a_text_that_is_written_twice_stands_there_once() {
        let (comparison, mut items) = (fixture::comparison(), fixture::items());
        let again = items[0].arms["base"][0].clone();
        items[1].arms.insert("sft".to_owned(), vec![again; 40]);
        let text = json(&comparison, &Choice::of(&comparison, &items, 1 << 20));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["texts"].as_array().unwrap().len(), 4);
        assert_eq!(
            value["items"][1]["tallies"][2],
            serde_json::json!([0, 40, 40, 0, 0.0])
        );
    }
}
