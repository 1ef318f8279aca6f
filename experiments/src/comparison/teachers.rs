//! What must be known where an arm's trainings learned from several teachers.

use super::ArmFigures;
use super::fairness::{Condition, Flaw};
use super::trained::Trained;
use crate::alignment::contrast::origins;
use crate::alignment::pairing::{Origin, teachers};

/// Students without their teacher, and teachers without a student.
pub(super) fn flaws(trained: &Trained<'_, '_>) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    for (student, teacher) in trained.taught() {
        let (of, all) = (origins(trained.of(student)), origins(trained.of(teacher)));
        let mut found = |found: String| {
            let arms = vec![student.to_owned(), teacher.to_owned()];
            flaws.push(Flaw::of(Condition::Teachers, arms, found));
        };
        for named in teachers(&of) {
            if all.iter().all(|training| training.seed != Some(named)) {
                let its: Vec<Origin> = (of.iter().copied())
                    .filter(|training| training.teacher == Some(named))
                    .collect();
                found(format!(
                    "{student} of seed {} learned from {teacher} of seed {named}, of which there is no record",
                    seeds(&its)
                ));
            }
        }
        let idle: Vec<Origin> = (all.iter().copied())
            .filter(|training| of.iter().all(|student| student.teacher != training.seed))
            .collect();
        if !idle.is_empty() {
            found(format!(
                "{teacher} of seed {} taught no training of {student}",
                seeds(&idle)
            ));
        }
        let unnamed: Vec<Origin> = (of.iter().copied())
            .filter(|training| training.teacher.is_none())
            .collect();
        if !unnamed.is_empty() {
            found(format!(
                "{student} of seed {} does not say which {teacher} it learned from",
                seeds(&unnamed)
            ));
        }
    }
    flaws
}

/// What holds where nothing is wrong; `None` where no arm has several teachers.
pub(super) fn sound(trained: &Trained<'_, '_>) -> Option<String> {
    let of = |(student, teacher): (&str, &str)| {
        let several = teachers(&origins(trained.of(student))).len();
        format!("{student} has {several} of {teacher}, each with its students")
    };
    let all: Vec<String> = trained.taught().map(of).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn seeds(of: &[Origin]) -> String {
    let seeds: Vec<String> = (of.iter())
        .map(|training| {
            training
                .seed
                .map_or_else(|| "none".to_owned(), |s| s.to_string())
        })
        .collect();
    seeds.join(", ")
}

/// What the figures of arms with several teachers are over.
pub(super) fn notes(arms: &[ArmFigures], trained: &Trained<'_, '_>, notes: &mut Vec<String>) {
    let several: Vec<&ArmFigures> = arms.iter().filter(|arm| !arm.teachers.is_empty()).collect();
    for arm in &several {
        let of = origins(trained.of(&arm.name));
        let students = |teacher: &u64| of.iter().filter(|t| t.teacher == Some(*teacher)).count();
        let counts: Vec<String> = (arm.teachers.iter())
            .map(|teacher| students(teacher).to_string())
            .collect();
        notes.push(format!(
            "The trainings of {} go back to {} teachers ({} of each): those of one teacher share what it happened to \
             become, so they are averaged, and figures and intervals are over teachers.",
            arm.name,
            arm.teachers.len(),
            if counts.iter().all(|count| *count == counts[0]) {
                counts[0].clone()
            } else {
                counts.join(", ")
            }
        ));
    }
    if several.iter().any(|arm| arm.teachers.len() == 2) {
        notes.push(
            "Two teachers cannot decide: how far teachers differ is known from two of them alone. Five or more mend \
             that; add them to teacher.seeds."
                .into(),
        );
    }
    let flaws = flaws(trained).into_iter();
    notes.extend(flaws.map(|flaw| format!("Not paired: {}.", flaw.found)));
}
