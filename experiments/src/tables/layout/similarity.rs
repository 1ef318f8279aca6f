//! Representational similarity: a triangle of correlations between fingerprints.

use std::borrow::Cow;

use crate::comparison::{Comparison, Estimate};

use super::{Cell, Column, Footnotes, Quantity, Row, Table, format, name_column};

/// Every arm, and people, with every other.
///
/// The matrix is symmetric and 1 on its diagonal, so only what lies under it is shown.
pub(super) fn similarity(comparison: &Comparison) -> Table {
    let found = &comparison.further.similarity;
    let mut notes = Footnotes::default();
    let last = found.names.len().saturating_sub(1);
    let mut columns = vec![name_column(
        "model",
        "An arm, or the people behind the human times.",
    )];
    columns.extend(found.names.iter().take(last).map(|name| Column {
        header: Cow::Owned(name.clone()),
        definition: "Pearson correlation with this fingerprint, with Fisher's 95 % interval.",
        numeric: true,
        detail: false,
    }));
    let rows = found.names.iter().zip(&found.matrix).enumerate().skip(1);
    let rows = rows.map(|(at, (name, values))| {
        let mut cells = vec![Cell::from(name.as_str())];
        cells.extend(
            values
                .iter()
                .take(at)
                .map(|value| shaded(value, &mut notes)),
        );
        cells.resize(last + 1, Cell::default());
        Row { group: None, cells }
    });
    Table {
        rows: rows.collect(),
        id: "similarity",
        title: "Similarity of fingerprints",
        caption: format!(
            "How alike the arms, and people, spread their effort over {} items that all arms share. A fingerprint is \
             the cost of each item, standardized within its task (population standard deviation).",
            format::count(found.items as u64)
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
    fn the_triangle_holds_each_pair_once() {
        let comparison = fixture::comparison();
        let table = similarity(&comparison);
        let names = &comparison.further.similarity.names;
        let shown = table.rows.iter().flat_map(|row| &row.cells[1..]);
        let pairs = shown.filter(|cell| !cell.text.is_empty()).count();
        assert_eq!(pairs, names.len() * (names.len() - 1) / 2);
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
