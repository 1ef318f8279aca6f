//! Does a conclusion follow from two premises? "All artists are beekeepers. All
//! beekeepers are chemists. It follows that all artists are chemists.": `true`.
//!
//! Each of 64 forms with each of eight conclusions is an item of the evaluation, 512 in
//! all: `AE2:Oac` asks of the form `AE2` whether some a are not c. Nobody's times are
//! here: the task has an accuracy and no alignment. Only 48 items in 512 follow, so
//! accuracy alone says little of a model that answers `false` throughout; in training
//! half of the conclusions follow.

use anyhow::Result;
use rand::RngExt;

use super::{Form, Mood, Statement, TERMS, Wording, conclusions, dressed, follows};
use crate::random::Stream;
use crate::tasks::item::split_of;
use crate::tasks::reading::{Reading, indicator};
use crate::tasks::task::drawn;
use crate::tasks::{Item, Place, Split, Task};

/// The task's name.
pub(in crate::tasks) const NAME: &str = "syllogisms";

/// `syllogisms`; see the file's head.
#[derive(Debug)]
pub(in crate::tasks) struct Syllogisms {
    /// What follows.
    valid: Vec<(Form, Statement)>,
    /// What does not.
    invalid: Vec<(Form, Statement)>,
}

impl Syllogisms {
    pub(in crate::tasks) fn new() -> Self {
        let all = Form::all().flat_map(|form| conclusions().map(move |one| (form, one)));
        let (valid, invalid) = all.partition(|(form, one)| follows(form.premises(), *one));
        Self { valid, invalid }
    }
}

fn prompt(form: Form, conclusion: Statement, terms: super::Terms, wording: Wording) -> String {
    format!(
        "{} It follows that {}.",
        form.sentences(terms, wording),
        conclusion.words(terms, wording)
    )
}

impl Task for Syllogisms {
    fn name(&self) -> &str {
        NAME
    }

    fn draw(&self, split: Split, _: Place, random: &mut Stream) -> Result<Item> {
        drawn(split)?;
        loop {
            let truth = random.random_bool(0.5);
            let list = if truth { &self.valid } else { &self.invalid };
            let (form, conclusion) = list[random.random_range(0..list.len() as u64) as usize];
            let (terms, wording) = dressed(random);
            let prompt = prompt(form, conclusion, terms, wording);
            if split_of(NAME, &prompt) == split {
                return Ok(Item {
                    task: NAME.to_owned(),
                    item_id: prompt.clone(),
                    prompt,
                    answer: truth.to_string(),
                    split,
                    condition: form.name(),
                    ..Item::default()
                });
            }
        }
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let all = Form::all().flat_map(|form| conclusions().map(move |one| (form, one)));
        let items = all.map(|(form, conclusion)| Item {
            task: NAME.to_owned(),
            item_id: format!("{}:{}", form.name(), conclusion.name()),
            prompt: prompt(form, conclusion, TERMS, Wording::Plain),
            answer: follows(form.premises(), conclusion).to_string(),
            condition: form.name(),
            ..Item::default()
        });
        Ok(items.collect())
    }

    /// Reads `AE2:Oac`. Covariates: `figure`; `negative` and `particular`, how
    /// many of the three statements say `no` or `not`, and how many `some`;
    /// `truth`, whether the conclusion follows.
    fn read(&self, text: &str) -> Option<Reading> {
        let (form, name) = text.trim().split_once(':')?;
        let form = Form::read(form)?;
        let conclusion = conclusions().find(|one| one.name() == name)?;
        let moods = form.moods.into_iter().chain([conclusion.mood]);
        let count = |of: [Mood; 2]| moods.clone().filter(|mood| of.contains(mood)).count() as f64;
        Some(Reading {
            covariates: vec![
                ("figure", form.figure as f64),
                ("negative", count([Mood::No, Mood::SomeNot])),
                ("particular", count([Mood::Some, Mood::SomeNot])),
                ("truth", indicator(follows(form.premises(), conclusion))),
            ],
            problem: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn answer(item_id: &str) -> String {
        let items = Syllogisms::new().evaluation_items().unwrap();
        let item = items.iter().find(|item| item.item_id == item_id);
        item.unwrap().answer.clone()
    }

    #[test]
    fn known_forms_are_valid_and_known_fallacies_are_not() {
        // Barbara, Celarent, Darii, Ferio in the first figure of ab, bc.
        for valid in ["AA1:Aac", "AE1:Eac", "IA1:Iac", "IE1:Oac", "AA1:Ica"] {
            assert_eq!(answer(valid), "true", "{valid}");
        }
        for fallacy in ["AA1:Aca", "AA2:Aac", "II1:Iac", "AA3:Aac", "OO4:Oac"] {
            assert_eq!(answer(fallacy), "false", "{fallacy}");
        }
    }

    #[test]
    fn as_many_forms_have_a_conclusion_as_are_published() {
        let items = Syllogisms::new().evaluation_items().unwrap();
        assert_eq!(items.len(), 512);
        let valid = items.iter().filter(|item| item.answer == "true");
        let forms: BTreeSet<&str> = valid.clone().map(|item| item.condition.as_str()).collect();
        // 27 of the 64 where no term is empty.
        assert_eq!(forms.len(), 27, "{forms:?}");
        assert_eq!(valid.count(), 48);
        let names: BTreeSet<&str> = items.iter().map(|item| item.item_id.as_str()).collect();
        assert_eq!(names.len(), items.len());
    }

    #[test]
    fn an_item_is_read_by_its_name() {
        let covariates = |text: &str| {
            Syllogisms::new()
                .read(text)
                .map(|reading| reading.covariates)
        };
        let expected = |figure, negative, particular, truth| {
            Some(vec![
                ("figure", figure),
                ("negative", negative),
                ("particular", particular),
                ("truth", truth),
            ])
        };
        assert_eq!(covariates("AA1:Aac"), expected(1.0, 0.0, 0.0, 1.0));
        assert_eq!(covariates("OE4:Iac"), expected(4.0, 2.0, 2.0, 0.0));
        for text in [
            "", "AA1", "AA0:Aac", "AA5:Aac", "AB1:Aac", "AA1:Aad", "AA1-Aac",
        ] {
            assert_eq!(covariates(text), None, "{text}");
        }
        for item in Syllogisms::new().evaluation_items().unwrap() {
            let truth = covariates(&item.item_id).unwrap()[3];
            assert_eq!(
                truth,
                ("truth", indicator(item.answer == "true")),
                "{item:?}"
            );
        }
    }

    #[test]
    fn an_item_reads_as_a_sentence() {
        let items = Syllogisms::new().evaluation_items().unwrap();
        let item = items.iter().find(|item| item.item_id == "AO3:Oac").unwrap();
        assert_eq!(
            item.prompt,
            "All artists are beekeepers. Some chemists are not beekeepers. \
             It follows that some artists are not chemists."
        );
        assert_eq!(item.answer, "false");
    }
}
