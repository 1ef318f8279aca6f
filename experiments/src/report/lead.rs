//! The first screen: the answers to what was asked, before anything else; in the margin
//! what a reader must know before believing the figures; the arms; and what else came out,
//! which is exploratory.

use std::fmt::Write as _;

use crate::comparison::Comparison;
use crate::tables::layout::{Document, capitalized};

use super::markup::{escape, prose, text};
use super::summary;

/// Answers, and findings, shown before the rest is folded away.
const FINDINGS: usize = 8;

/// Notes shown before the rest is folded away.
const NOTES: usize = 5;

/// What holds for any run, whoever wrote its definition.
const STANDING: &str = "Evaluation items enter no training and no validation; how a shipped definition was tuned is \
     told in METHODOLOGY.md. The figures are printed as they fell. Each statement reaches as far as its 95 % interval: to \
     trainings and items like these, or where it says so, to these trainings alone.";

/// What holds for an evaluation of models that were trained elsewhere.
const STANDING_ELSEWHERE: &str = "Whether the models met these items before is not known here. The figures are printed as \
     they fell. Each statement reaches as far as its 95 % interval, for these models on items like these, and no further.";

/// What was asked and how it came out, a sentence a question.
pub(super) fn answers(comparison: &Comparison, document: &Document) -> String {
    let sentences: Vec<String> = (document.answers.iter())
        .map(|sentence| marked(comparison, sentence))
        .collect();
    let mut out = String::new();
    if sentences.is_empty() {
        out.push_str(
            "<p>No question was asked of these arms, so all of this is exploratory.</p>\n",
        );
    }
    if !sentences.is_empty() {
        out.push_str(&list(
            " class=\"answers-list\"",
            &sentences,
            "answers",
            FINDINGS,
        ));
    }
    if !document.hypothesis.is_empty() {
        // Long ones would push the arms off the first screen.
        let _ = writeln!(
            out,
            "<details class=\"hypothesis\"><summary>Hypothesis, as written before the run</summary>\
             <blockquote>{}</blockquote></details>",
            escape(&document.hypothesis)
        );
    }
    // An evaluation trains nothing, so it cannot speak for what its models were trained on.
    let standing = if comparison.arms.iter().all(|arm| arm.budget.is_none()) {
        STANDING_ELSEWHERE
    } else {
        STANDING
    };
    let _ = writeln!(out, "<p class=\"standing\">{standing}</p>");
    out
}

/// A sentence with its answer set off: `Negative transfer: unresolved.`
fn marked(comparison: &Comparison, sentence: &str) -> String {
    let parts = comparison.answers.iter().find_map(|answer| {
        let lead = format!("{}: ", capitalized(&answer.asked.question.name));
        let word = answer.word();
        let rest = sentence.strip_prefix(&lead)?.strip_prefix(word)?;
        Some((lead, word, rest))
    });
    parts.map_or_else(
        || prose(sentence),
        |(lead, word, rest)| {
            let lead = prose(&lead);
            format!("{lead}<strong>{}</strong>{}", escape(word), prose(rest))
        },
    )
}

/// What else the contrasts say.
pub(super) fn exploratory(comparison: &Comparison) -> String {
    let found: Vec<String> = (summary::findings(comparison).iter())
        .map(|sentence| prose(sentence))
        .collect();
    if found.is_empty() {
        return String::new();
    }
    format!(
        "<p>Differences that no question asked for. Their p values are not corrected for their number.</p>\n{}",
        list(" class=\"summary\"", &found, "statements", FINDINGS)
    )
}

/// The notes.
pub(super) fn margin(document: &Document) -> String {
    let mut out = String::new();
    if !document.notes.is_empty() {
        let notes: Vec<String> = document.notes.iter().map(|note| text(note)).collect();
        let _ = writeln!(
            out,
            "<section class=\"notes\" aria-labelledby=\"notes-title\"><h3 id=\"notes-title\">Read this before the \
             figures</h3>{}</section>",
            list("", &notes, "notes", NOTES)
        );
    }
    out
}

/// A list in its given order, what is beyond the first few folded away.
fn list(class: &str, entries: &[String], what: &str, shown: usize) -> String {
    let items =
        |entries: &[String]| format!("<ul{class}><li>{}</li></ul>\n", entries.join("</li>\n<li>"));
    // Folding one or two entries away would save no room.
    if entries.len() <= shown + 2 {
        return items(entries);
    }
    let (first, rest) = entries.split_at(shown);
    format!(
        "{}<details class=\"more\"><summary>{} more {what}</summary>{}</details>\n",
        items(first),
        rest.len(),
        items(rest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::comparison::When;
    use crate::fixture;
    use crate::tables::layout;

    fn first(comparison: &Comparison) -> String {
        answers(comparison, &layout::document(comparison))
    }

    #[test]
    fn every_question_is_answered_and_the_unexpected_stands_first() {
        let mut comparison = fixture::comparison();
        comparison.answers[0].asked.when = When::After;
        let page = first(&comparison);
        let words: Vec<&str> = (page.split("<strong>").skip(1))
            .filter_map(|rest| rest.split_once("</strong>").map(|(word, _)| word))
            .collect();
        assert_eq!(words.len(), comparison.answers.len());
        assert!(words[0].starts_with("no ("), "{words:?}");
        let unexpected = words.iter().position(|word| *word == "yes");
        assert!(unexpected.is_none_or(|at| at > 0));
        assert!(
            page.contains("Functional alignment collapse: <strong>yes</strong>. sft lies below")
        );
        assert!(page.contains("(as expected; added after the run)"));
        assert!(page.contains("Negative transfer: <strong>undefined</strong>. sft cannot"));
    }

    #[test]
    fn without_a_question_everything_is_said_to_be_exploratory() {
        let mut comparison = fixture::comparison();
        assert!(!first(&comparison).contains("exploratory"));
        comparison.answers.clear();
        let page = first(&comparison);
        assert!(page.contains("No question was asked, so every difference is exploratory"));
        assert!(page.contains("Functional alignment collapse: yes"));
        comparison.contrasts.clear();
        assert!(first(&comparison).starts_with("<p>No question was asked of these arms"));
    }

    #[test]
    fn what_nobody_asked_is_not_corrected_and_says_so() {
        let page = exploratory(&fixture::comparison());
        assert!(page.contains("not corrected") && page.contains("grpo has higher accuracy"));
    }

    #[test]
    fn claims_only_what_holds_for_any_run() {
        assert!(STANDING.contains("Evaluation items enter no training and no validation"));
        assert!(STANDING.contains("METHODOLOGY") && !STANDING.contains("Nothing was tuned"));
        let mut elsewhere = fixture::comparison();
        assert!(first(&elsewhere).contains("enter no training"));
        for arm in &mut elsewhere.arms {
            arm.budget = None;
        }
        assert!(!first(&elsewhere).contains("enter no training"));
    }
}
