//! Attention of a packed batch by libtorch's operators, for every device; the
//! reference of the kernels.

use tch::{Device, Kind, Tensor};

use super::{Heads, Look, Sequences};
use crate::flash_attention;

/// Where the tokens of one batch lie, on their device.
pub(super) struct Places {
    /// `[S]`: each token's position.
    positions: Tensor,
    /// Keys of every sequence from its beginning, the trunk's repeated for
    /// each of its branches.
    keys: Tensor,
    flash: Flash,
    padded: Padded,
}

/// Cosines and sines of every token, `[S, 1, E / 2]`.
pub(super) struct Turns {
    cosines: Tensor,
    sines: Tensor,
}

/// Places as flash attention takes them.
struct Flash {
    query_starts: Tensor,
    key_starts: Tensor,
    longest: [i64; 2],
}

/// Places of rows padded to one length.
struct Padded {
    rows: i64,
    /// `[rows * T]` tokens, padding reads token 0.
    queries: Tensor,
    /// `[rows * T']`, the same of keys.
    keys: Tensor,
    /// `[rows, 1, T, 1]`: the last position that a query sees, its own.
    ends: Tensor,
    /// `[T']`: positions.
    places: Tensor,
    /// `[S]`: where each token lies among the padded queries.
    back: Tensor,
}

/// The gradient of a graph's leaf.
pub(super) fn backward(leaf: &Tensor, mixed_SD: &Tensor, mixed_gradient_SD: &Tensor) -> Tensor {
    tch::with_grad(|| {
        let loss = (mixed_SD * mixed_gradient_SD).sum(Kind::Float);
        Tensor::run_backward(&[loss], &[leaf], false, false)[0].shallow_clone()
    })
}

impl Places {
    pub(super) fn new(sequences: &Sequences, device: Device) -> Self {
        let mut keys: Vec<i64> = Vec::new();
        let (mut query_starts, mut key_starts) = (vec![0i32], vec![0i32]);
        let (mut longest_query, mut longest_key) = (0, 0);
        for ((trunk, before), (start, length)) in sequences.parts() {
            keys.extend(trunk..trunk + before);
            keys.extend(start..start + length);
            query_starts.push((start + length) as i32);
            key_starts.push(keys.len() as i32);
            longest_query = length.max(longest_query);
            longest_key = (before + length).max(longest_key);
        }
        Self {
            positions: Tensor::from_slice(&sequences.positions()).to_device(device),
            keys: Tensor::from_slice(&keys).to_device(device),
            flash: Flash {
                query_starts: Tensor::from_slice(&query_starts).to_device(device),
                key_starts: Tensor::from_slice(&key_starts).to_device(device),
                longest: [longest_query, longest_key],
            },
            padded: Padded::new(sequences, longest_query, longest_key, device),
        }
    }

    pub(super) fn turns(&self, cos_TE: &Tensor, sin_TE: &Tensor) -> Turns {
        let table = |table: &Tensor| table.index_select(0, &self.positions).unsqueeze(1);
        Turns {
            cosines: table(cos_TE),
            sines: table(sin_TE),
        }
    }

    /// What every query gathers, with the leaf of its graph where there will be
    /// a backward pass.
    pub(super) fn attend(
        &self,
        heads: Heads,
        qkv_SC: &Tensor,
        turns: &Turns,
        look: Look,
        returns: bool,
    ) -> (Tensor, Option<Tensor>) {
        if !returns {
            return (self.mix(heads, qkv_SC, turns, look), None);
        }
        tch::with_grad(|| {
            let leaf = qkv_SC.detach().set_requires_grad(true);
            (self.mix(heads, &leaf, turns, look), Some(leaf))
        })
    }

    fn mix(&self, heads: Heads, qkv_SC: &Tensor, turns: &Turns, look: Look) -> Tensor {
        let Heads { query, key, width } = heads;
        let kind = qkv_SC.kind();
        let parts = qkv_SC
            .view([-1, query + 2 * key, width])
            .split_with_sizes([query, key, key], 1);
        let queries = turns.rotate(&parts[0], kind);
        let keys = turns.rotate(&parts[1], kind).index_select(0, &self.keys);
        let values = parts[2].index_select(0, &self.keys);
        let padded = || self.padded.mix(&queries, &keys, &values, look);
        let plain = kind == Kind::Float || qkv_SC.device() == Device::Cpu || look.cap.is_some();
        let mixed_SHE = if plain {
            padded()
        } else {
            let Flash {
                query_starts,
                key_starts,
                longest,
            } = &self.flash;
            flash_attention::packed(
                [&queries, &keys, &values],
                [query_starts, key_starts],
                *longest,
                look.scale,
                look.window,
            )
            // A head width or a device that the operator does not serve.
            .unwrap_or_else(|_| padded())
        };
        mixed_SHE.reshape([-1, query * width])
    }
}

impl Turns {
    fn rotate(&self, x_SHE: &Tensor, kind: Kind) -> Tensor {
        let halves = x_SHE.to_kind(Kind::Float).chunk(2, -1);
        let (a, b) = (&halves[0], &halves[1]);
        Tensor::cat(
            &[
                a * &self.cosines - b * &self.sines,
                b * &self.cosines + a * &self.sines,
            ],
            -1,
        )
        .to_kind(kind)
    }
}

impl Padded {
    fn new(sequences: &Sequences, longest_query: i64, longest_key: i64, device: Device) -> Self {
        let (mut queries, mut keys) = (Vec::new(), Vec::new());
        let (mut back, mut positions, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
        let mut key = 0;
        for (row, ((_, before), (start, length))) in (0i64..).zip(sequences.parts()) {
            let pad = |to: &mut Vec<i64>, width: i64| to.resize(((row + 1) * width) as usize, 0);
            back.extend((0..length).map(|t| row * longest_query + t));
            queries.extend(start..start + length);
            pad(&mut queries, longest_query);
            // A padded query sees as much as the last, so that its softmax exists.
            positions.extend((0..longest_query).map(|t| before + t.min(length - 1)));
            keys.extend(key..key + before + length);
            pad(&mut keys, longest_key);
            key += before + length;
            lengths.push(before + length);
        }
        let rows = lengths.len() as i64;
        let on_device = |values: &[i64]| Tensor::from_slice(values).to_device(device);
        Self {
            rows,
            queries: on_device(&queries),
            keys: on_device(&keys),
            ends: on_device(&positions).view([rows, 1, longest_query, 1]),
            places: Tensor::arange(longest_key, (Kind::Int64, device)),
            back: on_device(&back),
        }
    }

    /// Which keys a query sees, `[rows, 1, T, T']`.
    fn seen(&self, window: Option<i64>) -> Tensor {
        let past = self.places.le_tensor(&self.ends);
        match window {
            None => past,
            Some(window) => past.logical_and(&self.places.gt_tensor(&(&self.ends - window))),
        }
    }

    fn mix(&self, queries: &Tensor, keys: &Tensor, values: &Tensor, look: Look) -> Tensor {
        let rows = |x: &Tensor, places: &Tensor| {
            let size = x.size();
            x.index_select(0, places)
                .view([self.rows, -1, size[1], size[2]])
                .transpose(1, 2)
        };
        let (heads, width) = (queries.size()[1], queries.size()[2]);
        let (queries, keys, values) = (
            rows(queries, &self.queries),
            rows(keys, &self.keys),
            rows(values, &self.keys),
        );
        let seen = self.seen(look.window);
        // libtorch's own has no cap, and in bfloat16 on the CPU it asks for
        // AVX-512 even where a process was told to do without.
        let products = look.cap.is_some()
            || (queries.device() == Device::Cpu && queries.kind() != Kind::Float);
        let mixed = if products {
            in_products(&queries, &keys, &values, &seen, look)
        } else {
            Tensor::scaled_dot_product_attention(
                &queries,
                &keys,
                &values,
                Some(&seen),
                0.0,
                false,
                look.scale,
                keys.size()[1] < heads,
            )
        };
        mixed
            .transpose(1, 2)
            .reshape([-1, heads, width])
            .index_select(0, &self.back)
    }
}

/// Attention as it is written down. Queries are `[rows, H, T, E]`, keys and values
/// `[rows, K, T', E]`, `seen` is `[rows, 1, T, T']`; softmaxes are float32.
fn in_products(
    queries: &Tensor,
    keys: &Tensor,
    values: &Tensor,
    seen: &Tensor,
    look: Look,
) -> Tensor {
    let share = queries.size()[1] / keys.size()[1];
    let spread = |x: &Tensor| x.repeat_interleave_self_int(share, 1, None);
    let mut scores = queries
        .matmul(&spread(keys).transpose(2, 3))
        .to_kind(Kind::Float)
        * look.scale;
    if let Some(cap) = look.cap {
        scores = (scores / cap).tanh() * cap;
    }
    scores
        .masked_fill(&seen.logical_not(), f64::NEG_INFINITY)
        .softmax(-1, Kind::Float)
        .to_kind(values.kind())
        .matmul(&spread(values))
}
