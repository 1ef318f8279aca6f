//! What training did to an arm's tokens, and how like its teacher a student looks.

use crate::comparison::further::Inflation;
use crate::comparison::{Answer, Comparison, Contrast, Measure, Verdict};

use super::{ARM, Footnotes, Quantity, Row, Table, answers::asked_of, detail, format};
use super::{name_column, number_column, verdict_word};

/// Each trained arm's tokens on its base's.
pub(super) fn inflation(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let timed = comparison.has_times();
    let mut row = |found: &Inflation| {
        let mut cells = vec![
            found.arm.as_str().into(),
            found.against.as_str().into(),
            notes.estimate(&found.slope, Quantity::Ratio),
        ];
        if timed {
            cells.push(notes.estimate(&found.heterogeneity, Quantity::Signed));
        }
        cells.push(notes.estimate(&found.least_squares, Quantity::Ratio));
        Row { group: None, cells }
    };
    let mut columns = vec![
        ARM,
        name_column("base", "The arm that it started from."),
        number_column(
            "slope",
            "Slope of the arm's tokens on the base's, by the base's even and odd samples as instruments for each \
             other: a copy of the base gives 1.",
        ),
    ];
    if timed {
        columns.push(number_column(
            "heterogeneity",
            "Slope of ln(arm's tokens / base's tokens) on human mean ln(RT), items without tokens left out.",
        ));
    }
    columns.push(detail(number_column(
        "least squares",
        "The slope by least squares, which noise in the base's means pulls towards 0.",
    )));
    let caption = "Each trained arm's tokens on its base's, item means centred within task.";
    Table {
        id: "inflation",
        title: "Token inflation",
        caption: if timed {
            format!(
                "{caption} A constant multiplier changes the slope and leaves alignment as it was; a heterogeneity other \
                 than 0 says that the multiplier depends on the difficulty."
            )
        } else {
            caption.to_owned()
        },
        grouped_by: None,
        columns,
        rows: comparison.further.inflation.iter().map(&mut row).collect(),
        footnotes: notes.0,
        aside: false,
    }
}

/// The answer to the question that was asked of a contrast, else what its own test says.
fn collapsed(comparison: &Comparison, contrast: &Contrast) -> String {
    let same = |answer: &&Answer| answer.contrast.arm == contrast.arm;
    let asked = asked_of(comparison, contrast).find(same);
    let said = asked.map_or_else(
        || verdict_word(contrast),
        |answer| match answer.verdict {
            Verdict::Below => "yes",
            Verdict::Above => "no (opposite)",
            Verdict::Equivalent => "no (equivalent)",
            Verdict::Unresolved => "unresolved",
            Verdict::Undefined => format::UNDEFINED,
        },
    );
    said.to_owned()
}

/// Each student's token counts beside its teacher's, and what became of its alignment.
pub(super) fn surface(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let timed = comparison.has_times();
    let rows = comparison
        .further
        .surface
        .iter()
        .map(|found| {
            let mut cells = vec![
                found.arm.as_str().into(),
                found.against.as_str().into(),
                notes.estimate(&found.relative_effort, Quantity::Ratio),
                notes.estimate(&found.divergence, Quantity::Ratio),
                notes.estimate(&found.floor, Quantity::Ratio),
            ];
            if !timed {
                return Row { group: None, cells };
            }
            let collapse = comparison.contrasts.iter().find(|c| {
                c.measure == Measure::Elasticity && c.arm == found.arm && c.against == found.against
            });
            let (difference, answer) = collapse.map_or_else(
                || (format::UNDEFINED.into(), format::UNDEFINED.to_owned()),
                |c| {
                    (
                        notes.estimate(&c.difference, Quantity::Signed),
                        collapsed(comparison, c),
                    )
                },
            );
            cells.extend([difference, answer.into()]);
            Row { group: None, cells }
        })
        .collect();
    let mut columns = vec![
        ARM,
        name_column("teacher", "The arm whose traces it was trained on."),
        number_column(
            "relative effort",
            "Mean over items of the student's tokens over the teacher's mean tokens in the task.",
        ),
        number_column(
            "divergence",
            "KL(student || teacher) of relative effort in nats: histograms of 20 equal bins on ln(relative effort) \
             over the pooled range, one added to each bin, items with zero tokens left out; of half the samples of \
             one training against the other half of another's.",
        ),
        number_column(
            "floor",
            "The same of the teacher's even samples against its odd ones, which is what equal distributions give.",
        ),
    ];
    if timed {
        columns.extend([
            number_column(
                "difference in elasticity",
                "Student minus teacher, with its 95 % interval over trainings and items.",
            ),
            name_column(
                "collapse",
                "Functional alignment collapse: whether the student lies below, as answered where it was asked, else as among the \
                 contrasts.",
            ),
        ]);
    }
    let caption = "How like the teacher's a student's token counts look from outside";
    Table {
        id: "surface",
        title: "Likeness to the teacher",
        caption: if timed {
            format!(
                "{caption}, beside its alignment. A divergence near its floor together with a collapse of alignment is the \
                 cargo cult pattern: the form without the function."
            )
        } else {
            format!("{caption}.")
        },
        grouped_by: None,
        columns,
        rows,
        footnotes: notes.0,
        aside: false,
    }
}
