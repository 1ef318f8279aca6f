//! Rewards by name, with typed parameters.
//!
//! A constructor is registered with the type of its parameters, and the
//! registry reads the TOML table into that type, so a misspelt key or a string
//! where a number belongs is an error before anything runs. A parameter type
//! should carry `#[serde(deny_unknown_fields)]`; the built-in ones do.
//!
//! What it deliberately does not do: load code at run time.
//! There is no global registry: a program that adds rewards makes its own with
//! [`Registry::builtin`], registers, and passes it on.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::external::{command, python};
use crate::{
    Description, Reward, RewardError, correct, format, human_cost, length_cost, overlong, process,
    repetition, script,
};

type Constructor =
    Box<dyn Fn(&str, &toml::Table, &Path) -> Result<Box<dyn Reward>, RewardError> + Send + Sync>;

/// How a reward is made, and what there is to say of it.
struct Entry {
    description: Description,
    constructor: Constructor,
}

/// Names within this Jaro-Winkler similarity (0 to 1) are offered as what may
/// have been meant: low enough for two transposed letters, high enough that
/// unrelated names stay out.
const NEAR: f64 = 0.75;

/// Constructors of rewards by name.
pub struct Registry {
    entries: BTreeMap<String, Entry>,
}

impl Registry {
    /// A registry of the built-in rewards.
    pub fn builtin() -> Self {
        let mut registry = Self {
            entries: BTreeMap::new(),
        };
        // What is said of a built-in reward is the head of its own file.
        registry.insert(correct::NAME, include_str!("correct.rs"), |p, _| {
            correct::Correct::new(&p)
        });
        registry.insert(format::NAME, include_str!("format.rs"), |p, _| {
            Ok(format::Format::new(&p))
        });
        registry.insert(human_cost::NAME, include_str!("human_cost.rs"), |p, _| {
            human_cost::HumanCost::new(&p)
        });
        registry.insert(length_cost::NAME, include_str!("length_cost.rs"), |p, _| {
            length_cost::LengthCost::new(&p)
        });
        registry.insert(overlong::NAME, include_str!("overlong.rs"), |p, _| {
            overlong::Overlong::new(&p)
        });
        registry.insert(
            process::NAME,
            include_str!("process.rs"),
            |process::Parameters {}, _| Ok(process::Process),
        );
        registry.insert(repetition::NAME, include_str!("repetition.rs"), |p, _| {
            repetition::Repetition::new(&p)
        });
        registry.insert(script::NAME, include_str!("script.rs"), |p, _| {
            script::Script::new(&p)
        });
        registry.insert(
            command::NAME,
            include_str!("external/command.rs"),
            |p, folder| command::Command::new(&p, folder),
        );
        registry.insert(
            python::NAME,
            include_str!("external/python.rs"),
            |p, folder| python::Python::new(&p, folder),
        );
        registry
    }

    /// Adds a reward. `about` says what it is worth, in a first sentence and
    /// more where there is more to say; `build` receives the parameters read
    /// from its table, and an error about them is best a
    /// [`RewardError::Parameters`]. The comments on the parameters' fields are
    /// what `qinglan rewards describe` says of them.
    ///
    /// The name must be new and made of ASCII letters, digits, `_` and `-`, and
    /// the reward's own [`Reward::name`] should equal it.
    pub fn register<P, R, F>(
        &mut self,
        name: &str,
        about: &str,
        build: F,
    ) -> Result<(), RewardError>
    where
        P: DeserializeOwned + JsonSchema,
        R: Reward + 'static,
        F: Fn(P) -> Result<R, RewardError> + Send + Sync + 'static,
    {
        if !is_name(name) {
            return Err(RewardError::Name {
                name: name.to_owned(),
            });
        }
        if self.entries.contains_key(name) {
            return Err(RewardError::Duplicate {
                name: name.to_owned(),
            });
        }
        self.insert(name, about, move |parameters, _| build(parameters));
        Ok(())
    }

    /// Builds the reward `name` from its parameters, without the weight. Paths
    /// among them are taken from `folder` on, the definition's own.
    pub fn build(
        &self,
        name: &str,
        table: &toml::Table,
        folder: &Path,
    ) -> Result<Box<dyn Reward>, RewardError> {
        (self.entry(name)?.constructor)(name, table, folder)
    }

    /// What there is to say of the reward `name`.
    pub fn describe(&self, name: &str) -> Result<&Description, RewardError> {
        Ok(&self.entry(name)?.description)
    }

    fn entry(&self, name: &str) -> Result<&Entry, RewardError> {
        self.entries.get(name).ok_or_else(|| self.unknown(name))
    }

    /// The registered names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    fn insert<P, R, F>(&mut self, name: &str, about: &str, build: F)
    where
        P: DeserializeOwned + JsonSchema,
        R: Reward + 'static,
        F: Fn(P, &Path) -> Result<R, RewardError> + Send + Sync + 'static,
    {
        let constructor = move |name: &str, table: &toml::Table, folder: &Path| {
            let parameters =
                P::deserialize(table.clone()).map_err(|error| RewardError::Parameters {
                    reward: name.to_owned(),
                    message: error.to_string().trim().replace('\n', " "),
                })?;
            Ok(Box::new(build(parameters, folder)?) as Box<dyn Reward>)
        };
        let entry = Entry {
            description: Description::new::<P>(about),
            constructor: Box::new(constructor),
        };
        self.entries.insert(name.to_owned(), entry);
    }

    fn unknown(&self, name: &str) -> RewardError {
        RewardError::Unknown {
            name: name.to_owned(),
            near: near(name, self.names()),
            all: self.names().map(str::to_owned).collect(),
        }
    }
}

/// Those of the `known` names that resemble `name`, nearest first.
pub(crate) fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut near: Vec<(f64, &str)> = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(similarity, _)| *similarity >= NEAR)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.iter().map(|(_, known)| (*known).to_owned()).collect()
}

/// Whether a reward may go by a name: it is a part of metrics' names, in which `/`
/// sets the reward apart from its parts.
pub(crate) fn is_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !name.is_empty() && name.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Score, Scored, Scores};

    #[derive(serde::Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Parameters {
        value: f64,
    }

    struct Constant(f64);

    impl Reward for Constant {
        fn name(&self) -> &'static str {
            "constant"
        }
        fn score(&self, batch: &[Scored<'_>]) -> Result<Scores, RewardError> {
            Ok(batch.iter().map(|_| Score::new(self.0)).collect())
        }
    }

    fn message(registry: &Registry, name: &str, table: &str) -> String {
        let table = toml::from_str(table).expect("the test's own TOML is valid");
        match registry.build(name, &table, Path::new(".")) {
            Ok(_) => panic!("`{name}` was built from {table}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_builtin_is_built_from_an_empty_table_under_its_own_name() {
        let registry = Registry::builtin();
        let names: Vec<&str> = registry.names().collect();
        let builtin = [
            "command",
            "correct",
            "format",
            "human_cost",
            "length_cost",
            "overlong",
            "process",
            "python",
            "repetition",
            "script",
        ];
        assert_eq!(names, builtin);
        // An expression has no default, nor has a program.
        let told = ["command", "python", "script"];
        for name in names.into_iter().filter(|name| !told.contains(name)) {
            let reward = registry.build(name, &toml::Table::new(), Path::new("."));
            let reward = reward.expect("defaults");
            assert_eq!(reward.name(), name);
        }
    }

    #[test]
    fn an_unknown_name_lists_near_names_and_all_names() {
        let message = message(&Registry::builtin(), "corect", "");
        assert_eq!(
            message,
            "unknown reward `corect` (did you mean `correct`?); \
             the rewards are `command`, `correct`, `format`, `human_cost`, `length_cost`, \
             `overlong`, `process`, `python`, `repetition`, `script`"
        );
        let far = self::message(&Registry::builtin(), "zzz", "");
        assert!(!far.contains("did you mean"), "{far}");

        let mut registry = Registry::builtin();
        let built = |parameters: Parameters| Ok(Constant(parameters.value));
        registry
            .register("format_strict", "Strict.", built)
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
        registry
            .register("constant", "The value.", built)
            .expect("a new name");
        let table = toml::from_str("value = 2.5").expect("valid");
        let reward = registry.build("constant", &table, Path::new("."));
        let reward = reward.expect("valid");
        assert_eq!(reward.score(&[]).expect("no items").each, []);
        assert!(message(&registry, "constant", "").contains("value"));
    }

    #[test]
    fn names_are_unique_and_plain() {
        let mut registry = Registry::builtin();
        let twice = registry.register("correct", "", |_: Parameters| Ok(Constant(0.0)));
        assert!(matches!(twice, Err(RewardError::Duplicate { .. })));
        for name in ["", "a/b", "naïve", "a b"] {
            let bad = registry.register(name, "", |_: Parameters| Ok(Constant(0.0)));
            assert!(matches!(bad, Err(RewardError::Name { .. })), "{name}");
        }
    }
}
