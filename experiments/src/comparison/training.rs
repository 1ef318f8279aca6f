//! What the log of a training says of updates and completions that could teach
//! nothing; the notes of a comparison name them.

/// One training, summed up.
///
/// Worked example: `{arm: "grpo", seed: 1, updates: 120, moved: 113, skipped: 1, empty: 6,
/// truncated: Some(0.08), alike: Some(0.41)}`: of 120 updates one met a gradient that was not
/// finite and six had only groups that were all alike.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TrainingLog {
    /// The arm's name.
    pub arm: String,
    /// Training seed.
    pub seed: u64,
    /// Optimizer updates, whatever came of them.
    pub updates: u64,
    /// Updates with a gradient that was finite and not 0, at a learning rate above 0.
    pub moved: u64,
    /// Updates that were skipped because loss or gradient was not finite.
    pub skipped: u64,
    /// Updates that had nothing to train on.
    pub empty: u64,
    /// Mean over updates of the share of sampled completions that the token cap
    /// cut off; `None` where nothing was sampled.
    pub truncated: Option<f64>,
    /// Mean over updates of the share of groups whose rewards were all alike;
    /// `None` where there were no groups.
    pub alike: Option<f64>,
}

impl TrainingLog {
    /// Sums up the lines of a `metrics.jsonl`; `value` looks a metric up in a line.
    pub fn of<L>(
        arm: &str,
        seed: u64,
        lines: &[L],
        value: impl Fn(&L, &str) -> Option<f64>,
    ) -> Self {
        let mut log = Self {
            arm: arm.to_owned(),
            seed,
            truncated: mean(lines, |line| value(line, "completions/clipped_ratio")),
            alike: mean(lines, |line| value(line, "frac_reward_zero_std")),
            ..Self::default()
        };
        for line in lines {
            let number = |name| value(line, name).unwrap_or(0.0);
            // Line 0 is the state before the first update.
            if number("step") < 1.0 {
                continue;
            }
            log.updates += 1;
            let skipped = number("skipped_updates") as u64;
            let was_skipped = skipped > log.skipped;
            log.skipped = log.skipped.max(skipped);
            log.empty += u64::from(number("nothing_to_train") > 0.0);
            let has_gradient = number("grad_norm") > 0.0 && number("learning_rate") > 0.0;
            log.moved += u64::from(has_gradient && !was_skipped);
        }
        log
    }
}

fn mean<L>(lines: &[L], value: impl Fn(&L) -> Option<f64>) -> Option<f64> {
    crate::statistics::mean(&lines.iter().filter_map(value).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn updates_that_taught_nothing_are_counted_apart() {
        let line = |values: &[(&str, f64)]| -> BTreeMap<String, f64> {
            let values = values
                .iter()
                .map(|(name, value)| ((*name).to_owned(), *value));
            values.collect()
        };
        let lines = [
            line(&[("step", 0.0), ("validation/accuracy", 0.5)]),
            line(&[
                ("step", 1.0),
                ("grad_norm", 0.3),
                ("learning_rate", 1e-3),
                ("completions/clipped_ratio", 0.5),
            ]),
            line(&[("step", 2.0), ("skipped_updates", 1.0)]),
            line(&[
                ("step", 3.0),
                ("skipped_updates", 1.0),
                ("nothing_to_train", 1.0),
            ]),
            line(&[
                ("step", 4.0),
                ("skipped_updates", 2.0),
                ("grad_norm", 1.0),
                ("learning_rate", 1e-3),
                ("completions/clipped_ratio", 0.0),
            ]),
        ];
        let log = TrainingLog::of("grpo", 7, &lines, |line, name| line.get(name).copied());
        let expected = TrainingLog {
            arm: "grpo".into(),
            seed: 7,
            updates: 4,
            moved: 1,
            skipped: 2,
            empty: 1,
            truncated: Some(0.25),
            alike: None,
        };
        assert_eq!(log, expected);
    }
}
