//! Each kernel against libtorch's own operators and their gradients.

use tch::{Device, Kind, Tensor};

use super::*;
use crate::cpu::Rotary;

const OPTIONS: (Kind, Device) = (Kind::Float, Device::Cpu);

fn noise(shape: &[i64], seed: i64) -> Tensor {
    // A fixed sequence without torch's global generator, which tests share.
    let count: i64 = shape.iter().product();
    let at = Tensor::arange(count, OPTIONS) * 0.7 + seed as f64;
    (at.sin() * 12.9898 + (at * 3.1).cos()).sin().view(shape)
}

fn largest_difference(a: &Tensor, b: &Tensor) -> f64 {
    (a.to_kind(Kind::Double) - b.to_kind(Kind::Double))
        .abs()
        .max()
        .double_value(&[])
}

fn with_gradient(tensor: &Tensor) -> Tensor {
    tensor.copy().set_requires_grad(true)
}

/// Gradients of `sum(y * upstream)`.
fn gradients(y: &Tensor, upstream: &Tensor, of: &[&Tensor]) -> Vec<Tensor> {
    let loss = (y * upstream).sum(Kind::Float);
    Tensor::run_backward(&[loss], of, false, false)
}

#[test]
fn the_norm_and_its_gradient_are_libtorch_s() {
    for width in [1, 7, 40, 96] {
        let x = with_gradient(&noise(&[130, width], 1));
        let weight = with_gradient(&noise(&[width], 2));
        let upstream = noise(&[130, width], 3);
        let reference = x.rms_norm(width, Some(&weight), 1e-5);
        let expected = gradients(&reference, &upstream, &[&x, &weight]);
        let (x, weight) = (x.detach(), weight.detach());
        let (y, factors) = norm(&x, &weight, 1e-5, Kind::Float);
        assert!(largest_difference(&y, &reference) < 1e-5);
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
        assert!(largest_difference(&(x_gradient - x_before), &expected[0]) < 1e-4);
        assert!(largest_difference(&(weight_gradient - weight_before), &expected[1]) < 1e-4);
    }
}

#[test]
fn the_gate_and_its_gradient_are_libtorch_s() {
    let gate_up = with_gradient(&(noise(&[33, 20], 1) * 6.0));
    let upstream = noise(&[33, 10], 2);
    let halves = gate_up.chunk(2, -1);
    let reference = halves[0].silu() * &halves[1];
    let expected = gradients(&reference, &upstream, &[&gate_up]);
    let gate_up = gate_up.detach();
    assert!(largest_difference(&gate(&gate_up), &reference) < 1e-5);
    assert!(largest_difference(&gate_backward(&gate_up, &upstream), &expected[0]) < 1e-5);
}

#[test]
fn a_gate_far_from_zero_neither_overflows_nor_vanishes_wrongly() {
    let gate_up = Tensor::from_slice(&[200f32, -200.0, 1.0, 1.0]).view([1, 4]);
    let y = gate(&gate_up);
    assert!((y.double_value(&[0, 0]) - 200.0).abs() < 1e-3);
    assert!(y.double_value(&[0, 1]).abs() < 1e-30);
    let gradient = gate_backward(&gate_up, &Tensor::ones([1, 2], OPTIONS));
    assert!(gradient.isfinite().all().int64_value(&[]) == 1);
}

#[test]
fn scores_and_their_gradients_are_libtorch_s() {
    let logits = with_gradient(&(noise(&[9, 101], 1) * 8.0));
    let targets = Tensor::from_slice(&[0i64, 100, 3, 50, 7, 8, 9, 31, 32]);
    let (to_logprobs, to_entropies) = (noise(&[9], 2), noise(&[9], 3));
    let all = (&logits / 0.7).log_softmax(-1, Kind::Float);
    let logprobs = all.gather(1, &targets.unsqueeze(1), false).squeeze_dim(1);
    let entropies = -(all.exp() * &all).sum_dim_intlist(-1, false, Kind::Float);
    let loss = (&logprobs * &to_logprobs + &entropies * &to_entropies).sum(Kind::Float);
    let expected = Tensor::run_backward(&[loss], &[&logits], true, false);
    let plain = Tensor::run_backward(
        &[(&logprobs * &to_logprobs).sum(Kind::Float)],
        &[&logits],
        false,
        false,
    );
    let logits = logits.detach();
    let scores = score(&logits, &targets, 0.7);
    assert!(largest_difference(&scores.logprobs_N, &logprobs) < 1e-5);
    assert!(largest_difference(&scores.entropies_N, &entropies) < 1e-5);
    let best = logits.argmax(-1, false).eq_tensor(&targets);
    assert_eq!(scores.best_N, best);
    let gradient = |to_entropies: Option<&Tensor>| {
        let gradient = logits.empty_like();
        score_backward(
            &logits,
            &targets,
            0.7,
            &scores,
            &to_logprobs,
            to_entropies,
            &gradient,
        );
        gradient
    };
    assert!(largest_difference(&gradient(Some(&to_entropies)), &expected[0]) < 1e-5);
    assert!(largest_difference(&gradient(None), &plain[0]) < 1e-5);
}

#[test]
fn a_score_of_logits_that_are_not_numbers_is_not_a_number() {
    let logits = Tensor::from_slice(&[1f32, f32::NAN, 0.0, 2.0]).view([1, 4]);
    let scores = score(&logits, &Tensor::from_slice(&[0i64]), 1.0);
    assert!(scores.logprobs_N.double_value(&[0]).is_nan());
}

const HEADS: Heads = Heads {
    query: 4,
    key: 2,
    width: 12,
};

fn tables(positions: i64, width: i64) -> (Tensor, Tensor) {
    let angles = Tensor::arange(positions, OPTIONS).unsqueeze(1)
        * (Tensor::arange(width / 2, OPTIONS) + 0.3).unsqueeze(0);
    (angles.cos(), angles.sin())
}

/// Attention of one sequence by libtorch: `qkv` is `[T, C]`.
fn reference(qkv: &Tensor, (cosines, sines): &(Tensor, Tensor)) -> Tensor {
    let time = qkv.size()[0];
    let heads = qkv
        .view([time, HEADS.query + 2 * HEADS.key, HEADS.width])
        .transpose(0, 1);
    let parts = heads.split_with_sizes([HEADS.query, HEADS.key, HEADS.key], 0);
    let rotate = |x: &Tensor| {
        let halves = x.chunk(2, -1);
        let (cosines, sines) = (cosines.narrow(0, 0, time), sines.narrow(0, 0, time));
        Tensor::cat(
            &[
                &halves[0] * &cosines - &halves[1] * &sines,
                &halves[1] * &cosines + &halves[0] * &sines,
            ],
            -1,
        )
    };
    let share = HEADS.query / HEADS.key;
    let keys = rotate(&parts[1]).repeat_interleave_self_int(share, 0, None);
    let values = parts[2].repeat_interleave_self_int(share, 0, None);
    let scores = rotate(&parts[0]).matmul(&keys.transpose(1, 2)) / (HEADS.width as f64).sqrt();
    let future = Tensor::ones([time, time], (Kind::Bool, Device::Cpu)).triu(1);
    let weights = scores
        .masked_fill(&future, f64::NEG_INFINITY)
        .softmax(-1, Kind::Float);
    weights.matmul(&values).transpose(0, 1).reshape([time, -1])
}

#[test]
fn attention_of_shared_and_own_sequences_and_its_gradient_are_libtorch_s() {
    let mut sequences = Sequences::default();
    sequences.trunk(5);
    sequences.branch(70);
    sequences.branch(3);
    sequences.trunk(1);
    sequences.trunk(41);
    let channels = (HEADS.query + 2 * HEADS.key) * HEADS.width;
    let qkv = with_gradient(&noise(&[sequences.tokens(), channels], 1));
    let tables = tables(sequences.longest() + 2, HEADS.width);
    let upstream = noise(&[sequences.tokens(), HEADS.query * HEADS.width], 2);
    let mixed: Vec<Tensor> = sequences
        .parts()
        .map(|((trunk, before), (start, length))| {
            let own = qkv.narrow(0, start, length);
            let whole = Tensor::cat(&[qkv.narrow(0, trunk, before), own], 0);
            reference(&whole, &tables).narrow(0, before, length)
        })
        .collect();
    let mixed = Tensor::cat(&mixed, 0);
    let expected = gradients(&mixed, &upstream, &[&qkv]);
    let qkv = qkv.detach();
    let rotary = Rotary::new(&tables.0, &tables.1);
    let attended = attention(&qkv, &sequences, HEADS, &rotary);
    assert!(largest_difference(&attended.mixed_SD, &mixed) < 1e-5);
    let gradient = attention_backward(&qkv, &sequences, HEADS, &rotary, &attended, &upstream);
    assert!(largest_difference(&gradient, &expected[0]) < 2e-5);
}

#[test]
fn bfloat16_rounds_what_goes_in_and_out_and_nothing_between() {
    let mut sequences = Sequences::default();
    sequences.trunk(9);
    sequences.branch(20);
    let channels = (HEADS.query + 2 * HEADS.key) * HEADS.width;
    let half = noise(&[sequences.tokens(), channels], 1).to_kind(Kind::BFloat16);
    let whole = half.to_kind(Kind::Float);
    let tables = tables(sequences.longest(), HEADS.width);
    let rotary = Rotary::new(&tables.0, &tables.1);
    let a = attention(&half, &sequences, HEADS, &rotary).mixed_SD;
    let b = attention(&whole, &sequences, HEADS, &rotary).mixed_SD;
    assert_eq!(a, b.to_kind(Kind::BFloat16));
    let gate_up = noise(&[3, 8], 4).to_kind(Kind::BFloat16);
    let wide = gate(&gate_up.to_kind(Kind::Float));
    assert_eq!(gate(&gate_up), wide.to_kind(Kind::BFloat16));
    let sum = noise(&[3, 8], 5);
    let expected = &sum + &gate_up;
    accumulate(&sum, &gate_up);
    assert_eq!(sum, expected);
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let mut sequences = Sequences::default();
    for length in [30, 7, 55, 12] {
        sequences.trunk(length);
        sequences.branch(length + 3);
    }
    let channels = (HEADS.query + 2 * HEADS.key) * HEADS.width;
    let qkv = noise(&[sequences.tokens(), channels], 1);
    let tables = tables(sequences.longest(), HEADS.width);
    let rotary = Rotary::new(&tables.0, &tables.1);
    let x = noise(&[sequences.tokens(), 48], 7);
    let upstream = noise(&[sequences.tokens(), 48], 8);
    let run = |threads| {
        tch::set_num_threads(threads);
        let attended = attention(&qkv, &sequences, HEADS, &rotary);
        let gradient = attention_backward(&qkv, &sequences, HEADS, &rotary, &attended, &upstream);
        let weight = noise(&[48], 9);
        let (_, factors) = norm(&x, &weight, 1e-6, Kind::Float);
        let (dx, dw) = (x.zeros_like(), weight.zeros_like());
        norm_backward(&x, &weight, &factors, &upstream, &dx, Some(&dw));
        [attended.mixed_SD, gradient, dx, dw]
    };
    let before = tch::get_num_threads();
    let (one, three) = (run(1), run(3));
    tch::set_num_threads(before);
    assert_eq!(one, three);
}
