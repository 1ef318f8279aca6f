//! Each question with its answer in a sentence, those against the hypothesis first, and the
//! same as a table.

use std::fmt::Write as _;

use crate::comparison::question::Expected;
use crate::comparison::{
    Answer, ArmFigures, Comparison, Contrast, Estimate, Measure, Scope, Verdict,
};

use super::{Cell, Column, Footnotes, Quantity, Row, Table, capitalized, detail, fairness, format};
use super::{measure_name, name_column, number_column, scope, verdict_word};

mod right;

/// Whether a sentence before the tables tells a contrast that no question asks of.
pub fn is_told(comparison: &Comparison, contrast: &Contrast) -> bool {
    if right::of_accuracy(comparison).any(|told| told == contrast) {
        return true;
    }
    comparison.answers.is_empty() && comparison.has_times() && contrast.question.is_some()
}

/// One sentence a question. Where none was asked, the contrasts that have a name of their own
/// are told in the primary outcome, as what they are: exploratory. Without people's times the
/// primary outcome is accuracy, and the first sentence says which arm is more often right.
pub(super) fn answers(comparison: &Comparison) -> Vec<String> {
    let mut told = right::more_often_right(comparison);
    let asked = in_order(comparison);
    if !asked.is_empty() {
        told.extend(asked.into_iter().map(|asked| answer(comparison, asked)));
        return told;
    }
    if !comparison.has_times() {
        if !comparison.contrasts.is_empty() {
            told.push("No question was asked, so every difference is exploratory.".to_owned());
        }
        return told;
    }
    let named = comparison.contrasts.iter().filter_map(|contrast| {
        let name = contrast.question.as_ref()?;
        (contrast.measure == Measure::Elasticity).then(|| {
            let lead = format!("{}: {}", capitalized(name), verdict_word(contrast));
            exploratory(lead, "", contrast) + &unmet(comparison, contrast)
        })
    });
    let mut named: Vec<String> = named.collect();
    if !comparison.contrasts.is_empty() {
        named.insert(
            0,
            "No question was asked, so every difference is exploratory.".to_owned(),
        );
    }
    named
}

/// The answers, those against the hypothesis first: an outcome that nobody expected must not be
/// found last.
fn in_order(comparison: &Comparison) -> Vec<&Answer> {
    let mut asked: Vec<&Answer> = comparison.answers.iter().collect();
    let timed = comparison.has_times();
    asked.sort_by_key(|answer| match answer.word() {
        // Nobody can answer it.
        _ if !timed && answer.contrast.measure.is_alignment() => 3,
        "yes" => 2,
        "unresolved" | "undefined" => 1,
        _ => 0,
    });
    asked
}

/// The question that a contrast, or the same the other way round, answers.
pub(super) fn asked_of<'a>(
    comparison: &'a Comparison,
    contrast: &'a Contrast,
) -> impl Iterator<Item = &'a Answer> {
    let pair = |c: &'a Contrast| [c.arm.as_str(), c.against.as_str()];
    let answers = comparison.answers.iter();
    answers.filter(move |answer| {
        let mut other = pair(&answer.contrast);
        let same = other == pair(contrast);
        other.reverse();
        answer.contrast.measure == contrast.measure && (same || other == pair(contrast))
    })
}

/// `Negative transfer: unresolved. It is not decided whether sft lies above or below base in
/// elasticity (expected below; preregistered): +0.08 [-0.02, 0.18], p = 0.330, p of equivalence =
/// 0.402, after Holm's correction for 3 questions.`
fn answer(comparison: &Comparison, answer: &Answer) -> String {
    let question = &answer.asked.question;
    let came = match answer.word() {
        "yes" => "as expected".to_owned(),
        _ => expected(answer),
    };
    let corrected = match answer.family {
        0 | 1 => String::new(),
        n => format!(" after Holm's correction for {n} questions"),
    };
    sentence(&Told {
        lead: format!("{}: {}", capitalized(&question.name), answer.word()),
        contrast: &answer.contrast,
        verdict: answer.verdict,
        beside: format!(" ({came}; {})", answer.asked.when.words()),
        p: [answer.p_holm, answer.p_equivalence_holm],
        corrected,
    }) + &unmet(comparison, &answer.contrast)
}

/// What the pairing of a contrast lacks, and which of its arms came to no answer, as sentences
/// after the answer.
fn unmet(comparison: &Comparison, contrast: &Contrast) -> String {
    let names = [contrast.arm.as_str(), contrast.against.as_str()];
    let unmet = fairness::of_contrast(comparison, names);
    let mut said = unmet.map_or(String::new(), |unmet| format!(" {}.", capitalized(&unmet)));
    let cut_off = |arm: &&ArmFigures| arm.samples > 0 && arm.truncated == arm.samples;
    let arms = comparison.arms.iter().filter(cut_off);
    for arm in arms.filter(|arm| names.contains(&arm.name.as_str())) {
        said += " The token cap cut off every sample of ";
        said += &arm.name;
        said += ", so its tokens are the cap's.";
    }
    said
}

/// `Negative transfer: yes. sft lies below base in elasticity: -0.12 [-0.19, -0.05], p = 0.004.`
fn exploratory(lead: String, beside: &str, contrast: &Contrast) -> String {
    sentence(&Told {
        lead,
        contrast,
        verdict: contrast.verdict,
        beside: beside.to_owned(),
        p: [contrast.p, contrast.p_equivalence],
        corrected: String::new(),
    })
}

/// What the hypothesis expected of a difference.
fn expected(answer: &Answer) -> String {
    match (answer.asked.question.direction, smallest(&answer.contrast)) {
        (Expected::Below, _) => "expected below".to_owned(),
        (Expected::Above, _) => "expected above".to_owned(),
        (Expected::Equivalent, Some(most)) => format!("expected within {most}"),
        (Expected::Equivalent, None) => "expected equivalent".to_owned(),
    }
}

/// The smallest effect of interest as it is written, where there is one.
fn smallest(contrast: &Contrast) -> Option<String> {
    let quantity = Quantity::of_difference(contrast.measure).unsigned();
    let size = contrast.smallest_effect?;
    Some(format::number(Some(size), quantity))
}

/// What a sentence says.
struct Told<'a> {
    lead: String,
    contrast: &'a Contrast,
    /// By the p values below.
    verdict: Verdict,
    beside: String,
    /// Of the difference, and of equivalence.
    p: [Option<f64>; 2],
    corrected: String,
}

fn sentence(told: &Told<'_>) -> String {
    let Told {
        lead,
        contrast,
        beside,
        corrected,
        ..
    } = told;
    let (arm, against) = (&contrast.arm, &contrast.against);
    let measure = measure_name(contrast.measure);
    let most = smallest(contrast).unwrap_or_else(|| format::UNDEFINED.to_owned());
    let said = match told.verdict {
        Verdict::Below => format!("{arm} lies below {against} in {measure}"),
        Verdict::Above => format!("{arm} lies above {against} in {measure}"),
        Verdict::Equivalent => format!("{arm} lies within {most} of {against} in {measure}"),
        Verdict::Unresolved => format!(
            "{arm} is neither told apart from {against} in {measure} nor shown to lie within {most} of it"
        ),
        Verdict::Undefined => format!("{arm} cannot be held against {against} in {measure}"),
    };
    let figures = figures(told);
    let mut ends = match scope(contrast) {
        Some(scope) if contrast.difference.value.is_some() => {
            format!(" This holds {scope}.")
        }
        _ => String::new(),
    };
    if contrast.is_of_two() && contrast.difference.value.is_some() {
        let what = match contrast.scope {
            Scope::Teachers => "teachers",
            _ => "trainings",
        };
        let _ = write!(
            ends,
            " It is no more than a hint: two {what} cannot decide."
        );
    }
    // By itself the interval would have decided.
    let uncorrected = matches!(contrast.verdict, Verdict::Below | Verdict::Above);
    let ends = if told.verdict == Verdict::Unresolved && uncorrected {
        format!(" The interval leaves 0 out, which does not stand the correction.{ends}")
    } else {
        ends
    };
    format!(
        "{lead}. {said}{beside}: {figures}{corrected}.{ends}",
        corrected = if told.verdict == Verdict::Undefined {
            ""
        } else {
            corrected.as_str()
        }
    )
}

/// The difference with the test that decides.
fn figures(told: &Told<'_>) -> String {
    let found = &told.contrast.difference;
    let shown = format::estimate(found, Quantity::of_difference(told.contrast.measure));
    let why = found
        .why_undefined
        .as_deref()
        .unwrap_or("no reason was recorded");
    let [differs, equivalent] = told.p.map(equals);
    match told.verdict {
        Verdict::Undefined if found.value.is_none() => why.to_owned(),
        Verdict::Undefined => format!("{shown}, {why}"),
        Verdict::Below | Verdict::Above => format!("{shown}, p {differs}"),
        Verdict::Equivalent => format!("{shown}, p of equivalence {equivalent}"),
        Verdict::Unresolved => format!("{shown}, p {differs}, p of equivalence {equivalent}"),
    }
}

/// `= 0.012`, or `< 0.001`.
fn equals(p: Option<f64>) -> String {
    let shown = format::p_value(p);
    match shown.strip_prefix('<') {
        Some(bound) => format!("< {bound}"),
        None => format!("= {shown}"),
    }
}

/// The questions as a table, in the order of the sentences.
pub(super) fn questions(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let asked = in_order(comparison).into_iter();
    Table {
        id: "questions",
        title: "Tests of the questions",
        caption: "What was asked, what was expected, and what came out, the outcomes against the hypothesis first. Each p \
                  is corrected by Holm's method for the questions of its family, and decides the answer; the interval \
                  is that of the one difference."
            .to_owned(),
        grouped_by: None,
        rows: asked
            .map(|answer| row(comparison, answer, &mut notes))
            .collect(),
        columns: columns(),
        footnotes: notes.0,
        aside: true,
    }
}

fn row(comparison: &Comparison, answer: &Answer, notes: &mut Footnotes) -> Row {
    let (question, contrast) = (&answer.asked.question, &answer.contrast);
    let quantity = Quantity::of_difference(contrast.measure);
    let Estimate {
        why_undefined, n, ..
    } = &contrast.difference;
    let names = [contrast.arm.as_str(), contrast.against.as_str()];
    let name = fairness::named(
        &format!("{} - {}", contrast.arm, contrast.against),
        fairness::of_contrast(comparison, names),
        notes,
    );
    let difference = notes.estimate(&contrast.difference, quantity);
    let mut or_why = |text: String, defined: bool| Cell {
        mark: (!defined).then(|| notes.mark(why_undefined.as_deref())),
        ..text.into()
    };
    let of_p =
        [answer.p_holm, answer.p_equivalence_holm].map(|p| or_why(format::p_value(p), p.is_some()));
    let [differs, equivalent] = of_p;
    let least = smallest(contrast);
    let defined = least.is_some();
    let least = or_why(
        least.unwrap_or_else(|| format::UNDEFINED.to_owned()),
        defined,
    );
    let answered = match scope(contrast) {
        Some(scope) if contrast.difference.value.is_some() => format!("{}, {scope}", answer.word()),
        _ => answer.word().to_owned(),
    };
    Row {
        group: None,
        cells: vec![
            question.name.as_str().into(),
            name,
            measure_name(contrast.measure).into(),
            expected(answer).trim_start_matches("expected ").into(),
            difference,
            differs,
            equivalent,
            answered.into(),
            answer.asked.when.words().into(),
            question.family.as_str().into(),
            least,
            format::count(contrast.trainings as u64).into(),
            format::count(*n as u64).into(),
        ],
    }
}

fn columns() -> Vec<Column> {
    vec![
        name_column("question", "Its name."),
        name_column("contrast", "First arm minus second arm."),
        name_column("measure", "What is compared."),
        name_column(
            "expected",
            "What the hypothesis expected of the difference.",
        ),
        number_column(
            "difference",
            "Difference with its 95 % interval over trainings and items.",
        ),
        number_column(
            "p (Holm)",
            "Two-sided p against 0 after Holm's correction within the family.",
        ),
        number_column(
            "p of equivalence (Holm)",
            "p of the two one-sided tests against the smallest effect of interest after the same.",
        ),
        name_column(
            "answer",
            "Yes where it came as expected; no where the difference lies on the other side, or within the smallest effect \
             of interest; unresolved where neither test decides.",
        ),
        name_column("asked", "When it was asked: before the run, or later."),
        detail(name_column(
            "family",
            "The questions that are corrected together.",
        )),
        detail(number_column(
            "smallest effect",
            "The smallest effect of interest.",
        )),
        detail(number_column(
            "trainings",
            "Trainings behind the difference; teachers, where it is over these.",
        )),
        detail(number_column("n", "Items behind the difference.")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn answers_against_the_hypothesis_come_first_and_say_what_decided() {
        let found = answers(&fixture::comparison());
        let words: Vec<&str> = found
            .iter()
            .map(|sentence| sentence.split(". ").next().unwrap_or_default())
            .collect();
        assert_eq!(
            words,
            [
                "Mimicry above mastery: no (opposite)",
                "Negative transfer: undefined",
                "Functional alignment collapse: yes",
                "Like accuracy: yes"
            ]
        );
        assert!(found[0].ends_with(
            "p = 0.001 after Holm's correction for 3 questions. Not met: same prompts; see Fairness."
        ));
        assert!(found[2].ends_with("This holds for this teacher alone."));
        let mut comparison = fixture::comparison();
        comparison.answers[1].contrast.trainings = 2;
        assert!(answers(&comparison)[0].contains(
            "3 questions. It is no more than a hint: two trainings cannot decide. Not met"
        ));
    }

    #[test]
    fn what_no_test_decides_is_not_told_as_a_difference() {
        let mut comparison = fixture::comparison();
        comparison.answers.truncate(1);
        let answer = &mut comparison.answers[0];
        answer.verdict = Verdict::Unresolved;
        answer.p_holm = Some(0.061);
        answer.contrast.scope = Scope::ThisTraining;
        assert_eq!(
            answers(&comparison),
            [
                "Functional alignment collapse: unresolved. sft is neither told apart from teacher in elasticity nor \
                 shown to lie within 0.10 of it (expected below; preregistered): -0.16 [-0.23, -0.09], p = 0.061, p of \
                 equivalence = 0.804 after Holm's correction for 3 questions. The interval leaves 0 out, which does not stand the correction. This holds for this \
                 training alone."
            ]
        );
    }

    #[test]
    fn without_a_question_the_named_differences_are_exploratory() {
        let mut comparison = fixture::comparison();
        comparison.answers.clear();
        let found = answers(&comparison);
        // Negative transfer has a name in observed r here, which is not the primary outcome.
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("exploratory"));
        assert!(found[1].starts_with("Functional alignment collapse: yes. sft lies below teacher"));
        comparison.contrasts.clear();
        assert!(answers(&comparison).is_empty());
    }

    #[test]
    fn an_arm_that_was_wholly_cut_off_is_said_to_be() {
        let mut comparison = fixture::comparison();
        comparison.arms[2].truncated = comparison.arms[2].samples;
        let told = answers(&comparison);
        let said = |sentence: &&String| sentence.contains("cut off every sample of sft");
        assert_eq!(told.iter().filter(said).count(), told.len());
        comparison.arms[2].truncated -= 1;
        assert_eq!(answers(&comparison).iter().filter(said).count(), 0);
    }

    #[test]
    fn a_contrast_is_asked_of_either_way_round() {
        let comparison = fixture::comparison();
        let mut turned = comparison.contrasts[2].clone();
        std::mem::swap(&mut turned.arm, &mut turned.against);
        assert_eq!(asked_of(&comparison, &turned).count(), 1);
        turned.measure = Measure::Tokens;
        assert_eq!(asked_of(&comparison, &turned).count(), 0);
    }
}
