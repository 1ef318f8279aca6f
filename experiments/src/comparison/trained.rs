//! The arms of a comparison with their trainings, and which arm taught which.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::alignment::contrast::origins;
use crate::alignment::cost::{Items, ModelItems};
use crate::alignment::design::Design;
use crate::alignment::pairing::{Pairing, Tie, pairing, teachers};
use crate::alignment::training::Training;
use crate::manifest::ArmCard;

/// The trainings of every arm.
#[derive(Debug, Default)]
pub struct Trained<'t, 'm> {
    /// By arm.
    pub arms: BTreeMap<&'t str, Vec<Training<'m>>>,
    /// Student to teacher, of the students whose trainings learned from several of its trainings.
    taught: BTreeMap<&'t str, &'t str>,
}

impl<'t, 'm> FromIterator<(&'t str, Vec<Training<'m>>)> for Trained<'t, 'm> {
    /// Arms that nobody is said to have taught.
    fn from_iter<I: IntoIterator<Item = (&'t str, Vec<Training<'m>>)>>(arms: I) -> Self {
        Self {
            arms: arms.into_iter().collect(),
            taught: BTreeMap::new(),
        }
    }
}

impl<'t, 'm> Trained<'t, 'm> {
    /// The trainings of these arms. What started from a student of a teacher has that teacher too.
    pub(super) fn new(cards: &'t [ArmCard], design: &Design<'_>, items: &'m Items) -> Self {
        let of = |card: &'t ArmCard| {
            let trained = |model: &'m ModelItems| {
                let mut training = Training::new(design, model);
                training.origin.teacher = teacher(card, model, cards, items);
                training
            };
            let models = items.models.get(&card.name).into_iter().flatten();
            (card.name.as_str(), models.map(trained).collect())
        };
        let mut found = Self {
            arms: cards.par_iter().map(of).collect(),
            taught: BTreeMap::new(),
        };
        for card in cards {
            let several = teachers(&origins(found.of(&card.name))).len() > 1;
            if let Some(teacher) = card.teacher.as_deref().filter(|_| several) {
                found.taught.insert(&card.name, teacher);
            }
        }
        found
    }

    /// An arm's trainings; none of one that is not there.
    pub fn of(&self, arm: &str) -> &[Training<'m>] {
        self.arms.get(arm).map_or(&[], Vec::as_slice)
    }

    /// Every student with its teacher, where it has several of its trainings.
    pub(super) fn taught(&self) -> impl Iterator<Item = (&str, &str)> {
        self.taught
            .iter()
            .map(|(student, teacher)| (*student, *teacher))
    }

    /// What makes trainings of two arms belong together.
    pub fn tie(&self, [arm, against]: [&str; 2]) -> Tie {
        let taught = |student: &str, teacher: &str| self.taught.get(student) == Some(&teacher);
        let teaches = |arm: &str| self.taught.values().any(|teacher| *teacher == arm);
        if taught(arm, against) {
            Tie::Taught
        } else if taught(against, arm) {
            Tie::Teaches
        } else if arm != against && (teaches(arm) || teaches(against)) {
            Tie::Nothing
        } else {
            Tie::Seed
        }
    }

    /// The trainings of two arms that belong together.
    pub fn pairing(&self, [arm, against]: [&str; 2]) -> Pairing {
        let sides = [origins(self.of(arm)), origins(self.of(against))];
        pairing(&sides[0], &sides[1], self.tie([arm, against]))
    }
}

/// The teacher that a training names, or that what it started from does.
fn teacher(card: &ArmCard, model: &ModelItems, cards: &[ArmCard], items: &Items) -> Option<u64> {
    let mut at = card;
    let mut own = Some(model);
    // No line of arms is longer than there are arms; a circle ends here too.
    for _ in cards {
        if let Some(teacher) = own.and_then(|model| model.teacher) {
            return Some(teacher);
        }
        let init = at.init.as_ref()?;
        at = cards.iter().find(|card| card.name == *init)?;
        let before = items.models.get(init).into_iter().flatten();
        own = before.into_iter().find(|before| before.seed == model.seed);
    }
    None
}
