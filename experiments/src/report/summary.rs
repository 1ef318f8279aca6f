//! The findings in words, made from the contrasts.
//!
//! A sentence claims a direction only where the whole interval lies on one
//! side; elsewhere it says inconclusive, or undefined and why. It deliberately
//! knows nothing of the hypothesis: whether that held is for the reader.

use crate::comparison::{ArmFigures, Comparison, Contrast, Estimate, Measure, Verdict};
use crate::tables::format::{self, Quantity};
use crate::tables::layout::{best_constant, capitalized, measure_name, task_names, verdict};

/// One finding: a sentence as plain text, and the answer to a named question in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) text: String,
    pub(super) answer: Option<String>,
}

/// The summary: an entry for each pair of arms that was compared, then what
/// must be known of single arms.
pub(super) fn findings(comparison: &Comparison) -> Vec<Finding> {
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
        pair(arm, against, &contrasts)
    };
    let plain = |text| Finding { text, answer: None };
    let mut out: Vec<Finding> = spread(comparison).map(plain).into_iter().collect();
    if pairs.is_empty() {
        out.push(plain("There is no contrast to report.".to_owned()));
    }
    out.extend(pairs.iter().map(of_pair));
    let mut alone: Vec<String> = comparison
        .arms
        .iter()
        .filter_map(undefined_alignment)
        .collect();
    if let Some(constant) = best_constant(comparison, Measure::BalancedAccuracy) {
        let arms = comparison.arms.iter();
        alone.extend(arms.filter_map(|arm| not_above(arm, constant)));
    }
    out.extend(alone.into_iter().map(plain));
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

/// What was found between two arms, the measures in the order of the contrasts.
fn pair(arm: &str, against: &str, contrasts: &[&Contrast]) -> Finding {
    let direction = |measure| {
        let of = contrasts.iter().find(|c| c.measure == measure);
        of.map(|c| c.verdict)
    };
    // Where balanced accuracy says what accuracy says, the table of contrasts is place enough for it.
    let twice = direction(Measure::Accuracy) == direction(Measure::BalancedAccuracy);
    let said = contrasts
        .iter()
        .filter(|c| !(twice && c.measure == Measure::BalancedAccuracy));
    let mut found = Vec::new();
    let mut alike = Vec::new();
    let mut open = Vec::new();
    let mut undefined = Vec::new();
    for contrast in said {
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
    let answers: Vec<String> = contrasts
        .iter()
        .filter_map(|c| {
            c.question.as_ref()?;
            Some(format!("{}.", capitalized(&verdict(c))))
        })
        .collect();
    Finding {
        text: format!("{}.", parts.join("; ")),
        answer: (!answers.is_empty()).then(|| answers.join(" ")),
    }
}

/// `a, b and c`
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `higher accuracy (+0.27 [0.24, 0.29], p < 0.001)`; without a direction where none is shown.
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
        Verdict::Equivalent | Verdict::Unresolved => format!("{measure} ({figures})"),
        Verdict::Undefined => {
            let why = contrast.difference.why_undefined.as_deref();
            format!("{measure} ({})", why.unwrap_or("it has no interval"))
        }
    }
}

/// `Accuracy runs from 0.56 (base) to 0.91 (teacher); ...`: where the arms lie, before what tells
/// them apart.
fn spread(comparison: &Comparison) -> Option<String> {
    type Of = fn(&ArmFigures) -> &Estimate;
    let measures: [(&str, Quantity, Of); 3] = [
        ("accuracy", Quantity::Share, |arm| &arm.accuracy),
        ("elasticity", Quantity::Signed, |arm| &arm.elasticity),
        ("reasoning tokens", Quantity::Amount, |arm| &arm.tokens),
    ];
    let mut parts = Vec::new();
    for (name, quantity, of) in measures {
        let arms = comparison.arms.iter();
        let values = arms.filter_map(|arm| Some((of(arm).value?, arm.name.as_str())));
        let mut values: Vec<(f64, &str)> = values.collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let [(low, least), .., (high, most)] = values.as_slice() else {
            continue;
        };
        let [low, high] = [*low, *high].map(|v| format::number(Some(v), quantity));
        let verb = if parts.is_empty() { " runs" } else { "" };
        parts.push(format!(
            "{name}{verb} from {low} ({least}) to {high} ({most})"
        ));
    }
    (!parts.is_empty()).then(|| format!("{}.", capitalized(&parts.join(", "))))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn claims_follow_the_intervals() {
        let findings = findings(&fixture::comparison());
        let texts: Vec<&str> = findings.iter().map(|f| f.text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "Accuracy runs from 0.58 (base) to 0.88 (teacher), alignment with human time from +0.66 (sft) to +0.82 \
                 (teacher), reasoning tokens from 8.1 (base) to 18.9 (teacher).",
                "grpo has higher accuracy (+0.27 [0.24, 0.29], p < 0.001) than base.",
                "grpo has higher alignment with human time (+0.12 [0.04, 0.19], p < 0.001) than sft; inconclusive in \
                 accuracy (+0.02 [-0.01, 0.05], p = 0.213).",
                "sft has more reasoning tokens (+9.0 [8.3, 9.8], p < 0.001) than base; undefined in alignment with human \
                 time (no task has a defined alignment).",
                "sft has lower alignment with human time (-0.16 [-0.23, -0.09], p < 0.001) than teacher.",
                "The alignment of base is undefined: no task has a defined alignment.",
            ]
        );
        let answers: Vec<Option<&str>> = findings.iter().map(|f| f.answer.as_deref()).collect();
        assert_eq!(
            answers,
            [
                None,
                None,
                None,
                Some("Negative transfer: undefined."),
                Some("Functional alignment collapse: yes."),
                None
            ]
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
        let told = |comparison: &Comparison| findings(comparison)[1].text.contains("balanced");
        assert!(!told(&comparison));
        comparison.contrasts.last_mut().unwrap().verdict = Verdict::Unresolved;
        assert!(told(&comparison));
    }

    #[test]
    fn an_arm_at_the_level_of_a_constant_answer_is_named() {
        let mut comparison = fixture::comparison();
        comparison.arms[0].balanced_accuracy.low = Some(0.48);
        let all: Vec<String> = findings(&comparison).into_iter().map(|f| f.text).collect();
        let all = all.join("\n");
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
