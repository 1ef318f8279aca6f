//! What the CPU has kernels for, made of libtorch's operators, for every other
//! device. On the CPU only tests run it, against the kernels.

use tch::{Device, Kind, Tensor};
use torch_ext::cpu::training::{Heads, Sequences};
use torch_ext::flash_attention;

use crate::model::rope::Rotary;

pub(super) fn norm(x_SD: &Tensor, weight_D: &Tensor, eps: f64, kind: Kind) -> (Tensor, Tensor) {
    let mean_S = x_SD.square().mean_dim(-1, false, Kind::Float);
    let factors_S = (mean_S + eps).rsqrt();
    let y_SD = x_SD * factors_S.unsqueeze(-1) * weight_D;
    (y_SD.to_kind(kind), factors_S)
}

pub(super) fn norm_backward(
    x_SD: &Tensor,
    weight_D: &Tensor,
    factors_S: &Tensor,
    y_gradient_SD: &Tensor,
    x_gradient_SD: &Tensor,
    weight_gradient_D: Option<&Tensor>,
) {
    let y_gradient_SD = y_gradient_SD.to_kind(Kind::Float);
    let factors_S1 = factors_S.unsqueeze(-1);
    let scaled_SD = x_SD * &factors_S1;
    let pulled_SD = &y_gradient_SD * weight_D;
    let together_S1 = (&pulled_SD * &scaled_SD).mean_dim(-1, true, Kind::Float);
    let own_SD = (pulled_SD - &scaled_SD * together_S1) * factors_S1;
    let _ = x_gradient_SD.shallow_clone().g_add_(&own_SD);
    if let Some(sum) = weight_gradient_D {
        let own_D = (y_gradient_SD * scaled_SD).sum_dim_intlist(0, false, Kind::Float);
        let _ = sum.shallow_clone().g_add_(&own_D);
    }
}

pub(super) fn gate(gate_up_SF: &Tensor) -> Tensor {
    let halves = gate_up_SF.chunk(2, -1);
    halves[0].silu() * &halves[1]
}

pub(super) fn gate_backward(gate_up_SF: &Tensor, y_gradient_SF: &Tensor) -> Tensor {
    let halves = gate_up_SF.to_kind(Kind::Float).chunk(2, -1);
    let (gate, up) = (&halves[0], &halves[1]);
    let y_gradient_SF = y_gradient_SF.to_kind(Kind::Float);
    let s = gate.sigmoid();
    let slope = &s * (gate * (1.0 - &s) + 1.0);
    Tensor::cat(&[&y_gradient_SF * up * slope, y_gradient_SF * gate * s], -1)
        .to_kind(gate_up_SF.kind())
}

/// What a row of logits says of its token: `[N]` each.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "the suffix is the axis")]
pub(super) struct Scores {
    pub(super) logprobs_N: Tensor,
    pub(super) entropies_N: Tensor,
    pub(super) best_N: Tensor,
}

pub(super) fn score(logits_NV: &Tensor, targets_N: &Tensor, temperature: f64) -> Scores {
    let logprobs_NV = (logits_NV / temperature).log_softmax(-1, Kind::Float);
    let target = |of: &Tensor| of.gather(1, &targets_N.unsqueeze(1), false).squeeze_dim(1);
    let terms_NV = logprobs_NV.exp() * &logprobs_NV;
    Scores {
        logprobs_N: target(&logprobs_NV),
        entropies_N: -terms_NV
            .nan_to_num(0.0, None, None)
            .sum_dim_intlist(-1, false, Kind::Float),
        best_N: target(logits_NV).ge_tensor(&logits_NV.amax(-1, false)),
    }
}

pub(super) fn score_backward(
    logits_NV: &Tensor,
    targets_N: &Tensor,
    temperature: f64,
    scores: &Scores,
    logprob_gradient_N: &Tensor,
    entropy_gradient_N: Option<&Tensor>,
) -> Tensor {
    let logprobs_NV = (logits_NV / temperature).log_softmax(-1, Kind::Float);
    let shares_NV = logprobs_NV.exp();
    let to_logprobs_N1 = logprob_gradient_N.unsqueeze(1);
    let mut gradient_NV = -&shares_NV * &to_logprobs_N1;
    if let Some(to_entropies_N) = entropy_gradient_N {
        let distance_NV = logprobs_NV + scores.entropies_N.unsqueeze(1);
        gradient_NV -= shares_NV * distance_NV * to_entropies_N.unsqueeze(1);
    }
    let places_N1 = targets_N.unsqueeze(1);
    gradient_NV.scatter_add(1, &places_N1, &to_logprobs_N1) / temperature
}

/// Where the tokens of one batch lie for attention, on their device.
pub(super) struct Layout {
    heads: Heads,
    /// `[S, 1, E / 2]`.
    cosines: Tensor,
    sines: Tensor,
    /// Keys of every sequence from its beginning, the trunk's repeated for
    /// each of its branches.
    keys: Tensor,
    flash: Flash,
    padded: Padded,
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
    /// `[rows, 1, T, T']`: which keys a query sees.
    seen: Tensor,
    /// `[S]`: where each token lies among the padded queries.
    back: Tensor,
}

/// What attention gave, with its graph where there is a way back.
pub(super) struct Attended {
    pub(super) mixed_SD: Tensor,
    input: Option<Tensor>,
}

impl Attended {
    pub(super) fn backward(&self, mixed_gradient_SD: &Tensor) -> Tensor {
        let input = self.input.as_ref().expect("kept for the way back");
        tch::with_grad(|| {
            let loss = (&self.mixed_SD * mixed_gradient_SD).sum(Kind::Float);
            Tensor::run_backward(&[loss], &[input], false, false)[0].shallow_clone()
        })
    }
}

impl Layout {
    pub(super) fn new(
        sequences: &Sequences,
        heads: Heads,
        rotary: &Rotary,
        device: Device,
    ) -> Self {
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
        let positions_S = Tensor::from_slice(&sequences.positions()).to_device(device);
        let table = |table: &Tensor| table.index_select(0, &positions_S).unsqueeze(1);
        Self {
            heads,
            cosines: table(&rotary.cos_TE),
            sines: table(&rotary.sin_TE),
            keys: Tensor::from_slice(&keys).to_device(device),
            flash: Flash {
                query_starts: Tensor::from_slice(&query_starts).to_device(device),
                key_starts: Tensor::from_slice(&key_starts).to_device(device),
                longest: [longest_query, longest_key],
            },
            padded: Padded::new(sequences, longest_query, longest_key, device),
        }
    }

    pub(super) fn attend(&self, qkv_SC: &Tensor, returns: bool) -> Attended {
        if !returns {
            return Attended {
                mixed_SD: self.mix(qkv_SC),
                input: None,
            };
        }
        tch::with_grad(|| {
            let input = qkv_SC.detach().set_requires_grad(true);
            Attended {
                mixed_SD: self.mix(&input),
                input: Some(input),
            }
        })
    }

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

    fn mix(&self, qkv_SC: &Tensor) -> Tensor {
        let Heads { query, key, width } = self.heads;
        let kind = qkv_SC.kind();
        let parts = qkv_SC
            .view([-1, query + 2 * key, width])
            .split_with_sizes([query, key, key], 1);
        let queries = self.rotate(&parts[0], kind);
        let keys = self.rotate(&parts[1], kind).index_select(0, &self.keys);
        let values = parts[2].index_select(0, &self.keys);
        let mixed_SHE = if kind == Kind::Float || qkv_SC.device() == Device::Cpu {
            self.padded.mix(&queries, &keys, &values)
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
            )
            // A head width or a device that the operator does not serve.
            .unwrap_or_else(|_| self.padded.mix(&queries, &keys, &values))
        };
        mixed_SHE.reshape([-1, query * width])
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
        let ends = on_device(&positions).view([rows, 1, longest_query, 1]);
        let places = Tensor::arange(longest_key, (Kind::Int64, device));
        Self {
            rows,
            queries: on_device(&queries),
            keys: on_device(&keys),
            seen: places.le_tensor(&ends),
            back: on_device(&back),
        }
    }

    fn mix(&self, queries: &Tensor, keys: &Tensor, values: &Tensor) -> Tensor {
        let rows = |x: &Tensor, places: &Tensor| {
            let size = x.size();
            x.index_select(0, places)
                .view([self.rows, -1, size[1], size[2]])
                .transpose(1, 2)
        };
        let (heads, width) = (queries.size()[1], queries.size()[2]);
        let shared = keys.size()[1] < heads;
        Tensor::scaled_dot_product_attention(
            &rows(queries, &self.queries),
            &rows(keys, &self.keys),
            &rows(values, &self.keys),
            Some(&self.seen),
            0.0,
            false,
            None,
            shared,
        )
        .transpose(1, 2)
        .reshape([-1, heads, width])
        .index_select(0, &self.back)
    }
}
