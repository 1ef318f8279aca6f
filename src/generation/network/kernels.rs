//! The network on the CPU, over the kernels of `torch-ext`: packed weights,
//! a cache in pages, everything laid end to end without padding.
//!
//! Each row's bits depend on its own tokens alone: not on its company in the
//! batch, not on whether a position was read as part of a prompt or appended,
//! not on the number of threads.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use torch_ext::cpu::{
    Batch, HeadNorms, KvCache, PAGE, PackedGateUp, PackedLinear, Rotary, gather_rows, rms_norm,
};

use super::{GATE_UP, Names, Network, QKV, Room, RowId, Source, when};
use crate::generation::precision::Precision;
use crate::model::{ModelConfig, rope};

/// Tokens of one pass over prompts; bounds memory.
const TOKENS_AT_ONCE: usize = 1024;

/// The feed-forward layer's first half.
enum GateUp {
    Fused(PackedGateUp),
    /// With biases, which the fused kernel does not add.
    Plain(PackedLinear),
}

struct Layer {
    input_norm_D: Tensor,
    qkv: PackedLinear,
    head_norms: Option<HeadNorms>,
    output: PackedLinear,
    post_norm_D: Tensor,
    gate_up: GateUp,
    down: PackedLinear,
}

impl Layer {
    fn new(config: &ModelConfig, source: Source<'_>, kind: Kind, layer: usize) -> Result<Self> {
        let names = Names { layer };
        let get = |name: &str| source(&names.at(name));
        let linear = |name: &str, biased: bool| -> Result<PackedLinear> {
            let bias = when(biased, || get(&format!("{name}.bias")))?;
            let weight = get(&format!("{name}.weight"))?;
            Ok(PackedLinear::new(&weight, bias.as_ref(), kind))
        };
        let qkv_bias = when(config.qkv_bias, || names.joined(source, &QKV, "bias"))?;
        let gate_up = names.joined(source, &GATE_UP, "weight")?;
        Ok(Self {
            input_norm_D: get("input_layernorm.weight")?,
            qkv: PackedLinear::new(
                &names.joined(source, &QKV, "weight")?,
                qkv_bias.as_ref(),
                kind,
            ),
            head_norms: if config.head_norms.is_some() {
                Some(HeadNorms {
                    query: get("self_attn.q_norm.weight")?,
                    key: get("self_attn.k_norm.weight")?,
                    eps: config.rms_norm_eps,
                })
            } else {
                None
            },
            output: linear("self_attn.o_proj", config.output_bias)?,
            post_norm_D: get("post_attention_layernorm.weight")?,
            gate_up: if config.mlp_bias {
                let bias = names.joined(source, &GATE_UP, "bias")?;
                GateUp::Plain(PackedLinear::new(&gate_up, Some(&bias), kind))
            } else {
                GateUp::Fused(PackedGateUp::new(&gate_up, kind))
            },
            down: linear("mlp.down_proj", config.mlp_bias)?,
        })
    }

    fn feed_forward(&self, x_ND: &Tensor) -> Tensor {
        match &self.gate_up {
            GateUp::Fused(fused) => fused.forward(x_ND),
            GateUp::Plain(linear) => {
                let both = linear.forward(x_ND, Kind::Float).chunk(2, -1);
                (both[0].silu() * &both[1]).to_kind(linear.kind())
            }
        }
    }
}

/// The pages of one sequence and how many of its positions are written.
#[derive(Debug, Default, Clone)]
struct Row {
    pages: Vec<u32>,
    length: usize,
}

/// The network and its cache.
pub struct Kernels {
    config: ModelConfig,
    kind: Kind,
    embedding_VD: Tensor,
    layers: Vec<Layer>,
    norm_D: Tensor,
    head: PackedLinear,
    pages: Pages,
    batch: Batch,
}

/// The cache, and who holds which of its pages.
struct Pages {
    cache: KvCache,
    growing: Rotary,
    rows: Vec<Row>,
    /// How many rows name each page.
    holders: Vec<u32>,
    free: Vec<u32>,
}

impl Pages {
    fn new(config: &ModelConfig, kind: Kind, room: Room) -> Self {
        let growing = &rope::Rotary::of_growing(config, room.length as i64, Device::Cpu)[0];
        // One page more a sequence: the last page of a prompt is copied.
        let pages = (room.rows + room.prompts) * (room.length.div_ceil(PAGE) + 1);
        Self {
            cache: KvCache::new(
                config.num_hidden_layers,
                pages,
                config.num_key_value_heads as usize,
                config.head_dim as usize,
                kind,
            ),
            growing: Rotary::new(&growing.cos_TE, &growing.sin_TE),
            rows: vec![Row::default(); room.rows + room.prompts],
            holders: vec![0; pages],
            // Taken from the end: low pages first, so that memory is reused.
            free: (0..pages as u32).rev().collect(),
        }
    }

    fn take(&mut self) -> Result<u32> {
        let page = self
            .free
            .pop()
            .context("the cache has no page left: more was asked of it than its room")?;
        self.holders[page as usize] = 1;
        Ok(page)
    }
}

impl Kernels {
    /// Packs the weights.
    pub fn new(config: &ModelConfig, source: Source<'_>, precision: Precision) -> Result<Self> {
        let kind = precision.kind();
        let _guard = tch::no_grad_guard();
        let embedding_VD = source("model.embed_tokens.weight")?;
        let head = if config.tie_word_embeddings {
            PackedLinear::new(&embedding_VD, None, kind)
        } else {
            PackedLinear::new(&source("lm_head.weight")?, None, kind)
        };
        let layers = (0..config.num_hidden_layers)
            .map(|layer| Layer::new(config, source, kind, layer))
            .collect::<Result<_>>()?;
        let none = Room {
            rows: 0,
            length: 1,
            prompts: 0,
        };
        Ok(Self {
            kind,
            embedding_VD: embedding_VD.to_kind(kind),
            layers,
            norm_D: source("model.norm.weight")?,
            head,
            pages: Pages::new(config, kind, none),
            batch: Batch::new(),
            config: config.clone(),
        })
    }

    /// Gives a row pages for `count` more tokens and puts them into the batch.
    fn extend(&mut self, row: RowId, count: usize) -> Result<()> {
        let needed = (self.pages.rows[row.0].length + count).div_ceil(PAGE);
        while self.pages.rows[row.0].pages.len() < needed {
            let page = self.pages.take()?;
            self.pages.rows[row.0].pages.push(page);
        }
        let state = &mut self.pages.rows[row.0];
        self.batch.push(&state.pages, state.length, count);
        state.length += count;
        Ok(())
    }

    /// Runs the tokens of the batch and returns the logits `[L, V]` behind
    /// those at the places `last`.
    fn forward(&mut self, ids: &[i64], rotary: Option<&Rotary>, last: &[i64]) -> Tensor {
        let eps = self.config.rms_norm_eps;
        let rotary = rotary.unwrap_or(&self.pages.growing);
        let mut x_ND = gather_rows(&self.embedding_VD, ids);
        for (index, layer) in self.layers.iter().enumerate() {
            let normed_ND = rms_norm(&x_ND, &layer.input_norm_D, eps, self.kind);
            let qkv = layer.qkv.forward(&normed_ND, Kind::Float);
            let norms = layer.head_norms.as_ref();
            let q = self
                .pages
                .cache
                .store(index, &self.batch, &qkv, rotary, norms);
            let mixed = self.pages.cache.attend(index, &self.batch, &q);
            layer.output.add_to(&mixed, &mut x_ND);
            let normed_ND = rms_norm(&x_ND, &layer.post_norm_D, eps, self.kind);
            layer
                .down
                .add_to(&layer.feed_forward(&normed_ND), &mut x_ND);
        }
        if last.is_empty() {
            return Tensor::zeros([0, self.config.vocab_size], (Kind::Float, Device::Cpu));
        }
        let x_LD = if last.len() as i64 == x_ND.size()[0] {
            x_ND
        } else {
            gather_rows(&x_ND, last)
        };
        let normed_LD = rms_norm(&x_LD, &self.norm_D, eps, self.kind);
        self.head.forward(&normed_LD, Kind::Float)
    }
}

impl Network for Kernels {
    fn make_room(&mut self, room: Room) {
        self.pages = Pages::new(&self.config, self.kind, room);
    }

    fn read(&mut self, prompts: &[(RowId, &[i64])]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut logits = Vec::new();
        let mut waiting: Vec<i64> = Vec::new();
        let mut last = Vec::new();
        self.batch.clear();
        for &(row, prompt) in prompts {
            // Dynamic scaling rotates a long prompt as a whole: it goes alone.
            let own = self.config.outgrown(prompt.len()).then(|| {
                let length = prompt.len() as i64;
                let whole = &rope::Rotary::of_sequence(&self.config, length, Device::Cpu)[0];
                Rotary::new(&whole.cos_TE, &whole.sin_TE)
            });
            let mut parts = prompt.chunks(TOKENS_AT_ONCE).peekable();
            while let Some(part) = parts.next() {
                if !waiting.is_empty()
                    && (own.is_some() || waiting.len() + part.len() > TOKENS_AT_ONCE)
                {
                    logits.push(self.forward(&waiting, None, &last));
                    waiting.clear();
                    last.clear();
                    self.batch.clear();
                }
                self.extend(row, part.len())?;
                waiting.extend_from_slice(part);
                if parts.peek().is_none() {
                    last.push(waiting.len() as i64 - 1);
                }
                if own.is_some() {
                    logits.push(self.forward(&waiting, own.as_ref(), &last));
                    waiting.clear();
                    last.clear();
                    self.batch.clear();
                }
            }
        }
        if !waiting.is_empty() {
            logits.push(self.forward(&waiting, None, &last));
        }
        Ok(Tensor::cat(&logits, 0))
    }

    fn fork(&mut self, prompt: RowId, row: RowId) -> Result<()> {
        let held = self.pages.rows[prompt.0].clone();
        let whole = held.length / PAGE;
        let mut pages = held.pages[..whole].to_vec();
        for &page in &pages {
            self.pages.holders[page as usize] += 1;
        }
        if let Some(&part) = held.pages.get(whole) {
            let own = self.pages.take()?;
            self.pages.cache.copy_page(part, own);
            pages.push(own);
        }
        self.pages.rows[row.0] = Row {
            pages,
            length: held.length,
        };
        Ok(())
    }

    fn leave(&mut self, row: RowId) {
        for page in std::mem::take(&mut self.pages.rows[row.0]).pages {
            self.pages.holders[page as usize] -= 1;
            if self.pages.holders[page as usize] == 0 {
                self.pages.free.push(page);
            }
        }
    }

    fn step(&mut self, rows: &[(RowId, i64)]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.batch.clear();
        for &(row, _) in rows {
            self.extend(row, 1)?;
        }
        let ids: Vec<i64> = rows.iter().map(|&(_, token)| token).collect();
        let last: Vec<i64> = (0..rows.len() as i64).collect();
        Ok(self.forward(&ids, None, &last))
    }
}
