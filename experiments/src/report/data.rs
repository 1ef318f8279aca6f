//! The items as JSON inside the page.
//!
//! Text from models stands here and nowhere in the page's markup. The script
//! puts it in place as text, so that no completion is ever parsed as HTML.
//!
//! Completions repeat each other, so each text stands here once and a
//! completion is `[seed, sample, reasoning tokens, grade, number of its text]`,
//! the grade as [`samples::grade`] has it. Times are `[mean ms, e^(human cost),
//! e^(what the covariates predict of it)]`; tallies are `[right, graded, samples,
//! cut off, mean tokens, cost, what the covariates predict of it]`. An item,
//! with two arms of which the second has no sample of it:
//!
//! ```json
//! {"task": 0, "id": "A+3=D", "prompt": "A + 3 = D ?", "answer": "true", "human": [1523.4, 1495.2, 1210.0],
//!  "cluster": "A+3", "covariates": [3], "apart": [0.5, null, 0.81, 0.212, 0.4],
//!  "tallies": [[1, 2, 2, 0, 3.5, 1.386, 1.411], null], "samples": [[[1, 0, [1]], [2, 1, [43]]], []],
//!  "kept": [[[1, 0, 0, 1, 0], [2, 1, 7, 1, 1]], []]}
//! ```

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use serde::Serialize;

use crate::comparison::{Comparison, ShownCompletion};
use crate::figures::palette::Palette;
use crate::tables::format::{self, Quantity};

use super::choice::{self, Choice, Tally};
use super::samples::{self, Run};

#[derive(Serialize)]
struct Data<'a> {
    arms: Vec<Arm<'a>>,
    tasks: Vec<Task<'a>>,
    items: Vec<Item<'a>>,
    texts: Vec<Text<'a>>,
}

#[derive(Serialize)]
struct Arm<'a> {
    name: &'a str,
    color: String,
}

#[derive(Serialize)]
struct Task<'a> {
    name: &'a str,
    /// Names of the covariates of its items.
    covariates: Vec<&'a str>,
    /// Multiple correlation of human cost with all of them, in words.
    fitted: Option<String>,
    /// Whether people have a time for any of its items.
    timed: bool,
}

#[derive(Serialize)]
struct Item<'a> {
    task: usize,
    id: &'a str,
    prompt: &'a str,
    answer: &'a str,
    human: [Option<f64>; 3],
    cluster: Option<&'a str>,
    /// In the order of the task's names.
    covariates: Vec<Option<f64>>,
    apart: [Option<f64>; 5],
    tallies: Vec<Option<Counts>>,
    samples: Option<&'a [Vec<Run>]>,
    kept: Option<Vec<Vec<Completion>>>,
}

type Counts = (usize, usize, usize, usize, f64, Option<f64>, Option<f64>);
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
    let mut tasks: Vec<Task<'_>> = Vec::new();
    let mut texts = Texts {
        ends: choice::ends(choice.whole),
        ..Texts::default()
    };
    let mut items = Vec::with_capacity(choice.items.len());
    for chosen in &choice.items {
        let item = chosen.of;
        let task = tasks.iter().position(|task| task.name == item.task);
        let task = task.unwrap_or_else(|| {
            tasks.push(of_task(comparison, choice, &item.task));
            tasks.len() - 1
        });
        let apart = chosen.apart;
        let value = |name: &&str| item.covariates.get(*name).copied();
        let arms = chosen.kept.iter().flatten();
        let kept: Vec<Vec<Completion>> = arms
            .map(|kept| kept.iter().map(|c| texts.completion(c)).collect())
            .collect();
        items.push(Item {
            task,
            id: &item.item_id,
            prompt: &item.prompt,
            answer: &item.answer,
            human: [
                item.human_ms,
                item.human_cost.map(f64::exp),
                chosen.expected.map(f64::exp),
            ]
            .map(|ms| ms.map(|ms| rounded(ms, 10.0))),
            cluster: item.cluster.as_deref(),
            covariates: tasks[task].covariates.iter().map(value).collect(),
            apart: [
                apart.outcomes,
                apart.tokens,
                apart.people,
                apart.people_predicted,
                apart.arms_predicted,
            ]
            .map(|value| value.map(|v| rounded(v, 1000.0))),
            tallies: chosen.tallies.iter().map(|t| t.map(numbers)).collect(),
            samples: chosen.samples.as_deref(),
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

fn of_task<'a>(comparison: &'a Comparison, choice: &Choice<'a>, name: &'a str) -> Task<'a> {
    let items = choice.items.iter().filter(|item| item.of.task == name);
    let covariates = items.flat_map(|item| item.of.covariates.keys().map(String::as_str));
    let trivial = comparison.further.trivial.iter().find(|t| t.task == name);
    let fitted = trivial.map(|t| &t.fitted).filter(|f| f.value.is_some());
    Task {
        name,
        covariates: covariates.collect::<BTreeSet<_>>().into_iter().collect(),
        fitted: fitted.map(|f| format::minus(&format::estimate(f, Quantity::Share))),
        timed: comparison.is_timed(name),
    }
}

fn numbers(tally: Tally) -> Counts {
    let tokens = rounded(tally.tokens, 10.0);
    let cost = tally.cost.map(|cost| rounded(cost.mean, 10_000.0));
    let expected = tally.cost.and_then(|cost| cost.expected);
    (
        tally.right,
        tally.graded,
        tally.samples,
        tally.cut_off,
        tokens,
        cost,
        expected.map(|cost| rounded(cost, 10_000.0)),
    )
}

/// To a tenth where `parts` is 10.
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
        let grade = samples::grade(shown);
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
    use crate::comparison::ItemCompletions;
    use crate::fixture;

    fn chosen<'a>(comparison: &'a Comparison, items: &'a [ItemCompletions]) -> Choice<'a> {
        let mut choice = Choice::of(comparison, items);
        choice.add_samples(1 << 20);
        choice.add_completions(1 << 20);
        choice
    }

    #[test]
    fn reads_back_what_it_holds() {
        let (comparison, items) = (fixture::comparison(), fixture::items());
        let text = json(&comparison, &chosen(&comparison, &items));
        assert!(!text.contains('<'));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["arms"][3]["color"], "#0072B2");
        for (read, item) in value["items"].as_array().unwrap().iter().zip(&items) {
            let task = read["task"].as_u64().unwrap() as usize;
            assert_eq!(value["tasks"][task]["name"], item.task.as_str());
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
        let text = json(&comparison, &chosen(&comparison, &items));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["texts"].as_array().unwrap().len(), 4);
        assert_eq!(
            value["items"][1]["tallies"][2],
            serde_json::json!([0, 40, 40, 0, 0.0, null, null])
        );
    }

    #[test]
    fn an_item_stands_with_what_is_known_before_anybody_answers_it() {
        let (comparison, mut items) = (fixture::comparison(), fixture::items());
        items[0].item_id = "alphabet_arithmetic-4".to_owned();
        let text = json(&comparison, &chosen(&comparison, &items));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            value["tasks"][0]["covariates"],
            serde_json::json!(["addend"])
        );
        assert_eq!(value["tasks"][0]["fitted"], "0.64 [0.45, 0.83]");
        let item = &value["items"][0];
        assert_eq!(item["cluster"], "A+3");
        assert_eq!(item["covariates"], serde_json::json!([3.0]));
        let expected = comparison.further.trivial[0].expected[&items[0].item_id];
        let ms = item["human"][2].as_f64().unwrap();
        assert!((ms - expected.exp()).abs() < 0.1);
        let costs = &comparison.further.trivial[0].expected_costs["grpo"];
        let cost = item["tallies"][3][6].as_f64().unwrap();
        assert!((cost - costs[&items[0].item_id]).abs() < 0.001);
        assert_eq!(item["samples"][3], serde_json::json!([[1, 0, [43]]]));
        // Of the other item nothing is known.
        assert_eq!(
            value["items"][1]["human"],
            serde_json::json!([null, null, null])
        );
        assert_eq!(value["tasks"][1]["fitted"], "0.56 [0.36, 0.77]");
    }
}
