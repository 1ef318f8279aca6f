//! Rotary positions as a configuration says them: bases and scalings, by layer type where it has
//! several. The tables are made in [`super::rotary`].
//!
//! Source: Su et al. 2021 (arXiv 2104.09864) in the half-rotation layout of
//! transformers. Scalings: `linear` divides every frequency; `dynamic` raises
//! the base once a sequence is longer than the model was trained for;
//! `llama3` divides low frequencies, spares high ones and blends between
//! (Llama 3.1); `yarn` does so by the turns that a frequency makes in the
//! original context, and lengthens queries and keys (Peng et al. 2023, arXiv 2309.00071).
//! Others, `longrope` among them, are refused by name,
//! and so is every key that is not read: a setting that is passed over makes
//! another model.

use serde_json::{Map, Value, json};

use super::architecture::Architecture;
use super::config::Keys;

/// One kind of rotary positions; most models have one for all layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub theta: f64,
    /// What happens to them beyond the context of training.
    pub scaling: RopeScaling,
}

impl Rope {
    /// What layers without positions have: every angle is 0.
    pub(super) const ABSENT: Self = Self {
        theta: 1.0,
        scaling: RopeScaling::Absent,
    };
}

/// How frequencies are changed for contexts beyond those of training.
///
/// Worked example: Llama-3.2-1B has `Llama3 { factor: 32, low_freq_factor: 1,
/// high_freq_factor: 4, original_max_position_embeddings: 8192 }`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RopeScaling {
    /// As they are.
    None,
    /// No rotation: every frequency is 0.
    Absent,
    /// All divided by the factor.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// The base grows with the length of a sequence beyond
    /// `max_position_embeddings`.
    Dynamic {
        /// How strongly it grows.
        factor: f64,
    },
    /// Low frequencies divided, high ones spared.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Wavelengths above `original / low_freq_factor` are divided.
        low_freq_factor: f64,
        /// Wavelengths below `original / high_freq_factor` are spared.
        high_freq_factor: f64,
        /// The context of the training before the extension.
        original_max_position_embeddings: f64,
    },
    /// Frequencies that turn rarely in the original context divided, those that turn often spared.
    Yarn {
        /// The divisor.
        factor: f64,
        /// The context of the training before the extension.
        original_max_position_embeddings: f64,
        /// Frequencies that turn more often than this in it are spared.
        beta_fast: f64,
        /// Frequencies that turn more rarely than this are divided.
        beta_slow: f64,
        /// What cosines and sines are multiplied by.
        attention_factor: f64,
        /// Whether the borders of the blend are whole dimensions.
        truncate: bool,
    },
}

/// Layers that see all positions before them, as `rope_parameters` and `layer_types` name them.
pub(super) const FULL: &str = "full_attention";

/// Layers that see a window.
pub(super) const SLIDING: &str = "sliding_attention";

/// Keys that every kind of scaling may have.
const COMMON: [&str; 4] = ["rope_type", "type", "rope_theta", "partial_rotary_factor"];

/// Keys of `yarn`.
const YARN: [&str; 8] = [
    "factor",
    ORIGINAL,
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
];

/// The context of the training before the extension.
const ORIGINAL: &str = "original_max_position_embeddings";

/// What an object of rotary settings says: the base, where it names one, and the
/// scaling.
pub(super) type Settings = (Option<f64>, RopeScaling);

/// Refuses settings of the rotary positions that stand outside of their object
/// and are not read.
pub(super) fn refuse_keys(keys: &Keys<'_>, architecture: &Architecture) -> Result<(), String> {
    let unread = |key: &str, value: &Value| match key {
        "rope_theta" | "rope_parameters" | "rope_scaling" => false,
        _ if architecture.keys.contains(&key) => false,
        // What the decoder does anyway.
        "partial_rotary_factor" | "rotary_pct" => value.as_f64() != Some(1.0),
        _ => (key.starts_with("rope_") || key.starts_with("rotary_")) && *value != json!(false),
    };
    match keys
        .0
        .iter()
        .find(|(key, value)| !value.is_null() && unread(key, value))
    {
        Some((key, value)) => Err(format!("{key} = {value} is not supported")),
        None => Ok(()),
    }
}

/// The rotary positions of a model that has one kind for all layers, in either
/// spelling; `theta` is the family's base where the file names none.
pub(super) fn flat(keys: &Keys<'_>, theta: f64) -> Result<Rope, String> {
    let (base, scaling) = settings(keys, &[FULL])?.remove(0);
    let theta = keys.number("rope_theta", theta)?;
    Ok(Rope {
        theta: base.unwrap_or(theta),
        scaling,
    })
}

/// What `rope_parameters` and `rope_scaling` say of each of the types of layer,
/// the first of which the older spelling means; where both stand, they agree.
pub(super) fn settings(keys: &Keys<'_>, types: &[&str]) -> Result<Vec<Settings>, String> {
    let trained = keys.needed("max_position_embeddings")?;
    let of = |place: &'static str| {
        let Some(value) = keys.present(place) else {
            return Ok(None);
        };
        let object = value
            .as_object()
            .ok_or_else(|| format!("{place} is not an object"))?;
        read(place, object, trained, types).map(Some)
    };
    match (of("rope_parameters")?, of("rope_scaling")?) {
        (None, None) => Ok(vec![(None, RopeScaling::None); types.len()]),
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (Some(one), Some(other)) => {
            if one[0].1 != other[0].1 || (other[0].0.is_some() && one[0].0 != other[0].0) {
                return Err(
                    "rope_parameters and rope_scaling say different things; remove one of them"
                        .to_owned(),
                );
            }
            Ok(one)
        }
    }
}

/// Reads `rope_parameters` or `rope_scaling`: flat, which is of the first type of layer, or
/// by type. `place` is its name, `trained` the configuration's `max_position_embeddings`.
fn read(
    place: &str,
    object: &Map<String, Value>,
    trained: i64,
    types: &[&str],
) -> Result<Vec<Settings>, String> {
    let flat = |place: &str, object| {
        let base = base(object).map_err(|error| format!("{place}.{error}"))?;
        let scaling =
            RopeScaling::from_json(object, trained).map_err(|error| format!("{place}: {error}"))?;
        Ok::<Settings, String>((base, scaling))
    };
    let mut all = vec![(None, RopeScaling::None); types.len()];
    if !object.values().any(Value::is_object) {
        all[0] = flat(place, object)?;
        return Ok(all);
    }
    let mut found = false;
    for (layers, value) in object.iter().filter(|(_, value)| !value.is_null()) {
        let inner = value.as_object().ok_or_else(|| {
            format!("{place}.{layers} = {value} stands beside settings by layer type")
        })?;
        // Before its place: a scaling that is not read is named wherever it is.
        let read = flat(&format!("{place}.{layers}"), inner)?;
        let Some(index) = types.iter().position(|known| known == layers) else {
            return Err(format!(
                "{place}.{layers}: such a model has {}",
                types.join(" and ")
            ));
        };
        all[index] = read;
        found = true;
    }
    if found {
        Ok(all)
    } else {
        Err(format!("{place} is empty"))
    }
}

fn base(object: &Map<String, Value>) -> Result<Option<f64>, String> {
    match object.get("rope_theta") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_f64()
            .filter(|base| base.is_finite() && *base > 0.0)
            .map(Some)
            .ok_or_else(|| format!("rope_theta = {value} is not a positive number")),
    }
}

/// The name of the scaling, which stands under one key or under both.
fn kind(object: &Map<String, Value>) -> Result<&str, String> {
    let mut names = Vec::new();
    for key in ["rope_type", "type"] {
        match object.get(key) {
            None | Some(Value::Null) => {}
            Some(Value::String(kind)) => names.push(kind.as_str()),
            Some(other) => return Err(format!("{key} = {other} is not a name")),
        }
    }
    match *names.as_slice() {
        [one, other] if one != other => Err(format!(
            "rope_type = {one:?} is not supported beside type = {other:?}"
        )),
        [] => Ok("default"),
        [one, ..] => Ok(one),
    }
}

impl RopeScaling {
    /// Reads `rope_scaling` (or the same keys in `rope_parameters`) of a model
    /// whose `max_position_embeddings` is `trained`.
    fn from_json(object: &Map<String, Value>, trained: i64) -> Result<Self, String> {
        let kind = kind(object)?;
        let number = |key: &str| {
            object
                .get(key)
                .and_then(Value::as_f64)
                .filter(|value| value.is_finite() && *value > 0.0)
                .ok_or_else(|| format!("rope_type {kind:?} needs a positive number {key}"))
        };
        let keys: &[&str] = match kind {
            "default" => &[],
            "linear" => &["factor"],
            "dynamic" => &["factor", ORIGINAL],
            "llama3" => &["factor", "low_freq_factor", "high_freq_factor", ORIGINAL],
            "yarn" => &YARN,
            other => {
                return Err(format!(
                    "rope_type = {other:?} is not supported; the decoder knows default, linear, dynamic, llama3 and yarn"
                ));
            }
        };
        let unknown = |key: &str| !COMMON.contains(&key) && !keys.contains(&key);
        if let Some((key, value)) = object
            .iter()
            .find(|(key, value)| !value.is_null() && unknown(key))
        {
            return Err(format!(
                "{key} = {value} is not a setting of rope_type {kind:?} that the decoder knows"
            ));
        }
        if let Some(part) = object
            .get("partial_rotary_factor")
            .filter(|part| !part.is_null() && part.as_f64() != Some(1.0))
        {
            return Err(format!("partial_rotary_factor = {part} is not supported"));
        }
        match kind {
            "linear" => Ok(Self::Linear {
                factor: number("factor")?,
            }),
            "dynamic" => {
                // As in transformers, the base grows from this length on.
                if let Some(original) = object
                    .get(ORIGINAL)
                    .filter(|original| !original.is_null() && original.as_i64() != Some(trained))
                {
                    return Err(format!(
                        "{ORIGINAL} = {original} is not supported under rope_type \"dynamic\" beside max_position_embeddings = {trained}"
                    ));
                }
                Ok(Self::Dynamic {
                    factor: number("factor")?,
                })
            }
            "llama3" => {
                let (low, high) = (number("low_freq_factor")?, number("high_freq_factor")?);
                if high <= low {
                    return Err(format!(
                        "high_freq_factor = {high} is not above low_freq_factor = {low}"
                    ));
                }
                Ok(Self::Llama3 {
                    factor: number("factor")?,
                    low_freq_factor: low,
                    high_freq_factor: high,
                    original_max_position_embeddings: number(ORIGINAL)?,
                })
            }
            "yarn" => yarn(object, trained),
            // "default": the names were compared with the list above.
            _ => Ok(Self::None),
        }
    }

    /// The value of `rope_scaling` in a `config.json`.
    pub(super) fn to_json(self) -> Value {
        match self {
            Self::None | Self::Absent => Value::Null,
            Self::Linear { factor } => {
                json!({"rope_type": "linear", "type": "linear", "factor": factor})
            }
            Self::Dynamic { factor } => {
                json!({"rope_type": "dynamic", "type": "dynamic", "factor": factor})
            }
            Self::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => json!({
                "rope_type": "llama3",
                "factor": factor,
                "low_freq_factor": low_freq_factor,
                "high_freq_factor": high_freq_factor,
                // A count of tokens: transformers wants it whole.
                "original_max_position_embeddings": original_max_position_embeddings as i64,
            }),
            Self::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                attention_factor,
                truncate,
            } => json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original_max_position_embeddings as i64,
                "beta_fast": beta_fast,
                "beta_slow": beta_slow,
                "attention_factor": attention_factor,
                "truncate": truncate,
            }),
        }
    }
}

/// Reads the settings of `yarn`, with the defaults of transformers.
fn yarn(object: &Map<String, Value>, trained: i64) -> Result<RopeScaling, String> {
    let keys = Keys(object);
    let factor = keys
        .positive("factor")?
        .ok_or("rope_type \"yarn\" needs a positive number factor")?;
    let (fast, slow) = (
        keys.number("beta_fast", 32.0)?,
        keys.number("beta_slow", 1.0)?,
    );
    if fast < slow {
        return Err(format!("beta_fast = {fast} is below beta_slow = {slow}"));
    }
    // A longer context flattens attention; the paper's fit for what makes up for it.
    let longer = |scale: f64| {
        if factor > 1.0 {
            0.1 * scale * factor.ln() + 1.0
        } else {
            1.0
        }
    };
    let fitted = match (keys.positive("mscale")?, keys.positive("mscale_all_dim")?) {
        (Some(own), Some(all)) => longer(own) / longer(all),
        _ => longer(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        original_max_position_embeddings: keys.number(ORIGINAL, trained as f64)?,
        beta_fast: fast,
        beta_slow: slow,
        attention_factor: keys.number("attention_factor", fitted)?,
        truncate: keys.flag("truncate", true)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for scaling in [
            RopeScaling::Linear { factor: 2.0 },
            RopeScaling::Dynamic { factor: 4.0 },
            RopeScaling::Llama3 {
                factor: 32.0,
                low_freq_factor: 1.0,
                high_freq_factor: 4.0,
                original_max_position_embeddings: 8192.0,
            },
            RopeScaling::Yarn {
                factor: 4.0,
                original_max_position_embeddings: 32.0,
                beta_fast: 16.0,
                beta_slow: 2.0,
                attention_factor: 1.25,
                truncate: false,
            },
        ] {
            let written = scaling.to_json();
            assert_eq!(
                read("rope_scaling", written.as_object().unwrap(), 64, &[FULL]),
                Ok(vec![(None, scaling)])
            );
        }
    }

    #[test]
    fn settings_by_layer_type_are_read_as_the_flat_ones() {
        for flat in [
            json!({"rope_type": "default", "rope_theta": 1e6}),
            json!({"rope_type": "linear", "factor": 4.0, "rope_theta": 500.0}),
            json!({"type": "dynamic", "factor": 2.0, "original_max_position_embeddings": 64}),
            json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32,
                "rope_theta": 5e5, "partial_rotary_factor": 1.0}),
        ] {
            let of =
                |value: &Value| read("rope_parameters", value.as_object().unwrap(), 64, &[FULL]);
            let nested = json!({"full_attention": flat, "sliding_attention": null});
            assert!(of(&flat).is_ok(), "{:?}", of(&flat));
            assert_eq!(of(&nested), of(&flat));
        }
    }

    #[test]
    fn yarn_has_the_defaults_of_transformers() {
        let of = |value: Value| {
            let read = read("rope", value.as_object().unwrap(), 64, &[FULL]).unwrap();
            let RopeScaling::Yarn {
                original_max_position_embeddings: original,
                attention_factor,
                ..
            } = read[0].1
            else {
                panic!("{read:?} is no yarn")
            };
            (original, attention_factor)
        };
        let plain = of(json!({"type": "yarn", "factor": 4.0}));
        assert_eq!(plain, (64.0, 0.1 * 4f64.ln() + 1.0));
        let both = json!({"rope_type": "yarn", "factor": 4.0, "mscale": 2.0, "mscale_all_dim": 1.0,
            "original_max_position_embeddings": 16});
        let ratio = (0.2 * 4f64.ln() + 1.0) / (0.1 * 4f64.ln() + 1.0);
        assert_eq!(of(both), (16.0, ratio));
        let said = json!({"rope_type": "yarn", "factor": 4.0, "attention_factor": 0.5});
        assert!((of(said).1 - 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name_and_place() {
        let of = |value: Value| read("rope", value.as_object().unwrap(), 64, &[FULL]).unwrap_err();
        let long = json!({"rope_type": "longrope", "factor": 4.0, "rope_theta": 1e6});
        for (value, parts) in [
            (
                json!({"type": "longrope", "factor": 4.0}),
                &["rope: ", "longrope"][..],
            ),
            (
                json!({"type": "yarn", "rope_type": "default"}),
                &["yarn", "default"],
            ),
            (
                json!({"type": "default", "rope_type": "longrope"}),
                &["longrope"],
            ),
            (
                json!({"full_attention": long}),
                &["rope.full_attention", "longrope"],
            ),
            (
                json!({"sliding_attention": long}),
                &["rope.sliding_attention", "longrope"],
            ),
            (
                json!({"full_attention": {"rope_type": "default"}, "sliding_attention": long}),
                &["rope.sliding_attention", "longrope"],
            ),
            (
                json!({"full_attention": {"rope_theta": 1e6}, "chunked_attention": {"rope_theta": 1e4}}),
                &["rope.chunked_attention", "full_attention"],
            ),
            (
                json!({"full_attention": {"rope_type": "default"}, "rope_theta": 1e6}),
                &["rope.rope_theta", "layer type"],
            ),
            (
                json!({"full_attention": {"full_attention": {"rope_theta": 1e6}}}),
                &["rope.full_attention", "full_attention"],
            ),
            (
                json!({"full_attention": {"rope_theta": "wide"}}),
                &["rope.full_attention.rope_theta", "wide"],
            ),
            (json!({"rope_type": "linear"}), &["factor"]),
            (json!({"rope_type": "yarn"}), &["factor"]),
            (
                json!({"rope_type": "yarn", "factor": 4.0, "beta_fast": 1, "beta_slow": 2}),
                &["beta_fast", "beta_slow"],
            ),
            (json!({"rope_type": 3}), &["rope_type", "3"]),
            (
                json!({"partial_rotary_factor": 0.5}),
                &["partial_rotary_factor"],
            ),
            (
                json!({"partial_rotary_factor": "half"}),
                &["partial_rotary_factor", "half"],
            ),
            (
                json!({"rope_type": "default", "factor": 4.0}),
                &["factor", "default"],
            ),
            (
                json!({"rope_type": "linear", "factor": 4.0, "mrope_section": [8, 12, 12]}),
                &["mrope_section"],
            ),
            (json!({"factor": "four", "type": "linear"}), &["factor"]),
            (
                json!({"rope_type": "linear", "factor": 4.0, "attention_factor": 0.8}),
                &["attention_factor"],
            ),
            (
                json!({"rope_type": "default", "mode": "ntk"}),
                &["mode", "ntk"],
            ),
            (
                json!({"rope_type": "dynamic", "factor": 4.0, "original_max_position_embeddings": 32}),
                &["original_max_position_embeddings = 32", "64"],
            ),
        ] {
            let error = of(value.clone());
            for part in parts {
                assert!(error.contains(part), "{value}: {part:?} is not in {error}");
            }
        }
    }
}
