//! Whether the arms were compared fairly, and the marks of what was not.

use crate::comparison::{Comparison, Condition, Fairness};

use super::{Cell, Footnotes, Row, Table, name_column};

/// A condition in words, as it stands where it holds.
pub(in crate::tables) fn condition_name(condition: Condition) -> &'static str {
    match condition {
        Condition::BaseWeights => "same base weights",
        Condition::ProblemOrder => "same order of problems",
        Condition::Items => "same items",
        Condition::Prompts => "same prompts",
        Condition::TokenCap => "same token cap",
        Condition::Samples => "same samples an item",
        Condition::Seeds => "same seeds",
        Condition::Teachers => "teachers with their students",
        Condition::Inputs => "same files read",
        Condition::Complete => "everything could be read",
        Condition::Environment => "same version and machine",
        Condition::SeveralSeeds => "several seeds",
        Condition::Truncation => "few answers cut off",
        Condition::Advantages => "groups that differ in reward",
        Condition::WeightsMoved => "weights moved",
    }
}

/// `yes`, `no`, or `not recorded`.
fn holds(found: &Fairness) -> &'static str {
    match found.holds {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not recorded",
    }
}

/// Every condition, the pairing conditions first.
pub(super) fn fairness(comparison: &Comparison) -> Table {
    let row = |found: &Fairness| Row {
        group: None,
        cells: vec![
            condition_name(found.condition).into(),
            holds(found).into(),
            if found.condition.is_pairing() {
                "pairing"
            } else {
                "figures"
            }
            .into(),
            match found.holds {
                None => Cell::default(),
                Some(_) => found.found.as_str().into(),
            },
        ],
    };
    Table {
        id: "fairness",
        title: "Fairness",
        caption: "Conditions of a fair comparison. Where one of pairing fails, the contrasts of its arms are marked, and \
                  --strict refuses the comparison; where another fails, its arms are marked."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            name_column("condition", "What a fair comparison asks for."),
            name_column("holds", "Whether it does; not recorded where nothing tells."),
            name_column(
                "concerns",
                "Pairing: whether a difference between arms is the training's. Figures: how far an arm's own can be believed.",
            ),
            name_column("found", "What was found."),
        ],
        rows: comparison.fairness.iter().map(row).collect(),
        footnotes: Vec::new(),
        aside: false,
    }
}

/// The failing pairing conditions that concern a contrast.
pub(super) fn of_contrast(comparison: &Comparison, names: [&str; 2]) -> Option<String> {
    words(comparison, |found| {
        found.condition.is_pairing() && found.parts(names)
    })
}

/// The failing conditions that concern an arm.
pub(super) fn of_arm(comparison: &Comparison, name: &str) -> Option<String> {
    words(comparison, |found| found.concerns(name))
}

fn words(comparison: &Comparison, concerned: impl Fn(&Fairness) -> bool) -> Option<String> {
    let failing = comparison.fairness.iter();
    let failing = failing.filter(|found| found.holds == Some(false) && concerned(found));
    let names: Vec<&str> = failing
        .map(|found| condition_name(found.condition))
        .collect();
    (!names.is_empty()).then(|| format!("not met: {}; see Fairness", names.join(", ")))
}

/// A name with the mark of what its arm, or its contrast, does not meet.
pub(super) fn named(name: &str, unmet: Option<String>, notes: &mut Footnotes) -> Cell {
    Cell {
        mark: unmet.map(|unmet| notes.mark(Some(&unmet))),
        ..name.into()
    }
}
