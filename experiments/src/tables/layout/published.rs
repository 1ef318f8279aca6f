//! What Hu et al. (2026) report, in their own form, so that their tables can be held against
//! these. No verdict of the lab rests on it.

use crate::comparison::Comparison;
use crate::comparison::further::{Inflation, LineFigures};

use super::{ARM, Footnotes, Quantity, Row, Table, detail, format, role_name};
use super::{name_column, number_column};

/// Each arm's alignment as the paper averages it.
pub(super) fn arms(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let across = &comparison.further.arms;
    // Without people's times there is nothing of the paper's to show.
    let arms = comparison.arms.iter().filter(|_| comparison.has_times());
    let rows = arms.filter_map(|arm| {
        let found = across.iter().find(|found| found.name == arm.name)?;
        let mean = notes.estimate(&arm.alignment, Quantity::Signed);
        let mut across = notes.estimate(&found.cross_task, Quantity::Signed);
        if found.demonstrative && across.mark.is_none() {
            across.mark = Some(notes.mark(Some("fewer than four tasks: a demonstration")));
        }
        Some(Row {
            group: None,
            cells: vec![
                arm.name.as_str().into(),
                role_name(arm.role).into(),
                mean,
                format::number(arm.alignment_fisher.value, Quantity::Signed).into(),
                across,
                format::count(found.cross_task.n as u64).into(),
                notes.estimate(&arm.accuracy, Quantity::Share),
                notes.estimate(&arm.tokens, Quantity::Amount),
            ],
        })
    });
    Table {
        rows: rows.collect(),
        id: "published",
        title: "Arms as Hu et al. report them",
        caption: "The paper's own measures, for the reproduction. Sampling noise pulls each of these r towards 0, so two \
                  arms that sample unlike numbers of times, or unlike noisily, are not comparable here."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            ARM,
            detail(name_column("role", "What the arm is to the others.")),
            number_column(
                "mean r",
                "Mean over tasks of the Pearson correlations of model cost and human cost, as observed.",
            ),
            number_column(
                "Fisher mean r",
                "The same correlations averaged as Fisher's z and transformed back; it has no interval.",
            ),
            number_column(
                "cross-task r",
                "Mean over 1,000 draws of one item a task of the Pearson correlation of model cost and human cost across \
                 tasks, with the central 95 % of the draws, which is no confidence interval.",
            ),
            number_column("tasks", "Tasks behind the cross-task r."),
            number_column("accuracy", "Share of right samples, mean over tasks."),
            number_column("reasoning tokens", "Mean reasoning tokens, mean over tasks."),
        ],
        footnotes: notes.0,
        aside: true,
    }
}

/// Each trained arm on its base, over all items or tasks at once.
pub(super) fn inflation(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .further
        .inflation
        .iter()
        .flat_map(|found| lines(found, &mut notes))
        .collect();
    Table {
        id: "inflation-published",
        title: "Token inflation as Hu et al. report it",
        caption: "The paper's lines, for the reproduction: by least squares over all items at once, so that differences \
                  between tasks and noise in the base's means enter the slope."
            .to_owned(),
        grouped_by: Some("arms"),
        columns: vec![
            name_column(
                "line",
                "tokens: the arm's reasoning tokens on the base's, over items. tokens / accuracy: the arm's inverse \
                 efficiency index (a task's mean tokens over its accuracy) on the base's, over tasks.",
            ),
            number_column("slope", "Change in the first for one unit of the second."),
            number_column("intercept", "The first where the second is 0."),
            number_column("R\u{b2}", "Share of the first's variance that the line explains."),
        ],
        rows,
        footnotes: notes.0,
        aside: true,
    }
}

fn lines(found: &Inflation, notes: &mut Footnotes) -> [Row; 2] {
    let mut row = |name: &str, line: &LineFigures| Row {
        group: Some(format!("{} on {}", found.arm, found.against)),
        cells: vec![
            name.into(),
            notes.estimate(&line.slope, Quantity::Ratio),
            notes.estimate(&line.intercept, Quantity::SignedAmount),
            notes.estimate(&line.r2, Quantity::Share),
        ],
    };
    [
        row("tokens", &found.tokens),
        row("tokens / accuracy", &found.iei),
    ]
}
