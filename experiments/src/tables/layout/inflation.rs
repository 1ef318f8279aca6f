//! What training did to an arm's tokens, and how like its teacher a student looks.

use crate::comparison::further::{Inflation, LineFigures};
use crate::comparison::{Comparison, Measure};

use super::{ARM, Footnotes, Quantity, Row, Table, detail, format};
use super::{name_column, number_column, verdict};

/// Fewest tasks for a line over tasks to be more than a demonstration.
const FEWEST_TASKS: usize = 4;

/// Each trained arm's tokens on its base's, as least-squares lines.
pub(super) fn inflation(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .further
        .inflation
        .iter()
        .flat_map(|found| lines(found, &mut notes))
        .collect();
    Table {
        id: "inflation",
        title: "Token inflation",
        caption: "Each trained arm against its base, as least-squares lines. A constant multiplier changes the slope and \
                  leaves alignment as it was; a slope on human time other than 0 says that the multiplier depends on \
                  the difficulty."
            .to_owned(),
        grouped_by: Some("arms"),
        columns: vec![
            name_column(
                "line",
                "tokens: the arm's reasoning tokens on the base's, over items. tokens / accuracy: the arm's inverse \
                 efficiency index (a task's mean tokens over its accuracy) on the base's, over tasks. ln ratio on human \
                 time: ln(arm's tokens / base's tokens) on human mean ln(RT), over items without a zero; its slope is \
                 the heterogeneity slope.",
            ),
            number_column(
                "slope",
                "Change in the first for one unit of the second, with its 95 % interval from a bootstrap over items \
                 within task.",
            ),
            number_column("intercept", "The first where the second is 0."),
            number_column("R\u{b2}", "Share of the first's variance that the line explains."),
            detail(number_column("points", "Items, or tasks, behind the line.")),
        ],
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

fn lines(found: &Inflation, notes: &mut Footnotes) -> [Row; 3] {
    let mut row = |name: &str, line: &LineFigures, [slope, intercept]: [Quantity; 2]| Row {
        group: Some(format!("{} on {}", found.arm, found.against)),
        cells: vec![
            name.into(),
            notes.estimate(&line.slope, slope),
            notes.estimate(&line.intercept, intercept),
            notes.estimate(&line.r2, Quantity::Share),
            format::count(line.slope.n as u64).into(),
        ],
    };
    let multiplier = [Quantity::Ratio, Quantity::SignedAmount];
    let tokens = row("tokens", &found.tokens, multiplier);
    let mut index = row("tokens / accuracy", &found.iei, multiplier);
    let ratio = row(
        "ln ratio on human time",
        &found.heterogeneity,
        [Quantity::Signed; 2],
    );
    if found.iei.slope.n < FEWEST_TASKS && index.cells[1].mark.is_none() {
        index.cells[1].mark =
            Some(notes.mark(Some("a line over fewer than four tasks is a demonstration")));
    }
    [tokens, index, ratio]
}

/// Each student's token counts beside its teacher's, and what became of its alignment.
pub(super) fn surface(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .further
        .surface
        .iter()
        .map(|found| {
            let collapse = comparison.contrasts.iter().find(|c| {
                c.measure == Measure::Alignment && c.arm == found.arm && c.against == found.against
            });
            let (difference, answer) = collapse.map_or_else(
                || (format::UNDEFINED.into(), format::UNDEFINED.to_owned()),
                |c| (notes.estimate(&c.difference, Quantity::Signed), verdict(c)),
            );
            let answer = answer.rsplit(": ").next().unwrap_or_default().to_owned();
            Row {
                group: None,
                cells: vec![
                    found.arm.as_str().into(),
                    found.against.as_str().into(),
                    notes.estimate(&found.relative_effort, Quantity::Ratio),
                    notes.estimate(&found.divergence, Quantity::Ratio),
                    difference,
                    answer.into(),
                ],
            }
        })
        .collect();
    Table {
        id: "surface",
        title: "Likeness to the teacher",
        caption: "How like the teacher's a student's token counts look from outside, beside its alignment. A divergence \
                  near 0 together with a collapse of alignment is the cargo cult pattern: the form without the function."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            ARM,
            name_column("teacher", "The arm whose traces it was trained on."),
            number_column(
                "relative effort",
                "Mean over items of the student's tokens over the teacher's mean tokens in the task.",
            ),
            number_column(
                "divergence",
                "KL(student || teacher) of relative effort in nats: histograms of 20 equal bins on ln(relative effort) \
                 over the pooled range, one added to each bin, items with zero tokens left out; 0 is the same \
                 distribution. Its interval leans upwards: a resample is rougher than the sample.",
            ),
            number_column(
                "alignment",
                "Student minus teacher, as among the contrasts.",
            ),
            name_column(
                "collapse",
                "Functional alignment collapse: yes when the interval of the difference in alignment lies below 0, no \
                 when above, else inconclusive.",
            ),
        ],
        rows,
        footnotes: notes.0,
        aside: false,
    }
}
