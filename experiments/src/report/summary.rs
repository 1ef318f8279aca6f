//! What the contrasts say beside the questions that were asked, in words.
//!
//! A sentence claims a direction only where the whole interval lies on one side of 0, and
//! equivalence only with the p of that. It knows nothing of the hypothesis, and leaves
//! out what the answers to the questions say already.

use std::collections::BTreeSet;

use crate::comparison::{ArmFigures, Comparison, Contrast, Measure, Verdict};
use crate::manifest::Role;
use crate::tables::format::{self, Quantity};
use crate::tables::layout::{self, best_constant, measure_name, task_names};

/// A sentence for each pair of arms, then what must be known of single arms.
pub(super) fn findings(comparison: &Comparison) -> Vec<String> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for c in &comparison.contrasts {
        if !pairs.contains(&(&c.arm, &c.against)) {
            pairs.push((&c.arm, &c.against));
        }
    }
    let of_pair = |&(arm, against): &(&str, &str)| {
        let all = comparison.contrasts.iter();
        let contrasts: Vec<&Contrast> = all
            .filter(|c| c.arm == arm && c.against == against)
            .collect();
        let left = (contrasts.iter().copied()).filter(|c| adds(comparison, &contrasts, c));
        pair(arm, against, &left.collect::<Vec<_>>())
    };
    let mut out: Vec<String> = pairs.iter().filter_map(of_pair).collect();
    if comparison.contrasts.is_empty() {
        out.push("There is no contrast to report.".to_owned());
    }
    if let Some(constant) = best_constant(comparison, Measure::BalancedAccuracy) {
        let arms = comparison.arms.iter();
        out.extend(arms.filter_map(|arm| not_above(arm, constant)));
    }
    out
}

/// Whether a contrast of a pair says what nothing else of the first screen does.
fn adds(comparison: &Comparison, of_pair: &[&Contrast], contrast: &Contrast) -> bool {
    let verdict = |measure| {
        let of = of_pair.iter().find(|c| c.measure == measure);
        of.map(|c| c.verdict)
    };
    if !comparison.shows(contrast.measure) {
        return false;
    }
    let answered = layout::is_told(comparison, contrast)
        || comparison.answers.iter().any(|answer| {
            let other = &answer.contrast;
            (&other.arm, &other.against, other.measure)
                == (&contrast.arm, &contrast.against, contrast.measure)
        });
    let repeats = match contrast.measure {
        // The noise of few samples bends it; where it is corrected for that, this is no evidence.
        Measure::Alignment => verdict(Measure::AlignmentUnlimited).is_some(),
        Measure::BalancedAccuracy => verdict(Measure::Accuracy) == Some(contrast.verdict),
        _ => false,
    };
    !answered && !repeats
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
    let teachers = comparison.arms.iter().flat_map(|arm| &arm.teachers);
    let teachers = teachers.collect::<BTreeSet<_>>().len();
    // Several teachers have seeds of their own.
    let is_own = |arm: &&ArmFigures| teachers == 0 || arm.role != Role::Teacher;
    let seeds = comparison
        .arms
        .iter()
        .filter(is_own)
        .flat_map(|arm| &arm.seeds);
    let seeds = match seeds.collect::<BTreeSet<_>>().len() {
        0 => String::new(),
        n => format!(" of {}", number_of(n, "seed")),
    };
    let teachers = match teachers {
        0 => String::new(),
        n => format!(" and {}", number_of(n, "teacher")),
    };
    let arms = number_of(comparison.arms.len(), "arm");
    format!("{arms}{seeds}{teachers} on {tasks}.")
}

fn number_of(n: usize, what: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{} {what}{s}", format::count(n as u64))
}

/// What was found between two arms, the measures in the order of the contrasts; `None` of no
/// contrast.
fn pair(arm: &str, against: &str, contrasts: &[&Contrast]) -> Option<String> {
    let mut found = Vec::new();
    let mut alike = Vec::new();
    let mut open = Vec::new();
    let mut undefined = Vec::new();
    for contrast in contrasts {
        match contrast.verdict {
            Verdict::Above | Verdict::Below => found.push(claim(contrast)),
            Verdict::Equivalent => alike.push(claim(contrast)),
            Verdict::Unresolved => open.push(claim(contrast)),
            Verdict::Undefined => undefined.push(claim(contrast)),
        }
    }
    let mut parts = Vec::new();
    if !found.is_empty() {
        parts.push(format!("{arm} has {} than {against}", listed(&found)));
    }
    if !alike.is_empty() {
        let subject = if parts.is_empty() {
            format!("{arm} is equivalent to {against} in ")
        } else {
            "equivalent in ".to_owned()
        };
        parts.push(subject + &listed(&alike));
    }
    if !open.is_empty() {
        let subject = if parts.is_empty() {
            format!("{arm} against {against} is unresolved in ")
        } else {
            "unresolved in ".to_owned()
        };
        parts.push(subject + &listed(&open));
    }
    if !undefined.is_empty() {
        let subject = if parts.is_empty() {
            format!("{arm} against {against}: undefined in ")
        } else {
            "undefined in ".to_owned()
        };
        parts.push(subject + &listed(&undefined));
    }
    let scope = contrasts
        .iter()
        .find_map(|contrast| layout::scope(contrast));
    let scope = scope.map_or(String::new(), |scope| format!("; {scope}"));
    (!parts.is_empty()).then(|| format!("{}{scope}.", parts.join("; ")))
}

/// `a, b and c`
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `higher accuracy (+0.27 [0.24, 0.29], p < 0.001)`; without a direction where none is shown,
/// and with the p of the test that was passed.
fn claim(contrast: &Contrast) -> String {
    let measure = measure_name(contrast.measure);
    let quantity = Quantity::of_difference(contrast.measure);
    let figures = format::with_p(&contrast.difference, quantity, contrast.p);
    let (more, less) = match contrast.measure {
        Measure::Tokens => ("more", "fewer"),
        _ => ("higher", "lower"),
    };
    match contrast.verdict {
        Verdict::Above => format!("{more} {measure} ({figures})"),
        Verdict::Below => format!("{less} {measure} ({figures})"),
        Verdict::Equivalent => {
            let smallest = format::number(contrast.smallest_effect, quantity.unsigned());
            let figures = format::with_p(&contrast.difference, quantity, contrast.p_equivalence);
            format!("{measure} (within {smallest} of 0: {figures})")
        }
        Verdict::Unresolved => format!("{measure} ({figures})"),
        Verdict::Undefined => {
            let why = contrast.difference.why_undefined.as_deref();
            format!("{measure} ({})", why.unwrap_or("it has no interval"))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::Scope;
    use crate::fixture;

    #[test]
    fn what_no_question_asked_is_said_with_the_p_of_its_verdict() {
        let mut comparison = fixture::comparison();
        assert_eq!(
            findings(&comparison),
            [
                "grpo has higher accuracy (+0.27 [0.24, 0.29], p < 0.001) than base.",
                "sft has more reasoning tokens (+9.0 [8.3, 9.8], p < 0.001) than base.",
            ]
        );
        // Nothing was asked: what has a name of its own stands among the answers all the same.
        comparison.answers.clear();
        assert_eq!(
            findings(&comparison)[1],
            "grpo has higher elasticity (+0.12 [0.04, 0.19], p < 0.001) than sft; equivalent in accuracy (within 0.05 \
             of 0: +0.02 [-0.01, 0.05], p = 0.011)."
        );
        assert_eq!(findings(&comparison).len(), 3);
        comparison.contrasts[2].scope = Scope::ThisTraining;
        assert!(findings(&comparison)[1].ends_with("; for this training alone."));
    }

    #[test]
    fn observed_r_is_no_evidence_beside_the_corrected_one() {
        let mut comparison = fixture::comparison();
        let mut observed = comparison.contrasts[0].clone();
        observed.measure = Measure::Alignment;
        comparison.contrasts.push(observed.clone());
        assert!(findings(&comparison)[0].contains("higher observed r"));
        observed.measure = Measure::AlignmentUnlimited;
        comparison.contrasts.push(observed);
        assert!(!findings(&comparison)[0].contains("observed r"));
        assert!(findings(&comparison)[0].contains("r at unlimited samples"));
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
            let text = claim(&c);
            assert!(
                !["more", "less", "higher", "lower", "fewer"]
                    .iter()
                    .any(|w| text.contains(w))
            );
        }
    }

    #[test]
    fn balanced_accuracy_is_told_where_it_differs_from_accuracy() {
        let mut comparison = fixture::comparison();
        let mut balanced = comparison.contrasts[0].clone();
        balanced.measure = Measure::BalancedAccuracy;
        comparison.contrasts.push(balanced);
        let told = |comparison: &Comparison| findings(comparison)[0].contains("balanced");
        assert!(!told(&comparison));
        comparison.contrasts.last_mut().unwrap().verdict = Verdict::Unresolved;
        assert!(told(&comparison));
    }

    #[test]
    fn an_arm_at_the_level_of_a_constant_answer_is_named() {
        let mut comparison = fixture::comparison();
        comparison.arms[0].balanced_accuracy.low = Some(0.48);
        let all = findings(&comparison).join("\n");
        assert!(all.contains(
            "balanced accuracy of base, 0.56 [0.48, 0.58], is not told apart from the 0.50"
        ));
        assert_eq!(all.matches("constant answers").count(), 1);
    }

    #[test]
    fn scope_counts() {
        assert_eq!(
            scope(&fixture::comparison()),
            "4 arms of 2 seeds on 2 tasks: alphabet_arithmetic (10 items), mental_addition (8 items)."
        );
    }
}
