//! Trained arms beside each other at what they spent.

use crate::comparison::{Comparison, Matched, Recipe};

use super::{
    ARM, Cell, Footnotes, Quantity, Row, Table, detail, format, name_column, number_column,
};

/// Why a ratio is missing.
const NO_RATIO: &str = "one of the arms spent none, or nobody measured it";

/// Why no validations are held against each other.
const NO_VALIDATION: &str =
    "no validation of both arms counts its tokens, or one arm goes on from another";

/// Ratios of what two arms spent, and what is known of them at matched budget.
pub(super) fn matched(comparison: &Comparison) -> Table {
    let mut notes = Footnotes::default();
    let timed = comparison.has_times();
    let mut row = |found: &Matched| {
        let mut number = |value: Option<f64>, quantity, why| Cell {
            mark: value.is_none().then(|| notes.mark(Some(why))),
            ..format::number(value, quantity).into()
        };
        let ratios = [found.steps, found.tokens, found.flops, found.seconds]
            .map(|ratio| number(ratio, Quantity::Ratio, NO_RATIO));
        let validated = [
            (found.at_tokens, Quantity::Amount),
            (found.accuracy, Quantity::Share),
            (found.accuracy_against, Quantity::Share),
        ]
        .map(|(value, quantity)| number(value, quantity, NO_VALIDATION));
        let mut cells = vec![format!("{} / {}", found.arm, found.against).into()];
        cells.extend(ratios);
        if timed {
            cells.push(notes.estimate(&found.alignment, Quantity::Signed));
        }
        cells.extend(validated);
        Row { group: None, cells }
    };
    let rows = comparison.matched.iter().map(&mut row).collect();
    let mut columns = vec![
        name_column("arms", "First arm over second arm."),
        number_column("steps", "Ratio of optimizer updates."),
        number_column("tokens", "Ratio of tokens, trained and generated."),
        number_column("FLOPs", "Ratio of floating-point operations."),
        detail(number_column("seconds", "Ratio of wall-clock seconds.")),
    ];
    if timed {
        columns.push(number_column(
            "elasticity at matched FLOPs",
            "The difference in elasticity where both were evaluated at FLOPs within 10 % of each other: at the ends, or else \
             the most on the way; else undefined.",
        ));
    }
    columns.extend([
        detail(number_column(
            "at tokens",
            "Tokens, trained and generated, at which the thriftier arm ended; mean over seeds.",
        )),
        detail(number_column(
            "validation accuracy, first",
            "Accuracy on the validation problems at the first arm's last validation at or before those tokens.",
        )),
        detail(number_column(
            "validation accuracy, second",
            "The same of the second arm.",
        )),
    ]);
    let caption = "What the first arm spent over what the second spent, and what is known of the two at equal budget. \
                   Nothing is interpolated";
    Table {
        id: "matched",
        title: "Matched budgets",
        caption: if timed {
            format!("{caption}: an elasticity that no run evaluated at that budget is undefined.")
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

/// What each arm was trained by and paid for.
pub(super) fn recipes(comparison: &Comparison) -> Table {
    let row = |recipe: &Recipe| Row {
        group: None,
        cells: vec![
            recipe.arm.as_str().into(),
            recipe.algorithm.as_str().into(),
            paid_for(recipe).into(),
        ],
    };
    Table {
        id: "recipes",
        title: "Trainings",
        caption: "The algorithm of each arm, and what it was paid for. A reward of weight 0 was measured and not learned from."
            .to_owned(),
        grouped_by: None,
        columns: vec![
            ARM,
            name_column("algorithm", "How it was trained."),
            name_column("rewards", "Each reward with its weight, and the tasks it pays for where not all."),
        ],
        rows: comparison.recipes.iter().map(row).collect(),
        footnotes: Vec::new(),
        aside: false,
    }
}

/// `correct 1, format 0.1, human_cost 0.5 (alphabet_arithmetic)`.
fn paid_for(recipe: &Recipe) -> String {
    if recipe.rewards.is_empty() {
        return "none".to_owned();
    }
    let words = recipe.rewards.iter().map(|paid| {
        let tasks = match paid.tasks.as_slice() {
            [] => String::new(),
            tasks => format!(" ({})", tasks.join(", ")),
        };
        format!("{} {}{tasks}", paid.name, paid.weight)
    });
    words.collect::<Vec<_>>().join(", ")
}
