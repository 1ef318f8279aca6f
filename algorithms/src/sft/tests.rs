//! Both losses by hand.

use super::*;
use crate::Demonstration;
use crate::testing::{Scripted, counts, values};

fn tokens(logprobs: &[f32], weights: &[f32]) -> TokenBatch {
    TokenBatch {
        logprobs_N: Tensor::from_slice(logprobs).set_requires_grad(true),
        weights_N: Tensor::from_slice(weights),
        lengths: vec![logprobs.len() as i64],
        sampled_logprobs_N: None,
        reference_logprobs_N: None,
        entropies_N: None,
        entropy_weights_N: None,
        divergences_N: None,
        demonstrated: Vec::new(),
    }
}

fn loss(sft: &Sft, tokens: &TokenBatch) -> Tensor {
    sft.loss(tokens, &counts(4.0, 3)).unwrap().0
}

#[test]
fn the_loss_is_the_weighted_mean_negative_log_probability() {
    let batch = tokens(&[-1.0, -2.0, -3.0], &[1.0, 1.0, 2.0]);
    let loss = loss(&Sft::default(), &batch);
    assert!((loss.double_value(&[]) - 9.0 / 4.0).abs() < 1e-6);
}

#[test]
fn the_loss_is_that_of_earlier_runs_to_the_bit() {
    let batch = tokens(&[-1.1, -2.3, -3.7, -0.01], &[1.0, 5.0, 1.0, 0.3]);
    // As it was written when the recorded runs were made.
    let earlier = -(&batch.logprobs_N * &batch.weights_N).sum(tch::Kind::Float) / 4.0;
    let now = loss(&Sft::default(), &batch);
    let bits = |loss: &Tensor| loss.double_value(&[]).to_bits();
    assert_eq!(bits(&now), bits(&earlier));
    let gradient = |loss: Tensor| {
        values(&Tensor::run_backward(&[loss], &[&batch.logprobs_N], false, false)[0])
    };
    let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    assert_eq!(bits(gradient(now)), bits(gradient(earlier)));
}

#[test]
fn micro_batches_add_up_to_the_loss_of_the_whole() {
    for loss_type in [SftLoss::Nll, SftLoss::Dft] {
        let sft = Sft {
            loss_type,
            ..Sft::default()
        };
        let value = |logprobs: &[f32]| {
            loss(&sft, &tokens(logprobs, &vec![1.0; logprobs.len()])).double_value(&[])
        };
        let parts = value(&[-1.0]) + value(&[-2.0, -3.0, -0.5]);
        assert!((value(&[-1.0, -2.0, -3.0, -0.5]) - parts).abs() < 1e-6);
    }
}

#[test]
fn dft_weighs_a_token_by_its_probability_without_gradient() {
    let batch = tokens(&[-1.0, -3.0], &[1.0, 1.0]);
    let dft = Sft {
        loss_type: SftLoss::Dft,
        ..Sft::default()
    };
    let loss = loss(&dft, &batch);
    let (likely, unlikely) = ((-1.0f64).exp(), (-3.0f64).exp());
    assert!((loss.double_value(&[]) - (likely + 3.0 * unlikely) / 4.0).abs() < 1e-6);
    let gradient = values(&Tensor::run_backward(&[loss], &[&batch.logprobs_N], false, false)[0]);
    assert!((gradient[0] + likely / 4.0).abs() < 1e-6);
    assert!((gradient[1] + unlikely / 4.0).abs() < 1e-6);
}

#[test]
fn an_impossible_token_without_weight_has_no_say() {
    for loss_type in [SftLoss::Nll, SftLoss::Dft] {
        let sft = Sft {
            loss_type,
            ..Sft::default()
        };
        let batch = tokens(&[-1.0, f32::NEG_INFINITY], &[1.0, 0.0]);
        let loss = loss(&sft, &batch);
        assert!(loss.double_value(&[]).is_finite());
        let gradient =
            values(&Tensor::run_backward(&[loss], &[&batch.logprobs_N], false, false)[0]);
        assert!(gradient[0] < 0.0 && gradient[1].abs() == 0.0);
    }
}

#[test]
fn a_demonstration_without_weight_is_not_sent_through_the_model() {
    let demonstration = |weight: f32| Demonstration {
        prompt: vec![1],
        completion: vec![2, 3],
        weights: vec![weight; 2],
    };
    let mut lab = Scripted {
        demonstrations: vec![demonstration(1.0), demonstration(0.0)],
        ..Scripted::default()
    };
    let batch = &Sft::default().collect(0, &mut lab).unwrap().batches[0];
    assert_eq!((batch.examples.len(), batch.tokens), (1, 4));
    assert!((batch.normaliser - 2.0).abs() < 1e-12);
    assert_eq!(Sft::default().problems_met(7), 0);
}
