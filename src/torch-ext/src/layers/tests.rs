//! Both back ends against autograd in double precision.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::testing::{difference, each_back_end, gradients, noise, root};

const ACTIVATIONS: [Activation; 2] = [Activation::Silu, Activation::GeluTanh];

/// What the rounding of a result to a kind allows.
fn tolerance(kind: Kind) -> f64 {
    if kind == Kind::BFloat16 { 6e-3 } else { 2e-6 }
}

#[test]
fn the_norm_and_its_gradient_are_those_of_autograd() {
    each_back_end(|_| {
        for (width, kind) in [1, 7, 40, 96, 640]
            .into_iter()
            .flat_map(|width| [(width, Kind::Float), (width, Kind::BFloat16)])
        {
            let (x, weight) = (noise(&[130, width], 1) * 3.0, noise(&[width], 2));
            let upstream = noise(&[130, width], 3).to_kind(kind);
            let (x_64, weight_64) = (root(&x), root(&weight));
            let reference = x_64.rms_norm(width, Some(&weight_64), 1e-5);
            let expected = gradients(&reference, &upstream, &[&x_64, &weight_64]);
            let (y, factors) = norm(&x, &weight, 1e-5, kind);
            assert_eq!((y.kind(), factors.kind()), (kind, Kind::Float));
            assert!(difference(&y, &reference) < tolerance(kind));
            let x_gradient = noise(&[130, width], 4);
            let weight_gradient = noise(&[width], 5);
            let (x_before, weight_before) = (x_gradient.copy(), weight_gradient.copy());
            norm_backward(
                &x,
                &weight,
                &factors,
                &upstream,
                &x_gradient,
                Some(&weight_gradient),
            );
            assert!(difference(&(x_gradient - x_before), &expected[0]) < 1e-5);
            assert!(difference(&(weight_gradient - weight_before), &expected[1]) < 1e-5);
        }
    });
}

#[test]
fn the_gate_and_its_gradient_are_those_of_autograd() {
    each_back_end(|_| {
        for activation in ACTIVATIONS {
            for kind in [Kind::Float, Kind::BFloat16] {
                let gate_up = (noise(&[33, 70], 1) * 6.0).to_kind(kind);
                let upstream = noise(&[33, 35], 2).to_kind(kind);
                let gate_up_64 = root(&gate_up);
                let halves = gate_up_64.chunk(2, -1);
                let reference = activation.of(&halves[0]) * &halves[1];
                let expected = gradients(&reference, &upstream, &[&gate_up_64]);
                let y = gate(&gate_up, activation);
                let gradient = gate_backward(&gate_up, &upstream, activation);
                assert_eq!((y.kind(), gradient.kind()), (kind, kind));
                assert!(difference(&y, &reference) < tolerance(kind));
                assert!(
                    difference(&gradient, &expected[0]) < tolerance(kind),
                    "{activation:?} {kind:?}: {}",
                    difference(&gradient, &expected[0])
                );
            }
        }
    });
}

#[test]
fn a_gate_far_from_zero_neither_overflows_nor_vanishes_wrongly() {
    each_back_end(|_| {
        for activation in ACTIVATIONS {
            let gate_up = Tensor::from_slice(&[1e15_f32, 200.0, -200.0, -1e15, 1.0, 1.0, 1.0, 1.0]);
            let gate_up = gate_up.view([1, 8]);
            let y = gate(&gate_up, activation);
            assert!((y.double_value(&[0, 0]) / 1e15 - 1.0).abs() < 1e-6);
            assert!((y.double_value(&[0, 1]) - 200.0).abs() < 1e-3);
            assert!(y.double_value(&[0, 2]).abs() < 1e-30);
            assert!(y.double_value(&[0, 3]).abs() < 1e-15);
            let ones = Tensor::ones([1, 4], (Kind::Float, Device::Cpu));
            let gradient = gate_backward(&gate_up, &ones, activation);
            for (place, slope) in [(0, 1.0), (1, 1.0), (2, 0.0), (3, 0.0)] {
                let own = gradient.double_value(&[0, place]);
                assert!((own - slope).abs() < 1e-6, "{activation:?}: {own}");
            }
        }
    });
}

#[test]
fn a_gate_that_is_not_a_number_stays_one() {
    each_back_end(|_| {
        for activation in ACTIVATIONS {
            let gate_up = Tensor::from_slice(&[f32::NAN, 1.0]).view([1, 2]);
            let ones = Tensor::ones([1, 1], (Kind::Float, Device::Cpu));
            assert!(gate(&gate_up, activation).double_value(&[0, 0]).is_nan());
            let gradient = gate_backward(&gate_up, &ones, activation);
            assert!(gradient.double_value(&[0, 0]).is_nan());
        }
    });
}

#[test]
fn bfloat16_is_added_to_float32_without_another_rounding() {
    each_back_end(|_| {
        let (sum, more) = (noise(&[3, 8], 5), noise(&[3, 8], 4).to_kind(Kind::BFloat16));
        let expected = &sum + more.to_kind(Kind::Float);
        accumulate(&sum, &more);
        assert_eq!(sum, expected);
    });
}

#[test]
fn kernels_round_bfloat16_only_where_it_goes_in_and_out() {
    for activation in ACTIVATIONS {
        let gate_up = noise(&[3, 8], 4).to_kind(Kind::BFloat16);
        let wide = gate(&gate_up.to_kind(Kind::Float), activation);
        assert_eq!(gate(&gate_up, activation), wide.to_kind(Kind::BFloat16));
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (x, weight) = (noise(&[210, 48], 7), noise(&[48], 9));
    let upstream = noise(&[210, 48], 8);
    let run = |threads| {
        tch::set_num_threads(threads);
        let (y, factors) = norm(&x, &weight, 1e-6, Kind::Float);
        let (dx, dw) = (x.zeros_like(), weight.zeros_like());
        norm_backward(&x, &weight, &factors, &upstream, &dx, Some(&dw));
        [y, dx, dw]
    };
    let before = tch::get_num_threads();
    let (one, three) = (run(1), run(3));
    tch::set_num_threads(before);
    assert_eq!(one, three);
    assert_eq!(
        crate::cpu::rms_norm(&x, &weight, 1e-6, Kind::Float),
        one[0],
        "sampling and training have one norm"
    );
}
