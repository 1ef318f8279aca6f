//! Syllogisms: what follows from two premises about three kinds of people.
//!
//! Two premises of four moods (A all, E no, I some, O some are not) in four figures
//! are 64 forms. Form `AE2` has premises of moods A and E in figure 2. Figures: 1 is
//! ab bc, 2 is ba cb, 3 is ab cb, 4 is ba bc (the order of Khemlani and Johnson-Laird
//! 2012, Psychological Bulletin 138, 427-457). A conclusion relates a and c in one of
//! the four moods, either way round: `Oac` says that some a are not c.
//!
//! Two tasks ask about them: [`single`], whether one conclusion follows, and
//! [`forms`], which of the eight do.
//!
//! Validity is found by looking at every model: each of the seven regions of the Venn
//! diagram of a, b and c is empty or not, no term is empty (as people take it), and a
//! conclusion follows where it holds in every model in which the premises do.
//!
//! What is trained on has other terms than what is evaluated, and statements in
//! several wordings (`At least one of the dancers is one of the farmers.`).

pub(super) mod forms;
pub(super) mod single;

use rand::RngExt;
use rand::seq::SliceRandom;

use crate::random::Stream;

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

/// The mood that a letter stands for.
fn mood(letter: char) -> Option<Mood> {
    let named = MOODS.into_iter().find(|(_, name)| *name == letter);
    named.map(|(mood, _)| mood)
}

/// A statement of a first and a second term, each by its place among a, b, c.
#[derive(Clone, Copy, Debug, PartialEq)]
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

const LETTERS: [char; 3] = ['a', 'b', 'c'];

/// Words for a, b and c.
type Terms = [&'static str; 3];

/// Those of the evaluation.
const TERMS: Terms = ["artists", "beekeepers", "chemists"];

/// Those of training and validation, three of them at a time.
const OTHER_TERMS: [&str; 16] = [
    "bakers",
    "carpenters",
    "dancers",
    "drivers",
    "farmers",
    "gardeners",
    "hikers",
    "judges",
    "lawyers",
    "musicians",
    "painters",
    "runners",
    "sailors",
    "swimmers",
    "tailors",
    "weavers",
];

/// How a statement is put; what is evaluated is put plainly.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wording {
    /// `all artists are chemists`.
    Plain,
    /// `every one of the artists is one of the chemists`.
    OneOf,
    /// `whoever is among the artists is among the chemists`.
    Among,
}

impl Wording {
    const ALL: [Self; 3] = [Self::Plain, Self::OneOf, Self::Among];
}

/// Three terms of training, and a wording.
fn dressed(random: &mut Stream) -> (Terms, Wording) {
    let mut terms = OTHER_TERMS;
    let (three, _) = terms.partial_shuffle(random, 3);
    let terms = [three[0], three[1], three[2]];
    let wording = random.random_range(0..Wording::ALL.len() as u64);
    (terms, Wording::ALL[wording as usize])
}

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

    fn words(self, terms: Terms, wording: Wording) -> String {
        let (first, second) = (terms[self.first], terms[self.second]);
        match (wording, self.mood) {
            (Wording::Plain, Mood::All) => format!("all {first} are {second}"),
            (Wording::Plain, Mood::No) => format!("no {first} are {second}"),
            (Wording::Plain, Mood::Some) => format!("some {first} are {second}"),
            (Wording::Plain, Mood::SomeNot) => format!("some {first} are not {second}"),
            (Wording::OneOf, mood) => {
                let (who, is) = match mood {
                    Mood::All => ("every one", "is"),
                    Mood::No => ("none", "is"),
                    Mood::Some => ("at least one", "is"),
                    Mood::SomeNot => ("at least one", "is not"),
                };
                format!("{who} of the {first} {is} one of the {second}")
            }
            (Wording::Among, mood) => {
                let (who, is) = match mood {
                    Mood::All => ("whoever is", "is"),
                    Mood::No => ("nobody", "is"),
                    Mood::Some => ("somebody", "is"),
                    Mood::SomeNot => ("somebody", "is not"),
                };
                format!("{who} among the {first} {is} among the {second}")
            }
        }
    }

    /// `Oac`.
    fn name(self) -> String {
        let letter = MOODS.into_iter().find(|(mood, _)| *mood == self.mood);
        let letter = letter.map(|(_, letter)| letter);
        let terms = [self.first, self.second].map(|term| LETTERS[term]);
        letter.into_iter().chain(terms).collect()
    }
}

/// Every conclusion there is: each mood, from a to c and from c to a.
fn conclusions() -> impl Iterator<Item = Statement> {
    MOODS.into_iter().flat_map(|(mood, _)| {
        [(A, C), (C, A)].map(|(first, second)| Statement {
            mood,
            first,
            second,
        })
    })
}

/// Two premises by their moods and their figure, from 1 on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Form {
    moods: [Mood; 2],
    figure: usize,
}

impl Form {
    /// All 64.
    fn all() -> impl Iterator<Item = Self> {
        MOODS.into_iter().flat_map(|(one, _)| {
            MOODS.into_iter().flat_map(move |(other, _)| {
                (1..=FIGURES.len()).map(move |figure| Self {
                    moods: [one, other],
                    figure,
                })
            })
        })
    }

    /// Reads `AE2`.
    fn read(text: &str) -> Option<Self> {
        let letters: Vec<char> = text.trim().chars().collect();
        let [one, other, figure] = letters[..] else {
            return None;
        };
        let figure = figure.to_digit(10)? as usize;
        (1..=FIGURES.len()).contains(&figure).then_some(Self {
            moods: [mood(one)?, mood(other)?],
            figure,
        })
    }

    /// `AE2`.
    fn name(self) -> String {
        let letters = self.premises().map(Statement::name);
        let moods: String = letters
            .iter()
            .filter_map(|name| name.chars().next())
            .collect();
        format!("{moods}{}", self.figure)
    }

    fn premises(self) -> [Statement; 2] {
        let [one, other] = self.moods;
        let [first, second] = FIGURES[self.figure - 1];
        [(one, first), (other, second)].map(|(mood, (first, second))| Statement {
            mood,
            first,
            second,
        })
    }

    /// The premises as two sentences.
    fn sentences(self, terms: Terms, wording: Wording) -> String {
        let sentences = self
            .premises()
            .map(|premise| sentence(&premise.words(terms, wording)));
        sentences.join(" ")
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

fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
