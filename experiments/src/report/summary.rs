//! The findings in words, made from the contrasts.
//!
//! A sentence claims a direction only where the whole interval lies on one
//! side; elsewhere it says inconclusive, or undefined and why. It deliberately
//! knows nothing of the hypothesis: whether that held is for the reader.

use crate::comparison::{ArmFigures, Comparison, Contrast, Direction, Measure};
use crate::tables::format::{self, Quantity};
use crate::tables::layout::{best_constant, measure_name, task_names};

/// The summary, a sentence or two an entry, as plain text.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let mut out: Vec<String> = comparison.contrasts.iter().map(contrast).collect();
    out.extend(comparison.arms.iter().filter_map(undefined_alignment));
    if let Some(constant) = best_constant(comparison, Measure::BalancedAccuracy) {
        out.extend(
            comparison
                .arms
                .iter()
                .filter_map(|arm| not_above(arm, constant)),
        );
    }
    out
}

/// What was compared, in a sentence.
pub(super) fn scope(comparison: &Comparison) -> String {
    let tasks: Vec<String> = task_names(comparison)
        .into_iter()
        .map(|name| {
            let items = comparison
                .arms
                .iter()
                .flat_map(|arm| &arm.tasks)
                .filter(|task| task.task == name)
                .map(|task| task.items)
                .max()
                .unwrap_or(0);
            format!("{name} ({})", number_of(items, "item"))
        })
        .collect();
    let tasks = if tasks.is_empty() {
        "no task".to_owned()
    } else {
        format!("{}: {}", number_of(tasks.len(), "task"), tasks.join(", "))
    };
    format!("{} on {tasks}.", number_of(comparison.arms.len(), "arm"))
}

fn number_of(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", format::count(n as u64))
}

fn contrast(contrast: &Contrast) -> String {
    let Contrast { arm, against, .. } = contrast;
    let measure = measure_name(contrast.measure);
    let figures = figures(contrast);
    let answer = match (&contrast.question, &contrast.verdict) {
        (Some(question), Some(verdict)) => format!(" {}: {verdict}.", capitalized(question)),
        (Some(question), None) => format!(" {}: undefined.", capitalized(question)),
        (None, _) => String::new(),
    };
    let claim = match contrast.direction {
        Direction::Above => format!("{} than {against}: {figures}.", more(arm, contrast.measure)),
        Direction::Below => format!("{} than {against}: {figures}.", less(arm, contrast.measure)),
        Direction::Across => {
            format!("Whether {arm} and {against} differ in {measure} is inconclusive: {figures}.")
        }
        Direction::Undefined => {
            let why = contrast.difference.why_undefined.as_deref();
            format!(
                "Nothing can be said of the difference between {arm} and {against} in {measure}: {}.",
                why.unwrap_or("it has no interval")
            )
        }
    };
    claim + &answer
}

/// `+0.27 [0.24, 0.29], p < 0.001`
fn figures(contrast: &Contrast) -> String {
    let quantity = Quantity::of_difference(contrast.measure);
    let difference = format::estimate(&contrast.difference, quantity);
    let p = format::p_value(contrast.p);
    match (contrast.p, p.strip_prefix('<')) {
        (None, _) => difference,
        (Some(_), Some(bound)) => format!("{difference}, p < {bound}"),
        (Some(_), None) => format!("{difference}, p = {p}"),
    }
}

fn more(arm: &str, measure: Measure) -> String {
    match measure {
        Measure::Accuracy => format!("{arm} had a higher accuracy"),
        Measure::BalancedAccuracy => format!("{arm} had a higher balanced accuracy"),
        Measure::Alignment => format!("{arm} had a higher alignment with human time"),
        Measure::Tokens => format!("{arm} spent more reasoning tokens"),
    }
}

fn less(arm: &str, measure: Measure) -> String {
    match measure {
        Measure::Accuracy => format!("{arm} had a lower accuracy"),
        Measure::BalancedAccuracy => format!("{arm} had a lower balanced accuracy"),
        Measure::Alignment => format!("{arm} had a lower alignment with human time"),
        Measure::Tokens => format!("{arm} spent fewer reasoning tokens"),
    }
}

fn undefined_alignment(arm: &ArmFigures) -> Option<String> {
    if arm.alignment.value.is_some() {
        return None;
    }
    let why = arm.alignment.why_undefined.as_deref();
    Some(format!(
        "The alignment of {} is undefined: {}.",
        arm.name,
        why.unwrap_or("no reason was recorded")
    ))
}

/// An accuracy whose interval holds what a constant answer scores is worth a sentence.
fn not_above(arm: &ArmFigures, constant: f64) -> Option<String> {
    let (low, high) = format::interval(&arm.balanced_accuracy)?;
    let constant_shown = format::number(Some(constant), Quantity::Share);
    let shown = format::estimate(&arm.balanced_accuracy, Quantity::Share);
    if low > constant {
        None
    } else if high < constant {
        Some(format!(
            "The balanced accuracy of {}, {shown}, lies below the {constant_shown} of the best constant answers.",
            arm.name
        ))
    } else {
        Some(format!(
            "The balanced accuracy of {}, {shown}, is not told apart from the {constant_shown} of the best constant \
             answers.",
            arm.name
        ))
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| {
        first.to_uppercase().collect::<String>() + chars.as_str()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn claims_follow_the_intervals() {
        let sentences = sentences(&fixture::comparison());
        assert_eq!(
            sentences[0],
            "grpo had a higher accuracy than base: +0.27 [0.24, 0.29], p < 0.001."
        );
        assert_eq!(
            sentences[1],
            "Whether grpo and sft differ in accuracy is inconclusive: +0.02 [-0.01, 0.05], p = 0.213."
        );
        assert_eq!(
            sentences[4],
            "Nothing can be said of the difference between sft and base in alignment: no task has a defined alignment. \
             Negative transfer: undefined."
        );
        assert!(
            sentences[5]
                .starts_with("sft had a lower alignment with human time than teacher: -0.16")
        );
        assert!(sentences[5].ends_with("Functional alignment collapse: yes."));
        assert_eq!(
            sentences[6],
            "The alignment of base is undefined: no task has a defined alignment."
        );
    }

    #[test]
    fn an_interval_across_zero_never_claims_a_direction() {
        for measure in [
            Measure::Accuracy,
            Measure::BalancedAccuracy,
            Measure::Alignment,
            Measure::Tokens,
        ] {
            let mut c = fixture::comparison().contrasts[1].clone();
            c.measure = measure;
            let text = contrast(&c);
            assert!(text.contains("inconclusive"));
            assert!(
                !["more", "less", "higher", "lower", "fewer"]
                    .iter()
                    .any(|w| text.contains(w))
            );
        }
    }

    #[test]
    fn an_arm_at_the_level_of_a_constant_answer_is_named() {
        let mut comparison = fixture::comparison();
        comparison.arms[0].balanced_accuracy.low = Some(0.48);
        let all = sentences(&comparison).join("\n");
        assert!(all.contains(
            "balanced accuracy of base, 0.56 [0.48, 0.58], is not told apart from the 0.50"
        ));
        assert_eq!(all.matches("constant answers").count(), 1);
    }

    #[test]
    fn scope_counts() {
        assert_eq!(
            scope(&fixture::comparison()),
            "4 arms on 2 tasks: alphabet_arithmetic (10 items), mental_addition (8 items)."
        );
    }
}
