//! A soft punishment for completions that come near the limit.
//!
//! With n the completion's tokens (the end token counted), L the longest
//! completion there may be, `max_tokens` or else the limit the completion was
//! sampled under, and C the `cache`:
//!
//! | n | value |
//! |---|---|
//! | up to L - C | 0 |
//! | up to L | (L - C - n) / C |
//! | above L | -1 |
//!
//! Range: \[-1, 0\]. It falls in a straight line over the last C tokens. A
//! completion that the limit cut off has n = L where L is that limit, so -1.
//!
//! Source: equation 13 of DAPO (Yu et al. 2025, arXiv 2503.14476), where L is
//! 20480 and C 4096; departure: C is a fifth of L where it is not given, which
//! is their proportion. It is added to the reward for the answer, so a weight
//! of 1 is theirs.
//!
//! What it deliberately does not do: tell reasoning from answer; `length_cost`
//! charges for reasoning alone, and from the first token on.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::{Reward, RewardError, Score, Scored, Scores};

/// The name in the registry.
pub const NAME: &str = "overlong";

/// C is one in so many of L by default.
const CACHE_SHARE: usize = 5;

/// Parameters of [`Overlong`].
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Parameters {
    /// L in tokens, at least 1; default: each completion's own limit on new tokens.
    pub max_tokens: Option<usize>,
    /// C in tokens, at least 1 and at most L; default: a fifth of L, rounded up.
    pub cache: Option<usize>,
}

/// A punishment for length, between -1 and 0.
///
/// Part: `over`, 1 where the completion is longer than L - C, else 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Overlong {
    max_tokens: Option<usize>,
    cache: Option<usize>,
}

impl Overlong {
    /// A punishment with these parameters.
    pub fn new(parameters: &Parameters) -> Result<Self, RewardError> {
        let wrong = |message: String| {
            Err(RewardError::Parameters {
                reward: NAME.to_owned(),
                message,
            })
        };
        for (key, value) in [
            ("max_tokens", parameters.max_tokens),
            ("cache", parameters.cache),
        ] {
            if value == Some(0) {
                return wrong(format!("`{key}` is 0: give at least 1, or leave it out"));
            }
        }
        if let (Some(max_tokens), Some(cache)) = (parameters.max_tokens, parameters.cache)
            && cache > max_tokens
        {
            return wrong(format!(
                "`cache` is {cache}, above `max_tokens` = {max_tokens}: every completion would be punished"
            ));
        }
        Ok(Self {
            max_tokens: parameters.max_tokens,
            cache: parameters.cache,
        })
    }
}

impl Reward for Overlong {
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
            let longest = self.max_tokens.unwrap_or(item.max_new_tokens);
            if longest == 0 {
                return Err(wrong(
                    "its limit on new tokens is 0: set `max_tokens`".to_owned(),
                ));
            }
            let cache = self.cache.unwrap_or(longest.div_ceil(CACHE_SHARE));
            if cache > longest {
                return Err(wrong(format!(
                    "`cache` is {cache}, above its limit of {longest} new tokens: make it smaller, or set `max_tokens`"
                )));
            }
            let over = item.completion_tokens.saturating_sub(longest - cache);
            let value = 0.0 - over.min(cache) as f64 / cache as f64;
            Ok(Score::new(value).with_part("over", f64::from(u8::from(over > 0))))
        };
        batch.iter().enumerate().map(judge).collect()
    }

    fn independent(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{item, score};

    fn build(table: &str) -> Result<Overlong, RewardError> {
        let parameters = toml::from_str(table).map_err(|error| RewardError::Parameters {
            reward: NAME.to_owned(),
            message: error.to_string(),
        })?;
        Overlong::new(&parameters)
    }

    fn value(table: &str, completion_tokens: usize, max_new_tokens: usize) -> f64 {
        let item = Scored {
            completion_tokens,
            max_new_tokens,
            ..item("", "")
        };
        let score = score(&build(table).expect("valid parameters"), item).expect("a limit");
        score.value.expect("applies to any completion")
    }

    #[test]
    fn the_formula_at_hand_computed_points() {
        for (table, tokens, limit, expected) in [
            // The paper's own numbers.
            ("max_tokens = 20480\ncache = 4096", 16384, 1, 0.0),
            ("max_tokens = 20480\ncache = 4096", 18432, 1, -0.5),
            ("max_tokens = 20480\ncache = 4096", 20480, 1, -1.0),
            ("max_tokens = 20480\ncache = 4096", 30000, 1, -1.0),
            ("cache = 16", 48, 64, 0.0),
            ("cache = 16", 52, 64, -0.25),
            ("cache = 16", 64, 64, -1.0),
            // A fifth of 64, rounded up, is 13.
            ("", 51, 64, 0.0),
            ("", 64, 64, -1.0),
            ("", 1, 1, -1.0),
            ("cache = 64", 16, 64, -0.25),
        ] {
            let got = value(table, tokens, limit);
            assert!((got - expected).abs() < 1e-12, "{table} {tokens}: {got}");
        }
        assert!(value("", 0, 64).is_sign_positive());
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (table, says) in [
            ("max_tokens = 0", "`max_tokens` is 0"),
            ("cache = 0", "`cache` is 0"),
            ("cache = 9\nmax_tokens = 8", "above `max_tokens` = 8"),
            ("cache = -1", "cache"),
            ("caches = 4", "caches"),
        ] {
            let message = build(table).expect_err(table).to_string();
            assert!(message.contains(says), "{table}: {message}");
        }
    }

    #[test]
    fn a_limit_that_does_not_fit_is_an_error_that_names_the_place() {
        let batch = [
            item("", ""),
            Scored {
                max_new_tokens: 0,
                ..item("", "")
            },
        ];
        let message = build("").unwrap().score(&batch).unwrap_err().to_string();
        assert!(
            message.contains("`overlong`") && message.contains("completion 1"),
            "{message}"
        );
        let wide = build("cache = 65").unwrap().score(&batch).unwrap_err();
        assert!(wide.to_string().contains("limit of 64"), "{wide}");
    }

    proptest! {
        #[test]
        fn it_is_in_range_falls_and_is_nothing_before_the_cache(
            tokens in 0_usize..200_000,
            longest in 1_usize..100_000,
            share in 0.0..=1.0_f64,
        ) {
            let cache = ((longest as f64 * share) as usize).max(1);
            let table = format!("max_tokens = {longest}\ncache = {cache}");
            let any = value(&table, tokens, 1);
            prop_assert!((-1.0..=0.0).contains(&any));
            prop_assert_eq!(any < 0.0, tokens > longest - cache);
            prop_assert_eq!(any > -1.0, tokens < longest);
            prop_assert!(value(&table, tokens.saturating_add(1), 1) <= any);
            // Where neither is given, the limit of sampling and a fifth of it are.
            let fifth = format!("max_tokens = {longest}\ncache = {}", longest.div_ceil(5));
            let default = value("", tokens, longest);
            prop_assert!((default - value(&fifth, tokens, 1)).abs() < 1e-12);
        }
    }
}
