//! Remarks on covariates that predict nothing, or are mostly not there.

use std::collections::BTreeMap;

use super::remarks::counted;
use super::{Content, Findings};

/// Adds the remarks on one folder.
pub(super) fn of(content: &Content, findings: &mut Findings) {
    for (task, items) in &content.items {
        let mut covariates: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (_, item) in items {
            for (name, value) in &item.covariates {
                covariates.entry(name).or_default().push(*value);
            }
        }
        for (name, values) in covariates {
            let alike = |pair: &[f64]| pair[0].total_cmp(&pair[1]).is_eq();
            if values.len() > 1 && values.windows(2).all(alike) {
                findings.remark(
                    &content.items_path,
                    &[],
                    format!(
                        "the covariate `{name}` of task `{task}` is {} wherever it is known: it predicts nothing",
                        values[0]
                    ),
                );
            }
            let lacking: Vec<usize> = items
                .iter()
                .filter(|(_, item)| !item.covariates.contains_key(name))
                .map(|(line, _)| *line)
                .collect();
            if 2 * lacking.len() >= items.len() {
                findings.remark(
                    &content.items_path,
                    &lacking,
                    format!(
                        "{} of task `{task}`, of {}, without the covariate `{name}`: it says little of the task",
                        counted(lacking.len(), "item"),
                        items.len()
                    ),
                );
            }
        }
    }
}
