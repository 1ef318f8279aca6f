//! The cache and its attention held to libtorch's operators.

use super::*;
use crate::Look;

const EPS: f64 = 1e-6;

/// Query heads, key/value heads, width of a head: groups of 3, of 7 (more than
/// are read together), alone, and widths that fill no vector or several.
const SHAPES: [(i64, i64, i64); 8] = [
    (9, 3, 64),
    (14, 2, 24),
    (2, 2, 128),
    (4, 2, 6),
    (8, 2, 96),
    (4, 1, 256),
    (3, 3, 20),
    (4, 2, 12),
];

/// Windows of one position, shorter than a vector, across pages and longer than
/// any row; caps that bend what they are given.
fn looks(head_dim: i64) -> Vec<Look> {
    [None, Some(1), Some(3), Some(32), Some(40), Some(1000)]
        .into_iter()
        .flat_map(|window| [None, Some(0.7)].map(|cap| (window, cap)))
        .map(|(window, cap)| Look {
            scale: 1.3 / (head_dim as f64).sqrt(),
            window,
            cap,
        })
        .collect()
}

/// Rows as the tests hold them: the page lists and the qkv of all positions.
struct Row {
    pages: Vec<u32>,
    qkv: Tensor,
}

fn rotary(positions: i64, head_dim: i64) -> Rotary {
    let angles = noise(&[positions, head_dim / 2], 20) * 3.0;
    Rotary::new(&angles.cos(), &angles.sin())
}

fn rows(lengths: &[i64], width: i64, kind: Kind) -> Vec<Row> {
    let mut next = 0;
    lengths
        .iter()
        .map(|&length| {
            // Pages in falling order: nothing may rely on their numbers.
            let count = (length as usize).div_ceil(PAGE) as u32;
            next += count;
            Row {
                pages: (0..count)
                    .map(|page| 50 - next + page * 7 % count)
                    .collect(),
                qkv: noise(&[length, width], length).to_kind(kind),
            }
        })
        .collect()
}

/// Causal attention of one row from position 0 on, in torch operations and
/// double precision, with keys and values rounded as they are kept: `[T, H * E]`.
fn expected(
    qkv: &Tensor,
    rotary: &Rotary,
    norms: Option<&HeadNorms>,
    (heads, kv_heads, head_dim): (i64, i64, i64),
    kind: Kind,
    look: Look,
) -> Tensor {
    let length = qkv.size()[0];
    let split = qkv
        .to_kind(Kind::Double)
        .view([length, heads + 2 * kv_heads, head_dim]);
    let normed = |x: Tensor, weight: Option<&Tensor>| match weight {
        Some(weight) => {
            let mean = (&x * &x).mean_dim(-1, true, Kind::Double);
            x * (mean + EPS).rsqrt() * weight
        }
        None => x,
    };
    let rotated = |x: Tensor| {
        let halves = x.chunk(2, -1);
        let cosines = rotary.cosines.narrow(0, 0, length).unsqueeze(1);
        let sines = rotary.sines.narrow(0, 0, length).unsqueeze(1);
        let first = &halves[0] * &cosines - &halves[1] * &sines;
        let second = &halves[1] * &cosines + &halves[0] * &sines;
        Tensor::cat(&[first, second], -1)
            .to_kind(kind)
            .to_kind(Kind::Double)
    };
    let q = rotated(normed(split.narrow(1, 0, heads), norms.map(|n| &n.query)));
    let k = rotated(normed(
        split.narrow(1, heads, kv_heads),
        norms.map(|n| &n.key),
    ));
    let v = split
        .narrow(1, heads + kv_heads, kv_heads)
        .to_kind(kind)
        .to_kind(Kind::Double);
    let spread = |x: Tensor| x.repeat_interleave_self_int(heads / kv_heads, 1, None);
    let (q, k, v) = (
        q.transpose(0, 1),
        spread(k).transpose(0, 1),
        spread(v).transpose(0, 1),
    );
    let mut scores = q.matmul(&k.transpose(1, 2)) * look.scale;
    if let Some(cap) = look.cap {
        scores = (scores / cap).tanh() * cap;
    }
    let ones = Tensor::ones([length, length], (Kind::Bool, Device::Cpu));
    let mut mask = ones.triu(1);
    if let Some(window) = look.window {
        mask = mask.logical_or(&ones.tril(-window));
    }
    let weights = scores
        .masked_fill(&mask, f64::NEG_INFINITY)
        .softmax(-1, Kind::Double);
    weights
        .matmul(&v)
        .transpose(0, 1)
        .reshape([length, heads * head_dim])
}

/// Sends the rows through in passes of `step` tokens a row, all rows together.
fn run(
    cache: &mut KvCache,
    rows: &[Row],
    step: i64,
    rotary: &Rotary,
    norms: Option<&HeadNorms>,
    look: Look,
) -> Vec<Tensor> {
    let mut parts: Vec<Vec<Tensor>> = rows.iter().map(|_| Vec::new()).collect();
    let longest = rows.iter().map(|row| row.qkv.size()[0]).max().unwrap_or(0);
    let mut batch = Batch::new();
    for first in (0..longest).step_by(step as usize) {
        batch.clear();
        let mut taken = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            let count = step.min(row.qkv.size()[0] - first);
            if count > 0 {
                batch.push(&row.pages, first as usize, count as usize);
                taken.push((index, count, row.qkv.narrow(0, first, count)));
            }
        }
        let qkv = Tensor::cat(&taken.iter().map(|(_, _, x)| x).collect::<Vec<_>>(), 0);
        let q = cache.store(1, &batch, &qkv, rotary, norms);
        let y = cache.attend(1, &batch, &q, look);
        let mut from = 0;
        for (index, count, _) in taken {
            parts[index].push(y.narrow(0, from, count));
            from += count;
        }
    }
    parts.iter().map(|parts| Tensor::cat(parts, 0)).collect()
}

#[test]
fn rows_of_unlike_lengths_agree_with_torch() {
    each_implementation(|| {
        for shape in SHAPES {
            let (heads, kv_heads, head_dim) = shape;
            let width = (heads + 2 * kv_heads) * head_dim;
            let rotary = rotary(100, head_dim);
            let norms = HeadNorms {
                query: noise(&[head_dim], 21) + 1.5,
                key: noise(&[head_dim], 22) + 1.5,
                eps: EPS,
            };
            for kind in KINDS {
                for (norms, look) in looks(head_dim)
                    .into_iter()
                    .flat_map(|look| [(None, look), (Some(&norms), look)])
                {
                    let rows = rows(&[70, 1, 33, 16], width, kind);
                    let mut cache = KvCache::new(2, 51, kv_heads as usize, head_dim as usize, kind);
                    let got = run(&mut cache, &rows, 5, &rotary, norms, look);
                    for (row, got) in rows.iter().zip(&got) {
                        let expected = expected(&row.qkv, &rotary, norms, shape, kind, look);
                        assert_eq!(got.kind(), kind);
                        assert!(
                            difference(got, &expected) < tolerance(kind) * 2.0,
                            "{shape:?}, {kind:?}, {look:?}, {} positions: {}",
                            row.qkv.size()[0],
                            difference(got, &expected)
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn token_by_token_and_all_at_once_give_the_same_bits() {
    each_implementation(|| {
        let (heads, kv_heads, head_dim) = SHAPES[0];
        let width = (heads + 2 * kv_heads) * head_dim;
        let rotary = rotary(100, head_dim);
        for (kind, look) in KINDS
            .into_iter()
            .flat_map(|kind| looks(head_dim).into_iter().map(move |look| (kind, look)))
        {
            let rows = rows(&[70, 33, 1], width, Kind::Float);
            let mut cache = KvCache::new(2, 51, 3, 64, kind);
            let at_once = run(&mut cache, &rows, 70, &rotary, None, look);
            let singly = run(&mut cache, &rows, 1, &rotary, None, look);
            let alone = run(&mut cache, &rows[..1], 13, &rotary, None, look);
            assert_eq!(at_once, singly);
            assert_eq!(at_once[0], alone[0]);
        }
    });
}

#[test]
fn rows_share_the_pages_of_their_prompt() {
    let (heads, kv_heads, head_dim) = SHAPES[0];
    let width = (heads + 2 * kv_heads) * head_dim;
    let rotary = rotary(100, head_dim);
    for (kind, look) in KINDS
        .into_iter()
        .flat_map(|kind| looks(head_dim).into_iter().map(move |look| (kind, look)))
    {
        // A prompt of 40 positions: one page is full, the other is copied.
        let prompt = noise(&[40, width], 23);
        let ends = [noise(&[30, width], 24), noise(&[20, width], 25)];
        let mut cache = KvCache::new(2, 9, 3, 64, kind);
        let mut batch = Batch::new();
        batch.push(&[8, 7], 0, 40);
        let _ = cache.store(1, &batch, &prompt, &rotary, None);
        cache.copy_page(7, 5);
        batch.clear();
        batch.push(&[8, 7, 0], 40, 30);
        batch.push(&[8, 5], 40, 20);
        let qkv = Tensor::cat(&ends, 0);
        let q = cache.store(1, &batch, &qkv, &rotary, None);
        let shared = cache.attend(1, &batch, &q, look);
        for (end, from) in ends.iter().zip([0, 30]) {
            let whole = Row {
                pages: vec![1, 2, 3],
                qkv: Tensor::cat(&[&prompt, end], 0),
            };
            let alone = run(&mut cache, &[whole], 100, &rotary, None, look).remove(0);
            let count = end.size()[0];
            assert_eq!(shared.narrow(0, from, count), alone.narrow(0, 40, count));
        }
    }
}

#[test]
#[should_panic(expected = "positions 30..40 in 1 pages")]
fn positions_outside_the_page_list_are_refused() {
    Batch::new().push(&[0], 30, 10);
}

#[test]
#[should_panic(expected = "page 9 of 9")]
fn a_page_outside_the_cache_is_refused() {
    let mut batch = Batch::new();
    batch.push(&[9], 0, 1);
    let mut cache = KvCache::new(1, 9, 3, 64, Kind::Float);
    let _ = cache.store(0, &batch, &noise(&[1, 960], 1), &rotary(10, 64), None);
}
