//! `lora = { ... }`: which adapter a training gives its network.

use serde::{Deserialize, Serialize};

use super::{last_part, products};
use crate::model::ModelConfig;
use crate::model::peft::TargetModules;
use crate::model::weights::layout;

/// `target_modules`: every matrix inside the layers.
const ALL_LINEAR: &str = "all-linear";
/// `target_modules`: what PEFT adapts in a model of the family by default.
const PEFT: &str = "peft";

/// Which matrices get an adapter, of which kind and how wide.
///
/// Worked example: `lora = { r = 16, alpha = 32, target_modules = "peft", dora = true }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraSettings {
    /// Rank: the width between the two matrices.
    pub r: i64,
    /// The change is scaled by alpha / r.
    pub alpha: f64,
    /// Last parts of the names of the matrices, `"all-linear"` for all in the
    /// layers, which is the default, or `"peft"` for PEFT's default.
    #[serde(default = "all_linear")]
    pub target_modules: TargetModules,
    /// Scale by alpha / sqrt(r) instead.
    #[serde(default)]
    pub rslora: bool,
    /// Train the norms of the matrices' rows beside their directions.
    #[serde(default)]
    pub dora: bool,
    /// Share of the adapter's input that an update's passes drop.
    #[serde(default)]
    pub dropout: f64,
}

fn all_linear() -> TargetModules {
    TargetModules::Pattern(ALL_LINEAR.to_owned())
}

impl LoraSettings {
    /// What contradicts itself, as one sentence with the key's name.
    pub fn check(&self) -> Result<(), String> {
        if self.r < 1 {
            return Err(format!("r = {}: it must be at least 1", self.r));
        }
        if !(self.alpha.is_finite() && self.alpha > 0.0) {
            return Err(format!("alpha = {}: it must be above 0", self.alpha));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(format!(
                "dropout = {}: it must be at least 0 and below 1",
                self.dropout
            ));
        }
        match &self.target_modules {
            TargetModules::Names(names) if names.is_empty() => {
                Err("target_modules is empty: nothing would be trained".to_owned())
            }
            TargetModules::Pattern(word) if word != ALL_LINEAR && word != PEFT => Err(format!(
                "target_modules = {word:?}: write \"{ALL_LINEAR}\", \"{PEFT}\", or a list of names"
            )),
            _ => Ok(()),
        }
    }

    /// Last parts of the names of the matrices that are adapted in a model, or
    /// what is wrong with them there, as one sentence with the key's name.
    pub fn targets(&self, config: &ModelConfig) -> Result<Vec<String>, String> {
        let family = config.architecture.model_type;
        let mut all: Vec<String> = Vec::new();
        for matrix in products(&layout(config)) {
            let last = last_part(&matrix).to_owned();
            if !all.contains(&last) {
                all.push(last);
            }
        }
        let names: Vec<String> = match &self.target_modules {
            TargetModules::Names(names) => names.clone(),
            TargetModules::Pattern(word) if word == PEFT => {
                let names = config.architecture.peft_targets.ok_or_else(|| {
                    format!(
                        "target_modules = \"{PEFT}\": PEFT has no default for {family}; \
                         write \"{ALL_LINEAR}\", or a list of {}",
                        all.join(", ")
                    )
                })?;
                names.iter().map(ToString::to_string).collect()
            }
            TargetModules::Pattern(_) => all.clone(),
        };
        match names.iter().find(|name| !all.contains(name)) {
            Some(name) => Err(format!(
                "target_modules holds {name:?}; the matrices of a layer of {family} are {}",
                all.join(", ")
            )),
            None => Ok(names),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;
    use crate::model::architecture::ALL;

    fn read(text: &str) -> Result<LoraSettings, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    fn config() -> ModelConfig {
        ModelShape::tiny().config(20, 1, 2, 0)
    }

    fn targets(text: &str) -> Result<Vec<String>, String> {
        read(&format!("r = 2\nalpha = 4\n{text}"))?.targets(&config())
    }

    #[test]
    fn targets_are_said_by_name_or_by_word() {
        let all = [
            "q_proj",
            "k_proj",
            "v_proj",
            "o_proj",
            "gate_proj",
            "up_proj",
            "down_proj",
        ];
        assert_eq!(targets("").unwrap(), all);
        assert_eq!(targets("target_modules = \"all-linear\"").unwrap(), all);
        let by_default = targets("target_modules = \"peft\"").unwrap();
        assert_eq!(by_default, ["q_proj", "v_proj"]);
        let one = targets("target_modules = [\"up_proj\"]").unwrap();
        assert_eq!(one, ["up_proj"]);
        // What the model lacks is refused by what it has.
        let refused = targets("target_modules = [\"q_proj\", \"lm_head\"]").unwrap_err();
        assert!(refused.contains("lm_head") && refused.contains("llama are q_proj, k_proj"));
    }

    #[test]
    fn families_have_the_defaults_of_peft_or_none() {
        for architecture in ALL {
            let family = architecture.model_type;
            let config = config().like(family, &serde_json::json!({"sliding_window": 3}));
            let of = |text: &str| {
                let settings = read(&format!("r = 2\nalpha = 4\ntarget_modules = {text}"));
                settings.unwrap().targets(&config)
            };
            let all = of("\"all-linear\"").unwrap();
            match of("\"peft\"") {
                Ok(names) => assert_eq!(names, architecture.peft_targets.unwrap()),
                Err(refused) => {
                    assert_eq!(architecture.peft_targets, None, "{refused}");
                    let way_out = format!(
                        "no default for {family}; write \"all-linear\", or a list of {}",
                        all.join(", ")
                    );
                    assert!(refused.contains(&way_out), "{refused}");
                }
            }
            if family == "phi3" {
                assert_eq!(all, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]);
                assert_eq!(of("[\"qkv_proj\"]").unwrap(), ["qkv_proj"]);
                assert!(
                    of("[\"q_proj\"]")
                        .unwrap_err()
                        .contains("phi3 are qkv_proj")
                );
            }
        }
    }

    #[test]
    fn settings_that_mean_nothing_are_refused_by_key() {
        for (text, key) in [
            ("r = 0\nalpha = 4", "r = 0"),
            ("r = 2\nalpha = 0", "alpha = 0"),
            (
                "r = 2\nalpha = 4\ntarget_modules = []",
                "target_modules is empty",
            ),
            (
                "r = 2\nalpha = 4\ntarget_modules = \"all\"",
                "target_modules = \"all\": write",
            ),
            ("r = 2\nalpha = 4\ndropout = 1.0", "dropout = 1"),
            ("r = 2\nalpha = 4\ndropout = -0.1", "dropout = -0.1"),
            ("r = 2\nalpha = 4\ndropout = nan", "dropout = NaN"),
        ] {
            let refused = read(text).unwrap().check().unwrap_err();
            assert!(refused.starts_with(key), "{refused}");
        }
        for (text, part) in [
            ("dora = true", "missing field `r`"),
            ("r = 2\nalpha = 4\ndora = 1", "boolean"),
            (
                "r = 2\nalpha = 4\ntarget_modules = 3",
                "a list of names, or a word",
            ),
            (
                "r = 2\nalpha = 4\nuse_dora = true",
                "unknown field `use_dora`",
            ),
        ] {
            let refused = read(text).unwrap_err();
            assert!(refused.contains(part), "{refused}");
        }
    }
}
