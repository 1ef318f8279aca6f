//! The first screen: what was found in words, the arms, and in the margin what
//! was expected and what a reader must know before believing the figures.

use std::fmt::Write as _;

use crate::comparison::Comparison;
use crate::tables::layout::Document;

use super::markup::{escape, prose, text};
use super::summary;

/// Findings shown before the rest is folded away.
const FINDINGS: usize = 8;

/// Notes shown before the rest is folded away.
const NOTES: usize = 5;

/// What holds for any run, whoever wrote its definition.
const STANDING: &str = "Evaluation items enter no training and no validation; how a shipped definition was tuned is \
     told in METHODOLOGY.md. The figures are printed as they fell. Each statement reaches as far as its 95 % interval, \
     for these items and these seeds, and no further.";

/// What holds for an evaluation of models that were trained elsewhere.
const STANDING_ELSEWHERE: &str = "Whether the models met these items before is not known here. The figures are printed as \
     they fell. Each statement reaches as far as its 95 % interval, for these items, and no further.";

/// What was found, in sentences.
pub(super) fn findings(comparison: &Comparison) -> String {
    let found = summary::findings(comparison);
    let sentences: Vec<String> = found
        .iter()
        .map(|finding| {
            let mut sentence = prose(&finding.text);
            if let Some(answer) = &finding.answer {
                let _ = write!(sentence, " <strong>{}</strong>", text(answer));
            }
            sentence
        })
        .collect();
    let mut out = list(" class=\"summary\"", &sentences, "statements", FINDINGS);
    // An evaluation trains nothing, so it cannot speak for what its models were trained on.
    let standing = if comparison.arms.iter().all(|arm| arm.budget.is_none()) {
        STANDING_ELSEWHERE
    } else {
        STANDING
    };
    let _ = writeln!(out, "<p class=\"standing\">{standing}</p>");
    out
}

/// The hypothesis and the notes.
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
    if !document.hypothesis.is_empty() {
        let _ = writeln!(
            out,
            "<figure class=\"hypothesis\"><figcaption>Hypothesis, as written before the run</figcaption>\
             <blockquote>{}</blockquote></figure>",
            escape(&document.hypothesis)
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
    use crate::fixture;

    #[test]
    fn the_answers_to_named_questions_stand_out() {
        let page = findings(&fixture::comparison());
        assert!(page.contains("<strong>Functional alignment collapse: yes.</strong>"));
        assert!(page.contains("<strong>Negative transfer: undefined.</strong>"));
        assert_eq!(page.matches("<strong>").count(), 2);
    }

    #[test]
    fn claims_only_what_holds_for_any_run() {
        assert!(STANDING.contains("Evaluation items enter no training and no validation"));
        assert!(STANDING.contains("METHODOLOGY") && !STANDING.contains("Nothing was tuned"));
        let mut elsewhere = fixture::comparison();
        assert!(findings(&elsewhere).contains("enter no training"));
        for arm in &mut elsewhere.arms {
            arm.budget = None;
        }
        assert!(!findings(&elsewhere).contains("enter no training"));
    }
}
