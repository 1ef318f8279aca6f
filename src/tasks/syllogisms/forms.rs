//! Which conclusions follow from two premises? "All artists are beekeepers. All
//! beekeepers are chemists. What follows about artists and chemists?": `Aac Iac Ica`,
//! or in so many words. Where nothing follows, the answer is `nvc` (no valid
//! conclusion).
//!
//! The evaluation has the 64 forms as people were asked them. Their times and answers
//! come with a folder of norms (Brand and Ragni 2023, `CogSci` 45); without it there are
//! none. An answer is right where it names all conclusions that follow and no other.

use anyhow::Result;
use experiments::norms::NormItem;
use rand::RngExt;
use rewards::answers::Judge;
use serde_json::{Map, Value};

use super::{A, C, FIGURES, Form, Mood, TERMS, Terms, Wording, conclusions, dressed, follows};
use crate::random::Stream;
use crate::tasks::item::split_of;
use crate::tasks::reading::Reading;
use crate::tasks::task::{drawn, item_of};
use crate::tasks::{Item, Place, Split, Task};

/// The task's name.
pub(in crate::tasks) const NAME: &str = "syllogism_forms";

/// What is expected where nothing follows.
const NOTHING: &str = "nvc";

/// `syllogism_forms`; see the file's head.
#[derive(Debug)]
pub(in crate::tasks) struct SyllogismForms;

/// The conclusions that follow, by their names.
fn answer(form: Form) -> String {
    let valid = conclusions().filter(|one| follows(form.premises(), *one));
    let names: Vec<String> = valid.map(super::Statement::name).collect();
    if names.is_empty() {
        NOTHING.to_owned()
    } else {
        names.join(" ")
    }
}

/// The condition that people's means are given for.
fn condition(form: Form) -> String {
    let kind = match answer(form).as_str() {
        NOTHING => "nothing-follows",
        _ => "valid",
    };
    format!("{kind}/figure={}", form.figure)
}

fn columns(terms: [&str; 3]) -> Map<String, Value> {
    let terms = terms.map(Value::from).to_vec();
    Map::from_iter([("terms".to_owned(), Value::Array(terms))])
}

/// What is asked of a and c.
const QUESTIONS: [&str; 3] = [
    "What follows about {a} and {c}?",
    "Which conclusions relate {a} and {c}?",
    "What can be concluded about {a} and {c}?",
];

fn item(form: Form, terms: Terms, wording: Wording, question: &str) -> Item {
    let question = question.replace("{a}", terms[A]).replace("{c}", terms[C]);
    Item {
        task: NAME.to_owned(),
        prompt: format!("{} {question}", form.sentences(terms, wording)),
        answer: answer(form),
        judge: Judge::Conclusions,
        condition: condition(form),
        columns: columns(terms),
        ..Item::default()
    }
}

impl Task for SyllogismForms {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, _: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        loop {
            let forms: Vec<Form> = Form::all().collect();
            let form = forms[random.random_range(0..forms.len() as u64) as usize];
            let (terms, wording) = dressed(random);
            let question = QUESTIONS[random.random_range(0..QUESTIONS.len() as u64) as usize];
            let item = item(form, terms, wording, question);
            if split_of(NAME, &item.prompt) == split {
                return Ok(Item {
                    item_id: item.prompt.clone(),
                    split,
                    ..item
                });
            }
        }
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let items = Form::all().map(|form| Item {
            item_id: form.name(),
            ..item(form, TERMS, Wording::Plain, QUESTIONS[0])
        });
        Ok(items.collect())
    }

    /// An item whose prompt or name says which form it has is held to what follows
    /// from it; another one to the norms' own answer.
    fn of_norms(&self, item: &NormItem) -> Item {
        let asked = asked(&item.prompt);
        let form = asked.as_ref().map(|(form, _)| *form);
        let terms = asked.map(|(_, terms)| columns(terms));
        let form = form.or_else(|| Form::read(&item.item_id));
        Item {
            answer: form.map_or_else(|| item.answer.clone(), answer),
            judge: Judge::Conclusions,
            columns: terms.unwrap_or_default(),
            ..item_of(item)
        }
    }

    /// Reads `AE2` and a prompt in plain words. Covariates: `figure`; `negative` and
    /// `particular`, how many premises say `no` or `not`, and how many `some`;
    /// `conclusions`, how many follow.
    fn read(&self, text: &str) -> Option<Reading> {
        let form = Form::read(text).or_else(|| asked(text).map(|(form, _)| form))?;
        let count = |of: [Mood; 2]| {
            let moods = form.moods.iter();
            moods.filter(|mood| of.contains(mood)).count() as f64
        };
        let valid = conclusions().filter(|one| follows(form.premises(), *one));
        Some(Reading {
            covariates: vec![
                ("figure", form.figure as f64),
                ("negative", count([Mood::No, Mood::SomeNot])),
                ("particular", count([Mood::Some, Mood::SomeNot])),
                ("conclusions", valid.count() as f64),
            ],
            problem: None,
        })
    }
}

/// The form and the words for a, b and c of a prompt in plain words.
fn asked(prompt: &str) -> Option<(Form, [&str; 3])> {
    let (one, rest) = prompt.trim().split_once(". ")?;
    let (other, question) = rest.split_once(". ")?;
    let (_, about) = question.split_once(" about ")?;
    let (a, c) = about.strip_suffix('?')?.split_once(" and ")?;
    let premises = [statement(one)?, statement(other)?];
    let words = premises
        .iter()
        .flat_map(|(_, first, second)| [*first, *second]);
    let b = words.clone().find(|word| *word != a && *word != c)?;
    let terms = [a, b, c];
    let place = |word: &str| terms.iter().position(|term| *term == word);
    let mut places = [(0, 0); 2];
    for (at, (_, first, second)) in places.iter_mut().zip(&premises) {
        *at = (place(first)?, place(second)?);
    }
    let figure = FIGURES.iter().position(|figure| *figure == places)? + 1;
    let form = Form {
        moods: [premises[0].0, premises[1].0],
        figure,
    };
    (a != c).then_some((form, terms))
}

/// The mood and the two terms of a sentence in plain words.
fn statement(sentence: &str) -> Option<(Mood, &str, &str)> {
    let (quantity, rest) = sentence.split_once(' ')?;
    let (first, second) = rest.split_once(" are ")?;
    match (quantity, second.strip_prefix("not ")) {
        ("All", None) => Some((Mood::All, first, second)),
        ("No", None) => Some((Mood::No, first, second)),
        ("Some", None) => Some((Mood::Some, first, second)),
        ("Some", Some(second)) => Some((Mood::SomeNot, first, second)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use experiments::norms::Norms;

    use super::*;

    fn item(id: &str) -> Item {
        let items = SyllogismForms.evaluation_items().unwrap();
        items.into_iter().find(|item| item.item_id == id).unwrap()
    }

    #[test]
    fn every_conclusion_that_follows_is_asked_for() {
        for (form, expected) in [
            ("AA1", "Aac Iac Ica"),
            ("AE1", "Eac Eca Oac Oca"),
            ("IE1", "Oac"),
            ("AA3", "nvc"),
        ] {
            assert_eq!(item(form).answer, expected);
        }
        let items = SyllogismForms.evaluation_items().unwrap();
        let nothing = items.iter().filter(|item| item.answer == "nvc");
        assert_eq!((items.len(), nothing.count()), (64, 64 - 27));
    }

    #[test]
    fn an_answer_is_given_in_names_or_in_words() {
        let item = item("AA1");
        assert_eq!(
            item.prompt,
            "All artists are beekeepers. All beekeepers are chemists. \
             What follows about artists and chemists?"
        );
        for (answer, right) in [
            ("Aac Ica Iac", true),
            (
                "All artists are chemists. Some artists are chemists. Some chemists are artists.",
                true,
            ),
            ("All artists are chemists.", false),
            ("nvc", false),
        ] {
            assert_eq!(item.grade(answer).unwrap(), Some(right), "{answer}");
        }
    }

    #[test]
    fn a_prompt_in_plain_words_is_read() {
        for item in SyllogismForms.evaluation_items().unwrap() {
            let (form, terms) = asked(&item.prompt).unwrap();
            assert_eq!((form.name(), terms), (item.item_id.clone(), TERMS));
            let norm = NormItem {
                task: NAME.into(),
                item_id: "any".into(),
                prompt: item.prompt.clone(),
                ..NormItem::default()
            };
            let read = SyllogismForms.of_norms(&norm);
            assert_eq!((&read.answer, &read.columns), (&item.answer, &item.columns));
            assert_eq!(
                SyllogismForms.read(&item.prompt),
                SyllogismForms.read(&item.item_id)
            );
        }
        let covariates = SyllogismForms.read("EO4").unwrap().covariates;
        let expected = [
            ("figure", 4.0),
            ("negative", 2.0),
            ("particular", 1.0),
            ("conclusions", 0.0),
        ];
        assert_eq!(covariates, expected);
        for text in [
            "",
            "AA5",
            "AA1:Aac",
            "All a are b. All b are c.",
            "All a are b. All b are c. What follows about a and a?",
            "All a are b. All d are c. What follows about a and c?",
            "Most a are b. All b are c. What follows about a and c?",
        ] {
            assert_eq!(SyllogismForms.read(text), None, "{text}");
        }
    }

    #[test]
    fn what_follows_is_what_people_were_held_to() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/human-more");
        if !folder.is_dir() {
            println!("skipped: no human data at ../shared/human-more");
            return;
        }
        let norms = Norms::read(&folder, &[NAME.to_owned()]).unwrap();
        let timed = norms.items(NAME);
        assert_eq!(timed.len(), 64);
        for norm in timed {
            let ours = item(&norm.item_id);
            assert_eq!(ours.answer.to_lowercase(), norm.answer, "{norm:?}");
            assert_eq!(
                (&ours.prompt, Some(&ours.condition)),
                (&norm.prompt, norm.condition.as_ref())
            );
            let asked = SyllogismForms.of_norms(norm);
            assert_eq!((asked.answer, asked.columns), (ours.answer, ours.columns));
            assert!(norm.human_cost().is_some());
        }
        // As it is published with the data: split halves correlate .77.
        let ceiling = norms.ceiling(NAME).unwrap();
        println!("{ceiling:?}");
    }
}
