//! Packed products held to libtorch's operators.

use super::*;
use crate::Activation;

/// Outputs and inputs: whole panels, tails of both, an odd number of inputs.
const SHAPES: [(i64, i64); 5] = [(64, 64), (96, 576), (33, 50), (7, 31), (100, 1)];

fn rounded(tensor: &Tensor, kind: Kind) -> Tensor {
    tensor.to_kind(kind).to_kind(Kind::Float)
}

#[test]
fn a_linear_layer_agrees_with_torch_for_every_number_of_rows() {
    each_implementation(|| {
        for (outputs, inputs) in SHAPES {
            let weight = noise(&[outputs, inputs], 3);
            let bias = noise(&[outputs], 4);
            for kind in KINDS {
                let layer = PackedLinear::new(&weight, Some(&bias), kind);
                for rows in (1..=17).chain([29, 64]) {
                    let x = noise(&[rows, inputs], rows).to_kind(kind);
                    let expected = rounded(&x, kind).matmul(&rounded(&weight, kind).tr()) + &bias;
                    for out in KINDS {
                        let got = layer.forward(&x, out);
                        assert_eq!(got.kind(), out);
                        assert!(
                            difference(&got, &expected) < tolerance(out),
                            "{rows} rows, {outputs} by {inputs}, {kind:?} to {out:?}"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn logits_that_are_larger_than_the_cache_agree_with_torch() {
    for kind in KINDS {
        let weight = noise(&[8192, 33], 16);
        let layer = PackedLinear::new(&weight, None, kind);
        let x = noise(&[40, 33], 17).to_kind(kind);
        let expected = rounded(&x, kind).matmul(&rounded(&weight, kind).tr());
        assert!(difference(&layer.forward(&x, Kind::Float), &expected) < 2e-6);
    }
}

#[test]
fn several_threads_may_use_a_layer_at_once() {
    let layer = PackedLinear::new(&noise(&[512, 203], 18), None, Kind::Float);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let layer = &layer;
            scope.spawn(move || {
                let x = noise(&[23, 203], seed);
                let first = layer.forward(&x, Kind::Float);
                for _ in 0..200 {
                    assert_eq!(layer.forward(&x, Kind::Float), first);
                }
            });
        }
    });
}

#[test]
fn a_layer_adds_to_the_residual_stream() {
    each_implementation(|| {
        for (outputs, inputs) in SHAPES {
            for kind in KINDS {
                let weight = noise(&[outputs, inputs], 5).to_kind(kind);
                let layer = PackedLinear::new(&weight, None, kind);
                let x = noise(&[9, inputs], 6).to_kind(kind);
                let before = noise(&[9, outputs], 7);
                let mut residual = before.copy();
                layer.add_to(&x, &mut residual);
                let product = x
                    .to_kind(Kind::Float)
                    .matmul(&weight.to_kind(Kind::Float).tr());
                assert!(difference(&residual, &(before + product)) < 2e-6);
            }
        }
    });
}

#[test]
fn gate_and_up_agree_with_torch() {
    each_implementation(|| {
        for (outputs, inputs) in SHAPES {
            let weight = noise(&[2 * outputs, inputs], 8);
            for (kind, activation) in KINDS
                .into_iter()
                .flat_map(|kind| [Activation::Silu, Activation::GeluTanh].map(|a| (kind, a)))
            {
                let layer = PackedGateUp::new(&weight, kind, activation);
                // Far enough out for the gate to close altogether.
                let x = (noise(&[19, inputs], 9) * 40.0).to_kind(kind);
                let both = rounded(&x, kind).matmul(&rounded(&weight, kind).tr());
                let halves = both.chunk(2, -1);
                let expected = activation.of(&halves[0]) * &halves[1];
                let got = layer.forward(&x);
                assert_eq!(got.kind(), kind);
                assert!(difference(&got, &expected) < tolerance(kind));
            }
        }
    });
}

#[test]
fn a_row_has_the_same_bits_in_every_batch_and_for_every_number_of_threads() {
    each_implementation(|| {
        for kind in KINDS {
            let weight = noise(&[2 * 96, 203], 10);
            let linear = PackedLinear::new(&weight, None, kind);
            let gate_up = PackedGateUp::new(&weight, kind, Activation::GeluTanh);
            let x = noise(&[64, 203], 11).to_kind(kind);
            let (y, z) = (linear.forward(&x, Kind::Float), gate_up.forward(&x));
            for rows in [1, 2, 5, 13, 14, 15, 31, 64] {
                for threads in [1, 2] {
                    tch::set_num_threads(threads);
                    let from = (64 - rows) / 2;
                    let part = x.narrow(0, from, rows);
                    assert_eq!(linear.forward(&part, Kind::Float), y.narrow(0, from, rows));
                    assert_eq!(gate_up.forward(&part), z.narrow(0, from, rows));
                }
            }
        }
    });
}

#[test]
fn repacking_replaces_the_weights() {
    let x = noise(&[3, 40], 12);
    let (old, new) = (noise(&[50, 40], 13), noise(&[50, 40], 14));
    let mut layer = PackedLinear::new(&old, Some(&noise(&[50], 15)), Kind::Float);
    layer.repack(&new, None);
    assert!(difference(&layer.forward(&x, Kind::Float), &x.matmul(&new.tr())) < 2e-6);
}
