//! LoRA: a product by two thin matrices beside a frozen one.
//!
//! Source: Hu et al. 2021 (arXiv 2106.09685): y = W x + (alpha / r) B A x, with
//! A drawn and B zero at the start, so that training begins at the base. The
//! adapter's parameters are one flat buffer of their own, which is all that an
//! optimizer and a checkpoint see. Files are [`super::peft`]'s matter.
//! Deliberately absent: dropout, biases, and the variants of LoRA.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use super::Weights;
use super::folder::numbers;
use super::peft::{self, AdapterConfig, Matrix, Side, TargetModules, parse_name, tensor_name};
use super::tensor_files::{NumberFormat, Sink};
use super::weights::{Entry, joined};
use crate::random::stream;

/// Which products get an adapter, and how wide.
///
/// Worked example: `lora = { r = 16, alpha = 32, target_modules = ["q_proj", "v_proj"] }`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoraSettings {
    /// Rank: the width between the two matrices.
    pub r: i64,
    /// The change is scaled by alpha / r.
    pub alpha: f64,
    /// Last parts of the names of the products; absent for all in the layers.
    #[serde(default = "all_linear")]
    pub target_modules: Vec<String>,
}

fn all_linear() -> Vec<String> {
    [
        "q_proj",
        "k_proj",
        "v_proj",
        "o_proj",
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    .map(str::to_owned)
    .to_vec()
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
        for module in &self.target_modules {
            if !all_linear().contains(module) {
                return Err(format!(
                    "target_modules holds {module:?}; the products of a layer are {}",
                    all_linear().join(", ")
                ));
            }
        }
        if self.target_modules.is_empty() {
            return Err("target_modules is empty: nothing would be trained".to_owned());
        }
        Ok(())
    }
}

/// What an adapter adds to the rows of one leaf from `first` on: the product of
/// two of its parameters, times its scale.
#[derive(Debug)]
pub struct Part {
    /// The leaf's first row that it adds to.
    pub first: i64,
    /// Name of A, `[r, in]`.
    pub down: String,
    /// Name of B, `[rows, r]`.
    pub up: String,
}

/// The adapter of a decoder.
#[derive(Debug)]
pub struct Adapter {
    config: AdapterConfig,
    matrices: Vec<Matrix>,
    weights: Weights,
    /// By the leaf's name without its kind: `model.layers.0.self_attn.qkv`.
    parts: BTreeMap<String, Vec<Part>>,
}

/// The products inside the layers of a network, in layout order.
fn products(base: &[Entry]) -> Vec<Matrix> {
    base.iter()
        .filter(|entry| entry.is_hidden_matrix())
        .filter_map(|entry| {
            Some(Matrix {
                name: entry.name.strip_suffix(".weight")?.to_owned(),
                outputs: entry.shape[0] as usize,
                inputs: entry.shape[1] as usize,
            })
        })
        .collect()
}

/// Layout of the parameters of an adapter of these products.
fn layout(matrices: &[Matrix], r: usize) -> Vec<Entry> {
    let mut offset = 0;
    let mut entries = Vec::new();
    for matrix in matrices {
        for (side, shape) in [
            (Side::A, [r, matrix.inputs]),
            (Side::B, [matrix.outputs, r]),
        ] {
            let entry = Entry {
                name: tensor_name(&matrix.name, side),
                shape: shape.map(|size| size as i64).to_vec(),
                offset,
            };
            offset += entry.len();
            entries.push(entry);
        }
    }
    entries
}

impl Adapter {
    /// A fresh adapter, a function of the seed alone: A uniform within
    /// 1/sqrt(in) as PEFT draws it, B zero.
    pub fn random(
        base: &[Entry],
        settings: &LoraSettings,
        seed: u64,
        device: Device,
    ) -> Result<Self> {
        settings.check().map_err(anyhow::Error::msg)?;
        let mut matrices = products(base);
        matrices.retain(|matrix| {
            let last = matrix.name.rsplit('.').next();
            last.is_some_and(|last| settings.target_modules.iter().any(|target| target == last))
        });
        let mut index = 0;
        let entries = layout(&matrices, settings.r as usize);
        let weights = Weights::read(entries, device, |entry, values| {
            if entry.name.ends_with("lora_A.weight") {
                let mut stream = stream(seed, "initial adapter", &[index]);
                let bound = 1.0 / (entry.shape[1] as f64).sqrt();
                for value in values {
                    *value = (bound * (2.0 * stream.random::<f64>() - 1.0)) as f32;
                }
            }
            index += 1;
            Ok(())
        })?;
        let config = AdapterConfig {
            base_model_name_or_path: None,
            r: settings.r as usize,
            lora_alpha: settings.alpha,
            lora_dropout: 0.0,
            target_modules: Some(TargetModules::Names(settings.target_modules.clone())),
            use_rslora: false,
        };
        Self::over(base, config, matrices, weights)
    }

    /// The adapter of a PEFT folder for a network of that layout.
    pub fn load(folder: &Path, base: &[Entry], device: Device) -> Result<Self> {
        let all = products(base);
        let stored = peft::Adapter::open(folder, &all)?;
        let matrices: Vec<Matrix> = stored
            .adapted
            .iter()
            .map(|&place| all[place].clone())
            .collect();
        let entries = layout(&matrices, stored.config.r);
        let weights = Weights::read(entries, device, |entry, values| {
            let (module, side) = parse_name(&entry.name)
                .with_context(|| format!("{} is no adapter's name", entry.name))?;
            stored.read_f32(module, side, values)?;
            let finite = values.iter().all(|value| value.is_finite());
            ensure!(
                finite,
                "tensor {} holds numbers that are not finite",
                entry.name
            );
            Ok(())
        })?;
        Self::over(base, stored.config, matrices, weights)
    }

    /// Writes a PEFT folder.
    pub fn save(&self, folder: &Path) -> Result<()> {
        let fill = |matrix: &Matrix, side, sink: &mut Sink<'_>| {
            sink.numbers(&numbers(self.weights.get(&tensor_name(&matrix.name, side))))
        };
        peft::write(
            folder,
            &self.config,
            &self.matrices,
            NumberFormat::F32,
            fill,
        )
    }

    fn over(
        base: &[Entry],
        config: AdapterConfig,
        matrices: Vec<Matrix>,
        weights: Weights,
    ) -> Result<Self> {
        ensure!(
            !matrices.is_empty(),
            "target_modules: the model has none of the products that the adapter is for"
        );
        let outputs: BTreeMap<String, i64> = products(base)
            .into_iter()
            .map(|matrix| (matrix.name, matrix.outputs as i64))
            .collect();
        let size = |name: &String| outputs.get(name).copied().unwrap_or_default();
        let mut parts: BTreeMap<String, Vec<Part>> = BTreeMap::new();
        for matrix in &matrices {
            let (leaf, neighbours) = joined(&matrix.name);
            let before = neighbours.iter().take_while(|name| **name != matrix.name);
            let first = before.map(size).sum();
            parts.entry(leaf).or_default().push(Part {
                first,
                down: tensor_name(&matrix.name, Side::A),
                up: tensor_name(&matrix.name, Side::B),
            });
        }
        Ok(Self {
            config,
            matrices,
            weights,
            parts,
        })
    }

    /// Its parameters, under PEFT's names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What it adds to a leaf, named without its kind.
    pub fn parts(&self, leaf: &str) -> &[Part] {
        self.parts.get(leaf).map_or(&[], Vec::as_slice)
    }

    /// What the product of a part's two parameters is multiplied by.
    pub fn scale(&self) -> f64 {
        self.config.scale()
    }

    /// What the adapter adds to a parameter of the network, where it does.
    pub(super) fn change(&self, name: &str) -> Option<Tensor> {
        let module = name.strip_suffix(".weight")?;
        let of = |side| {
            let vector_P = self.weights.flat();
            self.weights.view(vector_P, &tensor_name(module, side))
        };
        let (down, up) = (of(Side::A)?, of(Side::B)?);
        Some(up.matmul(&down) * self.scale())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Decoder, ModelShape};
    use crate::network;

    fn settings(modules: &[&str]) -> LoraSettings {
        LoraSettings {
            r: 2,
            alpha: 4.0,
            target_modules: modules.iter().map(ToString::to_string).collect(),
        }
    }

    fn decoder() -> Decoder {
        let config = ModelShape::tiny().config(20, 1, 2, 0);
        let weights = Weights::random(&config, 5, Device::Cpu);
        Decoder::new(config, weights)
    }

    fn logits(decoder: &Decoder) -> Tensor {
        network::logits(decoder, &[3, 7, 11, 5])
    }

    #[test]
    fn a_fresh_adapter_changes_nothing_and_is_all_that_is_trained() {
        let plain = decoder();
        let before = logits(&plain).detach();
        let entries = plain.weights().entries().to_vec();
        let adapter = Adapter::random(
            &entries,
            &settings(&["q_proj", "down_proj"]),
            1,
            Device::Cpu,
        )
        .unwrap();
        let adapted = plain.with_adapter(adapter);
        assert_eq!(logits(&adapted).detach(), before);
        // Two layers; q: 2*16 + 16*2, down: 2*32 + 16*2.
        assert_eq!(adapted.trainable().count(), 2 * (64 + 96));
        let gradient_P = network::gradient(&adapted, &[3, 7, 11, 5]);
        // With B zero, only B has a gradient.
        let trained = adapted.trainable();
        for entry in trained.entries() {
            let gradient = trained.view(&gradient_P, &entry.name).unwrap();
            let moved = gradient.abs().max().double_value(&[]) > 0.0;
            assert_eq!(moved, entry.name.contains("lora_B"), "{}", entry.name);
        }
    }

    #[test]
    fn what_is_merged_computes_what_is_beside() {
        let modules = ["q_proj", "v_proj", "o_proj", "up_proj", "down_proj"];
        let plain = decoder();
        let before = logits(&plain).detach();
        let entries = plain.weights().entries().to_vec();
        let adapter = Adapter::random(&entries, &settings(&modules), 1, Device::Cpu).unwrap();
        tch::no_grad(|| {
            let noise = adapter.weights().flat().randn_like() * 0.3;
            adapter.weights().flat().shallow_clone().copy_(&noise);
        });
        let adapted = plain.with_adapter(adapter);
        let beside = logits(&adapted).detach();
        assert!((&beside - &before).abs().max().double_value(&[]) > 1e-3);
        let merged = Weights::read(entries, Device::Cpu, |entry, values| {
            let tensor = adapted.merged(&entry.name).reshape([-1]).contiguous();
            tensor.copy_data(values, values.len());
            Ok(())
        })
        .unwrap();
        let merged = Decoder::new(adapted.config().clone(), merged);
        let difference = (logits(&merged) - &beside).abs().max().double_value(&[]);
        assert!(difference < 1e-4, "{difference}");
        let reference = logits(&adapted.without_adapter()).detach();
        assert_eq!(reference, before);
    }

    #[test]
    fn an_adapter_reads_back_as_it_was_written() {
        let decoder = decoder();
        let entries = decoder.weights().entries();
        let wanted = settings(&["k_proj", "gate_proj"]);
        let adapter = Adapter::random(entries, &wanted, 1, Device::Cpu).unwrap();
        tch::no_grad(|| {
            let noise = adapter.weights().flat().randn_like();
            adapter.weights().flat().shallow_clone().copy_(&noise);
        });
        let folder = tempfile::tempdir().unwrap();
        adapter.save(folder.path()).unwrap();
        let read = Adapter::load(folder.path(), entries, Device::Cpu).unwrap();
        assert_eq!(read.weights().hash(), adapter.weights().hash());
        assert_eq!(read.config, adapter.config);
        let narrow = ModelShape {
            width: 24,
            ..ModelShape::tiny()
        };
        let other = crate::model::weights::layout(&narrow.config(20, 1, 2, 0));
        let refused = Adapter::load(folder.path(), &other, Device::Cpu).unwrap_err();
        assert!(
            format!("{refused:#}").contains("gate_proj.lora_A"),
            "{refused:#}"
        );
    }

    #[test]
    fn settings_that_mean_nothing_are_refused_by_key() {
        let refused = |settings: &LoraSettings| settings.check().unwrap_err();
        assert!(refused(&settings(&["q_proj", "lm_head"])).contains("lm_head"));
        assert!(refused(&settings(&[])).contains("target_modules"));
        let thin = LoraSettings {
            r: 0,
            ..settings(&["q_proj"])
        };
        assert!(refused(&thin).contains("r = 0"));
    }
}
