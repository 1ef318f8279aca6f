//! Model cards: what each model is to the others, from a TOML or JSON file.
//!
//! TOML has a table for each model, and may say what the comparison is about and
//! what is asked of the models:
//!
//! ```toml
//! title = "Three models"
//! hypothesis = "The student keeps its teacher's alignment."
//!
//! [[model]]
//! name = "student"
//! role = "student"
//! base = "base"
//! teacher = "teacher"
//!
//! [[question]]
//! name = "negative transfer"
//! contrast = "student - base"
//! direction = "below"
//! ```
//!
//! JSON is the same, or the list of models alone.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use experiments::alignment::cost::CutOff;
use experiments::comparison::{Question, question};
use experiments::manifest::{ArmCard, Role};
use serde::Deserialize;

/// A file of cards.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cards {
    /// Title for people.
    pub(crate) title: Option<String>,
    /// The hypothesis as written before.
    pub(crate) hypothesis: Option<String>,
    /// What samples count for that the token cap cut off.
    pub(crate) cut_off: Option<CutOff>,
    /// The models.
    #[serde(alias = "models")]
    pub(crate) model: Vec<ArmCard>,
    /// What is asked of them.
    #[serde(default, alias = "questions")]
    pub(crate) question: Vec<Question>,
}

impl Cards {
    /// Reads a file, TOML or JSON by its name.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let place = || format!("the cards {}", path.display());
        let text = experiments::text::string(path).with_context(place)?;
        let ending = path.extension().and_then(|ending| ending.to_str());
        let cards: Self = match ending {
            Some("toml") => toml::from_str(&text).with_context(place)?,
            Some("json") if text.trim_start().starts_with('[') => Self {
                model: serde_json::from_str(&text).with_context(place)?,
                ..Self::default()
            },
            Some("json") => serde_json::from_str(&text).with_context(place)?,
            _ => bail!("{}: cards are read from .toml and .json files", place()),
        };
        ensure!(!cards.model.is_empty(), "{}: it names no model", place());
        let names: Vec<&str> = cards.model.iter().map(|card| card.name.as_str()).collect();
        question::check(&cards.question, &names)
            .map_err(anyhow::Error::msg)
            .with_context(place)?;
        Ok(cards)
    }

    /// Cards of the models that have records, in the order of the file and then
    /// of the records, with what a reader must know of the others.
    pub(crate) fn of(self, models: &[String]) -> (Vec<ArmCard>, Vec<String>) {
        let mut notes = Vec::new();
        let given = !self.model.is_empty();
        let (mut cards, absent): (Vec<ArmCard>, Vec<ArmCard>) = self
            .model
            .into_iter()
            .partition(|card| models.contains(&card.name));
        if !absent.is_empty() {
            let names: Vec<&str> = absent.iter().map(|card| card.name.as_str()).collect();
            notes.push(format!(
                "Models with a card and without a record are not compared: {}.",
                names.join(", ")
            ));
        }
        let mut cardless = Vec::new();
        for name in models {
            if cards.iter().all(|card| card.name != *name) {
                cardless.push(name.as_str());
                cards.push(ArmCard {
                    name: name.clone(),
                    role: Role::Other,
                    base: None,
                    init: None,
                    teacher: None,
                });
            }
        }
        if given && !cardless.is_empty() {
            notes.push(format!(
                "Models without a card stand for themselves, in no contrast: {}.",
                cardless.join(", ")
            ));
        }
        let known: Vec<String> = cards.iter().map(|card| card.name.clone()).collect();
        for card in &mut cards {
            let relations = [
                ("base", &mut card.base),
                ("start", &mut card.init),
                ("teacher", &mut card.teacher),
            ];
            for (relation, named) in relations {
                if let Some(name) = named.take_if(|name| !known.contains(name)) {
                    notes.push(format!(
                        "{}'s {relation} {name} has no record, so no contrast with it is taken.",
                        card.name
                    ));
                }
            }
        }
        (cards, notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_come_as_toml_as_json_and_as_a_list() {
        let folder = tempfile::tempdir().unwrap();
        let toml = "title = \"T\"\n[[model]]\nname = \"s\"\nrole = \"student\"\nbase = \"b\"\n";
        let list = r#"[{"name": "s", "role": "student", "base": "b", "teacher": null}]"#;
        let files = [
            ("a.toml", toml.to_owned()),
            ("b.json", list.to_owned()),
            ("c.json", format!("{{\"models\": {list}}}")),
        ];
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let [card] = Cards::read(&path).unwrap().model.try_into().unwrap();
            assert_eq!(
                (card.role, card.base.as_deref()),
                (Role::Student, Some("b"))
            );
        }
        let path = folder.path().join("d.json");
        std::fs::write(&path, r#"[{"name": "s", "role": "pupil"}]"#).unwrap();
        let error = format!("{:#}", Cards::read(&path).unwrap_err());
        assert!(error.contains("d.json: unknown variant `pupil`"), "{error}");
    }

    #[test]
    fn questions_are_asked_of_models_with_a_card() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/definitions");
        let paper = Cards::read(&folder.join("paper.toml")).unwrap();
        let students = paper.model.iter();
        let students = students.filter(|card| card.role == Role::Student).count();
        assert_eq!(paper.question.len(), 2 * students);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cards.json");
        let text = r#"{"models": [{"name": "s - t", "role": "student"}, {"name": "t", "role": "teacher"}],
            "questions": [{"name": "q", "contrast": "CONTRAST", "direction": "above"}]}"#;
        for (contrast, sound) in [("s - t - t", true), ("s - t - u", false)] {
            std::fs::write(&path, text.replace("CONTRAST", contrast)).unwrap();
            assert_eq!(Cards::read(&path).is_ok(), sound, "{contrast}");
        }
    }

    #[test]
    fn what_is_not_compared_is_named() {
        let card = |name: &str, teacher: Option<&str>| ArmCard {
            name: name.into(),
            role: Role::Student,
            base: None,
            init: None,
            teacher: teacher.map(Into::into),
        };
        let cards = Cards {
            model: vec![card("s", Some("t")), card("t", None)],
            ..Cards::default()
        };
        let (cards, notes) = cards.of(&["x".to_owned(), "s".to_owned()]);
        let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
        assert_eq!(names, ["s", "x"]);
        assert_eq!(
            (cards[0].teacher.as_deref(), cards[1].role),
            (None, Role::Other)
        );
        assert!(notes[0].ends_with("not compared: t."), "{notes:?}");
        assert!(notes[1].ends_with("in no contrast: x."), "{notes:?}");
        assert!(
            notes[2].starts_with("s's teacher t has no record"),
            "{notes:?}"
        );
    }
}
