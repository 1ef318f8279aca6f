//! Representational similarity: a triangle of correlations between fingerprints.

use std::borrow::Cow;

use crate::alignment::fingerprint::HUMAN;
use crate::comparison::{Comparison, Estimate};

use super::{Cell, Column, Footnotes, Quantity, Row, Table, format, name_column};

/// Every arm, and people, with every other: observed below the diagonal, free of noise above it.
pub(super) fn similarity(comparison: &Comparison) -> Table {
    let found = &comparison.further.similarity;
    let mut notes = Footnotes::default();
    let mut columns = vec![name_column(
        "model",
        "An arm, or the people behind the human times.",
    )];
    columns.extend(found.names.iter().map(|name| Column {
        header: Cow::Owned(name.clone()),
        definition: "Pearson correlation with this fingerprint, with its 95 % interval over trainings and items.",
        numeric: true,
        detail: false,
    }));
    let cells = |(at, name): (usize, &String)| {
        let mut cells = vec![Cell::from(name.as_str())];
        for column in 0..found.names.len() {
            let of = if column > at {
                &found.corrected
            } else {
                &found.matrix
            };
            let value = of.get(at).and_then(|row| row.get(column));
            cells.push(value.map_or_else(Cell::default, |value| shaded(value, &mut notes)));
        }
        Row { group: None, cells }
    };
    let people = found.names.iter().any(|name| name == HUMAN);
    // One fingerprint has nothing to be like.
    let names = found
        .names
        .iter()
        .enumerate()
        .filter(|_| found.names.len() > 1);
    Table {
        rows: names.map(cells).collect(),
        id: "similarity",
        title: "Similarity of fingerprints",
        caption: format!(
            "How alike the arms{} spread their effort over {} items that all arms share. A fingerprint is \
             the cost of each item, standardized within its task. Below the diagonal stands the correlation of one's \
             even samples with the other's odd ones, training by training; on it, how well the halves of one arm agree; \
             above it, the correlation over the square root of both agreements, free of sampling noise.{}",
            if people { ", and people," } else { "" },
            format::count(found.items as u64),
            if people {
                " People's own noise stays in."
            } else {
                ""
            }
        ),
        grouped_by: None,
        columns,
        footnotes: notes.0,
        aside: true,
    }
}

fn shaded(value: &Estimate, notes: &mut Footnotes) -> Cell {
    Cell {
        shade: value.value.filter(|v| v.is_finite()),
        ..notes.estimate(value, Quantity::Signed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn the_observed_stands_below_the_diagonal_and_the_corrected_above() {
        let comparison = fixture::comparison();
        let table = similarity(&comparison);
        let found = &comparison.further.similarity;
        let shown = |row: usize, column: usize| table.rows[row].cells[column + 1].text.clone();
        let written = |value: &Estimate| format::estimate(value, Quantity::Signed);
        assert_eq!(shown(2, 1), written(&found.matrix[2][1]));
        assert_eq!(shown(1, 2), written(&found.corrected[1][2]));
        assert_ne!(shown(2, 1), shown(1, 2));
        let human = table.rows.last().unwrap();
        assert_eq!(human.cells[0].text, "human");
        // The base never varies, so nothing is known of its likeness to people.
        assert_eq!(human.cells[1].text, format::UNDEFINED);
        assert!(human.cells[1].mark.is_some() && human.cells[1].shade.is_none());
        assert!(human.cells[2].shade.is_some());
    }

    #[test]
    fn one_model_alone_has_no_table() {
        let mut comparison = fixture::comparison();
        comparison.further.similarity.names.truncate(1);
        comparison.further.similarity.matrix.truncate(1);
        assert!(similarity(&comparison).rows.is_empty());
    }
}
