//! A paged key/value cache and attention over it.
//!
//! A row's positions lie in pages of 32: position p in page `pages[p / 32]` of
//! the list that the caller keeps for the row. Rows of one prompt share its
//! full pages by naming the same numbers, and copy the part-filled last one.
//! Which pages are free is the caller's business.

use std::ffi::c_void;

use tch::{Kind, Tensor};

use super::memory::Block;
use super::{KINDS, empty, expect, expect_kind, ffi, matrix};
use crate::attention::Look;

/// Positions in a page.
pub const PAGE: usize = 32;

/// Keys and values of all layers.
///
/// Worked example: a row of 70 positions needs 3 pages. With 30 layers, 3
/// key/value heads of width 64 and bfloat16, a page takes 720 KiB.
pub struct KvCache {
    block: Block,
    layers: usize,
    pages: usize,
    kv_heads: i64,
    head_dim: i64,
    kind: Kind,
}

/// The tokens of one forward pass: what positions they have and in which pages
/// their rows lie. Made once a pass and used by every layer.
///
/// Worked example: a prompt of three tokens in page 4 beside a row whose 41st
/// token comes next, in pages 0 and 7:
///
/// ```
/// let mut batch = torch_ext::cpu::Batch::new();
/// batch.push(&[4], 0, 3);
/// batch.push(&[0, 7], 40, 1);
/// assert_eq!(batch.tokens(), 4);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    positions: Vec<i32>,
    lists: Vec<i64>,
    pages: Vec<u32>,
    most_page: u32,
    most_position: i32,
}

/// Cosines and sines of the rotary embedding, `[T, E/2]` each.
pub struct Rotary {
    pub(crate) cosines: Tensor,
    pub(crate) sines: Tensor,
}

/// RMSNorm over each query and key head before the rotation, as Qwen3 has it.
#[derive(Debug)]
pub struct HeadNorms {
    /// `[E]`, Float.
    pub query: Tensor,
    /// `[E]`, Float.
    pub key: Tensor,
    /// Added to the mean square.
    pub eps: f64,
}

impl Batch {
    /// No tokens.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets the tokens and keeps the memory.
    pub fn clear(&mut self) {
        self.positions.clear();
        self.lists.clear();
        self.pages.clear();
        (self.most_page, self.most_position) = (0, 0);
    }

    /// Appends `count` tokens of one row, at the positions from `first` on;
    /// `pages` is the row's list and must cover them. A page that holds one of
    /// these positions must be in no other row's list, since they are written.
    pub fn push(&mut self, pages: &[u32], first: usize, count: usize) {
        let end = first + count;
        assert!(
            count > 0 && pages.len() >= end.div_ceil(PAGE) && i32::try_from(end).is_ok(),
            "positions {first}..{end} in {} pages of {PAGE}",
            pages.len()
        );
        let list = self.pages.len() as i64;
        let used = &pages[..end.div_ceil(PAGE)];
        self.pages.extend_from_slice(used);
        self.most_page = used.iter().copied().fold(self.most_page, u32::max);
        self.most_position = self.most_position.max(end as i32 - 1);
        self.positions
            .extend((first..end).map(|position| position as i32));
        self.lists.resize(self.positions.len(), list);
    }

    /// N, the number of tokens.
    pub fn tokens(&self) -> usize {
        self.positions.len()
    }

    fn view(&self) -> ffi::Batch {
        ffi::Batch {
            positions: self.positions.as_ptr(),
            lists: self.lists.as_ptr(),
            pages: self.pages.as_ptr(),
            tokens: self.positions.len() as i64,
        }
    }
}

impl Rotary {
    /// Takes cosines and sines `[T, E/2]`, Float: one row a position.
    pub fn new(cosines: &Tensor, sines: &Tensor) -> Self {
        let (positions, half) = matrix(cosines, "cosines");
        let table = |tensor: &Tensor, what: &str| {
            // A copy, so that nobody can resize it under the kernels.
            let tensor = tensor.detach().copy();
            expect(&tensor, what, &[Kind::Float], &[positions, half]);
            tensor
        };
        Self {
            cosines: table(cosines, "cosines"),
            sines: table(sines, "sines"),
        }
    }

    /// T, the number of positions.
    pub fn positions(&self) -> usize {
        self.cosines.size()[0] as usize
    }
}

impl KvCache {
    /// An empty cache. The system gives memory as pages are first written, so
    /// `pages` may be generous.
    pub fn new(layers: usize, pages: usize, kv_heads: usize, head_dim: usize, kind: Kind) -> Self {
        expect_kind(kind);
        assert!(
            layers > 0 && kv_heads > 0 && head_dim > 0 && head_dim.is_multiple_of(2),
            "a cache of {layers} layers with {kv_heads} heads of width {head_dim}"
        );
        let bytes = [layers, 2, kv_heads, PAGE, head_dim, bytes_of(kind)]
            .iter()
            .try_fold(pages, |product, &factor| product.checked_mul(factor))
            .and_then(|bytes| i64::try_from(bytes).ok())
            .unwrap_or_else(|| panic!("a cache of {pages} pages is larger than any memory"));
        Self {
            block: Block::new(bytes),
            layers,
            pages,
            kv_heads: kv_heads as i64,
            head_dim: head_dim as i64,
            kind,
        }
    }

    /// Number of pages.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Copies a page of all layers.
    pub fn copy_page(&mut self, from: u32, to: u32) {
        assert!(
            (from.max(to) as usize) < self.pages,
            "page {from} to page {to} of {}",
            self.pages
        );
        let bytes = self.page_bytes();
        for layer in 0..self.layers {
            let start = self.layer(layer).cast::<u8>();
            // SAFETY: both pages lie within the layer's part of the block.
            // Equal numbers overlap, which `copy` allows.
            unsafe {
                std::ptr::copy(
                    start.add(from as usize * bytes),
                    start.add(to as usize * bytes),
                    bytes,
                );
            }
        }
    }

    /// Rotates queries and keys of the batch's tokens, writes their keys and
    /// values into the pages, and returns the queries `[N, H * E]` in the
    /// cache's kind. `qkv` `[N, (H + 2K) * E]` holds queries, keys and values
    /// side by side; Float spares it a rounding.
    pub fn store(
        &mut self,
        layer: usize,
        batch: &Batch,
        qkv: &Tensor,
        rotary: &Rotary,
        norms: Option<&HeadNorms>,
    ) -> Tensor {
        self.check(layer, batch);
        let tokens = batch.tokens() as i64;
        let (_, width) = matrix(qkv, "qkv");
        let heads = width / self.head_dim - 2 * self.kv_heads;
        expect(
            qkv,
            "qkv",
            &KINDS,
            &[
                tokens,
                (self.check_heads(heads) + 2 * self.kv_heads) * self.head_dim,
            ],
        );
        assert!(
            (batch.most_position as usize) < rotary.positions()
                && rotary.cosines.size()[1] * 2 == self.head_dim,
            "a rotary table {:?} for position {} and heads of width {}",
            rotary.cosines.size(),
            batch.most_position,
            self.head_dim
        );
        let norm = |weight: Option<&Tensor>| {
            weight.map_or(std::ptr::null(), |weight| {
                expect(weight, "head norm", &[Kind::Float], &[self.head_dim]);
                weight.data_ptr().cast_const().cast::<f32>()
            })
        };
        let queries = empty([tokens, heads * self.head_dim], self.kind);
        let call = ffi::Store {
            cache: self.view(layer),
            batch: batch.view(),
            qkv: qkv.data_ptr(),
            qkv_bf16: qkv.kind() == Kind::BFloat16,
            heads,
            cosines: rotary.cosines.data_ptr().cast(),
            sines: rotary.sines.data_ptr().cast(),
            query_norm: norm(norms.map(|norms| &norms.query)),
            key_norm: norm(norms.map(|norms| &norms.key)),
            eps: norms.map_or(0.0, |norms| norms.eps as f32),
            queries: queries.data_ptr(),
        };
        // SAFETY: every page and position of the batch was checked against the
        // cache and the tables, every tensor against its shape.
        ffi::check(unsafe { ffi::qinglan_store(&raw const call) });
        queries
    }

    /// Each token's queries attend to the positions of its row up to its own, as
    /// `look` says.
    /// `queries` are those that `store` of the same layer returned; the result
    /// is `[N, H * E]` in the cache's kind.
    pub fn attend(&self, layer: usize, batch: &Batch, queries: &Tensor, look: Look) -> Tensor {
        self.check(layer, batch);
        let tokens = batch.tokens() as i64;
        let (_, width) = matrix(queries, "queries");
        let heads = self.check_heads(width / self.head_dim);
        let shape = [tokens, heads * self.head_dim];
        expect(queries, "queries", &[self.kind], &shape);
        let y = empty(shape, self.kind);
        let call = ffi::Attend {
            cache: self.view(layer),
            batch: batch.view(),
            queries: queries.data_ptr(),
            heads,
            window: look.window_or_all(),
            scale: look.scale as f32,
            cap: look.cap_or_zero(),
            y: y.data_ptr(),
        };
        // SAFETY: as in `store`.
        ffi::check(unsafe { ffi::qinglan_attend(&raw const call) });
        y
    }

    fn check(&self, layer: usize, batch: &Batch) {
        assert!(
            layer < self.layers && (batch.most_page as usize) < self.pages,
            "layer {layer} of {}, page {} of {}",
            self.layers,
            batch.most_page,
            self.pages
        );
    }

    fn check_heads(&self, heads: i64) -> i64 {
        assert!(
            heads > 0 && heads % self.kv_heads == 0,
            "{heads} query heads over {} key/value heads",
            self.kv_heads
        );
        heads
    }

    /// Bytes of one layer's page.
    fn page_bytes(&self) -> usize {
        2 * (self.kv_heads * self.head_dim) as usize * PAGE * bytes_of(self.kind)
    }

    /// Where a layer's pages begin.
    fn layer(&self, layer: usize) -> *mut c_void {
        self.block
            .start()
            .wrapping_byte_add(layer * self.pages * self.page_bytes())
    }

    fn view(&self, layer: usize) -> ffi::Cache {
        ffi::Cache {
            pages: self.layer(layer),
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            bf16: self.kind == Kind::BFloat16,
        }
    }
}

fn bytes_of(kind: Kind) -> usize {
    if kind == Kind::BFloat16 { 2 } else { 4 }
}
