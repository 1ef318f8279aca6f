//! Both back ends against autograd in double precision.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::testing::{difference, each_back_end, gradients, noise, root};

const FLOAT: (Kind, Device) = (Kind::Float, Device::Cpu);

/// Widths that fill vectors and that do not, keys for one query head and for
/// many.
const HEADS: [Heads; 4] = [
    heads(4, 2, 12),
    heads(3, 3, 20),
    heads(4, 1, 256),
    heads(2, 1, 24),
];

const fn heads(query: i64, key: i64, width: i64) -> Heads {
    Heads { query, key, width }
}

/// Windows of one key, shorter than a block of queries, across trunks and
/// blocks, and longer than any sequence; caps that bend what they are given.
fn looks(width: i64) -> Vec<Look> {
    [None, Some(1), Some(3), Some(40), Some(1000)]
        .into_iter()
        .flat_map(|window| [None, Some(0.7)].map(|cap| (window, cap)))
        .map(|(window, cap)| Look {
            scale: 1.3 / (width as f64).sqrt(),
            window,
            cap,
        })
        .collect()
}

fn tables(positions: i64, width: i64) -> (Tensor, Tensor) {
    let angles = Tensor::arange(positions, FLOAT).unsqueeze(1)
        * (Tensor::arange(width / 2, FLOAT) + 0.3).unsqueeze(0);
    (angles.cos(), angles.sin())
}

/// Trunks with branches that a window of 40 cuts off from them, alone, and of
/// one token.
fn sequences() -> Sequences {
    let mut sequences = Sequences::default();
    sequences.trunk(45);
    sequences.branch(70);
    sequences.branch(3);
    sequences.trunk(1);
    sequences.trunk(41);
    sequences
}

/// Attention of one sequence as it is written down: `qkv` is `[T, C]`, double.
fn reference(qkv: &Tensor, heads: Heads, tables: &(Tensor, Tensor), look: Look) -> Tensor {
    let time = qkv.size()[0];
    let parts = qkv
        .view([time, heads.query + 2 * heads.key, heads.width])
        .transpose(0, 1)
        .split_with_sizes([heads.query, heads.key, heads.key], 0);
    let rotate = |x: &Tensor| {
        let halves = x.chunk(2, -1);
        let (cosines, sines) = (tables.0.narrow(0, 0, time), tables.1.narrow(0, 0, time));
        Tensor::cat(
            &[
                &halves[0] * &cosines - &halves[1] * &sines,
                &halves[1] * &cosines + &halves[0] * &sines,
            ],
            -1,
        )
    };
    let share = heads.query / heads.key;
    let keys = rotate(&parts[1]).repeat_interleave_self_int(share, 0, None);
    let values = parts[2].repeat_interleave_self_int(share, 0, None);
    let mut scores = rotate(&parts[0]).matmul(&keys.transpose(1, 2)) * look.scale;
    if let Some(cap) = look.cap {
        scores = (scores / cap).tanh() * cap;
    }
    let ones = Tensor::ones([time, time], (Kind::Bool, Device::Cpu));
    let mut hidden = ones.triu(1);
    if let Some(window) = look.window {
        hidden = hidden.logical_or(&ones.tril(-window));
    }
    scores
        .masked_fill(&hidden, f64::NEG_INFINITY)
        .softmax(-1, Kind::Double)
        .matmul(&values)
        .transpose(0, 1)
        .reshape([time, -1])
}

#[test]
fn attention_and_its_gradient_are_those_of_autograd() {
    let sequences = sequences();
    for heads in HEADS {
        let tables = tables(sequences.longest() + 2, heads.width);
        for (look, kind) in looks(heads.width)
            .into_iter()
            .flat_map(|look| [(look, Kind::Float), (look, Kind::BFloat16)])
        {
            let qkv = noise(&[sequences.tokens(), heads.channels()], 1).to_kind(kind);
            let upstream = noise(&[sequences.tokens(), heads.query * heads.width], 2).to_kind(kind);
            let qkv_64 = root(&qkv);
            let mixed: Vec<Tensor> = sequences
                .parts()
                .map(|((trunk, before), (start, length))| {
                    let own = qkv_64.narrow(0, start, length);
                    let whole = Tensor::cat(&[qkv_64.narrow(0, trunk, before), own], 0);
                    reference(&whole, heads, &tables, look).narrow(0, before, length)
                })
                .collect();
            let mixed = Tensor::cat(&mixed, 0);
            let expected = gradients(&mixed, &upstream, &[&qkv_64]);
            each_back_end(|portable| {
                // The portable rounds between its operators too.
                let tolerance = match (kind, portable) {
                    (Kind::Float, _) => 1e-5,
                    (_, false) => 6e-3,
                    (_, true) => 3e-2,
                };
                let rows = Rows::new(&sequences, heads, Device::Cpu);
                let tables = rows.tables(&tables.0, &tables.1);
                let attended = rows.attend(&qkv, &tables, look, true);
                assert_eq!(attended.mixed_SD.kind(), kind);
                let apart = difference(&attended.mixed_SD.detach(), &mixed);
                let gradient = rows.backward(&qkv, &tables, look, attended, &upstream);
                let gradient_apart = difference(&gradient, &expected[0]);
                assert!(
                    apart < tolerance && gradient_apart < tolerance,
                    "{heads:?} {look:?} {kind:?} portable {portable}: {apart}, {gradient_apart}"
                );
            });
        }
    }
}

#[test]
fn a_window_longer_than_any_sequence_and_none_are_the_same_bits() {
    let sequences = sequences();
    let heads = HEADS[0];
    let (cosines, sines) = tables(sequences.longest(), heads.width);
    let qkv = noise(&[sequences.tokens(), heads.channels()], 1);
    let upstream = noise(&[sequences.tokens(), heads.query * heads.width], 2);
    let rows = Rows::new(&sequences, heads, Device::Cpu);
    let tables = rows.tables(&cosines, &sines);
    let run = |window| {
        let look = Look {
            window,
            ..Look::all(heads.width)
        };
        let attended = rows.attend(&qkv, &tables, look, true);
        let mixed = attended.mixed_SD.shallow_clone();
        let gradient = rows.backward(&qkv, &tables, look, attended, &upstream);
        [mixed, gradient]
    };
    assert_eq!(run(None), run(Some(sequences.longest())));
}

#[test]
fn kernels_round_bfloat16_only_where_it_goes_in_and_out() {
    let sequences = sequences();
    let heads = HEADS[0];
    let half = noise(&[sequences.tokens(), heads.channels()], 1).to_kind(Kind::BFloat16);
    let (cosines, sines) = tables(sequences.longest(), heads.width);
    let rows = Rows::new(&sequences, heads, Device::Cpu);
    let tables = rows.tables(&cosines, &sines);
    let look = Look::all(heads.width);
    let a = rows.attend(&half, &tables, look, false).mixed_SD;
    let wide = half.to_kind(Kind::Float);
    let b = rows.attend(&wide, &tables, look, false).mixed_SD;
    assert_eq!(a, b.to_kind(Kind::BFloat16));
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut sequences = Sequences::default();
    for length in [30, 7, 55, 12] {
        sequences.trunk(length);
        sequences.branch(length + 3);
    }
    let heads = HEADS[0];
    let qkv = noise(&[sequences.tokens(), heads.channels()], 1);
    let (cosines, sines) = tables(sequences.longest(), heads.width);
    let upstream = noise(&[sequences.tokens(), heads.query * heads.width], 8);
    let rows = Rows::new(&sequences, heads, Device::Cpu);
    let tables = rows.tables(&cosines, &sines);
    let look = Look {
        window: Some(20),
        ..Look::all(heads.width)
    };
    let run = |threads| {
        tch::set_num_threads(threads);
        let attended = rows.attend(&qkv, &tables, look, true);
        let mixed = attended.mixed_SD.shallow_clone();
        [
            mixed,
            rows.backward(&qkv, &tables, look, attended, &upstream),
        ]
    };
    let before = tch::get_num_threads();
    let (one, three) = (run(1), run(3));
    tch::set_num_threads(before);
    assert_eq!(one, three);
}

#[test]
#[should_panic(expected = "a window of 0 positions shows nothing")]
fn an_empty_window_is_refused() {
    let sequences = sequences();
    let (cosines, sines) = tables(sequences.longest(), 12);
    let rows = Rows::new(&sequences, HEADS[0], Device::Cpu);
    let tables = rows.tables(&cosines, &sines);
    let look = Look {
        window: Some(0),
        ..Look::all(12)
    };
    let qkv = noise(&[sequences.tokens(), HEADS[0].channels()], 1);
    let _ = rows.attend(&qkv, &tables, look, false);
}
