//! Syllogisms: does a conclusion follow from two premises? "All artists are
//! beekeepers. All beekeepers are chemists. It follows that all artists are
//! chemists.": `true`.
//!
//! Two premises of four moods (A all, E no, I some, O some are not) in four
//! figures are 64 forms; with each of eight conclusions there are 512 items.
//! Item `AE2:Oac` has premises of moods A and E in figure 2 and the conclusion
//! that some a are not c. Figures: 1 is ab bc, 2 is ba cb, 3 is ab cb, 4 is ba
//! bc (the order of Khemlani and Johnson-Laird 2012, Psychological Bulletin
//! 138, 427-457).
//!
//! Validity is found by looking at every model: each of the seven regions of
//! the Venn diagram of a, b and c is empty or not, no term is empty (as people
//! take it), and a conclusion follows where it holds in every model in which
//! the premises do. Nobody's times are here: without norms the task has an
//! accuracy and no alignment. Only 48 items in 512 follow, so accuracy alone
//! says little of a model that answers `false` throughout.

use super::reading::{Reading, indicator};
use super::{Item, Place, Split, Task};
use crate::random::Stream;
use anyhow::{Result, bail};

/// The task's name.
pub(super) const NAME: &str = "syllogisms";

/// `syllogisms`; see the file's head.
#[derive(Debug)]
pub(super) struct Syllogisms;

/// What a statement says of two terms.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    All,
    No,
    Some,
    SomeNot,
}

const MOODS: [(Mood, char); 4] = [
    (Mood::All, 'A'),
    (Mood::No, 'E'),
    (Mood::Some, 'I'),
    (Mood::SomeNot, 'O'),
];

/// A statement of a first and a second term, each by its place among a, b, c.
#[derive(Clone, Copy, Debug)]
struct Statement {
    mood: Mood,
    first: usize,
    second: usize,
}

const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// The terms of the two premises, by figure.
const FIGURES: [[(usize, usize); 2]; 4] = [
    [(A, B), (B, C)],
    [(B, A), (C, B)],
    [(A, B), (C, B)],
    [(B, A), (B, C)],
];

const TERMS: [&str; 3] = ["artists", "beekeepers", "chemists"];
const LETTERS: [char; 3] = ['a', 'b', 'c'];

/// Which regions hold somebody. Bit r stands for the region of those who are
/// a, b and c as bits 0, 1 and 2 of r say; the region of none of them tells
/// nothing and is left out.
type Venn = u8;

const REGIONS: std::ops::Range<u8> = 1..8;

fn inhabited(model: Venn, of: impl Fn(u8) -> bool) -> bool {
    REGIONS
        .into_iter()
        .any(|region| model >> region & 1 == 1 && of(region))
}

fn is(region: u8, term: usize) -> bool {
    region >> term & 1 == 1
}

impl Statement {
    fn holds(self, model: Venn) -> bool {
        let both = || inhabited(model, |r| is(r, self.first) && is(r, self.second));
        let first_alone = || inhabited(model, |r| is(r, self.first) && !is(r, self.second));
        match self.mood {
            Mood::All => !first_alone(),
            Mood::No => !both(),
            Mood::Some => both(),
            Mood::SomeNot => first_alone(),
        }
    }

    fn words(self) -> String {
        let (first, second) = (TERMS[self.first], TERMS[self.second]);
        match self.mood {
            Mood::All => format!("all {first} are {second}"),
            Mood::No => format!("no {first} are {second}"),
            Mood::Some => format!("some {first} are {second}"),
            Mood::SomeNot => format!("some {first} are not {second}"),
        }
    }
}

/// Whether the conclusion holds wherever the premises do.
fn follows(premises: [Statement; 2], conclusion: Statement) -> bool {
    (0..=Venn::MAX)
        .filter(|model| model & 1 == 0)
        .filter(|&model| {
            [A, B, C]
                .into_iter()
                .all(|t| inhabited(model, |r| is(r, t)))
        })
        .filter(|&model| premises.into_iter().all(|premise| premise.holds(model)))
        .all(|model| conclusion.holds(model))
}

/// The premises of a form: their moods, and the figure from 1.
fn premises(moods: [Mood; 2], figure: usize) -> Option<[Statement; 2]> {
    let [one, other] = moods;
    let [first, second] = *FIGURES.get(figure.checked_sub(1)?)?;
    Some(
        [(one, first), (other, second)].map(|(mood, (first, second))| Statement {
            mood,
            first,
            second,
        }),
    )
}

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}

impl Task for Syllogisms {
    fn name(&self) -> &str {
        NAME
    }

    fn trains(&self) -> bool {
        false
    }

    fn draw(&self, _: Split, _: Place, _: &mut Stream) -> Result<Item> {
        bail!("{NAME} has no problems to train on")
    }

    fn evaluation_items(&self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        for (one, one_letter) in MOODS {
            for (other, other_letter) in MOODS {
                for figure in 1..=FIGURES.len() {
                    let Some([premise, second]) = premises([one, other], figure) else {
                        continue;
                    };
                    let form = format!("{one_letter}{other_letter}{figure}");
                    for (mood, letter) in MOODS {
                        for (first, last) in [(A, C), (C, A)] {
                            let conclusion = Statement {
                                mood,
                                first,
                                second: last,
                            };
                            items.push(Item {
                                task: NAME.to_owned(),
                                item_id: format!(
                                    "{form}:{letter}{}{}",
                                    LETTERS[first], LETTERS[last]
                                ),
                                prompt: format!(
                                    "{} {} It follows that {}.",
                                    sentence(&premise.words()),
                                    sentence(&second.words()),
                                    conclusion.words()
                                ),
                                answer: follows([premise, second], conclusion).to_string(),
                                condition: form.clone(),
                                ..Item::default()
                            });
                        }
                    }
                }
            }
        }
        Ok(items)
    }

    /// Reads `AE2:Oac`. Covariates: `figure`; `negative` and `particular`, how
    /// many of the three statements say `no` or `not`, and how many `some`;
    /// `truth`, whether the conclusion follows.
    fn read(&self, text: &str) -> Option<Reading> {
        let letters: Vec<char> = text.trim().chars().collect();
        let [one, other, figure, ':', mood, first, last] = letters[..] else {
            return None;
        };
        let named = |letter: char| MOODS.into_iter().find(|(_, name)| *name == letter);
        let mood_of = |letter: char| named(letter).map(|(mood, _)| mood);
        let term = |letter: char| LETTERS.into_iter().position(|name| name == letter);
        let figure = figure.to_digit(10)?;
        let premises = premises([mood_of(one)?, mood_of(other)?], figure as usize)?;
        let conclusion = Statement {
            mood: mood_of(mood)?,
            first: term(first)?,
            second: term(last)?,
        };
        let moods = premises.map(|premise| premise.mood);
        let count = |of: [Mood; 2]| {
            let moods = moods.iter().chain([&conclusion.mood]);
            moods.filter(|mood| of.contains(mood)).count() as f64
        };
        Some(Reading {
            covariates: vec![
                ("figure", f64::from(figure)),
                ("negative", count([Mood::No, Mood::SomeNot])),
                ("particular", count([Mood::Some, Mood::SomeNot])),
                ("truth", indicator(follows(premises, conclusion))),
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
        let items = Syllogisms.evaluation_items().unwrap();
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
        let items = Syllogisms.evaluation_items().unwrap();
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
        let covariates = |text: &str| Syllogisms.read(text).map(|reading| reading.covariates);
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
        for item in Syllogisms.evaluation_items().unwrap() {
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
        let items = Syllogisms.evaluation_items().unwrap();
        let item = items.iter().find(|item| item.item_id == "AO3:Oac").unwrap();
        assert_eq!(
            item.prompt,
            "All artists are beekeepers. Some chemists are not beekeepers. \
             It follows that some artists are not chemists."
        );
        assert_eq!(item.answer, "false");
    }
}
