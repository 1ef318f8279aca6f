//! The answers to the questions that were asked.
//!
//! A question is decided by the p of its difference, and its equivalence by that of the two
//! one-sided tests, each after Holm's correction for the questions of its family. So no answer
//! contradicts a p beside it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::build::Input;
use super::contrasts::contrast;
use super::question::{Asked, Expected};
use super::trained::Trained;
use super::{Contrast, Verdict};
use crate::alignment::design::Design;
use crate::statistics::family::{LEVEL, holm};

/// A question with its answer.
///
/// Worked example: "negative transfer", `sft - base` in elasticity, expected below 0: a
/// difference of +0.08 \[-0.02, 0.18\], `p_holm` 0.33 of 3 questions, `Unresolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked, and when.
    pub asked: Asked,
    /// The difference, against the question's smallest effect of interest.
    pub contrast: Contrast,
    /// p of the difference after Holm's correction within the family.
    pub p_holm: Option<f64>,
    /// p of equivalence after the same.
    pub p_equivalence_holm: Option<f64>,
    /// Questions of the family that have a p.
    pub family: usize,
    /// What the corrected tests say.
    pub verdict: Verdict,
}

impl Answer {
    /// The answer in a word or two: `yes` where it came as expected, one of the two kinds of
    /// `no`, `unresolved`, or `undefined`.
    pub fn word(&self) -> &'static str {
        let opposite = "no (opposite)";
        let equivalent = "no (equivalent)";
        match (self.asked.question.direction, self.verdict) {
            (_, Verdict::Undefined) => "undefined",
            (_, Verdict::Unresolved) => "unresolved",
            (Expected::Below, Verdict::Below)
            | (Expected::Above, Verdict::Above)
            | (Expected::Equivalent, Verdict::Equivalent) => "yes",
            (Expected::Equivalent, Verdict::Below) => "no (below)",
            (Expected::Equivalent, Verdict::Above) => "no (above)",
            (Expected::Below, Verdict::Above) | (Expected::Above, Verdict::Below) => opposite,
            (Expected::Below | Expected::Above, Verdict::Equivalent) => equivalent,
        }
    }

    /// Whether it came as the hypothesis expected.
    pub fn as_expected(&self) -> bool {
        self.word() == "yes"
    }
}

/// Every question's answer, in the order asked.
pub(super) fn answers(
    input: &Input<'_>,
    design: &Design<'_>,
    trained: &Trained<'_, '_>,
) -> Vec<Answer> {
    let arms: Vec<&str> = input.arms.iter().map(|arm| arm.name.as_str()).collect();
    let tasks: Vec<usize> = (0..design.tasks.len()).collect();
    let of = |asked: &Asked| {
        let question = &asked.question;
        // A question of arms that are not compared here has no answer here.
        let (arm, against) = question.sides(&arms)?;
        let smallest = Some(question.smallest_effect);
        let found = contrast(
            design,
            trained,
            [arm, against],
            question.measure,
            &tasks,
            smallest,
        );
        Some(Answer {
            asked: asked.clone(),
            contrast: found,
            p_holm: None,
            p_equivalence_holm: None,
            family: 0,
            verdict: Verdict::Undefined,
        })
    };
    let mut answers: Vec<Answer> = input.questions.iter().filter_map(of).collect();
    let families: BTreeSet<String> = (answers.iter())
        .map(|answer| answer.asked.question.family.clone())
        .collect();
    for family in families {
        let members: Vec<&mut Answer> = (answers.iter_mut())
            .filter(|answer| answer.asked.question.family == family)
            .collect();
        decide(members);
    }
    answers
}

/// Corrects the tests of one family for their number, and decides by them.
fn decide(family: Vec<&mut Answer>) {
    let of = |p: fn(&Contrast) -> Option<f64>| -> Vec<Option<f64>> {
        holm(
            &family
                .iter()
                .map(|answer| p(&answer.contrast))
                .collect::<Vec<_>>(),
        )
    };
    let (differs, equivalent) = (of(|c| c.p), of(|c| c.p_equivalence));
    let size = differs.iter().flatten().count();
    for ((answer, differs), equivalent) in family.into_iter().zip(differs).zip(equivalent) {
        answer.p_holm = differs;
        answer.p_equivalence_holm = equivalent;
        answer.family = size;
        let passes = |p: Option<f64>| p.is_some_and(|p| p < LEVEL);
        answer.verdict = match answer.contrast.difference.value {
            _ if differs.is_none() => Verdict::Undefined,
            Some(value) if passes(differs) && value < 0.0 => Verdict::Below,
            Some(_) if passes(differs) => Verdict::Above,
            _ if passes(equivalent) => Verdict::Equivalent,
            _ => Verdict::Unresolved,
        };
    }
}
