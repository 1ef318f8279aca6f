//! The data of a figure as tidy CSV: a header, then one row a mark that is drawn.
//!
//! Values are as the comparison holds them, unrounded and not thinned. What is
//! undefined is an empty field, never 0.

use std::fmt::Display;

use crate::comparison::Estimate;
use crate::tables::csv::quote;

/// A table that grows by rows.
pub(super) struct Data(String);

impl Data {
    pub(super) fn new(columns: &str) -> Self {
        Self(format!("{columns}\n"))
    }

    /// Adds a row; the fields are in the order of the columns.
    pub(super) fn row(&mut self, fields: &[&dyn Display]) {
        let fields: Vec<String> = fields.iter().map(|f| quote(&f.to_string())).collect();
        self.0.push_str(&fields.join(","));
        self.0.push('\n');
    }

    /// The finished text.
    pub(super) fn csv(self) -> String {
        self.0
    }
}

/// A number that may be missing.
pub(super) fn number(value: Option<f64>) -> String {
    value
        .filter(|v| v.is_finite())
        .map_or(String::new(), |v| v.to_string())
}

/// Value, low, high and reason of an estimate.
pub(super) fn estimate(estimate: &Estimate) -> [String; 4] {
    [
        number(estimate.value),
        number(estimate.low),
        number(estimate.high),
        estimate.why_undefined.clone().unwrap_or_default(),
    ]
}

/// Reads back what [`Data`] writes: the header, then the rows.
#[cfg(test)]
pub(super) fn parse(csv: &str) -> Vec<Vec<String>> {
    let mut rows = vec![vec![String::new()]];
    let mut quoted = false;
    let mut chars = csv.chars().peekable();
    while let Some(c) = chars.next() {
        let row = rows.last_mut().unwrap();
        let field = row.last_mut().unwrap();
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => field.extend(chars.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(String::new()),
            '\n' if !quoted => rows.push(vec![String::new()]),
            c => field.push(c),
        }
    }
    assert_eq!(
        rows.pop(),
        Some(vec![String::new()]),
        "the last line is not ended"
    );
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_read_back_and_the_undefined_is_empty() {
        let mut data = Data::new("arm,value,n");
        data.row(&[&"a, \"b\"\nc", &number(Some(0.1 + 0.2)), &3]);
        data.row(&[&"d", &number(None), &0]);
        data.row(&[&"e", &number(Some(f64::NAN)), &0]);
        let rows = parse(&data.csv());
        assert_eq!(rows[0], ["arm", "value", "n"]);
        assert_eq!(rows[1], ["a, \"b\"\nc", "0.30000000000000004", "3"]);
        assert_eq!((&*rows[2][1], &*rows[3][1]), ("", ""));
    }
}
