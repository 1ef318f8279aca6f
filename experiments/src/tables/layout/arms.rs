//! Tables with one row an arm: what it scored, and what it spent.

use crate::comparison::{ArmFigures, Comparison, Measure};

use super::{ARM, Column, Footnotes, Row, Table, detail, format, name_column, number_column};
use super::{Cell, Quantity, among, fairness, interval_over, role_name, seeds};

/// Arms by measures.
pub(super) fn measures(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let timed = comparison.has_times();
    let balanced = comparison.shows(Measure::BalancedAccuracy);
    // Beside alignment there is no room for them; the answers by task have them.
    let among = if timed {
        Vec::new()
    } else {
        among::shown(comparison)
    };
    let mut row = |arm: &ArmFigures| {
        let mut cells = vec![
            fairness::named(
                &arm.name,
                fairness::of_arm(comparison, &arm.name),
                &mut notes,
            ),
            role_name(arm.role).into(),
            seeds(arm).into(),
        ];
        if timed {
            cells.extend([
                notes.estimate(&arm.elasticity, Quantity::Signed),
                notes.estimate(&arm.alignment_unlimited, Quantity::Signed),
                notes.estimate(&arm.reliability, Quantity::Share),
                notes.estimate(&arm.alignment, Quantity::Signed),
            ]);
        }
        cells.push(notes.estimate(&arm.accuracy, Quantity::Share));
        cells.extend(among.iter().map(|of| of.cell(&arm.among, &mut notes)));
        if balanced {
            cells.push(notes.estimate(&arm.balanced_accuracy, Quantity::Share));
        }
        cells.extend([
            notes.estimate(&arm.tokens, Quantity::Amount),
            format!(
                "{} of {}",
                format::count(arm.truncated as u64),
                format::count(arm.samples as u64)
            )
            .into(),
        ]);
        Row { group: None, cells }
    };
    let rows = comparison.arms.iter().map(&mut row).collect();
    Table {
        id: "arms",
        title: "Arms",
        caption: format!(
            "Means over trainings and tasks, with 95 % intervals {}.{}",
            interval_over(comparison),
            if timed { ALIGNMENT_FIRST } else { "" }
        ),
        grouped_by: None,
        columns: columns(timed, balanced, &among),
        rows,
        footnotes: notes.0,
        aside: false,
    }
}

/// How the outcomes of alignment are read.
const ALIGNMENT_FIRST: &str = " Elasticity is the primary outcome, r at unlimited samples the second. The observed r depends \
     on the number of samples: read it with the reliability beside it.";

fn columns(timed: bool, balanced: bool, among: &[among::Shown]) -> Vec<Column> {
    let mut columns = vec![
        ARM,
        detail(name_column(
            "role",
            "What the arm is to the others: base, teacher, student (trained on a teacher's traces) or rl \
             (trained by reinforcement).",
        )),
        detail(name_column("seeds", "Training seeds behind the figures.")),
    ];
    if timed {
        columns.extend([
            number_column(
                "elasticity",
                "By how many per cent spending rises where people take one per cent longer: Cov(c, h) / Var(h) of c, the \
                 mean ln(1 + reasoning tokens), and h, the human mean ln(RT), over items. Sampling noise does not bend it.",
            ),
            number_column(
                "r at unlimited samples",
                "Observed r over the square root of its reliability, mean over tasks: what r would be with unlimited samples \
                 an item. Undefined below a reliability of 0.10.",
            ),
            number_column(
                "reliability",
                "Share of the variance of the items' mean costs that is not sampling noise, mean over tasks.",
            ),
            number_column(
                "observed r",
                "Mean over tasks of the Pearson correlations of c and h, as observed with these samples. Noise pulls it \
                 towards 0.",
            ),
        ]);
    }
    columns.push(number_column(
        "accuracy",
        "Share of right samples among those that came to an end, mean over tasks.",
    ));
    columns.extend(among.iter().map(among::Shown::column));
    if balanced {
        columns.push(number_column(
            "balanced accuracy",
            "Mean over the expected answers of the accuracy on each, mean over tasks. With two possible answers a \
             constant answer scores 0.50.",
        ));
    }
    columns.extend([
        number_column(
            "reasoning tokens",
            "Mean over items of the items' mean reasoning tokens, mean over tasks.",
        ),
        number_column(
            "cut off",
            "Samples that the token cap cut off, of all samples.",
        ),
    ]);
    columns
}

const MEMORY_UNKNOWN: &str = "the run was made by a version that did not record it";

/// What each arm spent.
pub(super) fn budgets(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let rows = comparison
        .arms
        .iter()
        .filter_map(|arm| {
            let budget = arm.budget.as_ref()?;
            Some(Row {
                group: None,
                cells: vec![
                    arm.name.as_str().into(),
                    format::count(budget.optimizer_steps).into(),
                    format::count(budget.trained_tokens).into(),
                    format::count(budget.generated_tokens).into(),
                    format::flops(budget.flops).into(),
                    format::number(Some(budget.seconds), Quantity::Amount).into(),
                    Cell {
                        mark: budget
                            .peak_memory
                            .is_none()
                            .then(|| notes.mark(Some(MEMORY_UNKNOWN))),
                        ..format::mebibytes(budget.peak_memory).into()
                    },
                ],
            })
        })
        .collect();
    Table {
        id: "budgets",
        title: "Budgets",
        caption: "What each arm spent on training, mean over seeds. An arm without a row was not trained in an arm of this run."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            ARM,
            number_column("optimizer steps", "Optimizer updates."),
            number_column("trained tokens", "Tokens that a loss was taken on."),
            number_column("generated tokens", "Tokens sampled for training."),
            number_column(
                "FLOPs",
                "Floating-point operations, estimated: 6 N a trained token and 2 N a generated one, N the parameters; \
                 prompt tokens counted with each.",
            ),
            number_column("seconds", "Wall-clock seconds of training."),
            number_column(
                "peak memory (MiB)",
                "The most over seeds of the memory at the ends of updates: what the process held, other arms that trained \
                 beside this one included; on CUDA the most that libtorch had handed out.",
            ),
        ],
        rows,
        footnotes: notes.0,
        aside: false,
    }
}
