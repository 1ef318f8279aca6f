//! Rewards by name, with typed parameters.
//!
//! A constructor is registered with the type of its parameters, and the
//! registry reads the TOML table into that type, so a misspelt key or a string
//! where a number belongs is an error before anything runs. A parameter type
//! should carry `#[serde(deny_unknown_fields)]`; the built-in ones do.
//!
//! What it deliberately does not do: load code at run time, or read files.
//! There is no global registry: a program that adds rewards makes its own with
//! [`Registry::builtin`], registers, and passes it on.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use crate::{Reward, RewardError, correct, format, length_cost, overlong};

type Constructor =
    Box<dyn Fn(&str, &toml::Table) -> Result<Box<dyn Reward>, RewardError> + Send + Sync>;

/// Names within this Jaro-Winkler similarity (0 to 1) are offered as what may
/// have been meant: low enough for two transposed letters, high enough that
/// unrelated names stay out.
const NEAR: f64 = 0.75;

/// Constructors of rewards by name.
pub struct Registry {
    constructors: BTreeMap<String, Constructor>,
}

impl Registry {
    /// A registry of the built-in rewards.
    pub fn builtin() -> Self {
        let mut registry = Self {
            constructors: BTreeMap::new(),
        };
        registry.insert(correct::NAME, |p| correct::Correct::new(&p));
        registry.insert(format::NAME, |format::Parameters {}| Ok(format::Format));
        registry.insert(length_cost::NAME, |p| length_cost::LengthCost::new(&p));
        registry.insert(overlong::NAME, |p| overlong::Overlong::new(&p));
        registry
    }

    /// Adds a reward. `build` receives the parameters read from its table; an
    /// error about them is best a [`RewardError::Parameters`].
    ///
    /// The name must be new and made of ASCII letters, digits, `_` and `-`, and
    /// the reward's own [`Reward::name`] should equal it.
    pub fn register<P, R, F>(&mut self, name: &str, build: F) -> Result<(), RewardError>
    where
        P: DeserializeOwned,
        R: Reward + 'static,
        F: Fn(P) -> Result<R, RewardError> + Send + Sync + 'static,
    {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(allowed) {
            return Err(RewardError::Name {
                name: name.to_owned(),
            });
        }
        if self.constructors.contains_key(name) {
            return Err(RewardError::Duplicate {
                name: name.to_owned(),
            });
        }
        self.insert(name, build);
        Ok(())
    }

    /// Builds the reward `name` from its parameters, without the weight.
    pub fn build(&self, name: &str, table: &toml::Table) -> Result<Box<dyn Reward>, RewardError> {
        match self.constructors.get(name) {
            Some(constructor) => constructor(name, table),
            None => Err(self.unknown(name)),
        }
    }

    /// The registered names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.constructors.keys().map(String::as_str)
    }

    fn insert<P, R, F>(&mut self, name: &str, build: F)
    where
        P: DeserializeOwned,
        R: Reward + 'static,
        F: Fn(P) -> Result<R, RewardError> + Send + Sync + 'static,
    {
        let constructor = move |name: &str, table: &toml::Table| {
            let parameters =
                P::deserialize(table.clone()).map_err(|error| RewardError::Parameters {
                    reward: name.to_owned(),
                    message: error.to_string().trim().replace('\n', " "),
                })?;
            Ok(Box::new(build(parameters)?) as Box<dyn Reward>)
        };
        self.constructors
            .insert(name.to_owned(), Box::new(constructor));
    }

    fn unknown(&self, name: &str) -> RewardError {
        let mut near: Vec<(f64, &str)> = self
            .names()
            .map(|known| (strsim::jaro_winkler(name, known), known))
            .filter(|(similarity, _)| *similarity >= NEAR)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        RewardError::Unknown {
            name: name.to_owned(),
            near: near.iter().map(|(_, known)| (*known).to_owned()).collect(),
            all: self.names().map(str::to_owned).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Score, Scored};

    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        value: f64,
    }

    struct Constant(f64);

    impl Reward for Constant {
        fn name(&self) -> &'static str {
            "constant"
        }
        fn score(&self, batch: &[Scored<'_>]) -> Result<Vec<Score>, RewardError> {
            Ok(vec![Score::new(self.0); batch.len()])
        }
    }

    fn message(registry: &Registry, name: &str, table: &str) -> String {
        let table = toml::from_str(table).expect("the test's own TOML is valid");
        match registry.build(name, &table) {
            Ok(_) => panic!("`{name}` was built from {table}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_builtin_is_built_from_an_empty_table_under_its_own_name() {
        let registry = Registry::builtin();
        let names: Vec<&str> = registry.names().collect();
        assert_eq!(names, ["correct", "format", "length_cost", "overlong"]);
        for name in names {
            let reward = registry.build(name, &toml::Table::new()).expect("defaults");
            assert_eq!(reward.name(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_near_names_and_all_names() {
        let message = message(&Registry::builtin(), "corect", "");
        assert_eq!(
            message,
            "unknown reward `corect` (did you mean `correct`?); \
             the rewards are `correct`, `format`, `length_cost`, `overlong`"
        );
        let far = self::message(&Registry::builtin(), "zzz", "");
        assert!(!far.contains("did you mean"), "{far}");

        let mut registry = Registry::builtin();
        let built = |parameters: Parameters| Ok(Constant(parameters.value));
        registry
            .register("format_strict", built)
            .expect("a new name");
        let two = self::message(&registry, "format_strct", "");
        let nearest_first = "(did you mean `format_strict` or `format`?)";
        assert!(two.contains(nearest_first), "{two}");
    }

    #[test]
    fn parameters_are_typed_and_closed() {
        let registry = Registry::builtin();
        let unknown = message(&registry, "correct", "tolerence = 0.1");
        assert!(unknown.starts_with("reward `correct`: "), "{unknown}");
        assert!(unknown.contains("`tolerence`") && unknown.contains("`tolerance`"));
        let wrong = message(&registry, "correct", r#"tolerance = "small""#);
        assert!(
            wrong.contains("tolerance") && wrong.contains("string"),
            "{wrong}"
        );
        assert!(message(&registry, "format", "strict = true").contains("strict"));
    }

    #[test]
    fn a_third_party_registers_its_own() {
        let mut registry = Registry::builtin();
        let built = |parameters: Parameters| Ok(Constant(parameters.value));
        registry.register("constant", built).expect("a new name");
        let table = toml::from_str("value = 2.5").expect("valid");
        let reward = registry.build("constant", &table).expect("valid");
        assert_eq!(reward.score(&[]).expect("no items"), []);
        assert!(message(&registry, "constant", "").contains("value"));
    }

    #[test]
    fn names_are_unique_and_plain() {
        let mut registry = Registry::builtin();
        let twice = registry.register("correct", |_: Parameters| Ok(Constant(0.0)));
        assert!(matches!(twice, Err(RewardError::Duplicate { .. })));
        for name in ["", "a/b", "naïve", "a b"] {
            let bad = registry.register(name, |_: Parameters| Ok(Constant(0.0)));
            assert!(matches!(bad, Err(RewardError::Name { .. })), "{name}");
        }
    }
}
