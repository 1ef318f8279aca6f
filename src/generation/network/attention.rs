//! How a pass over libtorch's operators attends: prompts among their own
//! tokens, a step over the cache; by flash attention or in plain products.

use anyhow::Result;
use tch::{Device, Kind, Tensor};
use torch_ext::flash_attention::{self, CacheLayout};

/// Which tokens a pass runs and what they may look at.
pub(super) enum Look<'a> {
    /// Whole prompts laid end to end, each of so many tokens.
    Prompts(&'a [i64]),
    /// One token a slot, of the first slots, at the given lengths.
    Step(&'a Tensor),
}

/// How one pass attends; what all layers share of it.
pub(super) enum Attention<'a> {
    Packed {
        starts_B1: Tensor,
        longest: i64,
    },
    Prompts(&'a [i64]),
    Flash {
        seen_B: Tensor,
        layout: Option<CacheLayout>,
    },
    Cached(&'a Tensor),
}

impl<'a> Attention<'a> {
    pub(super) fn new(look: &Look<'a>, flash: bool, device: Device) -> Self {
        match look {
            Look::Prompts(lengths) if flash => {
                let ends = lengths.iter().scan(0i32, |end, length| {
                    *end += *length as i32;
                    Some(*end)
                });
                let starts: Vec<i32> = std::iter::once(0).chain(ends).collect();
                Self::Packed {
                    starts_B1: Tensor::from_slice(&starts).to_device(device),
                    longest: lengths.iter().copied().max().unwrap_or(0),
                }
            }
            Look::Prompts(lengths) => Self::Prompts(lengths),
            Look::Step(lengths_B) if flash => Self::Flash {
                seen_B: (*lengths_B + 1).to_kind(Kind::Int),
                layout: None,
            },
            Look::Step(lengths_B) => Self::Cached(lengths_B),
        }
    }

    /// What each query gathers, `[N, H, E]`: queries, keys and values of the
    /// pass's own tokens, and one layer of the cache, which holds them already.
    pub(super) fn mix(
        &mut self,
        (q_NHE, k_NKE, v_NKE): (&Tensor, &Tensor, &Tensor),
        (keys_RSKE, values_RSKE): (&Tensor, &Tensor),
    ) -> Result<Tensor> {
        Ok(match self {
            Self::Packed { starts_B1, longest } => flash_attention::packed(
                [q_NHE, k_NKE, v_NKE],
                [starts_B1, starts_B1],
                [*longest, *longest],
            )?,
            Self::Prompts(lengths) => attend_prompts(q_NHE, k_NKE, v_NKE, lengths),
            Self::Flash { seen_B, layout } => {
                let rows = q_NHE.size()[0];
                let (keys, values) = (keys_RSKE.narrow(0, 0, rows), values_RSKE.narrow(0, 0, rows));
                let layout = match layout {
                    Some(layout) => layout,
                    None => layout.insert(CacheLayout::of(&keys)?),
                };
                flash_attention::decode(&q_NHE.unsqueeze(1), &keys, &values, seen_B, layout)?
            }
            Self::Cached(lengths_B) => attend_cached(q_NHE, keys_RSKE, values_RSKE, lengths_B),
        })
    }
}

/// Rotates each head's first half against its second; `x` is `[N, heads, E]`,
/// the tables `[N, E/2]`.
pub(super) fn rotate(x: &Tensor, cos_NE: &Tensor, sin_NE: &Tensor) -> Tensor {
    let halves = x.chunk(2, -1);
    let (cos, sin) = (cos_NE.unsqueeze(1), sin_NE.unsqueeze(1));
    let first = &halves[0] * &cos - &halves[1] * &sin;
    let second = &halves[1] * &cos + &halves[0] * &sin;
    Tensor::cat(&[first, second], -1)
}

/// Causal attention within each prompt, `[N, H, E]`.
fn attend_prompts(q_NHE: &Tensor, k_NKE: &Tensor, v_NKE: &Tensor, lengths: &[i64]) -> Tensor {
    let shared = q_NHE.size()[1] != k_NKE.size()[1];
    let mut first = 0;
    let parts: Vec<Tensor> = lengths
        .iter()
        .map(|&length| {
            let part = |x: &Tensor| x.narrow(0, first, length).transpose(0, 1).unsqueeze(0);
            let (q, k, v) = (part(q_NHE), part(k_NKE), part(v_NKE));
            first += length;
            Tensor::scaled_dot_product_attention(
                &q,
                &k,
                &v,
                None::<Tensor>,
                0.0,
                true,
                None,
                shared,
            )
            .squeeze_dim(0)
            .transpose(0, 1)
        })
        .collect();
    Tensor::cat(&parts, 0)
}

/// One query a slot against the slot's positions `0..=length`, `[B, H, E]`.
fn attend_cached(
    q_BHE: &Tensor,
    keys_RSKE: &Tensor,
    values_RSKE: &Tensor,
    lengths_B: &Tensor,
) -> Tensor {
    let (rows, heads, width) = q_BHE.size3().expect("queries are [B, H, E]");
    let (_, seen, kv, _) = keys_RSKE.size4().expect("keys are [R, S, K, E]");
    let cached = |all: &Tensor| all.narrow(0, 0, rows).permute([0, 2, 1, 3]);
    let blocked_B11S = Tensor::arange(seen, (Kind::Int64, q_BHE.device()))
        .view([1, 1, 1, seen])
        .gt_tensor(&lengths_B.view([rows, 1, 1, 1]));
    // Query heads that share a key head stand side by side, so keys are read
    // once for all of them and never repeated in memory.
    let q_BKGE = q_BHE.view([rows, kv, heads / kv, width]) * (width as f64).sqrt().recip();
    let scores_BKGS = q_BKGE
        .matmul(&cached(keys_RSKE).transpose(2, 3))
        .to_kind(Kind::Float)
        .masked_fill(&blocked_B11S, f64::NEG_INFINITY)
        .softmax(-1, Kind::Float)
        .to_kind(q_BHE.kind());
    scores_BKGS
        .matmul(&cached(values_RSKE))
        .view([rows, heads, width])
}
