//! Weights: named tensors that are views of one flat buffer.
//!
//! One buffer makes an optimizer a handful of operations instead of a handful
//! for each parameter, and a hash of the weights one pass over bytes. Names
//! are those of Hugging Face checkpoints.
//!
//! Matrices that read the same input lie next to each other, so the decoder
//! multiplies by them at once: queries, keys and values as one matrix, gate and
//! up projection as another. These joined views are called leaves; the
//! checkpoint's names are views for everybody else.

use std::collections::BTreeMap;

use anyhow::Result;
use rand::RngExt;
use tch::{Device, Kind, Tensor};

use super::ModelConfig;
use super::config::HeadNorms;
use crate::random::stream;

/// Where a parameter lies in the flat buffer, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name in a checkpoint.
    pub name: String,
    /// Shape in the checkpoint.
    pub shape: Vec<i64>,
    /// First element in the flat buffer.
    pub offset: i64,
}

impl Entry {
    /// Number of elements.
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Whether the parameter has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it is added to a product.
    pub fn is_bias(&self) -> bool {
        self.name.rsplit('.').next() == Some("bias")
    }

    /// Whether it is a matrix inside a layer: what Muon orthogonalises.
    pub fn is_hidden_matrix(&self) -> bool {
        self.shape.len() == 2 && self.name.contains(".layers.")
    }
}

/// The parameters of one decoder.
#[derive(Debug)]
pub struct Weights {
    flat: Tensor,
    entries: Vec<Entry>,
    views: BTreeMap<String, Tensor>,
    leaves: BTreeMap<String, Leaf>,
}

/// Checkpoint names, within a layer, that are read as one matrix; some
/// architectures have it as one.
const JOINED: [(&str, &[&str]); 4] = [
    (
        "self_attn.qkv",
        &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"],
    ),
    ("self_attn.qkv", &["self_attn.qkv_proj"]),
    ("mlp.gate_up", &["mlp.gate_proj", "mlp.up_proj"]),
    ("mlp.gate_up", &["mlp.gate_up_proj"]),
];

/// The leaf that a parameter is part of: its own name, or that of a joined matrix.
fn leaf_name(name: &str) -> String {
    for (joined, parts) in JOINED {
        for part in parts {
            for kind in ["weight", "bias"] {
                if let Some(place) = name.strip_suffix(&format!("{part}.{kind}")) {
                    return format!("{place}{joined}.{kind}");
                }
            }
        }
    }
    name.to_owned()
}

/// The joined leaf's name of a module, and the modules that it is made of in
/// the order of their rows; a module that is not joined is its own.
pub(super) fn joined(module: &str) -> (String, Vec<String>) {
    for (joined, parts) in JOINED {
        for part in parts {
            if let Some(place) = module.strip_suffix(part) {
                let parts = parts.iter().map(|part| format!("{place}{part}")).collect();
                return (format!("{place}{joined}"), parts);
            }
        }
    }
    (module.to_owned(), vec![module.to_owned()])
}

/// Where a leaf lies in the flat buffer.
#[derive(Debug, Clone)]
struct Leaf {
    name: String,
    offset: i64,
    shape: Vec<i64>,
}

/// The leaves of a layout, in its order: parameters of one leaf name are
/// neighbours, and their rows follow each other.
fn leaves(entries: &[Entry]) -> Vec<Leaf> {
    entries
        .chunk_by(|a, b| leaf_name(&a.name) == leaf_name(&b.name))
        .map(|parts| {
            let mut shape = parts[0].shape.clone();
            shape[0] = parts.iter().map(|part| part.shape[0]).sum();
            Leaf {
                name: leaf_name(&parts[0].name),
                offset: parts[0].offset,
                shape,
            }
        })
        .collect()
}

/// Names and shapes of a configuration's parameters, in the order of the flat buffer.
pub fn layout(config: &ModelConfig) -> Vec<Entry> {
    let d = config.hidden_size;
    let mut shapes = vec![(
        "model.embed_tokens.weight".to_owned(),
        vec![config.vocab_size, d],
    )];
    for layer in 0..config.num_hidden_layers {
        let named = |(name, shape)| (format!("model.layers.{layer}.{name}"), shape);
        shapes.extend(layer_layout(config).into_iter().map(named));
    }
    shapes.push(("model.norm.weight".to_owned(), vec![d]));
    if !config.tie_word_embeddings {
        shapes.push(("lm_head.weight".to_owned(), vec![config.vocab_size, d]));
    }
    let mut offset = 0;
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let entry = Entry {
                name,
                shape,
                offset,
            };
            offset += entry.len();
            entry
        })
        .collect()
}

/// The parameters that each leaf of a configuration is made of, in the order of their rows.
pub(crate) fn leaf_parts(config: &ModelConfig) -> BTreeMap<String, Vec<String>> {
    let mut parts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for entry in layout(config) {
        let leaf = parts.entry(leaf_name(&entry.name)).or_default();
        leaf.push(entry.name);
    }
    parts
}

/// The same of one layer, by names within it.
fn layer_layout(config: &ModelConfig) -> Vec<(String, Vec<i64>)> {
    let (d, f) = (config.hidden_size, config.intermediate_size);
    let query = config.num_attention_heads * config.head_dim;
    let key = config.num_key_value_heads * config.head_dim;
    let mut shapes: Vec<(String, Vec<i64>)> = Vec::new();
    let norm = |shapes: &mut Vec<(String, Vec<i64>)>, name: Option<&str>| {
        shapes.extend(name.map(|name| (format!("{name}.weight"), vec![d])));
    };
    let products = |shapes: &mut Vec<(String, Vec<i64>)>, parts: &[(&str, i64)], inputs, biased| {
        for (name, outputs) in parts {
            shapes.push((format!("{name}.weight"), vec![*outputs, inputs]));
        }
        for (name, outputs) in parts.iter().filter(|_| biased) {
            shapes.push((format!("{name}.bias"), vec![*outputs]));
        }
    };
    norm(&mut shapes, config.norms.before_attention);
    let apart = [
        ("self_attn.q_proj", query),
        ("self_attn.k_proj", key),
        ("self_attn.v_proj", key),
    ];
    let qkv: &[(&str, i64)] = if config.packed {
        &[("self_attn.qkv_proj", query + 2 * key)]
    } else {
        &apart
    };
    products(&mut shapes, qkv, d, config.biases.qkv);
    if let Some(norms) = config.head_norms {
        let widths = match norms {
            HeadNorms::Each => [config.head_dim; 2],
            HeadNorms::Together => [query, key],
        };
        for (name, width) in ["q_norm", "k_norm"].into_iter().zip(widths) {
            shapes.push((format!("self_attn.{name}.weight"), vec![width]));
        }
    }
    let output = [("self_attn.o_proj", d)];
    products(&mut shapes, &output, query, config.biases.output);
    norm(&mut shapes, config.norms.after_attention);
    norm(&mut shapes, config.norms.before_feed_forward);
    let apart = [("mlp.gate_proj", f), ("mlp.up_proj", f)];
    let gate_up: &[(&str, i64)] = if config.packed {
        &[("mlp.gate_up_proj", 2 * f)]
    } else {
        &apart
    };
    products(&mut shapes, gate_up, d, config.biases.mlp);
    products(&mut shapes, &[("mlp.down_proj", d)], f, config.biases.mlp);
    norm(&mut shapes, config.norms.after_feed_forward);
    shapes
}

impl Weights {
    /// Fresh weights, a function of the seed alone: norms multiply by 1, biases are 0, embeddings normal
    /// with deviation 0.02, matrices normal with deviation 1/sqrt(columns),
    /// those that write into the residual stream divided by sqrt(2 layers).
    pub fn random(config: &ModelConfig, seed: u64, device: Device) -> Self {
        let entries = layout(config);
        let total = entries.iter().map(Entry::len).sum::<i64>() as usize;
        let residual = 1.0 / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut values = Vec::with_capacity(total);
        for (index, entry) in entries.iter().enumerate() {
            if entry.shape.len() == 1 {
                // A norm begins by multiplying by 1.
                let norm = (1.0 - config.norm_offset) as f32;
                let value = if entry.is_bias() { 0.0 } else { norm };
                values.resize(values.len() + entry.len() as usize, value);
                continue;
            }
            let deviation = if entry.is_hidden_matrix() {
                let scale = if entry.name.contains("o_proj") || entry.name.contains("down_proj") {
                    residual
                } else {
                    1.0
                };
                scale / (entry.shape[1] as f64).sqrt()
            } else {
                0.02
            };
            let mut stream = stream(seed, "initial weights", &[index as u64]);
            // Box-Muller; 1 - u keeps the logarithm's argument above 0.
            values.extend((0..entry.len()).map(|_| {
                let radius = (-2.0 * (1.0 - stream.random::<f64>()).ln()).sqrt();
                let angle = std::f64::consts::TAU * stream.random::<f64>();
                (deviation * radius * angle.cos()) as f32
            }));
        }
        Self::over(&Tensor::from_slice(&values).to_device(device), entries)
    }

    /// Weights read one after another, so that no second copy of them all is
    /// ever in memory. `read` gives float32 values for a name.
    pub fn read(
        entries: Vec<Entry>,
        device: Device,
        mut read: impl FnMut(&Entry, &mut [f32]) -> Result<()>,
    ) -> Result<Self> {
        let total = entries.iter().map(Entry::len).sum::<i64>();
        let flat_P = Tensor::zeros([total], (Kind::Float, device));
        let mut values = Vec::new();
        for entry in &entries {
            values.clear();
            values.resize(entry.len() as usize, 0.0f32);
            read(entry, &mut values)?;
            flat_P
                .narrow(0, entry.offset, entry.len())
                .copy_(&Tensor::from_slice(&values));
        }
        Ok(Self::over(&flat_P, entries))
    }

    /// Weights whose buffer is `flat`, which nobody else may write to.
    pub fn over(flat: &Tensor, entries: Vec<Entry>) -> Self {
        let flat = flat.detach();
        let views = entries
            .iter()
            .map(|entry| {
                let view = flat
                    .narrow(0, entry.offset, entry.len())
                    .view(entry.shape.as_slice())
                    .detach();
                (entry.name.clone(), view)
            })
            .collect();
        let leaves = leaves(&entries)
            .into_iter()
            .map(|leaf| (leaf.name.clone(), leaf))
            .collect();
        Self {
            flat,
            entries,
            views,
            leaves,
        }
    }

    /// A copy with a buffer of its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::over(&self.flat.copy(), self.entries.clone())
    }

    /// The same parameters, in the same memory.
    #[must_use]
    pub fn share(&self) -> Self {
        Self::over(&self.flat, self.entries.clone())
    }

    /// The parameter of that name; the layout and the decoder agree on names,
    /// and loading has checked that each is there.
    ///
    /// # Panics
    /// If the name is not in the layout, which is an error of the decoder.
    pub fn get(&self, name: &str) -> &Tensor {
        self.views
            .get(name)
            .unwrap_or_else(|| panic!("the layout has no parameter {name}"))
    }

    /// All parameters in one vector, `[P]`. Writing to it writes the parameters.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }

    /// Names, shapes and places.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A leaf's part of a vector `[P]` that is laid out as the weights are:
    /// the weights themselves, their gradient, a copy in another format.
    /// `None` where the layout has no leaf of that name.
    pub fn view(&self, vector_P: &Tensor, leaf: &str) -> Option<Tensor> {
        let Leaf { offset, shape, .. } = self.leaves.get(leaf)?;
        let part = vector_P.narrow(0, *offset, shape.iter().product());
        Some(part.view(shape.as_slice()))
    }

    /// Number of parameters.
    pub fn count(&self) -> i64 {
        self.flat.numel() as i64
    }

    /// All parameters as numbers, in layout order.
    pub fn to_vec(&self) -> Vec<f32> {
        let flat = self.flat.to_device(Device::Cpu).to_kind(Kind::Float);
        let mut values = vec![0.0f32; flat.numel()];
        let count = values.len();
        flat.copy_data(&mut values, count);
        values
    }

    /// blake3 over names, shapes and values: equal weights, equal hash.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for entry in &self.entries {
            hasher.update(entry.name.as_bytes());
            for size in &entry.shape {
                hasher.update(&size.to_le_bytes());
            }
        }
        for value in self.to_vec() {
            hasher.update(&value.to_le_bytes());
        }
        hasher.finalize().to_hex()[..16].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ModelShape;

    fn config() -> ModelConfig {
        ModelShape::tiny().config(20, 1, 2, 0)
    }

    #[test]
    fn a_seed_decides_the_weights() {
        let hash = |seed| Weights::random(&config(), seed, Device::Cpu).hash();
        assert_eq!(hash(1), hash(1));
        assert_ne!(hash(1), hash(2));
    }

    #[test]
    fn writing_the_flat_buffer_writes_the_parameters() {
        let weights = Weights::random(&config(), 1, Device::Cpu);
        let before = weights.hash();
        tch::no_grad(|| {
            let _ = weights.flat().shallow_clone().fill_(0.5);
        });
        let norm = weights.get("model.norm.weight");
        assert!((norm.double_value(&[3]) - 0.5).abs() < 1e-9);
        assert_ne!(weights.hash(), before);
    }

    #[test]
    fn leaves_cover_the_buffer_in_order_and_join_what_reads_the_same() {
        let weights = Weights::random(&config(), 1, Device::Cpu);
        let mut end = 0;
        for leaf in leaves(weights.entries()) {
            assert_eq!(leaf.offset, end, "{}", leaf.name);
            end += leaf.shape.iter().product::<i64>();
        }
        assert_eq!(end, weights.count());
        let qkv = "model.layers.1.self_attn.qkv.weight";
        let qkv = weights.view(weights.flat(), qkv).unwrap();
        assert_eq!(qkv.size(), [16 + 8 + 8, 16]);
        let keys = weights.get("model.layers.1.self_attn.k_proj.weight");
        assert_eq!(qkv.narrow(0, 16, 8), *keys);
        assert!(weights.view(weights.flat(), "no.such.weight").is_none());
    }

    #[test]
    fn the_layout_covers_the_buffer_without_gaps() {
        let entries = layout(&config());
        for pair in entries.windows(2) {
            assert_eq!(pair[0].offset + pair[0].len(), pair[1].offset);
        }
        assert!(entries.iter().all(|entry| !entry.is_empty()));
    }
}
