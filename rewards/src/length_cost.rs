//! What reasoning costs.
//!
//! With n the completion's reasoning tokens (tags not counted) and M the
//! budget, `max_tokens` or else the limit the completion was sampled under:
//!
//! | kind | formula | at its best |
//! |---|---|---|
//! | `linear` (default) | -min(n, M) / M | n = 0 |
//! | `cosine` | -(1 - cos(pi min(n, M) / M)) / 2 | n = 0 |
//! | `target` | -min(abs(n - T), M) / M, with T = `target_tokens` | n = T |
//!
//! Range: \[-1, 0\]. One token more costs the same everywhere under `linear`;
//! under `cosine` little near 0 and near M, most in the middle. A target above M
//! is out of reach, and refused.
//!
//! Sources: `linear` is the plain token cost of resource-rational analysis.
//! `cosine` is `CosFn` of Yeo et al. 2025 (arXiv 2502.03373), from 0 to -1;
//! departure: theirs has another pair of ends for right and for wrong answers,
//! ours does not know what is right. `target` is L1-Exact of Aggarwal and
//! Welleck 2025 (arXiv 2503.04697) with 1 / M for their coefficient; departure:
//! one target for all problems, where theirs stands in each prompt.
//!
//! What it deliberately does not do: charge for the answer, or for reasoning
//! outside the tags, which is free here: combine it with `format`, else a model
//! may learn to think where it is not counted.

use std::f64::consts::PI;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "length_cost";

/// The shape of the cost. See the module for the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In proportion to the tokens.
    #[default]
    Linear,
    /// Half a cosine wave.
    Cosine,
    /// In proportion to the distance from a target.
    Target,
}

/// Parameters of [`LengthCost`].
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// The shape of the cost; default `linear`.
    pub kind: Kind,
    /// The budget M in tokens, at least 1; default: each completion's own limit
    /// on new tokens.
    pub max_tokens: Option<usize>,
    /// The target T in tokens, at most the budget; needed for kind `target`,
    /// refused for others.
    pub target_tokens: Option<usize>,
}

/// A cost for reasoning tokens, between -1 and 0.
///
/// Part: `spent`, n / M (dimensionless, at least 0, not clipped).
#[derive(Debug, Clone, PartialEq)]
pub struct LengthCost {
    shape: Shape,
    max_tokens: Option<usize>,
}

/// [`Kind`] with the target where it belongs.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    Linear,
    Cosine,
    Target(usize),
}

impl LengthCost {
    /// A cost with these parameters.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        let wrong = |message: &str| RewardError::Parameters {
            reward: NAME.to_owned(),
            message: message.to_owned(),
        };
        if parameters.max_tokens == Some(0) {
            return Err(wrong("`max_tokens` is 0: give at least 1, or leave it out"));
        }
        let shape = match (parameters.kind, parameters.target_tokens) {
            (Kind::Linear, None) => Shape::Linear,
            (Kind::Cosine, None) => Shape::Cosine,
            (Kind::Target, Some(target)) => match parameters.max_tokens {
                Some(budget) if target > budget => {
                    return Err(wrong(&format!(
                        "`target_tokens` is {target}, above `max_tokens` = {budget}: \
                         no completion within the budget would reach it"
                    )));
                }
                _ => Shape::Target(target),
            },
            (Kind::Target, None) => {
                return Err(wrong("kind `target` needs `target_tokens`: add it"));
            }
            (_, Some(_)) => {
                return Err(wrong(
                    "`target_tokens` has a meaning only with kind `target`: \
                     leave it out, or set `kind = \"target\"`",
                ));
            }
        };
        Ok(Self {
            shape,
            max_tokens: parameters.max_tokens,
        })
    }
}

impl Reward for LengthCost {
    fn name(&self) -> &'static str {
        NAME
    }

    fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let judge = |(index, item): (usize, &Scored<'_>)| {
            let wrong = |message: String| RewardError::Item {
                reward: NAME.to_owned(),
                index,
                problem: item.problem.to_owned(),
                message,
            };
            let budget = self.max_tokens.unwrap_or(item.max_new_tokens);
            if budget == 0 {
                return Err(wrong(
                    "its limit on new tokens is 0: set `max_tokens`".to_owned(),
                ));
            }
            if let Shape::Target(target) = self.shape
                && target > budget
            {
                return Err(wrong(format!(
                    "`target_tokens` is {target}, above its limit of {budget} new tokens: \
                     make it smaller"
                )));
            }
            let spent = item.reasoning_tokens as f64 / budget as f64;
            let value = cost(self.shape, item.reasoning_tokens, budget);
            Ok(Score::new(value).with_part("spent", spent))
        };
        batch.iter().enumerate().map(judge).collect()
    }

    fn independent(&self) -> bool {
        true
    }
}

/// `budget` is at least 1.
fn cost(shape: Shape, tokens: usize, budget: usize) -> f64 {
    let share = |tokens: usize| tokens.min(budget) as f64 / budget as f64;
    let cost = match shape {
        Shape::Linear => share(tokens),
        Shape::Cosine => (1.0 - (PI * share(tokens)).cos()) / 2.0,
        Shape::Target(target) => share(tokens.abs_diff(target)),
    };
    // 0 rather than -0 where nothing is spent: the latter is printed as "-0".
    0.0 - cost
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{item, score};

    fn build(table: &str) -> Result<LengthCost, RewardError> {
        let parameters = toml::from_str(table).map_err(|error| RewardError::Parameters {
            reward: NAME.to_owned(),
            message: error.to_string(),
        })?;
        LengthCost::new(&parameters)
    }

    fn value(table: &str, reasoning_tokens: usize) -> f64 {
        let reward = build(table).expect("valid parameters");
        let item = Scored {
            reasoning_tokens,
            ..item("", "")
        };
        let score = score(&reward, item).expect("a budget of 64");
        score.value.expect("applies to any completion")
    }

    #[test]
    fn the_formulas_at_hand_computed_points() {
        for (table, tokens, expected) in [
            ("", 0, 0.0),
            ("", 16, -0.25),
            ("", 64, -1.0),
            ("", 1000, -1.0),
            ("max_tokens = 32", 16, -0.5),
            ("kind = 'cosine'", 0, 0.0),
            // (1 - cos(pi / 4)) / 2 and (1 - cos(pi / 2)) / 2
            ("kind = 'cosine'", 16, -0.146_446_609_406_726_24),
            ("kind = 'cosine'", 32, -0.5),
            ("kind = 'cosine'", 64, -1.0),
            ("kind = 'cosine'", usize::MAX, -1.0),
            ("kind = 'target'\ntarget_tokens = 20", 20, 0.0),
            ("kind = 'target'\ntarget_tokens = 20", 4, -0.25),
            ("kind = 'target'\ntarget_tokens = 20", 36, -0.25),
            ("kind = 'target'\ntarget_tokens = 20", 500, -1.0),
        ] {
            let got = value(table, tokens);
            assert!((got - expected).abs() < 1e-12, "{table} {tokens}: {got}");
        }
        assert!(value("", 0).is_sign_positive());
    }

    #[test]
    fn more_tokens_never_cost_less() {
        for table in ["", "kind = 'cosine'"] {
            let costs: Vec<f64> = (0..=64).map(|tokens| value(table, tokens)).collect();
            assert!(costs.windows(2).all(|pair| pair[1] < pair[0]), "{table}");
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (table, says) in [
            ("max_tokens = 0", "`max_tokens` is 0"),
            ("max_tokens = -1", "max_tokens"),
            ("kind = 'target'", "needs `target_tokens`"),
            ("target_tokens = 3", "only with kind `target`"),
            (
                "kind = 'target'\ntarget_tokens = 9\nmax_tokens = 8",
                "above `max_tokens` = 8",
            ),
            ("kind = 'square'", "square"),
            ("tokens = 3", "tokens"),
        ] {
            let message = build(table).expect_err(table).to_string();
            assert!(message.contains(says), "{table}: {message}");
        }
    }

    #[test]
    fn no_budget_is_an_error_that_names_the_place() {
        let reward = build("").expect("defaults");
        let batch = [
            item("", ""),
            Scored {
                max_new_tokens: 0,
                ..item("", "")
            },
        ];
        let error = reward.score(&batch).expect_err("no budget");
        let message = error.to_string();
        assert!(message.contains("`length_cost`") && message.contains("completion 1"));
        let set = build("max_tokens = 8").expect("valid");
        assert!(set.score(&batch).is_ok());
        let far = build("kind = 'target'\ntarget_tokens = 65").expect("may be in reach");
        let message = far.score(&batch).expect_err("out of reach").to_string();
        assert!(message.contains("limit of 64") && message.contains("completion 0"));
    }

    proptest! {
        #[test]
        fn it_is_in_range_and_best_where_the_table_says(
            tokens in 0_usize..200_000,
            budget in 1_usize..100_000,
            share in 0.0..=1.0_f64,
        ) {
            let target = (budget as f64 * share) as usize;
            for (table, best) in [
                (String::new(), 0),
                ("kind = 'cosine'\n".to_owned(), 0),
                (format!("kind = 'target'\ntarget_tokens = {target}\n"), target),
            ] {
                let table = format!("{table}max_tokens = {budget}");
                let any = value(&table, tokens);
                prop_assert!((-1.0..=0.0).contains(&any), "{table}: {any}");
                prop_assert!(value(&table, best) >= 0.0, "{table}");
                // Towards the best it never falls.
                let nearer = if tokens > best { tokens - 1 } else { (tokens + 1).min(best) };
                prop_assert!(value(&table, nearer) >= any, "{table}");
            }
        }
    }
}
