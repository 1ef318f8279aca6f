//! The questions that have a name, each with its answer in a line.

use crate::comparison::{Comparison, Contrast};

use super::Quantity;
use super::{format, verdict};

/// One line a contrast that answers a named question, in their order.
pub(super) fn answers(comparison: &Comparison) -> Vec<String> {
    comparison.contrasts.iter().filter_map(answer).collect()
}

/// `Negative transfer (sft - base, alignment): yes, -0.16 [-0.23, -0.09], p = 0.003.`
fn answer(contrast: &Contrast) -> Option<String> {
    let question = contrast.question.as_ref()?;
    let said = verdict(contrast);
    let answer = said.strip_prefix(&format!("{question}: ")).unwrap_or(&said);
    let quantity = Quantity::of_difference(contrast.measure);
    let figures = match (
        contrast.difference.value,
        &contrast.difference.why_undefined,
    ) {
        (None, Some(why)) => why.clone(),
        _ => format::with_p(&contrast.difference, quantity, contrast.p),
    };
    Some(format!(
        "{} ({} - {}, {}): {answer}, {figures}.",
        super::capitalized(question),
        contrast.arm,
        contrast.against,
        super::measure_name(contrast.measure),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn each_named_question_is_answered_and_no_other_contrast() {
        let comparison = fixture::comparison();
        assert_eq!(
            answers(&comparison),
            [
                "Negative transfer (sft - base, alignment): undefined, no task has a defined alignment.",
                "Functional alignment collapse (sft - teacher, alignment): yes, -0.16 [-0.23, -0.09], p < 0.001.",
            ]
        );
    }
}
