//! The columns of an item that a table may have or not: the `cluster` it
//! belongs to, and covariates `x_NAME`.
//!
//! Worked example: of a table with the columns `cluster`, `x_size` and `x_tie`
//! the row `addition/4 + 9 = 13,13,` is an item of the cluster
//! `addition/4 + 9 = 13` with the covariate `size` of 13. Its field of `x_tie`
//! is empty, so the item lacks the covariate `tie`, which is not 0.

use std::collections::BTreeMap;

use super::import::sheet::{Column, Sheet};
use super::{NormItem, NormsError};

/// The column of clusters.
pub(super) const CLUSTER: &str = "cluster";
/// Stands before the name of a covariate.
pub(super) const MARK: &str = "x_";

/// The optional columns, as they are named to whoever asks which there are.
pub(super) const OPTIONAL: [&str; 2] = [CLUSTER, "x_NAME"];

/// Whether a column is one of these.
pub(super) fn is_optional(column: &str) -> bool {
    column == CLUSTER || covariate(column).is_some()
}

/// The covariate that a column holds, `None` where it holds none.
pub(super) fn covariate(column: &str) -> Option<&str> {
    column.strip_prefix(MARK).filter(|name| !name.is_empty())
}

/// `fixed` and these columns as they are to be spelt, so that `X_size` and
/// ` x_size` are refused and not passed over.
pub(super) fn spellings<'a>(
    fixed: &[&'a str],
    columns: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let covariates = columns.filter_map(|column| {
        let (mark, name) = column.trim().split_at_checked(MARK.len())?;
        mark.eq_ignore_ascii_case(MARK)
            .then(|| format!("{MARK}{name}"))
    });
    let fixed = fixed.iter().copied().chain([CLUSTER]);
    fixed.map(str::to_owned).chain(covariates).collect()
}

/// The optional columns of a sheet.
pub(super) struct Optional<'a> {
    cluster: Option<Column<'a>>,
    covariates: Vec<(&'a str, Column<'a>)>,
}

impl<'a> Optional<'a> {
    /// Those of a table in the schema, by their own names.
    pub(super) fn of(sheet: &'a Sheet) -> Result<Self, NormsError> {
        let names = sheet.names();
        let cluster = names.contains(&CLUSTER).then_some(CLUSTER);
        let covariates = names.into_iter().filter_map(|n| Some((covariate(n)?, n)));
        Self::mapped(sheet, cluster, covariates)
    }

    /// Those of another table: its column of clusters, and by the name of each
    /// covariate the column that holds it.
    pub(super) fn mapped(
        sheet: &'a Sheet,
        cluster: Option<&'a str>,
        covariates: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, NormsError> {
        Ok(Self {
            cluster: cluster.map(|name| sheet.column(name)).transpose()?,
            covariates: covariates
                .map(|(name, column)| Ok((name, sheet.column(column)?)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The cluster of a row and its covariates, those that `holds_some` says are there.
    pub(super) fn at(
        &self,
        row: usize,
        holds_some: impl Fn(&str) -> bool,
    ) -> Result<(Option<String>, BTreeMap<String, f64>), NormsError> {
        let field = |column: &Column<'a>| column.field(row).filter(|field| holds_some(field));
        let cluster = self.cluster.as_ref().and_then(field).map(str::to_owned);
        let mut covariates = BTreeMap::new();
        for (name, column) in &self.covariates {
            if field(column).is_some()
                && let Some(value) = column.number_at(row, "a finite number", |_| true)?
            {
                covariates.insert((*name).to_owned(), value);
            }
        }
        Ok((cluster, covariates))
    }

    /// Refuses a row that says of an item what an earlier row of the item contradicts.
    pub(super) fn agree(
        &self,
        row: usize,
        earlier: &NormItem,
        later: &NormItem,
    ) -> Result<(), NormsError> {
        let expected = "what the item has already";
        if let (Some(column), Some(one), Some(other)) =
            (&self.cluster, &earlier.cluster, &later.cluster)
            && one != other
        {
            return Err(column.bad(row, expected, ""));
        }
        for (name, column) in &self.covariates {
            let values = earlier
                .covariates
                .get(*name)
                .zip(later.covariates.get(*name));
            if values.is_some_and(|(one, other)| one.total_cmp(other).is_ne()) {
                return Err(column.bad(row, expected, ""));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_covariate_is_called_without_its_mark() {
        assert_eq!(covariate("x_size"), Some("size"));
        for column in ["x_", "size", "X_size", "condition"] {
            assert_eq!(covariate(column), None, "{column}");
        }
    }

    #[test]
    fn covariates_in_another_spelling_are_known() {
        let found = spellings(
            &["task"],
            ["X_size", " x_tie", "colour", "\u{e4}"].into_iter(),
        );
        assert_eq!(found, ["task", "cluster", "x_size", "x_tie"]);
    }
}
