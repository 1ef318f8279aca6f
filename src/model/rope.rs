//! Rotary positions: frequencies, their scalings, and the tables of cosines
//! and sines.
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
use tch::{Device, Kind, Tensor};

use super::ModelConfig;
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

/// Frequencies `[E/2]` for sequences of that length.
fn frequencies(config: &ModelConfig, rope: Rope, length: i64) -> Vec<f64> {
    let width = config.head_dim as f64;
    let mut base = rope.theta;
    if let RopeScaling::Dynamic { factor } = rope.scaling
        && length > config.max_position_embeddings
    {
        let stretch = factor * length as f64 / config.max_position_embeddings as f64;
        base *= (stretch - (factor - 1.0)).powf(width / (width - 2.0));
    }
    (0..config.head_dim / 2)
        .map(|index| (index as f64, base.powf(-2.0 * index as f64 / width)))
        .map(|(index, frequency)| scaled(rope, width, index, frequency))
        .collect()
}

/// A frequency, the `index`-th of a head of that width, after scaling.
fn scaled(rope: Rope, width: f64, index: f64, frequency: f64) -> f64 {
    match rope.scaling {
        RopeScaling::None | RopeScaling::Dynamic { .. } => frequency,
        RopeScaling::Absent => 0.0,
        RopeScaling::Linear { factor } => frequency / factor,
        RopeScaling::Yarn {
            factor,
            original_max_position_embeddings,
            beta_fast,
            beta_slow,
            truncate,
            ..
        } => {
            // The dimension whose frequency turns so often in the original context.
            let turning = |turns: f64| {
                let wave = original_max_position_embeddings / (turns * std::f64::consts::TAU);
                width * wave.ln() / (2.0 * rope.theta.ln())
            };
            let (mut low, mut high) = (turning(beta_fast), turning(beta_slow));
            if truncate {
                (low, high) = (low.floor(), high.ceil());
            }
            (low, high) = (low.max(0.0), high.min(width - 1.0));
            // As in transformers, so that a blend of no width is a step.
            if (high - low).abs() < f64::EPSILON {
                high += 0.001;
            }
            let share = ((index - low) / (high - low)).clamp(0.0, 1.0);
            share * frequency / factor + (1.0 - share) * frequency
        }
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let wavelength = std::f64::consts::TAU / frequency;
            let turns = original_max_position_embeddings / wavelength;
            if turns < low_freq_factor {
                frequency / factor
            } else if turns > high_freq_factor {
                frequency
            } else {
                let share = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                (1.0 - share) * frequency / factor + share * frequency
            }
        }
    }
}

/// Cosines and sines `[T, E/2]`, float32, of the first positions.
#[derive(Debug)]
pub struct Rotary {
    /// Cosines.
    pub cos_TE: Tensor,
    /// Sines.
    pub sin_TE: Tensor,
}

impl Rotary {
    /// What a sequence of `length` tokens is rotated by, for each of the
    /// configuration's rotary positions.
    pub fn of_sequence(config: &ModelConfig, length: i64, device: Device) -> Vec<Self> {
        let each = config.ropes.iter().map(|&rope| {
            let frequencies = frequencies(config, rope, length);
            Self::from_angles(rope, length, device, |position, angles| {
                angles.extend(frequencies.iter().map(|frequency| position * frequency));
            })
        });
        each.collect()
    }

    /// What sequences that grow token by token are rotated by: position t as
    /// the last of t + 1 tokens. It differs from [`Rotary::of_sequence`] under
    /// dynamic scaling alone, where transformers keeps cached keys as they
    /// were first rotated.
    pub fn of_growing(config: &ModelConfig, rows: i64, device: Device) -> Vec<Self> {
        let each = config.ropes.iter().map(|&rope| {
            let fixed = frequencies(config, rope, 1);
            Self::from_angles(rope, rows, device, |position, angles| {
                let length = position as i64 + 1;
                if length > config.max_position_embeddings
                    && matches!(rope.scaling, RopeScaling::Dynamic { .. })
                {
                    let grown = frequencies(config, rope, length);
                    angles.extend(grown.iter().map(|frequency| position * frequency));
                } else {
                    angles.extend(fixed.iter().map(|frequency| position * frequency));
                }
            })
        });
        each.collect()
    }

    fn from_angles(
        rope: Rope,
        rows: i64,
        device: Device,
        mut row: impl FnMut(f64, &mut Vec<f64>),
    ) -> Self {
        let mut angles = Vec::new();
        for position in 0..rows {
            row(position as f64, &mut angles);
        }
        let factor = match rope.scaling {
            RopeScaling::Yarn {
                attention_factor, ..
            } => attention_factor,
            _ => 1.0,
        };
        let angles_TE = Tensor::from_slice(&angles).view([rows, -1]);
        let table = |values: Tensor| (values * factor).to_kind(Kind::Float).to_device(device);
        Self {
            cos_TE: table(angles_TE.cos()),
            sin_TE: table(angles_TE.sin()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;

    fn config(scaling: RopeScaling) -> ModelConfig {
        let mut config = ModelShape::tiny().config(20, 1, 2, 0);
        config.head_dim = 16;
        config.ropes[0].scaling = scaling;
        config
    }

    fn of(config: &ModelConfig, length: i64) -> Vec<f64> {
        frequencies(config, config.ropes[0], length)
    }

    #[test]
    fn linear_scaling_stretches_positions() {
        let plain = of(&config(RopeScaling::None), 8);
        let linear = of(&config(RopeScaling::Linear { factor: 4.0 }), 8);
        for (plain, linear) in plain.iter().zip(&linear) {
            assert!((plain / 4.0 - linear).abs() < 1e-15);
        }
    }

    #[test]
    fn llama3_spares_high_frequencies_and_divides_low_ones() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 64.0,
        };
        let plain = of(&config(RopeScaling::None), 8);
        let scaled = of(&config(scaling), 8);
        // Wavelength 6.28 turns ten times in 64 positions; the longest not once.
        assert!((scaled[0] - plain[0]).abs() < 1e-15);
        assert!((scaled[7] - plain[7] / 8.0).abs() < 1e-15);
        assert!(
            (1..7).any(|index| scaled[index] < plain[index] && scaled[index] > plain[index] / 8.0)
        );
    }

    #[test]
    fn dynamic_scaling_begins_where_the_context_ends() {
        let dynamic = config(RopeScaling::Dynamic { factor: 2.0 });
        let context = dynamic.max_position_embeddings;
        let plain = of(&config(RopeScaling::None), 8);
        assert_eq!(of(&dynamic, context), plain);
        // base * (2 * 2 - 1)^(16/14) at twice the context.
        let grown = of(&dynamic, 2 * context);
        let base = 10_000.0 * 3f64.powf(16.0 / 14.0);
        assert!((grown[3] - base.powf(-6.0 / 16.0)).abs() < 1e-15);
        let growing = &Rotary::of_growing(&dynamic, context + 1, Device::Cpu)[0];
        let whole = &Rotary::of_sequence(&dynamic, context + 1, Device::Cpu)[0];
        let last = |table: &Tensor| table.select(0, context);
        assert_eq!(last(&growing.cos_TE), last(&whole.cos_TE));
        let before = |table: &Tensor| table.select(0, context - 1);
        assert_ne!(before(&growing.cos_TE), before(&whole.cos_TE));
    }

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
    fn what_is_not_read_is_refused_by_its_name_and_place() {
        let of = |value: Value| read("rope", value.as_object().unwrap(), 64, &[FULL]).unwrap_err();
        let yarn = json!({"rope_type": "longrope", "factor": 4.0, "rope_theta": 1e6});
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
                json!({"full_attention": yarn}),
                &["rope.full_attention", "longrope"],
            ),
            (
                json!({"sliding_attention": yarn}),
                &["rope.sliding_attention", "longrope"],
            ),
            (
                json!({"full_attention": {"rope_type": "default"}, "sliding_attention": yarn}),
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
