//! Which arm is more often right: what is told first where people have no times, so that accuracy is
//! the outcome.

use crate::comparison::{ArmFigures, Comparison, Contrast, Measure, Verdict};

use super::super::task_names;
use super::{Quantity, exploratory, format, unmet};

/// Differences in accuracy that are told before the tables.
const PAIRS: usize = 6;

/// The differences in accuracy that are told first: where people have no times, and no question
/// asks of one.
pub(super) fn of_accuracy(comparison: &Comparison) -> impl Iterator<Item = &Contrast> {
    let is = |contrast: &Contrast| contrast.measure == Measure::Accuracy;
    let asked = (comparison.answers.iter()).any(|answer| is(&answer.contrast));
    let wanted = !asked && !comparison.has_times();
    let found = comparison.contrasts.iter().filter(move |c| is(c) && wanted);
    found.take(PAIRS)
}

/// `Which is more often right, grpo or base: grpo. grpo lies above base in accuracy (exploratory):
/// +0.27 [0.24, 0.29], p < 0.001.` Of arms that are not compared, the accuracy of each.
pub(super) fn more_often_right(comparison: &Comparison) -> Vec<String> {
    let is = |measure| measure == Measure::Accuracy;
    if comparison.has_times()
        || task_names(comparison).is_empty()
        || comparison.answers.iter().any(|a| is(a.contrast.measure))
    {
        return Vec::new();
    }
    let mut told: Vec<String> = of_accuracy(comparison)
        .map(|contrast| {
            let (arm, against) = (&contrast.arm, &contrast.against);
            let word = match contrast.verdict {
                Verdict::Above => arm,
                Verdict::Below => against,
                Verdict::Equivalent => "neither",
                Verdict::Unresolved => "unresolved",
                Verdict::Undefined => format::UNDEFINED,
            };
            let lead = format!("Which is more often right, {arm} or {against}: {word}");
            exploratory(lead, " (exploratory)", contrast) + &unmet(comparison, contrast)
        })
        .collect();
    let all = comparison.contrasts.iter().filter(|c| is(c.measure));
    let more = all.count().saturating_sub(told.len());
    if more > 0 {
        told.push(format!(
            "{more} more differences in accuracy stand among the contrasts."
        ));
    }
    if told.is_empty() {
        let of_arm = |arm: &ArmFigures| {
            let shown = format::estimate(&arm.accuracy, Quantity::Share);
            format!("{} {shown}", arm.name)
        };
        let arms: Vec<String> = comparison.arms.iter().map(of_arm).collect();
        told.push(format!(
            "Accuracy, with no two arms to be compared: {}.",
            arms.join("; ")
        ));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::super::answers;
    use super::*;
    use crate::fixture;

    fn without_times() -> Comparison {
        let mut comparison = fixture::comparison();
        let arms = comparison.arms.iter_mut();
        for task in arms.flat_map(|arm| &mut arm.tasks) {
            task.timed = 0;
        }
        comparison
    }

    #[test]
    fn without_times_the_first_sentence_says_which_arm_is_more_often_right() {
        let mut comparison = without_times();
        // A question asks of accuracy: it comes before those that nobody can answer.
        assert!(answers(&comparison)[0].starts_with("Like accuracy: yes"));
        comparison
            .answers
            .retain(|a| a.contrast.measure != Measure::Accuracy);
        let told = answers(&comparison);
        assert_eq!(
            told[0],
            "Which is more often right, grpo or base: grpo. grpo lies above base in accuracy (exploratory): +0.27 \
             [0.24, 0.29], p < 0.001."
        );
        assert!(told[1].starts_with("Which is more often right, grpo or sft: neither."));
        assert!(told[2].starts_with("Functional alignment collapse"));
        comparison.answers.clear();
        let told = answers(&comparison);
        assert!(told.len() == 3 && told[2].contains("exploratory"));
        comparison.contrasts.clear();
        let told = answers(&comparison);
        assert!(told[0].starts_with("Accuracy, with no two arms to be compared: base 0.58"));
        comparison.arms.clear();
        assert!(answers(&comparison).is_empty());
    }

    #[test]
    fn of_very_many_differences_in_accuracy_the_first_are_told() {
        let mut comparison = without_times();
        comparison.answers.clear();
        let one = comparison.contrasts[0].clone();
        comparison.contrasts = vec![one; 40];
        let told = answers(&comparison);
        assert_eq!(told.len(), PAIRS + 2);
        assert!(told[PAIRS].starts_with("34 more differences"));
    }
}
