//! What rewards say of a batch, and the metrics made of it.
//!
//! Metrics follow TRL's names: `rewards/{name}/mean` and `rewards/{name}/std`,
//! over the completions to which the reward applies, the deviation with n - 1
//! in the denominator as TRL's is; a part's mean is `rewards/{name}/{part}/mean`,
//! a metric of the batch as a whole `rewards/{name}/{metric}`.
//! Departure: where TRL logs NaN (nothing applies, or one value has no
//! deviation) the metric is left out.
//!
//! What it deliberately does not do: average over batches, which is for whoever
//! logs.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::Score;

/// What all rewards say of a batch.
///
/// # Example
///
/// Two completions; `correct` (weight 1) applies to the first only, `format`
/// has weight 0:
///
/// ```text
/// totals               [Some(1.0), None]
/// columns[0] correct   [Some(1.0), None]
/// columns[1] format    [Some(1.0), Some(0.0)]
/// metrics              rewards/correct/mean 1.0
///                      rewards/format/mean  0.5
///                      rewards/format/std   0.707
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchScores {
    /// The weighted sum for each completion; `None` where no reward with a
    /// weight applies.
    pub totals: Vec<Option<f64>>,
    /// One column for each reward, those of weight 0 included.
    pub columns: Vec<Column>,
}

/// What one reward says of a batch, before its weight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// The reward's name.
    pub name: String,
    /// Its weight.
    pub weight: f64,
    /// Its scores, one for each completion.
    pub scores: Vec<Score>,
    /// What it says of each batch as a whole, a value for each batch.
    pub metrics: Vec<(Cow<'static, str>, Vec<f64>)>,
}

impl BatchScores {
    /// Takes in what the same rewards say of further completions.
    pub fn append(&mut self, more: Self) {
        self.totals.extend(more.totals);
        for (column, more) in self.columns.iter_mut().zip(more.columns) {
            column.scores.extend(more.scores);
            for (name, values) in more.metrics {
                for value in values {
                    add(&mut column.metrics, name.clone(), value);
                }
            }
        }
    }

    /// The metrics of the batch, by name, in the order of the rewards.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let mut metrics = Vec::new();
        for column in &self.columns {
            let Column { name, scores, .. } = column;
            let values: Vec<f64> = scores.iter().filter_map(|score| score.value).collect();
            if let Some(mean) = mean_of(&values) {
                metrics.push((format!("rewards/{name}/mean"), mean));
                if values.len() > 1 {
                    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
                    let std = (squares / (values.len() - 1) as f64).sqrt();
                    metrics.push((format!("rewards/{name}/std"), std));
                }
            }
            for (part, values) in by_part(scores) {
                if let Some(mean) = mean_of(&values) {
                    metrics.push((format!("rewards/{name}/{part}/mean"), mean));
                }
            }
            for (metric, values) in &column.metrics {
                if let Some(mean) = mean_of(values) {
                    metrics.push((format!("rewards/{name}/{metric}"), mean));
                }
            }
        }
        metrics
    }
}

/// The values of each part, over the scores that have it, in order of first
/// appearance.
fn by_part(scores: &[Score]) -> Vec<(&Cow<'static, str>, Vec<f64>)> {
    let mut parts = Vec::new();
    for (name, value) in scores.iter().flat_map(|score| &score.parts) {
        add(&mut parts, name, *value);
    }
    parts
}

/// Adds a value to those of its name.
pub(crate) fn add<N: PartialEq>(values_by_name: &mut Vec<(N, Vec<f64>)>, name: N, value: f64) {
    match values_by_name.iter_mut().find(|(known, _)| *known == name) {
        Some((_, values)) => values.push(value),
        None => values_by_name.push((name, vec![value])),
    }
}

fn mean_of(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: &[Option<f64>]) -> Column {
        let score = |value: &Option<f64>| value.map_or_else(Score::does_not_apply, Score::new);
        Column {
            name: name.to_owned(),
            weight: 1.0,
            scores: values.iter().map(score).collect(),
            metrics: Vec::new(),
        }
    }

    #[test]
    fn metrics_are_over_what_applies_and_absent_where_undefined() {
        let mut parts = column("d", &[Some(0.0), Some(0.0), Some(0.0), None]);
        for (score, value) in parts.scores.iter_mut().zip([1.0, 4.0]) {
            score.parts.push(("p".into(), value));
        }
        let mut whole = column("e", &[None; 4]);
        add(&mut whole.metrics, "agreement".into(), 0.5);
        add(&mut whole.metrics, "agreement".into(), 1.0);
        let columns = vec![
            column("a", &[Some(1.0), Some(2.0), None, Some(6.0)]),
            column("b", &[None, Some(5.0), None, None]),
            column("c", &[None; 4]),
            parts,
            whole,
        ];
        let scored = BatchScores {
            totals: vec![None; 4],
            columns,
        };
        let expected = [
            ("rewards/a/mean", 3.0),
            // sqrt((4 + 1 + 9) / 2), with n - 1 in the denominator
            ("rewards/a/std", 7.0_f64.sqrt()),
            ("rewards/b/mean", 5.0),
            ("rewards/d/mean", 0.0),
            ("rewards/d/std", 0.0),
            ("rewards/d/p/mean", 2.5),
            ("rewards/e/agreement", 0.75),
        ];
        let metrics = scored.metrics();
        let metrics: Vec<(&str, f64)> = metrics.iter().map(|(n, v)| (n.as_str(), *v)).collect();
        assert_eq!(metrics, expected);
    }
}
