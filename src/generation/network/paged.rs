//! The decoder on the CPU: packed weights, a cache in pages, everything laid end to end without
//! padding.
//!
//! Each row's bits depend on its own tokens alone: not on its company in the
//! batch, not on whether a position was read as part of a prompt or appended,
//! not on the number of threads.

use anyhow::{Context, Result};
use tch::{Device, Kind, Tensor};
use torch_ext::cpu::{Batch, KvCache, PAGE, Rotary, gather_rows};

use super::{Cached, Room, RowId, Source};
use crate::model::{ModelConfig, rotary};
use crate::network::attention::{Attention, LayerAttention};
use crate::network::{Network, Parameters, Precision};

/// Tokens of one pass over prompts; bounds memory.
const TOKENS_AT_ONCE: usize = 1024;

/// Cosines and sines for each of the configuration's rotary positions, as the cache takes them.
fn tables(all: &[rotary::Rotary]) -> Vec<Rotary> {
    let tables = all
        .iter()
        .map(|rotary| Rotary::new(&rotary.cos_TE, &rotary.sin_TE));
    tables.collect()
}

/// The pages of one sequence and how many of its positions are written.
#[derive(Debug, Default, Clone)]
struct Row {
    pages: Vec<u32>,
    length: usize,
}

/// The network and its cache.
pub struct Paged {
    network: Network,
    kind: Kind,
    pages: Pages,
    batch: Batch,
}

/// The cache, and who holds which of its pages.
struct Pages {
    cache: KvCache,
    growing: Vec<Rotary>,
    rows: Vec<Row>,
    /// How many rows name each page.
    holders: Vec<u32>,
    free: Vec<u32>,
}

impl Pages {
    fn new(config: &ModelConfig, kind: Kind, room: Room) -> Self {
        let growing = rotary::Rotary::of_growing(config, room.length as i64, Device::Cpu);
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
            growing: tables(&growing),
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

/// A pass over the tokens of a batch, which the cache holds from then on.
struct Pass<'a> {
    cache: &'a mut KvCache,
    batch: &'a Batch,
    tables: &'a [Rotary],
}

impl Attention for Pass<'_> {
    type Kept = ();

    fn attend(&mut self, layer: &LayerAttention, qkv_NC: &Tensor, _: bool) -> (Tensor, ()) {
        // Norms of single heads are computed where keys are stored.
        let (qkv_NC, norms) = match &layer.norms {
            Some(norms) if norms.each => (qkv_NC.shallow_clone(), Some(&norms.weights)),
            _ => (layer.normed(qkv_NC), None),
        };
        let (cache, tables) = (&mut *self.cache, &self.tables[layer.rope]);
        let q_NX = cache.store(layer.index, self.batch, &qkv_NC, tables, norms);
        (cache.attend(layer.index, self.batch, &q_NX, layer.look), ())
    }
}

impl Paged {
    /// Packs the weights.
    pub fn new(config: &ModelConfig, source: Source<'_>, precision: Precision) -> Result<Self> {
        let kind = precision.kind();
        let parameters = Parameters::named(config, source, Device::Cpu, kind, true);
        let none = Room {
            rows: 0,
            length: 1,
            prompts: 0,
        };
        Ok(Self {
            network: Network::sampling(&parameters)?,
            kind,
            pages: Pages::new(config, kind, none),
            batch: Batch::new(),
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
    fn forward(&mut self, ids: &[i64], whole: Option<&[Rotary]>, last: &[i64]) -> Tensor {
        let mut attention = Pass {
            cache: &mut self.pages.cache,
            batch: &self.batch,
            tables: whole.unwrap_or(&self.pages.growing),
        };
        let x_ND = self.network.embed_on_cpu(ids);
        let (x_ND, _) = self.network.forward(x_ND, &mut attention);
        if last.is_empty() {
            let vocabulary = self.network.config().vocab_size;
            return Tensor::zeros([0, vocabulary], (Kind::Float, Device::Cpu));
        }
        let x_LD = if last.len() as i64 == x_ND.size()[0] {
            x_ND
        } else {
            gather_rows(&x_ND, last)
        };
        self.network.sampled_logits(&x_LD)
    }
}

impl Cached for Paged {
    fn make_room(&mut self, room: Room) {
        self.pages = Pages::new(self.network.config(), self.kind, room);
    }

    fn read(&mut self, prompts: &[(RowId, &[i64])]) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let mut logits = Vec::new();
        let mut waiting: Vec<i64> = Vec::new();
        let mut last = Vec::new();
        self.batch.clear();
        for &(row, prompt) in prompts {
            // Dynamic scaling rotates a long prompt as a whole: it goes alone.
            let config = self.network.config();
            let own = config.outgrown(prompt.len()).then(|| {
                let length = prompt.len() as i64;
                tables(&rotary::Rotary::of_sequence(config, length, Device::Cpu))
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
                    logits.push(self.forward(&waiting, own.as_deref(), &last));
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
