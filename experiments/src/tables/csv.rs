//! The tidy rows as CSV: one row an estimate, values unrounded.

use crate::comparison::Comparison;

use super::tidy::{self, Column, Row};

/// The comparison as tidy CSV.
pub fn render(comparison: &Comparison) -> String {
    of(comparison, &tidy::COLUMNS.iter().collect::<Vec<_>>())
}

/// The same with the columns of those names alone; the error names those there are.
pub fn with_columns(comparison: &Comparison, names: &[String]) -> Result<String, String> {
    Ok(of(comparison, &tidy::columns(names)?))
}

fn of(comparison: &Comparison, columns: &[&(&str, Column)]) -> String {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut out = names.join(",") + "\n";
    for row in tidy::rows(comparison) {
        let fields: Vec<String> = columns.iter().map(|(_, of)| field(of, &row)).collect();
        out.push_str(&fields.join(","));
        out.push('\n');
    }
    out
}

fn field(column: &Column, row: &Row<'_>) -> String {
    match column {
        Column::Text(text) => quote(text(row)),
        Column::Number(number) => {
            let finite = number(row).filter(|number| number.is_finite());
            finite.map_or(String::new(), |number| number.to_string())
        }
        Column::Count(count) => count(row).map_or(String::new(), |count| count.to_string()),
    }
}

/// A field as RFC 4180 writes it.
pub(crate) fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::tables::snapshot;

    #[test]
    fn snapshot_csv() {
        snapshot::check("comparison.csv", &render(&fixture::comparison()));
    }

    #[test]
    fn undefined_leaves_the_value_empty() {
        let text = render(&fixture::comparison());
        let line = text
            .lines()
            .find(|l| l.starts_with("arm,base,,,alignment,"))
            .unwrap();
        assert_eq!(
            line,
            "arm,base,,,alignment,,,,,,18,,,,,,undefined,no task has a defined alignment,,,,,,,,,,,,"
        );
    }

    #[test]
    fn a_question_has_a_row_with_its_corrected_p() {
        let text = with_columns(
            &fixture::comparison(),
            &["kind", "question", "answer", "p", "p_holm"].map(String::from),
        );
        let text = text.unwrap();
        let line = "question,0.0002,functional alignment collapse,yes,0.0006";
        assert!(text.lines().any(|l| l == line), "{text}");
    }

    #[test]
    fn quotes_as_rfc_4180_asks() {
        assert_eq!(quote("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(quote("plain"), "plain");
    }
}
