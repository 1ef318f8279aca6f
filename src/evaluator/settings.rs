//! How models are evaluated, and at which points of a training.

use serde::{Deserialize, Serialize};

use crate::generation::{PrecisionChoice, Sampling};

/// How to evaluate.
///
/// Worked example: `[evaluation] samples = 4, temperature = 1.0, max_new_tokens = 64`; with
/// `at = [0, 50, "end"], at_samples = 2` three times on the way as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationSettings {
    /// Samples an item; `num_generations_eval` in TRL.
    #[serde(alias = "num_generations_eval")]
    pub samples: u32,
    /// Sampling temperature; 0 is greedy.
    pub temperature: f64,
    /// Token cap; `max_completion_length` in TRL.
    #[serde(alias = "max_completion_length")]
    pub max_new_tokens: usize,
    /// Number format of generation.
    #[serde(default)]
    pub dtype: PrecisionChoice,
    /// When an arm is evaluated while it is trained; never where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Points>,
    /// Samples an item of those evaluations; `samples` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_samples: Option<u32>,
}

/// Points of a training, in the order in which the definition names them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "evaluation.at is a list of updates, whole numbers from 0 on and \"end\", such as [0, 50, \"end\"], \
                 or shares of a budget, such as { flops = 2.0e12, shares = [0, 0.5, 1] } (or tokens, or seconds)"
)]
pub enum Points {
    /// After so many updates.
    Updates(Vec<UpdatePoint>),
    /// After the first update at which a share of a budget is spent.
    Shares(BudgetShares),
}

/// A point that is counted in updates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum UpdatePoint {
    /// After so many updates; 0 is before the first.
    Made(u64),
    /// After the last update of the training, whichever number it has.
    Last(End),
}

/// The word `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    /// The end of the training.
    End,
}

/// Shares of a budget; one of the three budgets is given.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetShares {
    /// Floating-point operations, as [`experiments::manifest::Budget`] counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flops: Option<f64>,
    /// Tokens that a loss was taken on, and tokens sampled for training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<f64>,
    /// Wall-clock seconds of training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Shares of it, from 0 (before the first update) to 1.
    pub shares: Vec<f64>,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Floating-point operations.
    Flops,
    /// Tokens trained on and sampled.
    Tokens,
    /// Seconds of training.
    Seconds,
}

impl Unit {
    /// Its key.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flops => "flops",
            Self::Tokens => "tokens",
            Self::Seconds => "seconds",
        }
    }
}

impl EvaluationSettings {
    /// The same as a sampling.
    pub fn sampling(&self) -> Sampling {
        Sampling {
            max_new_tokens: self.max_new_tokens,
            temperature: self.temperature,
            dtype: self.dtype,
            ..Sampling::default()
        }
    }

    /// The evaluation of a finished training alone, which is the same with and without
    /// evaluations on the way.
    #[must_use]
    pub fn of_the_end(&self) -> Self {
        Self {
            at: None,
            at_samples: None,
            ..self.clone()
        }
    }

    /// An evaluation on the way.
    #[must_use]
    pub fn on_the_way(&self) -> Self {
        Self {
            samples: self.at_samples.unwrap_or(self.samples),
            ..self.of_the_end()
        }
    }

    /// What is wrong with the points of evaluation, as one sentence that begins with the
    /// key; `longest` is the number of updates of the arm that makes most.
    pub fn check(&self, longest: u64) -> Result<(), String> {
        match (&self.at, self.at_samples) {
            (None, Some(_)) => {
                return Err(
                    "at_samples is given without at: say at which points with at, or remove it"
                        .to_owned(),
                );
            }
            (Some(_), Some(samples)) if samples == 0 || samples > self.samples => {
                return Err(format!(
                    "at_samples = {samples}: it must be at least 1, and at most samples = {}",
                    self.samples
                ));
            }
            _ => {}
        }
        match &self.at {
            None => Ok(()),
            Some(Points::Updates(updates)) => check_updates(updates, longest),
            Some(Points::Shares(shares)) => shares.check(),
        }
    }
}

fn check_updates(updates: &[UpdatePoint], longest: u64) -> Result<(), String> {
    if updates.is_empty() {
        return Err("at is empty: name at least one update, or remove the key".to_owned());
    }
    for (index, update) in updates.iter().enumerate() {
        if updates[..index].contains(update) {
            return Err(format!("at names {} twice", update.name()));
        }
        if let UpdatePoint::Made(count) = update
            && *count > longest
        {
            return Err(format!(
                "at names update {count}, but no arm makes more than {longest}; \"end\" is the last of each"
            ));
        }
    }
    Ok(())
}

impl UpdatePoint {
    /// As the definition names it: `50`, `end`.
    pub fn name(self) -> String {
        match self {
            Self::Made(count) => count.to_string(),
            Self::Last(End::End) => "end".to_owned(),
        }
    }
}

impl BudgetShares {
    /// Which budget, and its total; `None` unless exactly one is given.
    pub fn budget(&self) -> Option<(Unit, f64)> {
        let all = [
            (Unit::Flops, self.flops),
            (Unit::Tokens, self.tokens),
            (Unit::Seconds, self.seconds),
        ];
        let mut given = all
            .into_iter()
            .filter_map(|(unit, total)| Some((unit, total?)));
        given.next().filter(|_| given.next().is_none())
    }

    fn check(&self) -> Result<(), String> {
        let Some((unit, total)) = self.budget() else {
            return Err(
                "at needs one budget: flops, tokens or seconds, the total that the shares are of"
                    .to_owned(),
            );
        };
        if !(total.is_finite() && total > 0.0) {
            return Err(format!(
                "at.{} = {total}: the total must be above 0",
                unit.name()
            ));
        }
        if self.shares.is_empty() {
            return Err("at.shares is empty: name at least one share".to_owned());
        }
        for (index, share) in self.shares.iter().enumerate() {
            if !(0.0..=1.0).contains(share) {
                return Err(format!(
                    "at.shares holds {share}: a share lies between 0 and 1"
                ));
            }
            if self.shares[..index].contains(share) {
                return Err(format!("at.shares names {share} twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(at: &str) -> Result<EvaluationSettings, String> {
        let text = format!("samples = 4\ntemperature = 1.0\nmax_new_tokens = 40\n{at}\n");
        toml::from_str(&text).map_err(|error| error.to_string())
    }

    #[test]
    fn points_are_read_and_written_as_they_stand() {
        for at in [
            "at = [0, 25, \"end\"]",
            "at = { flops = 2.0e12, shares = [0, 0.25, 1.0] }\nat_samples = 2",
            "at = { tokens = 5000, shares = [1] }",
            "at = { seconds = 1.5, shares = [0.5] }\nat_samples = 4",
        ] {
            let read = settings(at).unwrap();
            read.check(25).unwrap();
            let json = serde_json::to_string(&read).unwrap();
            assert_eq!(
                serde_json::from_str::<EvaluationSettings>(&json).unwrap(),
                read
            );
            assert_ne!(read, read.of_the_end());
        }
        let plain = settings("").unwrap();
        let json = serde_json::to_string(&plain).unwrap();
        let before = r#"{"samples":4,"temperature":1.0,"max_new_tokens":40,"dtype":"auto"}"#;
        assert_eq!(json, before);
        let fewer = settings("at = [0]\nat_samples = 1").unwrap().on_the_way();
        assert_eq!(
            fewer,
            EvaluationSettings {
                samples: 1,
                ..plain
            }
        );
    }

    #[test]
    fn points_that_mean_nothing_are_refused_by_key() {
        for (at, word) in [
            ("at = []", "at is empty"),
            ("at = [5, 0, 5]", "names 5 twice"),
            ("at = [\"end\", \"end\"]", "names end twice"),
            (
                "at = [26]",
                "at names update 26, but no arm makes more than 25",
            ),
            ("at_samples = 2", "without at"),
            ("at = [0]\nat_samples = 0", "at_samples = 0"),
            ("at = [0]\nat_samples = 5", "at most samples = 4"),
            ("at = { flops = 1e9, shares = [] }", "shares is empty"),
            ("at = { shares = [0.5] }", "needs one budget"),
            (
                "at = { flops = 1e9, tokens = 5, shares = [1] }",
                "needs one budget",
            ),
            ("at = { tokens = 0, shares = [1] }", "at.tokens = 0"),
            ("at = { flops = inf, shares = [1] }", "at.flops = inf"),
            ("at = { flops = 1e9, shares = [nan] }", "holds NaN"),
            ("at = { flops = 1e9, shares = [-0.1] }", "holds -0.1"),
            ("at = { flops = 1e9, shares = [0.5, 1.01] }", "holds 1.01"),
            (
                "at = { flops = 1e9, shares = [0.5, 0.5] }",
                "names 0.5 twice",
            ),
        ] {
            let refused = settings(at).unwrap().check(25).unwrap_err();
            assert!(
                refused.starts_with("at") && refused.contains(word),
                "{refused}"
            );
        }
    }

    #[test]
    fn points_of_another_form_are_refused_where_they_stand() {
        for at in [
            "at = [0, \"last\"]",
            "at = [-1]",
            "at = [0.5]",
            "at = 50",
            "at = { watts = 5, shares = [1] }",
            "at = { flops = 1e9 }",
        ] {
            let refused = settings(at).unwrap_err();
            assert!(refused.contains("line 4"), "{refused}");
            assert!(
                refused.contains("evaluation.at is a list of updates"),
                "{refused}"
            );
        }
    }
}
