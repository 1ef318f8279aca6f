//! Adapters: a product by two thin matrices beside a frozen one.
//!
//! LoRA (Hu et al. 2021, arXiv 2106.09685): y = W x + s B A x with s = alpha / r,
//! A drawn and B zero at the start, so that training begins at the base. rsLoRA
//! (Kalajdzievski 2023, arXiv 2312.03732): s = alpha / sqrt(r). DoRA (Liu et al.
//! 2024, arXiv 2402.09353): y = m / n * (W + s B A) x, where n are the norms of
//! the rows of W + s B A and m, trained, those of W at the start; n has no
//! gradient (section 4.3). All as PEFT computes it.
//!
//! The adapter's parameters are one flat buffer of their own, which is all that
//! an optimizer and a checkpoint see. Files are [`super::peft`]'s matter, the
//! forward and backward pass the network's.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use tch::{Device, Kind, Tensor};

use super::folder::numbers;
use super::peft::{self, AdapterConfig, Matrix, TargetModules, parse_name, tensor_name};
use super::tensor_files::{NumberFormat, Sink};
use super::weights::{Entry, joined};
use super::{Decoder, Weights};
use crate::random::stream;

pub use super::peft::Piece;
pub use settings::LoraSettings;

mod settings;

/// Last part of the name of a matrix: `q_proj`.
fn last_part(matrix: &Matrix) -> &str {
    matrix.name.rsplit('.').next().unwrap_or(&matrix.name)
}

/// A matrix that is adapted: which rows of a leaf it is.
#[derive(Debug)]
pub struct Part {
    /// The leaf's first row that is the matrix's.
    pub first: i64,
    /// Its name without its kind, under which the adapter has its pieces.
    pub module: String,
}

/// The adapter of a decoder.
#[derive(Debug)]
pub struct Adapter {
    config: AdapterConfig,
    matrices: Vec<Matrix>,
    weights: Weights,
    /// By the leaf's name without its kind: `model.layers.0.self_attn.qkv`.
    parts: BTreeMap<String, Vec<Part>>,
    /// Of the draws of its dropout; absent of an adapter that is only read.
    seed: Option<u64>,
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

/// Layout of the parameters of an adapter of these matrices.
fn layout(matrices: &[Matrix], config: &AdapterConfig) -> Vec<Entry> {
    let mut offset = 0;
    let mut entries = Vec::new();
    for matrix in matrices {
        for &piece in config.pieces() {
            let shape = piece.shape(config.r, matrix);
            let entry = Entry {
                name: tensor_name(&matrix.name, piece),
                shape: shape.into_iter().map(|size| size as i64).collect(),
                offset,
            };
            offset += entry.len();
            entries.push(entry);
        }
    }
    entries
}

/// Euclidean norms of the rows of a float32 matrix, `[rows]`; of rows of zeros the
/// smallest number that can be divided by.
pub(crate) fn row_norms(matrix: &Tensor) -> Tensor {
    let squares = matrix.square().sum_dim_intlist(1, false, Kind::Float);
    squares.sqrt().clamp_min(f64::from(f32::MIN_POSITIVE))
}

impl Adapter {
    /// A fresh adapter for a network, a function of the network and the seed
    /// alone: A uniform within 1/sqrt(in) as PEFT draws it, the same for LoRA
    /// and `DoRA`; B zero; the magnitude that of the network's matrices.
    pub fn random(decoder: &Decoder, settings: &LoraSettings, seed: u64) -> Result<Self> {
        settings.check().map_err(anyhow::Error::msg)?;
        let targets = settings.targets(decoder.config());
        let targets = targets.map_err(anyhow::Error::msg)?;
        let base = decoder.weights();
        let mut matrices = products(base.entries());
        matrices.retain(|matrix| targets.iter().any(|target| target == last_part(matrix)));
        let config = AdapterConfig {
            base_model_name_or_path: None,
            r: settings.r as usize,
            lora_alpha: settings.alpha,
            lora_dropout: settings.dropout,
            target_modules: Some(TargetModules::Names(targets)),
            use_rslora: settings.rslora,
            use_dora: settings.dora,
        };
        let mut place = 0;
        let entries = layout(&matrices, &config);
        let weights = Weights::read(entries, decoder.device(), |entry, values| {
            match parse_name(&entry.name) {
                Some((_, Piece::A)) => {
                    let mut stream = stream(seed, "initial adapter", &[place]);
                    let bound = 1.0 / (entry.shape[1] as f64).sqrt();
                    for value in values {
                        *value = (bound * (2.0 * stream.random::<f64>() - 1.0)) as f32;
                    }
                    // One place for A and one for B, which is not drawn.
                    place += 2;
                }
                Some((module, Piece::Magnitude)) => {
                    let norms = row_norms(base.get(&format!("{module}.weight")));
                    let count = values.len();
                    norms.to_device(Device::Cpu).copy_data(values, count);
                }
                _ => (),
            }
            Ok(())
        })?;
        let adapter = Self::over(base.entries(), config, matrices, weights)?;
        Ok(Self {
            seed: Some(seed),
            ..adapter
        })
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
        let entries = layout(&matrices, &stored.config);
        let weights = Weights::read(entries, device, |entry, values| {
            let (module, piece) = parse_name(&entry.name)
                .with_context(|| format!("{} is no adapter's name", entry.name))?;
            stored.read_f32(module, piece, values)?;
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
        let fill = |matrix: &Matrix, piece, sink: &mut Sink<'_>| {
            let name = tensor_name(&matrix.name, piece);
            sink.numbers(&numbers(self.weights.get(&name)))
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
                module: matrix.name.clone(),
            });
        }
        Ok(Self {
            config,
            matrices,
            weights,
            parts,
            seed: None,
        })
    }

    /// Its parameters, under PEFT's names.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The matrices of a leaf that it adapts; the leaf is named without its kind.
    pub fn parts(&self, leaf: &str) -> &[Part] {
        self.parts.get(leaf).map_or(&[], Vec::as_slice)
    }

    /// A piece of a matrix's adapter out of a vector `[P]` that is laid out as the
    /// adapter's parameters are; `None` where there is none.
    pub fn piece(&self, vector_P: &Tensor, module: &str, piece: Piece) -> Option<Tensor> {
        self.weights.view(vector_P, &tensor_name(module, piece))
    }

    /// What the product of B and A is multiplied by.
    pub fn scale(&self) -> f64 {
        self.config.scale()
    }

    /// The share of its inputs that training drops, and the seed of the draws;
    /// `None` where nothing is dropped.
    pub fn dropout(&self) -> Option<(f64, u64)> {
        let share = self.config.lora_dropout;
        self.seed.filter(|_| share > 0.0).map(|seed| (share, seed))
    }

    /// What the adapter adds to a parameter of the network, which is `plain`
    /// without it; `None` where it adds nothing.
    pub(super) fn change(&self, name: &str, plain: &Tensor) -> Option<Tensor> {
        let module = name.strip_suffix(".weight")?;
        let of = |piece| self.piece(self.weights.flat(), module, piece);
        let product = of(Piece::B)?.matmul(&of(Piece::A)?) * self.scale();
        let Some(magnitude) = of(Piece::Magnitude) else {
            return Some(product);
        };
        let sum = plain + product;
        let factors = magnitude / row_norms(&sum);
        Some(sum * factors.unsqueeze(1) - plain)
    }
}

#[cfg(test)]
mod tests;
