//! Several rewards as one number for each completion.
//!
//! Formula: total = sum over the rewards that apply and have a weight other
//! than 0 of weight x value; `None` where there is none such. A reward of
//! weight 0 is computed, checked and logged, and adds nothing.
//!
//! What it deliberately does not do: scale, clip or normalise by group. The
//! columns are there for whoever does.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::batch::add;
use crate::registry::is_name;
use crate::{BatchScores, Column, Registry, Reward, RewardError, Scored, Scores};

/// The key of a reward's table that holds its weight.
const WEIGHT: &str = "weight";

/// The key of a reward's table that holds what it is, where its own name is not
/// that of a registered reward.
const IS: &str = "is";

/// The weight of a reward whose table names none.
const DEFAULT_WEIGHT: f64 = 1.0;

/// Rewards with their weights.
pub struct WeightedRewards {
    rewards: Vec<Weighted>,
}

/// A reward, the name it goes by here, and its weight.
pub struct Weighted {
    /// Unique among the rewards it is added to.
    pub name: String,
    /// The reward.
    pub reward: Box<dyn Reward>,
    /// Any finite number; 0 makes it a metric only.
    pub weight: f64,
}

impl WeightedRewards {
    /// At least one reward is needed, and no two may share a name.
    pub fn new(rewards: Vec<Weighted>) -> Result<Self, RewardError> {
        if rewards.is_empty() {
            return Err(RewardError::Empty);
        }
        for (i, Weighted { name, weight, .. }) in rewards.iter().enumerate() {
            if !is_name(name) {
                return Err(RewardError::Name { name: name.clone() });
            }
            if rewards[..i].iter().any(|other| other.name == *name) {
                return Err(RewardError::Duplicate { name: name.clone() });
            }
            if !weight.is_finite() {
                return Err(RewardError::Weight {
                    reward: name.clone(),
                    weight: *weight,
                });
            }
        }
        Ok(Self { rewards })
    }

    /// Builds each reward that `table` names, in the table's order.
    ///
    /// An entry is a weight (`format = 0.1`) or a table of parameters with the
    /// weight under `weight`, 1 if absent
    /// (`length_cost = { weight = 0.1, kind = "cosine" }`). It goes by its key,
    /// and is the registered reward of that name or of the one under `is`, so
    /// that one reward can be there twice
    /// (`short = { is = "length_cost", max_tokens = 64 }`). Paths are taken from
    /// `folder` on.
    pub fn from_table(
        registry: &Registry,
        table: &toml::Table,
        folder: &Path,
    ) -> Result<Self, RewardError> {
        let mut rewards = Vec::with_capacity(table.len());
        for (name, entry) in table {
            let (weight, is, parameters) = match entry {
                toml::Value::Table(table) => {
                    let mut parameters = table.clone();
                    let weight = parameters.remove(WEIGHT);
                    (weight, parameters.remove(IS), parameters)
                }
                weight => (Some(weight.clone()), None, toml::Table::new()),
            };
            let is = match is {
                None => name.clone(),
                Some(toml::Value::String(is)) => is,
                Some(other) => {
                    return Err(RewardError::Parameters {
                        reward: name.clone(),
                        message: format!(
                            "`{IS}` is of type {}: write the name of a registered reward",
                            other.type_str()
                        ),
                    });
                }
            };
            let weight = match weight {
                None => DEFAULT_WEIGHT,
                Some(toml::Value::Float(weight)) => weight,
                Some(toml::Value::Integer(weight)) => weight as f64,
                Some(other) => {
                    return Err(RewardError::Parameters {
                        reward: name.clone(),
                        message: format!(
                            "the weight is a {}: write a number, or a table of parameters \
                             with a number under `{WEIGHT}`",
                            other.type_str()
                        ),
                    });
                }
            };
            let built = registry.build(&is, &parameters, folder);
            rewards.push(Weighted {
                name: name.clone(),
                reward: built.map_err(|error| error.of(name))?,
                weight,
            });
        }
        Self::new(rewards)
    }

    /// The names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rewards.iter().map(|weighted| weighted.name.as_str())
    }

    /// What each is, its name in the registry, in the same order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.rewards.iter().map(|weighted| weighted.reward.name())
    }

    /// Starts what the rewards need from outside; see [`Reward::start`].
    pub fn start(&self) -> Result<(), RewardError> {
        self.rewards.iter().try_for_each(|weighted| {
            let started = weighted.reward.start();
            started.map_err(|error| error.of(&weighted.name))
        })
    }

    /// Scores a batch with every reward, in order, and adds up.
    ///
    /// The first reward that fails, gives the wrong number of scores or gives
    /// one that is not finite ends it with an error.
    pub fn score(&self, batch: &[Scored<'_>]) -> Result<BatchScores, RewardError> {
        self.add_up(batch, |_, weighted| weighted.judge(batch))
    }

    /// The same, and the time that each reward took.
    pub fn score_timed(
        &self,
        batch: &[Scored<'_>],
    ) -> Result<(BatchScores, Vec<Duration>), RewardError> {
        let mut times = Vec::with_capacity(self.rewards.len());
        let scores = self.add_up(batch, |_, weighted| {
            let before = Instant::now();
            let scores = weighted.judge(batch);
            times.push(before.elapsed());
            scores
        })?;
        Ok((scores, times))
    }

    /// The rewards, in order.
    pub(crate) fn rewards(&self) -> &[Weighted] {
        &self.rewards
    }

    /// Adds up what `judge` says each reward says of a batch.
    pub(crate) fn add_up(
        &self,
        batch: &[Scored<'_>],
        mut judge: impl FnMut(usize, &Weighted) -> Result<Scores, RewardError>,
    ) -> Result<BatchScores, RewardError> {
        let mut totals: Vec<Option<f64>> = vec![None; batch.len()];
        let mut columns = Vec::with_capacity(self.rewards.len());
        for (place, weighted) in self.rewards.iter().enumerate() {
            let Scores {
                each: scores,
                metrics: said,
            } = judge(place, weighted)?;
            let Weighted { name, weight, .. } = weighted;
            let mut metrics = Vec::new();
            for (metric, value) in said {
                add(&mut metrics, metric, value);
            }
            if *weight != 0.0 {
                for (total, score) in totals.iter_mut().zip(&scores) {
                    if let Some(value) = score.value {
                        *total = Some(total.unwrap_or(0.0) + weight * value);
                    }
                }
            }
            columns.push(Column {
                name: name.clone(),
                weight: *weight,
                scores,
                metrics,
            });
        }
        for (index, total) in totals.iter().enumerate() {
            if let Some(value) = total.filter(|total| !total.is_finite()) {
                return Err(RewardError::Total { index, value });
            }
        }
        Ok(BatchScores { totals, columns })
    }
}

impl Weighted {
    /// What it says of a batch, held to its contract.
    pub(crate) fn judge(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
        let scores = self.reward.score(batch);
        let scores = scores.map_err(|error| error.of(&self.name))?;
        check(&self.name, batch.len(), &scores)?;
        Ok(scores)
    }
}

fn check(reward: &str, expected: usize, scores: &Scores) -> Result<(), RewardError> {
    if let Some((metric, value)) = scores.metrics.iter().find(|(_, value)| !value.is_finite()) {
        return Err(RewardError::MetricNotFinite {
            reward: reward.to_owned(),
            metric: metric.clone().into_owned(),
            value: *value,
        });
    }
    let scores = &scores.each;
    if scores.len() != expected {
        return Err(RewardError::Length {
            reward: reward.to_owned(),
            expected,
            actual: scores.len(),
        });
    }
    let not_finite = |index, quantity, value| RewardError::NotFinite {
        reward: reward.to_owned(),
        index,
        quantity,
        value,
    };
    for (index, score) in scores.iter().enumerate() {
        if let Some(value) = score.value.filter(|value| !value.is_finite()) {
            return Err(not_finite(index, "the value".to_owned(), value));
        }
        if let Some((part, value)) = score.parts.iter().find(|(_, value)| !value.is_finite()) {
            return Err(not_finite(index, format!("the part `{part}`"), *value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Score;
    use crate::testing::item;

    /// Gives the scores it is told to, whatever the batch.
    struct Given(&'static str, Vec<Score>);

    impl Reward for Given {
        fn name(&self) -> &str {
            self.0
        }
        fn score(&self, _: &[Scored<'_>]) -> Result<Scores, RewardError> {
            Ok(self.1.iter().cloned().collect())
        }
    }

    fn given(name: &'static str, values: &[Option<f64>]) -> Box<dyn Reward> {
        let score = |value: &Option<f64>| value.map_or_else(Score::does_not_apply, Score::new);
        Box::new(Given(name, values.iter().map(score).collect()))
    }

    fn weighted(rewards: Vec<(Box<dyn Reward>, f64)>) -> Vec<Weighted> {
        let weighted = rewards.into_iter().map(|(reward, weight)| Weighted {
            name: reward.name().to_owned(),
            reward,
            weight,
        });
        weighted.collect()
    }

    fn error(result: Result<WeightedRewards, RewardError>) -> String {
        match result {
            Ok(_) => panic!("the rewards were accepted"),
            Err(error) => error.to_string(),
        }
    }

    fn from_table(table: &str) -> Result<WeightedRewards, RewardError> {
        let table = toml::from_str(table).expect("the test's own TOML is valid");
        WeightedRewards::from_table(&Registry::builtin(), &table, Path::new("."))
    }

    fn score(
        rewards: Vec<(Box<dyn Reward>, f64)>,
        completions: usize,
    ) -> Result<BatchScores, RewardError> {
        let batch = vec![item("", ""); completions];
        WeightedRewards::new(weighted(rewards))?.score(&batch)
    }

    #[test]
    fn the_sum_is_over_what_applies_and_has_a_weight() {
        let a = given("a", &[Some(1.0), Some(2.0), None, None]);
        let b = given("b", &[Some(10.0), None, Some(-4.0), None]);
        let metric = given("metric", &[Some(1e9); 4]);
        let scored = score(vec![(a, 2.0), (b, 0.5), (metric, 0.0)], 4).expect("finite");
        assert_eq!(scored.totals, [Some(7.0), Some(4.0), Some(-2.0), None]);
        let columns: Vec<&str> = scored.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(columns, ["a", "b", "metric"]);
        assert_eq!(scored.columns[1].scores[0].value, Some(10.0));
    }

    #[test]
    fn what_is_not_finite_is_an_error_that_names_reward_and_index() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for weight in [1.0, 0.0] {
                let bad = given("bad", &[Some(1.0), Some(value)]);
                let error = score(vec![(bad, weight)], 2).expect_err("not finite");
                let message = error.to_string();
                assert!(
                    message.contains("`bad`: the value of completion 1 "),
                    "{message}"
                );
            }
            let parts = vec![Score::new(1.0).with_part("p", value)];
            let error = score(vec![(Box::new(Given("bad", parts)), 1.0)], 1);
            let message = error.expect_err("not finite").to_string();
            assert!(
                message.contains("the part `p` of completion 0 "),
                "{message}"
            );
        }
        let large = given("large", &[Some(1e300)]);
        let error = score(vec![(large, 1e300)], 1).expect_err("overflow");
        assert!(matches!(error, RewardError::Total { index: 0, .. }));
    }

    #[test]
    fn the_wrong_number_of_scores_is_an_error() {
        for completions in [0, 1, 3] {
            let two = given("two", &[Some(1.0), Some(1.0)]);
            let error = score(vec![(two, 1.0)], completions).expect_err("two scores");
            let message = error.to_string();
            let says = format!("`two` gave 2 scores for {completions} completions");
            assert!(message.contains(&says), "{message}");
        }
        let none = score(vec![(given("none", &[]), 1.0)], 0).expect("none for none");
        assert_eq!((none.totals, none.columns.len()), (vec![], 1));
    }

    #[test]
    fn a_table_gives_weights_and_parameters_in_its_order() {
        let rewards =
            from_table("length_cost = { weight = 0.1, kind = 'cosine' }\ncorrect = 2\n[format]\n");
        let rewards = rewards.expect("valid");
        let weights: Vec<f64> = rewards
            .rewards
            .iter()
            .map(|weighted| weighted.weight)
            .collect();
        assert_eq!(weights, [0.1, 2.0, 1.0]);
        let names: Vec<&str> = rewards.names().collect();
        assert_eq!(names, ["length_cost", "correct", "format"]);
    }

    #[test]
    fn one_reward_may_be_there_twice_under_names_of_its_own() {
        let table = "short = { is = 'overlong', max_tokens = 0x10 }\noverlong = 0.0\n";
        let rewards = from_table(table).expect("valid");
        let scored = rewards.score(&[item("", "")]).expect("a limit of 64");
        let names: Vec<&str> = scored.columns.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["short", "overlong"]);
    }

    #[test]
    fn tables_that_make_no_sense_are_refused() {
        for (table, says) in [
            ("", "no reward is given"),
            ("corect = 1.0", "did you mean `correct`?"),
            ("correct = 'much'", "`correct`: the weight is a string"),
            (
                "correct = { weight = true }",
                "`correct`: the weight is a boolean",
            ),
            ("correct = nan", "`correct`: the weight is NaN"),
            ("format = { weigth = 1.0 }", "weigth"),
            ("short = { is = 3 }", "`short`: `is` is of type integer"),
            (
                "'correct/answered' = { is = 'format' }",
                "cannot name a reward",
            ),
            ("'' = { is = 'format' }", "cannot name a reward"),
            (
                "short = { is = 'lenght_cost' }",
                "did you mean `length_cost`?",
            ),
            (
                "short = { is = 'overlong', cache = 0 }",
                "reward `short`: `cache` is 0",
            ),
        ] {
            let message = error(from_table(table));
            assert!(message.contains(says), "{table}: {message}");
        }
        let twice = vec![(given("a", &[]), 1.0), (given("a", &[]), 1.0)];
        let twice = WeightedRewards::new(weighted(twice));
        assert!(error(twice).contains("already a reward named `a`"));
    }
}
