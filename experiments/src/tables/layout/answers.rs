//! Each question with its answer in a sentence, those against the hypothesis first.

use crate::comparison::{Answer, Comparison, Scope, Verdict};

use super::{Quantity, capitalized, format, measure_name, scope, verdict};

/// One sentence a question. Where none was asked, the contrasts that have a name of their own
/// are told, as what they are: exploratory.
pub(super) fn answers(comparison: &Comparison) -> Vec<String> {
    let mut asked: Vec<&Answer> = comparison.answers.iter().collect();
    // An outcome that nobody expected must not be found last.
    asked.sort_by_key(|answer| match answer.word() {
        "yes" => 2,
        "unresolved" | "undefined" => 1,
        _ => 0,
    });
    if !asked.is_empty() {
        return asked.into_iter().map(answer).collect();
    }
    let named = comparison.contrasts.iter().filter_map(|contrast| {
        let question = contrast.question.as_ref()?;
        let said = verdict(contrast);
        let said = said.strip_prefix(&format!("{question}: ")).unwrap_or(&said);
        let quantity = Quantity::of_difference(contrast.measure);
        let figures = match (contrast.difference.value, &contrast.difference.why_undefined) {
            (None, Some(why)) => why.clone(),
            _ => format::with_p(&contrast.difference, quantity, contrast.p),
        };
        let alone = scope(contrast).map_or(String::new(), |scope| format!(", {scope}"));
        Some(format!(
            "Exploratory, as no question was asked: {question} ({} - {}, {}): {said}{alone}, {figures}.",
            contrast.arm,
            contrast.against,
            measure_name(contrast.measure),
        ))
    });
    named.collect()
}

/// `Negative transfer (sft - base in elasticity, expected below 0; preregistered): unresolved. The
/// difference is +0.08 [-0.02, 0.18], p = 0.330 (Holm, 3 questions).`
fn answer(answer: &Answer) -> String {
    let (question, contrast) = (&answer.asked.question, &answer.contrast);
    let quantity = Quantity::of_difference(contrast.measure);
    let expected = match question.direction.word() {
        "equivalent" => "expected equivalent".to_owned(),
        side => format!("expected {side} 0"),
    };
    let lead = format!(
        "{} ({} - {} in {}, {expected}; {}): {}",
        capitalized(&question.name),
        contrast.arm,
        contrast.against,
        measure_name(contrast.measure),
        answer.asked.when.words(),
        answer.word(),
    );
    let Some(_) = contrast.difference.value else {
        let why = contrast.difference.why_undefined.as_deref();
        return format!("{lead}, {}.", why.unwrap_or("no reason was recorded"));
    };
    let shown = format::estimate(&contrast.difference, quantity);
    let corrected = match answer.family {
        0 | 1 => String::new(),
        n => format!(" (Holm, {n} questions)"),
    };
    let smallest = format::number(contrast.smallest_effect, quantity.unsigned());
    let test = match answer.verdict {
        Verdict::Undefined => contrast
            .difference
            .why_undefined
            .clone()
            .unwrap_or_default(),
        Verdict::Equivalent => format!(
            "within {smallest} of 0, p {}{corrected}",
            equals(answer.p_equivalence_holm)
        ),
        _ => format!("p {}{corrected}", equals(answer.p_holm)),
    };
    let mut sentence = format!("{lead}. The difference is {shown}, {test}");
    if answer.verdict == Verdict::Unresolved {
        sentence.push_str(&format!(
            "; it is neither told from 0 nor shown to lie within {smallest}"
        ));
    }
    match (contrast.scope, scope(contrast)) {
        (Scope::Trainings, _) | (_, None) => {}
        (_, Some(scope)) => sentence.push_str(&format!("; {scope}")),
    }
    sentence + "."
}

/// `= 0.012`, or `< 0.001`.
fn equals(p: Option<f64>) -> String {
    let shown = format::p_value(p);
    match shown.strip_prefix('<') {
        Some(bound) => format!("< {bound}"),
        None => format!("= {shown}"),
    }
}
