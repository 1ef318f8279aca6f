//! What evaluations on the way of the trainings showed.

use crate::comparison::{AtBudget, Comparison, Estimate, Waypoint};

use super::{
    ARM, Cell, Column, Footnotes, Quantity, Row, Table, detail, format, name_column, number_column,
};

/// A figure that no run with times has room for elsewhere.
type Shown = (fn(&Waypoint) -> &Estimate, Quantity);

/// Each arm at each point.
pub(super) fn points(comparison: &Comparison) -> Table {
    let timed = comparison.has_times();
    let mut notes = Footnotes::default();
    let alignment: [Shown; 2] = [
        (|at| &at.elasticity, Quantity::Signed),
        (|at| &at.alignment_unlimited, Quantity::Signed),
    ];
    let answers: [Shown; 2] = [
        (|at| &at.accuracy, Quantity::Share),
        (|at| &at.tokens, Quantity::Amount),
    ];
    let moved: [Shown; 4] = [
        (|at| &at.kl_prompts, Quantity::Small),
        (|at| &at.kl_samples, Quantity::Small),
        (|at| &at.weight_distance, Quantity::Small),
        (|at| &at.relative_distance, Quantity::Small),
    ];
    let mut row = |at: &Waypoint| {
        let spent = &at.budget;
        let mut cells: Vec<Cell> = vec![
            at.arm.as_str().into(),
            at.point.as_str().into(),
            format::count(spent.optimizer_steps).into(),
            format::count(spent.trained_tokens + spent.generated_tokens).into(),
            format::flops(spent.flops).into(),
        ];
        let alignment = alignment.iter().filter(|_| timed);
        for (of, quantity) in answers.iter().chain(alignment).chain(&moved) {
            cells.push(notes.estimate(of(at), *quantity));
        }
        cells.push(format::count(at.trainings as u64).into());
        Row { group: None, cells }
    };
    Table {
        id: "on-the-way",
        rows: comparison.on_the_way.iter().map(&mut row).collect(),
        title: "On the way",
        caption: "Each arm at the points of its training at which it was evaluated, on the items of the evaluation at the \
                  end, as a rule with fewer samples; mean over the trainings that reached the point. What an arm that goes \
                  on from another spent before is not counted."
            .to_owned(),
        grouped_by: None,
        columns: columns(timed),
        footnotes: notes.0,
        aside: true,
    }
}

fn columns(timed: bool) -> Vec<Column> {
    let mut columns = vec![
        ARM,
        name_column("point", "The point as the definition names it."),
        detail(number_column(
            "updates",
            "Optimizer updates made until then.",
        )),
        detail(number_column(
            "tokens spent",
            "Tokens trained and generated until then.",
        )),
        number_column("FLOPs", "Floating-point operations until then."),
        number_column("accuracy", "Share of right samples, mean over tasks."),
        number_column(
            "reasoning tokens",
            "Mean over items of the items' mean reasoning tokens, mean over tasks.",
        ),
    ];
    if timed {
        columns.extend([
            number_column("elasticity", "Cov(c, h) / Var(h), mean over tasks."),
            detail(number_column(
                "r at unlimited samples",
                "Observed r over the square root of its reliability, mean over tasks.",
            )),
        ]);
    }
    columns.extend([
        number_column(
            "KL, prompts",
            "Mean KL(policy || its base) over the positions of the evaluation prompts, nats per token; the interval, \
             like those of the next three, is over trainings alone.",
        ),
        number_column(
            "KL, own samples",
            "The same over the positions of its own completions.",
        ),
        detail(number_column(
            "weight distance",
            "L2 norm of the difference from the base's weights.",
        )),
        detail(number_column(
            "relative distance",
            "The same over the norm of the base's weights.",
        )),
        detail(number_column(
            "trainings",
            "Trainings that reached the point.",
        )),
    ]);
    columns
}

/// Two arms at each budget at which either was evaluated.
pub(super) fn at_budgets(comparison: &Comparison) -> Table {
    let timed = comparison.has_times();
    let mut notes = Footnotes::default();
    let mut row = |names: String, at: &AtBudget| {
        let point = |side: usize| -> Cell {
            let known = at.points[side].as_deref();
            known.unwrap_or("none").into()
        };
        let ratio = at.flops[0].zip(at.flops[1]).map(|(own, other)| own / other);
        let mut cells = vec![
            names.into(),
            at.budget.as_str().into(),
            point(0),
            point(1),
            match ratio.filter(|ratio| ratio.is_finite()) {
                Some(ratio) => format::number(Some(ratio), Quantity::Ratio).into(),
                None => Cell::default(),
            },
            notes.estimate(&at.accuracy, Quantity::Signed),
            notes.estimate(&at.tokens, Quantity::SignedAmount),
        ];
        if timed {
            cells.push(notes.estimate(&at.elasticity, Quantity::Signed));
        }
        Row { group: None, cells }
    };
    let mut rows = Vec::new();
    for pair in &comparison.matched {
        let names = || format!("{} - {}", pair.arm, pair.against);
        rows.extend(pair.at.iter().map(|at| row(names(), at)));
    }
    let mut columns = vec![
        name_column("contrast", "First arm minus second arm."),
        name_column(
            "budget",
            "A share of a budget, the same amount for both; or flops, the most FLOPs at which both were evaluated.",
        ),
        detail(name_column("point, first", "The first arm's evaluation.")),
        detail(name_column("point, second", "The second arm's evaluation.")),
        detail(number_column(
            "FLOPs ratio",
            "What the first had spent there over what the second had.",
        )),
        number_column("accuracy", "Difference with its 95 % interval."),
        number_column("reasoning tokens", "Difference with its 95 % interval."),
    ];
    if timed {
        columns.push(number_column(
            "elasticity",
            "Difference with its 95 % interval.",
        ));
    }
    Table {
        id: "at-budgets",
        rows,
        title: "Differences at matched budgets",
        caption: "Read off evaluations at the same share of a budget, or whose FLOPs lie within 10 % of each other: there the \
                  trainings' ends where these are near, else the evaluations on the way with the most FLOPs. Nothing is \
                  interpolated, and no p is taken."
            .to_owned(),
        grouped_by: None,
        columns,
        footnotes: notes.0,
        aside: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn points_and_budgets_have_tables_only_where_there_are_any() {
        let nothing = fixture::comparison();
        assert!(points(&nothing).rows.is_empty() && at_budgets(&nothing).rows.is_empty());
        let comparison = fixture::on_the_way();
        let table = points(&comparison);
        assert_eq!(table.rows.len(), comparison.on_the_way.len());
        assert_eq!(table.rows[0].cells[1].text, "0");
        let budgets = at_budgets(&comparison);
        let texts =
            |row: &Row| -> Vec<String> { row.cells.iter().map(|cell| cell.text.clone()).collect() };
        assert_eq!(
            texts(&budgets.rows[0])[..4],
            ["grpo - sft", "0.5 of flops", "0.5 of flops", "0.5 of flops"]
        );
        assert_eq!(texts(&budgets.rows[1])[5..], ["undefined"; 3]);
        assert!(budgets.footnotes[0].1.contains("never reached"));
        for table in [table, budgets] {
            for row in &table.rows {
                assert_eq!(row.cells.len(), table.columns.len());
            }
        }
    }
}
