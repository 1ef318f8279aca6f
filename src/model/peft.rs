//! Folders of `LoRA` adapters as PEFT writes and reads them: `adapter_config.json`
//! and `adapter_model.safetensors`.
//!
//! An adapter adds `scale · B A` to a matrix of the model, with A of shape
//! `[r, inputs]`, B of `[outputs, r]`, and scale `alpha / r`, or `alpha / sqrt(r)`
//! where `use_rslora` is set (Hu et al. 2021, arXiv:2106.09685; Kalajdzievski
//! 2023, arXiv:2312.03732). Where `use_dora` is set, the rows of the sum are
//! scaled to the norms in a magnitude vector `[outputs]` (Liu et al. 2024,
//! arXiv:2402.09353). This file knows names, shapes and numbers and no tensors
//! of torch.
//!
//! Refused by key rather than approximated: whatever else makes an adapter
//! compute something else (ranks of their own for some modules, trained biases,
//! modules saved whole), and every key that is not known here and is set.
//! Dropout is kept in the configuration; it has no effect once training is over.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::tensor_files::{NumberFormat, Sink, TensorFiles, TensorToWrite, write_safetensors};
use crate::files;

/// Says what kind of adapter it is.
pub const CONFIG: &str = "adapter_config.json";
/// Holds the adapter's tensors.
pub const WEIGHTS: &str = "adapter_model.safetensors";

/// Keys that change nothing in what a trained adapter computes.
const WITHOUT_EFFECT: [&str; 15] = [
    "auto_mapping",
    "base_model_name_or_path",
    "corda_config",
    "eva_config",
    "exclude_modules",
    "inference_mode",
    "layers_pattern",
    "loftq_config",
    "lora_ga_config",
    "megatron_core",
    "peft_version",
    "qalora_group_size",
    "revision",
    "runtime_config",
    "task_type",
];

/// What `adapter_config.json` says of a `LoRA` adapter.
///
/// Worked example: `{r: 8, lora_alpha: 16.0, use_rslora: false, ..}` scales by 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AdapterConfig {
    /// Where the model it was trained on came from.
    #[serde(default)]
    pub base_model_name_or_path: Option<String>,
    /// Rank of the two matrices' product.
    pub r: usize,
    /// Numerator of the scale.
    pub lora_alpha: f64,
    /// Share of the inputs that training dropped.
    #[serde(default)]
    pub lora_dropout: f64,
    /// Which modules are adapted.
    #[serde(default)]
    pub target_modules: Option<TargetModules>,
    /// Whether the scale divides by the root of the rank.
    #[serde(default)]
    pub use_rslora: bool,
    /// Whether each adapted matrix has a magnitude vector.
    #[serde(default)]
    pub use_dora: bool,
}

/// Which modules are adapted: what PEFT makes of the model before it reads the
/// weights. Of a pattern nothing is checked; the weights' names tell anyway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a list of names, or a word")]
pub enum TargetModules {
    /// Ends of module names, such as `q_proj`.
    Names(Vec<String>),
    /// A regular expression over module names, or `all-linear`.
    Pattern(String),
}

/// A matrix of the model that an adapter can be added to.
///
/// Worked example: `{name: "model.layers.0.self_attn.q_proj", outputs: 48, inputs: 48}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Name of its module: its name in a checkpoint without `.weight`.
    pub name: String,
    /// Rows.
    pub outputs: usize,
    /// Columns.
    pub inputs: usize,
}

/// Which of the tensors that an adapter has for a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Piece {
    /// Reads the input, `[r, inputs]`.
    A,
    /// Writes the output, `[outputs, r]`.
    B,
    /// The norms that `DoRA` gives the rows of the matrix, `[outputs]`.
    Magnitude,
}

impl Piece {
    const ALL: [Self; 3] = [Self::A, Self::B, Self::Magnitude];

    fn word(self) -> &'static str {
        match self {
            Self::A => "lora_A",
            Self::B => "lora_B",
            Self::Magnitude => "lora_magnitude_vector",
        }
    }

    /// What follows the module in the tensor's name: the magnitude is no module
    /// of its own in a file.
    fn ending(self) -> &'static str {
        match self {
            Self::A => ".lora_A.weight",
            Self::B => ".lora_B.weight",
            Self::Magnitude => ".lora_magnitude_vector",
        }
    }

    /// Its shape beside a matrix, at rank `r`.
    pub fn shape(self, r: usize, matrix: &Matrix) -> Vec<usize> {
        match self {
            Self::A => vec![r, matrix.inputs],
            Self::B => vec![matrix.outputs, r],
            Self::Magnitude => vec![matrix.outputs],
        }
    }
}

impl AdapterConfig {
    /// Reads the text of an `adapter_config.json`.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let mut object: Map<String, Value> =
            serde_json::from_slice(text).context("not a JSON object")?;
        object.retain(|_, value| !value.is_null());
        for (key, value) in &object {
            let fits = match &**key {
                key if WITHOUT_EFFECT.contains(&key) => true,
                "r" => value.as_u64().is_some_and(|rank| rank > 0),
                "lora_alpha" => value.is_number(),
                "lora_dropout" => value
                    .as_f64()
                    .is_some_and(|share| (0.0..1.0).contains(&share)),
                "target_modules" => value.is_array() || value.is_string(),
                "use_rslora" | "use_dora" => value.is_boolean(),
                "peft_type" => value == "LORA",
                "bias" => value == "none",
                // The other ways to begin also change the model.
                "init_lora_weights" => {
                    value.is_boolean() || value == "gaussian" || value == "orthogonal"
                }
                _ => says_nothing(value),
            };
            ensure!(
                fits,
                "{key} = {value} is not supported: an adapter here is LoRA, rsLoRA or DoRA and no more"
            );
        }
        Ok(serde_json::from_value(Value::Object(object))?)
    }

    /// The contents of an `adapter_config.json`: what PEFT would take otherwise
    /// is said too.
    fn to_json(&self) -> Result<Value> {
        let mut value = serde_json::to_value(self)?;
        for (key, said) in [
            ("alpha_pattern", json!({})),
            ("bias", json!("none")),
            ("fan_in_fan_out", json!(false)),
            ("inference_mode", json!(true)),
            ("init_lora_weights", json!(true)),
            ("layers_to_transform", Value::Null),
            ("modules_to_save", Value::Null),
            ("peft_type", json!("LORA")),
            ("rank_pattern", json!({})),
            ("task_type", json!("CAUSAL_LM")),
        ] {
            value[key] = said;
        }
        // A whole number is written as one: older readers of PEFT want it so.
        if self.lora_alpha.fract() == 0.0 && self.lora_alpha.abs() < 1e9 {
            value["lora_alpha"] = json!(self.lora_alpha as i64);
        }
        Ok(value)
    }

    /// What the product of the two matrices is multiplied by.
    pub fn scale(&self) -> f64 {
        let r = self.r as f64;
        self.lora_alpha / if self.use_rslora { r.sqrt() } else { r }
    }

    /// The tensors that an adapted matrix has.
    pub fn pieces(&self) -> &'static [Piece] {
        let count = if self.use_dora { 3 } else { 2 };
        &Piece::ALL[..count]
    }

    fn targets(&self, module: &str) -> bool {
        let Some(TargetModules::Names(names)) = &self.target_modules else {
            return true;
        };
        names.iter().any(|name| {
            let before = module.strip_suffix(&**name);
            before.is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    }
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(values) => values.is_empty(),
        Value::Object(values) => values.is_empty(),
        _ => false,
    }
}

/// The name of an adapter's tensor in its file.
pub fn tensor_name(module: &str, piece: Piece) -> String {
    format!("base_model.model.{module}{}", piece.ending())
}

/// Module and piece of a tensor's name; `None` for a name of another kind.
pub fn parse_name(name: &str) -> Option<(&str, Piece)> {
    let rest = name.strip_prefix("base_model.model.")?;
    let of = |piece: Piece| Some((rest.strip_suffix(piece.ending())?, piece));
    Piece::ALL.into_iter().find_map(of)
}

/// An adapter that was checked against the model it is for.
#[derive(Debug)]
pub struct Adapter {
    /// Its configuration.
    pub config: AdapterConfig,
    /// The adapted ones of the model's matrices, by their places, in order.
    pub adapted: Vec<usize>,
    tensors: TensorFiles,
}

impl Adapter {
    /// Opens an adapter's folder for a model with these matrices.
    pub fn open(folder: &Path, matrices: &[Matrix]) -> Result<Self> {
        let path = folder.join(CONFIG);
        let text = experiments::text::bytes(&path).with_context(|| {
            format!(
                "reading {}: an adapter's folder holds {CONFIG} and {WEIGHTS}",
                path.display()
            )
        })?;
        let config = AdapterConfig::from_json(&text).with_context(|| path.display().to_string())?;
        let path = folder.join(WEIGHTS);
        ensure!(
            path.exists(),
            "{} is not there; an adapter in another format is not read, \
             save it with PEFT and safe_serialization=True",
            path.display()
        );
        let tensors = TensorFiles::open_file(&path)?;
        let adapted =
            adapted(&config, &tensors, matrices).with_context(|| path.display().to_string())?;
        Ok(Self {
            config,
            adapted,
            tensors,
        })
    }

    /// The numbers of one tensor, rows end to end.
    pub fn read_f32(&self, module: &str, piece: Piece, into: &mut [f32]) -> Result<()> {
        self.tensors.read_f32(&tensor_name(module, piece), into)
    }
}

/// Places of the matrices that the tensors adapt, each by all that it needs.
fn adapted(
    config: &AdapterConfig,
    tensors: &TensorFiles,
    matrices: &[Matrix],
) -> Result<Vec<usize>> {
    let places: BTreeMap<&str, usize> = matrices
        .iter()
        .enumerate()
        .map(|(place, matrix)| (&*matrix.name, place))
        .collect();
    let mut found: BTreeMap<usize, Vec<Piece>> = BTreeMap::new();
    for name in tensors.names() {
        let Some((module, piece)) = parse_name(name) else {
            bail!(
                "tensor {name:?} is no lora_A, lora_B or lora_magnitude_vector of a matrix, and is not supported"
            );
        };
        let Some(&place) = places.get(module) else {
            bail!("tensor {name:?} adapts {module:?}, which the model does not have");
        };
        ensure!(
            config.targets(module),
            "tensor {name:?} adapts {module:?}, which is none of the target_modules in {CONFIG}"
        );
        ensure!(
            config.pieces().contains(&piece),
            "tensor {name:?} is DoRA's, and {CONFIG} does not set use_dora"
        );
        let (shape, wanted) = (
            tensors.shape(name)?,
            piece.shape(config.r, &matrices[place]),
        );
        ensure!(
            shape == wanted,
            "tensor {name:?} has shape {shape:?}; rank {} and the model's matrix want {wanted:?}",
            config.r
        );
        found.entry(place).or_default().push(piece);
    }
    for (&place, found) in &found {
        for piece in config.pieces() {
            ensure!(
                found.contains(piece),
                "{:?} has a {} and no {}",
                matrices[place].name,
                found[0].word(),
                piece.word()
            );
        }
    }
    ensure!(!found.is_empty(), "there is no tensor in it");
    Ok(found.into_keys().collect())
}

/// Writes an adapter's folder: its weights, then the configuration without
/// which nobody reads them. `fill` gives the numbers of each matrix's tensors.
pub fn write(
    folder: &Path,
    config: &AdapterConfig,
    matrices: &[Matrix],
    format: NumberFormat,
    mut fill: impl FnMut(&Matrix, Piece, &mut Sink<'_>) -> Result<()>,
) -> Result<()> {
    let pieces: Vec<(&Matrix, Piece)> = matrices
        .iter()
        .flat_map(|matrix| config.pieces().iter().map(move |&piece| (matrix, piece)))
        .collect();
    let tensors: Vec<TensorToWrite> = pieces
        .iter()
        .map(|(matrix, piece)| TensorToWrite {
            name: tensor_name(&matrix.name, *piece),
            shape: piece.shape(config.r, matrix),
            format,
        })
        .collect();
    write_safetensors(&folder.join(WEIGHTS), &tensors, |place, sink| {
        let (matrix, piece) = pieces[place];
        fill(matrix, piece, sink)
    })?;
    let mut text = serde_json::to_vec_pretty(&config.to_json()?)?;
    text.push(b'\n');
    files::write_whole(&folder.join(CONFIG), &text)
}

#[cfg(test)]
mod tests;
